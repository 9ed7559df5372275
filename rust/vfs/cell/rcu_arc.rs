// SPDX-License-Identifier: GPL-2.0-only

//! A shared value that is replaced while others use it.
//!
//! It is not for what is looked at often: each look counts a reference.
//!
//! C document: [`Documentation/RCU/whatisRCU.rst`](srctree/Documentation/RCU/whatisRCU.rst)
//!
//! # Examples
//!
//! ```ignore
//! let list = RcuArc::new(Arc::new(List::default(), GFP_KERNEL)?);
//! let before = list.get();
//! list.set(Arc::new(before.without(3)?, GFP_KERNEL)?);
//! ```

use crate::sys::bindings;
use core::marker::PhantomData;
use core::sync::atomic::AtomicPtr;
use core::sync::atomic::Ordering;
use kernel::sync::Arc;
use kernel::sync::ArcBorrow;
use kernel::types::ForeignOwnable;

/// A cell for a shared value.
///
/// # Invariants
///
/// What `Arc::into_foreign()` gave, with a count of ours. The count of a value that is taken out is kept until a grace
/// period has passed.
pub struct RcuArc<T: Send + Sync + 'static> {
    value: AtomicPtr<kernel::ffi::c_void>,
    _value: PhantomData<Arc<T>>,
}

impl<T: Send + Sync + 'static> RcuArc<T> {
    /// With this value.
    pub fn new(value: Arc<T>) -> Self {
        // INVARIANT: It was just made so.
        Self {
            value: AtomicPtr::new(value.into_foreign()),
            _value: PhantomData,
        }
    }

    /// The value that is there now.
    ///
    /// # Context
    ///
    /// Any; does not sleep.
    pub fn get(&self) -> Arc<T> {
        let _rcu = kernel::sync::rcu::read_lock();
        // SAFETY: By the type invariant the cell's count lasts at least as long as the lock is held.
        let value: ArcBorrow<'_, T> =
            unsafe { <Arc<T> as ForeignOwnable>::borrow(self.value.load(Ordering::Acquire)) };
        value.into()
    }

    /// Does `f` with the value that is there now, which is not counted for that.
    ///
    /// # Context
    ///
    /// Any; `f` must not sleep.
    pub fn peek<R>(&self, f: impl FnOnce(&T) -> R) -> R {
        let _rcu = kernel::sync::rcu::read_lock();
        // SAFETY: By the type invariant the cell's count lasts at least as long as the lock is held.
        let value: ArcBorrow<'_, T> =
            unsafe { <Arc<T> as ForeignOwnable>::borrow(self.value.load(Ordering::Acquire)) };
        f(&value)
    }

    /// Puts another value there, and gives up the one that was there.
    ///
    /// # Context
    ///
    /// Waits for a grace period.
    pub fn set(&self, value: Arc<T>) {
        let old = self.value.swap(value.into_foreign(), Ordering::AcqRel);
        // SAFETY: No requirement but that it may sleep.
        unsafe { bindings::synchronize_rcu_expedited() };
        // SAFETY: By the type invariant the count was the cell's, and the readers who may rely on it are gone.
        drop(unsafe { <Arc<T> as ForeignOwnable>::from_foreign(old) });
    }
}

impl<T: Send + Sync + 'static> Drop for RcuArc<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant; nobody sees the cell any more.
        drop(unsafe { <Arc<T> as ForeignOwnable>::from_foreign(*self.value.get_mut()) });
    }
}
