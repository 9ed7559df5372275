// SPDX-License-Identifier: GPL-2.0-only
/*
 * fsop: SELinux, with the contexts of common/selinux.cil, of which only the type differs: who does
 * something, what is made as, and what is labelled as which type.
 */
#include "core.h"
#include <sys/xattr.h>

static const char label_name[] = "security.selinux";

static int write_attr(const char *attr, const char *context)
{
	char path[64];
	int fd, rc;

	snprintf(path, sizeof(path), "/proc/thread-self/attr/%s", attr);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return FAIL;
	/* Writing nothing takes back what was said before, but the kernel wants to be called for it. */
	rc = write(fd, context, *context ? strlen(context) : 1) < 0 ? FAIL : OK;
	close(fd);
	return rc;
}

static int enter_domain(void *type)
{
	char context[256];

	snprintf(context, sizeof(context), "u:r:%s", (char *)type);
	return write_attr("current", context);
}

/* domain TYPE [COMMAND...]: the rest of the script is done in that domain, or one command, in a child */
static int c_domain(int argc, struct word *a)
{
	if (argc == 2)
		return enter_domain(a[1].s);
	printf("%s ", a[1].s);
	return in_child(argc - 2, a + 2, enter_domain, a[1].s);
}

/* creating [TYPE]: what is made from now on gets this label; without a type: what policy says */
static int c_creating(int argc, struct word *a)
{
	char context[256] = "";

	if (argc > 1)
		snprintf(context, sizeof(context), "u:object_r:%s", a[1].s);
	return write_attr("fscreate", context);
}

/* label P...: the type of each. What is made with the label of a task has its role. */
static int c_label(int argc, struct word *a)
{
	char context[4096];

	for (int i = 1; i < argc; i++) {
		ssize_t n = at_of(a[i]).flags ? getxattr(path_of(a[i]), label_name, context, sizeof(context) - 1) :
						lgetxattr(path_of(a[i]), label_name, context, sizeof(context) - 1);

		put_word(a[i]);
		if (n < 0) {
			printf(": %s\n", errno_name(errno));
			continue;
		}
		context[n] = 0;
		printf(": %s\n", !strncmp(context, "u:object_r:", 11) ? context + 11 : context);
	}
	return OK;
}

/* relabel P TYPE */
static int c_relabel(int argc, struct word *a)
{
	char context[256];

	(void)argc;
	snprintf(context, sizeof(context), "u:object_r:%s", a[2].s);
	return lsetxattr(path_of(a[1]), label_name, context, strlen(context) + 1, 0);
}

static const struct command lsm_commands[] = {
	{ "domain", 1, -1, 0, c_domain, "TYPE [COMMAND...]" },
	{ "creating", 0, 1, 0, c_creating, "[TYPE]" },
	{ "label", 1, -1, 0, c_label, "P..." },
	{ "relabel", 2, 2, 0, c_relabel, "P TYPE" },
	{ 0 },
};
