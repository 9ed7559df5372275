// SPDX-License-Identifier: GPL-2.0-only

//! Messages that somebody may cause at will, with what somebody chose in them: they must not flood the log, nor
//! pass for others.
//!
//! It is not for messages to debug with ([`debug!`](crate::debug)), nor for what fails a mount, whose context has a
//! log of its own ([`fs_context`](crate::ops::fs_context)).
//!
//! C header: [`include/linux/ratelimit.h`](srctree/include/linux/ratelimit.h)
//!
//! # Examples
//!
//! ```ignore
//! vfs::warn_limited!("'{}': the redirect is not valid: {}\n", dentry, why);
//! ```

use crate::sys::bindings;
use kernel::fmt;

/// Whether one more message may be printed now (ten in five seconds).
pub fn may_print() -> bool {
    // SAFETY: No requirement.
    unsafe { bindings::vfs_helper_ratelimit() }
}

/// Writes a name so that it can't break a line of the log.
pub fn write_escaped(f: &mut fmt::Formatter<'_>, name: &[u8]) -> fmt::Result {
    for &b in name {
        if (0x20..0x7f).contains(&b) && b != b'\\' {
            fmt::Write::write_char(f, b as char)?;
        } else {
            write!(f, "\\x{b:02x}")?;
        }
    }
    Ok(())
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
        if $crate::sys::log::may_print() {
            ::kernel::pr_warn!($($arg)*);
        }
    };
}
