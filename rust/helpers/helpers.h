/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * C shims: what is a macro or a non-trivial static inline function in the kernel's headers and
 * can't be called from Rust otherwise. Each file beside this one holds those of one header.
 */
#ifndef VFS_HELPERS_H
#define VFS_HELPERS_H

#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/posix_acl.h>
#include <linux/wait.h>

/* fs.c */
struct user_namespace *vfs_helper_current_user_ns(void);
void vfs_helper_init_sync_kiocb(struct kiocb *iocb, struct file *file);
void vfs_helper_file_set_flags(struct file *file, unsigned int flags, unsigned int mask);

void vfs_helper_sb_start_write(struct super_block *sb);
void vfs_helper_drop_unused_negative(struct dentry *dentry);
void vfs_helper_set_flags_of_names(struct inode *inode, unsigned int flags);
void vfs_helper_doubt_names(struct inode *inode, unsigned int flags);
struct inode *vfs_helper_next_inode(struct super_block *sb, struct inode *after);
unsigned int vfs_helper_count_holders(struct inode *inode);
bool vfs_helper_sb_start_write_trylock(struct super_block *sb);
void vfs_helper_sb_end_write(struct super_block *sb);
bool vfs_helper_inode_mark_in_use(struct inode *inode);
void vfs_helper_inode_unmark_in_use(struct inode *inode);
void vfs_helper_rehash_inode(struct inode *inode, void *key);
void vfs_helper_unhash_inode(struct inode *inode);
void vfs_helper_drop_nlink(struct inode *inode, struct dentry *dentry);
bool vfs_helper_uid_is_mapped(kuid_t uid);
bool vfs_helper_gid_is_mapped(kgid_t gid);
int vfs_helper_file_remove_privs(struct file *file);
bool vfs_helper_inode_loses_sgid(struct mnt_idmap *idmap, struct inode *inode);
bool vfs_helper_pin_is_lost(void);
bool vfs_helper_shrinker_is_lost(void);
int vfs_helper_wait_for_delegation(struct inode *inode);
void vfs_helper_put_delegated(struct inode *inode);
int vfs_helper_get_write_access(struct inode *inode);
void vfs_helper_put_write_access(struct inode *inode);
int vfs_helper_verify_read(struct file *file, const loff_t *pos, size_t len);
int vfs_helper_verify_write(struct file *file, const loff_t *pos, size_t len);
bool vfs_helper_is_being_killed(void);
bool vfs_helper_may_be_long(const struct inode *inode, loff_t size);
void vfs_helper_notify_cloned(struct file *from, struct file *to);
void vfs_helper_cond_resched(void);
void vfs_helper_sleep_killable(unsigned int milliseconds);

/* fault.c */
void vfs_helper_fault_range(const struct vm_fault *vmf, u64 *start, u64 *len);
bool vfs_helper_fault_lock(struct vm_fault *vmf);
void vfs_helper_fault_unlock(struct vm_fault *vmf);
bool vfs_helper_is_mapped_writably(const struct file *file);
bool vfs_helper_is_dax(const struct inode *inode);

/* fsverity.c */
bool vfs_helper_verity_is_loaded(const struct inode *inode);
int vfs_helper_verity_digest(struct inode *inode, u8 *digest, u8 *algorithm);

/* lockdep.c; only with CONFIG_LOCKDEP */
void vfs_helper_lockdep_inode(struct inode *inode);
void vfs_helper_lockdep_word_acquire(unsigned int depth);
void vfs_helper_lockdep_word_release(unsigned int depth);
void vfs_helper_lockdep_not_writing(struct super_block *sb);
void vfs_helper_lockdep_waited_for_acquire(void);
void vfs_helper_lockdep_waited_for_release(void);
void vfs_helper_lockdep_about_to_ask(struct super_block *sb);

/* pause.c; only in the module with pause points */
bool vfs_helper_pause_is_armed(const char *name);
void vfs_helper_pause(const char *name);

/* mutex.c */
int vfs_helper_mutex_lock_killable(struct mutex *lock);

/* posix_acl.c */
void vfs_helper_posix_acl_release(struct posix_acl *acl);
void vfs_helper_posix_acl_get(struct posix_acl *acl);

/* wait_bit.c */
int vfs_helper_bit_lock_killable(unsigned long *word, int bit);
void vfs_helper_bit_unlock(unsigned long *word, int bit);

/* wait.c */
void vfs_helper_init_waitqueue_head(struct wait_queue_head *queue);
int vfs_helper_wait_unlocked(struct wait_queue_head *queue, struct mutex *lock,
			     unsigned int milliseconds);
void vfs_helper_wake_up_all(struct wait_queue_head *queue);

/* percpu.c */
u64 __percpu *vfs_helper_alloc_counters(size_t count);
void vfs_helper_free_counters(u64 __percpu *counters);
void vfs_helper_counter_add(u64 __percpu *counters, size_t at, u64 n);
u64 vfs_helper_counter_sum(u64 __percpu *counters, size_t at);

/* ratelimit.c */
bool vfs_helper_ratelimit(void);

#endif /* VFS_HELPERS_H */
