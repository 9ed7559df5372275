// SPDX-License-Identifier: GPL-2.0-only

//! Merging the names of a directory from its layers.
//!
//! The layers are read from the top down; a name counts where it is met first, and a whiteout counts
//! as one there. The names of the lowest layer come first in the end, in that layer's order, then those
//! of the layers above that are not in it, so that positions change little when something is added
//! further up. One hash table of offsets into the arena tells whether a name was met; it is gone when
//! the listing is made.

#![forbid(unsafe_code)]

use super::origin;
use crate::marks;
use crate::state::instance::Instance;
use crate::state::listing::Arena;
use crate::state::listing::Listing;
use crate::state::object;
use crate::state::object::Object;
use crate::state::object::Trait;
use crate::state::object::UPPER;
use format::ino;
use format::whiteout;
use kernel::prelude::*;
use kernel::sync::Arc;
use vfs::dir_iter;
use vfs::dir_iter::Entry;
use vfs::dir_iter::Type;
use vfs::errno::*;
use vfs::file::OwnedFile;
use vfs::Held;
use vfs::Override;
use vfs::Path;

/// Reads a merged directory.
///
/// # Errors
///
/// `ENOMEM`; what a layer gives.
pub(crate) fn read(
    instance: &Instance,
    c: &Override<'_>,
    object: Held<'_, Object>,
) -> Result<Arc<Listing>> {
    let mut merge = Merge::new();
    merge.read_all(instance, c, object)?;
    Ok(Arc::new(merge.finish()?, GFP_KERNEL)?)
}

/// Checks that nothing is shown in a directory; gives the names of the whiteouts that upper has in it.
///
/// # Errors
///
/// `ENOTEMPTY`. As [`read`].
pub(crate) fn check_empty(
    instance: &Instance,
    c: &Override<'_>,
    object: Held<'_, Object>,
) -> Result<KVec<KVec<u8>>> {
    let mut merge = Merge::new();
    merge.read_all(instance, c, object)?;
    if merge.fates.iter().any(|fate| *fate != Fate::Hidden) {
        return Err(ENOTEMPTY);
    }
    let mut whiteouts = KVec::new();
    if object.upper().is_some() {
        for ((_, entry), i) in merge.arena.iter().zip(0..) {
            if i < merge.first_lower {
                let mut name = KVec::new();
                name.extend_from_slice(entry.name, GFP_KERNEL)?;
                whiteouts.push(name, GFP_KERNEL)?;
            }
        }
    }
    Ok(whiteouts)
}

/// Where a record is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Behind the names of the lowest layer.
    Behind,
    /// Among the names of the lowest layer, in their order.
    Lowest,
    /// Nowhere: it is a whiteout.
    Hidden,
}

struct Merge {
    arena: Arena,
    met: NameTable,
    /// The names of the lowest layer.
    lowest: KVVec<Met>,
    /// The fate of each record, in the order of the arena.
    fates: KVVec<Fate>,
    /// Records that may be whiteouts, of the layer that is being read.
    suspects: KVVec<Met>,
    /// How many records are of upper.
    first_lower: usize,
}

impl Merge {
    fn new() -> Self {
        Self {
            arena: Arena::new(),
            met: NameTable::new(),
            lowest: KVVec::new(),
            fates: KVVec::new(),
            suspects: KVVec::new(),
            first_lower: 0,
        }
    }

    fn read_all(
        &mut self,
        instance: &Instance,
        c: &Override<'_>,
        object: Held<'_, Object>,
    ) -> Result {
        let depth = usize::from(object.upper().is_some()) + object.lower_depth();
        for (i, pin) in object::merged_places(object).enumerate() {
            let marked = object.has(Trait::XATTR_WHITEOUTS)
                && pin.tag() != UPPER
                && instance.lower_of(pin.get())?.expects_xattr_whiteouts();
            let fsid = instance.fsid_of(pin.get())?;
            let path = object::path(instance, pin)?;
            // Where lower numbers are kept after copy-up, each entry of upper may have another.
            let has_origins = pin.tag() == UPPER && instance.xino.same_dev();
            self.read_layer(instance, c, fsid, path, marked, i + 1 == depth, has_origins)?;
            if pin.tag() == UPPER {
                self.first_lower = self.fates.len();
            }
        }
        Ok(())
    }

    fn read_layer(
        &mut self,
        instance: &Instance,
        c: &Override<'_>,
        fsid: u32,
        path: Path<'_>,
        marked: bool,
        is_lowest: bool,
        has_origins: bool,
    ) -> Result {
        let first = self.arena.end();
        let dir = OwnedFile::open_dir(c, path)?;
        self.suspects.clear();
        dir_iter::read_all(c, &dir, |entry| {
            if matches!(entry.name, b"." | b"..") {
                return Ok(());
            }
            let number = ino::compose(entry.ino, fsid, instance.xino).unwrap_or(entry.ino);
            self.add(
                Entry {
                    ino: number,
                    ..entry
                },
                marked,
                is_lowest,
            )
        })?;
        for suspect in &self.suspects {
            let Some(entry) = self.arena.get(suspect.record) else {
                continue;
            };
            // One that can't be looked at is shown, as it is there.
            let Ok(Some(found)) = path.dentry.lookup(c, path.mount, entry.name) else {
                continue;
            };
            let found = Path {
                mount: path.mount,
                dentry: &found,
            };
            if marks::is_whiteout(&instance.config, c, found) {
                if let Some(fate) = self.fates.get_mut(suspect.index) {
                    *fate = Fate::Hidden;
                }
            }
        }
        if has_origins {
            self.renumber(instance, c, path, first)?;
        }
        Ok(())
    }

    /// Gives the entries of upper, from offset `first` on, the numbers of their origins.
    fn renumber(
        &mut self,
        instance: &Instance,
        c: &Override<'_>,
        dir: Path<'_>,
        first: u32,
    ) -> Result {
        let mut at = first;
        while let Some((entry, next)) = self.arena.get_with_next(at) {
            if let Some(number) = number_of_origin(instance, c, dir, entry.name)? {
                self.arena.set_ino(at, number);
            }
            at = next;
        }
        Ok(())
    }

    /// Takes an entry of the layer that is being read.
    fn add(&mut self, entry: Entry<'_>, marked: bool, is_lowest: bool) -> Result {
        if let Some(met) = self.met.find(&self.arena, entry.name) {
            if is_lowest {
                // It is shown as it was met, in the place it has here.
                if let Some(fate @ Fate::Behind) = self.fates.get_mut(met.index) {
                    *fate = Fate::Lowest;
                    self.lowest.push(met, GFP_KERNEL)?;
                }
            }
            return Ok(());
        }
        let met = Met {
            record: self.arena.push(entry)?,
            index: self.fates.len(),
        };
        let fate = if is_lowest {
            self.lowest.push(met, GFP_KERNEL)?;
            Fate::Lowest
        } else {
            Fate::Behind
        };
        self.fates.push(fate, GFP_KERNEL)?;
        self.met.insert(entry.name, met)?;
        let kind = match entry.kind {
            Type::CHAR_DEVICE => whiteout::EntryType::CharDevice,
            Type::REGULAR => whiteout::EntryType::Regular,
            Type::UNKNOWN => whiteout::EntryType::Unknown,
            _ => whiteout::EntryType::Other,
        };
        if whiteout::must_look(kind, marked) {
            self.suspects.push(met, GFP_KERNEL)?;
        }
        Ok(())
    }

    fn finish(self) -> Result<Listing> {
        let shown = self.fates.iter().filter(|f| **f != Fate::Hidden).count();
        let mut order = KVVec::with_capacity(shown, GFP_KERNEL)?;
        for met in &self.lowest {
            if self.fates.get(met.index) == Some(&Fate::Lowest) {
                order.push(met.record, GFP_KERNEL)?;
            }
        }
        for ((record, _), fate) in self.arena.iter().zip(&self.fates) {
            if *fate == Fate::Behind {
                order.push(record, GFP_KERNEL)?;
            }
        }
        Ok(Listing::new(self.arena, order))
    }
}

/// The number that an entry of a directory in upper has from its origin.
pub(crate) fn number_of_origin(
    instance: &Instance,
    c: &Override<'_>,
    dir: Path<'_>,
    name: &[u8],
) -> Result<Option<u64>> {
    let Some(child) = dir.dentry.lookup(c, dir.mount, name)? else {
        return Ok(None);
    };
    let child = Path {
        mount: dir.mount,
        dentry: &child,
    };
    let Some((lower, layer)) = origin::find(instance, c, child)? else {
        return Ok(None);
    };
    if !lower.is_dir() && lower.inode().nlink() > 1 {
        return Ok(None);
    }
    let fsid = instance.layers.get(layer as usize).ok_or(EIO)?.fsid;
    let real = lower.inode().ino();
    Ok(Some(
        ino::compose(real, fsid, instance.xino).unwrap_or(real),
    ))
}

/// A record that was met before: its offset and its number.
#[derive(Clone, Copy)]
struct Met {
    record: u32,
    index: usize,
}

/// Which names were met: open addressing, at most half full.
struct NameTable {
    /// 0, or the upper half of the hash and the number of the record plus one.
    slots: KVVec<(u32, u32, u32)>,
    used: usize,
    seed: u64,
}

impl NameTable {
    const EMPTY: (u32, u32, u32) = (0, 0, 0);

    fn new() -> Self {
        Self {
            slots: KVVec::new(),
            used: 0,
            // Whoever can make names can't choose them so that all fall into one place.
            seed: vfs::sync::random(),
        }
    }

    fn hash(&self, name: &[u8]) -> u32 {
        const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut hash = self.seed ^ name.len() as u64;
        for chunk in name.chunks(8) {
            let mut word = [0u8; 8];
            for (to, from) in word.iter_mut().zip(chunk) {
                *to = *from;
            }
            hash = (hash ^ u64::from_ne_bytes(word)).wrapping_mul(MULTIPLIER);
            hash ^= hash >> 29;
        }
        (hash >> 32) as u32
    }

    /// The place of a name: where it is, or the empty one where it would be.
    fn probe(&self, hash: u32, is_it: impl Fn(u32) -> bool) -> Option<usize> {
        let mask = self.slots.len().checked_sub(1)?;
        let mut at = hash as usize & mask;
        loop {
            let slot = self.slots.get(at)?;
            if slot.1 == 0 || (slot.0 == hash && is_it(slot.2)) {
                return Some(at);
            }
            at = (at + 1) & mask;
        }
    }

    fn find(&self, arena: &Arena, name: &[u8]) -> Option<Met> {
        let at = self.probe(self.hash(name), |record| {
            arena.get(record).is_some_and(|entry| entry.name == name)
        })?;
        let (_, index, record) = *self.slots.get(at)?;
        Some(Met {
            record,
            index: index.checked_sub(1)? as usize,
        })
    }

    /// Adds a name that is not there.
    fn insert(&mut self, name: &[u8], met: Met) -> Result {
        if (self.used + 1) * 2 > self.slots.len() {
            self.grow()?;
        }
        let hash = self.hash(name);
        let index = u32::try_from(met.index + 1).map_err(|_| EOVERFLOW)?;
        self.place((hash, index, met.record));
        self.used += 1;
        Ok(())
    }

    fn place(&mut self, new: (u32, u32, u32)) {
        if let Some(at) = self.probe(new.0, |_| false) {
            if let Some(slot) = self.slots.get_mut(at) {
                *slot = new;
            }
        }
    }

    fn grow(&mut self) -> Result {
        let len = (self.slots.len() * 2).max(64);
        let new = KVVec::from_elem(Self::EMPTY, len, GFP_KERNEL)?;
        let old = core::mem::replace(&mut self.slots, new);
        for slot in &old {
            if slot.1 != 0 {
                self.place(*slot);
            }
        }
        Ok(())
    }
}
