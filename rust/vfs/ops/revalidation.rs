// SPDX-License-Identifier: GPL-2.0-only

//! The question whether a cached name is still true, and asking it of what is below.
//!
//! It is not for names that are not there: those are looked up anew where that matters.
//!
//! C header: [`include/linux/dcache.h`](srctree/include/linux/dcache.h) (`->d_revalidate()`)
//!
//! # Examples
//!
//! ```ignore
//! fn revalidate(dentry: &Positive<MyFs>, question: Revalidation<'_>) -> Result<bool> {
//!     question.ask(real)
//! }
//! ```

use crate::object::dentry::Positive;
use crate::object::pinned::PinnedDentry;
use crate::object::waited_for::about_to_ask;
use crate::object::Foreign;
use crate::sys::bindings;
use crate::sys::errno::from_errno;
use crate::sys::rcu::InRcu;
use core::marker::PhantomData;
use kernel::prelude::*;

/// How a path walk came to ask if a dentry is still true. It lasts for the question.
#[derive(Clone, Copy)]
pub struct Revalidation<'a> {
    pub(crate) flags: u32,
    /// The word of the dentry that is asked about.
    pub(crate) word: usize,
    /// The walk ends here without a lookup of the name (`.`, `..`, a mount's root).
    pub(crate) weak: bool,
    pub(crate) _walk: PhantomData<(&'a (), *const ())>,
}

/// As [`Revalidation`], of a path walk under RCU.
///
/// # Invariants
///
/// `LOOKUP_RCU` is among the flags, and the RCU read lock is held as long as it lasts.
#[derive(Clone, Copy)]
pub struct RcuRevalidation<'a>(pub(crate) Revalidation<'a>);

// SAFETY: By its invariant.
unsafe impl InRcu for RcuRevalidation<'_> {}

impl Revalidation<'_> {
    /// Returns whether the walk ends here without a lookup of the name: who asks is there already.
    pub fn is_of_who_is_there(self) -> bool {
        self.weak
    }

    /// Asks the filesystem of a dentry below whether it is still what it was. One that is not is dropped from the
    /// cache there.
    ///
    /// # Errors
    ///
    /// The errors are those of the filesystem, where it can't tell.
    ///
    /// # Context
    ///
    /// May sleep.
    pub fn ask(self, dentry: &Positive<Foreign>) -> Result<bool> {
        let ptr = dentry.as_ptr();
        let flags = dentry.flags();
        let result = |r: i32| {
            if r < 0 {
                Err(from_errno(r.into()))
            } else {
                Ok(r > 0)
            }
        };
        // SAFETY: The dentry is counted and valid; a flag for an operation means that it is there. The
        // parent is held and the name kept for the call.
        unsafe {
            if self.weak {
                if flags & bindings::dentry_flags_DCACHE_OP_WEAK_REVALIDATE == 0 {
                    return Ok(true);
                }
                let Some(revalidate) = (*(*ptr).d_op).d_weak_revalidate else {
                    return Ok(true);
                };
                about_to_ask(dentry.super_block());
                return result(revalidate(ptr, self.flags));
            }
            if flags & bindings::dentry_flags_DCACHE_OP_REVALIDATE == 0 {
                return Ok(true);
            }
            let Some(revalidate) = (*(*ptr).d_op).d_revalidate else {
                return Ok(true);
            };
            about_to_ask(dentry.super_block());
            let parent = dentry.parent();
            let mut name = core::mem::MaybeUninit::<bindings::name_snapshot>::uninit();
            bindings::take_dentry_name_snapshot(name.as_mut_ptr(), ptr);
            let valid = result(revalidate(
                parent.inode().as_ptr(),
                &(*name.as_ptr()).name,
                ptr,
                self.flags,
            ));
            bindings::release_dentry_name_snapshot(name.as_mut_ptr());
            if let Ok(false) = valid {
                bindings::d_invalidate(ptr);
            }
            valid
        }
    }
}

impl RcuRevalidation<'_> {
    /// The word of the dentry that is asked about ([`Dentry::word`](crate::Dentry::word)).
    #[inline]
    pub fn word(self) -> usize {
        self.0.word
    }

    /// Asks the filesystem of a pinned dentry. `None`: it can't be told without sleeping.
    pub fn ask<T>(self, pin: &PinnedDentry<T>) -> Option<bool> {
        if self.0.weak {
            return None;
        }
        pin.revalidate_rcu(self.0.flags)
    }
}
