/* SPDX-License-Identifier: GPL-2.0-only */
/* The directory that is shown, its nodes, and the options. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <linux/fuse.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { MAX_NODES = 4096, BUFFER = 1 << 18 };	/* the kernel reads 128 KiB at a time */

/* Paths are short here; one that were too long would just not be found. */
#pragma GCC diagnostic ignored "-Wformat-truncation"

static const char *root, *control, *keep;
static const char *alias_shown, *alias_kept;	/* an extended attribute shown under another name */
static unsigned int valid_seconds, passthrough;
static const char *refused;	/* extended attributes whose names begin so can't be set */
static bool noxattr, acl, highino, direct, stream, writable;
static int dev;

/*
 * A node is a path below the directory with the object that was there when it was looked up (by
 * its inode number): another object by that name is another node. Node 1 is the directory itself.
 */
static char *paths[MAX_NODES];
static uint64_t objects[MAX_NODES];
static bool kept[MAX_NODES];	/* by a link in the folder for that */
static int used = 2;

static void full_path(uint64_t node, const char *name, char *out, size_t size)
{
	if (!name && node < MAX_NODES && kept[node])
		snprintf(out, size, "%s/%ju", keep, (uintmax_t)objects[node]);
	else
		snprintf(out, size, "%s%s%s%s", root, node < MAX_NODES && paths[node] ? paths[node] : "/nothing", name ? "/" : "",
		 name ? name : "");
}

static uint64_t node_of(uint64_t parent, const char *name, uint64_t object)
{
	char p[PATH_MAX];

	snprintf(p, sizeof(p), "%s/%s", parent < MAX_NODES && paths[parent] ? paths[parent] : "/nothing", name);
	for (int i = 2; i < used; i++)
		if (objects[i] == object && !strcmp(paths[i], p))
			return (uint64_t)i;
	if (used == MAX_NODES)
		return 0;
	paths[used] = strdup(p);
	objects[used] = object;
	if (keep) {
		char from[PATH_MAX], to[PATH_MAX];

		full_path(parent, name, from, sizeof(from));
		snprintf(to, sizeof(to), "%s/%ju", keep, (uintmax_t)object);
		kept[used] = !link(from, to) || errno == EEXIST;
	}
	return (uint64_t)used++;
}

/* What a request is called in the control file. */
static const char *operation(const struct fuse_in_header *in)
{
	switch (in->opcode) {
	case FUSE_LOOKUP: return "lookup";
	case FUSE_GETATTR: return "getattr";
	case FUSE_OPEN: return "open";
	case FUSE_READ: return "read";
	case FUSE_OPENDIR: return "opendir";
	case FUSE_READDIR: return "readdir";
	case FUSE_READLINK: return "readlink";
	case FUSE_GETXATTR: return "getxattr";
	case FUSE_LISTXATTR: return "listxattr";
	case FUSE_STATFS: return "statfs";
	case FUSE_FLUSH: return "flush";
	case FUSE_LSEEK: return "lseek";
	case FUSE_IOCTL: return "ioctl";
	case FUSE_SETATTR: return "setattr";
	case FUSE_WRITE: return "write";
	case FUSE_FSYNC: return "fsync";
	case FUSE_SETXATTR: return "setxattr";
	default: return "other";
	}
}

/* The name of what a request asks about. */
static const char *subject(const struct fuse_in_header *in)
{
	const char *base;

	if (in->opcode == FUSE_LOOKUP)
		return (const char *)(in + 1);
	base = in->nodeid < MAX_NODES && paths[in->nodeid] ? strrchr(paths[in->nodeid], '/') : NULL;
	return base ? base + 1 : "/";
}
