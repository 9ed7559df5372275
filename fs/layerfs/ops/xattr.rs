// SPDX-License-Identifier: GPL-2.0-only

//! Extended attributes. Our own marks can't be seen; what a user calls like one is kept under an escaped name, so that
//! a stack can be a layer of another ("Nesting overlayfs mounts" in `Documentation/filesystems/overlayfs.rst`).

#![forbid(unsafe_code)]

use crate::engine;
use crate::engine::copy_up::copy_up;
use crate::engine::copy_up::Need;
use crate::state::instance::Instance;
use crate::state::object::Now;
use crate::state::places::Places;
use crate::state::Inode;
use crate::state::LayerFs;
use crate::state::Positive;
use format::xattr::Class;
use kernel::prelude::*;
use vfs::call::xattr;
use vfs::call::xattr::SetFlags;
use vfs::ops::XattrOps;
use vfs::sys::errno::EOPNOTSUPP;

/// Extended attribute operations.
pub(crate) struct Xattr;

#[vtable]
impl XattrOps<LayerFs> for Xattr {
    fn get(inode: &Inode, name: &CStr, buf: &mut [u8]) -> Result<usize> {
        let instance = inode.super_block().data();
        let now = Places::of(inode.held());
        let path = now.real_path()?;
        let mut buffer = [0u8; 256];
        let name = stored_name(instance, name, &mut buffer)?;
        instance.as_mounter(|c| xattr::get(c, path, name, buf))
    }

    fn set(
        inode: &Inode,
        dentry: &Positive,
        name: &CStr,
        value: Option<&[u8]>,
        flags: SetFlags,
    ) -> Result {
        let instance = inode.super_block().data();
        let mut buffer = [0u8; 256];
        let name = stored_name(instance, name, &mut buffer)?;
        let now = Places::of(inode.held());
        if value.is_none() && !now.in_upper() {
            // Nothing is copied up to take away what is not there.
            let path = now.real_path()?;
            instance.as_mounter(|c| xattr::get(c, path, name, &mut []))?;
        }
        copy_up(instance, dentry, Need::Metadata)?;
        let path = Now::of(inode.held()).upper_path().ok_or(EIO)?;
        let writing = path.mount().want_write()?;
        let result = instance.as_mounter(|c| match value {
            Some(value) => xattr::set(c, &writing, path.dentry(), name, value, flags),
            None => xattr::remove(c, &writing, path.dentry(), name),
        });
        engine::inode::refresh(inode);
        result
    }
}

/// Returns the name under which an attribute is kept.
fn stored_name<'a>(
    instance: &Instance,
    name: &'a CStr,
    buffer: &'a mut [u8; 256],
) -> Result<&'a CStr> {
    let namespace = instance.config.namespace();
    if name.to_bytes() == namespace.prefix() {
        return Err(EINVAL);
    }
    match namespace.classify(name.to_bytes()) {
        Class::Foreign => Ok(name),
        Class::Private | Class::Escaped => namespace
            .escape(name.to_bytes(), buffer)
            .map_err(|_| EOPNOTSUPP),
    }
}
