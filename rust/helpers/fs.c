// SPDX-License-Identifier: GPL-2.0-only
/* Shims for include/linux/fs.h. */

#include <linux/cred.h>
#include <linux/filelock.h>
#include <linux/fs.h>
#include <linux/fsnotify.h>
#include <linux/sched/signal.h>

#include "helpers.h"

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

void vfs_helper_sb_start_write(struct super_block *sb)
{
	sb_start_write(sb);
}

bool vfs_helper_sb_start_write_trylock(struct super_block *sb)
{
	return sb_start_write_trylock(sb);
}

void vfs_helper_sb_end_write(struct super_block *sb)
{
	sb_end_write(sb);
}

int vfs_helper_get_write_access(struct inode *inode)
{
	return get_write_access(inode);
}

void vfs_helper_put_write_access(struct inode *inode)
{
	put_write_access(inode);
}

int vfs_helper_verify_read(struct file *file, const loff_t *pos, size_t len)
{
	return rw_verify_area(READ, file, pos, len);
}

int vfs_helper_verify_write(struct file *file, const loff_t *pos, size_t len)
{
	return rw_verify_area(WRITE, file, pos, len);
}

/* Whether the current task is about to die of a signal. */
bool vfs_helper_is_being_killed(void)
{
	return fatal_signal_pending(current);
}

/* Marks a directory as the upper or work directory of an overlay, as overlayfs does. */
bool vfs_helper_inode_mark_in_use(struct inode *inode)
{
	bool marked = false;

	spin_lock(&inode->i_lock);
	if (!(inode_state_read(inode) & I_OVL_INUSE)) {
		inode_state_set(inode, I_OVL_INUSE);
		marked = true;
	}
	spin_unlock(&inode->i_lock);
	return marked;
}

void vfs_helper_inode_unmark_in_use(struct inode *inode)
{
	spin_lock(&inode->i_lock);
	WARN_ON(!(inode_state_read(inode) & I_OVL_INUSE));
	inode_state_clear(inode, I_OVL_INUSE);
	spin_unlock(&inode->i_lock);
}

static DEFINE_SPINLOCK(rehash_lock);

/*
 * Has the inode found by another key, which is in i_private. Its place in a hash chain is protected by
 * inode_hash_lock, but taking it out and putting it in again are two steps: two tasks that do this at once
 * would put it into two chains. So they take turns.
 */
void vfs_helper_rehash_inode(struct inode *inode, void *key)
{
	spin_lock(&rehash_lock);
	if (!inode_unhashed(inode))
		remove_inode_hash(inode);
	WRITE_ONCE(inode->i_private, key);
	__insert_inode_hash(inode, (unsigned long)key);
	spin_unlock(&rehash_lock);
}

/* Has the inode found by no key any more. */
void vfs_helper_unhash_inode(struct inode *inode)
{
	spin_lock(&rehash_lock);
	remove_inode_hash(inode);
	spin_unlock(&rehash_lock);
}

/* One name less; not below the one that a hashed alias other than @dentry still shows. */
void vfs_helper_drop_nlink(struct inode *inode, struct dentry *dentry)
{
	struct dentry *alias;
	bool other = false;

	spin_lock(&inode->i_lock);
	for_each_alias(alias, inode) {
		if (alias != dentry && !d_unhashed(alias)) {
			other = true;
			break;
		}
	}
	spin_unlock(&inode->i_lock);
	if (inode->i_nlink > other)
		drop_nlink(inode);
}

/* Takes a negative dentry that only the caller uses out of the cache of names. */
void vfs_helper_drop_unused_negative(struct dentry *dentry)
{
	spin_lock(&dentry->d_lock);
	if (d_is_negative(dentry) && dentry->d_lockref.count == 1)
		__d_drop(dentry);
	spin_unlock(&dentry->d_lock);
}

/* All names of an inode are asked about from now on, with these flags of a dentry. */
void vfs_helper_set_flags_of_names(struct inode *inode, unsigned int flags)
{
	struct dentry *alias;

	spin_lock(&inode->i_lock);
	for_each_alias(alias, inode) {
		spin_lock_nested(&alias->d_lock, DENTRY_D_LOCK_NESTED);
		alias->d_flags |= flags;
		spin_unlock(&alias->d_lock);
	}
	spin_unlock(&inode->i_lock);
}

/* Has the names of an inode revalidated; in a directory also those that are not there, which are looked up anew then. */
void vfs_helper_doubt_names(struct inode *inode, unsigned int flags)
{
	struct dentry *alias, *child;

	spin_lock(&inode->i_lock);
	for_each_alias(alias, inode) {
		spin_lock_nested(&alias->d_lock, DENTRY_D_LOCK_NESTED);
		alias->d_flags |= flags;
		if (S_ISDIR(inode->i_mode)) {
			hlist_for_each_entry(child, &alias->d_children, d_sib) {
				if (!d_is_negative(child))
					continue;
				spin_lock_nested(&child->d_lock, 2);
				if (d_is_negative(child))
					child->d_flags |= flags;
				spin_unlock(&child->d_lock);
			}
		}
		spin_unlock(&alias->d_lock);
	}
	spin_unlock(&inode->i_lock);
}

/*
 * The inode of the super block that comes after @after in its list (NULL: the first one), with a count for the
 * caller; NULL if there is none. Left out are those that are being evicted or are not set up yet: one that has
 * neither a name nor a place in the inode cache may be such.
 */
struct inode *vfs_helper_next_inode(struct super_block *sb, struct inode *after)
{
	struct inode *inode, *found = NULL;

	spin_lock(&sb->s_inode_list_lock);
	inode = after ?: list_entry(&sb->s_inodes, struct inode, i_sb_list);
	list_for_each_entry_continue(inode, &sb->s_inodes, i_sb_list) {
		spin_lock(&inode->i_lock);
		if (!(inode_state_read(inode) & (I_FREEING | I_WILL_FREE | I_NEW)) &&
		    (!hlist_empty(&inode->i_dentry) || !inode_unhashed(inode))) {
			__iget(inode);
			found = inode;
		}
		spin_unlock(&inode->i_lock);
		if (found)
			break;
	}
	spin_unlock(&sb->s_inode_list_lock);
	return found;
}

/*
 * How many hold the names of the inode: open files, tasks that are in a directory, mounts, look-ups that go on. That a
 * directory is held by each name in it is not counted.
 */
unsigned int vfs_helper_count_holders(struct inode *inode)
{
	struct dentry *alias, *child;
	long holders = 0;

	spin_lock(&inode->i_lock);
	for_each_alias(alias, inode) {
		spin_lock_nested(&alias->d_lock, DENTRY_D_LOCK_NESTED);
		/* A dead one has a count below 0; the function that tells so has another name in 7.3. */
		if ((int)alias->d_lockref.count >= 0) {
			holders += alias->d_lockref.count;
			hlist_for_each_entry(child, &alias->d_children, d_sib)
				holders--;
		}
		spin_unlock(&alias->d_lock);
	}
	spin_unlock(&inode->i_lock);
	return (unsigned int)clamp(holders, 0L, (long)INT_MAX);
}

/* Whether a user id has a mapping in the current user name space. */
bool vfs_helper_uid_is_mapped(kuid_t uid)
{
	return kuid_has_mapping(current_user_ns(), uid);
}

/* Whether a group id has one. */
bool vfs_helper_gid_is_mapped(kgid_t gid)
{
	return kgid_has_mapping(current_user_ns(), gid);
}

/* Takes away what a write to the file takes away: set-user-ID and the like. */
int vfs_helper_file_remove_privs(struct file *file)
{
	return file_remove_privs(file);
}

/* Whether changing the ACL or mode of the inode, as seen through a mount, must clear its set-group-ID bit. */
bool vfs_helper_inode_loses_sgid(struct mnt_idmap *idmap, struct inode *inode)
{
	return (inode->i_mode & S_ISGID) &&
	       !in_group_or_capable(idmap, inode, i_gid_into_vfsgid(idmap, inode));
}

/*
 * Whether a pin is dropped where what it is on can't be given back: in an RCU callback, which is what drops
 * the data of an inode.
 */
bool vfs_helper_pin_is_lost(void)
{
	return WARN_ONCE(in_softirq(), "vfs: a pin is not among those its inode shows, and stays for good\n");
}

/* Whether a shrinker is dropped where nobody can wait for those who use it. */
bool vfs_helper_shrinker_is_lost(void)
{
	return WARN_ONCE(in_softirq(), "vfs: a shrinker is dropped in an RCU callback, and stays for good\n");
}

/* Gives back what try_break_deleg() took for whoever is to wait for the delegation. */
void vfs_helper_put_delegated(struct inode *inode)
{
	struct super_block *sb = inode->i_sb;

	iput(inode);
	/* Newer kernels count the super block as well, as the mount may be gone before the inode is put. */
	if (IS_ENABLED(VFS_DELEGATED_COUNTS_SUPER))
		deactivate_super(sb);
}

/* Waits until nobody has a delegation of the inode any more. */
int vfs_helper_wait_for_delegation(struct inode *inode)
{
	return break_deleg(inode, 0);
}

/* Whether the task may make a file this long (RLIMIT_FSIZE), and its filesystem have it. */
bool vfs_helper_may_be_long(const struct inode *inode, loff_t size)
{
	unsigned long limit = rlimit(RLIMIT_FSIZE);

	return size <= inode->i_sb->s_maxbytes && (limit == RLIM_INFINITY || size <= limit);
}

/* Tells whoever watches them that the one was read and the other changed. */
void vfs_helper_notify_cloned(struct file *from, struct file *to)
{
	fsnotify_access(from);
	fsnotify_modify(to);
}

/* Lets others run between two steps of something long. */
void vfs_helper_cond_resched(void)
{
	cond_resched();
}
