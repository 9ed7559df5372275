// SPDX-License-Identifier: GPL-2.0-only

//! Numbers that nobody can foresee.
//!
//! It is not for keys that are kept.
//!
//! C headers: [`include/linux/random.h`](srctree/include/linux/random.h),
//! [`include/linux/uuid.h`](srctree/include/linux/uuid.h)
//!
//! # Examples
//!
//! ```ignore
//! let uuid = new_uuid();
//! ```

use crate::sys::bindings;

/// A number that nobody can foresee (wraps `get_random_u64()`).
pub fn random() -> u64 {
    // SAFETY: No requirement.
    unsafe { bindings::get_random_u64() }
}

/// A UUID that nothing else has (wraps `uuid_gen()`).
pub fn new_uuid() -> [u8; 16] {
    let mut uuid = bindings::uuid_t::default();
    // SAFETY: It is ours to fill.
    unsafe { bindings::uuid_gen(&mut uuid) };
    uuid.b
}
