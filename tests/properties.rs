// SPDX-License-Identifier: GPL-2.0-only

//! One function for each codec: it takes arbitrary bytes, and panics where a promise is broken.

mod handle;
mod metacopy;
mod options;
mod redirect;
mod small;
mod xattr;

pub use handle::handle;
pub use metacopy::metacopy;
pub use options::{lowerdirs, monolithic, options, shown_again, unescape};
pub use redirect::{redirect, walk};
pub use small::small;
pub use xattr::{xattr_list, xattr_name};

/// Takes one byte of the input to decide something by.
fn take(data: &[u8]) -> (u8, &[u8]) {
    match data {
        [first, rest @ ..] => (*first, rest),
        [] => (0, data),
    }
}
