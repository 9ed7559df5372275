// SPDX-License-Identifier: GPL-2.0-only

//! The lower layers of a stack, in order: the only place that knows how they are kept, and how they come and go.
//!
//! The order is a list that is replaced as a whole; who goes through the layers takes the list that there is and keeps
//! to it. Who has a pin needs no list: the pin keeps its layer ([`KeptMount`]). Each layer has a rank, which never
//! changes and is never used again, so that what is further down can be told without a list. How a change is carried
//! out, and what becomes of what is known of objects, is in `engine/live.rs`.

#![forbid(unsafe_code)]

use super::layer::Layer;
use super::layer::LayerIndex;
use core::sync::atomic::AtomicBool;
use core::sync::atomic::AtomicI64;
use core::sync::atomic::Ordering;
use format::control::LayerInfo;
use kernel::prelude::*;
use kernel::sync::aref::ARef;
use kernel::sync::Arc;
use vfs::cell::locked::Locked;
use vfs::cell::locked::LockedGuard;
use vfs::cell::rcu_arc::RcuArc;
use vfs::object::inode_cache::InodeKey;
use vfs::object::kept_mount::KeptMount;
use vfs::object::kept_mount::MountWatch;
use vfs::object::super_block::Changes;

/// The lower layers at one moment, topmost first; those that only have data come last.
pub(crate) struct List {
    all: KVec<ARef<KeptMount<Layer>>>,
    /// How many of them are merged, and don't only have data.
    merged: usize,
    /// The roots of all layers, and the directories of upper beside its root: in order, to be found fast.
    roots: KVec<InodeKey>,
    /// It is the one that the stack was mounted with.
    is_as_mounted: bool,
}

impl List {
    /// Makes the list of `all` layers, of which the first `merged` are merged; `upper` are the directories of upper.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(
        all: KVec<ARef<KeptMount<Layer>>>,
        merged: usize,
        upper: &[InodeKey],
    ) -> Result<Self> {
        let room = all.len().saturating_add(upper.len());
        let mut roots: KVec<InodeKey> = KVec::with_capacity(room, GFP_KERNEL)?;
        let lowers = all.iter().map(|layer| layer.root().inode().key());
        // They are inserted in order rather than sorted in the end, as there are at most some hundreds.
        for key in Iterator::chain(upper.iter().copied(), lowers) {
            // Without a work directory upper names the one it would be in twice.
            if let Err(place) = roots.binary_search(&key) {
                roots
                    .insert_within_capacity(place, key)
                    .map_err(|_| ENOMEM)?;
            }
        }
        Ok(Self {
            all,
            merged,
            roots,
            is_as_mounted: true,
        })
    }

    /// Returns how many different roots, and directories of upper, there are.
    pub(crate) fn count_roots(&self) -> usize {
        self.roots.len()
    }

    /// Returns whether this is the root of a layer, or a directory of upper beside its root.
    pub(crate) fn is_root(&self, key: InodeKey) -> bool {
        self.roots.binary_search(&key).is_ok()
    }

    /// Returns whether it is the one that the stack was mounted with.
    pub(crate) fn is_as_mounted(&self) -> bool {
        self.is_as_mounted
    }

    /// Returns the layer at this place, counted from the top.
    pub(crate) fn get(&self, place: usize) -> Option<&KeptMount<Layer>> {
        self.all.get(place).map(|layer| &**layer)
    }

    /// Returns how many there are.
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// Returns how many are merged, and don't only have data.
    pub(crate) fn merged_len(&self) -> usize {
        self.merged
    }

    /// Returns all of them, from the top.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &KeptMount<Layer>> + Clone {
        self.all.iter().map(|layer| &**layer)
    }

    /// Returns those that are merged, from the top.
    pub(crate) fn merged(&self) -> impl Iterator<Item = &KeptMount<Layer>> + Clone {
        let merged = self.all.get(..self.merged).unwrap_or_default();
        merged.iter().map(|layer| &**layer)
    }

    /// Returns those that only have data, from the top.
    pub(crate) fn data(&self) -> impl Iterator<Item = &KeptMount<Layer>> + Clone {
        let data = self.all.get(self.merged..).unwrap_or_default();
        data.iter().map(|layer| &**layer)
    }

    /// Returns the place of the first merged layer that is not above `rank`.
    pub(crate) fn place_from(&self, rank: i64) -> usize {
        let above = self.merged().take_while(|layer| layer.owner().rank < rank);
        above.count()
    }

    /// Returns the list with another layer in the place of this one, or without it.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn with_instead(
        &self,
        place: usize,
        new: Option<ARef<KeptMount<Layer>>>,
        upper: &[InodeKey],
    ) -> Result<Self> {
        let mut all = KVec::with_capacity(self.all.len(), GFP_KERNEL)?;
        let goes = usize::from(new.is_none() && place < self.merged);
        let mut new = new;
        for (i, layer) in self.all.iter().enumerate() {
            if i != place {
                all.push(layer.clone(), GFP_KERNEL)?;
            } else if let Some(new) = new.take() {
                all.push(new, GFP_KERNEL)?;
            }
        }
        let merged = self.merged.saturating_sub(goes);
        Ok(Self {
            is_as_mounted: false,
            ..Self::new(all, merged, upper)?
        })
    }

    /// Returns the list with another layer before the one at this place; `data` says that it only has data.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn with_before(
        &self,
        place: usize,
        new: ARef<KeptMount<Layer>>,
        data: bool,
        upper: &[InodeKey],
    ) -> Result<Self> {
        let mut all = KVec::with_capacity(self.all.len().saturating_add(1), GFP_KERNEL)?;
        let mut new = Some(new);
        for (i, layer) in self.all.iter().enumerate() {
            if let Some(new) = new.take_if(|_| i == place) {
                all.push(new, GFP_KERNEL)?;
            }
            all.push(layer.clone(), GFP_KERNEL)?;
        }
        if let Some(new) = new {
            all.push(new, GFP_KERNEL)?;
        }
        let merged = self.merged.saturating_add(usize::from(!data));
        Ok(Self {
            is_as_mounted: false,
            ..Self::new(all, merged, upper)?
        })
    }
}

/// The lower layers.
pub(crate) struct Layers {
    list: RcuArc<List>,
    /// The rank of the lowest layer that is merged.
    lowest: AtomicI64,
    /// Some only have data.
    has_data: AtomicBool,
    /// How often the list was replaced, or what is in a layer was changed by who may do that.
    changes: Arc<Changes>,
    /// The layers that were taken away, and are in use.
    leaving: Locked<KVec<MountWatch<Layer>>>,
}

/// The layers are being changed, by one task.
pub(crate) struct Change<'a> {
    layers: &'a Layers,
    /// The layers that were taken away, and are in use.
    pub(crate) leaving: LockedGuard<'a, KVec<MountWatch<Layer>>>,
}

impl Layers {
    /// Makes the layers of a stack of that depth.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(list: List, depth: u32) -> Result<Self> {
        Ok(Self {
            lowest: AtomicI64::new(lowest(&list)),
            has_data: AtomicBool::new(list.merged < list.all.len()),
            list: RcuArc::new(Arc::new(list, GFP_KERNEL)?),
            changes: Changes::new()?,
            leaving: Locked::new_outermost(KVec::new(), depth)?,
        })
    }

    /// Returns the list as it is now.
    pub(crate) fn list(&self) -> Arc<List> {
        self.list.get()
    }

    /// Returns whether this is the root of a layer, or a directory of upper beside its root.
    pub(crate) fn is_root(&self, key: InodeKey) -> bool {
        self.list.peek(|list| list.is_root(key))
    }

    /// Returns whether some only have data.
    #[inline]
    pub(crate) fn has_data_layers(&self) -> bool {
        self.has_data.load(Ordering::Relaxed)
    }

    /// Returns whether none of the layers that are merged is below this one.
    #[inline]
    pub(crate) fn is_lowest(&self, layer: &Layer) -> bool {
        layer.rank >= self.lowest.load(Ordering::Relaxed)
    }

    /// Returns how often the layers were changed. Who has looked into them, and finds the number to be another
    /// afterwards, may have seen what is not so any more.
    #[inline]
    pub(crate) fn changes(&self) -> u32 {
        self.changes.count()
    }

    /// Does `f` with what there is to know of the layer at a place, from the top; those that were taken away, and are in
    /// use, come last.
    ///
    /// # Errors
    ///
    /// `ENOENT`: there is none. `EINTR`: the task is being killed. Those of `f`.
    pub(crate) fn with(&self, place: usize, f: impl FnOnce(&Layer, LayerInfo) -> Result) -> Result {
        let (watch, data) = self.at(place)?;
        f(watch.owner(), info(watch.owner(), watch.users(), data))
    }

    /// Returns the layer at a place, from the top, and whether it is known to have only data; those that were taken away,
    /// and are in use, come last.
    ///
    /// # Errors
    ///
    /// `ENOENT`: there is none. `EINTR`: the task is being killed.
    pub(crate) fn at(&self, place: usize) -> Result<(MountWatch<Layer>, bool)> {
        let list = self.list();
        if let Some(layer) = list.get(place) {
            return Ok((layer.watch(), place >= list.merged));
        }
        let leaving = self.leaving.lock()?;
        let mut used = leaving.iter().filter(|watch| watch.users() > 0);
        let watch = used.nth(place.saturating_sub(list.len())).ok_or(ENOENT)?;
        Ok((watch.clone(), false))
    }

    /// Returns the layer with this name; if there is none any more, the last one of those that were taken away, and are
    /// in use.
    ///
    /// # Errors
    ///
    /// `ENOENT`: there is none. `EINTR`: the task is being killed.
    pub(crate) fn named(&self, name: &[u8]) -> Result<MountWatch<Layer>> {
        let is_it = |layer: &Layer| layer.name.to_bytes() == name;
        let list = self.list();
        if let Some(layer) = list.iter().find(|layer| is_it(layer.owner())) {
            return Ok(layer.watch());
        }
        let leaving = self.leaving.lock()?;
        let mut used = leaving.iter().filter(|watch| watch.users() > 0);
        let last = used.rfind(|watch| is_it(watch.owner())).ok_or(ENOENT)?;
        Ok(last.clone())
    }

    /// Returns what counts the changes, for path walks under RCU to look at.
    pub(crate) fn counter(&self) -> Arc<Changes> {
        self.changes.clone()
    }

    /// Begins to change them, when no other task does.
    ///
    /// # Errors
    ///
    /// `EINTR`: the task is being killed.
    pub(crate) fn change(&self) -> Result<Change<'_>> {
        Ok(Change {
            leaving: self.leaving.lock()?,
            layers: self,
        })
    }
}

impl Change<'_> {
    /// Puts another list in force: whoever looks into the layers from now on goes by that. What was looked up before is
    /// told by the number of changes.
    pub(crate) fn set(&mut self, list: Arc<List>) {
        let (lowest, has_data) = (lowest(&list), list.merged < list.all.len());
        self.layers.lowest.store(lowest, Ordering::Relaxed);
        self.layers.has_data.store(has_data, Ordering::Relaxed);
        self.layers.list.set(list);
        self.announce();
    }

    /// Says that what was looked up before may not be so any more.
    pub(crate) fn announce(&mut self) {
        self.layers.changes.add();
    }
}

fn lowest(list: &List) -> i64 {
    list.merged()
        .last()
        .map_or(i64::MAX, |layer| layer.owner().rank)
}

fn info(layer: &Layer, users: usize, data: bool) -> LayerInfo {
    let number = match layer.index {
        LayerIndex::Lower(number) => number,
        LayerIndex::Upper => 0,
    };
    LayerInfo {
        data,
        leaving: layer.is_shut(),
        number,
        name_len: layer.name.to_bytes().len() as u32,
        users: users as u64,
    }
}
