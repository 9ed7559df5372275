// SPDX-License-Identifier: GPL-2.0-only

//! `overlay.finalized`: over which lower directories a directory was finalized.
//!
//! It is kept beside the mark `z` ([`crate::opaque`]), which holds only over those: names that other
//! lower directories have may be missing in the marked one. Both are layerfs's own; overlayfs
//! neither reads nor removes them.

#![forbid(unsafe_code)]

/// The length of the value, in bytes.
pub const LEN: usize = 16;

/// The version that is written, and the only one that is read.
const VERSION: u8 = 1;

/// What tells the lower directories that a directory is merged with from all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// The number of lower directories.
    pub places: u32,
    /// A hash of what each of them is and when its names last changed ([`Place`]), topmost first.
    pub digest: u64,
}

impl Fingerprint {
    /// Reads the value of the attribute; `None` if it is none that this version knows.
    pub fn decode(value: &[u8]) -> Option<Fingerprint> {
        let value: &[u8; LEN] = value.try_into().ok()?;
        let [VERSION, 0, 0, 0, p0, p1, p2, p3, digest @ ..] = *value else {
            return None;
        };
        Some(Fingerprint {
            places: u32::from_le_bytes([p0, p1, p2, p3]),
            digest: u64::from_le_bytes(digest),
        })
    }

    /// The value to store.
    pub fn encode(self) -> [u8; LEN] {
        let [p0, p1, p2, p3] = self.places.to_le_bytes();
        let [d0, d1, d2, d3, d4, d5, d6, d7] = self.digest.to_le_bytes();
        [
            VERSION, 0, 0, 0, p0, p1, p2, p3, d0, d1, d2, d3, d4, d5, d6, d7,
        ]
    }
}

/// The part of a lower directory in the digest that has a fixed length: it comes before its handle
/// ([`crate::handle`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The time at which a name was last added to it or removed from it (`st_mtime`): seconds.
    pub seconds: i64,
    /// The nanoseconds beside the seconds.
    pub nanoseconds: u32,
    /// The length of the handle that follows, in bytes.
    pub handle_len: u32,
}

impl Place {
    /// The length in bytes.
    pub const LEN: usize = 16;

    /// The bytes that are hashed.
    pub fn encode(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        let (seconds, rest) = bytes.split_at_mut(8);
        let (nanoseconds, len) = rest.split_at_mut(4);
        seconds.copy_from_slice(&self.seconds.to_le_bytes());
        nanoseconds.copy_from_slice(&self.nanoseconds.to_le_bytes());
        len.copy_from_slice(&self.handle_len.to_le_bytes());
        bytes
    }
}

const _: () = {
    assert!(core::mem::size_of::<u32>() * 2 + core::mem::size_of::<u64>() == LEN);
    assert!(core::mem::size_of::<i64>() + core::mem::size_of::<u32>() * 2 == Place::LEN);
};
