// SPDX-License-Identifier: GPL-2.0-only

//! The one-byte values that directories are marked with: `overlay.opaque` and `overlay.impure`.
//!
//! See "whiteouts and opaque directories" in `Documentation/filesystems/overlayfs.rst`. The value `z`
//! is layerfs's own: an overlayfs that doesn't know it sees an ordinary merge directory.

#![forbid(unsafe_code)]

/// The meaning of `overlay.opaque` on a directory in a layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DirMark {
    /// No mark, or one that means nothing to us: merged with the directories below.
    #[default]
    None,
    /// `y`: no directory below it is seen.
    Opaque,
    /// `x`: some zero-size files in it may be whiteouts, so a listing must ask each one.
    HasWhiteouts,
    /// `z`: upper holds every name that is there, so a name it lacks needs no look below.
    Finalized,
}

impl DirMark {
    /// Reads the value of the xattr, `None` being "there is no such xattr".
    ///
    /// Exactly one byte counts: overlayfs reads it into a buffer of one, so that a longer value is
    /// the same as none.
    pub fn decode(value: Option<&[u8]>) -> DirMark {
        match value {
            Some(b"y") => Self::Opaque,
            Some(b"x") => Self::HasWhiteouts,
            Some(b"z") => Self::Finalized,
            _ => Self::None,
        }
    }

    /// The value to store; `None` where there is nothing to store.
    pub const fn encode(self) -> Option<&'static [u8]> {
        match self {
            Self::None => None,
            Self::Opaque => Some(b"y"),
            Self::HasWhiteouts => Some(b"x"),
            Self::Finalized => Some(b"z"),
        }
    }
}

/// The value of `overlay.impure` on a directory that has entries with an origin.
pub const IMPURE: &[u8] = b"y";

/// Whether the value of `overlay.impure` says that inode numbers in a directory need a lookup.
pub fn is_impure(value: Option<&[u8]>) -> bool {
    value == Some(IMPURE)
}

const _: () = {
    const fn is(mark: DirMark, letter: u8) -> bool {
        matches!(mark.encode(), Some([one]) if *one == letter)
    }
    // Exactly one byte: overlayfs reads no more.
    assert!(is(DirMark::Opaque, b'y') && is(DirMark::HasWhiteouts, b'x'));
    assert!(is(DirMark::Finalized, b'z'));
    assert!(DirMark::None.encode().is_none());
    assert!(matches!(IMPURE, b"y"));
};
