// SPDX-License-Identifier: GPL-2.0-only

//! The part of `fs/layerfs/state` that is explored, and what it uses of the rest.

/// A name.
#[derive(Debug)]
pub struct Dentry {
    /// The slot of its publications.
    pub hash: u32,
}

impl Dentry {
    pub fn name_hash(&self) -> u32 {
        self.hash
    }
}

#[allow(dead_code, clippy::module_inception)]
#[path = "../../fs/layerfs/state/listing.rs"]
pub mod listing;
#[allow(dead_code)]
#[path = "../../fs/layerfs/state/publication.rs"]
pub mod publication;
