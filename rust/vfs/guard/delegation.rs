// SPDX-License-Identifier: GPL-2.0-only

//! Delegations: what somebody (a client of nfsd, or a task by `fcntl(F_SETDELEG)`) was promised to be asked
//! about before it is changed.
//!
//! The VFS does not wait for them with directories locked: it asks for the delegation back, undoes the
//! operation with `EWOULDBLOCK`, and says which inode it was about. Who called lets everything go, waits
//! for that inode, and begins again. The inode is noted in the right to write ([`WantWrite`]) of the
//! operation, and [`Mount::write`] does the rest. (Extended attributes and access control lists are the exception:
//! the functions of the VFS that set them wait by themselves, for as long as `/proc/sys/fs/lease-break-time` says.)
//!
//! It is not for leases that a user of ours takes: those are the VFS's, on our own inodes.
//!
//! C header: [`include/linux/filelock.h`](srctree/include/linux/filelock.h)
//!
//! # Examples
//!
//! ```ignore
//! mount.write(|writing| Removing::begin(c, writing, dir, name)?.remove(c))
//! ```
//!
//! [`WantWrite`]: crate::guard::write::WantWrite
//! [`Mount::write`]: crate::Mount::write

use crate::sys::bindings;
use crate::sys::errno::to_result;
use core::cell::Cell;
use core::ptr::NonNull;
use kernel::prelude::*;

/// The structure as the functions of the VFS know it.
pub(crate) type Noted = kernel::bindings::delegated_inode;

/// Whether an operation was kept from being done by a delegation, and of what.
///
/// # Invariants
///
/// The inode, if there is one, was noted by `try_break_deleg()`: what that counted is ours.
#[derive(Default)]
pub(crate) struct Delegated(Cell<Option<NonNull<bindings::inode>>>);

impl Delegated {
    /// Calls a function of the VFS that notes the inode where it is told to.
    #[inline]
    pub(crate) fn note<R>(&self, f: impl FnOnce(*mut Noted) -> R) -> R {
        let mut noted = bindings::delegated_inode::default();
        let result = f((&raw mut noted).cast());
        if let Some(inode) = NonNull::new(noted.di_inode) {
            // INVARIANT: The VFS counted it for whoever waits for it.
            drop(Self(Cell::new(self.0.replace(Some(inode)))));
        }
        result
    }

    /// Takes what was noted.
    #[inline]
    pub(crate) fn take(&self) -> Self {
        Self(Cell::new(self.0.take()))
    }

    /// Notes what was noted elsewhere.
    #[inline]
    pub(crate) fn note_from(&self, other: &Self) {
        if let Some(inode) = other.0.take() {
            drop(Self(Cell::new(self.0.replace(Some(inode)))));
        }
    }

    /// Whether an operation with this result is to be begun again: nothing was done because of a
    /// delegation, and it has been given back (wraps `break_deleg_wait()`).
    ///
    /// # Errors
    ///
    /// `ERESTARTSYS`: a signal came.
    ///
    /// # Context
    ///
    /// Sleeps until it is given back, or its time is over (`/proc/sys/fs/lease-break-time`). No lock that
    /// its holder may need is to be held.
    #[inline]
    pub(crate) fn is_over<R>(self, result: &Result<R>) -> Result<bool> {
        match (self.0.get(), result) {
            (Some(inode), Err(e)) if *e == EAGAIN => {
                // SAFETY: By the type invariant.
                to_result(unsafe { bindings::vfs_helper_wait_for_delegation(inode.as_ptr()) })?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }
}

impl Drop for Delegated {
    #[inline]
    fn drop(&mut self) {
        if let Some(inode) = self.0.take() {
            // SAFETY: By the type invariant.
            unsafe { bindings::vfs_helper_put_delegated(inode.as_ptr()) };
        }
    }
}
