// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rows: copy-up, of small files and of large ones. On the bare filesystem the small rows do the same call without a
 * copy; the large ones copy the file by hand, as cp does.
 */
#define _GNU_SOURCE
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB (1024L * 1024)

static void small_files(struct stack *s)
{
	make_dir(in_layer(s, 0, "d"));
	for (int round = 0; round <= rounds_of(s->row); round++)
		make_files(s, 2, "d", name("f%d-", round), s->row->n, 4096);
}

static void look(const struct stack *s, int round)
{
	struct stat st;

	for (int i = 0; i < s->row->n; i++)
		CHECK(stat(name("d/f%d-%d", round, i), &st));
	settle();
}

static double chmod_small(struct stack *s, int round)
{
	uint64_t took = 0;

	look(s, round);
	for (int i = 0; i < s->row->n; i++) {
		const char *path = name("d/f%d-%d", round, i);
		uint64_t start = now();

		CHECK(chmod(path, 0600));
		took += now() - start;
	}
	return (double)took / s->row->n;
}

static double open_small(struct stack *s, int round)
{
	uint64_t took = 0;

	look(s, round);
	for (int i = 0; i < s->row->n; i++) {
		const char *path = name("d/f%d-%d", round, i);
		uint64_t start = now();

		CHECK(close(CHECK(open(path, O_WRONLY | O_CLOEXEC))));
		took += now() - start;
	}
	return (double)took / s->row->n;
}

static void large_plain(struct stack *s)
{
	make_file(in_layer(s, 2, "large"), s->row->n * MIB);
}

/* As large as it is said to be, of pieces that share their blocks: what is cloned is extents, not blocks. */
static void large_cloned(struct stack *s)
{
	const long piece = 64 * MIB;
	int from, to;

	make_file("piece", piece);
	from = CHECK(open("piece", O_RDONLY | O_CLOEXEC));
	to = CHECK(open(in_layer(s, 2, "large"), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
	for (long at = 0; at < s->row->n * MIB; at += piece) {
		struct file_clone_range range = { .src_fd = from, .src_length = piece, .dest_offset = at };

		if (ioctl(to, FICLONERANGE, &range))
			die("clone on %s (is it an xfs with reflink?)", s->base);
	}
	CHECK(fsync(to));
	CHECK(close(from));
	CHECK(close(to));
	CHECK(unlink("piece"));
}

static double copy_by_hand(void)
{
	uint64_t start;
	struct stat st;
	double took;
	int from, to;

	start = now();
	from = CHECK(open("large", O_RDONLY | O_CLOEXEC));
	to = CHECK(open("copy", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
	CHECK(fstat(from, &st));
	if (ioctl(to, FICLONE, from))
		for (off_t left = st.st_size; left > 0;)
			left -= CHECK(copy_file_range(from, NULL, to, NULL, left, 0));
	CHECK(close(from));
	CHECK(close(to));
	took = now() - start;
	CHECK(unlink("copy"));
	return took;
}

static double copy_large(struct stack *s, int round)
{
	uint64_t start;
	double took;

	(void)round;
	/* What the filesystem has yet to write would otherwise be written while the clock runs. */
	sync();
	settle();
	if (s->system == BARE)
		return copy_by_hand();
	start = now();
	CHECK(chmod("large", 0600));
	took = now() - start;
	/* Out of the way before the next mount, for its blocks are needed again. */
	stack_umount(s);
	CHECK(unlink("u/large"));
	stack_mount(s);
	return took;
}

const struct row rows_copy_up[] = {
	{ .name = "copyup-chmod", .what = "chmod of a lower file of 4 KiB",
	  .n = 100, .prepare = small_files, .round = chmod_small },
	{ .name = "copyup-open", .what = "open a lower file of 4 KiB for writing, and close it",
	  .n = 100, .prepare = small_files, .round = open_small },
	{ .name = "copyup-reflink-1G", .what = "copy-up of 1 GiB on xfs, by reflink",
	  .n = 1024, .rounds = 5, .place = XFS, .prepare = large_cloned, .round = copy_large },
	{ .name = "copyup-1G", .what = "copy-up of 1 GiB on tmpfs, without reflink",
	  .n = 1024, .rounds = 2, .prepare = large_plain, .round = copy_large },
	{ 0 },
};
