// SPDX-License-Identifier: GPL-2.0-only

//! Permissions, attributes and access control lists of every kind of object.
//!
//! Permissions are checked twice: the caller's on our inode, the mounter's on the real one. Inode and device numbers
//! follow the table in "Inode properties" of `Documentation/filesystems/overlayfs.rst`.

#![forbid(unsafe_code)]

use crate::engine;
use crate::engine::copy_up::copy_up;
use crate::engine::copy_up::Need;
use crate::marks;
use crate::marks::Marked;
use crate::state::instance::Instance;
use crate::state::layer::Filesystem;
use crate::state::layer::Pin;
use crate::state::name;
use crate::state::object::Now;
use crate::state::object::Object;
use crate::state::places::Places;
use crate::state::traits::Trait;
use crate::state::Inode;
use crate::state::LayerFs;
use crate::state::Positive;
use crate::state::RcuInode;
use format::ino;
use format::ino::XinoBits;
use kernel::prelude::*;
use vfs::call::acl;
use vfs::call::change::ChangeRequest;
use vfs::call::change::PreparedChange;
use vfs::call::fileattr::FileAttr;
use vfs::call::stat::Part;
use vfs::call::stat::Query;
use vfs::call::stat::Stat;
use vfs::call::stat::StatBuf;
use vfs::guard::lock::VfsLocked;
use vfs::object::idmap::Viewed;
use vfs::object::inode::Access;
use vfs::object::inode::Rights;
use vfs::object::walk::By;
use vfs::object::walk::Walk;
use vfs::ops::AttrOps;
use vfs::sys::cred;
use vfs::sys::cred::Capability;
use vfs::sys::errno::EOPNOTSUPP;
use vfs::sys::rcu::InRcuWalk;
use vfs::Held;

/// Attribute operations.
pub(crate) struct Attr;

#[vtable]
impl AttrOps<LayerFs> for Attr {
    #[inline]
    fn permission(walk: Walk<'_, LayerFs>, access: Access<'_>) -> Result {
        let now = Now::of(walk.data());
        let by;
        let pin = match now.fixed_real() {
            Some(pin) => pin,
            None => {
                by = walk.by();
                match &by {
                    By::Rcu(rcu) => now.real_in(rcu)?,
                    By::Count(inode) => return check_lower_dir(inode, access),
                }
            }
        };
        check(&walk, now.in_upper(), pin, access)
    }

    fn getattr(dentry: &Positive, viewed: Viewed<'_>, stat: &mut Stat, query: Query) -> Result {
        let inode = dentry.inode();
        let instance = inode.super_block().data();
        if inode.is_dir() {
            // Who has it open is told of what it was, if it can't be told what it is.
            let _ = engine::live::settle(instance, dentry);
        }
        let now = Places::of(inode.held());
        let path = now.real_path()?;
        instance.as_mounter(|c| stat.fill_fresh(c, path, query))?;
        if now.is_metacopy() {
            let unit = path.dentry().inode().block_size();
            show_blocks_of_data(instance, now.now(), stat, query, unit)?;
        }
        vfs::pause::at(c"stat_filled");
        stat.show_owner_to(viewed, inode);
        stat.show_flags_of(inode);
        if instance.has_plain_numbers && !now.has_origin() {
            stat.set_dev(inode.super_block().dev());
        } else {
            map_dev_ino(instance, inode, &now, stat, query)?;
        }
        if name::was_removed(dentry) && (inode.is_dir() || !now.in_upper()) {
            // The layer still has the name. (The names of what is in upper are counted there.)
            stat.set_nlink(0);
        } else if inode.is_dir() && now.is_merged() {
            // Counting the directories within takes reading them; 1 says that nobody counted.
            stat.set_nlink(1);
        } else if !inode.is_dir() && now.has(Trait::INDEXED) {
            // Upper counts the name in the index, and not those that are in a lower layer alone.
            stat.set_nlink(inode.nlink());
        }
        Ok(())
    }

    fn list_xattrs(dentry: &Positive, buf: &mut [u8]) -> Result<usize> {
        let inode = dentry.inode();
        let instance = inode.super_block().data();
        let now = Places::of(inode.held());
        let path = now.real_path()?;
        let len = instance.as_mounter(|c| vfs::call::xattr::list(c, path, buf))?;
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

    fn acl_in_rcu_walk(
        inode: &RcuInode,
        rcu: InRcuWalk<'_>,
        kind: acl::Kind,
    ) -> Result<acl::CachedAcl> {
        let top = Now::of(inode.data()).real_in(&rcu)?;
        if !top.inode().may_have_acls() {
            // Such an inode never caches that it has none.
            return Ok(acl::CachedAcl::NONE);
        }
        if !top.idmap().is_identity() {
            // The ids must be mapped, which takes a copy, and that can't be made in RCU-walk.
            return Err(ECHILD);
        }
        acl::Acl::cached(top.inode(), kind)
    }

    fn acl_for_check(inode: &Inode, kind: acl::Kind) -> Result<Option<acl::Acl>> {
        let instance = inode.super_block().data();
        let now = Places::of(inode.held());
        let path = now.real_path()?;
        instance.as_mounter(|c| acl::Acl::for_check(c, path, kind))
    }

    fn acl(dentry: &Positive, kind: acl::Kind) -> Result<Option<acl::Acl>> {
        let inode = dentry.inode();
        let instance = inode.super_block().data();
        let now = Places::of(inode.held());
        let path = now.real_path()?;
        if !path.dentry().inode().may_have_acls() {
            // The stack has lists, if not of this object.
            return Ok(None);
        }
        instance.as_mounter(|c| acl::Acl::get(c, path, kind))
    }

    fn fileattr(dentry: &Positive, attr: &mut FileAttr<'_>) -> Result {
        let inode = dentry.inode();
        let instance = inode.super_block().data();
        let now = Places::of(inode.held());
        let path = now.real_path()?;
        instance.as_mounter(|c| attr.fill(c, path))?;
        attr.show_protection_of(inode);
        Ok(())
    }

    fn set_fileattr(dentry: VfsLocked<'_, LayerFs>, attr: &mut FileAttr<'_>) -> Result {
        let inode = dentry.inode();
        let instance = inode.super_block().data();
        if inode.is_dir() && attr.is_casefolded() != instance.ignores_case() {
            vfs::warn_limited!(
                "'{}': case is ignored in all directories of a stack or in none, as in its layers\n",
                &**dentry
            );
            return Err(EOPNOTSUPP);
        }
        copy_up(instance, &dentry, Need::Metadata)?;
        let path = Now::of(inode.held()).upper_path().ok_or(EIO)?;
        let writing = path.mount().want_write()?;
        let protection = attr.protection();
        instance.as_mounter(|c| {
            // On the real object protection would keep us from renaming and marking it.
            let before = marks::protection(&instance.config, c, path);
            let marked = Marked {
                instance,
                c,
                writing: &writing,
                dentry: path.dentry(),
            };
            marked.write_protection(protection)?;
            attr.clear_protection();
            attr.set_on(c, &writing, path).inspect_err(|_| {
                // All is done or nothing: upper may not know a flag that the lower filesystem has.
                let _ = marked.write_protection(before);
            })
        })?;
        dentry.refresh_flags(path.dentry().inode(), protection);
        engine::inode::refresh(inode);
        Ok(())
    }

    fn setattr(dentry: VfsLocked<'_, LayerFs>, request: ChangeRequest<'_>) -> Result {
        let request = request.prepare(dentry)?;
        let inode = dentry.inode();
        let instance = inode.super_block().data();
        let need = match request.new_size() {
            Some(_) => Need::Data,
            None => Need::Metadata,
        };
        copy_up(instance, &dentry, need)?;
        if let Some(size) = request.new_size() {
            engine::clone::pass(inode, &(size..u64::MAX))?;
        }
        change_upper(instance, inode, request)
    }

    fn set_acl(
        dentry: VfsLocked<'_, LayerFs>,
        viewed: Viewed<'_>,
        kind: acl::Kind,
        acl: Option<&acl::Acl>,
    ) -> Result {
        let inode = dentry.inode();
        let instance = inode.super_block().data();
        let object = inode.held();
        if !instance.upper()?.work()?.inode().has_acls() {
            return Err(EOPNOTSUPP);
        }
        let now = Places::of(object);
        if !now.real()?.inode().has_acls() {
            return Err(EOPNOTSUPP);
        }
        // The change itself is made as the mounter, for whom the VFS does not take the bit away.
        if kind == acl::Kind::Access && inode.loses_set_group_id(viewed) {
            ChangeRequest::with_lost_set_group_id(viewed, |request| {
                Self::setattr(dentry, request)
            })?;
        }
        if acl.is_none() && !now.in_upper() {
            // Nothing is copied up to take away what is not there.
            let path = now.real_path()?;
            instance.as_mounter(|c| acl::Acl::get(c, path, kind))?;
        }
        copy_up(instance, &dentry, Need::Metadata)?;
        let path = Now::of(object).upper_path().ok_or(EIO)?;
        let writing = path.mount().want_write()?;
        instance.as_mounter(|c| match acl {
            Some(acl) => acl.set_on(c, &writing, path.dentry(), kind),
            None => acl::Acl::remove_from(c, &writing, path.dentry(), kind),
        })?;
        engine::inode::refresh(inode);
        Ok(())
    }

    fn touch(inode: &Inode) {
        if let Some(path) = Now::of(inode.held()).upper_path() {
            vfs::object::path::touch(path);
            inode.refresh_access_time(path.dentry().inode());
        }
    }
}

/// Checks what the caller may do to a directory that is in lower layers alone, where that may sleep. It is a function of
/// its own, so that the way past it, which is gone more often, is short.
#[inline(never)]
fn check_lower_dir(inode: &Inode, access: Access<'_>) -> Result {
    let places = Places::of(inode.held());
    check(inode, false, places.real()?.get(), access)
}

/// Checks what the caller may do to an inode, which is at `pin`.
#[inline(always)]
fn check(inode: &RcuInode, in_upper: bool, pin: &Pin, access: Access<'_>) -> Result {
    let real = pin.inode();
    // The mode that counts for the caller is ours, the list is the real inode's, which ours never caches: both are
    // read anew each time, so that nothing has to be taken back when a mode or a list changes. What the mode gives to
    // owner, group and others alike, and no list limits, is given to whoever asks, by whatever mount.
    if !(inode.mode_grants_to_all(access) && real.is_known_to_have_no_acl()) {
        inode.generic_permission(access)?;
    }
    if access.contains(Rights::WRITE) {
        access.pause_at(c"permission_write")?;
    }
    let access = if !in_upper && access.contains(Rights::WRITE) && !real.is_special() {
        // An object in a lower layer is never written; copying it up takes reading it.
        access
            .without(Rights::WRITE.union(Rights::APPEND))
            .with(Rights::READ)
    } else {
        access
    };
    let stack = inode.super_block().in_walk();
    stack.as_mounter(|c| real.permission(c, pin.idmap(), access))
}

/// Changes attributes of what is in upper.
fn change_upper(instance: &Instance, inode: &Inode, mut request: PreparedChange<'_>) -> Result {
    let path = Now::of(inode.held()).upper_path().ok_or(EIO)?;
    path.mount()
        .write(|writing| instance.as_mounter(|c| request.apply(c, writing, path.dentry())))?;
    engine::inode::refresh(inode);
    Ok(())
}

/// Shows the blocks of a metacopy file, in a filesystem that allocates `unit` bytes at a time: its size is the whole file's,
/// but the blocks are where the data is.
#[cold]
fn show_blocks_of_data(
    instance: &Instance,
    now: Now<Held<'_, Object>>,
    stat: &mut Stat,
    query: Query,
    unit: u64,
) -> Result {
    let blocks = match now.data_path() {
        Some(data) => instance.as_mounter(|c| {
            let mut room = StatBuf::new();
            room.fill(c, data, Query::blocks(query))
                .map(|data| data.blocks())
        })?,
        // The data is not worth looking for; this guesses by the size. (The size that I/O should have says nothing: it is
        // never less than a page, and can be a megabyte.)
        None => {
            let unit = unit.max(512);
            stat.size().div_ceil(unit).saturating_mul(unit) / 512
        }
    };
    stat.set_blocks(blocks);
    Ok(())
}

/// Replaces the real inode and device numbers, those of where `now` has its attributes, by those of the stack.
#[inline(never)]
fn map_dev_ino(
    instance: &Instance,
    inode: &Inode,
    now: &Places<'_>,
    stat: &mut Stat,
    query: Query,
) -> Result {
    let mut pin = now.real()?;
    let mut part = stat.part();
    let is_dir = inode.is_dir();
    let dev = inode.super_block().dev();
    if (!is_dir || instance.xino.same_dev()) && now.has_origin() {
        // It was copied up: the number is what it was.
        let lower = now.lower().ok_or(EIO)?;
        let (ino, nlink, below) = ask_origin(instance, lower, query)?;
        if engine::inode::stands_for_origin(now, is_dir, nlink) {
            pin = lower;
            stat.set_ino(ino);
            part = below;
        }
    }
    let fs = &*pin.owner().fs;
    let fsid = fs.number;
    if part != fs.part {
        return map_dev_ino_in_part(instance, inode, fs, part, stat);
    }
    match ino::compose(stat.ino(), fsid, instance.xino) {
        Some(ino) => {
            stat.set_ino(ino);
            stat.set_dev(dev);
        }
        None => {
            if instance.config.features.xino == format::options::Xino::On
                && instance.xino != XinoBits::Off
            {
                vfs::warn_limited!(
                    "inode number {} of layer '{}' is too big for xino=on; mount with xino=off\n",
                    stat.ino(),
                    &*pin.owner().name
                );
            }
            if is_dir {
                // Directories always are on our device, so that `find -xdev` sees them all; so
                // they need numbers of our own.
                stat.set_ino(inode.ino());
                stat.set_dev(dev);
            } else {
                stat.set_dev(fs.dev);
            }
        }
    }
    Ok(())
}

/// Returns the inode number of what an object was copied up from, how many names that has, and the part of its
/// filesystem that it is in.
#[inline]
fn ask_origin(instance: &Instance, lower: Held<'_, Pin>, query: Query) -> Result<(u64, u32, Part)> {
    let fs = &lower.owner().fs;
    let inode = lower.inode();
    // An object in upper stays when the one that it was copied up from is gone; our inode still has the number
    // of that one.
    let known = (inode.ino(), inode.nlink(), fs.part);
    if fs.is_of_one_part {
        // Its inode is what the filesystem would answer from.
        return Ok(known);
    }
    let mut room = StatBuf::new();
    let asked = instance.as_mounter(|c| {
        room.fill(c, lower.path(), Query::ino_and_nlink(query))
            .map(|below| (below.ino(), below.nlink(), below.part()))
    });
    Ok(asked.unwrap_or(known))
}

/// Does the same for an object in another part of the layer's filesystem than the layer begins in: that has inode
/// numbers of its own. So the object keeps its number, on a device that is the part's.
#[cold]
fn map_dev_ino_in_part(
    instance: &Instance,
    inode: &Inode,
    fs: &Filesystem,
    part: Part,
    stat: &mut Stat,
) -> Result {
    if inode.is_dir() && instance.xino == XinoBits::Off {
        // Numbers of directories are made up then, and different for all.
        stat.set_ino(inode.ino());
        stat.set_dev(inode.super_block().dev());
    } else {
        stat.set_dev(instance.dev_of_part(fs, part)?);
    }
    Ok(())
}
