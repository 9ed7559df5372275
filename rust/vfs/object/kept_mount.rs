// SPDX-License-Identifier: GPL-2.0-only

//! Private mounts that last as long as somebody uses them: whoever owns the stack, or an inode that stands on something
//! there.
//!
//! A mount that a stack gives up while it is in use goes with the last pin on it, and not before. What its owner wants
//! to know of it (which layer it is) is kept beside it, and had from each pin.
//!
//! It is not for mounts that users see: those the VFS counts by itself.
//!
//! C header: [`include/linux/mount.h`](srctree/include/linux/mount.h)
//!
//! # Examples
//!
//! ```ignore
//! let kept = KeptMount::new(PrivateMount::clone_of(c, path, PrivateUse::ReadOnly)?, 3)?;
//! let pin = kept.pin(ARef::from(kept.get().root()))?;
//! assert_eq!(*pin.owner(), 3);
//! ```

use crate::object::dentry::Positive;
use crate::object::mount::Mount;
use crate::object::mount::PrivateMount;
use crate::object::pinned::PinnedDentry;
use crate::object::Foreign;
use crate::sys::bindings;
use core::cell::UnsafeCell;
use core::mem::ManuallyDrop;
use core::mem::MaybeUninit;
use core::ops::Deref;
use core::ptr::NonNull;
use core::sync::atomic::fence;
use core::sync::atomic::AtomicUsize;
use core::sync::atomic::Ordering;
use kernel::prelude::*;
use kernel::sync::aref::ARef;
use kernel::sync::aref::AlwaysRefCounted;

/// What there is of a [`KeptMount`] whatever its owner keeps beside it.
///
/// # Invariants
///
/// It is the first field of a `KeptMount` in a box of its own, which `free` drops. The mount is there while `users` is
/// not zero, and can be read to the end of the RCU grace period after that. `watchers`, of whom one stands for all
/// users, keep the memory.
#[repr(C)]
pub(crate) struct Head {
    rcu: UnsafeCell<MaybeUninit<bindings::callback_head>>,
    mount: ManuallyDrop<PrivateMount>,
    users: AtomicUsize,
    watchers: AtomicUsize,
    free: unsafe extern "C" fn(*mut bindings::callback_head),
}

impl Head {
    /// The mount: also under RCU, when it may have been given up already.
    #[inline]
    pub(crate) fn mount(&self) -> &Mount {
        self.mount.get()
    }

    #[inline]
    fn hold(&self) {
        // Who counts one more has one already, as with `Arc`. (There is no room in memory for as many as it would take
        // to overflow: each is of a dentry, or in a variable of a task.)
        self.users.fetch_add(1, Ordering::Relaxed);
    }

    /// Gives up a count; with the last one the mount goes, and after a grace period the rest.
    ///
    /// # Safety
    ///
    /// The count must be the caller's.
    pub(crate) unsafe fn put(head: NonNull<Self>) {
        let ptr = head.as_ptr();
        // SAFETY: By the requirement it is there. The last one sees all that others did before they gave theirs up; and
        // nobody but readers under RCU looks at it any more, who only read what stays.
        unsafe {
            if (*ptr).users.fetch_sub(1, Ordering::Release) != 1 {
                return;
            }
            fence(Ordering::Acquire);
            (*ptr).mount.give_up();
            Self::unwatch(head);
        }
    }

    /// Gives up a watcher's count; after the last one the memory goes, when a grace period has passed.
    ///
    /// # Safety
    ///
    /// The count must be the caller's.
    unsafe fn unwatch(head: NonNull<Self>) {
        let ptr = head.as_ptr();
        // SAFETY: By the requirement it is there.
        unsafe {
            if (*ptr).watchers.fetch_sub(1, Ordering::Release) != 1 {
                return;
            }
            fence(Ordering::Acquire);
            let rcu = UnsafeCell::raw_get(&raw const (*ptr).rcu);
            bindings::call_rcu(rcu.cast(), Some((*ptr).free));
        }
    }
}

/// A private mount that is counted, with something of its owner's.
///
/// What the owner keeps is dropped in an RCU callback: that must not sleep.
///
/// # Invariants
///
/// Those of [`Head`].
#[repr(C)]
pub struct KeptMount<T> {
    head: Head,
    owner: T,
}

// SAFETY: A mount is not bound to a task; the count is atomic.
unsafe impl<T: Send + Sync> Send for KeptMount<T> {}

// SAFETY: As above.
unsafe impl<T: Send + Sync> Sync for KeptMount<T> {}

// SAFETY: It is freed when the last count is given up.
unsafe impl<T> AlwaysRefCounted for KeptMount<T> {
    #[inline]
    fn inc_ref(&self) {
        self.head.hold();
    }

    #[inline]
    unsafe fn dec_ref(obj: NonNull<Self>) {
        // SAFETY: By the requirement; the head is the first field.
        unsafe { Head::put(obj.cast()) };
    }
}

impl<T: Send + Sync + 'static> KeptMount<T> {
    /// Counts a mount from now on, and keeps something beside it.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    ///
    /// # Context
    ///
    /// May sleep, and so may giving up the last count, unless the mount was ended before
    /// ([`SuperData::private_mounts`](crate::object::super_block::SuperData)).
    pub fn new(mount: PrivateMount, owner: T) -> Result<ARef<Self>> {
        let room = KBox::<Self>::new_uninit(GFP_KERNEL)?;
        let kept = Self {
            head: Head {
                rcu: UnsafeCell::new(MaybeUninit::uninit()),
                mount: ManuallyDrop::new(mount),
                users: AtomicUsize::new(1),
                watchers: AtomicUsize::new(1),
                free: free::<T>,
            },
            owner,
        };
        // INVARIANT: It is in a box of its own, which `free` drops.
        let kept = KBox::into_raw(KBox::write(room, kept));
        // SAFETY: The count that it was made with is the caller's; a box is not null.
        Ok(unsafe { ARef::from_raw(NonNull::new_unchecked(kept)) })
    }

    /// Makes a pin of something that is there.
    ///
    /// # Errors
    ///
    /// `EIO`: the dentry is on another super block.
    #[inline]
    pub fn pin(&self, dentry: ARef<Positive<Foreign>>) -> Result<PinnedDentry<T>> {
        PinnedDentry::new(dentry, self)
    }
}

impl<T> KeptMount<T> {
    /// The mount, as it is given up with the rest.
    pub fn private(&self) -> &PrivateMount {
        &self.head.mount
    }

    /// Makes it a short-term mount (see [`PrivateMount::end_all`]): whoever gives up the last count then need not wait.
    ///
    /// # Context
    ///
    /// Sleeps for a grace period.
    pub fn end(&self) {
        drop(PrivateMount::end_all(|each| each(self.private())));
    }

    /// What its owner keeps beside it.
    #[inline]
    pub fn owner(&self) -> &T {
        &self.owner
    }

    /// Watches it from now on.
    pub fn watch(&self) -> MountWatch<T> {
        self.head.watchers.fetch_add(1, Ordering::Relaxed);
        // INVARIANT: The count was just taken.
        MountWatch(NonNull::from(self))
    }

    #[inline]
    pub(crate) fn head(&self) -> NonNull<Head> {
        NonNull::from(&self.head)
    }
}

/// Somebody who wants to know when a mount has gone, and does not keep it.
///
/// # Invariants
///
/// A watcher's count is ours.
pub struct MountWatch<T>(NonNull<KeptMount<T>>);

// SAFETY: What it leads to is shared by all tasks.
unsafe impl<T: Send + Sync> Send for MountWatch<T> {}

// SAFETY: As above.
unsafe impl<T: Send + Sync> Sync for MountWatch<T> {}

impl<T> MountWatch<T> {
    /// How many there are who use it: pins, and those that have it counted. With none it has been given up.
    pub fn users(&self) -> usize {
        // SAFETY: By the type invariant the memory is there.
        unsafe { self.0.as_ref() }
            .head
            .users
            .load(Ordering::Relaxed)
    }

    /// What its owner keeps beside it.
    pub fn owner(&self) -> &T {
        // SAFETY: By the type invariant the memory is there, and what the owner keeps goes with that.
        &unsafe { self.0.as_ref() }.owner
    }
}

impl<T> Clone for MountWatch<T> {
    fn clone(&self) -> Self {
        // SAFETY: By the type invariant the memory is there.
        unsafe { self.0.as_ref() }.watch()
    }
}

impl<T> Drop for MountWatch<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the count is ours; the head is the first field.
        unsafe { Head::unwatch(self.0.cast()) };
    }
}

/// The mount that is kept.
impl<T> Deref for KeptMount<T> {
    type Target = Mount;

    #[inline]
    fn deref(&self) -> &Mount {
        self.head.mount()
    }
}

/// The end of a kept mount, a grace period after the mount was given up.
unsafe extern "C" fn free<T>(rcu: *mut bindings::callback_head) {
    // SAFETY: It is the first field of the head, which is that of the box that `KeptMount::new` made; `Head::put` gave it
    // to RCU, once.
    drop(unsafe { KBox::<KeptMount<T>>::from_raw(rcu.cast()) });
}
