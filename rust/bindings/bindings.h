/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the kernel's own `bindings` crate lacks and a stacking filesystem needs.
 *
 * generate.sh runs bindgen over this file. Only what the headers listed there declare is taken;
 * every complete type that the kernel's crate knows already comes from that crate, so that both
 * speak of the same Rust types.
 */
#ifndef VFS_BINDINGS_H
#define VFS_BINDINGS_H

#include <linux/backing-file.h>
#include <linux/cred.h>
#include <linux/dcache.h>
#include <linux/exportfs.h>
#include <linux/fadvise.h>
#include <linux/falloc.h>
#include <linux/fiemap.h>
#include <linux/filelock.h>
#include <linux/file.h>
#include <linux/fileattr.h>
#include <linux/fs.h>
#include <linux/fs_context.h>
#include <linux/fs_parser.h>
#include <linux/fs_stack.h>
#include <linux/fscrypt.h>
#include <linux/fsverity.h>
#include <linux/magic.h>
#include <linux/mm.h>
#include <linux/mnt_idmapping.h>
#include <linux/mount.h>
#include <linux/namei.h>
#include <linux/pagemap.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <linux/seq_file.h>
#include <linux/siphash.h>
#include <linux/splice.h>
#include <linux/security.h>
#include <linux/statfs.h>
#include <linux/wait.h>
#include <linux/xattr.h>

#include "../helpers/helpers.h"

/*
 * Macros that bindgen can't evaluate: spelled as constants, the prefix is taken off by generate.sh
 * (the kernel's own bindings do the same).
 */
const unsigned long RUST_CONST_HELPER_SB_RDONLY = SB_RDONLY;
const unsigned long RUST_CONST_HELPER_SB_NOSEC = SB_NOSEC;
const unsigned long RUST_CONST_HELPER_SB_NOATIME = SB_NOATIME;
const unsigned long RUST_CONST_HELPER_SB_SILENT = SB_SILENT;
const unsigned long RUST_CONST_HELPER_SB_POSIXACL = SB_POSIXACL;
const unsigned int RUST_CONST_HELPER_LOOKUP_RCU = LOOKUP_RCU;
const unsigned int RUST_CONST_HELPER_LOOKUP_CREATE = LOOKUP_CREATE;
const unsigned int RUST_CONST_HELPER_LOOKUP_FOLLOW = LOOKUP_FOLLOW;
const unsigned int RUST_CONST_HELPER_LOOKUP_INSIDE =
	LOOKUP_BENEATH | LOOKUP_NO_SYMLINKS | LOOKUP_NO_XDEV;
const unsigned int RUST_CONST_HELPER_FMODE_CAN_ODIRECT = (__force unsigned int)FMODE_CAN_ODIRECT;
const unsigned int RUST_CONST_HELPER_SPLICE_F_MOVE = SPLICE_F_MOVE;
const unsigned int RUST_CONST_HELPER_I_CTIME_QUERIED = I_CTIME_QUERIED;
const unsigned int RUST_CONST_HELPER_IOCB_ALL_SYNC = (__force unsigned int)(IOCB_DSYNC | IOCB_SYNC);
const unsigned int RUST_CONST_HELPER_FMODE_OPENED = (__force unsigned int)FMODE_OPENED;
const unsigned int RUST_CONST_HELPER_IOCB_APPEND = (__force unsigned int)IOCB_APPEND;
const unsigned int RUST_CONST_HELPER_FMODE_NONOTIFY = (__force unsigned int)FMODE_NONOTIFY;
const unsigned int RUST_CONST_HELPER_FMODE_FSNOTIFY_MASK = (__force unsigned int)FMODE_FSNOTIFY_MASK;
const unsigned int RUST_CONST_HELPER_IOCB_NOWAIT = (__force unsigned int)IOCB_NOWAIT;
const unsigned int RUST_CONST_HELPER_FMODE_NOCMTIME = (__force unsigned int)FMODE_NOCMTIME;
const unsigned int RUST_CONST_HELPER_FMODE_LSEEK = (__force unsigned int)FMODE_LSEEK;
const unsigned int RUST_CONST_HELPER_FMODE_READ = (__force unsigned int)FMODE_READ;
const unsigned int RUST_CONST_HELPER_FMODE_WRITE = (__force unsigned int)FMODE_WRITE;
const unsigned int RUST_CONST_HELPER_FALLOC_FL_COLLAPSE_RANGE = FALLOC_FL_COLLAPSE_RANGE;
const unsigned int RUST_CONST_HELPER_FALLOC_FL_INSERT_RANGE = FALLOC_FL_INSERT_RANGE;
const unsigned int RUST_CONST_HELPER_VM_FAULT_ERROR = VM_FAULT_ERROR;
const unsigned long RUST_CONST_HELPER_AFS_FS_MAGIC = AFS_FS_MAGIC;
const long long RUST_CONST_HELPER_MAX_LFS_FILESIZE = MAX_LFS_FILESIZE;
const int RUST_CONST_HELPER_PATH_MAX = PATH_MAX;
const int RUST_CONST_HELPER_I_OVL_INUSE = I_OVL_INUSE;
const int RUST_CONST_HELPER_FS_IOC_SETFLAGS = FS_IOC_SETFLAGS;
const int RUST_CONST_HELPER_FS_IOC_FSSETXATTR = FS_IOC_FSSETXATTR;
const int RUST_CONST_HELPER_FS_IOC_GETFLAGS = FS_IOC_GETFLAGS;
const int RUST_CONST_HELPER_FS_IOC_FSGETXATTR = FS_IOC_FSGETXATTR;

#endif /* VFS_BINDINGS_H */
