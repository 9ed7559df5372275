// SPDX-License-Identifier: GPL-2.0-only

//! What is done when a write has ended is done with the file it was for, and not as if that were another
//! filesystem's.
// expect: error[E0277]: the trait bound `E: WriteEnd<F>` is not satisfied

use kernel::cred::Credential;
use kernel::prelude::*;
use vfs::call::backing::Backing;
use vfs::call::backing::WriteEnd;
use vfs::call::backing::WriteRequest;
use vfs::guard::lock::Exclusive;
use vfs::FileSystem;

/// An example.
pub fn example<F: FileSystem, G: FileSystem, E: WriteEnd<G>, Right: WriteEnd<F>>(
    write: WriteRequest<'_, F>,
    real: &Backing,
    cred: &Credential,
    lock: &Exclusive<'_, F>,
) -> Result<usize> {
    #[cfg(misuse)]
    return write.forward::<E>(real, cred, lock, true);
    #[cfg(not(misuse))]
    return write.forward::<Right>(real, cred, lock, true);
}
