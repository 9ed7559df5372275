// SPDX-License-Identifier: GPL-2.0-only

//! The right to write to a mount.
//!
//! Two things are needed: write access to the mount (it is not read-only and can't become so), and
//! protection against the filesystem being frozen. Copying data for long takes the first alone, so
//! that freezing need not wait; what changes the filesystem takes both.
//!
//! C headers: [`include/linux/mount.h`](srctree/include/linux/mount.h),
//! [`include/linux/fs/super.h`](srctree/include/linux/fs/super.h)

use crate::bindings;
use crate::dentry::Dentry;
use crate::errno::to_result;
use crate::mount::Mount;
use crate::waited_for::WaitedFor;
use crate::Foreign;
use kernel::prelude::*;
use kernel::types::NotThreadSafe;

/// Write access to a mount.
///
/// # Invariants
///
/// `mnt_get_write_access()` succeeded for it, and was not undone.
pub struct WriteAccess<'a>(&'a Mount);

/// The filesystem of a mount is not frozen, and the mount not read-only, while this lives. What
/// changes the filesystem asks for a reference to it. Whoever freezes the filesystem waits for its end: so no other
/// filesystem may be asked anything meanwhile, and a kernel with lockdep warns of that.
///
/// # Invariants
///
/// `sb_start_write()` was called by this task, and not undone; write access to the mount is held.
pub struct Writing<'a> {
    mount: &'a Mount,
    owns_access: bool,
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
        // INVARIANT: It succeeded.
        Ok(WriteAccess(self))
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
    pub fn want_write(&self) -> Result<Writing<'_>> {
        // SAFETY: The mount is valid.
        to_result(unsafe { bindings::mnt_want_write(self.as_ptr()) })?;
        // INVARIANT: It succeeded, and does both.
        Ok(Writing {
            mount: self,
            owns_access: true,
            _waited_for: WaitedFor::new(),
            _task: NotThreadSafe,
        })
    }

    /// Begins to write if that is possible now: `None` if the mount or its filesystem is read-only or
    /// frozen (wraps `mnt_get_write_access()` and `sb_start_write_trylock()`).
    ///
    /// # Context
    ///
    /// Does not wait for the filesystem to be thawed.
    pub fn try_write(&self) -> Option<Writing<'_>> {
        let access = self.write_access().ok()?;
        // SAFETY: The super block of a mount is valid.
        if !unsafe { bindings::vfs_helper_sb_start_write_trylock(self.super_block().as_ptr()) } {
            return None;
        }
        core::mem::forget(access);
        // INVARIANT: Both succeeded; the access of what was just forgotten goes to the result.
        Some(Writing {
            mount: self,
            owns_access: true,
            _waited_for: WaitedFor::new(),
            _task: NotThreadSafe,
        })
    }
}

impl WriteAccess<'_> {
    /// Begins to write (wraps `sb_start_write()`).
    ///
    /// # Context
    ///
    /// Sleeps while the filesystem is frozen.
    pub fn start(&self) -> Writing<'_> {
        // SAFETY: The super block of a mount is valid.
        unsafe { bindings::vfs_helper_sb_start_write(self.0.super_block().as_ptr()) };
        // INVARIANT: Write access is held by `self`, which is borrowed.
        Writing {
            mount: self.0,
            owns_access: false,
            _waited_for: WaitedFor::new(),
            _task: NotThreadSafe,
        }
    }
}

impl Drop for WriteAccess<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::mnt_put_write_access(self.0.as_ptr()) };
    }
}

impl Writing<'_> {
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

    #[inline]
    pub(crate) fn idmap_ptr(&self) -> *mut bindings::mnt_idmap {
        self.mount.idmap().as_ptr()
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe {
            if self.owns_access {
                bindings::mnt_drop_write(self.mount.as_ptr());
            } else {
                bindings::vfs_helper_sb_end_write(self.mount.super_block().as_ptr());
            }
        }
    }
}
