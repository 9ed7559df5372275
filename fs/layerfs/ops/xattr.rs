// SPDX-License-Identifier: GPL-2.0-only

//! Extended attributes: our own marks can't be seen; what a user calls like one is kept under an
//! escaped name, so that a stack can be a layer of another ("Nesting overlayfs mounts" in
//! `Documentation/filesystems/overlayfs.rst`).

#![forbid(unsafe_code)]

use crate::state::object;
use crate::state::Inode;
use crate::state::LayerFs;
use format::xattr::Class;
use kernel::prelude::*;
use vfs::errno::*;
use vfs::ops::XattrOps;
use vfs::xattr;

/// Extended attribute operations.
pub(crate) struct Xattr;

#[vtable]
impl XattrOps<LayerFs> for Xattr {
    fn get(inode: &Inode, name: &CStr, buf: &mut [u8]) -> Result<usize> {
        let instance = inode.super_block().data();
        let namespace = instance.config.namespace();
        if name.to_bytes() == namespace.prefix() {
            return Err(EINVAL);
        }
        let path = object::top_path(instance, inode.held())?;
        let mut escaped = [0u8; 256];
        let name = match namespace.classify(name.to_bytes()) {
            Class::Foreign => name,
            Class::Private | Class::Escaped => namespace
                .escape(name.to_bytes(), &mut escaped)
                .map_err(|_| EOPNOTSUPP)?,
        };
        let c = instance.as_mounter();
        xattr::get(&c, path, name, buf)
    }
}
