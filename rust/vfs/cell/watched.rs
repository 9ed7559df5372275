// SPDX-License-Identifier: GPL-2.0-only

//! A value behind a lock, whose changes tasks wait for.
//!
//! It is not for what is held long: the lock is waited for in any case, also by a task that is being killed. (For that
//! see [`Locked`](crate::cell::locked::Locked).) The kernel crate's `CondVar` can't be used here, as its waits end with
//! any signal, or with none.
//!
//! C headers: [`include/linux/mutex.h`](srctree/include/linux/mutex.h),
//! [`include/linux/wait.h`](srctree/include/linux/wait.h)
//!
//! # Examples
//!
//! ```ignore
//! let mut state = self.state.lock();
//! while !state.is_ready {
//!     state = state.wait()?;
//! }
//! ```

use crate::sys::bindings;
use crate::sys::errno::to_result;
use core::ops::Deref;
use core::ops::DerefMut;
use core::pin::Pin;
use kernel::alloc::flags::GFP_KERNEL_ACCOUNT;
use kernel::prelude::*;
use kernel::str::CStr;
use kernel::sync::lock::mutex::MutexBackend;
use kernel::sync::lock::Guard;
use kernel::sync::LockClassKey;
use kernel::sync::Mutex;
use kernel::types::Opaque;

/// A value with a lock and those who wait for its changes, in memory of its own.
pub struct Watched<T>(Pin<KBox<Inner<T>>>);

#[pin_data]
struct Inner<T> {
    #[pin]
    lock: Mutex<T>,
    #[pin]
    waiters: Waiters,
}

/// The tasks that wait.
///
/// # Invariants
///
/// The head of a wait queue, initialised, at an address that it keeps.
#[pin_data]
struct Waiters {
    #[pin]
    head: Opaque<bindings::wait_queue_head>,
}

// SAFETY: A wait queue has a lock of its own.
unsafe impl Send for Waiters {}

// SAFETY: As above.
unsafe impl Sync for Waiters {}

impl Waiters {
    fn new() -> impl PinInit<Self> {
        // INVARIANT: The shim initialises it; it is pinned.
        pin_init!(Self {
            // SAFETY: The slot is valid for the head of a queue, which is not moved.
            head <- Opaque::ffi_init(|slot| unsafe {
                bindings::vfs_helper_init_waitqueue_head(slot)
            }),
        })
    }
}

impl<T> Watched<T> {
    /// Allocates it. `name` and `class` are for lockdep: no other lock of the class is taken while this is held.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn new(value: T, name: &'static CStr, class: Pin<&'static LockClassKey>) -> Result<Self> {
        let inner = pin_init!(Inner {
            lock <- Mutex::new(value, name, class),
            waiters <- Waiters::new(),
        });
        Ok(Self(KBox::pin_init(inner, GFP_KERNEL_ACCOUNT)?))
    }

    /// Locks it (wraps `mutex_lock()`).
    ///
    /// # Context
    ///
    /// Sleeps until it is free.
    pub fn lock(&self) -> WatchedGuard<'_, T> {
        WatchedGuard {
            of: self,
            guard: self.0.lock.lock(),
        }
    }

    /// Wakes all who wait (wraps `wake_up_all()`).
    ///
    /// # Context
    ///
    /// Any.
    pub fn wake_all(&self) {
        // SAFETY: By the type invariant of `Waiters`.
        unsafe { bindings::vfs_helper_wake_up_all(self.0.waiters.head.get()) };
    }
}

/// The lock of a [`Watched`] is held.
#[must_use = "the lock is released when the guard is dropped"]
pub struct WatchedGuard<'a, T> {
    of: &'a Watched<T>,
    guard: Guard<'a, T, MutexBackend>,
}

impl<'a, T> WatchedGuard<'a, T> {
    /// Lets the lock go until somebody wakes those who wait, and takes it again; it may come back for no reason
    /// (`milliseconds`, if it is not 0, is the longest that it waits).
    fn wait_unlocked(&mut self, milliseconds: u32) -> Result {
        // The mutex is the first field of a `Lock`: see `locked::lock_killable`.
        let mutex = core::ptr::from_ref(&self.of.0.lock).cast_mut().cast();
        // SAFETY: The queue is initialised, and the mutex is held by this task, as there is the guard; it is again when
        // the shim returns. What it guards is not borrowed meanwhile, as the guard is borrowed exclusively.
        to_result(unsafe {
            bindings::vfs_helper_wait_unlocked(self.of.0.waiters.head.get(), mutex, milliseconds)
        })
    }

    /// Lets the lock go until somebody wakes those who wait, and takes it again. It may come back for no reason.
    ///
    /// # Errors
    ///
    /// `EINTR`: the task is being killed.
    ///
    /// # Context
    ///
    /// Sleeps.
    pub fn wait(mut self) -> Result<Self> {
        self.wait_unlocked(0)?;
        Ok(self)
    }

    /// Does the same, for so many milliseconds at most.
    ///
    /// # Context
    ///
    /// Sleeps, but not in a task that is being killed.
    pub fn wait_at_most(mut self, milliseconds: u32) -> Self {
        // Who waits for a moment only has nothing to do but to look again.
        let _ = self.wait_unlocked(milliseconds.max(1));
        self
    }
}

impl<T> Deref for WatchedGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T: Unpin> DerefMut for WatchedGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}
