// SPDX-License-Identifier: GPL-2.0-only

//! Small things that need `unsafe` or pinning to be made, and none to be used.
//!
//! C headers: [`include/linux/mutex.h`](srctree/include/linux/mutex.h),
//! [`include/linux/random.h`](srctree/include/linux/random.h)

use crate::bindings;
use crate::errno::to_result;
use core::cell::UnsafeCell;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ops::Deref;
use core::pin::Pin;
use core::sync::atomic::AtomicPtr;
use core::sync::atomic::AtomicU32;
use core::sync::atomic::AtomicUsize;
use core::sync::atomic::Ordering;
use kernel::alloc::flags::GFP_KERNEL_ACCOUNT;
use kernel::prelude::*;
use kernel::sync::lock::mutex::MutexBackend;
use kernel::sync::lock::Guard;
use kernel::sync::Mutex;

/// Locks a mutex, unless the task is killed before.
fn lock_killable<T>(mutex: &Mutex<T>) -> Result<Guard<'_, T, MutexBackend>> {
    // The kernel crate has no such call. The mutex is the first field of a `Lock`, which is `repr(C)`, and
    // is within an `Opaque`; `Lock::from_raw` rests on that, too.
    let raw = core::ptr::from_ref(mutex).cast_mut().cast();
    // SAFETY: As said; it was initialised when the `Lock` was made, and lives as long as the borrow.
    to_result(unsafe { bindings::vfs_helper_mutex_lock_killable(raw) })?;
    // SAFETY: The mutex was just taken, by this task.
    Ok(unsafe { Guard::new(mutex, ()) })
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
        Ok(Self(match depth {
            0 | 1 => KBox::pin_init(
                kernel::new_mutex!(value, "vfs::Locked/1"),
                GFP_KERNEL_ACCOUNT,
            ),
            _ => KBox::pin_init(
                kernel::new_mutex!(value, "vfs::Locked/2"),
                GFP_KERNEL_ACCOUNT,
            ),
        }?))
    }

    /// As [`Locked::new`], for one that is taken while locks of the filesystem below are held, and under which
    /// none of those of [`Locked::new`] is taken.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn new_inner(value: T, depth: u32) -> Result<Self> {
        Ok(Self(match depth {
            0 | 1 => KBox::pin_init(
                kernel::new_mutex!(value, "vfs::Locked/1 (inner)"),
                GFP_KERNEL_ACCOUNT,
            ),
            _ => KBox::pin_init(
                kernel::new_mutex!(value, "vfs::Locked/2 (inner)"),
                GFP_KERNEL_ACCOUNT,
            ),
        }?))
    }

    /// Locks it (wraps `mutex_lock_killable()`): who has it may be waiting for a filesystem that never
    /// answers.
    ///
    /// # Errors
    ///
    /// `EINTR`: the task is being killed.
    ///
    /// # Context
    ///
    /// Sleeps until it is free.
    pub fn lock(&self) -> Result<Guard<'_, T, MutexBackend>> {
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
    pub fn lock(&self) -> Result<Guard<'_, T, MutexBackend>> {
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

/// A device number that stands for no device, for as long as it lives.
///
/// # Invariants
///
/// Allocated by `get_anon_bdev()`, and not freed yet.
pub struct AnonDev(u32);

impl AnonDev {
    /// Takes one (wraps `get_anon_bdev()`).
    ///
    /// # Errors
    ///
    /// `EMFILE`: all are taken. `ENOMEM`.
    pub fn new() -> Result<Self> {
        let mut dev = 0;
        // SAFETY: The number is ours to fill.
        to_result(unsafe { bindings::get_anon_bdev(&mut dev) })?;
        // INVARIANT: It was just allocated.
        Ok(Self(dev))
    }

    /// The number, as `stat(2)` shows it.
    #[inline]
    pub fn number(&self) -> u32 {
        self.0
    }
}

impl Drop for AnonDev {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::free_anon_bdev(self.0) };
    }
}

/// A UUID that nothing else has (wraps `uuid_gen()`).
pub fn new_uuid() -> [u8; 16] {
    let mut uuid = bindings::uuid_t::default();
    // SAFETY: It is ours to fill.
    unsafe { bindings::uuid_gen(&mut uuid) };
    uuid.b
}

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

    /// Sets the value; false, and the value is dropped, if it was set before or is being set.
    pub fn populate(&self, value: T) -> bool {
        let begun = self
            .state
            .compare_exchange(0, 1, Ordering::Relaxed, Ordering::Relaxed);
        if begun.is_err() {
            return false;
        }
        // SAFETY: By the exchange we are the only one to write.
        unsafe { (*self.value.get()).write(value) };
        // INVARIANT: It is whole, and whoever sees the state sees that.
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

    /// The value, made if it was not; of two who make it at the same time one has it dropped.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, and those of `make`.
    pub fn get_or_make(&self, make: impl FnOnce() -> Result<T>) -> Result<&T> {
        if let Some(value) = self.get() {
            return Ok(value);
        }
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

/// A word of bits, one of which is a lock that tasks sleep for.
///
/// # Invariants
///
/// Bit [`LockWord::LOCK`] is set while, and only while, somebody has a [`WordGuard`].
#[derive(Default)]
pub struct LockWord(AtomicUsize);

/// The lock of a [`LockWord`] is held.
#[must_use = "the lock is released when the guard is dropped"]
pub struct WordGuard<'a> {
    word: &'a LockWord,
    #[cfg(CONFIG_LOCKDEP)]
    depth: u32,
    // To lockdep a lock belongs to a task.
    _not_send: PhantomData<*const ()>,
}

impl LockWord {
    const LOCK: u32 = usize::BITS - 1;

    /// A word with these bits, not locked.
    pub const fn new(bits: usize) -> Self {
        Self(AtomicUsize::new(bits & !(1 << Self::LOCK)))
    }

    /// The bits, without the lock.
    #[inline]
    pub fn bits(&self) -> usize {
        self.0.load(Ordering::Acquire) & !(1 << Self::LOCK)
    }

    /// Sets bits.
    pub fn set(&self, bits: usize) {
        self.0
            .fetch_or(bits & !(1 << Self::LOCK), Ordering::Release);
    }

    /// Clears bits.
    pub fn clear(&self, bits: usize) {
        self.0.fetch_and(!bits | 1 << Self::LOCK, Ordering::Release);
    }

    /// Sets some bits and clears others, at once: nobody sees one without the other.
    pub fn change(&self, set: usize, clear: usize) {
        let lock = 1 << Self::LOCK;
        let change = |bits| Some(bits & (!clear | lock) | set & !lock);
        // It never fails, as a word is always given.
        let _ = self
            .0
            .fetch_update(Ordering::Release, Ordering::Relaxed, change);
    }

    /// Locks it (wraps `wait_on_bit_lock()`), for a filesystem of this stacking depth (see
    /// [`Locked::new`]). A task may hold one of each depth.
    ///
    /// # Errors
    ///
    /// `EINTR`: the task is being killed.
    ///
    /// # Context
    ///
    /// Sleeps until it is free.
    pub fn lock(&self, depth: u32) -> Result<WordGuard<'_>> {
        #[cfg(not(CONFIG_LOCKDEP))]
        let _ = depth;
        // SAFETY: No requirement; it tells lockdep what is about to be waited for.
        #[cfg(CONFIG_LOCKDEP)]
        unsafe {
            bindings::vfs_helper_lockdep_word_acquire(depth)
        };
        // SAFETY: The word lives as long as the borrow, the bit is within it.
        let result =
            unsafe { bindings::vfs_helper_bit_lock_killable(self.0.as_ptr(), Self::LOCK as i32) };
        if result != 0 {
            // SAFETY: It was acquired above.
            #[cfg(CONFIG_LOCKDEP)]
            unsafe {
                bindings::vfs_helper_lockdep_word_release(depth)
            };
            return Err(EINTR);
        }
        // INVARIANT: The bit was just set by us.
        Ok(WordGuard {
            word: self,
            #[cfg(CONFIG_LOCKDEP)]
            depth,
            _not_send: PhantomData,
        })
    }
}

impl Drop for WordGuard<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant of the word the bit is ours.
        unsafe { bindings::vfs_helper_bit_unlock(self.word.0.as_ptr(), LockWord::LOCK as i32) };
        // SAFETY: It was acquired with the bit, by this task.
        #[cfg(CONFIG_LOCKDEP)]
        unsafe {
            bindings::vfs_helper_lockdep_word_release(self.depth)
        };
    }
}
