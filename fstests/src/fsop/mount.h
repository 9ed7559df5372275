// SPDX-License-Identifier: GPL-2.0-only
/*
 * fsop: mounting, by both interfaces of the kernel and without mount(8) in between: mount(2) with
 * its one string of options, and fsopen/fsconfig/fsmount with their messages; and id-mapped
 * mounts. linux/mount.h and sys/mount.h of older systems clash, so the system calls are made raw.
 */
#include "core.h"
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <linux/mount.h>

enum { CREATE_EXCL = 8 };	/* FSCONFIG_CMD_CREATE_EXCL, which older headers lack */

int mount(const char *source, const char *target, const char *type, unsigned long flags, const void *data);
int umount2(const char *target, int flags);

static const struct bit mount_flags[] = {
	{ "ro", MS_RDONLY }, { "nosuid", MS_NOSUID }, { "nodev", MS_NODEV }, { "noexec", MS_NOEXEC },
	{ "remount", MS_REMOUNT }, { "bind", MS_BIND }, { "rec", MS_REC }, { "move", MS_MOVE },
	{ "private", MS_PRIVATE }, { "silent", MS_SILENT }, { "noatime", MS_NOATIME }, { "none", 0 }, { NULL, 0 },
};

/* mount TYPE DIR [OPTIONS [FLAGS [SOURCE]]]: mount(2) */
static int c_mount(int argc, struct word *a)
{
	return mount(argc > 5 ? a[5].s : a[1].s, path_of(a[2]), a[1].s,
		     argc > 4 ? (unsigned long)bits_of(a[4], mount_flags) : 0, argc > 3 ? a[3].s : NULL);
}

static int c_umount(int argc, struct word *a)
{
	return umount2(path_of(a[1]), argc > 2 && is(a[2], "detach") ? 2 : 0);
}

static int c_bind(int argc, struct word *a)
{
	return mount(path_of(a[1]), path_of(a[2]), NULL, MS_BIND | (argc > 3 ? MS_REC : 0), NULL);
}

static int c_fsopen(int argc, struct word *a)
{
	int fd = (int)syscall(SYS_fsopen, a[2].s, FSOPEN_CLOEXEC);

	(void)argc;
	if (fd < 0)
		return FAIL;
	set_named(&fds, a[1], fd);
	return OK;
}

/* fspick NAME P: a context to reconfigure what is mounted there */
static int c_fspick(int argc, struct word *a)
{
	int fd = (int)syscall(SYS_fspick, AT_FDCWD, path_of(a[2]), FSPICK_CLOEXEC);

	(void)argc;
	if (fd < 0)
		return FAIL;
	set_named(&fds, a[1], fd);
	return OK;
}

/* fsconfig FC string KEY VALUE | flag KEY | fd KEY FD | path KEY P | binary KEY VALUE | create | create_excl | reconfigure */
static int c_fsconfig(int argc, struct word *a)
{
	int fc = fd_of(a[1]);

	if (is(a[2], "create"))
		return (int)syscall(SYS_fsconfig, fc, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
	if (is(a[2], "reconfigure"))
		return (int)syscall(SYS_fsconfig, fc, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0);
	if (is(a[2], "create_excl"))
		return (int)syscall(SYS_fsconfig, fc, CREATE_EXCL, NULL, NULL, 0);
	if (argc < 4)
		return USAGE;
	if (is(a[2], "flag"))
		return (int)syscall(SYS_fsconfig, fc, FSCONFIG_SET_FLAG, a[3].s, NULL, 0);
	if (argc < 5)
		return USAGE;
	if (is(a[2], "string"))
		return (int)syscall(SYS_fsconfig, fc, FSCONFIG_SET_STRING, a[3].s, a[4].s, 0);
	if (is(a[2], "fd"))
		return (int)syscall(SYS_fsconfig, fc, FSCONFIG_SET_FD, a[3].s, NULL, fd_of(a[4]));
	if (is(a[2], "path"))
		return (int)syscall(SYS_fsconfig, fc, FSCONFIG_SET_PATH, a[3].s, a[4].s, AT_FDCWD);
	if (is(a[2], "binary"))
		return (int)syscall(SYS_fsconfig, fc, FSCONFIG_SET_BINARY, a[3].s, a[4].s, (int)a[4].n);
	return USAGE;
}

/* fsconfigmany FC KEY FORMAT FROM TO: "string" for FORMAT with each number in place of %d */
static int c_fsconfigmany(int argc, struct word *a)
{
	long long to = number(a[5]);
	char value[256];

	(void)argc;
	for (long long i = number(a[4]); i < to; i++) {
		const char *percent = strchr(a[3].s, '%');

		snprintf(value, sizeof(value), "%.*s%lld%s", (int)(percent - a[3].s), a[3].s, i, percent + 2);
		if (syscall(SYS_fsconfig, fd_of(a[1]), FSCONFIG_SET_STRING, a[2].s, value, 0)) {
			printf("at %lld: ", i);
			return FAIL;
		}
	}
	return OK;
}

/* fslog FC: the messages of a context, one a line, or "no messages". */
static int c_fslog(int argc, struct word *a)
{
	char buf[4096];
	ssize_t n;
	int count = 0;

	(void)argc;
	while ((n = read(fd_of(a[1]), buf, sizeof(buf))) > 0) {
		if (buf[n - 1] == '\n')
			n--;
		printf("log: ");
		fwrite(buf, 1, (size_t)n, stdout);
		putchar('\n');
		count++;
	}
	if (!count)
		puts("log: no messages");
	return OK;
}

/* haslog FC: whether the context has an error message at all (its text goes to standard error). */
static int c_haslog(int argc, struct word *a)
{
	char buf[4096];
	ssize_t n;
	int errors = 0;

	(void)argc;
	while ((n = read(fd_of(a[1]), buf, sizeof(buf) - 1)) > 0) {
		buf[n] = 0;
		fprintf(stderr, "# %.*s\n", (int)strcspn(buf, "\n"), buf);
		errors += buf[0] == 'e';
	}
	printf("%s: %s\n", a[1].s, errors ? "an error message is in the context" : "no error message in the context");
	return OK;
}

/* fsmount FC NAME [ro] */
static int c_fsmount(int argc, struct word *a)
{
	int fd = (int)syscall(SYS_fsmount, fd_of(a[1]), FSMOUNT_CLOEXEC,
			      argc > 3 && is(a[3], "ro") ? MOUNT_ATTR_RDONLY : 0);

	if (fd < 0)
		return FAIL;
	set_named(&fds, a[2], fd);
	return OK;
}

static int c_movemount(int argc, struct word *a)
{
	(void)argc;
	return (int)syscall(SYS_move_mount, fd_of(a[1]), "", AT_FDCWD, path_of(a[2]), MOVE_MOUNT_F_EMPTY_PATH);
}

/* opentree NAME P [recursive]: a detached clone */
static int c_opentree(int argc, struct word *a)
{
	int fd = (int)syscall(SYS_open_tree, AT_FDCWD, path_of(a[2]),
			      OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (argc > 3 ? AT_RECURSIVE : 0));

	if (fd < 0)
		return FAIL;
	set_named(&fds, a[1], fd);
	return OK;
}

static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0)
		return FAIL;
	return close_after(fd, write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? OK : FAIL);
}

/* A user namespace with one range, as a descriptor: a child makes it and waits while it is opened. */
static int userns_fd(unsigned long inside, unsigned long outside, unsigned long count)
{
	int go[2], fd = -1, err;
	char path[64], map[64], c;
	pid_t pid;

	if (pipe(go))
		return FAIL;
	pid = fork();
	if (!pid) {
		c = unshare(CLONE_NEWUSER) ? 'n' : 'y';
		if (write(go[1], &c, 1) == 1)
			pause();
		_exit(0);
	}
	if (read(go[0], &c, 1) != 1 || c != 'y') {
		errno = EPERM;
		goto out;
	}
	snprintf(map, sizeof(map), "%lu %lu %lu", inside, outside, count);
	snprintf(path, sizeof(path), "/proc/%d/uid_map", pid);
	if (write_file(path, map))
		goto out;
	snprintf(path, sizeof(path), "/proc/%d/gid_map", pid);
	if (write_file(path, map))
		goto out;
	snprintf(path, sizeof(path), "/proc/%d/ns/user", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
out:
	err = errno;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(go[0]);
	close(go[1]);
	errno = err;
	return fd;
}

/*
 * idmap P FROM:TO:COUNT: a clone of the mount at P, id-mapped so that FROM on the file system
 * shows as TO, mounted over P.
 */
static int c_idmap(int argc, struct word *a)
{
	unsigned long from, to, count;
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_IDMAP };
	int tree, ns;

	(void)argc;
	if (sscanf(a[2].s, "%lu:%lu:%lu", &from, &to, &count) != 3)
		return USAGE;
	ns = userns_fd(from, to, count);
	if (ns < 0)
		return FAIL;
	attr.userns_fd = (__u64)ns;
	tree = (int)syscall(SYS_open_tree, AT_FDCWD, path_of(a[1]), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (tree < 0)
		return close_after(ns, FAIL);
	if (syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attr, sizeof(attr)) ||
	    syscall(SYS_move_mount, tree, "", AT_FDCWD, path_of(a[1]), MOVE_MOUNT_F_EMPTY_PATH)) {
		close_after(ns, FAIL);
		return close_after(tree, FAIL);
	}
	close(ns);
	return close(tree);
}

/* The line of /proc/self/mountinfo for a mount point (the last one mounted there). */
static bool mountinfo(const char *dir, char *line, size_t size)
{
	char *real = realpath(dir, NULL), buf[16384];
	FILE *f = fopen("/proc/self/mountinfo", "r");
	bool found = false;

	while (f && real && fgets(buf, sizeof(buf), f)) {
		char point[PATH_MAX];

		if (sscanf(buf, "%*s %*s %*s %*s %4095s", point) == 1 && !strcmp(point, real)) {
			snprintf(line, size, "%s", buf);
			found = true;
		}
	}
	if (f)
		fclose(f);
	free(real);
	return found;
}

/* options P: the super block's options as mountinfo shows them, and those of the mount. */
static int c_options(int argc, struct word *a)
{
	char line[16384], opts[256], *sep, *super;

	(void)argc;
	if (!mountinfo(path_of(a[1]), line, sizeof(line))) {
		errno = ENOENT;
		return FAIL;
	}
	sscanf(line, "%*s %*s %*s %*s %*s %255s", opts);
	sep = strstr(line, " - ");
	super = strrchr(line, ' ');
	super[strcspn(super, "\n")] = 0;
	printf("%s: %s |", a[1].s, opts);
	for (; *super; super++)
		printf((unsigned char)*super < 0x80 ? "%c" : "\\x%02x", (unsigned char)*super);
	puts(sep ? "" : " ?");
	return OK;
}

/* statmount P: the type and the super block's options as statmount(2) tells them. */
static int c_statmount(int argc, struct word *a)
{
	enum { ID_UNIQUE = 0x4000, NR_STATMOUNT = 457 };	/* STATX_MNT_ID_UNIQUE, __NR_statmount */
	union {
		struct statmount s;
		char room[65536];
	} *answer = need(calloc(1, sizeof(*answer)));
	struct mnt_id_req req = { .size = MNT_ID_REQ_SIZE_VER0, .param = STATMOUNT_FS_TYPE | STATMOUNT_MNT_OPTS };
	struct statx x;

	(void)argc;
	if (statx(AT_FDCWD, path_of(a[1]), 0, ID_UNIQUE, &x))
		return FAIL;
	req.mnt_id = x.stx_mnt_id;
	if (syscall(NR_STATMOUNT, &req, answer, sizeof(*answer), 0)) {
		free(answer);
		return FAIL;
	}
	printf("%s: %s |%s\n", a[1].s, answer->s.mask & STATMOUNT_FS_TYPE ? answer->s.str + answer->s.fs_type : "?",
	       answer->s.mask & STATMOUNT_MNT_OPTS ? answer->s.str + answer->s.mnt_opts : "?");
	free(answer);
	return OK;
}

/* The octal escapes of mountinfo undone. */
static void unoctal(char *s)
{
	char *d = s;

	for (; *s; d++) {
		if (s[0] == '\\' && isdigit((unsigned char)s[1]) && isdigit((unsigned char)s[2]) &&
		    isdigit((unsigned char)s[3])) {
			*d = (char)(((s[1] - '0') << 6) | ((s[2] - '0') << 3) | (s[3] - '0'));
			s += 4;
		} else {
			*d = *s++;
		}
	}
	*d = 0;
}

/*
 * mountlike P Q: takes the options that mountinfo shows for P and mounts Q with them: each
 * key=value through fsconfig, as a tool would that saves and restores mounts; or all as the one
 * string of mount(2).
 */
static int c_mountlike(int argc, struct word *a)
{
	char line[16384], type[64], *super, *save = NULL;
	int fc, mnt;

	if (!mountinfo(path_of(a[1]), line, sizeof(line))) {
		errno = ENOENT;
		return FAIL;
	}
	sscanf(strstr(line, " - "), " - %63s", type);
	super = strrchr(line, ' ') + 1;
	super[strcspn(super, "\n")] = 0;
	if (argc > 3) {
		unoctal(super);
		return mount("none", path_of(a[2]), type, 0, strchr(super, ',') + 1);
	}
	fc = (int)syscall(SYS_fsopen, type, FSOPEN_CLOEXEC);
	if (fc < 0)
		return FAIL;
	for (char *opt = strtok_r(super, ",", &save); opt; opt = strtok_r(NULL, ",", &save)) {
		char *value = strchr(opt, '=');
		long rc;

		if (value)
			*value++ = 0;
		unoctal(opt);
		if (value)
			unoctal(value);
		if (!strcmp(opt, "rw"))
			continue;
		rc = value ? syscall(SYS_fsconfig, fc, FSCONFIG_SET_STRING, opt, value, 0) :
			     syscall(SYS_fsconfig, fc, FSCONFIG_SET_FLAG, opt, NULL, 0);
		if (rc) {
			printf("option %s: ", opt);
			return FAIL;
		}
	}
	if (syscall(SYS_fsconfig, fc, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		return FAIL;
	mnt = (int)syscall(SYS_fsmount, fc, FSMOUNT_CLOEXEC, 0);
	if (mnt < 0)
		return FAIL;
	if (syscall(SYS_move_mount, mnt, "", AT_FDCWD, path_of(a[2]), MOVE_MOUNT_F_EMPTY_PATH))
		return FAIL;
	close(fc);
	return close(mnt);
}

static const struct command mount_commands[] = {
	{ "mount", 2, 5, TERSE, c_mount, "TYPE DIR [OPTIONS [FLAGS [SOURCE]]]" },
	{ "umount", 1, 2, 0, c_umount, "P [detach]" },
	{ "bind", 2, 3, 0, c_bind, "FROM TO [rec]" },
	{ "fsopen", 2, 2, 0, c_fsopen, "NAME TYPE" },
	{ "fspick", 2, 2, 0, c_fspick, "NAME P" },
	{ "fsconfig", 2, 4, 0, c_fsconfig, "FC string|flag|fd|path|binary|create|create_excl|reconfigure [KEY [VALUE]]" },
	{ "fsconfigmany", 5, 5, 0, c_fsconfigmany, "FC KEY FORMAT FROM TO" },
	{ "fslog", 1, 1, 0, c_fslog, "FC" },
	{ "haslog", 1, 1, 0, c_haslog, "FC" },
	{ "fsmount", 2, 3, 0, c_fsmount, "FC NAME [ro]" },
	{ "movemount", 2, 2, 0, c_movemount, "MOUNT P" },
	{ "opentree", 2, 3, 0, c_opentree, "NAME P [recursive]" },
	{ "idmap", 2, 2, 0, c_idmap, "P FROM:TO:COUNT" },
	{ "options", 1, 1, 0, c_options, "P" },
	{ "statmount", 1, 1, 0, c_statmount, "P" },
	{ "mountlike", 2, 3, TERSE, c_mountlike, "P Q [string]" },
	{ 0 },
};
