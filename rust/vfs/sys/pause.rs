// SPDX-License-Identifier: GPL-2.0-only

//! Points at which a test can hold a task, so that a race has a window as wide as the test likes.
//!
//! They are there in `build/module-race/layerfs.ko` alone (`--cfg vfs_pause`, which `scripts/module --race`
//! asks for): in any other build the functions are empty, and nothing is left of their calls. What arms a
//! point and lets the task go again is the module parameter `pause_at` (`rust/helpers/pause.c`); tests use
//! `fstests/common/pause`.
//!
//! They are not for anything but tests, and may stand only where one may sleep.
//!
//! They wrap no C header.
//!
//! # Examples
//!
//! ```ignore
//! vfs::pause::at(c"copy_up_waits");
//! ```

use kernel::prelude::*;

/// A task that comes here is held, if a test armed the point of this name (wraps nothing of the kernel's).
///
/// # Context
///
/// Sleeps. It must not be called in RCU-walk (where [`Access::pause_at`](crate::object::inode::Access::pause_at) is for) nor with a spin lock held; in this variant a
/// warning in the kernel's log says so, and the task is not held.
///
/// # Examples
///
/// ```ignore
/// vfs::pause::at(c"rename_named");
/// ```
#[cfg(vfs_pause)]
pub fn at(name: &'static CStr) {
    // SAFETY: The name is a string that ends with NUL and stays. The function checks that it may sleep.
    unsafe { crate::sys::bindings::vfs_helper_pause(name.as_char_ptr()) };
}

/// A task that comes here is held, if a test armed the point of this name.
#[cfg(not(vfs_pause))]
#[inline(always)]
pub fn at(_name: &'static CStr) {}

/// Whether a test armed the point of this name: for who may not sleep, and so can't be held.
#[cfg(vfs_pause)]
pub(crate) fn is_armed(name: &'static CStr) -> bool {
    // SAFETY: The name is a string that ends with NUL; the function does not sleep.
    unsafe { crate::sys::bindings::vfs_helper_pause_is_armed(name.as_char_ptr()) }
}

/// Whether a test armed the point of this name.
#[cfg(not(vfs_pause))]
#[inline(always)]
pub(crate) fn is_armed(_name: &'static CStr) -> bool {
    false
}
