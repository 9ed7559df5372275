// SPDX-License-Identifier: GPL-2.0-only

//! Where symbolic links point.
//!
//! C header: [`include/linux/delayed_call.h`](srctree/include/linux/delayed_call.h)

use crate::bindings;
use crate::cred::Override;
use crate::dentry::Positive;
use crate::Foreign;
use kernel::error::from_err_ptr;
use kernel::ffi;
use kernel::prelude::*;

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
    let target = from_err_ptr(unsafe { bindings::vfs_get_link(dentry.as_ptr(), done.0) }.cast_mut())?;
    Ok(Target(target))
}
