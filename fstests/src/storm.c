// SPDX-License-Identifier: GPL-2.0-only
/*
 * storm: many processes that look at one tree in every way at once, for a given time: stat, open
 * and read, list, read links, ask for attributes and access, walk through names that are not
 * there. What they look at may come and go meanwhile; only answers that can never be right are
 * reported, and a summary says that something was done.
 *
 *   storm SECONDS PROCESSES DIR [NAME...]	names below DIR; default: what is listed in DIR
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

enum { MAX_NAMES = 4096 };

static char *names[MAX_NAMES];
static int count;
static struct {
	volatile unsigned long done, strange;
} *shared;

/* What may be answered while mounts and files come and go. */
static int expected(int err)
{
	return err == ENOENT || err == ENOTDIR || err == EACCES || err == ELOOP || err == EINVAL || err == ENODATA ||
	       err == ENXIO || err == EISDIR || err == ESTALE || err == EPERM || err == EROFS || err == EBUSY;
}

static void check(int rc, const char *what, const char *path)
{
	__atomic_add_fetch(&shared->done, 1, __ATOMIC_RELAXED);
	if (rc >= 0 || expected(errno))
		return;
	if (__atomic_add_fetch(&shared->strange, 1, __ATOMIC_RELAXED) <= 5)
		printf("%s of %s: %s\n", what, path, strerrorname_np(errno));
}

static void look(const char *dir, unsigned int *seed)
{
	char path[PATH_MAX], buf[4096];
	struct stat st;
	int fd;

	switch (rand_r(seed) % 4) {
	case 0:
		snprintf(path, sizeof(path), "%s/no-such-name-%d", dir, rand_r(seed) % 100);
		break;
	case 1:
		snprintf(path, sizeof(path), "%s", dir);
		break;
	default:
		snprintf(path, sizeof(path), "%s/%s", dir, count ? names[rand_r(seed) % count] : ".");
	}
	switch (rand_r(seed) % 8) {
	case 0:
	case 1:
		check(lstat(path, &st), "lstat", path);
		break;
	case 2:
		check(access(path, R_OK), "access", path);
		break;
	case 3:
		fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
		check(fd, "open", path);
		if (fd >= 0) {
			check((int)read(fd, buf, sizeof(buf)), "read", path);
			close(fd);
		}
		break;
	case 4: {
		DIR *d = opendir(path);

		check(d ? 0 : -1, "opendir", path);
		for (int i = 0; d && i < 200 && readdir(d); i++)
			;
		if (d)
			closedir(d);
		break;
	}
	case 5:
		check((int)readlink(path, buf, sizeof(buf)), "readlink", path);
		break;
	case 6:
		check((int)lgetxattr(path, "user.x", buf, sizeof(buf)), "getxattr", path);
		break;
	case 7:
		check((int)llistxattr(path, buf, sizeof(buf)), "listxattr", path);
		break;
	}
}

int main(int argc, char **argv)
{
	if (argc < 4) {
		fprintf(stderr, "usage: storm SECONDS PROCESSES DIR [NAME...]\n");
		return 2;
	}
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return 2;
	for (int i = 4; i < argc && count < MAX_NAMES; i++)
		names[count++] = argv[i];
	if (!count) {
		DIR *d = opendir(argv[3]);
		struct dirent *e;

		while (d && count < MAX_NAMES && (e = readdir(d)))
			names[count++] = strdup(e->d_name);
		if (d)
			closedir(d);
	}
	time_t end = time(NULL) + atoi(argv[1]);

	for (int p = 0; p < atoi(argv[2]); p++) {
		if (!fork()) {
			unsigned int seed = (unsigned int)p + 1;

			while (time(NULL) < end)
				for (int i = 0; i < 50; i++)
					look(argv[3], &seed);
			fflush(stdout);
			_exit(0);
		}
	}
	int status, bad = 0;

	while (wait(&status) > 0)
		bad += status != 0;
	printf("storm: %s, %lu strange answers, %d processes ended badly\n",
	       shared->done > 100 ? "something was done" : "almost nothing was done", shared->strange, bad);
	return 0;
}
