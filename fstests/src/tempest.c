// SPDX-License-Identifier: GPL-2.0-only
/*
 * tempest: random operations of every kind on a tree, by several processes at once, for a given time or number: what a
 * stack over hostile layers must survive. No answer is wrong here, since the layers lie; what counts is that each
 * operation comes to an end, that a killed process dies, and that the kernel says nothing.
 *
 *   tempest DIR [seed=N] [seconds=N] [least=N] [ops=N] [tasks=N] [look]
 *     seconds=N	how long [5]; it may be a fraction
 *     least=N		so many objects have to be found or opened by name: until then it goes on, for five seconds more at most.
 *			If there are fewer, that is told, and the exit status is 1 [0]
 *     ops=N		that many for each process at most [no end]
 *     tasks=N		processes [3]
 *     look		only what changes nothing
 *
 * Wants to be root, if in a user namespace, since it works in a root directory of its own.
 * The names it knows are those of common trees of the suite (a, b, d, e, f, g, l, ...), and what it makes. Processes that
 * are still there five seconds after the end are killed; one that does not die of it in a minute is told of, and the
 * exit status is 1.
 */
#include "tempest/core.h"
#include "tempest/files.h"
#include "tempest/names.h"
#include "tempest/uring.h"

static void one_operation(void)
{
	static void (*const looking[])(void) = { look_at, read_names, read_link, read_attributes, open_one, use_file, use_file, use_file,
						 map_file, handles, close_one, ring_look };
	static void (*const changing[])(void) = { make_one, remove_one, rename_one, change_mode, write_attributes, write_file,
						  write_file, share_data, ring_change, open_one };

	if (only_look || below(2))
		looking[below(sizeof(looking) / sizeof(looking[0]))]();
	else
		changing[below(sizeof(changing) / sizeof(changing[0]))]();
}

static void work(unsigned int number)
{
	dice_state = (seed * 1000003u + number) * 2 + 1;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGBUS, fault);
	signal(SIGSEGV, fault);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	/* Paths with ".." end there. */
	if (chroot(top) || chdir("/"))
		_exit(3);
	ring_open();
	for (volatile unsigned long i = 0; i < ops && !shared->stop; i++) {
		/* Where a fault in a mapping comes back to. */
		if (!sigsetjmp(faulted, 1))
			one_operation();
		__atomic_add_fetch(&shared->done, 1, __ATOMIC_RELAXED);
	}
	_exit(0);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/*
 * Whether names are still to be found, of which there should be so many. There are five seconds for that after the end, and on
 * a machine that has done little by then as many as it takes to do that, up to a minute.
 */
static int more_to_find(double end, unsigned long least)
{
	if (shared->found >= least || now() >= end + 60)
		return 0;
	return now() < end + 5 || shared->done < 2000;
}

/* How many of them are there after so many seconds, and so many names found. */
static int left_after(int tasks, double seconds, unsigned long least)
{
	double end = now() + seconds;

	while (tasks > 0 && (now() < end || more_to_find(end, least))) {
		int status;
		pid_t pid = waitpid(-1, &status, WNOHANG);

		if (pid > 0)
			tasks--;
		else
			usleep(10000);
	}
	return tasks;
}

static void option(const char *o)
{
	if (!strncmp(o, "seed=", 5))
		seed = (unsigned int)atoi(o + 5);
	else if (!strncmp(o, "seconds=", 8))
		seconds = atof(o + 8);
	else if (!strncmp(o, "least=", 6))
		least = strtoul(o + 6, NULL, 0);
	else if (!strncmp(o, "ops=", 4))
		ops = strtoul(o + 4, NULL, 0);
	else if (!strncmp(o, "tasks=", 6) && atoi(o + 6) <= MAX_TASKS)
		tasks = atoi(o + 6);
	else if (!strcmp(o, "look"))
		only_look = true;
	else {
		fprintf(stderr, "tempest: unknown option %s\n", o);
		exit(2);
	}
}

int main(int argc, char **argv)
{
	pid_t pids[MAX_TASKS];
	int left;

	if (argc < 2) {
		fprintf(stderr, "usage: tempest DIR [seed=N] [seconds=N] [least=N] [ops=N] [tasks=N] [look]\n");
		return 2;
	}
	top = argv[1];
	for (int i = 2; i < argc; i++)
		option(argv[i]);
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return 2;
	for (int i = 0; i < tasks; i++) {
		pids[i] = fork();
		if (!pids[i])
			work((unsigned int)i);
	}
	left = left_after(tasks, seconds, least);
	shared->stop = 1;
	left = left_after(left, 5, 0);
	if (left)
		for (int i = 0; i < tasks; i++)
			kill(pids[i], SIGKILL);
	left = left_after(left, 60, 0);
	fprintf(stderr, "# tempest: %lu operations, %lu objects found\n", shared->done, shared->found);
	if (left)
		printf("tempest: %d processes can't be killed\n", left);
	if (shared->found < least)
		printf("tempest: only %lu objects found\n", shared->found);
	return left || shared->found < least;
}
