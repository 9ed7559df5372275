// SPDX-License-Identifier: GPL-2.0-only

//! The protecting file flags of an upper inode, kept in an xattr.
//!
//! A file that is append-only or immutable in the mount must not be so in upper, where it has to be
//! renamed and changed. `overlay.protattr` keeps the flags as letters: `a` append-only, `i` immutable.
//! (`ovl_check_protattr`, `ovl_set_protattr` in `fs/overlayfs/util.c`.)

#![forbid(unsafe_code)]

/// The longest value that is read.
pub const MAX_LEN: usize = 32;

/// The flags kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Protattr {
    /// `FS_APPEND_FL`.
    pub append: bool,
    /// `FS_IMMUTABLE_FL`.
    pub immutable: bool,
}

/// Why a value is no set of flags; none is then set, with a warning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadProtattr {
    /// Nothing in it.
    Empty,
    /// Longer than any; overlayfs passes over it without a warning.
    TooLong,
    /// A letter that is not known.
    UnknownFlag,
}

impl BadProtattr {
    /// The text for a log message.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Empty => "the protattr xattr is empty",
            Self::TooLong => "the protattr xattr is too long",
            Self::UnknownFlag => "the protattr xattr has a flag that is neither 'a' nor 'i'",
        }
    }
}

impl Protattr {
    /// Reads the value of `overlay.protattr`; a letter may be there more than once.
    pub fn decode(value: &[u8]) -> Result<Protattr, BadProtattr> {
        if value.is_empty() {
            return Err(BadProtattr::Empty);
        }
        if value.len() > MAX_LEN {
            return Err(BadProtattr::TooLong);
        }
        let mut flags = Protattr::default();
        for letter in value {
            match letter {
                b'a' => flags.append = true,
                b'i' => flags.immutable = true,
                _ => return Err(BadProtattr::UnknownFlag),
            }
        }
        Ok(flags)
    }

    /// The value to store; `None` where the xattr is to be removed.
    pub const fn encode(self) -> Option<&'static [u8]> {
        match (self.append, self.immutable) {
            (false, false) => None,
            (true, false) => Some(b"a"),
            (false, true) => Some(b"i"),
            (true, true) => Some(b"ai"),
        }
    }
}

const _: () = {
    const fn encoded_len(append: bool, immutable: bool) -> usize {
        match (Protattr { append, immutable }).encode() {
            Some(letters) => letters.len(),
            None => 0,
        }
    }
    // One letter for each flag, and nothing where there is none.
    assert!(encoded_len(false, false) == 0);
    assert!(encoded_len(true, false) == 1 && encoded_len(false, true) == 1);
    assert!(encoded_len(true, true) == 2);
    assert!(MAX_LEN == 32);
};
