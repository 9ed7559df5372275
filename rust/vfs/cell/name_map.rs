// SPDX-License-Identifier: GPL-2.0-only

//! Compact maps from names to two numbers.
//!
//! A map is made once and not changed. It takes 13 bytes a name, and the name itself: a record is the two numbers (2
//! bytes each), the length of the name (1) and the name; a table has the offsets of the records (4 bytes each), twice
//! as many places as names.
//!
//! It is not for what changes. Where others look at it while it is taken away is in
//! [`name_map_cell`](crate::cell::name_map_cell).
//!
//! # Examples
//!
//! ```ignore
//! let mut map = NameMap::with_room(1, 4)?;
//! map.add(key.hash(b"name"), b"name", (1, 3))?;
//! assert_eq!(map.find(key.hash(b"name"), b"name"), Some((1, 3)));
//! ```

use crate::sys::alloc::bounded;
use kernel::prelude::*;

/// Bytes of a record before the name.
const HEAD: usize = 5;

/// The longest name that can be in a map, in bytes.
pub const LONGEST: usize = u8::MAX as usize;

/// A map that is being made, or is made.
pub struct NameMap {
    /// The offset of a record plus one, or 0: at most every other place is taken.
    slots: KVVec<u32>,
    records: KVVec<u8>,
    /// How many names there is still room for.
    left: usize,
}

impl NameMap {
    /// Returns how much memory a map of so many names takes that have so many bytes together, in bytes.
    pub fn room_for(names: usize, bytes: usize) -> usize {
        let slots = names
            .saturating_mul(2)
            .max(2)
            .saturating_mul(size_of::<u32>());
        let records = names.saturating_mul(HEAD).saturating_add(bytes);
        slots.saturating_add(records)
    }

    /// Makes a map with room for so many names that have so many bytes together. Its memory is charged to nobody: who
    /// makes maps has a bound for all of them.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EOVERFLOW`: that is more than 1 GiB.
    ///
    /// # Context
    ///
    /// May sleep.
    pub fn with_room(names: usize, bytes: usize) -> Result<Self> {
        const LIMIT: usize = 1 << 30;

        let room = names.saturating_mul(HEAD).saturating_add(bytes);
        let places = names.saturating_mul(2).max(2);
        if room > LIMIT || places > LIMIT / size_of::<u32>() {
            return Err(EOVERFLOW);
        }
        Ok(Self {
            slots: KVVec::from_elem(0, places, bounded())?,
            records: KVVec::with_capacity(room, bounded())?,
            left: names,
        })
    }

    /// Adds a name with two numbers; `hash` is what it will be asked for by. A name that is there already keeps the
    /// smaller of the first and the larger of the second numbers.
    ///
    /// # Errors
    ///
    /// `EOVERFLOW`: there is no room for it, or the name is longer than [`LONGEST`].
    pub fn add(&mut self, hash: u32, name: &[u8], (first, last): (u16, u16)) -> Result {
        let len = u8::try_from(name.len()).map_err(|_| EOVERFLOW)?;
        let (at, record) = self.probe(hash, name).ok_or(EOVERFLOW)?;
        if let Some(record) = record {
            let (a, b) = self.pair(record).ok_or(EOVERFLOW)?;
            let head = Self::head((a.min(first), b.max(last)), len);
            let place = self.records.get_mut(record..).ok_or(EOVERFLOW)?;
            *place.first_chunk_mut().ok_or(EOVERFLOW)? = head;
            return Ok(());
        }
        let record = self.records.len();
        let room = self.records.capacity().saturating_sub(record);
        if self.left == 0 || room < HEAD.saturating_add(name.len()) {
            return Err(EOVERFLOW);
        }
        self.records
            .extend_from_slice(&Self::head((first, last), len), bounded())?;
        self.records.extend_from_slice(name, bounded())?;
        if let Some(slot) = self.slots.get_mut(at) {
            // The bytes of all records have a limit far below.
            *slot = (record as u32).saturating_add(1);
        }
        self.left = self.left.saturating_sub(1);
        Ok(())
    }

    /// Returns the numbers of a name, if it is there.
    #[inline]
    pub fn find(&self, hash: u32, name: &[u8]) -> Option<(u16, u16)> {
        let (_, record) = self.probe(hash, name)?;
        self.pair(record?)
    }

    /// Returns how much memory it takes, in bytes.
    pub fn size(&self) -> usize {
        let slots = self.slots.capacity().saturating_mul(size_of::<u32>());
        slots.saturating_add(self.records.capacity())
    }

    fn head((first, last): (u16, u16), len: u8) -> [u8; HEAD] {
        let [a, b] = first.to_ne_bytes();
        let [c, d] = last.to_ne_bytes();
        [a, b, c, d, len]
    }

    /// Returns the place of a name, and the offset of its record, if it has one.
    #[inline]
    fn probe(&self, hash: u32, name: &[u8]) -> Option<(usize, Option<usize>)> {
        // All values of a hash are spread over the places in order, without a division.
        let mut at = (u64::from(hash).wrapping_mul(self.slots.len() as u64) >> 32) as usize;
        loop {
            let Some(record) = self.slots.get(at)?.checked_sub(1) else {
                return Some((at, None));
            };
            if self.name(record as usize) == Some(name) {
                return Some((at, Some(record as usize)));
            }
            // Half of the places are free, so this comes to an end.
            at = at.wrapping_add(1);
            if at == self.slots.len() {
                at = 0;
            }
        }
    }

    #[inline]
    fn name(&self, record: usize) -> Option<&[u8]> {
        let record = self.records.get(record..)?;
        let (head, names) = record.split_first_chunk::<HEAD>()?;
        let [.., len] = head;
        names.get(..usize::from(*len))
    }

    #[inline]
    fn pair(&self, record: usize) -> Option<(u16, u16)> {
        let [a, b, c, d, _] = *self.records.get(record..)?.first_chunk::<HEAD>()?;
        Some((u16::from_ne_bytes([a, b]), u16::from_ne_bytes([c, d])))
    }
}
