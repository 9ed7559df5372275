// SPDX-License-Identifier: GPL-2.0-only
/*
 * fsop: what layerfs has of its own (include/uapi/linux/layerfs.h).
 */
#include "core.h"
#include <sys/ioctl.h>
#include "../../../include/uapi/linux/layerfs.h"

/*
 * finalize P [recursive] [again] [MILLISECONDS]: finalizes a directory; "again": until it is done, if the time was
 * spent before. Prints how much was done in the end.
 */
static int c_finalize(int argc, struct word *a)
{
	struct layerfs_finalize f = { 0 };
	unsigned long long copied = 0;
	bool again = false;
	int calls = 0, rc, fd = open(path_of(a[1]), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return FAIL;
	for (int i = 2; i < argc; i++) {
		if (!strcmp(a[i].s, "recursive"))
			f.flags |= LAYERFS_FINALIZE_RECURSIVE;
		else if (!strcmp(a[i].s, "again"))
			again = true;
		else
			f.time_budget_ms = (__u32)number(a[i]);
	}
	do {
		f.directories = f.copied = 0;
		rc = ioctl(fd, LAYERFS_IOC_FINALIZE, &f);
		copied += f.copied;
		calls++;
	} while (rc == 1 && again);
	if (rc < 0) {
		int err = errno;

		printf("%s: %llu directories, %llu copied\n", a[1].s, (unsigned long long)f.directories, copied);
		close(fd);
		errno = err;
		return FAIL;
	}
	close(fd);
	if (again)
		printf("%s: in %s, %llu directories, %llu copied\n", a[1].s, calls == 1 ? "one call" : "several calls",
		       (unsigned long long)f.directories, copied);
	else
		printf("%s: %s, %llu directories, %llu copied\n", a[1].s, rc ? "not done" : "done",
		       (unsigned long long)f.directories, copied);
	return OK;
}

/* rawfinalize P FLAGS BUDGET RESERVED [NUMBER]: the same with any argument, as another command if there is a number. */
static int c_rawfinalize(int argc, struct word *a)
{
	struct layerfs_finalize f = {
		.flags = (__u32)number(a[2]), .time_budget_ms = (__u32)number(a[3]), .reserved = (__u64)number(a[4]),
	};
	unsigned long command = argc > 5 ? (unsigned long)number(a[5]) : LAYERFS_IOC_FINALIZE;
	int fd = open(path_of(a[1]), O_RDONLY | O_CLOEXEC), rc, err;

	if (fd < 0)
		return FAIL;
	rc = ioctl(fd, command, &f);
	err = errno;
	close(fd);
	errno = err;
	return rc < 0 ? FAIL : OK;
}

static void attend(int number) { (void)number; }

/*
 * clone2 OUT OFFSET IN OFFSET SIZE [again] [interruptible] [MILLISECONDS]: LAYERFS_IOC_CLONE_RANGE2; "again": until it is
 * done, if the time was spent before, as the header says. Prints how much was done in the end.
 */
static int c_clone2(int argc, struct word *a)
{
	struct layerfs_clone_range2 c = {
		.src_fd = fd_of(a[3]), .src_offset = (__u64)number(a[4]), .src_length = (__u64)number(a[5]),
		.dest_offset = (__u64)number(a[2]),
	};
	unsigned long long done = 0;
	bool again = false, to_end = !c.src_length;
	int calls = 0, rc;

	for (int i = 6; i < argc; i++) {
		if (!strcmp(a[i].s, "again"))
			again = true;
		else if (!strcmp(a[i].s, "interruptible") && signal(SIGUSR1, attend) != SIG_ERR)
			c.flags |= LAYERFS_CLONE_INTERRUPTIBLE;
		else
			c.time_budget_ms = (__u64)number(a[i]);
	}
	do {
		c.work_done = 0;
		rc = ioctl(fd_of(a[1]), LAYERFS_IOC_CLONE_RANGE2, &c);
		done += c.work_done;
		c.src_offset += c.work_done;
		c.dest_offset += c.work_done;
		if (!to_end)
			c.src_length -= c.work_done;
		calls++;
	} while (rc == 1 && again);
	if (again && rc >= 0)
		printf("%s: in %s, %llu bytes\n", a[1].s, calls == 1 ? "one call" : "several calls", done);
	else if (rc == 1)
		printf("%s: %s\n", a[1].s, done ? "part of it" : "nothing of it");
	else if (!rc)
		printf("%s: done, %llu bytes\n", a[1].s, done);
	return rc < 0 ? FAIL : OK;
}

/* rawclone2 OUT IN FLAGS RESERVED [OFFSET [SIZE]]: the same with any argument. */
static int c_rawclone2(int argc, struct word *a)
{
	struct layerfs_clone_range2 c = {
		.src_fd = !strcmp(a[2].s, "none") ? -1 : fd_of(a[2]), .flags = (__u64)number(a[3]), .reserved = (__u64)number(a[4]),
		.src_offset = argc > 5 ? (__u64)number(a[5]) : 0, .src_length = argc > 6 ? (__u64)number(a[6]) : 0,
	};

	return ioctl(fd_of(a[1]), LAYERFS_IOC_CLONE_RANGE2, &c) < 0 ? FAIL : OK;
}

static const struct command own_commands[] = {
	{ "finalize", 1, 4, 0, c_finalize, "P [recursive] [again] [MILLISECONDS]" },
	{ "rawfinalize", 4, 5, 0, c_rawfinalize, "P FLAGS BUDGET RESERVED [NUMBER]" },
	{ "clone2", 5, 8, 0, c_clone2, "OUT OFFSET IN OFFSET SIZE [again] [interruptible] [MILLISECONDS]" },
	{ "rawclone2", 4, 6, 0, c_rawclone2, "OUT IN FLAGS RESERVED [OFFSET [SIZE]]" },
	{ 0 },
};
