// SPDX-License-Identifier: GPL-2.0-only
/*
 * layers: looks at the lower layers of a layerfs mount, and changes them while it is in use. An example of the calls in
 * include/uapi/linux/layerfs.h; what they do is in Documentation/layerfs.rst, "Live layers".
 *
 *   layers MOUNT                              shows them, from the top
 *   layers MOUNT filled                       something was added to one
 *   layers MOUNT shutdown NAME [SECONDS]      takes one away, and waits so long for the last who uses it
 *   layers MOUNT force-shutdown NAME [SECONDS]   the same, if names are nowhere else, too
 *   layers MOUNT replace NAME DIRECTORY [SECONDS]
 *   layers MOUNT add DIRECTORY [beneath] [data]
 *
 * Exit status: 0 it is done; 1 an error; 2 it was called wrongly; 3 the layer was taken away, and somebody uses it still;
 * 4 no layerfs is mounted there, or it has no layer of that name.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "../include/uapi/linux/layerfs.h"

enum { DONE, FAILED, USAGE, IN_USE, NOT_THERE };

static int usage(void)
{
	fprintf(stderr, "usage: layers MOUNT [filled | shutdown NAME [SECONDS] | force-shutdown NAME [SECONDS] |\n"
			"                     replace NAME DIRECTORY [SECONDS] | add DIRECTORY [beneath] [data]]\n");
	return USAGE;
}

static int fail(const char *mount, const char *what)
{
	const char *hint = "";

	if (errno == ENOTTY) {
		fprintf(stderr, "layers: %s: no layerfs is mounted there\n", mount);
		return NOT_THERE;
	}
	if (errno == ENOTEMPTY)
		hint = " (it has what no other layer has: the kernel's log names one)";
	fprintf(stderr, "layers: %s: %s: %s%s\n", mount, what, strerror(errno), hint);
	return FAILED;
}

/* Shows the layers, or finds one: NOT_THERE if there is none of that name. */
static int look(int fd, const char *mount, const char *wanted)
{
	char name[PATH_MAX];

	for (__u32 place = 0;; place++) {
		struct layerfs_layer l = {
			.place = place, .name = (uintptr_t)name, .name_len = sizeof(name) - 1,
		};

		if (ioctl(fd, LAYERFS_IOC_LAYER, &l) < 0) {
			if (errno != ENOENT)
				return fail(mount, "its layers");
			return wanted ? NOT_THERE : DONE;
		}
		name[l.name_len < sizeof(name) ? l.name_len : sizeof(name) - 1] = '\0';
		if (wanted && !strcmp(name, wanted))
			return DONE;
		if (!wanted)
			printf("%u %s%s, %llu users: %s\n", place, l.flags & LAYERFS_LAYER_LEAVING ? "leaving" : "there",
			       l.flags & LAYERFS_LAYER_DATA ? ", data only" : "", (unsigned long long)l.users, name);
	}
}

static bool seconds(const char *word, struct layerfs_layer_change *c)
{
	char *end;
	unsigned long n;

	if (!word)
		return true;
	errno = 0;
	n = strtoul(word, &end, 10);
	if (*end || end == word || errno || *word == '-' || n > UINT32_MAX / 1000)
		return false;
	c->timeout_ms = (__u32)n * 1000;
	return true;
}

static void mean(struct layerfs_layer_change *c, const char *name)
{
	c->place = LAYERFS_PLACE_BY_NAME;
	c->name = (uintptr_t)name;
	c->name_len = (__u32)strlen(name);
}

static void take(struct layerfs_layer_change *c, const char *directory)
{
	c->path = (uintptr_t)directory;
	c->path_len = (__u32)strlen(directory);
}

int main(int argc, char **argv)
{
	struct layerfs_layer_change c = { 0 };
	unsigned long command;
	const char *layer = NULL, *mount = argv[1], *what = argc > 2 ? argv[2] : "";
	int fd, rc;

	if (argc < 2)
		return usage();
	if (argc == 2) {
		command = 0;
	} else if (!strcmp(what, "filled") && argc == 3) {
		command = LAYERFS_IOC_LAYER_FILLED;
	} else if ((!strcmp(what, "shutdown") || !strcmp(what, "force-shutdown")) && (argc == 4 || argc == 5)) {
		command = LAYERFS_IOC_LAYER_SHUTDOWN;
		c.flags = *what == 'f' ? LAYERFS_CHANGE_FORCE : 0;
		layer = argv[3];
		if (!seconds(argv[4], &c))
			return usage();
	} else if (!strcmp(what, "replace") && (argc == 5 || argc == 6)) {
		command = LAYERFS_IOC_LAYER_REPLACE;
		layer = argv[3];
		take(&c, argv[4]);
		if (!seconds(argv[5], &c))
			return usage();
	} else if (!strcmp(what, "add") && argc > 3) {
		command = LAYERFS_IOC_LAYER_ADD;
		take(&c, argv[3]);
		for (int i = 4; i < argc; i++) {
			if (strcmp(argv[i], "beneath") && strcmp(argv[i], "data"))
				return usage();
			c.flags |= *argv[i] == 'b' ? LAYERFS_CHANGE_BENEATH : LAYERFS_CHANGE_DATA;
		}
	} else {
		return usage();
	}
	fd = open(mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return fail(mount, "it can't be opened");
	if (!command || layer) {
		rc = look(fd, mount, layer);
		if (!command || rc)
			return rc;
		mean(&c, layer);
	}
	rc = ioctl(fd, command, &c);
	if (rc < 0)
		return fail(mount, what);
	if (rc)
		fprintf(stderr, "layers: %s: %s: %llu users are left\n", mount, layer ? layer : what, (unsigned long long)c.users);
	return rc ? IN_USE : DONE;
}
