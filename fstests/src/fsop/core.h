// SPDX-License-Identifier: GPL-2.0-only
/*
 * The core of fsop: words (byte strings that may hold anything), the table of commands, named
 * file descriptors and named numbers, and how results and errors are printed. Everything printed
 * is meant for golden output: errors by their errno name, unprintable bytes as \xHH, very long
 * words shortened.
 */
#ifndef FSOP_CORE_H
#define FSOP_CORE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

/* A word of a command line: a byte string with its length; a NUL always follows it. */
struct word {
	char *s;
	size_t n;
};

/* What a command returns: done; failed, errno says how; not called as its help says. */
enum { OK = 0, FAIL = -1, USAGE = -2 };

/* TERSE: on an error only the command's name is printed, not its arguments. */
enum { TERSE = 1 };

struct command {
	const char *name;
	int min, max;		/* how many arguments; max -1: any number */
	int flags;
	int (*run)(int argc, struct word *argv);	/* argv[0] is the command's name */
	const char *help;
};

/* Print a byte string: printable ASCII as it is, all else as \xHH; longer than LONG_WORD: shortened. */
enum { LONG_WORD = 120 };

static void put_bytes(const char *s, size_t n)
{
	size_t show = n > LONG_WORD ? 24 : n;

	for (size_t i = 0; i < show; i++) {
		unsigned char c = s[i];

		if (c == '\\')
			fputs("\\\\", stdout);
		else if (c >= 0x20 && c < 0x7f)
			putchar(c);
		else
			printf("\\x%02x", c);
	}
	if (show < n)
		printf("...(%zu)", n);
}

static void put_word(struct word w)
{
	if (!w.n)
		fputs("\"\"", stdout);
	else
		put_bytes(w.s, w.n);
}

static const char *errno_name(int err)
{
	const char *name = strerrorname_np(err);

	return name ? name : "E?";
}

static void __attribute__((noreturn, format(printf, 1, 2))) die(const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	va_start(ap, fmt);
	fputs("fsop: ", stderr);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(2);
}

static void *need(void *p)
{
	if (!p)
		die("out of memory");
	return p;
}

/* Numbers: decimal, 0x…, 0…; with a suffix k, m or g. */
static long long number(struct word w)
{
	char *end;
	long long v = strtoll(w.s, &end, 0);

	if (end == w.s)
		die("'%s' is not a number", w.s);
	switch (*end) {
	case 'g': v <<= 10;	/* fall through */
	case 'm': v <<= 10;	/* fall through */
	case 'k': v <<= 10;
		end++;
	}
	if (*end)
		die("'%s' is not a number", w.s);
	return v;
}

static bool is(struct word w, const char *s)
{
	return w.n == strlen(s) && !memcmp(w.s, s, w.n);
}

/* Named file descriptors and named numbers. */
enum { MAX_NAMED = 2048 };

struct named {
	char *name;
	long long value;
};

struct names {
	const char *what;
	int used;
	struct named slot[MAX_NAMED];
};

static struct names fds = { .what = "file descriptor" };
static struct names numbers = { .what = "number" };

static struct named *find_named(struct names *t, const char *name, size_t n)
{
	for (int i = 0; i < t->used; i++)
		if (strlen(t->slot[i].name) == n && !memcmp(t->slot[i].name, name, n))
			return &t->slot[i];
	return NULL;
}

static void set_named(struct names *t, struct word w, long long value)
{
	struct named *p = find_named(t, w.s, w.n);

	if (!p) {
		if (t->used == MAX_NAMED)
			die("too many names");
		p = &t->slot[t->used++];
		p->name = need(strndup(w.s, w.n));
	} else if (t == &fds) {
		close((int)p->value);
	}
	p->value = value;
}

static long long get_named(struct names *t, struct word w)
{
	struct named *p = find_named(t, w.s, w.n);

	if (!p)
		die("no %s is named '%s'", t->what, w.s);
	return p->value;
}

static int fd_of(struct word w)
{
	return (int)get_named(&fds, w);
}

/* Forget a name; gives its value. */
static long long drop_named(struct names *t, struct word w)
{
	struct named *p = find_named(t, w.s, w.n);
	long long value = get_named(t, w);

	free(p->name);
	*p = t->slot[--t->used];
	return value;
}

/*
 * A path argument: "name", "/abs", "@fd" (what the descriptor is open on) or "@fd/name" (relative
 * to it). at.flags is AT_EMPTY_PATH for the bare descriptor.
 */
struct at {
	int fd;
	const char *path;
	int flags;
};

static struct at at_of(struct word w)
{
	struct at at = { AT_FDCWD, w.s, 0 };

	if (w.s[0] == '@') {
		const char *slash = strchr(w.s, '/');
		size_t n = slash ? (size_t)(slash - w.s) - 1 : w.n - 1;
		struct named *p = find_named(&fds, w.s + 1, n);

		if (!p)
			die("no file descriptor is named '%.*s'", (int)n, w.s + 1);
		at.fd = (int)p->value;
		at.path = slash ? slash + 1 : "";
		if (!at.path[0])
			at.flags = AT_EMPTY_PATH;
	}
	return at;
}

/* The same as one path, for system calls without an *at form. */
static const char *path_of(struct word w)
{
	static char buf[4][PATH_MAX + 64];
	static int next;
	struct at at = at_of(w);
	char *out;

	if (at.fd == AT_FDCWD)
		return at.path;
	out = buf[next++ % 4];
	snprintf(out, sizeof(buf[0]), "/proc/self/fd/%d%s%s", at.fd, *at.path ? "/" : "", at.path);
	return out;
}

/* Names of bits: "a|b" or "a,b" to a number. */
struct bit {
	const char *name;
	unsigned long long value;
};

static unsigned long long bits_of(struct word w, const struct bit *table)
{
	unsigned long long v = 0;
	char *copy = need(strdup(w.s)), *save = NULL;

	for (char *t = strtok_r(copy, "|,", &save); t; t = strtok_r(NULL, "|,", &save)) {
		const struct bit *b = table;

		while (b->name && strcmp(b->name, t))
			b++;
		if (b->name) {
			v |= b->value;
		} else {
			char *end;

			v |= strtoull(t, &end, 0);
			if (*end || end == t)
				die("unknown flag '%s'", t);
		}
	}
	free(copy);
	return v;
}

/* What the modules share: a stream of bytes that depends on nothing but its seed and offset. */
static unsigned char pattern(uint64_t seed, uint64_t off)
{
	uint64_t x = (off >> 3) + seed * 0x9e3779b97f4a7c15ull;

	x ^= x >> 30;
	x *= 0xbf58476d1ce4e5b9ull;
	x ^= x >> 27;
	x *= 0x94d049bb133111ebull;
	x ^= x >> 31;
	return (unsigned char)(x >> ((off & 7) * 8));
}

static int run_words(int argc, struct word *argv, bool say_ok);

#endif
