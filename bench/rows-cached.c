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
	make_file(in_layer(s, 2, "copied"), 100);
	make_dir(in_layer(s, 2, "usr/bin"));
	make_file(in_layer(s, 2, "usr/bin/tool"), 100);
	CHECK(symlink("usr/bin", in_layer(s, 2, "bin")));
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

/* As in a merged /usr: the first name of the path is a symbolic link. */
static double stat_link(struct stack *s, int round)
{
	struct stat st;

	(void)round;
	TIMED(s, stat("bin/tool", &st));
}

static void ready_copied(struct stack *s)
{
	(void)s;
	CHECK(chmod("copied", 0640));
}

static double stat_copied(struct stack *s, int round)
{
	struct stat st;

	(void)round;
	TIMED(s, stat("copied", &st));
}

/* By somebody who owns nothing there, and is in no group of it. */
static double stat_other(struct stack *s, int round)
{
	double took;

	CHECK(seteuid(1000));
	took = stat_deep(s, round);
	CHECK(seteuid(0));
	return took;
}

/* The last lower layer, a place of its own, is there for all. */
static void prepare_no_lists(struct stack *s)
{
	make_dir(name("%s/" DEEP, s->row->last));
	make_file(name("%s/" DEEP "/lower", s->row->last), 100);
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
	{ .name = "stat-link", .what = "stat of a lower file through a symbolic link to its directory",
	  .n = 1000, .prepare = prepare, .round = stat_link },
	{ .name = "stat-copied", .what = "stat of a file that was copied up",
	  .n = 1000, .prepare = prepare, .ready = ready_copied, .round = stat_copied },
	{ .name = "stat-other", .what = "stat-deep by another user than the owner",
	  .n = 1000, .prepare = prepare, .round = stat_other },
	{ .name = "stat-other-no-acl", .what = "the same where the lower layer has no access control lists (ramfs)",
	  .n = 1000, .last = "/no-lists", .prepare = prepare_no_lists, .round = stat_other },
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
