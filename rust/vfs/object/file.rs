// SPDX-License-Identifier: GPL-2.0-only

//! Open files: those users have open on our filesystem, and directories we open below.
//!
//! What a filesystem keeps per open file is a type as small as a pointer, and it lives *in*
//! `file->private_data`: opening allocates nothing of ours.
//!
//! It is not for I/O on behalf of a user: that goes through a backing file ([`backing`](crate::call::backing)).
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)
//!
//! # Examples
//!
//! ```ignore
//! let file = OwnedFile::open_data(c, path, false)?;
//! file.sync(c)?;
//! ```

use crate::object::dentry::Positive;
use crate::object::inode::Inode;
use crate::object::inode::Rights;
use crate::object::path::Path;
use crate::object::Foreign;
use crate::object::Ours;
use crate::object::Owner;
use crate::sys::bindings;
use crate::sys::cred::Override;
use crate::sys::errno::from_err_ptr;
use crate::sys::errno::to_position;
use crate::sys::errno::to_result;
use core::marker::PhantomData;
use core::ops::Deref;
use core::ptr::NonNull;
use core::sync::atomic::AtomicPtr;
use core::sync::atomic::Ordering;
use kernel::ffi;
use kernel::prelude::*;
use kernel::types::Opaque;

/// An open file.
///
/// # Invariants
///
/// A reference to one implies that it is open, or that the VFS is inside `->open()` for it: it has its
/// inode and its path, and keeps both. (In `->tmpfile()` it has neither yet: [`Opening`].)
#[repr(transparent)]
pub struct File<F: Owner>(Opaque<bindings::file>, PhantomData<F>);

// SAFETY: What is read and written through a shared reference is constant while it is open, or a word
// that is accessed as a whole (flags, position). The rest of the position, what filesystems keep with it
// for directories, takes an exclusive borrow (`OwnedFile`).
unsafe impl<F: Owner> Send for File<F> {}

// SAFETY: As above.
unsafe impl<F: Owner> Sync for File<F> {}

impl<F: Owner> File<F> {
    /// # Safety
    ///
    /// `ptr` must be an open file of a filesystem `F` for as long as `'a`.
    #[inline]
    pub(crate) unsafe fn from_raw<'a>(ptr: *const bindings::file) -> &'a Self {
        // SAFETY: By the requirement; the type is transparent over it.
        unsafe { &*ptr.cast() }
    }

    #[inline]
    pub(crate) fn as_ptr(&self) -> *mut bindings::file {
        self.0.get()
    }

    /// The `O_*` flags in force.
    #[inline]
    pub fn flags(&self) -> u32 {
        // SAFETY: A word that may be read at any time.
        unsafe { (&raw const (*self.as_ptr()).f_flags).read_volatile() }
    }

    /// The inode.
    #[inline]
    pub fn inode(&self) -> &Inode<F> {
        // SAFETY: By the type invariant it is there, constant while the file is open, and counted by the
        // dentry.
        unsafe { Inode::from_raw((*self.as_ptr()).f_inode) }
    }

    /// The dentry it was opened by.
    #[inline]
    pub fn dentry(&self) -> &Positive<F> {
        // SAFETY: By the type invariant it is there, positive, constant and kept while the file is open.
        unsafe { Positive::from_raw((*self.as_ptr()).__bindgen_anon_1.f_path.dentry) }
    }

    /// The position in bytes (or, for directories, in whatever its filesystem counts).
    #[inline]
    pub fn position(&self) -> i64 {
        // SAFETY: A word that may be read at any time.
        unsafe { (&raw const (*self.as_ptr()).f_pos).read_volatile() }
    }

    #[inline]
    pub(crate) fn set_position(&self, pos: i64) {
        // SAFETY: A word that may be written at any time; whoever cares holds `f_pos_lock`.
        unsafe { (&raw mut (*self.as_ptr()).f_pos).write_volatile(pos) };
    }
}

impl<F: Ours> File<F> {
    /// The place of the private data of the open file.
    #[inline]
    pub(crate) fn data_slot<D>(file: *mut bindings::file) -> *mut D {
        const {
            assert!(size_of::<D>() <= size_of::<*mut ffi::c_void>());
            assert!(align_of::<D>() <= align_of::<*mut ffi::c_void>());
        }
        // SAFETY: The address of a field of an open file.
        unsafe { (&raw mut (*file).private_data).cast() }
    }

    /// Whether it is being opened to be written to, or to be truncated.
    pub fn opens_for_writing(&self) -> bool {
        self.truncates() || self.flags() & bindings::O_ACCMODE != bindings::O_RDONLY
    }

    /// Whether it is being opened to be truncated.
    pub fn truncates(&self) -> bool {
        self.flags() & bindings::O_TRUNC != 0
    }
}

/// A file that is to be opened, and has nothing but its flags yet: neither an inode nor a name.
///
/// # Invariants
///
/// `file` is what the VFS passed to `->tmpfile()`, during that call.
pub struct Opening<'a, F: Ours> {
    file: *mut bindings::file,
    _call: PhantomData<&'a F>,
}

impl<F: Ours> Opening<'_, F> {
    /// # Safety
    ///
    /// See the type invariant.
    pub(crate) unsafe fn from_raw(file: *mut bindings::file) -> Self {
        Self {
            file,
            _call: PhantomData,
        }
    }

    #[inline]
    pub(crate) fn as_ptr(&self) -> *mut bindings::file {
        self.file
    }

    /// The `O_*` flags it is to be opened with.
    #[inline]
    pub fn flags(&self) -> u32 {
        // SAFETY: By the type invariant; a word that may be read at any time.
        unsafe { (&raw const (*self.file).f_flags).read_volatile() }
    }
}

/// Whence [`File::seek`] counts, or what it looks for: `SEEK_*`, and what else a user says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Whence(pub(crate) i32);

impl Whence {
    /// From the beginning.
    pub const SET: Self = Self(bindings::SEEK_SET as i32);
    /// From the current position.
    pub const CUR: Self = Self(bindings::SEEK_CUR as i32);
    /// The first data.
    pub const DATA: Self = Self(bindings::SEEK_DATA as i32);
    /// The first hole.
    pub const HOLE: Self = Self(bindings::SEEK_HOLE as i32);
}

/// `vfs_llseek()`
///
/// # Safety
///
/// `file` must be open; if it is a directory, nobody else may read or move it.
unsafe fn llseek(file: *mut bindings::file, offset: i64, whence: Whence) -> Result<i64> {
    // SAFETY: By the requirement.
    to_position(unsafe { bindings::vfs_llseek(file, offset, whence.0) })
}

impl File<Foreign> {
    /// Moves the position of a file that is no directory (wraps `vfs_llseek()`) and gives the new one, which
    /// is whatever the filesystem says: before `offset`, beyond the end, or below zero.
    ///
    /// # Errors
    ///
    /// `EINVAL`, `EOVERFLOW`; `ENXIO` for data or holes beyond the end. `EISDIR`: a directory is moved
    /// by [`OwnedFile::seek_dir`].
    pub fn seek(&self, offset: i64, whence: Whence) -> Result<i64> {
        if self.inode().is_dir() {
            return Err(EISDIR);
        }
        // SAFETY: The file is open, and no directory.
        unsafe { llseek(self.as_ptr(), offset, whence) }
    }

    /// Does the same as [`OwnedFile::sync`], for a range of bytes, and perhaps the data only (wraps
    /// `vfs_fsync_range()`).
    ///
    /// # Errors
    ///
    /// The errors are those of [`OwnedFile::sync`].
    pub fn sync_range(&self, _c: &Override<'_>, range: SyncRange) -> Result {
        // SAFETY: The file is open.
        to_result(unsafe {
            bindings::vfs_fsync_range(
                self.as_ptr(),
                range.start,
                range.end,
                i32::from(range.data_only),
            )
        })
    }

    /// Puts it where `file` is: before a request that starts at the user's position.
    pub fn take_position_of<F: Ours>(&self, file: &File<F>) {
        self.set_position(file.position());
    }
}

/// The request of `fsync(2)` and its like.
#[derive(Clone, Copy)]
pub struct SyncRange {
    /// The first byte.
    pub start: i64,
    /// The last byte.
    pub end: i64,
    /// Times and the like need not be written.
    pub data_only: bool,
}

/// Gives the access that `flags` ask for.
#[inline]
pub(crate) fn access_of(flags: u32) -> Rights {
    let access = match flags & bindings::O_ACCMODE {
        bindings::O_RDONLY => Rights::READ,
        bindings::O_WRONLY => Rights::WRITE,
        _ => Rights::READ.union(Rights::WRITE),
    };
    if flags & bindings::O_APPEND != 0 {
        access.union(Rights::APPEND)
    } else {
        access
    }
}

/// A file of a filesystem below that we opened.
///
/// # Invariants
///
/// An open file with a reference that is ours.
pub struct OwnedFile(NonNull<bindings::file>);

// SAFETY: An open file is not bound to a task.
unsafe impl Send for OwnedFile {}

// SAFETY: See `File`.
unsafe impl Sync for OwnedFile {}

impl Deref for OwnedFile {
    type Target = File<Foreign>;

    #[inline]
    fn deref(&self) -> &File<Foreign> {
        // SAFETY: By the type invariant.
        unsafe { File::from_raw(self.0.as_ptr()) }
    }
}

impl OwnedFile {
    /// # Safety
    ///
    /// See the type invariant.
    #[inline]
    pub(crate) unsafe fn from_raw(file: NonNull<bindings::file>) -> Self {
        Self(file)
    }

    /// Opens the directory at `path` for reading, without touching its access time where we may
    /// (wraps `dentry_open()`, after `inode_permission()`).
    ///
    /// # Errors
    ///
    /// `EACCES`: the credentials in force may not read it. What the filesystem gives: `EIO`, `ENFILE`, …
    ///
    /// # Context
    ///
    /// May sleep.
    pub fn open_dir(c: &Override<'_>, path: Path<'_>) -> Result<Self> {
        let inode = path.dentry().inode();
        let idmap = path.mount().idmap();
        inode.permits(c, idmap, Rights::READ.union(Rights::OPEN))?;
        let mut flags = bindings::O_RDONLY | bindings::O_LARGEFILE | bindings::O_DIRECTORY;
        if inode.owned(c, idmap) {
            flags |= bindings::O_NOATIME;
        }
        // SAFETY: The path and the credentials in force are valid; the new file takes references.
        let file = from_err_ptr(unsafe {
            bindings::dentry_open(&path.to_raw(), flags as i32, c.as_ptr())
        })?;
        // INVARIANT: The reference is ours.
        Ok(Self(NonNull::new(file).ok_or(EIO)?))
    }

    /// Opens the regular file at `path` to read (`write` false) or to write. What is written so does not count as a
    /// change of the file: its times stay (`FMODE_NOCMTIME`).
    ///
    /// # Errors
    ///
    /// `EACCES`: the credentials in force may not. What the filesystem gives.
    ///
    /// # Context
    ///
    /// May sleep.
    pub fn open_data(c: &Override<'_>, path: Path<'_>, write: bool) -> Result<Self> {
        let inode = path.dentry().inode();
        let idmap = path.mount().idmap();
        let (access, mut flags) = if write {
            (Rights::WRITE, bindings::O_WRONLY)
        } else {
            (Rights::READ, bindings::O_RDONLY)
        };
        inode.permits(c, idmap, access.union(Rights::OPEN))?;
        flags |= bindings::O_LARGEFILE;
        if inode.owned(c, idmap) {
            flags |= bindings::O_NOATIME;
        }
        // SAFETY: The path and the credentials in force are valid.
        let file = from_err_ptr(unsafe {
            bindings::dentry_open(&path.to_raw(), flags as i32, c.as_ptr())
        })?;
        let file = NonNull::new(file).ok_or(EIO)?;
        if write {
            // SAFETY: It was just opened: nobody else has it.
            unsafe { (*file.as_ptr()).f_mode |= bindings::FMODE_NOCMTIME };
        }
        // SAFETY: The reference is ours.
        Ok(unsafe { Self::from_raw(file) })
    }

    /// Waits until its data, and what is needed to find it, is on disk (wraps `vfs_fsync()`).
    ///
    /// # Errors
    ///
    /// `EIO`, `ENOSPC`, …: what could not be written.
    pub fn sync(&self, _c: &Override<'_>) -> Result {
        // SAFETY: The file is open.
        to_result(unsafe { bindings::vfs_fsync(self.as_ptr(), 0) })
    }

    /// Moves the position of a directory (wraps `vfs_llseek()`) and gives the new one. Filesystems keep
    /// state with it that they don't lock, so that takes the open directory exclusively, as reading it
    /// does.
    ///
    /// # Errors
    ///
    /// `EINVAL`, `EOVERFLOW`; what the filesystem gives.
    ///
    /// # Context
    ///
    /// May sleep.
    pub fn seek_dir(&mut self, offset: i64, whence: Whence) -> Result<i64> {
        // SAFETY: The file is open. It is borrowed exclusively, and through a shared reference to it
        // directories are neither read nor moved.
        unsafe { llseek(self.as_ptr(), offset, whence) }
    }
}

/// A file that is opened when it is first needed, and kept.
#[derive(Default)]
pub struct LateFile(AtomicPtr<bindings::file>);

impl LateFile {
    /// The file, opened by `open` if nobody has yet.
    ///
    /// # Errors
    ///
    /// The errors are those of `open`.
    pub fn get_or_open(&self, open: impl FnOnce() -> Result<OwnedFile>) -> Result<&File<Foreign>> {
        let mut file = self.0.load(Ordering::Acquire);
        if file.is_null() {
            let new = open()?;
            let exchanged = self.0.compare_exchange(
                core::ptr::null_mut(),
                new.as_ptr(),
                Ordering::AcqRel,
                Ordering::Acquire,
            );
            file = match exchanged {
                Ok(_) => {
                    let file = new.as_ptr();
                    core::mem::forget(new);
                    file
                }
                // Another task has opened it meanwhile, as there is no lock; ours is closed again.
                Err(other) => other,
            };
        }
        // SAFETY: What is in the cell is an open file, and stays there until `self` is dropped.
        Ok(unsafe { File::from_raw(file) })
    }
}

impl Drop for LateFile {
    fn drop(&mut self) {
        if let Some(file) = NonNull::new(*self.0.get_mut()) {
            // SAFETY: The reference was put here, and is ours.
            drop(unsafe { OwnedFile::from_raw(file) });
        }
    }
}

impl OwnedFile {
    /// Closes it before this returns, if nobody else has it (wraps `__fput_sync()`), where giving it back leaves that to
    /// the end of the system call, or to a kernel thread.
    ///
    /// # Context
    ///
    /// Sleeps. Nothing may be locked that closing a file of its filesystem could want, as what it was open on may end
    /// with it: it is for `->release()`, which the VFS calls with nothing locked.
    pub(crate) fn close_now(self) {
        let file = self.0.as_ptr();
        core::mem::forget(self);
        // SAFETY: By the type invariant the reference is ours, and it is given back here.
        unsafe { bindings::__fput_sync(file) };
    }
}

impl Drop for OwnedFile {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the reference is ours.
        unsafe { bindings::fput(self.0.as_ptr()) };
    }
}
