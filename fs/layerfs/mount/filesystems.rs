// SPDX-License-Identifier: GPL-2.0-only

//! Finding which filesystems the layers are on, and which parts of them. That tells how objects are numbered, and
//! whether an origin can be told to be of one of them.

#![forbid(unsafe_code)]

use crate::state::layer::Filesystem;
use format::options;
use format::options::Features;
use kernel::prelude::*;
use vfs::call::stat::Part;
use vfs::call::stat::Query;
use vfs::call::stat::StatBuf;
use vfs::ops::fs_context::FsContext;
use vfs::sys::anon_dev::AnonDev;
use vfs::Override;
use vfs::Path;

/// Makes the filesystem with number 0: that of upper, whose root is at `path`, or nobody's.
pub(super) fn first_filesystem(c: &Override<'_>, path: Option<Path<'_>>) -> Result<Filesystem> {
    Ok(match path {
        Some(path) => Filesystem::new(path.dentry().super_block(), part_at(c, path))?,
        None => Filesystem {
            part: Part::NONE,
            has_parts: false,
            is_of_one_part: true,
            id: 0,
            dev: AnonDev::new()?,
            uuid: [0; 16],
            is_lower: false,
            ambiguous: false,
        },
    })
}

/// Returns which part of its filesystem the root of a layer is in.
pub(super) fn part_at(c: &Override<'_>, path: Path<'_>) -> Part {
    let sb = path.dentry().super_block();
    if sb.is_of_one_part() {
        return sb.main_part();
    }
    let part = StatBuf::new()
        .fill(c, path, Query::IDENTITY)
        .map(|stat| stat.part());
    part.unwrap_or_else(|_| sb.main_part())
}

/// Returns the index in inode numbers of the filesystem, or part of one, that the root of a layer is in; 0 is upper's.
/// The filesystem is added if it is new.
pub(super) fn fsid_of(
    filesystems: &mut KVec<Filesystem>,
    c: &Override<'_>,
    path: Path<'_>,
) -> Result<u32> {
    let sb = path.dentry().super_block();
    let (id, part) = (sb.id(), part_at(c, path));
    let index = match filesystems
        .iter()
        .position(|fs| fs.id == id && fs.part == part)
    {
        Some(index) => index,
        None => {
            let index = filesystems.len();
            filesystems.push(Filesystem::new(sb, part)?, GFP_KERNEL)?;
            index
        }
    };
    if let Some(fs) = filesystems.get_mut(index) {
        fs.is_lower = true;
    }
    Ok(index as u32)
}

/// Finds the filesystems that an origin can't be told to be on: those with the UUID of another, or
/// without one where lower layers may have been made anew meanwhile.
pub(super) fn find_ambiguous(
    fc: &FsContext<'_>,
    features: &mut Features,
    filesystems: &mut KVec<Filesystem>,
) {
    let by_uuid = features.uuid != options::Uuid::Off;
    let trusts_lowers = features.metacopy
        || features.redirect_dir == options::RedirectDir::On
        || features.xino == options::Xino::On;
    for i in 0..filesystems.len() {
        let Some(this) = filesystems.get(i).filter(|fs| fs.is_lower) else {
            continue;
        };
        let uuid = if by_uuid { this.uuid } else { [0; 16] };
        // Parts of one filesystem need not be told apart: a handle is of all of it.
        let (id, is_upper) = (
            this.id,
            filesystems.first().map(|fs| fs.id) == Some(this.id),
        );
        let twin = filesystems
            .iter()
            .any(|fs| fs.id != id && fs.is_lower && (!by_uuid || fs.uuid == uuid));
        let ambiguous = twin || uuid == [0; 16] && !trusts_lowers;
        // The filesystem of upper is known to be that.
        if let Some(this) = filesystems.get_mut(i) {
            this.ambiguous = ambiguous && !is_upper;
        }
        if ambiguous && !is_upper && features.xino == options::Xino::Auto {
            features.xino = options::Xino::Off;
            fc.warn(fmt!(
                "a lower filesystem has no uuid of its own, falling back to xino=off"
            ));
        }
    }
}
