// SPDX-License-Identifier: GPL-2.0-only

//! The engine does what the operations ask for: it finds an object in the layers, makes its inode, merges the names of
//! a directory, copies up and changes.

#![forbid(unsafe_code)]

mod adopt;
mod arrive;
pub(crate) mod attributes;
pub(crate) mod change;
pub(crate) mod clone;
pub(crate) mod copy_up;
pub(crate) mod data;
pub(crate) mod export;
pub(crate) mod finalize;
pub(crate) mod finalized;
pub(crate) mod fit;
pub(crate) mod index;
pub(crate) mod inode;
pub(crate) mod inode_index;
mod lazy;
pub(crate) mod listing;
pub(crate) mod live;
pub(crate) mod lookup;
pub(crate) mod merge;
pub(crate) mod origin;
pub(crate) mod stale;
pub(crate) mod users;
mod vanish;
pub(crate) mod walk;
pub(crate) mod work;
