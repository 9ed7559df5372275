// SPDX-License-Identifier: GPL-2.0-only
/*
 * Layers that come and go while the stack is mounted, in ways that change nothing of what it shows: a copy comes in the place of a
 * lower layer, or on top of it before it is shut down; empty layers are added and shut down; a lower layer is filled with what
 * one beneath has. The stack has to be what the plain tree is after each, and what a mount with the layers as they are
 * then shows. Directories stay open meanwhile, and files that are in the upper; who has another file open has the old one from
 * then on, so that is closed.
 */
#ifndef FSMODEL_LIVE_H
#define FSMODEL_LIVE_H

#include "layers.h"
#include "../../../include/uapi/linux/layerfs.h"
#include <sys/wait.h>

/* Whether layers can be changed at all here. */
static bool live_is_possible(const struct trees *t)
{
	return !strcmp(t->fstyp, "layerfs") && !t->twin[0] && !t->nested;
}

/* Gives a command to the mount; 0 or the errno. */
static int live_change(const struct trees *t, unsigned long command, struct layerfs_layer_change *c, const char *path)
{
	int fd = open(t->mnt, O_RDONLY | O_DIRECTORY | O_CLOEXEC), err;

	if (path) {
		c->path = (__u64)(uintptr_t)path;
		c->path_len = (__u32)strlen(path);
	}
	err = fd < 0 || ioctl(fd, command, c) < 0 ? errno : 0;
	if (fd >= 0)
		close(fd);
	return err;
}

/* cp(1) leaves out what chattr(1) has set: the access times that are not kept show in a stack. */
static void copy_noatime(const char *from, const char *to)
{
	struct listing l;
	struct stat st;
	int flags;

	if (lstat(from, &st) || (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode)))
		return;
	if (S_ISDIR(st.st_mode) && list_path(from, &l)) {
		for (size_t i = 0; i < l.n; i++)
			copy_noatime(path_of("%s/%s", from, l.entry[i].name).s, path_of("%s/%s", to, l.entry[i].name).s);
		free(l.entry);
	}
	if (!get_flags(from, &flags) && (flags & FS_NOATIME_FL))
		set_flags(to, 0, FS_NOATIME_FL);
}

static void copy_layer(const char *from, const char *to)
{
	pid_t pid = fork();
	int status = 0;

	if (!pid) {
		execlp("cp", "cp", "-a", "--", from, to, NULL);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0 || status)
		die("cannot copy %s to %s", from, to);
	copy_noatime(from, to);
}

/* Files that are open, but not to write, are closed: their objects may be others now. */
static void live_close_files(struct side *stack, struct side *plain)
{
	for (int i = 0; i < SLOTS; i++) {
		int flags = stack->fd[i] < 0 ? 0 : fcntl(stack->fd[i], F_GETFL);
		bool in_upper = !(flags & O_PATH) && (flags & O_ACCMODE) != O_RDONLY;

		if (stack->fd[i] < 0 || in_upper || (fd_is_dir(stack->fd[i]) && !(flags & O_PATH)))
			continue;
		close(stack->fd[i]);
		close(plain->fd[i]);
		stack->fd[i] = plain->fd[i] = -1;
	}
}

/* A copy of a lower layer in its place. */
static int live_replace(struct trees *t, int which)
{
	int i = 1 + which % (t->n - 1), number = t->order[i];
	struct layerfs_layer_change c = { .place = i - 1 };
	struct path old = layer_dir(t, number);

	t->copy[number]++;
	t->replaced = true;
	copy_layer(old.s, layer_dir(t, number).s);
	return live_change(t, LAYERFS_IOC_LAYER_REPLACE, &c, layer_dir(t, number).s);
}

static void order_insert(struct trees *t, int i, int number)
{
	memmove(t->order + i + 1, t->order + i, (t->n - i) * sizeof(*t->order));
	t->order[i] = number;
	t->n++;
}

static void order_remove(struct trees *t, int i)
{
	memmove(t->order + i, t->order + i + 1, (t->n - i - 1) * sizeof(*t->order));
	t->n--;
}

/* An empty layer on top of the lowers, or beneath them. */
static int live_add(struct trees *t, bool beneath)
{
	struct layerfs_layer_change c = { .flags = beneath ? LAYERFS_CHANGE_BENEATH : 0 };
	int number = t->next++;

	make_layer_root(t, number);
	order_insert(t, beneath ? t->n : 1, number);
	return live_change(t, LAYERFS_IOC_LAYER_ADD, &c, layer_dir(t, number).s);
}

/* The first lower layer that is empty is shut down. */
static int live_shut(struct trees *t)
{
	struct layerfs_layer_change c = { 0 };

	for (int i = 1; i < t->n && t->n > 2; i++) {
		struct listing l;
		bool empty;

		if (!list_path(layer_dir(t, t->order[i]).s, &l))
			die("cannot list a layer: %s", errno_name(errno));
		empty = !l.n;
		free(l.entry);
		if (!empty)
			continue;
		order_remove(t, i);
		c.place = i - 1;
		return live_change(t, LAYERFS_IOC_LAYER_SHUTDOWN, &c, NULL);
	}
	return 0;
}

/* A copy of the topmost lower comes on top of it; then that is shut down, which has nothing that is nowhere else. */
static int live_move(struct trees *t)
{
	struct layerfs_layer_change add = { 0 }, shut = { .place = 1 };
	int number = t->next++, err;

	t->replaced = true;
	copy_layer(layer_dir(t, t->order[1]).s, layer_dir(t, number).s);
	err = live_change(t, LAYERFS_IOC_LAYER_ADD, &add, layer_dir(t, number).s);
	if (!err)
		err = live_change(t, LAYERFS_IOC_LAYER_SHUTDOWN, &shut, NULL);
	t->order[1] = number;
	return err;
}

static bool has_name(const char *dir, const char *name)
{
	struct stat st;

	return !lstat(path_of("%s/%s", dir, name).s, &st);
}

/*
 * A file in the root of a lower layer comes into the one above it as well, whole, as a filler makes it: then that is announced.
 * What is there already hides it, and is left alone.
 */
static int live_fill(struct trees *t, int which)
{
	int i = 1 + which % (t->n - 1);
	struct path from, to, temp = path_of("%s/being-filled", t->base);
	struct layerfs_layer_change c = { 0 };
	struct listing l;
	struct stat st;

	if (i + 1 < t->n && !t->elsewhere[0]) {
		from = layer_dir(t, t->order[i + 1]);
		to = layer_dir(t, t->order[i]);
		if (!list_path(from.s, &l))
			die("cannot list a layer: %s", errno_name(errno));
		for (size_t k = 0; k < l.n; k++) {
			const char *name = l.entry[k].name;
			struct path file = path_of("%s/%s", from.s, name);

			if (lstat(file.s, &st) || !S_ISREG(st.st_mode) || has_name(to.s, name))
				continue;
			copy_layer(file.s, temp.s);
			if (rename(temp.s, path_of("%s/%s", to.s, name).s))
				die("cannot fill a layer: %s", errno_name(errno));
			break;
		}
		free(l.entry);
	}
	return live_change(t, LAYERFS_IOC_LAYER_FILLED, &c, NULL);
}

/* One change, as its line says; 0 or the errno. */
static int live_run(struct trees *t, const char *name, int which)
{
	bool is_room = t->n < MAX_LAYERS && t->next < MAX_NUMBERS;
	struct layerfs_layer_change c = { 0 };

	if (!strcmp(name, "relayer"))
		return live_replace(t, which);
	if (!strcmp(name, "addlayer"))
		return is_room ? live_add(t, which & 1) : 0;
	if (!strcmp(name, "shutlayer"))
		return live_shut(t);
	if (!strcmp(name, "movelayer"))
		return is_room ? live_move(t) : 0;
	if (!strcmp(name, "filllayer"))
		return live_fill(t, which);
	return live_change(t, LAYERFS_IOC_LAYER_FILLED, &c, NULL);
}

static bool live_is_change(const char *name)
{
	static const char *const changes[] = { "relayer", "addlayer", "shutlayer", "movelayer", "filllayer", "filled" };

	for (size_t i = 0; i < ARRAY_SIZE(changes); i++)
		if (!strcmp(name, changes[i]))
			return true;
	return false;
}

#endif
