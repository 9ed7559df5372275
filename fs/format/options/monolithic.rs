// SPDX-License-Identifier: GPL-2.0-only

//! Cutting the one string that `mount(2)` brings into options.
//!
//! Commas separate; a backslash takes the meaning from the character after it, and stays in the text
//! for whoever reads the value ([`super::unescape`]). (`ovl_next_opt` in `fs/overlayfs/params.c`,
//! `vfs_parse_monolithic_sep` in `fs/fs_context.c`.)

#![forbid(unsafe_code)]

/// One option as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawOption<'a> {
    /// The part before the first `=`; it is never empty.
    pub key: &'a [u8],
    /// The part after the `=`, which is still escaped; `None` where there is no `=`.
    pub value: Option<&'a [u8]>,
}

/// The options of a string; see [`split_monolithic`].
#[derive(Clone, Copy, Debug)]
pub struct Monolithic<'a> {
    rest: Option<&'a [u8]>,
}

/// Cuts the data of `mount(2)` into options; it ends at its first NUL byte, if there is one.
///
/// Nothing between two commas, and an option that begins with `=`, are passed over.
pub fn split_monolithic(data: &[u8]) -> Monolithic<'_> {
    Monolithic {
        rest: data.split(|b| *b == 0).next(),
    }
}

impl<'a> Iterator for Monolithic<'a> {
    type Item = RawOption<'a>;

    fn next(&mut self) -> Option<RawOption<'a>> {
        loop {
            let text = self.rest?;
            let end = option_end(text).unwrap_or(text.len());
            let (option, rest) = text.split_at_checked(end)?;
            self.rest = rest.strip_prefix(b",");

            let mut halves = option.splitn(2, |b| *b == b'=');
            let key = halves.next().unwrap_or_default();
            if !key.is_empty() {
                return Some(RawOption {
                    key,
                    value: halves.next(),
                });
            }
        }
    }
}

/// Gives where the first option of a string ends, if another follows: at a comma that is not escaped.
pub fn option_end(options: &[u8]) -> Option<usize> {
    unescaped(options, b',')
}

/// Gives where `wanted` first is without a backslash before it.
pub(super) fn unescaped(text: &[u8], wanted: u8) -> Option<usize> {
    let mut escaped = false;
    text.iter().position(|byte| {
        let here = !escaped && *byte == wanted;
        escaped = !escaped && *byte == b'\\';
        here
    })
}
