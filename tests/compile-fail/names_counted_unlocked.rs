// SPDX-License-Identifier: GPL-2.0-only

//! Names are counted under the lock of the inode that the VFS took for the operation.
// expect: error[E0599]: no method named `add_name` found for reference `&Positive<F>`

use vfs::guard::lock::VfsLocked;
use vfs::FileSystem;
use vfs::Positive;

/// An example.
pub fn example<F: FileSystem>(dentry: &Positive<F>, locked: VfsLocked<'_, F>) {
    #[cfg(misuse)]
    dentry.add_name();
    #[cfg(not(misuse))]
    locked.add_name();
    let _ = (dentry, locked);
}
