// SPDX-License-Identifier: GPL-2.0-only

//! The clone gate: what keeps a clone of a file whole while the file is read and written.
//!
//! A clone of a large file is made in pieces, so that nobody waits for all of it. The image shall be what the file was at
//! one moment, when the gate closed. So whoever is to change bytes of the file passes the gate before: where a piece is
//! not cloned yet, he wishes for it, and waits; whoever clones does that piece next, and the writer goes on. What is
//! cloned may be changed at once, and so may what is not part of the clone.
//!
//! There are two parties: one [`Cloner`], which takes pieces and says when they are done, and any number of writers, who
//! [`pass`](Gate::pass). Neither waits for the other while it holds the lock within ([`Monitor`]). The gate opens when the
//! `Cloner` is dropped, on every path: then everyone passes.
//!
//! What it stands on is a trait, so that the same source runs in the kernel and, in every order that tasks can come in,
//! in `tests/gate` (loom).

#![forbid(unsafe_code)]

use core::num::NonZeroU64;
use core::ops::DerefMut;
use core::ops::Range;
use kernel::prelude::*;
use kernel::sync::Arc;
use vfs::sys::errno::EDEADLK;

/// A value behind a lock, whose changes can be waited for. The lock is held for moments only, and so is waited for in any
/// case.
pub(crate) trait Monitor<T> {
    /// The lock is held.
    type Guard<'a>: DerefMut<Target = T>
    where
        Self: 'a;

    /// Locks it.
    fn lock(&self) -> Self::Guard<'_>;

    /// Lets the lock go until somebody calls [`wake_all`](Monitor::wake_all), and takes it again. It may come back for no
    /// reason.
    ///
    /// # Errors
    ///
    /// `EINTR`: the task is being killed.
    fn wait<'a>(&'a self, guard: Self::Guard<'a>) -> Result<Self::Guard<'a>>;

    /// Does the same, but for a moment at most: for who holds what others may need to get on.
    fn wait_a_moment<'a>(&'a self, guard: Self::Guard<'a>) -> Self::Guard<'a>;

    /// Wakes all who wait.
    fn wake_all(&self);

    /// Returns the time, in milliseconds, from whenever on; it is not 0.
    fn milliseconds(&self) -> u64;
}

/// How many wishes are kept. Who finds no room waits until one was fulfilled, and wishes then.
const WISHES: usize = 16;

/// The most units that a clone is divided into: a bit of memory each.
const MAX_UNITS: u64 = 1 << 24;

/// After so many milliseconds without a piece that was done, who holds what others may need (a lock of a real file, which a
/// store through a mapping of another may come under) waits no longer: the clone is given up.
const PATIENCE_MS: u64 = 120_000;

/// The least size of a unit, in bytes: 16 blocks of the usual size, and so as many extents at most. It is a multiple of
/// every size that blocks have.
pub(crate) const MIN_UNIT: u64 = 64 << 10;

/// What is known of a clone in progress.
pub(crate) struct Progress {
    /// The bytes of the source that are cloned.
    range: Range<u64>,
    /// The size of a unit in bytes; the last one may be shorter.
    unit: NonZeroU64,
    /// The number of units.
    units: u64,
    /// A bit for each unit: it is cloned.
    done: KVVec<u64>,
    /// Every unit before this one is cloned.
    next: u64,
    /// The units that somebody waits for, first come first.
    wishes: [Range<u64>; WISHES],
    wished: usize,
    /// When a piece was done last, or else when somebody began to wait for moments; 0: nobody has yet.
    since_ms: u64,
    /// Everyone may pass.
    is_open: bool,
}

/// Returns the number of units that so many bytes are.
fn count(len: u64, unit: NonZeroU64) -> u64 {
    len.saturating_add(unit.get().saturating_sub(1)) / unit
}

impl Progress {
    /// Makes that of a clone of these bytes, none of which is cloned yet.
    ///
    /// # Errors
    ///
    /// `ENOMEM`. `EINVAL`: there are none.
    pub(crate) fn new(range: Range<u64>) -> Result<Self> {
        let len = range
            .end
            .checked_sub(range.start)
            .filter(|len| *len > 0)
            .ok_or(EINVAL)?;
        let least = MIN_UNIT.max((len / MAX_UNITS).saturating_add(1).next_power_of_two());
        let unit = NonZeroU64::new(least).ok_or(EINVAL)?;
        let units = count(len, unit);
        Ok(Self {
            range,
            unit,
            units,
            done: KVVec::from_elem(0, units.div_ceil(64) as usize, GFP_KERNEL)?,
            next: 0,
            wishes: [const { 0..0 }; WISHES],
            wished: 0,
            since_ms: 0,
            is_open: false,
        })
    }

    fn is_done(&self, unit: u64) -> bool {
        let word = self.done.get((unit / 64) as usize);
        word.is_none_or(|word| word >> (unit % 64) & 1 != 0)
    }

    /// Returns the first unit among these that is not cloned.
    fn first_left(&self, units: Range<u64>) -> Option<u64> {
        let mut unit = units.start.max(self.next);
        while unit < units.end {
            match self.done.get((unit / 64) as usize) {
                // A word at a time, where the whole word is cloned.
                Some(&u64::MAX) => unit = (unit / 64).saturating_add(1).saturating_mul(64),
                _ if self.is_done(unit) => unit = unit.saturating_add(1),
                _ => return Some(unit),
            }
        }
        None
    }

    /// Returns the run of units from `first` on that are not cloned: at most `most`, and none behind `end`.
    fn run(&self, first: u64, end: u64, most: u64) -> Range<u64> {
        let limit = first.saturating_add(most.max(1)).min(end);
        let mut last = first.saturating_add(1);
        while last < limit && !self.is_done(last) {
            last = last.saturating_add(1);
        }
        first..last
    }

    /// Returns the units that have bytes of `range`.
    fn units_of(&self, range: &Range<u64>) -> Range<u64> {
        let start = range.start.max(self.range.start);
        let end = range.end.min(self.range.end);
        if start >= end {
            return 0..0;
        }
        let first = start.saturating_sub(self.range.start) / self.unit;
        let end = count(end.saturating_sub(self.range.start), self.unit);
        first..end.min(self.units)
    }

    /// Returns the bytes of these units.
    fn bytes_of(&self, units: &Range<u64>) -> Range<u64> {
        let at = |unit: u64| {
            let offset = unit.saturating_mul(self.unit.get());
            self.range.start.saturating_add(offset).min(self.range.end)
        };
        at(units.start)..at(units.end)
    }

    /// Returns whether all of these bytes may be changed.
    fn lets_pass(&self, range: &Range<u64>) -> bool {
        self.is_open || self.first_left(self.units_of(range)).is_none()
    }

    /// Wishes for the units of `range`, unless there are too many wishes, or it was wished already.
    fn wish(&mut self, range: &Range<u64>) {
        let units = self.units_of(range);
        let made = self.wishes.get(..self.wished).unwrap_or(&[]);
        if made.contains(&units) {
            return;
        }
        if let Some(free) = self.wishes.get_mut(self.wished) {
            *free = units;
            self.wished = self.wished.saturating_add(1);
        }
    }

    /// Takes the oldest wish away.
    fn drop_wish(&mut self) {
        self.wishes.rotate_left(1);
        self.wished = self.wished.saturating_sub(1);
    }

    /// Chooses what is cloned next; and says whether somebody waits for it.
    fn choose(&mut self, most: u64) -> Option<(Range<u64>, bool)> {
        while self.wished > 0 {
            let wish = self.wishes.first().cloned().unwrap_or_default();
            if let Some(first) = self.first_left(wish.clone()) {
                return Some((self.run(first, wish.end, most), true));
            }
            self.drop_wish();
        }
        let first = self.first_left(0..self.units)?;
        self.next = first;
        Some((self.run(first, self.units, most), false))
    }

    /// Notes that these units are cloned.
    fn set_done(&mut self, units: &Range<u64>) {
        for unit in units.clone() {
            if let Some(word) = self.done.get_mut((unit / 64) as usize) {
                *word |= 1 << (unit % 64);
            }
        }
    }
}

/// The gate of one clone in progress, as writers of its source see it.
pub(crate) struct Gate<M>(M);

impl<M: Monitor<Progress>> Gate<M> {
    /// Returns whether these bytes of the source may be changed now.
    pub(crate) fn lets_pass(&self, range: &Range<u64>) -> bool {
        self.0.lock().lets_pass(range)
    }

    /// Waits until these bytes of the source may be changed.
    ///
    /// # Errors
    ///
    /// `EINTR`: the task is being killed.
    pub(crate) fn pass(&self, range: &Range<u64>) -> Result {
        let mut progress = self.0.lock();
        while !progress.lets_pass(range) {
            progress.wish(range);
            progress = self.0.wait(progress)?;
        }
        Ok(())
    }

    /// Does the same, but waits for a moment at most: for a task that holds what the cloner may need to get on. Returns
    /// whether they may be changed. A cloner that does not get on for very long is made to give up.
    pub(crate) fn pass_soon(&self, range: &Range<u64>) -> bool {
        let mut progress = self.0.lock();
        if !progress.lets_pass(range) {
            progress.wish(range);
            if progress.since_ms == 0 {
                progress.since_ms = self.0.milliseconds();
            }
            progress = self.0.wait_a_moment(progress);
            let waited = self.0.milliseconds().saturating_sub(progress.since_ms);
            if progress.since_ms != 0 && waited > PATIENCE_MS {
                progress.is_open = true;
            }
        }
        progress.lets_pass(range)
    }
}

/// Part of a clone that is being made.
pub(crate) struct Piece {
    units: Range<u64>,
    /// The bytes of the source that it has.
    pub(crate) bytes: Range<u64>,
    /// Somebody waits for it.
    pub(crate) is_wished: bool,
}

/// Who makes a clone: there is one for each gate, which is closed as long as this lives.
pub(crate) struct Cloner<M: Monitor<Progress>>(Arc<Gate<M>>);

impl<M: Monitor<Progress>> Cloner<M> {
    /// Closes a gate.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(monitor: M) -> Result<Self> {
        Ok(Self(Arc::new(Gate(monitor), GFP_KERNEL)?))
    }

    /// Returns the gate.
    pub(crate) fn gate(&self) -> &Arc<Gate<M>> {
        &self.0
    }

    /// Returns the first unit.
    pub(crate) fn head(&self) -> Piece {
        self.piece(0..1)
    }

    /// Returns the last unit, which has the block that the file ends in: an append changes that block.
    pub(crate) fn tail(&self) -> Piece {
        let units = self.0 .0.lock().units;
        self.piece(units.saturating_sub(1)..units)
    }

    fn piece(&self, units: Range<u64>) -> Piece {
        let progress = self.0 .0.lock();
        Piece {
            bytes: progress.bytes_of(&units),
            units,
            is_wished: false,
        }
    }

    /// Returns what is to be cloned next, of at most `most` units: what somebody waits for, or else the next in order.
    /// `None`: all is cloned.
    ///
    /// # Errors
    ///
    /// `EDEADLK`: somebody could wait no longer, and has passed.
    pub(crate) fn next(&mut self, most: u64) -> Result<Option<Piece>> {
        let mut progress = self.0 .0.lock();
        if progress.is_open {
            return Err(EDEADLK);
        }
        Ok(progress.choose(most).map(|(units, is_wished)| Piece {
            bytes: progress.bytes_of(&units),
            units,
            is_wished,
        }))
    }

    /// Notes that a piece is cloned, and lets pass who waits for it.
    pub(crate) fn done(&mut self, piece: &Piece) {
        let mut progress = self.0 .0.lock();
        progress.set_done(&piece.units);
        progress.since_ms = 0;
        drop(progress);
        self.0 .0.wake_all();
    }

    /// Returns how many bytes from the beginning of the range on are cloned.
    pub(crate) fn done_in_order(&self) -> u64 {
        let progress = self.0 .0.lock();
        let first = progress
            .first_left(0..progress.units)
            .unwrap_or(progress.units);
        let bytes = progress.bytes_of(&(0..first));
        bytes.end.saturating_sub(bytes.start)
    }
}

impl<M: Monitor<Progress>> Drop for Cloner<M> {
    fn drop(&mut self) {
        self.0 .0.lock().is_open = true;
        self.0 .0.wake_all();
    }
}
