// SPDX-License-Identifier: GPL-2.0-only
/*
 * fsop: commands on file handles, which are kept in files, so that they outlive a mount.
 */
#include "core.h"
#include <fcntl.h>

#define HANDLE_ROOM MAX_HANDLE_SZ

struct kept_handle {
	struct file_handle head;
	unsigned char bytes[HANDLE_ROOM];
};

/* handle P FILE: the handle of P, kept in FILE. */
static int c_handle(int argc, struct word *a)
{
	struct kept_handle h = { .head.handle_bytes = HANDLE_ROOM };
	int mount_id, fd;
	ssize_t n = sizeof(h.head);

	(void)argc;
	if (name_to_handle_at(AT_FDCWD, path_of(a[1]), &h.head, &mount_id, 0))
		return FAIL;
	n += h.head.handle_bytes;
	fd = open(path_of(a[2]), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, &h, (size_t)n) != n)
		die("a handle can't be kept in %s", path_of(a[2]));
	close(fd);
	return OK;
}

/* openhandle FD FILE P FLAGS: what the handle in FILE is of, in the filesystem of P. */
static int c_openhandle(int argc, struct word *a)
{
	struct kept_handle h = { .head.handle_bytes = 0 };
	int fd = open(path_of(a[2]), O_RDONLY | O_CLOEXEC), mount;
	ssize_t n = fd < 0 ? -1 : read(fd, &h, sizeof(h));

	(void)argc;
	if (n < (ssize_t)sizeof(h.head))
		die("%s has no handle", path_of(a[2]));
	close(fd);
	h.head.handle_bytes = (unsigned int)(n - (ssize_t)sizeof(h.head));
	mount = open(path_of(a[3]), O_RDONLY | O_CLOEXEC);
	if (mount < 0)
		return FAIL;
	fd = open_by_handle_at(mount, &h.head, (int)bits_of(a[4], open_flags));
	close(mount);
	if (fd < 0)
		return FAIL;
	set_named(&fds, a[1], fd);
	return OK;
}

/* whereis FD P: the path of what is open, below P. */
static int c_whereis(int argc, struct word *a)
{
	char link[64], path[4096];
	const char *top = path_of(a[2]);
	ssize_t n;

	(void)argc;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd_of(a[1]));
	n = readlink(link, path, sizeof(path) - 1);
	if (n < 0)
		return FAIL;
	path[n] = 0;
	printf("%s: %s\n", a[1].s, strncmp(path, top, strlen(top)) ? path : path + strlen(top));
	return OK;
}

static const struct command handle_commands[] = {
	{ "handle", 2, 2, 0, c_handle, "P FILE" },
	{ "openhandle", 4, 4, 0, c_openhandle, "FD FILE P FLAGS" },
	{ "whereis", 2, 2, 0, c_whereis, "FD P" },
	{ 0 },
};
