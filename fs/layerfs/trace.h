/* SPDX-License-Identifier: GPL-2.0-only */
/* Trace points of a stack: what it costs, and why. The fields are an interface for users (Documentation/layerfs.rst). */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM layerfs

#if !defined(LAYERFS_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define LAYERFS_TRACE_H

#include <linux/types.h>
#include <linux/kdev_t.h>
#include <linux/tracepoint.h>

/*
 * A name was looked up, and is in no layer. @layers: so many lower layers were asked. @path: that of the directory, from
 * the root of the filesystem; empty if it is too long.
 */
TRACE_EVENT(layerfs_lookup_negative,
	TP_PROTO(u32 dev, u64 dir, const char *dir_name, u32 dir_len, const char *path, u32 path_len, const char *name,
		 u32 len, u32 layers),
	TP_ARGS(dev, dir, dir_name, dir_len, path, path_len, name, len, layers),
	TP_STRUCT__entry(
		__field(u64, dir)
		__field(u32, dev)
		__field(u32, layers)
		__string_len(dir_name, dir_name, dir_len)
		__string_len(path, path, path_len)
		__string_len(name, name, len)
	),
	TP_fast_assign(
		__entry->dir = dir;
		__entry->dev = dev;
		__entry->layers = layers;
		__assign_str(dir_name);
		__assign_str(path);
		__assign_str(name);
	),
	TP_printk("dev %u:%u dir %llu '%s' name '%s' layers %u path '%s'", MAJOR(__entry->dev), MINOR(__entry->dev),
		  __entry->dir, __get_str(dir_name), __get_str(name), __entry->layers, __get_str(path))
);

/* An object got to upper: @kind is what of it. @layer: the lower layer it was in, counted from the top. */
TRACE_EVENT(layerfs_copy_up,
	TP_PROTO(u32 dev, u64 ino, const char *name, u32 len, u32 layer, u32 kind, u64 bytes),
	TP_ARGS(dev, ino, name, len, layer, kind, bytes),
	TP_STRUCT__entry(
		__field(u64, ino)
		__field(u64, bytes)
		__field(u32, dev)
		__field(u32, layer)
		__field(u32, kind)
		__string_len(name, name, len)
	),
	TP_fast_assign(
		__entry->ino = ino;
		__entry->bytes = bytes;
		__entry->dev = dev;
		__entry->layer = layer;
		__entry->kind = kind;
		__assign_str(name);
	),
	TP_printk("dev %u:%u ino %llu '%s' layer %u kind %s bytes %llu", MAJOR(__entry->dev), MINOR(__entry->dev),
		  __entry->ino, __get_str(name), __entry->layer,
		  __print_symbolic(__entry->kind, { 0, "whole" }, { 1, "metadata" }, { 2, "data" }),
		  __entry->bytes)
);

/*
 * The data of a metacopy was looked for when somebody needed it. @layer: where it was found, if @error is 0; else -1.
 */
TRACE_EVENT(layerfs_data_lookup,
	TP_PROTO(u32 dev, const char *path, u32 len, s32 layer, s32 error),
	TP_ARGS(dev, path, len, layer, error),
	TP_STRUCT__entry(
		__field(u32, dev)
		__field(s32, layer)
		__field(s32, error)
		__string_len(path, path, len)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->layer = layer;
		__entry->error = error;
		__assign_str(path);
	),
	TP_printk("dev %u:%u path '%s' layer %d error %d", MAJOR(__entry->dev), MINOR(__entry->dev),
		  __get_str(path), __entry->layer, __entry->error)
);

/* A directory was finalized: because that was asked for, or (@listed) as a listing found it complete. */
TRACE_EVENT(layerfs_finalize,
	TP_PROTO(u32 dev, u64 ino, const char *name, u32 len, bool listed),
	TP_ARGS(dev, ino, name, len, listed),
	TP_STRUCT__entry(
		__field(u64, ino)
		__field(u32, dev)
		__field(bool, listed)
		__string_len(name, name, len)
	),
	TP_fast_assign(
		__entry->ino = ino;
		__entry->dev = dev;
		__entry->listed = listed;
		__assign_str(name);
	),
	TP_printk("dev %u:%u ino %llu '%s' %s", MAJOR(__entry->dev), MINOR(__entry->dev), __entry->ino,
		  __get_str(name), __entry->listed ? "listed" : "asked for")
);

#endif /* LAYERFS_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
