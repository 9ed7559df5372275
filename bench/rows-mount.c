// SPDX-License-Identifier: GPL-2.0-only
/* Rows: mounting and unmounting a whole stack. The bare row mounts and unmounts a tmpfs. */
#define _GNU_SOURCE
#include "bench.h"

#include <sys/mount.h>
#include <unistd.h>

static double mount_umount(struct stack *s, int round)
{
	uint64_t took = 0;

	(void)round;
	CHECK(chdir(s->base));
	stack_umount(s);
	for (int i = 0; i < s->row->n; i++) {
		uint64_t start;

		settle();
		start = now();
		if (s->system == BARE) {
			CHECK(mount("bench", "m", "tmpfs", 0, NULL));
			CHECK(umount("m"));
		} else {
			stack_mount(s);
			stack_umount(s);
		}
		took += now() - start;
	}
	return (double)took / s->row->n;
}

const struct row rows_mount[] = {
	{ .name = "mount-2", .what = "mount and unmount 2 lower layers and upper", .n = 20, .round = mount_umount },
	{ .name = "mount-500", .what = "the same with 500 lower layers",
	  .n = 3, .lowers = 500, .rounds = 3, .round = mount_umount },
	{ 0 },
};
