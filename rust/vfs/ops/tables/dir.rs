// SPDX-License-Identifier: GPL-2.0-only

//! What the VFS asks of directories.

use super::position;
use crate::call::emitter::Emitter;
use crate::guard::dir_op::NewObject;
use crate::guard::dir_op::RenameFlags;
use crate::guard::lock::VfsLocked;
use crate::object::file::File;
use crate::object::file::SyncRange;
use crate::object::file::Whence;
use crate::object::idmap::Viewed;
use crate::object::inode::Inode;
use crate::object::named::Named;
use crate::object::named::Unhashed;
use crate::object::named::Vacant;
use crate::ops::ioctl::Ioctl;
use crate::ops::DirOps;
use crate::ops::FileSystem;
use crate::ops::Nameless;
use crate::sys::anon_dev::Dev;
use crate::sys::bindings;
use crate::sys::mode::FileType;
use crate::sys::mode::Mode;
use kernel::error::from_result;
use kernel::ffi;
use kernel::prelude::*;
use kernel::sync::aref::ARef;

pub(super) unsafe extern "C" fn lookup<F: FileSystem>(
    _dir: *mut bindings::inode,
    dentry: *mut bindings::dentry,
    flags: u32,
) -> *mut bindings::dentry {
    // SAFETY: The VFS passes a dentry of ours that it wants looked up.
    match F::Dir::lookup(unsafe { Unhashed::from_raw(dentry, flags) }) {
        Ok(None) => core::ptr::null_mut(),
        Ok(Some(other)) => ARef::into_raw(other).as_ptr().cast(),
        Err(e) => e.to_ptr(),
    }
}

pub(super) unsafe extern "C" fn dir_open<F: FileSystem>(
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

/// What the VFS passes an open directory for: the file, and the data that is kept with it.
///
/// # Safety
///
/// `file` must be a directory of ours that is open for `'a`: so `dir_open` filled the slot.
unsafe fn opened<'a, F: FileSystem>(
    file: *mut bindings::file,
) -> (&'a File<F>, &'a <F::Dir as DirOps<F>>::Data) {
    // SAFETY: By the requirement.
    unsafe {
        (
            File::<F>::from_raw(file),
            &*File::<F>::data_slot::<<F::Dir as DirOps<F>>::Data>(file),
        )
    }
}

pub(super) unsafe extern "C" fn dir_iterate<F: FileSystem>(
    file: *mut bindings::file,
    ctx: *mut bindings::dir_context,
) -> i32 {
    // SAFETY: The VFS passes an open directory of ours, and a context.
    let ((file, data), mut emitter) = unsafe { (opened::<F>(file), Emitter::from_raw(ctx)) };
    from_result(|| F::Dir::iterate(file, data, &mut emitter).map(|()| 0))
}

pub(super) unsafe extern "C" fn dir_llseek<F: FileSystem>(
    file: *mut bindings::file,
    offset: i64,
    whence: i32,
) -> i64 {
    // SAFETY: The VFS passes an open directory of ours.
    let (file, data) = unsafe { opened::<F>(file) };
    position(
        F::Dir::seek(file, data, offset, Whence(whence)).inspect(|&pos| file.set_position(pos)),
    )
}

pub(super) unsafe extern "C" fn dir_release<F: FileSystem>(
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

pub(super) unsafe extern "C" fn dir_fsync<F: FileSystem>(
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
    // SAFETY: The VFS passes an open directory of ours.
    let (file, data) = unsafe { opened::<F>(file) };
    from_result(|| F::Dir::fsync(file, data, range).map(|()| 0))
}

pub(super) unsafe extern "C" fn dir_ioctl<F: FileSystem>(
    file: *mut bindings::file,
    command: u32,
    argument: usize,
) -> isize {
    // SAFETY: The VFS passes an open directory of ours.
    let (file, data) = unsafe { opened::<F>(file) };
    // SAFETY: The VFS is inside `->unlocked_ioctl()`, and holds no lock then.
    let ioctl = unsafe { Ioctl::from_raw(file, command, argument) };
    from_result(|| F::Dir::ioctl(file, data, ioctl).map(|value| value as isize))
}

/// # Safety
///
/// `idmap` and `dentry` must be what the VFS passed to an operation that is to make an object for it.
unsafe fn make<F: FileSystem>(
    idmap: *mut bindings::mnt_idmap,
    dentry: *mut bindings::dentry,
    what: NewObject<'_>,
) -> Result {
    // SAFETY: By the requirement; the mapping lasts for the call.
    let (name, viewed) = unsafe { (Vacant::from_raw(dentry), Viewed::from_raw(idmap)) };
    F::Dir::create(name, viewed, what)
}

/// What the kernel's header says `->create()` is, made: the type of the entry chooses. Newer kernels leave out
/// whether the caller insists that the name is new, which was never of interest here, as it always has to be.
pub(super) trait CreateEntry<F> {
    const ENTRY: Self;
}

impl<F: FileSystem> CreateEntry<F>
    for Option<
        unsafe extern "C" fn(
            *mut bindings::mnt_idmap,
            *mut bindings::inode,
            *mut bindings::dentry,
            bindings::umode_t,
        ) -> i32,
    >
{
    const ENTRY: Self = Some(create::<F>);
}

impl<F: FileSystem> CreateEntry<F>
    for Option<
        unsafe extern "C" fn(
            *mut bindings::mnt_idmap,
            *mut bindings::inode,
            *mut bindings::dentry,
            bindings::umode_t,
            bool,
        ) -> i32,
    >
{
    const ENTRY: Self = Some(create_exclusive_or_not::<F>);
}

unsafe extern "C" fn create<F: FileSystem>(
    idmap: *mut bindings::mnt_idmap,
    _dir: *mut bindings::inode,
    dentry: *mut bindings::dentry,
    mode: bindings::umode_t,
) -> i32 {
    // SAFETY: The VFS passes a mapping and a negative dentry of ours whose parent it has locked.
    from_result(|| {
        unsafe {
            make::<F>(
                idmap,
                dentry,
                NewObject::File(FileType::REGULAR.with_permissions(mode)),
            )
        }
        .map(|()| 0)
    })
}

unsafe extern "C" fn create_exclusive_or_not<F: FileSystem>(
    idmap: *mut bindings::mnt_idmap,
    dir: *mut bindings::inode,
    dentry: *mut bindings::dentry,
    mode: bindings::umode_t,
    _exclusive: bool,
) -> i32 {
    // SAFETY: As in `create`.
    unsafe { create::<F>(idmap, dir, dentry, mode) }
}

pub(super) unsafe extern "C" fn mkdir<F: FileSystem>(
    idmap: *mut bindings::mnt_idmap,
    _dir: *mut bindings::inode,
    dentry: *mut bindings::dentry,
    mode: bindings::umode_t,
) -> *mut bindings::dentry {
    // SAFETY: As in `create`.
    match unsafe {
        make::<F>(
            idmap,
            dentry,
            NewObject::Directory(FileType::DIRECTORY.with_permissions(mode)),
        )
    } {
        Ok(()) => core::ptr::null_mut(),
        Err(e) => e.to_ptr(),
    }
}

pub(super) unsafe extern "C" fn mknod<F: FileSystem>(
    idmap: *mut bindings::mnt_idmap,
    _dir: *mut bindings::inode,
    dentry: *mut bindings::dentry,
    mode: bindings::umode_t,
    dev: bindings::dev_t,
) -> i32 {
    // SAFETY: As in `create`.
    from_result(|| {
        unsafe {
            make::<F>(
                idmap,
                dentry,
                NewObject::Special(Mode::from_raw(mode), Dev(dev)),
            )
        }
        .map(|()| 0)
    })
}

pub(super) unsafe extern "C" fn symlink<F: FileSystem>(
    idmap: *mut bindings::mnt_idmap,
    _dir: *mut bindings::inode,
    dentry: *mut bindings::dentry,
    target: *const ffi::c_char,
) -> i32 {
    from_result(|| {
        // SAFETY: As in `create`; the target is a C string.
        unsafe {
            make::<F>(
                idmap,
                dentry,
                NewObject::Symlink(CStr::from_char_ptr(target)),
            )?
        };
        Ok(0)
    })
}

pub(super) unsafe extern "C" fn link<F: FileSystem>(
    old: *mut bindings::dentry,
    _dir: *mut bindings::inode,
    new: *mut bindings::dentry,
) -> i32 {
    // SAFETY: The VFS passes a positive dentry of ours whose inode it has locked, and a negative one whose
    // parent is locked.
    let (old, new) = unsafe { (VfsLocked::<F>::from_raw(old), Vacant::from_raw(new)) };
    from_result(|| F::Dir::link(old, new).map(|()| 0))
}

pub(super) unsafe extern "C" fn unlink<F: FileSystem>(
    _dir: *mut bindings::inode,
    dentry: *mut bindings::dentry,
) -> i32 {
    // SAFETY: The VFS passes a positive dentry of ours whose parent it has locked, and its inode.
    let (name, object) = unsafe { (Named::<F>::from_raw(dentry), VfsLocked::from_raw(dentry)) };
    from_result(|| F::Dir::remove(name, object, false).map(|()| 0))
}

pub(super) unsafe extern "C" fn rmdir<F: FileSystem>(
    _dir: *mut bindings::inode,
    dentry: *mut bindings::dentry,
) -> i32 {
    // SAFETY: As in `unlink`.
    let (name, object) = unsafe { (Named::<F>::from_raw(dentry), VfsLocked::from_raw(dentry)) };
    from_result(|| F::Dir::remove(name, object, true).map(|()| 0))
}

pub(super) unsafe extern "C" fn rename<F: FileSystem>(
    _idmap: *mut bindings::mnt_idmap,
    _old_dir: *mut bindings::inode,
    old: *mut bindings::dentry,
    _new_dir: *mut bindings::inode,
    new: *mut bindings::dentry,
    flags: u32,
) -> i32 {
    // SAFETY: The VFS passes two dentries of ours whose parents it has locked. Unless they are to be
    // exchanged, it has locked the inode of the second, if that has one.
    let (old, new, replaced) = unsafe {
        let replaces = flags & bindings::RENAME_EXCHANGE == 0 && !(*new).d_inode.is_null();
        (
            Named::<F>::from_raw(old),
            Named::from_raw(new),
            replaces.then(|| VfsLocked::from_raw(new)),
        )
    };
    from_result(|| F::Dir::rename(old, new, replaced, RenameFlags(flags)).map(|()| 0))
}

pub(super) unsafe extern "C" fn tmpfile<F: FileSystem>(
    idmap: *mut bindings::mnt_idmap,
    dir: *mut bindings::inode,
    file: *mut bindings::file,
    mode: bindings::umode_t,
) -> i32 {
    let request = Nameless {
        // SAFETY: The VFS passes a directory of ours.
        dir: unsafe { Inode::<F>::from_raw(dir) },
        file,
        // SAFETY: The VFS passes a mapping that lasts for the call.
        viewed: unsafe { Viewed::from_raw(idmap) },
        mode: Mode::from_raw(mode),
    };
    from_result(|| F::Dir::create_nameless(request).map(|()| 0))
}
