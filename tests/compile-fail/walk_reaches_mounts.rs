// SPDX-License-Identifier: GPL-2.0-only

//! A path walk under RCU sees nothing of the private data of a super block: there are mounts and dentries, and
//! what can be done with those sleeps.
// expect: error[E0599]: no method named `data` found for reference `&RcuSuperBlock<F>`

use vfs::FileSystem;
use vfs::RcuInode;

/// An example.
pub fn example<F: FileSystem>(inode: &RcuInode<F>) {
    #[cfg(misuse)]
    let _ = inode.super_block().data();
    #[cfg(not(misuse))]
    let _ = inode.super_block().in_walk();
}
