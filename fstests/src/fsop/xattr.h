// SPDX-License-Identifier: GPL-2.0-only
/*
 * fsop: extended attributes, raw; POSIX ACLs by the encoding that the kernel's interface has
 * (linux/posix_acl_xattr.h), so that a test needs no tool to set or show one; and the metacopy
 * attribute with an fs-verity digest in it.
 */
#include "core.h"
#include <sys/ioctl.h>
#include <sys/xattr.h>
#include <linux/fsverity.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>

static const struct bit setx_flags[] = { { "create", XATTR_CREATE }, { "replace", XATTR_REPLACE }, { NULL, 0 } };

/* setx P NAME VALUE [create|replace] */
static int c_setx(int argc, struct word *a)
{
	return lsetxattr(path_of(a[1]), a[2].s, a[3].s, a[3].n, argc > 4 ? (int)bits_of(a[4], setx_flags) : 0);
}

static int c_rmx(int argc, struct word *a)
{
	(void)argc;
	return lremovexattr(path_of(a[1]), a[2].s);
}

/* getx P NAME [BUFFER-SIZE]: prints the value, or its length if the size given is 0. */
static int c_getx(int argc, struct word *a)
{
	static char buf[65536];
	size_t size = argc > 3 ? (size_t)number(a[3]) : sizeof(buf);
	ssize_t n = lgetxattr(path_of(a[1]), a[2].s, buf, size);

	if (n < 0)
		return FAIL;
	put_word(a[1]);
	printf(" %s", a[2].s);
	if (!size) {
		printf(" has %zd bytes\n", n);
		return OK;
	}
	printf("=\"");
	put_bytes(buf, (size_t)n);
	printf("\"\n");
	return OK;
}

static int compare_strings(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* What a filesystem shows beside what was set: XFS its ACLs in a second form. */
static bool incidental(const char *name)
{
	return !strcmp(name, "security.selinux") || !strncmp(name, "trusted.SGI_ACL_", 16);
}

/* The names of a file's attributes, sorted, without the incidental ones. */
static ssize_t sorted_xattrs(const char *path, char *buf, size_t size, char **names, size_t max)
{
	ssize_t n = llistxattr(path, buf, size), count = 0;

	for (char *p = buf; n > 0 && p < buf + n; p += strlen(p) + 1)
		if ((size_t)count < max && !incidental(p))
			names[count++] = p;
	if (n < 0)
		return n;
	qsort(names, (size_t)count, sizeof(*names), compare_strings);
	return count;
}

/* listx P: the names, sorted, on one line. */
static int c_listx(int argc, struct word *a)
{
	static char buf[65536];
	static char *names[4096];
	ssize_t n = sorted_xattrs(path_of(a[1]), buf, sizeof(buf), names, 4096);

	(void)argc;
	if (n < 0)
		return FAIL;
	put_word(a[1]);
	printf(":");
	for (ssize_t i = 0; i < n; i++) {
		putchar(' ');
		put_bytes(names[i], strlen(names[i]));
	}
	puts(n ? "" : " none");
	return OK;
}

/* listxsize P SIZE: what listxattr says for a buffer of that size. */
static int c_listxsize(int argc, struct word *a)
{
	static char buf[65536];
	ssize_t n = llistxattr(path_of(a[1]), buf, (size_t)number(a[2]));

	(void)argc;
	if (n < 0)
		return FAIL;
	put_word(a[1]);
	printf(": %zd bytes of names\n", n);
	return OK;
}

/* listxroom P: asked with no room at all, listxattr must name a size that then suffices. */
static int c_listxroom(int argc, struct word *a)
{
	static char buf[65536];
	ssize_t room = llistxattr(path_of(a[1]), NULL, 0), n;

	(void)argc;
	if (room < 0)
		return FAIL;
	n = llistxattr(path_of(a[1]), buf, (size_t)room);
	if (n < 0)
		return FAIL;
	put_word(a[1]);
	printf(": the size asked for suffices, %zd bytes of names\n", n);
	return OK;
}

/* countx P: how many names, and whether all of them can be read */
static int c_countx(int argc, struct word *a)
{
	static char buf[65536];
	static char *names[4096];
	ssize_t n = sorted_xattrs(path_of(a[1]), buf, sizeof(buf), names, 4096);
	int unreadable = 0, twice = 0;

	(void)argc;
	if (n < 0)
		return FAIL;
	for (ssize_t i = 0; i < n; i++) {
		unreadable += lgetxattr(path_of(a[1]), names[i], NULL, 0) < 0;
		twice += i && !strcmp(names[i], names[i - 1]);
	}
	put_word(a[1]);
	printf(": %zd names, %d cannot be read, %d twice\n", n, unreadable, twice);
	return OK;
}

static int acl_tag(const char *s)
{
	switch (s[0]) {
	case 'u': return s[2] == ':' ? ACL_USER_OBJ : ACL_USER;
	case 'g': return s[2] == ':' ? ACL_GROUP_OBJ : ACL_GROUP;
	case 'm': return ACL_MASK;
	default: return ACL_OTHER;
	}
}

/* setacl P access|default u::rwx,u:1000:r--,g::r-x,m::r-x,o::--- */
static int c_setacl(int argc, struct word *a)
{
	struct {
		struct posix_acl_xattr_header h;
		struct posix_acl_xattr_entry e[32];
	} acl = { .h.a_version = POSIX_ACL_XATTR_VERSION };
	const char *name = is(a[2], "default") ? "system.posix_acl_default" : "system.posix_acl_access";
	char *copy = need(strdup(a[3].s)), *save = NULL;
	int n = 0;

	(void)argc;
	for (char *t = strtok_r(copy, ",", &save); t && n < 32; t = strtok_r(NULL, ",", &save), n++) {
		const char *who = strchr(t, ':'), *perm = strrchr(t, ':');

		if (!who || who == perm)
			return USAGE;
		acl.e[n].e_tag = (__u16)acl_tag(t);
		acl.e[n].e_id = who[1] == ':' ? (__u32)ACL_UNDEFINED_ID : (__u32)strtoul(who + 1, NULL, 10);
		acl.e[n].e_perm = (__u16)((strchr(perm, 'r') ? ACL_READ : 0) | (strchr(perm, 'w') ? ACL_WRITE : 0) |
					  (strchr(perm, 'x') ? ACL_EXECUTE : 0));
	}
	free(copy);
	return lsetxattr(path_of(a[1]), name, &acl, sizeof(acl.h) + (size_t)n * sizeof(acl.e[0]), 0);
}

/* getacl P access|default: in the same form. */
static int c_getacl(int argc, struct word *a)
{
	struct {
		struct posix_acl_xattr_header h;
		struct posix_acl_xattr_entry e[64];
	} acl;
	const char *name = is(a[2], "default") ? "system.posix_acl_default" : "system.posix_acl_access";
	ssize_t n = lgetxattr(path_of(a[1]), name, &acl, sizeof(acl));

	(void)argc;
	if (n < 0)
		return FAIL;
	put_word(a[1]);
	printf(" %s acl", a[2].s);
	for (size_t i = 0; sizeof(acl.h) + (i + 1) * sizeof(acl.e[0]) <= (size_t)n; i++) {
		struct posix_acl_xattr_entry *e = &acl.e[i];
		const char *tag = e->e_tag == ACL_USER_OBJ || e->e_tag == ACL_USER ? "u" :
				  e->e_tag == ACL_GROUP_OBJ || e->e_tag == ACL_GROUP ? "g" :
				  e->e_tag == ACL_MASK ? "m" : "o";

		printf("%s%s:", i ? "," : " ", tag);
		if (e->e_tag == ACL_USER || e->e_tag == ACL_GROUP)
			printf("%u", e->e_id);
		printf(":%c%c%c", e->e_perm & ACL_READ ? 'r' : '-', e->e_perm & ACL_WRITE ? 'w' : '-',
		       e->e_perm & ACL_EXECUTE ? 'x' : '-');
	}
	putchar('\n');
	return OK;
}

/* verity P: fs-verity is switched on for a file (SHA-256, blocks of 4096) */
static int c_verity(int argc, struct word *a)
{
	struct fsverity_enable_arg arg = { .version = 1, .hash_algorithm = FS_VERITY_HASH_ALG_SHA256, .block_size = 4096 };
	int fd = open(path_of(a[1]), O_RDONLY);

	(void)argc;
	if (fd < 0)
		return FAIL;
	return close_after(fd, ioctl(fd, FS_IOC_ENABLE_VERITY, &arg));
}

/*
 * metadigest DATA META ATTRIBUTE: META gets the metacopy attribute by that name, with the
 * fs-verity digest of DATA: version, length, flags, algorithm, digest, as overlayfs writes it.
 */
static int c_metadigest(int argc, struct word *a)
{
	struct {
		struct fsverity_digest d;
		unsigned char digest[64];
	} arg = { .d.digest_size = 64 };
	unsigned char value[4 + 64];
	int fd = open(path_of(a[1]), O_RDONLY), rc;

	(void)argc;
	if (fd < 0)
		return FAIL;
	rc = ioctl(fd, FS_IOC_MEASURE_VERITY, &arg);
	if (!rc) {
		value[0] = value[2] = 0;
		value[1] = (unsigned char)(4 + arg.d.digest_size);
		value[3] = (unsigned char)arg.d.digest_algorithm;
		memcpy(value + 4, arg.d.digest, arg.d.digest_size);
		rc = lsetxattr(path_of(a[2]), a[3].s, value, value[1], 0);
	}
	return close_after(fd, rc);
}

static const struct command xattr_commands[] = {
	{ "verity", 1, 1, 0, c_verity, "P" },
	{ "metadigest", 3, 3, 0, c_metadigest, "DATA META ATTRIBUTE" },
	{ "setx", 3, 4, 0, c_setx, "P NAME VALUE [create|replace]" },
	{ "rmx", 2, 2, 0, c_rmx, "P NAME" },
	{ "getx", 2, 3, 0, c_getx, "P NAME [SIZE]" },
	{ "listx", 1, 1, 0, c_listx, "P" },
	{ "listxroom", 1, 1, 0, c_listxroom, "P" },
	{ "countx", 1, 1, 0, c_countx, "P" },
	{ "listxsize", 2, 2, 0, c_listxsize, "P SIZE" },
	{ "setacl", 3, 3, 0, c_setacl, "P access|default ACL" },
	{ "getacl", 2, 2, 0, c_getacl, "P access|default" },
	{ 0 },
};
