// SPDX-License-Identifier: GPL-2.0-only
/*
 * The two trees at their beginning: the layers, the plain tree that their merge is (worked out from the layers alone, so
 * that no mount is trusted), and mounting the stack.
 */
#ifndef FSMODEL_LAYERS_H
#define FSMODEL_LAYERS_H

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
