/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Requests that change the directory, with the option rw: what is renamed stays the node that it is, and a file is
 * open here as long as the kernel has it open.
 */

enum { MAX_OPEN = 1024 };

static bool opened[MAX_OPEN];	/* descriptors that the kernel was told of */

static bool is_opened(uint64_t fh)
{
	return fh < MAX_OPEN && opened[fh];
}

static void done(const struct fuse_in_header *in, int result)
{
	reply(in, result ? errno : 0, NULL, 0);
}

/* Nodes at a path, or below it, are at another from now on. */
static void moved(const char *from, const char *to)
{
	size_t n = strlen(from);

	for (int i = 2; i < used; i++) {
		char *path;

		if (strncmp(paths[i], from, n) || (paths[i][n] && paths[i][n] != '/'))
			continue;
		if (asprintf(&path, "%s%s", to, paths[i] + n) < 0)
			_exit(1);
		free(paths[i]);
		paths[i] = path;
	}
}

/* Says what has the name now: it belongs to who asked, if it was just made. */
static void made(const struct fuse_in_header *in, const char *name, const char *path, int result)
{
	if (result || lchown(path, in->uid, in->gid))
		done(in, -1);
	else
		lookup(in, name);
}

static void make(const struct fuse_in_header *in, const void *arg)
{
	const struct fuse_mknod_in *mk = arg;
	const char *name = in->opcode == FUSE_MKNOD ? (const char *)(mk + 1)
			 : in->opcode == FUSE_MKDIR ? (const char *)((const struct fuse_mkdir_in *)arg + 1)
						    : arg;
	char path[PATH_MAX];
	int result;

	full_path(in->nodeid, name, path, sizeof(path));
	if (in->opcode == FUSE_MKNOD)
		result = mknod(path, mk->mode, makedev((mk->rdev >> 8) & 0xfff, (mk->rdev & 0xff) | ((mk->rdev >> 12) & 0xfff00)));
	else if (in->opcode == FUSE_MKDIR)
		result = mkdir(path, ((const struct fuse_mkdir_in *)arg)->mode);
	else
		result = symlink(name + strlen(name) + 1, path);
	made(in, name, path, result);
}

static void make_link(const struct fuse_in_header *in, const struct fuse_link_in *l)
{
	const char *name = (const char *)(l + 1);
	char from[PATH_MAX], to[PATH_MAX];

	full_path(l->oldnodeid, NULL, from, sizeof(from));
	full_path(in->nodeid, name, to, sizeof(to));
	if (link(from, to))
		done(in, -1);
	else
		lookup(in, name);
}

static void remove_name(const struct fuse_in_header *in, const char *name)
{
	char path[PATH_MAX];

	full_path(in->nodeid, name, path, sizeof(path));
	done(in, in->opcode == FUSE_RMDIR ? rmdir(path) : unlink(path));
}

static void rename_name(const struct fuse_in_header *in, uint64_t new_dir, unsigned int flags, const char *old)
{
	const char *new = old + strlen(old) + 1, *from, *to;
	char old_path[PATH_MAX], new_path[PATH_MAX];

	full_path(in->nodeid, old, old_path, sizeof(old_path));
	full_path(new_dir, new, new_path, sizeof(new_path));
	if (renameat2(AT_FDCWD, old_path, AT_FDCWD, new_path, flags)) {
		done(in, -1);
		return;
	}
	from = old_path + strlen(root);
	to = new_path + strlen(root);
	moved(to, "//other");
	moved(from, to);
	if (flags & RENAME_EXCHANGE)
		moved("//other", from);
	done(in, 0);
}

static struct timespec time_of(const struct fuse_setattr_in *s, uint32_t set, uint32_t now, uint64_t sec, uint32_t nsec)
{
	return (struct timespec){ .tv_sec = (time_t)sec, .tv_nsec = !(s->valid & set) ? UTIME_OMIT : s->valid & now ? UTIME_NOW : nsec };
}

/* A file that is said to be open has to be one that is. */
static void set_attributes(const struct fuse_in_header *in, const struct fuse_setattr_in *s, const char *path)
{
	uint32_t v = s->valid;
	struct timespec times[] = {
		time_of(s, FATTR_ATIME, FATTR_ATIME_NOW, s->atime, s->atimensec),
		time_of(s, FATTR_MTIME, FATTR_MTIME_NOW, s->mtime, s->mtimensec),
	};

	if (v & FATTR_FH && !is_opened(s->fh)) {
		errno = EBADF;
		done(in, -1);
	} else if ((v & (FATTR_UID | FATTR_GID) && lchown(path, v & FATTR_UID ? s->uid : (uid_t)-1, v & FATTR_GID ? s->gid : (gid_t)-1)) ||
		   (v & FATTR_MODE && chmod(path, s->mode)) || (v & FATTR_SIZE && truncate(path, (off_t)s->size)) ||
		   (v & (FATTR_ATIME | FATTR_MTIME) && utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW))) {
		done(in, -1);
	} else {
		getattr(in, path);
	}
}

static void open_file(const struct fuse_in_header *in, const struct fuse_open_in *o, const char *path)
{
	struct fuse_open_out out = { 0 };
	int fd = open(path, (int)o->flags & (O_ACCMODE | O_TRUNC)), err;

	if (fd >= MAX_OPEN) {
		close(fd);
		errno = ENFILE;
		fd = -1;
	}
	if (fd >= 0) {
		opened[fd] = true;
		out.fh = (uint64_t)fd;
	}
	err = fd < 0 ? errno : pass_through(&out, in->nodeid, path);
	if (err && fd >= 0) {
		opened[fd] = false;
		close(fd);
	}
	reply(in, err, &out, sizeof(out));
}

static void release_file(const struct fuse_in_header *in, const struct fuse_release_in *r)
{
	if (is_opened(r->fh)) {
		opened[r->fh] = false;
		close((int)r->fh);
	}
	release_backing(in->nodeid);
	reply(in, 0, NULL, 0);
}

static void write_file(const struct fuse_in_header *in, const struct fuse_write_in *w)
{
	struct fuse_write_out out = { 0 };
	ssize_t n = pwrite((int)w->fh, w + 1, w->size, (off_t)w->offset);

	out.size = (uint32_t)n;
	reply(in, n < 0 ? errno : 0, &out, sizeof(out));
}

static void set_value(const struct fuse_in_header *in, const struct fuse_setxattr_in *x, const char *path)
{
	const char *name = (const char *)x + FUSE_COMPAT_SETXATTR_IN_SIZE;

	if (refused && !strncmp(name, refused, strlen(refused))) {
		errno = EOPNOTSUPP;
		done(in, -1);
	} else {
		done(in, lsetxattr(path, name, name + strlen(name) + 1, x->size, (int)x->flags));
	}
}

/* Whether it was such a request. */
static bool serve_change(const struct fuse_in_header *in, const void *arg, const char *path)
{
	const struct fuse_rename2_in *r = arg;

	if (!writable)
		return false;
	switch (in->opcode) {
	case FUSE_MKNOD:
	case FUSE_MKDIR:
	case FUSE_SYMLINK: make(in, arg); break;
	case FUSE_LINK: make_link(in, arg); break;
	case FUSE_UNLINK:
	case FUSE_RMDIR: remove_name(in, arg); break;
	case FUSE_RENAME: rename_name(in, r->newdir, 0, (const char *)((const struct fuse_rename_in *)arg + 1)); break;
	case FUSE_RENAME2: rename_name(in, r->newdir, r->flags, (const char *)(r + 1)); break;
	case FUSE_SETATTR: set_attributes(in, arg, path); break;
	case FUSE_OPEN: open_file(in, arg, path); break;
	case FUSE_RELEASE: release_file(in, arg); break;
	case FUSE_WRITE: write_file(in, arg); break;
	case FUSE_FSYNC: done(in, fsync((int)((const struct fuse_fsync_in *)arg)->fh)); break;
	case FUSE_FSYNCDIR: done(in, 0); break;
	case FUSE_SETXATTR: set_value(in, arg, path); break;
	case FUSE_REMOVEXATTR: done(in, lremovexattr(path, arg)); break;
	default: return false;
	}
	return true;
}
