// SPDX-License-Identifier: GPL-2.0-only

//! layerfs: a stacking filesystem. The root of the crate: its floors, and `module!`, which expands to
//! the unsafe code that every kernel module needs. So this file alone can't forbid it, and has nothing else.
//!
//! The floors, from the highest to the lowest; what is on one names nothing above (`tests/arrows` holds that):
//!
//! | module                             | responsible for |
//! | ---                                | --- |
//! | **`mount`**                        | from mount options to a super block; which implementation is used for what |
//! | `plan`, `layers`, `upper`          | what was asked for; lower layers made ready; upper and workdir |
//! | `filesystems`, `overlaps`          | which filesystems the layers are on; layers within each other |
//! | `index`                            | the index of copies in workdir |
//! | `private`                          | who else has a way to the layers, where that matters |
//! | `remount`                          | changing a mounted stack |
//! | **`ops`**                          | what the VFS calls: a file for each kind of object or of question |
//! | **`engine`**                       | how it is done |
//! | `lookup`, `walk`                   | finding a name in the layers; one layer after the other |
//! | `inode`, `origin`                  | the inode of what was found, and what that was copied from |
//! | `inode_index`                      | copies found by what they were made of, and how many names they have |
//! | `export`                           | opening file handles |
//! | `listing`, `merge`                 | the names of a directory; reading and merging them |
//! | `index`                            | which lower layer has a name, from memory |
//! | `data`, `lazy`                     | the data of a regular file; looking for it when it is needed |
//! | `copy_up`, `attributes`, `adopt`   | copying to upper before a change; what goes along with the data; whose a copy is |
//! | `clone`                            | cloning large files in pieces |
//! | `change`, `work`                   | making, linking, removing, renaming; the work directory |
//! | `finalized`, `finalize`            | directories of which upper has every name; making them |
//! | `live`, `vanish`                   | layers that come and go; which names are in one alone |
//! | `arrive`, `fit`, `users`           | what may become a layer; who uses one |
//! | `stale`                            | why an operation answers `ESTALE` |
//! | **`marks`**                        | what is written on the layers (`format` has the codecs), read and written |
//! | **`state`**                        | what a mounted stack is |
//! | `config`, `layer`, `layers`        | settings; a layer and its filesystem; the lower layers in order |
//! | `instance`                         | the stack itself |
//! | `object`, `traits`, `lowers`       | what is known of an object; the bits of its word; its lower places |
//! | `name`, `listing`, `place_index`   | what is known of a name, of the names of a directory, and of its lower ones |
//! | `clone_gate`, `clones`             | who is let through while a clone is made |
//! | `publication`, `stats`             | which names are getting a copy in upper; what is counted |

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
