// SPDX-License-Identifier: GPL-2.0-only
/* Shims for linux/mutex.h. */

#include <linux/mutex.h>

#include "helpers.h"

/* A macro where lockdep is. */
int vfs_helper_mutex_lock_killable(struct mutex *lock)
{
	return mutex_lock_killable(lock);
}
