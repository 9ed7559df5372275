// SPDX-License-Identifier: GPL-2.0-only

//! Where symbolic links point.
//!
//! C header: [`include/linux/delayed_call.h`](srctree/include/linux/delayed_call.h)

use crate::bindings;
use crate::cred::Override;
use crate::dentry::Positive;
use crate::errno::from_err_ptr;
use crate::Foreign;
use kernel::ffi;
use kernel::prelude::*;
use kernel::str::CString;

/// The target of a symbolic link, and what to do when the path walk is through with it.
///
/// It can only be handed back to the VFS.
pub struct Target(pub(crate) *const ffi::c_char);

/// Where the VFS wants to be told how to free the target.
pub struct Done<'a>(pub(crate) &'a mut bindings::delayed_call);

/// The target of the link `dentry` (wraps `vfs_get_link()`).
///
/// # Errors
///
/// `EINVAL`: not a link. `EIO`, …
///
/// # Context
///
/// May sleep.
pub fn target(
    _c: &Override<'_>,
    dentry: &Positive<Foreign>,
    done: &mut Done<'_>,
) -> Result<Target> {
    // SAFETY: The dentry is valid; what is left in `done` is run by the VFS after it used the target.
    let target =
        from_err_ptr(unsafe { bindings::vfs_get_link(dentry.as_ptr(), done.0) }.cast_mut())?;
    Ok(Target(target))
}

/// A copy of where the link `dentry` points (wraps `vfs_get_link()`).
///
/// # Errors
///
/// As [`target`]; `ENOMEM`.
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
