// SPDX-License-Identifier: GPL-2.0-only

//! File handles.

use crate::{bytes, config};
use checks::properties;
use format::handle::{
    index_name, parse_index_name, BadHandle, Endian, OverlayHandle, FID_MAX, MAX_LEN, NAME_MAX,
};
use proptest::prelude::*;

/// As it is found on an x86 machine: a handle of type 1 with eight bytes, and a UUID.
const KNOWN: &[u8] = &[
    0x00, 0xfb, 0x1d, 0x00, 0x01, 0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa,
    0xab, 0xac, 0xad, 0xae, 0xaf, 0x83, 0x00, 0x00, 0x00, 0x2f, 0x1e, 0x0d, 0x0c,
];

fn known_with(at: usize, byte: u8) -> Vec<u8> {
    let mut value = KNOWN.to_vec();
    value[at] = byte;
    value
}

#[test]
fn a_known_value_is_read_and_written() {
    let handle = OverlayHandle::decode_on(KNOWN, Endian::Little).unwrap();
    let expected = OverlayHandle {
        endian: Endian::Little,
        is_upper: false,
        fid_type: 1,
        uuid: *b"\xa0\xa1\xa2\xa3\xa4\xa5\xa6\xa7\xa8\xa9\xaa\xab\xac\xad\xae\xaf",
        fid: &KNOWN[21..],
    };
    assert_eq!(handle, expected);
    let mut buf = [0; MAX_LEN];
    assert_eq!(handle.encode(&mut buf), Ok(KNOWN));

    let mut name = [0; NAME_MAX];
    let name = index_name(KNOWN, &mut name).unwrap();
    assert_eq!(
        name,
        b"00fb1d0001a0a1a2a3a4a5a6a7a8a9aaabacadaeaf830000002f1e0d0c"
    );
    assert_eq!(parse_index_name(name, &mut buf), Ok(KNOWN));
}

#[test]
fn what_can_not_be_used_is_told_by_name() {
    let mut longer = KNOWN.to_vec();
    longer.extend(*b"rubbish");
    assert_eq!(
        OverlayHandle::decode_on(&longer, Endian::Little)
            .unwrap()
            .fid,
        &KNOWN[21..]
    );

    let table: &[(&[u8], BadHandle, bool)] = &[
        (b"", BadHandle::Empty, true),
        (&known_with(0, 1), BadHandle::NewerVersion, true),
        (&known_with(3, 8), BadHandle::UnknownFlag, true),
        (&known_with(3, 1), BadHandle::OtherEndian, true),
        (&KNOWN[..20], BadHandle::TooShort, false),
        (&KNOWN[..28], BadHandle::TooShort, false),
        (&known_with(2, 30), BadHandle::TooShort, false),
        (&known_with(1, 0xfa), BadHandle::BadMagic, false),
        (&known_with(2, 20), BadHandle::BadLength, false),
        (&known_with(2, 0), BadHandle::BadLength, false),
    ];
    for (value, expected, unknown) in table {
        assert_eq!(
            OverlayHandle::decode_on(value, Endian::Little),
            Err(*expected),
            "{value:?}"
        );
        assert_eq!(expected.is_unknown(), *unknown);
        assert!(!expected.reason().is_empty());
    }
    // What is newer may well have another header.
    let mut newer = known_with(0, 1);
    newer[2] = 20;
    assert_eq!(
        OverlayHandle::decode_on(&newer, Endian::Little),
        Err(BadHandle::NewerVersion)
    );
}

#[test]
fn a_name_must_be_pairs_of_digits() {
    let mut buf = [0; 8];
    for name in [&b"0"[..], b"00f", b"0g", b"g0", b" 0", b"+1", b"\xff\xff"] {
        assert_eq!(
            parse_index_name(name, &mut buf),
            Err(BadHandle::NotHex),
            "{name:?}"
        );
    }
    assert_eq!(parse_index_name(b"", &mut buf), Ok(&b""[..]));
    assert_eq!(
        parse_index_name(b"00fFAb", &mut buf),
        Ok(&[0x00, 0xff, 0xab][..])
    );
}

fn endian() -> impl Strategy<Value = Endian> {
    prop::sample::select(vec![Endian::Little, Endian::Big, Endian::Any])
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_handle_is_read_as_it_was_written(
        endian in endian(),
        is_upper: bool,
        fid_type: u8,
        uuid: [u8; 16],
        fid in prop::collection::vec(any::<u8>(), 0..=FID_MAX + 1),
    ) {
        let handle = OverlayHandle { endian, is_upper, fid_type, uuid, fid: &fid };
        let mut buf = [0; 255];
        match handle.encode(&mut buf) {
            Err(error) => {
                prop_assert_eq!(error, BadHandle::TooLong);
                prop_assert_eq!(fid.len(), FID_MAX + 1);
            }
            Ok(written) => {
                prop_assert_eq!(OverlayHandle::decode_on(written, endian), Ok(handle));
                properties::handle(written);
                // Without its end it is none.
                let cut = &written[..written.len() - 1];
                prop_assert_eq!(OverlayHandle::decode_on(cut, endian), Err(BadHandle::TooShort));
            }
        }
    }

    #[test]
    fn a_good_header_is_read_whatever_follows(
        version in 0u8..2, magic in 0xfau8..=0xfb, len in 15u8.., flags in 0u8..16, rest in bytes(),
    ) {
        properties::handle(&[&[version, magic, len, flags], rest.as_slice()].concat());
    }

    #[test]
    fn any_bytes_are_safe(value in bytes()) {
        properties::handle(&value);
    }
}
