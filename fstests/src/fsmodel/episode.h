// SPDX-License-Identifier: GPL-2.0-only
/*
 * An episode: two trees made from lines of setup, then one operation after the other on both, each compared;
 * remounts in between; whole trees compared now and then and at the end. It is all a function of its lines.
 */
#ifndef FSMODEL_EPISODE_H
#define FSMODEL_EPISODE_H

#include "stream.h"
#include "live.h"

struct episode {
	struct trees trees;
	struct lines setup;
	struct lines ops;	/* what has been done */
	struct side stack, plain;
	struct dump stack_dump, plain_dump, raw_dump, raw_twin_dump;
	struct id *seen_stack, *seen_plain;	/* as they were at the last comparison */
	size_t seen_n;
	struct stream stream[SLOTS];
	struct difference diff;	/* what ended it, if kind is not empty */
	struct side raw[2];	/* the two uppers themselves, where there is a twin */
	bool one_of_many;	/* others are at work in the same trees */
	bool trace;		/* print each operation before it is done */
};

static void episode_init(struct episode *e, const char *fstyp, const char *other, const char *base, const char *mnt,
			 const char *elsewhere)
{
	memset(e, 0, sizeof(*e));
	e->trees.fstyp = fstyp;
	e->trees.other = other;
	snprintf(e->trees.base, sizeof(e->trees.base), "%s/fsmodel", base);
	if (elsewhere)
		snprintf(e->trees.elsewhere, sizeof(e->trees.elsewhere), "%s/fsmodel-lowers", elsewhere);
	snprintf(e->trees.mnt, sizeof(e->trees.mnt), "%s", mnt);
	side_init(&e->stack, fstyp, mnt);
	side_init(&e->plain, "plain", path_of("%s/plain", e->trees.base).s);
	for (int i = 0; i < SLOTS; i++)
		e->stream[i].fd = -1;
}

/* Instead of the plain tree: the other implementation, mounted at MNT on the same lowers under an upper that begins the same. */
static void episode_set_twin(struct episode *e, const char *mnt)
{
	snprintf(e->trees.twin, sizeof(e->trees.twin), "%s", mnt);
	side_init(&e->plain, e->trees.other, mnt);
	side_init(&e->raw[0], "its upper", path_of("%s/layers/0", e->trees.base).s);
	side_init(&e->raw[1], "the twin's upper", path_of("%s/twin", e->trees.base).s);
}

static bool failed(struct episode *e, const char *kind)
{
	snprintf(e->diff.kind, sizeof(e->diff.kind), "%s", kind);
	return false;
}

static bool episode_mount(struct episode *e)
{
	int err = trees_mount(&e->trees, e->trees.fstyp);

	if (!err)
		return true;
	text_add(&e->diff.text, "mounting the stack as %s fails: %s", e->trees.fstyp, errno_name(err));
	return failed(e, "mount");
}

/* What must not be left in the work directory when nothing is mounted. */
static bool work_is_clean(struct episode *e)
{
	struct listing l;
	bool clean = true;

	if (!list_path(path_of("%s/work/work", e->trees.base).s, &l))
		return true;
	for (size_t i = 0; i < l.n; i++)
		if (strcmp(l.entry[i].name, "incompat") && l.entry[i].type != DT_CHR) {
			text_add(&e->diff.text, "left in the work directory: %s", l.entry[i].name);
			clean = false;
		}
	free(l.entry);
	return clean || failed(e, "left in work");
}

/* Both trees, which are equal: each file must still have the inode number that it had in the stack before. */
static bool numbers_kept(struct episode *e)
{
	const struct id *stack = e->stack_dump.id, *plain = e->plain_dump.id;
	size_t n = e->plain_dump.paths.n;

	for (size_t i = 0; i < n && numbers_comparable(&e->trees); i++) {
		for (size_t k = 0; k < i; k++)
			if ((plain[i].ino == plain[k].ino) != (stack[i].ino == stack[k].ino) && known_number(&e->trees, &plain[i])) {
				text_add(&e->diff.text, "%s and %s: st_ino %llu and %llu in the stack, %llu and %llu in the plain tree",
					 e->plain_dump.paths.line[k], e->plain_dump.paths.line[i], stack[k].ino, stack[i].ino,
					 plain[k].ino, plain[i].ino);
				return failed(e, "numbers: unique");
			}
		for (size_t k = 0; k < e->seen_n && !known_renumbering(&e->trees); k++)
			if (plain[i].ino == e->seen_plain[k].ino && plain[i].birth == e->seen_plain[k].birth &&
			    stack[i].ino != e->seen_stack[k].ino && known_number(&e->trees, &plain[i])) {
				text_add(&e->diff.text, "%s has st_ino %llu, and had %llu before", e->plain_dump.paths.line[i],
					 stack[i].ino, e->seen_stack[k].ino);
				return failed(e, "numbers: kept");
			}
	}
	e->seen_n = n;
	e->seen_plain = must(realloc(e->seen_plain, n * sizeof(*plain)));
	e->seen_stack = must(realloc(e->seen_stack, n * sizeof(*stack)));
	memcpy(e->seen_plain, plain, n * sizeof(*plain));
	memcpy(e->seen_stack, stack, n * sizeof(*stack));
	return true;
}

/* Whether the numbers that listings give of symlinks and special files can be asked now. */
static void excuse_listings(const struct episode *e)
{
	/* Other tasks may drop the caches between the listing and the stat. */
	compare_special_d_ino = compare_special_ino || !e->one_of_many;
	for (int i = 0; i < SLOTS && !compare_special_ino; i++)
		if (fd_is_dir(e->stack.fd[i]))
			compare_special_d_ino = false;
}

static bool episode_check(struct episode *e)
{
	excuse_listings(e);
	if (e->trees.twin[0])
		return !trees_differ(&e->stack_dump, &e->plain_dump, &e->stack, &e->plain, ".", &e->diff) &&
		       !trees_differ(&e->raw_dump, &e->raw_twin_dump, &e->raw[0], &e->raw[1], ".", &e->diff);
	return !trees_differ(&e->stack_dump, &e->plain_dump, &e->stack, &e->plain, ".", &e->diff) && numbers_kept(e);
}

static void episode_close_slots(struct episode *e)
{
	side_close_slots(&e->stack);
	side_close_slots(&e->plain);
	for (int i = 0; i < SLOTS; i++)
		stream_end(&e->stream[i]);
}

static void episode_close(struct episode *e)
{
	episode_close_slots(e);
	trees_umount(&e->trees);
}

static bool episode_begin(struct episode *e)
{
	e->diff.kind[0] = 0;
	text_clear(&e->diff.text);
	lines_truncate(&e->ops, 0);
	e->seen_n = 0;
	episode_close(e);
	if (e->trees.swapped) {
		const char *name = e->stack.name;

		e->stack.name = e->plain.name;
		e->plain.name = name;
	}
	trees_build(&e->trees, &e->setup);
	return episode_mount(e);
}

static bool episode_remount(struct episode *e, const char *how)
{
	episode_close(e);
	if (!work_is_clean(e))
		return false;
	forget_caches();
	if (!strcmp(how, "other") && e->trees.twin[0]) {
		const char *name = e->stack.name;

		e->trees.swapped = !e->trees.swapped;
		e->stack.name = e->plain.name;
		e->plain.name = name;
		return episode_mount(e) && episode_check(e);
	}
	if (!strcmp(how, "rotate") && !e->trees.twin[0]) {
		trees_rotate(&e->trees);
		e->seen_n = 0;
	}
	if (!strcmp(how, "other") && e->trees.other) {
		int err = trees_mount(&e->trees, e->trees.other);
		bool same;

		if (err) {
			text_add(&e->diff.text, "mounting the stack as %s fails: %s", e->trees.other, errno_name(err));
			return failed(e, "mount as the other");
		}
		e->stack.name = e->trees.other;
		same = episode_check(e);
		e->stack.name = e->trees.fstyp;
		trees_umount(&e->trees);
		if (!same)
			return false;
	}
	return episode_mount(e) && episode_check(e);
}

/* Read-only for a moment; nothing may be open for writing then. */
static bool episode_readonly(struct episode *e)
{
	bool same = true;

	episode_close_slots(e);
	if (e->trees.twin[0])
		return true;
	if (mount(NULL, e->trees.mnt, NULL, MS_REMOUNT | MS_RDONLY, NULL)) {
		text_add(&e->diff.text, "remounting read-only fails: %s", errno_name(errno));
		return failed(e, "remount");
	}
	if (!mkdir(path_of("%s/read-only", e->stack.root).s, 0755) || errno != EROFS) {
		text_add(&e->diff.text, "mkdir in a stack that was remounted read-only: %s", errno_name(errno));
		same = failed(e, "read-only");
	}
	if (same && !episode_check(e))
		same = false;
	if (mount(NULL, e->trees.mnt, NULL, MS_REMOUNT, NULL)) {
		text_add(&e->diff.text, "remounting to write fails: %s", errno_name(errno));
		same = failed(e, "remount");
	}
	return same && episode_check(e);
}

/*
 * Finalizes a directory of the stack. It may be that this is not possible (data would have to be copied); what it must not do is
 * change anything.
 */
static bool episode_finalize(struct episode *e, const char *path)
{
	struct layerfs_finalize f = { .flags = LAYERFS_FINALIZE_RECURSIVE };
	int fd = open(path_of("%s/%s", e->stack.root, path).s, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return true;
	if (ioctl(fd, LAYERFS_IOC_FINALIZE, &f) && errno != EOPNOTSUPP && errno != ENOTTY && errno != EROFS) {
		text_add(&e->diff.text, "finalizing %s: %s", path, errno_name(errno));
		close(fd);
		return failed(e, "finalize");
	}
	close(fd);
	return episode_check(e);
}

/* The layers change, and what is shown does not. */
static bool episode_live(struct episode *e, const struct call *c)
{
	int err;

	if (!live_is_possible(&e->trees))
		return true;
	live_close_files(&e->stack, &e->plain);
	err = live_run(&e->trees, c->type->name, c->argc ? atoi(c->argv[0]) : 0);
	if (err) {
		text_add(&e->diff.text, "%s: %s", c->type->name, errno_name(err));
		return failed(e, "layers");
	}
	/* What is numbered by a layer has another number now. */
	e->seen_n = 0;
	return episode_check(e);
}

static bool compare_around(struct episode *e, const struct call *c)
{
	const char *op = c->type->name;
	char parent[512], *slash;

	for (int i = 0; i < c->argc; i++) {
		if (c->type->args[i] == 's' && slots_differ(&e->stack, &e->plain, atoi(c->argv[i]), op, &e->diff))
			return false;
		if (c->type->args[i] != 'p')
			continue;
		if (paths_differ(&e->stack, &e->plain, c->argv[i], op, &e->diff))
			return false;
		snprintf(parent, sizeof(parent), "%s", c->argv[i]);
		slash = strrchr(parent, '/');
		if (slash)
			*slash = 0;
		/* The root is not a task's own: the times that copy-up restores there are seen by others before. */
		if (!slash && e->one_of_many)
			continue;
		if (paths_differ(&e->stack, &e->plain, slash ? parent : ".", op, &e->diff))
			return false;
	}
	return true;
}

/* One operation on both sides. False if they differ. */
static bool episode_step(struct episode *e, const char *line)
{
	struct call c;

	if (e->trace) {
		printf("# %zu: %s\n", e->ops.n, line);
		fflush(stdout);
	}
	lines_add(&e->ops, line);
	parse_call(&c, line);
	if (c.type->run == run_nothing) {
		if (!strcmp(c.type->name, "readonly"))
			return episode_readonly(e);
		if (!strcmp(c.type->name, "finalize"))
			return episode_finalize(e, c.argv[0]);
		if (live_is_change(c.type->name))
			return episode_live(e, &c);
		if (strcmp(c.type->name, "dropcaches"))
			return episode_remount(e, c.type->name);
		forget_caches();
		return true;
	}
	if (c.type->run == run_stream) {
		int slot = arg_num(&c, 0) % SLOTS, fd = e->stack.fd[slot];

		return e->trees.twin[0] || !fd_is_dir(fd) || stream_next(&e->stream[slot], fd, e->plain.fd[slot], arg_num(&c, 1), &e->diff);
	}
	if (c.type->args[0] == 's' && !strcmp(c.type->name, "open"))
		stream_end(&e->stream[arg_num(&c, 0) % SLOTS]);
	if (known_resurrection(&e->trees, &e->plain, &c) || known_last_name(&e->plain, &c) ||
	    known_two_inodes(&e->trees, &e->stack, &e->plain, &c) || known_half_chattr(&e->trees, &c) ||
	    known_protection(&e->trees, &e->plain, &c))
		return true;
	run_call(&e->stack, &c);
	if (!known_refusal(&e->trees, &e->stack, &e->plain, &c)) {
		run_call(&e->plain, &c);
		if (outcomes_differ(&e->stack, &e->plain, c.type->name, &e->diff)) {
			if (e->trees.twin[0] || !known_difference(&e->stack, &e->plain, &c))
				return false;
			e->diff.kind[0] = 0;
			text_clear(&e->diff.text);
		}
	}
	if (!e->trees.twin[0]) {
		known_stripping(&e->stack, &e->plain, &c);
		known_move(&e->stack, &e->plain, &c);
	}
	return compare_around(e, &c);
}

/* The end: once more as it is, and once more from the disk. */
static bool episode_end(struct episode *e)
{
	return episode_check(e) && episode_remount(e, "remount");
}

static void episode_free(struct episode *e)
{
	episode_close(e);
	trees_remove(&e->trees);
	dump_free(&e->stack_dump);
	dump_free(&e->plain_dump);
	dump_free(&e->raw_dump);
	dump_free(&e->raw_twin_dump);
	free(e->raw[0].data);
	free(e->raw[1].data);
	lines_free(&e->setup);
	lines_free(&e->ops);
	free(e->diff.text.s);
	free(e->trees.lower_dirs);
	free(e->seen_stack);
	free(e->seen_plain);
	free(e->stack.data);
	free(e->plain.data);
	free(e->stack.text.s);
	free(e->plain.text.s);
}

#endif
