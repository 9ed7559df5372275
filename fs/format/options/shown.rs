// SPDX-License-Identifier: GPL-2.0-only

//! Values as they are shown, so that the same comes of them when they are given again: by `mount(2)`, within
//! a string of options, or by `fsconfig(2)`, one by one.

#![forbid(unsafe_code)]

use super::monolithic::unescaped;

/// The value of an option that takes escapes, as it is shown: as it was given, but for a comma that was not
/// escaped, which now is, and for a backslash at the end that nothing follows, which is left out.
pub fn shown(value: &[u8]) -> impl Iterator<Item = u8> + '_ {
    let mut escaped = false;
    let last = value.len().wrapping_sub(1);
    value.iter().enumerate().flat_map(move |(at, &byte)| {
        let adds = byte == b',' && !escaped;
        escaped = byte == b'\\' && !escaped;
        let stays = !(escaped && at == last);
        pair(adds, byte).take(if stays { 2 } else { 0 })
    })
}

/// A path as the value of an option that takes escapes: what means something there is escaped.
pub fn escaped(path: &[u8]) -> impl Iterator<Item = u8> + '_ {
    path.iter()
        .flat_map(|&byte| pair(matches!(byte, b'\\' | b',' | b':'), byte))
}

fn pair(escaped: bool, byte: u8) -> impl Iterator<Item = u8> {
    escaped.then_some(b'\\').into_iter().chain([byte])
}

/// Whether a value that is taken as it is, without escapes, is one value within a string of options.
pub fn is_whole(value: &[u8]) -> bool {
    // A backslash at the end would take the meaning from the comma that follows.
    unescaped(value, b',').is_none() && {
        let backslashes = value.iter().rev().take_while(|b| **b == b'\\').count();
        backslashes % 2 == 0
    }
}
