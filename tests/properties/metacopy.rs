// SPDX-License-Identifier: GPL-2.0-only

//! Metacopy marks.

use format::metacopy::{BadMetacopy, Metacopy, HEADER_LEN, MAX_LEN};

/// A value is what its bytes say, and is written again as it was where that is the short way.
pub fn metacopy(value: &[u8]) {
    let decoded = Metacopy::decode(value);
    let probed = Metacopy::probe(value.len());

    let expected = match value.len() {
        0 => Ok(()),
        n if n > MAX_LEN => Err(BadMetacopy::TooLong),
        n if n < HEADER_LEN => Err(BadMetacopy::TooShort),
        _ if value[0] != 0 => Err(BadMetacopy::Version),
        n if value[1] != n as u8 => Err(BadMetacopy::Length),
        _ => Ok(()),
    };
    assert_eq!(decoded.map(|_| ()), expected, "{value:?}");

    // What a lookup takes for no mark, nobody takes for one.
    match probed {
        Err(_) => assert!(decoded.is_err()),
        Ok(size) => assert_eq!(size, value.len().max(HEADER_LEN)),
    }
    let Ok(mark) = decoded else { return };
    if value.is_empty() {
        assert_eq!(mark, Metacopy::default());
    } else {
        assert_eq!([mark.flags, mark.digest_algo], value[2..4]);
        assert_eq!(mark.digest, &value[4..]);
    }
    assert_eq!(mark.expected_digest().is_some(), mark.digest_algo != 0);

    let mut buf = [0; MAX_LEN];
    let written = mark.encode(&mut buf).expect("what was read can be written");
    if mark.flags == 0 && mark.digest_algo == 0 {
        assert!(written.is_empty());
    } else {
        assert_eq!(written, value);
        let mut small = vec![0; value.len() - 1];
        assert_eq!(mark.encode(&mut small), Err(BadMetacopy::TooLong));
    }
}
