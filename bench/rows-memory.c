// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rows: memory. Slab bytes per cached object are the growth of all slab caches together between a fresh mount and one
 * whose objects were all looked at; what the layers below cache was cached before. The bare row is what the files of
 * a tmpfs take themselves. The memory of an open listing is what becomes free when it is closed.
 */
#define _GNU_SOURCE
#include "bench.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Bytes in use by objects of all slab caches. */
static double slab_bytes(void)
{
	FILE *f = fopen("/proc/slabinfo", "re");
	double sum = 0;
	char line[512], cache[128];
	unsigned long active, objects, size;

	if (!f)
		die("open /proc/slabinfo");
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%127s %lu %lu %lu", cache, &active, &objects, &size) == 4)
			sum += (double)active * size;
	fclose(f);
	return sum;
}

/* /sys/kernel/slab/X/shrink gives back what is free but counted. */
static void shrink(void)
{
	DIR *dir = opendir("/sys/kernel/slab");
	struct dirent *entry;

	settle();
	while (dir && (entry = readdir(dir))) {
		int fd = open(name("/sys/kernel/slab/%s/shrink", entry->d_name), O_WRONLY | O_CLOEXEC);

		if (fd < 0)
			continue;
		if (write(fd, "1", 1) != 1)
			die("shrink the slab cache %s", entry->d_name);
		close(fd);
	}
	if (dir)
		closedir(dir);
}

static void files(struct stack *s)
{
	if (s->system != BARE)
		make_files(s, 2, "d", "file", s->row->n, 0);
	make_dir(in_layer(s, 0, "d"));
}

static void dirs(struct stack *s)
{
	make_dir(in_layer(s, 0, "d"));
	for (int i = 0; s->system != BARE && i < s->row->n; i++) {
		make_dir(in_layer(s, 1, name("d/file%d", i)));
		make_dir(in_layer(s, 2, name("d/file%d", i)));
	}
}

static double slab_of(struct stack *s, mode_t type)
{
	struct stat st;
	double before;

	CHECK(stat("d", &st));
	shrink();
	before = slab_bytes();
	for (int i = 0; i < s->row->n; i++) {
		const char *path = name("d/file%d", i);

		if (s->system != BARE)
			CHECK(stat(path, &st));
		else
			CHECK(type == S_IFDIR ? mkdir(path, 0755) : mknod(path, type | 0644, 0));
	}
	shrink();
	before = slab_bytes() - before;
	for (int i = 0; s->system == BARE && i < s->row->n; i++)
		CHECK(remove(name("d/file%d", i)));
	return before / s->row->n;
}

static double slab_file(struct stack *s, int round)
{
	(void)round;
	return slab_of(s, S_IFREG);
}

static double slab_dir(struct stack *s, int round)
{
	(void)round;
	return slab_of(s, S_IFDIR);
}

static void directory(struct stack *s)
{
	for (int i = 0; i <= s->lowers; i++)
		make_dir(in_layer(s, i, "d"));
}

/* Names that are nowhere, others in each round: the layers keep what they know of them. */
static double slab_miss(struct stack *s, int round)
{
	struct stat st;
	double before;

	CHECK(stat("d", &st));
	shrink();
	before = slab_bytes();
	for (int i = 0; i < s->row->n; i++)
		if (stat(name("d/no%d-%d", round, i), &st) == 0)
			die("no%d-%d should not be there", round, i);
	shrink();
	return (slab_bytes() - before) / s->row->n;
}

/* Bytes that the kernel has allocated for itself: slabs, and memory mapped in pages. */
static double kernel_bytes(void)
{
	static const char *const counted[] = { "Slab: %lf kB", "VmallocUsed: %lf kB" };
	double kib, sum = 0;
	char line[256];
	FILE *f;

	shrink();
	/* Processors keep small changes of the counters to themselves until somebody asks. */
	f = fopen("/proc/sys/vm/stat_refresh", "re");
	if (!f || fread(line, 1, 1, f) > 1)
		die("refresh the kernel's counters");
	fclose(f);
	f = fopen("/proc/meminfo", "re");
	if (!f)
		die("open /proc/meminfo");
	while (fgets(line, sizeof(line), f))
		for (size_t i = 0; i < sizeof(counted) / sizeof(counted[0]); i++)
			if (sscanf(line, counted[i], &kib) == 1)
				sum += kib * 1024;
	fclose(f);
	return sum;
}

static void many_names(struct stack *s)
{
	make_dir(in_layer(s, 0, "d"));
	if (s->system == BARE)
		return;
	make_files(s, 0, "d", "a-name-of-upper-", 100, 0);
	make_files(s, 1, "d", "a-name-of-the-first-", s->row->n / 2, 0);
	make_files(s, 2, "d", "a-name-of-the-second-", s->row->n / 2 - 100, 0);
}

static double listing(struct stack *s, int round)
{
	static char buffer[32768];
	double open_now;
	int fd;

	(void)round, (void)s;
	fd = CHECK(open("d", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	while (CHECK(syscall(SYS_getdents64, fd, buffer, sizeof(buffer))) > 0)
		;
	open_now = kernel_bytes();
	CHECK(close(fd));
	return open_now - kernel_bytes();
}

const struct row rows_memory[] = {
	{ .name = "slab-file", .what = "slab bytes per cached lower file (of 10,000)",
	  .unit = "bytes", .n = 10000, .rounds = 2, .remount = true, .prepare = files, .round = slab_file },
	{ .name = "slab-dir", .what = "slab bytes per cached merged directory (of 2,000)",
	  .unit = "bytes", .n = 2000, .rounds = 2, .remount = true, .prepare = dirs, .round = slab_dir },
	{ .name = "slab-miss-ext4", .what = "slab bytes per name that was looked up and is not there, on ext4 (of 5,000)",
	  .unit = "bytes", .place = EXT4, .n = 5000, .rounds = 2, .remount = true, .prepare = directory,
	  .round = slab_miss },
	{ .name = "listing-100000", .what = "memory of an open listing of 100,000 names",
	  .unit = "bytes", .n = 100000, .rounds = 2, .remount = true, .prepare = many_names, .round = listing },
	{ 0 },
};
