// SPDX-License-Identifier: GPL-2.0-only

//! Origins: what an object in upper was copied up from, found by the file handle that is kept with it, so
//! that it keeps the inode number it had in the lower layer.

#![forbid(unsafe_code)]

use super::work;
use crate::marks;
use crate::marks::Marked;
use crate::state::instance::Instance;
use crate::state::layer::Layer;
use crate::state::layer::Pin;
use crate::state::object::Object;
use crate::state::places::Places;
use crate::state::traits::Trait;
use crate::state::Inode;
use crate::state::Real;
use format::handle::Endian;
use format::handle::OverlayHandle;
use format::options::Uuid;
use format::xattr::Mark;
use kernel::prelude::*;
use kernel::sync::aref::ARef;
use vfs::call::handle::FileHandle;
use vfs::object::kept_mount::KeptMount;
use vfs::object::super_block::FileHandles;
use vfs::sys::cred;
use vfs::sys::cred::Capability;
use vfs::Held;
use vfs::Override;
use vfs::Path;

/// Finds the origin of an object in upper.
///
/// The result is `None` if it has none, or it can't be found.
///
/// # Errors
///
/// `ENOMEM`, `EINTR`: it can't be looked for now. That a layer can't look for it is no error, as it is needed for a
/// number alone.
pub(crate) fn find(
    instance: &Instance,
    c: &Override<'_>,
    upper: Path<'_>,
) -> Result<Option<Origin>> {
    let Some(value) = marks::origin(&instance.config, c, upper) else {
        return Ok(None);
    };
    let Ok(handle) = OverlayHandle::decode(&value) else {
        return Ok(None);
    };
    if handle.is_upper {
        return Ok(None);
    }
    let kind = upper.dentry().inode().mode().file_type();
    // Inode numbers are used again: another kind of object is another object.
    let found = find_lower(instance, c, &handle)?;
    Ok(found.filter(|found| found.dentry.inode().mode().file_type() == kind))
}

/// An object of a lower layer that was found by its handle.
pub(crate) struct Origin {
    pub(crate) dentry: ARef<Real>,
    pub(crate) layer: ARef<KeptMount<Layer>>,
}

/// Finds the object of a lower layer that a handle is of.
///
/// # Errors
///
/// `ENOMEM`, `EINTR`: it can't be looked for now.
pub(super) fn find_lower(
    instance: &Instance,
    c: &Override<'_>,
    handle: &OverlayHandle<'_>,
) -> Result<Option<Origin>> {
    for layer in instance.layers.list().merged() {
        if !is_asked(instance, layer) {
            continue;
        }
        // It may still be in another layer of that filesystem.
        if let Some(dentry) = find_in(instance, c, layer, handle)? {
            let layer = ARef::from(layer);
            return Ok(Some(Origin { dentry, layer }));
        }
    }
    Ok(None)
}

/// Finds the object of a layer that a handle is of.
///
/// # Errors
///
/// `ENOMEM`, `EINTR`: it can't be looked for now.
pub(super) fn find_in(
    instance: &Instance,
    c: &Override<'_>,
    layer: &KeptMount<Layer>,
    handle: &OverlayHandle<'_>,
) -> Result<Option<ARef<Real>>> {
    let uuid = match instance.config.features.uuid {
        Uuid::Off => [0; 16],
        _ => layer.super_block().uuid(),
    };
    let mut real = FileHandle::new();
    if handle.uuid != uuid
        || !cred::capable(Capability::DacReadSearch)
        || !real.set(handle.fid_type, handle.fid)
    {
        return Ok(None);
    }
    match real.find(c, layer) {
        Ok(found) if found.unsuitable().is_some() => Ok(None),
        Ok(found) => Ok(Some(found)),
        Err(e) if e == ENOMEM || e == EINTR || e == ERESTARTSYS => Err(e),
        Err(_) => Ok(None),
    }
}

/// Room for an origin as it is written.
pub(crate) type OriginBuf = [u8; format::handle::MAX_LEN];

/// Returns the origin as it is written on a copy of `lower`; empty where lower objects can't be found by handles, or
/// none can be made of this one.
pub(crate) fn encode<'b>(instance: &Instance, lower: &Real, room: &'b mut OriginBuf) -> &'b [u8] {
    let sb = lower.super_block();
    if sb.file_handles() == FileHandles::None || !cred::capable(Capability::DacReadSearch) {
        return &[];
    }
    encode_handle(instance, lower, false, room).unwrap_or(&[])
}

/// Writes the handle of an object of a layer; `None`: its filesystem makes none of it.
pub(crate) fn encode_handle<'b>(
    instance: &Instance,
    real: &Real,
    is_upper: bool,
    room: &'b mut [u8],
) -> Option<&'b [u8]> {
    let mut handle = FileHandle::new();
    handle.encode(real.inode()).ok()?;
    let with_uuid = instance.config.features.uuid != Uuid::Off;
    let handle = OverlayHandle {
        endian: Endian::NATIVE,
        is_upper,
        fid_type: handle.kind(),
        uuid: if with_uuid {
            real.super_block().uuid()
        } else {
            [0; 16]
        },
        fid: handle.bytes(),
    };
    handle.encode(room).ok()
}

/// Where a handle begins in what overlayfs gives users: it is aligned there as it is in memory.
pub(super) const PADDING: usize = 3;

/// Writes what identifies an object: the handle of the lower object that it stands for or was made of, else of what is
/// in upper; so it stays when the object is copied up, as its number does. Returns the length, a multiple of four.
pub(crate) fn identify(inode: &Inode, room: &mut [u8]) -> Option<usize> {
    let instance = inode.super_block().data();
    let now = Places::of(inode.held());
    let is_root = core::ptr::eq(inode, inode.super_block().root().inode());
    let lower = now
        .lower()
        .filter(|_| !now.in_upper() || now.has(Trait::LOWER_INO) && !is_root);
    let (real, is_upper) = match lower {
        Some(lower) => (lower.dentry(), false),
        None => (now.upper()?.dentry(), true),
    };
    let room = room.get_mut(PADDING..)?;
    let len = encode_handle(instance, real, is_upper, room)?.len();
    Some(len.saturating_add(PADDING))
}

/// Returns whether [`find`] finds `lower` by the origin `value`.
pub(crate) fn is_found(instance: &Instance, lower: Held<'_, Pin>, value: &[u8]) -> bool {
    !value.is_empty() && is_asked(instance, lower.mount())
}

/// Returns whether [`find`] finds what an object in upper was copied up from by the origin that is written on it.
///
/// # Errors
///
/// `ENOMEM`, `EINTR`: that can't be told now.
pub(super) fn leads_to_lower(
    instance: &Instance,
    c: &Override<'_>,
    upper: Path<'_>,
    places: &Places<'_>,
) -> Result<bool> {
    let found = find(instance, c, upper)?;
    let lower = places.lower().map(|pin| pin.inode().key());
    Ok(found.is_some_and(|found| Some(found.dentry.inode().key()) == lower))
}

/// Has the origin of a metacopy file lead to where its data was, if that is in a layer that came in the place of another:
/// so its names lead there, as they did, when it has its data itself. Returns whether they do.
pub(super) fn mend(marked: &Marked<'_>, now: &Places<'_>) -> bool {
    let instance = marked.instance;
    let Some(lower) = now.lower().filter(|_| instance.layers.changes() > 0) else {
        return false;
    };
    if instance.config.features.index {
        // What is in the index is found by the origin that is there.
        return false;
    }
    let mut room = [0; format::handle::MAX_LEN];
    let origin = encode(instance, lower.dentry(), &mut room);
    if origin.is_empty() || !marked.note(Mark::Origin, origin) {
        // None is better than one that leads elsewhere.
        let _ = marked.erase(Mark::Origin);
        return false;
    }
    is_found(instance, lower, origin)
}

/// Returns whether a handle is looked for in a layer: not if the UUID does not say that it may be there, nor where a
/// server may be asked about a file whose data nobody needs. (Where copies are found in the index by what they were made
/// of, that is needed.)
fn is_asked(instance: &Instance, layer: &KeptMount<Layer>) -> bool {
    let is_lazy = || {
        instance.config.features.lazydata
            && layer.root().needs_revalidation()
            && instance.index_dir().is_none()
    };
    is_told_apart(layer.owner()) && !is_lazy()
}

/// Returns whether the UUID says which filesystem a layer is on.
fn is_told_apart(layer: &Layer) -> bool {
    layer.fs.number == 0 || !layer.fs.is_ambiguous()
}

/// Writes the origin on a directory of upper that was put there by other means than copy-up, so that its
/// number stays when the layers are put together in another way. That is an improvement: a lookup neither
/// fails nor waits for it.
pub(crate) fn add_missing(
    instance: &Instance,
    c: &Override<'_>,
    parent: &Object,
    upper_parent: &Real,
    upper: &Real,
    lower: &Real,
) {
    let Some(layer) = &instance.upper else {
        return;
    };
    let mount = &*layer.mount;
    let Ok(path) = Path::new(mount, upper) else {
        return;
    };
    if layer.keeps_no_notes()
        || layer.is_read_only()
        || marks::has_origin(&instance.config, c, path)
    {
        return;
    }
    let mut room = [0; format::handle::MAX_LEN];
    let value = encode(instance, lower, &mut room);
    let Some(writing) = mount.try_write() else {
        // Upper has become read-only, or is frozen: nothing is lost without the mark.
        return;
    };
    let marked = Marked {
        instance,
        c,
        writing: &writing,
        dentry: upper,
    };
    if marked.note(Mark::Origin, value) {
        let dentry = upper_parent;
        work::set_impure(Marked { dentry, ..marked }, parent);
    }
}
