// SPDX-License-Identifier: GPL-2.0-only
/*
 * Stacks to measure: making their layers, mounting and unmounting them with mount(2), and the small
 * things that every row needs to fill layers with files.
 */
#define _GNU_SOURCE
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORKSHOP "/bench"

const char *const system_names[SYSTEMS] = { "layerfs", "overlayfs", "bare", "fuse-overlayfs" };
static const char *const types[SYSTEMS] = { "layerfs", "overlay", NULL, NULL };
const char *places[PLACES];
const char *fuse_program;

void die(const char *format, ...)
{
	int error = errno;
	va_list args;

	fprintf(stderr, "layerbench: ");
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, ": %s\n", strerror(error));
	exit(1);
}

long check(long result, const char *call, const char *file, int line)
{
	if (result < 0)
		die("%s:%d: %s", file, line, call);
	return result;
}

const char *name(const char *format, ...)
{
	static char buffers[8][512];
	static unsigned int next;
	char *buffer = buffers[next++ % 8];
	va_list args;

	va_start(args, format);
	if (vsnprintf(buffer, sizeof(buffers[0]), format, args) >= (int)sizeof(buffers[0])) {
		errno = ENAMETOOLONG;
		die("a name");
	}
	va_end(args);
	return buffer;
}

const char *in_layer(const struct stack *s, int layer, const char *path)
{
	if (s->system == BARE)
		return name("m/%s", path);
	if (layer == 0)
		return name("u/%s", path);
	return name("%d/%s", layer, path);
}

void make_dir(const char *path)
{
	char *copy = strdup(path);

	for (char *c = copy + 1; *c; c++) {
		if (*c != '/')
			continue;
		*c = '\0';
		if (mkdir(copy, 0755) && errno != EEXIST)
			die("mkdir %s", copy);
		*c = '/';
	}
	if (mkdir(copy, 0755) && errno != EEXIST)
		die("mkdir %s", copy);
	free(copy);
}

void make_file(const char *path, size_t size)
{
	static char block[1 << 16];
	int fd;

	/* One call for an empty file: some rows want very many. */
	if (!size) {
		if (mknod(path, S_IFREG | 0644, 0))
			die("create %s", path);
		return;
	}
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0)
		die("create %s", path);
	if (!block[0])
		memset(block, 'x', sizeof(block));
	while (size) {
		ssize_t done = write(fd, block, size < sizeof(block) ? size : sizeof(block));

		if (done <= 0)
			die("write %s", path);
		size -= done;
	}
	CHECK(close(fd));
}

void make_files(const struct stack *s, int layer, const char *dir, const char *prefix, int n, size_t size)
{
	/* Both may be of name(), whose buffers are few. */
	char *stem;

	make_dir(in_layer(s, layer, dir));
	if (asprintf(&stem, "%s/%s", dir, prefix) < 0)
		die("a name");
	for (int i = 0; i < n; i++)
		make_file(in_layer(s, layer, name("%s%d", stem, i)), size);
	free(stem);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)st, (void)type, (void)where;
	if (remove(path))
		die("remove %s", path);
	return 0;
}

void remove_tree(const char *path)
{
	if (nftw(path, remove_one, 64, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) && errno != ENOENT)
		die("remove %s", path);
}

void stack_make(struct stack *s, enum system system, const struct row *row)
{
	*s = (struct stack){
		.system = system,
		.row = row,
		.lowers = row->lowers ? row->lowers : 2,
		.fd = -1,
	};
	if (row->place != TMPFS) {
		snprintf(s->base, sizeof(s->base), "%s/%s", places[row->place], system_names[system]);
		make_dir(s->base);
	} else {
		snprintf(s->base, sizeof(s->base), WORKSHOP "/%s", system_names[system]);
		make_dir(s->base);
		if (mount("bench", s->base, "tmpfs", 0, "size=100%,nr_inodes=0,mode=755"))
			die("mount a tmpfs at %s", s->base);
	}
	CHECK(chdir(s->base));
	make_dir("m");
	if (system != BARE) {
		make_dir("u");
		make_dir("w");
		for (int i = 1; i <= s->lowers; i++)
			make_dir(name("%d", i));
	}
	if (row->prepare)
		row->prepare(s);
	CHECK(chdir(s->base));
	stack_mount(s);
}

void stack_enter(const struct stack *s)
{
	if (chdir(s->system == BARE && s->row->last ? s->row->last : name("%s/m", s->base)))
		die("enter the stack at %s", s->base);
}

/* fuse-overlayfs is a program, which returns when its daemon serves the mount. */
static void mount_by_fuse(const char *options)
{
	int status;
	pid_t child = CHECK(fork());

	if (!child) {
		execl(fuse_program, fuse_program, "-o", options, "m", (char *)NULL);
		_exit(127);
	}
	CHECK(waitpid(child, &status, 0));
	if (!WIFEXITED(status) || WEXITSTATUS(status)) {
		errno = EINVAL;
		die("%s: status %#x", fuse_program, status);
	}
}

/* Short relative names: 500 layers have to fit into mount(2)'s one page of options. */
void stack_mount(struct stack *s)
{
	static char options[4096];
	int length;

	if (s->system != BARE) {
		CHECK(chdir(s->base));
		length = snprintf(options, sizeof(options), "upperdir=u,workdir=w,lowerdir=");
		for (int i = 1; i <= s->lowers; i++) {
			const char *layer = i == s->lowers && s->row->last ? s->row->last : name("%d", i);

			length += snprintf(options + length, sizeof(options) - length, "%s%s", i == 1 ? "" : i == s->lowers && s->row->data_only ? "::" : ":", layer);
			if (length >= (int)sizeof(options)) {
				errno = E2BIG;
				die("%d lower layers in mount(2)'s page", s->lowers);
			}
		}
		if (s->system == FUSE)
			mount_by_fuse(options);
		else if (mount("bench", "m", types[s->system], 0, options))
			die("mount -t %s -o %.60s... (%d lower layers)", types[s->system], options, s->lowers);
		s->mounted = true;
	}
	stack_enter(s);
	if (s->row->ready)
		s->row->ready(s);
}

void stack_umount(struct stack *s)
{
	CHECK(chdir(s->base));
	if (s->mounted && umount("m"))
		die("umount %s of %s", s->row->name, system_names[s->system]);
	s->mounted = false;
}

/* A daemon ends some time after its mount, and holds its layers until then. */
static int unmount_when_free(const struct stack *s)
{
	for (int tries = 0; umount(s->base); tries++) {
		if (s->system != FUSE || errno != EBUSY || tries == 100)
			return -1;
		usleep(50000);
	}
	return 0;
}

void stack_destroy(struct stack *s)
{
	if (s->fd >= 0)
		close(s->fd);
	free(s->buffer);
	stack_umount(s);
	CHECK(chdir("/"));
	if (s->row->place != TMPFS)
		remove_tree(s->base);
	else if (unmount_when_free(s))
		die("umount the tmpfs at %s", s->base);
}
