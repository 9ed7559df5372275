// SPDX-License-Identifier: GPL-2.0-only
/* Shims for include/linux/wait.h. */

#include <linux/mutex.h>
#include <linux/sched/signal.h>
#include <linux/wait.h>

#include "helpers.h"

void vfs_helper_init_waitqueue_head(struct wait_queue_head *queue)
{
	init_waitqueue_head(queue);
}

/*
 * Lets @lock go until @queue is woken, or, if it is not 0, for @milliseconds; 0, or -EINTR if the task is
 * being killed. It holds the lock again in any case.
 */
int vfs_helper_wait_unlocked(struct wait_queue_head *queue, struct mutex *lock,
			     unsigned int milliseconds)
{
	long timeout = milliseconds ? (long)msecs_to_jiffies(milliseconds) : MAX_SCHEDULE_TIMEOUT;
	DEFINE_WAIT(entry);

	prepare_to_wait(queue, &entry, TASK_KILLABLE);
	mutex_unlock(lock);
	schedule_timeout(timeout);
	finish_wait(queue, &entry);
	mutex_lock(lock);
	return fatal_signal_pending(current) ? -EINTR : 0;
}

/* Waits so long, or until the task is being killed. */
void vfs_helper_sleep_killable(unsigned int milliseconds)
{
	schedule_timeout_killable(msecs_to_jiffies(milliseconds));
}

void vfs_helper_wake_up_all(struct wait_queue_head *queue)
{
	wake_up_all(queue);
}
