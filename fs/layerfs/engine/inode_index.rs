// SPDX-License-Identifier: GPL-2.0-only

//! The index of copies (`index=on`): in the directory `index` of workdir, under a name made of the file handle of the
//! lower object, is a hard link of its copy. So all names of a lower hard link lead to one copy, and stay names of one
//! object; with `nfs_export=on` every copy has an entry, and a handle of a lower object leads to what became of it.
//!
//! How many names an object of the stack has is not what upper counts: that has the index's own name, and lacks those that
//! are in a lower layer alone. So the difference is kept beside the copy ([`Nlink`]), relative to the count that the
//! operation at hand does not change, and so is right before it and after it.
//!
//! The format is described in "Index directory" and "NFS export" of `Documentation/filesystems/overlayfs.rst`, and in
//! `Documentation/on-disk-format.rst`.

#![forbid(unsafe_code)]

use super::origin;
use super::origin::OriginBuf;
use super::work;
use crate::marks;
use crate::marks::Marked;
use crate::state::instance::Instance;
use crate::state::name;
use crate::state::object::Object;
use crate::state::places::Places;
use crate::state::traits::Trait;
use crate::state::traits::Traits;
use crate::state::LayerFs;
use crate::state::Positive;
use crate::state::Real;
use format::handle::index_name;
use format::handle::OverlayHandle;
use format::handle::NAME_MAX;
use format::nlink::Base;
use format::nlink::Nlink;
use format::xattr::Mark;
use kernel::prelude::*;
use kernel::sync::aref::ARef;
use vfs::guard::lock::VfsLocked;
use vfs::guard::write::WantWrite;
use vfs::object::inode::Inode as AnyInode;
use vfs::sys::errno::ESTALE;
use vfs::Foreign;
use vfs::Held;
use vfs::Override;
use vfs::Path;

/// Room for the name of an entry.
pub(crate) type EntryName = [u8; NAME_MAX];

/// Returns the name of the entry of a lower object.
///
/// # Errors
///
/// `EIO`: its filesystem makes no handle of it.
#[inline(never)]
pub(crate) fn entry_name<'b>(
    instance: &Instance,
    origin: &Real,
    room: &'b mut EntryName,
) -> Result<&'b [u8]> {
    let mut handle: OriginBuf = [0; format::handle::MAX_LEN];
    let handle = origin::encode_handle(instance, origin, false, &mut handle).ok_or(EIO)?;
    index_name(handle, room).map_err(|_| EIO)
}

/// Returns whether a copy of this lower object gets an entry: one that has several names, or any, where handles lead to
/// them.
pub(crate) fn keeps(instance: &Instance, lower: &AnyInode<Foreign>) -> bool {
    if instance.index_dir().is_none() {
        return false;
    }
    if instance.config.features.userxattr && !lower.is_regular() && !lower.is_dir() {
        // What ties a copy to its origin can't be written on anything else.
        return false;
    }
    instance.indexes_all() || !lower.is_dir() && lower.nlink() > 1
}

/// Returns the entry of a lower object, whatever it is.
///
/// # Errors
///
/// `EIO`: the filesystem of the object makes no handle of it. The errors of upper.
pub(super) fn entry(
    instance: &Instance,
    c: &Override<'_>,
    origin: &Real,
) -> Result<Option<ARef<Real>>> {
    let (Some(dir), Some(upper)) = (instance.index_dir(), &instance.upper) else {
        return Ok(None);
    };
    let mut room: EntryName = [0; NAME_MAX];
    let name = entry_name(instance, origin, &mut room)?;
    dir.lookup_killable(c, &upper.mount, name)
}

/// Returns whether an entry says that the last name of its object was removed.
pub(super) fn is_whiteout(instance: &Instance, c: &Override<'_>, entry: &Real) -> Result<bool> {
    let path = Path::new(&instance.upper()?.mount, entry)?;
    Ok(marks::is_whiteout(&instance.config, c, path))
}

/// Returns the directory in upper that the entry of a lower one leads to, if that is still there.
///
/// # Errors
///
/// `ENOMEM`, `EINTR`: it can't be looked for now. `EIO`: there is no upper.
pub(crate) fn directory_of(
    instance: &Instance,
    c: &Override<'_>,
    entry: &Real,
) -> Result<Option<ARef<Real>>> {
    let mount = &instance.upper()?.mount;
    let Some(value) = marks::upper(&instance.config, c, Path::new(mount, entry)?)? else {
        return Ok(None);
    };
    let Ok(handle) = OverlayHandle::decode(&value) else {
        return Ok(None);
    };
    let found = origin::find_in(instance, c, mount, &handle)?;
    Ok(found.filter(|found| handle.is_upper && found.is_dir()))
}

/// Finds the entry of a lower object: the copy itself, or (of a directory) what leads to it. Of one that is known to be in
/// upper (`copy`) the entry is looked for that is of that.
///
/// # Errors
///
/// `EIO`, after a message: the entry can't be of the object. The errors of upper.
fn find(
    instance: &Instance,
    c: &Override<'_>,
    origin: &Real,
    copy: Option<&Real>,
) -> Result<Option<ARef<Real>>> {
    let Some(entry) = entry(instance, c, origin)? else {
        return Ok(None);
    };
    if entry.inode().mode().file_type() != origin.inode().mode().file_type() {
        // A whiteout says that all names of the object were removed; but here is one.
        return Err(refuse(&entry, origin, "is not of"));
    }
    if !origin.is_dir() {
        let is_it = copy.is_none_or(|copy| copy.inode().key() == entry.inode().key());
        return Ok(is_it.then_some(entry));
    }
    let Some(copy) = copy else {
        return Err(refuse(
            &entry,
            origin,
            "says that upperdir has a copy under another name of",
        ));
    };
    match directory_of(instance, c, &entry)? {
        Some(known) if known.inode().key() == copy.inode().key() => Ok(Some(entry)),
        _ => Err(refuse(
            &entry,
            origin,
            "leads to another directory than that with the name of",
        )),
    }
}

#[cold]
fn refuse(entry: &Real, origin: &Real, what: &str) -> Error {
    vfs::warn_limited!(
        "the entry '{}' of the index in workdir {} '{}', which it is named by; remove it, or mount with index=off\n",
        &**entry,
        what,
        &**origin
    );
    EIO
}

/// Looks in the index for the copy of a directory that was found in the layers, where every copy has an entry.
///
/// # Errors
///
/// Those of [`find`].
#[inline(never)]
pub(super) fn join_directory(instance: &Instance, c: &Override<'_>, object: &mut Object) -> Result {
    {
        let places = Places::of(Held::unshared(object));
        let Some(lower) = places.lower() else {
            return Ok(());
        };
        let copy = places.upper();
        if find(instance, c, lower.dentry(), copy.map(|copy| copy.dentry()))?.is_none() {
            return Ok(());
        }
    }
    object.add(Traits::default().with(Trait::INDEXED, true));
    Ok(())
}

/// Returns whether a directory in upper says that it was copied up from this lower one: no other is merged with it where every
/// copy has an entry.
pub(super) fn is_copy_of(
    instance: &Instance,
    c: &Override<'_>,
    copy: Path<'_>,
    lower: &Real,
) -> bool {
    let mut room: OriginBuf = [0; format::handle::MAX_LEN];
    let known = marks::origin(&instance.config, c, copy);
    let handle = origin::encode_handle(instance, lower, false, &mut room);
    known.as_deref().is_some_and(|known| handle == Some(known))
}

/// Looks in the index for the copy of an object that is no directory, and was found in the layers.
///
/// # Errors
///
/// `ESTALE`: what was found in the lower layers is not what it was copied up from. Those of [`find`].
#[inline(never)]
pub(super) fn join(instance: &Instance, c: &Override<'_>, object: &mut Object) -> Result {
    let (found, is_metacopy) = {
        let places = Places::of(Held::unshared(object));
        let Some(lower) = places.lower().filter(|lower| !lower.inode().is_dir()) else {
            return Ok(());
        };
        match places.upper() {
            // What has one name in upper has none in the index.
            Some(copy) if copy.inode().nlink() <= 1 => return Ok(()),
            Some(copy) => {
                if places.is_metacopy() {
                    check_origin(instance, c, copy.path(), lower.dentry())?;
                }
                match find(instance, c, lower.dentry(), Some(copy.dentry()))? {
                    Some(_) => (None, false),
                    None => return Ok(()),
                }
            }
            None if !keeps(instance, lower.dentry().inode()) => return Ok(()),
            None => {
                let Some(entry) = find(instance, c, lower.dentry(), None)? else {
                    return Ok(());
                };
                let mount = &instance.upper()?.mount;
                let is_metacopy =
                    marks::is_metacopy(&instance.config, c, Path::new(mount, &entry)?)?;
                if is_metacopy && !instance.config.features.metacopy {
                    vfs::warn_limited!(
                        "'{}': not following a metacopy file; mount with metacopy=on if you trust the layers\n",
                        &**lower.dentry()
                    );
                    return Err(EPERM);
                }
                (Some(mount.pin(entry)?), is_metacopy)
            }
        }
    };
    if let Some(upper) = found {
        object.add_upper(upper, is_metacopy);
    }
    object.add(Traits::default().with(Trait::INDEXED, true));
    Ok(())
}

/// Checks that a metacopy file in upper was copied up from what was found by its name or redirect.
fn check_origin(instance: &Instance, c: &Override<'_>, copy: Path<'_>, lower: &Real) -> Result {
    let Some(known) = marks::origin(&instance.config, c, copy) else {
        return Ok(());
    };
    let mut room: OriginBuf = [0; format::handle::MAX_LEN];
    if origin::encode_handle(instance, lower, false, &mut room) == Some(&*known) {
        return Ok(());
    }
    vfs::warn_limited!(
        "'{}': what is under this name in the lower layers is not what it was copied up from; mount with the layers that \
         it was copied from, or with index=off\n",
        &**copy.dentry()
    );
    Err(ESTALE)
}

/// Returns how many names an object has of which there is a copy in the index, by what is kept beside that.
pub(super) fn names(
    instance: &Instance,
    c: &Override<'_>,
    copy: Path<'_>,
    lower: &AnyInode<Foreign>,
) -> u32 {
    let (upper, lower) = (copy.dentry().inode().nlink(), lower.nlink());
    let kept = marks::nlink(&instance.config, c, copy);
    // Without what is kept, at least those that upper has are known, which is one less than it counts.
    kept.and_then(|kept| kept.resolve(upper, lower).ok())
        .unwrap_or(upper.saturating_sub(1).max(1))
}

/// Has the entry of a directory lead to its copy in upper.
///
/// # Errors
///
/// `EIO`: upper makes no handle of the copy. `ENOSPC`, `EDQUOT`, …
pub(super) fn lead_to(entry: Marked<'_>, copy: &Real) -> Result {
    let mut room: OriginBuf = [0; format::handle::MAX_LEN];
    let handle = origin::encode_handle(entry.instance, copy, true, &mut room).ok_or(EIO)?;
    entry.write(Mark::Upper, handle, EIO)
}

/// Returns the difference of two counts.
fn difference(names: u32, real: u32) -> i32 {
    i32::try_from(i64::from(names).saturating_sub(i64::from(real))).unwrap_or(0)
}

/// Keeps how many names an object has, relative to the count of its copy, or of the lower object: whichever the operation at
/// hand changes only if it changes the names of the object as well, or not at all. The caller holds the lock of the object.
///
/// # Errors
///
/// `ENOSPC`, `EDQUOT`, …
pub(super) fn keep_names(marked: Marked<'_>, object: &Positive, base: Base) -> Result {
    let inode = object.inode();
    let real = match base {
        Base::Upper => marked.dentry.inode().nlink(),
        Base::Lower => Places::of(inode.held()).lower().ok_or(EIO)?.inode().nlink(),
    };
    let diff = difference(inode.nlink(), real);
    let mut room = [0; format::nlink::MAX_LEN];
    marked.write(Mark::Nlink, Nlink { base, diff }.encode(&mut room), EIO)
}

/// Returns whether an object has to be copied up before a name of it is removed or replaced: its names are counted beside
/// its copy.
pub(super) fn is_counted_beside_copy(instance: &Instance, object: &Positive) -> bool {
    if instance.index_dir().is_none() || name::has_upper_name(object) {
        return false;
    }
    let places = Places::of(object.inode().held());
    let lower = places.lower();
    lower.is_some_and(|lower| keeps(instance, lower.dentry().inode()))
}

/// Takes the entry of an object out of the index, if the last name of the object was removed. The caller holds the lock of
/// the object.
///
/// # Errors
///
/// Those of upper: the next mount does it.
pub(super) fn let_go(
    instance: &Instance,
    c: &Override<'_>,
    writing: &WantWrite<'_>,
    object: VfsLocked<'_, LayerFs>,
) -> Result {
    let inode = object.inode();
    if inode.nlink() > 0 {
        return Ok(());
    }
    let (Some(dir), Some(upper)) = (instance.index_dir(), &instance.upper) else {
        return Ok(());
    };
    let places = Places::of(inode.held());
    let (Some(copy), Some(lower)) = (places.upper(), places.lower()) else {
        return Ok(());
    };
    let left = copy.inode().nlink();
    if left > 1 && !inode.is_dir() {
        // A lower layer got another name of it meanwhile: these are known to be there.
        object.set_names(left.saturating_sub(1));
        let marked = Marked {
            instance,
            c,
            writing,
            dentry: copy.dentry(),
        };
        return keep_names(marked, &object, Base::Upper);
    }
    let mut room: EntryName = [0; NAME_MAX];
    let name = entry_name(instance, lower.dentry(), &mut room)?;
    let Some(entry) = dir.lookup_killable(c, &upper.mount, name)? else {
        return Ok(());
    };
    if instance.indexes_all() {
        // A handle that somebody has of it leads to nothing from now on.
        work::put_whiteout(upper, c, writing, dir, &entry)
    } else {
        work::remove(c, writing, dir, &entry)
    }
}
