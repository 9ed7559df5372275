// SPDX-License-Identifier: GPL-2.0-only

//! Origins: what an object in upper was copied up from, found by the file handle that is kept with it, so
//! that it keeps the inode number it had in the lower layer.

#![forbid(unsafe_code)]

use crate::marks;
use crate::state::instance::Instance;
use crate::state::Real;
use format::options::Uuid;
use kernel::prelude::*;
use kernel::sync::aref::ARef;
use vfs::cred;
use vfs::cred::Capability;
use vfs::errno::*;
use vfs::handle::Handle;
use vfs::Override;
use vfs::Path;

/// Finds the origin of an object in upper, and the number of its layer.
///
/// `None`: it has none, or it can't be found.
///
/// # Errors
///
/// `ENOMEM`, `EIO`, …
pub(crate) fn find(
    instance: &Instance,
    c: &Override<'_>,
    upper: Path<'_>,
) -> Result<Option<(ARef<Real>, u32)>> {
    let Some(value) = marks::origin(&instance.config, c, upper) else {
        return Ok(None);
    };
    let Ok(handle) = format::handle::Handle::decode(&value) else {
        return Ok(None);
    };
    if handle.is_upper || !cred::capable(Capability::DacReadSearch) {
        return Ok(None);
    }
    let no_uuid = instance.config.features.uuid == Uuid::Off;
    for (index, layer) in instance.layers.iter().enumerate().take(instance.merged) {
        let mount = layer.mount.get();
        let fits = match instance.filesystems.get(layer.fsid as usize) {
            Some(fs) if fs.ambiguous => false,
            _ if no_uuid => handle.uuid == [0; 16],
            _ => handle.uuid == mount.super_block().uuid(),
        };
        if !fits {
            continue;
        }
        let Some(mut real) = Handle::from_parts(handle.fid_type, handle.fid) else {
            return Ok(None);
        };
        match real.find(c, mount) {
            Ok(found) if found.unsuitable().is_some() => {}
            Ok(found) => {
                let same = found.inode().mode() & vfs::inode::mode::FORMAT
                    == upper.dentry.inode().mode() & vfs::inode::mode::FORMAT;
                // Inode numbers are used again: another kind of object is another object.
                return Ok(same.then_some((found, index as u32)));
            }
            Err(e) if e == ESTALE => {}
            Err(e) => return Err(e),
        }
    }
    Ok(None)
}
