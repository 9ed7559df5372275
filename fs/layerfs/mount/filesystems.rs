// SPDX-License-Identifier: GPL-2.0-only

//! Finding which filesystems the layers are on, and which parts of them. That tells how objects are numbered, and
//! whether an origin can be told to be of one of them.

#![forbid(unsafe_code)]

use super::plan::Plan;
use crate::engine::fit::part_at;
use crate::state::layer::Device;
use crate::state::layer::Filesystem;
use core::sync::atomic::Ordering;
use format::options;
use format::options::Features;
use kernel::prelude::*;
use kernel::sync::Arc;
use vfs::object::super_block::FileHandles;
use vfs::ops::fs_context::FsContext;
use vfs::sys::cred;
use vfs::sys::cred::Capability;
use vfs::Override;
use vfs::Path;

/// Returns the filesystem, or part of one, that the root of a layer is in. It is added if it is new.
pub(super) fn filesystem_of(
    filesystems: &mut KVec<Arc<Filesystem>>,
    devices: &mut KVec<Device>,
    c: &Override<'_>,
    path: Path<'_>,
) -> Result<Arc<Filesystem>> {
    let sb = path.dentry().super_block();
    let (id, part) = (sb.id(), part_at(c, path));
    let known = filesystems.iter().find(|fs| fs.id == id && fs.part == part);
    let fs = match known {
        Some(fs) => fs.clone(),
        None => {
            let number = u32::try_from(filesystems.len()).map_err(|_| EINVAL)?;
            let fs = Arc::new(Filesystem::new(number, sb, part, devices)?, GFP_KERNEL)?;
            filesystems.push(fs.clone(), GFP_KERNEL)?;
            fs
        }
    };
    fs.is_lower.store(true, Ordering::Relaxed);
    Ok(fs)
}

/// Turns `xino=auto` off if there is a filesystem below upper whose objects can't be found by their handles: what is copied
/// up from there would have another number after the next mount.
pub(super) fn check_handles(fc: &FsContext<'_>, plan: &mut Plan) {
    if plan.upper.is_none() || plan.features.xino != options::Xino::Auto {
        return;
    }
    let may_decode = cred::capable(Capability::DacReadSearch);
    let without = plan.lowers.iter().find(|lower| {
        let sb = lower.path.as_path().dentry().super_block();
        !may_decode || sb.file_handles() == FileHandles::None
    });
    if let Some(lower) = without {
        fc.warn(fmt!(
            "fs on '{}' does not support file handles, falling back to xino=off",
            &*lower.name
        ));
        plan.features.xino = options::Xino::Off;
    }
}

/// Finds the filesystems that an origin can't be told to be on: those with the UUID of another, or
/// without one where lower layers may have been made anew meanwhile.
pub(super) fn find_ambiguous(
    fc: &FsContext<'_>,
    features: &mut Features,
    filesystems: &[Arc<Filesystem>],
) {
    let by_uuid = features.uuid != options::Uuid::Off;
    let trusts_lowers = features.index
        || features.metacopy
        || features.redirect_dir == options::RedirectDir::On
        || features.xino == options::Xino::On;
    let is_lower = |fs: &Filesystem| fs.is_lower.load(Ordering::Relaxed);
    for this in filesystems.iter().filter(|fs| is_lower(fs)) {
        let uuid = if by_uuid { this.uuid } else { [0; 16] };
        // Parts of one filesystem need not be told apart: a handle is of all of it.
        let is_upper = filesystems.first().map(|fs| fs.id) == Some(this.id);
        let twin = filesystems
            .iter()
            .any(|fs| fs.id != this.id && is_lower(fs) && (!by_uuid || fs.uuid == uuid));
        let ambiguous = twin || uuid == [0; 16] && !trusts_lowers;
        // The filesystem of upper is known to be that.
        this.is_ambiguous
            .store(ambiguous && !is_upper, Ordering::Relaxed);
        if ambiguous && !is_upper && features.xino == options::Xino::Auto {
            features.xino = options::Xino::Off;
            fc.warn(fmt!(
                "a lower filesystem has no uuid of its own, falling back to xino=off"
            ));
        }
        if ambiguous && !is_upper && (features.index || features.nfs_export) {
            features.index = false;
            features.nfs_export = false;
            fc.warn(fmt!(
                "a lower filesystem has no uuid of its own, falling back to index=off,nfs_export=off"
            ));
        }
    }
}
