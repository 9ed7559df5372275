/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the parts of layerbench share: a stack under measurement (stack.c), a row of the table
 * (rows-*.c), and the loop that runs rows and prints what they took (main.c).
 */
#ifndef LAYERBENCH_H
#define LAYERBENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What a row is run on. FUSE, fuse-overlayfs, is run by itself and only when it is asked for. */
enum system { LAYERFS, OVERLAYFS, BARE, FUSE, SYSTEMS };

/*
 * Where the layers are. TMPFS: a fresh one for each stack. XFS, EXT4: a directory of the disk that --xfs or --ext4
 * names, for rows about reflinks, and about what a disk's filesystem keeps of names that are not there.
 */
enum place { TMPFS, XFS, EXT4, PLACES };

struct row;

/*
 * A stack: layers "1" (the topmost lower) to "N", "u" (upper), "w" (workdir), mounted at "m", all below the
 * directory BASE. For BARE, all layers are the one directory "m": what is put into them is the merged
 * tree by itself, as long as no two layers get a file of the same name.
 */
struct stack {
	enum system system;
	const struct row *row;
	int lowers;	  /* how many lower layers */
	const char *root; /* BARE: measured there instead of in "m"; else the last lower layer */
	char base[64];	  /* absolute */
	bool mounted;
	int fd;		  /* of the row's own use; -1 */
	char *buffer;	  /* of the row's own use; freed by the loop */
};

struct row {
	const char *name;
	const char *what; /* one call of it, in words */
	int n;		  /* calls per round, or names, or megabytes: the row's size */
	int lowers;	  /* lower layers; 0 means 2 */
	int rounds;	  /* rounds that count, at most; 0 means as many as are asked for */
	enum place place;
	bool data_only;	  /* the last lower layer is a data-only one */
	bool remount;	  /* a new mount before each round: nothing of the stack is cached */
	const char *unit; /* NULL: time */
	const char *last; /* an existing directory to be the last lower layer, and all of BARE */
	/* Fills the layers; the working directory is BASE. */
	void (*prepare)(struct stack *s);
	/* After the mount and each remount; the working directory is the root of the stack. Not timed. */
	void (*ready)(struct stack *s);
	/* One round: what one call took, in nanoseconds (or the row's unit). */
	double (*round)(struct stack *s, int round);
};

/* The rows of each file, ended by one without a name. */
extern const struct row rows_cached[], rows_lookup[], rows_readdir[], rows_tree[], rows_change[], rows_copy_up[],
	rows_mount[], rows_memory[];

/* --- stack.c --- */

extern const char *const system_names[SYSTEMS];
/* The mount points of the disks, or NULL. */
extern const char *places[PLACES];
/* The program of fuse-overlayfs. */
extern const char *fuse_program;

/* Ends the program with what was being done and errno. */
void die(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
/* An error unless the call succeeded; returns its result. */
#define CHECK(call) check((long)(call), #call, __FILE__, __LINE__)
long check(long result, const char *call, const char *file, int line);
/* A name made like printf does, in one of a few static buffers. */
const char *name(const char *format, ...) __attribute__((format(printf, 1, 2)));

void stack_make(struct stack *s, enum system system, const struct row *row);
void stack_mount(struct stack *s);
void stack_umount(struct stack *s);
void stack_destroy(struct stack *s);
/* Makes the root of the stack the working directory. */
void stack_enter(const struct stack *s);

/* Where something of a layer is put, relative to BASE: 1 is the topmost lower, 0 upper. */
const char *in_layer(const struct stack *s, int layer, const char *path);
/* Makes a directory and its parents; one that exists is no error. */
void make_dir(const char *path);
void make_file(const char *path, size_t size);
void make_files(const struct stack *s, int layer, const char *dir, const char *prefix, int n, size_t size);
void remove_tree(const char *path);

/* --- main.c --- */

/* Nanoseconds; under -icount guest instructions. Called in pairs, before and after what is timed. */
uint64_t now(void);
/* A round that is not to be counted, before one that is. */
double untimed(double (*round)(struct stack *, int), struct stack *s, int number);
/* How many rounds count; round() is called with the numbers 0 (which does not count) to this one. */
int rounds_of(const struct row *row);
/* Lets deferred work (RCU callbacks, delayed puts) come to its end. */
void settle(void);

#endif
