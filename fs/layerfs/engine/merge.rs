// SPDX-License-Identifier: GPL-2.0-only

//! Merging the names of a directory from its layers.
//!
//! The layers are read from the top down; a name counts where it is met first, and a whiteout counts
//! as one there. The names of the lowest layer come first in the end, in that layer's order, then those
//! of the layers above that are not in it, so that positions change little when something is added
//! further up. One hash table of offsets into the arena tells whether a name was met; it is gone when
//! the listing is made.

#![forbid(unsafe_code)]

use crate::marks;
use crate::state::instance::Instance;
use crate::state::layer::LayerIndex;
use crate::state::listing::Arena;
use crate::state::listing::Ask;
use crate::state::listing::Fate;
use crate::state::listing::Listing;
use crate::state::listing::SizeHint;
use crate::state::place_index::PlaceIndex;
use crate::state::places::Places;
use crate::state::stats::Counter;
use crate::state::traits::Trait;
use format::ino;
use format::whiteout;
use kernel::prelude::*;
use vfs::call::dir_iter;
use vfs::call::dir_iter::Entry;
use vfs::call::dir_iter::Type;
use vfs::cell::name_map::NameMap;
use vfs::object::encoding::Encoding;
use vfs::object::file::OwnedFile;
use vfs::object::file::Whence;
use vfs::sys::alloc::charged;
use vfs::sys::errno::ELOOP;
use vfs::sys::errno::ENOTEMPTY;
use vfs::sys::hash::HashKey;
use vfs::sys::task;
use vfs::Override;
use vfs::Path;

/// The names that are shown of a directory, as they were read.
pub(crate) struct Names {
    arena: Arena,
    end_of_upper: u32,
}

impl Names {
    /// Returns the names that upper does not have.
    pub(crate) fn missing_in_upper(&self) -> impl Iterator<Item = &[u8]> {
        missing_in_upper(&self.arena, self.end_of_upper)
    }

    /// Returns the next name, from a place on, and the place behind it. The first place is 0.
    pub(crate) fn from(&self, mut at: u32) -> Option<(&[u8], u32)> {
        loop {
            let (entry, fate, next) = self.arena.get_with_next(at)?;
            if fate != Fate::Hidden {
                return Some((entry.name, next));
            }
            at = next;
        }
    }

    /// Returns the next name, from a place on, of what may be a directory, and the place behind it. The first place is
    /// 0.
    pub(crate) fn directory_from(&self, mut at: u32) -> Option<(&[u8], u32)> {
        loop {
            let (entry, fate, next) = self.arena.get_with_next(at)?;
            if fate != Fate::Hidden && matches!(entry.kind, Type::DIRECTORY | Type::UNKNOWN) {
                return Some((entry.name, next));
            }
            at = next;
        }
    }
}

/// Returns the names that lower layers show and upper does not have.
fn missing_in_upper(arena: &Arena, end_of_upper: u32) -> impl Iterator<Item = &[u8]> {
    arena
        .iter_from(end_of_upper)
        .filter(|(_, _, fate)| *fate != Fate::Hidden)
        .map(|(_, entry, _)| entry.name)
}

/// Reads the names of a directory, which is `now`.
///
/// # Errors
///
/// See [`read`](super::listing::read).
pub(crate) fn names(instance: &Instance, c: &Override<'_>, now: &Places<'_>) -> Result<Names> {
    let mut merge = Merge::new(instance, SizeHint::default())?;
    merge.read_all(instance, c, now, None)?;
    Ok(Names {
        arena: merge.arena,
        end_of_upper: merge.end_of_upper,
    })
}

/// Reads which names the lower directories of a directory have, and makes a map of them.
///
/// # Errors
///
/// `EOVERFLOW`: their records take more than `most` bytes. See [`read`](super::listing::read).
pub(super) fn places(
    instance: &Instance,
    c: &Override<'_>,
    dir: &Places<'_>,
    most: usize,
) -> Result<NameMap> {
    let mut merge = Merge::new(instance, SizeHint::default())?;
    merge.read_lowers(instance, c, dir, most)?;
    merge.places(instance, false)
}

/// The names of the whiteouts that upper has in a directory in which nothing is shown.
#[derive(Default)]
pub(crate) struct Whiteouts(Option<Names>);

impl Whiteouts {
    /// Returns whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// Returns their names.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let records = self.0.iter().flat_map(|names| {
            let of_upper = |(at, ..): &(u32, Entry<'_>, Fate)| *at < names.end_of_upper;
            names.arena.iter().take_while(of_upper)
        });
        records.map(|(_, entry, _)| entry.name)
    }
}

/// Checks that nothing is shown in a directory; returns the whiteouts that upper has in it.
///
/// # Errors
///
/// `ENOTEMPTY`; the errors of [`read`].
pub(crate) fn check_empty(
    instance: &Instance,
    c: &Override<'_>,
    places: &Places<'_>,
) -> Result<Whiteouts> {
    let names = names(instance, c, places)?;
    if names.arena.iter().any(|(_, _, fate)| fate != Fate::Hidden) {
        return Err(ENOTEMPTY);
    }
    Ok(Whiteouts(Some(names)))
}

/// The number of suspects that room is made for when the first is there.
const FIRST_SUSPECTS: usize = 16;

/// The names of a directory, while they are read.
pub(super) struct Merge<'a> {
    pub(super) arena: Arena,
    met: NameTable<'a>,
    /// The names of the lowest layer.
    lowest: KVVec<u32>,
    /// Records that may be whiteouts, of the layer that is being read.
    suspects: KVVec<u32>,
    /// The offset in the arena at which the records of upper end.
    pub(super) end_of_upper: u32,
    /// The offsets at which those of each layer end, if they are wanted.
    ends: KVVec<u32>,
    pub(super) counts_ends: bool,
    /// The directories that were met again, and the layers, by number of those that are read, if that is wanted.
    dirs_again: KVVec<(u32, u32)>,
}

impl<'a> Merge<'a> {
    /// Begins, with room for a directory that takes about so much.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(super) fn new(instance: &'a Instance, room: SizeHint) -> Result<Self> {
        Ok(Self {
            arena: Arena::with_room(room.records)?,
            met: NameTable::new(instance, room.remembered as usize),
            lowest: KVVec::with_capacity(room.names as usize, charged())?,
            suspects: KVVec::new(),
            end_of_upper: 0,
            ends: KVVec::new(),
            counts_ends: false,
            dirs_again: KVVec::new(),
        })
    }

    /// Reads the directories of all layers. `open` is the open directory of one of them.
    ///
    /// # Errors
    ///
    /// See [`read`](super::listing::read).
    pub(super) fn read_all(
        &mut self,
        instance: &Instance,
        c: &Override<'_>,
        now: &Places<'_>,
        mut open: Option<&mut OwnedFile>,
    ) -> Result {
        let depth = now.depth().min(now.naming());
        for (i, pin) in (0..depth).zip(now.all()) {
            let in_upper = LayerIndex::of(&pin) == LayerIndex::Upper;
            let path = pin.path();
            let key = path.dentry().inode().key();
            let fs = &pin.owner().fs;
            let layer = LayerDir {
                path,
                numbers: instance.is_numbered_by(c, path, fs).then_some(fs.number),
                marked: now.has(Trait::XATTR_WHITEOUTS)
                    && !in_upper
                    && marks::expects_xattr_whiteouts(&instance.config, c, pin.mount()),
                is_lowest: i + 1 == depth,
                in_upper,
                only_names: false,
            };
            let open = open.as_deref_mut().filter(|dir| dir.inode().key() == key);
            self.read_layer(instance, c, &layer, open)?;
            if in_upper {
                self.end_of_upper = self.arena.end();
            }
            self.count_end()?;
        }
        Ok(())
    }

    fn count_end(&mut self) -> Result {
        if self.counts_ends {
            self.ends.push(self.arena.end(), charged())?;
        }
        Ok(())
    }

    /// Reads the lower directories alone, for the names, whatever they stand for: no more than `most` bytes of records.
    fn read_lowers(
        &mut self,
        instance: &Instance,
        c: &Override<'_>,
        dir: &Places<'_>,
        most: usize,
    ) -> Result {
        self.counts_ends = true;
        self.arena.limit_to(most);
        let depth = dir.lower_depth();
        for (i, pin) in (0..depth).zip(dir.lower_places()) {
            let layer = LayerDir {
                path: pin.path(),
                numbers: None,
                marked: false,
                is_lowest: i + 1 == depth,
                in_upper: false,
                only_names: true,
            };
            self.read_layer(instance, c, &layer, None)?;
            self.count_end()?;
        }
        Ok(())
    }

    /// Makes a map of the names that lower directories have, after all were read; `with_upper` says whether upper was
    /// read before them.
    ///
    /// # Errors
    ///
    /// `ENOSPC`: it would take more than one map may. `ENOMEM`; `EOVERFLOW`: there are too many layers.
    pub(super) fn places(&self, instance: &Instance, with_upper: bool) -> Result<NameMap> {
        let above = usize::from(with_upper);
        let lowest = self.ends.len().saturating_sub(above.saturating_add(1));
        let lowest = u16::try_from(lowest).map_err(|_| EOVERFLOW)?;
        let in_lowers = || {
            let mut ends = self.ends.iter().skip(above).peekable();
            let mut place = 0u16;
            self.arena.iter().filter_map(move |(at, entry, _)| {
                // What is below a file has no part in what is found, and a file below a directory ends it only.
                if at < self.end_of_upper {
                    // In which layer a file is that is below a directory of upper was not noted.
                    let again = self.arena.was_met_again(at);
                    let range = if again { (0, lowest) } else { (u16::MAX, 0) };
                    return (again || self.arena.is_merged(at)).then_some((entry.name, range));
                }
                while ends.next_if(|end| **end <= at).is_some() {
                    place = place.saturating_add(1);
                }
                Some((entry.name, (place, place)))
            })
        };
        let len_of = |name| instance.with_key_of(name, |key| key.len());
        let (names, bytes) = in_lowers().fold((0usize, 0usize), |(names, bytes), (name, _)| {
            (names.saturating_add(1), bytes.saturating_add(len_of(name)))
        });
        // A layer chooses how many there are, and the memory is charged to nobody: it is not asked for before this.
        if NameMap::room_for(names, bytes) > PlaceIndex::most() {
            return Err(ENOSPC);
        }
        let mut map = NameMap::with_room(names, bytes)?;
        let mut add = |name: &[u8], range| {
            instance.with_key_of(name, |key| map.add(instance.name_key.hash(key), key, range))
        };
        for (name, range) in in_lowers() {
            add(name, range)?;
        }
        for &(at, layer) in &self.dirs_again {
            let place = (layer as usize).saturating_sub(above) as u16;
            if let Some(entry) = self.arena.get(at) {
                add(entry.name, (place, place))?;
            }
        }
        Ok(map)
    }

    /// Returns the names that upper does not have.
    pub(super) fn missing_in_upper(&self) -> impl Iterator<Item = &[u8]> {
        missing_in_upper(&self.arena, self.end_of_upper)
    }

    fn read_layer(
        &mut self,
        instance: &Instance,
        c: &Override<'_>,
        layer: &LayerDir<'_>,
        open: Option<&mut OwnedFile>,
    ) -> Result {
        let path = layer.path;
        if !layer.in_upper {
            instance.stats.count(Counter::ListingOfLower);
        }
        let mut opened;
        // It is moved also where it is at its beginning: filesystems note then which names are there. Some of FUSE
        // can't be moved.
        let reusable = open.and_then(|dir| dir.seek_dir(0, Whence::SET).is_ok().then_some(dir));
        let dir = match reusable {
            Some(dir) => dir,
            None => {
                opened = OwnedFile::open_dir(c, path)?;
                &mut opened
            }
        };
        self.suspects.clear();
        dir_iter::read_all(c, dir, |entry| {
            if matches!(entry.name, b"." | b"..") {
                return Ok(());
            }
            let number = layer
                .numbers
                .and_then(|fsid| ino::compose(entry.ino, fsid, instance.xino));
            let entry = Entry {
                ino: number.unwrap_or(entry.ino),
                ..entry
            };
            self.add(entry, layer)
        })
        .map_err(|e| {
            if e == ELOOP {
                vfs::warn_limited!(
                    "'{}' shows the same names for ever; its filesystem is broken\n",
                    &**path.dentry()
                );
                return EIO;
            }
            e
        })?;
        if layer.only_names {
            self.suspects.clear();
        }
        for &suspect in &self.suspects {
            let Some(entry) = self.arena.get(suspect) else {
                continue;
            };
            // An entry that can't be looked at is shown, as it is there.
            task::check_killed()?;
            let found = match path.dentry().lookup_killable(c, path.mount(), entry.name) {
                Ok(Some(found)) => found,
                Err(e) if e == EINTR => return Err(e),
                _ => continue,
            };
            let found = Path::new(path.mount(), &found)?;
            if marks::is_whiteout(&instance.config, c, found) {
                self.arena.set_fate(suspect, Fate::Hidden);
            }
        }
        Ok(())
    }

    /// Takes an entry of the layer that is being read.
    #[inline]
    fn add(&mut self, entry: Entry<'_>, layer: &LayerDir<'_>) -> Result {
        // Nothing need be remembered of the lowest layer, as its names are all different. So those that can't be among
        // the names that were met need no hash.
        let remembers = !layer.is_lowest;
        let table = &self.met;
        let (kind, hash) = match table.encoding {
            Some(encoding) => encoding.with_folded(entry.name, |key| table.marks(key, remembers)),
            None => table.marks(entry.name, remembers),
        };
        let met = hash.and_then(|hash| table.find(&self.arena, hash, entry.name));
        if let Some(met) = met {
            // It is shown as it was met, in the place it has in the lowest layer.
            if layer.is_lowest && self.arena.fate(met) == Fate::Behind {
                self.arena.set_fate(met, Fate::Lowest);
                append(&mut self.lowest, met)?;
            }
            return self.meet_again(met, entry.kind);
        }
        let fate = if layer.is_lowest {
            Fate::Lowest
        } else {
            Fate::Behind
        };
        let record = self.arena.push(entry, fate)?;
        if layer.is_lowest {
            append(&mut self.lowest, record)?;
        }
        if let (true, Some(hash)) = (remembers, hash) {
            self.met.insert(kind, hash, record)?;
        }
        if whiteout::must_look(whiteout_type(entry.kind), layer.marked) {
            if self.suspects.capacity() == 0 {
                self.suspects.reserve(FIRST_SUSPECTS, charged())?;
            }
            self.suspects.push(record, charged())?;
        }
        Ok(())
    }

    /// Takes note of a name that was met before.
    #[inline]
    fn meet_again(&mut self, met: u32, kind: Type) -> Result {
        if kind != Type::DIRECTORY {
            self.arena.set_met_again(met);
        } else {
            if met < self.end_of_upper {
                self.arena.set_merged(met);
            }
            if self.counts_ends {
                let place = self.ends.len() as u32;
                self.dirs_again.push((met, place), charged())?;
            }
        }
        Ok(())
    }

    /// Puts the names in order.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(super) fn finish(self, ask: Ask) -> Result<Listing> {
        let remembered = self.met.used;
        let Self { arena, lowest, .. } = self;
        let behind = |(_, _, fate): &(u32, Entry<'_>, Fate)| *fate == Fate::Behind;
        let extra = arena.iter().filter(behind).count();
        let len = lowest.len().saturating_add(extra);
        let mut order = if lowest.capacity() >= len
            && lowest.capacity() <= len.saturating_add(len / 8).saturating_add(16)
        {
            // It has the room, and not much more.
            let mut order = lowest;
            order.retain(|record| arena.fate(*record) == Fate::Lowest);
            order
        } else {
            let mut order = KVVec::with_capacity(len, charged())?;
            for &record in &lowest {
                if arena.fate(record) == Fate::Lowest {
                    order.push(record, charged())?;
                }
            }
            order
        };
        if extra > 0 {
            for (record, _, _) in arena.iter().filter(behind) {
                order.push(record, charged())?;
            }
        }
        Listing::new(arena, order, ask, remembered)
    }
}

/// Adds a record, with the check of the room inline: this is done for each name.
#[inline]
fn append(records: &mut KVVec<u32>, record: u32) -> Result {
    if records.len() == records.capacity() {
        return Ok(records.push(record, charged())?);
    }
    Ok(records.push_within_capacity(record)?)
}

/// Returns what an entry of this type may turn out to be.
#[inline]
pub(crate) fn whiteout_type(kind: Type) -> whiteout::EntryType {
    match kind {
        Type::CHAR_DEVICE => whiteout::EntryType::CharDevice,
        Type::REGULAR => whiteout::EntryType::Regular,
        Type::UNKNOWN => whiteout::EntryType::Unknown,
        _ => whiteout::EntryType::Other,
    }
}

/// A directory of a layer that is being read.
struct LayerDir<'a> {
    path: Path<'a>,
    /// The number of the filesystem by which its entries are numbered; `None` if they keep the numbers they have.
    numbers: Option<u32>,
    /// Empty regular files may be whiteouts.
    marked: bool,
    is_lowest: bool,
    in_upper: bool,
    /// It is of no interest what they stand for.
    only_names: bool,
}

/// Which names were met: open addressing, at most half full.
struct NameTable<'a> {
    /// The hash of a name, and the offset of its record plus one; 0 where there is none.
    slots: KVVec<(u32, u32)>,
    used: usize,
    /// The kinds of the names ([`NameTable::kind`]), a bit each.
    kinds: [u64; 4],
    /// Slots of the first table, for half as many names: a power of two.
    initial: usize,
    hash_key: &'a HashKey,
    /// How names are compared, if case is ignored in them.
    encoding: Option<&'a Encoding>,
}

impl<'a> NameTable<'a> {
    /// Makes a table that gets room for so many names when the first is there.
    fn new(instance: &'a Instance, names: usize) -> Self {
        Self {
            slots: KVVec::new(),
            used: 0,
            kinds: [0; 4],
            initial: names.max(1).saturating_mul(2).next_power_of_two(),
            hash_key: &instance.name_key,
            encoding: instance.encoding.as_deref(),
        }
    }

    #[inline]
    fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// Returns something of a name that is told faster than its hash: the word and the bit in `kinds`. Names of
    /// different kinds are different. Who makes names can choose their kinds, and wins nothing by it: the hash of those
    /// is asked. `key` is what all spellings of it have in common, as it is for the hash.
    #[inline]
    fn kind(key: &[u8]) -> (usize, u64) {
        let first = key.first().copied().unwrap_or(0);
        let last = key.last().copied().unwrap_or(0);
        let len = key.len() as u8;
        let kind = (first ^ len.wrapping_mul(8)).wrapping_add(last.wrapping_mul(5));
        (usize::from(kind >> 6), 1 << (kind & 63))
    }

    /// Returns the kind of a name, and its hash, if that is `needed` or the name can be among those that were added.
    #[inline]
    fn marks(&self, key: &[u8], needed: bool) -> ((usize, u64), Option<u32>) {
        let kind = Self::kind(key);
        let (word, bit) = kind;
        let may_be_there = self.kinds.get(word).is_none_or(|known| known & bit != 0);
        let hash = (needed || may_be_there).then(|| self.hash_key.hash(key));
        (kind, hash)
    }

    /// Returns the place of a name: where it is, or the empty one where it would be.
    #[inline]
    fn probe(&self, hash: u32, is_it: impl Fn(u32) -> bool) -> Option<usize> {
        let mask = self.slots.len().checked_sub(1)?;
        let mut at = hash as usize & mask;
        loop {
            let (known, record) = *self.slots.get(at)?;
            if record == 0 || (known == hash && is_it(record - 1)) {
                return Some(at);
            }
            at = at.wrapping_add(1) & mask;
        }
    }

    #[inline]
    fn find(&self, arena: &Arena, hash: u32, name: &[u8]) -> Option<u32> {
        if self.is_empty() {
            return None;
        }
        let at = self.probe(hash, |record| {
            let is_it = |known| match self.encoding {
                Some(encoding) => encoding.is_same(known, name),
                None => known == name,
            };
            arena.get(record).is_some_and(|entry| is_it(entry.name))
        })?;
        self.slots.get(at)?.1.checked_sub(1)
    }

    /// Adds a name that is not there.
    #[inline]
    fn insert(&mut self, (word, bit): (usize, u64), hash: u32, record: u32) -> Result {
        if let Some(known) = self.kinds.get_mut(word) {
            *known |= bit;
        }
        if self.used.saturating_mul(2).saturating_add(2) > self.slots.len() {
            self.grow()?;
        }
        self.place((hash, record.saturating_add(1)));
        self.used = self.used.saturating_add(1);
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
        let len = self.slots.len().saturating_mul(4).max(self.initial);
        let new = KVVec::from_elem((0, 0), len, charged())?;
        let old = core::mem::replace(&mut self.slots, new);
        for slot in &old {
            if slot.1 != 0 {
                self.place(*slot);
            }
        }
        Ok(())
    }
}
