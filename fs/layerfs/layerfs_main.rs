// SPDX-License-Identifier: GPL-2.0-only

//! layerfs: a stacking filesystem. The root of the crate: its floors, and `module!`, which expands to
//! the unsafe code that every kernel module needs (so this file alone can't forbid it).

mod engine;
mod marks;
mod mount;
mod ops;
mod state;

use kernel::prelude::*;

module! {
    type: Module,
    name: "layerfs",
    authors: ["The layerfs developers"],
    description: "Layered filesystem in Rust, on-disk compatible with overlayfs",
    license: "GPL",
    alias: ["fs-layerfs"],
}

/// The loaded module.
struct Module {
    _registration: vfs::registration::Registration<state::LayerFs>,
}

impl kernel::Module for Module {
    fn init(module: &'static ThisModule) -> Result<Self> {
        Ok(Self {
            _registration: vfs::registration::Registration::new(module)?,
        })
    }
}
