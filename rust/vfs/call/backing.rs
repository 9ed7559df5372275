// SPDX-License-Identifier: GPL-2.0-only

//! Backing files: the real file behind one that a user has open, and I/O passed down to it.
//!
//! It is not for files that a filesystem reads for itself: those are an
//! [`OwnedFile`](crate::object::file::OwnedFile), which no user's path is noted in.
//!
//! C header: [`include/linux/backing-file.h`](srctree/include/linux/backing-file.h)
//!
//! # Examples
//!
//! ```ignore
//! let real = mounter.override_current(|c| BackingFile::open(c, file, path))?;
//! read.forward(&real, &mounter)
//! ```

use crate::guard::lock::Exclusive;
use crate::guard::lock::Shared;
use crate::object::file::access_of;
use crate::object::file::File;
use crate::object::file::Opening;
use crate::object::file::OwnedFile;
use crate::object::inode::RcuInode;
use crate::object::inode::Rights;
use crate::object::path::Path;
use crate::object::Foreign;
use crate::object::Ours;
use crate::sys::bindings;
use crate::sys::cred::Override;
use crate::sys::errno::from_err_ptr;
use crate::sys::errno::to_length;
use crate::sys::errno::to_result;
use crate::sys::mode::FileType;
use crate::sys::mode::Mode;
use core::marker::PhantomData;
use core::ops::Deref;
use core::ops::Range;
use core::ptr::NonNull;
use kernel::cred::Credential;
use kernel::prelude::*;

/// Flags of the user's file that may change while it is open, and that the real file follows.
const FOLLOWED: u32 =
    bindings::O_APPEND | bindings::O_NONBLOCK | bindings::O_NDELAY | bindings::O_DIRECT;

/// Flags that say how the user's file is to be opened; that has been done when the real one is.
const FOR_OPENING: u32 =
    bindings::O_CREAT | bindings::O_EXCL | bindings::O_NOCTTY | bindings::O_TRUNC;

/// Whether `inode` has this `S_*` flag.
#[inline]
pub(crate) fn has_flag(inode: &RcuInode<Foreign>, flag: u32) -> bool {
    // SAFETY: A word that may be read at any time.
    unsafe { (&raw const (*inode.as_ptr()).i_flags).read_volatile() & flag != 0 }
}

/// Checks that a real file may be opened so. `open(2)` asked that of the user's inode, which need not show what the
/// real one has by now: another task may have protected that (`FS_IOC_SETFLAGS`) where it is, which no lock of ours
/// keeps it from.
///
/// # Errors
///
/// `EPERM`: writing to what is immutable, or other than at the end of what is append-only.
#[inline]
fn check_protection(inode: &RcuInode<Foreign>, flags: u32) -> Result {
    if flags & bindings::O_ACCMODE == bindings::O_RDONLY {
        return Ok(());
    }
    let appends = flags & bindings::O_APPEND != 0;
    if has_flag(inode, bindings::S_IMMUTABLE) || !appends && has_flag(inode, bindings::S_APPEND) {
        return Err(EPERM);
    }
    Ok(())
}

/// The real file behind one that a user has open.
///
/// # Invariants
///
/// Made by `backing_file_open()`, so it carries the user's path beside its own.
pub struct BackingFile(OwnedFile);

/// A real file that is open behind one that a user has open: borrowed.
///
/// # Invariants
///
/// The same holds as for [`BackingFile`].
#[repr(transparent)]
pub struct Backing(File<Foreign>);

impl Backing {
    /// # Safety
    ///
    /// `file` must be what `backing_file_open()` or `backing_tmpfile_open()` gave, and stay open for `'a`.
    #[inline]
    pub(crate) unsafe fn from_raw<'a>(file: *mut bindings::file) -> &'a Self {
        // INVARIANT: By the requirement. SAFETY: By the requirement; the type is transparent over it.
        unsafe { &*file.cast() }
    }
}

impl Deref for Backing {
    type Target = File<Foreign>;

    #[inline]
    fn deref(&self) -> &File<Foreign> {
        &self.0
    }
}

impl Deref for BackingFile {
    type Target = OwnedFile;

    #[inline]
    fn deref(&self) -> &OwnedFile {
        &self.0
    }
}

impl BackingFile {
    /// Opens what `path` names as the real file of `user`, with its flags (wraps `backing_file_open()`, after
    /// `inode_permission()`). Flags that are for opening alone (`O_CREAT`, `O_TRUNC`, …) are not passed on.
    ///
    /// # Errors
    ///
    /// `EACCES`: the credentials in force may not. `EPERM`: the real file is immutable or append-only. What the
    /// filesystem gives: `EIO`, `ENFILE`, …
    ///
    /// # Context
    ///
    /// May sleep. `user` is being opened, or is open.
    #[inline]
    pub fn open<F: Ours>(c: &Override<'_>, user: &File<F>, path: Path<'_>) -> Result<Self> {
        let inode = path.dentry().inode();
        let idmap = path.mount().idmap();
        let mut flags = user.flags() & !(FOR_OPENING | bindings::O_NOATIME);
        inode.permits(c, idmap, access_of(flags).union(Rights::OPEN))?;
        check_protection(inode, flags)?;
        // Through the mount of a lower layer reading changes no access time anyway (`MNT_NOATIME`, which nobody takes away:
        // the mount is ours), so that the flag is nobody's right there, and only saves each read the question.
        if path.mount().leaves_access_times() || inode.owned(c, idmap) {
            flags |= bindings::O_NOATIME;
        }
        // SAFETY: All are valid; the new file takes its own references.
        let file = from_err_ptr(unsafe {
            bindings::backing_file_open(user.as_ptr(), flags as i32, &path.to_raw(), c.as_ptr())
        })?;
        // A user's file that makes no events, such as the one that fanotify opens for whoever is to answer it, makes
        // none by its real one: that listener would have to answer itself.
        // SAFETY: Both files are valid, and nobody else has the new one yet. The mode of the other is constant.
        unsafe {
            const MASK: u32 = bindings::FMODE_FSNOTIFY_MASK;
            if (*user.as_ptr()).f_mode & MASK == bindings::FMODE_NONOTIFY {
                (*file).f_mode = (*file).f_mode & !MASK | bindings::FMODE_NONOTIFY;
            }
        }
        // SAFETY: The reference is ours. INVARIANT: It is a backing file.
        Ok(Self(unsafe {
            OwnedFile::from_raw(NonNull::new(file).ok_or(EIO)?)
        }))
    }

    /// Makes a file without a name in the directory at `dir`, as the real file of `user` (wraps
    /// `backing_tmpfile_open()`).
    ///
    /// # Errors
    ///
    /// `EOPNOTSUPP`: the filesystem can't. `ENOSPC`, `EDQUOT`, …
    ///
    /// # Context
    ///
    /// May sleep.
    pub fn make_nameless<F: Ours>(
        c: &Override<'_>,
        user: &Opening<'_, F>,
        dir: Path<'_>,
        mode: Mode,
    ) -> Result<Self> {
        // A filesystem makes whatever the mode says.
        let mode = FileType::REGULAR.with_permissions(mode.permissions());
        // The owner is whoever creates it, so access times may be left alone.
        let flags = user.flags() | bindings::O_NOATIME;
        // SAFETY: All are valid; the new file takes its own references.
        let file = from_err_ptr(unsafe {
            bindings::backing_tmpfile_open(
                user.as_ptr(),
                flags as i32,
                &dir.to_raw(),
                mode.as_raw(),
                c.as_ptr(),
            )
        })?;
        // SAFETY: The reference is ours.
        // INVARIANT: It is a backing file.
        Ok(Self(unsafe {
            OwnedFile::from_raw(NonNull::new(file).ok_or(EIO)?)
        }))
    }

    /// The same file, as any other that we opened.
    pub fn into_owned(self) -> OwnedFile {
        self.0
    }
}

/// Has the real file follow what the user changed with `fcntl(F_SETFL)` since it was opened.
///
/// # Errors
///
/// `EPERM`: the append flag of an append-only file. `EINVAL`: direct I/O is not possible.
#[inline]
pub fn follow_flags<F: Ours>(real: &File<Foreign>, user: &File<F>) -> Result {
    if (user.flags() ^ real.flags()) & FOLLOWED == 0 {
        return Ok(());
    }
    change_flags(real, user.flags() & FOLLOWED)
}

#[cold]
fn change_flags(real: &File<Foreign>, wanted: u32) -> Result {
    let file = real.as_ptr();
    // SAFETY: The file is open; its flags are changed under its lock. `f_op` is constant.
    unsafe {
        let inode = (*file).f_inode;
        let append_only = (*inode).i_flags & bindings::S_APPEND != 0;
        if (wanted ^ (*file).f_flags) & bindings::O_APPEND != 0 && append_only {
            return Err(EPERM);
        }
        if wanted & bindings::O_DIRECT != 0 && (*file).f_mode & bindings::FMODE_CAN_ODIRECT == 0 {
            return Err(EINVAL);
        }
        if let Some(check) = (*(*file).f_op).check_flags {
            to_result(check(wanted as i32))?;
        }
        bindings::vfs_helper_file_set_flags(file, wanted, FOLLOWED);
    }
    Ok(())
}

/// Makes the context that the backing-file functions are given.
#[inline]
pub(crate) fn context(cred: &Credential) -> bindings::backing_file_ctx {
    bindings::backing_file_ctx {
        cred: cred.as_ptr(),
        accessed: None,
        end_write: None,
    }
}

/// How many bytes an iterator has left.
///
/// # Safety
///
/// It is valid.
#[inline]
unsafe fn bytes_left(iter: *const bindings::iov_iter) -> usize {
    // SAFETY: By the requirement.
    unsafe { (*iter).__bindgen_anon_1.__bindgen_anon_1.as_ref().count }
}

/// A read that a user asked for.
///
/// # Invariants
///
/// Both pointers are what the VFS passed to `->read_iter()`, during that call.
pub struct ReadRequest<'a> {
    iocb: *mut bindings::kiocb,
    iter: *mut bindings::iov_iter,
    _call: PhantomData<&'a ()>,
}

impl ReadRequest<'_> {
    /// # Safety
    ///
    /// See the type invariant.
    #[inline]
    pub(crate) unsafe fn from_raw(
        iocb: *mut bindings::kiocb,
        iter: *mut bindings::iov_iter,
    ) -> Self {
        Self {
            iocb,
            iter,
            _call: PhantomData,
        }
    }

    /// Whether nothing is asked for.
    #[inline]
    pub fn is_empty(&self) -> bool {
        // SAFETY: By the type invariant the iterator is valid.
        unsafe { bytes_left(self.iter) == 0 }
    }

    /// Passes it down (wraps `backing_file_read_iter()`); gives the number of bytes.
    ///
    /// # Errors
    ///
    /// The errors are those of the filesystem; `EIOCBQUEUED`: it goes on asynchronously.
    #[inline]
    pub fn forward(self, real: &Backing, cred: &Credential) -> Result<usize> {
        let mut ctx = context(cred);
        // SAFETY: By the type invariants; the context is copied where it is needed for longer.
        to_length(unsafe {
            bindings::backing_file_read_iter(
                real.as_ptr(),
                self.iter,
                self.iocb,
                (*self.iocb).ki_flags,
                &mut ctx,
            )
        })
    }
}

/// A splice from a file into a pipe that a user asked for.
///
/// # Invariants
///
/// All pointers are what the VFS passed to `->splice_read()`, during that call.
pub struct SpliceRead<'a> {
    pub(crate) file: *mut bindings::file,
    pub(crate) position: &'a mut i64,
    pub(crate) pipe: *mut bindings::pipe_inode_info,
    pub(crate) len: usize,
    pub(crate) flags: u32,
}

impl SpliceRead<'_> {
    /// Passes it down (wraps `backing_file_splice_read()`); gives the number of bytes.
    ///
    /// # Errors
    ///
    /// The errors are those of the filesystem.
    pub fn forward(self, real: &Backing, cred: &Credential) -> Result<usize> {
        let mut ctx = context(cred);
        let mut iocb = bindings::kiocb::default();
        // SAFETY: By the type invariant; the request lives on our stack for the call.
        let result = unsafe {
            bindings::vfs_helper_init_sync_kiocb(&mut iocb, self.file);
            iocb.ki_pos = *self.position;
            bindings::backing_file_splice_read(
                real.as_ptr(),
                &mut iocb,
                self.pipe,
                self.len,
                self.flags,
                &mut ctx,
            )
        };
        *self.position = iocb.ki_pos;
        to_length(result)
    }
}

/// The work on our inode that is left when a write has ended, perhaps asynchronously.
pub trait WriteEnd<F: Ours> {
    /// The real file was written to: `file` shall show it.
    fn written(file: &File<F>);
}

unsafe extern "C" fn end_write<F: Ours, E: WriteEnd<F>>(
    iocb: *mut bindings::kiocb,
    _result: isize,
) {
    // SAFETY: The request is one for a file of ours, which is open until it has ended.
    E::written(unsafe { File::from_raw((*iocb).ki_filp) });
}

fn writing_context<F: Ours, E: WriteEnd<F>>(cred: &Credential) -> bindings::backing_file_ctx {
    bindings::backing_file_ctx {
        end_write: Some(end_write::<F, E>),
        ..context(cred)
    }
}

/// A write that a user asked for.
///
/// # Invariants
///
/// Both pointers are what the VFS passed to `->write_iter()` for a file of `F`, during that call.
pub struct WriteRequest<'a, F: Ours> {
    iocb: *mut bindings::kiocb,
    iter: *mut bindings::iov_iter,
    _call: PhantomData<&'a File<F>>,
}

impl<F: Ours> WriteRequest<'_, F> {
    /// # Safety
    ///
    /// See the type invariant.
    #[inline]
    pub(crate) unsafe fn from_raw(
        iocb: *mut bindings::kiocb,
        iter: *mut bindings::iov_iter,
    ) -> Self {
        Self {
            iocb,
            iter,
            _call: PhantomData,
        }
    }

    /// Whether nothing is to be written.
    #[inline]
    pub fn is_empty(&self) -> bool {
        // SAFETY: By the type invariant the iterator is valid.
        unsafe { bytes_left(self.iter) == 0 }
    }

    /// The bytes of the file that it changes, which is `size` bytes long now: behind the end, where it is appended.
    #[inline]
    pub fn bytes(&self, size: i64) -> Range<u64> {
        // SAFETY: By the type invariant.
        let (at, len, appends) = unsafe {
            let flags = (*self.iocb).ki_flags;
            let appends = flags & bindings::IOCB_APPEND as i32 != 0;
            ((*self.iocb).ki_pos, bytes_left(self.iter), appends)
        };
        let start = if appends { size } else { at }.max(0) as u64;
        start..start.saturating_add(len as u64)
    }

    /// Passes it down (wraps `backing_file_write_iter()`, which takes privileges away of the user's file,
    /// and so wants its inode locked); gives the number of bytes. `sync`: whether it is honoured that the
    /// user wants it on disk.
    ///
    /// # Errors
    ///
    /// The errors are those of the filesystem; `EIOCBQUEUED`: it goes on asynchronously. `EINVAL`: it is the lock of
    /// another inode. `EPERM`: it is not to be at the end of a real file that is append-only.
    pub fn forward<E: WriteEnd<F>>(
        self,
        real: &Backing,
        cred: &Credential,
        lock: &Exclusive<'_, F>,
        sync: bool,
    ) -> Result<usize> {
        // SAFETY: By the type invariant; the file is open.
        check_lock(unsafe { File::from_raw((*self.iocb).ki_filp) }, lock)?;
        self.pass_down::<E>(real, cred, sync)
    }

    /// Does that; the inode is locked as the request wants it.
    fn pass_down<E: WriteEnd<F>>(
        self,
        real: &Backing,
        cred: &Credential,
        sync: bool,
    ) -> Result<usize> {
        // RWF_NOAPPEND was asked of the user's inode alone. (F_SETFL is by `follow_flags`.)
        // SAFETY: By the type invariant.
        let appends = unsafe { (*self.iocb).ki_flags } & bindings::IOCB_APPEND as i32 != 0;
        let opened_so = real.flags() & bindings::O_APPEND != 0;
        if opened_so && !appends && has_flag(real.inode(), bindings::S_APPEND) {
            return Err(EPERM);
        }
        let mut ctx = writing_context::<F, E>(cred);
        // SAFETY: By the type invariants; the context is copied where it is needed for longer.
        to_length(unsafe {
            let mut flags = (*self.iocb).ki_flags;
            if !sync {
                flags &= !(bindings::IOCB_ALL_SYNC as i32);
            }
            bindings::backing_file_write_iter(real.as_ptr(), self.iter, self.iocb, flags, &mut ctx)
        })
    }
}

/// A write that needs the inode of the user's file locked shared only: direct I/O within the file, which takes away no
/// privileges.
///
/// # Invariants
///
/// It is that, as long as the lock is held that it borrows, which is that of the inode.
pub struct ParallelWrite<'a, 'l, F: Ours> {
    write: WriteRequest<'a, F>,
    _lock: PhantomData<&'l Shared<'l, F>>,
}

impl<'a, F: Ours> WriteRequest<'a, F> {
    /// Whether it is direct I/O.
    #[inline]
    pub fn is_direct(&self) -> bool {
        // SAFETY: By the type invariant.
        unsafe { (*self.iocb).ki_flags & bindings::IOCB_DIRECT as i32 != 0 }
    }

    /// The same as one that needs the inode locked shared only, if it is such a write: direct, of whole blocks of the file
    /// as it is long now, at no privileges that would have to be taken away (`S_NOSEC`). The size changes with the lock held
    /// exclusively alone.
    ///
    /// # Errors
    ///
    /// The request itself, if it is another, or if `lock` is that of another inode.
    pub fn in_parallel<'l>(
        self,
        lock: &'l Shared<'_, F>,
    ) -> Result<ParallelWrite<'a, 'l, F>, Self> {
        // SAFETY: By the type invariant; the file is open, and its flags are words that may be read at any time.
        let (inode, is_plain, block) = unsafe {
            let file = File::<F>::from_raw((*self.iocb).ki_filp);
            let inode = file.inode();
            let flags = (&raw const (*inode.as_ptr()).i_flags).read_volatile();
            let appends = (*self.iocb).ki_flags & bindings::IOCB_APPEND as i32 != 0;
            let is_plain = flags & bindings::S_NOSEC != 0 && !appends;
            (inode, is_plain, (*inode.as_ptr()).i_blkbits)
        };
        let size = inode.size();
        let bytes = self.bytes(size);
        let is_aligned = (bytes.start | bytes.end).trailing_zeros() >= u32::from(block);
        let is_within = bytes.end <= size.max(0) as u64;
        if self.is_direct() && is_plain && is_aligned && is_within && lock.is_of(inode) {
            // INVARIANT: As was just checked.
            Ok(ParallelWrite {
                write: self,
                _lock: PhantomData,
            })
        } else {
            Err(self)
        }
    }
}

impl<F: Ours> ParallelWrite<'_, '_, F> {
    /// Passes it down, as [`WriteRequest::forward`].
    ///
    /// # Errors
    ///
    /// The errors are those of that.
    pub fn forward<E: WriteEnd<F>>(
        self,
        real: &Backing,
        cred: &Credential,
        sync: bool,
    ) -> Result<usize> {
        self.write.pass_down::<E>(real, cred, sync)
    }
}

/// A splice from a pipe into a file that a user asked for.
///
/// # Invariants
///
/// All pointers are what the VFS passed to `->splice_write()` for a file of `F`, during that call.
pub struct SpliceWrite<'a, F: Ours> {
    pub(crate) _file: PhantomData<&'a File<F>>,
    pub(crate) file: *mut bindings::file,
    pub(crate) position: &'a mut i64,
    pub(crate) pipe: *mut bindings::pipe_inode_info,
    pub(crate) len: usize,
    pub(crate) flags: u32,
}

impl<F: Ours> SpliceWrite<'_, F> {
    /// The bytes of the file that it changes.
    pub fn bytes(&self) -> Range<u64> {
        let start = (*self.position).max(0) as u64;
        start..start.saturating_add(self.len as u64)
    }

    /// Passes it down (wraps `backing_file_splice_write()`, which takes privileges away of the user's file,
    /// and so wants its inode locked); gives the number of bytes.
    ///
    /// # Errors
    ///
    /// The errors are those of the filesystem. `EINVAL`: it is the lock of another inode.
    pub fn forward<E: WriteEnd<F>>(
        self,
        real: &Backing,
        cred: &Credential,
        lock: &Exclusive<'_, F>,
    ) -> Result<usize> {
        // SAFETY: By the type invariant; the file is open.
        check_lock(unsafe { File::from_raw(self.file) }, lock)?;
        let mut ctx = writing_context::<F, E>(cred);
        let mut iocb = bindings::kiocb::default();
        // SAFETY: By the type invariant; the request lives on our stack for the call.
        let result = unsafe {
            bindings::vfs_helper_init_sync_kiocb(&mut iocb, self.file);
            iocb.ki_pos = *self.position;
            bindings::backing_file_splice_write(
                self.pipe,
                real.as_ptr(),
                &mut iocb,
                self.len,
                self.flags,
                &mut ctx,
            )
        };
        *self.position = iocb.ki_pos;
        to_length(result)
    }
}

/// Whether `lock` is that of the inode of `file`.
#[inline]
fn check_lock<F: Ours>(file: &File<F>, lock: &Exclusive<'_, F>) -> Result {
    if lock.is_of(file.inode()) {
        Ok(())
    } else {
        Err(EINVAL)
    }
}

/// Notes that a file of ours was read, if its access time is due (wraps `touch_atime()`, which comes
/// to [`AttrOps::touch`](crate::ops::AttrOps::touch)).
///
/// # Context
///
/// May sleep.
pub fn note_access<F: Ours>(file: &File<F>) {
    if file.flags() & bindings::O_NOATIME == 0 {
        // SAFETY: The path of an open file is constant.
        unsafe { bindings::touch_atime(&raw const (*file.as_ptr()).__bindgen_anon_1.f_path) };
    }
}

/// Takes away what a write takes away of a file of ours: set-user-ID, capabilities (wraps
/// `file_remove_privs()`).
///
/// # Errors
///
/// What changing the attributes gives. `EINVAL`: it is the lock of another inode.
///
/// # Context
///
/// May sleep.
pub fn remove_privileges<F: Ours>(file: &File<F>, lock: &Exclusive<'_, F>) -> Result {
    check_lock(file, lock)?;
    // SAFETY: The file is open, its inode locked.
    to_result(unsafe { bindings::vfs_helper_file_remove_privs(file.as_ptr()) })
}

/// Whether its filesystem wants to know that a descriptor is closed.
#[inline]
pub fn has_flush(real: &File<Foreign>) -> bool {
    // SAFETY: The file is open, its operations are constant.
    unsafe { (*(*real.as_ptr()).f_op).flush.is_some() }
}

/// Tells the real file that a descriptor of the user's file is closed (calls its `->flush()`).
///
/// # Errors
///
/// The errors are those of the filesystem.
///
/// # Context
///
/// May sleep.
pub fn flush(_c: &Override<'_>, real: &File<Foreign>, owner: LockOwner) -> Result {
    // SAFETY: The file is open, its operations are constant.
    unsafe {
        match (*(*real.as_ptr()).f_op).flush {
            Some(flush) => to_result(flush(real.as_ptr(), owner.0)),
            None => Ok(()),
        }
    }
}

/// The owner of POSIX locks (`fl_owner_t`): an opaque value to pass on.
pub struct LockOwner(pub(crate) bindings::fl_owner_t);

/// The advice that a user gives on his use of a file: `POSIX_FADV_*`.
#[derive(Clone, Copy)]
pub struct Advice(pub(crate) i32);

/// Passes on what the user says of his use of the file (wraps `vfs_fadvise()`).
///
/// # Errors
///
/// `EINVAL`, `ESPIPE`.
pub fn advise(
    _c: &Override<'_>,
    real: &File<Foreign>,
    offset: i64,
    len: i64,
    advice: Advice,
) -> Result {
    // SAFETY: The file is open.
    to_result(unsafe { bindings::vfs_fadvise(real.as_ptr(), offset, len, advice.0) })
}
