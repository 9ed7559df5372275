// SPDX-License-Identifier: GPL-2.0-only
/* Shims for include/linux/wait_bit.h. */

#include <linux/fs.h>
#include <linux/wait_bit.h>

#include "helpers.h"

int vfs_helper_bit_lock_killable(unsigned long *word, int bit)
{
	return wait_on_bit_lock(word, bit, TASK_KILLABLE);
}

void vfs_helper_bit_unlock(unsigned long *word, int bit)
{
	clear_and_wake_up_bit(bit, word);
}
