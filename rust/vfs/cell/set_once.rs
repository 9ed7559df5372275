// SPDX-License-Identifier: GPL-2.0-only

//! Cells that are set once; from then on everybody can read what is in them.
//!
//! It is not for what changes more than once or is taken away again: a reader keeps what it saw.
//!
//! It wraps no C header; it is what `smp_store_release()` and `smp_load_acquire()` are for in C.
//!
//! # Examples
//!
//! ```ignore
//! let place: SetOnce<PinnedDentry<MyLayer>> = SetOnce::new();
//! place.populate(pin);
//! if let Some(pin) = place.as_ref() { /* ... */ }
//! ```

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::sync::atomic::AtomicPtr;
use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering;
use kernel::alloc::flags::GFP_KERNEL_ACCOUNT;
use kernel::prelude::*;

/// A value that is set once, and from then on is there for everybody: readers take no lock.
///
/// The kernel crate has one too; this one is read without a call.
///
/// # Invariants
///
/// `state` only grows. In state 1 one task alone writes `value`; in state 2 it is whole.
pub struct SetOnce<T> {
    state: AtomicU32,
    value: UnsafeCell<MaybeUninit<T>>,
}

// SAFETY: It is shared only when whole, and then by reference.
unsafe impl<T: Send + Sync> Sync for SetOnce<T> {}

// SAFETY: It owns its value.
unsafe impl<T: Send> Send for SetOnce<T> {}

impl<T> SetOnce<T> {
    /// An empty one.
    pub const fn new() -> Self {
        // INVARIANT: Nothing was written.
        Self {
            state: AtomicU32::new(0),
            value: UnsafeCell::new(MaybeUninit::uninit()),
        }
    }

    /// The value, if it was set.
    #[inline]
    pub fn as_ref(&self) -> Option<&T> {
        if self.state.load(Ordering::Acquire) == 2 {
            // SAFETY: By the type invariant it is whole, and nobody writes to it any more.
            Some(unsafe { (*self.value.get()).assume_init_ref() })
        } else {
            None
        }
    }

    /// Sets the value; returns false, and drops the value, if it was set before, or another task is setting it (there
    /// is no lock to wait for).
    pub fn populate(&self, value: T) -> bool {
        let begun = self
            .state
            .compare_exchange(0, 1, Ordering::Relaxed, Ordering::Relaxed);
        if begun.is_err() {
            return false;
        }
        // SAFETY: By the exchange we are the only one to write.
        unsafe { (*self.value.get()).write(value) };
        // INVARIANT: It is whole, and a task that sees the state in `as_ref()`, without a lock, sees that.
        self.state.store(2, Ordering::Release);
        true
    }
}

impl<T> Default for SetOnce<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Drop for SetOnce<T> {
    fn drop(&mut self) {
        if *self.state.get_mut() == 2 {
            // SAFETY: By the type invariant it is whole.
            unsafe { self.value.get_mut().assume_init_drop() };
        }
    }
}

/// A value in memory of its own that is made when it is first needed, and then stays.
///
/// # Invariants
///
/// Null, or what `KBox::into_raw` gave, from then on until it is dropped.
pub struct LateBox<T>(AtomicPtr<T>);

// SAFETY: It is shared by reference only, once it is there.
unsafe impl<T: Send + Sync> Sync for LateBox<T> {}

// SAFETY: It owns its value.
unsafe impl<T: Send> Send for LateBox<T> {}

impl<T> LateBox<T> {
    /// With a value from the beginning.
    pub fn with(value: KBox<T>) -> Self {
        Self(AtomicPtr::new(KBox::into_raw(value)))
    }

    /// The value, if it was made.
    #[inline]
    pub fn get(&self) -> Option<&T> {
        // SAFETY: By the type invariant.
        unsafe { self.0.load(Ordering::Acquire).as_ref() }
    }

    /// Returns the value, made if it was not. Of two tasks that make it at the same time (there is no lock) one puts
    /// its value there; the other has its own dropped, and gets that one.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, and those of `make`.
    #[inline]
    pub fn get_or_make(&self, make: impl FnOnce() -> Result<T>) -> Result<&T> {
        match self.get() {
            Some(value) => Ok(value),
            None => self.make(make),
        }
    }

    #[cold]
    fn make(&self, make: impl FnOnce() -> Result<T>) -> Result<&T> {
        let new = KBox::into_raw(KBox::new(make()?, GFP_KERNEL_ACCOUNT)?);
        let exchanged = self.0.compare_exchange(
            core::ptr::null_mut(),
            new,
            Ordering::AcqRel,
            Ordering::Acquire,
        );
        match exchanged {
            // SAFETY: It was just put there, and stays.
            Ok(_) => Ok(unsafe { &*new }),
            Err(other) => {
                // SAFETY: Nobody has seen `new`; `other` is there to stay.
                unsafe {
                    drop(KBox::from_raw(new));
                    Ok(&*other)
                }
            }
        }
    }
}

impl<T> Default for LateBox<T> {
    fn default() -> Self {
        Self(AtomicPtr::new(core::ptr::null_mut()))
    }
}

impl<T> Drop for LateBox<T> {
    fn drop(&mut self) {
        let value = *self.0.get_mut();
        if !value.is_null() {
            // SAFETY: By the type invariant, and nobody borrows it any more.
            drop(unsafe { KBox::from_raw(value) });
        }
    }
}
