// SPDX-License-Identifier: GPL-2.0-only

//! How it is done: finding an object in the layers, making its inode, merging a directory's names.

#![forbid(unsafe_code)]

mod adopt;
pub(crate) mod attributes;
pub(crate) mod change;
pub(crate) mod copy_up;
pub(crate) mod data;
pub(crate) mod inode;
pub(crate) mod listing;
pub(crate) mod lookup;
pub(crate) mod origin;
pub(crate) mod stale;
pub(crate) mod walk;
pub(crate) mod work;
