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

#endif /* _UAPI_LINUX_LAYERFS_H */
