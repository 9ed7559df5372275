// SPDX-License-Identifier: GPL-2.0-only

//! The on-disk format of a stacked filesystem, and the grammar of its mount options.
//!
//! What overlayfs writes on its layers, and what a user says to mount them, is a contract: layers,
//! images and tools outlive any one implementation. This crate is that contract and nothing else:
//! names, codecs and decision tables over byte slices. It allocates nothing, knows no kernel type,
//! and never panics whatever bytes it is given (a panic in the kernel is a `BUG`), so the same source
//! is compiled into the module by Kbuild and tested, property-checked and fuzzed on the host by cargo.
//!
//! The document it stands on is `Documentation/filesystems/overlayfs.rst` of the kernel.

// Kbuild says `no_std` on the command line too, and rustc warns of the one that it finds second.
#![allow(unused_attributes)]
#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs, rust_2018_idioms, unreachable_pub)]
#![deny(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::todo,
    clippy::unimplemented,
    clippy::unreachable,
    clippy::unwrap_used
)]

mod bytes;
pub mod control;
pub mod finalized;
pub mod handle;
pub mod ino;
pub mod metacopy;
pub mod nlink;
pub mod opaque;
pub mod options;
pub mod protattr;
pub mod redirect;
pub mod uuid;
pub mod whiteout;
pub mod xattr;
