// SPDX-License-Identifier: GPL-2.0-only
/*
 * fsop: commands that make, change and remove files: what a test builds its layers with, and what
 * it tries on a read-only mount.
 */
#include "core.h"
#include <dirent.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <linux/fs.h>

static int c_cd(int argc, struct word *a)
{
	(void)argc;
	if (a[1].s[0] == '@' && !strchr(a[1].s, '/'))
		return fchdir(at_of(a[1]).fd);
	return chdir(path_of(a[1]));
}

static int c_umask(int argc, struct word *a)
{
	(void)argc;
	umask((mode_t)strtol(a[1].s, NULL, 8));
	return OK;
}

static mode_t mode_or(int argc, struct word *a, int i, mode_t otherwise)
{
	return argc > i ? (mode_t)strtol(a[i].s, NULL, 8) : otherwise;
}

static int c_mkdir(int argc, struct word *a)
{
	struct at at = at_of(a[1]);

	return mkdirat(at.fd, at.path, mode_or(argc, a, 2, 0755));
}

/* mkdirs P...: every missing directory on the way, for each path. */
static int c_mkdirs(int argc, struct word *a)
{
	for (int i = 1; i < argc; i++) {
		for (char *p = a[i].s + 1; *p; p++) {
			if (*p != '/')
				continue;
			*p = 0;
			int rc = mkdir(a[i].s, 0755);

			*p = '/';
			if (rc && errno != EEXIST)
				return FAIL;
		}
		if (mkdir(a[i].s, 0755) && errno != EEXIST)
			return FAIL;
	}
	return OK;
}

static int write_all(int fd, const char *s, size_t n)
{
	while (n) {
		ssize_t w = write(fd, s, n);

		if (w < 0)
			return FAIL;
		s += w;
		n -= (size_t)w;
	}
	return OK;
}

/* Close without losing the errno of what failed before. */
static int close_after(int fd, int rc)
{
	int err = errno;

	if (close(fd) && rc == OK)
		return FAIL;
	errno = err;
	return rc;
}

/* file P [CONTENT [MODE]]: made or overwritten. */
static int c_file(int argc, struct word *a)
{
	struct at at = at_of(a[1]);
	int fd = openat(at.fd, at.path, O_CREAT | O_TRUNC | O_WRONLY, 0644), rc = OK;

	if (fd < 0)
		return FAIL;
	if (argc > 2)
		rc = write_all(fd, a[2].s, a[2].n);
	if (rc == OK && argc > 3)
		rc = fchmod(fd, mode_or(argc, a, 3, 0644));
	return close_after(fd, rc);
}

/* fill P SIZE SEED [OFFSET]: SIZE bytes of the pattern, at OFFSET of a file that is made if missing. */
static int c_fill(int argc, struct word *a)
{
	long long size = number(a[2]), seed = number(a[3]), off = argc > 4 ? number(a[4]) : 0;
	int fd = openat(at_of(a[1]).fd, at_of(a[1]).path, O_CREAT | O_WRONLY, 0644), rc = OK;
	static char buf[65536];

	if (fd < 0)
		return FAIL;
	while (size > 0 && rc == OK) {
		size_t n = size < (long long)sizeof(buf) ? (size_t)size : sizeof(buf);

		for (size_t i = 0; i < n; i++)
			buf[i] = (char)pattern((uint64_t)seed, (uint64_t)off + i);
		if (pwrite(fd, buf, n, off) != (ssize_t)n)
			rc = FAIL;
		off += (long long)n;
		size -= (long long)n;
	}
	return close_after(fd, rc);
}

/* patch P OFFSET CONTENT: bytes into a file that exists. */
static int c_patch(int argc, struct word *a)
{
	int fd = open(path_of(a[1]), O_WRONLY);

	(void)argc;
	if (fd < 0)
		return FAIL;
	return close_after(fd, pwrite(fd, a[3].s, a[3].n, number(a[2])) == (ssize_t)a[3].n ? OK : FAIL);
}

static int c_symlink(int argc, struct word *a)
{
	struct at at = at_of(a[2]);

	(void)argc;
	return symlinkat(a[1].s, at.fd, at.path);
}

static int c_link(int argc, struct word *a)
{
	struct at from = at_of(a[1]), to = at_of(a[2]);

	(void)argc;
	return linkat(from.fd, from.path, to.fd, to.path, from.flags);
}

/* mknod P c|b|p|s [MAJ:MIN [MODE]] */
static int c_mknod(int argc, struct word *a)
{
	struct at at = at_of(a[1]);
	mode_t type;
	unsigned int major = 0, minor = 0;

	switch (a[2].s[0]) {
	case 'c': type = S_IFCHR; break;
	case 'b': type = S_IFBLK; break;
	case 'p': type = S_IFIFO; break;
	case 's': type = S_IFSOCK; break;
	default: return USAGE;
	}
	if (argc > 3 && sscanf(a[3].s, "%u:%u", &major, &minor) != 2)
		return USAGE;
	return mknodat(at.fd, at.path, type | mode_or(argc, a, 4, 0644), makedev(major, minor));
}

/* whiteout P...: character devices 0/0. */
static int c_whiteout(int argc, struct word *a)
{
	for (int i = 1; i < argc; i++)
		if (mknodat(at_of(a[i]).fd, at_of(a[i]).path, S_IFCHR, 0))
			return FAIL;
	return OK;
}

static int unlink_each(int argc, struct word *a, int flags)
{
	for (int i = 1; i < argc; i++)
		if (unlinkat(at_of(a[i]).fd, at_of(a[i]).path, flags))
			return FAIL;
	return OK;
}

static int c_unlink(int argc, struct word *a)
{
	return unlink_each(argc, a, 0);
}

static int c_rmdir(int argc, struct word *a)
{
	return unlink_each(argc, a, AT_REMOVEDIR);
}

/*
 * Remove all below an open directory. Below MAX_LEVEL a directory is not entered but moved up to
 * the root of the removal, which is then read once more: so the depth of a tree costs nothing.
 */
enum { MAX_LEVEL = 64 };

struct removal {
	int root;
	unsigned int moved;
};

static int empty_dir(struct removal *r, int dirfd, int level);

static int remove_entry(struct removal *r, int dirfd, const char *name, int level)
{
	int err, fd, none = 0;

	if (!unlinkat(dirfd, name, 0))
		return OK;
	err = errno;
	fd = openat(dirfd, name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW);
	if (fd < 0)
		return FAIL;
	if (err == EPERM)	/* immutable or append-only? */
		ioctl(fd, FS_IOC_SETFLAGS, &none);
	if (!unlinkat(dirfd, name, 0)) {
		close(fd);
		return OK;
	}
	if (level == MAX_LEVEL) {
		char up[32];

		close(fd);
		snprintf(up, sizeof(up), ".removed.%u", r->moved++);
		return renameat(dirfd, name, r->root, up);
	}
	if (empty_dir(r, fd, level + 1))
		return FAIL;
	return unlinkat(dirfd, name, AT_REMOVEDIR);
}

/* Takes over dirfd. */
static int empty_dir(struct removal *r, int dirfd, int level)
{
	DIR *d = fdopendir(dirfd);
	struct dirent *e;
	int rc = OK;

	if (!d)
		return close_after(dirfd, FAIL);
	while (rc == OK && (e = readdir(d)))
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
			rc = remove_entry(r, dirfd, e->d_name, level);
	int err = errno;

	closedir(d);
	errno = err;
	return rc;
}

/* rmtree P...: a whole tree; one that is missing is fine. */
static int c_rmtree(int argc, struct word *a)
{
	for (int i = 1; i < argc; i++) {
		const char *p = path_of(a[i]);
		struct removal r = { open(p, O_RDONLY | O_DIRECTORY | O_NOFOLLOW), 0 };
		unsigned int moved;

		if (r.root < 0) {
			if (errno != ENOENT && unlink(p))
				return FAIL;
			continue;
		}
		do {
			moved = r.moved;
			int fd = open(p, O_RDONLY | O_DIRECTORY);

			if (fd < 0 || empty_dir(&r, fd, 0))
				return close_after(r.root, FAIL);
		} while (moved != r.moved);
		close(r.root);
		if (rmdir(p))
			return FAIL;
	}
	return OK;
}

static const struct bit rename_flags[] = {
	{ "noreplace", 1 }, { "exchange", 2 }, { "whiteout", 4 }, { NULL, 0 },
};

static int c_rename(int argc, struct word *a)
{
	struct at from = at_of(a[1]), to = at_of(a[2]);

	return renameat2(from.fd, from.path, to.fd, to.path,
			 argc > 3 ? (unsigned int)bits_of(a[3], rename_flags) : 0);
}

static int c_chmod(int argc, struct word *a)
{
	(void)argc;
	return chmod(path_of(a[2]), (mode_t)strtol(a[1].s, NULL, 8));
}

/* chown UID:GID P: never follows a symbolic link. */
static int c_chown(int argc, struct word *a)
{
	struct at at = at_of(a[2]);
	unsigned int uid, gid;

	(void)argc;
	if (sscanf(a[1].s, "%u:%u", &uid, &gid) != 2)
		return USAGE;
	return fchownat(at.fd, at.path, uid, gid, AT_SYMLINK_NOFOLLOW | at.flags);
}

/* utime P SECONDS [NANOSECONDS]: sets both atime and mtime. */
static int c_utime(int argc, struct word *a)
{
	struct at at = at_of(a[1]);
	struct timespec t = { .tv_sec = number(a[2]), .tv_nsec = argc > 3 ? number(a[3]) : 0 };
	struct timespec both[2] = { t, t };

	return utimensat(at.fd, at.path, both, AT_SYMLINK_NOFOLLOW | at.flags);
}

static int c_truncate(int argc, struct word *a)
{
	(void)argc;
	return truncate(path_of(a[1]), number(a[2]));
}

/* many KIND FORMAT FROM TO: FROM..TO-1 entries: reg, dir, wh (whiteout), lnk; the format has one %d. */
static int c_many(int argc, struct word *a)
{
	long long to = number(a[4]);
	char name[PATH_MAX];

	(void)argc;
	for (long long i = number(a[3]); i < to; i++) {
		int rc, n = 0;
		const char *percent = strchr(a[2].s, '%');

		if (!percent || percent[1] != 'd')
			return USAGE;
		n = snprintf(name, sizeof(name), "%.*s%lld%s", (int)(percent - a[2].s), a[2].s, i, percent + 2);
		if (n < 0 || n >= (int)sizeof(name)) {
			errno = ENAMETOOLONG;
			return FAIL;
		}
		if (is(a[1], "reg"))
			rc = mknod(name, S_IFREG | 0644, 0);
		else if (is(a[1], "dir"))
			rc = mkdir(name, 0755);
		else if (is(a[1], "wh"))
			rc = mknod(name, S_IFCHR, 0);
		else if (is(a[1], "lnk"))
			rc = symlink("target", name);
		else
			return USAGE;
		if (rc)
			return FAIL;
	}
	return OK;
}

/* deep NAME DEPTH: a chain of directories, made (where missing) and entered. */
static int c_deep(int argc, struct word *a)
{
	long long n = number(a[2]);

	(void)argc;
	while (n--) {
		if (mkdir(a[1].s, 0755) && errno != EEXIST)
			return FAIL;
		if (chdir(a[1].s))
			return FAIL;
	}
	return OK;
}

/* socket P: a bound unix socket; the name stays, nobody listens. */
static int c_socket(int argc, struct word *a)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)argc;
	if (fd < 0)
		return FAIL;
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path_of(a[1]));
	return close_after(fd, bind(fd, (struct sockaddr *)&sa, sizeof(sa)));
}

/* attrs P +LETTERS|-LETTERS: i (immutable), a (append), A (noatime), d (nodump), s (sync). */
static int c_attrs(int argc, struct word *a)
{
	static const struct { char c; int flag; } letters[] = {
		{ 'i', FS_IMMUTABLE_FL }, { 'a', FS_APPEND_FL }, { 'A', FS_NOATIME_FL },
		{ 'd', FS_NODUMP_FL }, { 'S', FS_SYNC_FL },
	};
	int fd = open(path_of(a[1]), O_RDONLY | O_NONBLOCK), flags, rc;

	(void)argc;
	if (fd < 0)
		return FAIL;
	rc = ioctl(fd, FS_IOC_GETFLAGS, &flags);
	for (const char *c = a[2].s + 1; *c; c++)
		for (size_t i = 0; i < sizeof(letters) / sizeof(*letters); i++)
			if (letters[i].c == *c)
				flags = a[2].s[0] == '+' ? flags | letters[i].flag : flags & ~letters[i].flag;
	if (!rc)
		rc = ioctl(fd, FS_IOC_SETFLAGS, &flags);
	return close_after(fd, rc);
}

static const struct command make_commands[] = {
	{ "cd", 1, 1, 0, c_cd, "DIR" },
	{ "umask", 1, 1, 0, c_umask, "MODE" },
	{ "mkdir", 1, 2, 0, c_mkdir, "P [MODE]" },
	{ "mkdirs", 1, -1, 0, c_mkdirs, "P..." },
	{ "file", 1, 3, 0, c_file, "P [CONTENT [MODE]]" },
	{ "fill", 3, 4, 0, c_fill, "P SIZE SEED [OFFSET]" },
	{ "patch", 3, 3, 0, c_patch, "P OFFSET CONTENT" },
	{ "symlink", 2, 2, 0, c_symlink, "TARGET P" },
	{ "link", 2, 2, 0, c_link, "OLD NEW" },
	{ "mknod", 2, 4, 0, c_mknod, "P c|b|p|s [MAJ:MIN [MODE]]" },
	{ "whiteout", 1, -1, 0, c_whiteout, "P..." },
	{ "unlink", 1, -1, 0, c_unlink, "P..." },
	{ "rmdir", 1, -1, 0, c_rmdir, "P..." },
	{ "rmtree", 1, -1, 0, c_rmtree, "P..." },
	{ "rename", 2, 3, 0, c_rename, "OLD NEW [noreplace|exchange|whiteout]" },
	{ "chmod", 2, 2, 0, c_chmod, "MODE P" },
	{ "chown", 2, 2, 0, c_chown, "UID:GID P" },
	{ "utime", 2, 3, 0, c_utime, "P SEC [NSEC]" },
	{ "truncate", 2, 2, 0, c_truncate, "P SIZE" },
	{ "many", 4, 4, 0, c_many, "reg|dir|wh|lnk FORMAT FROM TO" },
	{ "deep", 2, 2, 0, c_deep, "NAME DEPTH" },
	{ "socket", 1, 1, 0, c_socket, "P" },
	{ "attrs", 2, 2, 0, c_attrs, "P +LETTERS|-LETTERS" },
	{ 0 },
};
