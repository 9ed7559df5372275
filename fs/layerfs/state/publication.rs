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
use vfs::cell::locked::Locked;
use vfs::cell::set_once::LateBox;

const SLOTS: usize = 32;

/// The publications of a stack, by name.
pub(crate) struct Publications {
    /// The slots are made for the first publication: a mount that copies nothing up does without.
    slots: LateBox<KVec<Slot>>,
    /// The stacking depth, for the locks.
    depth: u32,
}

struct Slot {
    begun: AtomicUsize,
    ended: AtomicUsize,
    /// Held while a copy is published.
    lock: Locked<()>,
}

/// A copy gets its name: until this is dropped, other tasks that look up the name wait for the lock of its slot, or
/// start over.
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
    publications: &'a Publications,
    place: usize,
    begun: usize,
}

impl Publications {
    /// Makes the publications of a stack of that depth.
    pub(crate) fn new(depth: u32) -> Self {
        Self {
            slots: LateBox::default(),
            depth,
        }
    }

    fn make_slots(depth: u32) -> Result<KVec<Slot>> {
        let mut slots = KVec::with_capacity(SLOTS, GFP_KERNEL)?;
        for _ in 0..SLOTS {
            let slot = Slot {
                begun: AtomicUsize::new(0),
                ended: AtomicUsize::new(0),
                lock: Locked::new_inner((), depth)?,
            };
            slots.push(slot, GFP_KERNEL)?;
        }
        Ok(slots)
    }

    /// Returns the slot at that place, if anything was ever published.
    #[inline]
    fn slot(&self, place: usize) -> Option<&Slot> {
        self.slots.get()?.get(place)
    }

    /// Begins a publication: the copy of what has this name is about to get its name in upper. The caller has locked
    /// the directory in upper (`i_rwsem`).
    ///
    /// # Errors
    ///
    /// `EINTR`: the task is being killed. `ENOMEM`.
    pub(crate) fn begin(&self, name: &Dentry) -> Result<Publication<'_>> {
        let slots = self.slots.get_or_make(|| Self::make_slots(self.depth))?;
        let slot = slots.get(place_of(name)).ok_or(EIO)?;
        let guard = slot.lock.lock()?;
        // It is counted before a lookup in another task, which does not take the lock of the slot if it began before,
        // can see anything of the change.
        slot.begun.fetch_add(1, Ordering::Release);
        Ok(Publication {
            slot,
            _guard: guard,
        })
    }

    /// Begins to watch a name for a lookup. If another task is publishing a copy of the name, this waits for the lock
    /// of its slot.
    ///
    /// # Errors
    ///
    /// `EINTR`: the task is being killed.
    #[inline]
    pub(crate) fn watch(&self, name: &Dentry) -> Result<Watch<'_>> {
        let place = place_of(name);
        let mut begun = 0;
        if let Some(slot) = self.slot(place) {
            begun = slot.begun.load(Ordering::Acquire);
            if slot.ended.load(Ordering::Acquire) != begun {
                let _guard = slot.lock.lock()?;
                begun = slot.begun.load(Ordering::Acquire);
            }
        }
        Ok(Watch {
            publications: self,
            place,
            begun,
        })
    }
}

#[inline]
fn place_of(name: &Dentry) -> usize {
    name.name_hash() as usize % SLOTS
}

impl Watch<'_> {
    /// Returns whether the name, or one of the few others of the slot, was published since: what was found may be of
    /// two states.
    ///
    /// No lock is held here. The task that publishes makes the slots, if there are none, and counts, before it changes
    /// anything; and whatever this task has seen of the change (a dentry of upper that has an inode, a chain of the
    /// inode cache without one) was made visible after that.
    #[inline]
    pub(crate) fn was_disturbed(&self) -> bool {
        self.publications
            .slot(self.place)
            .is_some_and(|slot| slot.begun.load(Ordering::Acquire) != self.begun)
    }
}
