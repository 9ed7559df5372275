// SPDX-License-Identifier: GPL-2.0-only
/*
 * fsop: commands that look: stat and statx, listings by raw getdents64, contents, and whole trees
 * compared with each other. What varies from run to run (inode numbers, devices, times) is not
 * printed but kept under a name (`let`) and compared (`eq`).
 */
#include "core.h"
#include <dirent.h>
#include <sys/inotify.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>

static const char *type_name(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG: return "reg";
	case S_IFDIR: return "dir";
	case S_IFLNK: return "lnk";
	case S_IFCHR: return "chr";
	case S_IFBLK: return "blk";
	case S_IFIFO: return "fifo";
	case S_IFSOCK: return "sock";
	}
	return "?";
}

static const char *dtype_name(unsigned char t)
{
	return t ? type_name((mode_t)t << 12) : "unknown";
}

static int statx_of(struct word w, struct statx *st)
{
	struct at at = at_of(w);

	return statx(at.fd, at.path, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | at.flags,
		     STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID, st);
}

static long long nanoseconds(struct statx_timestamp t)
{
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static long long stat_field(const struct statx *st, const char *f)
{
	if (!strcmp(f, "ino")) return (long long)st->stx_ino;
	if (!strcmp(f, "dev")) return (long long)makedev(st->stx_dev_major, st->stx_dev_minor);
	if (!strcmp(f, "rdev")) return (long long)makedev(st->stx_rdev_major, st->stx_rdev_minor);
	if (!strcmp(f, "nlink")) return st->stx_nlink;
	if (!strcmp(f, "size")) return (long long)st->stx_size;
	if (!strcmp(f, "blocks")) return (long long)st->stx_blocks;
	if (!strcmp(f, "blksize")) return st->stx_blksize;
	if (!strcmp(f, "uid")) return st->stx_uid;
	if (!strcmp(f, "gid")) return st->stx_gid;
	if (!strcmp(f, "mode")) return st->stx_mode;
	if (!strcmp(f, "atime")) return nanoseconds(st->stx_atime);
	if (!strcmp(f, "mtime")) return nanoseconds(st->stx_mtime);
	if (!strcmp(f, "ctime")) return nanoseconds(st->stx_ctime);
	if (!strcmp(f, "btime")) return st->stx_mask & STATX_BTIME ? nanoseconds(st->stx_btime) : -1;
	if (!strcmp(f, "mntid")) return (long long)st->stx_mnt_id;
	if (!strcmp(f, "attrs")) return (long long)(st->stx_attributes & st->stx_attributes_mask);
	die("no field of statx is named '%s'", f);
}

/* stat P [FIELD...]: one line; without fields: type, mode, uid, gid, size (of a file). */
static int c_stat(int argc, struct word *a)
{
	static const char *const usual[] = { "type", "mode", "uid", "gid", "size" };
	struct statx st;

	if (statx_of(a[1], &st))
		return FAIL;
	put_word(a[1]);
	putchar(':');
	for (int i = 0; i < (argc > 2 ? argc - 2 : 5); i++) {
		const char *f = argc > 2 ? a[i + 2].s : usual[i];

		if (argc == 2 && !strcmp(f, "size") && !S_ISREG(st.stx_mode))
			continue;
		if (!strcmp(f, "type"))
			printf(" %s", type_name(st.stx_mode));
		else if (!strcmp(f, "mode"))
			printf(" mode=%04o", st.stx_mode & 07777);
		else if (!strcmp(f, "rdev"))
			printf(" rdev=%u:%u", st.stx_rdev_major, st.stx_rdev_minor);
		else if (!strcmp(f, "mtime") || !strcmp(f, "atime"))
			printf(" %s=%lld.%09u", f, f[0] == 'm' ? st.stx_mtime.tv_sec : st.stx_atime.tv_sec,
			       f[0] == 'm' ? st.stx_mtime.tv_nsec : st.stx_atime.tv_nsec);
		else
			printf(" %s=%lld", f, stat_field(&st, f));
	}
	putchar('\n');
	return OK;
}

/*
 * The inode number that the kernel itself has for a file (i_ino), which stat may not show: the one
 * in /proc/self/fdinfo of a watch on it.
 */
static long long kernel_ino(const char *path)
{
	int fd = inotify_init1(IN_CLOEXEC);
	char name[64], line[512];
	unsigned long long ino = 0;
	FILE *f;

	snprintf(name, sizeof(name), "/proc/self/fdinfo/%d", fd);
	if (fd < 0 || inotify_add_watch(fd, path, IN_ATTRIB | IN_DONT_FOLLOW) < 0 || !(f = fopen(name, "r")))
		die("cannot watch %s: %s", path, errno_name(errno));
	while (fgets(line, sizeof(line), f))
		if (strstr(line, " ino:"))
			ino = strtoull(strstr(line, " ino:") + 5, NULL, 16);
	fclose(f);
	close(fd);
	return (long long)ino;
}

/* let NAME FIELD P (a field of statx, or i_ino), or let NAME = NUMBER, or let NAME A OP B (OP: & | ^ + - << >>) */
static long long value_of(struct word w)
{
	return isdigit((unsigned char)w.s[0]) || w.s[0] == '-' ? number(w) : get_named(&numbers, w);
}

static int c_let(int argc, struct word *a)
{
	struct statx st;
	unsigned long long x, y;

	if (is(a[2], "=")) {
		set_named(&numbers, a[1], value_of(a[3]));
	} else if (argc == 4) {
		if (statx_of(a[3], &st))
			return FAIL;
		set_named(&numbers, a[1], is(a[2], "i_ino") ? kernel_ino(path_of(a[3])) : stat_field(&st, a[2].s));
	} else {
		x = (unsigned long long)value_of(a[2]);
		y = (unsigned long long)value_of(a[4]);
		if (is(a[3], "&")) x &= y;
		else if (is(a[3], "|")) x |= y;
		else if (is(a[3], "^")) x ^= y;
		else if (is(a[3], "+")) x += y;
		else if (is(a[3], "-")) x -= y;
		else if (is(a[3], "<<")) x <<= y;
		else if (is(a[3], ">>")) x >>= y;
		else return USAGE;
		set_named(&numbers, a[1], (long long)x);
	}
	return OK;
}

/* eq A B TEXT: "TEXT: yes" or "TEXT: no"; likewise less. */
static int c_eq(int argc, struct word *a)
{
	long long x = value_of(a[1]), y = value_of(a[2]);
	bool yes = is(a[0], "less") ? x < y : x == y;

	(void)argc;
	printf("%s: %s\n", a[3].s, yes ? "yes" : "no");
	if (!yes)	/* for the log: standard error is kept apart from the golden output */
		fprintf(stderr, "# %s: %lld (%#llx) and %lld (%#llx)\n", a[3].s, x, (unsigned long long)x, y,
			(unsigned long long)y);
	return OK;
}

static int c_show(int argc, struct word *a)
{
	(void)argc;
	printf("%s = %lld\n", a[1].s, value_of(a[1]));
	return OK;
}

struct entry {
	char *name;
	uint64_t ino;
	int64_t off;
	unsigned char type;
};

struct listing {
	struct entry *e;
	size_t n, room;
};

/* Read on from where the descriptor stands, at most max entries; batch: bytes per call. */
static int read_entries(int fd, struct listing *l, size_t max, size_t batch)
{
	static char buf[1 << 18];

	l->e = NULL;
	l->n = l->room = 0;
	if (batch > sizeof(buf))
		batch = sizeof(buf);
	while (l->n < max) {
		ssize_t n = getdents64(fd, buf, batch);

		if (n < 0)
			return FAIL;
		if (!n)
			break;
		for (ssize_t at = 0; at < n && l->n < max;) {
			struct dirent64 *d = (struct dirent64 *)(buf + at);

			if (l->n == l->room) {
				l->room = l->room ? l->room * 2 : 64;
				l->e = need(realloc(l->e, l->room * sizeof(*l->e)));
			}
			l->e[l->n++] = (struct entry){ need(strdup(d->d_name)), d->d_ino, d->d_off, d->d_type };
			at += d->d_reclen;
		}
	}
	return OK;
}

static void free_listing(struct listing *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->e[i].name);
	free(l->e);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

static int list_dir(const char *path, struct listing *l)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY), rc;

	if (fd < 0)
		return FAIL;
	rc = read_entries(fd, l, SIZE_MAX, 65536);
	int err = errno;

	close(fd);
	errno = err;
	return rc;
}

/* ls P [all]: the names, sorted, each with its d_type; "all" keeps . and .. too. */
static int c_ls(int argc, struct word *a)
{
	struct listing l;

	if (list_dir(path_of(a[1]), &l))
		return FAIL;
	qsort(l.e, l.n, sizeof(*l.e), by_name);
	put_word(a[1]);
	putchar(':');
	for (size_t i = 0; i < l.n; i++) {
		if (argc == 2 && (!strcmp(l.e[i].name, ".") || !strcmp(l.e[i].name, "..")))
			continue;
		putchar(' ');
		put_bytes(l.e[i].name, strlen(l.e[i].name));
		printf("(%s)", dtype_name(l.e[i].type));
	}
	putchar('\n');
	free_listing(&l);
	return OK;
}

/* count P: how many names, and whether any comes twice; . and .. not counted but must be there. */
static int c_count(int argc, struct word *a)
{
	struct listing l;
	size_t twice = 0, dots = 0;

	(void)argc;
	if (list_dir(path_of(a[1]), &l))
		return FAIL;
	qsort(l.e, l.n, sizeof(*l.e), by_name);
	for (size_t i = 0; i < l.n; i++) {
		dots += !strcmp(l.e[i].name, ".") || !strcmp(l.e[i].name, "..");
		if (i && !strcmp(l.e[i].name, l.e[i - 1].name))
			twice++;
	}
	put_word(a[1]);
	printf(": %zu names, %zu of them twice%s\n", l.n - dots, twice, dots == 2 ? "" : ", . or .. is missing");
	free_listing(&l);
	return OK;
}

/*
 * dirent P: for every entry of a directory, is d_ino what stat says and d_type the type? The
 * result counts entries; "." and ".." are told apart.
 */
static int c_dirent(int argc, struct word *a)
{
	struct listing l;
	size_t n = 0, ino = 0, type = 0, dot = 0, dotdot = 0;
	char p[PATH_MAX];

	(void)argc;
	if (list_dir(path_of(a[1]), &l))
		return FAIL;
	for (size_t i = 0; i < l.n; i++) {
		struct stat st;

		snprintf(p, sizeof(p), "%s/%s", path_of(a[1]), l.e[i].name);
		if (lstat(p, &st)) {
			free_listing(&l);
			return FAIL;
		}
		bool other = st.st_ino != l.e[i].ino;

		if (other)
			fprintf(stderr, "# %s: d_ino %lu st_ino %lu\n", p, (unsigned long)l.e[i].ino,
				(unsigned long)st.st_ino);
		if (!strcmp(l.e[i].name, ".")) {
			dot += other;
		} else if (!strcmp(l.e[i].name, "..")) {
			dotdot += other;
		} else {
			n++;
			ino += other;
			type += l.e[i].type != (st.st_mode & S_IFMT) >> 12;
		}
	}
	put_word(a[1]);
	printf(": %zu entries, d_ino differs from st_ino for %zu, d_type from the type for %zu; . %s, .. %s\n", n, ino,
	       type, dot ? "differs" : "agrees", dotdot ? "differs" : "agrees");
	free_listing(&l);
	return OK;
}

/* readlink P [SIZE] */
static int c_readlink(int argc, struct word *a)
{
	char buf[PATH_MAX * 2];
	struct at at = at_of(a[1]);
	ssize_t n = readlinkat(at.fd, at.path, buf, argc > 2 ? (size_t)number(a[2]) : sizeof(buf));

	if (n < 0)
		return FAIL;
	put_word(a[1]);
	printf(" -> ");
	put_bytes(buf, (size_t)n);
	putchar('\n');
	return OK;
}

/* access P rwx|f [eaccess] */
static int c_access(int argc, struct word *a)
{
	struct at at = at_of(a[1]);
	int mode = (strchr(a[2].s, 'r') ? R_OK : 0) | (strchr(a[2].s, 'w') ? W_OK : 0) | (strchr(a[2].s, 'x') ? X_OK : 0);

	return faccessat(at.fd, at.path, mode, argc > 3 ? AT_EACCESS : 0);
}

/* cat P: the content on one line. */
static int c_cat(int argc, struct word *a)
{
	struct at at = at_of(a[1]);
	int fd = at.flags ? at.fd : openat(at.fd, at.path, O_RDONLY), err;
	char buf[4096];
	ssize_t n;

	(void)argc;
	if (fd < 0)
		return FAIL;
	n = pread(fd, buf, sizeof(buf), 0);
	err = errno;
	if (!at.flags)
		close(fd);
	errno = err;
	if (n < 0)
		return FAIL;
	put_word(a[1]);
	printf(": \"");
	put_bytes(buf, (size_t)n);
	puts("\"");
	return OK;
}

/* verify P OFFSET SIZE SEED: are these bytes the pattern? */
static int c_verify(int argc, struct word *a)
{
	long long off = number(a[2]), size = number(a[3]), seed = number(a[4]), end = off + size;
	int fd = open(path_of(a[1]), O_RDONLY);
	static char buf[65536];

	(void)argc;
	if (fd < 0)
		return FAIL;
	while (off < end) {
		size_t want = end - off < (long long)sizeof(buf) ? (size_t)(end - off) : sizeof(buf);
		ssize_t n = pread(fd, buf, want, off);

		if (n < 0)
			return close_after(fd, FAIL);
		for (ssize_t i = 0; i < n; i++)
			if (buf[i] != (char)pattern((uint64_t)seed, (uint64_t)(off + i))) {
				printf("%s: byte %lld is not the pattern's\n", a[1].s, off + i);
				close(fd);
				return OK;
			}
		if (!n) {
			printf("%s: ends at %lld\n", a[1].s, off);
			close(fd);
			return OK;
		}
		off += n;
	}
	close(fd);
	printf("%s: %lld bytes as written\n", a[1].s, size);
	return OK;
}

/* statfs P: the fields that any two file systems can be compared by; "let" has none of them. */
static int c_statfs(int argc, struct word *a)
{
	struct statfs f, g;

	(void)argc;
	if (statfs(path_of(a[1]), &f) || statfs(path_of(a[2]), &g))
		return FAIL;
	printf("statfs: bsize %s, frsize %s, blocks %s, files %s, namelen %s, type %s, ST_RDONLY %s\n",
	       f.f_bsize == g.f_bsize ? "same" : "other", f.f_frsize == g.f_frsize ? "same" : "other",
	       f.f_blocks == g.f_blocks ? "same" : "other", f.f_files == g.f_files ? "same" : "other",
	       f.f_namelen == g.f_namelen ? "same" : "other", f.f_type == g.f_type ? "same" : "other",
	       f.f_flags & ST_RDONLY ? "set" : "not set");
	return OK;
}

/* statfsmagic P: let's a test name the magic number. */
static int c_statfsmagic(int argc, struct word *a)
{
	struct statfs f;

	(void)argc;
	if (statfs(path_of(a[1]), &f))
		return FAIL;
	printf("magic %#lx, namelen %ld\n", (unsigned long)f.f_type, (long)f.f_namelen);
	return OK;
}

static const struct command look_commands[] = {
	{ "stat", 1, -1, 0, c_stat, "P [FIELD...]" },
	{ "let", 3, 4, 0, c_let, "NAME FIELD P | NAME = NUMBER | NAME A OP B" },
	{ "eq", 3, 3, 0, c_eq, "A B TEXT" },
	{ "less", 3, 3, 0, c_eq, "A B TEXT" },
	{ "show", 1, 1, 0, c_show, "NAME" },
	{ "ls", 1, 2, 0, c_ls, "P [all]" },
	{ "count", 1, 1, 0, c_count, "P" },
	{ "dirent", 1, 1, 0, c_dirent, "P" },
	{ "readlink", 1, 2, 0, c_readlink, "P [SIZE]" },
	{ "access", 2, 3, 0, c_access, "P rwx|f [eaccess]" },
	{ "cat", 1, 1, 0, c_cat, "P" },
	{ "verify", 4, 4, 0, c_verify, "P OFFSET SIZE SEED" },
	{ "statfs", 2, 2, 0, c_statfs, "P Q" },
	{ "statfsmagic", 1, 1, 0, c_statfsmagic, "P" },
	{ 0 },
};
