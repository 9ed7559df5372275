// SPDX-License-Identifier: GPL-2.0-only

//! A change of attributes is not done with the owners as a user said them, and not before it was asked whether it may be.
// expect: error[E0599]: no method named `apply` found

use kernel::prelude::*;
use vfs::call::change::ChangeRequest;
use vfs::guard::lock::VfsLocked;
use vfs::guard::write::WantWrite;
use vfs::FileSystem;
use vfs::Foreign;
use vfs::Override;
use vfs::Positive;

/// An example.
pub fn example<F: FileSystem>(
    c: &Override<'_>,
    writing: &WantWrite<'_>,
    dentry: VfsLocked<'_, F>,
    real: &Positive<Foreign>,
    request: ChangeRequest<'_>,
) -> Result {
    let _ = dentry;
    #[cfg(misuse)]
    let mut change = request;
    #[cfg(not(misuse))]
    let mut change = request.prepare(dentry)?;
    change.apply(c, writing, real)
}
