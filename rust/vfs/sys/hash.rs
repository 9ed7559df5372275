// SPDX-License-Identifier: GPL-2.0-only

//! Hashing: of what users choose, so that they can't choose it to collide, and of what is compared with a hash that was
//! kept.
//!
//! It is not for cryptography.
//!
//! C header: [`include/linux/siphash.h`](srctree/include/linux/siphash.h)
//!
//! # Examples
//!
//! ```ignore
//! let hash = key.hash(name);
//! ```

use crate::sys::bindings;
use crate::sys::random::random;

/// A secret key of a hash table: whoever does not know it can't find keys of the table that have one
/// hash value.
pub struct HashKey(bindings::hsiphash_key_t);

impl HashKey {
    /// A key that nobody can foresee.
    pub fn random() -> Self {
        Self(bindings::hsiphash_key_t {
            key: [random() as usize, random() as usize],
        })
    }

    /// The hash value of some bytes (does what `hsiphash()` does): fit for a table that is dropped before
    /// long, and for nothing that must be kept secret.
    #[inline]
    pub fn hash(&self, bytes: &[u8]) -> u32 {
        // SAFETY: The bytes and the key are valid for the call, which reads no byte outside of them but
        // where the processor's fault is caught.
        unsafe { bindings::__hsiphash_unaligned(bytes.as_ptr().cast(), bytes.len(), &self.0) }
    }

    /// The hash value of a number (wraps `siphash_1u64()`): whoever sees it learns nothing of the number.
    pub fn hash_number(&self, number: u64) -> u64 {
        let [a, b] = self.0.key;
        let key = bindings::siphash_key_t {
            key: [a as u64, b as u64],
        };
        // SAFETY: The key is valid for the call.
        unsafe { bindings::siphash_1u64(number, &key) }
    }
}

/// The key of [`digest`]: the letters of its purpose, and never another.
const KEPT: bindings::siphash_key_t = bindings::siphash_key_t {
    key: [
        u64::from_le_bytes(*b"layerfs "),
        u64::from_le_bytes(*b"kept v1\0"),
    ],
};

/// Returns a hash of some bytes that is the same on every machine and at every time, and so can be kept and compared
/// (does what `siphash()` does, with a key that everybody knows). Two different things have one hash by chance once in
/// 2^64 times; who wants that can bring it about.
pub fn digest(bytes: &[u8]) -> u64 {
    // SAFETY: As in [`HashKey::hash`].
    unsafe { bindings::__siphash_unaligned(bytes.as_ptr().cast(), bytes.len(), &KEPT) }
}
