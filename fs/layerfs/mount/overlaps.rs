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

/// Returns the roots of the layers in order. It is an error if two are the same.
pub(super) fn sorted_roots(
    fc: &FsContext<'_>,
    upper: Option<&Upper>,
    layers: &List,
) -> Result<KVec<InodeKey>> {
    let mut roots: KVec<InodeKey> =
        KVec::with_capacity(layers.len().saturating_add(3), GFP_KERNEL)?;
    // They are inserted in order rather than sorted in the end, as there are at most some hundreds.
    for key in upper.map_or(&[][..], |upper| upper.keys()) {
        // Without a work directory upper names the one it would be in twice.
        if let Err(place) = roots.binary_search(key) {
            roots
                .insert_within_capacity(place, *key)
                .map_err(|_| ENOMEM)?;
        }
    }
    for layer in layers.iter() {
        match roots.binary_search(&layer.root().inode().key()) {
            Err(place) => roots
                .insert_within_capacity(place, layer.root().inode().key())
                .map_err(|_| ENOMEM)?,
            Ok(_) => {
                fc.error(fmt!("'{}' is a layer twice", &*layer.owner().name));
                return Err(ELOOP);
            }
        }
    }
    Ok(roots)
}

/// Says that a layer is also written to by another mount.
pub(super) fn warn_in_use(fc: &FsContext<'_>, name: &CStr) {
    fc.warn(fmt!(
        "'{}' is in use as upperdir or workdir of another mount; what is changed there may or may \
         not be seen here",
        name
    ));
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
                warn_in_use(fc, name);
            }
        }
    }
    Ok(())
}
