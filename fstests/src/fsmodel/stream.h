// SPDX-License-Identifier: GPL-2.0-only
/*
 * Listing a directory piece by piece while it changes. What is listed then is not the same on two
 * filesystems; what must hold is that a name that was there all the time, untouched, is listed exactly
 * once. So only the stack is listed, and the plain tree says which names those are.
 */
#ifndef FSMODEL_STREAM_H
#define FSMODEL_STREAM_H

#include "known.h"

/* A listing under way in one slot. */
struct stream {
	int fd;			/* of the stack's directory; -1: none under way */
	struct listing before;	/* what the plain directory held at the beginning */
	struct statx *was;	/* and each name's state then */
	unsigned char *listed;	/* how often each has been listed since */
};

static void stream_end(struct stream *st)
{
	free(st->before.entry);
	free(st->was);
	free(st->listed);
	*st = (struct stream){ .fd = -1 };
}

static bool list_slot(int fd, struct listing *l)
{
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	*l = (struct listing){ 0 };
	return copy >= 0 && list_fd(copy, l);
}

static void state_of(int dir, const char *name, struct statx *stx)
{
	if (statx(dir, name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS | STATX_BTIME, stx))
		memset(stx, 0, sizeof(*stx));
}

/* From the first name on. */
static void stream_begin(struct stream *st, int stack_fd, int plain_fd)
{
	stream_end(st);
	if (lseek(stack_fd, 0, SEEK_SET) || !list_slot(plain_fd, &st->before))
		return;
	st->fd = stack_fd;
	st->was = must(calloc(st->before.n + 1, sizeof(*st->was)));
	st->listed = must(calloc(st->before.n + 1, 1));
	for (size_t i = 0; i < st->before.n; i++)
		state_of(plain_fd, st->before.entry[i].name, &st->was[i]);
}

/* All has been listed: what is as it was at the beginning must have been seen once. */
static bool stream_complete(struct stream *st, int plain_fd, struct difference *d)
{
	struct stat dir;
	bool good = true;

	/* A directory that has been removed lists nothing more. */
	for (size_t i = 0; good && !fstat(plain_fd, &dir) && dir.st_nlink && i < st->before.n; i++) {
		struct statx now;

		state_of(plain_fd, st->before.entry[i].name, &now);
		if (now.stx_ino != st->was[i].stx_ino || memcmp(&now.stx_ctime, &st->was[i].stx_ctime, sizeof(now.stx_ctime)) ||
		    !now.stx_ino || st->listed[i] == 1)
			continue;
		snprintf(d->kind, sizeof(d->kind), "stream: %s", st->listed[i] ? "twice" : "missing");
		text_add(&d->text, "a listing in pieces names '%s', which was there all the time, %d times", st->before.entry[i].name,
			 st->listed[i]);
		good = false;
	}
	stream_end(st);
	return good;
}

/* Some more names: as many as fit into BYTES. */
static bool stream_next(struct stream *st, int stack_fd, int plain_fd, size_t bytes, struct difference *d)
{
	char buf[4096] __attribute__((aligned(8)));
	long n;

	if (st->fd < 0 || st->fd != stack_fd)
		stream_begin(st, stack_fd, plain_fd);
	if (st->fd < 0)
		return true;
	n = syscall(SYS_getdents64, stack_fd, buf, bytes < sizeof(buf) ? bytes : sizeof(buf));
	if (n < 0) {
		int err = errno;

		stream_end(st);
		/* Too small for one name; or the directory has been removed. */
		if (err == EINVAL || err == ENOENT)
			return true;
		snprintf(d->kind, sizeof(d->kind), "stream: %s", errno_name(err));
		text_add(&d->text, "getdents64 in the stack: %s", errno_name(err));
		return false;
	}
	if (!n)
		return stream_complete(st, plain_fd, d);
	for (long at = 0; at < n;) {
		const struct dirent64 *e = (const struct dirent64 *)(buf + at);
		struct entry key;
		const struct entry *found;

		at += e->d_reclen;
		snprintf(key.name, sizeof(key.name), "%s", e->d_name);
		found = bsearch(&key, st->before.entry, st->before.n, sizeof(key), entry_order);
		if (found && st->listed[found - st->before.entry] < 255)
			st->listed[found - st->before.entry]++;
	}
	return true;
}

#endif
