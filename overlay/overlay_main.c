// SPDX-License-Identifier: GPL-2.0-only
/*
 * overlay.ko of layerfs: loaded instead of the kernel's own, it makes layerfs answer to the name
 * "overlay", so that programs and test suites written for overlayfs run on layerfs unchanged.
 *
 * It registers the type, and offers overlayfs's parameters; both are layerfs's work: what a mount of
 * this type is made of are the functions of the type "layerfs".
 */

#include <linux/fs.h>
#include <linux/module.h>

#include "../fs/layerfs/defaults.h"

static struct layerfs_defaults defaults = LAYERFS_DEFAULTS;

LAYERFS_DEFAULTS_PARAMETERS(defaults);

/* Overlayfs has it, to no effect. */
static int no_effect_set(const char *value, const struct kernel_param *param)
{
	pr_warn("overlay: \"check_copy_up\" module option is obsolete\n");
	return 0;
}

static int no_effect_get(char *buffer, const struct kernel_param *param)
{
	return sysfs_emit(buffer, "N\n");
}

static const struct kernel_param_ops no_effect = {
	.set = no_effect_set,
	.get = no_effect_get,
};

module_param_cb(check_copy_up, &no_effect, NULL, 0644);
MODULE_PARM_DESC(check_copy_up, "Obsolete; does nothing");

static struct file_system_type overlay = {
	.owner	= THIS_MODULE,
	.name	= "overlay",
};

static struct file_system_type *layerfs;

static int __init overlay_init(void)
{
	int err;

	/* The reference keeps layerfs.ko loaded; that it is loaded first is seen to by the symbol below. */
	layerfs = get_fs_type("layerfs");
	if (!layerfs) {
		pr_err("overlay: layerfs.ko is not loaded; load it first\n");
		return -ENODEV;
	}
	overlay.init_fs_context = layerfs->init_fs_context;
	overlay.kill_sb = layerfs->kill_sb;
	overlay.fs_flags = layerfs->fs_flags;
	layerfs_set_overlay_defaults(&defaults);
	err = register_filesystem(&overlay);
	if (err) {
		pr_err("overlay: the type \"overlay\" is registered already; unload the kernel's own overlay.ko first\n");
		layerfs_set_overlay_defaults(NULL);
		module_put(layerfs->owner);
	}
	return err;
}

static void __exit overlay_exit(void)
{
	unregister_filesystem(&overlay);
	layerfs_set_overlay_defaults(NULL);
	module_put(layerfs->owner);
}

module_init(overlay_init);
module_exit(overlay_exit);
MODULE_ALIAS_FS("overlay");
MODULE_DESCRIPTION("layerfs under the name of overlayfs");
MODULE_AUTHOR("The layerfs developers");
MODULE_LICENSE("GPL");
