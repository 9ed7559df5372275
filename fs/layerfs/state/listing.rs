// SPDX-License-Identifier: GPL-2.0-only

//! The names of a merged directory, packed: one arena of records and their order.
//!
//! A record is the inode number (8 bytes), the type (1), the length of the name (2) and the name; the
//! order is an offset (4) for each name that is shown. That is 15 bytes and the name itself, where a
//! node for each name in a tree and a list takes 96 and what the allocator rounds up.

#![forbid(unsafe_code)]

use core::sync::atomic::AtomicUsize;
use core::sync::atomic::Ordering;
use kernel::prelude::*;
use kernel::sync::Arc;
use vfs::byte_vec::ByteVec;
use vfs::dir_iter::Entry;
use vfs::dir_iter::Type;
use vfs::sync::Locked;

/// Bytes of a record before the name.
const HEADER: usize = 11;

/// The names of a directory, and their order.
pub(crate) struct Listing {
    arena: Arena,
    order: KVVec<u32>,
    keeps_numbers: bool,
    room: Room,
}

/// What a listing took to make: the next one of the directory will take about as much, and is given that
/// at once.
#[derive(Clone, Copy)]
pub(crate) struct Room {
    /// Bytes of the arena.
    pub(crate) records: u32,
    /// Names that are shown.
    pub(crate) names: u32,
    /// Names that had to be remembered.
    pub(crate) remembered: u32,
}

impl Default for Room {
    /// That of a small directory.
    fn default() -> Self {
        Self {
            records: 1024,
            names: 16,
            remembered: 16,
        }
    }
}

impl Listing {
    /// Packs them; `keeps_numbers`: no entry has another number than in its layer. `remembered`: names
    /// that had to be remembered to make it.
    pub(crate) fn new(
        arena: Arena,
        order: KVVec<u32>,
        keeps_numbers: bool,
        remembered: usize,
    ) -> Self {
        let room = Room {
            records: arena.end(),
            names: order.len() as u32,
            remembered: remembered as u32,
        };
        Self {
            arena,
            order,
            keeps_numbers,
            room,
        }
    }

    /// Whether every entry has the number that it has in its layer.
    pub(crate) fn keeps_numbers(&self) -> bool {
        self.keeps_numbers
    }

    /// The names from a position on.
    #[inline]
    pub(crate) fn iter_from(&self, position: usize) -> impl Iterator<Item = Entry<'_>> {
        let order = self.order.get(position..).unwrap_or(&[]);
        order.iter().map_while(|record| self.arena.get(*record))
    }
}

/// Where a record is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Behind the names of the lowest layer.
    Behind,
    /// Among the names of the lowest layer, in their order.
    Lowest,
    /// Nowhere: it is a whiteout.
    Hidden,
}

impl Fate {
    /// Two bits beside the type of the entry, which takes four.
    const SHIFT: u32 = 6;

    fn bits(self) -> u8 {
        (self as u8) << Self::SHIFT
    }

    fn of(byte: u8) -> Self {
        match byte >> Self::SHIFT {
            0 => Self::Behind,
            1 => Self::Lowest,
            _ => Self::Hidden,
        }
    }
}

/// The offset of the type, and the fate, in a record.
const KIND: usize = 8;

/// Records of names, one after the other.
pub(crate) struct Arena(ByteVec);

impl Arena {
    /// An empty one, with room for so many bytes of records.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn with_room(bytes: u32) -> Result<Self> {
        Ok(Self(ByteVec::with_capacity(bytes as usize)?))
    }

    /// The offset behind the last record.
    pub(crate) fn end(&self) -> u32 {
        self.0.len() as u32
    }

    /// The record at an offset, its fate, and the offset of the next.
    #[inline]
    pub(crate) fn get_with_next(&self, at: u32) -> Option<(Entry<'_>, Fate, u32)> {
        let record = self.0.get(at as usize..)?;
        let (header, names) = record.split_first_chunk::<HEADER>()?;
        let [ino @ .., kind, len0, len1] = header;
        let len = u16::from_ne_bytes([*len0, *len1]);
        let entry = Entry {
            ino: u64::from_ne_bytes(*ino),
            kind: Type::from_byte(*kind & !(3 << Fate::SHIFT)),
            name: names.get(..usize::from(len))?,
        };
        let next = at.saturating_add(HEADER as u32).saturating_add(len.into());
        Some((entry, Fate::of(*kind), next))
    }

    /// Changes the inode number of the record at an offset.
    pub(crate) fn set_ino(&mut self, at: u32, ino: u64) {
        if let Some(record) = self.0.get_mut(at as usize..) {
            if let Some(number) = record.first_chunk_mut() {
                *number = ino.to_ne_bytes();
            }
        }
    }

    /// Changes where the record at an offset is shown.
    pub(crate) fn set_fate(&mut self, at: u32, fate: Fate) {
        if let Some(kind) = self.0.get_mut(at as usize + KIND) {
            *kind = *kind & !(3 << Fate::SHIFT) | fate.bits();
        }
    }

    /// Where the record at an offset is shown.
    pub(crate) fn fate(&self, at: u32) -> Fate {
        self.0
            .get(at as usize + KIND)
            .map_or(Fate::Hidden, |kind| Fate::of(*kind))
    }

    /// Adds a record; gives its offset.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EOVERFLOW`: more than 1 GiB of names.
    pub(crate) fn push(&mut self, entry: Entry<'_>, fate: Fate) -> Result<u32> {
        // The allocator warns about what is larger than it will ever give.
        const LIMIT: usize = 1 << 30;

        let at = self.0.len();
        let room = HEADER.saturating_add(entry.name.len());
        if at.saturating_add(room) > LIMIT {
            return Err(EOVERFLOW);
        }
        let len = u16::try_from(entry.name.len()).map_err(|_| EOVERFLOW)?;
        let mut header = [0u8; HEADER];
        let [ino @ .., kind, len0, len1] = &mut header;
        *ino = entry.ino.to_ne_bytes();
        *kind = entry.kind.as_byte() | fate.bits();
        [*len0, *len1] = len.to_ne_bytes();
        self.0.push(&header, entry.name)?;
        Ok(at as u32)
    }

    /// The record at an offset that [`Arena::push`] gave.
    #[inline]
    pub(crate) fn get(&self, at: u32) -> Option<Entry<'_>> {
        self.get_with_next(at).map(|(entry, _, _)| entry)
    }

    /// Every record with its offset and fate, in the order in which they were added.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, Entry<'_>, Fate)> {
        let mut at = 0u32;
        core::iter::from_fn(move || {
            let (entry, fate, next) = self.get_with_next(at)?;
            Some((core::mem::replace(&mut at, next), entry, fate))
        })
    }
}

/// A listing that all who have the directory open share, as long as the directory stays as it is; it
/// goes with the last of them.
pub(crate) struct SharedListing {
    /// Counts the changes of the directory. Outside the lock: who changes a directory, or copies up
    /// something in it, has the right to write, and must not wait for a listing, which may wait for
    /// others who want that right.
    version: AtomicUsize,
    made: Locked<Made>,
}

#[derive(Default)]
struct Made {
    listing: Option<Arc<Listing>>,
    /// The version of the directory that `listing` was made of.
    of: usize,
    users: usize,
    room: Room,
}

impl SharedListing {
    /// Nothing is listed yet.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(depth: u32) -> Result<Self> {
        Ok(Self {
            version: AtomicUsize::new(0),
            made: Locked::new(Made::default(), depth)?,
        })
    }

    /// Takes part in the listing, which is made first if there is none that is true; gives the
    /// version of the directory that it was made of.
    ///
    /// # Errors
    ///
    /// Those of `make`.
    pub(crate) fn join(
        &self,
        make: impl FnOnce(Room) -> Result<Arc<Listing>>,
    ) -> Result<(Arc<Listing>, usize)> {
        let mut made = self.made.lock();
        // Before anything is read: what changes meanwhile may have been seen or not.
        let version = self.version();
        let listing = match &made.listing {
            Some(listing) if made.of == version => listing.clone(),
            _ => {
                let listing = make(made.room)?;
                made.room = listing.room;
                made.of = version;
                made.listing.insert(listing).clone()
            }
        };
        made.users = made.users.saturating_add(1);
        Ok((listing, version))
    }

    /// Takes part no more.
    pub(crate) fn leave(&self) {
        let mut made = self.made.lock();
        made.users = made.users.saturating_sub(1);
        if made.users == 0 {
            made.listing = None;
        }
    }

    /// The directory has changed.
    pub(crate) fn outdate(&self) {
        self.version.fetch_add(1, Ordering::Release);
    }

    /// Counts the changes of the directory.
    pub(crate) fn version(&self) -> usize {
        self.version.load(Ordering::Acquire)
    }
}
