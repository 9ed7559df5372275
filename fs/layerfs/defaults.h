/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What options mean that a mount does not mention: module parameters, with overlayfs's names and
 * (Debian's) defaults. (The kernel crate's own parameters are integers only; these show Y and N.)
 */
#ifndef LAYERFS_DEFAULTS_H
#define LAYERFS_DEFAULTS_H

#include <linux/moduleparam.h>
#include <linux/types.h>

struct layerfs_defaults {
	bool redirect_dir;
	bool redirect_always_follow;
	bool xino_auto;
	bool index;
	bool nfs_export;
	bool metacopy;
	unsigned short redirect_max;
};

#define LAYERFS_DEFAULTS { .redirect_always_follow = true, .redirect_max = 256 }

#define LAYERFS_DEFAULTS_PARAMETERS(d)							\
	module_param_named(redirect_dir, (d).redirect_dir, bool, 0644);			\
	MODULE_PARM_DESC(redirect_dir,							\
			 "Default to on or off for the redirect_dir feature");		\
	module_param_named(redirect_always_follow, (d).redirect_always_follow, bool, 0644); \
	MODULE_PARM_DESC(redirect_always_follow,					\
			 "Follow redirects even if redirect_dir feature is turned off"); \
	module_param_named(xino_auto, (d).xino_auto, bool, 0644);			\
	MODULE_PARM_DESC(xino_auto, "Auto enable xino feature");			\
	module_param_named(index, (d).index, bool, 0644);				\
	MODULE_PARM_DESC(index, "Default to on or off for the inodes index feature");	\
	module_param_named(nfs_export, (d).nfs_export, bool, 0644);			\
	MODULE_PARM_DESC(nfs_export, "Default to on or off for the NFS export feature"); \
	module_param_named(metacopy, (d).metacopy, bool, 0644);				\
	MODULE_PARM_DESC(metacopy,							\
			 "Default to on or off for the metadata only copy up feature");	\
	module_param_named(redirect_max, (d).redirect_max, ushort, 0644);		\
	MODULE_PARM_DESC(redirect_max, "Maximum length of absolute redirect xattr value")

/* From now on mounts of the type "overlay" go by @defaults, which must stay until they are NULL. */
void layerfs_set_overlay_defaults(const struct layerfs_defaults *defaults);

/* A bit for each switch, in the order of the structure; and redirect_max from bit 16 on. */
u32 layerfs_defaults_word(bool as_overlay);

/* The most memory that the name indexes of all mounts take, in KiB. */
u32 layerfs_nameindex_max(void);

/* How long one piece of a clone shall take, in milliseconds. */
u32 layerfs_clone_piece_ms(void);

#endif /* LAYERFS_DEFAULTS_H */
