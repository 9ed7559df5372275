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

/*
 * layers P: the lower layers of a mount, from the top, and of those that were taken away how many use them. Names are
 * shown without the directory they are in.
 */
static int c_layers(int argc, struct word *a)
{
	struct layerfs_layer l = { 0 };
	char name[PATH_MAX];
	int rc, err, fd = open(path_of(a[1]), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)argc;
	if (fd < 0)
		return FAIL;
	for (__u32 i = 0;; i++) {
		l = (struct layerfs_layer){ .place = i, .name = (__u64)(uintptr_t)name, .name_len = sizeof(name) - 1 };
		rc = ioctl(fd, LAYERFS_IOC_LAYER, &l);
		if (rc < 0)
			break;
		name[l.name_len < sizeof(name) ? l.name_len : sizeof(name) - 1] = '\0';
		printf("%u %s%s", i, strrchr(name, '/') ? strrchr(name, '/') + 1 : name,
		       l.flags & LAYERFS_LAYER_DATA ? " data" : "");
		if (l.flags & LAYERFS_LAYER_LEAVING)
			printf(" leaving: %llu", (unsigned long long)l.users);
		printf("\n");
	}
	err = errno;
	close(fd);
	errno = err;
	return err == ENOENT ? OK : FAIL;
}

/* A layer is meant by its place or by its name. */
static void mean_layer(struct layerfs_layer_change *c, const char *which)
{
	char *end;

	c->place = (__s32)strtol(which, &end, 10);
	if (*end) {
		c->place = LAYERFS_PLACE_BY_NAME;
		c->name = (__u64)(uintptr_t)which;
		c->name_len = (__u32)strlen(which);
	}
}

static int compare_lines(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* What is told of one user, as a line; of the number of those who hold it, whether there are some. */
static char *user_line(const struct layerfs_layer_user *u, const char *mount)
{
	struct stat st;
	char path[2 * PATH_MAX], *line = NULL;
	int len = snprintf(path, sizeof(path), "%s%.*s", mount, (int)u->path_len, (const char *)u->path);
	bool same = len > 0 && !(u->flags & LAYERFS_USER_UNLINKED) && !lstat(path, &st) && st.st_ino == u->ino && st.st_mode == u->mode;

	if (asprintf(&line, "%.*s%s %s%s %s%s", (int)u->path_len, (const char *)u->path,
		     u->flags & LAYERFS_USER_NAMELESS ? "(no path)" : "", S_ISDIR(u->mode) ? "dir" : S_ISREG(u->mode) ? "reg" : "other",
		     u->flags & LAYERFS_USER_UNLINKED ? " unlinked" : same ? "" : " another", u->held ? "held" : "cached",
		     u->uses > 1 ? " twice" : "") < 0)
		die("out of memory");
	return line;
}

/*
 * users P PLACE|NAME [count] [SIZE]: who uses a layer, in the order of their paths, and how many of its users were not
 * told; "count": only how many there are of each kind; SIZE: of the buffer, in bytes.
 */
static int c_users(int argc, struct word *a)
{
	struct layerfs_layer_users q = { 0 };
	struct layerfs_layer_change which = { 0 };
	bool count = argc > 3 && is(a[3], "count");
	size_t size = argc > 3 + count ? (size_t)number(a[3 + count]) : LAYERFS_USERS_MIN_SIZE, n = 0, held = 0;
	int rc, err, fd = open(path_of(a[1]), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char *buf = need(malloc(size + 1)), *lines[10000];
	unsigned long long told = 0;

	if (fd < 0)
		return FAIL;
	mean_layer(&which, a[2].s);
	do {
		q = (struct layerfs_layer_users){ .place = which.place, .name = which.name, .name_len = which.name_len,
						  .buffer = (__u64)(uintptr_t)buf, .size = (__u32)size, .cursor = q.cursor };
		rc = ioctl(fd, LAYERFS_IOC_LAYER_USERS, &q);
		for (size_t at = 0; rc >= 0 && at < q.size; q.count--) {
			const struct layerfs_layer_user *u = (const void *)(buf + at);

			if (n == sizeof(lines) / sizeof(lines[0]))
				die("too many users");
			lines[n++] = user_line(u, path_of(a[1]));
			held += u->held > 0;
			told += u->uses;
			at += u->len;
		}
	} while (rc == 1 && !q.count);
	err = errno;
	close(fd);
	free(buf);
	errno = err;
	if (rc < 0)
		return FAIL;
	qsort(lines, n, sizeof(lines[0]), compare_lines);
	if (count)
		printf("%zu objects, %zu held, ", n, held);
	for (size_t i = 0; i < n; i++) {
		if (!count)
			printf("%s\n", lines[i]);
		free(lines[i]);
	}
	printf("%s%s\n", q.users == told ? "nobody else" : q.users > told ? "and others" : "fewer than told", q.count ? ", a wrong count" : "");
	return OK;
}

/* rawusers P PLACE NAME NAME_LEN BUFFER SIZE CURSOR RESERVED: any argument; "bad" stands for an address that is not mapped. */
static int c_rawusers(int argc, struct word *a)
{
	static char buf[8192];
	struct layerfs_layer_users q = {
		.place = (__s32)number(a[2]), .name_len = (__u32)number(a[4]),
		.name = !strcmp(a[3].s, "0") ? 0 : !strcmp(a[3].s, "bad") ? 1 : (__u64)(uintptr_t)a[3].s,
		.buffer = !strcmp(a[5].s, "bad") ? 1 : (__u64)(uintptr_t)buf, .size = (__u32)number(a[6]),
		.cursor = (__u64)number(a[7]), .reserved = { 0, (__u64)number(a[8]) },
	};
	int rc, err, fd = open(path_of(a[1]), O_RDONLY | O_CLOEXEC);

	(void)argc;
	if (fd < 0)
		return FAIL;
	rc = ioctl(fd, LAYERFS_IOC_LAYER_USERS, &q);
	err = errno;
	close(fd);
	errno = err;
	return rc < 0 ? FAIL : OK;
}

/* Gives a command that changes the layers of a mount; prints whether somebody still uses one that was taken away. */
static int change_layers(struct word mount, unsigned long command, struct layerfs_layer_change *c)
{
	int rc, err, fd = open(path_of(mount), O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return FAIL;
	rc = ioctl(fd, command, c);
	err = errno;
	close(fd);
	errno = err;
	if (rc < 0)
		return FAIL;
	if (command == LAYERFS_IOC_LAYER_SHUTDOWN || command == LAYERFS_IOC_LAYER_REPLACE)
		printf("%s\n", !rc ? "gone" : c->users ? "in use" : "in use by nobody");
	return OK;
}

/* shut P PLACE|NAME [force] [MILLISECONDS]: takes a layer away. */
static int c_shut(int argc, struct word *a)
{
	struct layerfs_layer_change c = { 0 };

	mean_layer(&c, a[2].s);
	for (int i = 3; i < argc; i++) {
		if (!strcmp(a[i].s, "force"))
			c.flags |= LAYERFS_CHANGE_FORCE;
		else
			c.timeout_ms = (__u32)number(a[i]);
	}
	return change_layers(a[1], LAYERFS_IOC_LAYER_SHUTDOWN, &c);
}

/* relayer P PLACE|NAME DIR [MILLISECONDS]: puts a directory in the place of a layer. */
static int c_relayer(int argc, struct word *a)
{
	struct layerfs_layer_change c = { .path = (__u64)(uintptr_t)a[3].s, .path_len = (__u32)strlen(a[3].s) };

	mean_layer(&c, a[2].s);
	if (argc > 4)
		c.timeout_ms = (__u32)number(a[4]);
	return change_layers(a[1], LAYERFS_IOC_LAYER_REPLACE, &c);
}

/* addlayer P DIR [beneath] [data]: adds a layer. */
static int c_addlayer(int argc, struct word *a)
{
	struct layerfs_layer_change c = { .path = (__u64)(uintptr_t)a[2].s, .path_len = (__u32)strlen(a[2].s) };

	for (int i = 3; i < argc; i++)
		c.flags |= !strcmp(a[i].s, "data") ? LAYERFS_CHANGE_DATA : LAYERFS_CHANGE_BENEATH;
	return change_layers(a[1], LAYERFS_IOC_LAYER_ADD, &c);
}

/* filled P: something was added to a layer. */
static int c_filled(int argc, struct word *a)
{
	struct layerfs_layer_change c = { 0 };

	(void)argc;
	return change_layers(a[1], LAYERFS_IOC_LAYER_FILLED, &c);
}

/* rawlayer P COMMAND FLAGS PLACE NAME NAME_LEN PATH PATH_LEN RESERVED: any argument; a word stands for an address of it. */
static int c_rawlayer(int argc, struct word *a)
{
	static const unsigned long commands[] = {
		LAYERFS_IOC_LAYER_SHUTDOWN, LAYERFS_IOC_LAYER_REPLACE, LAYERFS_IOC_LAYER_ADD, LAYERFS_IOC_LAYER_FILLED,
	};
	struct layerfs_layer_change c = {
		.flags = (__u32)number(a[3]), .place = (__s32)number(a[4]),
		.name = !strcmp(a[5].s, "0") ? 0 : !strcmp(a[5].s, "bad") ? 1 : (__u64)(uintptr_t)a[5].s,
		.name_len = (__u32)number(a[6]),
		.path = !strcmp(a[7].s, "0") ? 0 : !strcmp(a[7].s, "bad") ? 1 : (__u64)(uintptr_t)a[7].s,
		.path_len = (__u32)number(a[8]), .reserved = (__u32)number(a[9]),
	};

	(void)argc;
	return change_layers(a[1], commands[number(a[2]) & 3], &c);
}

static const struct command own_commands[] = {
	{ "layers", 1, 1, 0, c_layers, "P" },
	{ "users", 2, 4, 0, c_users, "P PLACE|NAME [count] [SIZE]" },
	{ "rawusers", 8, 8, 0, c_rawusers, "P PLACE NAME NAME_LEN BUFFER SIZE CURSOR RESERVED" },
	{ "shut", 2, 4, 0, c_shut, "P PLACE|NAME [force] [MILLISECONDS]" },
	{ "relayer", 3, 4, 0, c_relayer, "P PLACE|NAME DIR [MILLISECONDS]" },
	{ "addlayer", 2, 4, 0, c_addlayer, "P DIR [beneath] [data]" },
	{ "filled", 1, 1, 0, c_filled, "P" },
	{ "rawlayer", 9, 9, 0, c_rawlayer, "P COMMAND FLAGS PLACE NAME NAME_LEN PATH PATH_LEN RESERVED" },
	{ "finalize", 1, 4, 0, c_finalize, "P [recursive] [again] [MILLISECONDS]" },
	{ "rawfinalize", 4, 5, 0, c_rawfinalize, "P FLAGS BUDGET RESERVED [NUMBER]" },
	{ "clone2", 5, 8, 0, c_clone2, "OUT OFFSET IN OFFSET SIZE [again] [interruptible] [MILLISECONDS]" },
	{ "rawclone2", 4, 6, 0, c_rawclone2, "OUT IN FLAGS RESERVED [OFFSET [SIZE]]" },
	{ 0 },
};
