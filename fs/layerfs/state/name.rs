// SPDX-License-Identifier: GPL-2.0-only

//! What is remembered of a name: bits in the word of its dentry (`d_fsdata`).
//!
//! All of them are hints that save looking into the layers, but for [`was_removed`].

#![forbid(unsafe_code)]

use super::Dentry;
use super::Positive;
use core::sync::atomic::Ordering;

/// Upper hides what the lower layers have under the name. For a negative dentry that is a whiteout, for a directory
/// that it is opaque.
const HIDES_LOWER: usize = 1;

/// What was looked up under the name was removed, or replaced by a rename. (That the dentry is unhashed does not say
/// that: a layer may have asked to look it up again.) The bit is set under the lock of the object, and stays: the VFS
/// unhashes such a dentry, if a moment later, and never hashes it again.
const REMOVED: usize = 2;

/// No lower layer shows anything under the name. That was found when the name was looked up and nothing was there, and the
/// object was made, or moved here, since; the parent's places in the lower layers don't change, and what is in these
/// does not either, or else the dentry is revalidated and never gets the bit. Whoever gives a dentry another name says
/// what is true of that one (`engine/change/rename.rs`), and a lookup clears the bit. It is read and written with the
/// parent locked by the VFS.
const NOTHING_BELOW: usize = 4;

/// Whether an object, as known by this dentry, was removed. Who asks while he holds the lock of the object (a
/// [`Claim`](super::object::Claim)) gets an answer that stays, as a removal takes that lock too.
pub(crate) fn was_removed(dentry: &Positive) -> bool {
    dentry.word().load(Ordering::Relaxed) & REMOVED != 0
}

/// Remembers that what the dentry names was removed, or replaced by a rename.
pub(crate) fn set_removed(dentry: &Dentry) {
    dentry.word().fetch_or(REMOVED, Ordering::Relaxed);
}

/// Remembers what a lookup found out about the name.
pub(crate) fn set_hides_lower(dentry: &Dentry, hides: bool) {
    let word = if hides { HIDES_LOWER } else { 0 };
    dentry.word().store(word, Ordering::Relaxed);
}

/// Whether upper hides what the lower layers have under the name, as far as is remembered.
pub(crate) fn hides_lower(dentry: &Dentry) -> bool {
    dentry.word().load(Ordering::Relaxed) & HIDES_LOWER != 0
}

/// Whether upper has a whiteout under a name at which there is nothing.
pub(crate) fn is_whiteout(dentry: &Dentry) -> bool {
    dentry.positive().is_none() && hides_lower(dentry)
}

/// Whether a negative dentry says that no lower layer shows anything under the name, and goes on saying so without being
/// asked: what is made there has nothing below.
pub(crate) fn leaves_nothing_below(dentry: &Dentry) -> bool {
    dentry.positive().is_none() && !hides_lower(dentry) && !dentry.needs_revalidation()
}

/// Remembers whether it is known that no lower layer shows anything under the name that the dentry has, or is about to
/// get.
pub(crate) fn set_nothing_below(dentry: &Dentry, is_known: bool) {
    if is_known {
        dentry.word().fetch_or(NOTHING_BELOW, Ordering::Relaxed);
    } else {
        dentry.word().fetch_and(!NOTHING_BELOW, Ordering::Relaxed);
    }
}

/// Whether it is known that no lower layer shows anything under the name.
pub(crate) fn has_nothing_below(dentry: &Dentry) -> bool {
    dentry.word().load(Ordering::Relaxed) & NOTHING_BELOW != 0
}
