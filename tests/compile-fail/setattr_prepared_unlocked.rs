// SPDX-License-Identifier: GPL-2.0-only

//! Whether attributes may be changed is asked with the inode locked.
// expect: error[E0308]: mismatched types

use kernel::prelude::*;
use vfs::call::change::ChangeRequest;
use vfs::guard::lock::VfsLocked;
use vfs::FileSystem;
use vfs::Positive;

/// An example.
pub fn example<F: FileSystem>(
    dentry: &Positive<F>,
    locked: VfsLocked<'_, F>,
    mut request: ChangeRequest<'_>,
) -> Result {
    let _ = (dentry, locked);
    #[cfg(misuse)]
    request.prepare(dentry)?;
    #[cfg(not(misuse))]
    request.prepare(locked)?;
    Ok(())
}
