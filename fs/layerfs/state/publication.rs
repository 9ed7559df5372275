// SPDX-License-Identifier: GPL-2.0-only

//! Keeps lookups and copy-ups of one name apart, where neither holds a lock of the other.
//!
//! A lookup asks upper and the lower layers, and then the inode cache. A copy-up makes a name in upper, has the
//! inode found by another key perhaps, and says where the copy is. A lookup in the midst of that would find the copy
//! in upper, but not the inode it belongs to; one that asked upper before, and the inode cache after that, would
//! not find the inode either. So each lookup of a name is done anew if a copy of that name was published meanwhile,
//! and waits for one that is being published when it begins. Names share a few slots: a lookup that was disturbed
//! asks upper first whether it was by a copy of its own name.

#![forbid(unsafe_code)]

use super::Dentry;
use core::sync::atomic::AtomicUsize;
use core::sync::atomic::Ordering;
use kernel::prelude::*;
use kernel::sync::lock::mutex::MutexBackend;
use kernel::sync::lock::Guard;
use vfs::sync::Locked;

const SLOTS: usize = 32;

/// The publications of a stack, by directory and name.
pub(crate) struct Publications {
    /// None where nothing is copied up.
    slots: KVec<Slot>,
}

struct Slot {
    begun: AtomicUsize,
    ended: AtomicUsize,
    /// Held while a copy is published.
    lock: Locked<()>,
}

/// A copy gets its name: until this is dropped, who looks up the name waits or starts over.
#[must_use = "the publication ends when this is dropped"]
pub(crate) struct Publication<'a> {
    slot: &'a Slot,
    _guard: Guard<'a, (), MutexBackend>,
}

impl Drop for Publication<'_> {
    fn drop(&mut self) {
        self.slot.ended.fetch_add(1, Ordering::Release);
    }
}

/// A lookup that watches whether the name is published meanwhile.
pub(crate) struct Watch<'a> {
    slot: Option<&'a Slot>,
    begun: usize,
}

impl Publications {
    /// Those of a stack of that depth, which has an upper layer or not.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(has_upper: bool, depth: u32) -> Result<Self> {
        let mut slots = KVec::new();
        for _ in 0..if has_upper { SLOTS } else { 0 } {
            let slot = Slot {
                begun: AtomicUsize::new(0),
                ended: AtomicUsize::new(0),
                lock: Locked::new_inner((), depth)?,
            };
            slots.push(slot, GFP_KERNEL)?;
        }
        Ok(Self { slots })
    }

    fn slot(&self, name: &Dentry) -> Option<&Slot> {
        self.slots.get(name.name_hash() as usize % SLOTS)
    }

    /// The copy of what has this name is about to get its name in upper. The caller has locked the directory in
    /// upper.
    ///
    /// # Errors
    ///
    /// `EINTR`: the task is being killed.
    pub(crate) fn begin(&self, name: &Dentry) -> Result<Option<Publication<'_>>> {
        let Some(slot) = self.slot(name) else {
            return Ok(None);
        };
        let guard = slot.lock.lock()?;
        // Before anything of it can be seen.
        slot.begun.fetch_add(1, Ordering::Release);
        Ok(Some(Publication {
            slot,
            _guard: guard,
        }))
    }

    /// A lookup begins. It waits for a copy of the name that is being published.
    ///
    /// # Errors
    ///
    /// `EINTR`: the task is being killed.
    #[inline]
    pub(crate) fn watch(&self, name: &Dentry) -> Result<Watch<'_>> {
        let Some(slot) = self.slot(name) else {
            return Ok(Watch {
                slot: None,
                begun: 0,
            });
        };
        let mut begun = slot.begun.load(Ordering::Acquire);
        if slot.ended.load(Ordering::Acquire) != begun {
            let _guard = slot.lock.lock()?;
            begun = slot.begun.load(Ordering::Acquire);
        }
        Ok(Watch {
            slot: Some(slot),
            begun,
        })
    }
}

impl Watch<'_> {
    /// Whether the name, or one of the few others of the slot, was published since: what was found may be of two
    /// states.
    ///
    /// Who publishes counts before he changes anything, and whatever this task has seen of the change (a dentry of
    /// upper that has an inode, a chain of the inode cache without one) was made visible after that.
    #[inline]
    pub(crate) fn was_disturbed(&self) -> bool {
        self.slot
            .is_some_and(|slot| slot.begun.load(Ordering::Acquire) != self.begun)
    }
}
