// SPDX-License-Identifier: GPL-2.0-only
/*
 * profile: a plugin of QEMU's emulator that counts the instructions that the guest executes, by address, and for each
 * of the systems that layerbench measures. Which one's turn it is tells the place that layerbench passes (mark() in
 * bench/main.c). At the end it writes, for each block of instructions: address, instructions executed for each system.
 *
 * Arguments: out=FILE, mark=ADDRESS (four of them: the systems in their order, and the end).
 *
 * Debian has QEMU's plugins without their header; what is used of it is declared here (API version 4; see
 * https://www.qemu.org/docs/master/devel/tcg-plugins.html).
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum qemu_plugin_cb_flags { QEMU_PLUGIN_CB_NO_REGS };

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, void (*cb)(qemu_plugin_id_t, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb, void (*cb)(unsigned int, void *),
					  enum qemu_plugin_cb_flags flags, void *data);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn, void (*cb)(unsigned int, void *),
					    enum qemu_plugin_cb_flags flags, void *data);
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t id, void (*cb)(qemu_plugin_id_t, void *), void *data);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);

EXPORT int qemu_plugin_version = 4;

#define SYSTEMS 3

struct block {
	struct block *next;
	uint64_t address, executed[SYSTEMS];
	unsigned int instructions;
};

static struct block *blocks;
static uint64_t marks[SYSTEMS + 1];
static size_t nr_marks;
/* Whose turn it is; SYSTEMS: nobody's. */
static size_t turn = SYSTEMS;
static const char *out;

static void executed(unsigned int cpu, void *data)
{
	struct block *b = data;

	(void)cpu;
	if (turn < SYSTEMS)
		b->executed[turn] += b->instructions;
}

static void passed_mark(unsigned int cpu, void *data)
{
	(void)cpu;
	turn = (size_t)data;
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	struct block *b = calloc(1, sizeof(*b));
	size_t n = qemu_plugin_tb_n_insns(tb);

	(void)id;
	if (!b)
		abort();
	b->address = qemu_plugin_insn_vaddr(qemu_plugin_tb_get_insn(tb, 0));
	b->instructions = n;
	b->next = blocks;
	blocks = b;
	qemu_plugin_register_vcpu_tb_exec_cb(tb, executed, QEMU_PLUGIN_CB_NO_REGS, b);
	for (size_t i = 0; i < n; i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);

		for (size_t m = 0; m < nr_marks; m++)
			if (qemu_plugin_insn_vaddr(insn) == marks[m])
				qemu_plugin_register_vcpu_insn_exec_cb(insn, passed_mark, QEMU_PLUGIN_CB_NO_REGS,
								       (void *)m);
	}
}

static void end(qemu_plugin_id_t id, void *data)
{
	FILE *f = fopen(out, "w");

	(void)id;
	(void)data;
	if (!f) {
		perror(out);
		return;
	}
	for (struct block *b = blocks; b; b = b->next)
		if (b->executed[0] || b->executed[1] || b->executed[2])
			fprintf(f, "%016" PRIx64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", b->address, b->executed[0],
				b->executed[1], b->executed[2]);
	fclose(f);
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv)
{
	(void)info;
	for (int i = 0; i < argc; i++) {
		if (!strncmp(argv[i], "out=", 4))
			out = strdup(argv[i] + 4);
		else if (!strncmp(argv[i], "mark=", 5) && nr_marks <= SYSTEMS)
			marks[nr_marks++] = strtoull(argv[i] + 5, NULL, 16);
	}
	if (!out || nr_marks != SYSTEMS + 1) {
		fprintf(stderr, "profile: wants out=FILE and %d mark=ADDRESS\n", SYSTEMS + 1);
		return 1;
	}
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	qemu_plugin_register_atexit_cb(id, end, NULL);
	return 0;
}
