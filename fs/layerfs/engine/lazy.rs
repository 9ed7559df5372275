// SPDX-License-Identifier: GPL-2.0-only

//! Looking for the data of a metacopy file when somebody needs it: what a lookup of the file left to be done.
//!
//! The steps are those that the lookup would have taken, from where it stopped: in the same directories, or from the
//! roots of the same layers. At last the data-only layers are looked in, for an absolute path.

#![forbid(unsafe_code)]

use super::walk::Escaped;
use super::walk::Met;
use super::walk::Walk;
use super::walk::Within;
use crate::marks;
use crate::state::instance::Instance;
use crate::state::layer::LayerIndex;
use crate::state::layer::Pin;
use crate::state::lowers::LazyData;
use crate::state::lowers::Sought;
use crate::state::object::Object;
use crate::state::places::Places;
use crate::state::stats::Counter;
use crate::state::Inode;
use kernel::prelude::*;
use vfs::sys::alloc::charged;
use vfs::sys::errno::EREMOTE;
use vfs::Held;
use vfs::Override;

/// Looks for the data of a metacopy file, and keeps where it is. The caller holds the lock of the object.
///
/// # Errors
///
/// `ENOENT`: no data-only layer has it. `EIO`: no other layer has it either. `EPERM`: it is where the mount does not
/// follow to. These come after a message. The errors of a layer.
pub(super) fn find(instance: &Instance, c: &Override<'_>, inode: &Inode) -> Result {
    let object = inode.held();
    if object.get().is_declared() && object.get().lazy().is_none() {
        ask_declared(instance, c, object)?;
    }
    let Some(lazy) = object.and_then(|object| object.lazy()) else {
        return Ok(());
    };
    let path = lazy.0 .0.path().ok_or(EIO)?;
    instance.stats.count(Counter::DataLookup);
    let outcome = if lazy.0 .0.first == Sought::IN_DATA_LAYERS {
        look_in_data_layers(instance, c, path)
    } else {
        look(instance, c, lazy, path.to_bytes())
    };
    if trace::data_lookup::is_on() {
        let error = outcome.as_ref().err().map_or(0, |e| e.to_errno());
        let layer = match outcome.as_ref().map(LayerIndex::of) {
            Ok(LayerIndex::Lower(layer)) => layer as i32,
            _ => -1,
        };
        let dev = inode.super_block().dev().as_raw();
        trace::data_lookup::event(dev, path.to_bytes(), layer, error);
    }
    object.get().set_lazy_data(outcome?);
    Ok(())
}

/// Asks a file of a declared image what it says of its data.
///
/// # Errors
///
/// `EIO`, after a message: it is no metacopy file, or has no absolute redirect. What such a file has as data is never
/// given out, as it may not be what the file stands for.
fn ask_declared(instance: &Instance, c: &Override<'_>, object: Held<'_, Object>) -> Result {
    let places = Places::of(object);
    let path = places.lower_path().ok_or(EIO)?;
    let config = &instance.config;
    let redirect = match marks::is_metacopy(config, c, path)? {
        true => marks::redirect(config, c, path)?,
        false => None,
    };
    let redirect = redirect.filter(|redirect| redirect.first() == Some(&b'/'));
    let Some(redirect) = redirect else {
        vfs::warn_limited!(
            "'{}' is not what image=on says of every regular file: a metacopy file with an absolute redirect; mount \
             without the option\n",
            &**path.dentry()
        );
        return Err(EIO);
    };
    object.get().set_sought(redirect, Sought::IN_DATA_LAYERS)
}

fn look(
    instance: &Instance,
    c: &Override<'_>,
    lazy: Held<'_, LazyData>,
    path: &[u8],
) -> Result<Pin> {
    let mut redirect = None;
    if path.first() == Some(&b'/') {
        let mut copy = KVVec::with_capacity(path.len(), charged())?;
        copy.extend_from_slice(path, charged())?;
        redirect = Some(copy);
    }
    let mut walk = Walk::to_data(instance, c, path, redirect);
    if let Some(found) = look_in_merged(instance, &mut walk, lazy)? {
        return Ok(found);
    }
    match walk
        .data_path()
        .filter(|_| instance.layers.has_data_layers())
    {
        Some(path) => {
            let mut name = KVec::with_capacity(path.len().saturating_add(1), GFP_KERNEL)?;
            name.extend_from_slice(path, GFP_KERNEL)?;
            name.push(0, GFP_KERNEL)?;
            let path = CStr::from_bytes_with_nul(&name).map_err(|_| EINVAL)?;
            look_in_data_layers(instance, c, path)
        }
        None => {
            vfs::warn_limited!(
                "'{}': the data of a metacopy file is not in the layers below; is a layer missing?\n",
                Escaped(path)
            );
            Err(EIO)
        }
    }
}

/// Looks in the layers that are merged.
fn look_in_merged(
    instance: &Instance,
    walk: &mut Walk<'_>,
    lazy: Held<'_, LazyData>,
) -> Result<Option<Pin>> {
    // `i` is the number of the directory that is next: one of those that were kept, or (`from_root`) the root of a layer;
    // `next` is the least rank of those further down.
    let (mut i, mut next) = (0, lazy.0 .0.first);
    let mut from_root = false;
    let list = instance.layers.list();
    while walk.end.is_none() {
        if !from_root && walk.begins_at_root() {
            from_root = true;
            i = list.place_from(next);
        }
        let dir = if from_root {
            let layer = list.get(i).filter(|_| i < list.merged_len());
            layer.map(|layer| (layer.root(), layer))
        } else {
            let dir = lazy.and_then(|lazy| lazy.1.get(i));
            dir.map(|dir| (dir.dentry(), dir.mount()))
        };
        let Some((dir, layer)) = dir else {
            break;
        };
        walk.check_allowed()?;
        i = i.saturating_add(1);
        next = layer.owner().rank.saturating_add(1);
        if layer.owner().is_shut() {
            continue;
        }
        let at = Within {
            layer,
            is_last: instance.layers.is_lowest(layer.owner()) && !instance.layers.has_data_layers(),
        };
        let found = walk.search(&at, dir)?;
        if let Some(found) = found.filter(|_| walk.met == Met::Whole) {
            return layer.pin(found).map(Some);
        }
    }
    Ok(None)
}

/// Looks in the data-only layers, topmost first.
fn look_in_data_layers(instance: &Instance, c: &Override<'_>, path: &CStr) -> Result<Pin> {
    let mut outcome = ENOENT;
    for layer in instance.layers.list().data() {
        let found = vfs::object::path::lookup_inside(c, layer, path);
        instance
            .stats
            .count_lookup(layer.owner().index, found.is_ok());
        match found {
            Ok(found) if found.unsuitable().is_some() => outcome = EREMOTE,
            Ok(found) if found.is_regular() => {
                vfs::debug!(
                    "lookup of the data '{}' in '{}': found\n",
                    path,
                    &*layer.owner().name
                );
                return layer.pin(found);
            }
            Ok(_) => outcome = ENOENT,
            Err(e) => outcome = e,
        }
    }
    vfs::warn_limited!(
        "no data-only layer has '{}', the data of a metacopy file: {:?}\n",
        path,
        outcome
    );
    Err(outcome)
}
