// SPDX-License-Identifier: GPL-2.0-only
/*
 * fsop: two trees compared, entry by entry: names, types, modes, owners, sizes, times of files,
 * link targets, link counts of files, device numbers, extended attributes and contents. Says what
 * differs and how much was compared, so that an empty comparison can't pass for a good one.
 */
#include "core.h"
#include <sys/xattr.h>

struct compared {
	unsigned long dirs, files, links, others, errors, differences;
	bool ino;	/* are inode numbers to be the same too? */
	/*
	 * May a name that only ever answers an error (or is a whiteout of the second kind in the
	 * lowest layer) be listed or not, or make a listing fail? overlayfs looks names up while it
	 * lists them, but not always.
	 */
	bool lenient;
};

static void differs(struct compared *c, const char *path, const char *what)
{
	if (++c->differences <= 20) {
		put_bytes(path, strlen(path));
		printf(": %s differs\n", what);
	}
}

/* The content, or the same error of opening or of reading. */
static bool same_content(const char *a, const char *b)
{
	static char x[65536], y[65536];
	int fa = open(a, O_RDONLY), ea = errno, fb = open(b, O_RDONLY), eb = errno;
	bool same = (fa < 0) == (fb < 0) && (fa >= 0 || ea == eb);
	ssize_t n = 1, m;

	while (same && fa >= 0 && n > 0) {
		n = read(fa, x, sizeof(x));
		ea = errno;
		m = read(fb, y, sizeof(y));
		same = n == m && (n < 0 ? ea == errno : !memcmp(x, y, (size_t)n));
	}
	if (fa >= 0)
		close(fa);
	if (fb >= 0)
		close(fb);
	return same;
}

/* Private attributes of the stack are left out on the side that is a layer or a flat tree. */
static bool same_xattrs(const char *a, const char *b)
{
	static char la[65536], lb[65536], va[65536], vb[65536];
	static char *na[1024], *nb[1024];
	ssize_t x = sorted_xattrs(a, la, sizeof(la), na, 1024), y = sorted_xattrs(b, lb, sizeof(lb), nb, 1024);

	if (x != y)
		return false;
	for (ssize_t i = 0; i < x; i++) {
		if (strcmp(na[i], nb[i]))
			return false;
		ssize_t n = lgetxattr(a, na[i], va, sizeof(va));

		if (n != lgetxattr(b, nb[i], vb, sizeof(vb)) || (n > 0 && memcmp(va, vb, (size_t)n)))
			return false;
	}
	return true;
}

/* Does one of these names answer an error that is not its absence? */
static bool any_error(const char *dir, const struct listing *l)
{
	char p[PATH_MAX];
	struct stat st;

	for (size_t i = 0; i < l->n; i++) {
		snprintf(p, sizeof(p), "%s/%s", dir, l->e[i].name);
		if (lstat(p, &st) && errno != ENOENT)
			return true;
	}
	return false;
}

static void compare_entry(struct compared *c, const char *a, const char *b, bool root);

static void compare_dirs(struct compared *c, const char *a, const char *b)
{
	struct listing x, y;
	size_t i = 0, j = 0;
	int ra = list_dir(a, &x), ea = errno, rb = list_dir(b, &y), eb = errno;

	if (ra || rb) {
		if (c->lenient && ((!ra && any_error(a, &x)) || (!rb && any_error(b, &y))))
			c->errors++;
		else if (!ra != !rb || ea != eb)
			differs(c, a, "listing (error)");
		else
			c->errors++;
		if (!ra)
			free_listing(&x);
		if (!rb)
			free_listing(&y);
		return;
	}
	qsort(x.e, x.n, sizeof(*x.e), by_name);
	qsort(y.e, y.n, sizeof(*y.e), by_name);
	while (i < x.n || j < y.n) {
		int order = i == x.n ? 1 : j == y.n ? -1 : strcmp(x.e[i].name, y.e[j].name);
		const char *name = order <= 0 ? x.e[i].name : y.e[j].name;
		char pa[PATH_MAX], pb[PATH_MAX];

		snprintf(pa, sizeof(pa), "%s/%s", a, name);
		snprintf(pb, sizeof(pb), "%s/%s", b, name);
		struct stat st;

		if (order && c->lenient && lstat(pa, &st) && lstat(pb, &st))
			c->errors++;
		else if (order)
			differs(c, pa, order < 0 ? "presence (only in the first tree)" : "presence (only in the second tree)");
		else if (strcmp(name, ".") && strcmp(name, "..")) {
			if (x.e[i].type != y.e[j].type)
				differs(c, pa, "d_type");
			compare_entry(c, pa, pb, false);
		}
		i += order <= 0;
		j += order >= 0;
	}
	free_listing(&x);
	free_listing(&y);
}

static void compare_entry(struct compared *c, const char *a, const char *b, bool root)
{
	struct stat x, y;
	char ta[PATH_MAX], tb[PATH_MAX];

	int ra = lstat(a, &x), ea = errno, rb = lstat(b, &y), eb = errno;

	if (ra || rb) {
		if (!ra != !rb || ea != eb) {
			differs(c, a, "stat (error)");
			fprintf(stderr, "# %s: %s and %s: %s\n", a, ra ? errno_name(ea) : "ok", b, rb ? errno_name(eb) : "ok");
		} else {
			c->errors++;
		}
		return;
	}
	if ((x.st_mode & S_IFMT) != (y.st_mode & S_IFMT)) {
		differs(c, a, "type");
		return;
	}
	if (x.st_mode != y.st_mode)
		differs(c, a, "mode");
	if (x.st_uid != y.st_uid || x.st_gid != y.st_gid)
		differs(c, a, "owner");
	if (x.st_rdev != y.st_rdev)
		differs(c, a, "device number");
	if (c->ino && x.st_ino != y.st_ino)
		differs(c, a, "inode number");
	if (!root && !same_xattrs(a, b))
		differs(c, a, "set of extended attributes");
	if (S_ISDIR(x.st_mode)) {
		c->dirs++;
		compare_dirs(c, a, b);
		return;
	}
	if (x.st_size != y.st_size)
		differs(c, a, "size");
	if (x.st_nlink != y.st_nlink)
		differs(c, a, "link count");
	if (x.st_mtim.tv_sec != y.st_mtim.tv_sec || x.st_mtim.tv_nsec != y.st_mtim.tv_nsec)
		differs(c, a, "mtime");
	if (S_ISLNK(x.st_mode)) {
		ssize_t n = readlink(a, ta, sizeof(ta));

		c->links++;
		if (n < 0 || n != readlink(b, tb, sizeof(tb)) || memcmp(ta, tb, (size_t)n))
			differs(c, a, "target");
	} else if (S_ISREG(x.st_mode)) {
		c->files++;
		if (!same_content(a, b))
			differs(c, a, "content");
	} else {
		c->others++;
	}
}

/*
 * compare A B [ino] [lenient]: nothing about the roots' own attributes, everything about what is below; with
 * ino, inode numbers too. What answers the same error in both is the same, and is counted.
 */
static int c_compare(int argc, struct word *a)
{
	struct compared c = { 0 };
	struct stat st;

	for (int i = 3; i < argc; i++) {
		c.ino |= is(a[i], "ino");
		c.lenient |= is(a[i], "lenient");
	}
	if (stat(path_of(a[1]), &st) || stat(path_of(a[2]), &st))
		return FAIL;
	compare_entry(&c, path_of(a[1]), path_of(a[2]), true);
	printf("compared %lu directories, %lu files, %lu symbolic links, %lu others", c.dirs, c.files, c.links, c.others);
	if (c.errors)
		printf(", %lu errors", c.errors);
	printf(": %lu differences\n", c.differences);
	return OK;
}

static const struct command tree_commands[] = {
	{ "compare", 2, 4, 0, c_compare, "A B [ino] [lenient]" },
	{ 0 },
};
