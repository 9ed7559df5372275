/* SPDX-License-Identifier: GPL-2.0-only */
/* What is done with names. */

static const char *attribute(void)
{
	static const char *const names[] = { "user.x", "user.y", "security.capability", "system.posix_acl_access",
					     "system.posix_acl_default", "trusted.x", "trusted.overlay.opaque",
					     "trusted.overlay.redirect", "trusted.overlay.overlay.origin", "user.overlay.opaque",
					     "user.overlay.metacopy", "user.overlay.overlay.redirect", "security.selinux", "user." };

	return names[below(sizeof(names) / sizeof(names[0]))];
}

static void look_at(void)
{
	const char *p = path();
	struct statfs sf;
	struct statx sx;
	struct stat st;

	switch (below(6)) {
	case 0: count(p, !stat(p, &st)); break;
	case 1: count(p, !lstat(p, &st)); break;
	case 2: count(p, !statx(AT_FDCWD, p, some(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC | AT_STATX_FORCE_SYNC),
				(unsigned int)dice() & 0x7fffffff, &sx)); break;
	case 3: faccessat(AT_FDCWD, p, (int)below(8), some(AT_EACCESS | AT_SYMLINK_NOFOLLOW)); break;
	case 4: count(p, !statfs(p, &sf)); break;
	case 5: if (chdir(below(2) ? p : "/")) break; break;
	}
	if (below(8) == 0 && chdir("/"))
		_exit(3);
}

static void read_link(void)
{
	const char *p = path();

	count(p, readlink(p, buffer, below(5000)) >= 0);
}

static void read_attributes(void)
{
	const char *p = path();

	if (below(2))
		(below(2) ? lgetxattr : getxattr)(p, attribute(), buffer, below(3) ? 65536 : below(64));
	else
		count(p, (below(2) ? llistxattr : listxattr)(p, buffer, below(3) ? 65536 : below(64)) >= 0);
}

static void write_attributes(void)
{
	const char *p = path();
	unsigned int size = below(4) ? below(40) : below(4096);

	for (unsigned int i = 0; i < size; i++)
		buffer[i] = (char)dice();
	if (below(4))
		lsetxattr(p, attribute(), buffer, size, (int)below(3));
	else
		lremovexattr(p, attribute());
}

static void make_one(void)
{
	const char *p = path(), *q = path();

	switch (below(7)) {
	case 0: mkdir(p, 0777); break;
	case 1: mknod(p, S_IFIFO | 0666, 0); break;
	case 2: mknod(p, S_IFCHR | 0666, makedev(below(2), below(2) * 3)); break;
	case 3: if (symlink(q, p)) break; break;
	case 4: if (link(p, q)) break; break;
	case 5: linkat(AT_FDCWD, p, AT_FDCWD, q, AT_SYMLINK_FOLLOW); break;
	case 6: keep(open(p, O_CREAT | O_RDWR | O_EXCL | O_NONBLOCK, 0666)); break;
	}
}

static void remove_one(void)
{
	const char *p = path();

	if (below(3))
		unlink(p);
	else
		rmdir(p);
}

static void rename_one(void)
{
	const char *p = path(), *q = path();

	syscall(SYS_renameat2, AT_FDCWD, p, AT_FDCWD, q, below(2) ? 0 : below(8));
}

static void change_mode(void)
{
	const char *p = path();
	struct timespec t[2] = { { place(), below(1000000000) }, { below(1 << 30), below(2) ? UTIME_NOW : UTIME_OMIT } };
	int fd, flags = some(FS_NODUMP_FL | FS_NOATIME_FL | FS_SYNC_FL | FS_APPEND_FL);

	switch (below(6)) {
	case 0: chmod(p, (mode_t)dice() & 07777); break;
	case 1: if (lchown(p, below(2) ? below(3) * 1000 : (uid_t)-1, below(3) * 1000)) break; break;
	case 2: utimensat(AT_FDCWD, p, t, some(AT_SYMLINK_NOFOLLOW)); break;
	case 3: if (truncate(p, below(4) ? (off_t)below(1 << 19) : place())) break; break;
	case 4: chmod(p, 0777); break;
	case 5:
		fd = open(p, O_RDONLY | O_NONBLOCK);
		if (fd >= 0) {
			ioctl(fd, FS_IOC_SETFLAGS, &flags);
			flags = 0;	/* or nobody could remove it */
			ioctl(fd, FS_IOC_SETFLAGS, &flags);
			close(fd);
		}
		break;
	}
}

static void handles(void)
{
	struct { struct file_handle h; char room[MAX_HANDLE_SZ]; } h;
	int mount_id, fd;

	h.h.handle_bytes = below(4) ? MAX_HANDLE_SZ : below(MAX_HANDLE_SZ);
	if (name_to_handle_at(AT_FDCWD, path(), &h.h, &mount_id, some(AT_SYMLINK_FOLLOW)))
		return;
	if (below(4) == 0)
		h.room[below(MAX_HANDLE_SZ)] ^= (char)(1 << below(8));
	fd = open_by_handle_at(AT_FDCWD, &h.h, O_RDONLY | O_NONBLOCK);
	keep(fd);
}
