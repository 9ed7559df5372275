// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where the trees of a run are, how the stack is mounted, and objects of layers that are made of lines of text. Layer 0 is
 * the upper, 1 the topmost lower; what is in them is described by `fsmodel ops`.
 */
#ifndef FSMODEL_TREES_H
#define FSMODEL_TREES_H

#include "op.h"

enum { MAX_LAYERS = 16, MAX_NUMBERS = 512, ROOT_TIME = 1000000000 };

/* Where the trees of a run are and how the stack is mounted. */
struct trees {
	const char *fstyp;		/* what is tested */
	const char *other;		/* another implementation of the same format, or NULL */
	char base[PATH_MAX / 4];	/* holds layers/, work/, plain/ */
	char mnt[PATH_MAX / 4];
	char elsewhere[PATH_MAX / 4];	/* on another filesystem: holds the lowers with odd numbers; empty: all are in base */
	char options[256];
	int order[MAX_LAYERS], n;	/* the layers' numbers, the upper first */
	int next;			/* the number of the next upper, or layer that is added */
	bool replaced;			/* a copy came in the place of a lower layer */
	int copy[MAX_NUMBERS];		/* how many copies came in the place of each layer, one after the other */
	int first_lowers;		/* how many lowers there were at the beginning */
	bool nested;			/* those are merged by a stack of their own, which is the one lower */
	bool mounted;
	char twin[PATH_MAX / 4];	/* where the other implementation is mounted on the same lowers under an upper of its own; empty: nowhere */
	bool swapped;			/* each is mounted on the upper that the other began with */
	bool build_twin;		/* layer 0 is the twin's upper for now */
	struct timespec born;		/* the trees were complete at this time */
	ino_t *lower_dirs;		/* directories of the plain tree that a lower layer has part in */
	size_t lower_dirs_n;
};

/* Where layer N is. Those made later, by trees_rotate, have been uppers and so are in base. */
static struct path layer_dir(const struct trees *t, int n)
{
	bool other = t->elsewhere[0] && n % 2 && n <= t->first_lowers;

	if (t->build_twin && !n)
		return path_of("%s/twin", t->base);
	if (t->copy[n])
		return path_of("%s/layers/%d.%d", other ? t->elsewhere : t->base, n, t->copy[n]);
	return path_of("%s/layers/%d", other ? t->elsewhere : t->base, n);
}

static bool has_option(const struct trees *t, const char *option)
{
	const char *p = t->options;
	size_t n = strlen(option);

	for (; (p = strstr(p, option)); p += n)
		if ((p == t->options || p[-1] == ',') && (!p[n] || p[n] == ','))
			return true;
	return false;
}

/* Do the names of a lower file stay names of one file? (The layers of a stack within have no file handles.) */
static bool keeps_links(const struct trees *t)
{
	return has_option(t, "index=on") && !t->nested;
}

static const char *xattr_prefix(const struct trees *t)
{
	return has_option(t, "userxattr") ? "user.overlay." : "trusted.overlay.";
}

/* --- building layers -------------------------------------------------------------------------- */

static void set_time(const char *path, long long seconds)
{
	struct timespec ts[2] = { { .tv_sec = seconds }, { .tv_sec = seconds, .tv_nsec = 987654000 } };

	utimensat(AT_FDCWD, path, ts, AT_SYMLINK_NOFOLLOW);
}

static void build_file(const char *path, mode_t mode, size_t size, unsigned int seed, bool holes)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	static char page[4096];

	if (fd < 0)
		return;
	for (size_t off = 0; off < size; off += sizeof(page)) {
		size_t n = size - off < sizeof(page) ? size - off : sizeof(page);

		if (holes && off / sizeof(page) % 4)
			continue;
		fill(page, n, seed, off);
		if (pwrite(fd, page, n, off) != (ssize_t)n)
			die("cannot write %s: %s", path, errno_name(errno));
	}
	if (ftruncate(fd, size))
		die("cannot set the size of %s: %s", path, errno_name(errno));
	close(fd);
}

/*
 * One line, "Lk KIND PATH ...". What can't be made because something else is missing is left out, so that a
 * list of lines stays meaningful when some are taken away.
 */
static void build_line(struct trees *t, const char *line, bool times)
{
	char buf[1024], *word[10] = { 0 }, *rest = buf, *w;
	int n = 0, layer;
	struct path p;
	const char *kind;

	snprintf(buf, sizeof(buf), "%s", line);
	while ((w = strsep(&rest, " ")) && n < 10)
		if (*w)
			word[n++] = w;
	if (n < 3 || sscanf(word[0], "L%d", &layer) != 1 || layer < 0 || layer >= MAX_LAYERS)
		die("not a line that describes a layer: %s", line);
	p = path_of("%s/%s", layer_dir(t, layer).s, word[2]);
	kind = word[1];
#define WANT(count) do { if (n < (count)) die("too few words: %s", line); } while (0)
#define OCT(i) ((mode_t)strtol(word[i], NULL, 8))
#define INT(i) atoll(word[i])
	if (times) {
		if (!strcmp(kind, "dir") && n >= 7)
			set_time(p.s, INT(6));
	} else if (!strcmp(kind, "dir") || !strcmp(kind, "file")) {
		WANT(7);
		if (*kind == 'd') {
			if (mkdir(p.s, 0700))
				return;
		} else {
			WANT(9);
			build_file(p.s, 0600, INT(7), INT(8), n > 9);
		}
		if (!lchown(p.s, INT(4), INT(5)) && !chmod(p.s, OCT(3)))
			set_time(p.s, INT(6));
	} else if (!strcmp(kind, "symlink")) {
		WANT(7);
		if (!symlink(word[3], p.s) && !lchown(p.s, INT(4), INT(5)))
			set_time(p.s, INT(6));
	} else if (!strcmp(kind, "node")) {
		mode_t type = !strcmp(word[3], "fifo") ? S_IFIFO : !strcmp(word[3], "sock") ? S_IFSOCK : S_IFCHR;

		WANT(8);
		if (!mknod(p.s, type | 0600, makedev(1, 3)) && !lchown(p.s, INT(5), INT(6)) && !chmod(p.s, OCT(4)))
			set_time(p.s, INT(7));
	} else if (!strcmp(kind, "link")) {
		WANT(4);
		if (link(path_of("%s/%s", layer_dir(t, layer).s, word[3]).s, p.s))
			return;
	} else if (!strcmp(kind, "whiteout")) {
		if (mknod(p.s, S_IFCHR, makedev(0, 0)))
			return;
	} else if (!strcmp(kind, "opaque")) {
		if (lsetxattr(p.s, path_of("%sopaque", xattr_prefix(t)).s, "y", 1, 0))
			return;
	} else if (!strcmp(kind, "xattr")) {
		struct call c = { .argv = { word[4] } };
		char value[512];

		WANT(5);
		if (lsetxattr(p.s, word[3], value, arg_value(&c, 0, value, sizeof(value)), 0))
			return;
	} else {
		die("unknown kind '%s' of thing in a layer: %s", kind, line);
	}
#undef WANT
#undef OCT
#undef INT
}

/*
 * An upper's directory whose entries have an inode number other than their own is marked: the stack has
 * to look at each when it lists them.
 */
static void mark_impure(const struct trees *t, const char *dir)
{
	struct listing l;

	if (lsetxattr(dir, path_of("%simpure", xattr_prefix(t)).s, "y", 1, 0) || !list_path(dir, &l))
		die("cannot mark %s: %s", dir, errno_name(errno));
	for (size_t i = 0; i < l.n; i++)
		if (l.entry[i].type == DT_DIR)
			mark_impure(t, path_of("%s/%s", dir, l.entry[i].name).s);
	free(l.entry);
}

static void make_layer_root(const struct trees *t, int layer)
{
	struct path p = layer_dir(t, layer);

	if (mkdir(p.s, 0755) || chmod(p.s, 0777))
		die("cannot make %s: %s", p.s, errno_name(errno));
	set_time(p.s, ROOT_TIME);
}

#endif
