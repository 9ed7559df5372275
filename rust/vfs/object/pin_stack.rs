// SPDX-License-Identifier: GPL-2.0-only

//! Pins of an inode that are replaced, all at once, while others use them.
//!
//! A directory that is merged of several may come to stand on others than before: one is taken away, or another comes
//! between. Who uses what it stood on counts that ([`PinStackRef`]), and goes on with it; who only looks at the inodes
//! under RCU needs no count. What was replaced ([`RetiredPins`]) goes when nobody looks at it, and nobody uses it.
//!
//! It is not for what stays as long as the inode: a [`PinnedDentry`] by itself is had without a count.
//!
//! C document: [`Documentation/RCU/whatisRCU.rst`](srctree/Documentation/RCU/whatisRCU.rst)
//!
//! # Examples
//!
//! ```ignore
//! let below = inode.held().map(|data| &data.below).hold();
//! for pin in below.iter() {
//!     look_in(pin.path())?;
//! }
//! ```

use crate::object::pinned::Held;
use crate::object::pinned::PinSet;
use crate::object::pinned::PinnedDentry;
use crate::object::pinned::RawPin;
use crate::object::pinned::Sealed;
use crate::sys::bindings;
use crate::sys::rcu::InRcu;
use core::marker::PhantomData;
use core::mem::size_of;
use core::ptr::NonNull;
use core::sync::atomic::fence;
use core::sync::atomic::AtomicPtr;
use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering;
use kernel::alloc::flags::GFP_KERNEL_ACCOUNT;
use kernel::prelude::*;

/// Pins, one after the other in memory of their own, behind this.
///
/// # Invariants
///
/// It begins a `KVec<u64>` with room for it and `len` pins, which are whole; `users` count it.
#[repr(C, align(8))]
struct Stack {
    users: AtomicU32,
    len: u32,
}

/// How many words the head takes, and each pin.
const HEAD: usize = size_of::<Stack>() / size_of::<u64>();
const PIN: usize = size_of::<RawPin>() / size_of::<u64>();

const _: () = assert!(HEAD * size_of::<u64>() == size_of::<Stack>());
const _: () = assert!(PIN * size_of::<u64>() == size_of::<RawPin>());
const _: () = assert!(align_of::<RawPin>() <= align_of::<u64>());

impl Stack {
    /// Makes one of these pins, `first` before the others, with a count for the caller.
    fn new<T>(
        first: Option<PinnedDentry<T>>,
        others: Option<KVec<PinnedDentry<T>>>,
    ) -> Result<NonNull<Self>> {
        let others_len = others.as_ref().map_or(0, |others| others.len());
        let count = others_len.saturating_add(usize::from(first.is_some()));
        let len = u32::try_from(count).map_err(|_| ENOMEM)?;
        let words = Self::words(count).ok_or(ENOMEM)?;
        let room = KVec::<u64>::with_capacity(words, GFP_KERNEL_ACCOUNT)?;
        let stack = NonNull::new(room.into_raw_parts().0).ok_or(ENOMEM)?.cast();
        let ptr: *mut Self = stack.as_ptr();
        // SAFETY: The memory has room for the head and as many pins, each of which is moved there.
        unsafe {
            let users = AtomicU32::new(1);
            ptr.write(Self { users, len });
            let mut next = ptr.add(1).cast::<PinnedDentry<T>>();
            if let Some(pin) = first {
                next.write(pin);
                next = next.add(1);
            }
            for pin in others.into_iter().flatten() {
                next.write(pin);
                next = next.add(1);
            }
        }
        // INVARIANT: It was just made whole.
        Ok(stack)
    }

    /// How many words one of so many pins takes.
    fn words(pins: usize) -> Option<usize> {
        pins.checked_mul(PIN)?.checked_add(HEAD)
    }

    /// The pins.
    ///
    /// # Safety
    ///
    /// `stack` must have been made of pins of `T`, and stay for `'a`.
    #[inline]
    unsafe fn pins<'a, T>(stack: NonNull<Self>) -> &'a [PinnedDentry<T>] {
        // SAFETY: By the requirement and the type invariant. (A pin of any `T` is a `RawPin`.)
        unsafe {
            let first = stack.as_ptr().add(1).cast();
            core::slice::from_raw_parts(first, (*stack.as_ptr()).len as usize)
        }
    }

    /// Gives up a count; with the last one all goes.
    ///
    /// # Safety
    ///
    /// The count must be the caller's; if it is the last one, no reader under RCU is left.
    unsafe fn put(stack: NonNull<Self>) {
        let ptr = stack.as_ptr();
        // SAFETY: By the requirement it is there. The last one sees what others did before they gave theirs up.
        unsafe {
            if (*ptr).users.fetch_sub(1, Ordering::Release) != 1 {
                return;
            }
            fence(Ordering::Acquire);
            let len = (*ptr).len as usize;
            let first = ptr.add(1).cast::<RawPin>();
            for i in 0..len {
                first.add(i).drop_in_place();
            }
            let words = Self::words(len).unwrap_or(0);
            drop(KVec::<u64>::from_raw_parts(ptr.cast(), 0, words));
        }
    }
}

/// Where the pins of an inode are that may be replaced.
///
/// # Invariants
///
/// Null, or a stack of pins of `T` with a count of ours; one that is taken out keeps that count until a grace period
/// has passed.
pub struct PinStack<T> {
    stack: AtomicPtr<Stack>,
    _pins: PhantomData<fn() -> T>,
}

impl<T> Default for PinStack<T> {
    fn default() -> Self {
        // INVARIANT: Null.
        Self {
            stack: AtomicPtr::new(core::ptr::null_mut()),
            _pins: PhantomData,
        }
    }
}

impl<T> PinStack<T> {
    /// With these pins from the beginning, `first` before the others, if there are others. Without any it takes no
    /// memory.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn new(
        first: Option<PinnedDentry<T>>,
        others: Option<KVec<PinnedDentry<T>>>,
    ) -> Result<Self> {
        Ok(Self {
            stack: AtomicPtr::new(Self::make(first, others)?),
            _pins: PhantomData,
        })
    }

    fn make(
        first: Option<PinnedDentry<T>>,
        others: Option<KVec<PinnedDentry<T>>>,
    ) -> Result<*mut Stack> {
        if first.is_none() && others.as_ref().is_none_or(|others| others.is_empty()) {
            return Ok(core::ptr::null_mut());
        }
        Ok(Stack::new(first, others)?.as_ptr())
    }

    /// All of them, for who has the cell for himself: nobody replaces them meanwhile.
    #[inline]
    pub fn get_mut(&mut self) -> &[PinnedDentry<T>] {
        match NonNull::new(*self.stack.get_mut()) {
            // SAFETY: By the type invariant it was made of such; the count of the cell stays as long as the borrow, as
            // nobody else sees the cell.
            Some(stack) => unsafe { Stack::pins(stack) },
            None => &[],
        }
    }

    /// Returns whether there are any.
    ///
    /// # Context
    ///
    /// Any; does not sleep.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.stack.load(Ordering::Relaxed).is_null()
    }

    /// The pins, to look at the inodes (does what `rcu_dereference()` is for).
    ///
    /// # Context
    ///
    /// Any; what is done with them must not sleep.
    #[inline]
    pub fn peek<'a>(&'a self, _rcu: &'a impl InRcu) -> &'a [PinnedDentry<T>] {
        match NonNull::new(self.stack.load(Ordering::Acquire)) {
            // SAFETY: By the type invariant it was made of such, and the lock that is held keeps the count of the cell.
            Some(stack) => unsafe { Stack::pins(stack) },
            None => &[],
        }
    }
}

impl<'a, T> Held<'a, PinStack<T>> {
    /// Puts these pins in the place of those that are there, which go with `retired`. (The inode is held: at its end the
    /// pins that are there are released, and no others may come.)
    ///
    /// # Errors
    ///
    /// `ENOMEM`: nothing was changed.
    ///
    /// # Context
    ///
    /// May sleep.
    pub fn replace(self, pins: KVec<PinnedDentry<T>>, retired: &mut RetiredPins) -> Result {
        retired.0.reserve(1, GFP_KERNEL)?;
        let new = PinStack::make(None, Some(pins))?;
        // INVARIANT: The new one comes with a count; that of the old one is kept by `retired` until a grace period has
        // passed.
        if let Some(old) = NonNull::new(self.get().stack.swap(new, Ordering::AcqRel)) {
            // There is room; if there were none, it would stay for good.
            let _ = retired.0.push_within_capacity(old);
        }
        Ok(())
    }

    /// Counts the pins that are there, to use the dentries.
    ///
    /// # Context
    ///
    /// Any; does not sleep.
    #[inline]
    pub fn hold(self) -> PinStackRef<'a, T> {
        if self.is_empty() {
            return PinStackRef {
                stack: None,
                _pins: PhantomData,
            };
        }
        let _rcu = kernel::sync::rcu::read_lock();
        let stack = NonNull::new(self.get().stack.load(Ordering::Acquire));
        if let Some(stack) = stack {
            // SAFETY: By the type invariant the count of the cell lasts at least as long as the lock is held.
            unsafe { (*stack.as_ptr()).users.fetch_add(1, Ordering::Relaxed) };
        }
        // INVARIANT: The count was just taken.
        PinStackRef {
            stack,
            _pins: PhantomData,
        }
    }
}

/// Pins that were there when this was taken, and stay as long as it.
///
/// # Invariants
///
/// None, or a stack of pins of `T` with a count of ours. A count on the inode is held for `'a`.
pub struct PinStackRef<'a, T> {
    stack: Option<NonNull<Stack>>,
    _pins: PhantomData<(&'a (), fn() -> T, *const ())>,
}

impl<T> PinStackRef<'_, T> {
    /// Returns whether both are the same pins.
    pub fn is_same(&self, other: &Self) -> bool {
        self.stack == other.stack
    }

    /// All of them.
    #[inline]
    pub fn get(&self) -> Held<'_, [PinnedDentry<T>]> {
        let pins: &[PinnedDentry<T>] = match self.stack {
            // SAFETY: By the type invariant.
            Some(stack) => unsafe { Stack::pins(stack) },
            None => &[],
        };
        // SAFETY: What is counted is not released: pins of the stack that is in the cell when the inode is evicted are,
        // and that nobody evicts while a count is held on it.
        unsafe { Held::new(pins) }
    }
}

impl<T> Drop for PinStackRef<'_, T> {
    #[inline]
    fn drop(&mut self) {
        if let Some(stack) = self.stack {
            // SAFETY: By the type invariant the count is ours. It is the last one only if the cell's was given up, a
            // grace period after it was taken out.
            unsafe { Stack::put(stack) };
        }
    }
}

/// Pins that were replaced: they go when this is dropped, or when nobody uses them any more.
///
/// # Invariants
///
/// Each is a stack that was taken out of a cell, with the count that the cell had.
#[derive(Default)]
pub struct RetiredPins(KVec<NonNull<Stack>>);

impl Drop for RetiredPins {
    /// Waits for a grace period, once for all of them.
    fn drop(&mut self) {
        if self.0.is_empty() {
            return;
        }
        // SAFETY: No requirement but that it may sleep.
        unsafe { bindings::synchronize_rcu_expedited() };
        for stack in &self.0 {
            // SAFETY: By the type invariant the count is ours, and the readers under RCU are gone.
            unsafe { Stack::put(*stack) };
        }
    }
}

impl<T> Sealed for PinStack<T> {}

impl<T> PinSet for PinStack<T> {
    #[inline]
    fn each(&self, f: &mut impl FnMut(&RawPin)) {
        if let Some(stack) = NonNull::new(self.stack.load(Ordering::Acquire)) {
            // SAFETY: By the type invariant: the set is shown when nobody replaces it any more, at the end of the inode.
            let pins = unsafe { Stack::pins::<T>(stack) };
            pins.iter().for_each(|pin| pin.each(f));
        }
    }
}

impl<T> Drop for PinStack<T> {
    fn drop(&mut self) {
        if let Some(stack) = NonNull::new(*self.stack.get_mut()) {
            // SAFETY: By the type invariant the count is ours. Nobody sees the cell any more: it was never in an inode, or
            // the grace period after the inode's end has passed. Nor does anybody have a `PinStackRef` of it, who would
            // keep the inode.
            unsafe { Stack::put(stack) };
        }
    }
}
