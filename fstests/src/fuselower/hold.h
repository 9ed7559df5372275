/* SPDX-License-Identifier: GPL-2.0-only */
/* Requests that are kept, unanswered, until the control file lets them go. */

enum { MAX_HELD = 64, LOOK_AGAIN = 20 /* ms */ };

static struct fuse_in_header *held[MAX_HELD];
static int holding;

/* What is kept, for the test to see; it appears whole. */
static void show_held(void)
{
	char name[PATH_MAX], temp[PATH_MAX];
	FILE *f;

	snprintf(name, sizeof(name), "%s.held", control);
	snprintf(temp, sizeof(temp), "%s.held.new", control);
	f = fopen(temp, "w");
	if (!f)
		return;
	for (int i = 0; i < holding; i++)
		fprintf(f, "%s %s\n", operation(held[i]), subject(held[i]));
	fclose(f);
	rename(temp, name);
}

/* It is not kept any more: answered with the error, or served. */
static void release(int i, int err)
{
	struct fuse_in_header *in = held[i];

	held[i] = held[--holding];
	show_held();
	if (err)
		reply(in, err, NULL, 0);
	else
		serve(in, in + 1);
	free(in);
}

static void release_what_may_go(void)
{
	control_read();
	for (int i = holding - 1; i >= 0; i--)
		if (!ordered_hold(held[i]))
			release(i, 0);
}

static void interrupt(uint64_t unique)
{
	if (!any_order(interrupt_line, NULL))
		return;
	for (int i = 0; i < holding; i++)
		if (held[i]->unique == unique)
			return release(i, EINTR);
}

/* Whether a request that was just read is kept. */
static bool hold(const struct fuse_in_header *in, size_t size)
{
	if (in->opcode == FUSE_INTERRUPT)
		interrupt(((const struct fuse_interrupt_in *)(in + 1))->unique);
	if (holding == MAX_HELD || !strcmp(operation(in), "other") || !ordered_hold(in))
		return false;
	held[holding] = calloc(1, size + 1);	/* names end */
	if (!held[holding])
		return false;
	memcpy(held[holding++], in, size);
	show_held();
	return true;
}

/* Until there is a request to read. */
static void wait_for_request(void)
{
	struct pollfd p = { .fd = dev, .events = POLLIN };

	do {
		if (holding)
			release_what_may_go();
	} while (!poll(&p, 1, holding ? LOOK_AGAIN : -1));
}
