// SPDX-License-Identifier: GPL-2.0-only

//! Flags of an inode change under the lock that the VFS took for the operation.
// expect: error[E0599]: no method named `refresh_flags` found for reference `&Inode<F>`

use vfs::guard::lock::VfsLocked;
use vfs::object::inode::Protection;
use vfs::FileSystem;
use vfs::Foreign;
use vfs::Inode;
use vfs::RcuInode;

/// An example.
pub fn example<F: FileSystem>(
    inode: &Inode<F>,
    locked: VfsLocked<'_, F>,
    real: &RcuInode<Foreign>,
) {
    #[cfg(misuse)]
    inode.refresh_flags(real, Protection::default());
    #[cfg(not(misuse))]
    locked.refresh_flags(real, Protection::default());
    let _ = (inode, locked, real);
}
