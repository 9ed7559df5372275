// SPDX-License-Identifier: GPL-2.0-only

//! A path walk under RCU gets at access control lists that are cached, and reads none.
// expect: error[E0308]: mismatched types

use kernel::prelude::*;
use vfs::call::acl::Acl;
use vfs::call::acl::Kind;
use vfs::Foreign;
use vfs::Override;
use vfs::Path;
use vfs::RcuInode;

/// An example.
pub fn example(c: &Override<'_>, real: &RcuInode<Foreign>, path: Path<'_>) -> Result {
    let _ = (c, real, path);
    #[cfg(misuse)]
    Acl::for_check(c, real, Kind::Access)?;
    #[cfg(not(misuse))]
    Acl::for_check(c, path, Kind::Access)?;
    Ok(())
}
