// SPDX-License-Identifier: GPL-2.0-only
/* Rows: finding names that the stack has not cached, those that are there and those that are not. */
#define _GNU_SOURCE
#include "bench.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

/* A directory that is in all layers, its files in the last lower. */
static void prepare(struct stack *s)
{
	for (int i = 0; i <= s->lowers; i++)
		make_dir(in_layer(s, i, "d"));
	make_files(s, s->lowers, "d", "f", s->row->n, 100);
}

static void ready(struct stack *s)
{
	struct stat st;

	(void)s;
	CHECK(stat("d", &st));
}

static double find(struct stack *s, int round)
{
	struct stat st;
	uint64_t took = 0;

	(void)round;
	for (int i = 0; i < s->row->n; i++) {
		const char *path = name("d/f%d", i);
		uint64_t start = now();

		CHECK(stat(path, &st));
		took += now() - start;
	}
	return (double)took / s->row->n;
}

static double miss(struct stack *s, int round)
{
	struct stat st;
	uint64_t took = 0;

	(void)round;
	for (int i = 0; i < s->row->n; i++) {
		const char *path = name("d/no%d", i);
		uint64_t start = now();
		int result = stat(path, &st);

		took += now() - start;
		if (result == 0 || errno != ENOENT)
			die("%s should not be there", path);
	}
	return (double)took / s->row->n;
}

static double miss_again(struct stack *s, int round)
{
	untimed(miss, s, round);
	return miss(s, round);
}

/* A listing, after some names were asked for in vain: who keeps the names of a directory knows them now. */
static void ready_known(struct stack *s)
{
	struct dirent *entry;
	struct stat st;
	int names = 0;
	DIR *dir;

	for (int i = 0; i < 3; i++)
		if (stat(name("d/vain%d", i), &st) == 0 || errno != ENOENT)
			die("a name is there that should not be");
	dir = opendir("d");
	CHECK(dir ? 0 : -1);
	while ((entry = readdir(dir)))
		names++;
	CHECK(closedir(dir));
	if (names != s->row->n + 2)
		die("d has %d names", names);
}

/* Files that have their metadata in the first lower layer, and their data in the second, as an image of composefs. */
static void prepare_metacopies(struct stack *s)
{
	make_dir(in_layer(s, 1, "d"));
	make_dir(in_layer(s, 2, "ab"));
	for (int i = 0; i < s->row->n; i++) {
		char object[80];

		snprintf(object, sizeof(object), "/ab/%062d", i);
		if (s->system == BARE) {
			make_file(in_layer(s, 1, name("d/f%d", i)), 5000);
			continue;
		}
		make_file(in_layer(s, 2, object + 1), 5000);
		make_file(in_layer(s, 1, name("d/f%d", i)), 0);
		CHECK(truncate(in_layer(s, 1, name("d/f%d", i)), 5000));
		CHECK(setxattr(in_layer(s, 1, name("d/f%d", i)), "trusted.overlay.metacopy", "", 0, 0));
		CHECK(setxattr(in_layer(s, 1, name("d/f%d", i)), "trusted.overlay.redirect", object, strlen(object), 0));
	}
}

#define COLD .remount = true, .prepare = prepare, .ready = ready
const struct row rows_lookup[] = {
	{ .name = "stat-cold", .what = "first stat of a lower file after the mount",
	  .n = 500, COLD, .round = find },
	{ .name = "lookup-1", .what = "the same through 1 lower layer",
	  .n = 300, .lowers = 1, COLD, .round = find },
	{ .name = "lookup-8", .what = "the same through 8", .n = 200, .lowers = 8, COLD, .round = find },
	{ .name = "lookup-64", .what = "the same through 64", .n = 100, .lowers = 64, COLD, .round = find },
	{ .name = "lookup-500", .what = "the same through 500",
	  .n = 30, .lowers = 500, .rounds = 3, COLD, .round = find },
	{ .name = "metacopy", .what = "first stat of a metacopy whose data is in a data-only layer", .n = 300,
	  .data_only = true, .remount = true, .prepare = prepare_metacopies, .ready = ready, .round = find },
	{ .name = "miss", .what = "first stat of a name that is not there", .n = 500, COLD, .round = miss },
	{ .name = "miss-ext4", .what = "the same, on layers on ext4", .place = EXT4, .n = 500, COLD, .round = miss },
	{ .name = "miss-again", .what = "stat of it again", .n = 500, COLD, .round = miss_again },
#define KNOWN(n_lowers, size, ...)                                                                              \
	{ .name = "known-" #n_lowers, .what = "first stat of a name, the directory listed, " #n_lowers " lower",    \
	  .n = size, .lowers = n_lowers, .remount = true, .prepare = prepare, .ready = ready_known, .round = find,  \
	  __VA_ARGS__ },                                                                                            \
	{ .name = "known-miss-" #n_lowers, .what = "the same of one that is not there", .n = size,                  \
	  .lowers = n_lowers, .remount = true, .prepare = prepare, .ready = ready_known, .round = miss, __VA_ARGS__ }
	KNOWN(1, 200), KNOWN(8, 200), KNOWN(64, 100), KNOWN(500, 100, .rounds = 3),
	{ 0 },
};
