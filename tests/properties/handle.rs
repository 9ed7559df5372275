// SPDX-License-Identifier: GPL-2.0-only

//! File handles, and the names of index entries.

use format::handle::{
    index_name, parse_index_name, BadHandle, Endian, OverlayHandle, FID_MAX, HEADER_LEN,
};

/// A value is read as its bytes say on machines of both byte orders, and written as it was; and its
/// name in the index is read back.
pub fn handle(value: &[u8]) {
    for machine in [Endian::Little, Endian::Big] {
        let decoded = OverlayHandle::decode_on(value, machine);
        assert_eq!(decoded.err(), trouble(value, machine), "{value:?}");
        let Ok(handle) = decoded else { continue };

        let len = usize::from(value[2]);
        assert_eq!(handle.fid_type, value[4]);
        assert_eq!(handle.uuid, value[5..HEADER_LEN]);
        assert_eq!(handle.fid, &value[HEADER_LEN..len]);
        assert_eq!(handle.is_upper, value[3] & 4 != 0);
        assert!(handle.endian == Endian::Any || handle.endian == machine);

        let mut buf = [0; 255];
        match handle.encode(&mut buf) {
            Err(error) => {
                assert_eq!(error, BadHandle::TooLong);
                assert!(handle.fid.len() > FID_MAX);
            }
            Ok(written) => {
                assert!(handle.fid.len() <= FID_MAX);
                // With "any byte order" the bit for the byte order says nothing, and isn't written.
                let mut expected = value[..len].to_vec();
                if handle.endian == Endian::Any {
                    expected[3] &= !1;
                }
                assert_eq!(written, expected);
                assert_eq!(OverlayHandle::decode_on(written, machine), Ok(handle));
            }
        }
    }
    assert_eq!(
        OverlayHandle::decode(value),
        OverlayHandle::decode_on(value, Endian::NATIVE)
    );
    names(value);
}

/// What is wrong with a value, in the order in which overlayfs looks.
fn trouble(value: &[u8], machine: Endian) -> Option<BadHandle> {
    if value.is_empty() {
        return Some(BadHandle::Empty);
    }
    if value.len() < HEADER_LEN || value.len() < usize::from(value[2]) {
        return Some(BadHandle::TooShort);
    }
    let flags = value[3];
    let of_machine = u8::from(machine == Endian::Big);
    if value[1] != 0xfb {
        Some(BadHandle::BadMagic)
    } else if value[0] > 0 {
        Some(BadHandle::NewerVersion)
    } else if flags > 7 {
        Some(BadHandle::UnknownFlag)
    } else if flags & 2 == 0 && flags & 1 != of_machine {
        Some(BadHandle::OtherEndian)
    } else if usize::from(value[2]) < HEADER_LEN {
        Some(BadHandle::BadLength)
    } else {
        None
    }
}

/// Any bytes have a name and are read back from it; any name is refused or says some bytes.
fn names(bytes: &[u8]) {
    let mut buf = vec![0; bytes.len() * 2];
    let name = index_name(bytes, &mut buf).expect("two digits for each byte fit");
    for (digits, byte) in name.chunks(2).zip(bytes) {
        assert_eq!(digits, format!("{byte:02x}").as_bytes());
    }
    assert_eq!(name.len(), bytes.len() * 2);
    let mut back = vec![0; bytes.len()];
    assert_eq!(parse_index_name(name, &mut back), Ok(bytes));
    let upper = name.to_ascii_uppercase();
    assert_eq!(parse_index_name(&upper, &mut back), Ok(bytes));
    if !bytes.is_empty() {
        assert_eq!(index_name(bytes, &mut buf[1..]), Err(BadHandle::TooLong));
        assert_eq!(
            parse_index_name(&upper, &mut back[1..]),
            Err(BadHandle::TooLong)
        );
    }

    // The bytes themselves, taken for a name.
    let is_name = bytes.len() % 2 == 0 && bytes.iter().all(u8::is_ascii_hexdigit);
    match parse_index_name(bytes, &mut back) {
        Err(error) => {
            assert_eq!(error, BadHandle::NotHex);
            assert!(!is_name);
        }
        Ok(said) => {
            assert!(is_name);
            assert_eq!(said.len() * 2, bytes.len());
        }
    }
}
