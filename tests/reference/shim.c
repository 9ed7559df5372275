// SPDX-License-Identifier: GPL-2.0-only
/*
 * As much of a kernel as overlayfs's parsers need: every type has only the fields they read, and an xattr is
 * whatever ref_value says. The functions under comparison are included from what `run` cut out.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <linux/limits.h>
#include <linux/xattr.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>

typedef uint8_t u8;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int64_t s64;
typedef u32 umode_t;
typedef struct { u8 b[16]; } uuid_t;

#define __packed __attribute__((packed))
#define __free(how)
#define __LITTLE_ENDIAN 1234
#define noinline
#define GFP_KERNEL 0
#define CAP_SYS_ADMIN 21
#define FS_VERITY_MAX_DIGEST_SIZE 64
#define KSTRTOX_OVERFLOW (1U << 31)
#define S_APPEND 1
#define S_IMMUTABLE 2
#define OVL_PROT_I_FLAGS_MASK 3
#define DECLARE_FLEX_ARRAY(type, name) type name[0]
#define OVL_FH_FLAG_CPU_ENDIAN 0

enum ovl_opt { Opt_lowerdir };
enum ovl_xattr { OVL_XATTR_OPAQUE, OVL_XATTR_REDIRECT, OVL_XATTR_METACOPY, OVL_XATTR_NLINK, OVL_XATTR_PROTATTR };

#include "types.inc"

struct inode {
	umode_t i_mode;
	unsigned int i_nlink;
	unsigned int i_flags;
	unsigned long i_ino;
	struct super_block *i_sb;
};
struct super_block { void *s_fs_info; dev_t s_dev; };
struct dentry { struct super_block *d_sb; struct inode *d_inode; };
struct path { struct dentry *dentry; };
struct ovl_sb { dev_t pseudo_dev; };
struct ovl_fs { struct ovl_config config; int xino_mode; struct ovl_sb *fs; };
struct ovl_layer { int idx; };
struct qstr { const char *name; unsigned int len; };
struct kstat { u64 ino; dev_t dev; };
struct fs_context { void *fs_private; void *s_fs_info; void *security; };
struct ovl_fs_context { size_t nr, nr_data; struct ovl_opt_set set; char *lowerdir_all; };

/* What the stand-ins work with, and what they saw. */
static const u8 *ref_value;
static size_t ref_value_len;
static bool ref_capable;
static unsigned int ref_infos, ref_errors, ref_warnings;

#define pr_info(...) (ref_infos++)
#define pr_err(...) (ref_errors++)
#define pr_warn_ratelimited(...) (ref_warnings++)
#define WARN_ON(condition) (condition)
#define likely(x) (x)
#define unlikely(x) (x)
#define with_ovl_creds(sb) if (1)
#define OVL_FS(sb) ((struct ovl_fs *)(sb)->s_fs_info)
#define ERR_PTR(error) ((void *)(long)(error))
#define PTR_ERR(pointer) ((long)(pointer))
#define IS_ERR(pointer) ((unsigned long)(pointer) >= (unsigned long)-4095)
#define IS_ERR_OR_NULL(pointer) (!(pointer) || IS_ERR(pointer))
#define kstrdup(text, flags) strdup(text)
#define kmalloc(size, flags) malloc(size)
#define kzalloc(size, flags) calloc(1, size)
#define kfree(pointer) free((void *)(pointer))
#define capable(what) ref_capable
#define init_user_ns (*(int *)NULL)
#define ns_capable_noaudit(ns, what) ref_capable
#define d_inode(dentry) ((dentry)->d_inode)
#define d_is_dir(dentry) S_ISDIR((dentry)->d_inode->i_mode)
#define ovl_dentry_real(dentry) (dentry)
#define inode_set_flags(inode, flags, mask) ((inode)->i_flags = ((inode)->i_flags & ~(mask)) | (flags))
#define ovl_redirect_mode(config) ""
#define ovl_verity_mode(config) ""
#define check_mul_overflow __builtin_mul_overflow
#define check_add_overflow __builtin_add_overflow
#undef _tolower
#define _tolower(c) ((c) | 0x20)
#define div_u64(a, b) ((a) / (b))
#undef isxdigit

/* An xattr is read as filesystems have it: its length for a buffer of none, ERANGE for one too small. */
static ssize_t read_value(void *buffer, size_t size)
{
	if (!ref_value)
		return -ENODATA;
	if (size == 0)
		return ref_value_len;
	if (size < ref_value_len)
		return -ERANGE;
	memcpy(buffer, ref_value, ref_value_len);
	return ref_value_len;
}
#define ovl_path_getxattr(ofs, path, which, buffer, size) read_value(buffer, size)
#define ovl_getxattr_upper(ofs, upper, which, buffer, size) read_value(buffer, size)
#define vfs_listxattr(dentry, list, size) read_value(list, size)

/* Options and layers are noted down. */
static struct { const char *key, *value; } ref_options[8192];
static size_t ref_option_count;
static int vfs_parse_fs_string(struct fs_context *fc, const char *key, const char *value)
{
	if (ref_option_count == 8192)
		abort();
	ref_options[ref_option_count].key = key;
	ref_options[ref_option_count++].value = value;
	return 0;
}
static int security_sb_eat_lsm_opts(char *options, void *opts) { return 0; }

static char *ref_layers[1024];
static void ovl_reset_lowerdirs(struct ovl_fs_context *ctx)
{
	for (size_t i = 0; i < 1024; i++) {
		free(ref_layers[i]);
		ref_layers[i] = NULL;
	}
	free(ctx->lowerdir_all);
	ctx->lowerdir_all = NULL;
	ctx->nr = ctx->nr_data = 0;
}
static int ovl_do_parse_layer(struct fs_context *fc, const char *name, struct path *path, enum ovl_opt layer)
{
	struct ovl_fs_context *ctx = fc->fs_private;

	ref_layers[ctx->nr++] = strdup(name);
	return 0;
}
static void ovl_next_ino(struct inode *inode) { inode->i_ino = 0x0123456789abcdefUL; }

#include "functions.inc"

/* A path exists if it is not empty. */
static int ovl_kern_path(const char *name, struct path *path, enum ovl_opt layer)
{
	char *plain = strdup(name);
	bool empty;

	ovl_unescape(plain);
	empty = !*plain;
	free(plain);
	return empty ? -EINVAL : 0;
}

/* What compare.rs calls. */

static struct inode inode = { .i_mode = S_IFREG };
static struct ovl_fs ofs;
static struct super_block sb = { .s_fs_info = &ofs, .s_dev = 1 };
static struct dentry dentry = { .d_sb = &sb, .d_inode = &inode };
static struct path path = { .dentry = &dentry };

void ref_set_value(const u8 *value, size_t len)
{
	ref_value = value;
	ref_value_len = len;
	ref_infos = ref_errors = ref_warnings = 0;
	inode = (struct inode){ .i_mode = S_IFREG, .i_sb = &sb };
	ofs = (struct ovl_fs){};
}

unsigned int ref_count_infos(void) { return ref_infos; }
unsigned int ref_count_errors(void) { return ref_errors; }
unsigned int ref_count_warnings(void) { return ref_warnings; }

size_t ref_monolithic(char *data)
{
	struct fs_context fc = {};

	ref_option_count = 0;
	vfs_parse_monolithic_sep(&fc, data, ovl_next_opt);
	return ref_option_count;
}
const char *ref_option_key(size_t at) { return ref_options[at].key; }
const char *ref_option_value(size_t at) { return ref_options[at].value; }

int ref_lowerdirs(const char *value, size_t *layers, size_t *data_layers)
{
	static struct ovl_fs_context ctx;
	struct fs_context fc = { .fs_private = &ctx };
	int err = ovl_parse_param_lowerdir(value, &fc);

	*layers = ctx.nr;
	*data_layers = ctx.nr_data;
	return err;
}
const char *ref_layer(size_t at) { return ref_layers[at]; }

void ref_unescape(char *text) { ovl_unescape(text); }

/* The settings as one row of numbers, in the order of compare.rs. */
int ref_verify(int *s, bool has_upper, bool has_data_layers, bool is_capable)
{
	struct ovl_fs_context ctx = { .nr_data = has_data_layers };
	struct ovl_config config = {
		.upperdir = has_upper ? "" : NULL,
		.workdir = s[13] ? strdup("/w") : NULL,
		.redirect_mode = s[0],
		.index = s[1],
		.uuid = s[2],
		.nfs_export = s[3],
		.userxattr = s[4],
		.xino = s[5],
		.metacopy = s[6],
		.verity_mode = s[7],
		.fsync_mode = s[8],
	};
	char *workdir = config.workdir;
	int err;

	ctx.set = (struct ovl_opt_set){
		.redirect = s[9], .index = s[10], .nfs_export = s[11], .metacopy = s[12],
	};
	ref_infos = ref_errors = 0;
	ref_capable = is_capable;
	err = ovl_fs_params_verify(&ctx, &config);
	if (config.workdir == workdir)
		free(workdir);
	s[0] = config.redirect_mode;
	s[1] = config.index;
	s[2] = config.uuid;
	s[3] = config.nfs_export;
	s[4] = config.userxattr;
	s[5] = config.xino;
	s[6] = config.metacopy;
	s[7] = config.verity_mode;
	s[8] = config.fsync_mode;
	return err;
}

/* 1: private, 2: escaped, 0: neither. */
int ref_classify(const char *name, bool userxattr)
{
	ofs.config.userxattr = userxattr;
	return ovl_is_private_xattr(&sb, name) ? 1 : ovl_is_escaped_xattr(&sb, name) ? 2 : 0;
}

ssize_t ref_listxattr(char *list, size_t size, bool userxattr, bool is_capable)
{
	ofs.config.userxattr = userxattr;
	ref_capable = is_capable;
	return ovl_listxattr(&dentry, list, size);
}

char *ref_escape(const char *rest, bool userxattr)
{
	char *name = ovl_xattr_escape_name(userxattr ? OVL_XATTR_USER_PREFIX : OVL_XATTR_TRUSTED_PREFIX, rest);

	return IS_ERR(name) ? NULL : name;
}

/* The whole new path, from the step of `name` whose prefix has `prelen` bytes; NULL for an error. */
char *ref_redirect(const char *name, size_t prelen, const char *post, bool *absolute)
{
	struct ovl_lookup_data d = { .sb = &sb, .name = { name, strlen(name) } };
	int err = ovl_check_redirect(&path, &d, prelen, post);

	*absolute = d.absolute_redirect;
	return err ? NULL : d.redirect;
}

/* With `data`, as when a file is opened; without, as in a lookup. */
int ref_metacopy(struct ovl_metacopy *data) { return ovl_check_metacopy_xattr(&ofs, &path, data); }

int ref_handle(const u8 *value, int len)
{
	u8 *copy = malloc(len + sizeof(struct ovl_fb));
	int err;

	memcpy(copy, value, len);
	err = ovl_check_fb_len((struct ovl_fb *)copy, len);
	free(copy);
	return err;
}

unsigned int ref_nlink(unsigned int lower_nlink, unsigned int upper_nlink)
{
	struct inode lower_inode = { .i_nlink = lower_nlink }, upper_inode = { .i_nlink = upper_nlink };
	struct dentry lower = { .d_inode = &lower_inode }, upper = { .d_inode = &upper_inode };

	/* No link count is 0. */
	return ovl_get_nlink(&ofs, &lower, &upper, REF_NOT_INDEXED 0);
}

/* The flags in bits 0 and 1; 4 where there was a warning. */
unsigned int ref_protattr(void)
{
	ovl_check_protattr(&inode, &dentry);
	return inode.i_flags | (ref_warnings ? 4 : 0);
}

int ref_dir_mark(void)
{
	inode.i_mode = S_IFDIR;
	return ovl_get_dir_xattr_val(&ofs, &path, OVL_XATTR_OPAQUE);
}

/* xino_mode is overlayfs's: -1 off, 0 one filesystem, else bits. The made-up number is a known one. */
u64 ref_map_ino(u64 ino, int fsid, int xino_mode, bool is_dir)
{
	ofs.xino_mode = xino_mode;
	inode.i_mode = is_dir ? S_IFDIR : S_IFREG;
	inode.i_sb = &sb;
	ovl_map_ino(&inode, ino, fsid);
	return inode.i_ino;
}

/* Whether a number is the mount's own. */
bool ref_map_dev_ino(u64 *ino, int fsid, int xino_mode)
{
	static struct ovl_sb layers[1024];
	struct kstat stat = { .ino = *ino, .dev = 99 };

	ofs.xino_mode = xino_mode;
	ofs.fs = layers;
	inode.i_mode = S_IFREG;
	ovl_map_dev_ino(&dentry, &stat, fsid);
	*ino = stat.ino;
	return stat.dev == sb.s_dev;
}
