// SPDX-License-Identifier: GPL-2.0-only
/*
 * The core of fsmodel: text that grows, random numbers that a seed repeats, lists of lines, how
 * the program gives up, and small helpers for files that every other part uses.
 */
#ifndef FSMODEL_CORE_H
#define FSMODEL_CORE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/types.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof(*(a)))
#define PRINTF(a, b) __attribute__((format(printf, a, b)))
#define MAYBE_UNUSED __attribute__((unused))

PRINTF(1, 2) static void __attribute__((noreturn)) die(const char *format, ...)
{
	va_list ap;

	fflush(stdout);
	fputs("fsmodel: ", stderr);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(2);
}

static const char *errno_name(int err)
{
	const char *name = err ? strerrorname_np(err) : "ok";

	return name ? name : "E?";
}

static void *must(void *memory)
{
	if (!memory)
		die("out of memory: give the machine more");
	return memory;
}

/* --- text ------------------------------------------------------------------------------------- */

struct text {
	char *s;	/* NULL or NUL-terminated */
	size_t len, room;
};

static void text_clear(struct text *t)
{
	t->len = 0;
	if (t->s)
		t->s[0] = 0;
}

static void text_room(struct text *t, size_t more)
{
	if (t->len + more + 1 <= t->room)
		return;
	t->room = (t->len + more + 1) * 2;
	t->s = must(realloc(t->s, t->room));
}

PRINTF(2, 3) static void text_add(struct text *t, const char *format, ...)
{
	va_list ap;
	int n;

	text_room(t, 128);
	va_start(ap, format);
	n = vsnprintf(t->s + t->len, t->room - t->len, format, ap);
	va_end(ap);
	if (t->len + n >= t->room) {
		text_room(t, n);
		va_start(ap, format);
		vsnprintf(t->s + t->len, t->room - t->len, format, ap);
		va_end(ap);
	}
	t->len += n;
}

static const char *text_str(const struct text *t)
{
	return t->s ? t->s : "";
}

static bool text_same(const struct text *a, const struct text *b)
{
	return a->len == b->len && (!a->len || !memcmp(a->s, b->s, a->len));
}

/* --- lists of lines --------------------------------------------------------------------------- */

struct lines {
	char **line;
	size_t n, room;
};

static void lines_add(struct lines *l, const char *line)
{
	if (l->n == l->room) {
		l->room = l->room ? l->room * 2 : 64;
		l->line = must(realloc(l->line, l->room * sizeof(*l->line)));
	}
	l->line[l->n++] = must(strdup(line));
}

static void lines_truncate(struct lines *l, size_t n)
{
	while (l->n > n)
		free(l->line[--l->n]);
}

static void lines_free(struct lines *l)
{
	lines_truncate(l, 0);
	free(l->line);
	*l = (struct lines){ 0 };
}

/* --- random numbers (splitmix64) -------------------------------------------------------------- */

struct rng {
	uint64_t state;
};

static uint64_t mix64(uint64_t z)
{
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static uint64_t rng_next(struct rng *r)
{
	return mix64(r->state += 0x9e3779b97f4a7c15u);
}

/* 0 .. n-1 */
static unsigned int rnd(struct rng *r, unsigned int n)
{
	return n ? rng_next(r) % n : 0;
}

static bool chance(struct rng *r, unsigned int percent)
{
	return rnd(r, 100) < percent;
}

#define PICK(r, array) ((array)[rnd(r, ARRAY_SIZE(array))])

/* --- data ------------------------------------------------------------------------------------- */

/* The bytes that SEED stands for, at a file's offset OFF: they differ from seed to seed and page to page. */
static void fill(char *buf, size_t len, uint64_t seed, uint64_t off)
{
	for (size_t i = 0; i < len; i++) {
		uint64_t at = off + i;

		buf[i] = (char)(seed * 29 + at * 7 + (at >> 8) * 31 + (at >> 16) * 5 + 1);
	}
}

static uint64_t digest_more(uint64_t h, const char *s, size_t n)
{
	uint64_t word;

	for (; n >= 8; s += 8, n -= 8) {
		memcpy(&word, s, 8);
		h = (h ^ word) * 0x9e3779b97f4a7c15u;
		h ^= h >> 29;
	}
	for (; n; s++, n--)
		h = (h ^ (unsigned char)*s) * 0x100000001b3u;
	return h;
}

/* --- files ------------------------------------------------------------------------------------ */

/* A path made of a directory and a name, in a buffer of the caller's. */
struct path {
	char s[1024];
};

PRINTF(1, 2) static struct path path_of(const char *format, ...)
{
	struct path p;
	va_list ap;

	va_start(ap, format);
	vsnprintf(p.s, sizeof(p.s), format, ap);
	va_end(ap);
	return p;
}

/* The names in a directory with their types, sorted; false if it can't be read (errno). */
struct entry {
	char name[256];
	unsigned char type;
	ino_t ino;
};

struct listing {
	struct entry *entry;
	size_t n, room;
};

static int entry_order(const void *a, const void *b)
{
	return strcmp(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

static bool list_fd(int fd, struct listing *l)
{
	DIR *d = fdopendir(fd);
	struct dirent *e;

	*l = (struct listing){ 0 };
	if (!d) {
		close(fd);
		return false;
	}
	while ((errno = 0, e = readdir(d))) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		if (l->n == l->room) {
			l->room = l->room ? l->room * 2 : 16;
			l->entry = must(realloc(l->entry, l->room * sizeof(*l->entry)));
		}
		snprintf(l->entry[l->n].name, sizeof(l->entry->name), "%s", e->d_name);
		l->entry[l->n].type = e->d_type;
		l->entry[l->n++].ino = e->d_ino;
	}
	if (errno) {
		int err = errno;

		free(l->entry);
		*l = (struct listing){ 0 };
		closedir(d);
		errno = err;
		return false;
	}
	closedir(d);
	if (l->n)
		qsort(l->entry, l->n, sizeof(*l->entry), entry_order);
	return true;
}

static bool list_path(const char *path, struct listing *l)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	*l = (struct listing){ 0 };
	return fd >= 0 && list_fd(fd, l);
}

static char type_letter(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG: return 'f';
	case S_IFDIR: return 'd';
	case S_IFLNK: return 'l';
	case S_IFIFO: return 'p';
	case S_IFSOCK: return 's';
	case S_IFCHR: return 'c';
	case S_IFBLK: return 'b';
	}
	return '?';
}

/* What chattr(1) may have protected. */
static void unprotect(const char *path)
{
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC), flags = 0;

	if (fd < 0)
		return;
	if (!ioctl(fd, FS_IOC_GETFLAGS, &flags) && (flags & (FS_IMMUTABLE_FL | FS_APPEND_FL))) {
		flags &= ~(FS_IMMUTABLE_FL | FS_APPEND_FL);
		ioctl(fd, FS_IOC_SETFLAGS, &flags);
	}
	close(fd);
}

static void remove_tree(const char *path)
{
	struct listing l;
	struct stat st;

	if (lstat(path, &st))
		return;
	if (!S_ISDIR(st.st_mode)) {
		if (unlink(path) && (unprotect(path), unlink(path)))
			die("cannot remove %s: %s", path, errno_name(errno));
		return;
	}
	if (!list_path(path, &l))
		die("cannot list %s: %s", path, errno_name(errno));
	unprotect(path);
	for (size_t i = 0; i < l.n; i++)
		remove_tree(path_of("%s/%s", path, l.entry[i].name).s);
	free(l.entry);
	if (rmdir(path))
		die("cannot remove the directory %s: %s", path, errno_name(errno));
}

#endif
