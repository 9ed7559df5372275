// SPDX-License-Identifier: GPL-2.0-only

//! Points at which a test can hold a task, so that a race has a window as wide as the test likes.
//!
//! They are there in `build/module-race/layerfs.ko` alone (`--cfg vfs_pause`, which `scripts/module --race`
//! asks for): in any other build both functions are empty, and nothing is left of their calls. What arms a
//! point and lets the task go again is the module parameter `pause_at` (`rust/helpers/pause.c`); tests use
//! `fstests/common/pause`.

use crate::inode::Access;
use kernel::prelude::*;

/// A task that comes here is held, if a test armed the point of this name (wraps nothing of the kernel's).
///
/// # Context
///
/// Sleeps. It must not be called in RCU-walk (see [`at_in_walk`]) nor with a spin lock held; in this variant a
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
    unsafe { crate::bindings::vfs_helper_pause(name.as_char_ptr()) };
}

/// A task that comes here is held, if a test armed the point of this name.
#[cfg(not(vfs_pause))]
#[inline(always)]
pub fn at(_name: &'static CStr) {}

/// As [`at`], where a path walk may come under RCU: if the point is armed, that walk is told to come again
/// with references.
///
/// # Errors
///
/// `ECHILD`: `access` forbids to sleep, and the point is armed.
///
/// # Context
///
/// Sleeps, unless `access` forbids it.
#[cfg(vfs_pause)]
pub fn at_in_walk(access: Access<'_>, name: &'static CStr) -> Result {
    if access.is_in_rcu_walk() {
        // SAFETY: The name is a string that ends with NUL; the function does not sleep.
        let armed = unsafe { crate::bindings::vfs_helper_pause_is_armed(name.as_char_ptr()) };
        return if armed { Err(ECHILD) } else { Ok(()) };
    }
    at(name);
    Ok(())
}

/// As [`at`], where a path walk may come under RCU.
///
/// # Errors
///
/// None in this build.
#[cfg(not(vfs_pause))]
#[inline(always)]
pub fn at_in_walk(_access: Access<'_>, _name: &'static CStr) -> Result {
    Ok(())
}
