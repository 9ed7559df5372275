// SPDX-License-Identifier: GPL-2.0-only

//! What is kept with an open file of ours: its backing file, and, for the few that need one, a
//! second that took its place later.
//!
//! Nearly every file needs the first alone, and is opened and closed often; so that is a pointer,
//! and a pair is allocated when a second file comes.
//!
//! It is not for directories, whose position wants a lock, nor for a file that may be replaced more than once.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h) (`private_data` of `struct file`, where it is kept)
//!
//! # Examples
//!
//! ```ignore
//! let pair = BackingPair::new(first);
//! let real = pair.second_or_open(|| BackingFile::open(c, file, path))?;
//! ```

use crate::call::backing::Backing;
use crate::call::backing::BackingFile;
use crate::object::file::OwnedFile;
use crate::sys::bindings;
use core::mem::ManuallyDrop;
use core::ptr::NonNull;
use core::sync::atomic::AtomicPtr;
use core::sync::atomic::Ordering;
use kernel::alloc::flags::GFP_KERNEL_ACCOUNT;
use kernel::prelude::*;

/// One backing file, or two.
///
/// # Invariants
///
/// The first backing file, whose reference is ours; or, with the lowest bit set, a [`Pair`] of our
/// own. The one becomes the other at most once.
pub struct BackingPair(AtomicPtr<bindings::file>);

struct Pair {
    first: ManuallyDrop<OwnedFile>,
    second: OwnedFile,
}

/// In the address: it is that of a pair.
const IS_PAIR: usize = 1;

impl BackingPair {
    /// Only the first one.
    #[inline]
    pub fn new(first: BackingFile) -> Self {
        let file = first.as_ptr();
        core::mem::forget(first);
        // INVARIANT: Its reference is ours now. A `struct file` is aligned, so the lowest bit is clear.
        Self(AtomicPtr::new(file))
    }

    #[inline]
    fn pair_of(word: *mut bindings::file) -> Option<NonNull<Pair>> {
        if word.addr() & IS_PAIR == 0 {
            return None;
        }
        NonNull::new(word.map_addr(|a| a & !IS_PAIR).cast())
    }

    /// The first one.
    #[inline]
    pub fn first(&self) -> &Backing {
        let word = self.0.load(Ordering::Acquire);
        match Self::pair_of(word) {
            // SAFETY: By the type invariant it is an open backing file, which stays open while `self` is
            // borrowed.
            None => unsafe { Backing::from_raw(word) },
            // SAFETY: By the type invariant it is a pair of backing files, which stays.
            Some(pair) => unsafe { Backing::from_raw((*pair.as_ptr()).first.as_ptr()) },
        }
    }

    /// The second one, opened by `open` if nobody has yet.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; those of `open`.
    pub fn second_or_open(&self, open: impl FnOnce() -> Result<BackingFile>) -> Result<&Backing> {
        let word = self.0.load(Ordering::Acquire);
        let pair = match Self::pair_of(word) {
            Some(pair) => pair,
            None => self.add(word, open()?.into_owned())?,
        };
        // SAFETY: By the type invariant it is a pair of backing files, which stays while `self` is borrowed.
        Ok(unsafe { Backing::from_raw((*pair.as_ptr()).second.as_ptr()) })
    }

    /// Adds a second file to the first one, `word`.
    #[cold]
    fn add(&self, word: *mut bindings::file, second: OwnedFile) -> Result<NonNull<Pair>> {
        let first = NonNull::new(word).ok_or(EIO)?;
        let pair = Pair {
            // SAFETY: It is an open file. Its reference stays with `self`: until the pair is
            // published nobody drops this.
            first: ManuallyDrop::new(unsafe { OwnedFile::from_raw(first) }),
            second,
        };
        let new = KBox::into_raw(KBox::new(pair, GFP_KERNEL_ACCOUNT)?);
        let tagged = new.cast::<bindings::file>().map_addr(|a| a | IS_PAIR);
        // INVARIANT: The pair has the reference on the first file from here on.
        let exchanged = self
            .0
            .compare_exchange(word, tagged, Ordering::AcqRel, Ordering::Acquire);
        match exchanged {
            Ok(_) => NonNull::new(new).ok_or(EIO),
            Err(other) => {
                // Another task has added a file meanwhile, as there is no lock; ours is closed again.
                // SAFETY: Nobody has seen this pair; dropping it leaves the first file alone.
                drop(unsafe { KBox::from_raw(new) });
                Self::pair_of(other).ok_or(EIO)
            }
        }
    }
}

impl Drop for BackingPair {
    fn drop(&mut self) {
        let word = *self.0.get_mut();
        let first = match Self::pair_of(word) {
            None => NonNull::new(word),
            Some(pair) => {
                // SAFETY: By the type invariant it is a pair of our own, and nobody borrows it any
                // more.
                let pair = unsafe { KBox::from_raw(pair.as_ptr()) };
                NonNull::new(pair.first.as_ptr())
            }
        };
        if let Some(first) = first {
            // A pair ends in `->release()` of the user's file, which holds no lock.
            // SAFETY: By the type invariant the reference is ours; the pair did not drop it.
            unsafe { OwnedFile::from_raw(first) }.close_now();
        }
    }
}
