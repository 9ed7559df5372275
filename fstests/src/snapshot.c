// SPDX-License-Identifier: GPL-2.0-only
/*
 * snapshot: clones a file (FICLONE) while threads write to it and read it, and checks that each copy is the file as it was
 * at one moment.
 *
 *   snapshot FILE COPY [blocks=N] [rounds=N] [writers=LIST] [readers=LIST] [pause=MICROSECONDS] [seed=N] [cloners=N] [fresh] [table]
 *     blocks=N	blocks of 4 KiB with data; behind each is a hole, so that each is an extent [4096]
 *     rounds=N	clones, one after the other [3]
 *     writers=LIST	a thread for each word: buffered, direct, mmap, aio, uring [buffered,direct,mmap]
 *     readers=LIST	the same: buffered, direct, mmap [buffered,direct]
 *     pause=N		between two accesses of a thread [300]
 *     cloners=N	clones that are made at the same time, of COPY.1 and so on [1]
 *     fresh		COPY is a new file each time (else it is written over)
 *     table		times and latencies, in microseconds
 *     series=FILE	appends a line for each thread and tenth of a second of the last clone in which an access began: the thread,
 *			the tenth, and the longest, in microseconds
 *     alone=N		no clones: so many milliseconds of accesses are counted instead
 *
 * Every write has a number and puts it into its block; when it began and when it had ended is kept. A copy shows, for each
 * block, the last write that is in it. It is of one moment if no write is missing that had ended before one began that is
 * there; before the clone was asked for, a write is not missing; and none is there that began after it had ended.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/fs.h>
#include <linux/io_uring.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 4096, MAX_THREADS = 16, MAX_WRITES = 4 << 20, MAX_TIMES = 1 << 20 };

struct write {
	uint32_t block;
	uint64_t begin, end;
};

struct times {
	const char *what;
	uint32_t *us, *began;	/* microseconds; since the clone was asked for */
	unsigned int n;
};

struct thread {
	pthread_t id;
	const char *how;
	bool writes;
	unsigned int number, of;
	struct times times;
};

static const char *path, *copy_path;
static unsigned int blocks = 4096, rounds = 3, cloners = 1, wait_us = 300, seed = 1;
static bool fresh, table;
static unsigned int alone;
static const char *series;
static volatile uint64_t asked_us;
static struct write *writes;
static uint64_t last_write, ticks = 1;
static volatile bool stop, cloning;
static struct thread threads[MAX_THREADS];
static unsigned int nr_threads, nr_writers;

static void die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	exit(1);
}

static uint64_t tick(void) { return __atomic_add_fetch(&ticks, 1, __ATOMIC_SEQ_CST); }

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static off_t place(unsigned int block) { return (off_t)block * 2 * BLOCK; }

static size_t whole(void) { return (size_t)blocks * 2 * BLOCK; }

/* One write by io_submit() or io_uring, waited for. */
static aio_context_t aio;
static int ring = -1;
static struct io_uring_params ring_params;
static char *ring_sq, *ring_cq;
static struct io_uring_sqe *ring_sqes;

static void by_aio(int fd, void *buf, off_t at)
{
	struct iocb cb = { .aio_lio_opcode = IOCB_CMD_PWRITE, .aio_fildes = (uint32_t)fd, .aio_buf = (uintptr_t)buf,
			   .aio_nbytes = BLOCK, .aio_offset = at };
	struct iocb *list = &cb;
	struct io_event event;

	if (!aio && syscall(SYS_io_setup, 8, &aio))
		die("io_setup: %s", strerrorname_np(errno));
	if (syscall(SYS_io_submit, aio, 1, &list) != 1)
		die("io_submit: %s", strerrorname_np(errno));
	if (syscall(SYS_io_getevents, aio, 1, 1, &event, NULL) != 1 || event.res != BLOCK)
		die("io_getevents: %lld", (long long)event.res);
}

static void by_uring(int fd, void *buf, off_t at)
{
	unsigned int *tail, index;
	struct io_uring_cqe *cqe;

	if (ring < 0) {
		ring = (int)syscall(SYS_io_uring_setup, 4, &ring_params);
		if (ring < 0)
			die("io_uring_setup: %s", strerrorname_np(errno));
		ring_sq = mmap(NULL, ring_params.sq_off.array + ring_params.sq_entries * 4, PROT_READ | PROT_WRITE, MAP_SHARED, ring,
			       IORING_OFF_SQ_RING);
		ring_cq = mmap(NULL, ring_params.cq_off.cqes + ring_params.cq_entries * sizeof(*cqe), PROT_READ | PROT_WRITE,
			       MAP_SHARED, ring, IORING_OFF_CQ_RING);
		ring_sqes = mmap(NULL, ring_params.sq_entries * sizeof(*ring_sqes), PROT_READ | PROT_WRITE, MAP_SHARED, ring,
				 IORING_OFF_SQES);
	}
	tail = (unsigned int *)(ring_sq + ring_params.sq_off.tail);
	index = *tail & *(unsigned int *)(ring_sq + ring_params.sq_off.ring_mask);
	ring_sqes[index] = (struct io_uring_sqe){ .opcode = IORING_OP_WRITE, .fd = fd, .addr = (uintptr_t)buf, .len = BLOCK,
						  .off = (uint64_t)at };
	((unsigned int *)(ring_sq + ring_params.sq_off.array))[index] = index;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) != 1)
		die("io_uring_enter: %s", strerrorname_np(errno));
	tail = (unsigned int *)(ring_cq + ring_params.cq_off.head);
	cqe = (struct io_uring_cqe *)(ring_cq + ring_params.cq_off.cqes) +
	      (*tail & *(unsigned int *)(ring_cq + ring_params.cq_off.ring_mask));
	if (cqe->res != BLOCK)
		die("a write by io_uring: %d", cqe->res);
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
}

static void one_write(struct thread *t, int fd, char *map, uint64_t *buf, unsigned int block)
{
	uint64_t n = __atomic_add_fetch(&last_write, 1, __ATOMIC_SEQ_CST);

	if (n >= MAX_WRITES)
		die("too many writes");
	writes[n].block = block;
	for (unsigned int i = 0; i < BLOCK / sizeof(*buf); i++)
		buf[i] = n;
	writes[n].begin = tick();
	if (!strcmp(t->how, "mmap"))
		*(volatile uint64_t *)(map + place(block)) = n;
	else if (!strcmp(t->how, "aio"))
		by_aio(fd, buf, place(block));
	else if (!strcmp(t->how, "uring"))
		by_uring(fd, buf, place(block));
	else if (pwrite(fd, buf, BLOCK, place(block)) != BLOCK)
		die("a %s write: %s", t->how, strerrorname_np(errno));
	__atomic_store_n(&writes[n].end, tick(), __ATOMIC_SEQ_CST);
}

static void one_read(struct thread *t, int fd, char *map, void *buf, unsigned int block)
{
	static volatile uint64_t sink;

	if (!strcmp(t->how, "mmap")) {
		madvise(map + place(block), BLOCK, MADV_DONTNEED);
		sink = *(volatile uint64_t *)(map + place(block));
	} else if (pread(fd, buf, BLOCK, place(block)) != BLOCK) {
		die("a %s read: %s", t->how, strerrorname_np(errno));
	}
	(void)sink;
}

static void *work(void *arg)
{
	struct thread *t = arg;
	unsigned int dice = seed * 1000 + t->number + t->writes * 100;
	bool direct = !strcmp(t->how, "direct") || !strcmp(t->how, "aio") || !strcmp(t->how, "uring");
	int fd = open(path, O_RDWR | (direct ? O_DIRECT : 0));
	uint64_t *buf = aligned_alloc(BLOCK, BLOCK);
	char *map;

	if (fd < 0)
		die("%s: %s", path, strerrorname_np(errno));
	map = mmap(NULL, whole(), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		die("mmap: %s", strerrorname_np(errno));
	while (!stop) {
		unsigned int block = (unsigned int)rand_r(&dice) % blocks;
		bool during = cloning;
		uint64_t begin = now_us();

		/* A block is one writer's alone. */
		if (t->writes)
			block = (block / t->of * t->of + t->number) % (blocks / t->of * t->of);
		(t->writes ? (void (*)(struct thread *, int, char *, uint64_t *, unsigned int))one_write :
			     (void (*)(struct thread *, int, char *, uint64_t *, unsigned int))one_read)(t, fd, map, buf, block);
		if ((during || cloning) && t->times.n < MAX_TIMES) {
			t->times.began[t->times.n] = begin > asked_us ? (uint32_t)(begin - asked_us) : 0;
			t->times.us[t->times.n++] = (uint32_t)(now_us() - begin);
		}
		if (wait_us)
			usleep(wait_us);
	}
	return NULL;
}

static void start(const char *list, bool are_writers)
{
	char *words = strdup(list), *rest = words, *word;
	unsigned int first = nr_threads;

	while ((word = strsep(&rest, ","))) {
		struct thread *t = &threads[nr_threads];

		if (!*word)
			continue;
		if (nr_threads++ == MAX_THREADS)
			die("too many threads");
		*t = (struct thread){ .how = word, .writes = are_writers, .number = nr_threads - 1 - first };
		t->times.us = malloc(MAX_TIMES * sizeof(*t->times.us));
		t->times.began = malloc(MAX_TIMES * sizeof(*t->times.began));
	}
	for (unsigned int i = first; i < nr_threads; i++)
		threads[i].of = nr_threads - first;
	if (are_writers)
		nr_writers = nr_threads - first;
}

static void make(void)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
	char zero[BLOCK] = { 0 };

	if (fd < 0 || ftruncate(fd, (off_t)whole()))
		die("%s: %s", path, strerrorname_np(errno));
	for (unsigned int i = 0; i < blocks; i++)
		if (pwrite(fd, zero, BLOCK, place(i)) != BLOCK)
			die("%s: %s", path, strerrorname_np(errno));
	if (fsync(fd))
		die("fsync: %s", strerrorname_np(errno));
	close(fd);
}

/* Whether a copy is of one moment, and that is one between @asked and @ended. */
static bool check(const char *name, uint64_t asked, uint64_t ended)
{
	uint64_t *seen = calloc(blocks, sizeof(*seen)), *buf = malloc(BLOCK), newest = asked, last;
	int fd = open(name, O_RDONLY), strange = 0;

	if (fd < 0 || lseek(fd, 0, SEEK_END) != (off_t)whole())
		die("the copy is %lld bytes long", (long long)lseek(fd, 0, SEEK_END));
	for (unsigned int b = 0; b < blocks; b++) {
		if (pread(fd, buf, BLOCK, place(b)) != BLOCK)
			die("reading the copy: %s", strerrorname_np(errno));
		seen[b] = buf[0];
		if (seen[b] && writes[seen[b]].block != b)
			die("block %u of the copy has write %llu, which is another's", b, (unsigned long long)seen[b]);
		if (writes[seen[b]].begin > ended && strange++ < 3)
			printf("block %u of the copy has what was written after the clone had ended\n", b);
		/* A whole block of one write; through a mapping the first word alone is stored. */
		if (nr_writers && strcmp(threads[b % nr_writers].how, "mmap") && buf[1] != buf[BLOCK / sizeof(*buf) - 1] && strange++ < 3)
			printf("block %u of the copy has parts of two writes\n", b);
		if (writes[seen[b]].begin > newest)
			newest = writes[seen[b]].begin;
	}
	close(fd);
	last = __atomic_load_n(&last_write, __ATOMIC_SEQ_CST);
	for (uint64_t i = 1; i <= last; i++) {
		uint64_t end = __atomic_load_n(&writes[i].end, __ATOMIC_SEQ_CST);

		if (i > seen[writes[i].block] && end && end < newest && strange++ < 3)
			printf("block %u of the copy lacks a %s write that had ended before another began that it has\n",
			       writes[i].block, threads[writes[i].block % nr_writers].how);
	}
	free(seen);
	free(buf);
	return !strange;
}

struct clone {
	pthread_t id;
	char name[4096];
	uint64_t asked, ended, us;
	int err;
};

static void *clone_one(void *arg)
{
	struct clone *c = arg;
	int from = open(path, O_RDONLY), to;
	uint64_t begin;

	if (fresh)
		unlink(c->name);
	to = open(c->name, O_RDWR | O_CREAT, 0644);
	if (from < 0 || to < 0)
		die("%s: %s", c->name, strerrorname_np(errno));
	c->asked = tick();
	begin = now_us();
	c->err = ioctl(to, FICLONE, from) ? errno : 0;
	c->us = now_us() - begin;
	c->ended = tick();
	close(from);
	close(to);
	return NULL;
}

static void write_series(struct thread *t)
{
	FILE *f = fopen(series, "a");
	unsigned int tenth = 0;
	uint32_t worst = 0;

	if (!f)
		die("%s: %s", series, strerrorname_np(errno));
	for (unsigned int i = 0; i <= t->times.n; i++) {
		if (i == t->times.n || t->times.began[i] / 100000 != tenth) {
			if (worst)
				fprintf(f, "%s-%s,%u,%u\n", t->how, t->writes ? "write" : "read", tenth, worst);
			if (i == t->times.n)
				break;
			tenth = t->times.began[i] / 100000;
			worst = 0;
		}
		if (t->times.us[i] > worst)
			worst = t->times.us[i];
	}
	fclose(f);
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void show(struct thread *t)
{
	struct times *s = &t->times;

	qsort(s->us, s->n, sizeof(*s->us), compare);
	if (s->n)
		printf("%s-%s count=%u median=%u p99=%u worst=%u\n", t->how, t->writes ? "write" : "read", s->n, s->us[s->n / 2],
		       s->us[(uint64_t)s->n * 99 / 100], s->us[s->n - 1]);
	else
		printf("%s-%s count=0\n", t->how, t->writes ? "write" : "read");
}

int main(int argc, char **argv)
{
	const char *writers = "buffered,direct,mmap", *readers = "buffered,direct";
	bool good = true;

	if (argc < 3)
		die("usage: snapshot FILE COPY [OPTION...]");
	path = argv[1];
	copy_path = argv[2];
	for (int i = 3; i < argc; i++) {
		if (!strncmp(argv[i], "writers=", 8))
			writers = argv[i] + 8;
		else if (!strncmp(argv[i], "readers=", 8))
			readers = argv[i] + 8;
		else if (!strcmp(argv[i], "fresh"))
			fresh = true;
		else if (!strcmp(argv[i], "table"))
			table = true;
		else if (!strncmp(argv[i], "series=", 7))
			series = argv[i] + 7;
		else if (!sscanf(argv[i], "blocks=%u", &blocks) && !sscanf(argv[i], "rounds=%u", &rounds) &&
			 !sscanf(argv[i], "pause=%u", &wait_us) && !sscanf(argv[i], "seed=%u", &seed) &&
			 !sscanf(argv[i], "cloners=%u", &cloners) && !sscanf(argv[i], "alone=%u", &alone))
			die("what is '%s'?", argv[i]);
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	writes = calloc(MAX_WRITES, sizeof(*writes));
	make();
	start(writers, true);
	start(readers, false);
	for (unsigned int i = 0; i < nr_threads; i++)
		if (pthread_create(&threads[i].id, NULL, work, &threads[i]))
			die("a thread can't be made");
	if (alone) {
		rounds = 0;
		usleep(200000);
		cloning = true;
		usleep(alone * 1000);
		cloning = false;
	}
	for (unsigned int r = 0; r < rounds; r++) {
		struct clone clones[8];

		usleep(50000);
		for (unsigned int i = 0; i < nr_threads; i++)
			if (series)
				threads[i].times.n = 0;
		asked_us = now_us();
		cloning = true;
		for (unsigned int i = 0; i < cloners && i < 8; i++) {
			if (i)
				snprintf(clones[i].name, sizeof(clones[i].name), "%s.%u", copy_path, i);
			else
				snprintf(clones[i].name, sizeof(clones[i].name), "%s", copy_path);
			pthread_create(&clones[i].id, NULL, clone_one, &clones[i]);
		}
		for (unsigned int i = 0; i < cloners && i < 8; i++)
			pthread_join(clones[i].id, NULL);
		cloning = false;
		for (unsigned int i = 0; i < cloners && i < 8; i++) {
			if (clones[i].err)
				die("clone: %s", strerrorname_np(clones[i].err));
			if (table)
				printf("clone us=%llu\n", (unsigned long long)clones[i].us);
			/* A copy that is written over has the last one's writes where this one's have not come. */
			good &= check(clones[i].name, clones[i].asked, clones[i].ended);
		}
	}
	stop = true;
	for (unsigned int i = 0; i < nr_threads; i++)
		pthread_join(threads[i].id, NULL);
	for (unsigned int i = 0; i < nr_threads && series; i++)
		write_series(&threads[i]);
	if (table)
		for (unsigned int i = 0; i < nr_threads; i++)
			show(&threads[i]);
	if (alone)
		return 0;
	printf("%s\n", good ? "every copy is of one moment" : "a copy is not of one moment");
	for (unsigned int i = 0; i < nr_threads; i++)
		if (!threads[i].times.n)
			printf("no %s %s came to its end while a clone was made\n", threads[i].how, threads[i].writes ? "write" : "read");
	return !good;
}
