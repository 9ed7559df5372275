/* SPDX-License-Identifier: GPL-2.0-only */
/* What is done with open files. */

static void open_one(void)
{
	static const int ways[] = { O_RDONLY, O_RDONLY, O_RDONLY, O_RDWR, O_WRONLY, O_RDWR | O_CREAT, O_WRONLY | O_TRUNC, O_PATH,
				    O_RDONLY | O_DIRECTORY, O_RDWR | O_CREAT | O_EXCL, O_RDWR | O_APPEND };
	int way = ways[below(only_look ? 3 : sizeof(ways) / sizeof(ways[0]))];
	const char *p = path();
	int fd;

	if (!only_look && below(20) == 0)
		fd = open(p, O_TMPFILE | O_RDWR | O_NONBLOCK, 0600);
	else
		fd = open(p, way | O_NONBLOCK | O_CLOEXEC | some(O_NOATIME | O_DIRECT | O_NOFOLLOW | O_SYNC), 0666);
	count(p, fd >= 0);
	keep(fd);
}

static void close_one(void)
{
	int *slot = &files[below(MAX_OPEN)];

	if (*slot)
		close(*slot - 1);
	*slot = 0;
}

static void read_directory(int fd)
{
	struct { uint64_t ino; int64_t off; unsigned short len; unsigned char type; char name[]; } *e;
	long n;

	if (below(2))
		lseek(fd, below(2) ? 0 : place(), (int)below(3));
	for (int i = 0; i < 20 && (n = syscall(SYS_getdents64, fd, buffer, 300 + below(8192))) > 0; i++) {
		for (long at = 0; at < n; at += e->len) {
			e = (void *)(buffer + at);
			if (below(30) == 0)
				lseek(fd, e->off, SEEK_SET);
			if (below(30) == 0)
				lseek(fd, 0, SEEK_CUR);
		}
	}
}

static void read_names(void)
{
	const char *p = path();
	int fd = open(p, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	count(p, fd >= 0);
	if (fd < 0)
		return;
	read_directory(fd);
	keep(fd);
}

static void ask_for_extents(int fd)
{
	struct fiemap *map = (struct fiemap *)buffer;

	memset(map, 0, sizeof(*map));
	map->fm_start = (uint64_t)place();
	map->fm_length = (uint64_t)place();
	map->fm_flags = below(4);
	map->fm_extent_count = below(100);
	ioctl(fd, FS_IOC_FIEMAP, map);
}

static void use_file(void)
{
	int fd = open_file(), other = open_file(), pipes[2];
	struct iovec v[2] = { { buffer, below(5000) }, { buffer + 8192, below(70000) } };
	struct fsxattr x;
	struct statx sx;
	struct statfs sf;
	struct stat st;
	int flags;
	off_t at;

	if (fd < 0)
		return;
	switch (below(18)) {
	case 0: lseek(fd, place(), (int)below(5)); break;
	case 1: lseek(fd, 0, SEEK_CUR); break;
	case 2: if (read(fd, buffer, below(sizeof(buffer))) < 0) break; break;
	case 3: if (pread(fd, buffer, below(sizeof(buffer)), place()) < 0) break; break;
	case 4: preadv2(fd, v, 2, place(), some(RWF_NOWAIT | RWF_HIPRI)); break;
	case 5: fstat(fd, &st); break;
	case 6: fsync(fd); break;
	case 7: fdatasync(fd); break;
	case 8: posix_fadvise(fd, place(), place(), (int)below(7)); break;
	case 9: fcntl(fd, F_SETFL, some(O_APPEND | O_NONBLOCK | O_DIRECT | O_NOATIME)); break;
	case 10: flock(fd, (below(2) ? LOCK_SH : below(2) ? LOCK_EX : LOCK_UN) | LOCK_NB); break;
	case 11: ask_for_extents(fd); break;
	case 12: ioctl(fd, FS_IOC_GETFLAGS, &flags); ioctl(fd, FS_IOC_FSGETXATTR, &x); break;
	case 13: statx(fd, "", AT_EMPTY_PATH | some(AT_STATX_FORCE_SYNC | AT_STATX_DONT_SYNC), (unsigned int)dice() & 0x7fffffff, &sx); break;
	case 14: fstatfs(fd, &sf); break;
	case 15: read_directory(fd); break;
	case 16:
		at = place();
		if (!pipe2(pipes, O_NONBLOCK)) {
			splice(fd, below(2) ? &at : NULL, pipes[1], NULL, below(1 << 20), SPLICE_F_NONBLOCK);
			if (other >= 0 && !only_look)
				splice(pipes[0], NULL, other, below(2) ? &at : NULL, below(1 << 17), SPLICE_F_NONBLOCK);
			close(pipes[0]);
			close(pipes[1]);
		}
		break;
	case 17: readahead(fd, place(), (size_t)place()); break;
	}
}

static void map_file(void)
{
	int fd = open_file(), prot = PROT_READ | (only_look ? 0 : some(PROT_WRITE)) | some(PROT_EXEC);
	volatile char *m;

	if (fd < 0)
		return;
	m = mmap(NULL, 65536, prot, below(2) ? MAP_SHARED : MAP_PRIVATE, fd, below(4) ? 0 : (off_t)below(40) * 4096);
	if (m == MAP_FAILED)
		return;
	/* A fault comes back to the loop, and what was mapped stays: not for ever. */
	static volatile char *old[16];
	static int next;
	volatile char **slot = &old[next++ % 16];

	if (*slot)
		munmap((void *)*slot, 65536);
	*slot = m;
	for (int i = 0; i < 3; i++) {
		unsigned int at = below(65536);

		if ((prot & PROT_WRITE) && below(2))
			m[at] = (char)at;
		else
			(void)m[at];
	}
	if (below(4) == 0)
		msync((void *)m, 65536, below(2) ? MS_SYNC : MS_ASYNC);
	if (below(4) == 0)
		madvise((void *)m, 65536, (int)below(22));
}

static void write_file(void)
{
	int fd = open_file();
	struct iovec v[2] = { { buffer, below(5000) }, { buffer + 8192, below(5000) } };

	if (fd < 0)
		return;
	switch (below(6)) {
	case 0: if (write(fd, buffer, below(20000)) < 0) break; break;
	case 1: if (pwrite(fd, buffer, below(20000), below(1 << 18)) < 0) break; break;
	case 2: pwritev2(fd, v, 2, below(1 << 18), some(RWF_APPEND | RWF_DSYNC | RWF_NOWAIT)); break;
	case 3: if (ftruncate(fd, below(4) ? (off_t)below(1 << 19) : place()) < 0) break; break;
	case 4: fallocate(fd, (int)below(256), below(1 << 18), below(1 << 18)); break;
	case 5: if (pwrite(fd, buffer, 512 * below(8), 512 * below(64)) < 0) break; break;
	}
}

static void share_data(void)
{
	int from = open_file(), to = open_file();
	struct file_clone_range r = { .src_fd = from, .src_offset = below(64) * 4096, .src_length = below(2) ? 0 : below(16) * 4096,
				      .dest_offset = below(64) * 4096 };
	off_t a = place(), b = below(1 << 18);

	if (from < 0 || to < 0)
		return;
	switch (below(4)) {
	case 0: copy_file_range(from, below(2) ? &a : NULL, to, below(2) ? &b : NULL, below(1 << 18), 0); break;
	case 1: ioctl(to, FICLONE, from); break;
	case 2: ioctl(to, FICLONERANGE, &r); break;
	case 3: sendfile(to, from, below(2) ? &a : NULL, below(1 << 18)); break;
	}
}
