// SPDX-License-Identifier: GPL-2.0-only

//! Whether a check may sleep is what the VFS said: an access that may is not made up in a path walk under RCU.
// expect: error[E0308]: mismatched types

use kernel::prelude::*;
use vfs::object::inode::Access;
use vfs::object::inode::Rights;
use vfs::Foreign;
use vfs::Idmap;
use vfs::Override;
use vfs::RcuInode;

/// An example.
pub fn example(c: &Override<'_>, real: &RcuInode<Foreign>, access: Access<'_>) -> Result {
    let _ = access;
    #[cfg(misuse)]
    real.permission(c, Idmap::identity(), Rights::READ)?;
    #[cfg(not(misuse))]
    real.permission(c, Idmap::identity(), access.with(Rights::READ))?;
    Ok(())
}
