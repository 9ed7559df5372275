// SPDX-License-Identifier: GPL-2.0-only

//! How a path walk comes by an inode of ours: under RCU, or with a count on it.
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

use crate::object::inode::Inode;
use crate::object::inode::RcuInode;
use crate::object::Owner;
use crate::sys::rcu::InRcuWalk;
use core::ops::Deref;
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
