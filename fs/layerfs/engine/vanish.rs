// SPDX-License-Identifier: GPL-2.0-only

//! Whether names would vanish if a layer were taken away: those that no other layer has.
//!
//! The tree is gone through as it is shown, as far as the layer has a part in it. What is done to it meanwhile may be
//! seen or not.

#![forbid(unsafe_code)]

use super::data;
use super::finalize::MAX_DEPTH;
use super::lookup;
use super::merge;
use super::merge::Names;
use crate::state::layer::Layer;
use crate::state::object::Now;
use crate::state::places::Places;
use crate::state::Inode;
use crate::state::LayerFs;
use crate::state::Positive;
use kernel::alloc::flags::GFP_KERNEL_ACCOUNT;
use kernel::prelude::*;
use kernel::sync::aref::ARef;
use vfs::ops::ioctl::Ioctl;
use vfs::sys::errno::ELOOP;
use vfs::sys::errno::ENOTEMPTY;
use vfs::sys::task;

/// A directory that the layer is one of, and the names in it.
struct Level {
    dir: ARef<Positive>,
    names: Names,
    /// Where the next name is.
    next: u32,
}

/// What becomes of a name if the layer goes.
#[derive(PartialEq, Eq)]
enum Fate {
    /// The layer has no part in it, or another has all of it too.
    Stays,
    /// It is a directory that other layers have too: what becomes of the names in it has to be seen.
    IsLessOf,
    Vanishes,
}

/// Checks that no name of the stack is in `layer` alone.
///
/// # Errors
///
/// `ENOTEMPTY`, after a message: one is. `ELOOP`: directories are too deep in each other. `EINTR`: the task is being
/// killed. `ENOMEM`; the errors of layers.
pub(super) fn check(
    ioctl: &Ioctl<'_, LayerFs>,
    root: &Positive,
    layer: &Layer,
    is_merged: bool,
) -> Result {
    let mut levels = KVVec::new();
    levels.push(Level::of(root)?, GFP_KERNEL_ACCOUNT)?;
    while let Some(level) = levels.last_mut() {
        let Some((name, next)) = level.names.from(level.next) else {
            levels.pop();
            continue;
        };
        level.next = next;
        task::check_killed()?;
        let Some(child) = ioctl.lookup(&level.dir, name)? else {
            continue;
        };
        match fate(&level.dir, name, child.inode(), layer, is_merged)? {
            Fate::Stays => {}
            Fate::IsLessOf if levels.len() == MAX_DEPTH => return Err(ELOOP),
            Fate::IsLessOf => levels.push(Level::of(&child)?, GFP_KERNEL_ACCOUNT)?,
            Fate::Vanishes => {
                vfs::warn_limited!(
                    "layer '{}' can't be shut down: nothing else has '{}'; copy it to another layer, or force it\n",
                    &*layer.name,
                    &**child
                );
                return Err(ENOTEMPTY);
            }
        }
    }
    Ok(())
}

impl Level {
    fn of(dir: &Positive) -> Result<Self> {
        let instance = dir.super_block().data();
        let places = Places::of(dir.inode().held());
        let names = instance.as_mounter(|c| merge::names(instance, c, &places))?;
        Ok(Self {
            dir: ARef::from(dir),
            names,
            next: 0,
        })
    }
}

fn fate(
    dir: &Positive,
    name: &[u8],
    inode: &Inode,
    layer: &Layer,
    is_merged: bool,
) -> Result<Fate> {
    let instance = dir.super_block().data();
    if !is_merged && inode.is_dir() {
        // The data of what is in it may be in the layer.
        return Ok(Fate::IsLessOf);
    }
    let now = Now::of(inode.held());
    // (Nothing but a file has data. A directory that was copied up has none of its own either.)
    if inode.is_regular() && now.is_metacopy() && now.data_path().is_none() {
        match data::path(instance, inode) {
            // It is nowhere, whatever becomes of the layer.
            Err(e) if e == ENOENT => return Ok(Fate::Stays),
            found => found?,
        };
    }
    let places = Places::of(inode.held());
    let is_in = |of: &Layer| of.rank == layer.rank;
    let mut needed = places.all().zip(0..places.needed());
    if !needed.any(|(pin, _)| is_in(pin.owner())) {
        return Ok(Fate::Stays);
    }
    if !is_merged {
        // Another data-only layer may have the same data, which is not looked for.
        return Ok(Fate::Vanishes);
    }
    if inode.is_dir() {
        let is_elsewhere = places.all().any(|pin| !is_in(pin.owner()));
        return Ok(if is_elsewhere {
            Fate::IsLessOf
        } else {
            Fate::Vanishes
        });
    }
    let above = Places::of(dir.inode().held());
    let found =
        instance.as_mounter(|c| lookup::lookup_without(instance, c, &above, name, layer.rank));
    match found {
        Ok(Some(_)) => Ok(Fate::Stays),
        Ok(None) => Ok(Fate::Vanishes),
        // A metacopy file has lost its data.
        Err(e) if e == EIO => Ok(Fate::Vanishes),
        Err(e) => Err(e),
    }
}
