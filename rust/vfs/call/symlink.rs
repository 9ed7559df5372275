// SPDX-License-Identifier: GPL-2.0-only

//! The targets of symbolic links.
//!
//! A link may be *magic*: following it does not walk a text, but moves the path walk of the current task
//! to an object (`nd_jump_link()`: `/proc/PID/fd`, `/proc/PID/ns`, AppArmor's policy directory). Its
//! `->get_link` must not be called from anywhere but that walk, which it would find null, or, worse, be
//! another's. Such a link has a `->readlink` of its own, because `readlink(2)` is no path walk either. So
//! that is how it is told here: what has one is read by it, and never followed.
//!
//! It is not for walking paths: what a link leads to is looked up by [`path`](crate::object::path).
//!
//! C header: [`include/linux/delayed_call.h`](srctree/include/linux/delayed_call.h)
//!
//! # Examples
//!
//! ```ignore
//! let target = symlink::target_copy(c, dentry)?;
//! ```

use crate::object::dentry::Positive;
use crate::object::inode::Rights;
use crate::object::path::Path;
use crate::object::waited_for::about_to_ask;
use crate::object::Foreign;
use crate::sys::bindings;
use crate::sys::cred::Override;
use crate::sys::errno::from_err_ptr;
use crate::sys::errno::from_errno;
use crate::sys::errno::ELOOP;
use core::marker::PhantomData;
use kernel::ffi;
use kernel::prelude::*;
use kernel::str::CString;

/// The target of a symbolic link, and what to do when the path walk is through with it.
///
/// It can only be handed back to the VFS. A short one lies in the inode of the link, so it borrows what
/// keeps that.
///
/// # Invariants
///
/// A C string that is there for `'a`, until the delayed call was made.
pub struct Target<'a>(pub(crate) *const ffi::c_char, PhantomData<&'a ()>);

/// The place where the VFS wants to be told how to free the target (`struct delayed_call`).
pub struct Done<'a>(pub(crate) &'a mut bindings::delayed_call);

/// The memory of the task that asks, into which `readlink(2)` wants the text.
pub struct UserBuffer<'a> {
    ptr: *mut ffi::c_char,
    len: i32,
    _call: PhantomData<&'a mut ()>,
}

impl UserBuffer<'_> {
    /// For the time of a call that the VFS makes with these arguments. (User memory is not trusted: who
    /// writes to it checks where it is.)
    pub(crate) fn from_raw(ptr: *mut ffi::c_char, len: i32) -> Self {
        Self {
            ptr,
            len,
            _call: PhantomData,
        }
    }
}

/// Writes where the link at `path` points to the memory of the task that asks, and gives the length (wraps
/// `vfs_readlink()`). This is for magic links too: it asks their own `->readlink`.
///
/// # Errors
///
/// `EINVAL`: not a link. `EACCES`: the credentials in force may not read it. `EFAULT`. `ENOENT`, `EIO`, …
///
/// # Context
///
/// May sleep.
pub fn read_to_user(c: &Override<'_>, path: Path<'_>, buffer: UserBuffer<'_>) -> Result<i32> {
    let inode = path.dentry().inode();
    // The hook of readlink(2) is not exported; that of a permission check asks the security modules the
    // same.
    inode.permits(c, path.mount().idmap(), Rights::READ)?;
    // SAFETY: The dentry is valid. Whatever is called writes to user memory by checked means only.
    let len = unsafe { bindings::vfs_readlink(path.dentry().as_ptr(), buffer.ptr, buffer.len) };
    if len < 0 {
        return Err(from_errno(len.into()));
    }
    Ok(len)
}

/// The target of the link `dentry` (wraps `vfs_get_link()`).
///
/// # Errors
///
/// `ELOOP`: a magic link, which has no target that could be walked. `EINVAL`: not a link. `EIO`, …
///
/// # Context
///
/// May sleep.
pub fn target<'a>(
    _c: &Override<'_>,
    dentry: &'a Positive<Foreign>,
    done: &mut Done<'_>,
) -> Result<Target<'a>> {
    if dentry.inode().is_magic_link() {
        return Err(ELOOP);
    }
    about_to_ask(dentry.super_block());
    // SAFETY: The dentry is valid; what is left in `done` is run by the VFS after it used the target.
    // Its `->get_link` needs no path walk, or the link would have a `->readlink`.
    let target =
        from_err_ptr(unsafe { bindings::vfs_get_link(dentry.as_ptr(), done.0) }.cast_mut())?;
    // INVARIANT: The filesystem keeps it in the inode, which the dentry keeps, or has it freed by the
    // delayed call.
    Ok(Target(target, PhantomData))
}

/// A copy of where the link `dentry` points (wraps `vfs_get_link()`).
///
/// # Errors
///
/// The errors are those of [`target`]; `ENOMEM`.
///
/// # Context
///
/// May sleep.
pub fn target_copy(c: &Override<'_>, dentry: &Positive<Foreign>) -> Result<CString> {
    let mut done = bindings::delayed_call::default();
    let copy = target(c, dentry, &mut Done(&mut done))
        // SAFETY: On success it is a C string until the delayed call was made.
        .and_then(|target| Ok(CString::try_from(unsafe { CStr::from_char_ptr(target.0) })?));
    if let Some(free) = done.fn_ {
        // SAFETY: What the filesystem left there wants to be called once, with this.
        unsafe { free(done.arg) };
    }
    copy
}
