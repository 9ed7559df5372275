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

static double free_bytes(void)
{
	FILE *f = fopen("/proc/meminfo", "re");
	double kib = -1;
	char line[256];

	if (!f)
		die("open /proc/meminfo");
	while (fgets(line, sizeof(line), f) && sscanf(line, "MemFree: %lf kB", &kib) != 1)
		;
	fclose(f);
	return kib * 1024;
}

static void many_names(struct stack *s)
{
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
	shrink();
	open_now = free_bytes();
	CHECK(close(fd));
	shrink();
	return free_bytes() - open_now;
}

const struct row rows_memory[] = {
	{ .name = "slab-file", .what = "slab bytes per cached lower file (of 10,000)", .unit = "bytes", .n = 10000, .rounds = 2, .remount = true, .prepare = files, .round = slab_file },
	{ .name = "slab-dir", .what = "slab bytes per cached merged directory (of 2,000)", .unit = "bytes", .n = 2000, .rounds = 2, .remount = true, .prepare = dirs, .round = slab_dir },
	{ .name = "listing-100000", .what = "memory of an open listing of 100,000 names", .unit = "bytes", .n = 100000, .rounds = 2, .remount = true, .prepare = many_names, .round = listing },
	{ 0 },
};
