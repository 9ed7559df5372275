// SPDX-License-Identifier: GPL-2.0-only

//! Getting the index of copies ready (`index=on`): the directory `index` in workdir, which belongs to this upper and to these
//! lower layers, and whose entries are looked at one by one. What an entry is for is said in
//! [`inode_index`](crate::engine::inode_index).

#![forbid(unsafe_code)]

use super::plan::Plan;
use crate::engine::inode_index;
use crate::engine::origin;
use crate::engine::origin::OriginBuf;
use crate::engine::work;
use crate::marks;
use crate::marks::Marked;
use crate::state::instance::Instance;
use crate::state::layer::Upper;
use crate::state::Real;
use format::handle::parse_index_name;
use format::handle::OverlayHandle;
use format::handle::HEADER_LEN;
use format::handle::MAX_LEN;
use format::options::Features;
use format::xattr::Mark;
use kernel::prelude::*;
use kernel::str::BStr;
use kernel::sync::aref::ARef;
use vfs::call::xattr;
use vfs::guard::dir_op::Creating;
use vfs::guard::dir_op::NewEntry;
use vfs::guard::write::WantWrite;
use vfs::object::path::OwnedPath;
use vfs::object::super_block::FileHandles;
use vfs::ops::fs_context::FsContext;
use vfs::sys::cred;
use vfs::sys::cred::Capability;
use vfs::sys::errno::ENODATA;
use vfs::sys::errno::ESTALE;
use vfs::Override;
use vfs::Path;

/// The directory in workdir.
const NAME: &[u8] = b"index";

/// Switches off what needs file handles where a layer has none.
pub(super) fn check_handles(fc: &FsContext<'_>, plan: &mut Plan) {
    let lacks = |path: &OwnedPath| {
        path.as_path().dentry().super_block().file_handles() == FileHandles::None
            || !cred::capable(Capability::DacReadSearch)
    };
    let features = &mut plan.features;
    let has_upper = plan.upper.is_some();
    if features.nfs_export || features.index && has_upper {
        if let Some(lower) = plan.lowers.iter().find(|lower| lacks(&lower.path)) {
            fc.warn(fmt!(
                "fs on '{}' does not support file handles, falling back to index=off,nfs_export=off",
                &*lower.name
            ));
            features.index = false;
            features.nfs_export = false;
        }
    }
    let Some(upper) = &plan.upper else {
        return;
    };
    if features.index && lacks(&upper.path) {
        fc.warn(fmt!(
            "upper fs does not support file handles, falling back to index=off"
        ));
        features.index = false;
    }
    check_export(fc, features, has_upper);
}

/// Switches off the export of a mount that can be written to and has no index.
pub(super) fn check_export(fc: &FsContext<'_>, features: &mut Features, has_upper: bool) {
    if features.nfs_export && has_upper && !features.index {
        fc.warn(fmt!(
            "NFS export requires \"index=on\", falling back to nfs_export=off"
        ));
        features.nfs_export = false;
    }
}

/// Gets the index ready, if there is to be one.
///
/// # Errors
///
/// `ESTALE`: upper, or the index, was used with others. `EINVAL`, `ENODATA`: an entry can't be understood. `ENOTDIR`. These
/// come after a message. The errors of upper.
pub(super) fn prepare(fc: &FsContext<'_>, c: &Override<'_>, instance: &mut Instance) -> Result {
    if !instance.config.features.index {
        return Ok(());
    }
    let dir = match &instance.upper {
        Some(upper) if !upper.is_read_only() => {
            Some(make(fc, c, instance, upper).inspect_err(|_| {
                fc.warn(fmt!(
                    "try deleting index dir or mounting with '-o index=off' to disable inodes index"
                ));
            })?)
        }
        _ => None,
    };
    match (dir, &mut instance.upper) {
        (Some(dir), Some(upper)) => upper.set_index(dir),
        _ => {
            instance.config.features.index = false;
            let has_upper = instance.upper.is_some();
            check_export(fc, &mut instance.config.features, has_upper);
        }
    }
    Ok(())
}

fn make(
    fc: &FsContext<'_>,
    c: &Override<'_>,
    instance: &Instance,
    upper: &Upper,
) -> Result<ARef<Real>> {
    let writing = upper.mount.want_write()?;
    let on = |dentry| Marked {
        instance,
        c,
        writing: &writing,
        dentry,
    };
    let list = instance.layers.list();
    let lower = list.get(0).ok_or(EINVAL)?.root();
    let mut room: OriginBuf = [0; MAX_LEN];
    let origin = origin::encode_handle(instance, lower, false, &mut room).ok_or(EIO)?;
    ties(on(upper.mount.root()), Mark::Origin, origin, true).inspect_err(|_| {
        fc.error(fmt!(
            "failed to verify upper root origin: upperdir '{}' was used with other lower layers",
            &*upper.name
        ));
    })?;
    let base = upper.work()?.parent();
    let dir = make_dir(fc, c, &writing, &base)?;
    let mut room: OriginBuf = [0; MAX_LEN];
    let root = origin::encode_handle(instance, upper.mount.root(), true, &mut room).ok_or(EIO)?;
    // Programs of former times have kept it under another name.
    for (mark, sets) in [(Mark::Origin, false), (Mark::Upper, true)] {
        ties(on(&dir), mark, root, sets).inspect_err(|_| {
            fc.error(fmt!(
                "failed to verify index dir '{}' xattr: the index in workdir is that of another upperdir than '{}'",
                instance.config.xattr(mark),
                &*upper.name
            ));
        })?;
    }
    clean(fc, instance, c, &writing, &dir)?;
    Ok(dir)
}

/// Checks that a mark says `value`, or nothing yet: then it is written, if `sets` says so.
///
/// # Errors
///
/// `ESTALE`: it says something else.
fn ties(marked: Marked<'_>, mark: Mark, value: &[u8], sets: bool) -> Result {
    let path = Path::new(marked.writing.mount(), marked.dentry)?;
    let name = marked.instance.config.xattr(mark);
    match xattr::get_whole(marked.c, path, name)? {
        Some(known) if *known == *value => Ok(()),
        Some(known) if !known.is_empty() => Err(ESTALE),
        _ if sets => marked.write(mark, value, EIO),
        _ => Ok(()),
    }
}

/// Returns the directory, which stays from one mount to the next.
fn make_dir(
    fc: &FsContext<'_>,
    c: &Override<'_>,
    writing: &WantWrite<'_>,
    base: &Real,
) -> Result<ARef<Real>> {
    let creating = Creating::begin(c, writing, base, NAME)?;
    if let Some(dir) = creating.existing() {
        if dir.is_dir() {
            return Ok(ARef::from(dir));
        }
        fc.error(fmt!("'{}' in workdir is no directory", &**dir));
        return Err(ENOTDIR);
    }
    let dir = creating.create(c, &NewEntry::directory(0))?;
    work::without_inherited(c, writing, &dir)?;
    Ok(dir)
}

/// Looks at every entry, and removes those that are of nothing any more.
fn clean(
    fc: &FsContext<'_>,
    instance: &Instance,
    c: &Override<'_>,
    writing: &WantWrite<'_>,
    dir: &Real,
) -> Result {
    let path = Path::new(writing.mount(), dir)?;
    work::each_name(c, path, |name| {
        let Some(entry) = dir.lookup_killable(c, path.mount(), name)? else {
            return Ok(());
        };
        if name.first() == Some(&b'#') {
            // Something was prepared here, and did not get to its place.
            return work::cleanup_leftover(c, writing, dir, &entry, 1);
        }
        match look_at(instance, c, path, name, &entry) {
            Ok(Verdict::Stays) => Ok(()),
            Ok(Verdict::Orphan) if instance.config.features.nfs_export => {
                work::put_whiteout(instance.upper()?, c, writing, dir, &entry)
            }
            Ok(Verdict::Stale | Verdict::Orphan) => work::remove(c, writing, dir, &entry),
            Err(e) => {
                fc.error(fmt!(
                    "the entry '{}' of the index in workdir can't be understood ({:?})",
                    BStr::from_bytes(name),
                    e
                ));
                Err(e)
            }
        }
    })
}

/// What becomes of an entry.
enum Verdict {
    /// It is that of a copy.
    Stays,
    /// It is not of what it is named by.
    Stale,
    /// The last name of what it is of was removed, or its copy is gone.
    Orphan,
}

/// Finds out what becomes of an entry.
///
/// # Errors
///
/// `EINVAL`: its name is no handle. `ENODATA`: it is one of another kind of machine or of a later version, or the copy does
/// not say what it was made of.
fn look_at(
    instance: &Instance,
    c: &Override<'_>,
    dir: Path<'_>,
    name: &[u8],
    entry: &Real,
) -> Result<Verdict> {
    let mut room: OriginBuf = [0; MAX_LEN];
    if name.len() < 2 * HEADER_LEN {
        return Err(EINVAL);
    }
    let handle = parse_index_name(name, &mut room).map_err(|_| EINVAL)?;
    if let Err(why) = OverlayHandle::decode(handle) {
        return Err(if why.is_unknown() { ENODATA } else { EINVAL });
    }
    let config = &instance.config;
    let path = Path::new(dir.mount(), entry)?;
    if marks::is_whiteout(config, c, path) {
        // It says that a handle leads to nothing.
        return Ok(Verdict::Stays);
    }
    if entry.is_dir() {
        return look_at_directory(instance, c, path, handle);
    }
    let origin = marks::origin(config, c, path).ok_or(ENODATA)?;
    if *origin != *handle {
        return Ok(Verdict::Stale);
    }
    if entry.inode().nlink() > 1 {
        return Ok(Verdict::Stays);
    }
    let Some(lower) = origin::find(instance, c, path)? else {
        return Ok(Verdict::Stale);
    };
    // Upper has no name of it. It may have some in the lower layer.
    let kept = marks::nlink(config, c, path);
    let has_names = kept.is_some_and(|kept| kept.resolve(1, lower.dentry.inode().nlink()).is_ok());
    Ok(if has_names {
        Verdict::Stays
    } else {
        Verdict::Orphan
    })
}

/// Does the same of what leads to a directory. That takes looking for the directory, so it is done only where handles do.
fn look_at_directory(
    instance: &Instance,
    c: &Override<'_>,
    entry: Path<'_>,
    handle: &[u8],
) -> Result<Verdict> {
    let config = &instance.config;
    if !config.features.nfs_export {
        return Ok(Verdict::Stays);
    }
    let Some(copy) = inode_index::directory_of(instance, c, entry.dentry())? else {
        // The copy is gone, or did not get its name before the machine went down.
        return Ok(Verdict::Stale);
    };
    let origin = marks::origin(config, c, Path::new(entry.mount(), &copy)?);
    Ok(match origin {
        Some(origin) if *origin == *handle => Verdict::Stays,
        _ => Verdict::Stale,
    })
}
