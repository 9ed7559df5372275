// SPDX-License-Identifier: GPL-2.0-only
/*
 * What an operation is: a line of text such as "uid=1000 open 3 a/b RDWR|CREAT 0644", carried out
 * on one side (the stack or the plain tree), with an outcome that can be compared. `fsmodel ops`
 * lists them all. A path is relative to the tree's root, "." is the root; a slot is one of a few
 * file descriptors that stay open from one operation to the next.
 */
#ifndef FSMODEL_OP_H
#define FSMODEL_OP_H

#include "core.h"
#include <grp.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>

enum { SLOTS = 8, MAX_ARGS = 8, DATA_MAX = 1 << 20 };

/* One of the two trees: where it is, what is open in it, what the last operation on it gave. */
struct side {
	const char *name;
	char root[PATH_MAX / 2];
	int fd[SLOTS];
	struct timespec opened[SLOTS];	/* when what is open there had been changed last before */
	long rc;
	int err;
	struct text text;	/* what it told: names, attributes, values */
	char *data;		/* what it read: DATA_MAX bytes, aligned for direct I/O */
	size_t len;		/* how much of it */
};

static void side_init(struct side *s, const char *name, const char *root)
{
	memset(s, 0, sizeof(*s));
	s->name = name;
	snprintf(s->root, sizeof(s->root), "%s", root);
	for (int i = 0; i < SLOTS; i++)
		s->fd[i] = -1;
	s->data = must(aligned_alloc(4096, DATA_MAX));
}

static void side_close_slots(struct side *s)
{
	for (int i = 0; i < SLOTS; i++) {
		if (s->fd[i] >= 0)
			close(s->fd[i]);
		s->fd[i] = -1;
	}
}

struct call {
	const struct op_type *type;
	int uid;		/* as whom; 0: root */
	int umask;
	int argc;
	char *argv[MAX_ARGS];
	char buf[1024];		/* holds the words */
};

/*
 * The arguments by letters: s slot, p path (its last link is not followed by the comparison after
 * the operation), w word, n number.
 */
struct op_type {
	const char *name;
	const char *args;
	long (*run)(struct side *s, const struct call *c);
	const char *help;
};

/* Where the kernel wants a path as a string. */
static struct path at(const struct side *s, const char *rel)
{
	return strcmp(rel, ".") ? path_of("%s/%s", s->root, rel) : path_of("%s", s->root);
}

static long long arg_num(const struct call *c, int i)
{
	char *end;
	long long v = strtoll(c->argv[i], &end, 0);

	if (*end)
		die("'%s' is not a number, in: %s", c->argv[i], c->type->name);
	return v;
}

static int *arg_slot(struct side *s, const struct call *c, int i)
{
	long long n = arg_num(c, i);

	if (n < 0 || n >= SLOTS)
		die("there is no slot %lld: 0 to %d", n, SLOTS - 1);
	return &s->fd[n];
}

#define SLOT(i) (*arg_slot(s, c, i))
#define NUM(i) arg_num(c, i)
#define PATH(i) at(s, c->argv[i]).s

/* --- words for flags -------------------------------------------------------------------------- */

struct word {
	const char *name;
	long value;
};

static const struct word open_words[] = {
	{ "RDONLY", O_RDONLY }, { "WRONLY", O_WRONLY }, { "RDWR", O_RDWR }, { "CREAT", O_CREAT }, { "EXCL", O_EXCL },
	{ "TRUNC", O_TRUNC }, { "APPEND", O_APPEND }, { "DIRECT", O_DIRECT }, { "NOFOLLOW", O_NOFOLLOW },
	{ "DIRECTORY", O_DIRECTORY }, { "NOATIME", O_NOATIME }, { "PATH", O_PATH }, { "SYNC", O_SYNC }, { NULL, 0 },
};
static const struct word rename_words[] = {
	{ "none", 0 }, { "NOREPLACE", 1 }, { "EXCHANGE", 2 }, { "WHITEOUT", 4 }, { NULL, 0 },
};
static const struct word falloc_words[] = {
	{ "none", 0 }, { "KEEP_SIZE", FALLOC_FL_KEEP_SIZE }, { "PUNCH_HOLE", FALLOC_FL_PUNCH_HOLE },
	{ "COLLAPSE_RANGE", FALLOC_FL_COLLAPSE_RANGE }, { "ZERO_RANGE", FALLOC_FL_ZERO_RANGE },
	{ "INSERT_RANGE", FALLOC_FL_INSERT_RANGE }, { "UNSHARE_RANGE", FALLOC_FL_UNSHARE_RANGE }, { NULL, 0 },
};
static const struct word whence_words[] = {
	{ "set", SEEK_SET }, { "cur", SEEK_CUR }, { "end", SEEK_END }, { NULL, 0 },
};
static const struct word hole_words[] = { { "data", SEEK_DATA }, { "hole", SEEK_HOLE }, { NULL, 0 } };
static const struct word xattr_words[] = {
	{ "any", 0 }, { "create", XATTR_CREATE }, { "replace", XATTR_REPLACE }, { NULL, 0 },
};

static long arg_words(const struct call *c, int i, const struct word *words)
{
	char copy[256], *part, *rest = copy;
	long value = 0;

	snprintf(copy, sizeof(copy), "%s", c->argv[i]);
	while ((part = strsep(&rest, "|"))) {
		const struct word *w = words;

		while (w->name && strcmp(w->name, part))
			w++;
		if (!w->name)
			die("unknown word '%s' in: %s", part, c->type->name);
		value |= w->value;
	}
	return value;
}

/* A value: text, or bytes written as 0x... */
static size_t arg_value(const struct call *c, int i, char *out, size_t room)
{
	const char *s = c->argv[i];
	size_t n = 0;
	unsigned int byte;

	if (strncmp(s, "0x", 2)) {
		n = strlen(s);
		memcpy(out, s, n < room ? n : room);
		return n;
	}
	for (s += 2; n < room && sscanf(s, "%2x", &byte) == 1; s += 2)
		out[n++] = (char)byte;
	return n;
}

static void tell_value(struct side *s, const char *value, ssize_t n)
{
	for (ssize_t i = 0; i < n; i++)
		text_add(&s->text, "%02x", (unsigned char)value[i]);
}

/* --- attributes, as they are compared --------------------------------------------------------- */

/*
 * A time that an operation set to now differs between the sides; one that was set to a given time does
 * not: all given times are before this one.
 */
enum { TIME_OF_NOW = 1600000000 };

/* What is not compared in this episode; known.h says why. */
static bool compare_nlink = true, compare_file_mtime = true, compare_link_ino = true, compare_special_ino = true,
	    compare_special_d_ino = true, compare_ino = true;

static void tell_stat(struct text *t, const struct stat *st)
{
	bool dir = S_ISDIR(st->st_mode);

	text_add(t, "type=%c mode=%o uid=%u gid=%u", type_letter(st->st_mode), st->st_mode & 07777, st->st_uid, st->st_gid);
	if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode))
		text_add(t, " rdev=%u:%u", major(st->st_rdev), minor(st->st_rdev));
	if (!dir)
		text_add(t, " size=%lld", (long long)st->st_size);
	if (!dir && compare_nlink && st->st_nlink)
		text_add(t, " nlink=%lu", (unsigned long)st->st_nlink);
	if (S_ISFIFO(st->st_mode) || (S_ISREG(st->st_mode) && !compare_file_mtime))
		return;
	if (st->st_mtim.tv_sec < TIME_OF_NOW)
		text_add(t, " mtime=%lld.%09ld", (long long)st->st_mtim.tv_sec, st->st_mtim.tv_nsec);
	else
		text_add(t, " mtime=now");
}

/* --- names ------------------------------------------------------------------------------------ */

static long run_mkdir(struct side *s, const struct call *c) { return mkdir(PATH(0), NUM(1)); }
static long run_symlink(struct side *s, const struct call *c) { return symlink(c->argv[1], PATH(0)); }
static long run_unlink(struct side *s, const struct call *c) { return unlink(PATH(0)); }
static long run_rmdir(struct side *s, const struct call *c) { return rmdir(PATH(0)); }
static long run_link(struct side *s, const struct call *c) { return link(PATH(0), PATH(1)); }

static long run_linkfollow(struct side *s, const struct call *c)
{
	return linkat(AT_FDCWD, PATH(0), AT_FDCWD, PATH(1), AT_SYMLINK_FOLLOW);
}

static long run_mknod(struct side *s, const struct call *c)
{
	static const struct word types[] = {
		{ "reg", S_IFREG }, { "fifo", S_IFIFO }, { "sock", S_IFSOCK }, { "chr", S_IFCHR }, { "blk", S_IFBLK },
		{ "dir", S_IFDIR }, { NULL, 0 },
	};

	return mknod(PATH(0), arg_words(c, 1, types) | NUM(2), makedev(NUM(3), NUM(4)));
}

static long run_rename(struct side *s, const struct call *c)
{
	return renameat2(AT_FDCWD, PATH(0), AT_FDCWD, PATH(1), arg_words(c, 2, rename_words));
}

static long run_readlink(struct side *s, const struct call *c)
{
	ssize_t n = readlink(PATH(0), s->data, DATA_MAX);

	s->len = n > 0 ? n : 0;
	return n;
}

static long run_ls(struct side *s, const struct call *c)
{
	int fd = open(PATH(0), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct listing l;

	if (fd < 0 || !list_fd(fd, &l))
		return -1;
	for (size_t i = 0; i < l.n; i++)
		text_add(&s->text, "%s/%c ", l.entry[i].name, type_letter(DTTOIF(l.entry[i].type)));
	free(l.entry);
	return 0;
}

/* --- attributes ------------------------------------------------------------------------------- */

static long run_chmod(struct side *s, const struct call *c) { return chmod(PATH(0), NUM(1)); }
static long run_chown(struct side *s, const struct call *c) { return lchown(PATH(0), NUM(1), NUM(2)); }
static long run_access(struct side *s, const struct call *c) { return faccessat(AT_FDCWD, PATH(0), NUM(1), AT_EACCESS); }
static long run_truncate(struct side *s, const struct call *c) { return truncate(PATH(0), NUM(1)); }

static long run_stat(struct side *s, const struct call *c)
{
	struct stat st;

	if (stat(PATH(0), &st))
		return -1;
	tell_stat(&s->text, &st);
	return 0;
}

/* A time in seconds, or "now" or "omit", for both atime and mtime. */
static void arg_times(const struct call *c, int i, struct timespec ts[2])
{
	ts[0] = ts[1] = (struct timespec){ 0 };
	if (!strcmp(c->argv[i], "now"))
		ts[0].tv_nsec = ts[1].tv_nsec = UTIME_NOW;
	else if (!strcmp(c->argv[i], "omit"))
		ts[0].tv_nsec = ts[1].tv_nsec = UTIME_OMIT;
	else
		ts[0].tv_sec = ts[1].tv_sec = NUM(i), ts[1].tv_nsec = 123456000;
}

static long run_utimens(struct side *s, const struct call *c)
{
	struct timespec ts[2];

	arg_times(c, 1, ts);
	return utimensat(AT_FDCWD, PATH(0), ts, AT_SYMLINK_NOFOLLOW);
}

static long run_setxattr(struct side *s, const struct call *c)
{
	char value[512];
	size_t n = arg_value(c, 2, value, sizeof(value));

	return lsetxattr(PATH(0), c->argv[1], value, n, arg_words(c, 3, xattr_words));
}

static long run_removexattr(struct side *s, const struct call *c) { return lremovexattr(PATH(0), c->argv[1]); }

static long run_getxattr(struct side *s, const struct call *c)
{
	char value[1024];
	ssize_t n = lgetxattr(PATH(0), c->argv[1], value, sizeof(value));

	tell_value(s, value, n);
	return n;
}

static int name_order(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* The names that the kernel lists, in an order of ours. */
static void tell_names(struct text *t, char *list, ssize_t n)
{
	char *names[64];
	int count = 0;

	for (char *p = list; p < list + n && count < 64; p += strlen(p) + 1)
		names[count++] = p;
	qsort(names, count, sizeof(*names), name_order);
	for (int i = 0; i < count; i++)
		if (strncmp(names[i], "trusted.SGI_ACL_", 16))
			text_add(t, "%s ", names[i]);
}

static long run_listxattr(struct side *s, const struct call *c)
{
	char list[4096];
	ssize_t n = llistxattr(PATH(0), list, sizeof(list));

	tell_names(&s->text, list, n);
	return n < 0 ? n : 0;
}

/* Of the flags of chattr(1) those that every filesystem here has and that a directory does not hand down. */
enum { COMPARED_FLAGS = FS_IMMUTABLE_FL | FS_APPEND_FL | FS_NOATIME_FL };

static int get_flags(const char *path, int *flags)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC), rc, err;
	struct stat st;

	if (fd < 0)
		return -1;
	errno = ENOTTY;
	rc = !fstat(fd, &st) && (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)) ? ioctl(fd, FS_IOC_GETFLAGS, flags) : -1;
	err = errno;
	close(fd);
	errno = err;
	return rc;
}

static int set_flags(const char *path, int clear, int set)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC), rc = -1, err, flags;
	struct stat st;

	if (fd < 0)
		return -1;
	errno = ENOTTY;
	if (!fstat(fd, &st) && (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)) && !ioctl(fd, FS_IOC_GETFLAGS, &flags)) {
		if (S_ISDIR(st.st_mode))
			set &= ~FS_NOATIME_FL;
		flags = (flags & ~clear) | set;
		rc = ioctl(fd, FS_IOC_SETFLAGS, &flags);
	}
	err = errno;
	close(fd);
	errno = err;
	return rc;
}

static long run_chattr(struct side *s, const struct call *c)
{
	static const struct word words[] = {
		{ "none", 0 }, { "i", FS_IMMUTABLE_FL }, { "a", FS_APPEND_FL }, { "A", FS_NOATIME_FL }, { NULL, 0 },
	};
	struct stat st;

	/* Devices and fifos are not opened for this. */
	if (lstat(PATH(0), &st))
		return -1;
	errno = ENOTTY;
	return S_ISREG(st.st_mode) || S_ISDIR(st.st_mode) ? set_flags(PATH(0), COMPARED_FLAGS, arg_words(c, 1, words)) : -1;
}

#include "op-fd.h"

/* A difference made on purpose, to show that one is found. */
static long run_spoil(struct side *s, const struct call *c)
{
	return strcmp(s->name, "plain") ? 0 : chmod(PATH(0), 01234);
}

/* Only in the stack: see stream.h. */
static long run_stream(struct side *s, const struct call *c)
{
	(void)s;
	(void)c;
	return 0;
}

/* What is done to the stack as a whole is done by the episode, not on each side. */
static long run_nothing(struct side *s, const struct call *c)
{
	(void)s;
	(void)c;
	return 0;
}

static const struct op_type op_types[] = {
	{ "open", "spwn", run_open, "SLOT PATH FLAGS MODE" },
	{ "tmpfile", "spwn", run_tmpfile, "SLOT DIR RDWR|... MODE" },
	{ "linkfd", "sp", run_linkfd, "SLOT NEW: give the open file a name" },
	{ "close", "s", run_close, "SLOT" },
	{ "read", "sn", run_read, "SLOT LEN" },
	{ "pread", "snn", run_pread, "SLOT OFF LEN" },
	{ "write", "snn", run_write, "SLOT LEN SEED" },
	{ "pwrite", "snnn", run_pwrite, "SLOT OFF LEN SEED" },
	{ "lseek", "snw", run_lseek, "SLOT OFF set|cur|end" },
	{ "seekhole", "snw", run_seekhole, "SLOT OFF data|hole" },
	{ "ftruncate", "sn", run_ftruncate, "SLOT SIZE" },
	{ "fallocate", "swnn", run_fallocate, "SLOT none|KEEP_SIZE|... OFF LEN" },
	{ "copyrange", "snsnn", run_copyrange, "SLOT-IN OFF SLOT-OUT OFF LEN" },
	{ "sendfile", "ssnn", run_sendfile, "SLOT-OUT SLOT-IN OFF LEN" },
	{ "clone", "ss", run_clone, "SLOT-TO SLOT-FROM: FICLONE" },
	{ "clonerange", "ssnnn", run_clonerange, "SLOT-TO SLOT-FROM OFF-FROM OFF-TO LEN" },
	{ "dedupe", "ssnnn", run_dedupe, "SLOT-FROM SLOT-TO OFF-FROM OFF-TO LEN: FIDEDUPERANGE" },
	{ "mapread", "snn", run_mapread, "SLOT OFF LEN" },
	{ "mapwrite", "snnn", run_mapwrite, "SLOT OFF LEN SEED: store through a shared mapping, msync" },
	{ "fsync", "s", run_fsync, "SLOT" },
	{ "fdatasync", "s", run_fdatasync, "SLOT" },
	{ "fstat", "s", run_fstat, "SLOT" },
	{ "fchmod", "sn", run_fchmod, "SLOT MODE" },
	{ "fchown", "snn", run_fchown, "SLOT UID GID" },
	{ "futimens", "sw", run_futimens, "SLOT SECONDS|now|omit" },
	{ "fsetxattr", "swww", run_fsetxattr, "SLOT NAME VALUE any|create|replace" },
	{ "fremovexattr", "sw", run_fremovexattr, "SLOT NAME" },
	{ "fgetxattr", "sw", run_fgetxattr, "SLOT NAME" },
	{ "fls", "s", run_fls, "SLOT: list the directory that is open" },
	{ "stream", "sn", run_stream, "SLOT BYTES: list some more of the open directory, from the beginning after its end" },
	{ "chattr", "pw", run_chattr, "PATH none|i|a|A|..." },
	{ "mkdir", "pn", run_mkdir, "PATH MODE" },
	{ "mknod", "pwnnn", run_mknod, "PATH reg|fifo|sock|chr|blk|dir MODE MAJOR MINOR" },
	{ "symlink", "pw", run_symlink, "PATH TARGET" },
	{ "link", "pp", run_link, "OLD NEW" },
	{ "linkfollow", "pp", run_linkfollow, "OLD NEW: of what the symlink OLD points to" },
	{ "unlink", "p", run_unlink, "PATH" },
	{ "rmdir", "p", run_rmdir, "PATH" },
	{ "rename", "ppw", run_rename, "OLD NEW none|NOREPLACE|EXCHANGE|WHITEOUT" },
	{ "readlink", "p", run_readlink, "PATH" },
	{ "ls", "p", run_ls, "PATH" },
	{ "stat", "p", run_stat, "PATH" },
	{ "access", "pn", run_access, "PATH MODE" },
	{ "chmod", "pn", run_chmod, "PATH MODE" },
	{ "chown", "pnn", run_chown, "PATH UID GID" },
	{ "truncate", "pn", run_truncate, "PATH SIZE" },
	{ "utimens", "pw", run_utimens, "PATH SECONDS|now|omit" },
	{ "setxattr", "pwww", run_setxattr, "PATH NAME VALUE any|create|replace" },
	{ "removexattr", "pw", run_removexattr, "PATH NAME" },
	{ "getxattr", "pw", run_getxattr, "PATH NAME" },
	{ "listxattr", "p", run_listxattr, "PATH" },
	{ "spoil", "p", run_spoil, "PATH: change the plain tree only, to test the test" },
	{ "remount", "", run_nothing, "umount, forget what is cached, mount" },
	{ "rotate", "", run_nothing, "the upper becomes the topmost lower, under a new, empty upper" },
	{ "other", "", run_nothing, "mount the layers with the other implementation (layerfs, overlay), compare, mount again" },
	{ "readonly", "", run_nothing, "remount read-only, see that nothing can be made, and remount as before" },
	{ "finalize", "p", run_nothing, "finalize the directory, and those below, in the stack" },
	{ "dropcaches", "", run_nothing, "forget what is cached" },
	{ "relayer", "n", run_nothing, "N: a copy comes in the place of the Nth lower layer" },
	{ "addlayer", "n", run_nothing, "0|1: an empty layer is added on top of the lowers, or beneath" },
	{ "shutlayer", "", run_nothing, "a lower layer that is empty is shut down" },
	{ "movelayer", "", run_nothing, "a copy of the topmost lower is added on top of it, which is shut down" },
	{ "filllayer", "n", run_nothing, "N: a file comes into the Nth lower from the one beneath" },
	{ "filled", "", run_nothing, "all that was looked up is looked up anew" },
	{ NULL, NULL, NULL, NULL },
};

/* --- a line ----------------------------------------------------------------------------------- */

static void parse_call(struct call *c, const char *line)
{
	char *word, *rest = c->buf;

	memset(c, 0, sizeof(*c));
	c->umask = 022;
	if (strlen(line) >= sizeof(c->buf))
		die("too long a line: %s", line);
	strcpy(c->buf, line);
	while ((word = strsep(&rest, " "))) {
		if (!*word)
			continue;
		if (!c->type) {
			if (sscanf(word, "uid=%d", &c->uid) == 1 || sscanf(word, "umask=%o", (unsigned int *)&c->umask) == 1)
				continue;
			for (const struct op_type *t = op_types; t->name && !c->type; t++)
				if (!strcmp(t->name, word))
					c->type = t;
			if (!c->type)
				die("no operation is named '%s' (fsmodel ops lists them), in: %s", word, line);
		} else if (c->argc < MAX_ARGS) {
			c->argv[c->argc++] = word;
		}
	}
	if (!c->type)
		die("an empty line");
	if ((size_t)c->argc != strlen(c->type->args))
		die("%s wants: %s; the line is: %s", c->type->name, c->type->help, line);
}

static void become(int uid)
{
	/* Only the effective ids: the way back to root stays open. A user's group has the same number. */
	if (uid ? setegid(uid) || seteuid(uid) : seteuid(0) || setegid(0))
		die("cannot become user %d: %s (fsmodel runs as root)", uid, errno_name(errno));
}

/* How often each operation was done on the stack, and how often it succeeded. */
static unsigned long op_done[ARRAY_SIZE(op_types)], op_good[ARRAY_SIZE(op_types)];

static void count_call(const struct side *s, const struct call *c)
{
	if (!strcmp(s->name, "plain"))
		return;
	op_done[c->type - op_types]++;
	op_good[c->type - op_types] += s->rc >= 0;
}

static void run_call(struct side *s, const struct call *c)
{
	text_clear(&s->text);
	s->len = 0;
	umask(c->umask);
	if (c->uid)
		become(c->uid);
	errno = 0;
	s->rc = c->type->run(s, c);
	s->err = s->rc < 0 ? errno : 0;
	count_call(s, c);
	if (c->uid)
		become(0);
	umask(0);
}

#endif
