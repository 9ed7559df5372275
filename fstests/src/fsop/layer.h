// SPDX-License-Identifier: GPL-2.0-only
/*
 * fsop: what a directory tree is, in full, for golden outputs and for comparing two moments:
 * `layer` shows a layer as it lies on disk, with whiteouts and the stack's marks; `tree` shows what
 * a user sees, with contents and times; `leftovers` looks for what should not be in a work directory.
 */
#include "core.h"
#include <sys/sysmacros.h>
#include <sys/xattr.h>

enum { TREE_DEPTH = 64 };

/* The inodes of the whiteouts met, to tell whether they are shared. */
struct seen_whiteouts {
	unsigned long names, inodes;
	ino_t ino[256];
};

static void note_whiteout(struct seen_whiteouts *w, ino_t ino)
{
	w->names++;
	for (unsigned long i = 0; i < w->inodes && i < 256; i++)
		if (w->ino[i] == ino)
			return;
	if (w->inodes < 256)
		w->ino[w->inodes] = ino;
	w->inodes++;
}

static bool is_whiteout(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && !st->st_rdev;
}

/* What a mark's name is without "trusted.overlay." or "user.overlay."; NULL: not a mark. */
static const char *mark_of(const char *name)
{
	if (!strncmp(name, "trusted.overlay.", 16))
		return name + 16;
	return strncmp(name, "user.overlay.", 13) ? NULL : name + 13;
}

/* A file handle differs from run to run: only whether it looks like one is shown. */
static void put_mark(const char *name, const char *mark, const char *value, ssize_t n)
{
	bool user = name[0] == 'u';

	if (!strcmp(mark, "origin") || !strcmp(mark, "upper")) {
		bool good = n > 21 && (unsigned char)value[1] == 0xfb && (unsigned char)value[2] == n;

		printf(" %s%s%s", user ? "user:" : "", mark, n == 0 ? "(empty)" : good ? "" : "(malformed)");
	} else if (!strcmp(mark, "finalized")) {
		bool good = n == 16 && value[0] == 1;

		printf(" %sfinalized(%d)", user ? "user:" : "", good ? value[4] : -1);
	} else if (!strcmp(mark, "uuid")) {
		printf(" %suuid%s", user ? "user:" : "", n == 16 ? "" : "(malformed)");
	} else {
		printf(" %s%s=", user ? "user:" : "", mark);
		put_bytes(value, (size_t)(n < 0 ? 0 : n));
	}
}

static void put_xattrs(const char *path, bool marks)
{
	static char list[65536], value[65536];
	static char *names[1024];
	ssize_t count = sorted_xattrs(path, list, sizeof(list), names, 1024);

	if (count < 0 && errno != EOPNOTSUPP)
		printf(" xattrs:%s", errno_name(errno));
	for (ssize_t i = 0; i < count; i++) {
		ssize_t n = lgetxattr(path, names[i], value, sizeof(value));
		const char *mark = mark_of(names[i]);

		if (n < 0) {
			printf(" %s:%s", names[i], errno_name(errno));
		} else if (marks && mark) {
			put_mark(names[i], mark, value, n);
		} else {
			putchar(' ');
			put_bytes(names[i], strlen(names[i]));
			putchar('=');
			put_bytes(value, (size_t)n);
		}
	}
}

static void put_common(const char *path, const struct stat *st)
{
	put_bytes(path, strlen(path));
	printf(": %s %04o %u:%u", type_name(st->st_mode), st->st_mode & 07777, st->st_uid, st->st_gid);
	if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode))
		printf(" rdev=%u:%u", major(st->st_rdev), minor(st->st_rdev));
	if (S_ISREG(st->st_mode))
		printf(" size=%lld", (long long)st->st_size);
	if (S_ISLNK(st->st_mode)) {
		char to[PATH_MAX];
		ssize_t n = readlink(path, to, sizeof(to));

		printf(" -> ");
		put_bytes(to, n < 0 ? 0 : (size_t)n);
	}
}

/* The children of a directory, in order, each given to a function. */
static int each_child(const char *path, int depth, void (*f)(const char *, int, void *), void *arg)
{
	struct listing l;
	char p[PATH_MAX];

	if (depth == TREE_DEPTH) {
		errno = ELOOP;
		return FAIL;
	}
	if (list_dir(path, &l))
		return FAIL;
	qsort(l.e, l.n, sizeof(*l.e), by_name);
	for (size_t i = 0; i < l.n; i++) {
		if (!strcmp(l.e[i].name, ".") || !strcmp(l.e[i].name, ".."))
			continue;
		snprintf(p, sizeof(p), "%s/%s", path, l.e[i].name);
		f(p, depth + 1, arg);
	}
	free_listing(&l);
	return OK;
}

static void layer_entry(const char *path, int depth, void *arg)
{
	struct stat st;

	if (lstat(path, &st)) {
		printf("%s: %s\n", path, errno_name(errno));
		return;
	}
	if (is_whiteout(&st)) {
		put_bytes(path, strlen(path));
		puts(": whiteout");
		note_whiteout(arg, st.st_ino);
		return;
	}
	put_common(path, &st);
	if (!S_ISDIR(st.st_mode) && st.st_nlink != 1)
		printf(" nlink=%lu", (unsigned long)st.st_nlink);
	put_xattrs(path, true);
	putchar('\n');
	if (S_ISDIR(st.st_mode) && each_child(path, depth, layer_entry, arg))
		printf("%s: listing: %s\n", path, errno_name(errno));
}

/* layer P: everything in a layer, a line each; whether its whiteouts share an inode. */
static int c_layer(int argc, struct word *a)
{
	struct seen_whiteouts w = { 0 };
	struct stat st;

	(void)argc;
	if (lstat(path_of(a[1]), &st))
		return FAIL;
	layer_entry(path_of(a[1]), 0, &w);
	if (w.names > 1)
		printf("%s: %lu whiteouts, %s\n", a[1].s, w.names,
		       w.inodes == 1 ? "one inode" : w.inodes == w.names ? "an inode each" : "several inodes");
	return OK;
}

/* FNV-1a of a file's content; the error if it can't be read. */
static void put_content(const char *path)
{
	static unsigned char buf[65536];
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW);
	uint64_t h = 0xcbf29ce484222325ull;
	ssize_t n = fd < 0 ? -1 : 1;

	while (n > 0) {
		n = read(fd, buf, sizeof(buf));
		for (ssize_t i = 0; i < n; i++)
			h = (h ^ buf[i]) * 0x100000001b3ull;
	}
	if (n < 0)
		printf(" content:%s", errno_name(errno));
	else
		printf(" content=%016llx", (unsigned long long)h);
	if (fd >= 0)
		close(fd);
}

static void tree_entry(const char *path, int depth, void *arg)
{
	struct stat st;

	if (lstat(path, &st)) {
		printf("%s: %s\n", path, errno_name(errno));
		return;
	}
	put_common(path, &st);
	printf(" mtime=%lld.%09ld", (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
	if (S_ISREG(st.st_mode))
		put_content(path);
	put_xattrs(path, false);
	putchar('\n');
	if (S_ISDIR(st.st_mode) && each_child(path, depth, tree_entry, arg))
		printf("%s: listing: %s\n", path, errno_name(errno));
}

/* tree P: everything in a tree as a user sees it, with contents and times: to compare, not for golden output. */
static int c_tree(int argc, struct word *a)
{
	struct stat st;

	(void)argc;
	if (lstat(path_of(a[1]), &st))
		return FAIL;
	tree_entry(path_of(a[1]), 0, NULL);
	return OK;
}

struct leftovers {
	unsigned long whiteouts, others;
};

static void leftover_entry(const char *path, int depth, void *arg)
{
	struct leftovers *l = arg;
	struct stat st;

	(void)depth;
	if (lstat(path, &st) || !is_whiteout(&st)) {
		fprintf(stderr, "# left over: %s\n", path);
		l->others++;
	} else {
		l->whiteouts++;
	}
}

/* leftovers WORK: is there anything in WORK/work but the one whiteout that is kept to be linked? */
static int c_leftovers(int argc, struct word *a)
{
	struct leftovers l = { 0 };
	char p[PATH_MAX];

	(void)argc;
	snprintf(p, sizeof(p), "%s/work", path_of(a[1]));
	if (each_child(p, 0, leftover_entry, &l))
		return FAIL;
	if (l.others || l.whiteouts > 1)
		printf("%s: left over: %lu whiteouts, %lu others\n", a[1].s, l.whiteouts, l.others);
	else
		printf("%s: nothing left over\n", a[1].s);
	return OK;
}

static const struct command layer_commands[] = {
	{ "layer", 1, 1, 0, c_layer, "P" },
	{ "tree", 1, 1, 0, c_tree, "P" },
	{ "leftovers", 1, 1, 0, c_leftovers, "WORK" },
	{ 0 },
};
