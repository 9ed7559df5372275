// SPDX-License-Identifier: GPL-2.0-only

//! Getting from the places where an object was found to its inode.

#![forbid(unsafe_code)]

use super::inode_index;
use super::stale::Disagreement;
use crate::marks;
use crate::state::instance::Instance;
use crate::state::layer::LayerIndex;
use crate::state::layer::Pin;
use crate::state::lowers::Lowers;
use crate::state::object::Now;
use crate::state::object::Object;
use crate::state::places::Places;
use crate::state::traits::Trait;
use crate::state::traits::Traits;
use crate::state::Dentry;
use crate::state::Inode;
use crate::state::LayerFs;
use crate::state::Real;
use crate::state::SuperBlock;
use format::ino;
use kernel::prelude::*;
use kernel::sync::aref::ARef;
use vfs::object::inode::Protection;
use vfs::object::inode_cache::Cached;
use vfs::object::inode_cache::NewInode;
use vfs::Held;
use vfs::Override;

/// What the marks say of an object, for its inode. An object that was just made has none.
#[derive(Default)]
pub(crate) struct Marks {
    traits: Traits,
    protection: Protection,
    /// It has the number that the layer's filesystem gives it; see [`Instance::is_numbered_by`].
    keeps_ino: bool,
    /// How many names it has, if not as many as where its attributes are.
    names: Option<u32>,
}

/// Reads the marks of an object that was found.
///
/// # Errors
///
/// `EIO`: it is nowhere.
pub(crate) fn read_marks(instance: &Instance, c: &Override<'_>, now: &Places<'_>) -> Result<Marks> {
    let path = now.real_path()?;
    let config = &instance.config;
    let is_dir = path.dentry().is_dir();
    let numbered = numbered(now, stands_for_lower(instance, now))?;
    let fs = &numbered.owner().fs;
    let path_of_number = numbered.path();
    let may_have_whiteouts = is_dir && (now.is_merged() || marks::has_origin(config, c, path));
    let impure = now.in_upper() && is_dir && marks::is_impure(config, c, path);
    let lower = now
        .lower()
        .filter(|_| !is_dir && now.has(Trait::INDEXED) && now.in_upper());
    Ok(Marks {
        names: lower.map(|lower| inode_index::names(instance, c, path, lower.dentry().inode())),
        traits: Traits::default()
            .with(Trait::MAY_HAVE_WHITEOUTS, may_have_whiteouts)
            .with(Trait::IMPURE, impure),
        keeps_ino: !instance.is_numbered_by(c, path_of_number, fs),
        protection: if now.in_upper() {
            marks::protection(config, c, path)
        } else {
            Default::default()
        },
    })
}

/// Returns whether a layer has to be asked for the marks of an object: not for what is no directory, and in lower
/// layers only.
fn has_marks(found: &Places<'_>) -> bool {
    found.in_upper() || found.real().is_ok_and(|real| real.inode().is_dir())
}

/// Returns what has the number of an object: where it is topmost, or (`by_lower`) what it stands for.
fn numbered<'a>(found: &'a Places<'_>, by_lower: bool) -> Result<Held<'a, Pin>> {
    numbered_of(found.upper(), found.lower(), by_lower)
}

/// The same, of its place in upper and the topmost in the lower layers.
fn numbered_of<T>(upper: Option<T>, lower: Option<T>, by_lower: bool) -> Result<T> {
    match lower {
        Some(lower) if by_lower => Ok(lower),
        lower => upper.or(lower).ok_or(EIO),
    }
}

/// Returns whether the inode of an object stands for the lower object: so that the number stays when it is copied up.
/// The names of a hard link don't stay together then, without an index.
fn stands_for_lower(instance: &Instance, found: &Places<'_>) -> bool {
    let Some(lower) = found.lower() else {
        return false;
    };
    if instance.upper.is_none() || found.has(Trait::INDEXED) {
        return true;
    }
    if found.in_upper() && instance.indexes_all() {
        // It was copied up before handles led to copies: they lead to what is in upper.
        return false;
    }
    let inode = lower.dentry().inode();
    stays_one(inode.is_dir(), inode.nlink())
        || !found.in_upper() && inode_index::keeps(instance, inode)
}

/// Returns whether a lower object with so many names stays one object when it is copied up, if the copy gets no entry in
/// the index: the copy stands for it then, has its inode and keeps its number. The names of a hard link come apart.
pub(crate) fn stays_one(is_dir: bool, nlink: u32) -> bool {
    is_dir || nlink <= 1
}

/// Returns whether the copy that is in upper stands for the lower object that has so many names.
pub(crate) fn stands_for_origin(now: &Now<Held<'_, Object>>, is_dir: bool, nlink: u32) -> bool {
    now.has_origin() && (now.has(Trait::INDEXED) || stays_one(is_dir, nlink))
}

/// Returns the number that `stat(2)` shows of an object that was found.
pub(crate) fn ino_of_found(
    sb: &SuperBlock,
    instance: &Instance,
    c: &Override<'_>,
    mut found: Object,
) -> Option<u64> {
    let found = Places::of(Held::unshared(&mut found));
    let by_lower = stands_for_lower(instance, &found);
    if let (Some(upper), false) = (found.upper(), by_lower) {
        // Another name of it was copied up, perhaps: then it keeps that one's number while it is cached.
        if let Some(inode) = sb.cached(upper.inode().key()) {
            return shown_ino(instance, &inode);
        }
    }
    let pin = numbered(&found, by_lower).ok()?;
    let fs = &pin.owner().fs;
    let real = pin.inode().ino();
    if !instance.is_numbered_by(c, pin.path(), fs) {
        return Some(real);
    }
    Some(ino::compose(real, fs.number, instance.xino).unwrap_or(real))
}

/// Returns the number that `stat(2)` shows of an inode, where all layers share a device number.
pub(crate) fn shown_ino(instance: &Instance, inode: &Inode) -> Option<u64> {
    let now = Places::of(inode.held());
    let pin = numbered_by(&now, inode)?;
    let real = pin.inode().ino();
    let fs = &pin.owner().fs;
    if instance.may_keep_ino(fs) {
        // Which part it is in was asked when the inode was made.
        return Some(inode.ino());
    }
    Some(ino::compose(real, fs.number, instance.xino).unwrap_or(real))
}

/// Returns the inode of an object: the one it has while it is cached, or a new one.
///
/// # Errors
///
/// `ENOMEM`. The value is a disagreement if the one that is cached is in other places: because layers were changed,
/// or it is being copied up. There is none if the object has to be looked up again, as it is not what it was when so many
/// were `indexed` (see [`Upper::indexed`]): another task may have copied it up by another name, and forgotten it, after the
/// index was looked in.
///
/// [`Upper::indexed`]: crate::state::layer::Upper::indexed
pub(crate) fn get(
    sb: &SuperBlock,
    instance: &Instance,
    c: &Override<'_>,
    mut found: Object,
    indexed: u32,
) -> Result<Option<Result<ARef<Inode>, Disagreement>>> {
    let places = Places::of(Held::unshared(&mut found));
    let by_lower = stands_for_lower(instance, &places);
    let in_upper = places.in_upper();
    if !by_lower && !in_upper {
        // A lower hard link: each name is an object of its own once it is copied up.
        let marks = read_marks(instance, c, &places)?;
        drop(places);
        return init(instance, sb.new_inode()?, found, marks, false).map(|inode| Some(Ok(inode)));
    }
    let key = numbered(&places, by_lower)?.inode().key();
    // Another task that looks up an inode that is not set up yet (`I_NEW`) waits, and can't be killed. So the layers
    // are asked before there is one; if it is there already, they need not be.
    if has_marks(&places) {
        if let Some(inode) = sb.cached(key).filter(|inode| !is_outdated(inode, &places)) {
            return compare(inode, &places, by_lower).map(Some);
        }
    }
    let marks = read_marks(instance, c, &places)?;
    drop(places);
    loop {
        match sb.get_or_new(key)? {
            Cached::New(_) if !in_upper && instance.indexed() != indexed => {
                // (While this inode is new, nobody else gets one to copy up.)
                return Ok(None);
            }
            Cached::New(new) => {
                return init(instance, new, found, marks, by_lower).map(|inode| Some(Ok(inode)));
            }
            Cached::Found(inode) => {
                let places = Places::of(Held::unshared(&mut found));
                if !is_outdated(&inode, &places) {
                    return compare(inode, &places, by_lower).map(Some);
                }
                inode.leave_cache();
            }
        }
    }
}

/// Returns whether an inode that is cached stands on what its layers say is no more. Who has it may keep it; a lookup
/// needs another.
fn is_outdated(inode: &Inode, found: &Places<'_>) -> bool {
    let now = Places::of(inode.held());
    if !now.is_outdated() {
        return false;
    }
    let mut found = found.all().zip(0..now.needed()).map(|(pin, _)| pin);
    let mut is_same = |pin: Held<'_, Pin>| {
        let known = pin.dentry();
        match found.next() {
            Some(other) => {
                // A layer that was taken away and came again has the same objects.
                let is_there = !inode.is_dir() || core::ptr::eq(pin.mount(), other.mount());
                is_there
                    && pin.inode().key() == other.inode().key()
                    && (core::ptr::eq(known, other.dentry()) || !known.is_unhashed())
            }
            // This is data that was found lazily.
            None => !inode.is_dir() && !known.is_unhashed(),
        }
    };
    let mut known = now.all().zip(0..now.needed());
    !(known.all(|(pin, _)| is_same(pin)) && found.next().is_none())
}

/// Returns the inode of an object that was just made in upper, under `name` if it has one. It is not asked for marks:
/// only the stack writes them, and there is no inode of it before this.
///
/// # Errors
///
/// `ENOMEM`; `ESTALE`: there is one of an object that upper had before, and that was not removed by us.
pub(crate) fn get_made(
    sb: &SuperBlock,
    instance: &Instance,
    made: ARef<Real>,
    name: &Dentry,
) -> Result<ARef<Inode>> {
    let key = made.inode().key();
    let upper = sb.data().upper()?.mount.pin(made)?;
    let mut object = Object::new(Some(upper), Lowers::default(), false)?;
    match sb.get_or_new(key)? {
        Cached::New(new) => init(instance, new, object, Marks::default(), false),
        Cached::Found(inode) => compare(inode, &Places::of(Held::unshared(&mut object)), false)?
            .map_err(|other| other.refuse(instance, name)),
    }
}

/// Returns the inode that is cached, if it is in the places that were found.
///
/// # Errors
///
/// `EIO`: nothing was found. `EINTR`: the task is being killed. The value is a disagreement if it is in other places.
fn compare(
    inode: ARef<Inode>,
    found: &Places<'_>,
    by_lower: bool,
) -> Result<Result<ARef<Inode>, Disagreement>> {
    let mut agreed = agrees(&inode, found);
    if !agreed && found.has(Trait::INDEXED) {
        // Another task copies it up by another name, and has put the copy into the index, but not shown it yet. It holds the
        // lock of the object until it has.
        drop(inode.data().lock(inode.super_block().stack_depth())?);
        agreed = agrees(&inode, found);
    }
    if agreed {
        return Ok(Ok(inode));
    }
    let known_by = numbered(found, by_lower)?;
    Ok(Err(Disagreement {
        real: ARef::from(known_by.dentry()),
        layer: LayerIndex::of(&known_by),
    }))
}

/// Returns whether a cached inode is in the places that were found.
fn agrees(inode: &Inode, found: &Places<'_>) -> bool {
    let known = Places::of(inode.held());
    let lower = |places: &Places<'_>| places.lower().map(|pin| pin.inode().key());
    let upper = |places: &Places<'_>| places.upper().map(|pin| pin.inode().key());
    let same = |found: Option<_>, known| {
        // What a file was copied up from may not be found, nor where its copy is.
        found == known || found.is_none() && !inode.is_dir()
    };
    same(lower(found), lower(&known)) && same(upper(found), upper(&known))
}

/// Returns the inode of the root directory: it is merged whatever the layers say. Its marks were read before: here no
/// layer is asked.
///
/// # Errors
///
/// `ENOMEM`.
pub(crate) fn root(sb: &SuperBlock, found: Object, marks: Marks) -> Result<ARef<Inode>> {
    init(sb.data(), sb.new_inode()?, found, marks, false)
}

fn init(
    instance: &Instance,
    new: NewInode<LayerFs>,
    mut object: Object,
    marks: Marks,
    by_lower: bool,
) -> Result<ARef<Inode>> {
    object.add(marks.traits.with(Trait::LOWER_INO, by_lower));
    let (upper, lower) = object.tops();
    let numbered = numbered_of(upper, lower, by_lower)?;
    let number = numbered.inode().ino();
    let ino = if marks.keeps_ino {
        number
    } else {
        let fsid = numbered.owner().fs.number;
        instance.map_ino(number, fsid, numbered.inode().is_dir())
    };
    new.init(ino, marks.protection, marks.names, object, |object| {
        let (upper, lower) = object.tops();
        let real = upper.or(lower).ok_or(EIO)?;
        Ok((real.inode(), real.idmap()))
    })
}

/// Has a directory found by what it stands for now, and show the attributes of that, after its places in lower layers were
/// replaced.
pub(super) fn moved(inode: &Inode) {
    let places = Places::of(inode.held());
    if places.has(Trait::LOWER_INO) {
        if let Ok(numbered) = numbered(&places, true) {
            inode.hash_by(numbered.inode().key());
        }
    }
    drop(places);
    renumber(inode);
    refresh(inode);
}

/// Gives a directory the number that `stat(2)` shows of it now, unless that was made up: then it stays.
fn renumber(inode: &Inode) {
    let instance = inode.super_block().data();
    let places = Places::of(inode.held());
    let Some(pin) = numbered_by(&places, inode) else {
        return;
    };
    let (real, fs) = (pin.inode().ino(), &pin.owner().fs);
    let number = if instance.as_mounter(|c| instance.is_numbered_by(c, pin.path(), fs)) {
        ino::compose(real, fs.number, instance.xino)
    } else {
        Some(real)
    };
    if let Some(number) = number {
        inode.set_ino(number);
    }
}

/// Returns what `stat(2)` shows the number of.
fn numbered_by<'a>(now: &'a Places<'_>, inode: &Inode) -> Option<Held<'a, Pin>> {
    match now.lower() {
        Some(lower) if stands_for_origin(now, inode.is_dir(), lower.inode().nlink()) => Some(lower),
        _ => now.real().ok(),
    }
}

/// Shows what the real object shows now.
pub(crate) fn refresh(inode: &Inode) {
    if let Ok(pin) = Places::of(inode.held()).real() {
        inode.refresh(pin.inode(), pin.idmap());
    }
}
