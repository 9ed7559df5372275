// SPDX-License-Identifier: GPL-2.0-only

//! Revalidating dentries (`->d_revalidate()`): the layers that want to be asked (NFS, FUSE, …) are asked whether a
//! cached name is still true.

#![forbid(unsafe_code)]

use crate::engine;
use crate::state::object::Now;
use crate::state::places::Places;
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
    fn revalidate(dentry: &Positive, question: Revalidation<'_>) -> Result<bool> {
        let inode = dentry.inode();
        let now = Places::of(inode.held());
        for (pin, _) in now.all().zip(0..now.needed()) {
            if !question.ask(pin.dentry())? {
                // Another task may still have the inode (an open file, another name) when the name is looked up again.
                inode.data().set_outdated();
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn revalidate_rcu(inode: &RcuInode, question: RcuRevalidation<'_>) -> Option<bool> {
        let now = Now::of(inode.data());
        for (pin, _) in now.places_in(&question).zip(0..now.needed()) {
            if !question.ask(pin)? {
                // The dentry has to be dropped, which can't be done in RCU-walk.
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
            RealType::Metadata => Now::of(inode.held()).fixed_real_path(),
            RealType::Data => engine::data::path(instance, inode).ok(),
        };
        Some(path?.dentry())
    }
}
