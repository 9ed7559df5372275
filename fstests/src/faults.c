// SPDX-License-Identifier: GPL-2.0-only
/*
 * faults: does an operation again and again, and each time one more allocation of the kernel's
 * succeeds before one fails (/proc/PID/fail-nth), until none fails any more. Each time on an object
 * that nothing has touched yet. The operation must succeed or say that there is no memory, and done once more
 * without a fault it must succeed, unless it was done.
 *
 *   faults TYPE DIR OPERATION...	the layers and the mount are made below DIR; "all": every operation
 *
 * Which allocations count is said beforehand, in debugfs (test 640). Prints a line for each
 * operation: "ok", or what came instead. How often a fault was injected goes to standard error.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { OBJECTS = 160 };

static const char *type;
static int fail_nth, strange_ones;
static const char mnt[] = "mnt";

static void die(const char *what)
{
	printf("faults: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* A path below the mount; four may be in use at once. */
static const char *at(const char *name, int n)
{
	static char path[4][64];
	static unsigned int turn;
	char *buf = path[turn++ % 4];

	snprintf(buf, sizeof(path[0]), "mnt/%.16s%d", name, n);
	return buf;
}

static const char *within(int n)
{
	static char path[64];

	snprintf(path, sizeof(path), "mnt/dirs/d%d/new", n);
	return path;
}

static void arm(int n)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%d", n);

	if (pwrite(fail_nth, text, len, 0) != len)
		die("fail-nth");
}

static int left(void)
{
	char text[16] = "";

	if (pread(fail_nth, text, sizeof(text) - 1, 0) < 1)
		die("fail-nth");
	arm(0);
	return atoi(text);
}

/* Closes what was opened: its result and error are those of opening. */
static int opened(int fd)
{
	if (fd < 0)
		return -1;
	return close(fd);
}

static int list(const char *path)
{
	DIR *d = opendir(path);
	int n = 0, err;

	if (!d)
		return -1;
	errno = 0;
	while (readdir(d))
		n++;
	err = errno;
	closedir(d);
	errno = err;
	return err ? -1 : n;
}

static int mount_stack(int read_only)
{
	const char *data = read_only ? "lowerdir=1:2" : "lowerdir=1:2,upperdir=u,workdir=w,redirect_dir=on,index=on";

	return mount(type, mnt, type, 0, data);
}

/* --- the operations: N names the object, all of it below the mount ------------------------------ */

static int lookup_file(int n) { struct stat st; return stat(at("files/f", n), &st); }
static int lookup_dir(int n) { struct stat st; return stat(at("dirs/d", n), &st); }
static int lookup_none(int n)
{
	struct stat st;
	int r = stat(at("files/none", n), &st);

	return r < 0 && errno == ENOENT ? 0 : r;
}
static int read_dir(int n) { return list(at("dirs/d", n)) < 0 ? -1 : 0; }
/* Somebody has the directory open while it changes: the names must be those after the change. */
static int read_changed_dir(int n)
{
	DIR *d = opendir(at("dirs/d", n));
	int r, err;

	if (!d)
		return -1;
	readdir(d);
	if (mkdir(within(n), 0755) && errno != EEXIST) {
		err = errno;
		closedir(d);
		errno = err;
		return -1;
	}
	r = list(at("dirs/d", n));
	err = errno;
	closedir(d);
	if (r >= 0 && r != 5) {	/* . .. in1 in2 new */
		err = EILSEQ;
		r = -1;
	}
	errno = err;
	return r < 0 ? -1 : 0;
}
static int read_file(int n)
{
	int fd = open(at("files/f", n), O_RDONLY), r;
	char buf[16];

	if (fd < 0)
		return -1;
	r = read(fd, buf, sizeof(buf)) == 1 ? 0 : -1;
	int err = errno;
	close(fd);
	errno = err;
	return r;
}
static int map_file(int n)
{
	int fd = open(at("files/f", n), O_RDONLY);
	void *p;

	if (fd < 0)
		return -1;
	p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
	int err = errno;
	close(fd);
	errno = err;
	return p == MAP_FAILED ? -1 : munmap(p, 4096);
}
static int create(int n) { return opened(open(at("new/f", n), O_WRONLY | O_CREAT | O_EXCL, 0644)); }
static int tmpfile_linked(int n)
{
	char proc[64];
	int fd = open(mnt, O_TMPFILE | O_RDWR, 0600), r;

	if (fd < 0)
		return -1;
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	r = linkat(AT_FDCWD, proc, AT_FDCWD, at("new/t", n), AT_SYMLINK_FOLLOW);
	int err = errno;
	close(fd);
	errno = err;
	return r;
}
static int make_dir(int n) { return mkdir(at("new/d", n), 0755); }
static int make_symlink(int n) { return symlink("target", at("new/s", n)); }
static int make_fifo(int n) { return mknod(at("new/p", n), S_IFIFO | 0644, 0); }
static int make_link(int n) { return link(at("files/f", n), at("new/l", n)); }
/* What was tried over a whiteout has failed: the file of lower, which has an attribute, must not come back. */
static int over_whiteout(int n, int r)
{
	int err = errno;
	char value;

	if (r && getxattr(at("gone/f", n), "user.lower", &value, 1) >= 0)
		err = EUCLEAN;
	errno = err;
	return r;
}
static int create_over(int n)
{
	return over_whiteout(n, opened(open(at("gone/f", n), O_WRONLY | O_CREAT | O_EXCL, 0644)));
}
static int mkdir_over(int n) { return over_whiteout(n, mkdir(at("gone/f", n), 0755)); }
static int copy_up_open(int n) { return opened(open(at("files/f", n), O_RDWR)); }
static int copy_up_truncate(int n) { return truncate(at("files/f", n), 0); }
static int copy_up_chmod(int n) { return chmod(at("files/f", n), 0600); }
static int copy_up_dir(int n) { return chmod(at("dirs/d", n), 0700); }
static int copy_up_symlink(int n) { return lchown(at("links/s", n), 1, 1); }
static int copy_up_hardlink(int n) { return chmod(at("hard/a", n), 0600); }
static int set_xattr(int n) { return setxattr(at("files/f", n), "user.x", "v", 1, 0); }
static int list_xattrs(int n)
{
	char buf[4096];

	return listxattr(at("files/f", n), buf, sizeof(buf)) < 0 ? -1 : 0;
}
static int get_xattr(int n)
{
	char buf[16];
	ssize_t r = getxattr(at("files/f", n), "user.lower", buf, sizeof(buf));

	return r == 1 ? 0 : -1;
}
static int remove_file(int n) { return unlink(at("files/f", n)); }
static int remove_dir(int n) { return rmdir(at("empty/d", n)); }
static int rename_file(int n) { return rename(at("files/f", n), at("new/r", n)); }
static int rename_dir(int n) { return rename(at("dirs/d", n), at("new/rd", n)); }
static int rename_over(int n) { return rename(at("files/f", n), at("files/g", n)); }
static int exchange(int n)
{
	return syscall(SYS_renameat2, AT_FDCWD, at("files/f", n), AT_FDCWD, at("files/g", n), 2 /* RENAME_EXCHANGE */);
}
static int write_sync(int n)
{
	int fd = open(at("files/f", n), O_RDWR), r;

	if (fd < 0)
		return -1;
	r = pwrite(fd, "yy", 2, 0) == 2 ? fsync(fd) : -1;
	int err = errno;
	close(fd);
	errno = err;
	return r;
}
static int stat_fs(int n)
{
	struct statfs st;

	return statfs(at("files/f", n), &st);
}
static int handle(int n)
{
	struct { struct file_handle h; char bytes[128]; } fh = { .h.handle_bytes = 128 };
	int id, fd;

	if (name_to_handle_at(AT_FDCWD, at("files/f", n), &fh.h, &id, 0) < 0)
		return errno == EOPNOTSUPP ? 0 : -1;
	fd = open(mnt, O_RDONLY | O_DIRECTORY);
	if (fd < 0)
		return -1;
	int r = opened(open_by_handle_at(fd, &fh.h, O_RDONLY));
	int err = errno;
	close(fd);
	errno = err;
	return r;
}

static const struct operation {
	const char *name;
	int (*act)(int n);
	int done;	/* what it says if it was done before; 0 if it can be done twice */
} operations[] = {
	{ "lookup-file", lookup_file, 0 },
	{ "lookup-dir", lookup_dir, 0 },
	{ "lookup-none", lookup_none, 0 },
	{ "read-dir", read_dir, 0 },
	{ "read-changed-dir", read_changed_dir, 0 },
	{ "read-file", read_file, 0 },
	{ "map-file", map_file, 0 },
	{ "statfs", stat_fs, 0 },
	{ "list-xattrs", list_xattrs, 0 },
	{ "get-xattr", get_xattr, 0 },
	{ "handle", handle, 0 },
	{ "create", create, EEXIST },
	{ "tmpfile", tmpfile_linked, EEXIST },
	{ "mkdir", make_dir, EEXIST },
	{ "symlink", make_symlink, EEXIST },
	{ "fifo", make_fifo, EEXIST },
	{ "link", make_link, EEXIST },
	{ "create-over-whiteout", create_over, EEXIST },
	{ "mkdir-over-whiteout", mkdir_over, EEXIST },
	{ "copy-up-open", copy_up_open, 0 },
	{ "copy-up-truncate", copy_up_truncate, 0 },
	{ "copy-up-chmod", copy_up_chmod, 0 },
	{ "copy-up-dir", copy_up_dir, 0 },
	{ "copy-up-symlink", copy_up_symlink, 0 },
	{ "copy-up-hardlink", copy_up_hardlink, 0 },
	{ "set-xattr", set_xattr, 0 },
	{ "write-fsync", write_sync, 0 },
	{ "unlink", remove_file, ENOENT },
	{ "rmdir", remove_dir, ENOENT },
	{ "rename-file", rename_file, ENOENT },
	{ "rename-dir", rename_dir, ENOENT },
	{ "rename-over", rename_over, ENOENT },
	{ "exchange", exchange, 0 },
};

/* --- layers ----------------------------------------------------------------------------------------- */

/* The formatted path, made by the function named. */
#define PATH(...) (snprintf(path, sizeof(path), __VA_ARGS__), path)
static char path[64];

static void put_file(const char *name)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0644);

	if (fd < 0 || write(fd, "x", 1) != 1 || fsetxattr(fd, "user.lower", "v", 1, 0))
		die(name);
	close(fd);
}

static void put_dir(const char *name)
{
	if (mkdir(name, 0755))
		die(name);
}

/* Everything that any operation wants, OBJECTS times: what one takes, no other does. */
static void make_layers(void)
{
	static const char *const tops[] = { "", "/files", "/dirs", "/links", "/hard", "/empty", "/gone", "/new" };
	int n, layer;

	for (layer = 1; layer <= 2; layer++)
		for (size_t i = 0; i < sizeof(tops) / sizeof(*tops); i++)
			put_dir(PATH("%d%.8s", layer, tops[i]));
	for (n = 1; n <= OBJECTS; n++) {
		char to[64];

		put_file(PATH("2/files/f%d", n));
		put_file(PATH("2/files/g%d", n));
		for (layer = 1; layer <= 2; layer++) {
			put_dir(PATH("%d/dirs/d%d", layer, n));
			put_file(PATH("%d/dirs/d%d/in%d", layer, n, layer));
		}
		put_dir(PATH("2/empty/d%d", n));
		if (symlink("target", PATH("2/links/s%d", n)))
			die(path);
		put_file(PATH("2/hard/a%d", n));
		snprintf(to, sizeof(to), "2/hard/b%d", n);
		if (link(path, to))
			die(to);
		put_file(PATH("2/gone/f%d", n));
	}
}

/* A fresh upper with whiteouts, and work directory; the last ones are kept beside them. */
static void make_upper(const char *operation)
{
	char to[64];

	for (const char *c = "uw"; *c; c++) {
		snprintf(to, sizeof(to), "%c.%.32s", *c, operation);
		rename(PATH("%c", *c), to);
		put_dir(PATH("%c", *c));
	}
	put_dir("u/gone");
	for (int n = 1; n <= OBJECTS; n++)
		if (mknod(PATH("u/gone/f%d", n), S_IFCHR, 0))
			die(path);
}

/*
 * What a fault may be called: tmpfs says ENOSPC when it can't allocate an inode; a handle or a mark
 * that can't be made is EIO, a redirect EXDEV. So it is with overlayfs.
 */
static int no_memory(int err)
{
	return err == ENOMEM || err == ENOSPC || err == EIO || err == EXDEV;
}

/* --- one operation ------------------------------------------------------------------------------------ */

static int strange(const char *name, int n, const char *when, int err)
{
	if (strange_ones++ < 4)
		printf("%s: %s after %d allocations: %s\n", name, when, n - 1, strerrorname_np(err));
	return 1;
}

static void run(const struct operation *op)
{
	int n, fired = 0, failed = 0, bad = 0;

	strange_ones = 0;
	make_upper(op->name);
	if (mount_stack(0))
		die("mount");
	for (n = 1; n <= OBJECTS; n++) {
		int r, err, remaining;

		arm(n);
		r = op->act(n);
		err = errno;
		remaining = left();
		if (remaining) {
			if (r)
				bad |= strange(op->name, n, "without a fault", err);
			break;
		}
		fired++;
		if (!r)
			continue;
		failed++;
		if (!no_memory(err))
			bad |= strange(op->name, n, "a fault", err);
		if (op->act(n) && (!op->done || errno != op->done))
			bad |= strange(op->name, n, "once more", errno);
	}
	if (n > OBJECTS) {
		printf("%s: more than %d allocations\n", op->name, OBJECTS);
		bad = 1;
	}
	if (umount(mnt))
		bad |= strange(op->name, n, "umount", errno);
	fprintf(stderr, "# %s: %d faults, %d failures\n", op->name, fired, failed);
	if (!fired)
		printf("%s: no allocation was made to fail\n", op->name);
	else if (!bad)
		printf("%s: ok\n", op->name);
	fflush(stdout);
}

/* Mounting: each time anew. Unmounting can't fail for want of memory. */
static void run_mount(const char *name, int read_only, int umount_too)
{
	int n, fired = 0, failed = 0, bad = 0;

	strange_ones = 0;
	make_upper(name);
	for (n = 1; n <= 4 * OBJECTS; n++) {
		int r, err, remaining;
		struct stat st;

		if (umount_too) {
			if (mount_stack(read_only) || stat(at("files/f", n % OBJECTS + 1), &st))
				die("mount");
			arm(n);
			r = umount(mnt);
		} else {
			arm(n);
			r = mount_stack(read_only);
		}
		err = errno;
		remaining = left();
		if (!umount_too && !r && umount(mnt))
			bad |= strange(name, n, "umount", errno);
		if (remaining) {
			if (r)
				bad |= strange(name, n, "without a fault", err);
			break;
		}
		fired++;
		if (!r)
			continue;
		failed++;
		/* A mount that can't be cloned is EINVAL, whatever the reason. */
		if (umount_too || !(no_memory(err) || err == EINVAL))
			bad |= strange(name, n, "a fault", err);
	}
	fprintf(stderr, "# %s: %d faults, %d failures\n", name, fired, failed);
	if (!bad)
		printf("%s: ok\n", name);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	int all, i;

	if (argc < 4) {
		fprintf(stderr, "usage: faults TYPE DIR OPERATION...\n");
		return 2;
	}
	type = argv[1];
	if (chdir(argv[2]))
		die(argv[2]);
	fail_nth = open("/proc/self/fail-nth", O_RDWR | O_CLOEXEC);
	if (fail_nth < 0)
		die("/proc/self/fail-nth");
	make_layers();
	put_dir(mnt);
	all = !strcmp(argv[3], "all");
	for (i = 3; i < argc; i++) {
		size_t o;

		if (all || !strcmp(argv[i], "mount-lower"))
			run_mount("mount-lower", 1, 0);
		if (all || !strcmp(argv[i], "mount"))
			run_mount("mount", 0, 0);
		if (all || !strcmp(argv[i], "umount"))
			run_mount("umount", 0, 1);
		for (o = 0; o < sizeof(operations) / sizeof(*operations); o++)
			if (all || !strcmp(argv[i], operations[o].name))
				run(&operations[o]);
	}
	return 0;
}
