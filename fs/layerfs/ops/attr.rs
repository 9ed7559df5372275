// SPDX-License-Identifier: GPL-2.0-only

//! Permissions, attributes and access control lists of every kind of object.
//!
//! Permissions are checked twice: the caller's on our inode, the mounter's on the real one. Inode and
//! device numbers: the table in "Inode properties" of `Documentation/filesystems/overlayfs.rst`.

#![forbid(unsafe_code)]

use crate::state::instance::Instance;
use crate::state::object;
use crate::state::Inode;
use crate::state::LayerFs;
use crate::state::Positive;
use crate::state::RcuInode;
use format::ino;
use format::ino::XinoBits;
use kernel::prelude::*;
use vfs::acl;
use vfs::cred;
use vfs::cred::Capability;
use vfs::fileattr::FileAttr;
use vfs::inode::Access;
use vfs::ops::AttrOps;
use vfs::stat::Request;
use vfs::stat::Stat;

/// Attribute operations.
pub(crate) struct Attr;

#[vtable]
impl AttrOps<LayerFs> for Attr {
    #[inline]
    fn permission(inode: &RcuInode, access: Access) -> Result {
        let instance = inode.super_block().data();
        let top = inode.data().top()?;
        let real = top.inode();
        inode.generic_permission(access)?;

        let access = if access.contains(Access::WRITE) && !real.is_special() {
            // What is in a lower layer is never written; copying it up takes reading it.
            access
                .without(Access::WRITE.union(Access::APPEND))
                .union(Access::READ)
        } else {
            access
        };
        let idmap = instance.idmap_of(top)?;
        let c = instance.as_mounter();
        real.permission(&c, idmap, access)
    }

    fn getattr(dentry: &Positive, stat: &mut Stat, request: Request) -> Result {
        let inode = dentry.inode();
        let instance = inode.super_block().data();
        let object = inode.held();
        {
            let c = instance.as_mounter();
            stat.fill(&c, object::top_path(instance, object)?, request)?;
            if object.traits().metacopy {
                // The size is the whole file's, but the blocks are where the data is.
                let blocks = match object::data_path(instance, object) {
                    Some(data) => Stat::of(&c, data, Request::blocks(request))?.blocks(),
                    // Not worth looking for: a guess by the size.
                    None => {
                        let unit = u64::from(stat.block_size().max(512));
                        stat.size().div_ceil(unit).saturating_mul(unit) / 512
                    }
                };
                stat.set_blocks(blocks);
            }
        }
        stat.show_flags_of(inode);
        number(instance, inode, stat)?;
        if inode.is_dir() && object.is_merged() {
            // Counting the directories within takes reading them; 1 says that nobody counted.
            stat.set_nlink(1);
        }
        Ok(())
    }

    fn list_xattrs(dentry: &Positive, buf: &mut [u8]) -> Result<usize> {
        let inode = dentry.inode();
        let instance = inode.super_block().data();
        let len = {
            let c = instance.as_mounter();
            vfs::xattr::list(&c, object::top_path(instance, inode.held())?, buf)?
        };
        // Without a buffer the length is an upper bound, as overlayfs gives it.
        let Some(list) = buf.get_mut(..len) else {
            return Ok(len);
        };
        let see_trusted = cred::capable_noaudit(Capability::SysAdmin);
        instance
            .config
            .namespace()
            .filter_list(list, see_trusted)
            .map_err(|why| {
                vfs::warn_limited!("'{}': {}\n", &**dentry, why.reason());
                EIO
            })
    }

    fn acl_in_rcu_walk(inode: &RcuInode, kind: acl::Kind) -> Result<acl::CachedAcl> {
        let instance = inode.super_block().data();
        let top = inode.data().top()?;
        if !instance.idmap_of(top)?.is_identity() {
            // The ids must be mapped, which takes a copy.
            return Err(ECHILD);
        }
        acl::Acl::cached(top.inode(), kind)
    }

    fn acl_for_check(inode: &Inode, kind: acl::Kind) -> Result<Option<acl::Acl>> {
        let instance = inode.super_block().data();
        let top = inode.data().top()?;
        let c = instance.as_mounter();
        acl::Acl::for_check(&c, top.inode(), instance.idmap_of(top)?, kind)
    }

    fn acl(dentry: &Positive, kind: acl::Kind) -> Result<Option<acl::Acl>> {
        let inode = dentry.inode();
        let instance = inode.super_block().data();
        let c = instance.as_mounter();
        acl::Acl::get(&c, object::top_path(instance, inode.held())?, kind)
    }

    fn fileattr(dentry: &Positive, attr: &mut FileAttr<'_>) -> Result {
        let inode = dentry.inode();
        let instance = inode.super_block().data();
        {
            let c = instance.as_mounter();
            attr.fill(&c, object::top_path(instance, inode.held())?)?;
        }
        attr.show_protection_of(inode);
        Ok(())
    }
}

/// Replaces the real inode and device numbers by those of the stack.
fn number(instance: &Instance, inode: &Inode, stat: &mut Stat) -> Result {
    let layer = instance.layer_of(inode.data().top()?)?;
    let dev = inode.super_block().dev();
    match ino::compose(stat.ino(), layer.fsid, instance.xino) {
        Some(number) => {
            stat.set_ino(number);
            stat.set_dev(dev);
        }
        None => {
            if instance.config.features.xino == format::options::Xino::On
                && instance.xino != XinoBits::Off
            {
                vfs::warn_limited!(
                    "inode number {} of layer '{}' is too big for xino=on; mount with xino=off\n",
                    stat.ino(),
                    &*layer.name
                );
            }
            if inode.is_dir() {
                // Directories always are on our device, so that `find -xdev` sees them all; so
                // they need numbers of our own.
                stat.set_ino(inode.ino());
                stat.set_dev(dev);
            } else {
                let fs = layer.fsid.checked_sub(1).ok_or(EIO)? as usize;
                stat.set_dev(instance.filesystems.get(fs).ok_or(EIO)?.dev.number());
            }
        }
    }
    Ok(())
}
