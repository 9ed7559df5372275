// SPDX-License-Identifier: GPL-2.0-only
/*
 * layerbench: measures what filesystem calls cost on layerfs, on the kernel's overlayfs and on the bare
 * filesystem, all in this one process. Each row of the table builds the same layers for each system, makes
 * one round that does not count, then several that do, the systems taking turns; the median is printed.
 *
 *   layerbench [--rounds N] [--xfs DIR] [--ext4 DIR] [--fuse PROGRAM] [--list] [ROW-PATTERN...]
 *
 * With --fuse it is that program, fuse-overlayfs, alone that is measured.
 *
 * Output: one line per row and system: row,system,unit,median,least,most,rounds. README.md has the rest.
 */
#define _GNU_SOURCE
#include "bench.h"

#include <errno.h>
#include <fnmatch.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MAX_ROUNDS 64

static const struct row *const tables[] = { rows_cached, rows_lookup,  rows_readdir, rows_tree,
					    rows_change, rows_copy_up, rows_mount,   rows_memory };
static int default_rounds = 6;

/*
 * Places that a profiler of the emulator can wait for: mark() passes the one of the system whose calls are
 * timed next, or the last one when they are over.
 */
#define MARK(name) __attribute__((noinline, noclone)) void name(void); void name(void) { __asm__ volatile("nop"); }
MARK(mark_layerfs)
MARK(mark_overlayfs)
MARK(mark_bare)
MARK(mark_fuse)
MARK(mark_none)

static void (*const marks[SYSTEMS + 1])(void) = { mark_layerfs, mark_overlayfs, mark_bare, mark_fuse, mark_none };

/* Whose calls are timed now, for the marks; SYSTEMS: nobody's. */
static int marked = SYSTEMS;

uint64_t now(void)
{
	static bool running;
	struct timespec t;

	if (marked == SYSTEMS)
		running = false;
	else
		marks[(running = !running) ? marked : SYSTEMS]();
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

double untimed(double (*round)(struct stack *, int), struct stack *s, int number)
{
	int was = marked;
	double took;

	marked = SYSTEMS;
	took = round(s, number);
	settle();
	marked = was;
	return took;
}

void settle(void)
{
	usleep(30000);
}

int rounds_of(const struct row *row)
{
	/* A row that says how many it wants is a long one. */
	return row->rounds && row->rounds < default_rounds ? row->rounds : default_rounds;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* Each system comes after each other one as often: what one leaves in the allocators, the next one finds. */
#define ORDERS 6
#define TOGETHER FUSE /* the systems before it take turns */
static const unsigned char orders[ORDERS][TOGETHER] = { { 0, 1, 2 }, { 2, 1, 0 }, { 1, 2, 0 },
							{ 0, 2, 1 }, { 2, 0, 1 }, { 1, 0, 2 } };

static void run(const struct row *row)
{
	struct stack stacks[SYSTEMS];
	double took[SYSTEMS][MAX_ROUNDS];
	int rounds = rounds_of(row), first = fuse_program ? FUSE : 0, end = fuse_program ? SYSTEMS : TOGETHER;

	for (int system = first; system < end; system++)
		stack_make(&stacks[system], system, row);
	for (int round = 0; round <= rounds; round++) {
		for (int turn = 0; turn < end - first; turn++) {
			int system = fuse_program ? FUSE : orders[round % ORDERS][turn];
			struct stack *s = &stacks[system];

			if (row->remount && round > 0) {
				stack_umount(s);
				settle();
				stack_mount(s);
			}
			stack_enter(s);
			settle();
			if (round)
				marked = system;
			took[system][round] = row->round(s, round);
			marked = SYSTEMS;
		}
	}
	for (int system = first; system < end; system++) {
		double *counted = took[system] + 1;

		qsort(counted, rounds, sizeof(double), by_size);
		printf("%s,%s,%s,%.1f,%.1f,%.1f,%d\n", row->name, system_names[system], row->unit ? row->unit : "time",
		       rounds % 2 ? counted[rounds / 2] : (counted[rounds / 2] + counted[rounds / 2 - 1]) / 2, counted[0],
		       counted[rounds - 1], rounds);
		fflush(stdout);
	}
	for (int system = first; system < end; system++)
		stack_destroy(&stacks[system]);
}

static bool chosen(const struct row *row, char **patterns)
{
	if (!*patterns)
		return true;
	for (; *patterns; patterns++)
		if (!fnmatch(*patterns, row->name, 0))
			return true;
	return false;
}

int main(int argc, char **argv)
{
	static const struct option options[] = { { "rounds", required_argument, NULL, 'r' },
						 { "xfs", required_argument, NULL, 'x' },
						 { "ext4", required_argument, NULL, '4' },
						 { "fuse", required_argument, NULL, 'f' },
						 { "list", no_argument, NULL, 'l' },
						 { NULL, 0, NULL, 0 } };
	bool list = false;
	int option, ran = 0;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'r':
			default_rounds = atoi(optarg);
			break;
		case 'x':
			places[XFS] = optarg;
			break;
		case '4':
			places[EXT4] = optarg;
			break;
		case 'f':
			fuse_program = optarg;
			break;
		case 'l':
			list = true;
			break;
		default:
			return 2;
		}
	}
	if (default_rounds < 1 || default_rounds >= MAX_ROUNDS) {
		fprintf(stderr, "layerbench: --rounds wants 1 to %d\n", MAX_ROUNDS - 1);
		return 2;
	}
	for (size_t t = 0; t < sizeof(tables) / sizeof(tables[0]); t++) {
		for (const struct row *row = tables[t]; row->name; row++) {
			if (!chosen(row, argv + optind))
				continue;
			ran++;
			if (list) {
				printf("%-22s %s\n", row->name, row->what);
			} else if (row->place != TMPFS && !places[row->place]) {
				fprintf(stderr, "layerbench: %s wants --xfs DIR or --ext4 DIR\n", row->name);
			} else {
				uint64_t start = now();

				run(row);
				fprintf(stderr, "# %s: %.2f s of the guest\n", row->name, (now() - start) / 1e9);
			}
		}
	}
	if (!ran) {
		fprintf(stderr, "layerbench: no row has such a name (--list shows them)\n");
		return 2;
	}
	return 0;
}
