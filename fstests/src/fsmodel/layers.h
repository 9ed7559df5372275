// SPDX-License-Identifier: GPL-2.0-only
/*
 * The two trees at their beginning: layers built from lines of text, the plain tree that their
 * merge is (worked out here, from the layers alone, so that no mount is trusted), and mounting the
 * stack. Layer 0 is the upper, 1 the topmost lower; what is in them is described by `fsmodel ops`.
 */
#ifndef FSMODEL_LAYERS_H
#define FSMODEL_LAYERS_H

#include "op.h"

enum { MAX_LAYERS = 16, MAX_NUMBERS = 512, ROOT_TIME = 1000000000 };

/* Where the trees of a run are and how the stack is mounted. */
struct trees {
	const char *fstyp;		/* what is tested */
	const char *other;		/* another implementation of the same format, or NULL */
	char base[PATH_MAX / 4];	/* holds layers/, work/, plain/ */
	char mnt[PATH_MAX / 4];
	char elsewhere[PATH_MAX / 4];	/* on another filesystem: holds the lowers with odd numbers; empty: all are in base */
	char options[256];
	int order[MAX_LAYERS], n;	/* the layers' numbers, the upper first */
	int next;			/* the number of the next upper, or layer that is added */
	bool replaced;			/* a copy came in the place of a lower layer */
	int copy[MAX_NUMBERS];		/* how many copies came in the place of each layer, one after the other */
	int first_lowers;		/* how many lowers there were at the beginning */
	bool nested;			/* those are merged by a stack of their own, which is the one lower */
	bool mounted;
	char twin[PATH_MAX / 4];	/* where the other implementation is mounted on the same lowers under an upper of its own; empty: nowhere */
	bool swapped;			/* each is mounted on the upper that the other began with */
	bool build_twin;		/* layer 0 is the twin's upper for now */
	struct timespec born;		/* the trees were complete at this time */
	ino_t *lower_dirs;		/* directories of the plain tree that a lower layer has part in */
	size_t lower_dirs_n;
};

/* Where layer N is. Those made later, by trees_rotate, have been uppers and so are in base. */
static struct path layer_dir(const struct trees *t, int n)
{
	bool other = t->elsewhere[0] && n % 2 && n <= t->first_lowers;

	if (t->build_twin && !n)
		return path_of("%s/twin", t->base);
	if (t->copy[n])
		return path_of("%s/layers/%d.%d", other ? t->elsewhere : t->base, n, t->copy[n]);
	return path_of("%s/layers/%d", other ? t->elsewhere : t->base, n);
}

static bool has_option(const struct trees *t, const char *option)
{
	const char *p = t->options;
	size_t n = strlen(option);

	for (; (p = strstr(p, option)); p += n)
		if ((p == t->options || p[-1] == ',') && (!p[n] || p[n] == ','))
			return true;
	return false;
}

/* Do the names of a lower file stay names of one file? (The layers of a stack within have no file handles.) */
static bool keeps_links(const struct trees *t)
{
	return has_option(t, "index=on") && !t->nested;
}

static const char *xattr_prefix(const struct trees *t)
{
	return has_option(t, "userxattr") ? "user.overlay." : "trusted.overlay.";
}

/* --- building layers -------------------------------------------------------------------------- */

static void set_time(const char *path, long long seconds)
{
	struct timespec ts[2] = { { .tv_sec = seconds }, { .tv_sec = seconds, .tv_nsec = 987654000 } };

	utimensat(AT_FDCWD, path, ts, AT_SYMLINK_NOFOLLOW);
}

static void build_file(const char *path, mode_t mode, size_t size, unsigned int seed, bool holes)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	static char page[4096];

	if (fd < 0)
		return;
	for (size_t off = 0; off < size; off += sizeof(page)) {
		size_t n = size - off < sizeof(page) ? size - off : sizeof(page);

		if (holes && off / sizeof(page) % 4)
			continue;
		fill(page, n, seed, off);
		if (pwrite(fd, page, n, off) != (ssize_t)n)
			die("cannot write %s: %s", path, errno_name(errno));
	}
	if (ftruncate(fd, size))
		die("cannot set the size of %s: %s", path, errno_name(errno));
	close(fd);
}

/*
 * One line, "Lk KIND PATH ...". What can't be made because something else is missing is left out, so that a
 * list of lines stays meaningful when some are taken away.
 */
static void build_line(struct trees *t, const char *line, bool times)
{
	char buf[1024], *word[10] = { 0 }, *rest = buf, *w;
	int n = 0, layer;
	struct path p;
	const char *kind;

	snprintf(buf, sizeof(buf), "%s", line);
	while ((w = strsep(&rest, " ")) && n < 10)
		if (*w)
			word[n++] = w;
	if (n < 3 || sscanf(word[0], "L%d", &layer) != 1 || layer < 0 || layer >= MAX_LAYERS)
		die("not a line that describes a layer: %s", line);
	p = path_of("%s/%s", layer_dir(t, layer).s, word[2]);
	kind = word[1];
#define WANT(count) do { if (n < (count)) die("too few words: %s", line); } while (0)
#define OCT(i) ((mode_t)strtol(word[i], NULL, 8))
#define INT(i) atoll(word[i])
	if (times) {
		if (!strcmp(kind, "dir") && n >= 7)
			set_time(p.s, INT(6));
	} else if (!strcmp(kind, "dir") || !strcmp(kind, "file")) {
		WANT(7);
		if (*kind == 'd') {
			if (mkdir(p.s, 0700))
				return;
		} else {
			WANT(9);
			build_file(p.s, 0600, INT(7), INT(8), n > 9);
		}
		if (!lchown(p.s, INT(4), INT(5)) && !chmod(p.s, OCT(3)))
			set_time(p.s, INT(6));
	} else if (!strcmp(kind, "symlink")) {
		WANT(7);
		if (!symlink(word[3], p.s) && !lchown(p.s, INT(4), INT(5)))
			set_time(p.s, INT(6));
	} else if (!strcmp(kind, "node")) {
		mode_t type = !strcmp(word[3], "fifo") ? S_IFIFO : !strcmp(word[3], "sock") ? S_IFSOCK : S_IFCHR;

		WANT(8);
		if (!mknod(p.s, type | 0600, makedev(1, 3)) && !lchown(p.s, INT(5), INT(6)) && !chmod(p.s, OCT(4)))
			set_time(p.s, INT(7));
	} else if (!strcmp(kind, "link")) {
		WANT(4);
		if (link(path_of("%s/%s", layer_dir(t, layer).s, word[3]).s, p.s))
			return;
	} else if (!strcmp(kind, "whiteout")) {
		if (mknod(p.s, S_IFCHR, makedev(0, 0)))
			return;
	} else if (!strcmp(kind, "opaque")) {
		if (lsetxattr(p.s, path_of("%sopaque", xattr_prefix(t)).s, "y", 1, 0))
			return;
	} else if (!strcmp(kind, "xattr")) {
		struct call c = { .argv = { word[4] } };
		char value[512];

		WANT(5);
		if (lsetxattr(p.s, word[3], value, arg_value(&c, 0, value, sizeof(value)), 0))
			return;
	} else {
		die("unknown kind '%s' of thing in a layer: %s", kind, line);
	}
#undef WANT
#undef OCT
#undef INT
}

/*
 * An upper's directory whose entries have an inode number other than their own is marked: the stack has
 * to look at each when it lists them.
 */
static void mark_impure(const struct trees *t, const char *dir)
{
	struct listing l;

	if (lsetxattr(dir, path_of("%simpure", xattr_prefix(t)).s, "y", 1, 0) || !list_path(dir, &l))
		die("cannot mark %s: %s", dir, errno_name(errno));
	for (size_t i = 0; i < l.n; i++)
		if (l.entry[i].type == DT_DIR)
			mark_impure(t, path_of("%s/%s", dir, l.entry[i].name).s);
	free(l.entry);
}

static void make_layer_root(const struct trees *t, int layer)
{
	struct path p = layer_dir(t, layer);

	if (mkdir(p.s, 0755) || chmod(p.s, 0777))
		die("cannot make %s: %s", p.s, errno_name(errno));
	set_time(p.s, ROOT_TIME);
}

#include "merge.h"

/* --- mounting --------------------------------------------------------------------------------- */

static void trees_umount(struct trees *t)
{
	if (!t->mounted)
		return;
	for (int tries = 0; umount(t->mnt); tries++) {
		if (errno != EBUSY || tries == 20)
			die("cannot umount %s: %s", t->mnt, errno_name(errno));
		usleep(50000);
	}
	t->mounted = false;
	for (int tries = 0; t->twin[0] && umount(t->twin); tries++) {
		if (errno != EBUSY || tries == 20)
			die("cannot umount %s: %s", t->twin, errno_name(errno));
		usleep(50000);
	}
	if (t->nested && umount(path_of("%s/nested", t->base).s))
		die("cannot umount the inner stack: %s", errno_name(errno));
}

/* The inner stack, of the lowers that were there at the beginning. */
static int mount_nested(const struct trees *t)
{
	struct text o = { 0 };
	int err;

	text_add(&o, "lowerdir=");
	for (int i = 1; i <= t->first_lowers; i++)
		text_add(&o, "%s%s", i > 1 ? ":" : "", layer_dir(t, i).s);
	text_add(&o, "%s", has_option(t, "userxattr") ? ",userxattr" : "");
	err = mount("fsmodel", path_of("%s/nested", t->base).s, t->fstyp, MS_RDONLY, text_str(&o)) ? errno : 0;
	free(o.s);
	return err;
}

/* Adds mount options, but for those that overlayfs does not have if it is the type. */
static void add_options(struct text *o, const char *options, const char *fstyp)
{
	static const char *const own[] = { "finalize=", "nameindex=", "lazydata=" };
	char copy[512], *save = NULL;

	snprintf(copy, sizeof(copy), "%s", options);
	for (char *option = strtok_r(copy, ",", &save); option; option = strtok_r(NULL, ",", &save)) {
		bool known = strcmp(fstyp, "overlay");

		for (size_t i = 0; !known && i < sizeof(own) / sizeof(*own); i++)
			if (!strncmp(option, own[i], strlen(own[i])))
				break;
			else if (i + 1 == sizeof(own) / sizeof(*own))
				known = true;
		if (known)
			text_add(o, ",%s", option);
	}
}

/* Mounts UPPER and the lowers at DIR; gives 0 or the errno. */
static int mount_stack(struct trees *t, const char *fstyp, const char *dir, const char *upper, const char *work)
{
	struct text o = { 0 };
	int err;

	/* A volatile mount leaves a mark that forbids the next one: here nothing has been lost. */
	remove_tree(path_of("%s/work/incompat", work).s);
	text_add(&o, "upperdir=%s,workdir=%s,lowerdir=", upper, work);
	for (int i = 1; i < t->n; i++) {
		bool inner = is_inner(t, t->order[i]);

		text_add(&o, "%s%s", i > 1 ? ":" : "", inner ? path_of("%s/nested", t->base).s : layer_dir(t, t->order[i]).s);
		if (inner)
			break;
	}
	add_options(&o, t->options, fstyp);
	err = mount("fsmodel", dir, fstyp, 0, text_str(&o)) ? errno : 0;
	free(o.s);
	return err;
}

/* Mounts the stack as FSTYP, and its twin as the other; gives 0 or the errno. */
static int trees_mount(struct trees *t, const char *fstyp)
{
	const char *twin = t->swapped ? fstyp : t->other;
	struct path upper = layer_dir(t, t->order[0]), work = path_of("%s/work", t->base);
	int err = t->nested ? mount_nested(t) : 0;

	if (err)
		return err;
	err = mount_stack(t, t->swapped ? t->other : fstyp, t->mnt, upper.s, work.s);
	if (!err && t->twin[0]) {
		err = mount_stack(t, twin, t->twin, path_of("%s/twin", t->base).s, path_of("%s/twin-work", t->base).s);
		if (err)
			umount(t->mnt);
	}
	if (err && t->nested)
		umount(path_of("%s/nested", t->base).s);
	t->mounted = !err;
	return err;
}

static void forget_caches(void)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, "2", 1) != 1)
		die("cannot write /proc/sys/vm/drop_caches: run as root in the virtual machine");
	close(fd);
}

/* After this moment, what is created has a later birth time than what is there. */
static void trees_note_birth(struct trees *t)
{
	struct timespec tick = { .tv_nsec = 12000000 };

	nanosleep(&tick, NULL);
	clock_gettime(CLOCK_REALTIME_COARSE, &t->born);
	nanosleep(&tick, NULL);
}

static void trees_remove(const struct trees *t)
{
	remove_tree(t->base);
	if (t->elsewhere[0])
		remove_tree(t->elsewhere);
}

/* The upper of the twin: the same again. */
static void build_twin(struct trees *t, const struct lines *setup)
{
	t->swapped = false;
	t->build_twin = true;
	make_layer_root(t, 0);
	for (int times = 0; times < 2; times++)
		for (size_t i = 0; i < setup->n; i++)
			if (!strncmp(setup->line[i], "L0 ", 3))
				build_line(t, setup->line[i], times);
	set_time(layer_dir(t, 0).s, ROOT_TIME);
	/* For its cleaning: what is merged is not looked at. */
	remove_tree(path_of("%s/plain", t->base).s);
	if (mkdir(path_of("%s/plain", t->base).s, 0700))
		die("cannot make the plain tree: %s", errno_name(errno));
	compare_nlink = true;
	merge_layers(t, path_of("%s/plain", t->base).s);
	t->build_twin = false;
	/* Overlayfs lists a merged directory that a tool put there with another number than stat() shows. */
	compare_ino = false;
}

/* Everything from the lines of SETUP, not yet mounted. */
static void trees_build(struct trees *t, const struct lines *setup)
{
	struct path plain = path_of("%s/plain", t->base);
	int lowers = 1;

	trees_remove(t);
	t->options[0] = 0;
	t->nested = false;
	for (size_t i = 0; i < setup->n; i++) {
		sscanf(setup->line[i], "mount %255s", t->options);
		sscanf(setup->line[i], "lowers %d", &lowers);
		t->nested |= !strcmp(setup->line[i], "nested");
	}
	if (lowers < 1 || lowers >= MAX_LAYERS)
		die("the number of lowers is 1 to %d", MAX_LAYERS - 1);
	if (mkdir(t->base, 0755) || mkdir(path_of("%s/layers", t->base).s, 0700) ||
	    mkdir(path_of("%s/work", t->base).s, 0755) || mkdir(plain.s, 0700))
		die("cannot make %s: %s", t->base, errno_name(errno));
	if (t->twin[0] && mkdir(path_of("%s/twin-work", t->base).s, 0755))
		die("cannot make the twin's work directory: %s", errno_name(errno));
	if (t->nested && mkdir(path_of("%s/nested", t->base).s, 0755))
		die("cannot make the place of the inner stack: %s", errno_name(errno));
	if (t->elsewhere[0] && (mkdir(t->elsewhere, 0755) || mkdir(path_of("%s/layers", t->elsewhere).s, 0700)))
		die("cannot make %s: %s", t->elsewhere, errno_name(errno));
	memset(t->copy, 0, sizeof(t->copy));
	t->replaced = false;
	t->first_lowers = lowers;
	t->n = t->next = lowers + 1;
	for (int i = 0; i < t->n; i++) {
		t->order[i] = i;
		make_layer_root(t, i);
	}
	compare_nlink = true;
	compare_file_mtime = strcmp(t->fstyp, "overlay") || !has_option(t, "metacopy=on");
	compare_link_ino = strcmp(t->fstyp, "overlay");
	compare_ino = !t->elsewhere[0] && !t->nested;
	compare_special_ino = !has_option(t, "userxattr");
	for (int times = 0; times < 2; times++)
		for (size_t i = 0; i < setup->n; i++)
			if (setup->line[i][0] == 'L') {
				build_line(t, setup->line[i], times);
				if (strstr(setup->line[i], " link ") && !keeps_links(t))
					compare_nlink = false;
			}
	for (int i = 0; i < t->n; i++)
		set_time(layer_dir(t, i).s, ROOT_TIME);
	t->lower_dirs_n = 0;
	if (!t->twin[0])
		mark_impure(t, layer_dir(t, 0).s);
	merge_layers(t, plain.s);
	if (t->twin[0]) {
		build_twin(t, setup);
		return;
	}
	if (chmod(plain.s, 0777))
		die("cannot set the mode of %s: %s", plain.s, errno_name(errno));
	set_time(plain.s, ROOT_TIME);
	trees_note_birth(t);
}

static void note_all_dirs(struct trees *t, const char *dir)
{
	struct listing l;

	if (!list_path(dir, &l))
		die("cannot list %s: %s", dir, errno_name(errno));
	for (size_t i = 0; i < l.n; i++)
		if (l.entry[i].type == DT_DIR) {
			struct path p = path_of("%s/%s", dir, l.entry[i].name);

			note_lower_dir(t, p.s);
			note_all_dirs(t, p.s);
		}
	free(l.entry);
}

/*
 * In a lower layer, the names of one file are files of their own as soon as one is changed (known.h: lower hard
 * links): in the plain tree they are from now on. And what protects a file (chattr +i, +a) is an xattr that counts
 * in an upper only.
 */
static void become_lower(const struct trees *t, const char *dir)
{
	struct path temp = path_of("%s/link-being-broken", t->base);
	struct timespec times[2];
	struct listing l;
	struct stat st;
	int flags;

	set_flags(dir, FS_IMMUTABLE_FL | FS_APPEND_FL, 0);
	if (!list_path(dir, &l) || lstat(dir, &st))
		die("cannot list %s: %s", dir, errno_name(errno));
	times[0] = st.st_atim;
	times[1] = st.st_mtim;
	for (size_t i = 0; i < l.n; i++) {
		struct path p = path_of("%s/%s", dir, l.entry[i].name);

		if (l.entry[i].type == DT_DIR) {
			become_lower(t, p.s);
			continue;
		}
		if (lstat(p.s, &st))
			die("cannot stat %s: %s", p.s, errno_name(errno));
		if (S_ISREG(st.st_mode))
			set_flags(p.s, FS_IMMUTABLE_FL | FS_APPEND_FL, 0);
		if (st.st_nlink < 2)
			continue;
		compare_nlink = false;
		copy_object(t, p.s, temp.s, &st);
		if (S_ISREG(st.st_mode) && !get_flags(p.s, &flags) && (flags & FS_NOATIME_FL))
			set_flags(temp.s, 0, FS_NOATIME_FL);
		if (rename(temp.s, p.s))
			die("cannot replace %s: %s", p.s, errno_name(errno));
	}
	free(l.entry);
	utimensat(AT_FDCWD, dir, times, 0);
}

/*
 * The upper becomes the topmost lower; the stack is not mounted. With an index that is not done: it belongs to the upper
 * as such, and without it names that are in a lower layer alone are not those of the copy any more.
 */
static bool trees_rotate(struct trees *t)
{
	struct path plain = path_of("%s/plain", t->base), upper;
	struct stat st;

	if (t->n == MAX_LAYERS || t->next == MAX_NUMBERS || has_option(t, "index=on") || lstat(plain.s, &st))
		return false;
	memmove(t->order + 1, t->order, t->n * sizeof(*t->order));
	t->order[0] = t->next++;
	t->n++;
	make_layer_root(t, t->order[0]);
	upper = layer_dir(t, t->order[0]);
	copy_attributes(t, plain.s, upper.s, &st);
	remove_tree(path_of("%s/work", t->base).s);
	if (mkdir(path_of("%s/work", t->base).s, 0755))
		die("cannot make the work directory: %s", errno_name(errno));
	become_lower(t, plain.s);
	t->lower_dirs_n = 0;
	note_all_dirs(t, plain.s);
	trees_note_birth(t);
	return true;
}

/* Does a lower layer have part in the directory PATH of the plain tree? */
static bool has_lower_dir(const struct trees *t, const char *path)
{
	struct statx stx;

	if (statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS | STATX_BTIME, &stx) || !S_ISDIR(stx.stx_mode))
		return false;
	if (!(stx.stx_mask & STATX_BTIME))
		die("the base filesystem keeps no birth times: use xfs, ext4, btrfs or tmpfs");
	/* An inode number may have been given to a new directory since. */
	if (stx.stx_btime.tv_sec > t->born.tv_sec ||
	    (stx.stx_btime.tv_sec == t->born.tv_sec && (long)stx.stx_btime.tv_nsec > t->born.tv_nsec))
		return false;
	for (size_t i = 0; i < t->lower_dirs_n; i++)
		if (t->lower_dirs[i] == stx.stx_ino)
			return true;
	return false;
}

#endif
