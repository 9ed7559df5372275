// SPDX-License-Identifier: GPL-2.0-only

//! What the VFS asks of regular files.

use super::length;
use super::position;
use crate::call::backing::Advice;
use crate::call::backing::LockOwner;
use crate::call::backing::ReadRequest;
use crate::call::backing::SpliceRead;
use crate::call::backing::SpliceWrite;
use crate::call::backing::WriteRequest;
use crate::call::fiemap::Extents;
use crate::call::mapping::MapRequest;
use crate::call::range::AllocateMode;
use crate::call::range::Transfer;
use crate::call::range::TransferRange;
use crate::object::file::File;
use crate::object::file::SyncRange;
use crate::object::file::Whence;
use crate::object::inode::Inode;
use crate::ops::ioctl::Ioctl;
use crate::ops::FileOps;
use crate::ops::FileSystem;
use crate::sys::bindings;
use crate::sys::errno::to_errno;
use core::marker::PhantomData;
use kernel::error::from_result;
use kernel::prelude::*;

pub(super) unsafe extern "C" fn file_open<F: FileSystem>(
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

pub(super) unsafe extern "C" fn file_release<F: FileSystem>(
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

pub(super) unsafe extern "C" fn file_llseek<F: FileSystem>(
    file: *mut bindings::file,
    offset: i64,
    whence: i32,
) -> i64 {
    // SAFETY: The VFS passes an open file of ours.
    let (file, data) = unsafe { opened::<F>(file) };
    position(
        F::Regular::seek(file, data, offset, Whence(whence)).inspect(|&pos| file.set_position(pos)),
    )
}

pub(super) unsafe extern "C" fn file_read_iter<F: FileSystem>(
    iocb: *mut bindings::kiocb,
    iter: *mut bindings::iov_iter,
) -> isize {
    // SAFETY: The VFS passes a request for an open file of ours.
    let (file, data, read) = unsafe {
        let (file, data) = opened::<F>((*iocb).ki_filp);
        (file, data, ReadRequest::from_raw(iocb, iter))
    };
    length(F::Regular::read(file, data, read))
}

pub(super) unsafe extern "C" fn file_splice_read<F: FileSystem>(
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

pub(super) unsafe extern "C" fn file_mmap<F: FileSystem>(
    file: *mut bindings::file,
    vma: *mut bindings::vm_area_struct,
) -> i32 {
    // SAFETY: The VFS passes an open file of ours, and an area that is being mapped.
    let ((file, data), map) = unsafe { (opened::<F>(file), MapRequest::from_raw(vma)) };
    from_result(|| F::Regular::mmap(file, data, map).map(|()| 0))
}

pub(super) unsafe extern "C" fn file_fsync<F: FileSystem>(
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

pub(super) unsafe extern "C" fn file_write_iter<F: FileSystem>(
    iocb: *mut bindings::kiocb,
    iter: *mut bindings::iov_iter,
) -> isize {
    // SAFETY: The VFS passes a request for an open file of ours.
    let (file, data, write) = unsafe {
        let (file, data) = opened::<F>((*iocb).ki_filp);
        (file, data, WriteRequest::from_raw(iocb, iter))
    };
    length(F::Regular::write(file, data, write))
}

pub(super) unsafe extern "C" fn file_splice_write<F: FileSystem>(
    pipe: *mut bindings::pipe_inode_info,
    file: *mut bindings::file,
    position: *mut i64,
    len: usize,
    flags: u32,
) -> isize {
    let splice = SpliceWrite {
        _file: PhantomData,
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

pub(super) unsafe extern "C" fn file_fallocate<F: FileSystem>(
    file: *mut bindings::file,
    mode: i32,
    offset: i64,
    len: i64,
) -> isize {
    // SAFETY: The VFS passes an open file of ours.
    let (file, data) = unsafe { opened::<F>(file) };
    from_result(|| {
        F::Regular::allocate(file, data, AllocateMode(mode), offset, len).map(|()| 0isize)
    })
}

/// # Safety
///
/// Both files must be open regular files of ours.
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

pub(super) unsafe extern "C" fn file_copy_range<F: FileSystem>(
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
    // SAFETY: The VFS passes two open regular files, and has compared the operations: the other one has
    // this very function too, and so is of `F`.
    position(unsafe { transfer::<F>(Transfer::Copy, from, to, range) }) as isize
}

pub(super) unsafe extern "C" fn file_remap_range<F: FileSystem>(
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
    // SAFETY: The VFS passes two open regular files, and has compared the super blocks: both are of the one
    // that belongs to `F`.
    position(unsafe { transfer::<F>(how, from, to, range) })
}

pub(super) unsafe extern "C" fn file_ioctl<F: FileSystem>(
    file: *mut bindings::file,
    command: u32,
    argument: usize,
) -> isize {
    // SAFETY: The VFS passes an open file of ours.
    let (file, data) = unsafe { opened::<F>(file) };
    // SAFETY: The VFS is inside `->unlocked_ioctl()`, and holds no lock then.
    let ioctl = unsafe { Ioctl::from_raw(file, command, argument) };
    from_result(|| F::Regular::ioctl(file, data, ioctl).map(|value| value as isize))
}

pub(super) unsafe extern "C" fn file_fadvise<F: FileSystem>(
    file: *mut bindings::file,
    offset: i64,
    len: i64,
    advice: i32,
) -> i32 {
    // SAFETY: The VFS passes an open file of ours.
    let (file, data) = unsafe { opened::<F>(file) };
    from_result(|| F::Regular::advise(file, data, offset, len, Advice(advice)).map(|()| 0))
}

pub(super) unsafe extern "C" fn file_flush<F: FileSystem>(
    file: *mut bindings::file,
    owner: bindings::fl_owner_t,
) -> i32 {
    // SAFETY: The VFS passes an open file of ours.
    let (file, data) = unsafe { opened::<F>(file) };
    from_result(|| F::Regular::flush(file, data, LockOwner(owner)).map(|()| 0))
}

pub(super) unsafe extern "C" fn fiemap<F: FileSystem>(
    inode: *mut bindings::inode,
    info: *mut kernel::bindings::fiemap_extent_info,
    start: u64,
    len: u64,
) -> i32 {
    // SAFETY: The VFS passes an inode of ours and a question that is ours during the call.
    let (inode, info) = unsafe { (Inode::<F>::from_raw(inode), &mut *info.cast()) };
    from_result(|| F::Regular::fiemap(inode, Extents { info, start, len }).map(|()| 0))
}
