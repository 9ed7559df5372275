// SPDX-License-Identifier: GPL-2.0-only

//! Naive models of the codecs: written for being obviously right, and sharing no code with the crate.

pub mod features;
pub mod options;
pub mod redirect;
pub mod xattr;
