// SPDX-License-Identifier: GPL-2.0-only
/* The module parameters of layerfs.ko, and those of our overlay.ko while that is loaded. */

#include <linux/export.h>
#include <linux/module.h>

#include "defaults.h"

static unsigned int nameindex_max = 64 << 10;
module_param(nameindex_max, uint, 0644);
MODULE_PARM_DESC(nameindex_max, "Most memory that the name indexes of all mounts take, in KiB");

static unsigned int clone_piece_ms = 5;
module_param(clone_piece_ms, uint, 0644);
MODULE_PARM_DESC(clone_piece_ms, "Milliseconds that one piece of a clone shall take");

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

u32 layerfs_nameindex_max(void)
{
	return READ_ONCE(nameindex_max);
}

u32 layerfs_clone_piece_ms(void)
{
	return READ_ONCE(clone_piece_ms);
}
