// SPDX-License-Identifier: GPL-2.0-only

//! Telling a user where the data of a file lies.
//!
//! It is not for finding holes before data is copied: `SEEK_DATA` tells that
//! ([`OwnedFile`](crate::object::file::OwnedFile)).
//!
//! C header: [`include/linux/fiemap.h`](srctree/include/linux/fiemap.h)
//!
//! # Examples
//!
//! ```ignore
//! fn fiemap(inode: &Inode<MyFs>, extents: Extents<'_>) -> Result {
//!     mounter.override_current(|c| extents.forward(c, real.inode()))
//! }
//! ```

use crate::object::inode::Inode;
use crate::object::Foreign;
use crate::sys::bindings;
use crate::sys::cred::Override;
use crate::sys::errno::to_result;
use crate::sys::errno::EOPNOTSUPP;
use kernel::prelude::*;

/// A question for the extents of a byte range.
///
/// # Invariants
///
/// It is what the VFS passed to `->fiemap()`, during that call.
pub struct Extents<'a> {
    pub(crate) info: &'a mut bindings::fiemap_extent_info,
    pub(crate) start: u64,
    pub(crate) len: u64,
}

impl Extents<'_> {
    /// Has the real inode answer (calls its `->fiemap()`).
    ///
    /// # Errors
    ///
    /// `EOPNOTSUPP`: its filesystem can't tell. What the filesystem gives.
    ///
    /// # Context
    ///
    /// May sleep.
    pub fn forward(self, _c: &Override<'_>, real: &Inode<Foreign>) -> Result {
        // SAFETY: The operations of an inode are constant, the inode is valid.
        unsafe {
            let fiemap = (*(*real.as_ptr()).i_op).fiemap.ok_or(EOPNOTSUPP)?;
            to_result(fiemap(
                real.as_ptr(),
                (&raw mut *self.info).cast(),
                self.start,
                self.len,
            ))
        }
    }
}
