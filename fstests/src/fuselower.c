// SPDX-License-Identifier: GPL-2.0-only
/*
 * fuselower: a FUSE filesystem that shows a directory, and errs when told to: a lower layer that
 * changes behind the kernel's back, answers errors, has no extended attributes or strange inode
 * numbers. Speaks the kernel's protocol directly (linux/fuse.h); read-only, one thread.
 *
 *   fuselower DIR MOUNTPOINT [OPTION...]
 *     valid=SECONDS	how long names and attributes may be cached [0: asked every time]
 *     noxattr		no extended attributes
 *     direct		files are read past the page cache, so that they can't be mapped shared
 *     stream		directories have no positions to go back to
 *     highino		inode numbers with the highest bits set
 *     control=FILE	errors to answer, read at each request: lines "OPERATION ERRNO [NAME]"
 *			with OPERATION lookup, getattr, open, read, opendir, readdir, readlink,
 *			getxattr, listxattr or all; ERRNO a number; NAME limits it to that name
 *
 * Runs in the background once mounted; ends when it is unmounted.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fuse.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { MAX_NODES = 4096, BUFFER = 1 << 18 };	/* the kernel reads 128 KiB at a time */

/* Paths are short here; one that were too long would just not be found. */
#pragma GCC diagnostic ignored "-Wformat-truncation"

/*
 * A node is a path below the directory with the object that was there when it was looked up (by
 * its inode number): another object by that name is another node. Node 1 is the directory itself.
 */
static char *paths[MAX_NODES];
static uint64_t objects[MAX_NODES];
static int used = 2;
static const char *root, *control;
static unsigned int valid_seconds;
static bool noxattr, highino, direct, stream;
static int dev;
static char reply_buf[BUFFER];

static void full_path(uint64_t node, const char *name, char *out, size_t size)
{
	snprintf(out, size, "%s%s%s%s", root, node < MAX_NODES && paths[node] ? paths[node] : "/nothing", name ? "/" : "",
		 name ? name : "");
}

static uint64_t node_of(uint64_t parent, const char *name, uint64_t object)
{
	char p[PATH_MAX];

	snprintf(p, sizeof(p), "%s/%s", paths[parent], name);
	for (int i = 2; i < used; i++)
		if (objects[i] == object && !strcmp(paths[i], p))
			return (uint64_t)i;
	if (used == MAX_NODES)
		return 0;
	paths[used] = strdup(p);
	objects[used] = object;
	return (uint64_t)used++;
}

/* What the control file says for this operation on this name (0: nothing). */
static int ordered_error(const char *op, const char *path)
{
	const char *base = strrchr(path, '/');
	char line[256], what[32], name[128];
	int err, result = 0;
	FILE *f = control ? fopen(control, "r") : NULL;

	while (f && fgets(line, sizeof(line), f)) {
		int n = sscanf(line, "%31s %d %127s", what, &err, name);

		if (n >= 2 && (!strcmp(what, op) || !strcmp(what, "all")) &&
		    (n < 3 || (base && !strcmp(base + 1, name))))
			result = err;
	}
	if (f)
		fclose(f);
	return result;
}

static void reply(uint64_t unique, int err, const void *data, size_t size)
{
	struct fuse_out_header h = { .len = (uint32_t)(sizeof(h) + (err ? 0 : size)), .error = -err, .unique = unique };

	memcpy(reply_buf, &h, sizeof(h));
	if (!err && size)
		memcpy(reply_buf + sizeof(h), data, size);
	if (write(dev, reply_buf, h.len) < 0 && errno != ENOENT)
		_exit(1);
}

static int attributes(const char *path, struct fuse_attr *a)
{
	struct stat st;

	if (lstat(path, &st))
		return errno;
	memset(a, 0, sizeof(*a));
	a->ino = st.st_ino | (highino ? 0xf000000000000000ull : 0);
	a->size = (uint64_t)st.st_size;
	a->blocks = (uint64_t)st.st_blocks;
	a->atime = (uint64_t)st.st_atim.tv_sec;
	a->mtime = (uint64_t)st.st_mtim.tv_sec;
	a->ctime = (uint64_t)st.st_ctim.tv_sec;
	a->atimensec = (uint32_t)st.st_atim.tv_nsec;
	a->mtimensec = (uint32_t)st.st_mtim.tv_nsec;
	a->ctimensec = (uint32_t)st.st_ctim.tv_nsec;
	a->mode = st.st_mode;
	a->nlink = (uint32_t)st.st_nlink;
	a->uid = st.st_uid;
	a->gid = st.st_gid;
	/* As the kernel encodes device numbers towards user space. */
	a->rdev = (minor(st.st_rdev) & 0xff) | major(st.st_rdev) << 8 | (minor(st.st_rdev) & ~0xffu) << 12;
	a->blksize = 4096;
	return 0;
}

static int do_lookup(uint64_t parent, const char *name, struct fuse_entry_out *out)
{
	char p[PATH_MAX];
	int err;

	full_path(parent, name, p, sizeof(p));
	err = ordered_error("lookup", p);
	memset(out, 0, sizeof(*out));
	if (!err)
		err = attributes(p, &out->attr);
	if (!err)
		out->nodeid = node_of(parent, name, out->attr.ino);
	out->entry_valid = out->attr_valid = valid_seconds;
	return err;
}

/* A directory's entries beginning with the one numbered off; the position of each is its number + 1. */
static size_t list(const char *path, uint64_t off, char *buf, size_t size)
{
	DIR *d = opendir(path);
	struct dirent *e;
	size_t at = 0;
	uint64_t n = 0;

	while (d && (e = readdir(d))) {
		size_t len = strlen(e->d_name), need = FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + len);
		struct fuse_dirent *out = (struct fuse_dirent *)(buf + at);

		if (n++ < off)
			continue;
		if (at + need > size)
			break;
		memset(out, 0, need);
		out->ino = e->d_ino | (highino ? 0xf000000000000000ull : 0);
		out->off = n;
		out->namelen = (uint32_t)len;
		out->type = e->d_type;
		memcpy(out->name, e->d_name, len);
		at += need;
	}
	if (d)
		closedir(d);
	return at;
}

static void getxattr_or_list(const struct fuse_in_header *in, const void *arg, const char *path)
{
	static char value[65536];
	const struct fuse_getxattr_in *x = arg;
	bool get = in->opcode == FUSE_GETXATTR;
	int err = ordered_error(get ? "getxattr" : "listxattr", path);
	ssize_t n;

	if (noxattr)
		err = ENOSYS;
	if (err) {
		reply(in->unique, err, NULL, 0);
		return;
	}
	n = get ? lgetxattr(path, (const char *)(x + 1), value, x->size) : llistxattr(path, value, x->size);
	if (n < 0) {
		reply(in->unique, errno, NULL, 0);
	} else if (!x->size) {
		struct fuse_getxattr_out out = { .size = (uint32_t)n };

		reply(in->unique, 0, &out, sizeof(out));
	} else {
		reply(in->unique, 0, value, (size_t)n);
	}
}

static void serve(const struct fuse_in_header *in, const void *arg)
{
	static char data[BUFFER / 2];
	char path[PATH_MAX];
	int err = 0;

	full_path(in->nodeid, NULL, path, sizeof(path));
	switch (in->opcode) {
	case FUSE_INIT: {
		const struct fuse_init_in *i = arg;
		struct fuse_init_out out = { .major = FUSE_KERNEL_VERSION, .minor = FUSE_KERNEL_MINOR_VERSION,
					     .max_readahead = i->max_readahead, .max_write = 4096,
					     .time_gran = 1 };

		reply(in->unique, 0, &out, sizeof(out));
		break;
	}
	case FUSE_LOOKUP: {
		struct fuse_entry_out out;

		err = do_lookup(in->nodeid, arg, &out);
		reply(in->unique, err, &out, sizeof(out));
		break;
	}
	case FUSE_GETATTR: {
		struct fuse_attr_out out = { .attr_valid = valid_seconds };

		err = ordered_error("getattr", path);
		if (!err)
			err = attributes(path, &out.attr);
		reply(in->unique, err, &out, sizeof(out));
		break;
	}
	case FUSE_OPEN:
	case FUSE_OPENDIR: {
		struct fuse_open_out out = { 0 };

		if (direct && in->opcode == FUSE_OPEN)
			out.open_flags = FOPEN_DIRECT_IO;
		if (stream && in->opcode == FUSE_OPENDIR)
			out.open_flags = FOPEN_NONSEEKABLE;
		err = ordered_error(in->opcode == FUSE_OPEN ? "open" : "opendir", path);
		if (!err && access(path, F_OK))
			err = errno;
		reply(in->unique, err, &out, sizeof(out));
		break;
	}
	case FUSE_READ: {
		const struct fuse_read_in *r = arg;
		size_t size = r->size < sizeof(data) ? r->size : sizeof(data);
		int fd = -1;
		ssize_t n = 0;

		err = ordered_error("read", path);
		if (!err && (fd = open(path, O_RDONLY)) < 0)
			err = errno;
		if (!err && (n = pread(fd, data, size, (off_t)r->offset)) < 0)
			err = errno;
		if (fd >= 0)
			close(fd);
		reply(in->unique, err, data, err ? 0 : (size_t)n);
		break;
	}
	case FUSE_READDIR: {
		const struct fuse_read_in *r = arg;
		size_t size = r->size < sizeof(data) ? r->size : sizeof(data);

		err = ordered_error("readdir", path);
		reply(in->unique, err, data, err ? 0 : list(path, r->offset, data, size));
		break;
	}
	case FUSE_READLINK: {
		ssize_t n = 0;

		err = ordered_error("readlink", path);
		if (!err && (n = readlink(path, data, PATH_MAX)) < 0)
			err = errno;
		reply(in->unique, err, data, err ? 0 : (size_t)n);
		break;
	}
	case FUSE_GETXATTR:
	case FUSE_LISTXATTR:
		getxattr_or_list(in, arg, path);
		break;
	case FUSE_STATFS: {
		struct fuse_statfs_out out = { .st = { .bsize = 4096, .frsize = 4096, .namelen = 255, .blocks = 1000,
						       .files = 1000 } };

		reply(in->unique, 0, &out, sizeof(out));
		break;
	}
	case FUSE_RELEASE:
	case FUSE_RELEASEDIR:
	case FUSE_FLUSH:
	case FUSE_ACCESS:
		reply(in->unique, 0, NULL, 0);
		break;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		break;	/* no answer is wanted */
	case FUSE_DESTROY:
		reply(in->unique, 0, NULL, 0);
		_exit(0);
	default:
		reply(in->unique, ENOSYS, NULL, 0);
	}
}

int main(int argc, char **argv)
{
	static char request[BUFFER];
	char options[128];

	if (argc < 3) {
		fprintf(stderr, "usage: fuselower DIR MOUNTPOINT [valid=SECONDS] [noxattr] [direct] [stream] [highino] [control=FILE]\n");
		return 2;
	}
	root = realpath(argv[1], NULL);
	for (int i = 3; i < argc; i++) {
		if (!strncmp(argv[i], "valid=", 6))
			valid_seconds = (unsigned int)atoi(argv[i] + 6);
		else if (!strcmp(argv[i], "noxattr"))
			noxattr = true;
		else if (!strcmp(argv[i], "highino"))
			highino = true;
		else if (!strcmp(argv[i], "direct"))
			direct = true;
		else if (!strcmp(argv[i], "stream"))
			stream = true;
		else if (!strncmp(argv[i], "control=", 8))
			control = strdup(argv[i] + 8);
		else {
			fprintf(stderr, "fuselower: unknown option %s\n", argv[i]);
			return 2;
		}
	}
	paths[1] = "";
	dev = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	snprintf(options, sizeof(options), "fd=%d,rootmode=40755,user_id=0,group_id=0,allow_other", dev);
	if (!root || dev < 0 || mount("fuselower", argv[2], "fuse.fuselower", 0, options)) {
		fprintf(stderr, "fuselower: cannot mount %s at %s: %s\n", argv[1], argv[2], strerror(errno));
		return 1;
	}
	if (fork())
		return 0;
	setsid();
	for (int fd = 0; fd < 3; fd++)
		close(fd);
	for (;;) {
		ssize_t n = read(dev, request, sizeof(request));

		if (n < 0 && (errno == EINTR || errno == EAGAIN || errno == ENOENT))
			continue;
		if (n < (ssize_t)sizeof(struct fuse_in_header))
			return 0;	/* unmounted */
		serve((const struct fuse_in_header *)request, request + sizeof(struct fuse_in_header));
	}
}
