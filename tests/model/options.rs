// SPDX-License-Identifier: GPL-2.0-only

//! Option strings as lists of characters that know whether a backslash was before them.

use format::options::LowerdirError;

/// A character, and whether it was escaped.
type Char = (u8, bool);

/// Reads a text; a backslash that nothing follows is no character.
fn read(text: &[u8]) -> Vec<Char> {
    let mut chars = Vec::new();
    let mut escaped = false;
    for byte in text {
        if *byte == b'\\' && !escaped {
            escaped = true;
        } else {
            chars.push((*byte, escaped));
            escaped = false;
        }
    }
    chars
}

/// Without the escapes.
fn plain(chars: &[Char]) -> Vec<u8> {
    chars.iter().map(|(byte, _)| *byte).collect()
}

/// A text without its escapes.
pub fn unescape(text: &[u8]) -> Vec<u8> {
    plain(&read(text))
}

/// A text that [`unescape`] gives back as it was.
pub fn escape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for byte in text {
        if matches!(byte, b'\\' | b',' | b':') {
            out.push(b'\\');
        }
        out.push(*byte);
    }
    out
}

/// The options in a string: key and value without their escapes.
pub fn split_monolithic(data: &[u8]) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
    let data = data.split(|b| *b == 0).next().unwrap_or_default();
    let mut options = Vec::new();
    for option in read(data).split(|c| *c == (b',', false)) {
        // The first '=' ends the key whether or not it is escaped.
        let (key, value) = match option.iter().position(|(byte, _)| *byte == b'=') {
            Some(at) => (&option[..at], Some(plain(&option[at + 1..]))),
            None => (option, None),
        };
        // A backslash that nothing follows is no character, but it is no empty option either.
        options.push((plain(key), value));
    }
    options
}

/// Whether a text ends in a backslash that nothing follows.
fn dangling(text: &[u8]) -> bool {
    let backslashes = text.iter().rev().take_while(|byte| **byte == b'\\');
    backslashes.count() % 2 == 1
}

/// The layers in a list, each with its path without escapes and whether it is data-only; and what is
/// wrong after those, if anything is.
pub fn split_lowerdirs(value: &[u8]) -> (Vec<(Vec<u8>, bool)>, Option<LowerdirError>) {
    if value.is_empty() {
        return (Vec::new(), None);
    }
    let chars = read(value);
    let colon: Char = (b':', false);

    // Names, and the number of colons before each.
    let mut names: Vec<(usize, Vec<Char>)> = vec![(0, Vec::new())];
    let mut colons = 0;
    for char in chars {
        if char == colon {
            colons += 1;
            continue;
        }
        if colons > 0 {
            names.push((colons, Vec::new()));
            colons = 0;
        }
        names
            .last_mut()
            .expect("there is one from the beginning")
            .1
            .push(char);
    }
    let too_many_in_a_row = names.iter().any(|(colons, _)| *colons > 2) || colons > 2;
    if value[0] == b':' {
        return (Vec::new(), Some(LowerdirError::LeadingColon));
    }
    if too_many_in_a_row {
        return (Vec::new(), Some(LowerdirError::ThreeColons));
    }
    if dangling(value) {
        return (Vec::new(), Some(LowerdirError::TrailingBackslash));
    }
    if colons > 0 {
        return (Vec::new(), Some(LowerdirError::TrailingColon));
    }
    if names.len() > 500 {
        return (Vec::new(), Some(LowerdirError::TooMany));
    }
    let mut layers = Vec::new();
    for (colons, name) in names {
        let data = colons == 2;
        if !data && layers.iter().any(|(_, data)| *data) {
            return (layers, Some(LowerdirError::RegularAfterData));
        }
        layers.push((plain(&name), data));
    }
    (layers, None)
}
