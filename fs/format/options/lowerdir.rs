// SPDX-License-Identifier: GPL-2.0-only

//! The list of lower layers that the option `lowerdir` takes.
//!
//! `:` separates layers, topmost first, and `::` begins a data-only one; a backslash takes the meaning
//! from the character after it. See "Multiple lower layers" and "Data-only lower layers" in
//! `Documentation/filesystems/overlayfs.rst` (`ovl_parse_param_lowerdir` in `fs/overlayfs/params.c`).

#![forbid(unsafe_code)]

use super::monolithic::unescaped;
use crate::bytes::Writer;
use core::ffi::CStr;

/// How many lower layers a mount may have, data-only ones included (`OVL_MAX_STACK`).
pub const MAX_LAYERS: usize = 500;

/// One layer of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LowerItem<'a> {
    /// Its path, still escaped; see [`unescape`].
    pub path: &'a [u8],
    /// Whether it gives only data, to metacopy files of the layers above.
    pub data: bool,
}

/// A mistake in a list of layers; the option answers `EINVAL`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LowerdirError {
    /// A colon at the beginning.
    LeadingColon,
    /// A colon at the end.
    TrailingColon,
    /// More than two colons in a row.
    ThreeColons,
    /// More than [`MAX_LAYERS`].
    TooMany,
    /// A layer after `:` when one after `::` came before it.
    RegularAfterData,
    /// A backslash at the end, which has no character to take the meaning from.
    TrailingBackslash,
}

impl LowerdirError {
    /// The text for a log message.
    pub fn reason(self) -> &'static str {
        match self {
            Self::LeadingColon => {
                "lowerdir begins with a colon: name a layer before it, or use lowerdir+ to add one"
            }
            Self::TrailingColon => {
                "lowerdir ends in a colon: remove it, or write '\\:' if it belongs to the name"
            }
            Self::ThreeColons => {
                "lowerdir has three colons in a row: ':' separates layers and '::' begins a data-only one"
            }
            Self::TooMany => "lowerdir names more than 500 layers",
            Self::RegularAfterData => {
                "lowerdir names a regular layer after a data-only one: data-only layers come last"
            }
            Self::TrailingBackslash => {
                "lowerdir ends in a backslash: remove it, or write '\\\\' if it belongs to the name"
            }
        }
    }
}

/// The layers of a list; see [`split_lowerdirs`].
#[derive(Clone, Copy, Debug)]
pub struct Lowerdirs<'a> {
    rest: Option<&'a [u8]>,
    wrong: Option<LowerdirError>,
    /// Whether the next layer is data-only, and whether one was before it.
    data: bool,
    seen_data: bool,
    layers: usize,
}

/// Cuts the value of `lowerdir` into layers, topmost first.
///
/// A mistake in the shape of the list comes as the only item, before any layer. A regular layer
/// after a data-only one comes as an error in its place, and ends the list. An empty value is a list of
/// none: it takes back the layers that were given before.
pub fn split_lowerdirs(value: &[u8]) -> Lowerdirs<'_> {
    let mut list = Lowerdirs {
        rest: Some(value),
        wrong: None,
        data: false,
        seen_data: false,
        layers: 0,
    };
    if value.is_empty() {
        list.rest = None;
        return list;
    }
    match count(value) {
        Ok(layers) => list.layers = layers,
        Err(wrong) => list.wrong = Some(wrong),
    }
    list
}

impl Lowerdirs<'_> {
    /// How many layers the list names; 0 where its shape is wrong.
    pub fn layers(&self) -> usize {
        self.layers
    }
}

/// How many layers a list of the right shape has.
fn count(value: &[u8]) -> Result<usize, LowerdirError> {
    if value.starts_with(b":") {
        return Err(LowerdirError::LeadingColon);
    }
    let mut layers = 1usize;
    let mut colons = 0u32;
    let mut bytes = value.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b':' => {
                let more = bytes.peek() == Some(&b':');
                colons = colons.saturating_add(1);
                if colons == 2 && more {
                    return Err(LowerdirError::ThreeColons);
                }
                if !more {
                    layers = layers.saturating_add(1);
                }
            }
            b'\\' if bytes.next().is_none() => return Err(LowerdirError::TrailingBackslash),
            _ => colons = 0,
        }
    }
    if colons > 0 {
        return Err(LowerdirError::TrailingColon);
    }
    if layers > MAX_LAYERS {
        return Err(LowerdirError::TooMany);
    }
    Ok(layers)
}

impl<'a> Iterator for Lowerdirs<'a> {
    type Item = Result<LowerItem<'a>, LowerdirError>;

    fn next(&mut self) -> Option<Self::Item> {
        let text = self.rest?;
        if let Some(wrong) = self.wrong {
            self.rest = None;
            return Some(Err(wrong));
        }
        let end = unescaped(text, b':').unwrap_or(text.len());
        let (path, rest) = text.split_at_checked(end)?;
        let item = LowerItem {
            path,
            data: self.data,
        };

        if self.seen_data && !self.data {
            self.rest = None;
            return Some(Err(LowerdirError::RegularAfterData));
        }
        self.seen_data |= self.data;
        (self.data, self.rest) = match rest.strip_prefix(b"::") {
            Some(next) => (true, Some(next)),
            None => (false, rest.strip_prefix(b":")),
        };
        Some(Ok(item))
    }
}

/// Why an item is no path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadPath {
    /// Longer than the buffer; `ENAMETOOLONG`.
    TooLong,
    /// A NUL byte in it; `EINVAL`.
    NulByte,
}

impl BadPath {
    /// The text for a log message.
    pub fn reason(self) -> &'static str {
        match self {
            Self::TooLong => "the path of a layer is too long",
            Self::NulByte => "the path of a layer has a NUL byte in it",
        }
    }
}

/// Takes the backslashes out of an item: each gives way to the character after it.
///
/// A backslash that nothing follows goes too.
pub fn unescape<'b>(path: &[u8], out: &'b mut [u8]) -> Result<&'b [u8], BadPath> {
    let mut out = Writer::new(out);
    let mut bytes = path.iter().copied();
    while let Some(mut byte) = bytes.next() {
        if byte == b'\\' {
            match bytes.next() {
                Some(next) => byte = next,
                None => break,
            }
        }
        if byte == 0 {
            return Err(BadPath::NulByte);
        }
        out.push(&[byte]).ok_or(BadPath::TooLong)?;
    }
    Ok(out.finish())
}

/// Like [`unescape`], with a NUL byte at the end for calls that want one.
pub fn unescape_cstr<'b>(path: &[u8], out: &'b mut [u8]) -> Result<&'b CStr, BadPath> {
    let len = unescape(path, out)?.len();
    *out.get_mut(len).ok_or(BadPath::TooLong)? = 0;
    let text = out.get(..=len).ok_or(BadPath::TooLong)?;
    CStr::from_bytes_with_nul(text).map_err(|_| BadPath::NulByte)
}
