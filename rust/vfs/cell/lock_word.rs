// SPDX-License-Identifier: GPL-2.0-only

//! A word of bits with a lock in it.
//!
//! It is not for data beside the bits, which wants a [`Locked`](crate::cell::locked::Locked), and not for places
//! where one may not sleep.
//!
//! C header: [`include/linux/wait_bit.h`](srctree/include/linux/wait_bit.h)
//!
//! # Examples
//!
//! ```ignore
//! let guard = self.word.lock(depth)?;
//! self.word.set(BIT);
//! drop(guard);
//! ```

use crate::sys::bindings;
use core::marker::PhantomData;
use core::sync::atomic::AtomicUsize;
use core::sync::atomic::Ordering;
use kernel::prelude::*;

/// A word of bits, one of which is a lock that tasks sleep for.
///
/// # Invariants
///
/// Bit [`LockWord::LOCK`] is set while, and only while, somebody has a [`WordGuard`].
#[derive(Default)]
pub struct LockWord(AtomicUsize);

/// The lock of a [`LockWord`] is held.
#[must_use = "the lock is released when the guard is dropped"]
pub struct WordGuard<'a> {
    word: &'a LockWord,
    #[cfg(CONFIG_LOCKDEP)]
    depth: u32,
    // To lockdep a lock belongs to a task.
    _not_send: PhantomData<*const ()>,
}

impl LockWord {
    const LOCK: u32 = usize::BITS - 1;

    /// A word with these bits, not locked.
    pub const fn new(bits: usize) -> Self {
        Self(AtomicUsize::new(bits & !(1 << Self::LOCK)))
    }

    /// The bits, without the lock.
    #[inline]
    pub fn bits(&self) -> usize {
        self.0.load(Ordering::Acquire) & !(1 << Self::LOCK)
    }

    /// Sets bits.
    pub fn set(&self, bits: usize) {
        self.0
            .fetch_or(bits & !(1 << Self::LOCK), Ordering::Release);
    }

    /// Clears bits.
    pub fn clear(&self, bits: usize) {
        self.0.fetch_and(!bits | 1 << Self::LOCK, Ordering::Release);
    }

    /// Sets some bits and clears others, at once: another task, which may read them without the lock, sees both or
    /// none.
    pub fn change(&self, set: usize, clear: usize) {
        let lock = 1 << Self::LOCK;
        let change = |bits| Some(bits & (!clear | lock) | set & !lock);
        // It never fails, as a word is always given.
        let _ = self
            .0
            .fetch_update(Ordering::Release, Ordering::Relaxed, change);
    }

    /// Adds to the number that the eight bits from `shift` on are, as far as to 255; returns what it is then. There is no
    /// such number where these bits are not all within the word, or the lock is among them: that is 0.
    #[inline]
    pub fn count(&self, shift: u32, more: u32) -> u8 {
        if shift > Self::LOCK.saturating_sub(8) {
            return 0;
        }
        let number = |bits: usize| (bits >> shift) as u8;
        let more = u8::try_from(more).unwrap_or(u8::MAX);
        let add = |bits: usize| {
            let sum = usize::from(number(bits).saturating_add(more));
            (more > 0).then_some(bits & !(0xff << shift) | sum << shift)
        };
        match self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, add)
        {
            Ok(before) => number(before).saturating_add(more),
            Err(now) => number(now),
        }
    }

    /// Locks it (wraps `wait_on_bit_lock()`), for a filesystem of this stacking depth (see
    /// [`Locked::new`](crate::cell::locked::Locked::new)). A task may hold one of each depth.
    ///
    /// # Errors
    ///
    /// `EINTR`: the task is being killed.
    ///
    /// # Context
    ///
    /// Sleeps until it is free.
    pub fn lock(&self, depth: u32) -> Result<WordGuard<'_>> {
        #[cfg(not(CONFIG_LOCKDEP))]
        let _ = depth;
        // SAFETY: No requirement; it tells lockdep what is about to be waited for.
        #[cfg(CONFIG_LOCKDEP)]
        unsafe {
            bindings::vfs_helper_lockdep_word_acquire(depth)
        };
        // SAFETY: The word lives as long as the borrow, the bit is within it.
        let result =
            unsafe { bindings::vfs_helper_bit_lock_killable(self.0.as_ptr(), Self::LOCK as i32) };
        if result != 0 {
            // SAFETY: It was acquired above.
            #[cfg(CONFIG_LOCKDEP)]
            unsafe {
                bindings::vfs_helper_lockdep_word_release(depth)
            };
            return Err(EINTR);
        }
        // INVARIANT: The bit was just set by us.
        Ok(WordGuard {
            word: self,
            #[cfg(CONFIG_LOCKDEP)]
            depth,
            _not_send: PhantomData,
        })
    }
}

impl Drop for WordGuard<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant of the word the bit is ours.
        unsafe { bindings::vfs_helper_bit_unlock(self.word.0.as_ptr(), LockWord::LOCK as i32) };
        // SAFETY: It was acquired with the bit, by this task.
        #[cfg(CONFIG_LOCKDEP)]
        unsafe {
            bindings::vfs_helper_lockdep_word_release(self.depth)
        };
    }
}
