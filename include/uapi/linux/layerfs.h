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

#endif /* _UAPI_LINUX_LAYERFS_H */
