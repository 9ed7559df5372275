// SPDX-License-Identifier: GPL-2.0-only
/* Shims for include/linux/ratelimit.h. */

#include <linux/ratelimit.h>

#include "helpers.h"

/* True if a message may be printed now: ten in five seconds for the whole module, as printk's own. */
bool vfs_helper_ratelimit(void)
{
	static DEFINE_RATELIMIT_STATE(state, DEFAULT_RATELIMIT_INTERVAL, DEFAULT_RATELIMIT_BURST);

	return __ratelimit(&state);
}
