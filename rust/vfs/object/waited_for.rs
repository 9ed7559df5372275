// SPDX-License-Identifier: GPL-2.0-only

//! A check that a task for which others wait does not wait itself. It costs nothing where the kernel has no lockdep.
//!
//! A filesystem below may take its time to answer, or never answer: a daemon, a server. Whoever has the right to
//! write to a filesystem keeps others from freezing it, and mostly has locks of its directories, too; whoever
//! fills in a super block keeps `sync(2)` waiting. They may ask the filesystem that they write to, as those who
//! wait for them wait for that filesystem anyway, but no other. [`WaitedFor`] is held by the former, and
//! [`about_to_ask`] called by everything in this crate that asks; a kernel with lockdep warns if they meet.

use crate::object::super_block::RcuSuperBlock;
use crate::object::Foreign;
use kernel::types::NotThreadSafe;

/// The current task is waited for while this lives.
///
/// # Invariants
///
/// With lockdep: it holds the map that stands for that once more.
pub(crate) struct WaitedFor(NotThreadSafe);

impl WaitedFor {
    /// From now on.
    #[inline]
    pub(crate) fn new() -> Self {
        // SAFETY: No requirement. The type is not `Send`, so it is released by the same task.
        #[cfg(CONFIG_LOCKDEP)]
        unsafe {
            crate::sys::bindings::vfs_helper_lockdep_waited_for_acquire()
        };
        // INVARIANT: It was just acquired.
        Self(NotThreadSafe)
    }
}

#[cfg(CONFIG_LOCKDEP)]
impl Drop for WaitedFor {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { crate::sys::bindings::vfs_helper_lockdep_waited_for_release() };
    }
}

/// The filesystem of `sb` is about to be asked something that it may take long to answer.
#[inline]
pub(crate) fn about_to_ask(sb: &RcuSuperBlock<Foreign>) {
    #[cfg(not(CONFIG_LOCKDEP))]
    let _ = sb;
    // SAFETY: The super block is valid.
    #[cfg(CONFIG_LOCKDEP)]
    unsafe {
        crate::sys::bindings::vfs_helper_lockdep_about_to_ask(sb.as_ptr())
    };
}
