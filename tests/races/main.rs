// SPDX-License-Identifier: GPL-2.0-only

//! Protocols between tasks that have no lock in common, as they run: the sources of the module are compiled here
//! with atomics and locks of [`explore`], which tries every order. What else they use of the kernel is in
//! [`standin`], under the names that they use.

#![forbid(unsafe_code)]

// The modules of `standin` that the sources know as `kernel::…`, `vfs::…` and, for the atomics, `core::…`.
extern crate self as core;
extern crate self as kernel;
extern crate self as vfs;

mod explore;
mod listing;
mod litmus;
mod publication;
mod standin;
mod state;

pub use standin::*;
