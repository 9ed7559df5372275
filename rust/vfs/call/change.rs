// SPDX-License-Identifier: GPL-2.0-only

//! Changing attributes.
//!
//! It is not for extended attributes, access control lists or `chattr(1)` flags, which have modules of their own, and
//! it says nothing about whether a user may: [`ChangeRequest::prepare`] asks the VFS that.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h) (`struct iattr`)
//!
//! # Examples
//!
//! ```ignore
//! // What the filesystem itself wants:
//! Change::owner_of(stat).and_mode(stat.mode()).apply(c, writing, dentry)?;
//! // What a user asked for:
//! request.prepare(dentry)?.apply(c, writing, real)?;
//! ```

use crate::call::stat::Query;
use crate::call::stat::Stat;
use crate::call::stat::StatBuf;
use crate::guard::dir_op::Creating;
use crate::guard::dir_op::NewEntry;
use crate::guard::dir_op::Renaming;
use crate::guard::lock::VfsLocked;
use crate::guard::write::WantWrite;
use crate::object::dentry::Positive;
use crate::object::idmap::Viewed;
use crate::object::inode::Inode;
use crate::object::path::Path;
use crate::object::Foreign;
use crate::object::Ours;
use crate::sys::bindings;
use crate::sys::cred::Override;
use crate::sys::errno::to_result;
use crate::sys::mode::Mode;
use kernel::prelude::*;
use kernel::sync::aref::ARef;

/// Attributes to change (`struct iattr`).
pub struct Change(bindings::iattr);

impl Change {
    #[inline]
    fn empty() -> Self {
        Self(pin_init::zeroed())
    }

    /// The permission bits (the type, which `stat(2)` gives with them, stays what it is).
    #[inline]
    pub fn mode(mode: Mode) -> Self {
        Self::empty().and_mode(mode)
    }

    /// The size in bytes.
    #[inline]
    pub fn size(size: u64) -> Self {
        let mut change = Self::empty();
        change.0.ia_valid = bindings::ATTR_SIZE;
        change.0.ia_size = size as i64;
        change
    }

    /// The owner of `stat`.
    #[inline]
    pub fn owner_of(stat: &Stat) -> Self {
        let mut change = Self::empty();
        change.0.ia_valid = bindings::ATTR_UID | bindings::ATTR_GID;
        change.0.__bindgen_anon_1.ia_vfsuid = bindings::vfsuid_t {
            val: stat.0.uid.val,
        };
        change.0.__bindgen_anon_2.ia_vfsgid = bindings::vfsgid_t {
            val: stat.0.gid.val,
        };
        change
    }

    /// The times of `stat`.
    #[inline]
    pub fn times_of(stat: &Stat) -> Self {
        Self::empty().and_times_of(stat)
    }

    /// The permission bits as well.
    #[inline]
    pub fn and_mode(mut self, mode: Mode) -> Self {
        self.0.ia_valid |= bindings::ATTR_MODE;
        self.0.ia_mode = mode.as_raw();
        self
    }

    /// The times of `stat` as well.
    #[inline]
    pub fn and_times_of(mut self, stat: &Stat) -> Self {
        self.0.ia_valid |= bindings::ATTR_ATIME
            | bindings::ATTR_MTIME
            | bindings::ATTR_ATIME_SET
            | bindings::ATTR_MTIME_SET
            | bindings::ATTR_CTIME;
        self.0.ia_atime = stat.0.atime;
        self.0.ia_mtime = stat.0.mtime;
        self
    }

    /// Does it (wraps `notify_change()`, under the lock of the inode).
    ///
    /// # Errors
    ///
    /// `EPERM`, `EACCES`, `ENOSPC`, `EDQUOT`, `EOVERFLOW`, `EIO`, …; `EINVAL`: the size of what is no
    /// regular file.
    ///
    /// # Context
    ///
    /// May sleep; takes the lock of the inode.
    pub fn apply(
        mut self,
        c: &Override<'_>,
        writing: &WantWrite<'_>,
        dentry: &Positive<Foreign>,
    ) -> Result {
        writing.assert_covers(dentry);
        make_possible(&mut self.0, dentry.inode())?;
        lock_and_change(c, writing, dentry, &mut self.0)
    }

    /// The times of a directory that is being changed.
    fn times_now(
        c: &Override<'_>,
        writing: &WantWrite<'_>,
        dir: &Positive<Foreign>,
    ) -> Result<Self> {
        let mut room = StatBuf::new();
        let path = Path::new(writing.mount(), dir)?;
        Ok(Self::times_of(room.fill(c, path, Query::TIMES)?))
    }

    /// Does it to a directory that a directory operation has locked: not worth failing for.
    fn restore_on(
        mut self,
        _c: &Override<'_>,
        writing: &WantWrite<'_>,
        locked: &Positive<Foreign>,
    ) {
        // SAFETY: Everything is valid. Only the two functions below call it, from within an operation whose guard has
        // the lock of the directory.
        let _ = unsafe {
            bindings::notify_change(
                writing.idmap_ptr(),
                locked.as_ptr(),
                &mut self.0,
                core::ptr::null_mut(),
            )
        };
    }
}

impl Creating<'_> {
    /// Does the same as [`Creating::create`], but the directory has the times afterwards that it had before: its user
    /// did not change it. The lock of the directory (`i_rwsem`) keeps other tasks from changing it in between, so none
    /// of their changes is lost.
    ///
    /// # Errors
    ///
    /// The errors are those of [`Creating::create`]; those of reading the times. That they can't be restored is none.
    ///
    /// # Context
    ///
    /// May sleep.
    pub fn create_keeping_times(
        self,
        c: &Override<'_>,
        what: &NewEntry<'_>,
    ) -> Result<ARef<Positive<Foreign>>> {
        let times = Change::times_now(c, self.writing(), self.parent())?;
        self.create_then(c, what, |writing, dir| times.restore_on(c, writing, dir))
    }
}

impl Renaming<'_> {
    /// Does the same as [`Renaming::rename`], but the directory of the new name has the times afterwards that
    /// it had before; see
    /// [`Creating::create_keeping_times`].
    ///
    /// # Errors
    ///
    /// The errors are those of [`Renaming::rename`]; those of reading the times. That they can't be restored is none.
    ///
    /// # Context
    ///
    /// May sleep.
    pub fn rename_keeping_times(self, c: &Override<'_>) -> Result {
        let times = Change::times_now(c, self.writing(), self.new_parent())?;
        self.rename_then(c, |writing, dir| times.restore_on(c, writing, dir))
    }
}

/// What `notify_change()` takes for granted, as its other callers see to it: a mode does not change the type
/// of an object, and only regular files have a size to be set.
fn make_possible(attr: &mut bindings::iattr, inode: &Inode<Foreign>) -> Result {
    if attr.ia_valid & bindings::ATTR_MODE != 0 {
        attr.ia_mode = inode.mode().with_permissions(attr.ia_mode).as_raw();
    }
    if attr.ia_valid & bindings::ATTR_SIZE != 0 && !inode.is_regular() {
        return Err(EINVAL);
    }
    Ok(())
}

/// Has the filesystem do it, under the lock of the inode: a new owner or group within the quotas that bind the caller.
fn lock_and_change(
    c: &Override<'_>,
    writing: &WantWrite<'_>,
    dentry: &Positive<Foreign>,
    attr: &mut bindings::iattr,
) -> Result {
    let inode = dentry.inode();
    let gives_away = attr.ia_valid & (bindings::ATTR_UID | bindings::ATTR_GID) != 0;
    let _lock = inode.lock_exclusive();
    let mut change = || {
        // SAFETY: Everything is valid, and the inode is locked. Both callers saw to what is taken for granted.
        to_result(writing.note_delegated(|noted| unsafe {
            bindings::notify_change(writing.idmap_ptr(), dentry.as_ptr(), attr, noted)
        }))
    };
    if gives_away {
        c.within_quotas_of_caller(writing, inode, change)
    } else {
        change()
    }
}

/// A change of attributes that a user asked for.
///
/// # Invariants
///
/// It is what the VFS passed to `->setattr()`, during that call; owners in it are as the user sees them.
pub struct ChangeRequest<'a>(&'a mut bindings::iattr, Viewed<'a>);

impl<'a> ChangeRequest<'a> {
    /// # Safety
    ///
    /// See the type invariant.
    pub(crate) unsafe fn from_raw(attr: *mut bindings::iattr, viewed: Viewed<'a>) -> Self {
        // SAFETY: By the requirement nobody else uses it during the call.
        Self(unsafe { &mut *attr }, viewed)
    }

    /// Whether the current task may do that to `dentry`, and what else it entails (wraps
    /// `setattr_prepare()`).
    ///
    /// # Errors
    ///
    /// `EPERM`, `EFBIG`, `ETXTBSY`, …
    pub fn prepare<F: Ours>(self, dentry: VfsLocked<'_, F>) -> Result<PreparedChange<'a>> {
        let Self(attr, viewed) = self;
        // SAFETY: Everything is valid for the call, and the inode is locked.
        to_result(unsafe { bindings::setattr_prepare(viewed.as_ptr(), dentry.as_ptr(), attr) })?;
        if attr.ia_valid & (bindings::ATTR_UID | bindings::ATTR_GID) != 0 {
            // SAFETY: The members of the unions are one word. Of one that is not to be set nobody reads what is there.
            let said = unsafe {
                (
                    attr.__bindgen_anon_1.ia_vfsuid,
                    attr.__bindgen_anon_2.ia_vfsgid,
                )
            };
            let (uid, gid) = viewed.meant(dentry.inode(), said);
            attr.__bindgen_anon_1.ia_vfsuid = bindings::vfsuid_t { val: uid.val };
            attr.__bindgen_anon_2.ia_vfsgid = bindings::vfsgid_t { val: gid.val };
        }
        // INVARIANT: As was just done.
        Ok(PreparedChange(attr))
    }

    /// A change that takes the set-group-ID bit away, if there is one.
    pub fn with_lost_set_group_id<R>(
        viewed: Viewed<'_>,
        f: impl FnOnce(ChangeRequest<'_>) -> R,
    ) -> R {
        let mut attr = bindings::iattr {
            ia_valid: bindings::ATTR_KILL_SGID,
            ..pin_init::zeroed()
        };
        f(ChangeRequest(&mut attr, viewed))
    }
}

/// A change of attributes that may be done.
///
/// # Invariants
///
/// The same holds as for [`ChangeRequest`], but owners in it are those that the inode is to have: what the mount
/// of the user's maps
/// to what he said.
pub struct PreparedChange<'a>(&'a mut bindings::iattr);

impl PreparedChange<'_> {
    /// The new size in bytes, if the size is changed.
    pub fn new_size(&self) -> Option<u64> {
        (self.0.ia_valid & bindings::ATTR_SIZE != 0).then_some(self.0.ia_size.max(0) as u64)
    }

    /// Does it to the real object (wraps `notify_change()`, under the lock of the inode).
    ///
    /// # Errors
    ///
    /// `ETXTBSY`: the size of a program that runs. `EPERM`, `ENOSPC`, `EDQUOT`, `EIO`, …
    ///
    /// # Context
    ///
    /// May sleep; takes the lock of the real inode.
    pub fn apply(
        &mut self,
        c: &Override<'_>,
        writing: &WantWrite<'_>,
        dentry: &Positive<Foreign>,
    ) -> Result {
        let attr = &mut *self.0;
        if attr.ia_valid & (bindings::ATTR_KILL_SUID | bindings::ATTR_KILL_SGID) != 0 {
            // The real filesystem finds out by itself what is left of the mode.
            attr.ia_valid &= !bindings::ATTR_MODE;
        }
        writing.assert_covers(dentry);
        make_possible(attr, dentry.inode())?;
        // The open file is ours, and the real one was not opened with O_TRUNC.
        attr.ia_valid &= !(bindings::ATTR_FILE | bindings::ATTR_OPEN);
        let inode = dentry.inode();
        let _size = if attr.ia_valid & bindings::ATTR_SIZE != 0 {
            // SAFETY: The inode is valid.
            to_result(unsafe { bindings::vfs_helper_get_write_access(inode.as_ptr()) })?;
            Some(kernel::types::ScopeGuard::new(|| {
                // SAFETY: Write access was got above.
                unsafe { bindings::vfs_helper_put_write_access(inode.as_ptr()) }
            }))
        } else {
            None
        };
        lock_and_change(c, writing, dentry, attr)
    }
}
