// SPDX-License-Identifier: GPL-2.0-only

//! Requests of users are passed to files that were opened behind theirs, and to no others.
// expect: error[E0308]: mismatched types

use kernel::cred::Credential;
use kernel::prelude::*;
use vfs::call::backing::Backing;
use vfs::call::backing::ReadRequest;
use vfs::object::file::OwnedFile;

/// An example.
pub fn example(
    read: ReadRequest<'_>,
    real: &Backing,
    other: &OwnedFile,
    cred: &Credential,
) -> Result {
    let _ = (real, other);
    #[cfg(misuse)]
    read.forward(other, cred)?;
    #[cfg(not(misuse))]
    read.forward(real, cred)?;
    Ok(())
}
