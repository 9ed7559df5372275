// SPDX-License-Identifier: GPL-2.0-only
/*
 * deleg: a task that has a delegation of a file or directory, as a client of nfsd would, and gives it back when it is
 * asked to, while a program does something that the delegation is in the way of.
 *
 *   deleg PATH... -- PROGRAM [ARGUMENT...]	delegations of PATH...; says whether they were asked for
 *
 * DELEG_WAIT=SECONDS: so long it takes to give them back. Who wants them back is to sleep meanwhile, and not to ask
 * again and again, which is said.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef F_SETDELEG
#define F_SETDELEG (1024 + 16)
struct delegation {
	uint32_t d_flags;
	uint16_t d_type;
	uint16_t pad;
};
#endif

enum { MAX = 8 };

static int set(int fd, int type)
{
	struct delegation d = { .d_type = type };

	return fcntl(fd, F_SETDELEG, &d);
}

int main(int argc, char **argv)
{
	int fds[MAX], count = 0, asked = 0, status, i;
	const char *seconds = getenv("DELEG_WAIT");
	struct rusage used;
	sigset_t signals;
	pid_t child;

	sigemptyset(&signals);
	sigaddset(&signals, SIGIO);
	sigaddset(&signals, SIGCHLD);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	for (i = 1; i < argc && strcmp(argv[i], "--"); i++) {
		if (count == MAX)
			return 2;
		fds[count] = open(argv[i], O_RDONLY | O_CLOEXEC);
		if (fds[count] < 0 || set(fds[count], F_RDLCK)) {
			printf("deleg: %s: %s\n", argv[i], strerrorname_np(errno));
			return errno == EINVAL ? 77 : 1;
		}
		count++;
	}
	if (i + 1 >= argc)
		return 2;
	child = fork();
	if (!child) {
		sigprocmask(SIG_UNBLOCK, &signals, NULL);
		execvp(argv[i + 1], argv + i + 1);
		_exit(127);
	}
	while (waitpid(child, &status, WNOHANG) != child) {
		if (sigwaitinfo(&signals, NULL) != SIGIO)
			continue;
		asked = 1;
		if (seconds)
			sleep((unsigned int)atoi(seconds));
		/* Which one it is about is not said. */
		for (i = 0; i < count; i++)
			set(fds[i], F_UNLCK);
	}
	/* What was asked for just before the end. */
	while (sigtimedwait(&signals, NULL, &(struct timespec){ 0 }) == SIGIO)
		asked = 1;
	puts(asked ? "asked to give it back" : "not asked");
	getrusage(RUSAGE_CHILDREN, &used);
	if (seconds && used.ru_stime.tv_sec + used.ru_utime.tv_sec >= atoi(seconds) - 1)
		puts("busy while it waited");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
