// SPDX-License-Identifier: GPL-2.0-only

//! Messages that somebody may cause at will, and that must not flood the log.
//!
//! C header: [`include/linux/ratelimit.h`](srctree/include/linux/ratelimit.h)

use crate::bindings;

/// Whether one more message may be printed now (ten in five seconds).
pub fn may_print() -> bool {
    // SAFETY: No requirement.
    unsafe { bindings::vfs_helper_ratelimit() }
}

/// `pr_warn!`, but not more than a few in a while.
///
/// # Examples
///
/// ```ignore
/// vfs::warn_limited!("'{}': the redirect is not valid: {}\n", dentry, why);
/// ```
#[macro_export]
macro_rules! warn_limited {
    ($($arg:tt)*) => {
        if $crate::log::may_print() {
            ::kernel::pr_warn!($($arg)*);
        }
    };
}
