// SPDX-License-Identifier: GPL-2.0-only

//! Symbolic links: the target is what the layer says.
//!
//! A magic link of a layer (`/proc/PID/fd`) can be read, but neither followed nor copied up: it leads
//! past all names, to where the mounter could go and the user perhaps not.

#![forbid(unsafe_code)]

use crate::state::object::Now;
use crate::state::LayerFs;
use crate::state::Positive;
use kernel::prelude::*;
use vfs::call::symlink;
use vfs::ops::SymlinkOps;

/// Operations of symbolic links.
pub(crate) struct Symlink;

#[vtable]
impl SymlinkOps<LayerFs> for Symlink {
    fn target<'a>(
        dentry: &'a Positive,
        done: &mut symlink::Done<'_>,
    ) -> Result<symlink::Target<'a>> {
        let inode = dentry.inode();
        let instance = inode.super_block().data();
        let now = Now::of(inode.held());
        let path = now.fixed_real_path().ok_or(EIO)?;
        instance.as_mounter(|c| symlink::target(c, path.dentry(), done))
    }

    fn read(dentry: &Positive, buffer: symlink::UserBuffer<'_>) -> Result<i32> {
        let inode = dentry.inode();
        let instance = inode.super_block().data();
        let now = Now::of(inode.held());
        let path = now.fixed_real_path().ok_or(EIO)?;
        instance.as_mounter(|c| symlink::read_to_user(c, path, buffer))
    }
}
