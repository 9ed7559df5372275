// SPDX-License-Identifier: GPL-2.0-only

//! layerfs's own `ioctl(2)` commands: `include/uapi/linux/layerfs.h`.

#![forbid(unsafe_code)]

use crate::engine::finalize::Outcome;
use crate::engine::finalize::Request;
use crate::engine::live::AddAt;
use crate::engine::live::Changer;
use crate::engine::live::Given;
use crate::engine::live::Which;
use crate::engine::users;
use crate::state::File;
use crate::state::LayerFs;
use format::control;
use format::control::Change;
use format::control::FinalizeRequest;
use format::control::LayerChange;
use format::control::LayerInfo;
use format::control::LayerQuery;
use format::control::Text;
use format::control::UsersAnswer;
use format::control::UsersQuery;
use format::control::WhichLayer;
use kernel::prelude::*;
use kernel::str::CString;
use vfs::object::path::PATH_MAX;
use vfs::ops::ioctl::Ioctl;
use vfs::sys::errno::ENAMETOOLONG;
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
        control::LAYER => layer(file, ioctl),
        control::LAYER_USERS => users_of_layer(file, ioctl),
        control::LAYER_SHUTDOWN
        | control::LAYER_REPLACE
        | control::LAYER_ADD
        | control::LAYER_FILLED => change_layers(file, ioctl),
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

/// Tells what there is to know of a lower layer.
fn layer(file: &File, ioctl: &Ioctl<'_, LayerFs>) -> Result<u32> {
    let query = LayerQuery::decode(&ioctl.read()?).ok_or(EINVAL)?;
    let instance = file.inode().super_block().data();
    instance.layers.with(query.place as usize, |layer, info| {
        let name = layer.name.to_bytes();
        let room = name.len().min(query.name_len as usize);
        if query.name != 0 {
            ioctl.write_at(query.name, name.get(..room).unwrap_or_default())?;
        }
        ioctl.write(LayerInfo::OFFSET, &info.encode(query))
    })?;
    Ok(0)
}

/// Tells who uses a lower layer.
fn users_of_layer(file: &File, ioctl: &Ioctl<'_, LayerFs>) -> Result<u32> {
    if !ioctl.may_administer() {
        return Err(EPERM);
    }
    let query = UsersQuery::decode(&ioctl.read()?).ok_or(EINVAL)?;
    let which = layer_of(ioctl, query.which)?;
    let mut answer = UsersAnswer::default();
    let sb = file.inode().super_block();
    let room = query.size as usize;
    let told = users::tell(sb, &which, query.cursor, room, |user, path| {
        let len = user.record_len();
        let end = answer.size.saturating_add(len);
        if end > query.size {
            return Ok(false);
        }
        let at = query.buffer.wrapping_add(answer.size.into());
        let mut record = KVec::with_capacity(len as usize, GFP_KERNEL)?;
        record.extend_from_slice(&user.encode(), GFP_KERNEL)?;
        record.extend_from_slice(path, GFP_KERNEL)?;
        record.resize(len as usize, 0, GFP_KERNEL)?;
        ioctl.write_at(at, &record)?;
        answer.size = end;
        answer.count = answer.count.saturating_add(1);
        Ok(true)
    })?;
    answer.cursor = told.cursor;
    answer.users = told.users as u64;
    ioctl.write(UsersAnswer::OFFSET, &answer.encode())?;
    Ok(u32::from(told.more))
}

/// Changes the layers of the mount.
fn change_layers(file: &File, ioctl: &Ioctl<'_, LayerFs>) -> Result<u32> {
    if !ioctl.may_administer() {
        return Err(EPERM);
    }
    let change = LayerChange::decode(ioctl.command(), &ioctl.read()?).ok_or(EINVAL)?;
    let changer = Changer {
        ioctl,
        sb: file.inode().super_block(),
    };
    let left = match change.what {
        Change::Shutdown(which) => {
            let which = layer_of(ioctl, which)?;
            changer.shut_down(&which, change.force, change.timeout_ms)?
        }
        Change::Replace(which, new) => {
            let which = layer_of(ioctl, which)?;
            changer.replace(&which, &given(ioctl, new)?, change.timeout_ms)?
        }
        Change::Add(new) => {
            let at = AddAt {
                beneath: change.beneath,
                data: change.data,
            };
            changer.add(&given(ioctl, new)?, at)?;
            0
        }
        Change::Filled => {
            changer.announce()?;
            0
        }
    };
    ioctl.write(LayerChange::USERS, &(left as u64).to_ne_bytes())?;
    Ok(u32::from(left > 0))
}

/// Returns the layer that is meant.
fn layer_of(ioctl: &Ioctl<'_, LayerFs>, which: WhichLayer) -> Result<Which> {
    Ok(match which {
        WhichLayer::Place(place) => Which::Place(place as usize),
        WhichLayer::Name(text) => Which::Name(read_text(ioctl, text)?),
    })
}

/// Returns the directory that is given by its path.
fn given(ioctl: &Ioctl<'_, LayerFs>, path: Text) -> Result<Given> {
    let mut path = read_text(ioctl, path)?;
    path.push(0, GFP_KERNEL)?;
    let name = CStr::from_bytes_with_nul(&path).map_err(|_| EINVAL)?;
    if name.is_empty() {
        return Err(ENOENT);
    }
    let name = CString::try_from(name)?;
    Ok(Given {
        path: ioctl.resolve(&name)?,
        name,
    })
}

fn read_text(ioctl: &Ioctl<'_, LayerFs>, text: Text) -> Result<KVec<u8>> {
    if text.len as usize >= PATH_MAX {
        return Err(ENAMETOOLONG);
    }
    ioctl.read_at(text.address, text.len as usize)
}
