// SPDX-License-Identifier: GPL-2.0-only
/*
 * Shims for include/linux/lockdep.h.
 *
 * A stacked filesystem calls filesystems that may be of its own type, with its own locks held. To
 * lockdep that looks like a task that waits for itself, unless the locks of each stacking depth are
 * of a class of their own.
 */

#include <linux/fs.h>
#include <linux/lockdep.h>

#include "helpers.h"

#ifdef CONFIG_LOCKDEP
static struct lock_class_key vfs_dir_key[FILESYSTEM_MAX_STACK_DEPTH];
static struct lock_class_key vfs_inode_key[FILESYSTEM_MAX_STACK_DEPTH];
static struct lock_class_key vfs_word_key[FILESYSTEM_MAX_STACK_DEPTH];

/* Bit locks have no map of their own: one stands for all of a depth, of which a task holds one at most. */
static struct lockdep_map vfs_word_map[FILESYSTEM_MAX_STACK_DEPTH] = {
	STATIC_LOCKDEP_MAP_INIT("vfs::LockWord/1", &vfs_word_key[0]),
	STATIC_LOCKDEP_MAP_INIT("vfs::LockWord/2", &vfs_word_key[1]),
};

static unsigned int depth_index(unsigned int depth)
{
	if (WARN_ON_ONCE(!depth || depth > FILESYSTEM_MAX_STACK_DEPTH))
		return 0;
	return depth - 1;
}

/* Puts the lock of a new inode into the class of its super block's stacking depth. */
void vfs_helper_lockdep_inode(struct inode *inode)
{
	unsigned int i = depth_index(inode->i_sb->s_stack_depth);

	if (S_ISDIR(inode->i_mode))
		lockdep_set_class(&inode->i_rwsem, &vfs_dir_key[i]);
	else
		lockdep_set_class(&inode->i_rwsem, &vfs_inode_key[i]);
}

void vfs_helper_lockdep_word_acquire(unsigned int depth)
{
	lock_map_acquire(&vfs_word_map[depth_index(depth)]);
}

void vfs_helper_lockdep_word_release(unsigned int depth)
{
	lock_map_release(&vfs_word_map[depth_index(depth)]);
}

/* The task has no protection against freezing of this filesystem. */
void vfs_helper_lockdep_not_writing(struct super_block *sb)
{
	WARN_ON_ONCE(!sb_write_not_started(sb));
}

/*
 * Held, as a lock that nobody ever waits for, by a task that others wait for and that may therefore not
 * wait for an answer of a filesystem: the one whose write right it has excepted.
 */
static struct lock_class_key vfs_waited_for_key;
static struct lockdep_map vfs_waited_for_map = STATIC_LOCKDEP_MAP_INIT("vfs::WaitedFor", &vfs_waited_for_key);

void vfs_helper_lockdep_waited_for_acquire(void)
{
	lock_map_acquire_read(&vfs_waited_for_map);
}

void vfs_helper_lockdep_waited_for_release(void)
{
	lock_map_release(&vfs_waited_for_map);
}

/* The current task is about to ask the filesystem of sb something, and may have to wait for the answer. */
void vfs_helper_lockdep_about_to_ask(struct super_block *sb)
{
	WARN(lock_is_held(&vfs_waited_for_map) == LOCK_STATE_HELD && !sb_write_started(sb),
	     "vfs: %s (%s) is asked by a task that others wait for\n", sb->s_type->name, sb->s_id);
}
#endif
