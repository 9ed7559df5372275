// SPDX-License-Identifier: GPL-2.0-only

//! Cells from which a map of names may be taken while others look names up in it.
//!
//! It is not for what must be there: a map can be made again, and its memory is given back when that is short
//! ([`shrinker`](crate::sys::shrinker)).
//!
//! C document: [`Documentation/RCU/whatisRCU.rst`](srctree/Documentation/RCU/whatisRCU.rst)
//!
//! # Examples
//!
//! ```ignore
//! cell.put(map)?;
//! assert_eq!(cell.find(key.hash(b"name"), b"name"), Found::Pair(1, 3));
//! cell.take();
//! assert_eq!(cell.find(key.hash(b"name"), b"name"), Found::NoMap);
//! ```

use crate::cell::name_map::NameMap;
use crate::sys::alloc::bounded;
use crate::sys::bindings;
use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::ptr::NonNull;
use core::sync::atomic::AtomicPtr;
use core::sync::atomic::Ordering;
use kernel::prelude::*;

/// A map that others may be looking at.
#[repr(C)]
struct Shared {
    head: UnsafeCell<MaybeUninit<bindings::callback_head>>,
    map: NameMap,
}

/// What a cell says of a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Found {
    /// There is no map.
    NoMap,
    /// The name is not in the map.
    Nothing,
    /// Its numbers.
    Pair(u16, u16),
}

/// A cell for a map, which is looked at without a lock.
///
/// # Invariants
///
/// Null, or what `KBox::into_raw()` gave. Who takes a pointer out owns what it leads to, and leaves it to be read until
/// the end of an RCU grace period.
#[derive(Default)]
pub struct NameMapCell(AtomicPtr<Shared>);

// SAFETY: What is in it is shared by reference only, and freed by whoever took it out.
unsafe impl Send for NameMapCell {}

// SAFETY: As above.
unsafe impl Sync for NameMapCell {}

impl NameMapCell {
    /// Looks a name up (does what `rcu_dereference()` is for).
    ///
    /// # Context
    ///
    /// Any; does not sleep.
    #[inline]
    pub fn find(&self, hash: u32, name: &[u8]) -> Found {
        let _guard = kernel::sync::rcu::read_lock();
        // SAFETY: By the type invariant what is there now is freed only after the grace period that waits for the guard.
        match unsafe { self.0.load(Ordering::Acquire).as_ref() } {
            None => Found::NoMap,
            Some(shared) => match shared.map.find(hash, name) {
                None => Found::Nothing,
                Some((first, last)) => Found::Pair(first, last),
            },
        }
    }

    /// Returns whether there is a map.
    ///
    /// # Context
    ///
    /// Any; does not sleep.
    #[inline]
    pub fn is_there(&self) -> bool {
        !self.0.load(Ordering::Relaxed).is_null()
    }

    /// Returns how much memory a map takes in a cell, in bytes.
    pub fn size_of(map: &NameMap) -> usize {
        map.size().saturating_add(size_of::<Shared>())
    }

    /// Puts a map there; returns the size of the one that was there before, in bytes (0 if there was none).
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    ///
    /// # Context
    ///
    /// May sleep.
    pub fn put(&self, map: NameMap) -> Result<usize> {
        let shared = Shared {
            head: UnsafeCell::new(MaybeUninit::uninit()),
            map,
        };
        let new = KBox::into_raw(KBox::new(shared, bounded())?);
        // INVARIANT: It is a box that nobody else has.
        Ok(Self::retire(self.0.swap(new, Ordering::AcqRel)))
    }

    /// Takes the map away (wraps `call_rcu()`); returns its size in bytes, 0 if there was none.
    ///
    /// # Context
    ///
    /// Any; does not sleep.
    pub fn take(&self) -> usize {
        // INVARIANT: Null.
        Self::retire(self.0.swap(core::ptr::null_mut(), Ordering::AcqRel))
    }

    fn retire(old: *mut Shared) -> usize {
        let Some(old) = NonNull::new(old) else {
            return 0;
        };
        // SAFETY: By the type invariant it was taken out by us alone. The callback runs when nobody looks at it any more;
        // the module waits for it before it goes ([`Registration`](crate::ops::registration::Registration)).
        unsafe {
            let size = NameMapCell::size_of(&old.as_ref().map);
            let head = UnsafeCell::raw_get(&raw const (*old.as_ptr()).head);
            bindings::call_rcu(head.cast(), Some(free));
            size
        }
    }
}

impl Drop for NameMapCell {
    fn drop(&mut self) {
        self.take();
    }
}

/// The end of a map, after a grace period.
unsafe extern "C" fn free(head: *mut bindings::callback_head) {
    // SAFETY: It is the first field of what `retire()` gave to RCU, once. Its memory is given back in any context.
    drop(unsafe { KBox::<Shared>::from_raw(head.cast()) });
}
