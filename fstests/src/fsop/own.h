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

static const struct command own_commands[] = {
	{ "finalize", 1, 4, 0, c_finalize, "P [recursive] [again] [MILLISECONDS]" },
	{ "rawfinalize", 4, 5, 0, c_rawfinalize, "P FLAGS BUDGET RESERVED [NUMBER]" },
	{ 0 },
};
