// SPDX-License-Identifier: GPL-2.0-only

//! Whether a cached name is still true: asked of the layers that want to be asked (NFS, FUSE, …).

#![forbid(unsafe_code)]

use crate::engine;
use crate::state::object::Now;
use crate::state::Inode;
use crate::state::LayerFs;
use crate::state::Positive;
use crate::state::RcuInode;
use crate::state::Real as RealDentry;
use kernel::prelude::*;
use vfs::ops::revalidation::RcuRevalidation;
use vfs::ops::revalidation::Revalidation;
use vfs::ops::DentryOps;
use vfs::ops::RealType;

/// Dentry operations.
pub(crate) struct Dentry;

#[vtable]
impl DentryOps<LayerFs> for Dentry {
    fn revalidate(inode: &Inode, question: Revalidation<'_>) -> Result<bool> {
        let now = Now::of(inode.held());
        for (pin, _) in now.places().zip(0..now.needed()) {
            if !question.ask(pin.dentry())? {
                // Somebody may have the inode still when the name is looked up again.
                inode.data().set_outdated();
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn revalidate_rcu(inode: &RcuInode, question: RcuRevalidation<'_>) -> Option<bool> {
        let now = Now::of(inode.data());
        for (pin, _) in now.places().zip(0..now.needed()) {
            if !question.ask(pin)? {
                // Somebody must drop it, which can't be done here.
                return None;
            }
        }
        Some(true)
    }

    fn real(dentry: &Positive, of: RealType) -> Option<&RealDentry> {
        let inode = dentry.inode();
        if !inode.is_regular() {
            return None;
        }
        let instance = inode.super_block().data();
        let path = match of {
            RealType::Metadata => Now::of(inode.held()).real_path(instance).ok(),
            RealType::Data => engine::data::path(instance, inode).ok(),
        };
        Some(path?.dentry())
    }
}
