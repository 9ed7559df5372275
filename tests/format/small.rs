// SPDX-License-Identifier: GPL-2.0-only

//! The small values: link counts, file flags, UUIDs, directory marks, fingerprints, arguments of commands.

use crate::{bytes, config, made_of};
use checks::properties;
use format::control::{
    self, Change, CloneRequest, FinalizeProgress, FinalizeRequest, LayerChange, LayerInfo,
    LayerQuery, LayerUser, Text, UsersAnswer, UsersQuery, WhichLayer,
};
use format::finalized::{Fingerprint, Place, LEN};
use format::nlink::{self, BadNlink, Base, Nlink};
use format::opaque::{is_impure, DirMark};
use format::protattr::{BadProtattr, Protattr};
use format::uuid::{self, BadUuid};
use proptest::prelude::*;

const PIECES: &[&[u8]] = &[
    b"U",
    b"L",
    b"+",
    b"-",
    b"0",
    b"1",
    b"9",
    b"2147483647",
    b"2147483648",
    b"\n",
    b"a",
    b"i",
    b"y",
];

#[test]
fn known_link_counts_are_read_and_written() {
    let table: &[(&[u8], Base, i32)] = &[
        (b"U+1", Base::Upper, 1),
        (b"L-3", Base::Lower, -3),
        (b"U+0", Base::Upper, 0),
        (b"U+2147483647", Base::Upper, i32::MAX),
        (b"L-2147483648", Base::Lower, i32::MIN),
    ];
    for (value, base, diff) in table {
        let nlink = Nlink {
            base: *base,
            diff: *diff,
        };
        assert_eq!(Nlink::decode(value), Ok(nlink));
        assert_eq!(nlink.encode(&mut [0; nlink::MAX_LEN]), *value);
    }
    let zero = Ok(Nlink {
        base: Base::Lower,
        diff: 0,
    });
    assert_eq!(Nlink::decode(b"L-0"), zero);
    assert_eq!(Nlink::decode(b"L-0000\n"), zero);
}

#[test]
fn what_is_no_link_count_is_told_by_name() {
    let table: &[(&[u8], BadNlink)] = &[
        (b"", BadNlink::Base),
        (b"X+1", BadNlink::Base),
        (b"u+1", BadNlink::Base),
        (b"U", BadNlink::Sign),
        (b"U1", BadNlink::Sign),
        (b"U+", BadNlink::Number),
        (b"U+\n", BadNlink::Number),
        (b"U+-1", BadNlink::Number),
        (b"U+1 ", BadNlink::Number),
        (b"U+1\n\n", BadNlink::Number),
        (b"U+0x1", BadNlink::Number),
        (b"U+1\0", BadNlink::Number),
        (b"U+2147483648", BadNlink::Number),
        (b"L-2147483649", BadNlink::Number),
        (b"L-00000000001", BadNlink::TooLong),
    ];
    for (value, expected) in table {
        assert_eq!(Nlink::decode(value), Err(*expected), "{value:?}");
        assert!(!expected.reason().is_empty());
    }
}

#[test]
fn a_link_count_is_at_least_one() {
    let count = |value: &[u8], upper, lower| Nlink::decode(value).unwrap().resolve(upper, lower);
    assert_eq!(count(b"U+1", 1, 5), Ok(2));
    assert_eq!(count(b"L-3", 1, 5), Ok(2));
    assert_eq!(count(b"L-5", 1, 5), Err(BadNlink::Sum));
    assert_eq!(count(b"L-6", 1, 5), Err(BadNlink::Sum));
    assert_eq!(count(b"U+2147483647", 1, 1), Err(BadNlink::Sum));
    assert!(!BadNlink::Sum.reason().is_empty());
}

#[test]
fn file_flags_are_letters() {
    let flags = |append, immutable| Protattr { append, immutable };
    for (value, expected) in [
        (&b"a"[..], flags(true, false)),
        (b"i", flags(false, true)),
        (b"ai", flags(true, true)),
    ] {
        assert_eq!(Protattr::decode(value), Ok(expected));
        assert_eq!(expected.encode(), Some(value));
    }
    assert_eq!(Protattr::decode(b"iaai"), Ok(flags(true, true)));
    assert_eq!(Protattr::default().encode(), None);
    assert_eq!(Protattr::decode(b""), Err(BadProtattr::Empty));
    assert_eq!(Protattr::decode(b"aix"), Err(BadProtattr::UnknownFlag));
    assert_eq!(Protattr::decode(b"a\0"), Err(BadProtattr::UnknownFlag));
    assert_eq!(Protattr::decode(&[b'a'; 33]), Err(BadProtattr::TooLong));
    assert!(Protattr::decode(&[b'a'; 32]).is_ok());
    for bad in [
        BadProtattr::Empty,
        BadProtattr::TooLong,
        BadProtattr::UnknownFlag,
    ] {
        assert!(!bad.reason().is_empty());
    }
}

#[test]
fn a_uuid_has_sixteen_bytes() {
    assert_eq!(uuid::decode(b"0123456789abcdef"), Ok(*b"0123456789abcdef"));
    for len in [0, 15, 17, 36] {
        assert_eq!(uuid::decode(&vec![1; len]), Err(BadUuid::Length));
    }
    assert!(!BadUuid::Length.reason().is_empty());
}

#[test]
fn a_directory_mark_is_one_byte() {
    let table: &[(Option<&[u8]>, DirMark)] = &[
        (None, DirMark::None),
        (Some(b""), DirMark::None),
        (Some(b"y"), DirMark::Opaque),
        (Some(b"x"), DirMark::HasWhiteouts),
        (Some(b"z"), DirMark::Finalized),
        (Some(b"n"), DirMark::None),
        (Some(b"Y"), DirMark::None),
        (Some(b"yy"), DirMark::None),
        (Some(b"y\0"), DirMark::None),
        (Some(b"y\n"), DirMark::None),
    ];
    for (value, expected) in table {
        assert_eq!(DirMark::decode(*value), *expected, "{value:?}");
    }
    for mark in [
        DirMark::None,
        DirMark::Opaque,
        DirMark::HasWhiteouts,
        DirMark::Finalized,
    ] {
        assert_eq!(DirMark::decode(mark.encode()), mark);
    }
    assert!(is_impure(Some(b"y")));
    assert!(!is_impure(Some(b"yy")) && !is_impure(Some(b"x")) && !is_impure(None));
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn link_counts_are_read_as_they_were_written(upper: bool, diff: i32) {
        let base = if upper { Base::Upper } else { Base::Lower };
        let nlink = Nlink { base, diff };
        let mut buf = [0; nlink::MAX_LEN];
        let expected = format!("{}{diff:+}", if upper { 'U' } else { 'L' });
        prop_assert_eq!(nlink.encode(&mut buf), expected.as_bytes());
        properties::small(expected.as_bytes());
    }

    #[test]
    fn any_bytes_are_safe(value in bytes(), pieces in made_of(PIECES)) {
        properties::small(&value);
        properties::small(&pieces);
        properties::small(&value[..value.len().min(3)]);
    }
}

#[test]
fn fingerprints_are_written_as_documented() {
    let over = Fingerprint {
        places: 0x0102_0304,
        digest: 0x1112_1314_1516_1718,
    };
    let value = over.encode();
    assert_eq!(
        value,
        [1, 0, 0, 0, 4, 3, 2, 1, 0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x11]
    );
    assert_eq!(Fingerprint::decode(&value), Some(over));
    for at in 0..4 {
        let mut other = value;
        other[at] ^= 0x80;
        assert_eq!(Fingerprint::decode(&other), None);
    }
    for len in 0..LEN {
        assert_eq!(Fingerprint::decode(&value[..len]), None);
    }
    assert_eq!(Fingerprint::decode(&[&value[..], b"x"].concat()), None);
    let place = Place {
        seconds: -2,
        nanoseconds: 3,
        handle_len: 0x1234,
    };
    assert_eq!(
        place.encode(),
        [254, 255, 255, 255, 255, 255, 255, 255, 3, 0, 0, 0, 0x34, 0x12, 0, 0]
    );
}

#[test]
fn arguments_of_commands_are_read_and_answered() {
    let argument = |flags: u32, budget: u32, done: [u64; 2], reserved: u64| {
        let mut bytes = Vec::new();
        bytes.extend(flags.to_ne_bytes());
        bytes.extend(budget.to_ne_bytes());
        bytes.extend(done.iter().flat_map(|n| n.to_ne_bytes()));
        bytes.extend(reserved.to_ne_bytes());
        <[u8; FinalizeRequest::LEN]>::try_from(bytes).expect("the length of the argument")
    };
    for recursive in [false, true] {
        let asked = argument(recursive.into(), 77, [5, 6], 0);
        let wanted = FinalizeRequest {
            recursive,
            time_budget_ms: 77,
        };
        assert_eq!(FinalizeRequest::decode(&asked), Some(wanted));
    }
    for flag in 1..32 {
        assert_eq!(
            FinalizeRequest::decode(&argument(1 << flag, 0, [0, 0], 0)),
            None
        );
    }
    for bit in 0..64 {
        assert_eq!(
            FinalizeRequest::decode(&argument(0, 0, [0, 0], 1 << bit)),
            None
        );
    }
    let done = FinalizeProgress {
        directories: 8,
        copied: 9,
    };
    let answer = argument(1, 77, [8, 9], 0);
    let at = FinalizeProgress::OFFSET;
    assert_eq!(answer[at..at + FinalizeProgress::LEN], done.encode());
}

#[test]
fn arguments_of_cloning_are_read() {
    let argument = |words: [u64; 8]| {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        <[u8; CloneRequest::LEN]>::try_from(bytes).expect("the length of the argument")
    };
    let wanted = CloneRequest {
        src_fd: 3,
        src_offset: 1 << 40,
        src_length: 5,
        dest_offset: i64::MAX,
        interruptible: true,
        time_budget_ms: u64::MAX,
    };
    // What was done is written there, and not read.
    let asked = argument([3, 1 << 40, 5, i64::MAX as u64, 1, u64::MAX, 77, 0]);
    assert_eq!(CloneRequest::decode(&asked), Some(wanted));
    assert_eq!(CloneRequest::WORK_DONE, 48);
    let none = CloneRequest::decode(&argument([u64::MAX, 0, 0, 0, 0, 0, 0, 0]));
    assert_eq!(
        none.map(|wanted| (wanted.src_fd, wanted.interruptible)),
        Some((-1, false))
    );
    for bit in 0..64 {
        let flags = CloneRequest::decode(&argument([0, 0, 0, 0, 1 << bit, 0, 0, 0]));
        assert_eq!(flags.is_some(), bit == 0, "flag {bit}");
        let reserved = CloneRequest::decode(&argument([0, 0, 0, 0, 0, 0, 0, 1 << bit]));
        assert_eq!(reserved, None, "bit {bit}");
    }
    for place in 1..4 {
        let mut words = [0; 8];
        words[place] = 1 << 63;
        assert_eq!(CloneRequest::decode(&argument(words)), None, "{place}");
    }
}

/// The argument that changes layers, of its words of 32 bits.
fn layer_change(words: [u32; 12]) -> [u8; LayerChange::LEN] {
    let bytes: Vec<u8> = words.into_iter().flat_map(u32::to_ne_bytes).collect();
    bytes.try_into().expect("the length of the argument")
}

#[test]
fn changes_of_layers_are_what_the_header_says() {
    // flags, timeout_ms, place, name_len, name (2), users (2), path (2), path_len, reserved
    let decode = |command, words| LayerChange::decode(command, &layer_change(words));
    let name = Text {
        address: 0x5_0000_0004,
        len: 3,
    };
    let path = Text {
        address: 0x9_0000_0008,
        len: 10,
    };
    let low = |address: u64| address as u32;
    let high = |address: u64| (address >> 32) as u32;
    let (n, p) = (name.address, path.address);
    let whole = [
        0,
        7,
        u32::MAX,
        3,
        low(n),
        high(n),
        0,
        0,
        low(p),
        high(p),
        10,
        0,
    ];
    let replaced = decode(control::LAYER_REPLACE, whole).expect("all fields are known");
    assert_eq!(replaced.timeout_ms, 7);
    assert_eq!(replaced.what, Change::Replace(WhichLayer::Name(name), path));
    assert_eq!(
        decode(control::LAYER_SHUTDOWN, whole),
        None,
        "it has no path"
    );
    assert_eq!(decode(control::LAYER_FILLED, whole), None, "nor has this");
    assert_eq!(decode(control::LAYER, whole), None, "another command");

    let shut = [1, 0, 5, 0, 0, 0, 9, 9, 0, 0, 0, 0];
    let wanted = LayerChange {
        force: true,
        beneath: false,
        data: false,
        timeout_ms: 0,
        what: Change::Shutdown(WhichLayer::Place(5)),
    };
    assert_eq!(decode(control::LAYER_SHUTDOWN, shut), Some(wanted));
    for flag in 0..32 {
        let with = |mut words: [u32; 12]| {
            words[0] = 1 << flag;
            words
        };
        assert_eq!(
            decode(control::LAYER_SHUTDOWN, with(shut)).is_some(),
            flag == 0
        );
        assert_eq!(decode(control::LAYER_REPLACE, with(whole)), None);
        assert_eq!(
            decode(control::LAYER_ADD, with(whole)).is_some(),
            flag == 1 || flag == 2
        );
        assert_eq!(decode(control::LAYER_FILLED, with([0; 12])), None);
        let mut reserved = whole;
        reserved[11] = 1 << flag;
        assert_eq!(decode(control::LAYER_ADD, reserved), None);
    }
    let added = |flags| {
        decode(
            control::LAYER_ADD,
            [flags, 0, 0, 0, 0, 0, 0, 0, low(p), high(p), 10, 0],
        )
    };
    let added = added(6).expect("both flags are known");
    assert_eq!(
        (added.beneath, added.data, added.what),
        (true, true, Change::Add(path))
    );
    let mut nowhere = shut;
    nowhere[2] = -2i32 as u32;
    assert_eq!(decode(control::LAYER_SHUTDOWN, nowhere), None);
    assert_eq!(
        decode(control::LAYER_FILLED, [0; 12]).map(|c| c.what),
        Some(Change::Filled)
    );
    assert_eq!(LayerChange::USERS, 24);
}

#[test]
fn what_is_told_of_a_layer_is_where_the_header_has_it() {
    let mut argument = [0; LayerQuery::LEN];
    argument[0..4].copy_from_slice(&3u32.to_ne_bytes());
    argument[12..16].copy_from_slice(&100u32.to_ne_bytes());
    argument[16..24].copy_from_slice(&0x7_0000_0001u64.to_ne_bytes());
    let query = LayerQuery::decode(&argument).expect("all fields are known");
    assert_eq!(
        (query.place, query.name_len, query.name),
        (3, 100, 0x7_0000_0001)
    );
    for byte in 32..LayerQuery::LEN {
        let mut other = argument;
        other[byte] = 1;
        assert_eq!(LayerQuery::decode(&other), None, "byte {byte} is reserved");
    }
    let told = |data, leaving| {
        LayerInfo {
            data,
            leaving,
            number: 9,
            name_len: 4,
            users: 1 << 40,
        }
        .encode(query)
    };
    let answer = told(true, false);
    let half = |i: usize| u32::from_ne_bytes(answer[i..i + 4].try_into().expect("four bytes"));
    let whole = |i: usize| u64::from_ne_bytes(answer[i..i + 8].try_into().expect("eight bytes"));
    // It begins at flags.
    assert_eq!(
        (half(0), half(4), half(8), whole(12), whole(20)),
        (1, 9, 4, 0x7_0000_0001, 1 << 40)
    );
    assert_eq!(told(false, true)[0..4], 2u32.to_ne_bytes());
    assert_eq!(LayerInfo::OFFSET, 4);
}

#[test]
fn who_uses_a_layer_is_asked_and_told_as_the_header_has_it() {
    // place, name_len, name (2), buffer (2), cursor (2), size, count, users (2), reserved (4)
    let decode = |words: [u32; 16]| {
        let bytes: Vec<u8> = words.into_iter().flat_map(u32::to_ne_bytes).collect();
        UsersQuery::decode(&bytes.try_into().expect("the length of the argument"))
    };
    let whole = [u32::MAX, 3, 1, 5, 2, 6, 3, 7, 4128, 9, 9, 9, 0, 0, 0, 0];
    let wanted = UsersQuery {
        which: WhichLayer::Name(Text {
            address: 0x5_0000_0001,
            len: 3,
        }),
        buffer: 0x6_0000_0002,
        cursor: 0x7_0000_0003,
        size: 4128,
    };
    assert_eq!(decode(whole), Some(wanted));
    let with = |i: usize, word| {
        let mut words = whole;
        words[i] = word;
        decode(words)
    };
    let placed = with(0, 5).expect("all fields are known");
    assert_eq!(placed.which, WhichLayer::Place(5));
    assert_eq!(with(0, -2i32 as u32), None, "it is no place");
    assert_eq!(with(8, 4127), None, "there is no room for the longest path");
    for reserved in 12..16 {
        assert_eq!(with(reserved, 1), None, "word {reserved} is reserved");
    }

    let answer = UsersAnswer {
        cursor: 1 << 33,
        size: 72,
        count: 2,
        users: 1 << 34,
    };
    let bytes: Vec<u8> = [0, 2, 72, 2, 0, 4]
        .into_iter()
        .flat_map(u32::to_ne_bytes)
        .collect();
    assert_eq!(answer.encode()[..], bytes);
    assert_eq!(UsersAnswer::OFFSET, 24);

    let user = LayerUser {
        ino: 1 << 32,
        mode: 0o100644,
        unlinked: true,
        nameless: false,
        uses: 2,
        held: 3,
        path_len: 5,
    };
    let bytes: Vec<u8> = [0, 1, 40, 5, 0o100644, 1, 2, 3]
        .into_iter()
        .flat_map(u32::to_ne_bytes)
        .collect();
    assert_eq!(user.encode()[..], bytes);
    let flags = |unlinked, nameless| {
        let user = LayerUser {
            unlinked,
            nameless,
            ..user
        };
        user.encode()[20]
    };
    assert_eq!((flags(false, false), flags(false, true)), (0, 2));
    let len = |path_len| LayerUser { path_len, ..user }.record_len();
    assert_eq!((len(0), len(1), len(8), len(4095)), (32, 40, 40, 4128));
    assert_eq!(len(u32::MAX), u32::MAX);
}
