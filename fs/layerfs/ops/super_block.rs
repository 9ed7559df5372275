// SPDX-License-Identifier: GPL-2.0-only

//! The operations on the whole mount: its size, and how it was mounted.

#![forbid(unsafe_code)]

use crate::engine;
use crate::state::config;
use crate::state::layer::LayerIndex;
use crate::state::place_index::Indexes;
use crate::state::places::Places;
use crate::state::Inode;
use crate::state::LayerFs;
use crate::state::SuperBlock;
use format::ino::XinoBits;
use format::options::escaped;
use format::options::is_whole;
use format::options::shown;
use kernel::prelude::*;
use vfs::call::stat::StatFs;
use vfs::ops::export::Decoded;
use vfs::ops::export::Decoding;
use vfs::ops::SuperOps;
use vfs::ops::HANDLE_MAX;
use vfs::sys::seq;

/// Super block operations.
pub(crate) struct Super;

#[vtable]
impl SuperOps<LayerFs> for Super {
    fn statfs(sb: &SuperBlock, stat: &mut StatFs) -> Result {
        let instance = sb.data();
        let root = sb.root().inode();
        stat.fill(Places::of(root.held()).real_path()?)?;
        stat.set_name_max(instance.name_max());
        if let Some(uuid) = instance.uuid {
            stat.set_identity(uuid);
        }
        stat.set_magic(instance.magic);
        Ok(())
    }

    fn sync(sb: &SuperBlock, wait: bool) -> Result {
        let instance = sb.data();
        let Some(upper) = &instance.upper else {
            return Ok(());
        };
        if instance.is_volatile() {
            return instance.check_errors();
        }
        // Without waiting there is nothing to do: upper is written with all other filesystems.
        if wait {
            upper.mount.super_block().sync()
        } else {
            Ok(())
        }
    }

    fn encode_handle(inode: &Inode, room: &mut [u8; HANDLE_MAX]) -> Option<usize> {
        engine::origin::identify(inode, room)
    }

    fn open_handle(question: Decoding<'_, LayerFs>) -> Result<Decoded<LayerFs>> {
        engine::export::open_handle(&question)
    }

    // The type of a file handle of ours is that of overlayfs's.
    const HANDLE_KIND: u8 = engine::export::ALIGNED;

    fn show_counters(sb: &SuperBlock, counters: &mut seq::CounterLines<'_>) {
        let instance = sb.data();
        let stats = &instance.stats;
        counters.version(fmt!("1.0"));
        stats.each(|name, value| counters.value(fmt!("{name}"), value));
        let (maps, bytes) = instance.indexes.get().map_or((0, 0), Indexes::size);
        counters.value(fmt!("indexes"), maps as u64);
        counters.value(fmt!("index_bytes"), bytes as u64);
        if instance.upper.is_some() {
            let (all, missed) = stats.lookups(LayerIndex::Upper);
            counters.value(fmt!("lookups_upper"), all);
            counters.value(fmt!("lookups_missed_upper"), missed);
        }
        for layer in instance.layers.list().iter() {
            let index = layer.owner().index;
            let LayerIndex::Lower(number) = index else {
                continue;
            };
            let (all, missed) = stats.lookups(index);
            counters.value(fmt!("lookups_{number}"), all);
            counters.value(fmt!("lookups_missed_{number}"), missed);
        }
    }

    fn show_options(sb: &SuperBlock, options: &seq::Options<'_>) {
        let instance = sb.data();
        let list = instance.layers.list();
        let merged = list.merged_len();
        let names = || list.iter().map(|layer| &*layer.owner().name);
        match &instance.config.lowerdirs {
            Some(given) if list.is_as_mounted() => {
                options.value(b"lowerdir", shown(given.to_bytes()));
            }
            // These options take no escapes, so a name with a comma can't be given by `mount(2)`; then all are
            // shown in one list.
            _ if !names().all(|name| is_whole(name.to_bytes())) => {
                let list = names().enumerate().flat_map(|(i, name)| {
                    let separator: &[u8] = match i {
                        0 => b"",
                        _ if i < merged => b":",
                        _ => b"::",
                    };
                    let name = escaped(name.to_bytes());
                    Iterator::chain(separator.iter().copied(), name)
                });
                options.value(b"lowerdir", list);
            }
            _ => {
                for (i, name) in names().enumerate() {
                    let key: &[u8] = if i < merged {
                        b"lowerdir+"
                    } else {
                        b"datadir+"
                    };
                    options.value(key, name.to_bytes().iter().copied());
                }
            }
        }
        if let (Some(upper), Some(work)) = (&instance.config.upperdir, &instance.config.workdir) {
            options.value(b"upperdir", shown(upper.to_bytes()));
            options.value(b"workdir", shown(work.to_bytes()));
        }
        let same_fs = instance.xino == XinoBits::SameFs;
        let defaults = config::defaults(instance.config.as_overlay);
        for (key, word) in instance.config.features.shown(&defaults, same_fs) {
            match word {
                Some(word) => options.value(key.name().as_bytes(), word.bytes()),
                None => options.flag(key.name().as_bytes()),
            }
        }
    }
}
