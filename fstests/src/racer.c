// SPDX-License-Identifier: GPL-2.0-only
/*
 * racer: many processes that make, change, link, rename and remove the same few names at once, for
 * a given time. Whatever they do to each other, only the errors that such a race can explain may
 * come; others are reported, and a summary says that something was done.
 *
 *   racer [-f] SECONDS PROCESSES SEED DIR...	in each directory the names n0 to n7
 *
 * With -f they ask the kernel to let their allocations fail (test 641 says how often): ENOMEM is then
 * explained too.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
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

enum { NAMES = 8, MAX_ERRNO = 256 };

static struct {
	volatile unsigned long done, strange, by_op[32];
} *shared;
static char **dirs;
static unsigned int dir_count;
static unsigned long state;
static int with_faults;

static unsigned int pick(unsigned int n)
{
	state = state * 6364136223846793005ul + 1442695040888963407ul;
	return (unsigned int)(state >> 33) % n;
}

/* What another process can have caused. */
static int explained(int err)
{
	switch (err) {
	case ENOENT: case EEXIST: case ENOTDIR: case EISDIR: case ENOTEMPTY: case EINVAL: case ELOOP: case EXDEV:
	case EPERM: case ENODATA: case EBUSY: case EMLINK: case ENXIO: case ESTALE: case ETXTBSY:
	case EAGAIN: case EPIPE: /* fifos */
		return 1;
	case ENOMEM: case ENOSPC: /* tmpfs without memory for an inode */
		return with_faults;
	}
	return 0;
}

/* From now on allocations of this process may fail. */
static void ask_for_faults(void)
{
	int fd = open("/proc/self/make-it-fail", O_WRONLY);

	if (fd < 0 || write(fd, "1", 1) != 1)
		_exit(3);
	close(fd);
}

static void name_of(char *buf)
{
	if (pick(4))
		snprintf(buf, PATH_MAX, "%s/n%u", dirs[pick(dir_count)], pick(NAMES));
	else
		snprintf(buf, PATH_MAX, "%s/n%u/n%u", dirs[pick(dir_count)], pick(NAMES), pick(NAMES));
}

static int list(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;

	if (!d)
		return -1;
	do {
		errno = 0;
		e = readdir(d);
	} while (e);
	int err = errno;

	closedir(d);
	errno = err;
	return err ? -1 : 0;
}

static int write_some(const char *path, int flags)
{
	static char buf[8192];
	int fd = open(path, flags | O_NONBLOCK, 0644);
	int rc;

	if (fd < 0)
		return -1;
	rc = write(fd, buf, pick(sizeof(buf))) < 0 ? -1 : 0;
	int err = errno;

	close(fd);
	errno = err;
	return rc;
}

static int read_some(const char *path)
{
	static char buf[8192];
	int fd = open(path, O_RDONLY | O_NONBLOCK);
	int rc;

	if (fd < 0)
		return -1;
	rc = read(fd, buf, sizeof(buf)) < 0 ? -1 : 0;
	int err = errno;

	close(fd);
	errno = err;
	return rc;
}

static void turn(void)
{
	static const char *const what[] = { "create", "mkdir", "symlink", "link", "rename", "exchange", "noreplace", "unlink",
					    "rmdir", "append", "truncate", "chmod", "setxattr", "list", "stat", "read",
					    "mknod", "utimes" };
	char a[PATH_MAX], b[PATH_MAX];
	struct stat st;
	unsigned int op = pick(sizeof(what) / sizeof(*what));
	int rc = 0;

	name_of(a);
	name_of(b);
	switch (op) {
	case 0: rc = write_some(a, O_CREAT | O_WRONLY); break;
	case 1: rc = mkdir(a, 0755); break;
	case 2: rc = symlink("n0", a); break;
	case 3: rc = link(a, b); break;
	case 4: rc = rename(a, b); break;
	case 5: rc = renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE); break;
	case 6: rc = renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_NOREPLACE); break;
	case 7: rc = unlink(a); break;
	case 8: rc = rmdir(a); break;
	case 9: rc = write_some(a, O_APPEND | O_WRONLY); break;
	case 10: rc = truncate(a, pick(10000)); break;
	case 11: rc = chmod(a, 0600 | pick(0200)); break;
	case 12: rc = setxattr(a, "user.racer", b, pick(40), 0); break;
	case 13: rc = list(dirs[pick(dir_count)]); break;
	case 14: rc = stat(a, &st); break;
	case 15: rc = read_some(a); break;
	case 16: rc = mknod(a, S_IFIFO | 0644, 0); break;
	case 17: rc = utimensat(AT_FDCWD, a, NULL, AT_SYMLINK_NOFOLLOW); break;
	}
	__atomic_add_fetch(&shared->done, 1, __ATOMIC_RELAXED);
	if (!rc)
		__atomic_add_fetch(&shared->by_op[op], 1, __ATOMIC_RELAXED);
	else if (!explained(errno) && __atomic_add_fetch(&shared->strange, 1, __ATOMIC_RELAXED) < 10)
		printf("%s %s %s: %s\n", what[op], a, b, strerrorname_np(errno));
	fflush(stdout);
}

int main(int argc, char **argv)
{
	int crashed = 0, status, processes;
	unsigned int never = 0;
	time_t end;

	if (argc > 1 && !strcmp(argv[1], "-f")) {
		with_faults = 1;
		argc--;
		argv++;
	}
	if (argc < 5) {
		fprintf(stderr, "usage: racer [-f] SECONDS PROCESSES SEED DIR...\n");
		return 2;
	}
	processes = atoi(argv[2]);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return 2;
	dirs = argv + 4;
	dir_count = (unsigned int)argc - 4;
	signal(SIGPIPE, SIG_IGN);
	end = time(NULL) + atoi(argv[1]);
	for (int i = 0; i < processes; i++)
		if (!fork()) {
			state = strtoul(argv[3], NULL, 10) * 1000 + (unsigned long)i;
			if (with_faults)
				ask_for_faults();
			while (time(NULL) < end)
				turn();
			_exit(0);
		}
	while (wait(&status) > 0)
		crashed += status != 0;
	for (int i = 0; i < 18; i++)
		never += !shared->by_op[i];
	fprintf(stderr, "# racer: %lu operations, %u kinds never succeeded\n", shared->done, never);
	printf("racer: %s, %lu strange errors, %d processes ended badly\n",
	       shared->done > 100 && never < 3 ? "something was done" : "nothing was done", shared->strange, crashed);
	return 0;
}
