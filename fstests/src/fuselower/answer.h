/* SPDX-License-Identifier: GPL-2.0-only */
/* Requests that change nothing, answered. */

/* The answer: data of that size, unless an error is given or ordered. */
static void reply(const struct fuse_in_header *in, int err, const void *data, size_t size)
{
	static char out[sizeof(struct fuse_out_header) + BUFFER];
	struct fuse_out_header h = { .unique = in->unique };
	int ordered = ordered_error(in);

	if (ordered)
		err = ordered;
	if (err)
		size = 0;
	if (size) {
		memcpy(out + sizeof(h), data, size);
		order_values(in, out + sizeof(h), size);
	}
	mangle(in, &err, out + sizeof(h), &size);
	h.error = -err;
	h.len = (uint32_t)(sizeof(h) + size);
	memcpy(out, &h, sizeof(h));
	/* The kernel refuses impossible answers (EINVAL), and the request then fails with EIO. */
	if (write(dev, out, h.len) < 0 && errno != ENOENT && errno != EINVAL)
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

static void init(const struct fuse_in_header *in, const struct fuse_init_in *i)
{
	struct fuse_init_out out = { .major = FUSE_KERNEL_VERSION, .minor = FUSE_KERNEL_MINOR_VERSION,
				     .max_readahead = i->max_readahead, .max_write = writable ? 65536 : 4096, .time_gran = 1,
				     .flags = acl ? i->flags & FUSE_POSIX_ACL : 0 };

	if (passthrough) {
		out.flags |= FUSE_INIT_EXT;
		out.flags2 = (uint32_t)(FUSE_PASSTHROUGH >> 32);
		out.max_stack_depth = passthrough;
	}
	if (writable)
		out.flags |= i->flags & (FUSE_ATOMIC_O_TRUNC | FUSE_BIG_WRITES);

	reply(in, 0, &out, sizeof(out));
}

static void lookup(const struct fuse_in_header *in, const char *name)
{
	struct fuse_entry_out out = { .entry_valid = valid_seconds, .attr_valid = valid_seconds };
	char p[PATH_MAX];
	int err;

	full_path(in->nodeid, name, p, sizeof(p));
	err = attributes(p, &out.attr);
	if (!err)
		out.nodeid = node_of(in->nodeid, name, out.attr.ino);
	reply(in, err, &out, sizeof(out));
}

static void getattr(const struct fuse_in_header *in, const char *path)
{
	struct fuse_attr_out out = { .attr_valid = valid_seconds };
	int err = attributes(path, &out.attr);

	reply(in, err, &out, sizeof(out));
}

static void open_any(const struct fuse_in_header *in, const char *path)
{
	struct fuse_open_out out = { 0 };
	int err = 0;

	if (direct && in->opcode == FUSE_OPEN)
		out.open_flags = FOPEN_DIRECT_IO;
	if (stream && in->opcode == FUSE_OPENDIR)
		out.open_flags = FOPEN_NONSEEKABLE;
	if (access(path, F_OK))
		err = errno;
	else if (in->opcode == FUSE_OPEN)
		err = pass_through(&out, in->nodeid, path);
	reply(in, err, &out, sizeof(out));
}

static void read_file(const struct fuse_in_header *in, const struct fuse_read_in *r, const char *path)
{
	static char data[BUFFER / 2];
	size_t size = r->size < sizeof(data) ? r->size : sizeof(data);
	int fd = writable ? dup((int)r->fh) : open(path, O_RDONLY);
	ssize_t n = fd < 0 ? -1 : pread(fd, data, size, (off_t)r->offset);
	int err = errno;

	if (fd >= 0)
		close(fd);
	if (n >= 0 && (size_t)n < size && strstr(orders, "endless\n")) {
		memset(data + n, 0, size - (size_t)n);
		n = (ssize_t)size;
	}
	reply(in, n < 0 ? err : 0, data, n < 0 ? 0 : (size_t)n);
}

static uint64_t count_entries(const char *path)
{
	DIR *d = opendir(path);
	uint64_t n = 0;

	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n;
}

/* A directory's entries beginning with the one numbered off; the position of each is its number + 1. */
static void read_dir(const struct fuse_in_header *in, const struct fuse_read_in *r, const char *path)
{
	static char buf[BUFFER / 2];
	size_t at = 0, size = r->size < sizeof(buf) ? r->size : sizeof(buf);
	uint64_t n = 0, off = mangled_position(in, r->offset, count_entries(path)), more = r->offset - off;
	DIR *d = opendir(path);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		size_t len = strlen(e->d_name), need = FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + len);
		struct fuse_dirent *out = (struct fuse_dirent *)(buf + at);

		if (n++ < off)
			continue;
		if (at + need > size)
			break;
		memset(out, 0, need);
		out->ino = e->d_ino | (highino ? 0xf000000000000000ull : 0);
		out->off = n + more;
		out->namelen = (uint32_t)len;
		out->type = e->d_type;
		memcpy(out->name, e->d_name, len);
		at += need;
	}
	if (d)
		closedir(d);
	reply(in, 0, buf, at);
}

static void read_link(const struct fuse_in_header *in, const char *path)
{
	char target[PATH_MAX];
	ssize_t n = readlink(path, target, sizeof(target));
	uint64_t shown;

	if (n > 0 && ordered_value("link_size", subject(in), &shown) && shown < (uint64_t)n)
		n = (ssize_t)shown;
	reply(in, n < 0 ? errno : 0, target, n < 0 ? 0 : (size_t)n);
}

/* The names, with the one that has an alias under that. */
static ssize_t list_names(const char *path, char *out, size_t size)
{
	static char list[65536];
	ssize_t n = llistxattr(path, list, sizeof(list)), done = 0;

	for (const char *at = list; n > 0 && at < list + n; at += strlen(at) + 1) {
		const char *shown = alias_kept && !strcmp(at, alias_kept) ? alias_shown : at;
		size_t len = strlen(shown) + 1;

		if (size && (size_t)done + len > size) {
			errno = ERANGE;
			return -1;
		}
		if (size)
			memcpy(out + done, shown, len);
		done += (ssize_t)len;
	}
	return n < 0 ? n : done;
}

static ssize_t get_value(const char *path, const char *name, char *out, size_t size)
{
	return lgetxattr(path, alias_shown && !strcmp(name, alias_shown) ? alias_kept : name, out, size);
}

static void getxattr_or_list(const struct fuse_in_header *in, const struct fuse_getxattr_in *x, const char *path)
{
	static char value[65536];
	size_t size = x->size < sizeof(value) ? x->size : sizeof(value);
	ssize_t n;

	if (noxattr) {
		reply(in, ENOSYS, NULL, 0);
		return;
	}
	n = in->opcode == FUSE_GETXATTR ? get_value(path, (const char *)(x + 1), value, size) : list_names(path, value, size);
	if (n < 0) {
		reply(in, errno, NULL, 0);
	} else if (!x->size) {
		struct fuse_getxattr_out out = { .size = (uint32_t)n };

		reply(in, 0, &out, sizeof(out));
	} else {
		reply(in, 0, value, (size_t)n);
	}
}

static void seek(const struct fuse_in_header *in, const struct fuse_lseek_in *l, const char *path)
{
	struct fuse_lseek_out out;
	int fd = open(path, O_RDONLY);
	off_t at = fd < 0 ? -1 : lseek(fd, (off_t)l->offset, (int)l->whence);
	int err = errno;
	uint64_t ordered;

	if (fd >= 0)
		close(fd);
	out.offset = (uint64_t)at;
	/* The true answer may be that there is nothing more (ENXIO). */
	if (ordered_value(l->whence == SEEK_DATA ? "seek_data" : "seek_hole", subject(in), &ordered))
		err = at = 0;
	reply(in, at < 0 ? err : 0, &out, sizeof(out));
}

/* Only what asks for the flags of a file. */
static void control_file(const struct fuse_in_header *in, const struct fuse_ioctl_in *i, const char *path)
{
	struct {
		struct fuse_ioctl_out head;
		union { unsigned int flags; struct fsxattr x; } out;
	} answer = { 0 };
	int fd = -1, err = ENOTTY;

	if (i->cmd == FS_IOC_GETFLAGS || i->cmd == FS_IOC_FSGETXATTR) {
		fd = open(path, O_RDONLY | O_NONBLOCK);
		err = fd < 0 || ioctl(fd, i->cmd, &answer.out) ? errno : 0;
	}
	if (fd >= 0)
		close(fd);
	reply(in, err, &answer, sizeof(answer.head) + (i->out_size < sizeof(answer.out) ? i->out_size : sizeof(answer.out)));
}
