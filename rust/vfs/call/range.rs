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
use core::ops::Range;
use kernel::prelude::*;

/// The operation on a range of bytes, as the user asks for it: `FALLOC_FL_*`.
#[derive(Clone, Copy)]
pub struct AllocateMode(pub(crate) i32);

impl AllocateMode {
    /// The bytes that are others afterwards: those of the range, or, where bytes are moved, all from `offset` on.
    pub fn changes(self, offset: i64, len: i64) -> Range<u64> {
        const MOVES: u32 = bindings::FALLOC_FL_COLLAPSE_RANGE | bindings::FALLOC_FL_INSERT_RANGE;

        let start = offset.max(0) as u64;
        if self.0 as u32 & MOVES != 0 {
            start..u64::MAX
        } else {
            start..start.saturating_add(len.max(0) as u64)
        }
    }
}

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

impl TransferRange {
    /// `len` bytes, from the offset `from` of the source to the offset `to` of the destination.
    pub fn new(from: i64, to: i64, len: i64) -> Self {
        Self {
            from,
            to,
            len,
            flags: 0,
        }
    }

    /// The bytes of the destination; without a length, all from the offset on.
    pub fn destination(&self) -> Range<u64> {
        let start = self.to.max(0) as u64;
        match self.len {
            0 => start..u64::MAX,
            len => start..start.saturating_add(len.max(0) as u64),
        }
    }

    /// The part of it that has `bytes` of the source.
    pub fn part(&self, bytes: &Range<u64>) -> Self {
        let from = bytes.start.min(i64::MAX as u64) as i64;
        let len = bytes.end.saturating_sub(bytes.start).min(i64::MAX as u64) as i64;
        Self {
            from,
            to: self.to.saturating_add(from.saturating_sub(self.from)),
            len,
            ..*self
        }
    }
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

/// Has written to disk what is dirty of a range of a real file, and waits for it (wraps
/// `filemap_write_and_wait_range()`). Pages of it that are mapped can be stored to again only after a fault.
///
/// # Errors
///
/// `EIO`, `ENOSPC`, …: what could not be written.
///
/// # Context
///
/// Sleeps.
pub fn write_back(_c: &Override<'_>, real: &File<Foreign>, bytes: &Range<u64>) -> Result {
    let last = bytes.end.saturating_sub(1).min(i64::MAX as u64);
    // SAFETY: The file is open.
    to_result(unsafe {
        bindings::filemap_write_and_wait_range(
            (*real.as_ptr()).f_mapping,
            bytes.start.min(last) as i64,
            last as i64,
        )
    })
}

/// Whether somebody has mapped a real file shared, and may write through that (wraps `mapping_writably_mapped()`).
pub fn is_mapped_writably(real: &File<Foreign>) -> bool {
    // SAFETY: The file is open.
    unsafe { bindings::vfs_helper_is_mapped_writably(real.as_ptr()) }
}

/// Whether sharing may be done in pieces, to the effect that one call would have: the destination may be `size` bytes
/// long (`RLIMIT_FSIZE`, `s_maxbytes`), and the data is not used in place (DAX).
pub fn may_be_in_pieces(from: &File<Foreign>, to: &File<Foreign>, size: i64) -> bool {
    // SAFETY: The files are open.
    unsafe {
        bindings::vfs_helper_may_be_long(to.inode().as_ptr(), size)
            && !bindings::vfs_helper_is_dax(from.inode().as_ptr())
            && !bindings::vfs_helper_is_dax(to.inode().as_ptr())
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
