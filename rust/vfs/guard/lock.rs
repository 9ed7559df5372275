// SPDX-License-Identifier: GPL-2.0-only

//! The lock of an inode as guards.
//!
//! It is not for what the VFS has locked already for an operation: that is a [`VfsLocked`].
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h) (`inode_lock()` and friends);
//! rules: [`Documentation/filesystems/directory-locking.rst`](srctree/Documentation/filesystems/directory-locking.rst)
//!
//! # Examples
//!
//! ```ignore
//! let lock = inode.lock_exclusive_killable()?;
//! let shared = lock.demote();
//! ```

use crate::object::dentry::Positive;
use crate::object::inode::Inode;
use crate::object::inode::Protection;
use crate::object::inode::RcuInode;
use crate::object::inode::COPIED_FLAGS;
use crate::object::Foreign;
use crate::object::Ours;
use crate::object::Owner;
use crate::sys::bindings;
use crate::sys::errno::to_result;
use crate::sys::errno::EDEADLK;
use core::mem::ManuallyDrop;
use core::ops::Deref;
use kernel::prelude::*;
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

    /// Does the same as [`Inode::lock_exclusive`], for what can be given up (does what `inode_lock_killable()` does).
    ///
    /// # Errors
    ///
    /// `EINTR`: the task is being killed.
    ///
    /// # Context
    ///
    /// Sleeps until the lock is free.
    pub fn lock_exclusive_killable(&self) -> Result<Exclusive<'_, F>> {
        // SAFETY: The semaphore of a valid inode is initialised.
        to_result(unsafe { bindings::down_write_killable(self.rwsem()) })?;
        // INVARIANT: It was just taken.
        Ok(Exclusive {
            inode: self,
            _task: NotThreadSafe,
        })
    }

    /// Locks it exclusively if nobody has it (does what `inode_trylock()` does).
    pub fn try_lock_exclusive(&self) -> Option<Exclusive<'_, F>> {
        // SAFETY: The semaphore of a valid inode is initialised.
        let taken = unsafe { bindings::down_write_trylock(self.rwsem()) } != 0;
        // INVARIANT: It was just taken.
        taken.then_some(Exclusive {
            inode: self,
            _task: NotThreadSafe,
        })
    }

    /// Locks this and another inode exclusively, and gives the locks in that order. Neither is held while the other is
    /// waited for: whoever wants one of them waits for whoever has it, and not for us. So there is no order in which they
    /// must be taken.
    ///
    /// # Errors
    ///
    /// `EINTR`: the task is being killed. `EDEADLK`: they are one.
    ///
    /// # Context
    ///
    /// Sleeps until both are free.
    pub fn lock_both_killable<'a>(
        &'a self,
        other: &'a Self,
    ) -> Result<(Exclusive<'a, F>, Exclusive<'a, F>)> {
        if core::ptr::eq(self, other) {
            return Err(EDEADLK);
        }
        loop {
            let first = self.lock_exclusive_killable()?;
            if let Some(second) = other.try_lock_exclusive() {
                return Ok((first, second));
            }
            drop(first);
            let second = other.lock_exclusive_killable()?;
            if let Some(first) = self.try_lock_exclusive() {
                return Ok((first, second));
            }
        }
    }

    /// Does the same as [`Inode::lock_shared`], for what can be given up (does what `inode_lock_shared_killable()` does).
    ///
    /// # Errors
    ///
    /// `EINTR`: the task is being killed.
    ///
    /// # Context
    ///
    /// Sleeps until no writer has the lock.
    pub fn lock_shared_killable(&self) -> Result<Shared<'_, F>> {
        // SAFETY: The semaphore of a valid inode is initialised.
        to_result(unsafe { bindings::down_read_killable(self.rwsem()) })?;
        // INVARIANT: It was just taken.
        Ok(Shared {
            inode: self,
            _task: NotThreadSafe,
        })
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

impl<F: Owner> Exclusive<'_, F> {
    /// Whether it is the lock of `inode`.
    #[inline]
    pub fn is_of(&self, inode: &Inode<F>) -> bool {
        core::ptr::eq(self.inode, inode)
    }
}

impl<F: Owner> Shared<'_, F> {
    /// Whether it is the lock of `inode`.
    #[inline]
    pub fn is_of(&self, inode: &Inode<F>) -> bool {
        core::ptr::eq(self.inode, inode)
    }
}

/// A dentry of ours whose inode the VFS has locked exclusively, for the operation that it asks for.
///
/// An object that the VFS has locked can't be locked again by us, so there is no guard: this stands for the lock during
/// the call. It is what changes of an inode that the lock protects are methods of.
///
/// # Invariants
///
/// `i_rwsem` of the inode is held for writing, on behalf of the current task, for `'a`.
pub struct VfsLocked<'a, F: Ours>(&'a Positive<F>, NotThreadSafe);

impl<F: Ours> Clone for VfsLocked<'_, F> {
    #[inline]
    fn clone(&self) -> Self {
        *self
    }
}

impl<F: Ours> Copy for VfsLocked<'_, F> {}

impl<F: Ours> Deref for VfsLocked<'_, F> {
    type Target = Positive<F>;

    #[inline]
    fn deref(&self) -> &Positive<F> {
        self.0
    }
}

impl<'a, F: Ours> VfsLocked<'a, F> {
    /// # Safety
    ///
    /// `ptr` must be a positive dentry, counted for `'a`; see also the type invariant.
    #[inline]
    pub(crate) unsafe fn from_raw(ptr: *mut bindings::dentry) -> Self {
        // INVARIANT: By the requirement.
        // SAFETY: By the requirement.
        Self(unsafe { Positive::from_raw(ptr) }, NotThreadSafe)
    }

    /// The dentry.
    #[inline]
    pub fn dentry(self) -> &'a Positive<F> {
        self.0
    }

    fn ptr(self) -> *mut bindings::inode {
        self.0.inode().as_ptr()
    }

    /// Counts the names: one more (wraps `inc_nlink()`).
    pub fn add_name(self) {
        // SAFETY: The inode is valid, and locked by the type invariant.
        unsafe { bindings::inc_nlink(self.ptr()) };
    }

    /// Counts the names: one less, this one, but never none while another cached name is there, whatever
    /// was done to the layers (wraps `drop_nlink()`).
    pub fn drop_name(self) {
        // SAFETY: Both are valid, and the inode is locked by the type invariant.
        unsafe { bindings::vfs_helper_drop_nlink(self.ptr(), self.0.as_ptr()) };
    }

    /// Counts the names anew: there are so many (wraps `set_nlink()`).
    pub fn set_names(self, names: u32) {
        // SAFETY: The inode is valid, and locked by the type invariant.
        unsafe { bindings::set_nlink(self.ptr(), names) };
    }

    /// Sets those of the flags that the real inode, and what `protection` adds, say (wraps
    /// `inode_set_flags()`).
    pub fn refresh_flags(self, real: &RcuInode<Foreign>, protection: Protection) {
        // SAFETY: Both inodes are valid, and ours is locked by the type invariant. Flags are a word that
        // may be read at any time.
        unsafe {
            let flags = (&raw const (*real.as_ptr()).i_flags).read_volatile() & COPIED_FLAGS;
            bindings::inode_set_flags(self.ptr(), flags | protection.flags(), COPIED_FLAGS);
        }
    }
}
