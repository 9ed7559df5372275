// SPDX-License-Identifier: GPL-2.0-only
/*
 * lastwalk: path walks that are still under way when the filesystem they walk on ends.
 *
 * One thread walks, in its current directory, a path of two thousand times "./": in RCU-walk that is one read-side
 * section, without a count on anything and without a look at whether the directory is still there. Another, with the
 * same current directory, mounts, goes in, detaches the mount, waits until a walk is under way and goes out again: then
 * nobody holds the super block any more, and it ends under the walk.
 *
 *   lastwalk ROUNDS TYPE DIR OPTIONS	mounts TYPE with OPTIONS on DIR
 */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

static char path[PATH_MAX];
static volatile unsigned long walks;
static volatile int stop;

static void *walk(void *unused)
{
	(void)unused;
	while (!stop) {
		access(path, F_OK);
		walks++;
	}
	return NULL;
}

static void die(const char *what)
{
	printf("lastwalk: %s: %s\n", what, strerrorname_np(errno));
	exit(1);
}

int main(int argc, char **argv)
{
	unsigned long before;
	pthread_t walker;
	int i;

	if (argc != 5)
		return 2;
	for (i = 0; i + 2 < PATH_MAX - 8; i += 2)
		memcpy(path + i, "./", 2);
	strcpy(path + i, "none");
	if (chdir("/"))
		die("chdir");
	if (pthread_create(&walker, NULL, walk, NULL))
		die("pthread_create");
	for (i = 0; i < atoi(argv[1]); i++) {
		if (mount(argv[2], argv[3], argv[2], 0, argv[4]))
			die("mount");
		if (chdir(argv[3]))
			die("chdir");
		if (umount2(argv[3], MNT_DETACH))
			die("umount");
		/* The walk that ends next may have begun before; the one after it did not. */
		for (before = walks; walks - before < 2;)
			usleep(100);
		if (chdir("/"))
			die("chdir");
	}
	stop = 1;
	pthread_join(walker, NULL);
	printf("%d ends of a super block\n", i);
	return 0;
}
