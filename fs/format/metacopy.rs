// SPDX-License-Identifier: GPL-2.0-only

//! The metacopy mark: a regular file whose data is in a layer below.
//!
//! An empty `overlay.metacopy` says no more than that. Otherwise it is a header of four bytes (version,
//! length of the whole value, flags, digest algorithm) and the fs-verity digest that the data must have.
//! See "Metadata only copy up" and "fs-verity support" in `Documentation/filesystems/overlayfs.rst`
//! (`struct ovl_metacopy`).

#![forbid(unsafe_code)]

use crate::bytes::Writer;
use core::mem::offset_of;

/// The only version there is.
pub const VERSION: u8 = 0;
/// Size of the header, and so of the smallest value that isn't empty.
pub const HEADER_LEN: usize = 4;
/// The longest digest that fs-verity has (`FS_VERITY_MAX_DIGEST_SIZE`: SHA-512).
pub const DIGEST_MAX: usize = 64;
/// The longest value.
pub const MAX_LEN: usize = 68;

/// A metacopy mark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Metacopy<'a> {
    /// No flag is known; overlayfs reads none and keeps them.
    pub flags: u8,
    /// An `FS_VERITY_HASH_ALG_*` number; 0 when the data is not to be checked.
    pub digest_algo: u8,
    /// The digest that the data must have.
    pub digest: &'a [u8],
}

/// Why a value is no metacopy mark; the lookup or open answers `EIO`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadMetacopy {
    /// Not empty and shorter than the header.
    TooShort,
    /// Longer than the longest digest needs, or than the buffer it was to be written to.
    TooLong,
    /// Made by something newer.
    Version,
    /// The length in the header isn't the length of the value.
    Length,
}

impl BadMetacopy {
    /// The text for a log message.
    pub fn reason(self) -> &'static str {
        match self {
            Self::TooShort => "the metacopy xattr is shorter than its header",
            Self::TooLong => "the metacopy xattr is longer than any digest needs",
            Self::Version => "the metacopy xattr has an unknown version",
            Self::Length => "the metacopy xattr has not the length that its header says",
        }
    }
}

impl<'a> Metacopy<'a> {
    /// Reads the value of `overlay.metacopy`.
    pub fn decode(value: &'a [u8]) -> Result<Metacopy<'a>, BadMetacopy> {
        if value.is_empty() {
            return Ok(Metacopy::default());
        }
        if value.len() > MAX_LEN {
            return Err(BadMetacopy::TooLong);
        }
        let [version, len, flags, digest_algo, digest @ ..] = value else {
            return Err(BadMetacopy::TooShort);
        };
        if *version != VERSION {
            return Err(BadMetacopy::Version);
        }
        if usize::from(*len) != value.len() {
            return Err(BadMetacopy::Length);
        }
        Ok(Metacopy {
            flags: *flags,
            digest_algo: *digest_algo,
            digest,
        })
    }

    /// Checks what a lookup can check before anybody needs the digest: the length of the value.
    ///
    /// Gives the size that overlayfs accounts for the mark (an empty one counts as its header). As in
    /// overlayfs, a lookup doesn't read version and digest; whoever opens the data does.
    pub fn probe(value_len: usize) -> Result<usize, BadMetacopy> {
        match value_len {
            0 => Ok(HEADER_LEN),
            n if n < HEADER_LEN => Err(BadMetacopy::TooShort),
            n => Ok(n),
        }
    }

    /// The algorithm and digest that the data must have, if any.
    pub fn expected_digest(self) -> Option<(u8, &'a [u8])> {
        (self.digest_algo != 0).then_some((self.digest_algo, self.digest))
    }

    /// Writes the value to store; an empty one where there is no flag and no digest, as overlayfs does.
    pub fn encode(self, buf: &mut [u8]) -> Result<&[u8], BadMetacopy> {
        let mut out = Writer::new(buf);
        if self.flags != 0 || self.digest_algo != 0 {
            let len = HEADER_LEN
                .checked_add(self.digest.len())
                .filter(|len| *len <= MAX_LEN)
                .and_then(|len| u8::try_from(len).ok())
                .ok_or(BadMetacopy::TooLong)?;
            out.push(&[VERSION, len, self.flags, self.digest_algo])
                .ok_or(BadMetacopy::TooLong)?;
            out.push(self.digest).ok_or(BadMetacopy::TooLong)?;
        }
        Ok(out.finish())
    }
}

/// The value as it is on disk (`struct ovl_metacopy`). It is read and written byte by byte; this is its layout, for the
/// checks.
#[allow(dead_code)]
#[repr(C)]
struct OnDisk {
    version: u8,
    len: u8,
    flags: u8,
    digest_algo: u8,
    digest: [u8; DIGEST_MAX],
}

const _: () = {
    assert!(align_of::<OnDisk>() == 1);
    assert!(offset_of!(OnDisk, version) == 0);
    assert!(offset_of!(OnDisk, len) == 1);
    assert!(offset_of!(OnDisk, flags) == 2);
    assert!(offset_of!(OnDisk, digest_algo) == 3);
    assert!(offset_of!(OnDisk, digest) == HEADER_LEN);
    assert!(HEADER_LEN == 4);
    assert!(size_of::<OnDisk>() == MAX_LEN);
    // The length has one byte.
    assert!(MAX_LEN <= u8::MAX as usize);
    assert!(VERSION == 0);
};
