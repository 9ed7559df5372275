/* SPDX-License-Identifier: GPL-2.0-only */
/* Options, numbers, names. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/io_uring.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

enum { MAX_TASKS = 32, MAX_OPEN = 12 };

static const char *top;
static unsigned int seed = 1;
static double seconds = 5;
static int tasks = 3;
static unsigned long ops = ULONG_MAX, least;
static bool only_look;
static struct {
	volatile unsigned long done, found;
	volatile int stop;
} *shared;
static uint64_t dice_state;
static sigjmp_buf faulted;
static int files[MAX_OPEN];	/* what is open, plus one; 0: nothing */
static char buffer[1 << 17];

static void fault(int sig)
{
	(void)sig;
	siglongjmp(faulted, 1);
}

static uint64_t dice(void)
{
	dice_state ^= dice_state >> 12;
	dice_state ^= dice_state << 25;
	dice_state ^= dice_state >> 27;
	return dice_state * 0x2545f4914f6cdd1dull;
}

static unsigned int below(unsigned int n)
{
	return (unsigned int)((dice() >> 33) % n);
}

/* A position or length: mostly one that is in a file, at times any. */
static int64_t place(void)
{
	static const int64_t edges[] = { 0, 1, -1, 4095, 4096, 65536, INT64_MAX, INT64_MIN, INT64_MAX - 4095, 1ll << 62, UINT32_MAX };

	switch (below(8)) {
	case 0: return edges[below(sizeof(edges) / sizeof(edges[0]))];
	case 1: return (int64_t)dice();
	default: return below(1 << 18);
	}
}

/* Some of the bits of a mask. */
static int some(int mask)
{
	return (int)(dice() >> 20) & (int)(dice() >> 20) & mask;
}

/* A path below the top, in one of a few buffers. */
static const char *path(void)
{
	static const char *const names[] = { "a", "b", "d", "e", "f", "g", "l", "m", "big", "dev", "n0", "n1", "n2", "n3", "n4", "n5",
					     "fifo", "op", "meta", "..", "." };
	static char paths[4][512];
	static int next;
	char *p = paths[next++ % 4];
	unsigned int depth = below(10) ? 1 + below(3) : 1 + below(20);

	p[0] = 0;
	for (unsigned int i = 0; i < depth; i++) {
		if (i)
			strcat(p, "/");
		/* Directories first. */
		strcat(p, i + 1 < depth && below(3) ? below(2) ? "d" : "e" : names[below(sizeof(names) / sizeof(names[0]))]);
	}
	if (below(60) == 0) {
		memset(p, 'x', 260);
		p[260] = 0;
	}
	return p;
}

/* Something was done with the object of that name, or not: those that every tree has don't count. */
static void count(const char *p, bool succeeded)
{
	if (succeeded && p[strlen(p) - 1] != '.')
		__atomic_add_fetch(&shared->found, 1, __ATOMIC_RELAXED);
}

static int open_file(void)
{
	return files[below(MAX_OPEN)] - 1;
}

/* An open file, which is kept for later. */
static void keep(int fd)
{
	int *slot = &files[below(MAX_OPEN)];

	if (fd < 0)
		return;
	if (*slot)
		close(*slot - 1);
	*slot = fd + 1;
}
