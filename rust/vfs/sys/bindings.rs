// SPDX-License-Identifier: GPL-2.0-only

//! The C side: what bindgen made of `rust/bindings/bindings.h`, and the kernel's own bindings.
//!
//! Kbuild generates the file and says in `VFS_BINDINGS` where it is. It begins with
//! `pub(crate) use kernel::bindings::*`: where both define a name, ours is the complete type.

#![allow(
    clippy::all,
    clippy::undocumented_unsafe_blocks,
    dead_code,
    improper_ctypes,
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    unreachable_pub,
    unsafe_op_in_unsafe_fn,
    unused_imports
)]

include!(env!("VFS_BINDINGS"));
