// SPDX-License-Identifier: GPL-2.0-only

//! Giving memory back when the kernel is short of it.
//!
//! It is not for what the VFS takes back by itself, as dentries and inodes.
//!
//! C header: [`include/linux/shrinker.h`](srctree/include/linux/shrinker.h)
//!
//! # Examples
//!
//! ```ignore
//! impl Shrink for Cache {
//!     fn count(&self) -> usize {
//!         self.entries.load(Ordering::Relaxed)
//!     }
//!     fn shrink(&self, wanted: usize) -> Option<usize> {
//!         Some(self.map.try_lock()?.drop_oldest(wanted))
//!     }
//! }
//! let shrinker = Shrinker::new(c"my-cache", cache.clone())?;
//! ```

use crate::sys::bindings;
use core::ptr::NonNull;
use kernel::ffi;
use kernel::prelude::*;
use kernel::sync::Arc;

/// Something that can be made smaller.
///
/// # Context
///
/// Both are called by whoever needs memory, holding whatever locks he holds: they take no lock in whose possession
/// anybody allocates memory, but by trying to.
pub trait Shrink: Send + Sync + 'static {
    /// Returns how many things could be given back, of whatever kind they are.
    fn count(&self) -> usize;

    /// Gives so many of them back, or some more or less; returns how many. `None`: it can't be done now.
    fn shrink(&self, wanted: usize) -> Option<usize>;
}

/// A registration: while it is there, the kernel asks for memory.
///
/// # Invariants
///
/// `raw` is a registered shrinker, whose `private_data` is the data of `shrinks`.
pub struct Shrinker<S: Shrink> {
    raw: NonNull<bindings::shrinker>,
    _shrinks: Arc<S>,
}

// SAFETY: It may be freed by any task.
unsafe impl<S: Shrink> Send for Shrinker<S> {}

// SAFETY: A shared reference is good for nothing.
unsafe impl<S: Shrink> Sync for Shrinker<S> {}

impl<S: Shrink> Shrinker<S> {
    /// Registers (wraps `shrinker_alloc()` and `shrinker_register()`). The name is shown in debugfs.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    ///
    /// # Context
    ///
    /// May sleep.
    pub fn new(name: &CStr, shrinks: Arc<S>) -> Result<Self> {
        // SAFETY: The name is what the format wants.
        let raw = unsafe { bindings::shrinker_alloc(0, c"%s".as_char_ptr(), name.as_char_ptr()) };
        let raw = NonNull::new(raw).ok_or(ENOMEM)?;
        // SAFETY: Nobody else has the shrinker yet.
        unsafe {
            let shrinker = raw.as_ptr();
            (*shrinker).count_objects = Some(count::<S>);
            (*shrinker).scan_objects = Some(scan::<S>);
            (*shrinker).seeks = bindings::DEFAULT_SEEKS as i32;
            (*shrinker).private_data = core::ptr::from_ref::<S>(&shrinks).cast_mut().cast();
            bindings::shrinker_register(shrinker);
        }
        // INVARIANT: It was registered. The data stays where it is, behind the `Arc`.
        Ok(Self {
            raw,
            _shrinks: shrinks,
        })
    }
}

impl<S: Shrink> Drop for Shrinker<S> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant it is registered; the function waits for the calls that are under way. Where it
        // can't sleep for that, the shrinker stays for good, and what it shrinks as well.
        unsafe {
            if bindings::vfs_helper_shrinker_is_lost() {
                core::mem::forget(self._shrinks.clone());
            } else {
                bindings::shrinker_free(self.raw.as_ptr());
            }
        }
    }
}

unsafe extern "C" fn count<S: Shrink>(
    shrinker: *mut bindings::shrinker,
    _control: *mut bindings::shrink_control,
) -> ffi::c_ulong {
    // SAFETY: By the invariant of `Shrinker` it is the data, which stays while a call is under way.
    let shrinks = unsafe { &*(*shrinker).private_data.cast::<S>() };
    shrinks.count()
}

unsafe extern "C" fn scan<S: Shrink>(
    shrinker: *mut bindings::shrinker,
    control: *mut bindings::shrink_control,
) -> ffi::c_ulong {
    /// `SHRINK_STOP`.
    const STOP: ffi::c_ulong = ffi::c_ulong::MAX;

    // SAFETY: As in `count()`; the other argument is the caller's.
    let (shrinks, wanted) = unsafe {
        (
            &*(*shrinker).private_data.cast::<S>(),
            (*control).nr_to_scan,
        )
    };
    shrinks.shrink(wanted).unwrap_or(STOP)
}
