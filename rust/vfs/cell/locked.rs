// SPDX-License-Identifier: GPL-2.0-only

//! Mutexes that know the stacking depth, in memory of their own.
//!
//! It is not for what a path walk in RCU mode reads, nor for the locks of inodes ([`lock`](crate::guard::lock)).
//!
//! C header: [`include/linux/mutex.h`](srctree/include/linux/mutex.h)
//!
//! # Examples
//!
//! ```ignore
//! let parts = Locked::new(KVec::new(), depth)?;
//! parts.lock()?.push(part, GFP_KERNEL)?;
//! ```

use crate::sys::bindings;
use crate::sys::errno::to_result;
use core::ops::Deref;
use core::pin::Pin;
use kernel::alloc::flags::GFP_KERNEL_ACCOUNT;
use kernel::prelude::*;
use kernel::sync::lock::mutex::MutexBackend;
use kernel::sync::lock::Guard;
use kernel::sync::Mutex;

/// Locks a mutex, unless the task is killed before.
fn lock_killable<T>(mutex: &Mutex<T>) -> Result<LockedGuard<'_, T>> {
    // The kernel crate has no such call. The mutex is the first field of a `Lock`, which is `repr(C)`, and
    // is within an `Opaque`; `Lock::from_raw` rests on that, too.
    let raw = core::ptr::from_ref(mutex).cast_mut().cast();
    // SAFETY: As said; it was initialised when the `Lock` was made, and lives as long as the borrow.
    to_result(unsafe { bindings::vfs_helper_mutex_lock_killable(raw) })?;
    // SAFETY: The mutex was just taken, by this task.
    Ok(unsafe { Guard::new(mutex, ()) })
}

/// The value behind a mutex, as long as this task has it locked.
pub type LockedGuard<'a, T> = Guard<'a, T, MutexBackend>;

/// Allocates a [`Locked`] with the first name to lockdep, or with the second if the filesystem is stacked on another one.
/// (A macro, since the class of a lock is the place in the source where it is made.)
macro_rules! new_of_depth {
    ($value:expr, $depth:expr, $name:literal, $stacked:literal) => {
        Ok(Self(match $depth {
            0 | 1 => KBox::pin_init(kernel::new_mutex!($value, $name), GFP_KERNEL_ACCOUNT),
            _ => KBox::pin_init(kernel::new_mutex!($value, $stacked), GFP_KERNEL_ACCOUNT),
        }?))
    };
}

/// A value behind a mutex, in memory of its own.
pub struct Locked<T>(Pin<KBox<Mutex<T>>>);

impl<T> Locked<T> {
    /// Allocates it, for a filesystem of this stacking depth: to lockdep the locks of different
    /// depths are of different kinds, since one may be held while the filesystem below takes
    /// another.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn new(value: T, depth: u32) -> Result<Self> {
        new_of_depth!(value, depth, "vfs::Locked/1", "vfs::Locked/2")
    }

    /// Does the same as [`Locked::new`], for one that is taken while locks of the filesystem below are held, and under
    /// which none of those of [`Locked::new`] is taken.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn new_inner(value: T, depth: u32) -> Result<Self> {
        new_of_depth!(
            value,
            depth,
            "vfs::Locked/1 (inner)",
            "vfs::Locked/2 (inner)"
        )
    }

    /// Does the same as [`Locked::new`], for one that is taken by a task that holds no other lock, and under which those of
    /// inodes are taken.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn new_outermost(value: T, depth: u32) -> Result<Self> {
        new_of_depth!(
            value,
            depth,
            "vfs::Locked/1 (outermost)",
            "vfs::Locked/2 (outermost)"
        )
    }

    /// Locks it (wraps `mutex_lock_killable()`): the task that has it may be waiting for a filesystem that never
    /// answers.
    ///
    /// # Errors
    ///
    /// `EINTR`: the task is being killed.
    ///
    /// # Context
    ///
    /// Sleeps until it is free.
    pub fn lock(&self) -> Result<LockedGuard<'_, T>> {
        lock_killable(&self.0)
    }

    /// Locks it if nobody has it, without waiting.
    pub fn try_lock(&self) -> Option<Guard<'_, T, MutexBackend>> {
        self.0.try_lock()
    }
}

/// Something with a lock beside it that guards something else, in memory of its own: one allocation
/// for both.
#[pin_data]
pub struct WithLock<A, T> {
    beside: A,
    #[pin]
    lock: Mutex<T>,
}

impl<A, T> WithLock<A, T> {
    /// Allocates it. The lock is held while another of the same stacking depth is taken; see
    /// [`Locked::new`].
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn new_outer(beside: A, value: T, depth: u32) -> Result<Pin<KBox<Self>>> {
        match depth {
            0 | 1 => KBox::pin_init(
                pin_init!(Self {
                    beside,
                    lock <- kernel::new_mutex!(value, "vfs::WithLock/1 (outer)"),
                }),
                GFP_KERNEL_ACCOUNT,
            ),
            _ => KBox::pin_init(
                pin_init!(Self {
                    beside,
                    lock <- kernel::new_mutex!(value, "vfs::WithLock/2 (outer)"),
                }),
                GFP_KERNEL_ACCOUNT,
            ),
        }
    }

    /// Locks what is guarded, as [`Locked::lock`].
    ///
    /// # Errors
    ///
    /// `EINTR`: the task is being killed.
    ///
    /// # Context
    ///
    /// Sleeps until it is free.
    pub fn lock(&self) -> Result<LockedGuard<'_, T>> {
        lock_killable(&self.lock)
    }

    /// Locks it if nobody has it, without waiting.
    pub fn try_lock(&self) -> Option<Guard<'_, T, MutexBackend>> {
        self.lock.try_lock()
    }
}

impl<A, T> Deref for WithLock<A, T> {
    type Target = A;

    #[inline]
    fn deref(&self) -> &A {
        &self.beside
    }
}
