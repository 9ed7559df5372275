// SPDX-License-Identifier: GPL-2.0-only

//! What a mounted stack has asked of its layers, counted: the lines of `/proc/PID/mountstats` ("Counters" in
//! `Documentation/layerfs.rst`, where the names are an interface for programs).

#![forbid(unsafe_code)]

use super::layer::LayerIndex;
use vfs::cell::counters::Counters;
use vfs::cell::set_once::LateBox;

/// Something that is counted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counter {
    /// A name that upper lacks in a finalized directory: no lower layer was asked.
    FinalizedMiss,
    /// The data of a metacopy file was looked for when somebody needed it.
    DataLookup,
    /// A directory was copied up.
    CopiedDirectory,
    /// A file was copied up without its data.
    CopiedMetadata,
    /// The data of a file followed its metadata.
    CopiedData,
    /// Anything else was copied up, a file with its data among them.
    CopiedWhole,
    /// Bytes of data that came along with what was copied up.
    CopiedBytes,
    /// The names of a directory were merged.
    Listing,
    /// A directory of a lower layer was read, for that or to learn its names for another purpose.
    ListingOfLower,
    /// A directory was finalized.
    Finalized,
    /// A name that is in no lower layer, as an index said: none was asked.
    IndexMiss,
    /// An index was made.
    IndexMade,
    /// An index was dropped because a lower directory had changed.
    IndexOutdated,
}

impl Counter {
    const ALL: [(Counter, &'static str); 13] = [
        (Self::FinalizedMiss, "finalized_misses"),
        (Self::DataLookup, "data_lookups"),
        (Self::CopiedDirectory, "copied_directories"),
        (Self::CopiedMetadata, "copied_metadata"),
        (Self::CopiedData, "copied_data"),
        (Self::CopiedWhole, "copied_whole"),
        (Self::CopiedBytes, "copied_bytes"),
        (Self::Listing, "listings"),
        (Self::ListingOfLower, "listings_of_lower"),
        (Self::Finalized, "finalized"),
        (Self::IndexMiss, "index_misses"),
        (Self::IndexMade, "indexes_made"),
        (Self::IndexOutdated, "indexes_outdated"),
    ];
}

/// The number of counters of each layer: lookups, and those of them that found nothing.
const OF_LAYER: usize = 2;

/// The counters of a stack, made when there is something to count: to make them is a noticeable part of a mount.
pub(crate) struct Stats {
    counters: LateBox<Counters>,
    /// How many there are.
    len: usize,
}

impl Stats {
    /// Returns the counters of a stack with so many lower layers: nothing was counted yet.
    pub(crate) fn new(lowers: usize) -> Self {
        let layers = lowers.saturating_add(1).saturating_mul(OF_LAYER);
        Self {
            counters: LateBox::default(),
            len: layers.saturating_add(Counter::ALL.len()),
        }
    }

    /// Returns the counters. Where there is no memory for them nothing is counted: nobody fails for want of that.
    #[inline]
    fn counters(&self) -> Option<&Counters> {
        self.counters.get_or_make(|| Counters::new(self.len)).ok()
    }

    fn sum(&self, at: usize) -> u64 {
        self.counters.get().map_or(0, |counters| counters.sum(at))
    }

    /// Counts one.
    #[inline]
    pub(crate) fn count(&self, one: Counter) {
        self.add(one, 1);
    }

    /// Counts `n`.
    #[inline]
    pub(crate) fn add(&self, one: Counter, n: u64) {
        if let Some(counters) = self.counters() {
            counters.add(one as usize, n);
        }
    }

    /// Counts a lookup of a name in a layer; `found` says whether there is something under it.
    #[inline]
    pub(crate) fn count_lookup(&self, layer: LayerIndex, found: bool) {
        let Some(counters) = self.counters() else {
            return;
        };
        let at = Self::of_layer(layer);
        counters.add(at, 1);
        if !found {
            counters.add(at.saturating_add(1), 1);
        }
    }

    /// Returns where the counters of a layer begin.
    #[inline]
    fn of_layer(layer: LayerIndex) -> usize {
        let number = match layer {
            LayerIndex::Upper => 0,
            LayerIndex::Lower(index) => (index as usize).saturating_add(1),
        };
        number
            .saturating_mul(OF_LAYER)
            .saturating_add(Counter::ALL.len())
    }

    /// Calls `each` with the names and values that are of no layer.
    pub(crate) fn each(&self, mut each: impl FnMut(&'static str, u64)) {
        for (counter, name) in Counter::ALL {
            each(name, self.sum(counter as usize));
        }
    }

    /// Returns how many names were looked up in a layer, and of how many there was nothing.
    pub(crate) fn lookups(&self, layer: LayerIndex) -> (u64, u64) {
        let at = Self::of_layer(layer);
        (self.sum(at), self.sum(at.saturating_add(1)))
    }
}
