// SPDX-License-Identifier: GPL-2.0-only

//! A file that a command on another one of the same filesystem names by its descriptor: the source of a clone.
//!
//! It is not for `FICLONE`, whose files the VFS finds and checks
//! ([`FileOps::transfer`](crate::ops::FileOps::transfer)).
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h) (`vfs_clone_file_range()`)
//!
//! # Examples
//!
//! ```ignore
//! let source = ioctl.clone_source(fd, range)?;
//! clone(source.file(), source.data(), file, data, range)
//! ```

use crate::call::range::TransferRange;
use crate::object::file::File;
use crate::object::inode::Inode;
use crate::ops::ioctl::FileWrite;
use crate::ops::ioctl::Ioctl;
use crate::ops::FileOps;
use crate::ops::FileSystem;
use crate::sys::bindings;
use crate::sys::errno::to_result;
use core::ptr::NonNull;
use kernel::prelude::*;

impl<'a, F: FileSystem> Ioctl<'a, F> {
    /// Returns the file that the task has open as `fd`, as the source of a clone into the file of the command (does what
    /// `vfs_clone_file_range()` does before it calls `->remap_file_range()`).
    ///
    /// # Errors
    ///
    /// `EBADF`: there is no such file, it was not opened for reading, or the other was not for writing, or is appended to.
    /// `EXDEV`: it is of another filesystem. `EISDIR`, `EINVAL`: it is no regular file, or the range can't be. `EROFS`.
    /// What security modules answer.
    ///
    /// # Context
    ///
    /// Sleeps while the super block is frozen.
    pub fn clone_source(&self, fd: i32, range: TransferRange) -> Result<CloneSource<'a, F>> {
        let fd = u32::try_from(fd).map_err(|_| EBADF)?;
        // SAFETY: The function may be called by any task.
        let from = NonNull::new(unsafe { bindings::fget(fd) }).ok_or(EBADF)?;
        let to = self.file.as_ptr();
        // SAFETY: Both files are open; what is read of them is constant, but for the flags, which are a word. The
        // reference that was just got is given to the `CloneSource`, or given back.
        unsafe {
            let counted = CountedFile(from);
            let from = from.as_ptr();
            if (*(*from).f_inode).i_sb != (*(*to).f_inode).i_sb {
                return Err(EXDEV);
            }
            if Inode::<F>::from_raw((*from).f_inode).is_dir() {
                return Err(EISDIR);
            }
            if (*from).f_op != (*to).f_op {
                return Err(EINVAL);
            }
            if (*from).f_mode & bindings::FMODE_READ == 0
                || (*to).f_mode & bindings::FMODE_WRITE == 0
                || self.file.flags() & bindings::O_APPEND != 0
            {
                return Err(EBADF);
            }
            to_result(bindings::remap_verify_area(
                from, range.from, range.len, false,
            ))?;
            to_result(bindings::remap_verify_area(to, range.to, range.len, true))?;
            // INVARIANT: The operations of the two are one table, so it is a regular file of `F`, as the other is.
            Ok(CloneSource {
                from: counted,
                to: self.file,
                _writing: self.want_write()?,
            })
        }
    }
}

/// A reference to an open file.
///
/// # Invariants
///
/// The reference is ours.
struct CountedFile(NonNull<bindings::file>);

impl Drop for CountedFile {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::fput(self.0.as_ptr()) };
    }
}

/// The source of a clone that a task asks for by a command on the destination; the right to write to that as well.
///
/// # Invariants
///
/// `from` was opened by `file_open::<F>`.
pub struct CloneSource<'a, F: FileSystem> {
    // It is closed when the right to write has ended, which closing must not wait for.
    _writing: FileWrite<'a, F>,
    from: CountedFile,
    to: &'a File<F>,
}

impl<F: FileSystem> CloneSource<'_, F> {
    /// The file.
    pub fn file(&self) -> &File<F> {
        // SAFETY: By the type invariant it is open.
        unsafe { File::from_raw(self.from.0.as_ptr()) }
    }

    /// What is kept with it.
    pub fn data(&self) -> &<F::Regular as FileOps<F>>::Data {
        // SAFETY: By the type invariant it has data there, as long as it is open.
        unsafe { &*File::<F>::data_slot(self.from.0.as_ptr()) }
    }

    /// Tells those who watch the two that something was cloned (wraps `fsnotify_access()` and `fsnotify_modify()`).
    pub fn notify(&self) {
        // SAFETY: Both are open.
        unsafe { bindings::vfs_helper_notify_cloned(self.from.0.as_ptr(), self.to.as_ptr()) };
    }
}
