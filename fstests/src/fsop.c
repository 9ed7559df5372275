// SPDX-License-Identifier: GPL-2.0-only
/*
 * fsop: one program for all that the tests do to files and mounts, since a process costs more
 * than anything else under emulation, and since golden output wants errors by name.
 *
 *   fsop COMMAND ARGUMENT...	one command
 *   fsop [-f FILE]		a script: one command a line, from FILE or standard input
 *   fsop help			lists the commands
 *
 * In a script: words are separated by blanks; "..." and '...' group, the first with escapes (\xHH,
 * \n, \t, \s for a blank, \\, \"), which unquoted words have too; # begins a comment line. A
 * command that fails prints its words and the errno's name; one that succeeds prints its result
 * or nothing. A line that begins with "?" says "ok" on success: for what is expected to be allowed
 * or refused. fsop goes on after an error: the golden output decides.
 *
 * The parts are in fsop/: each a table of commands.
 */
#include "fsop/core.h"
#include "fsop/make.h"
#include "fsop/xattr.h"
#include "fsop/look.h"
#include "fsop/tree.h"
#include "fsop/fdio.h"
#include "fsop/mount.h"
#include "fsop/system.h"
#include "fsop/layer.h"
#include "fsop/own.h"
#include "fsop/write.h"
#include "fsop/lsm.h"
#include "fsop/handle.h"
#include <sys/resource.h>

static const struct command *const tables[] = {
	make_commands, xattr_commands, look_commands, tree_commands, fdio_commands, mount_commands, system_commands,
	layer_commands, own_commands, write_commands, lsm_commands, handle_commands,
};

static const struct command *find_command(const char *name)
{
	for (size_t t = 0; t < sizeof(tables) / sizeof(*tables); t++)
		for (const struct command *c = tables[t]; c->name; c++)
			if (!strcmp(c->name, name))
				return c;
	return NULL;
}

static void put_words(const struct command *c, int argc, struct word *argv)
{
	for (int i = 0; i < (c->flags & TERSE ? 1 : argc); i++) {
		if (i)
			putchar(' ');
		put_word(argv[i]);
	}
}

static int run_words(int argc, struct word *argv, bool say_ok)
{
	const struct command *c = find_command(argv[0].s);
	int rc, err;

	if (!c)
		die("no command is named '%s' (fsop help lists them)", argv[0].s);
	if (argc - 1 < c->min || (c->max >= 0 && argc - 1 > c->max))
		die("%s wants: %s", c->name, c->help);
	rc = c->run(argc, argv);
	err = errno;
	if (rc == USAGE)
		die("%s wants: %s", c->name, c->help);
	if (rc < 0) {
		put_words(c, argc, argv);
		printf(": %s\n", errno_name(err));
	} else if (say_ok) {
		put_words(c, argc, argv);
		puts(": ok");
	}
	fflush(stdout);
	errno = err;
	return rc;
}

static int hex_digit(char c)
{
	return isdigit((unsigned char)c) ? c - '0' : isxdigit((unsigned char)c) ? (c | 32) - 'a' + 10 : -1;
}

/* One escape: *p stands behind the backslash; gives the byte. An unknown escape keeps its backslash. */
static bool escape(const char **p, char *out)
{
	switch (**p) {
	case 'x':
		if (hex_digit((*p)[1]) < 0 || hex_digit((*p)[2]) < 0)
			die("\\x wants two hex digits");
		*out = (char)(hex_digit((*p)[1]) << 4 | hex_digit((*p)[2]));
		*p += 3;
		return true;
	case 'n': *out = '\n'; break;
	case 't': *out = '\t'; break;
	case 's': *out = ' '; break;
	case '\\': *out = '\\'; break;
	case '"': *out = '"'; break;
	default:
		return false;
	}
	(*p)++;
	return true;
}

enum { MAX_WORDS = 1024 };

/* Split a line in words; they point into a buffer that is overwritten by the next line. */
static int split(const char *p, struct word *words)
{
	static char *buf;
	size_t size = strlen(p) * 2 + 2 * MAX_WORDS;
	char *d;
	int n = 0;

	buf = need(realloc(buf, size));
	d = buf;
	for (;;) {
		while (*p == ' ' || *p == '\t' || *p == '\n')
			p++;
		if (!*p || (!n && *p == '#'))
			return n;
		if (n == MAX_WORDS)
			die("too many words on a line");
		words[n].s = d;
		char quote = 0;

		while (*p && (quote || !strchr(" \t\n", *p))) {
			if (quote ? *p == quote : *p == '"' || *p == '\'') {
				quote = quote ? 0 : *p;
				p++;
			} else if (*p == '\\' && quote != '\'') {
				p++;
				if (escape(&p, d))
					d++;
				else
					*d++ = '\\';
			} else {
				*d++ = *p++;
			}
		}
		if (quote)
			die("a quote is left open");
		words[n].n = (size_t)(d - words[n].s);
		*d++ = 0;
		n++;
	}
}

static int run_script(FILE *f)
{
	static struct word words[MAX_WORDS];
	char *line = NULL;
	size_t room = 0;

	while (getline(&line, &room, f) >= 0) {
		int n = split(line, words);
		bool ask = n && is(words[0], "?");

		if (n > (int)ask)
			run_words(n - ask, words + ask, ask);
	}
	free(line);
	return 0;
}

static int help(void)
{
	for (size_t t = 0; t < sizeof(tables) / sizeof(*tables); t++)
		for (const struct command *c = tables[t]; c->name; c++)
			printf("%s %s\n", c->name, c->help);
	return 0;
}

int main(int argc, char **argv)
{
	static struct word words[MAX_WORDS];
	struct rlimit lim = { 65536, 65536 };

	setrlimit(RLIMIT_NOFILE, &lim);
	umask(022);
	signal(SIGIO, SIG_IGN);	/* a broken lease is seen by what fails, not by dying */
	if (argc == 1)
		return run_script(stdin);
	if (!strcmp(argv[1], "help"))
		return help();
	if (!strcmp(argv[1], "-f") && argc == 3) {
		FILE *f = fopen(argv[2], "r");

		if (!f)
			die("cannot read %s: %s", argv[2], errno_name(errno));
		return run_script(f);
	}
	if (argc - 1 > MAX_WORDS)
		die("too many words");
	for (int i = 1; i < argc; i++)
		words[i - 1] = (struct word){ argv[i], strlen(argv[i]) };
	bool ask = is(words[0], "?");

	return run_words(argc - 1 - ask, words + ask, ask) < 0;
}
