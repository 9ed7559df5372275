// SPDX-License-Identifier: GPL-2.0-only
/*
 * Several tasks at once: each has a directory of its own in both trees and does an episode's
 * operations there; what it sees must be what a plain directory shows, whatever the others do.
 * Now and then each also works in a directory that all share, in the stack only: there the answers depend
 * on who was first, so only what can never be right is looked for, and that the tree is the same
 * after a remount.
 */
#ifndef FSMODEL_TASKS_H
#define FSMODEL_TASKS_H

#include "gen.h"
#include "shrink.h"
#include <sys/wait.h>

static const char shared_dir[] = "shared";

/* Layers with a directory for each task and one that is shared. */
static void gen_task_setup(struct generator *g, struct lines *out, int tasks)
{
	int lowers = 1 + rnd(&g->rng, 3), budget;

	lines_truncate(out, 0);
	lines_add(out, path_of("mount %s", g->options ? g->options : PICK(&g->rng, option_sets)).s);
	lines_add(out, path_of("lowers %d", lowers).s);
	for (int layer = 0; layer <= lowers; layer++)
		for (int task = 0; task <= tasks; task++) {
			struct path dir = task < tasks ? path_of("t%d", task) : path_of("%s", shared_dir);

			if (!layer && chance(&g->rng, 50))
				continue;
			budget = layer ? 18 : 6;
			lines_add(out, path_of("L%d dir %s 0777 0 0 %lld", layer, dir.s, some_time(&g->rng)).s);
			gen_layer(g, out, layer, dir.s, 1, &budget);
		}
}

/* Answers that say that something is broken, whoever else is at work. */
static bool never_right(const struct call *c, int err)
{
	/* A page behind the end: another task made the file shorter after its size was asked for. */
	if (err == EFAULT && (!strcmp(c->type->name, "mapread") || !strcmp(c->type->name, "mapwrite")))
		return false;
	return err == EIO || err == EFAULT || err == ENOSYS || err == EUCLEAN || err == ENOMEM || err >= 512;
}

struct task {
	struct episode *e;
	struct generator own, shared;
	struct side shared_side;	/* the stack again, with slots of its own */
	char dir[16];
};

static bool task_shared_step(struct task *t)
{
	struct path line = gen_plain_op(&t->shared);
	struct call c;

	parse_call(&c, line.s);
	run_call(&t->shared_side, &c);
	gen_note(&t->shared, line.s);
	if (t->shared.paths.n > 60)
		lines_truncate(&t->shared.paths, 20);
	if (!never_right(&c, t->shared_side.err))
		return true;
	text_add(&t->e->diff.text, "in the shared directory: %s: %s", line.s, errno_name(t->shared_side.err));
	return failed(t->e, "shared");
}

static bool task_check(struct task *t)
{
	struct episode *e = t->e;

	excuse_listings(e);
	if (trees_differ(&e->stack_dump, &e->plain_dump, &e->stack, &e->plain, t->dir, &e->diff))
		return false;
	gen_learn(&t->own, &e->plain_dump);
	return true;
}

static bool task_work(struct task *t, unsigned long count)
{
	if (!task_check(t))
		return false;
	for (unsigned long done = 1; done <= count; done++) {
		struct path line = gen_op(&t->own);

		if (!episode_step(t->e, line.s))
			return false;
		gen_note(&t->own, line.s);
		if (chance(&t->own.rng, 20) && !task_shared_step(t))
			return false;
		if (chance(&t->own.rng, 1) && chance(&t->own.rng, 20))
			forget_caches();
		if (done % 50 == 0 && !task_check(t))
			return false;
	}
	return task_check(t);
}

/* In a process of its own. A difference is printed with all that this task did. */
static int task_main(struct episode *e, const struct generator *g, int number, unsigned long count)
{
	struct task t = { .e = e };

	e->one_of_many = true;
	snprintf(t.dir, sizeof(t.dir), "t%d", number);
	t.own.rng.state = mix64(g->rng.state + number);
	t.own.inside = t.dir;
	t.own.fd = e->stack.fd;
	t.shared.fd = t.shared_side.fd;
	t.shared.rng.state = mix64(g->rng.state + 1000 + number);
	t.shared.inside = shared_dir;
	lines_add(&t.shared.dirs, shared_dir);
	side_init(&t.shared_side, e->trees.fstyp, e->trees.mnt);
	if (task_work(&t, count))
		return 0;
	printf("task %d: %s\n%s\n", number, e->diff.kind, text_str(&e->diff.text));
	print_recipe(&e->setup, &e->ops);
	return 1;
}

/* While the tasks work, empty layers come and go, and everything is put in doubt: no object becomes another by that. */
static void change_layers_meanwhile(struct episode *e, struct rng *r)
{
	static const char *const changes[] = { "addlayer", "shutlayer", "filled", "filled" };

	if (!live_is_possible(&e->trees))
		return;
	for (;;) {
		siginfo_t ended = { 0 };
		const char *name = PICK(r, changes);
		int err;

		if (waitid(P_ALL, 0, &ended, WEXITED | WNOWAIT | WNOHANG) || ended.si_pid)
			break;
		err = e->trees.n > 8 && !strcmp(name, "addlayer") ? 0 : live_run(&e->trees, name, rnd(r, 8));
		if (err) {
			text_add(&e->diff.text, "%s: %s", name, errno_name(err));
			failed(e, "layers");
			break;
		}
		usleep(1000 * (1 + rnd(r, 30)));
	}
}

static bool tasks_wait(pid_t *pid, int tasks)
{
	bool good = true;
	int status;

	for (int i = 0; i < tasks; i++)
		if (waitpid(pid[i], &status, 0) < 0 || !WIFEXITED(status) || WEXITSTATUS(status))
			good = false;
	return good;
}

/* One episode with TASKS processes of COUNT operations each; the number of operations. */
static unsigned long run_tasks(struct episode *e, struct generator *g, int tasks, unsigned long count)
{
	struct dump before = { 0 };
	pid_t pid[64];

	if (tasks < 1 || tasks > (int)ARRAY_SIZE(pid))
		die("tasks is 1 to %zu", ARRAY_SIZE(pid));
	gen_task_setup(g, &e->setup, tasks);
	if (!episode_begin(e) || !episode_check(e))
		return 0;
	fflush(stdout);
	for (int i = 0; i < tasks; i++) {
		pid[i] = fork();
		if (pid[i] < 0)
			die("cannot fork: %s", errno_name(errno));
		if (!pid[i]) {
			int status = task_main(e, g, i, count);

			fflush(stdout);
			_exit(status);
		}
	}
	if (g->lives)
		change_layers_meanwhile(e, &g->rng);
	if (!tasks_wait(pid, tasks)) {
		text_add(&e->diff.text, "a task has seen a difference: see above");
		failed(e, "task");
		return tasks * count;
	}
	if (e->diff.kind[0])
		return tasks * count;
	/* All that is there now must be there after a remount: also what the tasks did to each other. */
	dump_tree(&before, e->stack.root, ".");
	trees_umount(&e->trees);
	forget_caches();
	if (work_is_clean(e) && episode_mount(e)) {
		dump_tree(&e->stack_dump, e->stack.root, ".");
		dumps_differ(&before, &e->stack_dump, "before the remount", "after it", &e->diff);
		for (int i = 0; i < tasks && !e->diff.kind[0]; i++)
			trees_differ(&e->stack_dump, &e->plain_dump, &e->stack, &e->plain, path_of("t%d", i).s, &e->diff);
	}
	dump_free(&before);
	return tasks * count;
}

#endif
