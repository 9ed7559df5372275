// SPDX-License-Identifier: GPL-2.0-only
/*
 * patience: a command that may take so long, by the machine's own time.
 *
 *   patience [-9] SECONDS COMMAND [ARGUMENT...]
 *   patience				says how many times slower than usual the machine is just now
 *
 * On an emulated machine whose processors are busy with something else a second is worth less, and the guest has
 * no clock that knows. So a fixed piece of work is done now and then: if it takes longer than on the machine that the
 * limits of the suite are made for, so much less time is counted. A command that hangs uses up its time all the same.
 *
 * TIME_FACTOR in the command's environment is multiplied by how slow the machine is at the beginning, rounded up: for
 * its own waits. A command whose time is up gets SIGTERM, after ten more seconds SIGKILL, with its process group;
 * with -9 the latter at once. The status is the command's; 124 when its time was up, with -9 137; 125 and a message
 * when it was not begun.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/*
 * The work, and the processor's time that it takes on two idle cores without KVM. It is long enough that a busy machine
 * interrupts it, since that is what makes it take longer; and a hundredth of the time between.
 */
enum { STEPS = 8000000, USUAL_MICROSECONDS = 30000, INTERVAL_MILLISECONDS = 3000 };

static int64_t microseconds(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * INT64_C(1000000) + t.tv_nsec / 1000;
}

/* How many times slower than usual the machine is, at least 1. */
static double slowness(void)
{
	int64_t begin = microseconds(CLOCK_THREAD_CPUTIME_ID), took;
	volatile uint32_t kept;
	uint32_t x = 1;

	for (int i = 0; i < STEPS; i++) {
		x ^= x << 13;
		x ^= x >> 17;
		x ^= x << 5;
	}
	kept = x;
	(void)kept;
	took = microseconds(CLOCK_THREAD_CPUTIME_ID) - begin;
	return took <= USUAL_MICROSECONDS ? 1 : (double)took / USUAL_MICROSECONDS;
}

static void multiply_time_factor(double by)
{
	const char *given = getenv("TIME_FACTOR");
	int factor = given && atoi(given) > 0 ? atoi(given) : 1;
	char text[16];

	snprintf(text, sizeof(text), "%d", factor * (int)(by + 0.999));
	setenv("TIME_FACTOR", text, 1);
}

/* Whether the command has ended; waits for that no longer than so. */
static int ended_within(pid_t command, int milliseconds, const sigset_t *child, int *status)
{
	struct timespec t = { milliseconds / 1000, milliseconds % 1000 * 1000000L };

	if (waitpid(command, status, WNOHANG) == command)
		return 1;
	while (sigtimedwait(child, NULL, &t) < 0 && errno == EINTR)
		;
	return waitpid(command, status, WNOHANG) == command;
}

/* Whether the command has ended before so many seconds of this machine were over, which is so slow to begin with. */
static int ended_in_time(pid_t command, double seconds, double slow, const sigset_t *child, int *status)
{
	while (seconds > 0) {
		int64_t begin = microseconds(CLOCK_MONOTONIC);

		if (ended_within(command, INTERVAL_MILLISECONDS, child, status))
			return 1;
		/* One look is a matter of luck; several are not. */
		slow = slow * 0.75 + slowness() * 0.25;
		seconds -= (double)(microseconds(CLOCK_MONOTONIC) - begin) / 1e6 / slow;
	}
	return 0;
}

int main(int argc, char **argv)
{
	int kill_at_once = argc > 1 && !strcmp(argv[1], "-9");
	char **command = argv + 2 + kill_at_once;
	sigset_t child;
	int status = 0;
	double slow;
	pid_t pid;

	if (argc == 1) {
		printf("%.2f\n", slowness());
		return 0;
	}
	if (argc < 3 + kill_at_once || atof(command[-1]) <= 0) {
		fprintf(stderr, "usage: patience [-9] SECONDS COMMAND [ARGUMENT...]\n");
		return 125;
	}
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	slow = slowness();
	pid = fork();
	if (pid < 0) {
		perror("patience: fork");
		return 125;
	}
	if (!pid) {
		setpgid(0, 0);
		sigprocmask(SIG_UNBLOCK, &child, NULL);
		multiply_time_factor(slow);
		execvp(command[0], command);
		fprintf(stderr, "patience: %s: %s\n", command[0], strerror(errno));
		_exit(125);
	}
	setpgid(pid, pid);
	if (!ended_in_time(pid, atof(command[-1]), slow, &child, &status)) {
		if (!kill_at_once) {
			kill(-pid, SIGTERM);
			ended_in_time(pid, 10, slow, &child, &status);
		}
		kill(-pid, SIGKILL);
		waitpid(pid, &status, 0);
		return kill_at_once ? 137 : 124;
	}
	kill(-pid, SIGKILL);	/* what it has left running */
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
