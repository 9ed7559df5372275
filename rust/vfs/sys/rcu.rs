// SPDX-License-Identifier: GPL-2.0-only

//! What proves that the RCU read lock is held.
//!
//! It is not for taking the lock: that is [`kernel::sync::rcu::read_lock`].
//!
//! C document: [`Documentation/RCU/whatisRCU.rst`](srctree/Documentation/RCU/whatisRCU.rst)
//!
//! # Examples
//!
//! ```ignore
//! let rcu = kernel::sync::rcu::read_lock();
//! let depth = cell.peek(&rcu).len();
//! ```

use core::marker::PhantomData;
use kernel::sync::rcu::Guard;
use kernel::types::NotThreadSafe;

/// A value that there is only while the RCU read lock is held, by the task that has it.
///
/// # Safety
///
/// The implementing type must be such, and not be sent to another task.
pub unsafe trait InRcu {}

// SAFETY: By its invariant.
unsafe impl InRcu for Guard {}

/// A path walk under RCU is going on, which holds the lock.
///
/// # Invariants
///
/// The RCU read lock is held for `'a`.
#[derive(Clone, Copy)]
pub struct InRcuWalk<'a>(PhantomData<&'a ()>, NotThreadSafe);

impl InRcuWalk<'_> {
    /// # Safety
    ///
    /// See the type invariant.
    #[inline]
    pub(crate) unsafe fn new() -> Self {
        // INVARIANT: By the requirement.
        Self(PhantomData, NotThreadSafe)
    }
}

// SAFETY: By its invariant.
unsafe impl InRcu for InRcuWalk<'_> {}
