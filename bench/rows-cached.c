// SPDX-License-Identifier: GPL-2.0-only
/* Rows: calls on files whose dentries and inodes are cached: what a stack costs when nothing has to be found. */
#define _GNU_SOURCE
#include "bench.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEEP "1/2/3/4/5/6/7/8/9"

/* A file in lower and one in upper, near and nine directories deep. Directories are in all layers. */
static void prepare(struct stack *s)
{
	make_file(in_layer(s, 2, "lower"), 65536);
	make_file(in_layer(s, 0, "upper"), 65536);
	make_dir(in_layer(s, 1, DEEP));
	make_dir(in_layer(s, 2, DEEP));
	make_file(in_layer(s, 2, DEEP "/lower"), 100);
	s->buffer = calloc(1, 4096);
}

#define TIMED(s, call)                                         \
	do {                                                   \
		int n_ = (s)->row->n;                          \
		uint64_t start_ = now();                       \
		for (int i_ = 0; i_ < n_; i_++)                \
			CHECK(call);                           \
		return (double)(now() - start_) / n_;          \
	} while (0)

static double stat_near(struct stack *s, int round)
{
	struct stat st;

	(void)round;
	TIMED(s, stat("lower", &st));
}

static double stat_deep(struct stack *s, int round)
{
	struct stat st;

	(void)round;
	TIMED(s, stat(DEEP "/lower", &st));
}

static double stat_upper(struct stack *s, int round)
{
	struct stat st;

	(void)round;
	TIMED(s, stat("upper", &st));
}

static double stat_dir(struct stack *s, int round)
{
	struct stat st;

	(void)round;
	TIMED(s, stat("1", &st));
}

static double access_near(struct stack *s, int round)
{
	(void)round;
	TIMED(s, access("lower", R_OK));
}

static double access_deep(struct stack *s, int round)
{
	(void)round;
	TIMED(s, access(DEEP "/lower", R_OK));
}

static double open_lower(struct stack *s, int round)
{
	(void)round;
	TIMED(s, close(CHECK(open("lower", O_RDONLY))));
}

static double open_upper(struct stack *s, int round)
{
	(void)round;
	TIMED(s, close(CHECK(open("upper", O_RDWR))));
}

static void ready_read_lower(struct stack *s)
{
	s->fd = CHECK(open("lower", O_RDONLY | O_CLOEXEC));
}

static void ready_upper(struct stack *s)
{
	s->fd = CHECK(open("upper", O_RDWR | O_CLOEXEC));
}

static double pread_4k(struct stack *s, int round)
{
	(void)round;
	TIMED(s, pread(s->fd, s->buffer, 4096, 8192));
}

static double pwrite_4k(struct stack *s, int round)
{
	(void)round;
	TIMED(s, pwrite(s->fd, s->buffer, 4096, 8192));
}

static double fstat_lower(struct stack *s, int round)
{
	struct stat st;

	(void)round;
	TIMED(s, fstat(s->fd, &st));
}

const struct row rows_cached[] = {
	{ .name = "stat", .what = "stat of a cached lower file",
	  .n = 1000, .prepare = prepare, .round = stat_near },
	{ .name = "stat-deep", .what = "the same, nine merged directories deep",
	  .n = 1000, .prepare = prepare, .round = stat_deep },
	{ .name = "stat-upper", .what = "stat of a cached upper file",
	  .n = 1000, .prepare = prepare, .round = stat_upper },
	{ .name = "stat-dir", .what = "stat of a cached merged directory",
	  .n = 1000, .prepare = prepare, .round = stat_dir },
	{ .name = "fstat", .what = "fstat of an open lower file",
	  .n = 1000, .prepare = prepare, .ready = ready_read_lower, .round = fstat_lower },
	{ .name = "access", .what = "access(R_OK) of a cached lower file",
	  .n = 1000, .prepare = prepare, .round = access_near },
	{ .name = "access-deep", .what = "the same, nine merged directories deep",
	  .n = 1000, .prepare = prepare, .round = access_deep },
	{ .name = "open-close", .what = "open a lower file for reading, and close it",
	  .n = 1000, .prepare = prepare, .round = open_lower },
	{ .name = "open-close-upper", .what = "open an upper file for reading and writing, and close it",
	  .n = 1000, .prepare = prepare, .round = open_upper },
	{ .name = "pread-lower", .what = "pread 4 KiB of a lower file",
	  .n = 1000, .prepare = prepare, .ready = ready_read_lower, .round = pread_4k },
	{ .name = "pread-upper", .what = "pread 4 KiB of an upper file",
	  .n = 1000, .prepare = prepare, .ready = ready_upper, .round = pread_4k },
	{ .name = "pwrite", .what = "pwrite 4 KiB over what an upper file has",
	  .n = 1000, .prepare = prepare, .ready = ready_upper, .round = pwrite_4k },
	{ 0 },
};
