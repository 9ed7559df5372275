// SPDX-License-Identifier: GPL-2.0-only
/* Rows: listing directories that are merged from upper and two lower layers, after the mount and again. */
#define _GNU_SOURCE
#include "bench.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BUFFER 32768

/* Small directories come in numbers: one listing is too short to be timed alone. */
static int dirs_of(const struct stack *s)
{
	return s->row->n <= 10 ? 50 : s->row->n <= 1000 ? 3 : 1;
}

/* A tenth of the names in upper, the others half and half in the two lowers. */
static void prepare(struct stack *s)
{
	int n = s->row->n;

	for (int i = 0; i < dirs_of(s); i++) {
		char dir[16];

		snprintf(dir, sizeof(dir), "d%d", i);
		make_files(s, 0, dir, "upper-", n / 10, 0);
		make_files(s, 1, dir, "first-", n / 2 - n / 20, 0);
		make_files(s, 2, dir, "second-", n - n / 10 - (n / 2 - n / 20), 0);
	}
	s->buffer = malloc(BUFFER);
}

static void ready(struct stack *s)
{
	struct stat st;

	for (int i = 0; i < dirs_of(s); i++)
		CHECK(stat(name("d%d", i), &st));
}

/* Names in the directory, "." and ".." not counted. */
static int list(struct stack *s, const char *path)
{
	int fd = CHECK(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)), names = -2;
	long got;

	while ((got = CHECK(syscall(SYS_getdents64, fd, s->buffer, BUFFER))) > 0)
		for (long at = 0; at < got; at += ((struct dirent64 *)(s->buffer + at))->d_reclen)
			names++;
	CHECK(close(fd));
	return names;
}

static double list_all(struct stack *s, int round)
{
	uint64_t start = now();

	(void)round;
	for (int i = 0; i < dirs_of(s); i++) {
		const char *dir = name("d%d", i);
		int names = list(s, dir);

		if (names != s->row->n) {
			errno = EBADMSG;
			die("%s: %s lists %d names of %d", system_names[s->system], dir, names, s->row->n);
		}
	}
	return (double)(now() - start) / dirs_of(s);
}

static double list_again(struct stack *s, int round)
{
	untimed(list_all, s, round);
	return list_all(s, round);
}

#define READDIR(size, r)                                                                                        \
	{ .name = "readdir-" #size, .what = "list " #size " merged names for the first time", .n = size,        \
	  .rounds = r, .remount = true, .prepare = prepare, .ready = ready, .round = list_all },                \
	{ .name = "readdir-" #size "-again", .what = "list them again", .n = size, .rounds = r,                 \
	  .remount = true, .prepare = prepare, .ready = ready, .round = list_again }

const struct row rows_readdir[] = {
	READDIR(10, 0),
	READDIR(1000, 0),
	READDIR(10000, 3),
	{ 0 },
};
