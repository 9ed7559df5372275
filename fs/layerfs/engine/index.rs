// SPDX-License-Identifier: GPL-2.0-only

//! The name index: which names the lower directories of a merged directory have, and where, answered from memory.
//!
//! What a map says is true as long as no lower directory changes. On a layer nobody else should change anything while it
//! is one; whoever does it nevertheless gets to see it in the end, as the times at which the lower directories changed
//! are compared with what they were when their names were read: once in a second, since a stack may have hundreds.
//!
//! A map is made when it is worthwhile: with a listing, which has read all names anyway, or when so many places were
//! asked in vain that the names might as well have been read. Looking at each name of a tree once makes none.

#![forbid(unsafe_code)]

use super::merge;
use crate::state::instance::Instance;
use crate::state::object::Object;
use crate::state::place_index::PlaceIndex;
use crate::state::places::Places;
use crate::state::stats::Counter;
use crate::state::traits::Trait;
use format::options::NameIndex;
use kernel::prelude::*;
use vfs::cell::name_map::NameMap;
use vfs::cell::name_map_cell::Found;
use vfs::sys::clock;
use vfs::Override;

/// How many bytes of names are read for each place that was asked in vain, about 64 names. A directory that has more is
/// put off.
const BYTES_A_PLACE: usize = 2048;

/// The bytes of names that are read at least.
const FEW_BYTES: usize = 1 << 15;

/// How many lower places have to be asked in vain, for each that a directory has, before its names are read: so many
/// lookups cost about what reading a small directory does.
const WORTHWHILE: u32 = 8;

/// The same in a directory of few lower places, where a name that is there is looked for in vain in less than one of them
/// and a map saves little.
const WORTHWHILE_IN_FEW: u32 = 32;

/// The same where a layer may be on a server: a lookup there costs about as much as reading.
const WORTHWHILE_BY_NETWORK: u32 = 2;

/// The number of lower places from which on a map is made with the first listing. In two, a name that is asked for
/// afterwards is looked for in vain in less than one of them, which a map of few names does not make up for.
const DEEP: usize = 3;

/// The lower places of a directory, by number from the top, in which a name can be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct In {
    /// The first that has it.
    first: usize,
    /// The last that can have a part in what is found.
    last: usize,
}

impl In {
    /// All: there is no map.
    pub(super) const ANY: Self = Self {
        first: 0,
        last: usize::MAX,
    };
    /// None.
    pub(crate) const NOWHERE: Self = Self {
        first: usize::MAX,
        last: 0,
    };

    /// Returns the first of them from place `i` on.
    #[inline]
    pub(super) fn next(self, i: usize) -> Option<usize> {
        Some(i.max(self.first)).filter(|i| *i <= self.last)
    }

    /// Returns whether none is below place `i`.
    #[inline]
    pub(super) fn ends_at(self, i: usize) -> bool {
        i >= self.last
    }
}

/// Returns the lower places of a directory that have to be asked for a name.
#[inline]
pub(crate) fn places(instance: &Instance, dir: &Places<'_>, name: &[u8]) -> In {
    match dir.object().get().place_index() {
        Some(index) => places_by(instance, dir, index, name),
        None => In::ANY,
    }
}

fn places_by(instance: &Instance, dir: &Places<'_>, index: &PlaceIndex, name: &[u8]) -> In {
    if !index.map().is_there() {
        return In::ANY;
    }
    let now = clock::seconds();
    if index.is_to_be_compared(now) && !index.holds(now, stamp(dir)) {
        if index.drop_map() {
            instance.stats.count(Counter::IndexOutdated);
        }
        return In::ANY;
    }
    let found = instance.with_key_of(name, |key| {
        index.map().find(instance.name_key.hash(key), key)
    });
    match found {
        Found::NoMap => In::ANY,
        Found::Nothing => In::NOWHERE,
        Found::Pair(first, last) => In {
            first: first.into(),
            last: last.into(),
        },
    }
}

/// Returns what tells the lower directories of `dir` from changed ones.
fn stamp(dir: &Places<'_>) -> u64 {
    // An odd number with many bits.
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

    dir.lower_places().fold(0u64, |stamp, place| {
        let (seconds, nanoseconds) = place.dentry().inode().changed();
        let time = (seconds as u64)
            .wrapping_mul(1_000_000_000)
            .wrapping_add(nanoseconds.into());
        (stamp.rotate_left(7) ^ time).wrapping_mul(SPREAD)
    })
}

/// Returns whether the names of a directory may be kept. If a place of it is not fit for that, it is remembered, so that
/// it is not asked with each name that is not there.
fn is_fit(instance: &Instance, now: &Places<'_>) -> bool {
    if instance.config.features.nameindex == NameIndex::Off
        || !now.is_merged()
        || now.naming() != usize::MAX
    {
        return false;
    }
    let are_fit = now.lower_places().all(|place| {
        let inode = place.dentry().inode();
        // What is looked up there by one name may be listed by another, which the map does not know.
        let by_name = inode.is_casefolded() == instance.ignores_case() && !inode.is_encrypted();
        by_name && place.owner().keeps_names
    });
    if !are_fit {
        now.object().get().set_no_index();
    }
    are_fit
}

/// Takes note of lower places of a directory that were asked for a name in vain; makes a map if those are enough.
#[inline]
pub(super) fn asked_in_vain(instance: &Instance, c: &Override<'_>, dir: &Places<'_>, places: u32) {
    if dir.has(Trait::NO_INDEX) || instance.config.features.nameindex == NameIndex::Off {
        return;
    }
    let object = dir.object().get();
    let asked = object.count_in_vain(places);
    if object.place_index().is_some() || asked >= enough(instance, dir).min(Object::MOST_IN_VAIN) {
        maybe_make(instance, c, dir, places);
    }
}

#[cold]
fn maybe_make(instance: &Instance, c: &Override<'_>, dir: &Places<'_>, places: u32) {
    let object = dir.object().get();
    let index = match object.place_index() {
        Some(index) => index,
        None => {
            if !is_fit(instance, dir) {
                return;
            }
            // Nobody fails for want of memory for it.
            match make_index(instance, dir) {
                Ok(index) => index,
                Err(_) => return,
            }
        }
    };
    let Some(asked) = index.count_in_vain(places) else {
        return;
    };
    let most = (asked as usize)
        .saturating_mul(BYTES_A_PLACE)
        .saturating_add(FEW_BYTES);
    let read = || merge::places(instance, c, dir, most);
    if make(instance, dir, index, stamp(dir), read).is_err() {
        index.put_off(asked);
    }
}

/// Returns how many lower places of a directory have to be asked in vain before a map of it is worthwhile.
#[inline]
fn enough(instance: &Instance, dir: &Places<'_>) -> u32 {
    let each = match instance.config.features.nameindex {
        NameIndex::On => WORTHWHILE_BY_NETWORK,
        _ if dir.lower_depth() < DEEP => WORTHWHILE_IN_FEW,
        _ => WORTHWHILE,
    };
    let places = u32::try_from(dir.lower_depth()).unwrap_or(u32::MAX);
    places.saturating_mul(each)
}

fn make_index<'a>(instance: &Instance, dir: &Places<'a>) -> Result<&'a PlaceIndex> {
    let object = dir.object().get();
    let known = object.count_in_vain(0);
    let (all, depth) = (instance.indexes()?, instance.stack_depth);
    object.make_place_index(all, depth, enough(instance, dir), known)
}

/// Gives a directory a map, unless another task is doing that.
fn make(
    instance: &Instance,
    dir: &Places<'_>,
    index: &PlaceIndex,
    stamp_before: u64,
    read: impl FnOnce() -> Result<NameMap>,
) -> Result {
    let Some(making) = index.begin() else {
        return Ok(());
    };
    let now = clock::seconds();
    let map = read()?;
    if stamp(dir) != stamp_before {
        // It is about to change further.
        return Err(EAGAIN);
    }
    making.finish(map, stamp_before, now)?;
    if !dir.is_current() {
        // The layers were changed meanwhile: the map is of other places.
        index.drop_map();
    }
    instance.stats.count(Counter::IndexMade);
    Ok(())
}

/// Returns the stamp of the lower directories of a directory that is about to be listed, if a map is to be made of the
/// names.
pub(super) fn before_listing(instance: &Instance, now: &Places<'_>) -> Option<u64> {
    let asks_network = instance.config.features.nameindex == NameIndex::On;
    let is_wanted = match now.object().get().place_index() {
        Some(index) => !index.map().is_there() && index.was_asked_in_vain(),
        None => {
            let object = now.object().get();
            asks_network
                || now.lower_depth() >= DEEP
                || object.count_in_vain(0) >= enough(instance, now)
        }
    };
    (is_wanted && is_fit(instance, now)).then(|| stamp(now))
}

/// Makes a map of the names that a listing has read.
pub(super) fn after_listing(
    instance: &Instance,
    now: &Places<'_>,
    stamp: u64,
    names: impl FnOnce() -> Result<NameMap>,
) {
    let made = make_index(instance, now).and_then(|index| make(instance, now, index, stamp, names));
    if let Err(e) = made {
        vfs::debug!("no index of the names of a directory is made: {:?}\n", e);
    }
}
