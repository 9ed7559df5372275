// SPDX-License-Identifier: GPL-2.0-only

//! The lower layers of a stack, in order: the only place that knows how they are kept.
//!
//! A pin says by its tag which layer it is in. Its dentry is good as long as the mount of that layer is there, and the
//! mount ends with the [`Layer`]: so a layer must stay in this table, under its number, until no pin has that number
//! any more. Today that is until the super block ends ("Layers" in `Documentation/internals.rst`).

#![forbid(unsafe_code)]

use super::layer::Layer;
use super::layer::LayerIndex;
use kernel::prelude::*;
use vfs::PinnedDentry;

/// The lower layers, topmost first; those that only have data come last.
pub(crate) struct Layers {
    all: KVec<Layer>,
    /// How many of them are merged, and don't only have data.
    merged: usize,
}

impl Layers {
    /// Makes the table of `all` layers, of which the first `merged` are merged.
    pub(crate) fn new(all: KVec<Layer>, merged: usize) -> Self {
        Self { all, merged }
    }

    /// Returns the layer that a pin is in, if that is not upper.
    ///
    /// # Errors
    ///
    /// `EIO`: there is none.
    #[inline]
    pub(crate) fn of(&self, pin: &PinnedDentry) -> Result<&Layer> {
        // Tags are made of numbers of layers, so there always is one; the tag of upper is greater than any.
        self.all.get(pin.tag() as usize).ok_or(EIO)
    }

    /// Returns the layer with this number, counted from the top.
    pub(crate) fn get(&self, number: usize) -> Option<&Layer> {
        self.all.get(number)
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
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Layer> + Clone {
        self.all.iter()
    }

    /// Returns those that are merged, from the top.
    pub(crate) fn merged(&self) -> impl Iterator<Item = (LayerIndex, &Layer)> {
        let merged = self.all.get(..self.merged).unwrap_or_default();
        Self::numbered(0, merged)
    }

    /// Returns those that only have data, from the top.
    pub(crate) fn data(&self) -> impl Iterator<Item = (LayerIndex, &Layer)> {
        let data = self.all.get(self.merged..).unwrap_or_default();
        Self::numbered(self.merged as u32, data)
    }

    fn numbered(first: u32, layers: &[Layer]) -> impl Iterator<Item = (LayerIndex, &Layer)> {
        (first..u32::MAX)
            .zip(layers)
            .map(|(i, layer)| (LayerIndex::Lower(i), layer))
    }
}
