// SPDX-License-Identifier: GPL-2.0-only

//! Layers that come and go while the stack is mounted, and what becomes of what is known of objects.
//!
//! A change puts another list of layers in force, which every later lookup goes by. What was looked up before is in
//! doubt from then on, as each name says after which change it was found ([`name::is_settled`]): those that nobody uses
//! are forgotten, and the others looked up anew when somebody comes by them (*settled*). A directory that is in use
//! gets other places in the lower layers, in place: its inode, its dentry, and whoever is in it, stay. Anything else
//! stays what it is for whoever has it, and is another object for those who look it up, if it is in other places now.
//!
//! A layer that is taken away is given up by every directory at once, and by the rest as it goes out of use.

#![forbid(unsafe_code)]

use super::arrive::Arrival;
use super::inode;
use super::lookup;
use super::lookup::is_of_dead_layer;
use super::vanish;
use super::walk::Purpose;
use crate::state::instance::Instance;
use crate::state::layer::Layer;
use crate::state::layer::Pin;
use crate::state::layers::Change;
use crate::state::layers::List;
use crate::state::name;
use crate::state::object::Now;
use crate::state::object::Object;
use crate::state::places;
use crate::state::places::Places;
use crate::state::traits::Trait;
use crate::state::Dentry;
use crate::state::Inode;
use crate::state::LayerFs;
use crate::state::Positive;
use crate::state::SuperBlock;
use format::options::MAX_LAYERS;
use kernel::prelude::*;
use kernel::str::CString;
use kernel::sync::aref::ARef;
use kernel::sync::Arc;
use vfs::object::kept_mount::KeptMount;
use vfs::object::kept_mount::MountWatch;
use vfs::object::path::OwnedPath;
use vfs::object::pin_stack::RetiredPins;
use vfs::ops::ioctl::Ioctl;
use vfs::sys::clock;
use vfs::sys::task;
use vfs::Held;
use vfs::Override;

/// The number of times that a name is looked up anew because the layers were changed meanwhile.
const MOST_TRIES: u32 = 256;

/// Finds anew what is under a name that is in doubt, and under those on the way there from the root. Returns whether it
/// is still what the dentry stands for. In a directory that can't be looked up, as a layer is dead that has a part in it, it
/// is looked for where that is known to be, and stays in doubt.
///
/// # Errors
///
/// `EINTR`, `ENOMEM`; the errors of a layer. It is still in doubt.
pub(crate) fn settle(instance: &Instance, dentry: &Positive) -> Result<bool> {
    if name::is_settled(dentry, instance.layers.changes()) {
        return Ok(true);
    }
    Ok(settle_way(instance, dentry)? != Found::Gone)
}

/// Does the same for who goes on with what there is if a layer is dead: then that comes to light when it is needed. Returns
/// whether what is known now is all that there is to know.
///
/// # Errors
///
/// Those of [`settle`].
pub(crate) fn settle_if_alive(instance: &Instance, dentry: &Positive) -> Result<bool> {
    if name::is_settled(dentry, instance.layers.changes()) {
        return Ok(true);
    }
    match settle_way(instance, dentry) {
        Err(e) if is_of_dead_layer(e) => Ok(false),
        found => Ok(found? != Found::StaysInDoubt),
    }
}

#[cold]
fn settle_way(instance: &Instance, dentry: &Positive) -> Result<Found> {
    for _ in 0..MOST_TRIES {
        task::check_killed()?;
        match settle_way_once(instance, dentry, instance.layers.changes())? {
            Found::Disturbed => task::let_others_run(),
            found => return Ok(found),
        }
    }
    Err(EAGAIN)
}

/// What came of looking up a name anew.
#[derive(PartialEq, Eq)]
enum Found {
    /// The dentry stands for what is there.
    Stays,
    /// It does, as far as can be told: a layer is dead that has a part in a directory on the way.
    StaysInDoubt,
    /// It does not.
    Gone,
    /// The layers were changed meanwhile, or the name: it has to be looked up again.
    Disturbed,
}

/// Settles a name, and those on the way there, after so many changes of the layers.
fn settle_way_once(instance: &Instance, dentry: &Positive, changes: u32) -> Result<Found> {
    // The way there, from below.
    let mut way: KVVec<ARef<Positive>> = KVVec::new();
    let mut at = ARef::from(dentry);
    while !at.is_root() {
        let parent = at.parent();
        way.push(at, GFP_KERNEL)?;
        at = parent;
    }
    settle_root(instance, &at, changes)?;
    let mut found = Found::Stays;
    while let Some(one) = way.pop() {
        if name::is_settled(&one, changes) {
            continue;
        }
        // It is looked up in the directory above as that is after as many changes: one that is not there any more, or that
        // can't be looked up, has no layers but those that it had.
        let above = one.parent();
        if found == Found::Stays && !name::is_settled(&above, changes) {
            return Ok(Found::Disturbed);
        }
        let is_in_doubt = found == Found::StaysInDoubt;
        let anew =
            instance.as_mounter(|c| find_anew(instance, c, &one, &above, changes, is_in_doubt));
        if one.is_dir() && matches!(anew, Err(e) if is_of_dead_layer(e)) {
            // If it can't, the directory has what it had.
            let _ = instance.as_mounter(|c| take_above_dead(instance, c, &one, &above, changes));
        }
        found = match anew {
            Err(e) if is_of_dead_layer(e) && one.is_dir() && !way.is_empty() => Found::StaysInDoubt,
            anew => anew?,
        };
        if found == Found::Disturbed || instance.layers.changes() != changes {
            return Ok(Found::Disturbed);
        }
    }
    Ok(found)
}

/// Looks up anew what is under a name of a directory; `is_in_doubt` says that not all is known of that.
fn find_anew(
    instance: &Instance,
    c: &Override<'_>,
    dentry: &Positive,
    parent: &Positive,
    changes: u32,
    is_in_doubt: bool,
) -> Result<Found> {
    let name = dentry.name_copy()?;
    let watch = instance.publications.watch(dentry)?;
    let outcome = {
        let above = Places::of(parent.inode().held());
        lookup::lookup(instance, c, &above, &name, Purpose::Know)?
    };
    let inode = dentry.inode();
    let stays = match outcome.found {
        Some(found) => is_object(instance, inode, found, changes)?,
        None => false,
    };
    // A copy-up in another task may have been seen in upper before it was shown, or a rename have taken the name away.
    if !stays && watch.was_disturbed()
        || !core::ptr::eq(&*dentry.parent(), parent)
        || dentry.name_copy()? != name
    {
        return Ok(Found::Disturbed);
    }
    if !stays {
        inode.data().set_outdated();
        return Ok(Found::Gone);
    }
    if is_in_doubt {
        return Ok(Found::StaysInDoubt);
    }
    name::settle(dentry, outcome.upper_hides, changes);
    let is_weak = {
        let now = Places::of(inode.held());
        let is_weak = now.all().any(|pin| pin.dentry().needs_revalidation());
        is_weak
    };
    if !is_weak {
        dentry.clear_needs_revalidation();
        if instance.layers.changes() != changes {
            dentry.set_needs_revalidation();
        }
    }
    Ok(Found::Stays)
}

/// Returns whether an inode is of what was found. A directory gets the places that were found.
fn is_object(instance: &Instance, inode: &Inode, mut found: Object, changes: u32) -> Result<bool> {
    let places = Places::of(Held::unshared(&mut found));
    let known = Places::of(inode.held());
    let upper = |places: &Places<'_>| places.upper().map(|pin| pin.inode().key());
    let is_dir = places.real()?.inode().is_dir();
    if is_dir != inode.is_dir() || upper(&places) != upper(&known) {
        return Ok(false);
    }
    if !is_dir {
        // What a file in upper was copied up from says nothing of what it is.
        let needed = known.needed();
        let mut known = known.all().zip(0..needed);
        let mut found = places.all().zip(0..needed);
        return Ok(loop {
            match (known.next(), found.next()) {
                (Some((known, _)), Some((found, _)))
                    if known.inode().key() == found.inode().key() => {}
                // The data may not have been looked for yet.
                (known, found) => {
                    break found.is_none() && (known.is_none() || places.object().lazy().is_some())
                }
            }
        });
    }
    let is_same = places::are_same(known.lower_places(), places.lower_places());
    if !is_same {
        let mut dirs = KVec::with_capacity(places.lower_depth(), GFP_KERNEL)?;
        for pin in places.lower_places() {
            dirs.push(copy_of(pin)?, GFP_KERNEL)?;
        }
        drop(known);
        replace(instance, inode, dirs, changes)?;
    }
    drop(places);
    inode.data().conclude_as(&found);
    Ok(true)
}

/// Gives a directory the places that it has now above the first layer that is dead. From there on it keeps those that it had:
/// nobody can say what they are now.
fn take_above_dead(
    instance: &Instance,
    c: &Override<'_>,
    dentry: &Positive,
    parent: &Positive,
    changes: u32,
) -> Result {
    let name = dentry.name_copy()?;
    let watch = instance.publications.watch(dentry)?;
    let above = Places::of(parent.inode().held());
    let (Some(mut found), Some(dead)) = lookup::lookup_above_dead(instance, c, &above, &name)?
    else {
        return Ok(());
    };
    let has_xattr_whiteouts = Now::of(&found).has(Trait::XATTR_WHITEOUTS);
    let found = Places::of(Held::unshared(&mut found));
    let inode = dentry.inode();
    let known = Places::of(inode.held());
    let upper = |places: &Places<'_>| places.upper().map(|pin| pin.inode().key());
    if !found.real()?.inode().is_dir() || upper(&found) != upper(&known) || watch.was_disturbed() {
        return Ok(());
    }
    let kept = || {
        let known = known.lower_dirs().iter();
        known.skip_while(|pin| pin.owner().rank < dead)
    };
    let now = || Iterator::chain(found.lower_dirs().iter(), kept());
    if places::are_same(now(), known.lower_dirs().iter()) {
        return Ok(());
    }
    let mut dirs = KVec::new();
    for pin in now() {
        dirs.push(copy_of(pin)?, GFP_KERNEL)?;
    }
    if has_xattr_whiteouts {
        inode.data().set_has_whiteouts(true);
    }
    drop(known);
    replace(instance, inode, dirs, changes)
}

/// Makes another pin of what is pinned.
fn copy_of(pin: Held<'_, Pin>) -> Result<Pin> {
    pin.mount().pin(ARef::from(pin.dentry()))
}

/// Gives a directory other places in the lower layers, those that were found after so many changes. Where there were more
/// since, nothing is done: another task may have found those that count now.
fn replace(instance: &Instance, inode: &Inode, dirs: KVec<Pin>, changes: u32) -> Result {
    let mut retired = RetiredPins::default();
    {
        let claim = inode.data().lock(instance.stack_depth)?;
        if instance.layers.changes() != changes {
            return Ok(());
        }
        claim.replace_dirs(inode.held(), dirs, &mut retired)?;
    }
    drop(retired);
    inode::moved(inode);
    Ok(())
}

/// Casts doubt on all that was looked up before the last change, and has every directory give up what was shut. The task
/// goes on to the end although it is being killed: nobody else would. (What a directory can't give up now for want of
/// memory it gives up when it is settled.)
fn doubt_all(instance: &Instance, sb: &SuperBlock) {
    sb.forget_unused();
    let mut bereft = KVVec::new();
    // One grace period is waited for, not one for each directory.
    let mut retired = RetiredPins::default();
    for inode in sb.inodes() {
        task::let_others_run();
        inode.data().set_outdated();
        if inode.is_dir() {
            inode.data().forget_conclusions();
        }
        Dentry::doubt_names(&inode);
        if inode.is_dir() && matches!(give_up_shut(&inode, &mut retired), Ok(false)) {
            let _ = bereft.push(inode, GFP_KERNEL);
        } else if stands_on_shut(&inode) {
            SuperBlock::forget_when_unused(&inode);
        }
    }
    drop(retired);
    // Whoever looks something up would do it as well.
    let _ = settle_root(instance, sb.root(), instance.layers.changes());
    for inode in bereft {
        // It is in no layer any more but in those that were shut, unless it is in one that came.
        if let Some(dentry) = SuperBlock::name_of(&inode) {
            let _ = settle(instance, &dentry);
        }
        if stands_on_shut(&inode) {
            SuperBlock::forget_when_unused(&inode);
        }
    }
    sb.forget_unused();
}

/// Has a directory give up its places in layers that were shut. Returns false, and leaves it as it is, if it has no other.
fn give_up_shut(inode: &Inode, retired: &mut RetiredPins) -> Result<bool> {
    if !stands_on_shut(inode) {
        return Ok(true);
    }
    {
        // Another task that settles the directory meanwhile waits for the lock of the object, or has given it its places.
        let claim = inode.data().lock(inode.super_block().stack_depth())?;
        let places = Places::of(inode.held());
        let mut dirs = KVec::with_capacity(places.lower_depth(), GFP_KERNEL)?;
        for pin in places.lower_places().filter(|pin| !pin.owner().is_shut()) {
            dirs.push(copy_of(pin)?, GFP_KERNEL)?;
        }
        if dirs.is_empty() && !places.in_upper() {
            return Ok(false);
        }
        claim.replace_dirs(inode.held(), dirs, retired)?;
    }
    inode::moved(inode);
    Ok(true)
}

/// Returns whether an object is in a layer that was shut, as far as is known.
fn stands_on_shut(inode: &Inode) -> bool {
    let places = Places::of(inode.held());
    let is_shut = places.all().any(|pin| pin.owner().is_shut());
    is_shut
}

/// Gives the root the roots of the layers that there are after so many changes.
fn settle_root(instance: &Instance, root: &Positive, changes: u32) -> Result {
    if !root.is_root_of_super_block() || name::is_settled(root, changes) {
        return Ok(());
    }
    let list = instance.layers.list();
    let mut dirs = KVec::with_capacity(list.len(), GFP_KERNEL)?;
    for layer in list.merged() {
        dirs.push(layer.pin(ARef::from(layer.root()))?, GFP_KERNEL)?;
    }
    replace(instance, root.inode(), dirs, changes)?;
    name::settle(root, false, changes);
    Ok(())
}

/// Which layer is meant.
pub(crate) enum Which {
    /// The one at this place, from the top.
    Place(usize),
    /// The one that the mounter calls so.
    Name(KVec<u8>),
}

impl Which {
    /// Returns the layer that is meant, which may have been taken away.
    ///
    /// # Errors
    ///
    /// `ENOENT`: there is none. `EINTR`: the task is being killed.
    pub(super) fn find(&self, instance: &Instance) -> Result<MountWatch<Layer>> {
        match self {
            Self::Place(place) => Ok(instance.layers.at(*place)?.0),
            Self::Name(name) => instance.layers.named(name),
        }
    }

    fn place_in(&self, list: &List) -> Option<usize> {
        match self {
            Self::Place(place) => Some(*place).filter(|place| *place < list.len()),
            Self::Name(name) => list
                .iter()
                .position(|layer| layer.owner().name.to_bytes() == name.as_slice()),
        }
    }
}

/// How long it takes until it is looked again whether a layer is in use, in milliseconds.
const PATIENCE_MS: u32 = 10;

/// A layer that a caller gives: a directory, and how it is to be called.
pub(crate) struct Given {
    pub(crate) path: OwnedPath,
    pub(crate) name: CString,
}

/// Where a layer is to be added.
#[derive(Clone, Copy)]
pub(crate) struct AddAt {
    /// Beneath the others, not on top of them.
    pub(crate) beneath: bool,
    /// Among those that only have data.
    pub(crate) data: bool,
}

/// A task changes the layers of a mount.
pub(crate) struct Changer<'a> {
    pub(crate) ioctl: &'a Ioctl<'a, LayerFs>,
    pub(crate) sb: &'a SuperBlock,
}

impl Changer<'_> {
    /// Takes a layer away: nothing is looked up there from now on. Waits at most `timeout_ms` milliseconds until nobody
    /// uses it any more; returns how many still do. One that was taken away before is only waited for.
    ///
    /// # Errors
    ///
    /// `ENOENT`: there is no such layer. `EBUSY`: it is the last one that is merged, or the stack stands on it otherwise.
    /// `ENOTEMPTY`: it has names that are nowhere else, and `force` is not given. These come after a message. `EINTR`: the
    /// task is being killed; `ENOMEM`.
    pub(crate) fn shut_down(&self, which: &Which, force: bool, timeout_ms: u32) -> Result<usize> {
        let (sb, instance) = (self.sb, self.sb.data());
        let rank = {
            let mut change = instance.layers.change()?;
            change.leaving.retain(|watch| watch.users() > 0);
            let list = instance.layers.list();
            match which.place_in(&list) {
                Some(place) => {
                    let layer = list.get(place).ok_or(ENOENT)?;
                    check_shut_down(instance, &list, place)?;
                    if !force {
                        let is_merged = place < list.merged_len();
                        vanish::check(self.ioctl, sb.root(), layer.owner(), is_merged)?;
                    }
                    let rank = layer.owner().rank;
                    let shorter = list.with_instead(place, None, instance.upper_keys())?;
                    let leaves = ARef::from(layer);
                    drop(list);
                    carry_out(sb, &mut change, shorter, Some(leaves))?;
                    rank
                }
                None => left_before(&change.leaving, which).ok_or(ENOENT)?,
            }
        };
        wait_for_users(sb, rank, timeout_ms)
    }

    /// Puts a layer in the place of another, of which it is a copy. Waits at most `timeout_ms` milliseconds until nobody
    /// uses that any more; returns how many still do.
    ///
    /// # Errors
    ///
    /// `ENOENT`: there is no such layer. `EBUSY`: the stack stands on it otherwise. Those of [`Arrival::make`].
    pub(crate) fn replace(&self, which: &Which, new: &Given, timeout_ms: u32) -> Result<usize> {
        let (sb, instance) = (self.sb, self.sb.data());
        let rank = {
            let mut change = instance.layers.change()?;
            change.leaving.retain(|watch| watch.users() > 0);
            let list = instance.layers.list();
            let place = which.place_in(&list).ok_or(ENOENT)?;
            let old = list.get(place).ok_or(ENOENT)?;
            check_fixed(instance, &old.owner().name, place < list.merged_len())?;
            let rank = old.owner().rank;
            let made = Arrival {
                path: &new.path,
                name: &new.name,
                data: place >= list.merged_len(),
                rank,
                list: &list,
                leaving: &change.leaving,
            }
            .make(instance)?;
            let other = list.with_instead(place, Some(made), instance.upper_keys())?;
            let leaves = ARef::from(old);
            drop(list);
            carry_out(sb, &mut change, other, Some(leaves))?;
            rank
        };
        wait_for_users(sb, rank, timeout_ms)
    }

    /// Adds a layer.
    ///
    /// # Errors
    ///
    /// `EINVAL`: no layer only has data, and this one is to be among those; or there would be too many. `EBUSY`: it is
    /// declared that none comes. Those of [`Arrival::make`].
    pub(crate) fn add(&self, new: &Given, at: AddAt) -> Result {
        let (sb, instance) = (self.sb, self.sb.data());
        let mut change = instance.layers.change()?;
        change.leaving.retain(|watch| watch.users() > 0);
        let list = instance.layers.list();
        check_fixed(instance, &new.name, !at.data)?;
        if at.data && !instance.layers.has_data_layers() {
            vfs::warn_limited!(
                "'{}' can't be added: the mount has no data-only layers; mount with one\n",
                &*new.name
            );
            return Err(EINVAL);
        }
        if list.len() >= MAX_LAYERS {
            vfs::warn_limited!(
                "'{}' can't be added: {} layers are there, and more can't be\n",
                &*new.name,
                MAX_LAYERS
            );
            return Err(EINVAL);
        }
        let place = match (at.data, at.beneath) {
            (false, false) => 0,
            (true, true) => list.len(),
            _ => list.merged_len(),
        };
        let rank_at = |i: usize| list.get(i).map(|layer| layer.owner().rank);
        let rank = if at.beneath {
            rank_at(place.saturating_sub(1)).map(|rank| rank.saturating_add(1))
        } else {
            rank_at(place).map(|rank| rank.saturating_sub(1))
        };
        let made = Arrival {
            path: &new.path,
            name: &new.name,
            data: at.data,
            rank: rank.ok_or(EINVAL)?,
            list: &list,
            leaving: &change.leaving,
        }
        .make(instance)?;
        let longer = list.with_before(place, made, at.data, instance.upper_keys())?;
        drop(list);
        carry_out(sb, &mut change, longer, None)
    }

    /// Has everything that was looked up looked up anew: who may change what is in a layer has done so.
    ///
    /// # Errors
    ///
    /// `EINTR`: the task is being killed. `ENOMEM`.
    pub(crate) fn announce(&self) -> Result {
        let mut change = self.sb.data().layers.change()?;
        change.announce();
        doubt_all(self.sb.data(), self.sb);
        Ok(())
    }
}

/// Puts another list of layers in force; `leaves` is not in it any more.
fn carry_out(
    sb: &SuperBlock,
    change: &mut Change<'_>,
    list: List,
    leaves: Option<ARef<KeptMount<Layer>>>,
) -> Result {
    let list = Arc::new(list, GFP_KERNEL)?;
    change.leaving.reserve(1, GFP_KERNEL)?;
    // What was looked up before is in doubt before anybody passes over the layer that goes.
    change.set(list);
    if let Some(layer) = leaves {
        layer.owner().shut();
        layer.end();
        // There is room.
        let _ = change.leaving.push(layer.watch(), GFP_KERNEL);
    }
    doubt_all(sb.data(), sb);
    Ok(())
}

/// Checks that it was not declared that the layers never change, and that nothing ties upper to the layers (those that are
/// merged) that it was mounted with.
fn check_fixed(instance: &Instance, name: &CStr, is_merged: bool) -> Result {
    if is_merged && (instance.index_dir().is_some() || instance.config.features.nfs_export) {
        vfs::warn_limited!(
            "'{}': with index=on and nfs_export=on objects are found by their file handles in the layers of this mount, so \
             these stay; mount with index=off\n",
            name
        );
        return Err(EBUSY);
    }
    if !instance.config.features.image {
        return Ok(());
    }
    vfs::warn_limited!(
        "'{}': image=on says that the layers never change; mount without it\n",
        name
    );
    Err(EBUSY)
}

/// Returns the rank of a layer that was taken away before, by its name.
fn left_before(leaving: &[MountWatch<Layer>], which: &Which) -> Option<i64> {
    let Which::Name(name) = which else {
        return None;
    };
    let mut named = leaving
        .iter()
        .filter(|watch| watch.owner().name.to_bytes() == name.as_slice());
    Some(named.next_back()?.owner().rank)
}

/// Checks that the stack can do without a layer.
fn check_shut_down(instance: &Instance, list: &List, place: usize) -> Result {
    let layer = list.get(place).ok_or(ENOENT)?;
    check_fixed(instance, &layer.owner().name, place < list.merged_len())?;
    if place < list.merged_len() && list.merged_len() == 1 {
        vfs::warn_limited!(
            "layer '{}' can't be shut down: it is the last one that is merged; add another before\n",
            &*layer.owner().name
        );
        return Err(EBUSY);
    }
    Ok(())
}

/// Waits until nobody uses a layer that was taken away; returns how many still do after `timeout_ms` milliseconds.
fn wait_for_users(sb: &SuperBlock, rank: i64, timeout_ms: u32) -> Result<usize> {
    let instance = sb.data();
    let begin = clock::milliseconds();
    loop {
        let users = {
            let change = instance.layers.change()?;
            let mut same = change
                .leaving
                .iter()
                .filter(|watch| watch.owner().rank == rank);
            same.next_back().map_or(0, |watch| watch.users())
        };
        let spent = clock::milliseconds().saturating_sub(begin);
        if users == 0 || spent >= u64::from(timeout_ms) {
            return Ok(users);
        }
        task::sleep(PATIENCE_MS)?;
        // A lookup that was going on when the layer was shut may have found something there.
        sb.forget_unused();
        let mut retired = RetiredPins::default();
        for inode in sb.inodes().filter(|inode| inode.is_dir()) {
            give_up_shut(&inode, &mut retired)?;
        }
    }
}
