// SPDX-License-Identifier: GPL-2.0-only
/*
 * fsop: commands that write: through a descriptor at a position, through a mapping that stays,
 * asynchronously, with holes and shared extents; freezing; and becoming another user for good.
 */
#include "core.h"
#include <linux/aio_abi.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/io_uring.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

static void fill_pattern(unsigned char *buf, size_t size, uint64_t seed, uint64_t off)
{
	for (size_t i = 0; i < size; i++)
		buf[i] = pattern(seed, off + i);
}

static unsigned char *aligned(size_t size)
{
	void *p;

	if (posix_memalign(&p, 4096, size + 1))
		die("out of memory");
	return p;
}

/* pwrite FD OFFSET TEXT: and a short write is said */
static int c_pwrite(int argc, struct word *a)
{
	ssize_t n = pwrite(fd_of(a[1]), a[3].s, a[3].n, number(a[2]));

	(void)argc;
	if (n >= 0 && (size_t)n != a[3].n)
		printf("%s: only %zd bytes written\n", a[1].s, n);
	return n < 0 ? FAIL : OK;
}

/* pfill FD OFFSET SIZE SEED: one pwrite of the pattern, from memory aligned for O_DIRECT */
static int c_pfill(int argc, struct word *a)
{
	size_t size = (size_t)number(a[3]);
	long long off = number(a[2]);
	unsigned char *buf = aligned(size);
	ssize_t n;

	(void)argc;
	fill_pattern(buf, size, (uint64_t)number(a[4]), (uint64_t)off);
	n = pwrite(fd_of(a[1]), buf, size, off);
	int err = errno;

	if (n >= 0 && (size_t)n != size)
		printf("%s: only %zd bytes written\n", a[1].s, n);
	free(buf);
	errno = err;
	return n < 0 ? FAIL : OK;
}

/* Mappings by name. */
static struct mapping {
	char *name;
	unsigned char *p;
	size_t size;
} mappings[64];

static struct mapping *mapping_of(struct word w)
{
	for (size_t i = 0; i < 64; i++)
		if (mappings[i].name && is(w, mappings[i].name))
			return &mappings[i];
	die("no mapping is named '%s'", w.s);
}

static int protection_of(struct word w)
{
	return (strchr(w.s, 'r') ? PROT_READ : 0) | (strchr(w.s, 'w') ? PROT_WRITE : 0) | (strchr(w.s, 'x') ? PROT_EXEC : 0);
}

/* map NAME FD private|shared r|rw|rx|rwx OFFSET SIZE */
static int c_map(int argc, struct word *a)
{
	struct mapping *m = mappings;
	size_t size = (size_t)number(a[6]);
	void *p = mmap(NULL, size, protection_of(a[4]), is(a[3], "shared") ? MAP_SHARED : MAP_PRIVATE, fd_of(a[2]), number(a[5]));

	(void)argc;
	if (p == MAP_FAILED)
		return FAIL;
	while (m->name)
		if (++m == mappings + 64)
			die("too many mappings");
	*m = (struct mapping){ need(strdup(a[1].s)), p, size };
	return OK;
}

static sigjmp_buf faulted;

static void on_fault(int sig)
{
	(void)sig;
	siglongjmp(faulted, 1);
}

/* load MAP OFFSET SIZE: what is there, or that it can't be had (SIGBUS) */
static int c_load(int argc, struct word *a)
{
	struct sigaction catch = { .sa_handler = on_fault }, before;
	struct mapping *m = mapping_of(a[1]);
	size_t size = (size_t)number(a[3]);
	char *copy = need(malloc(size + 1));
	bool good = !sigsetjmp(faulted, 1);

	(void)argc;
	if (good) {
		sigaction(SIGBUS, &catch, &before);
		memcpy(copy, (char *)m->p + number(a[2]), size);
	}
	sigaction(SIGBUS, &before, NULL);
	printf("%s: %s", a[1].s, good ? "\"" : "SIGBUS");
	if (good)
		put_bytes(copy, size);
	puts(good ? "\"" : "");
	free(copy);
	return OK;
}

/* store MAP OFFSET TEXT */
static int c_store(int argc, struct word *a)
{
	(void)argc;
	memcpy(mapping_of(a[1])->p + number(a[2]), a[3].s, a[3].n);
	return OK;
}

static int c_msync(int argc, struct word *a)
{
	struct mapping *m = mapping_of(a[1]);

	(void)argc;
	return msync(m->p, m->size, MS_SYNC);
}

/* mprotect MAP r|rw|rx|rwx */
static int c_mprotect(int argc, struct word *a)
{
	struct mapping *m = mapping_of(a[1]);

	(void)argc;
	return mprotect(m->p, m->size, protection_of(a[2]));
}

static int c_unmap(int argc, struct word *a)
{
	struct mapping *m = mapping_of(a[1]);
	int rc = munmap(m->p, m->size);

	(void)argc;
	free(m->name);
	m->name = NULL;
	return rc;
}

/* falloc FD MODE OFFSET SIZE */
static int c_falloc(int argc, struct word *a)
{
	static const struct bit modes[] = {
		{ "alloc", 0 }, { "keep", FALLOC_FL_KEEP_SIZE }, { "punch", FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE },
		{ "zero", FALLOC_FL_ZERO_RANGE }, { "collapse", FALLOC_FL_COLLAPSE_RANGE },
		{ "insert", FALLOC_FL_INSERT_RANGE }, { "unshare", FALLOC_FL_UNSHARE_RANGE }, { NULL, 0 },
	};

	(void)argc;
	return fallocate(fd_of(a[1]), (int)bits_of(a[2], modes), number(a[3]), number(a[4]));
}

/* segments FD: where data is, by SEEK_DATA and SEEK_HOLE */
static int c_segments(int argc, struct word *a)
{
	off_t data = 0, hole = 0;
	int fd = fd_of(a[1]);

	(void)argc;
	printf("%s:", a[1].s);
	while ((data = lseek(fd, hole, SEEK_DATA)) >= 0 && (hole = lseek(fd, data, SEEK_HOLE)) >= 0)
		printf(" %lld-%lld", (long long)data, (long long)hole);
	printf("%s end %lld\n", errno == ENXIO ? "" : errno_name(errno), (long long)lseek(fd, 0, SEEK_END));
	return OK;
}

/* clonerange OUT OFFSET IN OFFSET SIZE: FICLONERANGE */
static int c_clonerange(int argc, struct word *a)
{
	struct file_clone_range r = {
		.src_fd = fd_of(a[3]), .src_offset = (__u64)number(a[4]), .src_length = (__u64)number(a[5]),
		.dest_offset = (__u64)number(a[2]),
	};

	(void)argc;
	return ioctl(fd_of(a[1]), FICLONERANGE, &r);
}

/* dedupe IN OFFSET OUT OFFSET SIZE: how many bytes became one, or why not */
static int c_dedupe(int argc, struct word *a)
{
	struct {
		struct file_dedupe_range r;
		struct file_dedupe_range_info i;
	} d = {
		.r = { .src_offset = (__u64)number(a[2]), .src_length = (__u64)number(a[5]), .dest_count = 1 },
		.i = { .dest_fd = fd_of(a[3]), .dest_offset = (__u64)number(a[4]) },
	};

	(void)argc;
	if (ioctl(fd_of(a[1]), FIDEDUPERANGE, &d))
		return FAIL;
	if (d.i.status < 0) {
		errno = -d.i.status;
		return FAIL;
	}
	if (d.i.status == FILE_DEDUPE_RANGE_DIFFERS)
		puts("dedupe: the contents differ");
	else
		printf("dedupe: %llu bytes\n", (unsigned long long)d.i.bytes_deduped);
	return OK;
}

/* copyat OUT OFFSET IN OFFSET SIZE: one copy_file_range with both positions */
static int c_copyat(int argc, struct word *a)
{
	loff_t out = number(a[2]), in = number(a[4]);
	ssize_t n = copy_file_range(fd_of(a[3]), &in, fd_of(a[1]), &out, (size_t)number(a[5]), 0);

	(void)argc;
	if (n < 0)
		return FAIL;
	printf("copy_file_range: %zd bytes\n", n);
	return OK;
}

/* aio FD r|w OFFSET SIZE SEED COUNT: so many requests one after the other, all submitted at once */
static int c_aio(int argc, struct word *a)
{
	bool w = is(a[2], "w");
	size_t size = (size_t)number(a[4]), good = 0;
	long long off = number(a[3]);
	int count = (int)number(a[6]), done = 0;
	aio_context_t ctx = 0;
	struct iocb *cb = need(calloc((size_t)count, sizeof(*cb))), **list = need(calloc((size_t)count, sizeof(*list)));
	unsigned char *buf = aligned(size * (size_t)count);

	(void)argc;
	if (syscall(SYS_io_setup, count, &ctx))
		return FAIL;
	if (w)
		fill_pattern(buf, size * (size_t)count, (uint64_t)number(a[5]), (uint64_t)off);
	for (int i = 0; i < count; i++) {
		cb[i] = (struct iocb){
			.aio_lio_opcode = w ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD, .aio_fildes = (__u32)fd_of(a[1]),
			.aio_buf = (__u64)(uintptr_t)(buf + size * (size_t)i), .aio_nbytes = size,
			.aio_offset = off + (long long)size * i,
		};
		list[i] = &cb[i];
	}
	for (int n; done < count; done += n) {
		n = (int)syscall(SYS_io_submit, ctx, count - done, list + done);
		if (n < 0)
			return FAIL;
	}
	for (int i = 0; i < count; i++) {
		struct io_event e;

		if (syscall(SYS_io_getevents, ctx, 1, 1, &e, NULL) != 1)
			return FAIL;
		if (e.res < 0) {
			syscall(SYS_io_destroy, ctx);
			errno = (int)-e.res;
			return FAIL;
		}
		good += (size_t)e.res == size;
	}
	for (size_t i = 0; !w && i < size * (size_t)count; i++)
		if (buf[i] != pattern((uint64_t)number(a[5]), (uint64_t)off + i)) {
			printf("aio: byte %zu is not the pattern's\n", i);
			break;
		}
	printf("aio: %zu of %d requests in full\n", good, count);
	syscall(SYS_io_destroy, ctx);
	free(buf);
	free(cb);
	free(list);
	return OK;
}

/* uring FD r|w OFFSET SIZE SEED COUNT: the same through io_uring */
static int c_uring(int argc, struct word *a)
{
	struct io_uring_params p = { 0 };
	bool w = is(a[2], "w");
	size_t size = (size_t)number(a[4]), good = 0;
	unsigned int count = (unsigned int)number(a[6]);
	long long off = number(a[3]);
	unsigned char *buf = aligned(size * count), *ring;
	struct io_uring_sqe *sqes;
	int fd = (int)syscall(SYS_io_uring_setup, count, &p);

	(void)argc;
	if (fd < 0)
		return FAIL;
	if (!(p.features & IORING_FEAT_SINGLE_MMAP))
		die("this kernel's io_uring is too old");
	size_t ring_size = p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe);

	if (ring_size < p.sq_off.array + p.sq_entries * sizeof(__u32))
		ring_size = p.sq_off.array + p.sq_entries * sizeof(__u32);
	ring = mmap(NULL, ring_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_SQ_RING);
	sqes = mmap(NULL, p.sq_entries * sizeof(*sqes), PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_SQES);
	if (ring == MAP_FAILED || sqes == MAP_FAILED)
		return FAIL;
	if (w)
		fill_pattern(buf, size * count, (uint64_t)number(a[5]), (uint64_t)off);
	for (unsigned int i = 0; i < count; i++) {
		sqes[i] = (struct io_uring_sqe){
			.opcode = w ? IORING_OP_WRITE : IORING_OP_READ, .fd = fd_of(a[1]),
			.addr = (__u64)(uintptr_t)(buf + size * i), .len = (__u32)size,
			.off = (__u64)(off + (long long)(size * i)),
		};
		((__u32 *)(ring + p.sq_off.array))[i] = i;
	}
	__atomic_store_n((__u32 *)(ring + p.sq_off.tail), count, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, fd, count, count, IORING_ENTER_GETEVENTS, NULL, 0) < 0)
		return FAIL;
	int err = 0;

	for (unsigned int i = 0; i < count; i++) {
		struct io_uring_cqe *e = (struct io_uring_cqe *)(ring + p.cq_off.cqes) + i;

		if (e->res < 0)
			err = -e->res;
		good += e->res == (int)size;
	}
	for (size_t i = 0; !w && !err && i < size * count; i++)
		if (buf[i] != pattern((uint64_t)number(a[5]), (uint64_t)off + i)) {
			printf("io_uring: byte %zu is not the pattern's\n", i);
			break;
		}
	close(fd);
	free(buf);
	if (err) {
		errno = err;
		return FAIL;
	}
	printf("io_uring: %zu of %u requests in full\n", good, count);
	return OK;
}

/* freeze P, thaw P */
static int c_freeze(int argc, struct word *a)
{
	int fd = open(path_of(a[1]), O_RDONLY);

	(void)argc;
	if (fd < 0)
		return FAIL;
	return close_after(fd, ioctl(fd, is(a[0], "thaw") ? FITHAW : FIFREEZE, 0));
}

/* flags P: the attributes that chattr sets, by their letters, those that every filesystem has */
static int c_flags(int argc, struct word *a)
{
	int fd = open(path_of(a[1]), O_RDONLY | O_NONBLOCK), flags = 0;

	(void)argc;
	if (fd < 0)
		return FAIL;
	if (close_after(fd, ioctl(fd, FS_IOC_GETFLAGS, &flags)))
		return FAIL;
	printf("%s: flags %s%s%s%s\n", a[1].s, flags & FS_IMMUTABLE_FL ? "i" : "-", flags & FS_APPEND_FL ? "a" : "-",
	       flags & FS_NOATIME_FL ? "A" : "-", flags & FS_NODUMP_FL ? "d" : "-");
	return OK;
}

#ifndef SYS_file_getattr
#define SYS_file_getattr 468
#endif

/* fileattr P: what file_getattr(2) says, which needs nothing open: of a fifo, a link or a device too. */
static int c_fileattr(int argc, struct word *a)
{
	struct {
		__u64 xflags;
		__u32 extsize, nextents, projid, cowextsize;
	} attr = { 0 };

	(void)argc;
	if (syscall(SYS_file_getattr, AT_FDCWD, path_of(a[1]), &attr, sizeof(attr), AT_SYMLINK_NOFOLLOW))
		return FAIL;
	printf("%s: xflags %s%s%s\n", a[1].s, attr.xflags & FS_XFLAG_IMMUTABLE ? "i" : "-",
	       attr.xflags & FS_XFLAG_APPEND ? "a" : "-", attr.xflags & FS_XFLAG_NOATIME ? "A" : "-");
	return OK;
}

/* become UID[:GID[,GROUP...]]: the rest of the script is that user's */
static int c_become(int argc, struct word *a)
{
	struct user u = { 0 };
	char *end;

	(void)argc;
	u.uid = u.gid = (unsigned int)strtoul(a[1].s, &end, 10);
	if (*end == ':')
		u.gid = (unsigned int)strtoul(end + 1, &end, 10);
	while (*end == ',' && u.ngroups < 16)
		u.groups[u.ngroups++] = (gid_t)strtoul(end + 1, &end, 10);
	return *end ? USAGE : become(&u);
}

/* utimes P ATIME MTIME: in nanoseconds; "-": left alone */
static int c_utimes(int argc, struct word *a)
{
	struct at at = at_of(a[1]);
	struct timespec t[2];

	(void)argc;
	for (int i = 0; i < 2; i++) {
		long long ns = is(a[i + 2], "-") ? 0 : number(a[i + 2]);

		t[i] = (struct timespec){ .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };
		if (is(a[i + 2], "-"))
			t[i].tv_nsec = UTIME_OMIT;
	}
	return utimensat(at.fd, at.path, t, AT_SYMLINK_NOFOLLOW | at.flags);
}

/* fsetx FD NAME VALUE */
static int c_fsetx(int argc, struct word *a)
{
	(void)argc;
	return fsetxattr(fd_of(a[1]), a[2].s, a[3].s, a[3].n, 0);
}

/* every N COMMAND...: N times; in its words %d is the number of the turn. Stops at an error. */
static int c_every(int argc, struct word *a)
{
	long long n = number(a[1]);
	static char room[32][PATH_MAX];
	struct word w[32];

	if (argc - 2 > 32)
		return USAGE;
	for (long long t = 0; t < n; t++) {
		for (int i = 2; i < argc; i++) {
			char *p = strstr(a[i].s, "%d");

			w[i - 2] = a[i];
			if (p) {
				int len = snprintf(room[i - 2], PATH_MAX, "%.*s%lld%s", (int)(p - a[i].s), a[i].s, t, p + 2);

				w[i - 2] = (struct word){ room[i - 2], (size_t)len };
			}
		}
		if (run_words(argc - 2, w, false) < 0)
			break;
	}
	return OK;
}

static const struct command write_commands[] = {
	{ "pwrite", 3, 3, 0, c_pwrite, "FD OFFSET TEXT" },
	{ "pfill", 4, 4, 0, c_pfill, "FD OFFSET SIZE SEED" },
	{ "map", 6, 6, 0, c_map, "NAME FD private|shared r|rw|rx|rwx OFFSET SIZE" },
	{ "load", 3, 3, 0, c_load, "MAP OFFSET SIZE" },
	{ "store", 3, 3, 0, c_store, "MAP OFFSET TEXT" },
	{ "msync", 1, 1, 0, c_msync, "MAP" },
	{ "mprotect", 2, 2, 0, c_mprotect, "MAP r|rw|rx|rwx" },
	{ "unmap", 1, 1, 0, c_unmap, "MAP" },
	{ "falloc", 4, 4, 0, c_falloc, "FD alloc|keep|punch|zero|collapse|insert|unshare OFFSET SIZE" },
	{ "segments", 1, 1, 0, c_segments, "FD" },
	{ "clonerange", 5, 5, 0, c_clonerange, "OUT OFFSET IN OFFSET SIZE" },
	{ "dedupe", 5, 5, 0, c_dedupe, "IN OFFSET OUT OFFSET SIZE" },
	{ "copyat", 5, 5, 0, c_copyat, "OUT OFFSET IN OFFSET SIZE" },
	{ "aio", 6, 6, 0, c_aio, "FD r|w OFFSET SIZE SEED COUNT" },
	{ "uring", 6, 6, 0, c_uring, "FD r|w OFFSET SIZE SEED COUNT" },
	{ "freeze", 1, 1, 0, c_freeze, "P" },
	{ "thaw", 1, 1, 0, c_freeze, "P" },
	{ "flags", 1, 1, 0, c_flags, "P" },
	{ "fileattr", 1, 1, 0, c_fileattr, "P" },
	{ "become", 1, 1, 0, c_become, "UID[:GID[,GROUP...]]" },
	{ "utimes", 3, 3, 0, c_utimes, "P ATIME MTIME" },
	{ "fsetx", 3, 3, 0, c_fsetx, "FD NAME VALUE" },
	{ "every", 2, -1, 0, c_every, "N COMMAND..." },
	{ 0 },
};
