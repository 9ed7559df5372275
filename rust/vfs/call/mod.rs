// SPDX-License-Identifier: GPL-2.0-only

//! Questions to objects, most of them of filesystems below, and changes to them.

pub mod acl;
pub mod backing;
pub mod backing_pair;
pub mod change;
pub mod copy;
pub mod dir_iter;
pub mod emitter;
pub mod fiemap;
pub mod fileattr;
pub mod handle;
pub mod mapping;
pub mod range;
pub mod stat;
pub mod symlink;
pub mod verity;
pub mod xattr;
