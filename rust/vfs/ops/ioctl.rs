// SPDX-License-Identifier: GPL-2.0-only

//! A filesystem's own `ioctl(2)` commands on an open directory or regular file: the argument, who asks, and what may be
//! done while nothing is locked.
//!
//! It is not for commands that every filesystem has (`FS_IOC_GETFLAGS` and the like): the VFS makes calls of
//! those that have an operation of their own.
//!
//! C headers: [`include/linux/fs.h`](srctree/include/linux/fs.h) (`->unlocked_ioctl()`),
//! [`include/linux/namei.h`](srctree/include/linux/namei.h),
//! [`include/linux/mount.h`](srctree/include/linux/mount.h)
//!
//! # Examples
//!
//! ```ignore
//! fn ioctl(file: &File<MyFs>, _dir: &Data, ioctl: Ioctl<'_, MyFs>) -> Result<u32> {
//!     match ioctl.command() {
//!         MY_COMMAND => my_command(ioctl.read::<16>()?),
//!         _ => Err(ENOTTY),
//!     }
//! }
//! ```

use crate::object::dentry::Positive;
use crate::object::file::File;
use crate::object::path::OwnedPath;
use crate::object::Ours;
use crate::sys::bindings;
use crate::sys::errno::to_result;
use kernel::prelude::*;
use kernel::sync::aref::ARef;
use kernel::types::NotThreadSafe;
use kernel::uaccess::UserPtr;
use kernel::uaccess::UserSlice;

/// A command that a task gives of an open directory or regular file.
///
/// # Invariants
///
/// The VFS is inside `->unlocked_ioctl()` for the file, called by the current task: it holds no lock of the
/// filesystem.
pub struct Ioctl<'a, F: Ours> {
    pub(super) file: &'a File<F>,
    command: u32,
    argument: usize,
    _task: NotThreadSafe,
}

impl<'a, F: Ours> Ioctl<'a, F> {
    /// # Safety
    ///
    /// See the type invariant.
    pub(crate) unsafe fn from_raw(file: &'a File<F>, command: u32, argument: usize) -> Self {
        // INVARIANT: By the requirement.
        Self {
            file,
            command,
            argument,
            _task: NotThreadSafe,
        }
    }

    /// Returns the number of the command.
    pub fn command(&self) -> u32 {
        self.command
    }

    /// Reads the argument, `N` bytes at the address that the task gave (wraps `copy_from_user()`).
    ///
    /// # Errors
    ///
    /// `EFAULT`: the task may not read there.
    ///
    /// # Context
    ///
    /// May sleep.
    pub fn read<const N: usize>(&self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        let user = UserSlice::new(UserPtr::from_addr(self.argument), N);
        user.reader().read_slice(&mut bytes)?;
        Ok(bytes)
    }

    /// Writes `bytes` into the argument, `offset` bytes from its beginning (wraps `copy_to_user()`).
    ///
    /// # Errors
    ///
    /// `EFAULT`: the task may not write there.
    ///
    /// # Context
    ///
    /// May sleep.
    pub fn write(&self, offset: usize, bytes: &[u8]) -> Result {
        let at = self.argument.wrapping_add(offset);
        let user = UserSlice::new(UserPtr::from_addr(at), bytes.len());
        user.writer().write_slice(bytes)
    }

    /// Reads `len` bytes at another address that the task gave in its argument (wraps `copy_from_user()`).
    ///
    /// # Errors
    ///
    /// `EFAULT`: the task may not read there. `ENOMEM`.
    ///
    /// # Context
    ///
    /// May sleep.
    pub fn read_at(&self, address: u64, len: usize) -> Result<KVec<u8>> {
        let mut bytes = KVec::new();
        let user = UserSlice::new(UserPtr::from_addr(address as usize), len);
        user.read_all(&mut bytes, GFP_KERNEL)?;
        Ok(bytes)
    }

    /// Writes `bytes` at another address that the task gave in its argument (wraps `copy_to_user()`).
    ///
    /// # Errors
    ///
    /// `EFAULT`: the task may not write there.
    ///
    /// # Context
    ///
    /// May sleep.
    pub fn write_at(&self, address: u64, bytes: &[u8]) -> Result {
        let user = UserSlice::new(UserPtr::from_addr(address as usize), bytes.len());
        user.writer().write_slice(bytes)
    }

    /// Resolves a name as the task sees it (wraps `kern_path()`).
    ///
    /// # Errors
    ///
    /// The errors are those of the walk: `ENOENT`, `ENOTDIR`, `EACCES`, `ELOOP`, `ENAMETOOLONG`, `ESTALE`, …
    ///
    /// # Context
    ///
    /// May sleep.
    pub fn resolve(&self, name: &CStr) -> Result<OwnedPath> {
        OwnedPath::resolve(name)
    }

    /// Returns whether the task has `CAP_SYS_ADMIN` in the user namespace of the super block (wraps `ns_capable()`).
    pub fn may_administer(&self) -> bool {
        let sb = self.file.inode().super_block().as_ptr();
        // SAFETY: The super block of an open file is valid, and keeps its user namespace.
        unsafe { bindings::ns_capable((*sb).s_user_ns, bindings::CAP_SYS_ADMIN as i32) }
    }

    /// Begins to write by the mount that it was opened through (wraps `mnt_want_write_file()`).
    ///
    /// # Errors
    ///
    /// `EROFS`: the mount or the super block is read-only.
    ///
    /// # Context
    ///
    /// Sleeps while the super block is frozen.
    pub fn want_write(&self) -> Result<FileWrite<'a, F>> {
        // SAFETY: The file is open.
        to_result(unsafe { bindings::mnt_want_write_file(self.file.as_ptr()) })?;
        // INVARIANT: It succeeded.
        Ok(FileWrite {
            file: self.file,
            _task: NotThreadSafe,
        })
    }

    /// Looks up a name in a directory of the filesystem, as a path walk would, but for permissions, which are not
    /// asked (wraps `lookup_noperm_unlocked()`). A name that is not there is `None`.
    ///
    /// # Errors
    ///
    /// `ENOTDIR`; `ENOENT`: the directory was removed. `EACCES`: no name can be spelled so. Those of `->lookup()`.
    ///
    /// # Context
    ///
    /// May sleep. Takes the lock of `dir` (`i_rwsem`), shared, if the name is not cached: a task in an ioctl holds no
    /// lock of the VFS, and a guard of this crate that is for our own inodes exists only where the VFS took the
    /// lock.
    pub fn lookup(&self, dir: &Positive<F>, name: &[u8]) -> Result<Option<ARef<Positive<F>>>> {
        dir.child(name)
    }
}

/// The right to write by the mount that a file was opened through, as long as this lives.
///
/// # Invariants
///
/// `mnt_want_write_file()` succeeded for the file in this task, and was not undone.
#[must_use = "the right ends when this is dropped"]
pub struct FileWrite<'a, F: Ours> {
    file: &'a File<F>,
    _task: NotThreadSafe,
}

impl<F: Ours> Drop for FileWrite<'_, F> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant; the file is borrowed, so it is open.
        unsafe { bindings::mnt_drop_write_file(self.file.as_ptr()) };
    }
}
