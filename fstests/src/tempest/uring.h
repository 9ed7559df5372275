/* SPDX-License-Identifier: GPL-2.0-only */
/* The same by io_uring, whose workers are tasks of their own; several requests at once. */

static struct {
	int fd;
	unsigned int *sq_tail, *sq_mask, *cq_head, *cq_tail;
	struct io_uring_sqe *sqes;
	unsigned int *array;
} ring = { .fd = -1 };

static void ring_open(void)
{
	struct io_uring_params p = { 0 };
	char *sq, *cq;

	ring.fd = (int)syscall(SYS_io_uring_setup, 16, &p);
	if (ring.fd < 0)
		return;
	sq = mmap(NULL, p.sq_off.array + p.sq_entries * 4, PROT_READ | PROT_WRITE, MAP_SHARED, ring.fd, IORING_OFF_SQ_RING);
	cq = mmap(NULL, p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe), PROT_READ | PROT_WRITE, MAP_SHARED, ring.fd,
		  IORING_OFF_CQ_RING);
	ring.sqes = mmap(NULL, p.sq_entries * sizeof(struct io_uring_sqe), PROT_READ | PROT_WRITE, MAP_SHARED, ring.fd,
			 IORING_OFF_SQES);
	if (sq == MAP_FAILED || cq == MAP_FAILED || ring.sqes == MAP_FAILED) {
		ring.fd = -1;
		return;
	}
	ring.sq_tail = (unsigned int *)(sq + p.sq_off.tail);
	ring.sq_mask = (unsigned int *)(sq + p.sq_off.ring_mask);
	ring.array = (unsigned int *)(sq + p.sq_off.array);
	ring.cq_head = (unsigned int *)(cq + p.cq_off.head);
	ring.cq_tail = (unsigned int *)(cq + p.cq_off.tail);
}

static struct io_uring_sqe *ring_next(unsigned int opcode)
{
	unsigned int at = *ring.sq_tail & *ring.sq_mask;
	struct io_uring_sqe *e = &ring.sqes[at];

	memset(e, 0, sizeof(*e));
	e->opcode = (unsigned char)opcode;
	e->fd = AT_FDCWD;
	e->flags = below(2) ? IOSQE_ASYNC : 0;
	ring.array[at] = at;
	__atomic_store_n(ring.sq_tail, *ring.sq_tail + 1, __ATOMIC_RELEASE);
	return e;
}

static void ring_submit(unsigned int n)
{
	syscall(SYS_io_uring_enter, ring.fd, n, n, IORING_ENTER_GETEVENTS, NULL, 0);
	__atomic_store_n(ring.cq_head, __atomic_load_n(ring.cq_tail, __ATOMIC_ACQUIRE), __ATOMIC_RELEASE);
}

static void ring_rw(unsigned int opcode, int fd)
{
	struct io_uring_sqe *e = ring_next(opcode);

	e->fd = fd;
	e->addr = (uintptr_t)buffer;
	e->len = below(4) ? below(20000) : 512 * below(16);
	e->off = below(4) ? below(1 << 18) : below(2) ? (uint64_t)-1 : 512 * below(64);
}

static void ring_attribute(unsigned int opcode, unsigned int size)
{
	struct io_uring_sqe *e = ring_next(opcode);

	e->addr3 = (uintptr_t)path();
	e->addr = (uintptr_t)attribute();
	e->addr2 = (uintptr_t)buffer;
	e->len = size;
}

static struct io_uring_sqe *ring_two_names(unsigned int opcode)
{
	struct io_uring_sqe *e = ring_next(opcode);

	e->addr = (uintptr_t)path();
	e->len = (uint32_t)AT_FDCWD;
	e->addr2 = (uintptr_t)path();
	return e;
}

/* A few requests at once, each made by that function, which is given an open file, if there is one. */
static void ring_some(void (*request)(int fd))
{
	unsigned int n = 0;

	if (ring.fd < 0)
		return;
	for (; n < 1 + below(6); n++)
		request(open_file());
	ring_submit(n);
}

static void ring_request_look(int fd)
{
	static struct statx sx;
	struct io_uring_sqe *e;

	switch (fd < 0 ? below(2) : below(5)) {
	case 0:
		e = ring_next(IORING_OP_STATX);
		e->addr = (uintptr_t)path();
		e->len = STATX_BASIC_STATS;
		e->off = (uintptr_t)&sx;
		break;
	case 1: ring_attribute(IORING_OP_GETXATTR, below(2) ? 65536 : below(64)); break;
	case 2: case 3: ring_rw(IORING_OP_READ, fd); break;
	case 4: ring_next(IORING_OP_FSYNC)->fd = fd; break;
	}
}

static void ring_look(void)
{
	ring_some(ring_request_look);
}

static void ring_request_change(int fd)
{
	struct io_uring_sqe *e;

	switch (fd < 0 ? below(5) : below(9)) {
	case 0: ring_two_names(IORING_OP_RENAMEAT)->rename_flags = below(2) ? 0 : below(4); break;
	case 1:
		e = ring_next(IORING_OP_UNLINKAT);
		e->addr = (uintptr_t)path();
		e->unlink_flags = below(2) ? AT_REMOVEDIR : 0;
		break;
	case 2:
		e = ring_next(IORING_OP_MKDIRAT);
		e->addr = (uintptr_t)path();
		e->len = 0777;
		break;
	case 3: ring_two_names(IORING_OP_LINKAT); break;
	case 4: ring_attribute(IORING_OP_SETXATTR, below(64)); break;
	case 5: case 6: ring_rw(IORING_OP_WRITE, fd); break;
	case 7:
		e = ring_next(IORING_OP_FALLOCATE);
		e->fd = fd;
		e->off = below(1 << 18);
		e->addr = below(1 << 18);
		e->len = below(4);
		break;
	case 8: ring_next(IORING_OP_FSYNC)->fd = fd; break;
	}
}

static void ring_change(void)
{
	ring_some(ring_request_change);
}
