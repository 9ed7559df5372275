// SPDX-License-Identifier: GPL-2.0-only

//! What is remembered of a name: bits in the word of its dentry (`d_fsdata`).
//!
//! All of them are hints that save looking into the layers, but for [`was_removed`].

#![forbid(unsafe_code)]

use super::object::Now;
use super::traits::Trait;
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

/// No lower layer shows anything under the name. That was found when the name was looked up and nothing was there, and
/// the object was made, or moved here, since; the parent's places in the lower layers change with the layers alone, and
/// what is in these does not either, or else the dentry is revalidated and never gets the bit. Whoever gives a dentry
/// another name says what is true of that one (`engine/change/rename.rs`), and a lookup clears the bit. It is read and
/// written with the parent locked by the VFS.
const NOTHING_BELOW: usize = 4;

/// Upper has nothing under the name, which is that of an object in a lower layer that is no directory. The object may be
/// in upper all the same, by another name or by the index. The bit is cleared under the lock of the object, when upper
/// gets the name.
const NOT_IN_UPPER: usize = 8;

/// The first of the bits that are a number: of changes of the layers that had been made when it was found what is under
/// the name. If there were more since, it is found anew before it is used.
const CHANGES_SHIFT: u32 = 8;

/// Returns the part of a word that says at which change of the layers it was found what is under the name.
#[inline]
const fn bits_of(changes: u32) -> usize {
    // Where the number is longer than what there is room for, its highest bits are left out: nobody sleeps over so many
    // changes.
    (changes as usize) << CHANGES_SHIFT
}

const FLAGS: usize = (1 << CHANGES_SHIFT) - 1;

/// Returns whether a word says that what is under the name was found after so many changes of the layers.
#[inline]
pub(crate) fn is_word_settled(word: usize, changes: u32) -> bool {
    word & !FLAGS == bits_of(changes)
}

/// Whether what is under the name was found after so many changes of the layers.
#[inline]
pub(crate) fn is_settled(dentry: &Dentry, changes: u32) -> bool {
    is_word_settled(dentry.word().load(Ordering::Acquire), changes)
}

/// Has what is under the name found anew before it is used.
pub(crate) fn unsettle(dentry: &Dentry) {
    // So many changes there never are.
    dentry.word().fetch_or(!FLAGS, Ordering::AcqRel);
    dentry.set_needs_revalidation();
}

/// Remembers that it was found anew, after so many changes of the layers, what is under the name, and whether upper
/// `hides` what the lower layers have there. Whether a lower layer has nothing there is not known any more.
pub(crate) fn settle(dentry: &Dentry, hides: bool, changes: u32) {
    let hides = if hides { HIDES_LOWER } else { 0 };
    let kept = FLAGS & !(NOTHING_BELOW | HIDES_LOWER);
    let settled = |word| Some(word & kept | bits_of(changes) | hides);
    let _ = dentry
        .word()
        .fetch_update(Ordering::AcqRel, Ordering::Relaxed, settled);
}

/// Whether an object, as known by this dentry, was removed. Who asks while he holds the lock of the object (a
/// [`Claim`](super::object::Claim)) gets an answer that stays, as a removal takes that lock too.
pub(crate) fn was_removed(dentry: &Positive) -> bool {
    dentry.word().load(Ordering::Relaxed) & REMOVED != 0
}

/// Remembers that what the dentry names was removed, or replaced by a rename.
pub(crate) fn set_removed(dentry: &Dentry) {
    dentry.word().fetch_or(REMOVED, Ordering::Relaxed);
}

/// Remembers what a lookup found out about the name, after so many changes of the layers: whether upper `hides` what the
/// lower layers have there, and whether an object that is no directory was found in those alone.
pub(crate) fn set_found(dentry: &Dentry, hides: bool, not_in_upper: bool, changes: u32) {
    let hides = if hides { HIDES_LOWER } else { 0 };
    let not_in_upper = if not_in_upper { NOT_IN_UPPER } else { 0 };
    dentry
        .word()
        .store(bits_of(changes) | hides | not_in_upper, Ordering::Relaxed);
}

/// Whether upper has nothing under the name of an object that is no directory, as far as a lookup found out.
#[inline]
pub(crate) fn is_not_in_upper(dentry: &Dentry) -> bool {
    dentry.word().load(Ordering::Acquire) & NOT_IN_UPPER != 0
}

/// Remembers that upper has the name now. The caller holds the lock of the object.
pub(crate) fn set_in_upper(dentry: &Dentry) {
    dentry.word().fetch_and(!NOT_IN_UPPER, Ordering::Release);
}

/// Whether upper has the name of an object: not where the object alone is there.
#[inline]
pub(crate) fn has_upper_name(dentry: &Positive) -> bool {
    let now = Now::of(dentry.inode().data());
    now.in_upper() && !(now.has(Trait::INDEXED) && is_not_in_upper(dentry))
}

/// Remembers whether upper hides what the lower layers have under the name, and nothing else of it.
pub(crate) fn set_hides_lower(dentry: &Dentry, hides: bool) {
    let hides = if hides { HIDES_LOWER } else { 0 };
    let _ = dentry
        .word()
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| {
            Some(word & !FLAGS | hides)
        });
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
/// asked, after so many changes of the layers: what is made there has nothing below.
pub(crate) fn leaves_nothing_below(dentry: &Dentry, changes: u32) -> bool {
    dentry.positive().is_none()
        && !hides_lower(dentry)
        && !dentry.needs_revalidation()
        && is_settled(dentry, changes)
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

/// Whether it is known that no lower layer shows anything under the name, after so many changes of the layers.
pub(crate) fn has_nothing_below(dentry: &Dentry, changes: u32) -> bool {
    dentry.word().load(Ordering::Relaxed) & NOTHING_BELOW != 0 && is_settled(dentry, changes)
}
