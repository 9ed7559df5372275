// SPDX-License-Identifier: GPL-2.0-only
/* Shims for include/linux/fsverity.h. */

#include <linux/fs.h>
#include <linux/fsverity.h>

#include "helpers.h"

/* False if the file is protected, but its filesystem has not loaded what it keeps of that yet. */
bool vfs_helper_verity_is_loaded(const struct inode *inode)
{
	return !IS_VERITY(inode) || fsverity_get_info(inode);
}

/* The length of the digest, 0 without one. (The hash_algo enum has no binding.) */
int vfs_helper_verity_digest(struct inode *inode, u8 *digest, u8 *algorithm)
{
	return fsverity_get_digest(inode, digest, algorithm, NULL);
}
