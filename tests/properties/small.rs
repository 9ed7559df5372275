// SPDX-License-Identifier: GPL-2.0-only

//! The small values: link counts, file flags, UUIDs, directory marks.

use format::nlink::{Base, Nlink};
use format::opaque::{is_impure, DirMark};
use format::protattr::Protattr;
use format::uuid;

/// Each small codec reads any value as its model does, and writes what it reads again.
pub fn small(value: &[u8]) {
    nlink(value);
    protattr(value);

    assert_eq!(
        uuid::decode(value).ok().map(Vec::from),
        (value.len() == 16).then(|| value.to_vec())
    );

    let mark = DirMark::decode(Some(value));
    assert_eq!(mark.encode().unwrap_or(value), value);
    assert_eq!(
        mark != DirMark::None,
        [&b"x"[..], b"y", b"z"].contains(&value)
    );
    assert_eq!(is_impure(Some(value)), value == b"y");
}

fn nlink(value: &[u8]) {
    let decoded = Nlink::decode(value).ok();
    assert_eq!(decoded, model_nlink(value), "{value:?}");
    let Some(nlink) = decoded else { return };
    let mut buf = [0; format::nlink::MAX_LEN];
    let written = nlink.encode(&mut buf);
    assert_eq!(Nlink::decode(written), Ok(nlink));
    for real in [0u32, 1, 2, 3, 1000, i32::MAX as u32, u32::MAX] {
        let sum = i64::from(real) + i64::from(nlink.diff);
        let expected = (1..=i64::from(i32::MAX))
            .contains(&sum)
            .then_some(sum as u32);
        let (upper, lower) = match nlink.base {
            Base::Upper => (real, 77),
            Base::Lower => (77, real),
        };
        assert_eq!(nlink.resolve(upper, lower).ok(), expected);
    }
}

/// Read by the standard library, which knows signs, digits and bounds.
fn model_nlink(value: &[u8]) -> Option<Nlink> {
    let text = std::str::from_utf8(value)
        .ok()
        .filter(|text| text.len() <= 12)?;
    let (base, text) = match text.strip_prefix('U') {
        Some(text) => (Base::Upper, text),
        None => (Base::Lower, text.strip_prefix('L')?),
    };
    if !text.starts_with(['+', '-']) {
        return None;
    }
    let diff = text.strip_suffix('\n').unwrap_or(text).parse().ok()?;
    Some(Nlink { base, diff })
}

fn protattr(value: &[u8]) {
    let good = (1..=32).contains(&value.len()) && value.iter().all(|b| b"ai".contains(b));
    let expected = good.then(|| Protattr {
        append: value.contains(&b'a'),
        immutable: value.contains(&b'i'),
    });
    let decoded = Protattr::decode(value).ok();
    assert_eq!(decoded, expected, "{value:?}");
    if let Some(written) = decoded.and_then(Protattr::encode) {
        assert_eq!(Protattr::decode(written).ok(), expected);
    }
}
