// SPDX-License-Identifier: GPL-2.0-only

//! Device numbers of what is on no device.
//!
//! It is not for the device number of a super block, which the VFS takes and gives back.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h) (`get_anon_bdev()`)
//!
//! # Examples
//!
//! ```ignore
//! let dev = AnonDev::new()?;
//! stat.set_dev(dev.dev());
//! ```

use crate::sys::bindings;
use crate::sys::errno::to_result;
use kernel::prelude::*;

/// A device number (`dev_t`).
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct Dev(pub(crate) u32);

impl Dev {
    /// 0/0: no device has it.
    pub const NONE: Self = Self(0);

    /// The number as `struct kstat` has it.
    #[inline]
    pub const fn as_raw(self) -> u32 {
        self.0
    }
}

/// A device number that stands for no device, for as long as it lives.
///
/// # Invariants
///
/// Allocated by `get_anon_bdev()`, and not freed yet.
pub struct AnonDev(u32);

impl AnonDev {
    /// Takes one (wraps `get_anon_bdev()`).
    ///
    /// # Errors
    ///
    /// `EMFILE`: all are taken. `ENOMEM`.
    pub fn new() -> Result<Self> {
        let mut dev = 0;
        // SAFETY: The number is ours to fill.
        to_result(unsafe { bindings::get_anon_bdev(&mut dev) })?;
        // INVARIANT: It was just allocated.
        Ok(Self(dev))
    }

    /// The number, as `stat(2)` shows it.
    #[inline]
    pub fn dev(&self) -> Dev {
        Dev(self.0)
    }
}

impl Drop for AnonDev {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::free_anon_bdev(self.0) };
    }
}
