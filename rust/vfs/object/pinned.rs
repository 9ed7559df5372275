// SPDX-License-Identifier: GPL-2.0-only

//! References from an inode of ours to objects below, readable in RCU-walk.
//!
//! An inode of a stacking filesystem keeps its real dentries for as long as it lives, yet it must
//! give them back *before* its memory is freed: `dput()` may sleep, and the memory goes in an RCU
//! callback. In between, a path walk under RCU may still look at the inode. So a pin has two lives:
//! *held*, while somebody counts a reference on our inode, when the dentry may be used; and
//! *released*, when only the real inode's memory can be relied on, until the grace period ends. The
//! types keep the two apart: a dentry is given only for a [`Held`] pin.
//!
//! It is not left to trust where the pins of an inode are: they are in a [`PinSet`], which is made of the
//! containers of this crate alone, and this crate goes through it. A container owns what is in it, so
//! that a set can't lead to the pins of another inode, and none in it can be left out.
//!
//! It is not for references that anybody but an inode's data keeps: those are an `ARef`, or an
//! [`OwnedPath`](crate::object::path::OwnedPath).
//!
//! C document:
//! [`Documentation/filesystems/path-lookup.rst`](srctree/Documentation/filesystems/path-lookup.rst)
//!
//! # Examples
//!
//! ```ignore
//! type Pins = (SetOnce<PinnedDentry<MyLayer>>, Option<PinnedDentry<MyLayer>>);
//!
//! let pin = inode.held().and_then(|data| data.upper());
//! let dentry = pin.as_ref().map(|pin| pin.dentry());
//! ```

use crate::cell::set_once::LateBox;
use crate::cell::set_once::SetOnce;
use crate::object::dentry::Positive;
use crate::object::idmap::Idmap;
use crate::object::inode::RcuInode;
use crate::object::inode_cache::InodeData;
use crate::object::kept_mount;
use crate::object::kept_mount::KeptMount;
use crate::object::path::Path;
use crate::object::Foreign;
use crate::sys::bindings;
use core::marker::PhantomData;
use core::ops::Deref;
use core::ptr::NonNull;
use core::sync::atomic::AtomicPtr;
use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering;
use kernel::prelude::*;
use kernel::sync::aref::ARef;
use kernel::sync::aref::AlwaysRefCounted;

/// A borrow of something within the private data of an inode, by somebody who holds a counted
/// reference on that inode (not merely an RCU read lock).
///
/// # Invariants
///
/// The referent lies in the data of an inode on which a count is held for `'a`, or in data that is
/// not yet part of any inode.
pub struct Held<'a, T: ?Sized>(&'a T);

impl<T: ?Sized> Clone for Held<'_, T> {
    #[inline]
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: ?Sized> Copy for Held<'_, T> {}

impl<T: ?Sized> Deref for Held<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        self.0
    }
}

impl<'a, T: ?Sized> Held<'a, T> {
    /// # Safety
    ///
    /// See the type invariant.
    #[inline]
    pub(crate) unsafe fn new(data: &'a T) -> Self {
        // INVARIANT: By the requirement.
        Self(data)
    }

    /// Something within it. The signature lets nothing out that does not come from the referent.
    #[inline]
    pub fn map<U: ?Sized>(self, f: impl for<'x> FnOnce(&'x T) -> &'x U) -> Held<'a, U> {
        // INVARIANT: What `f` returns for any lifetime is part of what it got, or static.
        Held(f(self.0))
    }

    /// Something within it that may not be there.
    #[inline]
    pub fn and_then<U: ?Sized>(
        self,
        f: impl for<'x> FnOnce(&'x T) -> Option<&'x U>,
    ) -> Option<Held<'a, U>> {
        // INVARIANT: As in `map`.
        f(self.0).map(Held)
    }

    /// The borrow itself.
    #[inline]
    pub fn get(self) -> &'a T {
        self.0
    }
}

impl<'a, T: InodeData> Held<'a, T> {
    /// The data of an inode that is still to be made, by somebody who has it for himself: nobody releases its pins.
    #[inline]
    pub fn unshared(data: &'a mut T) -> Self {
        // INVARIANT: The data of a published inode is only borrowed shared: by the exclusive borrow this is no part of
        // one. What else it leads to, as it borrows nothing (`InodeData` is static), it owns or counts.
        Self(data)
    }
}

impl<'a, T> Held<'a, [T]> {
    /// Each element, held.
    #[inline]
    pub fn iter(self) -> impl DoubleEndedIterator<Item = Held<'a, T>> + ExactSizeIterator {
        // INVARIANT: Elements are part of the slice.
        self.0.iter().map(Held)
    }
}

/// What there is of a [`PinnedDentry`] whatever the owner of the mount keeps beside that.
///
/// # Invariants
///
/// `dentry`, without its lowest bit, is positive, on the super block of `mount`, and `inode` is its inode. A count on
/// `dentry` and one on `mount` are ours while the lowest bit is clear. After that (the pin is *released*), `inode` and
/// `mount` remain readable until the end of the RCU grace period after which the data that holds the pin is freed.
pub struct RawPin {
    dentry: AtomicPtr<bindings::dentry>,
    inode: NonNull<bindings::inode>,
    mount: NonNull<kept_mount::Head>,
}

/// The bit of the address of a dentry that says the pin is released. The address of a structure with pointers in it has
/// none so low.
const RELEASED: usize = 1;

const _: () = assert!(align_of::<bindings::dentry>() > RELEASED);

// SAFETY: Neither dentries nor inodes are bound to a task.
unsafe impl Send for RawPin {}

// SAFETY: Two pointers are constant, the third is atomic.
unsafe impl Sync for RawPin {}

impl RawPin {
    /// The dentry, and whether the pin is released.
    #[inline]
    fn load(&self) -> (*mut bindings::dentry, bool) {
        let tagged = self.dentry.load(Ordering::Acquire);
        (
            tagged.map_addr(|address| address & !RELEASED),
            tagged.addr() & RELEASED != 0,
        )
    }

    /// Gives the dentry and the mount back; the inode can still be read under RCU.
    ///
    /// # Safety
    ///
    /// The pin must be in the data of an inode that nobody counts on any more, so that there is no
    /// [`Held`] of it.
    unsafe fn release(&self) {
        let (dentry, was_released) = self.load();
        if was_released {
            return;
        }
        let released = dentry.map_addr(|address| address | RELEASED);
        if self.dentry.swap(released, Ordering::AcqRel) == dentry {
            // SAFETY: By the type invariant the counts were ours, and this happens once.
            unsafe {
                bindings::dput(dentry);
                kept_mount::Head::put(self.mount);
            }
        }
    }

    /// Asks the filesystem of the dentry in RCU-walk whether the dentry still is what it was.
    /// `None`: it can't be told without sleeping.
    fn revalidate_rcu(&self, flags: u32) -> Option<bool> {
        let (dentry, was_released) = self.load();
        if was_released {
            // Nothing is asked about what may be on its way out.
            return None;
        }
        // SAFETY: Dentries are freed after a grace period; we are within one that began before the
        // pin was released, as it was not a moment ago. Parent and inode are read once and may be gone
        // (`d_inode == NULL`); the name is a copy of ours.
        unsafe {
            if (&raw const (*dentry).d_flags).read_volatile()
                & bindings::dentry_flags_DCACHE_OP_REVALIDATE
                == 0
            {
                return Some(true);
            }
            let parent = (&raw const (*dentry).d_parent).read_volatile();
            let dir = (&raw const (*parent).d_inode).read_volatile();
            if dir.is_null() {
                return None;
            }
            let revalidate = (*(*dentry).d_op).d_revalidate?;
            let mut bytes = bindings::shortname_store::default();
            let name = short_name(dentry, &mut bytes)?;
            let result = revalidate(dir, &name, dentry, flags);
            if result < 0 {
                None
            } else {
                Some(result > 0)
            }
        }
    }
}

impl Drop for RawPin {
    fn drop(&mut self) {
        let (dentry, was_released) = self.load();
        // SAFETY: By the type invariant the counts are ours. Where they can't be given back, because the pin
        // was put where it does not belong, in what an RCU callback drops, they are kept (and that is said):
        // then nothing can go wrong with what it is on.
        unsafe {
            if !was_released && !bindings::vfs_helper_pin_is_lost() {
                bindings::dput(dentry);
                kept_mount::Head::put(self.mount);
            }
        }
    }
}

/// A reference from the private data of an inode to a positive dentry below, and to the mount that it is had by. `T` is
/// what the owner of the mount keeps beside that.
///
/// # Invariants
///
/// The mount is a [`KeptMount`] of `T`.
#[repr(transparent)]
pub struct PinnedDentry<T> {
    raw: RawPin,
    _owner: PhantomData<fn() -> T>,
}

impl<T> PinnedDentry<T> {
    /// Keeps `dentry`, and the mount that it is had by.
    ///
    /// # Errors
    ///
    /// `EIO`: the dentry is on another super block.
    #[inline]
    pub(crate) fn new(dentry: ARef<Positive<Foreign>>, mount: &KeptMount<T>) -> Result<Self> {
        Path::new(mount, &dentry)?;
        let inode = NonNull::from(dentry.inode()).cast();
        mount.inc_ref();
        // INVARIANT: The count of `dentry` is taken over, the one on the mount was just taken; a positive dentry keeps
        // its inode.
        let raw = RawPin {
            dentry: AtomicPtr::new(ARef::into_raw(dentry).as_ptr().cast()),
            inode,
            mount: mount.head(),
        };
        Ok(Self {
            raw,
            _owner: PhantomData,
        })
    }

    /// What the owner of the mount keeps beside it.
    #[inline]
    pub fn owner(&self) -> &T {
        // SAFETY: By the invariants of both types it can be read while `self` can be seen.
        unsafe { self.raw.mount.cast::<KeptMount<T>>().as_ref() }.owner()
    }

    /// The real inode: also under RCU, when the pin may have been released already.
    #[inline]
    pub fn inode(&self) -> &RcuInode<Foreign> {
        // SAFETY: By the type invariant the memory is that of an inode while `self` can be seen:
        // inodes are freed after a grace period, by every filesystem that supports RCU-walk.
        unsafe { RcuInode::from_raw(self.raw.inode.as_ptr()) }
    }

    /// How the mount maps ids: also under RCU, when the pin may have been released already.
    #[inline]
    pub fn idmap(&self) -> &Idmap {
        // SAFETY: By the type invariant it can be read while `self` can be seen; a mount gives its mapping up when its
        // memory is freed.
        unsafe { self.raw.mount.as_ref() }.mount().idmap()
    }

    /// Asks the filesystem of the dentry in RCU-walk whether the dentry still is what it was.
    /// `None`: it can't be told without sleeping.
    pub(crate) fn revalidate_rcu(&self, flags: u32) -> Option<bool> {
        self.raw.revalidate_rcu(flags)
    }
}

/// The name of a dentry as it is now, copied to `bytes`; `None` if it is long, and so not in the dentry
/// itself, or being changed. (`take_dentry_name_snapshot()` waits for both: for a long name as long as
/// the dentry is on its way out, which in an RCU read-side section can be for ever.)
///
/// # Safety
///
/// `dentry` must be a dentry whose memory stays, and the name must not be used after `bytes`.
unsafe fn short_name(
    dentry: *mut bindings::dentry,
    bytes: &mut bindings::shortname_store,
) -> Option<bindings::qstr> {
    // SAFETY: By the requirement the words may be read at any time; what was read counts if the
    // sequence is even and the same before and after it, as then nobody was changing them.
    unsafe {
        let sequence = AtomicU32::from_ptr((&raw mut (*dentry).d_seq.seqcount.sequence).cast());
        let before = sequence.load(Ordering::Acquire);
        let stored = &raw const (*dentry).__bindgen_anon_1.d_name;
        let mut name = stored.read_volatile();
        let short = &raw const (*dentry).d_shortname;
        *bytes = short.read_volatile();
        core::sync::atomic::fence(Ordering::Acquire);
        if before % 2 != 0
            || sequence.load(Ordering::Relaxed) != before
            || name.name != short.cast::<u8>()
        {
            return None;
        }
        name.name = (&raw const *bytes).cast();
        Some(name)
    }
}

impl<'a, T> Held<'a, PinnedDentry<T>> {
    /// The dentry.
    #[inline]
    pub fn dentry(self) -> &'a Positive<Foreign> {
        // SAFETY: The pin is held, so it was not released (its lowest bit is clear), and its count makes the dentry stay
        // positive.
        unsafe { Positive::from_raw(self.0.raw.dentry.load(Ordering::Relaxed)) }
    }

    /// The mount that it is had by.
    #[inline]
    pub fn mount(self) -> &'a KeptMount<T> {
        // SAFETY: The pin is held, so its count on the mount keeps that; by the type invariant it is one of `T`.
        unsafe { self.0.raw.mount.cast().as_ref() }
    }

    /// Both, as a path.
    #[inline]
    pub fn path(self) -> Path<'a> {
        // SAFETY: By the type invariant the dentry is on the super block of the mount.
        unsafe { Path::new_unchecked(self.mount(), self.dentry()) }
    }
}

/// Only this crate implements [`PinSet`].
pub(crate) mod sealed {
    pub trait Sealed {}
}

pub(crate) use sealed::Sealed;

/// What the pins of an inode may be kept in: containers of this crate and of the kernel crate that own
/// what is in them, in any combination. Only this crate implements it.
///
/// # Examples
///
/// ```ignore
/// /// Where the object is now, once that is known; and what else there is of it.
/// type Pin = PinnedDentry<MyLayer>;
/// type Pins = (SetOnce<Pin>, LateBox<(KVec<Pin>, Other<CString>)>);
/// ```
pub trait PinSet: Sealed {
    /// Shows each pin.
    #[doc(hidden)]
    fn each(&self, f: &mut impl FnMut(&RawPin));
}

/// Gives back all dentries of a set; the inodes can still be read under RCU.
///
/// # Safety
///
/// The set must be in the data of an inode that nobody counts on any more.
#[inline]
pub(crate) unsafe fn release_all(set: &impl PinSet) {
    // SAFETY: By the requirement: the set owns each.
    set.each(&mut |pin| unsafe { pin.release() });
}

/// Something without pins, to be kept beside them. It is dropped in an RCU callback: that must not
/// sleep. (A pin within would be lost.)
#[derive(Default)]
pub struct Other<T>(pub T);

impl<T> Sealed for Other<T> {}

impl<T> PinSet for Other<T> {
    #[inline]
    fn each(&self, _f: &mut impl FnMut(&RawPin)) {}
}

impl<T> Sealed for PinnedDentry<T> {}

impl<T> PinSet for PinnedDentry<T> {
    #[inline]
    fn each(&self, f: &mut impl FnMut(&RawPin)) {
        f(&self.raw)
    }
}

impl<S: PinSet> Sealed for Option<S> {}

impl<S: PinSet> PinSet for Option<S> {
    #[inline]
    fn each(&self, f: &mut impl FnMut(&RawPin)) {
        self.iter().for_each(|set| set.each(f));
    }
}

impl<S: PinSet> Sealed for KBox<S> {}

impl<S: PinSet> PinSet for KBox<S> {
    #[inline]
    fn each(&self, f: &mut impl FnMut(&RawPin)) {
        (**self).each(f);
    }
}

impl<S: PinSet> Sealed for KVec<S> {}

impl<S: PinSet> PinSet for KVec<S> {
    #[inline]
    fn each(&self, f: &mut impl FnMut(&RawPin)) {
        self.iter().for_each(|set| set.each(f));
    }
}

impl<S: PinSet> Sealed for SetOnce<S> {}

impl<S: PinSet> PinSet for SetOnce<S> {
    #[inline]
    fn each(&self, f: &mut impl FnMut(&RawPin)) {
        self.as_ref().into_iter().for_each(|set| set.each(f));
    }
}

impl<S: PinSet> Sealed for LateBox<S> {}

impl<S: PinSet> PinSet for LateBox<S> {
    #[inline]
    fn each(&self, f: &mut impl FnMut(&RawPin)) {
        self.get().into_iter().for_each(|set| set.each(f));
    }
}

macro_rules! tuple {
    ($($set:ident $i:tt),*) => {
        impl<$($set: PinSet),*> Sealed for ($($set,)*) {}

        impl<$($set: PinSet),*> PinSet for ($($set,)*) {
            #[inline]
            fn each(&self, f: &mut impl FnMut(&RawPin)) {
                $(self.$i.each(f);)*
            }
        }
    };
}

tuple!(A 0, B 1);
tuple!(A 0, B 1, C 2);
tuple!(A 0, B 1, C 2, D 3);
