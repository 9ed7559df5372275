// SPDX-License-Identifier: GPL-2.0-only

//! The UUID of a stack: sixteen bytes in `overlay.uuid` on the root of upper.
//!
//! See "UUID and fsid" in `Documentation/filesystems/overlayfs.rst`.

#![forbid(unsafe_code)]

/// Length of the value.
pub const LEN: usize = 16;

/// Why a value is no UUID; the mount goes on as with `uuid=null`, with a warning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadUuid {
    /// Not sixteen bytes.
    Length,
}

impl BadUuid {
    /// The text for a log message.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Length => "the uuid xattr has not 16 bytes",
        }
    }
}

/// Reads the value of `overlay.uuid`. To store one, its bytes are the value.
pub fn decode(value: &[u8]) -> Result<[u8; LEN], BadUuid> {
    <[u8; LEN]>::try_from(value).map_err(|_| BadUuid::Length)
}

const _: () = {
    // The value is the UUID and nothing else.
    assert!(LEN == 16);
    assert!(size_of::<[u8; LEN]>() == LEN);
};
