// SPDX-License-Identifier: GPL-2.0-only

//! The current task.
//!
//! It is not for other tasks.
//!
//! C header: [`include/linux/sched/signal.h`](srctree/include/linux/sched/signal.h)
//!
//! # Examples
//!
//! ```ignore
//! task::check_killed()?;
//! ```

use crate::sys::bindings;
use kernel::prelude::*;

/// Whether the current task is about to die of a signal (wraps `fatal_signal_pending()`).
#[inline]
pub fn is_being_killed() -> bool {
    // SAFETY: No requirement.
    unsafe { bindings::vfs_helper_is_being_killed() }
}

/// Whether the current task has a signal to attend to, of whatever kind (wraps `signal_pending()`).
#[inline]
pub fn is_interrupted() -> bool {
    kernel::current!().signal_pending()
}

/// Lets other tasks run between the steps of what may take long (wraps `cond_resched()`).
///
/// # Context
///
/// May sleep.
pub fn let_others_run() {
    // SAFETY: No requirement but the context.
    unsafe { bindings::vfs_helper_cond_resched() };
}

/// Waits so many milliseconds, less if the task is being killed (wraps `schedule_timeout_killable()`).
///
/// # Errors
///
/// `EINTR`: the task is being killed.
///
/// # Context
///
/// Sleeps.
pub fn sleep(milliseconds: u32) -> Result {
    // SAFETY: No requirement but the context.
    unsafe { bindings::vfs_helper_sleep_killable(milliseconds) };
    check_killed()
}

/// To be called between the steps of what may take long.
///
/// # Errors
///
/// `EINTR`: the task is being killed.
#[inline]
pub fn check_killed() -> Result {
    if is_being_killed() {
        Err(EINTR)
    } else {
        Ok(())
    }
}
