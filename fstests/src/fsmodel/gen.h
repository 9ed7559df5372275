// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random setups and random operations, as lines of text. Names are few, so that operations meet each other; most
 * paths are ones that exist, found in the last dump of the plain tree.
 */
#ifndef FSMODEL_GEN_H
#define FSMODEL_GEN_H

#include "episode.h"

struct generator {
	struct rng rng;
	struct lines paths;	/* that may exist, the first is "." (or the task's own directory) */
	struct lines dirs;	/* those of them that are directories */
	const char *inside;	/* only below this directory: "." for all */
	const int *fd;		/* what is open in each slot, -1: nothing */
	bool remounts;
	unsigned long spoil;	/* the operation before which the plain tree is spoilt; 0: none */
	bool finalizes;		/* directories are finalized in between */
	bool lives;		/* layers come and go in between */
	bool twin;		/* for the other implementation too */
	const char *options;	/* mount options for every episode, instead of random ones */
	bool rich;		/* operations that only some filesystems have */
};

static const int file_modes[] = { 0644, 0644, 0600, 0666, 0755, 0640, 0444, 0, 04755, 02755, 06777, 0777, 01666 };
static const int dir_modes[] = { 0755, 0755, 0777, 0777, 0700, 01777, 02775, 02777, 0555, 0 };
static const int users[] = { 0, 0, 0, 1000, 1001 };
static const char *const targets[] = { "a", "b", "a/b", "c", "nowhere", "d/a", "./e", "f/" };

/* --- setups ----------------------------------------------------------------------------------- */

static const char *const names[] = { "a", "b", "c", "d", "e", "f", "g", "h" };

static const char *const option_sets[] = {
	"redirect_dir=off,index=off,metacopy=off,volatile",
	"redirect_dir=off,index=off,metacopy=off",
	"redirect_dir=on,index=off,metacopy=off,volatile",
	"redirect_dir=on,index=off,metacopy=off,xino=off,volatile",
	"redirect_dir=on,index=off,metacopy=on,volatile",
	"redirect_dir=nofollow,index=off,metacopy=off,xino=on,volatile",
	"userxattr,index=off,volatile",
};

/* What is compared with overlayfs mark for mark leaves out what is made in one of them only. */
static const char *some_options(struct generator *g)
{
	const char *options;

	do
		options = g->options ? g->options : PICK(&g->rng, option_sets);
	while (!g->options && g->twin && strstr(options, "metacopy=on"));
	return options;
}

static long long some_time(struct rng *r) { return 1100000000 + rnd(r, 300000000); }

static size_t some_size(struct rng *r)
{
	switch (rnd(r, 10)) {
	case 0: return 0;
	case 1: return 4096;
	case 2: return 4096 * (1 + rnd(r, 12));
	case 3: return rnd(r, 200000);
	default: return rnd(r, 12000);
	}
}

static long long some_offset(struct rng *r)
{
	switch (rnd(r, 8)) {
	case 0: case 1: return 0;
	case 2: case 3: return 4096LL * rnd(r, 16);
	case 4: return rnd(r, 100000);
	case 5: return chance(r, 10) ? 1500000 + rnd(r, 1000000) : rnd(r, 40000);
	default: return rnd(r, 12000);
	}
}

static const char *const acls[] = {
	/* version 2; user::rw-, user:1000:r--, group::r--, mask::rw-, other::--- */
	"0x0200000001000600ffffffff02000400e803000004000400ffffffff10000600ffffffff20000000ffffffff",
	/* user::rwx, user:1001:rwx, group::r-x, mask::rwx, other::r-x */
	"0x0200000001000700ffffffff02000700e903000004000500ffffffff10000700ffffffff20000500ffffffff",
	/* only a mode: user::rwx, group::---, other::--x */
	"0x0200000001000700ffffffff04000000ffffffff20000100ffffffff",
	/* group:1000:rwx, mask r-- */
	"0x0200000001000600ffffffff04000600ffffffff08000700e803000010000400ffffffff20000400ffffffff",
	/* not valid: the mask is missing */
	"0x0200000001000600ffffffff02000400e803000004000400ffffffff20000000ffffffff",
	"0x02000000",
	"0x01",
};

static const char *const xattr_names[] = {
	"user.x", "user.y", "user.x", "user.long-name-of-an-attribute", "trusted.x", "trusted.overlay.x", "trusted.overlay.opaque",
	"trusted.overlay.overlay.y", "user.overlay.x", "user.overlay.opaque", "security.x", "trusted.overlayx", "nonsense",
};
static const char *const xattr_values[] = { "1", "y", "some-value", "0x00ff10", "0x", "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz" };

static void gen_layer(struct generator *g, struct lines *out, int layer, const char *dir, int depth, int *budget)
{
	struct rng *r = &g->rng;
	int count = 2 + rnd(r, 5);

	for (int i = 0; i < count && *budget > 0; i++, (*budget)--) {
		struct path p = !*dir ? path_of("%s", PICK(r, names)) : path_of("%s/%s", dir, PICK(r, names));
		int kind = rnd(r, 100), owner = PICK(r, users), file_mode = PICK(r, file_modes);
		struct path line;

		if (kind < 35 && depth < 3) {
			lines_add(out, path_of("L%d dir %s %04o %d %d %lld", layer, p.s, PICK(r, dir_modes), owner, owner, some_time(r)).s);
			gen_layer(g, out, layer, p.s, depth + 1, budget);
			if (layer < 3 && chance(r, 15))
				lines_add(out, path_of("L%d opaque %s", layer, p.s).s);
			if (chance(r, 10))
				lines_add(out, path_of("L%d xattr %s system.posix_acl_%s %s", layer, p.s,
						       chance(r, 60) ? "default" : "access", acls[rnd(r, 4)]).s);
			continue;
		}
		if (kind < 75) {
			line = path_of("L%d file %s %04o %d %d %lld %zu %u%s", layer, p.s, file_mode, owner, owner, some_time(r),
				       some_size(r), rnd(r, 1000), chance(r, 10) ? " holes" : "");
		} else if (kind < 83) {
			line = path_of("L%d symlink %s %s %d %d %lld", layer, p.s, PICK(r, targets), owner, owner, some_time(r));
		} else if (kind < 88) {
			static const char *const nodes[] = { "fifo", "sock", "chr" };

			line = path_of("L%d node %s %s %04o %d %d %lld", layer, p.s, PICK(r, nodes), file_mode, owner, owner, some_time(r));
		} else {
			line = path_of("L%d whiteout %s", layer, p.s);
		}
		lines_add(out, line.s);
		if (kind < 75 && chance(r, 15))
			lines_add(out, path_of("L%d xattr %s %s %s", layer, p.s, xattr_names[rnd(r, 5)], PICK(r, xattr_values)).s);
		if (kind < 75 && chance(r, 6))
			lines_add(out, path_of("L%d xattr %s system.posix_acl_access %s", layer, p.s, acls[rnd(r, 4)]).s);
	}
}

/* More names of lower files, for stacks in which they stay names of one file. */
static void gen_links(struct generator *g, struct lines *out, int layer)
{
	struct rng *r = &g->rng;

	lines_add(out, path_of("L%d dir ld%d 0755 0 0 %lld", layer, layer, some_time(r)).s);
	lines_add(out, path_of("L%d link ld%d/l3 l1", layer, layer).s);
	lines_add(out, path_of("L%d symlink k1 l1 0 0 %lld", layer, some_time(r)).s);
	lines_add(out, path_of("L%d link k2 k1", layer).s);
	lines_add(out, path_of("L%d node n1 fifo 0644 0 0 %lld", layer, some_time(r)).s);
	lines_add(out, path_of("L%d link ld%d/n2 n1", layer, layer).s);
}

static void gen_setup(struct generator *g, struct lines *out)
{
	struct rng *r = &g->rng;
	int lowers = 1 + rnd(r, 3);
	const char *options = some_options(g);
	bool links = chance(r, strstr(options, "index=on") ? 80 : 15);

	lines_truncate(out, 0);
	lines_add(out, path_of("mount %s", options).s);
	lines_add(out, path_of("lowers %d", lowers).s);
	if (lowers > 1 && chance(r, 15))
		lines_add(out, "nested");
	for (int layer = 0; layer <= lowers; layer++) {
		int budget = layer ? 25 : 8;

		if (layer || chance(r, 60))
			gen_layer(g, out, layer, "", 0, &budget);
		if (layer && links) {
			lines_add(out, path_of("L%d file l1 0644 0 0 %lld 5000 %d", layer, some_time(r), layer).s);
			lines_add(out, path_of("L%d link l2 l1", layer).s);
			if (strstr(options, "index=on"))
				gen_links(g, out, layer);
		}
	}
}

/* --- operations ------------------------------------------------------------------------------- */

static void gen_learn(struct generator *g, struct dump *plain)
{
	const char *line = text_str(&plain->text);

	lines_truncate(&g->paths, 0);
	lines_truncate(&g->dirs, 0);
	for (size_t i = 0; i < plain->paths.n; i++) {
		const char *path = plain->paths.line[i], *type = line ? strstr(line, " type=") : NULL;

		lines_add(&g->paths, path);
		if (type && type[6] == 'd')
			lines_add(&g->dirs, path);
		line = line ? strchr(line, '\n') : NULL;
		line = line ? line + 1 : NULL;
	}
}

static const char *old_dir(struct generator *g)
{
	return g->dirs.n ? g->dirs.line[rnd(&g->rng, g->dirs.n)] : g->inside;
}

static int depth_of(const char *path)
{
	int n = 0;

	for (; *path; path++)
		n += *path == '/';
	return n;
}

/* A name that may or may not exist. */
static struct path some_name(struct generator *g)
{
	const char *dir = old_dir(g);

	if (depth_of(dir) > 4)
		dir = g->inside;
	return strcmp(dir, ".") ? path_of("%s/%s", dir, PICK(&g->rng, names)) : path_of("%s", PICK(&g->rng, names));
}

static struct path some_path(struct generator *g)
{
	if (g->paths.n && chance(&g->rng, 75))
		return path_of("%s", g->paths.line[rnd(&g->rng, g->paths.n)]);
	return some_name(g);
}

/* The root of the stack is a mount point, which is busy: not asked. */
static struct path some_child(struct generator *g)
{
	struct path p = some_path(g);

	return strcmp(p.s, g->inside) ? p : some_name(g);
}

static struct path open_flags(struct rng *r)
{
	static const char *const access[] = { "RDONLY", "WRONLY", "RDWR", "RDWR" };
	struct path p = path_of("%s", PICK(r, access));
	static const struct { const char *name; int percent; } flags[] = {
		{ "CREAT", 35 }, { "EXCL", 8 }, { "TRUNC", 15 }, { "APPEND", 15 }, { "NOFOLLOW", 8 }, { "DIRECTORY", 4 },
		{ "DIRECT", 6 }, { "NOATIME", 4 }, { "PATH", 2 }, { "SYNC", 2 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
		if (chance(r, flags[i].percent))
			p = path_of("%s|%s", path_of("%s", p.s).s, flags[i].name);
	return p;
}

static struct path falloc_mode(struct rng *r)
{
	static const char *const modes[] = {
		"none", "KEEP_SIZE", "PUNCH_HOLE|KEEP_SIZE", "PUNCH_HOLE|KEEP_SIZE", "ZERO_RANGE", "ZERO_RANGE|KEEP_SIZE",
		"COLLAPSE_RANGE", "INSERT_RANGE", "UNSHARE_RANGE", "PUNCH_HOLE", "COLLAPSE_RANGE|KEEP_SIZE",
	};

	return path_of("%s", PICK(r, modes));
}

static long long times_or(struct rng *r, struct path *p)
{
	long long t = some_time(r);

	*p = chance(r, 15) ? path_of("now") : chance(r, 3) ? path_of("omit") : path_of("%lld", t);
	return t;
}

static struct path rename_flag(struct rng *r)
{
	int n = rnd(r, 100);

	return path_of("%s", n < 65 ? "none" : n < 77 ? "NOREPLACE" : n < 98 ? "EXCHANGE" : "WHITEOUT");
}

/* Mostly one that is open. */
static int some_slot(struct generator *g)
{
	int open[SLOTS], n = 0;

	for (int i = 0; g->fd && i < SLOTS; i++)
		if (g->fd[i] >= 0)
			open[n++] = i;
	return n && chance(&g->rng, 85) ? open[rnd(&g->rng, n)] : (int)rnd(&g->rng, SLOTS);
}

static struct path gen_plain_op(struct generator *g)
{
	struct rng *r = &g->rng;
	struct path p = some_path(g), q, t;
	int any = rnd(r, SLOTS), slot = some_slot(g), slot2 = some_slot(g), mode = PICK(r, file_modes);
	int n = rnd(r, 1085);	/* the sum of all weights: 652 sees that none is left out */

#define OP(weight) if ((n -= (weight)) < 0)
	OP(110) return path_of("open %d %s %s %04o", any, p.s, open_flags(r).s, mode);
	OP(15) return path_of("tmpfile %d %s %s %04o", any, old_dir(g), chance(r, 80) ? "RDWR" : "WRONLY|EXCL", mode);
	OP(15) return path_of("linkfd %d %s", slot, some_name(g).s);
	OP(15) return path_of("close %d", slot);
	OP(25) return path_of("read %d %zu", slot, some_size(r));
	OP(30) return path_of("pread %d %lld %zu", slot, some_offset(r), some_size(r));
	OP(35) return path_of("write %d %zu %u", slot, some_size(r), rnd(r, 1000));
	OP(35) return path_of("pwrite %d %lld %zu %u", slot, some_offset(r), some_size(r), rnd(r, 1000));
	OP(10) return path_of("lseek %d %lld %s", slot, some_offset(r), PICK(r, whence_words).name ?: "set");
	OP(12) return path_of("seekhole %d %lld %s", slot, some_offset(r), chance(r, 50) ? "data" : "hole");
	OP(15) return path_of("ftruncate %d %lld", slot, some_offset(r));
	OP(25) return path_of("fallocate %d %s %lld %lld", slot, falloc_mode(r).s, some_offset(r), some_offset(r));
	OP(18) return path_of("copyrange %d %lld %d %lld %zu", slot, some_offset(r), slot2, some_offset(r), some_size(r));
	OP(10) return path_of("sendfile %d %d %lld %zu", slot, slot2, some_offset(r), some_size(r));
	OP(12) return path_of("clone %d %d", slot, slot2);
	OP(8) return path_of("clonerange %d %d %d %d %d", slot, slot2, 4096 * rnd(r, 3), 4096 * rnd(r, 3), chance(r, 50) ? 0 : 4096 * rnd(r, 4));
	OP(10) {
		long long from = 4096 * rnd(r, 3);

		return path_of("dedupe %d %d %lld %lld %d", slot, slot2, from, chance(r, 70) ? from : 4096LL * rnd(r, 3), 4096 * rnd(r, 4));
	}
	OP(12) return path_of("mapread %d %lld %zu", slot, some_offset(r), 1 + some_size(r));
	OP(18) return path_of("mapwrite %d %lld %zu %u", slot, some_offset(r), 1 + some_size(r), rnd(r, 1000));
	OP(2) return path_of("fsync %d", slot);
	OP(2) return path_of("fdatasync %d", slot);
	OP(8) return path_of("fstat %d", slot);
	OP(10) return path_of("fchmod %d %04o", slot, mode);
	OP(8) return path_of("fchown %d %d %d", slot, PICK(r, users), PICK(r, users));
	OP(8) return times_or(r, &t), path_of("futimens %d %s", slot, t.s);
	OP(8) return path_of("fsetxattr %d %s %s any", slot, PICK(r, xattr_names), PICK(r, xattr_values));
	OP(5) return path_of("fremovexattr %d %s", slot, PICK(r, xattr_names));
	OP(4) return path_of("fgetxattr %d %s", slot, PICK(r, xattr_names));
	OP(5) return path_of("fls %d", slot);
	OP(25) return path_of("stream %d %d", slot, 40 + rnd(r, 200));
	OP(10) {
		static const char *const flags[] = { "none", "none", "none", "i", "a", "A" };

		return path_of("chattr %s %s", p.s, PICK(r, flags));
	}
	OP(15) return path_of("open %d %s RDONLY|DIRECTORY 0", any, old_dir(g));
	OP(50) return path_of("mkdir %s %04o", chance(r, 70) ? some_name(g).s : p.s, PICK(r, dir_modes));
	OP(25) {
		static const char *const types[] = { "reg", "fifo", "sock", "chr", "dir" };
		const char *type = PICK(r, types);
		int chr = !strcmp(type, "chr"), minor = chr && !chance(r, 5) ? 3 : 0;

		return path_of("mknod %s %s %04o %d %d", some_name(g).s, type, mode, minor ? 1 : 0, minor);
	}
	OP(20) return path_of("symlink %s %s", some_name(g).s, PICK(r, targets));
	OP(35) return q = chance(r, 80) ? some_name(g) : some_path(g), path_of("link %s %s", p.s, q.s);
	OP(4) return path_of("linkfollow %s %s", p.s, some_name(g).s);
	OP(55) return path_of("unlink %s", some_child(g).s);
	OP(35) {
		if (chance(r, 70))
			p = path_of("%s", old_dir(g));
		return path_of("rmdir %s", strcmp(p.s, g->inside) ? p.s : some_name(g).s);
	}
	OP(90) return p = some_child(g), q = chance(r, 50) ? some_name(g) : some_child(g), path_of("rename %s %s %s", p.s, q.s, rename_flag(r).s);
	OP(8) return path_of("readlink %s", p.s);
	OP(25) return path_of("ls %s", chance(r, 80) ? old_dir(g) : p.s);
	OP(15) return path_of("stat %s", p.s);
	OP(8) return path_of("access %s %d", p.s, rnd(r, 8));
	OP(30) return path_of("chmod %s %04o", p.s, chance(r, 70) ? mode : PICK(r, dir_modes));
	OP(22) return path_of("chown %s %d %d", p.s, chance(r, 20) ? -1 : PICK(r, users), chance(r, 20) ? -1 : PICK(r, users));
	OP(25) return path_of("truncate %s %lld", p.s, some_offset(r));
	OP(30) return times_or(r, &t), path_of("utimens %s %s", p.s, t.s);
	OP(25) {
		static const char *const how[] = { "any", "any", "create", "replace" };

		return path_of("setxattr %s %s %s %s", p.s, PICK(r, xattr_names), PICK(r, xattr_values), PICK(r, how));
	}
	OP(15) return path_of("setxattr %s system.posix_acl_%s %s any", p.s, chance(r, 60) ? "access" : "default", PICK(r, acls));
	OP(4) return path_of("removexattr %s system.posix_acl_%s", p.s, chance(r, 60) ? "access" : "default");
	OP(12) return path_of("removexattr %s %s", p.s, PICK(r, xattr_names));
	OP(6) return path_of("getxattr %s %s", p.s, chance(r, 30) ? "system.posix_acl_access" : PICK(r, xattr_names));
	OP(6) return path_of("listxattr %s", p.s);
	die("the weights of the operations are less than their sum");
#undef OP
}

static struct path gen_op(struct generator *g)
{
	struct rng *r = &g->rng;
	struct path op;
	static const int masks[] = { 0, 077, 027 };

	if (g->finalizes && chance(r, 2))
		return path_of("finalize %s", chance(r, 50) ? "." : some_path(g).s);
	if (g->lives && chance(r, 4)) {
		int n = rnd(r, 20), which = rnd(r, 8);

		return n < 8 ? path_of("relayer %d", which) : n < 11 ? path_of("addlayer %d", which) : n < 13 ? path_of("shutlayer") :
		       n < 15 ? path_of("movelayer") : n < 18 ? path_of("filllayer %d", which) : path_of("filled");
	}
	if (g->remounts && chance(r, 1)) {
		int n = rnd(r, 10);

		return path_of("%s", n < 4 ? "remount" : n < 6 ? "rotate" : n < 7 ? "other" : n < 8 ? "readonly" : "dropcaches");
	}
	op = gen_plain_op(g);
	if (chance(r, 8))
		op = path_of("umask=%03o %s", PICK(r, masks), path_of("%s", op.s).s);
	if (chance(r, 18))
		op = path_of("uid=%d %s", chance(r, 60) ? 1000 : 1001, path_of("%s", op.s).s);
	return op;
}

/* After an operation that may have made a name: paths to meet again. */
static void gen_note(struct generator *g, const char *line)
{
	struct call c;

	parse_call(&c, line);
	for (int i = 0; i < c.argc; i++)
		if (c.type->args[i] == 'p' && g->paths.n < 200) {
			lines_add(&g->paths, c.argv[i]);
			if (!strcmp(c.type->name, "mkdir"))
				lines_add(&g->dirs, c.argv[i]);
		}
}

#endif
