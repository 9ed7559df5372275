// SPDX-License-Identifier: GPL-2.0-only

//! From where an object was found to its inode.

#![forbid(unsafe_code)]

use crate::marks;
use crate::state::instance::Instance;
use crate::state::object::LazyData;
use crate::state::object::Object;
use crate::state::object::Traits;
use crate::state::Inode;
use crate::state::LayerFs;
use crate::state::Real;
use crate::state::SuperBlock;
use kernel::prelude::*;
use kernel::str::CString;
use kernel::sync::aref::ARef;
use vfs::inode::Cached;
use vfs::inode::New;
use vfs::Override;
use vfs::Path;
use vfs::PinnedDentry;

/// Where an object is: dentries and the indices of their layers, topmost first; and what else a
/// lookup found out.
pub(crate) struct Found {
    pub(crate) top: (ARef<Real>, u32),
    pub(crate) below: KVec<(ARef<Real>, u32)>,
    pub(crate) metacopy: bool,
    /// Where the data-only layers have the data.
    pub(crate) lazy: Option<CString>,
    pub(crate) xattr_whiteouts: bool,
}

/// The inode of an object: the one it has while it is cached, or a new one.
///
/// An inode stands for the real inode of its top layer, so the names of a hard link share one.
///
/// # Errors
///
/// `ENOMEM`.
pub(crate) fn get(
    sb: &SuperBlock,
    instance: &Instance,
    c: &Override<'_>,
    found: Found,
) -> Result<ARef<Inode>> {
    match sb.get_or_new(found.top.0.inode().key())? {
        Cached::Found(inode) => Ok(inode),
        Cached::New(new) => init(instance, c, new, found),
    }
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
    init(instance, c, sb.new_inode()?, found)
}

fn init(
    instance: &Instance,
    c: &Override<'_>,
    new: New<LayerFs>,
    found: Found,
) -> Result<ARef<Inode>> {
    let (dentry, index) = found.top;
    let layer = instance.layers.get(index as usize).ok_or(EIO)?;
    let path = Path {
        mount: layer.mount.get(),
        dentry: &dentry,
    };
    let is_dir = dentry.is_dir();
    let traits = Traits {
        metacopy: found.metacopy,
        xattr_whiteouts: found.xattr_whiteouts,
        may_have_whiteouts: is_dir
            && (!found.below.is_empty() || marks::has_origin(&instance.config, c, path)),
    };

    let mut below = KVec::with_capacity(found.below.len(), GFP_KERNEL)?;
    for (dentry, index) in found.below {
        below.push(PinnedDentry::new(dentry, index), GFP_KERNEL)?;
    }
    let ino = instance.inode_number(dentry.inode().ino(), layer.fsid, is_dir);
    let idmap = layer.mount.get().idmap();
    let real = ARef::from(&*dentry);
    let lazy = found.lazy.map(LazyData::new);
    let object = Object::new(PinnedDentry::new(dentry, index), below, lazy, is_dir, traits)?;
    Ok(new.init(real.inode(), idmap, ino, object))
}
