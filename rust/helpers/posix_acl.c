// SPDX-License-Identifier: GPL-2.0-only
/* Shims for include/linux/posix_acl.h. */

#include <linux/fs.h>
#include <linux/posix_acl.h>

#include "helpers.h"

void vfs_helper_posix_acl_release(struct posix_acl *acl)
{
	posix_acl_release(acl);
}

void vfs_helper_posix_acl_get(struct posix_acl *acl)
{
	posix_acl_dup(acl);
}
