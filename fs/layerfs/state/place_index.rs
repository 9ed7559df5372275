// SPDX-License-Identifier: GPL-2.0-only

//! Which names the lower directories of one directory have, kept in memory: the map of each, and all of them together,
//! of which there are no more than a limit, and fewer when the kernel is short of memory.
//!
//! A map says in which of the lower places of the directory, by number from the top, a name is found first, and below
//! which it is not found any more. How one is made and asked is in `engine/index.rs`.

#![forbid(unsafe_code)]

use super::config;
use core::sync::atomic::AtomicBool;
use core::sync::atomic::AtomicU32;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::AtomicUsize;
use core::sync::atomic::Ordering;
use kernel::prelude::*;
use kernel::rbtree::RBTree;
use kernel::rbtree::RBTreeNode;
use kernel::sync::Arc;
use vfs::cell::locked::Locked;
use vfs::cell::name_map::NameMap;
use vfs::cell::name_map_cell::NameMapCell;
use vfs::sys::shrinker::Shrink;
use vfs::sys::shrinker::Shrinker;

/// The memory that the maps of all mounts take, in bytes.
static TAKEN: AtomicUsize = AtomicUsize::new(0);

/// What is known of the names of one directory.
pub(crate) struct PlaceIndex {
    node: Arc<Node>,
    pool: Arc<Pool>,
}

struct Node {
    map: NameMapCell,
    /// How many places were asked in vain since there was no map.
    asked_in_vain: AtomicU32,
    /// How many have to be, before the names are read.
    enough: AtomicU32,
    /// What told the lower directories from changed ones when their names were read.
    stamp: AtomicU64,
    /// The second in which that was compared last.
    compared: AtomicU64,
    /// A task reads the names.
    is_being_made: AtomicBool,
    /// The place among all maps; 0 if it is not there. Only who has the lock of the pool changes it.
    key: AtomicU64,
    /// The directory has gone.
    is_gone: AtomicBool,
}

/// A map is being made: nobody else makes one of the same directory.
#[must_use = "the task that makes the map is done when this is dropped"]
pub(crate) struct Making<'a>(&'a PlaceIndex);

impl PlaceIndex {
    /// Makes one without a map, which is worthwhile when `enough` places were asked in vain; so many were so far.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(all: &Indexes, enough: u32, asked_in_vain: u32) -> Result<Self> {
        let pool = all.pool.clone();
        let node = Node {
            map: NameMapCell::default(),
            asked_in_vain: AtomicU32::new(asked_in_vain),
            enough: AtomicU32::new(enough),
            stamp: AtomicU64::new(0),
            compared: AtomicU64::new(0),
            is_being_made: AtomicBool::new(false),
            key: AtomicU64::new(0),
            is_gone: AtomicBool::new(false),
        };
        let node = Arc::new(node, GFP_KERNEL)?;
        Ok(Self { node, pool })
    }

    /// Returns how much memory the map of one directory may take, in bytes: a quarter of what all may.
    pub(crate) fn most() -> usize {
        config::nameindex_max() / 4
    }

    /// Returns the map.
    #[inline]
    pub(crate) fn map(&self) -> &NameMapCell {
        &self.node.map
    }

    /// Counts places that were asked in vain, which no map kept from being asked. Returns how many were so far, if those
    /// are enough for a map to be worthwhile.
    pub(crate) fn count_in_vain(&self, places: u32) -> Option<u32> {
        let before = self.node.asked_in_vain.fetch_add(places, Ordering::Relaxed);
        let now = before.saturating_add(places);
        (now >= self.node.enough.load(Ordering::Relaxed)).then_some(now)
    }

    /// Returns whether places were asked in vain at all.
    pub(crate) fn was_asked_in_vain(&self) -> bool {
        self.node.asked_in_vain.load(Ordering::Relaxed) != 0
    }

    /// Puts off making a map that was too much for what it is good for: next time twice as many places have to be
    /// asked.
    pub(crate) fn put_off(&self, after: u32) {
        self.node
            .enough
            .store(after.saturating_mul(2).max(1), Ordering::Relaxed);
    }

    /// Begins to make the map, unless another task does.
    pub(crate) fn begin(&self) -> Option<Making<'_>> {
        let is_mine = !self.node.is_being_made.swap(true, Ordering::Acquire);
        is_mine.then_some(Making(self))
    }

    /// Returns whether the stamp has to be compared: that was not done in the second `now`.
    #[inline]
    pub(crate) fn is_to_be_compared(&self, now: u64) -> bool {
        self.node.compared.load(Ordering::Relaxed) != now
    }

    /// Compares the stamp of the lower directories with that of the map; remembers when that was.
    pub(crate) fn holds(&self, now: u64, stamp: u64) -> bool {
        self.node.compared.store(now, Ordering::Relaxed);
        self.node.stamp.load(Ordering::Relaxed) == stamp
    }

    /// Drops the map, as it is no longer true; returns whether there was one.
    pub(crate) fn drop_map(&self) -> bool {
        self.node.asked_in_vain.store(0, Ordering::Relaxed);
        self.pool.give_back(&self.node)
    }
}

impl Making<'_> {
    /// Gives the directory its map: the names of lower directories with this stamp, as it was before they were read.
    ///
    /// # Errors
    ///
    /// `ENOSPC`: it is more than the limit of all maps leaves to one. `ENOMEM`; `EINTR`.
    pub(crate) fn finish(&self, map: NameMap, stamp: u64, now: u64) -> Result {
        let Self(PlaceIndex { node, pool }) = self;
        // Who finds the map, in `find()` without a lock, finds the stamp of this one or an older one; that is dropped
        // then, and made again.
        node.stamp.store(stamp, Ordering::Release);
        node.compared.store(now, Ordering::Relaxed);
        pool.keep(node, map)
    }
}

impl Drop for Making<'_> {
    fn drop(&mut self) {
        self.0.node.is_being_made.store(false, Ordering::Release);
    }
}

impl Drop for PlaceIndex {
    /// This is called when the inode is freed, in an RCU callback: the lock of the pool can't be taken there. What is
    /// left among the maps is a note without one, and swept up later.
    fn drop(&mut self) {
        self.pool.give_back(&self.node);
        self.node.is_gone.store(true, Ordering::Release);
        self.pool.gone.fetch_add(1, Ordering::Relaxed);
    }
}

/// The maps of one mount.
pub(crate) struct Pool {
    /// All that have a map, and some that had one. It is taken by tasks that need memory, if nobody has it.
    kept: Locked<Kept>,
    /// The memory that they take, in bytes.
    bytes: AtomicUsize,
    /// How many there are.
    maps: AtomicUsize,
    /// How many directories have gone that may be among `kept`.
    gone: AtomicUsize,
}

#[derive(Default)]
struct Kept {
    /// By size and age: those that are given back first come first.
    order: RBTree<u64, Arc<Node>>,
    len: usize,
    /// The number of the last one.
    last: u64,
}

impl Kept {
    /// Takes out the one that is to be given back first.
    fn pop(&mut self) -> Option<Arc<Node>> {
        let first = *self.order.cursor_front()?.current().0;
        let node = self.order.remove(&first)?;
        self.len = self.len.saturating_sub(1);
        node.key.store(0, Ordering::Relaxed);
        Some(node)
    }

    /// Takes out a certain one, if it is there.
    fn remove(&mut self, node: &Node) {
        let key = node.key.swap(0, Ordering::Relaxed);
        if key != 0 && self.order.remove(&key).is_some() {
            self.len = self.len.saturating_sub(1);
        }
    }

    /// Takes out those whose directories have gone.
    fn sweep(&mut self) {
        let mut at = self.order.cursor_front_mut();
        while let Some(here) = at {
            let is_gone = here.current().1.is_gone.load(Ordering::Acquire);
            at = if is_gone {
                self.len = self.len.saturating_sub(1);
                here.remove_current().0
            } else {
                here.move_next()
            };
        }
    }
}

/// Bits of a key that count; the others have the size.
const AGE: u32 = 58;

/// Returns the key of a map of so many bytes: of bigger ones it is smaller, and among those of about one size, that of
/// the oldest.
fn key(bytes: usize, number: u64) -> u64 {
    let size = u64::from(bytes.checked_ilog2().unwrap_or(0));
    (63u64.saturating_sub(size)) << AGE | number & ((1 << AGE) - 1)
}

impl Pool {
    /// Takes the map of a directory away; returns whether it had one. What is among those that are kept stays there.
    fn give_back(&self, node: &Node) -> bool {
        let bytes = node.map.take();
        if bytes == 0 {
            return false;
        }
        self.count_less(bytes);
        true
    }

    fn count_less(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.maps.fetch_sub(1, Ordering::Relaxed);
        TAKEN.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn keep(&self, node: &Arc<Node>, map: NameMap) -> Result {
        let limit = config::nameindex_max();
        let bytes = NameMapCell::size_of(&map);
        if bytes > PlaceIndex::most() {
            return Err(ENOSPC);
        }
        let mut kept = self.kept.lock()?;
        if self.gone.load(Ordering::Relaxed) > kept.len / 2 {
            self.gone.store(0, Ordering::Relaxed);
            kept.sweep();
        }
        // Other mounts may add theirs at the same time: the limit is exceeded by what they are about to add, at most.
        while TAKEN.load(Ordering::Relaxed).saturating_add(bytes) > limit {
            let first = kept.pop().ok_or(ENOSPC)?;
            self.give_back(&first);
        }
        kept.remove(node);
        kept.last = kept.last.wrapping_add(1);
        let key = key(bytes, kept.last);
        let place = RBTreeNode::new(key, node.clone(), GFP_KERNEL)?;
        let before = node.map.put(map)?;
        if before != 0 {
            self.count_less(before);
        }
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.maps.fetch_add(1, Ordering::Relaxed);
        TAKEN.fetch_add(bytes, Ordering::Relaxed);
        node.key.store(key, Ordering::Relaxed);
        kept.order.insert(place);
        kept.len = kept.len.saturating_add(1);
        Ok(())
    }
}

impl Shrink for Pool {
    fn count(&self) -> usize {
        self.maps.load(Ordering::Relaxed)
    }

    fn shrink(&self, wanted: usize) -> Option<usize> {
        let mut kept = self.kept.try_lock()?;
        let mut done = 0usize;
        while done < wanted {
            let Some(first) = kept.pop() else {
                break;
            };
            if self.give_back(&first) {
                done = done.saturating_add(1);
            }
        }
        Some(done)
    }
}

/// The maps of one mount, and what gives them back when memory is short.
pub(crate) struct Indexes {
    pool: Arc<Pool>,
    _shrinker: Shrinker<Pool>,
}

impl Indexes {
    /// Makes it, without maps, for a stack of this depth.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(depth: u32) -> Result<Self> {
        let pool = Pool {
            kept: Locked::new_inner(Kept::default(), depth)?,
            bytes: AtomicUsize::new(0),
            maps: AtomicUsize::new(0),
            gone: AtomicUsize::new(0),
        };
        let pool = Arc::new(pool, GFP_KERNEL)?;
        Ok(Self {
            _shrinker: Shrinker::new(c"layerfs-nameindex", pool.clone())?,
            pool,
        })
    }

    /// Returns how many maps there are, and how much memory they take, in bytes.
    pub(crate) fn size(&self) -> (usize, usize) {
        (
            self.pool.maps.load(Ordering::Relaxed),
            self.pool.bytes.load(Ordering::Relaxed),
        )
    }
}
