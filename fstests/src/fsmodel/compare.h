// SPDX-License-Identifier: GPL-2.0-only
/*
 * Comparing the two sides: an outcome with an outcome, one object's attributes, whole trees. A
 * difference has a kind ("errno of rename", "tree: mtime") by which the shrinker knows that it
 * still sees the same one, and a text for people.
 */
#ifndef FSMODEL_COMPARE_H
#define FSMODEL_COMPARE_H

#include "layers.h"

struct difference {
	char kind[96];
	struct text text;
};

/* The first word of a line that differs from the other line's, up to its '='. */
static void first_different_word(const char *a, const char *b, char *out, size_t room)
{
	size_t start = 0, i;

	for (i = 0; a[i] && a[i] == b[i]; i++)
		if (a[i] == ' ')
			start = i + 1;
	if ((!a[i] && b[i] == ' ') || (!b[i] && a[i] == ' '))
		start = i + 1;
	snprintf(out, room, "%.*s", (int)strcspn(a[i] ? a + start : b + start, "= \n"), a[i] ? a + start : b + start);
}

/* --- a tree as text --------------------------------------------------------------------------- */

/* What tells a file from one that has come to have its number: when it was born. */
struct id {
	unsigned long long ino, birth;
	char type;
};

struct dump {
	struct text text;	/* a line for each object */
	struct lines paths;	/* and their paths, in the same order */
	struct id *id;
};

static uint64_t digest_of(const char *path, int *err)
{
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC);
	static char buf[65536];
	uint64_t h = 0;
	ssize_t n;

	*err = 0;
	if (fd < 0) {
		*err = errno;
		return 0;
	}
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		h = digest_more(h, buf, n);
	if (n < 0)
		*err = errno;
	close(fd);
	return h;
}

static bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n >= m && !strcmp(s + n - m, end);
}

static void dump_xattrs(struct text *t, const char *path)
{
	char list[4096], value[1024], *names[64];
	ssize_t n = llistxattr(path, list, sizeof(list)), v;
	int count = 0;

	if (n < 0) {
		text_add(t, " xattrs=%s", errno_name(errno));
		return;
	}
	for (char *p = list; p < list + n && count < 64; p += strlen(p) + 1)
		names[count++] = p;
	qsort(names, count, sizeof(*names), name_order);
	for (int i = 0; i < count; i++) {
		/* How xfs keeps ACLs, shown beside them. */
		if (!strncmp(names[i], "trusted.SGI_ACL_", 16))
			continue;
		v = lgetxattr(path, names[i], value, sizeof(value));
		text_add(t, " [%s]=", names[i]);
		if (v < 0)
			text_add(t, "%s", errno_name(errno));
		else if (ends_with(names[i], ".overlay.uuid"))
			text_add(t, "%zd:random", v);
		else
			text_add(t, "%zd:%08x", v, (unsigned int)digest_more(1, value, v));
	}
}

static struct id id_of(const char *path)
{
	struct statx stx;

	if (statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_INO | STATX_TYPE | STATX_BTIME, &stx))
		return (struct id){ 0 };
	return (struct id){
		.ino = stx.stx_ino,
		.birth = stx.stx_btime.tv_sec * 1000000000ull + stx.stx_btime.tv_nsec,
		.type = type_letter(stx.stx_mode),
	};
}

static void dump_object(struct dump *d, const char *root, const char *rel, const struct entry *e)
{
	struct path p = strcmp(rel, ".") ? path_of("%s/%s", root, rel) : path_of("%s", root);
	struct text *t = &d->text;
	struct stat st;
	struct listing l;
	char target[PATH_MAX];
	ssize_t n;
	int err, flags;

	lines_add(&d->paths, rel);
	d->id = must(realloc(d->id, d->paths.room * sizeof(*d->id)));
	d->id[d->paths.n - 1] = id_of(p.s);
	text_add(t, "%s ", rel);
	if (lstat(p.s, &st)) {
		text_add(t, "lstat=%s\n", errno_name(errno));
		return;
	}
	tell_stat(t, &st);
	if (e && e->type != IFTODT(st.st_mode))
		text_add(t, " d_type=%d", e->type);
	if (e && e->ino != st.st_ino && (compare_link_ino || S_ISDIR(st.st_mode)) &&
	    (compare_special_d_ino || S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)) && compare_ino)
		text_add(t, " d_ino=wrong(%llu,st_ino=%llu)", (unsigned long long)e->ino, (unsigned long long)st.st_ino);
	if ((S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)) && !get_flags(p.s, &flags) && (flags & COMPARED_FLAGS))
		text_add(t, " flags=%x", flags & COMPARED_FLAGS);
	dump_xattrs(t, p.s);
	if (S_ISREG(st.st_mode)) {
		uint64_t h = digest_of(p.s, &err);

		if (err)
			text_add(t, " data=%s", errno_name(err));
		else
			text_add(t, " data=%016llx", (unsigned long long)h);
	} else if (S_ISLNK(st.st_mode)) {
		n = readlink(p.s, target, sizeof(target) - 1);
		target[n < 0 ? 0 : n] = 0;
		text_add(t, " target=%s", n < 0 ? errno_name(errno) : target);
	}
	if (!S_ISDIR(st.st_mode)) {
		text_add(t, "\n");
		return;
	}
	if (!list_path(p.s, &l)) {
		text_add(t, " list=%s\n", errno_name(errno));
		return;
	}
	text_add(t, "\n");
	for (size_t i = 0; i < l.n; i++) {
		struct path sub = strcmp(rel, ".") ? path_of("%s/%s", rel, l.entry[i].name) : path_of("%s", l.entry[i].name);

		if (i && !strcmp(l.entry[i].name, l.entry[i - 1].name))
			text_add(t, "%s listed=twice\n", sub.s);
		dump_object(d, root, sub.s, &l.entry[i]);
	}
	free(l.entry);
}

static void dump_tree(struct dump *d, const char *root, const char *rel)
{
	text_clear(&d->text);
	lines_truncate(&d->paths, 0);
	dump_object(d, root, rel, NULL);
}

static void dump_free(struct dump *d)
{
	free(d->text.s);
	lines_free(&d->paths);
	free(d->id);
	memset(d, 0, sizeof(*d));
}

/* --- two trees -------------------------------------------------------------------------------- */

static void first_different_byte(struct text *t, const char *a, const char *b)
{
	int fa = open(a, O_RDONLY | O_NOATIME | O_CLOEXEC), fb = open(b, O_RDONLY | O_NOATIME | O_CLOEXEC);
	static char x[4096], y[4096];
	ssize_t n, m;
	off_t off = 0;

	while (fa >= 0 && fb >= 0 && (n = pread(fa, x, sizeof(x), off)) > 0 && (m = pread(fb, y, sizeof(y), off)) == n) {
		for (ssize_t i = 0; i < n; i++)
			if (x[i] != y[i]) {
				text_add(t, "\n  the data differs from byte %lld on: %d and %d", (long long)(off + i),
					 (unsigned char)x[i], (unsigned char)y[i]);
				goto out;
			}
		off += n;
	}
out:
	if (fa >= 0)
		close(fa);
	if (fb >= 0)
		close(fb);
}

/* The first line that differs between two dumps. */
static bool dumps_differ(const struct dump *a, const struct dump *b, const char *a_name, const char *b_name, struct difference *d)
{
	const char *x = text_str(&a->text), *y = text_str(&b->text);
	char word[48], line_x[2048], line_y[2048], *space;
	const char *path;

	if (text_same(&a->text, &b->text))
		return false;
	for (;;) {
		size_t nx = strcspn(x, "\n"), ny = strcspn(y, "\n");

		if (nx != ny || strncmp(x, y, nx) || !*x) {
			snprintf(line_x, sizeof(line_x), "%.*s", (int)nx, x);
			snprintf(line_y, sizeof(line_y), "%.*s", (int)ny, y);
			break;
		}
		x += nx + 1;
		y += ny + 1;
	}
	space = strchr(line_x, ' ');
	path = line_x;
	if (!space || strncmp(line_x, line_y, space - line_x + 1)) {
		/* One side lacks a name: that which sorts first is the one that the other lacks. */
		snprintf(d->kind, sizeof(d->kind), "tree: names");
		text_add(&d->text, "the trees differ where\n  %s has: %s\n  %s has: %s", a_name, *line_x ? line_x : "(nothing more)", b_name,
			 *line_y ? line_y : "(nothing more)");
		return true;
	}
	first_different_word(space + 1, line_y + (space + 1 - line_x), word, sizeof(word));
	snprintf(d->kind, sizeof(d->kind), "tree: %s", word);
	text_add(&d->text, "the trees differ in %s\n  %s has: %s\n  %s has: %s", word, a_name, line_x, b_name, line_y);
	(void)path;
	return true;
}

static bool trees_differ(struct dump *a, struct dump *b, const struct side *sa, const struct side *sb, const char *rel,
			 struct difference *d)
{
	char path[PATH_MAX];

	dump_tree(a, sa->root, rel);
	dump_tree(b, sb->root, rel);
	if (!dumps_differ(a, b, sa->name, sb->name, d))
		return false;
	if (!strcmp(d->kind, "tree: data") && sscanf(strstr(text_str(&d->text), " has: "), " has: %s", path) == 1)
		first_different_byte(&d->text, at(sa, path).s, at(sb, path).s);
	return true;
}

/* --- one object ------------------------------------------------------------------------------- */

static void tell_lstat(struct text *t, const struct side *s, const char *rel)
{
	struct stat st;

	text_clear(t);
	if (lstat(at(s, rel).s, &st))
		text_add(t, "lstat=%s", errno_name(errno));
	else
		tell_stat(t, &st);
}

static bool paths_differ(const struct side *a, const struct side *b, const char *rel, const char *op, struct difference *d)
{
	static struct text x, y;
	char word[32];

	tell_lstat(&x, a, rel);
	tell_lstat(&y, b, rel);
	if (text_same(&x, &y))
		return false;
	first_different_word(text_str(&x), text_str(&y), word, sizeof(word));
	snprintf(d->kind, sizeof(d->kind), "attribute after %s: %s", op, word);
	text_add(&d->text, "%s has another %s\n  %s has: %s\n  %s has: %s", rel, word, a->name, x.s, b->name, y.s);
	return true;
}

/*
 * The attributes of an open file that has no name left: the plain one has no links then (and none are
 * told), a stack goes on showing those of the layer.
 */
static bool same_but_nlink(struct text *stack, const struct text *plain)
{
	char *word = stack->s ? strstr(stack->s, " nlink=") : NULL;
	size_t n;

	if (!word || strstr(text_str(plain), " nlink="))
		return false;
	n = 1 + strcspn(word + 1, " ");
	memmove(word, word + n, strlen(word + n) + 1);
	stack->len -= n;
	return text_same(stack, plain);
}

/*
 * A directory that was removed: to put a whiteout in its place it was exchanged for one, which xfs takes for a change of what
 * gets another parent.
 */
static bool same_removed_dir(int plain, struct text *x, struct text *y)
{
	struct stat st;
	char *word;

	if (fstat(plain, &st) || !S_ISDIR(st.st_mode) || st.st_nlink)
		return false;
	for (int i = 0; i < 2; i++)
		if ((word = strstr(text_str(i ? y : x), " mtime=")))
			(i ? y : x)->len = word - (i ? y : x)->s;
	return text_same(x, y);
}

static bool slots_differ(struct side *a, struct side *b, int slot, const char *op, struct difference *d)
{
	static struct text x, y;
	struct side *sides[2] = { a, b };
	char word[32];

	for (int i = 0; i < 2; i++) {
		struct text *t = i ? &y : &x;
		struct stat st;

		text_clear(t);
		if (fstat(sides[i]->fd[slot], &st)) {
			text_add(t, "fstat=%s", errno_name(errno));
		} else {
			if (!S_ISDIR(st.st_mode))
				text_add(t, "position=%lld ", (long long)lseek(sides[i]->fd[slot], 0, SEEK_CUR));
			tell_stat(t, &st);
		}
	}
	if (text_same(&x, &y) || same_but_nlink(&x, &y) || same_removed_dir(b->fd[slot], &x, &y))
		return false;
	first_different_word(text_str(&x), text_str(&y), word, sizeof(word));
	snprintf(d->kind, sizeof(d->kind), "descriptor after %s: %s", op, word);
	text_add(&d->text, "slot %d has another %s\n  %s has: %s\n  %s has: %s", slot, word, a->name, x.s, b->name, y.s);
	return true;
}

static void tell_outcome(struct text *t, const struct side *s)
{
	if (s->rc < 0)
		text_add(t, "%s", errno_name(s->err));
	else
		text_add(t, "%ld", s->rc);
	if (s->text.len)
		text_add(t, " %s", s->text.s);
}

static bool outcomes_differ(const struct side *a, const struct side *b, const char *op, struct difference *d)
{
	size_t i = 0;

	if (a->rc != b->rc || a->err != b->err || !text_same(&a->text, &b->text) || a->len != b->len) {
		if (a->err != b->err)
			snprintf(d->kind, sizeof(d->kind), "errno of %s: %s, not %s", op, errno_name(a->err), errno_name(b->err));
		else
			snprintf(d->kind, sizeof(d->kind), "result of %s", op);
		text_add(&d->text, "%s gives another result\n  %s gives: ", op, a->name);
		tell_outcome(&d->text, a);
		text_add(&d->text, "\n  %s gives: ", b->name);
		tell_outcome(&d->text, b);
		return true;
	}
	if (!a->len || !memcmp(a->data, b->data, a->len))
		return false;
	while (a->data[i] == b->data[i])
		i++;
	snprintf(d->kind, sizeof(d->kind), "data of %s", op);
	text_add(&d->text, "%s gives %zu bytes which differ from byte %zu on: %s %d, %s %d", op, a->len, i, a->name,
		 (unsigned char)a->data[i], b->name, (unsigned char)b->data[i]);
	return true;
}

#endif
