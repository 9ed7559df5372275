// SPDX-License-Identifier: GPL-2.0-only

//! Whiteouts.

use format::whiteout::{is_whiteout, must_look, verdict, EntryType, Object, Verdict};

#[test]
fn a_whiteout_is_a_device_of_number_zero_or_an_empty_file_with_the_mark() {
    let table = [
        (Object::CharDevice(0), Verdict::Yes),
        (Object::CharDevice(1), Verdict::No),
        (Object::CharDevice(1 << 20), Verdict::No),
        (Object::Regular(0), Verdict::IfMarked),
        (Object::Regular(1), Verdict::No),
        (Object::Regular(u64::MAX), Verdict::No),
        (Object::Other, Verdict::No),
    ];
    for (object, expected) in table {
        assert_eq!(verdict(object), expected);
        for has_mark in [false, true] {
            let expected = expected == Verdict::Yes || expected == Verdict::IfMarked && has_mark;
            assert_eq!(is_whiteout(object, has_mark), expected);
        }
    }
}

#[test]
fn a_listing_looks_only_where_a_whiteout_may_be() {
    for marked in [false, true] {
        assert!(must_look(EntryType::CharDevice, marked));
        assert!(must_look(EntryType::Unknown, marked));
        assert!(!must_look(EntryType::Other, marked));
        assert_eq!(must_look(EntryType::Regular, marked), marked);
    }
}
