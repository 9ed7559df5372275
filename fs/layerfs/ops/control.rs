// SPDX-License-Identifier: GPL-2.0-only

//! layerfs's own `ioctl(2)` commands: `include/uapi/linux/layerfs.h`.

#![forbid(unsafe_code)]

use crate::engine::finalize::Outcome;
use crate::engine::finalize::Request;
use crate::state::File;
use crate::state::LayerFs;
use format::control;
use format::control::FinalizeRequest;
use kernel::prelude::*;
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
