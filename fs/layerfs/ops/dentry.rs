// SPDX-License-Identifier: GPL-2.0-only

//! Revalidating dentries (`->d_revalidate()`): the layers that want to be asked (NFS, FUSE, …) are asked whether a
//! cached name is still true.

#![forbid(unsafe_code)]

use crate::engine;
use crate::engine::live;
use crate::engine::lookup;
use crate::state::name;
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
        match live::settle(inode.super_block().data(), dentry) {
            Ok(true) => {}
            // Who is in a directory whose name is gone stays there.
            Ok(false) if question.is_of_who_is_there() => {}
            Ok(false) => return Ok(false),
            Err(e) if inode.is_dir() && lookup::is_of_dead_layer(e) => {}
            Err(e) => return Err(e),
        }
        let now = Places::of(inode.held());
        for (pin, i) in now.all().zip(0..now.needed()) {
            match question.ask(pin.dentry()) {
                Ok(true) => {}
                // (The root stands on what the layers were mounted on, whatever has its name now.)
                Ok(false) if i > 0 && inode.is_dir() && !dentry.is_root() => {
                    return find_place_anew(dentry);
                }
                Ok(false) => {
                    // Another task may still have the inode (an open file, another name) when the name is looked up
                    // again.
                    inode.data().set_outdated();
                    return Ok(false);
                }
                // What a layer further down can't tell concerns those who need what it has in the directory.
                Err(e) if i > 0 && inode.is_dir() && lookup::is_of_dead_layer(e) => {}
                Err(e) => return Err(e),
            }
        }
        Ok(true)
    }

    fn revalidate_rcu(inode: &RcuInode, question: RcuRevalidation<'_>) -> Option<bool> {
        if !name::is_word_settled(question.word(), inode.super_block().in_walk().changes()) {
            return None;
        }
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

/// Finds anew what a directory is merged of, as a place of it further down is not what it was: who is in the directory
/// stays there. Returns whether it is still there.
#[cold]
fn find_place_anew(dentry: &Positive) -> Result<bool> {
    let inode = dentry.inode();
    name::unsettle(dentry);
    match live::settle(inode.super_block().data(), dentry) {
        Ok(true) => Ok(true),
        Ok(false) => {
            inode.data().set_outdated();
            Ok(false)
        }
        // A layer does not answer, which concerns those who need what it has in the directory. (It is asked again by
        // the next who comes here.)
        Err(e) if lookup::is_of_dead_layer(e) => Ok(true),
        Err(e) => Err(e),
    }
}
