// SPDX-License-Identifier: GPL-2.0-only

//! layerfs: a stacking filesystem. The root of the crate: its floors, and `module!`, which expands to
//! the unsafe code that every kernel module needs. So this file alone can't forbid it, and has nothing else.

mod engine;
mod marks;
#[cfg(vfs_pause)]
#[path = "../../tests/misuse/misuse.rs"]
mod misuse;
mod mount;
mod ops;
mod state;

use kernel::prelude::*;
use mount::Module;

module! {
    type: Module,
    name: "layerfs",
    authors: ["The layerfs developers"],
    description: "Layered filesystem in Rust, on-disk compatible with overlayfs",
    license: "GPL",
    alias: ["fs-layerfs"],
}
