// SPDX-License-Identifier: GPL-2.0-only

//! From where an object was found to its inode.

#![forbid(unsafe_code)]

use crate::marks;
use crate::state::instance::Instance;
use crate::state::object;
use crate::state::object::LazyData;
use crate::state::object::Object;
use crate::state::object::Places;
use crate::state::object::Trait;
use crate::state::object::Traits;
use crate::state::object::UPPER;
use crate::state::Inode;
use crate::state::LayerFs;
use crate::state::Real;
use crate::state::SuperBlock;
use format::ino;
use kernel::prelude::*;
use kernel::str::CString;
use kernel::sync::aref::ARef;
use vfs::errno::*;
use vfs::inode::Cached;
use vfs::inode::New;
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

impl Found {
    /// An object that was just made in upper.
    pub(crate) fn in_upper(upper: ARef<Real>) -> Self {
        Self {
            upper: Some(upper),
            ..Self::default()
        }
    }

    /// Whether its inode stands for the lower object: so that the number stays when it is copied up.
    /// The names of a hard link don't stay together then.
    fn stands_for_lower(&self, instance: &Instance) -> bool {
        let Some((lower, _)) = &self.top else {
            return false;
        };
        instance.upper.is_none() || lower.is_dir() || lower.inode().nlink() <= 1
    }
}

/// The number that `stat(2)` shows of an object that was found.
pub(crate) fn number_of_found(instance: &Instance, found: &Found) -> Option<u64> {
    let (dentry, fsid) = match (&found.upper, &found.top) {
        (Some(_), Some((lower, index))) if found.stands_for_lower(instance) => {
            (lower, instance.layers.get(*index as usize)?.fsid)
        }
        (Some(upper), _) => (upper, 0),
        (None, Some((lower, index))) => (lower, instance.layers.get(*index as usize)?.fsid),
        (None, None) => return None,
    };
    let real = dentry.inode().ino();
    Some(ino::compose(real, fsid, instance.xino).unwrap_or(real))
}

/// The number that `stat(2)` shows of an inode, where all layers share a device number.
pub(crate) fn number(instance: &Instance, inode: &Inode) -> Option<u64> {
    let object = inode.data();
    let real = object.real().ok()?;
    let pin = match object.lower() {
        Some(lower)
            if real.tag() == UPPER
                && object.has(Trait::LOWER_NUMBER)
                && (inode.is_dir() || lower.inode().nlink() == 1) =>
        {
            lower
        }
        _ => real,
    };
    let real = pin.inode().ino();
    let fsid = instance.fsid_of(pin).ok()?;
    Some(ino::compose(real, fsid, instance.xino).unwrap_or(real))
}

/// The inode of an object: the one it has while it is cached, or a new one.
///
/// # Errors
///
/// `ENOMEM`; `ESTALE`: the one that is cached is in other places, because layers were changed.
pub(crate) fn get(
    sb: &SuperBlock,
    instance: &Instance,
    c: &Override<'_>,
    found: Found,
) -> Result<ARef<Inode>> {
    let by_lower = found.stands_for_lower(instance);
    let key = match (&found.top, &found.upper) {
        (Some((lower, _)), _) if by_lower => lower.inode().key(),
        (_, Some(upper)) => upper.inode().key(),
        // A lower hard link: each name is an object of its own once it is copied up.
        _ => return init(instance, c, sb.new_inode()?, found, false),
    };
    match sb.get_or_new(key)? {
        Cached::New(new) => init(instance, c, new, found, by_lower),
        Cached::Found(inode) => {
            if !agrees(&inode, &found) {
                vfs::warn_limited!("a cached object is in other places than it was found in; were layers changed?\n");
                return Err(ESTALE);
            }
            Ok(inode)
        }
    }
}

/// Whether a cached inode is in the places that were found.
fn agrees(inode: &Inode, found: &Found) -> bool {
    let object = inode.data();
    let lower = object.lower().map(|pin| pin.inode().key());
    let upper = object.upper().map(|pin| pin.inode().key());
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

/// The inode of the root directory: it is merged whatever the layers say.
///
/// # Errors
///
/// `ENOMEM`.
pub(crate) fn root(
    sb: &SuperBlock,
    instance: &Instance,
    c: &Override<'_>,
    found: Found,
) -> Result<ARef<Inode>> {
    init(instance, c, sb.new_inode()?, found, false)
}

fn init(
    instance: &Instance,
    c: &Override<'_>,
    new: New<LayerFs>,
    found: Found,
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
    let in_upper = upper.is_some();
    let in_lower = top.is_some();
    let mut below = KVec::with_capacity(found_below.len(), GFP_KERNEL)?;
    for (dentry, index) in found_below {
        below.push(PinnedDentry::new(dentry, index), GFP_KERNEL)?;
    }
    let is_merged = in_upper && in_lower || !below.is_empty();
    let real = match (&upper, &top) {
        (Some(upper), _) => (upper.clone(), UPPER),
        (None, Some((lower, index))) => (lower.clone(), *index),
        (None, None) => return Err(EIO),
    };
    let numbered = match &top {
        Some((lower, index)) if by_lower || !in_upper => (lower.clone(), *index),
        _ => real.clone(),
    };
    let real_pin = PinnedDentry::new(real.0.clone(), real.1);
    let path = Path {
        mount: instance.mount_of(&real_pin)?,
        dentry: &real.0,
    };
    let is_dir = real.0.is_dir();
    let config = &instance.config;
    let may_have_whiteouts = is_dir && (is_merged || marks::has_origin(config, c, path));
    let traits = Traits::default()
        .with(Trait::UPPER_DATA, in_upper && !metacopy)
        .with(Trait::LOWER_METACOPY, !in_upper && metacopy)
        .with(Trait::XATTR_WHITEOUTS, xattr_whiteouts)
        .with(Trait::LOWER_NUMBER, by_lower)
        .with(
            Trait::IMPURE,
            in_upper && is_dir && marks::is_impure(config, c, path),
        )
        .with(Trait::MAY_HAVE_WHITEOUTS, may_have_whiteouts);
    let number_pin = PinnedDentry::new(numbered.0.clone(), numbered.1);
    let fsid = instance.fsid_of(&number_pin)?;
    let ino = instance.inode_number(numbered.0.inode().ino(), fsid, is_dir);
    let idmap = path.mount.idmap();
    let places = Places {
        upper: upper.map(|dentry| PinnedDentry::new(dentry, UPPER)),
        top: top.map(|(dentry, index)| PinnedDentry::new(dentry, index)),
        below,
        lazy: lazy.map(LazyData::new),
    };
    let protection = if in_upper {
        marks::protection(config, c, path)
    } else {
        Default::default()
    };
    let object = Object::new(places, traits)?;
    let inode = new.init(real.0.inode(), idmap, ino, protection, object);
    Ok(inode)
}

/// Shows what the real object shows now.
pub(crate) fn refresh(instance: &Instance, inode: &Inode) {
    let object = inode.data();
    if let (Ok(real), Ok(pin)) = (object::real_inode(object), object.real()) {
        if let Ok(idmap) = instance.idmap_of(pin) {
            inode.refresh(real, idmap);
        }
    }
}
