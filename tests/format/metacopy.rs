// SPDX-License-Identifier: GPL-2.0-only

//! Metacopy marks.

use crate::{bytes, config};
use checks::properties;
use format::metacopy::{BadMetacopy, Metacopy, DIGEST_MAX, MAX_LEN};
use proptest::prelude::*;

#[test]
fn known_values_are_read() {
    assert_eq!(Metacopy::decode(b""), Ok(Metacopy::default()));
    let plain = Metacopy::decode(&[0, 4, 0, 0]).unwrap();
    assert_eq!(plain.expected_digest(), None);

    // A SHA-256 digest, as `verity=on` writes it.
    let mut value = vec![0, 36, 0, 1];
    value.extend(0..32);
    let digest: Vec<u8> = (0..32).collect();
    let mark = Metacopy::decode(&value).unwrap();
    assert_eq!(mark.expected_digest(), Some((1, digest.as_slice())));
    let mut buf = [0; MAX_LEN];
    assert_eq!(mark.encode(&mut buf), Ok(value.as_slice()));
    // A flag alone takes a header too, and nothing at all takes none.
    let mut mark = Metacopy {
        flags: 1,
        digest_algo: 0,
        digest: &[],
    };
    assert_eq!(mark.encode(&mut buf), Ok([0, 4, 1, 0].as_slice()));
    mark.flags = 0;
    assert_eq!(mark.encode(&mut buf), Ok([].as_slice()));
}

#[test]
fn what_is_no_mark_is_told_by_name() {
    let table: &[(&[u8], BadMetacopy)] = &[
        (&[0], BadMetacopy::TooShort),
        (&[0, 3, 0], BadMetacopy::TooShort),
        (&[1, 4, 0, 0], BadMetacopy::Version),
        (&[0, 5, 0, 0], BadMetacopy::Length),
        (&[0, 0, 0, 0], BadMetacopy::Length),
        (&[0, 4, 0, 1, 9], BadMetacopy::Length),
        (&[0; MAX_LEN + 1], BadMetacopy::TooLong),
    ];
    for (value, expected) in table {
        assert_eq!(Metacopy::decode(value), Err(*expected), "{value:?}");
        assert!(!expected.reason().is_empty());
    }
    let digest = [7; DIGEST_MAX + 1];
    let long = Metacopy {
        flags: 0,
        digest_algo: 2,
        digest: &digest,
    };
    assert_eq!(long.encode(&mut [0; 200]), Err(BadMetacopy::TooLong));
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_mark_is_read_as_it_was_written(
        flags: u8,
        digest_algo: u8,
        digest in prop::collection::vec(any::<u8>(), 0..=DIGEST_MAX),
    ) {
        let mark = Metacopy { flags, digest_algo, digest: &digest };
        let mut buf = [0; MAX_LEN];
        let written = mark.encode(&mut buf).unwrap();
        let read = Metacopy::decode(written).unwrap();
        if flags == 0 && digest_algo == 0 {
            prop_assert_eq!(read, Metacopy::default());
        } else {
            prop_assert_eq!(read, mark);
        }
        properties::metacopy(written);
    }

    #[test]
    fn a_good_header_is_read_whatever_follows(flags: u8, algo: u8, mut rest in bytes()) {
        let len = (rest.len() + 4).min(255) as u8;
        rest.splice(0..0, [0, len, flags, algo]);
        properties::metacopy(&rest);
    }

    #[test]
    fn any_bytes_are_safe(value in bytes()) {
        properties::metacopy(&value);
    }
}
