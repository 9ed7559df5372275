// SPDX-License-Identifier: GPL-2.0-only

//! `LAYERFS_IOC_CLONE_RANGE2`.

use crate::sys::{self, call};
use crate::Failed;
use format::control;
use rustix::fd::{AsFd, AsRawFd};

/// What is cloned, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Range {
    /// Where it begins in the source, in bytes.
    pub src_offset: u64,
    /// How many bytes; 0: to the end of the source.
    pub src_length: u64,
    /// Where it begins in the destination.
    pub dest_offset: u64,
    /// Any signal ends the call, and not only one that kills.
    pub interruptible: bool,
    /// The call ends after so many milliseconds, but not before it has cloned something; 0: it goes on to the end.
    pub time_budget_ms: u64,
}

/// What a call has cloned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cloned {
    /// The bytes that are cloned now, from the beginning of the range on.
    pub bytes: u64,
    /// All is done; else the rest is asked for by another call, with the offsets raised by `bytes`.
    pub is_done: bool,
}

/// Clones a range of a file into another one of the same mounted filesystem, as the source is at one moment during the call:
/// several calls are several moments.
///
/// # Errors
///
/// `EXDEV`: the files are on different filesystems, or their data is on such. `EOPNOTSUPP`: the filesystem below can't share
/// blocks. `EBADF`: the source is not open for reading, or the destination not for writing. `EISDIR`, `EINVAL`: one is no
/// regular file, an offset is in the middle of a block, or the range is not in the source. `EPERM`: one is immutable, or
/// append-only. `ETXTBSY`: one is in use for swapping. `ENOSPC`, `EDQUOT`, `EIO`. `EDEADLK`: somebody who writes to the source
/// holds what the clone needs. `EINTR` also: a signal came before anything was cloned.
pub fn clone_range(
    dest: impl AsFd,
    src: impl AsFd,
    range: Range,
) -> Result<Cloned, Failed<Cloned>> {
    let src = src.as_fd();
    let mut argument = sys::CloneRange2 {
        src_fd: src.as_raw_fd().into(),
        src_offset: range.src_offset,
        src_length: range.src_length,
        dest_offset: range.dest_offset,
        flags: if range.interruptible {
            sys::CLONE_INTERRUPTIBLE
        } else {
            0
        },
        time_budget_ms: range.time_budget_ms,
        ..sys::CloneRange2::default()
    };
    // SAFETY: *Addresses*: there is none. The descriptor of the source is borrowed until the call returns.
    let left = unsafe { call(dest, control::CLONE_RANGE2, &mut argument) };
    let so_far = Cloned {
        bytes: argument.work_done,
        is_done: left == Ok(false),
    };
    left.map(|_| so_far)
        .map_err(|error| Failed { error, so_far })
}
