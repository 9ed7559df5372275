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
use super::work;
use crate::marks;
use crate::state::instance::Instance;
use crate::state::listing::Arena;
use crate::state::listing::Fate;
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
    let mut merge = Merge::new()?;
    merge.read_all(instance, c, object)?;
    if merge.is_pure && object.lower_depth() == 0 && !object.has(Trait::MAY_HAVE_WHITEOUTS) {
        work::clear_impure(instance, c, object);
    }
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
    let mut merge = Merge::new()?;
    merge.read_all(instance, c, object)?;
    let mut whiteouts = KVec::new();
    for (at, entry, fate) in merge.arena.iter() {
        if fate != Fate::Hidden {
            return Err(ENOTEMPTY);
        }
        if at < merge.end_of_upper {
            let mut name = KVec::new();
            name.extend_from_slice(entry.name, GFP_KERNEL)?;
            whiteouts.push(name, GFP_KERNEL)?;
        }
    }
    Ok(whiteouts)
}

struct Merge {
    arena: Arena,
    met: NameTable,
    /// The names of the lowest layer.
    lowest: KVVec<u32>,
    /// Records that may be whiteouts, of the layer that is being read.
    suspects: KVVec<u32>,
    /// Where the records of upper end.
    end_of_upper: u32,
    /// Upper is marked to hold objects with the number of an origin, but none was found.
    is_pure: bool,
}

impl Merge {
    fn new() -> Result<Self> {
        Ok(Self {
            arena: Arena::new()?,
            met: NameTable::new()?,
            lowest: KVVec::new(),
            suspects: KVVec::new(),
            end_of_upper: 0,
            is_pure: false,
        })
    }

    fn read_all(
        &mut self,
        instance: &Instance,
        c: &Override<'_>,
        object: Held<'_, Object>,
    ) -> Result {
        let depth = usize::from(object.upper().is_some()) + object.lower_depth();
        for (i, pin) in object::places(object).enumerate() {
            let in_upper = pin.tag() == UPPER;
            let layer = LayerDir {
                path: object::path(instance, pin)?,
                fsid: instance.fsid_of(pin.get())?,
                marked: object.has(Trait::XATTR_WHITEOUTS)
                    && !in_upper
                    && instance.lower_of(pin.get())?.expects_xattr_whiteouts(),
                is_lowest: i + 1 == depth,
            };
            self.read_layer(instance, c, &layer)?;
            if in_upper {
                // What was copied up keeps the number it had.
                if instance.xino.same_dev() && object.has(Trait::IMPURE) {
                    self.is_pure = !self.renumber(instance, c, layer.path)?;
                }
                self.end_of_upper = self.arena.end();
            }
        }
        Ok(())
    }

    fn read_layer(
        &mut self,
        instance: &Instance,
        c: &Override<'_>,
        layer: &LayerDir<'_>,
    ) -> Result {
        let path = layer.path;
        let dir = OwnedFile::open_dir(c, path)?;
        self.suspects.clear();
        dir_iter::read_all(c, &dir, |entry| {
            if matches!(entry.name, b"." | b"..") {
                return Ok(());
            }
            let number = ino::compose(entry.ino, layer.fsid, instance.xino).unwrap_or(entry.ino);
            let entry = Entry {
                ino: number,
                ..entry
            };
            self.add(entry, layer)
        })?;
        for &suspect in &self.suspects {
            let Some(entry) = self.arena.get(suspect) else {
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
                self.arena.set_fate(suspect, Fate::Hidden);
            }
        }
        Ok(())
    }

    /// Takes an entry of the layer that is being read.
    #[inline]
    fn add(&mut self, entry: Entry<'_>, layer: &LayerDir<'_>) -> Result {
        let hash = self.met.hash(entry.name);
        if let Some(met) = self.met.find(&self.arena, hash, entry.name) {
            // It is shown as it was met, in the place it has in the lowest layer.
            if layer.is_lowest && self.arena.fate(met) == Fate::Behind {
                self.arena.set_fate(met, Fate::Lowest);
                self.lowest.push(met, GFP_KERNEL)?;
            }
            return Ok(());
        }
        let fate = if layer.is_lowest {
            Fate::Lowest
        } else {
            Fate::Behind
        };
        let record = self.arena.push(entry, fate)?;
        if layer.is_lowest {
            self.lowest.push(record, GFP_KERNEL)?;
        }
        self.met.insert(hash, record)?;
        let kind = match entry.kind {
            Type::CHAR_DEVICE => whiteout::EntryType::CharDevice,
            Type::REGULAR => whiteout::EntryType::Regular,
            Type::UNKNOWN => whiteout::EntryType::Unknown,
            _ => whiteout::EntryType::Other,
        };
        if whiteout::must_look(kind, layer.marked) {
            self.suspects.push(record, GFP_KERNEL)?;
        }
        Ok(())
    }

    /// Gives the entries of upper the numbers of their origins; says whether there is one that has.
    fn renumber(&mut self, instance: &Instance, c: &Override<'_>, upper: Path<'_>) -> Result<bool> {
        let mut any = false;
        let mut at = 0;
        while let Some((entry, fate, next)) = self.arena.get_with_next(at) {
            if fate != Fate::Hidden {
                if let Some(number) = number_of_origin(instance, c, upper, entry.name)? {
                    any = true;
                    self.arena.set_ino(at, number);
                }
            }
            at = next;
        }
        Ok(any)
    }

    fn finish(self) -> Result<Listing> {
        let behind = |(_, _, fate): &(u32, Entry<'_>, Fate)| *fate == Fate::Behind;
        let extra = self.arena.iter().filter(behind).count();
        let mut order = KVVec::with_capacity(self.lowest.len() + extra, GFP_KERNEL)?;
        for &record in &self.lowest {
            if self.arena.fate(record) == Fate::Lowest {
                order.push(record, GFP_KERNEL)?;
            }
        }
        if extra > 0 {
            for (record, _, _) in self.arena.iter().filter(behind) {
                order.push(record, GFP_KERNEL)?;
            }
        }
        Ok(Listing::new(self.arena, order))
    }
}

/// A directory of a layer that is being read.
struct LayerDir<'a> {
    path: Path<'a>,
    fsid: u32,
    /// Empty regular files may be whiteouts.
    marked: bool,
    is_lowest: bool,
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

/// Which names were met: open addressing, at most half full.
struct NameTable {
    /// The hash of a name, and the offset of its record plus one; 0 where there is none.
    slots: KVVec<(u32, u32)>,
    used: usize,
    seed: u64,
}

impl NameTable {
    /// Slots of an empty table: for directories of up to so many names by half.
    const INITIAL: usize = 128;

    fn new() -> Result<Self> {
        Ok(Self {
            slots: KVVec::from_elem((0, 0), Self::INITIAL, GFP_KERNEL)?,
            used: 0,
            // Whoever can make names can't choose them so that all fall into one place.
            seed: vfs::sync::random(),
        })
    }

    #[inline]
    fn hash(&self, name: &[u8]) -> u32 {
        const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

        let mix = |hash: u64, word: u64| {
            let hash = (hash ^ word).wrapping_mul(MULTIPLIER);
            hash ^ hash >> 29
        };
        let mut hash = self.seed ^ name.len() as u64;
        let mut words = name.chunks_exact(8);
        for word in &mut words {
            if let Ok(word) = word.try_into() {
                hash = mix(hash, u64::from_ne_bytes(word));
            }
        }
        let rest = words
            .remainder()
            .iter()
            .fold(0, |w, b| w << 8 | u64::from(*b));
        (mix(hash, rest) >> 32) as u32
    }

    /// The place of a name: where it is, or the empty one where it would be.
    #[inline]
    fn probe(&self, hash: u32, is_it: impl Fn(u32) -> bool) -> Option<usize> {
        let mask = self.slots.len().checked_sub(1)?;
        let mut at = hash as usize & mask;
        loop {
            let (known, record) = *self.slots.get(at)?;
            if record == 0 || (known == hash && is_it(record - 1)) {
                return Some(at);
            }
            at = (at + 1) & mask;
        }
    }

    #[inline]
    fn find(&self, arena: &Arena, hash: u32, name: &[u8]) -> Option<u32> {
        let at = self.probe(hash, |record| {
            arena.get(record).is_some_and(|entry| entry.name == name)
        })?;
        self.slots.get(at)?.1.checked_sub(1)
    }

    /// Adds a name that is not there.
    #[inline]
    fn insert(&mut self, hash: u32, record: u32) -> Result {
        if (self.used + 1) * 2 > self.slots.len() {
            self.grow()?;
        }
        self.place((hash, record + 1));
        self.used += 1;
        Ok(())
    }

    fn place(&mut self, new: (u32, u32)) {
        if let Some(at) = self.probe(new.0, |_| false) {
            if let Some(slot) = self.slots.get_mut(at) {
                *slot = new;
            }
        }
    }

    #[cold]
    fn grow(&mut self) -> Result {
        let len = self.slots.len() * 4;
        let new = KVVec::from_elem((0, 0), len, GFP_KERNEL)?;
        let old = core::mem::replace(&mut self.slots, new);
        for slot in &old {
            if slot.1 != 0 {
                self.place(*slot);
            }
        }
        Ok(())
    }
}
