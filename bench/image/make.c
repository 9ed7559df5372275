// SPDX-License-Identifier: GPL-2.0-only
/*
 * Makes what the image measurement looks at, of a tree: a tar stream of its metadata, in which every regular file is a
 * metacopy that leads to a file of a store (for mkfs.erofs --tar=headerball), and the store, where the files that are
 * named have their data, and the others are only as long as they should be.
 *
 * usage: imagemaker TREE STORE PREFIX-WITH-DATA... >STREAM; on standard error how many files and directories there are
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *store;
static char **with_data;
static long files, dirs, others;

/* One header of the format, with its checksum. */
static void header(const char *path, char type, const struct stat *st, const char *link, long long size)
{
	char block[512] = "";
	unsigned int sum = 0;
	size_t len = strlen(path);
	/* A long path is split at a slash. */
	const char *name = path;

	if (len > 100) {
		name = strchr(path + len - 101, '/');
		if (!name || name - path > 155)
			errx(1, "%s is too long", path);
		memcpy(block + 345, path, name - path);
		name++;
	}
	memcpy(block, name, strlen(name));
	sprintf(block + 100, "%07o", st->st_mode & 07777);
	sprintf(block + 108, "%07o", st->st_uid);
	sprintf(block + 116, "%07o", st->st_gid);
	sprintf(block + 124, "%011llo", size);
	sprintf(block + 136, "%011llo", (long long)st->st_mtime);
	memset(block + 148, ' ', 8);
	block[156] = type;
	memcpy(block + 157, link, strnlen(link, 100));
	memcpy(block + 257, "ustar\00000", 8);
	sprintf(block + 329, "%07o", 0);
	sprintf(block + 337, "%07o", 0);
	for (int i = 0; i < 512; i++)
		sum += (unsigned char)block[i];
	sprintf(block + 148, "%06o", sum);
	fwrite(block, 512, 1, stdout);
}

/* One record "LENGTH KEY=VALUE\n", where the length counts itself. */
static int record(char *to, const char *key, const char *value)
{
	int rest = strlen(key) + strlen(value) + 3, len = rest + 2;

	while (snprintf(NULL, 0, "%d", len) + rest != len)
		len++;
	return sprintf(to, "%d %s=%s\n", len, key, value);
}

/* What comes before a regular file: its marks. */
static void marks(const struct stat *st, const char *place)
{
	char block[512] = "";
	int len = record(block, "SCHILY.xattr.trusted.overlay.metacopy", "");

	len += record(block + len, "SCHILY.xattr.trusted.overlay.redirect", place);
	header("marks", 'x', st, "", len);
	fwrite(block, 512, 1, stdout);
}

/* A place in the store, as long as one by a digest. */
static void place_of(const char *path, char place[67])
{
	uint64_t words[4];

	for (int i = 0; i < 4; i++) {
		words[i] = 0xcbf29ce484222325 + i;
		for (const char *c = path; *c; c++)
			words[i] = (words[i] ^ (unsigned char)*c) * 0x100000001b3;
	}
	sprintf(place, "/%02" PRIx64 "/%014" PRIx64 "%016" PRIx64 "%016" PRIx64 "%016" PRIx64, words[0] >> 56,
		words[0] & 0xffffffffffffff, words[1], words[2], words[3]);
}

static void keep(const char *path, const struct stat *st, const char *place)
{
	char to[256];
	int fd;

	snprintf(to, sizeof(to), "%s/%.2s", store, place + 1);
	mkdir(to, 0755);
	snprintf(to, sizeof(to), "%s%s", store, place);
	fd = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	if (fd < 0)
		err(1, "%s", to);
	for (char **prefix = with_data; *prefix; prefix++) {
		int from;

		if (strncmp(path, *prefix, strlen(*prefix)))
			continue;
		from = open(path, O_RDONLY);
		if (from < 0)
			err(1, "%s", path);
		while (sendfile(fd, from, NULL, 1 << 30) > 0)
			;
		close(from);
	}
	if (ftruncate(fd, st->st_size) || close(fd))
		err(1, "%s", to);
}

static int each(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	char place[67], link[4096];
	const char *name = path + 1;
	ssize_t len;

	(void)kind;
	(void)ftw;
	switch (st->st_mode & S_IFMT) {
	case S_IFDIR:
		dirs++;
		header(name, '5', st, "", 0);
		break;
	case S_IFLNK:
		len = readlink(path, link, sizeof(link) - 1);
		if (len < 0 || len > 100)
			errx(1, "%s: a link that can't be kept", path);
		link[len] = 0;
		others++;
		header(name, '2', st, link, 0);
		break;
	case S_IFREG:
		files++;
		place_of(path, place);
		marks(st, place);
		header(name, '0', st, "", st->st_size);
		keep(path, st, place);
		break;
	}
	return 0;
}

int main(int argc, char **argv)
{
	static const char end[1024];
	const struct stat hidden = { .st_mode = 0600 };

	if (argc < 3)
		errx(2, "usage: imagemaker TREE STORE PREFIX-WITH-DATA...");
	store = argv[2];
	with_data = argv + 3;
	if (nftw(argv[1], each, 32, FTW_PHYS | FTW_MOUNT))
		err(1, "%s", argv[1]);
	/* Where the store is an ordinary lower layer, whiteouts keep its own names from being shown. */
	for (int i = 0; i < 256; i++) {
		char name[3];

		sprintf(name, "%02x", i);
		header(name, '3', &hidden, "", 0);
	}
	fwrite(end, sizeof(end), 1, stdout);
	fprintf(stderr, "%ld files, %ld directories, %ld symbolic links\n", files, dirs, others);
	return fflush(stdout) ? 1 : 0;
}
