// SPDX-License-Identifier: GPL-2.0-only

//! Bytes that grow by a header and what belongs to it, with one check of the room for both.
//!
//! Wraps [`KVVec`], whose own appending asks for room with each slice, and is no inline function.
//!
//! It is not a general vector: what is in it is appended, and read as bytes.
//!
//! It wraps no C header.
//!
//! # Examples
//!
//! ```ignore
//! arena.push(&header, name)?;
//! let bytes: &[u8] = &arena;
//! ```

use crate::sys::alloc::charged;
use core::ops::Deref;
use core::ops::DerefMut;
use kernel::prelude::*;

/// Bytes in memory that may be virtually contiguous, and is charged to the user ([`charged`]).
pub struct ByteVec(KVVec<u8>);

impl ByteVec {
    /// An empty one with room for so many bytes.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn with_capacity(bytes: usize) -> Result<Self> {
        Ok(Self(KVVec::with_capacity(bytes, charged())?))
    }

    /// Forgets all bytes, and keeps the room.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Appends `head` and `tail`.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    ///
    /// # Context
    ///
    /// May sleep.
    #[inline]
    pub fn push<const N: usize>(&mut self, head: &[u8; N], tail: &[u8]) -> Result {
        let room = N.checked_add(tail.len()).ok_or(ENOMEM)?;
        if self.0.capacity().saturating_sub(self.0.len()) < room {
            self.grow(room)?;
        }
        let spare = self.0.spare_capacity_mut();
        debug_assert!(spare.len() >= room);
        let to = spare.as_mut_ptr().cast::<u8>();
        // SAFETY: `spare` has room for both, as was just seen to, and is ours alone, so that neither of
        // them is in it. Thus `room` more bytes are there that have been written.
        unsafe {
            core::ptr::copy_nonoverlapping(head.as_ptr(), to, N);
            core::ptr::copy_nonoverlapping(tail.as_ptr(), to.add(N), tail.len());
            self.0.inc_len(room);
        }
        Ok(())
    }

    #[cold]
    fn grow(&mut self, room: usize) -> Result {
        Ok(self.0.reserve(room, charged())?)
    }
}

impl Deref for ByteVec {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for ByteVec {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}
