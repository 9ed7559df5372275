// SPDX-License-Identifier: GPL-2.0-only

//! Finding what a name stands for, for a path walk of the VFS: the search in the layers, begun again where a copy-up that
//! was published meanwhile may have made it see two states, and what the dentry has to remember of it.

#![forbid(unsafe_code)]

use crate::engine;
use crate::engine::index::In;
use crate::engine::stale::Disagreement;
use crate::engine::stale::Stale;
use crate::engine::walk::Purpose;
use crate::state::instance::Instance;
use crate::state::layer::Pin;
use crate::state::name;
use crate::state::object::Now;
use crate::state::places::Places;
use crate::state::Inode;
use crate::state::LayerFs;
use kernel::prelude::*;
use kernel::sync::aref::ARef;
use vfs::object::named::Unhashed;
use vfs::Held;

/// The number of times that a lookup asks again whether it found what is there.
const MOST_TRIES: u32 = 16;

/// What has a name in the layers.
pub(super) struct Answer {
    /// The inode, if anything has it.
    pub(super) inode: Option<ARef<Inode>>,
    /// A layer wants to be asked about it again; if there is nothing, about the directory.
    pub(super) is_weak: bool,
}

/// The same, while it is not known whether it is all of one moment.
struct Finding {
    inode: Option<Result<ARef<Inode>, Disagreement>>,
    is_weak: bool,
}

/// Returns the inode of what has this name in the layers, all of it from before a copy-up of the object, or from after
/// it.
///
/// A copy-up that publishes meanwhile is mostly one of another name that shares the slot. So what is asked again is
/// only whether upper has under this name what was found there: that takes little time, however long a lower layer
/// takes to answer, and steady copying up does not keep a lookup from coming to an end.
///
/// # Errors
///
/// `ESTALE`: the answer was another each time. The errors of [`find`].
pub(super) fn find_undisturbed(
    instance: &Instance,
    dentry: &Unhashed<'_, LayerFs>,
) -> Result<Answer> {
    let mut watch = instance.publications.watch(dentry.dentry())?;
    let mut found = find(instance, dentry);
    vfs::pause::at(c"looked_up");
    let mut tries = 0;
    while watch.was_disturbed() {
        tries += 1;
        if tries == MOST_TRIES {
            return Err(Stale::NoRest.refuse(dentry.dentry()));
        }
        watch = instance.publications.watch(dentry.dentry())?;
        if !is_in_upper_as(instance, dentry, &found) {
            vfs::pause::at(c"lookup_again");
            found = find(instance, dentry);
        }
    }
    let Finding { inode, is_weak } = found?;
    // A disagreement that is left does not come from a copy-up that another task published meanwhile.
    let inode = inode
        .transpose()
        .map_err(|other| other.refuse(instance, dentry.dentry()))?;
    Ok(Answer { inode, is_weak })
}

/// Returns whether upper has under this name what was found there. A name without an object stays without one, as
/// copying up makes none.
fn is_in_upper_as(
    instance: &Instance,
    dentry: &Unhashed<'_, LayerFs>,
    found: &Result<Finding>,
) -> bool {
    let inode = match found.as_ref().map(|found| &found.inode) {
        Ok(Some(Ok(inode))) => inode,
        Ok(None) => return true,
        // It may have come from seeing two states.
        Ok(Some(Err(_))) | Err(_) => return false,
    };
    let known = if name::is_not_in_upper(dentry.dentry()) {
        None
    } else {
        Now::of(inode.data()).upper().map(|pin| pin.inode().key())
    };
    let Some(dir) = Now::of(dentry.parent().inode().held()).upper_path() else {
        return known.is_none();
    };
    let in_upper =
        instance.as_mounter(|c| dir.dentry().lookup_killable(c, dir.mount(), dentry.name()));
    in_upper.is_ok_and(|real| real.map(|real| real.inode().key()) == known)
}

/// Returns the inode of what has this name in the layers.
fn find(instance: &Instance, dentry: &Unhashed<'_, LayerFs>) -> Result<Finding> {
    let parent = dentry.parent();
    let sb = parent.super_block();
    let changes = instance.layers.changes();
    let purpose = if dentry.is_to_be_created() {
        Purpose::Create
    } else {
        Purpose::Know
    };
    let dir = Places::of(parent.inode().held());
    instance.as_mounter(|c| loop {
        let indexed = instance.indexed();
        let outcome = engine::lookup::lookup(instance, c, &dir, dentry.name(), purpose)?;
        name::set_found(
            dentry.dentry(),
            outcome.upper_hides,
            outcome.not_in_upper,
            changes,
        );
        let Some(found) = outcome.found else {
            break Ok(Finding {
                inode: None,
                is_weak: is_nothing_weak(&dir, outcome.upper_hides || outcome.is_nowhere),
            });
        };
        vfs::pause::at(c"looked_in_layers");
        let Some(inode) = engine::inode::get(sb, instance, c, found, indexed)? else {
            continue;
        };
        let is_weak = inode.as_ref().is_ok_and(|inode| is_weak(inode));
        break Ok(Finding {
            inode: Some(inode),
            is_weak,
        });
    })
}

/// Returns whether a layer wants to be asked about what was found.
fn is_weak(inode: &Inode) -> bool {
    let weak = |pin: Held<'_, Pin>| pin.dentry().needs_revalidation();
    let now = Places::of(inode.held());
    if inode.is_dir() {
        return now.upper().is_some_and(weak) || now.lower_dirs().iter().any(weak);
    }
    let mut needed = now.all().zip(0..now.needed());
    needed.any(|(pin, _)| weak(pin))
}

/// Returns whether a layer wants to be asked about a directory in which nothing was found. What a mark or an index says
/// (`is_known`), no lower layer is asked, now or later.
fn is_nothing_weak(dir: &Places<'_>, is_known: bool) -> bool {
    let weak = |pin: Held<'_, Pin>| pin.dentry().needs_revalidation();
    if dir.upper().is_some_and(weak) {
        return true;
    }
    let naming = dir.naming().saturating_sub(usize::from(dir.in_upper()));
    !is_known && dir.lower_dirs().iter().take(naming).any(weak)
}

/// Returns whether an index says that no lower layer has the name.
fn is_nowhere(dentry: &Unhashed<'_, LayerFs>) -> bool {
    let parent = dentry.parent();
    let instance = parent.super_block().data();
    let dir = Places::of(parent.inode().held());
    engine::index::places(instance, &dir, dentry.name()) == In::NOWHERE
}

/// Records that a name was found in no layer.
#[cold]
pub(super) fn trace_negative(dentry: &Unhashed<'_, LayerFs>) {
    let parent = dentry.parent();
    let dev = parent.super_block().dev().as_raw();
    let layers = if name::hides_lower(dentry.dentry()) || is_nowhere(dentry) {
        0
    } else {
        let now = Now::of(parent.inode().data());
        let asked = now.depth().min(now.naming());
        asked.saturating_sub(usize::from(now.in_upper()))
    };
    // A path that is cut would name another directory: then there is none.
    let mut buf = KVec::from_elem(0u8, trace::STRING_MAX + 1, GFP_KERNEL).unwrap_or_default();
    let path = parent.path_in(&mut buf).unwrap_or_default();
    parent.with_name(|dir| {
        let ino = parent.inode().ino();
        trace::lookup_negative::event(dev, ino, dir, path, dentry.name(), layers as u32);
    });
}
