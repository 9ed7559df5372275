// SPDX-License-Identifier: GPL-2.0-only

//! File attributes as `chattr(1)` and `FS_IOC_FSGETXATTR` know them.
//!
//! It is not for what `stat(2)` shows of these flags: see [`stat`](crate::call::stat).
//!
//! C header: [`include/linux/fileattr.h`](srctree/include/linux/fileattr.h)
//!
//! # Examples
//!
//! ```ignore
//! let protection = FileAttr::with_flags(|attr| attr.fill(c, real).map(|()| attr.protection()))?;
//! ```

use crate::guard::write::WantWrite;
use crate::object::file::OwnedFile;
use crate::object::inode::Protection;
use crate::object::inode::RcuInode;
use crate::object::path::Path;
use crate::object::waited_for::about_to_ask;
use crate::object::Ours;
use crate::sys::bindings;
use crate::sys::cred::Override;
use crate::sys::errno::from_err_ptr;
use crate::sys::errno::to_result;
use core::ptr::NonNull;
use kernel::prelude::*;

/// File attributes that the VFS wants filled in.
///
/// # Invariants
///
/// It is what the VFS passed to `->fileattr_get()`, during that call.
pub struct FileAttr<'a>(&'a mut bindings::file_kattr);

impl FileAttr<'_> {
    /// # Safety
    ///
    /// See the type invariant.
    pub(crate) unsafe fn from_raw<'a>(fa: *mut bindings::file_kattr) -> FileAttr<'a> {
        // SAFETY: By the requirement nobody else uses it during the call.
        FileAttr(unsafe { &mut *fa })
    }

    /// Fills in what the filesystem of `path` says (wraps `vfs_fileattr_get()`), if the LSMs allow
    /// the ioctl that stands for it.
    ///
    /// # Errors
    ///
    /// `ENOTTY`: the filesystem has none. `EACCES`: an LSM, or the file can't be opened for reading.
    ///
    /// # Context
    ///
    /// May sleep.
    pub fn fill(&mut self, c: &Override<'_>, path: Path<'_>) -> Result {
        let command = if self.0.fsx_valid() {
            bindings::FS_IOC_FSGETXATTR
        } else {
            bindings::FS_IOC_GETFLAGS
        };
        Self::ask_lsms(c, path, command as u32)?;
        // SAFETY: The dentry is valid, the structure is ours during the call.
        match to_result(unsafe { bindings::vfs_fileattr_get(path.dentry().as_ptr(), self.0) }) {
            Err(e) if e == ENOIOCTLCMD => Err(ENOTTY),
            result => result,
        }
    }

    /// File attributes to be filled in or set, of no user.
    pub fn with_flags<R>(f: impl FnOnce(&mut FileAttr<'_>) -> R) -> R {
        let mut fa = bindings::file_kattr::default();
        fa.set_flags_valid(true);
        f(&mut FileAttr(&mut fa))
    }

    /// Gives the object at `path` these attributes (wraps `vfs_fileattr_set()`), if the LSMs allow
    /// the ioctl that stands for it.
    ///
    /// # Errors
    ///
    /// `ENOTTY`: the filesystem has none. `EPERM`, `EOPNOTSUPP`, …
    ///
    /// # Context
    ///
    /// May sleep; takes the lock of the inode.
    pub fn set_on(&mut self, c: &Override<'_>, writing: &WantWrite<'_>, path: Path<'_>) -> Result {
        writing.assert_covers(path.dentry());
        let fsx_valid = self.0.fsx_valid();
        let command = if fsx_valid {
            bindings::FS_IOC_FSSETXATTR
        } else {
            bindings::FS_IOC_SETFLAGS
        };
        Self::ask_lsms(c, path, command as u32)?;
        let mut set = || {
            // SAFETY: The dentry is valid, the structure is ours during the call.
            to_result(unsafe {
                bindings::vfs_fileattr_set(writing.idmap_ptr(), path.dentry().as_ptr(), self.0)
            })
        };
        // The quota project is among these, and not among the flags alone.
        if fsx_valid {
            c.within_quotas_of_caller(writing, path.dentry().inode(), set)
        } else {
            set()
        }
    }

    /// The protection that is asked for or there.
    pub fn protection(&self) -> Protection {
        Protection {
            append: self.0.flags & bindings::FS_APPEND_FL != 0,
            immutable: self.0.flags & bindings::FS_IMMUTABLE_FL != 0,
        }
    }

    /// Whether case is to be ignored in the names of the directory, or is (`FS_CASEFOLD_FL`).
    pub fn is_casefolded(&self) -> bool {
        self.0.flags & bindings::FS_CASEFOLD_FL != 0
    }

    /// Takes the protection out: it is kept elsewhere.
    pub fn clear_protection(&mut self) {
        self.0.flags &= !(bindings::FS_APPEND_FL | bindings::FS_IMMUTABLE_FL);
        self.0.fsx_xflags &= !(bindings::FS_XFLAG_APPEND | bindings::FS_XFLAG_IMMUTABLE);
    }

    /// Takes over those flags of `from` that go along with the object (sync and noatime); gives
    /// whether there are any.
    pub fn take_flags_of(&mut self, from: &FileAttr<'_>) -> bool {
        const FLAGS: u32 = bindings::FS_SYNC_FL | bindings::FS_NOATIME_FL;
        const XFLAGS: u32 = bindings::FS_XFLAG_SYNC | bindings::FS_XFLAG_NOATIME;
        self.0.flags = self.0.flags & !FLAGS | from.0.flags & FLAGS;
        self.0.fsx_xflags = self.0.fsx_xflags & !XFLAGS | from.0.fsx_xflags & XFLAGS;
        from.0.flags & FLAGS != 0
    }

    /// The LSM hook wants an open file, so one is opened for it and put away again.
    fn ask_lsms(c: &Override<'_>, path: Path<'_>, command: u32) -> Result {
        let object = path.dentry();
        if !object.is_regular() && !object.is_dir() {
            // Opening a fifo waits, opening a device does something.
            return Err(ENOTTY);
        }
        let flags = bindings::O_RDONLY | bindings::O_LARGEFILE;
        about_to_ask(path.dentry().super_block());
        // SAFETY: The path and the credentials in force are valid.
        unsafe {
            let file = from_err_ptr(bindings::dentry_open(
                &path.to_raw(),
                flags as i32,
                c.as_ptr(),
            ))?;
            let file = OwnedFile::from_raw(NonNull::new(file).ok_or(EIO)?);
            to_result(bindings::security_file_ioctl(file.as_ptr(), command, 0))
        }
    }

    /// Adds the immutable and append-only flags that `inode` has.
    pub fn show_protection_of<F: Ours>(&mut self, inode: &RcuInode<F>) {
        // SAFETY: A word that may be read at any time.
        let flags = unsafe { (&raw const (*inode.as_ptr()).i_flags).read_volatile() };
        if flags & bindings::S_APPEND != 0 {
            self.0.flags |= bindings::FS_APPEND_FL;
            self.0.fsx_xflags |= bindings::FS_XFLAG_APPEND;
        }
        if flags & bindings::S_IMMUTABLE != 0 {
            self.0.flags |= bindings::FS_IMMUTABLE_FL;
            self.0.fsx_xflags |= bindings::FS_XFLAG_IMMUTABLE;
        }
    }
}

/// How many extents the data of an open file is in, as far as its filesystem tells: XFS does (wraps
/// `vfs_fileattr_get()`).
///
/// # Context
///
/// May sleep.
pub(crate) fn extents_of(file: &OwnedFile) -> Option<u32> {
    let mut fa = bindings::file_kattr::default();
    fa.set_fsx_valid(true);
    about_to_ask(file.inode().super_block());
    // SAFETY: The dentry is valid, the structure is ours.
    to_result(unsafe { bindings::vfs_fileattr_get(file.dentry().as_ptr(), &mut fa) }).ok()?;
    // Those that don't tell leave the 0 there.
    Some(fa.fsx_nextents).filter(|extents| *extents > 0)
}

/// The quota project of a directory.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Project {
    /// Which one.
    pub id: u32,
    /// An object that is made in the directory belongs to the project, and nothing of another can be put there.
    pub is_inherited: bool,
}

impl Project {
    /// That of the directory at `path`; `None` if its filesystem has none, or does not tell (wraps
    /// `vfs_fileattr_get()`).
    ///
    /// # Context
    ///
    /// May sleep.
    pub fn of(path: Path<'_>) -> Option<Self> {
        let mut fa = bindings::file_kattr::default();
        fa.set_fsx_valid(true);
        about_to_ask(path.dentry().super_block());
        // SAFETY: The dentry is valid, the structure is ours.
        to_result(unsafe { bindings::vfs_fileattr_get(path.dentry().as_ptr(), &mut fa) }).ok()?;
        Some(Self {
            id: fa.fsx_projid,
            is_inherited: fa.fsx_xflags & bindings::FS_XFLAG_PROJINHERIT != 0,
        })
    }
}
