/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * mangle=SEED: answers of every kind are made wrong, one in mangle_rate of them, by numbers that only SEED and the
 * requests so far decide on. What the kernel's own client refuses at once is of no use: the answers have a form that
 * it passes on.
 */

static uint64_t mangle_state;
static unsigned int mangle_rate = 4;

static uint64_t dice(void)
{
	/* xorshift64* */
	mangle_state ^= mangle_state >> 12;
	mangle_state ^= mangle_state << 25;
	mangle_state ^= mangle_state >> 27;
	return mangle_state * 0x2545f4914f6cdd1dull;
}

static unsigned int below(unsigned int n)
{
	return (unsigned int)((dice() >> 33) % n);
}

static uint64_t odd_number(void)
{
	static const uint64_t edges[] = { 0, 1, 2, 3, 255, 256, 4095, 4096, 65535, 65536, 0x7fffffff, 0x80000000, 0xffffffff,
					  0x100000000, 1ull << 62, 0x7fffffffffffffff, 0x7ffffffffffffffe, 1ull << 63,
					  0xfff0000000000000, 0xfffffffffffff000, 0xfffffffffffff001, UINT64_MAX,
					  UINT64_MAX - 1 };

	if (below(4))
		return edges[below(sizeof(edges) / sizeof(edges[0]))];
	return below(2) ? dice() : below(1 << 20);
}

/* ENOSYS is for ever, and so the end of what it is about. */
static int odd_error(void)
{
	static const int errors[] = { EPERM, ENOENT, EINTR, EIO, ENXIO, EAGAIN, ENOMEM, EACCES, EBUSY, EEXIST, EXDEV, ENODEV,
				      ENOTDIR, EISDIR, EINVAL, ENOSPC, EROFS, ERANGE, ENAMETOOLONG, ELOOP, ENODATA,
				      EOVERFLOW, EOPNOTSUPP, ESTALE, EDQUOT, ENOTCONN, 511 };

	return errors[below(sizeof(errors) / sizeof(errors[0]))];
}

/* --- fields ----------------------------------------------------------------------------------- */

static uint64_t odd_field(const struct field *f)
{
	static const uint32_t types[] = { S_IFREG, S_IFDIR, S_IFLNK, S_IFCHR, S_IFBLK, S_IFIFO, S_IFSOCK, 0, S_IFMT };

	if (!strcmp(f->name, "mode"))
		return types[below(below(4) ? 2 : 9)] | (dice() & 07777);
	/* Another object that was told of before, or none at all. */
	if (!strcmp(f->name, "nodeid"))
		return below(4) ? below((unsigned int)used) : odd_number();
	if (!strcmp(f->name, "uid") || !strcmp(f->name, "gid"))
		return below(2) ? below(2) * 1000 : odd_number();
	if (!strcmp(f->name, "rdev") && below(2))
		return 0;	/* a whiteout, if it is a device */
	return odd_number();
}

static void mangle_fields(const struct fuse_in_header *in, char *data, size_t size)
{
	const size_t n = sizeof(fields) / sizeof(fields[0]);

	for (unsigned int tries = 40, left = 1 + below(3); tries && left; tries--) {
		const struct field *f = &fields[below((unsigned int)n)];

		if (f->opcode != in->opcode || f->offset + f->width > size)
			continue;
		/* A type that changes is the end of an object. */
		if (!strcmp(f->name, "mode") && (in->opcode == FUSE_GETATTR || below(4)))
			continue;
		put_number(data + f->offset, f->width, odd_field(f));
		left--;
	}
}

/* --- names and values ------------------------------------------------------------------------- */

static size_t fill(char *data, size_t size, const char *pattern)
{
	for (size_t i = 0, n = strlen(pattern); n && i < size; i++)
		data[i] = pattern[i % n];
	return size;
}

static size_t random_bytes(char *data, size_t size)
{
	for (size_t i = 0; i < size; i++)
		data[i] = (char)dice();
	return size;
}

/* The header of an origin: version, magic number, length, flags, type and UUID; then the handle. */
static size_t odd_origin(char *data)
{
	size_t fid = below(140), n = 21 + fid;

	random_bytes(data, n);
	memcpy(data, "\x00\xfb", 2);
	data[2] = (char)(below(4) ? n : dice());
	data[3] = (char)below(8);
	data[4] = (char)below(130);
	if (below(2))
		memset(data + 5, 0, 16);
	return n;
}

static size_t odd_mark(const char *name, char *data)
{
	static const char *const texts[] = { "y", "x", "o", "z", "", "/", "//", "/d", "/d/e", "/a", "d/e", "..", "../..", "/..", ".",
					     "/d/../a", "e", "f", "ai", "i", "a", "\n", "/e/", "/d//e" };
	const char *text = texts[below(sizeof(texts) / sizeof(texts[0]))];

	if (strstr(name, "origin") && below(4))
		return odd_origin(data);
	if (strstr(name, "metacopy") && below(4)) {
		/* Version, length, flags, algorithm, digest. */
		size_t n = below(3) ? 4u + 32u * below(3) : below(80);

		random_bytes(data, n);
		data[0] = (char)(below(8) == 0);
		data[1] = (char)(below(4) ? n : dice());
		data[2] = 0;
		data[3] = (char)below(4);
		return below(3) ? n : 0;
	}
	switch (below(8)) {
	case 0: return random_bytes(data, below(300));
	case 1: return fill(data, 65536 - below(3), "/d/e");
	case 2: return fill(data, 1 + below(300), "/..");
	default: return (size_t)(stpcpy(data, text) - data);
	}
}

/* A value of an attribute, whether there is one or not; or its size, if that is what was asked for. */
static void mangle_xattr(const struct fuse_in_header *in, int *err, char *data, size_t *size)
{
	static char value[1 << 17];
	const struct fuse_getxattr_in *x = (const void *)(in + 1);
	const char *name = (const char *)(x + 1);
	static const char list[] = "user.x\0user.overlay.opaque\0trusted.overlay.redirect\0security.capability\0user.\0"
				   "system.posix_acl_access\0security.selinux\0user.x\0trusted.overlay.overlay.opaque\0x";
	size_t n;

	if (in->opcode == FUSE_LISTXATTR) {
		n = below(sizeof(list));
		memcpy(value, list, n);
		if (n && below(8))
			value[n - 1] = 0;
	} else if (strstr(name, "overlay.")) {
		n = odd_mark(name, value);
	} else if (strstr(name, "capability")) {
		n = random_bytes(value, below(30));
		value[3] = (char)(1 + below(3));	/* the revision */
	} else {
		n = random_bytes(value, below(2) ? below(200) : 65536 - below(2));
	}
	*err = 0;
	if (!x->size) {
		struct fuse_getxattr_out out = { .size = (uint32_t)(below(3) ? n : odd_number()) };

		memcpy(data, &out, sizeof(out));
		*size = sizeof(out);
	} else if (n > x->size) {
		*err = ERANGE;
		*size = 0;
	} else {
		memcpy(data, value, n);
		*size = n;
	}
}

static void mangle_link(int *err, char *data, size_t *size)
{
	static const char *const targets[] = { "", "/", ".", "..", "f", "/proc/self/fd/0", "l", "d/e/../e/./l", "/proc/self/exe" };
	const char *target = targets[below(sizeof(targets) / sizeof(targets[0]))];

	*err = 0;
	switch (below(3)) {
	case 0: *size = fill(data, 1 + below(PATH_MAX - 1), "d/../"); break;
	case 1: *size = random_bytes(data, 1 + below(300)); break;
	default: *size = (size_t)(stpcpy(data, target) - data);
	}
}

/* --- directories ------------------------------------------------------------------------------ */

/* Entries keep their length, and so the list its form. */
static void mangle_entries(char *buf, size_t size)
{
	for (size_t at = 0; at + FUSE_NAME_OFFSET < size;) {
		struct fuse_dirent *e = (struct fuse_dirent *)(buf + at);

		at += FUSE_DIRENT_SIZE(e);
		switch (below(12)) {
		case 0: e->off = odd_number(); break;
		case 1: e->ino = odd_number(); break;
		case 2: e->type = below(2) ? below(16) : (uint32_t)odd_number(); break;
		case 3: fill(e->name, e->namelen, below(2) ? "f" : "."); break;
		case 4: e->name[below(e->namelen)] = (char)(below(3) ? 0 : 0x80 | dice()); break;
		case 5: e->namelen = 1 + below(e->namelen); break;
		}
	}
}

/* --- all of it -------------------------------------------------------------------------------- */

static void mangle(const struct fuse_in_header *in, int *err, char *data, size_t *size)
{
	if (!mangle_state || !strcmp(operation(in), "other") || below(mangle_rate))
		return;
	if (below(6) == 0) {
		*err = odd_error();
		*size = 0;
		return;
	}
	switch (in->opcode) {
	case FUSE_GETXATTR:
	case FUSE_LISTXATTR:
		mangle_xattr(in, err, data, size);
		return;
	case FUSE_READLINK:
		mangle_link(err, data, size);
		return;
	case FUSE_LSEEK: {
		struct fuse_lseek_out out = { .offset = odd_number() };

		*err = 0;
		*size = sizeof(out);
		memcpy(data, &out, sizeof(out));
		return;
	}
	}
	if (*err)
		return;
	switch (in->opcode) {
	case FUSE_READ:
		*size = below((unsigned int)*size + 1);
		break;
	case FUSE_READDIR:
		mangle_entries(data, *size);
		break;
	case FUSE_OPEN:
	case FUSE_OPENDIR:
		((struct fuse_open_out *)data)->open_flags |= below(64) & ~(uint32_t)FOPEN_DIRECT_IO;
		break;
	case FUSE_IOCTL:
		if (*size > sizeof(struct fuse_ioctl_out))
			random_bytes(data + sizeof(struct fuse_ioctl_out), *size - sizeof(struct fuse_ioctl_out));
		break;
	default:
		mangle_fields(in, data, *size);
	}
}

/*
 * Where a directory is read from. Some of them, by their node, begin anew when they are through, some for many times,
 * and a few, if control's word is "endless", for ever.
 */
static uint64_t mangled_position(const struct fuse_in_header *in, uint64_t offset, uint64_t entries)
{
	uint64_t rounds = in->nodeid % 3 == 0 ? 40 : 1;

	if (strstr(orders, "endless\n"))
		rounds = UINT64_MAX;
	else if (!mangle_state)
		return offset;
	return entries && offset / entries < rounds ? offset % entries : offset;
}
