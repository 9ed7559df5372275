// SPDX-License-Identifier: GPL-2.0-only

//! The operations that the VFS calls.

#![forbid(unsafe_code)]

pub(crate) mod attr;
mod control;
pub(crate) mod dentry;
pub(crate) mod dir;
pub(crate) mod file;
mod lookup;
pub(crate) mod super_block;
pub(crate) mod symlink;
pub(crate) mod xattr;
