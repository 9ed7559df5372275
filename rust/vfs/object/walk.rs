// SPDX-License-Identifier: GPL-2.0-only

//! How a path walk comes by an inode of ours: under RCU, or with a count on it; and how the inode of a parent is looked
//! at under RCU.
//!
//! It is not for inodes below: those come by pins.
//!
//! C document:
//! [`Documentation/filesystems/path-lookup.rst`](srctree/Documentation/filesystems/path-lookup.rst)
//!
//! # Examples
//!
//! ```ignore
//! match walk.by() {
//!     By::Rcu(rcu) => look(inode.data().below.peek(&rcu)),
//!     By::Count(inode) => look(&inode.held().map(|data| &data.below).hold().get()),
//! }
//! ```

use crate::object::dentry::Dentry;
use crate::object::inode::Inode;
use crate::object::inode::RcuInode;
use crate::object::Ours;
use crate::object::Owner;
use crate::sys::bindings;
use crate::sys::rcu::InRcuWalk;
use core::ops::Deref;
use core::ptr::NonNull;
use core::sync::atomic::AtomicPtr;
use core::sync::atomic::Ordering;
use kernel::sync::rcu;
use kernel::types::NotThreadSafe;

/// An inode as a path walk comes by it: under RCU, when nothing is counted and nothing may sleep, or counted.
///
/// # Invariants
///
/// If `in_rcu`, the RCU read lock is held for `'a`; else a count on the inode is.
pub struct Walk<'a, F: Owner> {
    inode: &'a RcuInode<F>,
    in_rcu: bool,
    _task: NotThreadSafe,
}

/// How it comes by it.
pub enum By<'a, F: Owner> {
    /// Under the RCU read lock.
    Rcu(InRcuWalk<'a>),
    /// With a count on it.
    Count(&'a Inode<F>),
}

impl<'a, F: Owner> Walk<'a, F> {
    /// # Safety
    ///
    /// See the type invariant.
    #[inline]
    pub(crate) unsafe fn new(inode: &'a RcuInode<F>, in_rcu: bool) -> Self {
        // INVARIANT: By the requirement.
        Self {
            inode,
            in_rcu,
            _task: NotThreadSafe,
        }
    }

    /// How the walk comes by the inode.
    #[inline]
    pub fn by(&self) -> By<'a, F> {
        // SAFETY: By the type invariant.
        unsafe {
            if self.in_rcu {
                By::Rcu(InRcuWalk::new())
            } else {
                By::Count(Inode::from_raw(self.inode.as_ptr()))
            }
        }
    }
}

/// What can be used of it either way.
impl<F: Owner> Deref for Walk<'_, F> {
    type Target = RcuInode<F>;

    #[inline]
    fn deref(&self) -> &RcuInode<F> {
        self.inode
    }
}

impl<F: Ours> Dentry<F> {
    /// Looks at the inode of the parent, as the parent is at this moment, and counts neither. `None`: another task has just
    /// moved this dentry elsewhere, and the parent that it had is gone.
    ///
    /// It is not for what needs the parent itself, which is [`Dentry::parent`].
    ///
    /// # Context
    ///
    /// `f` may not sleep, as it is called under the RCU read lock.
    #[inline]
    pub fn with_parent_inode<R>(
        &self,
        f: impl FnOnce(&RcuInode<F>, &rcu::Guard) -> R,
    ) -> Option<R> {
        let rcu = rcu::read_lock();
        // SAFETY: Both pointers may be read at any time, while another task moves this dentry (under `rename_lock`) or
        // takes the parent apart (under its `d_lock`): dentries, and inodes of ours, are freed after a grace period.
        let inode = unsafe {
            let parent: *mut bindings::dentry =
                AtomicPtr::from_ptr(&raw mut (*self.as_ptr()).d_parent).load(Ordering::Acquire);
            AtomicPtr::from_ptr(&raw mut (*parent).d_inode).load(Ordering::Acquire)
        };
        let inode: NonNull<bindings::inode> = NonNull::new(inode)?;
        // SAFETY: As above; the parent is on the same super block, so its inode is of `F`.
        Some(f(unsafe { RcuInode::from_raw(inode.as_ptr()) }, &rcu))
    }
}
