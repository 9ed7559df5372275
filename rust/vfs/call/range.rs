// SPDX-License-Identifier: GPL-2.0-only

//! Operations on a range of bytes of a real file that pass none of them through us: allocating and punching, and
//! copying or sharing between two of them.
//!
//! It is not for reading and writing what a user has in memory: see [`backing`](super::backing).
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h).
//!
//! # Examples
//!
//! ```ignore
//! range::allocate(c, real, mode, offset, len)?;
//! let done = range::transfer(c, how, real_from, real_to, range)?;
//! ```

use crate::object::file::File;
use crate::object::Foreign;
use crate::sys::bindings;
use crate::sys::cred::Override;
use crate::sys::errno::from_errno;
use crate::sys::errno::to_result;
use kernel::prelude::*;

/// The operation on a range of bytes, as the user asks for it: `FALLOC_FL_*`.
#[derive(Clone, Copy)]
pub struct AllocateMode(pub(crate) i32);

/// Allocates, punches, zeroes, … a range of bytes (wraps `vfs_fallocate()`).
///
/// # Errors
///
/// `EOPNOTSUPP`, `EINVAL`, `ENOSPC`, `EFBIG`, …
///
/// # Context
///
/// May sleep.
pub fn allocate(
    _c: &Override<'_>,
    real: &File<Foreign>,
    mode: AllocateMode,
    offset: i64,
    len: i64,
) -> Result {
    // SAFETY: The file is open.
    to_result(unsafe { bindings::vfs_fallocate(real.as_ptr(), mode.0, offset, len) })
}

/// Which way bytes go from one file to another.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Transfer {
    /// Copied (`copy_file_range(2)`).
    Copy,
    /// Shared (`FICLONE`).
    Clone,
    /// Shared if they are the same already (`FIDEDUPERANGE`).
    Deduplicate,
}

/// A range of bytes to be transferred.
#[derive(Clone, Copy)]
pub struct TransferRange {
    /// The offset at which it begins in the source.
    pub from: i64,
    /// The offset at which it begins in the destination.
    pub to: i64,
    /// Its length.
    pub len: i64,
    pub(crate) flags: u32,
}

/// Transfers bytes from one real file to another; gives how many (wraps `vfs_copy_file_range()`,
/// `vfs_clone_file_range()` or `vfs_dedupe_file_range_one()`).
///
/// # Errors
///
/// `EXDEV`, `EOPNOTSUPP`, `EINVAL`, `ENOSPC`, …
///
/// # Context
///
/// May sleep.
pub fn transfer(
    _c: &Override<'_>,
    how: Transfer,
    from: &File<Foreign>,
    to: &File<Foreign>,
    range: TransferRange,
) -> Result<i64> {
    // SAFETY: Both files are open.
    let result = unsafe {
        match how {
            Transfer::Copy => bindings::vfs_copy_file_range(
                from.as_ptr(),
                range.from,
                to.as_ptr(),
                range.to,
                range.len as usize,
                range.flags,
            ) as i64,
            Transfer::Clone => bindings::vfs_clone_file_range(
                from.as_ptr(),
                range.from,
                to.as_ptr(),
                range.to,
                range.len,
                range.flags,
            ),
            Transfer::Deduplicate => bindings::vfs_dedupe_file_range_one(
                from.as_ptr(),
                range.from,
                to.as_ptr(),
                range.to,
                range.len,
                range.flags,
            ),
        }
    };
    if result < 0 {
        Err(from_errno(result))
    } else {
        Ok(result)
    }
}

/// Checks that the source of a transfer may be read (wraps `rw_verify_area()`).
///
/// # Errors
///
/// `EINVAL`, `EACCES` by an LSM.
pub fn verify_read(_c: &Override<'_>, real: &File<Foreign>, range: TransferRange) -> Result {
    // SAFETY: The file is open.
    to_result(unsafe {
        bindings::vfs_helper_verify_read(real.as_ptr(), &range.from, range.len as usize)
    })
}
