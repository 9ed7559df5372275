// SPDX-License-Identifier: GPL-2.0-only

//! Finding layers that are within each other, or that another mount writes to.

#![forbid(unsafe_code)]

use crate::state::instance::Instance;
use crate::state::layer::Upper;
use crate::state::layers::List;
use kernel::prelude::*;
use kernel::sync::aref::ARef;
use vfs::object::inode_cache::InodeKey;
use vfs::ops::fs_context::FsContext;
use vfs::sys::errno::ELOOP;

/// Refuses a layer that is given twice, or that upper is, too.
pub(super) fn check_roots(fc: &FsContext<'_>, upper: Option<&Upper>, layers: &List) -> Result {
    let keys = upper.map_or(&[][..], |upper| upper.keys());
    let is_new =
        |(i, key): (usize, &InodeKey)| !keys.iter().zip(0..i).any(|(other, _)| other == key);
    let of_upper = keys.iter().enumerate().filter(|key| is_new(*key)).count();
    if layers.count_roots() == layers.len().saturating_add(of_upper) {
        return Ok(());
    }
    let lowers = || layers.iter().map(|layer| layer.root().inode().key());
    for (i, layer) in layers.iter().enumerate() {
        let key = layer.root().inode().key();
        if keys.contains(&key) || lowers().zip(0..i).any(|(other, _)| other == key) {
            fc.error(fmt!("'{}' is a layer twice", &*layer.owner().name));
            return Err(ELOOP);
        }
    }
    Ok(())
}

/// Says that a layer is also written to by another mount. With an index that is refused, as the index is of one mount alone.
///
/// # Errors
///
/// `EBUSY`: there is to be an index.
pub(super) fn report_in_use(fc: &FsContext<'_>, has_index: bool, name: &CStr) -> Result {
    if has_index {
        fc.error(fmt!(
            "'{}' is in-use as upperdir/workdir of another mount, mount with '-o index=off' to override exclusive \
             upperdir protection",
            name
        ));
        return Err(EBUSY);
    }
    fc.warn(fmt!(
        "'{}' is in use as upperdir or workdir of another mount; what is changed there may or may \
         not be seen here",
        name
    ));
    Ok(())
}

/// Refuses layers that contain each other.
pub(super) fn check_overlaps(fc: &FsContext<'_>, instance: &Instance) -> Result {
    let upper = instance
        .upper
        .iter()
        .map(|upper| (upper.mount.root(), &*upper.name, false));
    let list = instance.layers.list();
    let lowers = list
        .iter()
        .map(|layer| (layer.root(), &*layer.owner().name, true));
    for (root, name, is_lower) in Iterator::chain(upper, lowers) {
        let mut dir = ARef::from(root);
        while !dir.is_root() {
            dir = dir.parent();
            if is_lower && instance.is_layer_root(&dir) {
                fc.error(fmt!(
                    "'{}' is within another layer; layers must not overlap",
                    name
                ));
                return Err(ELOOP);
            }
            if dir.inode().is_in_use_as_upper() {
                report_in_use(fc, instance.config.features.index, name)?;
            }
        }
    }
    Ok(())
}
