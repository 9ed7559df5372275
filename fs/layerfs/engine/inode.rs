// SPDX-License-Identifier: GPL-2.0-only

//! From where an object was found to its inode.

#![forbid(unsafe_code)]

use super::stale::Disagreement;
use crate::marks;
use crate::state::instance::Instance;
use crate::state::object;
use crate::state::object::Below;
use crate::state::object::Now;
use crate::state::object::Object;
use crate::state::object::Places;
use crate::state::object::Trait;
use crate::state::object::Traits;
use crate::state::object::UPPER;
use crate::state::Dentry;
use crate::state::Inode;
use crate::state::LayerFs;
use crate::state::Real;
use crate::state::SuperBlock;
use format::ino;
use kernel::prelude::*;
use kernel::str::CString;
use kernel::sync::aref::ARef;
use vfs::object::inode::Protection;
use vfs::object::inode_cache::Cached;
use vfs::object::inode_cache::NewInode;
use vfs::Held;
use vfs::Override;
use vfs::Path;
use vfs::PinnedDentry;

/// Where an object is: dentries, in lower layers with their numbers, topmost first; and what else a
/// lookup found out.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) upper: Option<ARef<Real>>,
    pub(crate) top: Option<(ARef<Real>, u32)>,
    pub(crate) below: KVec<(ARef<Real>, u32)>,
    /// What is found first has only metadata.
    pub(crate) metacopy: bool,
    /// Where the data-only layers have the data.
    pub(crate) lazy: Option<CString>,
    pub(crate) xattr_whiteouts: bool,
}

/// What the marks say of an object, for its inode. An object that was just made has none.
#[derive(Default)]
pub(crate) struct Marks {
    may_have_whiteouts: bool,
    impure: bool,
    protection: Protection,
    /// It has the number that the layer's filesystem gives it; see [`Instance::is_numbered_by`].
    keeps_ino: bool,
}

impl Found {
    /// An object that was just made in upper.
    fn in_upper(upper: ARef<Real>) -> Self {
        Self {
            upper: Some(upper),
            ..Self::default()
        }
    }

    /// Where its attributes are.
    fn real_path<'a>(&'a self, instance: &'a Instance) -> Result<Path<'a>> {
        match (&self.upper, &self.top) {
            (Some(upper), _) => Path::new(instance.upper()?.mount.get(), upper),
            (None, Some((lower, index))) => {
                let layer = instance.layers.get(*index as usize).ok_or(EIO)?;
                Path::new(layer.mount.get(), lower)
            }
            (None, None) => Err(EIO),
        }
    }

    /// What has its number, and the number of the filesystem of that.
    fn numbered<'a>(&'a self, instance: &'a Instance) -> Result<(Path<'a>, u32)> {
        match (&self.upper, &self.top) {
            (_, Some((lower, index)))
                if self.upper.is_none() || self.stands_for_lower(instance) =>
            {
                let layer = instance.layers.get(*index as usize).ok_or(EIO)?;
                Ok((Path::new(layer.mount.get(), lower)?, layer.fsid))
            }
            _ => Ok((self.real_path(instance)?, 0)),
        }
    }

    /// Whether a layer has to be asked for its marks: not for what is no directory, and in lower layers only.
    fn has_marks(&self) -> bool {
        self.upper.is_some() || self.top.as_ref().is_some_and(|(top, _)| top.is_dir())
    }

    /// Reads its marks.
    ///
    /// # Errors
    ///
    /// `EIO`: it is nowhere.
    pub(crate) fn read_marks(&self, instance: &Instance, c: &Override<'_>) -> Result<Marks> {
        let path = self.real_path(instance)?;
        let config = &instance.config;
        let in_upper = self.upper.is_some();
        let is_dir = path.dentry().is_dir();
        let is_merged = in_upper && self.top.is_some() || !self.below.is_empty();
        let (numbered, fsid) = self.numbered(instance)?;
        Ok(Marks {
            keeps_ino: !instance.is_numbered_by(c, numbered, fsid),
            may_have_whiteouts: is_dir && (is_merged || marks::has_origin(config, c, path)),
            impure: in_upper && is_dir && marks::is_impure(config, c, path),
            protection: if in_upper {
                marks::protection(config, c, path)
            } else {
                Default::default()
            },
        })
    }

    /// Whether its inode stands for the lower object: so that the number stays when it is copied up.
    /// The names of a hard link don't stay together then.
    fn stands_for_lower(&self, instance: &Instance) -> bool {
        let Some((lower, _)) = &self.top else {
            return false;
        };
        instance.upper.is_none() || stays_one(lower.is_dir(), lower.inode().nlink())
    }
}

/// Whether a lower object with so many names stays one object when it is copied up: the copy stands for it then, has
/// its inode and keeps its number. The names of a hard link come apart.
pub(crate) fn stays_one(is_dir: bool, nlink: u32) -> bool {
    is_dir || nlink <= 1
}

/// The number that `stat(2)` shows of an object that was found.
pub(crate) fn ino_of_found(
    sb: &SuperBlock,
    instance: &Instance,
    c: &Override<'_>,
    found: &Found,
) -> Option<u64> {
    if let (Some(upper), false) = (&found.upper, found.stands_for_lower(instance)) {
        // Another name of it was copied up, perhaps: then it keeps that one's number while it is cached.
        if let Some(inode) = sb.cached(upper.inode().key()) {
            return shown_ino(instance, &inode);
        }
    }
    let (path, fsid) = found.numbered(instance).ok()?;
    let real = path.dentry().inode().ino();
    if !instance.is_numbered_by(c, path, fsid) {
        return Some(real);
    }
    Some(ino::compose(real, fsid, instance.xino).unwrap_or(real))
}

/// The number that `stat(2)` shows of an inode, where all layers share a device number.
pub(crate) fn shown_ino(instance: &Instance, inode: &Inode) -> Option<u64> {
    let object = inode.data();
    let now = Now::of(object);
    let pin = match object.lower() {
        Some(lower) if now.has_origin() && stays_one(inode.is_dir(), lower.inode().nlink()) => {
            lower
        }
        _ => now.real().ok()?,
    };
    let real = pin.inode().ino();
    let fsid = instance.fsid_of(pin).ok()?;
    if instance.may_keep_ino(fsid) {
        // Which part it is in was asked when the inode was made.
        return Some(inode.ino());
    }
    Some(ino::compose(real, fsid, instance.xino).unwrap_or(real))
}

/// The inode of an object: the one it has while it is cached, or a new one.
///
/// # Errors
///
/// `ENOMEM`. The value is a disagreement if the one that is cached is in other places: because layers were changed,
/// or it is being copied up.
pub(crate) fn get(
    sb: &SuperBlock,
    instance: &Instance,
    c: &Override<'_>,
    found: Found,
) -> Result<Result<ARef<Inode>, Disagreement>> {
    let by_lower = found.stands_for_lower(instance);
    let key = match (&found.top, &found.upper) {
        (Some((lower, _)), _) if by_lower => lower.inode().key(),
        (_, Some(upper)) => upper.inode().key(),
        // A lower hard link: each name is an object of its own once it is copied up.
        _ => {
            let marks = found.read_marks(instance, c)?;
            return init(instance, sb.new_inode()?, found, marks, false).map(Ok);
        }
    };
    // Whoever looks for a new inode before it is set up waits, and can't be killed. So the layers are asked before
    // there is one; if it is there already, they need not be.
    if found.has_marks() {
        if let Some(inode) = sb.cached(key).filter(|inode| !is_outdated(inode, &found)) {
            return compare(inode, &found, by_lower);
        }
    }
    let marks = found.read_marks(instance, c)?;
    loop {
        match sb.get_or_new(key)? {
            Cached::New(new) => return init(instance, new, found, marks, by_lower).map(Ok),
            Cached::Found(inode) if is_outdated(&inode, &found) => inode.leave_cache(),
            Cached::Found(inode) => return compare(inode, &found, by_lower),
        }
    }
}

/// Whether an inode that is cached stands on what its layers say is no more. Who has it may keep it; a lookup needs
/// another.
fn is_outdated(inode: &Inode, found: &Found) -> bool {
    let now = Now::of(inode.held());
    if !now.is_outdated() {
        return false;
    }
    let lower = Iterator::chain(found.top.iter(), &found.below).map(|(dentry, _)| dentry);
    let found = Iterator::chain(found.upper.iter(), lower).zip(0..now.needed());
    let mut found = found.map(|(dentry, _)| dentry);
    let mut is_same = |pin: Held<'_, PinnedDentry>| {
        let known = pin.dentry();
        match found.next() {
            Some(dentry) => {
                pin.inode().key() == dentry.inode().key()
                    && (core::ptr::eq(known, &**dentry) || !known.is_unhashed())
            }
            // Data that was found lazily.
            None => !inode.is_dir() && !known.is_unhashed(),
        }
    };
    let mut known = now.places().zip(0..now.needed());
    !(known.all(|(pin, _)| is_same(pin)) && found.next().is_none())
}

/// The inode of an object that was just made in upper, under `name` if it has one. It is not asked for marks: only
/// the stack writes them, and there is no inode of it before this.
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
    let found = Found::in_upper(made);
    match sb.get_or_new(key)? {
        Cached::New(new) => init(instance, new, found, Marks::default(), false),
        Cached::Found(inode) => {
            compare(inode, &found, false)?.map_err(|other| other.refuse(instance, name))
        }
    }
}

/// The inode that is cached, if it is in the places that were found.
///
/// # Errors
///
/// `EIO`: nothing was found. The value is a disagreement if it is in other places.
fn compare(
    inode: ARef<Inode>,
    found: &Found,
    by_lower: bool,
) -> Result<Result<ARef<Inode>, Disagreement>> {
    if agrees(&inode, found) {
        return Ok(Ok(inode));
    }
    let (real, layer) = match (&found.top, &found.upper) {
        (Some((lower, index)), _) if by_lower => (lower, Some(*index)),
        (_, upper) => (upper.as_ref().ok_or(EIO)?, None),
    };
    let real = real.clone();
    Ok(Err(Disagreement { real, layer }))
}

/// Whether a cached inode is in the places that were found.
fn agrees(inode: &Inode, found: &Found) -> bool {
    let object = inode.data();
    let lower = object.lower().map(|pin| pin.inode().key());
    let upper = Now::of(object).upper().map(|pin| pin.inode().key());
    if inode.is_dir()
        && (found.top.is_none() && lower.is_some() || found.upper.is_none() && upper.is_some())
    {
        return false;
    }
    let same = |found: Option<&Real>, known| {
        found.is_none_or(|dentry| Some(dentry.inode().key()) == known)
    };
    same(found.top.as_ref().map(|(dentry, _)| &**dentry), lower)
        && same(found.upper.as_deref(), upper)
}

/// The inode of the root directory: it is merged whatever the layers say. Its marks were read before: here no
/// layer is asked.
///
/// # Errors
///
/// `ENOMEM`.
pub(crate) fn root(sb: &SuperBlock, found: Found, marks: Marks) -> Result<ARef<Inode>> {
    init(sb.data(), sb.new_inode()?, found, marks, false)
}

fn init(
    instance: &Instance,
    new: NewInode<LayerFs>,
    found: Found,
    marks: Marks,
    by_lower: bool,
) -> Result<ARef<Inode>> {
    let Found {
        upper,
        top,
        below: found_below,
        metacopy,
        lazy,
        xattr_whiteouts,
    } = found;
    let mut below = Below::with_capacity(found_below.len())?;
    for (dentry, index) in found_below {
        below.push(PinnedDentry::new(dentry, index))?;
    }
    let mut upper = upper.map(|dentry| PinnedDentry::new(dentry, UPPER));
    let mut top = top.map(|(dentry, index)| PinnedDentry::new(dentry, index));
    let in_upper = upper.is_some();
    let numbered = match (&upper, &top) {
        (Some(upper), _) if !by_lower => upper,
        (_, Some(top)) => top,
        (Some(upper), None) => upper,
        (None, None) => return Err(EIO),
    };
    let is_dir = numbered.inode().is_dir();
    let fsid = instance.fsid_of(numbered)?;
    let ino = if marks.keeps_ino {
        numbered.inode().ino()
    } else {
        instance.map_ino(numbered.inode().ino(), fsid, is_dir)
    };
    let real = upper.as_mut().or(top.as_mut()).ok_or(EIO)?;
    let idmap = instance.mount_of(real)?.idmap();
    let path = object::path(instance, real.unshared())?;
    let traits = Traits::default()
        .with(Trait::UPPER_DATA, in_upper && !metacopy)
        .with(Trait::LOWER_METACOPY, !in_upper && metacopy)
        .with(Trait::XATTR_WHITEOUTS, xattr_whiteouts)
        .with(Trait::LOWER_INO, by_lower)
        .with(Trait::IMPURE, marks.impure)
        .with(Trait::MAY_HAVE_WHITEOUTS, marks.may_have_whiteouts);
    let real = ARef::from(path.dentry());
    let places = Places {
        upper,
        top,
        below,
        lazy: lazy.as_deref().map(object::lazy_data).transpose()?,
    };
    let object = Object::new(places, traits)?;
    Ok(new.init(real.inode(), idmap, ino, marks.protection, object))
}

/// Shows what the real object shows now.
pub(crate) fn refresh(instance: &Instance, inode: &Inode) {
    if let Ok(pin) = Now::of(inode.data()).real() {
        if let Ok(idmap) = instance.idmap_of(pin) {
            inode.refresh(pin.inode(), idmap);
        }
    }
}
