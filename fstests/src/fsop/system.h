// SPDX-License-Identifier: GPL-2.0-only
/*
 * fsop: who does something and in what surroundings: other users, without capabilities, in a
 * child; programs run; caches dropped; counts of slab objects; the kernel's log since a mark.
 */
#include "core.h"
#include <grp.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <linux/capability.h>

/* Run the rest of the line in a child; its output and errors are printed there. */
static int in_child(int argc, struct word *argv, int (*first)(void *), void *arg)
{
	int status;
	pid_t pid;

	fflush(stdout);
	fflush(stderr);
	pid = fork();
	if (pid < 0)
		return FAIL;
	if (!pid) {
		int rc = first && first(arg) ? FAIL : OK;

		if (rc == OK)
			run_words(argc, argv, true);
		else
			printf("becoming another user: %s\n", errno_name(errno));
		fflush(stdout);
		_exit(0);
	}
	if (waitpid(pid, &status, 0) < 0)
		return FAIL;
	if (status)
		printf("the child ended with status %#x\n", status);
	return OK;
}

struct user {
	unsigned int uid, gid;
	gid_t groups[16];
	size_t ngroups;
};

static int become(void *arg)
{
	struct user *u = arg;

	return setgroups(u->ngroups, u->groups) || setresgid(u->gid, u->gid, u->gid) ||
	       setresuid(u->uid, u->uid, u->uid) ? FAIL : OK;
}

/* as UID[:GID[,GROUP...]] COMMAND...: as that user, without capabilities. Says "ok" or the error. */
static int c_as(int argc, struct word *a)
{
	struct user u = { 0 };
	char *end;

	u.uid = u.gid = (unsigned int)strtoul(a[1].s, &end, 10);
	if (*end == ':')
		u.gid = (unsigned int)strtoul(end + 1, &end, 10);
	while (*end == ',' && u.ngroups < 16)
		u.groups[u.ngroups++] = (gid_t)strtoul(end + 1, &end, 10);
	if (*end)
		return USAGE;
	printf("as %s ", a[1].s);
	return in_child(argc - 2, a + 2, become, &u);
}

static int drop_caps(void *arg)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct d[2] = { { 0 } };
	unsigned long keep = *(unsigned long *)arg;

	d[0].effective = d[0].permitted = (__u32)keep;
	d[1].effective = d[1].permitted = (__u32)(keep >> 32);
	return (int)syscall(SYS_capset, &h, d);
}

/* nocaps COMMAND...: as root, but without any capability */
static int c_nocaps(int argc, struct word *a)
{
	unsigned long none = 0;

	printf("nocaps ");
	return in_child(argc - 1, a + 1, drop_caps, &none);
}

static int c_child(int argc, struct word *a)
{
	printf("child ");
	return in_child(argc - 1, a + 1, NULL, NULL);
}

/* run PROGRAM ARGUMENT...: prints what the program prints, and its status; or why it can't be run. */
static int c_run(int argc, struct word *a)
{
	int err = 0, status, p[2];
	char *argv[64];
	pid_t pid;

	if (pipe2(p, O_CLOEXEC))
		return FAIL;
	for (int i = 1; i < argc && i < 64; i++)
		argv[i - 1] = a[i].s;
	argv[argc - 1 < 63 ? argc - 1 : 63] = NULL;
	fflush(stdout);
	pid = fork();
	if (!pid) {
		execv(argv[0], argv);
		err = errno;
		_exit(write(p[1], &err, sizeof(err)) == sizeof(err) ? 127 : 126);
	}
	close(p[1]);
	if (read(p[0], &err, sizeof(err)) != sizeof(err))
		err = 0;
	close(p[0]);
	waitpid(pid, &status, 0);
	if (err) {
		errno = err;
		return FAIL;
	}
	if (status)
		printf("%s: status %#x\n", a[1].s, status);
	return OK;
}

/* quiet COMMAND...: its result is not for the golden output, but an error is. */
static int c_quiet(int argc, struct word *a)
{
	int out, null, rc, err;

	fflush(stdout);
	out = dup(1);
	null = open("/dev/null", O_WRONLY);
	dup2(null, 1);
	rc = run_words(argc - 1, a + 1, false);
	err = errno;
	fflush(stdout);
	dup2(out, 1);
	close(out);
	close(null);
	errno = err;
	return rc;
}

/* ignore COMMAND...: neither its result nor its error is for the golden output. */
static int c_ignore(int argc, struct word *a)
{
	c_quiet(argc, a);
	return OK;
}

/* ids: who this process is */
static int c_ids(int argc, struct word *a)
{
	(void)argc;
	(void)a;
	printf("uid %d, effective %d; gid %d, effective %d\n", getuid(), geteuid(), getgid(), getegid());
	return OK;
}

static int c_echo(int argc, struct word *a)
{
	for (int i = 1; i < argc; i++)
		printf("%s%s", i > 1 ? " " : "", a[i].s);
	putchar('\n');
	return OK;
}

static int c_sync(int argc, struct word *a)
{
	(void)argc;
	(void)a;
	sync();
	return OK;
}

/* dropcaches: pages, dentries and inodes that nobody uses; twice, since the first frees what pins others. */
static int c_dropcaches(int argc, struct word *a)
{
	(void)argc;
	(void)a;
	sync();
	if (write_file("/proc/sys/vm/drop_caches", "3"))
		return FAIL;
	return write_file("/proc/sys/vm/drop_caches", "3");
}

/* sleep MILLISECONDS */
static int c_sleep(int argc, struct word *a)
{
	(void)argc;
	usleep((useconds_t)number(a[1]) * 1000);
	return OK;
}

/* slab CACHE: prints the number of objects in use (for a test to compare, not for golden output) */
static int c_slab(int argc, struct word *a)
{
	FILE *f = fopen("/proc/slabinfo", "r");
	char line[512], name[64];
	unsigned long active;
	bool found = false;

	(void)argc;
	if (!f)
		return FAIL;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%63s %lu", name, &active) == 2 && !strcmp(name, a[1].s)) {
			printf("%lu\n", active);
			found = true;
		}
	fclose(f);
	errno = ENOENT;
	return found ? OK : FAIL;
}

/* kmsg MARK: the kernel's messages after the last one that holds MARK */
static int c_kmsg(int argc, struct word *a)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);
	char rec[8192], *out = NULL;
	size_t used = 0, room = 0;
	ssize_t n;

	(void)argc;
	if (fd < 0)
		return FAIL;
	for (;;) {
		n = read(fd, rec, sizeof(rec) - 1);
		if (n < 0 && errno == EPIPE)
			continue;	/* overwritten meanwhile */
		if (n <= 0)
			break;
		rec[n] = 0;
		char *text = strchr(rec, ';'), *end;

		if (!text)
			continue;
		end = strchr(++text, '\n');
		if (end)
			end[1] = 0;	/* what follows are key=value lines */
		if (strstr(text, a[1].s)) {
			used = 0;
			continue;
		}
		if (used + strlen(text) + 1 > room) {
			room = (room + strlen(text)) * 2 + 4096;
			out = need(realloc(out, room));
		}
		memcpy(out + used, text, strlen(text));
		used += strlen(text);
	}
	close(fd);
	if (used)
		fwrite(out, 1, used, stdout);
	free(out);
	return OK;
}

static const struct command system_commands[] = {
	{ "as", 2, -1, 0, c_as, "UID[:GID[,GROUP...]] COMMAND..." },
	{ "nocaps", 1, -1, 0, c_nocaps, "COMMAND..." },
	{ "child", 1, -1, 0, c_child, "COMMAND..." },
	{ "run", 1, -1, 0, c_run, "PROGRAM ARGUMENT..." },
	{ "quiet", 1, -1, 0, c_quiet, "COMMAND..." },
	{ "ignore", 1, -1, 0, c_ignore, "COMMAND..." },
	{ "ids", 0, 0, 0, c_ids, "" },
	{ "echo", 0, -1, 0, c_echo, "WORD..." },
	{ "sync", 0, 0, 0, c_sync, "" },
	{ "dropcaches", 0, 0, 0, c_dropcaches, "" },
	{ "sleep", 1, 1, 0, c_sleep, "MILLISECONDS" },
	{ "slab", 1, 1, 0, c_slab, "CACHE" },
	{ "kmsg", 1, 1, 0, c_kmsg, "MARK" },
	{ 0 },
};
