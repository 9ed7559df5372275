// SPDX-License-Identifier: GPL-2.0-only
/* The module parameters of layerfs.ko, and those of our overlay.ko while that is loaded. */

#include <linux/export.h>
#include <linux/module.h>

#include "defaults.h"

static struct layerfs_defaults own = LAYERFS_DEFAULTS;
static const struct layerfs_defaults *overlays;

LAYERFS_DEFAULTS_PARAMETERS(own);

void layerfs_set_overlay_defaults(const struct layerfs_defaults *defaults)
{
	WRITE_ONCE(overlays, defaults);
}
EXPORT_SYMBOL_GPL(layerfs_set_overlay_defaults);

u32 layerfs_defaults_word(bool as_overlay)
{
	const struct layerfs_defaults *d = as_overlay ? READ_ONCE(overlays) : NULL;

	if (!d)
		d = &own;
	return READ_ONCE(d->redirect_dir) << 0 |
	       READ_ONCE(d->redirect_always_follow) << 1 |
	       READ_ONCE(d->xino_auto) << 2 |
	       READ_ONCE(d->index) << 3 |
	       READ_ONCE(d->nfs_export) << 4 |
	       READ_ONCE(d->metacopy) << 5 |
	       (u32)READ_ONCE(d->redirect_max) << 16;
}
