// SPDX-License-Identifier: GPL-2.0-only
/* Shims for include/linux/fs.h. */

#include <linux/cred.h>
#include <linux/fs.h>

#include "helpers.h"

bool vfs_helper_inode_has_casefold(const struct inode *inode)
{
	return sb_has_encoding(inode->i_sb) && IS_CASEFOLDED(inode);
}

void vfs_helper_init_sync_kiocb(struct kiocb *iocb, struct file *file)
{
	init_sync_kiocb(iocb, file);
}

/* Changes those flags of an open file that are in @mask, as fcntl(F_SETFL) does. */
void vfs_helper_file_set_flags(struct file *file, unsigned int flags, unsigned int mask)
{
	spin_lock(&file->f_lock);
	file->f_flags = (file->f_flags & ~mask) | flags;
	file->f_iocb_flags = iocb_flags(file);
	spin_unlock(&file->f_lock);
}

struct user_namespace *vfs_helper_current_user_ns(void)
{
	return current_user_ns();
}
