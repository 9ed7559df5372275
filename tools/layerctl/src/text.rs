// SPDX-License-Identifier: GPL-2.0-only

//! Names that may be any bytes, as text; and paths put together.

use std::fmt::Write as _;

/// Bytes as text: what is no printable UTF-8, and a backslash, as `\xNN`.
pub fn shown(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() || c == '\\' {
                let mut buffer = [0; 4];
                escape(&mut text, c.encode_utf8(&mut buffer).as_bytes());
            } else {
                text.push(c);
            }
        }
        escape(&mut text, chunk.invalid());
    }
    text
}

fn escape(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        // Writing to a string can't fail.
        let _ = write!(text, "\\x{byte:02x}");
    }
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Sixteen bytes as a UUID is written.
pub fn uuid(bytes: &[u8; 16]) -> String {
    let digits = hex(bytes);
    let part = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
    [
        part(0, 8),
        part(8, 12),
        part(12, 16),
        part(16, 20),
        part(20, 32),
    ]
    .join("-")
}

/// The path of a name in a directory; both are relative to a root whose path is empty.
pub fn join(parent: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = parent.to_vec();
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}

/// The names of a path, without empty ones and `.`; `None` if `..` is among them.
pub fn names(path: &[u8]) -> Option<Vec<&[u8]>> {
    let names: Vec<&[u8]> = path
        .split(|byte| *byte == b'/')
        .filter(|name| !name.is_empty() && *name != b".")
        .collect();
    (!names.contains(&b"..".as_slice())).then_some(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown() {
        assert_eq!(shown(b"a b\xff\\\n\xc3\xa4"), "a b\\xff\\x5c\\x0a\u{e4}");
        assert_eq!(uuid(&[0xab; 16]), "abababab-abab-abab-abab-abababababab");
        assert_eq!(join(b"", b"a"), b"a");
        assert_eq!(join(b"a", b"b"), b"a/b");
        assert_eq!(names(b"/a//./b/"), Some(vec![b"a".as_slice(), b"b"]));
        assert_eq!(names(b"a/../b"), None);
    }
}
