// SPDX-License-Identifier: GPL-2.0-only

//! Numbers that each processor counts for itself: to count writes no memory that another processor reads or writes.
//!
//! They are not for what must be exact at one moment: a sum is read while others count, and what is counted meanwhile
//! is in it or not.
//!
//! C header: [`include/linux/percpu.h`](srctree/include/linux/percpu.h)
//!
//! # Examples
//!
//! ```ignore
//! let counters = Counters::new(2)?;
//! counters.add(1, 1);
//! assert_eq!(counters.sum(1), 1);
//! ```

use crate::sys::bindings;
use core::ptr::NonNull;
use kernel::prelude::*;

/// Some counters, by number from 0; each begins with 0 and wraps around after 2^64.
///
/// # Invariants
///
/// `cells` is what `vfs_helper_alloc_counters()` gave for `len` counters, and was not freed.
pub struct Counters {
    cells: NonNull<u64>,
    len: usize,
}

// SAFETY: Each processor writes its own, with one instruction or with interrupts off; they may be read at any time.
unsafe impl Send for Counters {}

// SAFETY: As above.
unsafe impl Sync for Counters {}

impl Counters {
    /// Makes `len` counters (wraps `__alloc_percpu()`).
    ///
    /// # Errors
    ///
    /// `ENOMEM`: there is no memory, or a processor has not the room for so many (some thousands are possible).
    ///
    /// # Context
    ///
    /// May sleep.
    pub fn new(len: usize) -> Result<Self> {
        // SAFETY: The function may be called by any task in process context.
        let cells = unsafe { bindings::vfs_helper_alloc_counters(len) };
        // INVARIANT: It gave them.
        Ok(Self {
            cells: NonNull::new(cells).ok_or(ENOMEM)?,
            len,
        })
    }

    /// Adds `n` to a counter (wraps `this_cpu_add()`). There is nothing to be added to where there is no such counter.
    ///
    /// # Context
    ///
    /// Any.
    #[inline]
    pub fn add(&self, at: usize, n: u64) {
        if at < self.len {
            // SAFETY: By the type invariant there is a counter at `at`.
            unsafe { bindings::vfs_helper_counter_add(self.cells.as_ptr(), at, n) };
        }
    }

    /// Returns what all processors have counted (wraps `per_cpu_ptr()`); 0 where there is no such counter.
    ///
    /// # Context
    ///
    /// Any.
    pub fn sum(&self, at: usize) -> u64 {
        if at < self.len {
            // SAFETY: By the type invariant there is a counter at `at`.
            unsafe { bindings::vfs_helper_counter_sum(self.cells.as_ptr(), at) }
        } else {
            0
        }
    }
}

impl Drop for Counters {
    fn drop(&mut self) {
        // SAFETY: By the type invariant; nobody has a reference any more.
        unsafe { bindings::vfs_helper_free_counters(self.cells.as_ptr()) };
    }
}
