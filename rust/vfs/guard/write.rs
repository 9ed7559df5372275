// SPDX-License-Identifier: GPL-2.0-only

//! The right to write to a mount.
//!
//! Two things are needed: write access to the mount (it is not read-only and can't become so), and
//! protection against the filesystem being frozen. Copying data for long takes the first alone, so
//! that freezing need not wait; what changes the filesystem takes both.
//!
//! It is not a check whether a user may write, and it is not for objects of ours: the VFS holds the right to our own
//! mount.
//!
//! C headers: [`include/linux/mount.h`](srctree/include/linux/mount.h),
//! [`include/linux/fs/super.h`](srctree/include/linux/fs/super.h)
//!
//! # Examples
//!
//! ```ignore
//! mount.write(|writing| Change::mode(mode).apply(c, writing, dentry))
//! ```

use crate::guard::delegation::Delegated;
use crate::guard::delegation::Noted;
use crate::object::dentry::Dentry;
use crate::object::idmap::Idmap;
use crate::object::mount::Mount;
use crate::object::waited_for::WaitedFor;
use crate::object::Foreign;
use crate::sys::bindings;
use crate::sys::errno::to_result;
use core::cell::Cell;
use kernel::prelude::*;
use kernel::types::NotThreadSafe;

/// Write access to a mount.
///
/// # Invariants
///
/// - `mnt_get_write_access()` succeeded for it, and was not undone.
/// - `started` is the number of [`WantWrite`]s that were begun with it and have not ended; while it is not zero, this task
///   has called `sb_start_write()` once for all of them, and not undone it.
pub struct WriteAccess<'a> {
    mount: &'a Mount,
    /// A second `sb_start_write()` by the same task would wait for a task that freezes the filesystem, which waits for the
    /// end of the first.
    started: Cell<usize>,
    /// Notes what somebody (a client of nfsd) has a delegation of that kept an operation from being done.
    delegated: Delegated,
    _task: NotThreadSafe,
}

/// The filesystem of a mount is not frozen, and the mount not read-only, while this lives. What changes the filesystem
/// asks for a reference to it. A task that freezes the filesystem (`freeze_super()`) waits for its end: so no other
/// filesystem may be asked anything meanwhile, and a kernel with lockdep warns of that.
///
/// # Invariants
///
/// `sb_start_write()` was called by this task, and not undone, for it alone or for all that were begun with `access`, which
/// counts it; write access to the mount is held.
pub struct WantWrite<'a> {
    mount: &'a Mount,
    /// The access that it was begun with; `None`: it has its own.
    access: Option<&'a WriteAccess<'a>>,
    delegated: Delegated,
    _waited_for: WaitedFor,
    _task: NotThreadSafe,
}

impl Mount {
    /// Gets write access without protection against freezing (wraps `mnt_get_write_access()`).
    ///
    /// # Errors
    ///
    /// `EROFS`: the mount or its filesystem is read-only.
    pub fn write_access(&self) -> Result<WriteAccess<'_>> {
        // SAFETY: The mount is valid.
        to_result(unsafe { bindings::mnt_get_write_access(self.as_ptr()) })?;
        // INVARIANT: It succeeded, and nothing was begun with it.
        Ok(WriteAccess {
            mount: self,
            started: Cell::new(0),
            delegated: Delegated::default(),
            _task: NotThreadSafe,
        })
    }

    /// Begins to write (wraps `mnt_want_write()`).
    ///
    /// # Errors
    ///
    /// `EROFS`: the mount or its filesystem is read-only.
    ///
    /// # Context
    ///
    /// Sleeps while the filesystem is frozen.
    pub fn want_write(&self) -> Result<WantWrite<'_>> {
        // SAFETY: The mount is valid.
        to_result(unsafe { bindings::mnt_want_write(self.as_ptr()) })?;
        // INVARIANT: It succeeded, and does both.
        Ok(WantWrite {
            mount: self,
            access: None,
            delegated: Delegated::default(),
            _waited_for: WaitedFor::new(),
            _task: NotThreadSafe,
        })
    }

    /// Does `f` with the right to write ([`Mount::want_write`]). What is kept from being done because
    /// somebody has a delegation is begun again when he has given it back; the right to write is not held
    /// meanwhile.
    ///
    /// # Errors
    ///
    /// The errors are those of [`Mount::want_write`]; `ERESTARTSYS`: a signal came; what `f` fails with.
    ///
    /// # Context
    ///
    /// The context is that of [`Mount::want_write`].
    pub fn write<R>(&self, mut f: impl FnMut(&WantWrite<'_>) -> Result<R>) -> Result<R> {
        loop {
            let writing = self.want_write()?;
            let result = f(&writing);
            let delegated = writing.delegated.take();
            drop(writing);
            if !delegated.is_over(&result)? {
                return result;
            }
        }
    }

    /// Does the same as [`Mount::write`], with write access alone ([`Mount::write_access`]).
    ///
    /// # Errors
    ///
    /// The errors are those of [`Mount::write_access`]; `ERESTARTSYS`: a signal came; what `f` fails with.
    pub fn write_parts<R>(&self, mut f: impl FnMut(&WriteAccess<'_>) -> Result<R>) -> Result<R> {
        loop {
            let access = self.write_access()?;
            let result = f(&access);
            let delegated = access.delegated.take();
            drop(access);
            if !delegated.is_over(&result)? {
                return result;
            }
        }
    }

    /// Begins to write if that is possible now: `None` if the mount or its filesystem is read-only or
    /// frozen (wraps `mnt_get_write_access()` and `sb_start_write_trylock()`).
    ///
    /// # Context
    ///
    /// Does not wait for the filesystem to be thawed.
    pub fn try_write(&self) -> Option<WantWrite<'_>> {
        let access = self.write_access().ok()?;
        // SAFETY: The super block of a mount is valid.
        if !unsafe { bindings::vfs_helper_sb_start_write_trylock(self.super_block().as_ptr()) } {
            return None;
        }
        core::mem::forget(access);
        // INVARIANT: Both succeeded; the access of what was just forgotten goes to the result.
        Some(WantWrite {
            mount: self,
            access: None,
            delegated: Delegated::default(),
            _waited_for: WaitedFor::new(),
            _task: NotThreadSafe,
        })
    }
}

impl WriteAccess<'_> {
    /// Begins to write (wraps `sb_start_write()`). What is begun while something else that was begun with this access has
    /// not ended is a part of that.
    ///
    /// # Context
    ///
    /// Sleeps while the filesystem is frozen.
    pub fn start(&self) -> WantWrite<'_> {
        if self.started.get() == 0 {
            // SAFETY: The super block of a mount is valid.
            unsafe { bindings::vfs_helper_sb_start_write(self.mount.super_block().as_ptr()) };
        }
        // INVARIANT: It is counted, and `sb_start_write()` was called for it or for the first. Write access is held by
        // `self`, which is borrowed.
        self.started.set(self.started.get().saturating_add(1));
        WantWrite {
            mount: self.mount,
            access: Some(self),
            delegated: Delegated::default(),
            _waited_for: WaitedFor::new(),
            _task: NotThreadSafe,
        }
    }
}

impl Drop for WriteAccess<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::mnt_put_write_access(self.mount.as_ptr()) };
    }
}

impl WantWrite<'_> {
    /// Calls a function of the VFS that notes of what somebody has a delegation.
    #[inline]
    pub(crate) fn note_delegated<R>(&self, f: impl FnOnce(*mut Noted) -> R) -> R {
        self.delegated.note(f)
    }

    /// The mount that is written to.
    #[inline]
    pub fn mount(&self) -> &Mount {
        self.mount
    }

    /// Asserts that `dentry` is on the filesystem that is written to (only where the kernel has Rust's debug
    /// assertions).
    #[inline(always)]
    pub(crate) fn assert_covers(&self, dentry: &Dentry<Foreign>) {
        debug_assert!(
            core::ptr::eq(self.mount.super_block(), dentry.super_block()),
            "the right to write to another filesystem"
        );
    }

    /// How the mount that is written to maps ids.
    #[inline]
    pub(crate) fn idmap(&self) -> &Idmap {
        self.mount.idmap()
    }

    #[inline]
    pub(crate) fn idmap_ptr(&self) -> *mut bindings::mnt_idmap {
        self.mount.idmap().as_ptr()
    }
}

impl Drop for WantWrite<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe {
            match self.access {
                None => bindings::mnt_drop_write(self.mount.as_ptr()),
                Some(access) => {
                    access.delegated.note_from(&self.delegated);
                    access.started.set(access.started.get().saturating_sub(1));
                    if access.started.get() == 0 {
                        bindings::vfs_helper_sb_end_write(self.mount.super_block().as_ptr());
                    }
                }
            }
        }
    }
}
