// SPDX-License-Identifier: GPL-2.0-only
/*
 * fsop: commands on open files and directories: reading in every way there is, seeking, mapping,
 * locks, watches, ioctls, and positions in a directory's listing.
 */
#include "core.h"
#include <poll.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>

static const struct bit open_flags[] = {
	{ "r", O_RDONLY }, { "w", O_WRONLY }, { "rw", O_RDWR }, { "creat", O_CREAT }, { "excl", O_EXCL },
	{ "trunc", O_TRUNC }, { "append", O_APPEND }, { "direct", O_DIRECT }, { "dir", O_DIRECTORY },
	{ "nofollow", O_NOFOLLOW }, { "noatime", O_NOATIME }, { "nonblock", O_NONBLOCK }, { "path", O_PATH },
	{ "tmpfile", O_TMPFILE }, { "sync", O_SYNC }, { "cloexec", O_CLOEXEC }, { NULL, 0 },
};

/* open NAME P FLAGS [MODE] */
static int c_open(int argc, struct word *a)
{
	struct at at = at_of(a[2]);
	int flags = (int)bits_of(a[3], open_flags), mode = mode_or(argc, a, 4, 0644);
	int fd = at.path[0] ? openat(at.fd, at.path, flags, mode) : open(path_of(a[2]), flags, mode);

	if (fd < 0)
		return FAIL;
	set_named(&fds, a[1], fd);
	return OK;
}

/* openonly P FLAGS: whether it opens. */
static int c_openonly(int argc, struct word *a)
{
	struct at at = at_of(a[1]);
	int fd = openat(at.fd, at.path, (int)bits_of(a[2], open_flags), 0644);

	(void)argc;
	return fd < 0 ? FAIL : close(fd);
}

static int c_close(int argc, struct word *a)
{
	int rc = OK;

	for (int i = 1; i < argc; i++)
		if (close((int)drop_named(&fds, a[i])))
			rc = FAIL;
	return rc;
}

static void put_read(struct word name, const char *buf, ssize_t n)
{
	printf("%s: %zd \"", name.s, n);
	put_bytes(buf, (size_t)n);
	puts("\"");
}

static int c_read(int argc, struct word *a)
{
	size_t size = (size_t)number(a[2]);
	char *buf = need(malloc(size + 1));
	ssize_t n = read(fd_of(a[1]), buf, size);

	(void)argc;
	if (n >= 0)
		put_read(a[1], buf, n);
	free(buf);
	return n < 0 ? FAIL : OK;
}

/* pread FD OFFSET SIZE [SEED]: the bytes; with a seed: whether they are the pattern. Aligned for O_DIRECT. */
static int c_pread(int argc, struct word *a)
{
	size_t size = (size_t)number(a[3]);
	long long off = number(a[2]);
	char *buf;
	ssize_t n, i = 0;

	if (posix_memalign((void **)&buf, 4096, size + 1))
		die("out of memory");
	n = pread(fd_of(a[1]), buf, size, off);
	if (n >= 0 && argc > 4) {
		while (i < n && buf[i] == (char)pattern((uint64_t)number(a[4]), (uint64_t)(off + i)))
			i++;
		printf("%s: %zd bytes at %lld, %s\n", a[1].s, n, off, i == n ? "as written" : "not as written");
	} else if (n >= 0) {
		put_read(a[1], buf, n);
	}
	int err = errno;

	free(buf);
	errno = err;
	return n < 0 ? FAIL : OK;
}

/* readv FD OFFSET SIZE...: one preadv into pieces of these sizes. */
static int c_preadv(int argc, struct word *a)
{
	struct iovec v[16];
	int count = 0;
	ssize_t n;

	for (int i = 3; i < argc && count < 16; i++, count++) {
		v[count].iov_len = (size_t)number(a[i]);
		v[count].iov_base = need(calloc(1, v[count].iov_len + 1));
	}
	n = preadv(fd_of(a[1]), v, count, number(a[2]));
	if (n < 0)
		return FAIL;
	printf("%s: %zd", a[1].s, n);
	for (int i = 0; i < count; i++) {
		printf(" \"");
		put_bytes(v[i].iov_base, strlen(v[i].iov_base));
		printf("\"");
		free(v[i].iov_base);
	}
	putchar('\n');
	return OK;
}

static int c_write(int argc, struct word *a)
{
	(void)argc;
	return write(fd_of(a[1]), a[2].s, a[2].n) == (ssize_t)a[2].n ? OK : FAIL;
}

/* seek FD OFFSET set|cur|end|data|hole */
static int c_seek(int argc, struct word *a)
{
	static const struct bit whences[] = { { "set", SEEK_SET }, { "cur", SEEK_CUR }, { "end", SEEK_END },
					      { "data", SEEK_DATA }, { "hole", SEEK_HOLE }, { NULL, 0 } };
	off_t r = lseek(fd_of(a[1]), number(a[2]), (int)bits_of(a[3], whences));

	(void)argc;
	if (r < 0)
		return FAIL;
	printf("%s: at %lld\n", a[1].s, (long long)r);
	return OK;
}

/* samesegments A B: the data and the holes of two open files, by SEEK_DATA and SEEK_HOLE. */
static int c_samesegments(int argc, struct word *a)
{
	off_t x = 0, y = 0;
	int n = 0;

	(void)argc;
	for (;; n++) {
		int whence = n & 1 ? SEEK_HOLE : SEEK_DATA;

		x = lseek(fd_of(a[1]), x, whence);
		int ex = x < 0 ? errno : 0;

		y = lseek(fd_of(a[2]), y, whence);
		int ey = y < 0 ? errno : 0;

		if (x != y || ex != ey) {
			printf("segment %d differs\n", n);
			return OK;
		}
		if (x < 0) {
			printf("%s segments, both end with %s\n", n ? "the same" : "no", errno_name(ex));
			return OK;
		}
	}
}

/* samefiemap A B: the extents that FIEMAP reports for two open files. */
static int c_samefiemap(int argc, struct word *a)
{
	enum { EXTENTS = 64 };
	static union {
		struct fiemap m;
		char room[sizeof(struct fiemap) + EXTENTS * sizeof(struct fiemap_extent)];
	} x, y;

	(void)argc;
	memset(&x, 0, sizeof(x));
	x.m.fm_length = FIEMAP_MAX_OFFSET;
	x.m.fm_extent_count = EXTENTS;
	x.m.fm_flags = FIEMAP_FLAG_SYNC;
	y = x;
	if (ioctl(fd_of(a[1]), FS_IOC_FIEMAP, &x) || ioctl(fd_of(a[2]), FS_IOC_FIEMAP, &y))
		return FAIL;
	printf("fiemap: %s, %s\n", x.m.fm_mapped_extents ? "some extents" : "no extents",
	       memcmp(&x, &y, sizeof(x)) ? "different" : "the same");
	return OK;
}

/* sameflags A B: FS_IOC_GETFLAGS and FS_IOC_FSGETXATTR of two open files. */
static int c_sameflags(int argc, struct word *a)
{
	int x = 0, y = 0;
	struct fsxattr p = { 0 }, q = { 0 };

	(void)argc;
	if (ioctl(fd_of(a[1]), FS_IOC_GETFLAGS, &x) || ioctl(fd_of(a[2]), FS_IOC_GETFLAGS, &y))
		return FAIL;
	printf("flags: %s%s%s%s, %s\n", x & FS_IMMUTABLE_FL ? "i" : "-", x & FS_APPEND_FL ? "a" : "-",
	       x & FS_NOATIME_FL ? "A" : "-", x & FS_NODUMP_FL ? "d" : "-", x == y ? "the same" : "different");
	if (ioctl(fd_of(a[1]), FS_IOC_FSGETXATTR, &p) || ioctl(fd_of(a[2]), FS_IOC_FSGETXATTR, &q))
		return FAIL;
	printf("fsxattr: %s\n", p.fsx_xflags == q.fsx_xflags && p.fsx_projid == q.fsx_projid &&
	       p.fsx_extsize == q.fsx_extsize ? "the same" : "different");
	return OK;
}

static int c_setflags(int argc, struct word *a)
{
	int flags = (int)number(a[2]);

	(void)argc;
	return ioctl(fd_of(a[1]), FS_IOC_SETFLAGS, &flags);
}

static int c_ioctl(int argc, struct word *a)
{
	long arg = argc > 3 ? (long)number(a[3]) : 0;

	return ioctl(fd_of(a[1]), (unsigned long)number(a[2]), &arg) < 0 ? FAIL : OK;
}

/* mmap FD private|shared r|rw OFFSET SIZE [SEED]: maps, reads (pattern), writes (if rw), unmaps. */
static int c_mmap(int argc, struct word *a)
{
	bool shared = is(a[2], "shared"), rw = is(a[3], "rw");
	long long off = number(a[4]);
	size_t size = (size_t)number(a[5]), i = 0;
	unsigned char *p = mmap(NULL, size, PROT_READ | (rw ? PROT_WRITE : 0), shared ? MAP_SHARED : MAP_PRIVATE,
				fd_of(a[1]), off);

	if (p == MAP_FAILED)
		return FAIL;
	if (argc > 6) {
		while (i < size && p[i] == pattern((uint64_t)number(a[6]), (uint64_t)off + i))
			i++;
		printf("%s: mapped %s %s: %s\n", a[1].s, a[2].s, a[3].s, i == size ? "as written" : "not as written");
	} else {
		printf("%s: mapped %s %s\n", a[1].s, a[2].s, a[3].s);
	}
	if (rw)
		memset(p, 'W', size);
	if (shared && !rw && mprotect(p, size, PROT_READ | PROT_WRITE))
		printf("%s: mprotect to writable: %s\n", a[1].s, errno_name(errno));
	return munmap(p, size);
}

/* sendfile OUT IN OFFSET SIZE */
static int c_sendfile(int argc, struct word *a)
{
	off_t off = number(a[3]);
	long long left = number(a[4]), done = 0;

	(void)argc;
	while (left > 0) {
		ssize_t n = sendfile(fd_of(a[1]), fd_of(a[2]), &off, (size_t)left);

		if (n < 0)
			return FAIL;
		if (!n)
			break;
		left -= n;
		done += n;
	}
	printf("sendfile: %lld bytes\n", done);
	return OK;
}

/* splice OUT IN OFFSET SIZE: through a pipe */
static int c_splice(int argc, struct word *a)
{
	loff_t off = number(a[3]);
	long long left = number(a[4]), done = 0;
	int p[2], rc = OK;

	(void)argc;
	if (pipe(p))
		return FAIL;
	while (left > 0) {
		ssize_t n = splice(fd_of(a[2]), &off, p[1], NULL, (size_t)left, 0), m;

		if (n <= 0) {
			rc = n ? FAIL : OK;
			break;
		}
		for (ssize_t out = 0; out < n; out += m) {
			m = splice(p[0], NULL, fd_of(a[1]), NULL, (size_t)(n - out), 0);
			if (m <= 0)
				return FAIL;
		}
		left -= n;
		done += n;
	}
	int err = errno;

	close(p[0]);
	close(p[1]);
	errno = err;
	if (rc == OK)
		printf("splice: %lld bytes\n", done);
	return rc;
}

/* copyrange OUT IN OFFSET SIZE */
static int c_copyrange(int argc, struct word *a)
{
	loff_t off = number(a[3]);
	long long left = number(a[4]), done = 0;

	(void)argc;
	while (left > 0) {
		ssize_t n = copy_file_range(fd_of(a[2]), &off, fd_of(a[1]), NULL, (size_t)left, 0);

		if (n < 0)
			return FAIL;
		if (!n)
			break;
		left -= n;
		done += n;
	}
	printf("copy_file_range: %lld bytes\n", done);
	return OK;
}

/* clone OUT IN: FICLONE */
static int c_clone(int argc, struct word *a)
{
	(void)argc;
	return ioctl(fd_of(a[1]), FICLONE, fd_of(a[2]));
}

static int c_fsync(int argc, struct word *a)
{
	(void)argc;
	if (is(a[0], "syncfs"))
		return syncfs(fd_of(a[1]));
	return is(a[0], "fdatasync") ? fdatasync(fd_of(a[1])) : fsync(fd_of(a[1]));
}

/* advise FD OFFSET SIZE willneed|dontneed|sequential */
static int c_advise(int argc, struct word *a)
{
	int how = is(a[4], "willneed") ? POSIX_FADV_WILLNEED :
		  is(a[4], "dontneed") ? POSIX_FADV_DONTNEED : POSIX_FADV_SEQUENTIAL;

	(void)argc;
	errno = posix_fadvise(fd_of(a[1]), number(a[2]), number(a[3]), how);
	return errno ? FAIL : OK;
}

static int c_ftruncate(int argc, struct word *a)
{
	(void)argc;
	return ftruncate(fd_of(a[1]), number(a[2]));
}

static int c_fallocate(int argc, struct word *a)
{
	(void)argc;
	return fallocate(fd_of(a[1]), 0, number(a[2]), number(a[3]));
}

static int c_fchmod(int argc, struct word *a)
{
	(void)argc;
	return fchmod(fd_of(a[2]), (mode_t)strtol(a[1].s, NULL, 8));
}

/* flock FD sh|ex|un, without waiting */
static int c_flock(int argc, struct word *a)
{
	(void)argc;
	return flock(fd_of(a[1]), LOCK_NB | (is(a[2], "sh") ? LOCK_SH : is(a[2], "ex") ? LOCK_EX : LOCK_UN));
}

/* lock FD r|w|u [posix|ofd], without waiting */
static int c_lock(int argc, struct word *a)
{
	struct flock l = { .l_type = is(a[2], "r") ? F_RDLCK : is(a[2], "w") ? F_WRLCK : F_UNLCK };

	return fcntl(fd_of(a[1]), argc > 3 && is(a[3], "ofd") ? F_OFD_SETLK : F_SETLK, &l);
}

/* lease FD r|w|u: and what F_GETLEASE then says */
static int c_lease(int argc, struct word *a)
{
	(void)argc;
	if (fcntl(fd_of(a[1]), F_SETLEASE, is(a[2], "r") ? F_RDLCK : is(a[2], "w") ? F_WRLCK : F_UNLCK))
		return FAIL;
	int now = fcntl(fd_of(a[1]), F_GETLEASE);

	printf("%s: lease is %s\n", a[1].s, now == F_RDLCK ? "r" : now == F_WRLCK ? "w" : "none");
	return OK;
}

/* getfl FD: the flags that matter here */
static int c_getfl(int argc, struct word *a)
{
	int f = fcntl(fd_of(a[1]), F_GETFL);

	(void)argc;
	if (f < 0)
		return FAIL;
	printf("%s:", a[1].s);
	for (const struct bit *b = open_flags; b->name; b++)
		if (b->value && (f & (int)b->value) == (int)b->value)
			printf(" %s", b->name);
	putchar('\n');
	return OK;
}

/* setfl FD FLAGS */
static int c_setfl(int argc, struct word *a)
{
	(void)argc;
	return fcntl(fd_of(a[1]), F_SETFL, (int)bits_of(a[2], open_flags));
}

/* watch FD P EVENTS: an inotify instance under that name */
static int c_watch(int argc, struct word *a)
{
	static const struct bit events[] = { { "access", IN_ACCESS }, { "open", IN_OPEN }, { "modify", IN_MODIFY },
		{ "close", IN_CLOSE }, { "attrib", IN_ATTRIB }, { "delete_self", IN_DELETE_SELF }, { "all", IN_ALL_EVENTS }, { NULL, 0 } };
	int fd = inotify_init1(IN_NONBLOCK);

	(void)argc;
	if (fd < 0)
		return FAIL;
	if (inotify_add_watch(fd, path_of(a[2]), (uint32_t)bits_of(a[3], events)) < 0)
		return close_after(fd, FAIL);
	set_named(&fds, a[1], fd);
	return OK;
}

static int c_events(int argc, struct word *a)
{
	char buf[4096] __attribute__((aligned(8)));
	ssize_t n = read(fd_of(a[1]), buf, sizeof(buf));

	(void)argc;
	if (n < 0)
		return FAIL;
	printf("%s:", a[1].s);
	for (char *p = buf; p < buf + n;) {
		struct inotify_event *e = (struct inotify_event *)p;

		printf(" %s%s%s", e->mask & IN_OPEN ? "open" : e->mask & IN_ACCESS ? "access" :
		       e->mask & IN_CLOSE ? "close" : e->mask & IN_MODIFY ? "modify" :
		       e->mask & IN_ATTRIB ? "attrib" : e->mask & IN_DELETE_SELF ? "deleted" : e->mask & IN_IGNORED ? "ignored" : "other",
		       e->len ? " " : "", e->len ? e->name : "");
		p += sizeof(*e) + e->len;
	}
	putchar('\n');
	return OK;
}

/* connect P: to a unix socket */
static int c_connect(int argc, struct word *a)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)argc;
	if (fd < 0)
		return FAIL;
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path_of(a[1]));
	return close_after(fd, connect(fd, (struct sockaddr *)&sa, sizeof(sa)));
}

/* listen NAME P: bound and listening under that name */
static int c_listen(int argc, struct word *a)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)argc;
	if (fd < 0)
		return FAIL;
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path_of(a[2]));
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) || listen(fd, 1))
		return close_after(fd, FAIL);
	set_named(&fds, a[1], fd);
	return OK;
}

/* names FD MAX [BATCH]: the next names of an open directory, as they come. */
static int c_names(int argc, struct word *a)
{
	struct listing l;

	if (read_entries(fd_of(a[1]), &l, (size_t)number(a[2]), argc > 3 ? (size_t)number(a[3]) : 65536))
		return FAIL;
	printf("%s:", a[1].s);
	for (size_t i = 0; i < l.n; i++) {
		putchar(' ');
		put_bytes(l.e[i].name, strlen(l.e[i].name));
	}
	puts(l.n ? "" : " end");
	free_listing(&l);
	return OK;
}

/* rest FD [BATCH]: how many entries come from here to the end. */
static int c_rest(int argc, struct word *a)
{
	struct listing l;

	if (read_entries(fd_of(a[1]), &l, SIZE_MAX, argc > 2 ? (size_t)number(a[2]) : 65536))
		return FAIL;
	printf("%s: %zu entries\n", a[1].s, l.n);
	free_listing(&l);
	return OK;
}

/*
 * dirseek P STEP [BATCH]: every STEPth position of a listing is gone back to, on the same
 * descriptor and on a fresh one: the entry that comes next must be the one that came next at
 * first, and as many must follow.
 */
static int c_dirseek(int argc, struct word *a)
{
	struct listing all, one;
	size_t step = (size_t)number(a[2]), wrong = 0, tried = 0;
	int fd = open(path_of(a[1]), O_RDONLY | O_DIRECTORY);
	size_t batch = argc > 3 ? (size_t)number(a[3]) : 65536;

	if (fd < 0 || read_entries(fd, &all, SIZE_MAX, batch))
		return FAIL;
	for (size_t i = 0; i < all.n; i += step, tried++) {
		bool at_end = i + 1 == all.n;

		if (lseek(fd, all.e[i].off, SEEK_SET) < 0 || read_entries(fd, &one, 1, 1024))
			return FAIL;
		if (one.n != !at_end || (one.n && strcmp(one.e[0].name, all.e[i + 1].name))) {
			if (!wrong++)
				fprintf(stderr, "# after %s: %s, not %s\n", all.e[i].name, one.n ? one.e[0].name : "end",
					at_end ? "end" : all.e[i + 1].name);
		}
		free_listing(&one);
	}
	if (lseek(fd, all.e[all.n / 2].off, SEEK_SET) < 0 || read_entries(fd, &one, SIZE_MAX, batch))
		return FAIL;
	put_word(a[1]);
	printf(": %zu entries, %zu of %zu positions wrong, from the middle %s follow\n", all.n, wrong, tried,
	       one.n == all.n - all.n / 2 - 1 ? "as many as must" : "too few or too many");
	free_listing(&one);
	if (lseek(fd, 0, SEEK_SET) || read_entries(fd, &one, SIZE_MAX, batch))
		return FAIL;
	printf("after a rewind: %s\n", one.n == all.n ? "as many" : "another number");
	free_listing(&one);
	free_listing(&all);
	close(fd);
	return OK;
}

static const struct command fdio_commands[] = {
	{ "open", 3, 4, 0, c_open, "NAME P FLAGS [MODE]" },
	{ "openonly", 2, 2, 0, c_openonly, "P FLAGS" },
	{ "close", 1, -1, 0, c_close, "NAME..." },
	{ "read", 2, 2, 0, c_read, "FD SIZE" },
	{ "pread", 3, 4, 0, c_pread, "FD OFFSET SIZE [SEED]" },
	{ "preadv", 3, -1, 0, c_preadv, "FD OFFSET SIZE..." },
	{ "write", 2, 2, 0, c_write, "FD TEXT" },
	{ "seek", 3, 3, 0, c_seek, "FD OFFSET set|cur|end|data|hole" },
	{ "samesegments", 2, 2, 0, c_samesegments, "FD FD" },
	{ "samefiemap", 2, 2, 0, c_samefiemap, "FD FD" },
	{ "sameflags", 2, 2, 0, c_sameflags, "FD FD" },
	{ "setflags", 2, 2, 0, c_setflags, "FD NUMBER" },
	{ "ioctl", 2, 3, 0, c_ioctl, "FD NUMBER [ARGUMENT]" },
	{ "mmap", 5, 6, 0, c_mmap, "FD private|shared r|rw OFFSET SIZE [SEED]" },
	{ "sendfile", 4, 4, 0, c_sendfile, "OUT IN OFFSET SIZE" },
	{ "splice", 4, 4, 0, c_splice, "OUT IN OFFSET SIZE" },
	{ "copyrange", 4, 4, 0, c_copyrange, "OUT IN OFFSET SIZE" },
	{ "clone", 2, 2, 0, c_clone, "OUT IN" },
	{ "fsync", 1, 1, 0, c_fsync, "FD" },
	{ "fdatasync", 1, 1, 0, c_fsync, "FD" },
	{ "syncfs", 1, 1, 0, c_fsync, "FD" },
	{ "advise", 4, 4, 0, c_advise, "FD OFFSET SIZE willneed|dontneed|sequential" },
	{ "ftruncate", 2, 2, 0, c_ftruncate, "FD SIZE" },
	{ "fallocate", 3, 3, 0, c_fallocate, "FD OFFSET SIZE" },
	{ "fchmod", 2, 2, 0, c_fchmod, "MODE FD" },
	{ "flock", 2, 2, 0, c_flock, "FD sh|ex|un" },
	{ "lock", 2, 3, 0, c_lock, "FD r|w|u [posix|ofd]" },
	{ "lease", 2, 2, 0, c_lease, "FD r|w|u" },
	{ "getfl", 1, 1, 0, c_getfl, "FD" },
	{ "setfl", 2, 2, 0, c_setfl, "FD FLAGS" },
	{ "watch", 3, 3, 0, c_watch, "NAME P EVENTS" },
	{ "events", 1, 1, 0, c_events, "FD" },
	{ "connect", 1, 1, 0, c_connect, "P" },
	{ "listen", 2, 2, 0, c_listen, "NAME P" },
	{ "names", 2, 3, 0, c_names, "FD MAX [BATCH]" },
	{ "rest", 1, 2, 0, c_rest, "FD [BATCH]" },
	{ "dirseek", 2, 3, 0, c_dirseek, "P STEP [BATCH]" },
	{ 0 },
};
