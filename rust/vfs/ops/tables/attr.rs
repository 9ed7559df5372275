// SPDX-License-Identifier: GPL-2.0-only

//! What the VFS asks of every inode: attributes, permissions, access control lists, extended attributes,
//! and of symbolic links their target.

use super::buffer;
use super::length;
use crate::call::acl;
use crate::call::acl::Acl;
use crate::call::change::ChangeRequest;
use crate::call::fileattr::FileAttr;
use crate::call::stat::Query;
use crate::call::symlink;
use crate::call::xattr::SetFlags;
use crate::guard::lock::VfsLocked;
use crate::object::dentry::Positive;
use crate::object::idmap::Viewed;
use crate::object::inode::Access;
use crate::object::inode::Inode;
use crate::object::inode::RcuInode;
use crate::object::walk::Walk;
use crate::ops::AttrOps;
use crate::ops::FileSystem;
use crate::ops::SymlinkOps;
use crate::ops::XattrOps;
use crate::sys::bindings;
use crate::sys::errno::to_errno;
use crate::sys::errno::EOPNOTSUPP;
use crate::sys::rcu::InRcuWalk;
use core::ptr::NonNull;
use kernel::error::from_result;
use kernel::ffi;
use kernel::prelude::*;

pub(super) unsafe extern "C" fn permission<F: FileSystem>(
    idmap: *mut bindings::mnt_idmap,
    inode: *mut bindings::inode,
    mask: i32,
) -> i32 {
    // SAFETY: The VFS passes an inode of ours, and a mapping that lasts for the call. A path walk under RCU alone says
    // that it may not sleep; who else asks has the inode counted.
    let (walk, viewed) = unsafe {
        let in_rcu = mask & bindings::MAY_NOT_BLOCK as i32 != 0;
        let walk = Walk::new(RcuInode::<F>::from_raw(inode), in_rcu);
        (walk, Viewed::from_raw(idmap))
    };
    match F::Attr::permission(walk, Access::from_raw(mask, viewed)) {
        Ok(()) => 0,
        Err(e) => to_errno(e),
    }
}

pub(super) unsafe extern "C" fn getattr<F: FileSystem>(
    idmap: *mut bindings::mnt_idmap,
    path: *const bindings::path,
    stat: *mut bindings::kstat,
    mask: u32,
    flags: u32,
) -> i32 {
    // SAFETY: The VFS passes a positive dentry of ours, a mapping that lasts for the call, and a structure to
    // fill.
    let (dentry, viewed, stat) = unsafe {
        (
            Positive::<F>::from_raw((*path).dentry),
            Viewed::from_raw(idmap),
            &mut *stat.cast(),
        )
    };
    match F::Attr::getattr(dentry, viewed, stat, Query { mask, flags }) {
        Ok(()) => 0,
        Err(e) => to_errno(e),
    }
}

pub(super) unsafe extern "C" fn listxattr<F: FileSystem>(
    dentry: *mut bindings::dentry,
    list: *mut ffi::c_char,
    size: usize,
) -> isize {
    // SAFETY: The VFS passes a positive dentry of ours, and a buffer of that size or null.
    let (dentry, buf) = unsafe { (Positive::<F>::from_raw(dentry), buffer(list, size)) };
    length(F::Attr::list_xattrs(dentry, buf))
}

pub(super) unsafe extern "C" fn get_inode_acl<F: FileSystem>(
    inode: *mut bindings::inode,
    kind: i32,
    rcu: bool,
) -> *mut kernel::bindings::posix_acl {
    let kind = acl::Kind::from_raw(kind);
    let result = if rcu {
        // SAFETY: The VFS passes an inode of ours, under RCU.
        let (inode, rcu) = unsafe { (RcuInode::from_raw(inode), InRcuWalk::new()) };
        F::Attr::acl_in_rcu_walk(inode, rcu, kind).map(|acl| acl.0)
    } else {
        // SAFETY: The VFS passes an inode of ours, counted.
        F::Attr::acl_for_check(unsafe { Inode::from_raw(inode) }, kind).map(Acl::into_raw)
    };
    result.unwrap_or_else(|e| e.to_ptr()).cast()
}

pub(super) unsafe extern "C" fn get_acl<F: FileSystem>(
    _idmap: *mut bindings::mnt_idmap,
    dentry: *mut bindings::dentry,
    kind: i32,
) -> *mut kernel::bindings::posix_acl {
    // SAFETY: The VFS passes a positive dentry of ours.
    let dentry = unsafe { Positive::<F>::from_raw(dentry) };
    F::Attr::acl(dentry, acl::Kind::from_raw(kind))
        .map(Acl::into_raw)
        .unwrap_or_else(|e| e.to_ptr())
        .cast()
}

pub(super) unsafe extern "C" fn fileattr_get<F: FileSystem>(
    dentry: *mut bindings::dentry,
    fa: *mut kernel::bindings::file_kattr,
) -> i32 {
    // SAFETY: The VFS passes a positive dentry of ours, and a structure to fill.
    let (dentry, mut fa) = unsafe {
        (
            Positive::<F>::from_raw(dentry),
            FileAttr::from_raw(fa.cast()),
        )
    };
    from_result(|| F::Attr::fileattr(dentry, &mut fa).map(|()| 0))
}

pub(super) unsafe extern "C" fn fileattr_set<F: FileSystem>(
    _idmap: *mut bindings::mnt_idmap,
    dentry: *mut bindings::dentry,
    fa: *mut kernel::bindings::file_kattr,
) -> i32 {
    // SAFETY: The VFS passes a positive dentry of ours whose inode it has locked, and attributes to set.
    let (dentry, mut fa) = unsafe {
        (
            VfsLocked::<F>::from_raw(dentry),
            FileAttr::from_raw(fa.cast()),
        )
    };
    from_result(|| F::Attr::set_fileattr(dentry, &mut fa).map(|()| 0))
}

pub(super) unsafe extern "C" fn setattr<F: FileSystem>(
    idmap: *mut bindings::mnt_idmap,
    dentry: *mut bindings::dentry,
    attr: *mut bindings::iattr,
) -> i32 {
    // SAFETY: The VFS passes a positive dentry of ours whose inode it has locked, a change, and the mapping that
    // the owners in it are seen through, which lasts for the call.
    let (dentry, request) = unsafe {
        (
            VfsLocked::<F>::from_raw(dentry),
            ChangeRequest::from_raw(attr, Viewed::from_raw(idmap)),
        )
    };
    from_result(|| F::Attr::setattr(dentry, request).map(|()| 0))
}

pub(super) unsafe extern "C" fn set_acl<F: FileSystem>(
    idmap: *mut bindings::mnt_idmap,
    dentry: *mut bindings::dentry,
    acl: *mut kernel::bindings::posix_acl,
    kind: i32,
) -> i32 {
    // SAFETY: The VFS passes a positive dentry of ours whose inode it has locked, a mapping that lasts for the
    // call, and a list or null.
    let (dentry, viewed, acl) = unsafe {
        (
            VfsLocked::<F>::from_raw(dentry),
            Viewed::from_raw(idmap),
            Acl::borrow_raw(acl.cast()),
        )
    };
    let kind = acl::Kind::from_raw(kind);
    from_result(|| F::Attr::set_acl(dentry, viewed, kind, acl.as_ref()).map(|()| 0))
}

pub(super) unsafe extern "C" fn update_time<F: FileSystem>(
    inode: *mut bindings::inode,
    what: bindings::fs_update_time,
    flags: u32,
) -> i32 {
    // Modification times are the real filesystem's business.
    if what == bindings::fs_update_time_FS_UPD_ATIME {
        if flags & bindings::IOCB_NOWAIT != 0 {
            return to_errno(EAGAIN);
        }
        // SAFETY: The VFS passes an inode of ours.
        F::Attr::touch(unsafe { Inode::from_raw(inode) });
    }
    0
}

pub(super) unsafe extern "C" fn xattr_set<F: FileSystem>(
    _handler: *const bindings::xattr_handler,
    _idmap: *mut bindings::mnt_idmap,
    dentry: *mut bindings::dentry,
    inode: *mut bindings::inode,
    name: *const ffi::c_char,
    value: *const ffi::c_void,
    size: usize,
    flags: i32,
) -> i32 {
    // SAFETY: A dentry that is passed is valid.
    if unsafe { (*dentry).d_inode.is_null() } {
        // Smack labels a new directory while its dentry is being made positive.
        return to_errno(EOPNOTSUPP);
    }
    // SAFETY: The VFS passes a dentry of ours, which was found to be positive, with its inode, a name, and a
    // value of that size, or null to remove.
    let (inode, dentry, name, value) = unsafe {
        let value = NonNull::new(value.cast_mut().cast::<u8>())
            .map(|value| core::slice::from_raw_parts(value.as_ptr(), size));
        (
            Inode::<F>::from_raw(inode),
            Positive::from_raw(dentry),
            CStr::from_char_ptr(name),
            value,
        )
    };
    from_result(|| F::Xattr::set(inode, dentry, name, value, SetFlags(flags)).map(|()| 0))
}

pub(super) unsafe extern "C" fn xattr_get<F: FileSystem>(
    _handler: *const bindings::xattr_handler,
    _dentry: *mut bindings::dentry,
    inode: *mut bindings::inode,
    name: *const ffi::c_char,
    value: *mut ffi::c_void,
    size: usize,
) -> i32 {
    // SAFETY: The VFS passes an inode of ours, a name, and a buffer of that size or null.
    let (inode, name, buf) = unsafe {
        (
            Inode::<F>::from_raw(inode),
            CStr::from_char_ptr(name),
            buffer(value.cast(), size),
        )
    };
    length(F::Xattr::get(inode, name, buf)) as i32
}

pub(super) unsafe extern "C" fn get_link<F: FileSystem>(
    dentry: *mut bindings::dentry,
    _inode: *mut bindings::inode,
    done: *mut bindings::delayed_call,
) -> *const ffi::c_char {
    if dentry.is_null() {
        // RCU-walk: come again with references.
        return ECHILD.to_ptr();
    }
    // SAFETY: The VFS passes a positive dentry of ours and a place for the clean-up.
    let (dentry, done) = unsafe { (Positive::<F>::from_raw(dentry), &mut *done) };
    match F::Symlink::target(dentry, &mut symlink::Done(done)) {
        Ok(target) => target.0,
        Err(e) => e.to_ptr(),
    }
}

pub(super) unsafe extern "C" fn readlink<F: FileSystem>(
    dentry: *mut bindings::dentry,
    buffer: *mut ffi::c_char,
    len: i32,
) -> i32 {
    // SAFETY: The VFS passes a positive dentry of ours.
    let dentry = unsafe { Positive::<F>::from_raw(dentry) };
    from_result(|| F::Symlink::read(dentry, symlink::UserBuffer::from_raw(buffer, len)))
}
