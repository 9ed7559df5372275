/* SPDX-License-Identifier: GPL-2.0-only */
/* Numbers in answers, each by its name, exchanged for those that the control file has. */

struct field {
	const char *name;
	uint32_t opcode;
	size_t offset, width;
};

#define FIELD(name, opcode, type, member) { name, opcode, offsetof(struct type, member), sizeof(((struct type *)0)->member) }
#define ATTRIBUTE(name)							\
	FIELD(#name, FUSE_LOOKUP, fuse_entry_out, attr.name),		\
	FIELD(#name, FUSE_GETATTR, fuse_attr_out, attr.name)
#define STATFS(name) FIELD("fs_" #name, FUSE_STATFS, fuse_statfs_out, st.name)

static const struct field fields[] = {
	ATTRIBUTE(ino), ATTRIBUTE(size), ATTRIBUTE(blocks), ATTRIBUTE(mode), ATTRIBUTE(nlink), ATTRIBUTE(uid), ATTRIBUTE(gid),
	ATTRIBUTE(rdev), ATTRIBUTE(blksize), ATTRIBUTE(atime), ATTRIBUTE(mtime), ATTRIBUTE(ctime), ATTRIBUTE(atimensec),
	ATTRIBUTE(mtimensec), ATTRIBUTE(ctimensec), ATTRIBUTE(flags),
	FIELD("nodeid", FUSE_LOOKUP, fuse_entry_out, nodeid),
	FIELD("generation", FUSE_LOOKUP, fuse_entry_out, generation),
	STATFS(blocks), STATFS(bfree), STATFS(bavail), STATFS(files), STATFS(ffree), STATFS(bsize), STATFS(namelen), STATFS(frsize),
	FIELD("xattr_size", FUSE_GETXATTR, fuse_getxattr_out, size),	/* if only the size is asked for */
	FIELD("list_size", FUSE_LISTXATTR, fuse_getxattr_out, size),
};

static void put_number(void *at, size_t width, uint64_t value)
{
	memcpy(at, &value, width);	/* the lower bytes come first */
}

/* The entries of a directory: d_off, d_ino, d_type, of the one that is named or of all. */
static void order_entries(char *buf, size_t size)
{
	for (size_t at = 0; at + FUSE_NAME_OFFSET < size;) {
		struct fuse_dirent *e = (struct fuse_dirent *)(buf + at);
		char name[256];
		uint64_t v;

		snprintf(name, sizeof(name), "%.*s", (int)e->namelen, e->name);
		if (ordered_value("d_off", name, &v))
			e->off = v;
		if (ordered_value("d_ino", name, &v))
			e->ino = v;
		if (ordered_value("d_type", name, &v))
			e->type = (uint32_t)v;
		at += FUSE_DIRENT_SIZE(e);
	}
}

/* What whence asks for has names of its own: seek_data and seek_hole. */
static void order_seek(const struct fuse_in_header *in, struct fuse_lseek_out *out)
{
	const struct fuse_lseek_in *l = (const void *)(in + 1);

	ordered_value(l->whence == SEEK_DATA ? "seek_data" : "seek_hole", subject(in), &out->offset);
}

static void order_values(const struct fuse_in_header *in, char *data, size_t size)
{
	uint64_t v;

	if (!strstr(orders, "value "))
		return;
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		const struct field *f = &fields[i];

		/* An attribute's value is no number: only its size, if that is what was asked for, is. */
		if ((!strcmp(f->name, "xattr_size") || !strcmp(f->name, "list_size")) && ((const struct fuse_getxattr_in *)(in + 1))->size)
			continue;
		if (f->opcode == in->opcode && f->offset + f->width <= size && ordered_value(f->name, subject(in), &v))
			put_number(data + f->offset, f->width, v);
	}
	if (in->opcode == FUSE_READDIR)
		order_entries(data, size);
	if (in->opcode == FUSE_LSEEK && size == sizeof(struct fuse_lseek_out))
		order_seek(in, (struct fuse_lseek_out *)data);
}
