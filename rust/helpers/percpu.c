// SPDX-License-Identifier: GPL-2.0-only
/* Shims for include/linux/percpu.h: numbers that each processor counts for itself. */

#include <linux/percpu.h>

#include "helpers.h"

u64 __percpu *vfs_helper_alloc_counters(size_t count)
{
	return __alloc_percpu_gfp(array_size(count, sizeof(u64)), __alignof__(u64), GFP_KERNEL_ACCOUNT);
}

void vfs_helper_free_counters(u64 __percpu *counters)
{
	free_percpu(counters);
}

void vfs_helper_counter_add(u64 __percpu *counters, size_t at, u64 n)
{
	this_cpu_add(counters[at], n);
}

u64 vfs_helper_counter_sum(u64 __percpu *counters, size_t at)
{
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(per_cpu_ptr(counters, cpu)[at]);
	return sum;
}
