// SPDX-License-Identifier: GPL-2.0-only
/*
 * The plain tree that the merge of layers is, worked out from the layers alone.
 */
#ifndef FSMODEL_MERGE_H
#define FSMODEL_MERGE_H

#include "trees.h"

static void copy_xattrs(const struct trees *t, const char *from, const char *to)
{
	const char *prefix = xattr_prefix(t);
	bool from_plain = !strncmp(from, t->base, strlen(t->base)) && !strncmp(from + strlen(t->base), "/plain", 6);
	bool to_layer = !strncmp(to, t->base, strlen(t->base)) && !strncmp(to + strlen(t->base), "/layers/", 8);
	char list[4096], value[1024];
	ssize_t n = llistxattr(from, list, sizeof(list)), v;

	for (char *name = list; n > 0 && name < list + n; name += strlen(name) + 1) {
		struct path as = path_of("%s", name);

		if (from_plain && to_layer && !strncmp(name, prefix, strlen(prefix))) {
			as = path_of("%soverlay.%s", prefix, name + strlen(prefix));
		} else if (!from_plain && !strncmp(name, prefix, strlen(prefix))) {
			/* The format's own are not part of the merge, except those that are escaped. */
			if (strncmp(name + strlen(prefix), "overlay.", 8))
				continue;
			as = path_of("%s%s", prefix, name + strlen(prefix) + 8);
		}
		v = lgetxattr(from, name, value, sizeof(value));
		if (v < 0 || lsetxattr(to, as.s, value, v, 0))
			die("cannot copy the xattr %s of %s: %s", name, from, errno_name(errno));
	}
}

static void copy_attributes(const struct trees *t, const char *from, const char *to, const struct stat *st)
{
	struct timespec ts[2] = { st->st_atim, st->st_mtim };

	if (lchown(to, st->st_uid, st->st_gid) || (!S_ISLNK(st->st_mode) && chmod(to, st->st_mode & 07777)))
		die("cannot set the attributes of %s: %s", to, errno_name(errno));
	copy_xattrs(t, from, to);
	utimensat(AT_FDCWD, to, ts, AT_SYMLINK_NOFOLLOW);
}

static void copy_data(const char *from, const char *to, const struct stat *st)
{
	int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	static char page[4096], zeros[4096];
	ssize_t n;
	off_t off = 0;

	if (in < 0 || out < 0)
		die("cannot copy %s to %s: %s", from, to, errno_name(errno));
	for (; (n = pread(in, page, sizeof(page), off)) > 0; off += n)
		if (memcmp(page, zeros, n) && pwrite(out, page, n, off) != n)
			die("cannot write %s: %s", to, errno_name(errno));
	if (n < 0 || ftruncate(out, st->st_size))
		die("cannot copy %s: %s", from, errno_name(errno));
	close(in);
	close(out);
}

static void copy_object(const struct trees *t, const char *from, const char *to, const struct stat *st)
{
	char target[PATH_MAX];
	ssize_t n;

	if (S_ISREG(st->st_mode)) {
		copy_data(from, to, st);
	} else if (S_ISLNK(st->st_mode)) {
		n = readlink(from, target, sizeof(target) - 1);
		target[n < 0 ? 0 : n] = 0;
		if (n < 0 || symlink(target, to))
			die("cannot copy the link %s: %s", from, errno_name(errno));
	} else if (mknod(to, st->st_mode, st->st_rdev)) {
		die("cannot copy %s: %s", from, errno_name(errno));
	}
	copy_attributes(t, from, to, st);
}

/* Files of a layer that have several names: where the first one is in the plain tree, and how many are there. */
static struct linked {
	dev_t dev;
	ino_t ino;
	nlink_t nlink, seen;
	struct path path;
} linked[64];
static int linked_n;

/* Gives a file of a layer its next name in the plain tree; false for the first. */
static bool link_object(const struct trees *t, const char *to, const struct stat *st)
{
	if (st->st_nlink < 2 || !keeps_links(t))
		return false;
	for (int i = 0; i < linked_n; i++) {
		struct linked *l = &linked[i];

		if (l->dev != st->st_dev || l->ino != st->st_ino)
			continue;
		l->seen++;
		if (link(l->path.s, to))
			die("cannot link %s: %s", to, errno_name(errno));
		return true;
	}
	if (linked_n == ARRAY_SIZE(linked))
		die("too many files with several names");
	linked[linked_n++] = (struct linked){ st->st_dev, st->st_ino, st->st_nlink, 1, path_of("%s", to) };
	return false;
}

/* Merges all layers into the plain tree. Names that are not seen count in the stack all the same. */
static void merge_dirs(struct trees *t, const int *order, int n, const char *rel, const char *to);

static void merge_layers(struct trees *t, const char *plain)
{
	linked_n = 0;
	merge_dirs(t, t->order, t->n, ".", plain);
	for (int i = 0; i < linked_n; i++)
		if (linked[i].seen != linked[i].nlink)
			compare_nlink = false;
}

static bool is_whiteout(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && st->st_rdev == 0;
}

static bool is_opaque(const struct trees *t, const char *dir)
{
	char value[8];

	return lgetxattr(dir, path_of("%sopaque", xattr_prefix(t)).s, value, sizeof(value)) == 1 && value[0] == 'y';
}

static void note_lower_dir(struct trees *t, const char *plain)
{
	struct stat st;

	if (lstat(plain, &st))
		die("cannot stat %s: %s", plain, errno_name(errno));
	t->lower_dirs = must(realloc(t->lower_dirs, (t->lower_dirs_n + 1) * sizeof(ino_t)));
	t->lower_dirs[t->lower_dirs_n++] = st.st_ino;
}

/* Is this layer in the stack that is the one lower of the outer? */
static bool is_inner(const struct trees *t, int layer)
{
	return t->nested && layer >= 1 && layer <= t->first_lowers;
}

/* Merges what the N layers in ORDER (0 first) have at REL into the plain tree's directory TO, which exists. */
static void merge_dirs(struct trees *t, const int *order, int n, const char *rel, const char *to)
{
	struct listing seen[MAX_LAYERS];
	struct path last = path_of("%s/%s", layer_dir(t, order[n - 1]).s, rel);
	struct stat was;
	int inner = 0;

	for (int i = 0; i < n; i++)
		inner += is_inner(t, order[i]);
	if (lstat(last.s, &was))
		die("cannot stat %s: %s", last.s, errno_name(errno));
	for (int i = 0; i < n; i++)
		if (!list_path(path_of("%s/%s", layer_dir(t, order[i]).s, rel).s, &seen[i]))
			die("cannot list layer %d at %s: %s", order[i], rel, errno_name(errno));
	for (int i = 0; i < n; i++)
		for (size_t k = 0; k < seen[i].n; k++) {
			const char *name = seen[i].entry[k].name;
			struct path sub = path_of("%s/%s", rel, name), from, into = path_of("%s/%s", to, name);
			int dirs[MAX_LAYERS], dirs_n = 0;
			struct stat st, lower;
			bool above = false;

			for (int j = 0; j < i && !above; j++)
				above = bsearch(&seen[i].entry[k], seen[j].entry, seen[j].n, sizeof(struct entry), entry_order);
			from = path_of("%s/%s", layer_dir(t, order[i]).s, sub.s);
			if (lstat(from.s, &st))
				die("cannot stat %s: %s", from.s, errno_name(errno));
			/* A whiteout in a directory that is not merged is listed: nothing leaves any there. */
			if ((n == 1 || (inner == 1 && is_inner(t, order[i]))) && is_whiteout(&st))
				unlink(from.s);
			if (above || is_whiteout(&st))
				continue;
			if (!S_ISDIR(st.st_mode)) {
				if (!link_object(t, into.s, &st))
					copy_object(t, from.s, into.s, &st);
				continue;
			}
			for (int j = i; j < n; j++) {
				struct path there = path_of("%s/%s", layer_dir(t, order[j]).s, sub.s);

				if (lstat(there.s, &lower))
					continue;
				if (!S_ISDIR(lower.st_mode))
					break;
				dirs[dirs_n++] = order[j];
				if (is_opaque(t, there.s))
					break;
			}
			if (mkdir(into.s, 0700))
				die("cannot make %s: %s", into.s, errno_name(errno));
			merge_dirs(t, dirs, dirs_n, sub.s, into.s);
			copy_attributes(t, from.s, into.s, &st);
			if (dirs[dirs_n - 1] != t->order[0])
				note_lower_dir(t, into.s);
		}
	for (int i = 0; i < n; i++)
		free(seen[i].entry);
	utimensat(AT_FDCWD, last.s, (struct timespec[2]){ was.st_atim, was.st_mtim }, 0);
}

#endif
