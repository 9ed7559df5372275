// SPDX-License-Identifier: GPL-2.0-only

//! The C tables of operations, made from the traits, and the functions in them.
//!
//! Each function turns what the VFS passes into the types of this crate and the result into what the
//! VFS wants. What the VFS promises of its arguments ([`Documentation/filesystems/vfs.rst`],
//! `locking.rst`) is what the SAFETY comments here lean on.

use crate::acl;
use crate::acl::Acl;
use crate::backing::LockOwner;
use crate::backing::MapRequest;
use crate::backing::Read;
use crate::backing::SpliceRead;
use crate::backing::SpliceWrite;
use crate::backing::Transfer;
use crate::backing::TransferRange;
use crate::backing::Write;
use crate::bindings;
use crate::change;
use crate::copy::SyncRange;
use crate::dentry::Named;
use crate::dentry::Positive;
use crate::dentry::Unhashed;
use crate::dentry::Vacant;
use crate::dir_iter::Emitter;
use crate::dir_op::RenameFlags;
use crate::errno::to_errno;
use crate::errno::*;
use crate::fiemap::Extents;
use crate::file::File;
use crate::fileattr::FileAttr;
use crate::inode::Access;
use crate::inode::Inode;
use crate::inode::RcuInode;
use crate::inode::Slot;
use crate::ops::AttrOps;
use crate::ops::DentryOps;
use crate::ops::DirOps;
use crate::ops::FileOps;
use crate::ops::Nameless;
use crate::ops::New;
use crate::ops::Real;
use crate::ops::Revalidation;
use crate::ops::SuperOps;
use crate::ops::SymlinkOps;
use crate::ops::XattrOps;
use crate::seq;
use crate::stat::Request;
use crate::stat::Stat;
use crate::stat::StatFs;
use crate::super_block::SuperBlock;
use crate::symlink;
use crate::FileSystem;
use crate::Foreign;
use core::marker::PhantomData;
use core::ptr::NonNull;
use kernel::error::from_result;
use kernel::ffi;
use kernel::prelude::*;
use kernel::sync::aref::ARef;

struct Tables<F>(PhantomData<F>);

/// Attribute operations are the same for every type of inode.
const fn attr_operations<F: FileSystem>() -> bindings::inode_operations {
    bindings::inode_operations {
        permission: Some(permission::<F>),
        getattr: Some(getattr::<F>),
        listxattr: if F::Attr::HAS_LIST_XATTRS {
            Some(listxattr::<F>)
        } else {
            None
        },
        get_inode_acl: if F::Attr::HAS_ACL_FOR_CHECK {
            Some(get_inode_acl::<F>)
        } else {
            None
        },
        get_acl: if F::Attr::HAS_ACL {
            Some(get_acl::<F>)
        } else {
            None
        },
        fileattr_get: if F::Attr::HAS_FILEATTR {
            Some(fileattr_get::<F>)
        } else {
            None
        },
        fileattr_set: if F::Attr::HAS_SET_FILEATTR {
            Some(fileattr_set::<F>)
        } else {
            None
        },
        setattr: Some(setattr::<F>),
        set_acl: if F::Attr::HAS_SET_ACL {
            Some(set_acl::<F>)
        } else {
            None
        },
        update_time: Some(update_time::<F>),
        ..pin_init::zeroed()
    }
}

impl<F: FileSystem> Tables<F> {
    const DIR_INODE: bindings::inode_operations = bindings::inode_operations {
        lookup: Some(lookup::<F>),
        create: Some(create::<F>),
        mkdir: Some(mkdir::<F>),
        mknod: Some(mknod::<F>),
        symlink: Some(symlink::<F>),
        link: Some(link::<F>),
        unlink: Some(unlink::<F>),
        rmdir: Some(rmdir::<F>),
        rename: Some(rename::<F>),
        tmpfile: Some(tmpfile::<F>),
        ..attr_operations::<F>()
    };

    const REGULAR_INODE: bindings::inode_operations = bindings::inode_operations {
        fiemap: if F::Regular::HAS_FIEMAP {
            Some(fiemap::<F>)
        } else {
            None
        },
        ..attr_operations::<F>()
    };

    // The VFS checks no permission on links themselves, and they have neither lists nor flags.
    const SYMLINK_INODE: bindings::inode_operations = bindings::inode_operations {
        get_link: Some(get_link::<F>),
        permission: None,
        get_inode_acl: None,
        get_acl: None,
        set_acl: None,
        fileattr_get: None,
        fileattr_set: None,
        ..attr_operations::<F>()
    };

    const SPECIAL_INODE: bindings::inode_operations = bindings::inode_operations {
        fileattr_get: None,
        fileattr_set: None,
        ..attr_operations::<F>()
    };

    const DIR_FILE: bindings::file_operations = bindings::file_operations {
        read: Some(bindings::generic_read_dir),
        open: Some(dir_open::<F>),
        iterate_shared: Some(dir_iterate::<F>),
        llseek: Some(dir_llseek::<F>),
        fsync: Some(dir_fsync::<F>),
        release: Some(dir_release::<F>),
        setlease: Some(bindings::generic_setlease),
        ..pin_init::zeroed()
    };

    const REGULAR_FILE: bindings::file_operations = bindings::file_operations {
        open: Some(file_open::<F>),
        release: Some(file_release::<F>),
        llseek: Some(file_llseek::<F>),
        read_iter: Some(file_read_iter::<F>),
        splice_read: if F::Regular::HAS_SPLICE_READ {
            Some(file_splice_read::<F>)
        } else {
            None
        },
        mmap: if F::Regular::HAS_MMAP {
            Some(file_mmap::<F>)
        } else {
            None
        },
        fsync: Some(file_fsync::<F>),
        write_iter: Some(file_write_iter::<F>),
        splice_write: if F::Regular::HAS_SPLICE_WRITE {
            Some(file_splice_write::<F>)
        } else {
            None
        },
        fallocate: if F::Regular::HAS_ALLOCATE {
            Some(file_fallocate::<F>)
        } else {
            None
        },
        copy_file_range: if F::Regular::HAS_TRANSFER {
            Some(file_copy_range::<F>)
        } else {
            None
        },
        remap_file_range: if F::Regular::HAS_TRANSFER {
            Some(file_remap_range::<F>)
        } else {
            None
        },
        fadvise: if F::Regular::HAS_ADVISE {
            Some(file_fadvise::<F>)
        } else {
            None
        },
        flush: if F::Regular::HAS_FLUSH {
            Some(file_flush::<F>)
        } else {
            None
        },
        setlease: Some(bindings::generic_setlease),
        ..pin_init::zeroed()
    };

    const SUPER: bindings::super_operations = bindings::super_operations {
        alloc_inode: Some(Slot::<F>::alloc),
        destroy_inode: Some(Slot::<F>::destroy),
        free_inode: Some(Slot::<F>::free),
        // What is below is cached below: an inode nobody uses is worth nothing here.
        drop_inode: Some(bindings::inode_just_drop),
        sync_fs: Some(sync_fs::<F>),
        statfs: Some(statfs::<F>),
        show_options: Some(show_options::<F>),
        ..pin_init::zeroed()
    };

    const DENTRY: bindings::dentry_operations = bindings::dentry_operations {
        d_revalidate: Some(d_revalidate::<F>),
        d_weak_revalidate: Some(d_weak_revalidate::<F>),
        d_real: Some(d_real::<F>),
        ..pin_init::zeroed()
    };

    const XATTR: bindings::xattr_handler = bindings::xattr_handler {
        prefix: c"".as_ptr().cast(),
        get: Some(xattr_get::<F>),
        set: Some(xattr_set::<F>),
        ..pin_init::zeroed()
    };

    const XATTRS: XattrHandlers = XattrHandlers([&raw const *Self::XATTR_REF, core::ptr::null()]);

    const XATTR_REF: &'static bindings::xattr_handler = &Self::XATTR;
}

/// A null-terminated list.
struct XattrHandlers([*const bindings::xattr_handler; 2]);

// SAFETY: The list and what it points to are constant.
unsafe impl Sync for XattrHandlers {}

/// Direct I/O is done by the real file; that it is possible is told by this operation being there.
const ADDRESS_SPACE: bindings::address_space_operations = bindings::address_space_operations {
    direct_IO: Some(bindings::noop_direct_IO),
    ..pin_init::zeroed()
};

pub(crate) fn dir_inode_operations<F: FileSystem>() -> *const bindings::inode_operations {
    const { &Tables::<F>::DIR_INODE }
}

pub(crate) fn regular_inode_operations<F: FileSystem>() -> *const bindings::inode_operations {
    const { &Tables::<F>::REGULAR_INODE }
}

pub(crate) fn symlink_inode_operations<F: FileSystem>() -> *const bindings::inode_operations {
    const { &Tables::<F>::SYMLINK_INODE }
}

pub(crate) fn special_inode_operations<F: FileSystem>() -> *const bindings::inode_operations {
    const { &Tables::<F>::SPECIAL_INODE }
}

pub(crate) fn dir_file_operations<F: FileSystem>() -> *const bindings::file_operations {
    const { &Tables::<F>::DIR_FILE }
}

pub(crate) fn regular_file_operations<F: FileSystem>() -> *const bindings::file_operations {
    const { &Tables::<F>::REGULAR_FILE }
}

pub(crate) fn super_operations<F: FileSystem>() -> *const bindings::super_operations {
    const { &Tables::<F>::SUPER }
}

pub(crate) fn dentry_operations<F: FileSystem>() -> *const bindings::dentry_operations {
    const { &Tables::<F>::DENTRY }
}

pub(crate) fn xattr_handlers<F: FileSystem>() -> *const *const bindings::xattr_handler {
    (const { &Tables::<F>::XATTRS }).0.as_ptr()
}

pub(crate) fn address_space_operations() -> *const bindings::address_space_operations {
    const { &ADDRESS_SPACE }
}

/// A length or an error, as the VFS wants it.
#[inline]
fn length(result: Result<usize>) -> isize {
    match result {
        Ok(len) => len as isize,
        Err(e) => to_errno(e) as isize,
    }
}

/// A position or an error, as the VFS wants it.
#[inline]
fn position(result: Result<i64>) -> i64 {
    match result {
        Ok(pos) => pos,
        Err(e) => i64::from(to_errno(e)),
    }
}

/// A buffer the VFS passed; null means that only a length is asked for.
///
/// # Safety
///
/// `ptr` must be null, or valid and ours for `len` bytes as long as `'a`.
#[inline]
unsafe fn buffer<'a>(ptr: *mut ffi::c_char, len: usize) -> &'a mut [u8] {
    match NonNull::new(ptr.cast::<u8>()) {
        // SAFETY: By the requirement.
        Some(ptr) => unsafe { core::slice::from_raw_parts_mut(ptr.as_ptr(), len) },
        None => &mut [],
    }
}

// Attributes.

unsafe extern "C" fn permission<F: FileSystem>(
    _idmap: *mut bindings::mnt_idmap,
    inode: *mut bindings::inode,
    mask: i32,
) -> i32 {
    // SAFETY: The VFS passes an inode of ours, counted or under RCU.
    let inode = unsafe { RcuInode::<F>::from_raw(inode) };
    match F::Attr::permission(inode, Access::from_raw(mask)) {
        Ok(()) => 0,
        Err(e) => to_errno(e),
    }
}

unsafe extern "C" fn getattr<F: FileSystem>(
    _idmap: *mut bindings::mnt_idmap,
    path: *const bindings::path,
    stat: *mut bindings::kstat,
    mask: u32,
    flags: u32,
) -> i32 {
    // SAFETY: The VFS passes a positive dentry of ours, and a structure to fill.
    let (dentry, stat) = unsafe { (Positive::<F>::from_raw((*path).dentry), &mut *stat.cast()) };
    match F::Attr::getattr(dentry, stat, Request { mask, flags }) {
        Ok(()) => 0,
        Err(e) => to_errno(e),
    }
}

unsafe extern "C" fn listxattr<F: FileSystem>(
    dentry: *mut bindings::dentry,
    list: *mut ffi::c_char,
    size: usize,
) -> isize {
    // SAFETY: The VFS passes a positive dentry of ours, and a buffer of that size or null.
    let (dentry, buf) = unsafe { (Positive::<F>::from_raw(dentry), buffer(list, size)) };
    length(F::Attr::list_xattrs(dentry, buf))
}

unsafe extern "C" fn get_inode_acl<F: FileSystem>(
    inode: *mut bindings::inode,
    kind: i32,
    rcu: bool,
) -> *mut kernel::bindings::posix_acl {
    let kind = acl::Kind::from_raw(kind);
    let result = if rcu {
        // SAFETY: The VFS passes an inode of ours, under RCU.
        F::Attr::acl_in_rcu_walk(unsafe { RcuInode::from_raw(inode) }, kind).map(|acl| acl.0)
    } else {
        // SAFETY: The VFS passes an inode of ours, counted.
        F::Attr::acl_for_check(unsafe { Inode::from_raw(inode) }, kind).map(Acl::into_raw)
    };
    result.unwrap_or_else(|e| e.to_ptr()).cast()
}

unsafe extern "C" fn get_acl<F: FileSystem>(
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

unsafe extern "C" fn fileattr_get<F: FileSystem>(
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

unsafe extern "C" fn fileattr_set<F: FileSystem>(
    _idmap: *mut bindings::mnt_idmap,
    dentry: *mut bindings::dentry,
    fa: *mut kernel::bindings::file_kattr,
) -> i32 {
    // SAFETY: The VFS passes a positive dentry of ours, and attributes to set.
    let (dentry, mut fa) = unsafe {
        (
            Positive::<F>::from_raw(dentry),
            FileAttr::from_raw(fa.cast()),
        )
    };
    from_result(|| F::Attr::set_fileattr(dentry, &mut fa).map(|()| 0))
}

unsafe extern "C" fn setattr<F: FileSystem>(
    _idmap: *mut bindings::mnt_idmap,
    dentry: *mut bindings::dentry,
    attr: *mut bindings::iattr,
) -> i32 {
    // SAFETY: The VFS passes a positive dentry of ours whose inode it has locked, and a change.
    let (dentry, request) = unsafe {
        (
            Positive::<F>::from_raw(dentry),
            change::Request::from_raw(attr),
        )
    };
    from_result(|| F::Attr::setattr(dentry, request).map(|()| 0))
}

unsafe extern "C" fn set_acl<F: FileSystem>(
    _idmap: *mut bindings::mnt_idmap,
    dentry: *mut bindings::dentry,
    acl: *mut kernel::bindings::posix_acl,
    kind: i32,
) -> i32 {
    // SAFETY: The VFS passes a positive dentry of ours whose inode it has locked, and a list or null.
    let (dentry, acl) = unsafe { (Positive::<F>::from_raw(dentry), Acl::borrow_raw(acl.cast())) };
    from_result(|| F::Attr::set_acl(dentry, acl::Kind::from_raw(kind), acl.as_ref()).map(|()| 0))
}

unsafe extern "C" fn update_time<F: FileSystem>(
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

unsafe extern "C" fn xattr_set<F: FileSystem>(
    _handler: *const bindings::xattr_handler,
    _idmap: *mut bindings::mnt_idmap,
    dentry: *mut bindings::dentry,
    inode: *mut bindings::inode,
    name: *const ffi::c_char,
    value: *const ffi::c_void,
    size: usize,
    flags: i32,
) -> i32 {
    // SAFETY: The VFS passes a positive dentry of ours with its inode, which it has locked, a name,
    // and a value of that size, or null to remove.
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
    from_result(|| F::Xattr::set(inode, dentry, name, value, flags).map(|()| 0))
}

unsafe extern "C" fn xattr_get<F: FileSystem>(
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

// Directories.

unsafe extern "C" fn lookup<F: FileSystem>(
    _dir: *mut bindings::inode,
    dentry: *mut bindings::dentry,
    _flags: u32,
) -> *mut bindings::dentry {
    // SAFETY: The VFS passes a dentry of ours that it wants looked up.
    match F::Dir::lookup(unsafe { Unhashed::from_raw(dentry) }) {
        Ok(None) => core::ptr::null_mut(),
        Ok(Some(other)) => ARef::into_raw(other).as_ptr().cast(),
        Err(e) => e.to_ptr(),
    }
}

unsafe extern "C" fn dir_open<F: FileSystem>(
    _inode: *mut bindings::inode,
    file: *mut bindings::file,
) -> i32 {
    from_result(|| {
        // SAFETY: The VFS passes a file of ours that is being opened.
        let data = F::Dir::open(unsafe { File::from_raw(file) })?;
        // SAFETY: The slot is ours; `dir_release` takes the data back.
        unsafe { File::<F>::data_slot::<<F::Dir as DirOps<F>>::Data>(file).write(data) };
        Ok(0)
    })
}

unsafe extern "C" fn dir_iterate<F: FileSystem>(
    file: *mut bindings::file,
    ctx: *mut bindings::dir_context,
) -> i32 {
    // SAFETY: The VFS passes an open directory of ours (so `dir_open` filled the slot), and a
    // context.
    let (file, data, mut emitter) = unsafe {
        (
            File::<F>::from_raw(file),
            &*File::<F>::data_slot::<<F::Dir as DirOps<F>>::Data>(file),
            Emitter::from_raw(ctx),
        )
    };
    from_result(|| F::Dir::iterate(file, data, &mut emitter).map(|()| 0))
}

unsafe extern "C" fn dir_llseek<F: FileSystem>(
    file: *mut bindings::file,
    offset: i64,
    whence: i32,
) -> i64 {
    // SAFETY: As in `dir_iterate`.
    let (file, data) = unsafe {
        (
            File::<F>::from_raw(file),
            &*File::<F>::data_slot::<<F::Dir as DirOps<F>>::Data>(file),
        )
    };
    position(F::Dir::seek(file, data, offset, whence).inspect(|&pos| file.set_position(pos)))
}

unsafe extern "C" fn dir_release<F: FileSystem>(
    inode: *mut bindings::inode,
    file: *mut bindings::file,
) -> i32 {
    // SAFETY: The VFS calls this once for each file that was opened, at its end.
    unsafe {
        let data = File::<F>::data_slot::<<F::Dir as DirOps<F>>::Data>(file).read();
        F::Dir::release(Inode::from_raw(inode), data);
    }
    0
}

unsafe extern "C" fn dir_fsync<F: FileSystem>(
    file: *mut bindings::file,
    start: i64,
    end: i64,
    datasync: i32,
) -> i32 {
    let range = SyncRange {
        start,
        end,
        data_only: datasync != 0,
    };
    // SAFETY: As in `dir_iterate`.
    let (file, data) = unsafe {
        (
            File::<F>::from_raw(file),
            &*File::<F>::data_slot::<<F::Dir as DirOps<F>>::Data>(file),
        )
    };
    from_result(|| F::Dir::fsync(file, data, range).map(|()| 0))
}

/// # Safety
///
/// `dentry` must be what the VFS passed to an operation that is to make an object for it.
unsafe fn make<F: FileSystem>(dentry: *mut bindings::dentry, what: New<'_>) -> Result {
    // SAFETY: By the requirement.
    F::Dir::create(unsafe { Vacant::from_raw(dentry) }, what)
}

unsafe extern "C" fn create<F: FileSystem>(
    _idmap: *mut bindings::mnt_idmap,
    _dir: *mut bindings::inode,
    dentry: *mut bindings::dentry,
    mode: bindings::umode_t,
    _exclusive: bool,
) -> i32 {
    // SAFETY: The VFS passes a negative dentry of ours whose parent it has locked.
    from_result(|| unsafe { make::<F>(dentry, New::File(mode & 0o7777)) }.map(|()| 0))
}

unsafe extern "C" fn mkdir<F: FileSystem>(
    _idmap: *mut bindings::mnt_idmap,
    _dir: *mut bindings::inode,
    dentry: *mut bindings::dentry,
    mode: bindings::umode_t,
) -> *mut bindings::dentry {
    // SAFETY: As in `create`.
    match unsafe { make::<F>(dentry, New::Directory(mode & 0o7777)) } {
        Ok(()) => core::ptr::null_mut(),
        Err(e) => e.to_ptr(),
    }
}

unsafe extern "C" fn mknod<F: FileSystem>(
    _idmap: *mut bindings::mnt_idmap,
    _dir: *mut bindings::inode,
    dentry: *mut bindings::dentry,
    mode: bindings::umode_t,
    dev: bindings::dev_t,
) -> i32 {
    // SAFETY: As in `create`.
    from_result(|| unsafe { make::<F>(dentry, New::Special(mode, dev)) }.map(|()| 0))
}

unsafe extern "C" fn symlink<F: FileSystem>(
    _idmap: *mut bindings::mnt_idmap,
    _dir: *mut bindings::inode,
    dentry: *mut bindings::dentry,
    target: *const ffi::c_char,
) -> i32 {
    from_result(|| {
        // SAFETY: As in `create`; the target is a C string.
        unsafe { make::<F>(dentry, New::Symlink(CStr::from_char_ptr(target)))? };
        Ok(0)
    })
}

unsafe extern "C" fn link<F: FileSystem>(
    old: *mut bindings::dentry,
    _dir: *mut bindings::inode,
    new: *mut bindings::dentry,
) -> i32 {
    // SAFETY: The VFS passes a positive dentry of ours, and a negative one whose parent is locked.
    let (old, new) = unsafe { (Positive::<F>::from_raw(old), Vacant::from_raw(new)) };
    from_result(|| F::Dir::link(old, new).map(|()| 0))
}

unsafe extern "C" fn unlink<F: FileSystem>(
    _dir: *mut bindings::inode,
    dentry: *mut bindings::dentry,
) -> i32 {
    // SAFETY: The VFS passes a positive dentry of ours whose parent it has locked.
    let name = unsafe { Named::<F>::from_raw(dentry) };
    from_result(|| F::Dir::remove(name, false).map(|()| 0))
}

unsafe extern "C" fn rmdir<F: FileSystem>(
    _dir: *mut bindings::inode,
    dentry: *mut bindings::dentry,
) -> i32 {
    // SAFETY: As in `unlink`.
    let name = unsafe { Named::<F>::from_raw(dentry) };
    from_result(|| F::Dir::remove(name, true).map(|()| 0))
}

unsafe extern "C" fn rename<F: FileSystem>(
    _idmap: *mut bindings::mnt_idmap,
    _old_dir: *mut bindings::inode,
    old: *mut bindings::dentry,
    _new_dir: *mut bindings::inode,
    new: *mut bindings::dentry,
    flags: u32,
) -> i32 {
    // SAFETY: The VFS passes two dentries of ours whose parents it has locked.
    let (old, new) = unsafe { (Named::<F>::from_raw(old), Named::from_raw(new)) };
    from_result(|| F::Dir::rename(old, new, RenameFlags(flags)).map(|()| 0))
}

unsafe extern "C" fn tmpfile<F: FileSystem>(
    _idmap: *mut bindings::mnt_idmap,
    dir: *mut bindings::inode,
    file: *mut bindings::file,
    mode: bindings::umode_t,
) -> i32 {
    let request = Nameless {
        // SAFETY: The VFS passes a directory of ours.
        dir: unsafe { Inode::<F>::from_raw(dir) },
        file,
        mode,
    };
    from_result(|| F::Dir::create_nameless(request).map(|()| 0))
}

/// See [`Nameless::open`].
///
/// # Safety
///
/// `file` must be what the VFS passed to `->tmpfile()`, during that call.
pub(crate) unsafe fn finish_nameless<F: FileSystem>(
    file: *mut bindings::file,
    inode: ARef<Inode<F>>,
    data: <F::Regular as FileOps<F>>::Data,
) -> Result {
    unsafe extern "C" fn opened_already(_: *mut bindings::inode, _: *mut bindings::file) -> i32 {
        0
    }

    // SAFETY: By the requirement: the file is being opened, and its dentry is negative. If it is
    // open in the end, `file_release` takes the data; if not, nobody else does.
    unsafe {
        let dentry = (*file).__bindgen_anon_1.f_path.dentry;
        let slot = File::<F>::data_slot::<<F::Regular as FileOps<F>>::Data>(file);
        let inode = ARef::into_raw(inode).as_ptr().cast();
        bindings::d_mark_tmpfile(file, inode);
        bindings::d_instantiate(dentry, inode);
        slot.write(data);
        let result = bindings::finish_open(file, dentry, Some(opened_already));
        if (*file).f_mode & bindings::FMODE_OPENED == 0 {
            slot.drop_in_place();
        }
        crate::errno::to_result(result)
    }
}

// Regular files.

unsafe extern "C" fn file_open<F: FileSystem>(
    _inode: *mut bindings::inode,
    file: *mut bindings::file,
) -> i32 {
    from_result(|| {
        // SAFETY: The VFS passes a file of ours that is being opened.
        let data = F::Regular::open(unsafe { File::from_raw(file) })?;
        // SAFETY: The slot is ours; `file_release` takes the data back.
        unsafe { File::<F>::data_slot::<<F::Regular as FileOps<F>>::Data>(file).write(data) };
        Ok(0)
    })
}

unsafe extern "C" fn file_release<F: FileSystem>(
    _inode: *mut bindings::inode,
    file: *mut bindings::file,
) -> i32 {
    // SAFETY: The VFS calls this once for each file that was opened, at its end.
    unsafe { File::<F>::data_slot::<<F::Regular as FileOps<F>>::Data>(file).drop_in_place() };
    0
}

/// An open regular file of ours and what is kept with it.
///
/// # Safety
///
/// `file` must have been opened by `file_open::<F>` and stay open as long as `'a`.
#[inline]
unsafe fn opened<'a, F: FileSystem>(
    file: *mut bindings::file,
) -> (&'a File<F>, &'a <F::Regular as FileOps<F>>::Data) {
    // SAFETY: By the requirement.
    unsafe { (File::from_raw(file), &*File::<F>::data_slot(file)) }
}

unsafe extern "C" fn file_llseek<F: FileSystem>(
    file: *mut bindings::file,
    offset: i64,
    whence: i32,
) -> i64 {
    // SAFETY: The VFS passes an open file of ours.
    let (file, data) = unsafe { opened::<F>(file) };
    position(F::Regular::seek(file, data, offset, whence).inspect(|&pos| file.set_position(pos)))
}

unsafe extern "C" fn file_read_iter<F: FileSystem>(
    iocb: *mut bindings::kiocb,
    iter: *mut bindings::iov_iter,
) -> isize {
    // SAFETY: The VFS passes a request for an open file of ours.
    let (file, data, read) = unsafe {
        let (file, data) = opened::<F>((*iocb).ki_filp);
        (file, data, Read::from_raw(iocb, iter))
    };
    length(F::Regular::read(file, data, read))
}

unsafe extern "C" fn file_splice_read<F: FileSystem>(
    file: *mut bindings::file,
    position: *mut i64,
    pipe: *mut bindings::pipe_inode_info,
    len: usize,
    flags: u32,
) -> isize {
    let splice = SpliceRead {
        file,
        // SAFETY: The VFS passes a position that is ours during the call.
        position: unsafe { &mut *position },
        pipe,
        len,
        flags,
    };
    // SAFETY: The VFS passes an open file of ours.
    let (file, data) = unsafe { opened::<F>(file) };
    length(F::Regular::splice_read(file, data, splice))
}

unsafe extern "C" fn file_mmap<F: FileSystem>(
    file: *mut bindings::file,
    vma: *mut bindings::vm_area_struct,
) -> i32 {
    // SAFETY: The VFS passes an open file of ours, and an area that is being mapped.
    let ((file, data), map) = unsafe { (opened::<F>(file), MapRequest::from_raw(vma)) };
    from_result(|| F::Regular::mmap(file, data, map).map(|()| 0))
}

unsafe extern "C" fn file_fsync<F: FileSystem>(
    file: *mut bindings::file,
    start: i64,
    end: i64,
    datasync: i32,
) -> i32 {
    let range = SyncRange {
        start,
        end,
        data_only: datasync != 0,
    };
    // SAFETY: The VFS passes an open file of ours.
    let (file, data) = unsafe { opened::<F>(file) };
    from_result(|| F::Regular::fsync(file, data, range).map(|()| 0))
}

unsafe extern "C" fn file_write_iter<F: FileSystem>(
    iocb: *mut bindings::kiocb,
    iter: *mut bindings::iov_iter,
) -> isize {
    // SAFETY: The VFS passes a request for an open file of ours.
    let (file, data, write) = unsafe {
        let (file, data) = opened::<F>((*iocb).ki_filp);
        (file, data, Write::from_raw(iocb, iter))
    };
    length(F::Regular::write(file, data, write))
}

unsafe extern "C" fn file_splice_write<F: FileSystem>(
    pipe: *mut bindings::pipe_inode_info,
    file: *mut bindings::file,
    position: *mut i64,
    len: usize,
    flags: u32,
) -> isize {
    let splice = SpliceWrite {
        file,
        // SAFETY: The VFS passes a position that is ours during the call.
        position: unsafe { &mut *position },
        pipe,
        len,
        flags,
    };
    // SAFETY: The VFS passes an open file of ours.
    let (file, data) = unsafe { opened::<F>(file) };
    length(F::Regular::splice_write(file, data, splice))
}

unsafe extern "C" fn file_fallocate<F: FileSystem>(
    file: *mut bindings::file,
    mode: i32,
    offset: i64,
    len: i64,
) -> isize {
    // SAFETY: The VFS passes an open file of ours.
    let (file, data) = unsafe { opened::<F>(file) };
    from_result(|| F::Regular::allocate(file, data, mode, offset, len).map(|()| 0isize))
}

/// # Safety
///
/// Both files must be open files of ours. (The VFS compares the operations of the two.)
unsafe fn transfer<F: FileSystem>(
    how: Transfer,
    from: *mut bindings::file,
    to: *mut bindings::file,
    range: TransferRange,
) -> Result<i64> {
    // SAFETY: By the requirement.
    let (from, to) = unsafe { (opened::<F>(from), opened::<F>(to)) };
    F::Regular::transfer(how, from, to, range)
}

unsafe extern "C" fn file_copy_range<F: FileSystem>(
    from: *mut bindings::file,
    from_pos: i64,
    to: *mut bindings::file,
    to_pos: i64,
    len: usize,
    flags: u32,
) -> isize {
    let range = TransferRange {
        from: from_pos,
        to: to_pos,
        len: len as i64,
        flags,
    };
    // SAFETY: The VFS passes two open files with our operations.
    position(unsafe { transfer::<F>(Transfer::Copy, from, to, range) }) as isize
}

unsafe extern "C" fn file_remap_range<F: FileSystem>(
    from: *mut bindings::file,
    from_pos: i64,
    to: *mut bindings::file,
    to_pos: i64,
    len: i64,
    flags: u32,
) -> i64 {
    if flags & !(bindings::REMAP_FILE_DEDUP | bindings::REMAP_FILE_ADVISORY) != 0 {
        return i64::from(to_errno(EINVAL));
    }
    let how = if flags & bindings::REMAP_FILE_DEDUP != 0 {
        Transfer::Deduplicate
    } else {
        Transfer::Clone
    };
    let range = TransferRange {
        from: from_pos,
        to: to_pos,
        len,
        flags,
    };
    // SAFETY: The VFS passes two open files with our operations.
    position(unsafe { transfer::<F>(how, from, to, range) })
}

unsafe extern "C" fn file_fadvise<F: FileSystem>(
    file: *mut bindings::file,
    offset: i64,
    len: i64,
    advice: i32,
) -> i32 {
    // SAFETY: The VFS passes an open file of ours.
    let (file, data) = unsafe { opened::<F>(file) };
    from_result(|| F::Regular::advise(file, data, offset, len, advice).map(|()| 0))
}

unsafe extern "C" fn file_flush<F: FileSystem>(
    file: *mut bindings::file,
    owner: bindings::fl_owner_t,
) -> i32 {
    // SAFETY: The VFS passes an open file of ours.
    let (file, data) = unsafe { opened::<F>(file) };
    from_result(|| F::Regular::flush(file, data, LockOwner(owner)).map(|()| 0))
}

unsafe extern "C" fn fiemap<F: FileSystem>(
    inode: *mut bindings::inode,
    info: *mut kernel::bindings::fiemap_extent_info,
    start: u64,
    len: u64,
) -> i32 {
    // SAFETY: The VFS passes an inode of ours and a question that is ours during the call.
    let (inode, info) = unsafe { (Inode::<F>::from_raw(inode), &mut *info.cast()) };
    from_result(|| F::Regular::fiemap(inode, Extents { info, start, len }).map(|()| 0))
}

// Symbolic links.

unsafe extern "C" fn get_link<F: FileSystem>(
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

// Dentries.

unsafe extern "C" fn d_revalidate<F: FileSystem>(
    _dir: *mut bindings::inode,
    _name: *const bindings::qstr,
    dentry: *mut bindings::dentry,
    flags: u32,
) -> i32 {
    // SAFETY: The VFS passes a dentry of ours.
    unsafe { revalidate::<F>(dentry, Revalidation { flags, weak: false }) }
}

unsafe extern "C" fn d_weak_revalidate<F: FileSystem>(
    dentry: *mut bindings::dentry,
    flags: u32,
) -> i32 {
    // SAFETY: The VFS passes a dentry of ours.
    unsafe { revalidate::<F>(dentry, Revalidation { flags, weak: true }) }
}

/// # Safety
///
/// `dentry` must be one of ours, counted, or under RCU if the question says so.
unsafe fn revalidate<F: FileSystem>(dentry: *mut bindings::dentry, question: Revalidation) -> i32 {
    // SAFETY: By the requirement; under RCU the inode may just be gone.
    let inode = unsafe { (&raw const (*dentry).d_inode).read_volatile() };
    if inode.is_null() {
        return to_errno(ECHILD);
    }
    let rcu = question.flags & bindings::LOOKUP_RCU != 0;
    let valid = if rcu {
        // SAFETY: Under RCU the inode's memory stays.
        F::Dentry::revalidate_rcu(unsafe { RcuInode::from_raw(inode) }, question).ok_or(ECHILD)
    } else {
        // SAFETY: A counted dentry keeps its inode.
        F::Dentry::revalidate(unsafe { Inode::from_raw(inode) }, question)
    };
    match valid {
        Ok(valid) => i32::from(valid),
        Err(e) => to_errno(e),
    }
}

/// See [`Revalidation::ask`].
pub(crate) fn revalidate_real(dentry: &Positive<Foreign>, question: Revalidation) -> Result<bool> {
    let ptr = dentry.as_ptr();
    let flags = dentry.flags();
    let result = |r: i32| {
        if r < 0 {
            Err(Error::from_errno(r))
        } else {
            Ok(r > 0)
        }
    };
    // SAFETY: The dentry is counted and valid; a flag for an operation means that it is there. The
    // parent is held and the name kept for the call.
    unsafe {
        if question.weak {
            if flags & bindings::dentry_flags_DCACHE_OP_WEAK_REVALIDATE == 0 {
                return Ok(true);
            }
            let Some(revalidate) = (*(*ptr).d_op).d_weak_revalidate else {
                return Ok(true);
            };
            return result(revalidate(ptr, question.flags));
        }
        if flags & bindings::dentry_flags_DCACHE_OP_REVALIDATE == 0 {
            return Ok(true);
        }
        let Some(revalidate) = (*(*ptr).d_op).d_revalidate else {
            return Ok(true);
        };
        let parent = dentry.parent();
        let mut name = core::mem::MaybeUninit::<bindings::name_snapshot>::uninit();
        bindings::take_dentry_name_snapshot(name.as_mut_ptr(), ptr);
        let valid = result(revalidate(
            parent.inode().as_ptr(),
            &(*name.as_ptr()).name,
            ptr,
            question.flags,
        ));
        bindings::release_dentry_name_snapshot(name.as_mut_ptr());
        if let Ok(false) = valid {
            bindings::d_invalidate(ptr);
            return Err(ESTALE);
        }
        valid
    }
}

unsafe extern "C" fn d_real<F: FileSystem>(
    dentry: *mut bindings::dentry,
    which: bindings::d_real_type,
) -> *mut bindings::dentry {
    let of = if which == bindings::d_real_type_D_REAL_METADATA {
        Real::Metadata
    } else {
        Real::Data
    };
    // SAFETY: The VFS passes a positive dentry of ours.
    match F::Dentry::real(unsafe { Positive::<F>::from_raw(dentry) }, of) {
        None => dentry,
        Some(real) => {
            // SAFETY: The dentry is valid while ours is; one that stands on another in turn has
            // the operation.
            unsafe {
                match (*real.as_ptr()).d_op.as_ref().and_then(|ops| ops.d_real) {
                    Some(further) if real.is_stacked() => further(real.as_ptr(), which),
                    _ => real.as_ptr(),
                }
            }
        }
    }
}

// Super blocks.

unsafe extern "C" fn statfs<F: FileSystem>(
    dentry: *mut bindings::dentry,
    buf: *mut kernel::bindings::kstatfs,
) -> i32 {
    // SAFETY: The VFS passes a dentry of ours, and a structure to fill.
    let (sb, stat) = unsafe {
        (
            SuperBlock::<F>::from_raw((*dentry).d_sb),
            &mut *buf.cast::<StatFs>(),
        )
    };
    from_result(|| F::Super::statfs(sb, stat).map(|()| 0))
}

unsafe extern "C" fn sync_fs<F: FileSystem>(sb: *mut bindings::super_block, wait: i32) -> i32 {
    // SAFETY: The VFS passes a super block of ours.
    let sb = unsafe { SuperBlock::<F>::from_raw(sb) };
    from_result(|| F::Super::sync(sb, wait != 0).map(|()| 0))
}

unsafe extern "C" fn show_options<F: FileSystem>(
    m: *mut bindings::seq_file,
    dentry: *mut bindings::dentry,
) -> i32 {
    // SAFETY: The VFS passes the root dentry of ours, and where to show.
    let (sb, options) = unsafe {
        (
            SuperBlock::<F>::from_raw((*dentry).d_sb),
            seq::Options::from_raw(m),
        )
    };
    F::Super::show_options(sb, &options);
    0
}

/// `getattr` casts one to the other.
const _: () = assert!(size_of::<Stat>() == size_of::<bindings::kstat>());
