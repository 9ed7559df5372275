// SPDX-License-Identifier: GPL-2.0-only

//! The lock of an inode as guards.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h) (`inode_lock()` and friends);
//! rules: [`Documentation/filesystems/directory-locking.rst`](srctree/Documentation/filesystems/directory-locking.rst)

use crate::bindings;
use crate::inode::Inode;
use crate::Owner;
use core::mem::ManuallyDrop;
use kernel::types::NotThreadSafe;

/// The lock of an inode held exclusively: its size, data and names don't change but by us.
///
/// # Invariants
///
/// `i_rwsem` is held for writing by the current task.
#[must_use = "the lock is released when the guard is dropped"]
pub struct Exclusive<'a, F: Owner> {
    inode: &'a Inode<F>,
    _task: NotThreadSafe,
}

/// The lock of an inode held shared with other readers.
///
/// # Invariants
///
/// `i_rwsem` is held for reading by the current task.
#[must_use = "the lock is released when the guard is dropped"]
pub struct Shared<'a, F: Owner> {
    inode: &'a Inode<F>,
    _task: NotThreadSafe,
}

impl<F: Owner> Inode<F> {
    fn rwsem(&self) -> *mut bindings::rw_semaphore {
        // SAFETY: The address of a field of a valid inode.
        unsafe { &raw mut (*self.as_ptr()).i_rwsem }
    }

    /// Locks it exclusively (does what `inode_lock()` does).
    ///
    /// # Context
    ///
    /// Sleeps until the lock is free.
    pub fn lock_exclusive(&self) -> Exclusive<'_, F> {
        // SAFETY: The semaphore of a valid inode is initialised.
        unsafe { bindings::down_write(self.rwsem()) };
        // INVARIANT: It was just taken.
        Exclusive {
            inode: self,
            _task: NotThreadSafe,
        }
    }

    /// Locks it shared (does what `inode_lock_shared()` does).
    ///
    /// # Context
    ///
    /// Sleeps until no writer has the lock.
    pub fn lock_shared(&self) -> Shared<'_, F> {
        // SAFETY: The semaphore of a valid inode is initialised.
        unsafe { bindings::down_read(self.rwsem()) };
        // INVARIANT: It was just taken.
        Shared {
            inode: self,
            _task: NotThreadSafe,
        }
    }
}

impl<'a, F: Owner> Exclusive<'a, F> {
    /// Lets other readers in, without a moment in which a writer could come between (wraps
    /// `downgrade_write()`).
    pub fn demote(self) -> Shared<'a, F> {
        let this = ManuallyDrop::new(self);
        // SAFETY: By the type invariant it is held for writing by this task.
        unsafe { bindings::downgrade_write(this.inode.rwsem()) };
        // INVARIANT: It is now held for reading.
        Shared {
            inode: this.inode,
            _task: NotThreadSafe,
        }
    }
}

impl<F: Owner> Drop for Exclusive<'_, F> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant it is held for writing by this task.
        unsafe { bindings::up_write(self.inode.rwsem()) };
    }
}

impl<F: Owner> Drop for Shared<'_, F> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant it is held for reading by this task.
        unsafe { bindings::up_read(self.inode.rwsem()) };
    }
}
