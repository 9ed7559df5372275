// SPDX-License-Identifier: GPL-2.0-only

//! `LAYERFS_IOC_FINALIZE`.

use crate::sys::{self, call};
use crate::Failed;
use format::control;
use rustix::fd::AsFd;

/// What a call has finalized.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Finalized {
    /// The directories that are finalized now, also those that were before.
    pub directories: u64,
    /// The objects that this call copied to upper.
    pub copied: u64,
    /// All is done; else the time was spent, and the same call goes on.
    pub is_done: bool,
}

/// Finalizes a directory, and (`recursive`) all below it. After `time_budget_ms` milliseconds (0: never) the call ends, but not
/// before it has finalized a directory that was not finalized before.
///
/// # Errors
///
/// `EPERM`: the caller lacks `CAP_SYS_ADMIN` in the user namespace that the mount was made in. `EROFS`: the mount is
/// read-only. `EOPNOTSUPP`: the data of a file would have to be copied (the mount lacks `metacopy=on`), a layer makes no
/// file handles, upper keeps no extended attributes, or the mount has `finalize=off`. `ELOOP`: directories are too deep in
/// each other. `ENOTTY` also: this is no directory. Those of copying up: `ENOSPC`, `EDQUOT`, `EIO`, and others.
pub fn finalize(
    dir: impl AsFd,
    recursive: bool,
    time_budget_ms: u32,
) -> Result<Finalized, Failed<Finalized>> {
    let mut argument = sys::Finalize {
        flags: if recursive {
            sys::FINALIZE_RECURSIVE
        } else {
            0
        },
        time_budget_ms,
        ..sys::Finalize::default()
    };
    // SAFETY: *Addresses*: there is none.
    let left = unsafe { call(dir, control::FINALIZE, &mut argument) };
    let so_far = Finalized {
        directories: argument.directories,
        copied: argument.copied,
        is_done: left == Ok(false),
    };
    left.map(|_| so_far)
        .map_err(|error| Failed { error, so_far })
}
