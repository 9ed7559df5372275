// SPDX-License-Identifier: GPL-2.0-only

//! layerfs's own `ioctl(2)` commands: `include/uapi/linux/layerfs.h`.

#![forbid(unsafe_code)]

use super::file::OpenFile;
use crate::engine::clone;
use crate::engine::finalize::Outcome;
use crate::engine::finalize::Request;
use crate::state::File;
use crate::state::LayerFs;
use format::control;
use format::control::CloneRequest;
use format::control::FinalizeRequest;
use kernel::prelude::*;
use vfs::call::range::TransferRange;
use vfs::ops::ioctl::Ioctl;
use vfs::sys::errno::EOPNOTSUPP;

/// Does what a command on an open directory says.
///
/// # Errors
///
/// `ENOTTY`: there is no such command. `EPERM`: the task does not administer the mount's user namespace. `EINVAL`: the
/// argument says something that is not known here. `EFAULT`.
pub(super) fn ioctl(file: &File, ioctl: &Ioctl<'_, LayerFs>) -> Result<u32> {
    match ioctl.command() {
        control::FINALIZE => finalize(file, ioctl),
        _ => Err(ENOTTY),
    }
}

fn finalize(file: &File, ioctl: &Ioctl<'_, LayerFs>) -> Result<u32> {
    if !ioctl.may_administer() {
        return Err(EPERM);
    }
    let wanted = FinalizeRequest::decode(&ioctl.read()?).ok_or(EINVAL)?;
    let instance = file.inode().super_block().data();
    if !instance.config.features.finalize.counts() {
        vfs::warn_limited!(
            "'{}' can't be finalized: mount with finalize=on\n",
            &**file.dentry()
        );
        return Err(EOPNOTSUPP);
    }
    match Request::new(instance, ioctl, wanted).run(file.dentry())? {
        Outcome::Done => Ok(0),
        Outcome::OutOfTime => Ok(1),
    }
}

/// Does what a command on an open regular file says.
///
/// # Errors
///
/// `ENOTTY`: there is no such command. `EINVAL`: the argument says something that is not known here. `EFAULT`. Those of
/// cloning.
pub(super) fn file_ioctl(
    file: &File,
    open: &OpenFile,
    ioctl: &Ioctl<'_, LayerFs>,
) -> Result<u32> {
    match ioctl.command() {
        control::CLONE_RANGE2 => clone_range(file, open, ioctl),
        _ => Err(ENOTTY),
    }
}

fn clone_range(file: &File, open: &OpenFile, ioctl: &Ioctl<'_, LayerFs>) -> Result<u32> {
    let wanted = CloneRequest::decode(&ioctl.read()?).ok_or(EINVAL)?;
    let range = TransferRange::new(wanted.src_offset, wanted.dest_offset, wanted.src_length);
    let source = ioctl.clone_source(wanted.src_fd, range)?;
    let instance = file.inode().super_block().data();
    let ended = clone::Request {
        from: source.file(),
        to: file,
        range,
        limits: clone::Limits {
            interruptible: wanted.interruptible,
            time_budget_ms: wanted.time_budget_ms,
        },
        reals: &|| {
            let from = source.data().data(instance, source.file())?;
            Ok((from, open.data(instance, file)?))
        },
    }
    .run();
    if ended.done > 0 {
        source.notify();
    }
    ioctl.write(CloneRequest::WORK_DONE, &(ended.done as u64).to_ne_bytes())?;
    ended.result.map(|is_all| u32::from(!is_all))
}
