// SPDX-License-Identifier: GPL-2.0-only

//! The names of a merged directory, packed: one arena of records and their order.
//!
//! A record is the inode number (8 bytes), the type (1), the length of the name (2) and the name; the
//! order is an offset (4) for each name that is shown. That is 15 bytes and the name itself, where a
//! node for each name in a tree and a list takes 96 and what the allocator rounds up.

#![forbid(unsafe_code)]

use core::sync::atomic::fence;
use core::sync::atomic::AtomicBool;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::AtomicUsize;
use core::sync::atomic::Ordering;
use format::finalized::Fingerprint;
use kernel::prelude::*;
use kernel::sync::Arc;
use vfs::call::dir_iter::Entry;
use vfs::call::dir_iter::Type;
use vfs::cell::byte_vec::ByteVec;
use vfs::cell::locked::Locked;
use vfs::sys::alloc::charged;

/// Bytes of a record before the name.
const HEADER: usize = 11;

/// The names of a directory, and their order.
pub(crate) struct Listing {
    arena: Arena,
    order: KVVec<u32>,
    /// The inode number of each name in `order`, 0 where it was not asked for yet. It is empty where every name has the
    /// number that is in its record.
    numbers: KVVec<AtomicU64>,
    /// The number of them that were not asked for yet.
    unasked: AtomicUsize,
    /// A name has another number than in its layer, or a name that might was not asked for.
    renumbered: AtomicBool,
    room: SizeHint,
    /// Upper has all of the names, over the lower directories with this fingerprint.
    complete: Option<Fingerprint>,
}

/// The room that a listing took: the next one of the directory will take about as much, and is given that
/// at once.
#[derive(Clone, Copy)]
pub(crate) struct SizeHint {
    /// Bytes of the arena.
    pub(crate) records: u32,
    /// Names that are shown.
    pub(crate) names: u32,
    /// Names that had to be remembered.
    pub(crate) remembered: u32,
}

impl Default for SizeHint {
    /// Returns the hint for a small directory.
    fn default() -> Self {
        Self {
            records: 1024,
            names: 16,
            remembered: 16,
        }
    }
}

/// Which inode numbers of a listing have to be asked for: only entries of upper have other numbers than
/// their layer says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask {
    /// No number is asked for: those of the layers are shown.
    Nothing,
    /// The numbers of directories that a lower layer has too are asked for.
    Merged,
    /// All numbers are asked for up to this offset, where the records of upper end.
    Upper(u32),
}

impl Listing {
    /// Packs the names. `remembered` is the number of names that had to be remembered to make the listing.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(
        arena: Arena,
        order: KVVec<u32>,
        ask: Ask,
        remembered: usize,
    ) -> Result<Self> {
        let room = SizeHint {
            records: arena.end(),
            names: order.len() as u32,
            remembered: remembered as u32,
        };
        let asks = |record: u32| match ask {
            Ask::Nothing => false,
            Ask::Merged => arena.is_merged(record),
            Ask::Upper(end) => record < end,
        };
        let unasked = match ask {
            Ask::Nothing => 0,
            _ => order.iter().filter(|record| asks(**record)).count(),
        };
        let mut numbers = KVVec::new();
        if unasked > 0 {
            numbers.reserve(order.len(), charged())?;
            for &record in &order {
                let known = match arena.get(record) {
                    Some(entry) if !asks(record) => entry.ino,
                    _ => 0,
                };
                numbers.push(AtomicU64::new(known), charged())?;
            }
        }
        Ok(Self {
            arena,
            order,
            numbers,
            unasked: AtomicUsize::new(unasked),
            renumbered: AtomicBool::new(!matches!(ask, Ask::Upper(_))),
            room,
            complete: None,
        })
    }

    /// Adds that upper was found to have all of the names, over certain lower directories.
    pub(crate) fn complete_over(self, lowers: Option<Fingerprint>) -> Self {
        let complete = lowers;
        Self { complete, ..self }
    }

    /// Returns the fingerprint of the lower directories over which upper was found to have all of the names.
    pub(crate) fn complete(&self) -> Option<Fingerprint> {
        self.complete
    }

    /// Returns whether every entry of a directory whose numbers all had to be asked for is known to have the number
    /// that it has in its layer.
    pub(crate) fn keeps_inos(&self) -> bool {
        self.unasked.load(Ordering::Acquire) == 0 && !self.renumbered.load(Ordering::Relaxed)
    }

    /// Returns the names from a position on, each with its position.
    #[inline]
    pub(crate) fn iter_from(&self, position: usize) -> impl Iterator<Item = (Entry<'_>, usize)> {
        let order = self.order.get(position..).unwrap_or(&[]);
        let entries = order.iter().map_while(|record| self.arena.get(*record));
        // There is an entry for every position counted.
        entries.zip(position..)
    }

    /// Returns the number of the entry at a position, if it need not be asked for.
    #[inline]
    pub(crate) fn ino(&self, position: usize, entry: &Entry<'_>) -> Option<u64> {
        match self.numbers.get(position) {
            None => Some(entry.ino),
            Some(number) => match number.load(Ordering::Relaxed) {
                0 => None,
                known => Some(known),
            },
        }
    }

    /// Keeps what was asked of the entry at a position: its number, or that it can't be known, in which case
    /// it keeps the one it has.
    pub(crate) fn set_ino(&self, position: usize, entry: &Entry<'_>, number: Option<u64>) {
        let Some(place) = self.numbers.get(position) else {
            return;
        };
        let shown = number.unwrap_or(entry.ino);
        if number != Some(entry.ino) {
            self.renumbered.store(true, Ordering::Relaxed);
        }
        // Of several tasks that asked at the same time (no lock keeps readers of the directory apart) one is counted.
        // Who sees in `keeps_inos()` that nothing is unasked sees what was said of the numbers, as that was stored
        // before.
        let first = place.compare_exchange(0, shown, Ordering::Relaxed, Ordering::Relaxed);
        if shown != 0 && first.is_ok() {
            self.unasked.fetch_sub(1, Ordering::Release);
        }
    }
}

/// The place in the order at which a record is shown.
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
    /// Two bits beside the type of the entry, which takes four, and [`MERGED`].
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

/// A bit beside the type: a directory of upper that a lower layer has too.
const MERGED: u8 = 1 << 5;

/// A bit beside the type: the name was met in a layer further down as well, as that of something that is no directory.
const AGAIN: u8 = 1 << 4;

/// Records of names, one after the other, and how many bytes they may take.
pub(crate) struct Arena(ByteVec, usize);

/// The most that records take: the allocator warns about what is larger than it will ever give.
const LIMIT: usize = 1 << 30;

impl Arena {
    /// Makes an empty arena, with room for so many bytes of records.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn with_room(bytes: u32) -> Result<Self> {
        Ok(Self(ByteVec::with_capacity(bytes as usize)?, LIMIT))
    }

    /// Sets how many bytes records may take, no more than 1 GiB.
    pub(crate) fn limit_to(&mut self, bytes: usize) {
        self.1 = bytes.min(LIMIT);
    }

    /// Returns the offset behind the last record.
    pub(crate) fn end(&self) -> u32 {
        self.0.len() as u32
    }

    /// Returns the record at an offset, its fate, and the offset of the next.
    #[inline]
    pub(crate) fn get_with_next(&self, at: u32) -> Option<(Entry<'_>, Fate, u32)> {
        let record = self.0.get(at as usize..)?;
        let (header, names) = record.split_first_chunk::<HEADER>()?;
        let [ino @ .., kind, len0, len1] = header;
        let len = u16::from_ne_bytes([*len0, *len1]);
        let entry = Entry {
            ino: u64::from_ne_bytes(*ino),
            kind: Type::from_byte(*kind & !((3 << Fate::SHIFT) | MERGED | AGAIN)),
            name: names.get(..usize::from(len))?,
        };
        let next = at.saturating_add(HEADER as u32).saturating_add(len.into());
        Some((entry, Fate::of(*kind), next))
    }

    /// Forgets all records, and keeps the room.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Notes of the record at an offset that it is a directory of upper that a lower layer has too.
    pub(crate) fn set_merged(&mut self, at: u32) {
        if let Some(kind) = self.0.get_mut(at as usize + KIND) {
            *kind |= MERGED;
        }
    }

    /// Notes of the record at an offset that its name was met again, as that of something that is no directory.
    #[inline]
    pub(crate) fn set_met_again(&mut self, at: u32) {
        if let Some(kind) = self.0.get_mut(at as usize + KIND) {
            *kind |= AGAIN;
        }
    }

    /// Returns whether [`Arena::set_met_again`] was called for the record at an offset.
    pub(crate) fn was_met_again(&self, at: u32) -> bool {
        let kind = self.0.get(at as usize + KIND);
        kind.is_some_and(|kind| kind & AGAIN != 0)
    }

    /// Returns whether [`Arena::set_merged`] was called for the record at an offset.
    pub(crate) fn is_merged(&self, at: u32) -> bool {
        let kind = self.0.get(at as usize + KIND);
        kind.is_some_and(|kind| kind & MERGED != 0)
    }

    /// Changes where the record at an offset is shown.
    pub(crate) fn set_fate(&mut self, at: u32, fate: Fate) {
        if let Some(kind) = self.0.get_mut(at as usize + KIND) {
            *kind = (*kind & !(3 << Fate::SHIFT)) | fate.bits();
        }
    }

    /// Returns the place in the order at which the record at an offset is shown.
    pub(crate) fn fate(&self, at: u32) -> Fate {
        self.0
            .get(at as usize + KIND)
            .map_or(Fate::Hidden, |kind| Fate::of(*kind))
    }

    /// Adds a record; returns its offset.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EOVERFLOW`: more than 1 GiB of names, or than was set.
    #[inline]
    pub(crate) fn push(&mut self, entry: Entry<'_>, fate: Fate) -> Result<u32> {
        let at = self.0.len();
        let room = HEADER.saturating_add(entry.name.len());
        if at.saturating_add(room) > self.1 {
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

    /// Returns the record at an offset that [`Arena::push`] gave.
    #[inline]
    pub(crate) fn get(&self, at: u32) -> Option<Entry<'_>> {
        self.get_with_next(at).map(|(entry, _, _)| entry)
    }

    /// Returns every record with its offset and fate, in the order in which they were added.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, Entry<'_>, Fate)> {
        self.iter_from(0)
    }

    /// Returns the records from that at an offset on, as [`Arena::iter`] does.
    pub(crate) fn iter_from(&self, mut at: u32) -> impl Iterator<Item = (u32, Entry<'_>, Fate)> {
        core::iter::from_fn(move || {
            let (entry, fate, next) = self.get_with_next(at)?;
            Some((core::mem::replace(&mut at, next), entry, fate))
        })
    }
}

/// A listing that all who have the directory open share, as long as the directory stays as it is; it is dropped when
/// the last of them leaves.
pub(crate) struct SharedListing {
    /// Counts the changes of the directory. It is outside the lock of `made`: a task that changes a directory, or
    /// copies up something in it, has the right to write, and must not wait for a task that makes a listing under that
    /// lock, which may wait for others who want the right.
    version: AtomicUsize,
    /// Counts those who take part, or wait to. It is outside the lock of `made`: a task that closes a directory does
    /// not wait for one that makes a listing under that lock.
    users: AtomicUsize,
    made: Locked<Made>,
}

#[derive(Default)]
struct Made {
    listing: Option<Arc<Listing>>,
    /// The version of the directory that `listing` was made of.
    of: usize,
    room: SizeHint,
}

impl SharedListing {
    /// Makes a listing in which nothing is listed yet.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(depth: u32) -> Result<Self> {
        Ok(Self {
            version: AtomicUsize::new(0),
            users: AtomicUsize::new(0),
            made: Locked::new(Made::default(), depth)?,
        })
    }

    /// Takes part in the listing, which is made first if there is none that is true; returns it, and the version of the
    /// directory that it was made of.
    ///
    /// # Errors
    ///
    /// `EINTR`: the task is being killed, while it waits for another that makes the listing. The errors of `make`.
    pub(crate) fn join(
        &self,
        make: impl FnOnce(SizeHint) -> Result<Arc<Listing>>,
    ) -> Result<(Arc<Listing>, usize)> {
        // This task is counted before it takes the lock, as `tidy()` in another task relies on.
        self.users.fetch_add(1, Ordering::SeqCst);
        let joined = self.get_or_make(make);
        if joined.is_err() {
            self.leave();
        }
        joined
    }

    fn get_or_make(
        &self,
        make: impl FnOnce(SizeHint) -> Result<Arc<Listing>>,
    ) -> Result<(Arc<Listing>, usize)> {
        let mut made = self.made.lock()?;
        // The version is read before the directory: what other tasks change meanwhile, whom the lock does not keep out,
        // may have been seen or not.
        let version = self.version();
        let listing = match &made.listing {
            Some(listing) if made.of == version => listing.clone(),
            _ => {
                // The old one is not kept beside the new one.
                made.listing = None;
                let listing = make(made.room)?;
                made.room = listing.room;
                made.of = version;
                made.listing.insert(listing).clone()
            }
        };
        Ok((listing, version))
    }

    /// Ends taking part. This does not wait for the lock.
    pub(crate) fn leave(&self) {
        if self.users.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.tidy();
        }
    }

    /// Drops the listing if nobody takes part.
    fn tidy(&self) {
        loop {
            // One task leaves and then finds the lock held; another gives the lock back and then looks at the users.
            // The fence makes one of both see the other, as a lock that can't be had at once orders nothing by itself.
            fence(Ordering::SeqCst);
            if self.users.load(Ordering::SeqCst) != 0 {
                return;
            }
            // The task that has the lock drops the listing in our place: one that joins was counted before it took the
            // lock, and will leave; one that tidies looks again when it has given the lock back.
            let Some(mut made) = self.made.try_lock() else {
                return;
            };
            if self.users.load(Ordering::SeqCst) == 0 {
                let unused = made.listing.take();
                drop(made);
                drop(unused);
                return;
            }
        }
    }

    /// Notes that the directory has changed.
    pub(crate) fn outdate(&self) {
        self.version.fetch_add(1, Ordering::Release);
    }

    /// Returns how often the directory has changed.
    pub(crate) fn version(&self) -> usize {
        self.version.load(Ordering::Acquire)
    }
}
