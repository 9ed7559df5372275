// SPDX-License-Identifier: GPL-2.0-only
/*
 * fsmodel: the model test. The same random operations are done to a stack (layerfs or overlay) and to a
 * plain directory on the same filesystem that starts as the merge of the stack's layers: every
 * result, errno, byte and attribute must be the same, but for the few differences in
 * fsmodel/known.h. What fails is shrunk and printed as a list of operations that can be replayed.
 *
 *   fsmodel run FSTYP DIR MNT [option=value]...	random episodes; see options below
 *   fsmodel replay FSTYP DIR MNT FILE		the lines of FILE ("-": standard input), with their outcomes
 *   fsmodel shrink FSTYP DIR MNT FILE		the same, shrunk
 *   fsmodel ops					lists the operations
 *   fsmodel missing				says which of them never come up
 *
 * With twin=MNT2 the other implementation, mounted there on the same lowers under an upper that begins the same, is in the place of
 * the plain tree, and the two uppers are compared as well: marks, whiteouts, link counts. "other" then exchanges the uppers.
 *
 * DIR/fsmodel is made anew for each episode and removed at the end; MNT is an empty directory.
 * Operations done are counted on standard error; what is found goes to standard output. The exit status is 0
 * if nothing differs, 1 if something does, 2 if the program can't do its work.
 *
 * The parts are in fsmodel/.
 */
#include "fsmodel/gen.h"
#include "fsmodel/shrink.h"
#include "fsmodel/tasks.h"
#include <signal.h>

static const char *arg_of(int argc, char **argv, const char *name, const char *otherwise)
{
	size_t n = strlen(name);

	for (int i = 0; i < argc; i++)
		if (!strncmp(argv[i], name, n) && argv[i][n] == '=')
			return argv[i] + n + 1;
	return otherwise;
}

/* The other implementation, if the kernel has it now. */
static const char *other_than(const char *fstyp)
{
	const char *other = strcmp(fstyp, "overlay") ? "overlay" : "layerfs";
	FILE *f = fopen("/proc/filesystems", "re");
	char line[128], name[64];
	bool found = false;

	while (f && fgets(line, sizeof(line), f))
		if ((sscanf(line, "nodev %63s", name) == 1 || sscanf(line, "%63s", name) == 1) && !strcmp(name, other))
			found = true;
	if (f)
		fclose(f);
	return found ? other : NULL;
}

static void set_modes(struct episode *e, int argc, char **argv)
{
	const char *twin = arg_of(argc, argv, "twin", NULL);

	if (twin && !e->trees.other)
		die("there is no other implementation to be the twin: load it first");
	if (twin)
		episode_set_twin(e, twin);
	excuses = strcmp(arg_of(argc, argv, "excuses", ""), "none");
}

static void generator_free(struct generator *g)
{
	lines_free(&g->paths);
	lines_free(&g->dirs);
}

/* One random episode of COUNT operations; the number that were done. */
static unsigned long run_episode(struct episode *e, struct generator *g, unsigned long count, unsigned int check_every)
{
	unsigned long done = 0;

	g->fd = e->stack.fd;
	gen_setup(g, &e->setup);
	if (!episode_begin(e) || !episode_check(e))
		return 0;
	gen_learn(g, &e->plain_dump);
	while (done < count) {
		struct path line = gen_op(g);

		done++;
		if (done == g->spoil)
			line = path_of("spoil %s", g->inside);
		if (!episode_step(e, line.s))
			return done;
		gen_note(g, line.s);
		if (done % check_every == 0) {
			if (!episode_check(e))
				return done;
			gen_learn(g, &e->plain_dump);
		}
	}
	episode_end(e);
	return done;
}

/*
 * options: seed=N (1), ops=N (1000) in all, length=N (400) of an episode, check=N (40): whole trees are compared every N
 * operations, remounts=0|1, finalizes=0|1: directories of layerfs are finalized in between, lives=0|1: its layers come and go in between (fsmodel/live.h), mount=OPTIONS for each episode instead of random ones, other=TYPE|none: the other implementation,
 * failures=N (1): go on until so many different failures were seen, shrink=SECONDS (60) for each, trace=1: print each operation,
 * lower=DIR, on another filesystem: the lowers with odd numbers are there, twin=MNT2: see above (both also for replay and shrink), spoil=N: before operation N of each
 * episode the plain tree is changed, excuses=none: known differences are none (both to test the test), tasks=N: so many processes at once (see fsmodel/tasks.h).
 */
static int cmd_run(int argc, char **argv)
{
	const char *fstyp = argv[0], *other = arg_of(argc, argv, "other", other_than(fstyp));
	uint64_t seed = strtoull(arg_of(argc, argv, "seed", "1"), NULL, 0);
	unsigned long ops = strtoul(arg_of(argc, argv, "ops", "1000"), NULL, 0), done = 0;
	unsigned long length = strtoul(arg_of(argc, argv, "length", "400"), NULL, 0);
	int failures = atoi(arg_of(argc, argv, "failures", "1")), seen = 0, seconds = atoi(arg_of(argc, argv, "shrink", "60"));
	int check_every = atoi(arg_of(argc, argv, "check", "40")), tasks = atoi(arg_of(argc, argv, "tasks", "0"));
	struct lines kinds = { 0 };

	if (!length || check_every < 1)
		die("length and check are at least 1");
	if (!strcmp(other ? other : "none", "none"))
		other = NULL;
	for (; done < ops && seen < failures; seed++) {
		struct episode e;
		struct generator g = {
			.rng = { .state = mix64(seed) },
			.inside = ".",
			.remounts = atoi(arg_of(argc, argv, "remounts", "0")),
			.options = arg_of(argc, argv, "mount", NULL),
			.finalizes = atoi(arg_of(argc, argv, "finalizes", "0")),
			.lives = atoi(arg_of(argc, argv, "lives", "0")),
			.spoil = strtoul(arg_of(argc, argv, "spoil", "0"), NULL, 0),
			.twin = arg_of(argc, argv, "twin", NULL),
		};
		bool known = false;

		episode_init(&e, fstyp, other, argv[1], argv[2], arg_of(argc, argv, "lower", NULL));
		set_modes(&e, argc, argv);
		e.trace = atoi(arg_of(argc, argv, "trace", "0"));
		fprintf(stderr, "# seed %llu, %lu operations done\n", (unsigned long long)seed, done);
		done += tasks ? run_tasks(&e, &g, tasks, length) : run_episode(&e, &g, length, check_every);
		for (size_t i = 0; i < kinds.n; i++)
			known |= !strcmp(kinds.line[i], e.diff.kind);
		done += e.diff.kind[0] ? length / 10 : 0;
		if (e.diff.kind[0] && !known) {
			struct shrinker s;

			lines_add(&kinds, e.diff.kind);
			seen++;
			printf("%s: seed %llu, step %zu: %s\n%s\n", fstyp, (unsigned long long)seed, e.ops.n, e.diff.kind,
			       text_str(&e.diff.text));
			fflush(stdout);
			if (!tasks) {
				shrink(&s, &e, seconds);
				printf("after %d runs to shrink it:\n%s\n", s.runs, text_str(&e.diff.text));
				print_recipe(&s.setup, &s.ops);
				lines_free(&s.setup);
				lines_free(&s.ops);
			}
		}
		episode_free(&e);
		generator_free(&g);
	}
	fprintf(stderr, "# %lu operations done; of each, and how many succeeded:\n#", done);
	for (size_t i = 0; op_types[i].name; i++)
		if (op_types[i].run != run_nothing && op_types[i].run != run_stream)
			fprintf(stderr, " %s %lu/%lu", op_types[i].name, op_done[i], op_good[i]);
	fprintf(stderr, "\n");
	if (seen)
		printf("%d differences\n", seen);
	lines_free(&kinds);
	return seen ? 1 : 0;
}

/* A file as print_recipe prints it; comments and lines of dashes are skipped. */
static void read_recipe(struct episode *e, struct lines *ops, const char *name)
{
	FILE *f = strcmp(name, "-") ? fopen(name, "re") : stdin;
	char line[1024];
	bool in_ops = false;

	if (!f)
		die("cannot open %s: %s", name, errno_name(errno));
	while (fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = 0;
		if (!line[0] || line[0] == '#' || !strncmp(line, "---", 3))
			continue;
		if (!strcmp(line, "ops"))
			in_ops = true;
		else
			lines_add(in_ops ? ops : &e->setup, line);
	}
	if (f != stdin)
		fclose(f);
}

static int cmd_replay(int argc, char **argv)
{
	struct episode e;
	struct lines ops = { 0 };
	bool same;

	episode_init(&e, argv[0], other_than(argv[0]), argv[1], argv[2], arg_of(argc, argv, "lower", NULL));
	set_modes(&e, argc, argv);
	read_recipe(&e, &ops, argv[3]);
	same = episode_begin(&e) && episode_check(&e);
	for (size_t i = 0; same && i < ops.n; i++) {
		same = episode_step(&e, ops.line[i]);
		printf("%-60s %s", ops.line[i], e.stack.rc < 0 ? errno_name(e.stack.err) : "");
		if (e.stack.rc >= 0)
			printf("%ld", e.stack.rc);
		if (!same)
			printf("  (plain: %ld %s)", e.plain.rc, errno_name(e.plain.err));
		printf("\n");
		same = same && episode_check(&e);
	}
	if (same)
		same = episode_end(&e);
	printf("%s\n%s\n", same ? "no difference" : e.diff.kind, text_str(&e.diff.text));
	lines_free(&ops);
	episode_free(&e);
	return same ? 0 : 1;
}

static int cmd_shrink(int argc, char **argv)
{
	struct episode e;
	struct shrinker s;
	struct lines ops = { 0 };
	bool same;

	episode_init(&e, argv[0], other_than(argv[0]), argv[1], argv[2], arg_of(argc, argv, "lower", NULL));
	set_modes(&e, argc, argv);
	read_recipe(&e, &ops, argv[3]);
	same = episode_begin(&e) && episode_check(&e);
	for (size_t i = 0; same && i < ops.n; i++)
		same = episode_step(&e, ops.line[i]) && episode_check(&e);
	if (same)
		same = episode_end(&e);
	if (!same) {
		shrink(&s, &e, 300);
		printf("%s\n%s\n", s.kind, text_str(&e.diff.text));
		print_recipe(&s.setup, &s.ops);
		lines_free(&s.setup);
		lines_free(&s.ops);
	}
	lines_free(&ops);
	episode_free(&e);
	return same ? 0 : 1;
}

/* Which operations never come up. */
static int cmd_missing(void)
{
	struct generator g = { .rng = { .state = 1 }, .inside = ".", .remounts = true, .finalizes = true, .lives = true };
	static bool met[ARRAY_SIZE(op_types)];
	int missing = 0;

	lines_add(&g.paths, ".");
	lines_add(&g.paths, "a");
	lines_add(&g.dirs, ".");
	for (int i = 0; i < 300000; i++) {
		struct path line = gen_op(&g);
		struct call c;

		parse_call(&c, line.s);
		met[c.type - op_types] = true;
	}
	for (size_t i = 0; op_types[i].name; i++)
		if (!met[i] && op_types[i].run != run_spoil)
			missing += printf("%s never comes up\n", op_types[i].name) > 0;
	generator_free(&g);
	return missing ? 1 : 0;
}

static int cmd_ops(void)
{
	printf("operations:\n");
	for (const struct op_type *t = op_types; t->name; t++)
		printf("  %-12s %s\n", t->name, t->help);
	printf("before one: uid=N (as that user), umask=OCTAL\n"
	       "setup lines:\n"
	       "  mount OPTIONS\n  lowers N\n  nested	(the lowers are merged by a stack of their own)\n"
	       "  Lk dir PATH MODE UID GID SECONDS	(k: 0 the upper, 1 the topmost lower)\n"
	       "  Lk file PATH MODE UID GID SECONDS SIZE SEED [holes]\n"
	       "  Lk symlink PATH TARGET UID GID SECONDS\n"
	       "  Lk node PATH fifo|sock|chr MODE UID GID SECONDS\n"
	       "  Lk link PATH OLD\n  Lk whiteout PATH\n  Lk opaque PATH\n  Lk xattr PATH NAME VALUE\n"
	       "then a line 'ops', then operations\n");
	return 0;
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	umask(0);
	setgroups(0, NULL);
	if (argc >= 5 && !strcmp(argv[1], "run"))
		return cmd_run(argc - 2, argv + 2);
	if (argc >= 6 && !strcmp(argv[1], "replay"))
		return cmd_replay(argc - 2, argv + 2);
	if (argc >= 6 && !strcmp(argv[1], "shrink"))
		return cmd_shrink(argc - 2, argv + 2);
	if (argc == 2 && !strcmp(argv[1], "ops"))
		return cmd_ops();
	if (argc == 2 && !strcmp(argv[1], "missing"))
		return cmd_missing();
	die("usage: fsmodel run|replay|shrink FSTYP DIR MNT ... | fsmodel ops|missing (see the beginning of fsmodel.c)");
}
