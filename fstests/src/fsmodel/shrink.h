// SPDX-License-Identifier: GPL-2.0-only
/*
 * Shrinking: a failing episode is run again and again from scratch with lines left out (delta
 * debugging: large pieces first, then smaller ones), as long as the same kind of difference
 * remains and there is time. First the operations, then the setup, then the operations once more.
 */
#ifndef FSMODEL_SHRINK_H
#define FSMODEL_SHRINK_H

#include "episode.h"

struct shrinker {
	struct episode *e;
	struct lines setup, ops;	/* the smallest that fails so far */
	char kind[96];
	bool check_each;		/* compare whole trees after each operation, not only at the end */
	time_t until;
	int runs;
};

/* Run these lines; true if they give the difference that is looked for. */
static bool still_fails(struct shrinker *s, const struct lines *setup, const struct lines *ops)
{
	struct episode *e = s->e;
	bool same = true;

	s->runs++;
	lines_truncate(&e->setup, 0);
	for (size_t i = 0; i < setup->n; i++)
		lines_add(&e->setup, setup->line[i]);
	same = episode_begin(e);
	for (size_t i = 0; same && i < ops->n; i++)
		same = episode_step(e, ops->line[i]) && (!s->check_each || episode_check(e));
	if (same)
		same = episode_end(e);
	episode_close_slots(e);
	return !same && !strcmp(e->diff.kind, s->kind);
}

static void shrink_list(struct shrinker *s, struct lines *list, bool is_setup)
{
	size_t piece = list->n;

	for (; piece >= 1; piece /= 2) {
		for (size_t from = 0; from < list->n && time(NULL) < s->until;) {
			struct lines less = { 0 };

			for (size_t i = 0; i < list->n; i++)
				if (i < from || i >= from + piece || (is_setup && list->line[i][0] != 'L'))
					lines_add(&less, list->line[i]);
			if (less.n < list->n && still_fails(s, is_setup ? &less : &s->setup, is_setup ? &s->ops : &less)) {
				lines_free(list);
				*list = less;
			} else {
				lines_free(&less);
				from += piece;
			}
		}
	}
}

static void lines_copy(struct lines *to, const struct lines *from)
{
	for (size_t i = 0; i < from->n; i++)
		lines_add(to, from->line[i]);
}

/* The episode E has failed: gives the smallest setup and operations that fail in the same way. */
static void shrink(struct shrinker *s, struct episode *e, int seconds)
{
	memset(s, 0, sizeof(*s));
	s->e = e;
	s->until = time(NULL) + seconds;
	snprintf(s->kind, sizeof(s->kind), "%s", e->diff.kind);
	lines_copy(&s->setup, &e->setup);
	lines_copy(&s->ops, &e->ops);
	if (!still_fails(s, &s->setup, &s->ops))
		s->check_each = true;
	if (s->check_each && !still_fails(s, &s->setup, &s->ops)) {
		printf("# it does not fail in the same way when it is run again: what follows is all of it\n");
		return;
	}
	shrink_list(s, &s->ops, false);
	shrink_list(s, &s->setup, true);
	shrink_list(s, &s->ops, false);
	/* The text that belongs to the shrunk one. */
	still_fails(s, &s->setup, &s->ops);
}

static void print_recipe(const struct lines *setup, const struct lines *ops)
{
	printf("--- replay with: fsmodel replay FSTYP DIR MNT FILE\n");
	for (size_t i = 0; i < setup->n; i++)
		printf("%s\n", setup->line[i]);
	printf("ops\n");
	for (size_t i = 0; i < ops->n; i++)
		printf("%s\n", ops->line[i]);
	printf("---\n");
	fflush(stdout);
}

#endif
