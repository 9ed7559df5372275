// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rows: changing what names there are, in a directory that is merged from upper and two lowers, and changing files
 * of upper.
 */
#define _GNU_SOURCE
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static void merged(struct stack *s)
{
	for (int i = 0; i <= s->lowers; i++)
		make_files(s, i, "d", name("own%d-", i), 3, 100);
}

static void ready(struct stack *s)
{
	struct stat st;

	(void)s;
	CHECK(stat("d", &st));
}

/* Lower files for every round, the one that does not count too. */
static void lower_files(struct stack *s)
{
	merged(s);
	for (int round = 0; round <= rounds_of(s->row); round++)
		make_files(s, 2, "d", name("f%d-", round), s->row->n, 100);
}

/* The names of a round, made before the clock runs. */
static char names[2][1000][32];

static void make_names(const struct stack *s, int which, const char *prefix)
{
	for (int i = 0; i < s->row->n; i++)
		snprintf(names[which][i], sizeof(names[which][i]), "d/%s%d", prefix, i);
}

static void fill(const struct stack *s, int which)
{
	for (int i = 0; i < s->row->n; i++)
		make_file(names[which][i], 0);
}

static void clear(const struct stack *s, int which)
{
	for (int i = 0; i < s->row->n; i++)
		CHECK(unlink(names[which][i]));
}

#define EACH(s, took, call)                                     \
	do {                                                    \
		uint64_t start_;                                \
                                                                \
		settle();                                       \
		start_ = now();                                 \
		for (int i = 0; i < (s)->row->n; i++)           \
			CHECK(call);                            \
		took = (double)(now() - start_) / (s)->row->n;  \
	} while (0)

static double create(struct stack *s, int round)
{
	double took;

	make_names(s, 0, name("new%d-", round));
	EACH(s, took, close(CHECK(open(names[0][i], O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644))));
	clear(s, 0);
	return took;
}

static double unlink_upper(struct stack *s, int round)
{
	double took;

	make_names(s, 0, name("new%d-", round));
	fill(s, 0);
	EACH(s, took, unlink(names[0][i]));
	return took;
}

static double unlink_lower(struct stack *s, int round)
{
	struct stat st;
	double took;

	make_names(s, 0, name("f%d-", round));
	for (int i = 0; i < s->row->n; i++)
		CHECK(stat(names[0][i], &st));
	EACH(s, took, unlink(names[0][i]));
	return took;
}

static double rename_upper(struct stack *s, int round)
{
	double took;

	make_names(s, 0, name("old%d-", round));
	make_names(s, 1, name("new%d-", round));
	fill(s, 0);
	EACH(s, took, rename(names[0][i], names[1][i]));
	clear(s, 1);
	return took;
}

static double mkdir_rmdir(struct stack *s, int round)
{
	double took;

	make_names(s, 0, name("dir%d-", round));
	EACH(s, took, mkdir(names[0][i], 0755) ? -1 : rmdir(names[0][i]));
	return took;
}

static double chmod_upper(struct stack *s, int round)
{
	double took;

	(void)round;
	EACH(s, took, chmod("d/own0-0", i % 2 ? 0644 : 0600));
	return took;
}

#define CHANGE .ready = ready
const struct row rows_change[] = {
	{ .name = "create", .what = "create and close an empty file",
	  .n = 200, .prepare = merged, CHANGE, .round = create },
	{ .name = "unlink", .what = "unlink a file of upper",
	  .n = 200, .prepare = merged, CHANGE, .round = unlink_upper },
	{ .name = "unlink-lower", .what = "unlink a lower file: a whiteout",
	  .n = 200, .prepare = lower_files, CHANGE, .round = unlink_lower },
	{ .name = "rename", .what = "rename a file of upper",
	  .n = 200, .prepare = merged, CHANGE, .round = rename_upper },
	{ .name = "mkdir-rmdir", .what = "mkdir and rmdir",
	  .n = 200, .prepare = merged, CHANGE, .round = mkdir_rmdir },
	{ .name = "chmod", .what = "chmod of a file of upper",
	  .n = 1000, .prepare = merged, CHANGE, .round = chmod_upper },
	{ 0 },
};
