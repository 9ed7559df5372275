// SPDX-License-Identifier: GPL-2.0-only

//! How a layer's mount maps ids is not taken for how the mount does that a user came by.
// expect: error[E0308]: mismatched types

use vfs::object::idmap::Viewed;
use vfs::FileSystem;
use vfs::Idmap;
use vfs::Inode;

/// An example.
pub fn example<F: FileSystem>(inode: &Inode<F>, layer: &Idmap, viewed: Viewed<'_>) -> bool {
    let _ = (layer, viewed);
    #[cfg(misuse)]
    let loses = inode.loses_set_group_id(layer);
    #[cfg(not(misuse))]
    let loses = inode.loses_set_group_id(viewed);
    loses
}
