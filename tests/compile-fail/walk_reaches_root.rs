// SPDX-License-Identifier: GPL-2.0-only

//! A path walk under RCU gets no dentry, not even the root: looking up sleeps.
// expect: error[E0599]: no method named `root` found for reference `&RcuSuperBlock<F>`

use vfs::FileSystem;
use vfs::Inode;
use vfs::RcuInode;

/// An example.
pub fn example<F: FileSystem>(inode: &RcuInode<F>, counted: &Inode<F>) {
    #[cfg(misuse)]
    let _ = inode.super_block().root();
    #[cfg(not(misuse))]
    let _ = counted.super_block().root();
    let _ = (inode, counted);
}
