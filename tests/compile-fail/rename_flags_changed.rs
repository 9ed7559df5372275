// SPDX-License-Identifier: GPL-2.0-only

//! How a rename is done is said when it begins, since what is looked up, and what is checked, depends on it;
//! only that the two change places can be said later, and then both are checked to be there.
// expect: error[E0599]: no method named `set_flags` found

use kernel::prelude::*;
use vfs::guard::dir_op::Renaming;
use vfs::Override;

/// An example.
pub fn example(c: &Override<'_>, renaming: Renaming<'_>) -> Result {
    #[cfg(misuse)]
    renaming.set_flags(vfs::guard::dir_op::RenameFlags::EXCHANGE);
    renaming.exchange(c)
}
