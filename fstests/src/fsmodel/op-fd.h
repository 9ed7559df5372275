// SPDX-License-Identifier: GPL-2.0-only
/*
 * Operations on what is open: reading, writing, mapping, sharing of data, attributes by a descriptor. A part of op.h,
 * which includes it where what it stands on is there.
 */
#ifndef FSMODEL_OP_FD_H
#define FSMODEL_OP_FD_H

static void put_slot(int *slot, int fd)
{
	if (*slot >= 0)
		close(*slot);
	*slot = fd;
}

/*
 * Never waits for the other end of a fifo, and never opens a device that the kernel would look for a
 * driver for.
 */
static long run_open(struct side *s, const struct call *c)
{
	int fd, flags = arg_words(c, 2, open_words);
	struct stat st;

	if (!stat(PATH(1), &st) && (S_ISBLK(st.st_mode) || (S_ISCHR(st.st_mode) && major(st.st_rdev) != 1))) {
		errno = ENXIO;
		return -1;
	}
	fd = open(PATH(1), flags | O_NONBLOCK | O_CLOEXEC | O_NOCTTY, (mode_t)NUM(3));
	if (fd < 0)
		return -1;
	put_slot(arg_slot(s, c, 0), fd);
	s->opened[NUM(0)] = fstat(fd, &st) ? (struct timespec){ 0 } : st.st_ctim;
	return 0;
}

static long run_tmpfile(struct side *s, const struct call *c)
{
	int fd = open(PATH(1), O_TMPFILE | O_CLOEXEC | arg_words(c, 2, open_words), (mode_t)NUM(3));

	if (fd < 0)
		return -1;
	put_slot(arg_slot(s, c, 0), fd);
	return 0;
}

static long run_linkfd(struct side *s, const struct call *c)
{
	char proc[64];

	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", SLOT(0));
	return linkat(AT_FDCWD, proc, AT_FDCWD, PATH(1), AT_SYMLINK_FOLLOW);
}

static long run_close(struct side *s, const struct call *c)
{
	int *slot = arg_slot(s, c, 0), fd = *slot;

	*slot = -1;
	return close(fd);
}

static size_t arg_len(const struct call *c, int i)
{
	long long n = NUM(i);

	return n < 0 ? 0 : n > DATA_MAX ? DATA_MAX : n;
}

static long took(struct side *s, ssize_t n)
{
	s->len = n > 0 ? n : 0;
	return n;
}

static long run_read(struct side *s, const struct call *c) { return took(s, read(SLOT(0), s->data, arg_len(c, 1))); }

static long run_pread(struct side *s, const struct call *c)
{
	return took(s, pread(SLOT(0), s->data, arg_len(c, 2), NUM(1)));
}

static long run_write(struct side *s, const struct call *c)
{
	fill(s->data, arg_len(c, 1), NUM(2), 0);
	return write(SLOT(0), s->data, arg_len(c, 1));
}

static long run_pwrite(struct side *s, const struct call *c)
{
	fill(s->data, arg_len(c, 2), NUM(3), NUM(1));
	return pwrite(SLOT(0), s->data, arg_len(c, 2), NUM(1));
}

/* A position in a directory means something only to its filesystem: not asked. */
static bool fd_is_dir(int fd)
{
	struct stat st;

	if (fstat(fd, &st) || !S_ISDIR(st.st_mode))
		return false;
	errno = EISDIR;
	return true;
}

static long run_lseek(struct side *s, const struct call *c)
{
	return fd_is_dir(SLOT(0)) ? -1 : lseek(SLOT(0), NUM(1), arg_words(c, 2, whence_words));
}

/* Where data or a hole begins is not the same on both sides (see known.h); the position is left at 0. */
static long run_seekhole(struct side *s, const struct call *c)
{
	int fd = SLOT(0);
	long rc = fd_is_dir(fd) ? -1 : lseek(fd, NUM(1), arg_words(c, 2, hole_words));

	if (rc >= 0 && lseek(fd, 0, SEEK_CUR) != rc)
		text_add(&s->text, "the position is not what lseek gave");
	/* Where there may be a hole or none, the position must not tell. */
	if (!fd_is_dir(fd)) {
		int err = errno;

		lseek(fd, 0, SEEK_SET);
		errno = err;
	}
	return rc;
}

static long run_ftruncate(struct side *s, const struct call *c) { return ftruncate(SLOT(0), NUM(1)); }

static long run_fallocate(struct side *s, const struct call *c)
{
	return fallocate(SLOT(0), arg_words(c, 1, falloc_words), NUM(2), NUM(3));
}

static long run_copyrange(struct side *s, const struct call *c)
{
	off_t in = NUM(1), out = NUM(3);

	return copy_file_range(SLOT(0), &in, SLOT(2), &out, arg_len(c, 4), 0);
}

static long run_sendfile(struct side *s, const struct call *c)
{
	off_t in = NUM(2);

	return sendfile(SLOT(0), SLOT(1), &in, arg_len(c, 3));
}

static long run_clone(struct side *s, const struct call *c) { return ioctl(SLOT(0), FICLONE, SLOT(1)); }

static long run_clonerange(struct side *s, const struct call *c)
{
	struct file_clone_range r = {
		.src_fd = SLOT(1), .src_offset = NUM(2), .src_length = NUM(4), .dest_offset = NUM(3),
	};

	return ioctl(SLOT(0), FICLONERANGE, &r);
}

/* Shares what is the same in two files; tells how much, or that it is not the same. */
static long run_dedupe(struct side *s, const struct call *c)
{
	union {
		struct file_dedupe_range range;
		char room[sizeof(struct file_dedupe_range) + sizeof(struct file_dedupe_range_info)];
	} arg = { .range = { .src_offset = NUM(2), .src_length = NUM(4), .dest_count = 1 } };
	struct file_dedupe_range_info *info = arg.range.info;

	info->dest_fd = SLOT(1);
	info->dest_offset = NUM(3);
	if (ioctl(SLOT(0), FIDEDUPERANGE, &arg))
		return -1;
	if (info->status < 0) {
		errno = -info->status;
		return -1;
	}
	text_add(&s->text, info->status ? "differs" : "the same");
	return info->bytes_deduped;
}

/* A page that the file's filesystem can't give: an outcome like any other. */
static sigjmp_buf no_page;

static void on_bus_error(int sig)
{
	(void)sig;
	siglongjmp(no_page, 1);
}

/* Copies to or from a mapping; false if a page could not be had. */
static bool copy_mapped(void *to, const void *from, size_t n)
{
	const struct sigaction act = { .sa_handler = on_bus_error };
	struct sigaction old;
	bool good;

	sigaction(SIGBUS, &act, &old);
	good = !sigsetjmp(no_page, 1);
	if (good)
		memcpy(to, from, n);
	sigaction(SIGBUS, &old, NULL);
	return good;
}

/* Maps part of a file; only what lies before its end is touched. */
static long run_map(struct side *s, const struct call *c, bool writing)
{
	int fd = SLOT(0), err, rc = 0;
	long long off = NUM(1) & ~4095LL;
	size_t len = arg_len(c, 2), touch = 0;
	struct stat st;
	char *map;

	if (fstat(fd, &st))
		return -1;
	map = mmap(NULL, len, writing ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, off);
	if (map == MAP_FAILED)
		return -1;
	if (S_ISREG(st.st_mode) && st.st_size > off)
		touch = (size_t)(st.st_size - off) < len ? (size_t)(st.st_size - off) : len;
	if (writing) {
		fill(s->data, touch, NUM(3), off);
		if (copy_mapped(map, s->data, touch))
			rc = msync(map, len, MS_SYNC);
		else
			rc = -1, errno = EFAULT;
	} else if (copy_mapped(s->data, map, touch)) {
		s->len = touch;
	} else {
		rc = -1, errno = EFAULT;
	}
	err = errno;
	munmap(map, len);
	errno = err;
	return rc;
}

static long run_mapread(struct side *s, const struct call *c) { return run_map(s, c, false); }
static long run_mapwrite(struct side *s, const struct call *c) { return run_map(s, c, true); }
static long run_fsync(struct side *s, const struct call *c) { return fsync(SLOT(0)); }
static long run_fdatasync(struct side *s, const struct call *c) { return fdatasync(SLOT(0)); }
static long run_fchmod(struct side *s, const struct call *c) { return fchmod(SLOT(0), NUM(1)); }
static long run_fchown(struct side *s, const struct call *c) { return fchown(SLOT(0), NUM(1), NUM(2)); }

static long run_fstat(struct side *s, const struct call *c)
{
	struct stat st;

	if (fstat(SLOT(0), &st))
		return -1;
	tell_stat(&s->text, &st);
	return 0;
}

static long run_futimens(struct side *s, const struct call *c)
{
	struct timespec ts[2];

	arg_times(c, 1, ts);
	return futimens(SLOT(0), ts);
}

static long run_fsetxattr(struct side *s, const struct call *c)
{
	char value[512];
	size_t n = arg_value(c, 2, value, sizeof(value));

	return fsetxattr(SLOT(0), c->argv[1], value, n, arg_words(c, 3, xattr_words));
}

static long run_fremovexattr(struct side *s, const struct call *c) { return fremovexattr(SLOT(0), c->argv[1]); }

static long run_fgetxattr(struct side *s, const struct call *c)
{
	char value[1024];
	ssize_t n = fgetxattr(SLOT(0), c->argv[1], value, sizeof(value));

	tell_value(s, value, n);
	return n;
}

static long run_fls(struct side *s, const struct call *c)
{
	int fd = openat(SLOT(0), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct listing l;

	if (fd < 0 || !list_fd(fd, &l))
		return -1;
	for (size_t i = 0; i < l.n; i++)
		text_add(&s->text, "%s/%c ", l.entry[i].name, type_letter(DTTOIF(l.entry[i].type)));
	free(l.entry);
	return 0;
}

#endif
