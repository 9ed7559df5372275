// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rows: walking a real userland, the guest's own /usr, with a layer above that has the upper part of the same
 * directories, as an image layer does that adds to a distribution.
 */
#define _GNU_SOURCE
#include "bench.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BUFFER 32768

/* What a walk does to each object: nothing, as find does, or stat, as ls -l does. */
static long walk(int at, const char *path, bool stat_each)
{
	int fd = CHECK(openat(at, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
	char *buffer = malloc(BUFFER);
	long got, seen = 0;

	while ((got = CHECK(syscall(SYS_getdents64, fd, buffer, BUFFER))) > 0) {
		for (long i = 0; i < got;) {
			struct dirent64 *entry = (struct dirent64 *)(buffer + i);
			struct stat st;

			i += entry->d_reclen;
			if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
				continue;
			seen++;
			if (stat_each)
				CHECK(fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW));
			if (entry->d_type == DT_DIR)
				seen += walk(fd, entry->d_name, stat_each);
		}
	}
	free(buffer);
	CHECK(close(fd));
	return seen;
}

/* The directories of a tree, to some depth, without what is in them. */
static void skeleton(const char *from, const char *to, int depth)
{
	DIR *dir = opendir(from);
	struct dirent *entry;

	if (!dir)
		die("read %s", from);
	make_dir(to);
	make_file(name("%s/added", to), 100);
	while (depth && (entry = readdir(dir))) {
		char *a, *b;

		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		if (asprintf(&a, "%s/%s", from, entry->d_name) < 0 || asprintf(&b, "%s/%s", to, entry->d_name) < 0)
			die("a name");
		skeleton(a, b, depth - 1);
		free(a);
		free(b);
	}
	closedir(dir);
}

static void prepare(struct stack *s)
{
	if (s->system != BARE)
		skeleton(s->row->last, "1", 2);
}

static double timed_walk(bool stat_each)
{
	uint64_t start = now();
	long seen = walk(AT_FDCWD, ".", stat_each);

	return (double)(now() - start) / seen;
}

static double find(struct stack *s, int round)
{
	(void)s, (void)round;
	return timed_walk(false);
}

static double ls(struct stack *s, int round)
{
	(void)s, (void)round;
	return timed_walk(true);
}

static double find_again(struct stack *s, int round)
{
	untimed(find, s, round);
	return timed_walk(false);
}

static double ls_again(struct stack *s, int round)
{
	untimed(ls, s, round);
	return timed_walk(true);
}

#define TREE .last = "/usr", .rounds = 3, .remount = true, .prepare = prepare
const struct row rows_tree[] = {
	{ .name = "find", .what = "walk /usr by its listings, first time, per object", TREE, .round = find },
	{ .name = "find-again", .what = "walk it again", TREE, .round = find_again },
	{ .name = "ls-lR", .what = "walk /usr and stat everything, first time, per object", TREE, .round = ls },
	{ .name = "ls-lR-again", .what = "do that again", TREE, .round = ls_again },
	{ 0 },
};
