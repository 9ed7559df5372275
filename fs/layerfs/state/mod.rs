// SPDX-License-Identifier: GPL-2.0-only

//! What a mounted stack is: its settings, its layers, and what is known of each object in it.

#![forbid(unsafe_code)]

pub(crate) mod clone_gate;
pub(crate) mod clones;
pub(crate) mod config;
pub(crate) mod instance;
pub(crate) mod layer;
pub(crate) mod layers;
pub(crate) mod listing;
pub(crate) mod lowers;
pub(crate) mod name;
pub(crate) mod object;
pub(crate) mod place_index;
pub(crate) mod places;
pub(crate) mod publication;
pub(crate) mod stats;
pub(crate) mod traits;

/// The filesystem, as a type. What it can do is said in [`crate::mount`], above all floors.
pub(crate) enum LayerFs {}

impl vfs::Owner for LayerFs {}

/// An inode of ours.
pub(crate) type Inode = vfs::Inode<LayerFs>;
pub(crate) type RcuInode = vfs::RcuInode<LayerFs>;
pub(crate) type Dentry = vfs::Dentry<LayerFs>;
pub(crate) type Positive = vfs::Positive<LayerFs>;
pub(crate) type SuperBlock = vfs::SuperBlock<LayerFs>;
pub(crate) type File = vfs::object::file::File<LayerFs>;

/// A positive dentry of a layer.
pub(crate) type Real = vfs::Positive<vfs::Foreign>;
