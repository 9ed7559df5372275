// SPDX-License-Identifier: GPL-2.0-only

//! File handles of real objects, as `overlay.origin`, `overlay.upper` and index entries keep them.
//!
//! A header of 21 bytes (version, magic, length of all, flags, type of the handle, UUID of the filesystem)
//! and then the handle that the filesystem made (`struct ovl_fb`). What can't be understood is no error:
//! an object whose origin is unknown is merely one whose inode number can't be kept. An index entry is
//! named by the same bytes in hexadecimal. See "Sharing and copying layers" and "NFS export" in
//! `Documentation/filesystems/overlayfs.rst`.

#![forbid(unsafe_code)]

use crate::bytes::Writer;
use core::mem::offset_of;

/// The newest version there is.
pub const VERSION: u8 = 0;
/// The second byte of every handle.
pub const MAGIC: u8 = 0xfb;
/// Size of the header.
pub const HEADER_LEN: usize = 21;
/// The longest filesystem handle that the kernel makes (`MAX_HANDLE_SZ`).
pub const FID_MAX: usize = 128;
/// The longest handle that is written.
pub const MAX_LEN: usize = 149;
/// The longest name of an index entry.
pub const NAME_MAX: usize = 298;

const BIG_ENDIAN: u8 = 1;
const ANY_ENDIAN: u8 = 1 << 1;
const PATH_UPPER: u8 = 1 << 2;
const KNOWN: u8 = BIG_ENDIAN | ANY_ENDIAN | PATH_UPPER;

/// The byte order that the filesystem's part of a handle needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endian {
    /// Least significant byte first.
    Little,
    /// Most significant byte first.
    Big,
    /// It doesn't matter.
    Any,
}

impl Endian {
    /// The byte order of the machine this runs on.
    pub const NATIVE: Endian = if cfg!(target_endian = "big") {
        Endian::Big
    } else {
        Endian::Little
    };
}

/// A file handle and the filesystem it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverlayHandle<'a> {
    /// The byte order of `fid`.
    pub endian: Endian,
    /// Whether it is that of an object in upper.
    pub is_upper: bool,
    /// The kind of handle, as the filesystem counts them (`FILEID_*`).
    pub fid_type: u8,
    /// The filesystem's UUID; all zero with `uuid=off`.
    pub uuid: [u8; 16],
    /// The filesystem's own bytes.
    pub fid: &'a [u8],
}

/// Why there is no handle in a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadHandle {
    /// Empty: the object was copied up, and its origin couldn't be told.
    Empty,
    /// Made by something newer.
    NewerVersion,
    /// A flag that is not known.
    UnknownFlag,
    /// Made on a machine of the other byte order.
    OtherEndian,
    /// Shorter than the header, or than the header says.
    TooShort,
    /// Not a handle at all.
    BadMagic,
    /// The length in the header has no room for the header.
    BadLength,
    /// Longer than a handle can be, or than the buffer it was to be written to.
    TooLong,
    /// The name of an index entry isn't hexadecimal.
    NotHex,
}

impl BadHandle {
    /// Whether that is to be expected, and means "origin unknown" without a warning.
    pub fn is_unknown(self) -> bool {
        matches!(
            self,
            Self::Empty | Self::NewerVersion | Self::UnknownFlag | Self::OtherEndian
        )
    }

    /// The text for a log message.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Empty => "the origin is not known",
            Self::NewerVersion => "the file handle has a newer version",
            Self::UnknownFlag => "the file handle has an unknown flag",
            Self::OtherEndian => "the file handle was made with the other byte order",
            Self::TooShort => "the file handle is shorter than it says",
            Self::BadMagic => "the file handle does not begin like one",
            Self::BadLength => "the file handle says it is shorter than its header",
            Self::TooLong => "the file handle is too long",
            Self::NotHex => "the name of the index entry is not a file handle in hexadecimal",
        }
    }
}

impl<'a> OverlayHandle<'a> {
    /// Reads the value of `overlay.origin` or `overlay.upper` on this machine.
    pub fn decode(value: &'a [u8]) -> Result<OverlayHandle<'a>, BadHandle> {
        Self::decode_on(value, Endian::NATIVE)
    }

    /// Reads a value on a machine of the byte order `machine`.
    ///
    /// What follows the handle in the value is passed over. Overlayfs would go on with a length that
    /// has no room for the header; we call that invalid.
    pub fn decode_on(value: &'a [u8], machine: Endian) -> Result<OverlayHandle<'a>, BadHandle> {
        if value.is_empty() {
            return Err(BadHandle::Empty);
        }
        let (header, _) = value
            .split_first_chunk::<HEADER_LEN>()
            .ok_or(BadHandle::TooShort)?;
        let [version, magic, len, flags, fid_type, uuid @ ..] = header;
        let value = value.get(..usize::from(*len)).ok_or(BadHandle::TooShort)?;
        if *magic != MAGIC {
            return Err(BadHandle::BadMagic);
        }
        if *version > VERSION {
            return Err(BadHandle::NewerVersion);
        }
        if flags & !KNOWN != 0 {
            return Err(BadHandle::UnknownFlag);
        }
        let endian = match (flags & ANY_ENDIAN != 0, flags & BIG_ENDIAN != 0) {
            (true, _) => Endian::Any,
            (false, true) => Endian::Big,
            (false, false) => Endian::Little,
        };
        if endian != Endian::Any && machine != Endian::Any && endian != machine {
            return Err(BadHandle::OtherEndian);
        }
        let fid = value.get(HEADER_LEN..).ok_or(BadHandle::BadLength)?;
        Ok(OverlayHandle {
            endian,
            is_upper: flags & PATH_UPPER != 0,
            fid_type: *fid_type,
            uuid: *uuid,
            fid,
        })
    }

    /// Writes the value to store.
    pub fn encode(self, buf: &mut [u8]) -> Result<&[u8], BadHandle> {
        let len = HEADER_LEN
            .checked_add(self.fid.len())
            .filter(|len| *len <= MAX_LEN)
            .and_then(|len| u8::try_from(len).ok())
            .ok_or(BadHandle::TooLong)?;
        let order = match self.endian {
            Endian::Little => 0,
            Endian::Big => BIG_ENDIAN,
            Endian::Any => ANY_ENDIAN,
        };
        let flags = order | if self.is_upper { PATH_UPPER } else { 0 };
        let mut out = Writer::new(buf);
        out.push(&[VERSION, MAGIC, len, flags, self.fid_type])
            .and_then(|()| out.push(&self.uuid))
            .and_then(|()| out.push(self.fid))
            .ok_or(BadHandle::TooLong)?;
        Ok(out.finish())
    }
}

/// The name of the index entry of an encoded handle: two lower-case digits for each byte.
pub fn index_name<'b>(handle: &[u8], buf: &'b mut [u8]) -> Result<&'b [u8], BadHandle> {
    let digit = |nibble: u8| match nibble {
        0..=9 => nibble | b'0',
        _ => nibble.saturating_add(b'a'.saturating_sub(10)),
    };
    let mut out = Writer::new(buf);
    for byte in handle {
        out.push(&[digit(byte >> 4), digit(byte & 0xf)])
            .ok_or(BadHandle::TooLong)?;
    }
    Ok(out.finish())
}

/// The bytes of the handle that an index entry is named by; digits of either case are read.
///
/// Overlayfs passes over a last digit without a pair; no index entry has one, and we refuse it.
pub fn parse_index_name<'b>(name: &[u8], buf: &'b mut [u8]) -> Result<&'b [u8], BadHandle> {
    let value = |digit: u8| {
        char::from(digit)
            .to_digit(16)
            .and_then(|v| u8::try_from(v).ok())
    };
    let mut out = Writer::new(buf);
    for pair in name.chunks(2) {
        let [high, low] = *pair else {
            return Err(BadHandle::NotHex);
        };
        let (Some(high), Some(low)) = (value(high), value(low)) else {
            return Err(BadHandle::NotHex);
        };
        out.push(&[(high << 4) | low]).ok_or(BadHandle::TooLong)?;
    }
    Ok(out.finish())
}

/// A handle as it is on disk (`struct ovl_fb`). It is read and written byte by byte; this is its layout, for the checks.
#[allow(dead_code)]
#[repr(C)]
struct OnDisk {
    version: u8,
    magic: u8,
    len: u8,
    flags: u8,
    fid_type: u8,
    uuid: [u8; 16],
    fid: [u8; FID_MAX],
}

const _: () = {
    assert!(align_of::<OnDisk>() == 1);
    assert!(offset_of!(OnDisk, version) == 0);
    assert!(offset_of!(OnDisk, magic) == 1);
    assert!(offset_of!(OnDisk, len) == 2);
    assert!(offset_of!(OnDisk, flags) == 3);
    assert!(offset_of!(OnDisk, fid_type) == 4);
    assert!(offset_of!(OnDisk, uuid) == 5);
    assert!(offset_of!(OnDisk, fid) == HEADER_LEN);
    assert!(HEADER_LEN == 21);
    assert!(size_of::<OnDisk>() == MAX_LEN);
    // The length has one byte, and an index entry two digits for each byte.
    assert!(MAX_LEN <= u8::MAX as usize);
    assert!(NAME_MAX == 2 * MAX_LEN);
    assert!(VERSION == 0 && MAGIC == 0xfb);
    assert!(BIG_ENDIAN == 1 && ANY_ENDIAN == 2 && PATH_UPPER == 4 && KNOWN == 7);
};
