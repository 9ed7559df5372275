// SPDX-License-Identifier: GPL-2.0-only

//! Inode numbers.

use crate::config;
use format::ino::{compose, non_persistent, XinoBits, BITS_OVER_INO32};
use format::options::Xino;
use proptest::prelude::*;

#[test]
fn the_bits_are_chosen_by_the_number_of_filesystems() {
    use XinoBits::{High, Off, SameFs};
    // filesystems, has_upper, xino, only_ino32
    let table = [
        (1, true, Xino::Off, false, SameFs),
        (1, false, Xino::On, true, SameFs),
        (2, true, Xino::Off, true, Off),
        (2, true, Xino::Auto, false, High(2)),
        (2, false, Xino::Auto, false, High(3)),
        (3, true, Xino::On, false, High(3)),
        (3, false, Xino::On, false, High(3)),
        (4, true, Xino::On, false, High(3)),
        (5, true, Xino::On, false, High(4)),
        (501, true, Xino::On, false, High(10)),
        (500, false, Xino::On, false, High(10)),
        (2, true, Xino::Auto, true, High(BITS_OVER_INO32)),
        (501, true, Xino::On, true, High(BITS_OVER_INO32)),
    ];
    for (filesystems, has_upper, xino, only_ino32, expected) in table {
        assert_eq!(
            XinoBits::choose(filesystems, has_upper, xino, only_ino32),
            expected,
            "{filesystems} {has_upper} {xino:?} {only_ino32}"
        );
    }
    // There is no mount without a layer; but nothing breaks.
    assert_eq!(XinoBits::choose(0, true, Xino::On, false), Off);
    assert_eq!(XinoBits::choose(0, false, Xino::On, false), Off);
    assert!(SameFs.same_dev() && High(2).same_dev() && !Off.same_dev());
    assert_eq!([SameFs.bits(), Off.bits(), High(7).bits()], [0, 0, 7]);
}

#[test]
fn known_numbers() {
    let bits = XinoBits::High(2);
    assert_eq!(compose(5, 0, bits), Some(5));
    assert_eq!(compose(5, 1, bits), Some((1 << 63) | 5));
    assert_eq!(compose(1 << 62, 0, bits), None);
    assert_eq!(non_persistent(5, bits), (1 << 62) | 5);
    assert_eq!(non_persistent(u64::MAX, bits), (1 << 63) - 1);

    let bits = XinoBits::High(BITS_OVER_INO32);
    assert_eq!(compose(0xffff_ffff, 3, bits), Some((3 << 33) | 0xffff_ffff));
    assert_eq!(compose(1 << 32, 3, bits), None);

    assert_eq!(compose(u64::MAX, 9, XinoBits::SameFs), Some(u64::MAX));
    assert_eq!(compose(1, 0, XinoBits::Off), None);
    assert_eq!(non_persistent(77, XinoBits::Off), 77);
    assert_eq!(non_persistent(77, XinoBits::SameFs), 77);
}

#[test]
fn the_bits_are_enough_for_every_filesystem_of_the_largest_mount() {
    for filesystems in 2..=501 {
        for has_upper in [false, true] {
            // Index 0 is upper's also where there is none.
            let highest = filesystems - u32::from(has_upper);
            let bits = XinoBits::choose(filesystems, has_upper, Xino::On, false);
            assert!(compose(1, highest, bits).is_some());
            // And no more than are needed: with one less the highest index would not fit.
            let XinoBits::High(high) = bits else {
                panic!("no bits for {filesystems}")
            };
            assert_eq!(compose(1, highest, XinoBits::High(high - 1)), None);
        }
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_bits_are_safe(ino: u64, fsid: u32, high in 0u32..200) {
        let bits = XinoBits::High(high);
        let made_up = non_persistent(ino, bits);
        if (1..64).contains(&high) {
            // The model counts in numbers too large to overflow.
            let top = 1u128 << (64 - high);
            let number = u128::from(ino) + u128::from(fsid) * top * 2;
            let expected = (u128::from(ino) < top && number < 1 << 64).then_some(number as u64);
            prop_assert_eq!(compose(ino, fsid, bits), expected);
            prop_assert_eq!(u128::from(made_up), u128::from(ino) % top + top);
        } else {
            prop_assert_eq!(compose(ino, fsid, bits), None);
            prop_assert_eq!(made_up, ino);
        }
    }

    #[test]
    fn two_objects_never_share_a_number(
        a in (0u64..1 << 33, 0u32..8), b in (0u64..1 << 33, 0u32..8), high in 2u32..=32, n: u64,
    ) {
        let bits = XinoBits::High(high);
        let (one, other) = (compose(a.0, a.1, bits), compose(b.0, b.1, bits));
        if one.is_some() && one == other {
            prop_assert_eq!(a, b);
        }
        // Made-up numbers are nobody's.
        prop_assert_ne!(one, Some(non_persistent(n, bits)));
    }
}
