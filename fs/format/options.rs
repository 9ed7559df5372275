// SPDX-License-Identifier: GPL-2.0-only

//! The grammar of the mount options, and what combinations of them mean.
//!
//! A mount is described either by one string (`mount(2)`) or by one option at a time (`fsconfig(2)`).
//! [`split_monolithic`] cuts the string, [`Key`] names the option, [`Features::apply`] takes its value,
//! [`split_lowerdirs`] cuts a list of layers and [`unescape`] makes a path of an item; in the end
//! [`Features::resolve`] settles how the options depend on each other. Spelling and meaning are
//! overlayfs's: `Documentation/filesystems/overlayfs.rst`, and `fs/overlayfs/params.c`.

#![forbid(unsafe_code)]

mod features;
mod key;
mod lowerdir;
mod monolithic;
mod shown;
mod value;

pub use features::{Applied, BadOption, Conflict, Defaults, Features, Given, Note};
pub use key::{Key, Takes};
pub use lowerdir::{
    split_lowerdirs, unescape, unescape_cstr, BadPath, LowerItem, LowerdirError, Lowerdirs,
    MAX_LAYERS,
};
pub use monolithic::{option_end, split_monolithic, Monolithic, RawOption};
pub use shown::{escaped, is_whole, shown};
pub use value::{
    parse_switch, switch_name, Finalize, Fsync, NameIndex, RedirectDir, Uuid, Verity, Xino,
};
