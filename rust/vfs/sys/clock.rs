// SPDX-License-Identifier: GPL-2.0-only

//! The time since the machine was started, for limits of time.
//!
//! It is not for time stamps, which are of another clock. (The kernel crate's `Instant` can't be used here, as its
//! differences panic where they overflow.)
//!
//! C header: [`include/linux/timekeeping.h`](srctree/include/linux/timekeeping.h)
//!
//! # Examples
//!
//! ```ignore
//! let begin = clock::milliseconds();
//! let spent = clock::milliseconds().saturating_sub(begin);
//! ```

use crate::sys::bindings;

/// Returns the time since the machine was started, without that in which it was suspended, in milliseconds (wraps
/// `ktime_get()`).
///
/// # Context
///
/// Any.
pub fn milliseconds() -> u64 {
    // SAFETY: The function may be called at any time but while timekeeping is suspended, when no task runs.
    let nanoseconds = unsafe { bindings::ktime_get() };
    nanoseconds.max(0) as u64 / 1_000_000
}

/// Does the same in microseconds.
///
/// # Context
///
/// Any.
pub fn microseconds() -> u64 {
    // SAFETY: As in `milliseconds()`.
    let nanoseconds = unsafe { bindings::ktime_get() };
    nanoseconds.max(0) as u64 / 1000
}

/// Returns the time since the machine was started in whole seconds (wraps `ktime_get_seconds()`): no clock is read for
/// it.
///
/// # Context
///
/// Any.
#[inline]
pub fn seconds() -> u64 {
    // SAFETY: As in `milliseconds()`.
    let seconds = unsafe { bindings::ktime_get_seconds() };
    seconds.max(0) as u64
}
