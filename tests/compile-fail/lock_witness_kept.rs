// SPDX-License-Identifier: GPL-2.0-only

//! That the VFS has locked an inode can't be told to another task, which would be there when it is unlocked.
// expect: error[E0277]: `*mut ()` cannot be sent between threads safely

use vfs::guard::lock::VfsLocked;
use vfs::FileSystem;

fn elsewhere<T: Send>(_what: T) {}

/// An example.
pub fn example<F: FileSystem>(locked: VfsLocked<'_, F>) {
    #[cfg(misuse)]
    elsewhere(locked);
    #[cfg(not(misuse))]
    elsewhere(locked.dentry());
}
