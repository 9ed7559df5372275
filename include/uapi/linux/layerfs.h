/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * What layerfs offers by ioctl(2) beside the calls that every filesystem has.
 */
#ifndef _UAPI_LINUX_LAYERFS_H
#define _UAPI_LINUX_LAYERFS_H

#include <linux/ioctl.h>
#include <linux/types.h>

/**
 * struct layerfs_finalize - argument of LAYERFS_IOC_FINALIZE
 * @flags: LAYERFS_FINALIZE_*
 * @time_budget_ms: after so many milliseconds the call ends and returns 1, but not before it has finalized a directory
 *	that was not finalized before; 0: it goes on to the end
 * @directories: out: the directories that are finalized now, also those that were before
 * @copied: out: the objects (files without their data, directories, ...) that were copied to upper
 * @reserved: must be 0
 *
 * The call is made on an open directory of a layerfs mount, by who has CAP_SYS_ADMIN in the user namespace
 * that the mount was made in. It returns 0 when all is done, and 1 when the time was spent: the same call
 * goes on then. @directories and @copied are written after each directory, so another thread can read how far
 * it is, and when the call fails they say what was done.
 */
struct layerfs_finalize {
	__u32 flags;
	__u32 time_budget_ms;
	__u64 directories;
	__u64 copied;
	__u64 reserved;
};

/* Also all directories below. */
#define LAYERFS_FINALIZE_RECURSIVE	(1u << 0)

#define LAYERFS_IOC_FINALIZE	_IOWR('L', 0x40, struct layerfs_finalize)

/**
 * struct layerfs_clone_range2 - argument of LAYERFS_IOC_CLONE_RANGE2
 * @src_fd: the source, a regular file of the same mounted filesystem that is open for reading
 * @src_offset: where the range begins in it, in bytes
 * @src_length: the length of the range in bytes; 0: to the end of the source
 * @dest_offset: where it begins in the destination
 * @flags: LAYERFS_CLONE_*
 * @time_budget_ms: after so many milliseconds the call ends, but not before it has cloned something; 0: it goes on to the
 *	end
 * @work_done: out: the bytes, from the beginning of the range on, that are cloned now
 * @reserved: must be 0
 *
 * The call is made on the destination, and does what FICLONERANGE does. It returns 0 when all is done, and 1 when it was
 * ended before: then the rest is asked for by another call, with both offsets raised (and a length, if there was one,
 * lowered) by @work_done. Each call clones the source as it is at one moment during that call, however much is written
 * to it meanwhile; two calls are two moments. @work_done is written when the call fails, too.
 */
struct layerfs_clone_range2 {
	__s64 src_fd;
	__u64 src_offset;
	__u64 src_length;
	__u64 dest_offset;
	__u64 flags;
	__u64 time_budget_ms;
	__u64 work_done;
	__u64 reserved;
};

/* Any signal ends the call, and not only one that kills. */
#define LAYERFS_CLONE_INTERRUPTIBLE	(1ull << 0)

#define LAYERFS_IOC_CLONE_RANGE2	_IOWR('L', 0x41, struct layerfs_clone_range2)

/**
 * struct layerfs_layer - argument of LAYERFS_IOC_LAYER
 * @place: which of the lower layers, counted from the top; after the last one come those that were taken away and
 *	are in use
 * @flags: out: LAYERFS_LAYER_*
 * @number: out: the number by which counters and trace points call it
 * @name_len: the bytes that there is room for at @name; out: the length of the name, which has no NUL at its end
 * @name: the address where the name is written, as much as there is room for; 0: nowhere
 * @users: out: how many use the layer: objects of the mount that stand on it, and open directories; in a layer that
 *	was not taken away, the mount itself too
 * @reserved: must be 0
 *
 * The call is made on an open directory of a layerfs mount. It fails with ENOENT where there is no such layer.
 */
struct layerfs_layer {
	__u32 place;
	__u32 flags;
	__u32 number;
	__u32 name_len;
	__u64 name;
	__u64 users;
	__u64 reserved[2];
};

/* It only has data. */
#define LAYERFS_LAYER_DATA	(1u << 0)
/* It was taken away, and is in use. */
#define LAYERFS_LAYER_LEAVING	(1u << 1)

#define LAYERFS_IOC_LAYER	_IOWR('L', 0x42, struct layerfs_layer)

/**
 * struct layerfs_layer_change - argument of LAYERFS_IOC_LAYER_SHUTDOWN, _REPLACE, _ADD and _FILLED
 * @flags: LAYERFS_CHANGE_*, as far as the command has them
 * @timeout_ms: how long to wait until nobody uses a layer that was taken away; 0: not at all
 * @place: the layer that is taken away or replaced, counted from the top; or LAYERFS_PLACE_BY_NAME
 * @name_len: the length of what is at @name
 * @name: the name of that layer, as LAYERFS_IOC_LAYER gives it, without a NUL at its end
 * @users: out: how many use the layer that was taken away
 * @path: the directory that becomes a layer, as the caller sees it, without a NUL at its end
 * @path_len: the length of what is at @path
 * @reserved: must be 0
 *
 * The call is made on an open directory of a layerfs mount, by who has CAP_SYS_ADMIN in the user namespace
 * that the mount was made in. It returns 0 when nobody uses the layer that was taken away any more, so that its
 * filesystem can be unmounted, and 1 when somebody still does. A layer that was taken away, and is in use, is
 * waited for by LAYERFS_IOC_LAYER_SHUTDOWN with its name.
 */
struct layerfs_layer_change {
	__u32 flags;
	__u32 timeout_ms;
	__s32 place;
	__u32 name_len;
	__u64 name;
	__u64 users;
	__u64 path;
	__u32 path_len;
	__u32 reserved;
};

#define LAYERFS_PLACE_BY_NAME	(-1)

/* LAYERFS_IOC_LAYER_SHUTDOWN: also if names are nowhere else. */
#define LAYERFS_CHANGE_FORCE	(1u << 0)
/* LAYERFS_IOC_LAYER_ADD: beneath the others, not on top of them. */
#define LAYERFS_CHANGE_BENEATH	(1u << 1)
/* LAYERFS_IOC_LAYER_ADD: among the layers that only have data. */
#define LAYERFS_CHANGE_DATA	(1u << 2)

/* From now on nothing is looked up in a layer. */
#define LAYERFS_IOC_LAYER_SHUTDOWN	_IOWR('L', 0x43, struct layerfs_layer_change)
/* The directory at @path, a copy of a layer, comes in its place. */
#define LAYERFS_IOC_LAYER_REPLACE	_IOWR('L', 0x44, struct layerfs_layer_change)
/* The directory at @path is added to the lower layers. */
#define LAYERFS_IOC_LAYER_ADD		_IOWR('L', 0x45, struct layerfs_layer_change)
/* Something was added to a layer: a name, or the data of a metacopy file. */
#define LAYERFS_IOC_LAYER_FILLED	_IOWR('L', 0x46, struct layerfs_layer_change)

/**
 * struct layerfs_layer_users - argument of LAYERFS_IOC_LAYER_USERS
 * @place: the layer, as LAYERFS_IOC_LAYER counts them, those that were taken away included; or LAYERFS_PLACE_BY_NAME
 * @name_len: the length of what is at @name
 * @name: the name of the layer, without a NUL at its end. If several have it: the one that was not taken away, else
 *	the last that was
 * @buffer: the address where users are written: struct layerfs_layer_user, one after the other
 * @cursor: 0 to begin; out: what to give the next call, to go on
 * @size: how many bytes there is room for, LAYERFS_USERS_MIN_SIZE at least; out: how many were written
 * @count: out: how many users were written
 * @users: out: how many users the layer has now, as LAYERFS_IOC_LAYER tells
 * @reserved: must be 0
 *
 * The call is made on an open directory of a layerfs mount, by who has CAP_SYS_ADMIN in the user namespace
 * that the mount was made in. It returns 1 when there may be more, and 0 when these were the last. An object that is there
 * from the first call to the last is told of once, whatever comes and goes meanwhile; the order says nothing.
 *
 * The objects of the mount that stand on the layer are told. The rest of @users are the mount itself (if the layer was
 * not taken away), directories that were opened before it was and are open still, and look-ups that go on.
 */
struct layerfs_layer_users {
	__s32 place;
	__u32 name_len;
	__u64 name;
	__u64 buffer;
	__u64 cursor;
	__u32 size;
	__u32 count;
	__u64 users;
	__u64 reserved[2];
};

/**
 * struct layerfs_layer_user - an object of a mount that stands on a layer
 * @ino: its inode number, as far as that is known without asking a layer: it is that of stat(2) where all objects
 *	of the mount have one device number
 * @len: how many bytes it takes, the path included: the next one begins there
 * @path_len: the length of its path
 * @mode: its type and permissions, as st_mode has them
 * @flags: LAYERFS_USER_*
 * @uses: how many of the users of the layer it stands for
 * @held: how many hold it: open files, mappings, programs that run, tasks that are in it, mounts on it, look-ups that go
 *	on; 0: it is cached, and nobody uses it
 * @path: its path from the root of the mount's filesystem, without a NUL at its end: one of them, if it has several
 *	names
 */
struct layerfs_layer_user {
	__u64 ino;
	__u32 len;
	__u32 path_len;
	__u32 mode;
	__u32 flags;
	__u32 uses;
	__u32 held;
	__u8 path[];
};

/* It is not found under the path any more: it was removed, or the layer that it is in was taken away. */
#define LAYERFS_USER_UNLINKED	(1u << 0)
/* It has no path, or one that is too long to be told. */
#define LAYERFS_USER_NAMELESS	(1u << 1)

#define LAYERFS_USERS_MIN_SIZE	4128

/* Who uses a layer. */
#define LAYERFS_IOC_LAYER_USERS		_IOWR('L', 0x47, struct layerfs_layer_users)

#endif /* _UAPI_LINUX_LAYERFS_H */
