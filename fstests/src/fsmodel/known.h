// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where a stack is known, and meant, to differ from a plain directory: all of it is here, each with its reason,
 * except what is simply not asked anywhere: st_dev, the value of st_ino, the link count and size of
 * directories, blocks, ctime, atime; the link count of an open file that has no name left; the access
 * to a mapping that was made before its file was copied up.
 *
 * - userxattr: symlinks and special files can't have the xattr that says where they were copied from, so that their
 *   number changes when they are forgotten, and a link made of one has another (compare_special_ino), and what was listed before has the old one as long as a
 *   directory is open, or others make it be forgotten (compare_special_d_ino).
 * - a descriptor opened for reading before its file was copied up: what is mapped by it is still the lower file.
 * - layers on several filesystems, or in a stack that is a layer itself: numbers are not asked at all (compare_ino); to share or copy data between them inside
 *   the kernel may be refused.
 * - lower hard links: a stack without an index breaks the links of a lower file when one of its names is
 *   copied up. The plain tree starts with the names as files of their own; link counts are not compared in such a run
 *   (compare_nlink), and an open file that has lost its name gets no new one: in the stack it still has others (known_last_name). The same is done to the links in an upper that becomes a lower.
 * - chattr +i and +a: kept in an upper, of no effect in a lower; taken away when an upper becomes one.
 * - metacopy=on, and a copy came in the place of a layer: the number of a file may change when it gets its data or its name
 *   back: what it was copied up from is not where its data was (known_renumbering).
 * - the time of an operation: op.h's TIME_OF_NOW.
 * - one whiteout in the work directory: it is kept to be linked to (episode.h).
 * - the mtime of a directory that is moved over a whiteout on xfs, or removed; that of one from which a rename failed on ext4
 *   (known_move, same_removed_dir).
 * - the mtime of a fifo: to write into it changes the stack's inode only, in memory.
 *
 * And what is a bug of the kernel's overlayfs, and excused only there:
 *
 * - a file of a lower layer, open, whose name was removed: to change it is an error, as it would need a copy-up to a place that it
 *   no longer has (known_refusal).
 * - metacopy=on: to open a file for writing whose data is still below copies the data and so changes
 *   its mtime (compare_file_mtime).
 * - the protection by chattr(1) of the root of a stack is forgotten when it is mounted again (known_protection).
 * - link() of a file that was copied up into a directory of upper alone does not mark this one impure:
 *   listed, the file has another inode number than stat() says, also when the other names are gone (compare_link_ino).
 * - a special file of a lower layer, open, whose name was removed: to change its attributes by the descriptor copies
 *   it up over its whiteout, and the name is there again (known_resurrection).
 * - where the xattr that says what a copy was made from leads nowhere (the lower is a stack itself; userxattr, for what is no
 *   file), a link of the copy has an inode of its own in memory: its protection by chattr(1) is not that of the other name, and to
 *   rename the one to the other is ESTALE instead of nothing (known_two_inodes).
 * - chattr(1) with a flag of the lower filesystem that upper does not know is refused, and yet protects (known_half_chattr).
 */
#ifndef FSMODEL_KNOWN_H
#define FSMODEL_KNOWN_H

#include "compare.h"
#include <linux/magic.h>
#include <sys/vfs.h>

/* Without: to see that a difference that is known would be found. */
static bool excuses = true;

/* Are inode numbers what they are on one filesystem: one for each file, and kept? */
static bool numbers_comparable(const struct trees *t)
{
	(void)t;
	return compare_ino && compare_nlink;
}

static bool known_renumbering(const struct trees *t)
{
	return t->replaced && has_option(t, "metacopy=on");
}

/* Does this file keep its number whatever happens? */
static bool known_number(const struct trees *t, const struct id *plain)
{
	(void)t;
	return compare_special_ino || plain->type == 'f' || plain->type == 'd';
}

/* An operation that is not done at all: it would bring a removed file back. */
static bool known_resurrection(const struct trees *t, const struct side *plain, const struct call *c)
{
	static const char *const ops[] = { "fchmod", "fchown", "futimens", "fsetxattr", "fremovexattr", "linkfd", "dedupe" };
	struct stat st;
	char name[PATH_MAX];
	ssize_t n;

	for (size_t i = 0; (t->twin[0] || !strcmp(t->fstyp, "overlay")) && i < ARRAY_SIZE(ops); i++) {
		int fd = plain->fd[atoi(c->argv[0])];

		if (strcmp(c->type->name, ops[i]) || fd < 0)
			continue;
		if (!t->twin[0])
			return !fstat(fd, &st) && !st.st_nlink && !S_ISREG(st.st_mode);
		/* Both are stacks: the link count is that of the lower file. */
		n = readlink(path_of("/proc/self/fd/%d", fd).s, name, sizeof(name) - 1);
		name[n < 0 ? 0 : n] = 0;
		return ends_with(name, " (deleted)");
	}
	return false;
}

/* Another operation that is not done: the file has no name left in the plain tree, in the stack it may. */
static bool known_last_name(const struct side *plain, const struct call *c)
{
	struct stat st;

	return !compare_nlink && !strcmp(c->type->name, "linkfd") && !fstat(plain->fd[atoi(c->argv[0])], &st) && !st.st_nlink;
}

/* And others: to two names that overlayfs may have two inodes for, and should have one. */
static bool known_two_inodes(const struct trees *t, const struct side *stack, const struct side *plain, const struct call *c)
{
	const struct side *right = t->twin[0] && !strcmp(t->fstyp, "layerfs") ? stack : plain;
	struct stat st, other;

	if (!(t->twin[0] || !strcmp(t->fstyp, "overlay")) || !(t->nested || has_option(t, "userxattr")))
		return false;
	if (!strcmp(c->type->name, "rename"))
		return !lstat(at(right, c->argv[0]).s, &st) && !lstat(at(right, c->argv[1]).s, &other) && st.st_ino == other.st_ino;
	return !strcmp(c->type->name, "chattr") && !lstat(at(right, c->argv[0]).s, &st) && !S_ISDIR(st.st_mode) && st.st_nlink > 1;
}

static bool known_half_chattr(const struct trees *t, const struct call *c)
{
	return (t->twin[0] || !strcmp(t->fstyp, "overlay")) && (t->elsewhere[0] || t->nested) && !strcmp(c->type->name, "chattr");
}

/*
 * An operation by a descriptor on a file that chattr(1) has protected since it was opened is not done: ext4 refuses to write then,
 * others don't, and a stack keeps the protection from the layer.
 */
static bool known_protection(const struct trees *t, const struct side *plain, const struct call *c)
{
	int flags;

	if (!strcmp(c->type->name, "chattr") && !strcmp(c->argv[0], "."))
		return t->other || !strcmp(t->fstyp, "overlay");
	for (int i = 0; i < c->argc; i++)
		if (c->type->args[i] == 's' && strcmp(c->type->name, "close") && strcmp(c->type->name, "open") &&
		    !ioctl(plain->fd[atoi(c->argv[i])], FS_IOC_GETFLAGS, &flags) && (flags & (FS_IMMUTABLE_FL | FS_APPEND_FL)))
			return true;
	return false;
}

/*
 * The stack gave its outcome; the plain tree has not been asked. True if the stack may refuse what
 * the plain tree would do: then it is not asked.
 */
static bool known_refusal(const struct trees *t, const struct side *stack, const struct side *plain, const struct call *c)
{
	const char *op = c->type->name;

	if (t->twin[0] || !excuses)
		return false;
	/*
	 * A directory that a lower layer has part in moves only by a redirect: without redirect_dir=on the
	 * answer is EXDEV, and mv(1) copies.
	 */
	if (!strcmp(op, "rename") && stack->err == EXDEV && !has_option(t, "redirect_dir=on"))
		return has_lower_dir(t, at(plain, c->argv[0]).s) ||
		       (strstr(c->argv[2], "EXCHANGE") && has_lower_dir(t, at(plain, c->argv[1]).s));
	if ((t->elsewhere[0] || t->nested) && stack->err == EXDEV)
		return !strcmp(op, "clone") || !strcmp(op, "clonerange") || !strcmp(op, "copyrange") || !strcmp(op, "dedupe");
	/* Flags of a lower filesystem that the upper one does not know. */
	if ((t->elsewhere[0] || t->nested) && stack->err == EOPNOTSUPP && !strcmp(op, "chattr"))
		return true;
	/* What is not in upper yet is not copied up to be shared. */
	if (!strcmp(op, "dedupe") && stack->err == EPERM)
		return true;
	/* A character device 0:0 would be taken for a whiteout. */
	if (!strcmp(op, "mknod") && stack->err == EPERM && !strcmp(c->argv[1], "chr") && !atoi(c->argv[3]) && !atoi(c->argv[4]))
		return true;
	if (!strcmp(t->fstyp, "overlay") && c->type->args[0] == 's' && (stack->err == EEXIST || stack->err == ENOENT || stack->err == ESTALE)) {
		struct stat st;

		return !fstat(plain->fd[atoi(c->argv[0])], &st) && !st.st_nlink;
	}
	/* Whiteouts are the stack's own business: a caller can't make them through it. */
	if (!strcmp(op, "rename") && stack->err == EINVAL && strstr(c->argv[2], "WHITEOUT"))
		return true;
	return false;
}

/* Is what lies in [FROM, TO) of the plain file a hole to any reader? */
static bool reads_zeros(int fd, off_t from, off_t to)
{
	static char page[4096];
	ssize_t n;

	for (; from < to; from += n) {
		n = pread(fd, page, to - from < (off_t)sizeof(page) ? (size_t)(to - from) : sizeof(page), from);
		if (n <= 0)
			return n == 0;
		for (ssize_t i = 0; i < n; i++)
			if (page[i])
				return false;
	}
	return true;
}

static bool reads_as_zeros(int writable, off_t from, off_t to)
{
	/* The descriptor may be one to write only. */
	int fd = open(path_of("/proc/self/fd/%d", writable).s, O_RDONLY | O_CLOEXEC);
	bool zeros = fd >= 0 && reads_zeros(fd, from, to);

	if (fd >= 0)
		close(fd);
	return zeros;
}

/*
 * A direct read of a part of a block: xfs gives what lies in a hole, and refuses what lies in data. Which of the two a
 * copied file has there is not said. The positions are made the same again.
 */
static bool known_direct_read(const struct side *stack, const struct side *plain, const struct call *c)
{
	int slot = atoi(c->argv[0]);

	if ((strcmp(c->type->name, "read") && strcmp(c->type->name, "pread")) || (stack->err != EINVAL && plain->err != EINVAL) ||
	    !(fcntl(plain->fd[slot], F_GETFL) & O_DIRECT))
		return false;
	lseek(stack->fd[slot], 0, SEEK_SET);
	lseek(plain->fd[slot], 0, SEEK_SET);
	return true;
}

/* The two outcomes are not the same. True if that is as it should be. */
static bool known_difference(struct side *stack, struct side *plain, const struct call *c)
{
	if (!excuses)
		return false;
	if (!strcmp(c->type->name, "fstat") && stack->rc == plain->rc && stack->err == plain->err)
		return same_but_nlink(&stack->text, &plain->text) ||
		       same_removed_dir(plain->fd[atoi(c->argv[0])], &stack->text, &plain->text);
	/*
	 * Copy-up neither keeps the exact shape of holes nor promises to make any: what the stack says
	 * must fit the data, no more.
	 */
	if (!strcmp(c->type->name, "seekhole") && !stack->text.len) {
		int fd = plain->fd[atoi(c->argv[0])];
		off_t from = atoll(c->argv[1]);
		struct stat st;

		if (fstat(fd, &st) || !S_ISREG(st.st_mode) || from >= st.st_size || from < 0)
			return false;
		if (!strcmp(c->argv[2], "data"))
			return stack->rc >= 0 ? stack->rc >= from && stack->rc < st.st_size && reads_as_zeros(fd, from, stack->rc)
					      : stack->err == ENXIO && reads_as_zeros(fd, from, st.st_size);
		return stack->rc == st.st_size || (stack->rc >= from && stack->rc < st.st_size && reads_as_zeros(fd, stack->rc, stack->rc + 1));
	}
	if (known_direct_read(stack, plain, c))
		return true;
	/* Where nothing can be shared, something else may be wrong first. */
	if (!strcmp(c->type->name, "dedupe") && plain->err == EOPNOTSUPP)
		return stack->rc <= 0;
	/* To change no owner of an immutable file: ext4 refuses that too; others don't, and a stack keeps the protection from the layer. */
	if (!strcmp(c->type->name, "chown") && !strcmp(c->argv[1], "-1") && !strcmp(c->argv[2], "-1"))
		return !stack->rc && plain->err == EPERM;
	/* A directory of which some has been listed: a position is not one of a file. */
	if (strstr(c->type->name, "read") && stack->rc < 0 && plain->err == EISDIR)
		return true;
	/* A mapping by a descriptor that is older than the last change. */
	if (!strcmp(c->type->name, "mapread")) {
		int slot = atoi(c->argv[0]), fd = plain->fd[slot];
		struct stat st;

		return (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY && !fstat(fd, &st) &&
		       memcmp(&st.st_ctim, &plain->opened[slot], sizeof(st.st_ctim));
	}
	/* A directory that is not empty: which of the two errors says so is up to a filesystem. */
	if (!strcmp(c->type->name, "rename") || !strcmp(c->type->name, "rmdir"))
		return (stack->err == ENOTEMPTY && plain->err == EEXIST) || (stack->err == EEXIST && plain->err == ENOTEMPTY);
	/* An ACL that a file of a lower layer does not have: to remove it is an error, as with any xattr. */
	if (c->argc > 1 && strstr(c->type->name, "xattr") && strstr(c->argv[1], "posix_acl_"))
		return stack->err == ENODATA && !plain->err;
	return false;
}

/* The mtime of a directory of the plain tree is made to follow the stack's, which is that of a change just now. */
static void follow_mtime(const struct side *stack, const struct side *plain, const char *path)
{
	struct stat a, b;

	if (!lstat(at(stack, path).s, &a) && !lstat(at(plain, path).s, &b) && S_ISDIR(b.st_mode) &&
	    a.st_mtim.tv_sec >= TIME_OF_NOW && b.st_mtim.tv_sec < TIME_OF_NOW)
		utimensat(AT_FDCWD, at(plain, path).s, (struct timespec[2]){ b.st_atim, { .tv_nsec = UTIME_NOW } }, 0);
}

/*
 * In the place of a whiteout a directory comes by exchanging the two, and then xfs changes the mtime of what gets another parent. To
 * leave a whiteout is a flag of rename(), and when such a rename fails, ext4 changes the mtime of the directory.
 */
static void known_move(const struct side *stack, const struct side *plain, const struct call *c)
{
	struct statfs fs;
	char parent[512], *slash;

	if (strcmp(c->type->name, "rename") || statfs(plain->root, &fs))
		return;
	if (fs.f_type == XFS_SUPER_MAGIC && !stack->rc && !plain->rc)
		follow_mtime(stack, plain, c->argv[1]);
	if (fs.f_type == EXT4_SUPER_MAGIC && stack->rc < 0 && plain->rc < 0) {
		snprintf(parent, sizeof(parent), "%s", c->argv[0]);
		slash = strrchr(parent, '/');
		if (slash)
			*slash = 0;
		follow_mtime(stack, plain, slash ? parent : ".");
	}
}

/*
 * A stack takes the set-user-id and set-group-id bits away before it hands a change of data to the layer; a plain filesystem
 * may refuse the change first (also a write), or (tmpfs) not care. The plain tree is made to follow: less privilege is never wrong.
 */
static void known_stripping(const struct side *stack, const struct side *plain, const struct call *c)
{
	static const char *const ops[] = { "fallocate", "clone", "clonerange", "copyrange", "sendfile", "write", "pwrite" };
	bool refused = stack->rc < 0 || strcmp(c->type->name + strlen(c->type->name) - 5, "write");
	int slot = atoi(c->argv[!strcmp(c->type->name, "copyrange") ? 2 : 0]);
	struct stat a, b;

	for (size_t i = 0; c->uid && i < ARRAY_SIZE(ops); i++)
		if (refused && !strcmp(c->type->name, ops[i]) && !fstat(stack->fd[slot], &a) && !fstat(plain->fd[slot], &b) &&
		    a.st_mode != b.st_mode && (a.st_mode | (b.st_mode & (S_ISUID | S_ISGID))) == b.st_mode)
			fchmod(plain->fd[slot], a.st_mode & 07777);
}

#endif
