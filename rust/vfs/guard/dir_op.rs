// SPDX-License-Identifier: GPL-2.0-only

//! Changing directories below: creating, removing and renaming, as guards.
//!
//! Each guard begins with a lookup under the lock of the directory (or both), holds the lock, and ends
//! by drop. Carrying out the operation consumes the guard. The mounter's credentials and the right to
//! write are witnesses of every beginning.
//!
//! Where somebody has a delegation of what is changed, the error is `EAGAIN`, and the right to write knows:
//! [`Mount::write`](crate::Mount::write) begins again.
//!
//! It is not for directories of ours, which the VFS has locked when it asks for an operation.
//!
//! C header: [`include/linux/namei.h`](srctree/include/linux/namei.h); rules:
//! [`Documentation/filesystems/directory-locking.rst`](srctree/Documentation/filesystems/directory-locking.rst)
//!
//! # Examples
//!
//! ```ignore
//! let creating = Creating::begin(c, writing, dir, name)?;
//! let made = creating.create(c, &NewEntry::directory(0o755))?; // It is unlocked again.
//! ```

use crate::guard::write::WantWrite;
use crate::object::dentry::into_positive;
use crate::object::dentry::qstr;
use crate::object::dentry::Dentry;
use crate::object::dentry::Positive;
use crate::object::file::OwnedFile;
use crate::object::path::Path;
use crate::object::Foreign;
use crate::sys::anon_dev::Dev;
use crate::sys::bindings;
use crate::sys::cred::Override;
use crate::sys::errno::from_err_ptr;
use crate::sys::errno::to_result;
use crate::sys::mode::FileType;
use crate::sys::mode::Mode;
use core::ptr::NonNull;
use kernel::prelude::*;
use kernel::sync::aref::ARef;
use kernel::types::NotThreadSafe;

type Real = Positive<Foreign>;

/// An object that is to be made.
#[derive(Clone, Copy)]
pub enum NewObject<'a> {
    /// A regular file with these permission bits.
    File(Mode),
    /// A directory with these permission bits.
    Directory(Mode),
    /// A device, fifo or socket: its type and permission bits, and the device number.
    Special(Mode, Dev),
    /// A symbolic link to this, which is not empty.
    Symlink(&'a CStr),
}

impl<'a> NewObject<'a> {
    /// An object like this, but with the permission bits of `mode`. A symbolic link has none of its own.
    #[must_use]
    pub fn with_mode(self, mode: Mode) -> Self {
        match self {
            Self::File(_) => Self::File(mode),
            Self::Directory(_) => Self::Directory(mode),
            Self::Special(_, dev) => Self::Special(mode, dev),
            Self::Symlink(target) => Self::Symlink(target),
        }
    }

    /// Its type and permission bits.
    pub fn mode(&self) -> Mode {
        match *self {
            Self::File(mode) => FileType::REGULAR.with_permissions(mode.permissions()),
            Self::Directory(mode) => FileType::DIRECTORY.with_permissions(mode.permissions()),
            Self::Special(mode, _) => mode,
            Self::Symlink(_) => FileType::SYMLINK.with_permissions(0),
        }
    }

    /// The permission bits that it has of its own, to be changed: none for a symbolic link.
    pub fn mode_mut(&mut self) -> Option<&mut Mode> {
        match self {
            Self::File(mode) | Self::Directory(mode) | Self::Special(mode, _) => Some(mode),
            Self::Symlink(_) => None,
        }
    }
}

/// The object that a name which is to be created stands for.
#[derive(Clone, Copy)]
pub enum NewEntry<'a> {
    /// It is the name of a new object.
    Object(NewObject<'a>),
    /// It is another name of this one.
    Link(&'a Real),
}

impl NewEntry<'_> {
    /// A new regular file with these permission bits.
    pub const fn file(permissions: u16) -> Self {
        Self::Object(NewObject::File(
            FileType::REGULAR.with_permissions(permissions),
        ))
    }

    /// A new directory with these permission bits.
    pub const fn directory(permissions: u16) -> Self {
        Self::Object(NewObject::Directory(
            FileType::DIRECTORY.with_permissions(permissions),
        ))
    }

    /// The permission bits that a new object has of its own; see [`NewObject::mode_mut`].
    pub fn mode_mut(&mut self) -> Option<&mut Mode> {
        match self {
            Self::Object(object) => object.mode_mut(),
            Self::Link(_) => None,
        }
    }
}

/// Checks that names can be looked up in a directory, which is on the filesystem that is written to.
#[inline]
fn check_parent(writing: &WantWrite<'_>, parent: &Real) -> Result {
    writing.assert_covers(parent);
    parent.check_is_dir()
}

/// A name that is about to be created: its directory is locked.
///
/// # Invariants
///
/// `child` is what `start_creating()` gave: a dentry of the locked directory `parent`, with a
/// reference, both ours until `end_dirop()`.
pub struct Creating<'a> {
    parent: &'a Real,
    child: NonNull<bindings::dentry>,
    writing: &'a WantWrite<'a>,
    _task: NotThreadSafe,
}

impl<'a> Creating<'a> {
    /// Locks `parent` and looks up `name` (wraps `start_creating()`).
    ///
    /// # Errors
    ///
    /// `EACCES`, `ENAMETOOLONG`, `EIO`, …; `ENOENT`: the directory was removed; `ENOTDIR`.
    ///
    /// # Context
    ///
    /// Sleeps until the directory's lock is free.
    pub fn begin(
        _c: &Override<'_>,
        writing: &'a WantWrite<'a>,
        parent: &'a Real,
        name: &[u8],
    ) -> Result<Self> {
        check_parent(writing, parent)?;
        let mut q = qstr(name);
        // SAFETY: The parent is valid and can be searched; the name is valid for the call.
        let child = from_err_ptr(unsafe {
            bindings::start_creating(writing.idmap_ptr(), parent.as_ptr(), &mut q)
        })?;
        // INVARIANT: It succeeded.
        Ok(Self {
            parent,
            child: NonNull::new(child).ok_or(EIO)?,
            writing,
            _task: NotThreadSafe,
        })
    }

    /// The object that has the name already.
    pub fn existing(&self) -> Option<&Real> {
        // SAFETY: By the type invariant the child is counted.
        unsafe { Dentry::<Foreign>::from_raw(self.child.as_ptr()) }.positive()
    }

    /// Creates it, and unlocks the directory (wraps `vfs_create()` and its like).
    ///
    /// # Errors
    ///
    /// `EEXIST`: the name is taken. `EINVAL`: the type of something special is not one. `ENOENT`: a symbolic link
    /// to nothing. `ENOSPC`, `EDQUOT`, `EPERM`, `EMLINK`, `EIO`, …
    ///
    /// # Context
    ///
    /// May sleep.
    pub fn create(self, c: &Override<'_>, what: &NewEntry<'_>) -> Result<ARef<Real>> {
        self.create_then(c, what, |_, _| {})
    }

    /// The directory.
    pub(crate) fn parent(&self) -> &Real {
        self.parent
    }

    /// The right to write that it was begun with.
    pub(crate) fn writing(&self) -> &WantWrite<'_> {
        self.writing
    }

    /// As [`Creating::create`]. `then`: what is done to the directory when it was created, before the directory
    /// is unlocked.
    pub(crate) fn create_then(
        self,
        _c: &Override<'_>,
        what: &NewEntry<'_>,
        then: impl FnOnce(&WantWrite<'_>, &Real),
    ) -> Result<ARef<Real>> {
        let mut this = self;
        if this.existing().is_some() {
            return Err(EEXIST);
        }
        let writing = this.writing;
        let idmap = writing.idmap_ptr();
        let child = this.child.as_ptr();
        // SAFETY: By the type invariant the directory is locked and the child is negative.
        unsafe {
            let dir = this.parent.inode().as_ptr();
            match *what {
                NewEntry::Object(NewObject::File(mode)) => {
                    to_result(writing.note_delegated(|noted| {
                        bindings::vfs_create(idmap, child, mode.as_raw(), noted)
                    }))?
                }
                NewEntry::Object(NewObject::Directory(mode)) => {
                    let made = writing.note_delegated(|noted| {
                        bindings::vfs_mkdir(idmap, dir, child, mode.as_raw(), noted)
                    });
                    match from_err_ptr(made) {
                        // It may have been replaced by another.
                        Ok(made) => this.child = NonNull::new(made).ok_or(EIO)?,
                        Err(e) => {
                            // On failure vfs_mkdir() itself ends what was begun.
                            core::mem::forget(this);
                            return Err(e);
                        }
                    }
                }
                // A filesystem makes whatever the mode says.
                NewEntry::Object(NewObject::Special(mode, _)) if !mode.file_type().is_special() => {
                    return Err(EINVAL)
                }
                NewEntry::Object(NewObject::Special(mode, dev)) => {
                    to_result(writing.note_delegated(|noted| {
                        bindings::vfs_mknod(idmap, dir, child, mode.as_raw(), dev.0, noted)
                    }))?
                }
                // symlink(2) lets none through, and XFS takes such a link for corruption and shuts down.
                NewEntry::Object(NewObject::Symlink(target)) if target.is_empty() => {
                    return Err(ENOENT)
                }
                NewEntry::Object(NewObject::Symlink(target)) => {
                    to_result(writing.note_delegated(|noted| {
                        bindings::vfs_symlink(idmap, dir, child, target.as_char_ptr(), noted)
                    }))?
                }
                NewEntry::Link(old) => to_result(writing.note_delegated(|noted| {
                    bindings::vfs_link(old.as_ptr(), idmap, dir, child, noted)
                }))?,
            }
        }
        this.bring_into_cache()?;
        // SAFETY: By the type invariant the child is counted.
        let made = ARef::from(unsafe { Dentry::<Foreign>::from_raw(this.child.as_ptr()) });
        then(writing, this.parent);
        // A filesystem that does not instantiate the dentry can't be an upper layer.
        into_positive(made).ok_or(EIO)
    }

    /// Looks up the name of what was made, if its filesystem has left the dentry out of the cache of names, as ext4 does
    /// in a directory that ignores case: nobody else would find that one, and the name would look removed.
    fn bring_into_cache(&mut self) -> Result {
        let child = self.child.as_ptr();
        // SAFETY: By the type invariant the directory is locked and the child, counted, is in it; so its name does not
        // change meanwhile.
        unsafe {
            if !Dentry::<Foreign>::from_raw(child).is_unhashed() {
                return Ok(());
            }
            let mut name = (*child).__bindgen_anon_1.d_name;
            let idmap = self.writing.idmap_ptr();
            let parent = self.parent.as_ptr();
            let found = from_err_ptr(bindings::lookup_one(idmap, &mut name, parent))?;
            let found = NonNull::new(found).ok_or(EIO)?;
            if (*found.as_ptr()).d_inode != (*child).d_inode {
                bindings::dput(found.as_ptr());
                return Err(EIO);
            }
            // INVARIANT: It is in the same directory, with a reference for us; that of the other is given back.
            self.child = found;
            bindings::dput(child);
        }
        Ok(())
    }
}

impl Drop for Creating<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant: unlocks the parent and drops the reference.
        unsafe { bindings::end_dirop(self.child.as_ptr()) };
    }
}

/// A name that is about to be removed: its directory is locked.
///
/// # Invariants
///
/// The same holds as for [`Creating`], and `child` is positive.
pub struct Removing<'a> {
    parent: &'a Real,
    child: NonNull<bindings::dentry>,
    writing: &'a WantWrite<'a>,
    _task: NotThreadSafe,
}

impl<'a> Removing<'a> {
    /// Locks `parent` and looks up `name`, which must be there (wraps `start_removing()`).
    ///
    /// # Errors
    ///
    /// `ENOENT`, `ENOTDIR`, `EACCES`, `EIO`, …
    ///
    /// # Context
    ///
    /// Sleeps until the directory's lock is free.
    pub fn begin(
        _c: &Override<'_>,
        writing: &'a WantWrite<'a>,
        parent: &'a Real,
        name: &[u8],
    ) -> Result<Self> {
        check_parent(writing, parent)?;
        let mut q = qstr(name);
        // SAFETY: The parent is valid and can be searched; the name is valid for the call.
        let child = from_err_ptr(unsafe {
            bindings::start_removing(writing.idmap_ptr(), parent.as_ptr(), &mut q)
        })?;
        // INVARIANT: It succeeded, and then the child is positive.
        Ok(Self {
            parent,
            child: NonNull::new(child).ok_or(EIO)?,
            writing,
            _task: NotThreadSafe,
        })
    }

    /// Locks `parent`, of which `child` must still be a child (wraps `start_removing_dentry()`).
    ///
    /// # Errors
    ///
    /// `EINVAL`: it is not.
    ///
    /// # Context
    ///
    /// Sleeps until the directory's lock is free.
    pub fn begin_with(
        _c: &Override<'_>,
        writing: &'a WantWrite<'a>,
        parent: &'a Real,
        child: &Real,
    ) -> Result<Self> {
        check_parent(writing, parent)?;
        // SAFETY: Both are valid; that the one is in the other is checked under its lock.
        let child = from_err_ptr(unsafe {
            bindings::start_removing_dentry(parent.as_ptr(), child.as_ptr())
        })?;
        // INVARIANT: It succeeded, and the child is positive as it was.
        Ok(Self {
            parent,
            child: NonNull::new(child).ok_or(EIO)?,
            writing,
            _task: NotThreadSafe,
        })
    }

    /// The object that is about to be removed.
    pub fn child(&self) -> &Real {
        // SAFETY: By the type invariant.
        unsafe { Positive::from_raw(self.child.as_ptr()) }
    }

    /// Removes it, and unlocks the directory (wraps `vfs_rmdir()` or `vfs_unlink()`).
    ///
    /// # Errors
    ///
    /// `ENOTEMPTY`, `EPERM`, `EBUSY`, `EIO`, …
    ///
    /// # Context
    ///
    /// May sleep.
    pub fn remove(self, _c: &Override<'_>) -> Result {
        let idmap = self.writing.idmap_ptr();
        let is_dir = self.child().is_dir();
        // SAFETY: By the type invariant the directory is locked and the child is in it. If nobody else has the
        // dentry it becomes a negative one; nobody asks what it names after that, as `self` ends here.
        unsafe {
            let dir = self.parent.inode().as_ptr();
            to_result(self.writing.note_delegated(|noted| {
                if is_dir {
                    bindings::vfs_rmdir(idmap, dir, self.child.as_ptr(), noted)
                } else {
                    bindings::vfs_unlink(idmap, dir, self.child.as_ptr(), noted)
                }
            }))
        }
    }
}

impl Drop for Removing<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant: unlocks the parent and drops the reference.
        unsafe { bindings::end_dirop(self.child.as_ptr()) };
    }
}

impl OwnedFile {
    /// Makes a file without a name in the directory at `dir` and opens it to write (wraps
    /// `kernel_tmpfile_open()`).
    ///
    /// # Errors
    ///
    /// `EOPNOTSUPP`: the filesystem can't. `ENOSPC`, `EDQUOT`, …
    ///
    /// # Context
    ///
    /// May sleep.
    pub fn make_nameless(
        c: &Override<'_>,
        writing: &WantWrite<'_>,
        dir: &Positive<Foreign>,
        mode: Mode,
    ) -> Result<Self> {
        let path = Path::new(writing.mount(), dir)?;
        // A filesystem makes whatever the mode says.
        let mode = FileType::REGULAR.with_permissions(mode.permissions());
        let flags = bindings::O_LARGEFILE | bindings::O_WRONLY;
        // SAFETY: The path and the credentials in force are valid.
        let file = from_err_ptr(unsafe {
            bindings::kernel_tmpfile_open(
                writing.idmap_ptr(),
                &path.to_raw(),
                mode.as_raw(),
                flags as i32,
                c.as_ptr(),
            )
        })?;
        // SAFETY: The reference is ours.
        Ok(unsafe { Self::from_raw(NonNull::new(file).ok_or(EIO)?) })
    }
}

/// The two ends of a rename, in its two directories.
pub enum Ends<'a> {
    /// A name, whatever it names, and another.
    Names(&'a [u8], &'a [u8]),
    /// This very object, wherever its name is now in the directory, and a name.
    Object(&'a Dentry<Foreign>, &'a [u8]),
    /// Two objects, wherever their names are now. The second may be none: a negative dentry.
    Objects(&'a Dentry<Foreign>, &'a Dentry<Foreign>),
}

/// How a rename is done.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct RenameFlags(pub(crate) u32);

impl RenameFlags {
    /// Nothing special.
    pub const NONE: Self = Self(0);
    /// The two change places.
    pub const EXCHANGE: Self = Self(bindings::RENAME_EXCHANGE);
    /// The new name must not be there.
    pub const NOREPLACE: Self = Self(bindings::RENAME_NOREPLACE);
    /// A whiteout is left in the old place.
    pub const WHITEOUT: Self = Self(bindings::RENAME_WHITEOUT);

    /// Both.
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Without the bits of `other`.
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether all of `other` is in it.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// A rename that is about to be done: both directories are locked.
///
/// # Invariants
///
/// What one of the `start_renaming…()` filled in, with its locks and references ours until
/// `end_renaming()`.
pub struct Renaming<'a> {
    data: bindings::renamedata,
    writing: &'a WantWrite<'a>,
    _task: NotThreadSafe,
}

impl<'a> Renaming<'a> {
    /// Locks both directories and looks up both names (wraps `start_renaming()`,
    /// `start_renaming_dentry()` and `start_renaming_two_dentries()`).
    ///
    /// # Errors
    ///
    /// `EINVAL`: an object is not where it was said to be, or a directory would go into itself.
    /// `ENOTEMPTY`: the other way round. `ENOTDIR`, `ENOENT`, `EXDEV`, `EACCES`, …
    ///
    /// # Context
    ///
    /// Sleeps until the locks are free.
    pub fn begin(
        _c: &Override<'_>,
        writing: &'a WantWrite<'a>,
        old_parent: &Real,
        new_parent: &Real,
        ends: Ends<'_>,
        flags: RenameFlags,
    ) -> Result<Self> {
        check_parent(writing, old_parent)?;
        check_parent(writing, new_parent)?;
        // The system call compares the mounts; nobody below does.
        if !old_parent.super_block().is(new_parent.super_block()) {
            return Err(EXDEV);
        }
        let mut data = bindings::renamedata {
            mnt_idmap: writing.idmap_ptr(),
            old_parent: old_parent.as_ptr(),
            new_parent: new_parent.as_ptr(),
            flags: flags.0,
            ..pin_init::zeroed()
        };
        // A negative dentry that is not in the cache of names (in a directory that ignores case it never is) stands for
        // nothing but its name.
        let name_of_none;
        let ends = match ends {
            Ends::Objects(old, new)
                if new.positive().is_none()
                    && new.is_unhashed()
                    && core::ptr::eq(&*new.parent(), new_parent) =>
            {
                name_of_none = new.name_copy()?;
                Ends::Object(old, &name_of_none)
            }
            ends => ends,
        };
        // SAFETY: Both parents are valid and can be searched, the dentries are valid, and the names are
        // for the time of the call. That an object is in its directory is checked under the locks.
        to_result(unsafe {
            match ends {
                Ends::Names(old, new) => {
                    bindings::start_renaming(&mut data, 0, &mut qstr(old), &mut qstr(new))
                }
                Ends::Object(old, new) => {
                    bindings::start_renaming_dentry(&mut data, 0, old.as_ptr(), &mut qstr(new))
                }
                Ends::Objects(old, new) => {
                    bindings::start_renaming_two_dentries(&mut data, old.as_ptr(), new.as_ptr())
                }
            }
        })?;
        // INVARIANT: It succeeded.
        Ok(Self {
            data,
            writing,
            _task: NotThreadSafe,
        })
    }

    /// The object that is about to get another name.
    pub fn old(&self) -> &Dentry<Foreign> {
        // SAFETY: By the type invariant.
        unsafe { Dentry::from_raw(self.data.old_dentry) }
    }

    /// The object that the new name names now, if there is one.
    pub fn new(&self) -> &Dentry<Foreign> {
        // SAFETY: By the type invariant.
        unsafe { Dentry::from_raw(self.data.new_dentry) }
    }

    /// Does the same as [`Renaming::rename`], but the two change places, whatever it was begun as.
    ///
    /// # Errors
    ///
    /// The errors are those of [`Renaming::rename`].
    ///
    /// # Context
    ///
    /// May sleep.
    pub fn exchange(mut self, c: &Override<'_>) -> Result {
        self.data.flags = bindings::RENAME_EXCHANGE;
        self.rename(c)
    }

    /// Does it, and unlocks the directories (wraps `vfs_rename()`).
    ///
    /// # Errors
    ///
    /// `ENOENT`: there is nothing to rename, or to exchange it with. `EXDEV`, `ENOSPC`, `EMLINK`, `EBUSY`,
    /// `EIO`, …
    ///
    /// # Context
    ///
    /// May sleep.
    pub fn rename(self, c: &Override<'_>) -> Result {
        self.rename_then(c, |_, _| {})
    }

    /// The directory of the new name.
    pub(crate) fn new_parent(&self) -> &Real {
        // SAFETY: By the type invariant: the directory is valid, and referenced by the renaming.
        unsafe { Positive::from_raw(self.data.new_parent) }
    }

    /// The right to write that it was begun with.
    pub(crate) fn writing(&self) -> &WantWrite<'_> {
        self.writing
    }

    /// As [`Renaming::rename`]. `then`: what is done to the directory of the new name when it was renamed, before the
    /// directories are unlocked.
    pub(crate) fn rename_then(
        mut self,
        _c: &Override<'_>,
        then: impl FnOnce(&WantWrite<'_>, &Real),
    ) -> Result {
        let exchanges = self.data.flags & bindings::RENAME_EXCHANGE != 0;
        // Filesystems rely on it, and `vfs_rename()` leaves it to who looked the names up.
        if self.old().positive().is_none() || exchanges && self.new().positive().is_none() {
            return Err(ENOENT);
        }
        let writing = self.writing;
        // SAFETY: By the type invariant; what is renamed and exchanged is there, and the locks keep it so.
        // Locks and references are given back by drop.
        to_result(writing.note_delegated(|noted| unsafe {
            self.data.delegated_inode = noted;
            bindings::vfs_rename(&mut self.data)
        }))?;
        then(writing, self.new_parent());
        Ok(())
    }
}

impl Drop for Renaming<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::end_renaming(&mut self.data) };
    }
}
