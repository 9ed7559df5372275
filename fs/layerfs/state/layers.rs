// SPDX-License-Identifier: GPL-2.0-only

//! The lower layers of a stack, in order: the only place that knows how they are kept.
//!
//! Who has a pin needs no table: the pin keeps its layer ([`KeptMount`]).

#![forbid(unsafe_code)]

use super::layer::Layer;
use kernel::prelude::*;
use kernel::sync::aref::ARef;
use vfs::object::kept_mount::KeptMount;

/// The lower layers, topmost first; those that only have data come last.
pub(crate) struct Layers {
    all: KVec<ARef<KeptMount<Layer>>>,
    /// How many of them are merged, and don't only have data.
    merged: usize,
}

impl Layers {
    /// Makes the table of `all` layers, of which the first `merged` are merged.
    pub(crate) fn new(all: KVec<ARef<KeptMount<Layer>>>, merged: usize) -> Self {
        Self { all, merged }
    }

    /// Returns the layer with this number, counted from the top.
    pub(crate) fn get(&self, number: usize) -> Option<&KeptMount<Layer>> {
        self.all.get(number).map(|layer| &**layer)
    }

    /// Returns how many there are.
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// Returns how many are merged, and don't only have data.
    #[inline]
    pub(crate) fn merged_len(&self) -> usize {
        self.merged
    }

    /// Returns whether some only have data.
    #[inline]
    pub(crate) fn has_data_layers(&self) -> bool {
        self.merged < self.all.len()
    }

    /// Returns all of them, from the top.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &KeptMount<Layer>> + Clone {
        self.all.iter().map(|layer| &**layer)
    }

    /// Returns those that are merged, from the top.
    pub(crate) fn merged(&self) -> impl Iterator<Item = &KeptMount<Layer>> {
        let merged = self.all.get(..self.merged).unwrap_or_default();
        merged.iter().map(|layer| &**layer)
    }

    /// Returns those that only have data, from the top.
    pub(crate) fn data(&self) -> impl Iterator<Item = &KeptMount<Layer>> {
        let data = self.all.get(self.merged..).unwrap_or_default();
        data.iter().map(|layer| &**layer)
    }
}
