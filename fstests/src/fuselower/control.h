/* SPDX-License-Identifier: GPL-2.0-only */
/* The control file: see the head of fuselower.c. */

static char orders[16384];

static void control_read(void)
{
	FILE *f = control ? fopen(control, "r") : NULL;

	orders[f ? fread(orders, 1, sizeof(orders) - 1, f) : 0] = 0;
	if (f)
		fclose(f);
}

/*
 * Each line is given to each() until that says true. Returns whether one did.
 */
static bool any_order(bool (*each)(const char *line, void *with), void *with)
{
	char line[256];

	for (const char *at = orders; *at;) {
		size_t n = strcspn(at, "\n");

		snprintf(line, sizeof(line), "%.*s", (int)n, at);
		if (each(line, with))
			return true;
		at += n + (at[n] == '\n');
	}
	return false;
}

struct about {
	const char *what, *name;	/* the operation or field, and the object */
	int err;
	bool found;
	uint64_t value;
};

static bool fits(const struct about *a, int words, const char *what, const char *name)
{
	return (!strcmp(what, a->what) || !strcmp(what, "all")) && (!words || !strcmp(name, a->name));
}

static bool error_line(const char *line, void *with)
{
	char what[32], name[256];
	struct about *a = with;
	int err, n = sscanf(line, "%31s %d %255s", what, &err, name);

	if (n >= 2 && fits(a, n > 2, what, name))
		a->err = err;
	return false;
}

/* The error that is to be answered to a request (0: none). */
static int ordered_error(const struct fuse_in_header *in)
{
	struct about a = { .what = operation(in), .name = subject(in) };

	if (strcmp(a.what, "other"))
		any_order(error_line, &a);
	return a.err;
}

static bool hold_line(const char *line, void *with)
{
	char what[32], name[256];
	int n = sscanf(line, "hold %31s %255s", what, name);

	return n >= 1 && fits(with, n > 1, what, name);
}

static bool ordered_hold(const struct fuse_in_header *in)
{
	struct about a = { .what = operation(in), .name = subject(in) };

	return any_order(hold_line, &a);
}

static bool interrupt_line(const char *line, void *with)
{
	(void)with;
	return !strcmp(line, "interrupt");
}

static bool value_line(const char *line, void *with)
{
	char what[32], number[32], name[256];
	struct about *a = with;
	int n = sscanf(line, "value %31s %31s %255s", what, number, name);

	if (n >= 2 && fits(a, n > 2, what, name)) {
		a->found = true;
		a->value = strtoull(number, NULL, 0);	/* also takes -1 */
	}
	return false;
}

/* The number that is to be answered as this field; *value is left alone if there is none. */
static bool ordered_value(const char *field, const char *name, uint64_t *value)
{
	struct about a = { .what = field, .name = name };

	any_order(value_line, &a);
	if (a.found)
		*value = a.value;
	return a.found;
}
