// SPDX-License-Identifier: GPL-2.0-only

//! The `ioctl(2)` commands of layerfs (`include/uapi/linux/layerfs.h`) as a safe interface for programs.
//!
//! Every call is made on an open file or directory of a mount. What the kernel answers is checked before it is used: a
//! filesystem of another name may have a command of the same number. The unsafe code is in `sys.rs`, and in what calls it;
//! numbers of commands and sizes of arguments are those that the module goes by (`fs/format/control.rs`).
//!
//! # Errors
//!
//! Each call fails with an [`Errno`]. All of them: `ENOTTY`, this is not on layerfs, or the module is older than the command;
//! `EINVAL`, the module does not know what is asked for; `ENOMEM`; `EINTR`, the task is being killed. What else there is
//! stands with each.

#![warn(missing_docs, rust_2018_idioms)]
#![cfg_attr(
    not(test),
    deny(
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unwrap_used
    )
)]

mod clone;
mod finalize;
mod layers;
mod sys;
mod users;

pub use clone::{clone_range, Cloned, Range};
pub use finalize::{finalize, Finalized};
pub use layers::{
    add, filled, layer, layers, replace, shut_down, AddAt, Layer, LayerIter, Left, Which,
};
pub use rustix::io::Errno;
pub use users::{users, User};

/// A call that failed, and what was done before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed<T> {
    /// Why.
    pub error: Errno,
    /// What was done; that stays so.
    pub so_far: T,
}
