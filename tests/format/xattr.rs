// SPDX-License-Identifier: GPL-2.0-only

//! Names of xattrs.

use crate::{bytes, config, made_of};
use checks::properties::{xattr_list, xattr_name};
use format::xattr::{Class, MalformedList, Mark, NameTooLong, Namespace};
use proptest::prelude::*;

const PIECES: &[&[u8]] = &[
    b"trusted.",
    b"user.",
    b"overlay.",
    b"trusted.overlay.",
    b"user.overlay.",
    b"security.",
    b"overlay",
    b"opaque",
    b"x",
    b".",
    b"\0",
    b"\0\0",
];

fn filtered(namespace: Namespace, list: &[u8], see_trusted: bool) -> Vec<u8> {
    let mut list = list.to_vec();
    let len = namespace
        .filter_list(&mut list, see_trusted)
        .expect("the list is good");
    list.truncate(len);
    list
}

#[test]
fn every_mark_has_its_name_in_both_namespaces() {
    let names: Vec<&str> = Mark::ALL
        .iter()
        .map(|mark| Namespace::Trusted.name(*mark).to_str().unwrap())
        .collect();
    let known = [
        "trusted.overlay.opaque",
        "trusted.overlay.redirect",
        "trusted.overlay.origin",
        "trusted.overlay.impure",
        "trusted.overlay.nlink",
        "trusted.overlay.upper",
        "trusted.overlay.uuid",
        "trusted.overlay.metacopy",
        "trusted.overlay.protattr",
        "trusted.overlay.whiteout",
        "trusted.overlay.finalized",
    ];
    assert_eq!(names, known);
    for mark in Mark::ALL {
        let trusted = Namespace::Trusted.name(mark).to_str().unwrap();
        let user = Namespace::User.name(mark).to_str().unwrap();
        assert_eq!(user, trusted.replacen("trusted", "user", 1));
        for namespace in [Namespace::Trusted, Namespace::User] {
            let name = namespace.name(mark).to_bytes();
            assert!(name.starts_with(namespace.prefix()));
            assert_eq!(namespace.classify(name), Class::Private);
        }
        // Marks of the other namespace are nothing to this mount.
        assert_eq!(Namespace::User.classify(trusted.as_bytes()), Class::Foreign);
        assert_eq!(Namespace::Trusted.classify(user.as_bytes()), Class::Foreign);
    }
}

#[test]
fn names_at_the_edges_are_told_apart() {
    let classify = |name: &[u8]| Namespace::Trusted.classify(name);
    assert_eq!(classify(b"trusted.overlay."), Class::Private);
    assert_eq!(classify(b"trusted.overlay"), Class::Foreign);
    assert_eq!(classify(b"trusted.overlayx"), Class::Foreign);
    assert_eq!(classify(b"trusted.overlay.overlay"), Class::Private);
    assert_eq!(classify(b"trusted.overlay.overlay."), Class::Escaped);
    assert_eq!(
        classify(b"trusted.overlay.overlay.overlay.x"),
        Class::Escaped
    );
    assert_eq!(classify(b"trusted.overlay.opaque\0rubbish"), Class::Private);
    assert_eq!(classify(b""), Class::Foreign);
}

#[test]
fn a_name_is_escaped_up_to_the_longest_that_can_be_stored() {
    let mut buf = [0; 256];
    for namespace in [Namespace::Trusted, Namespace::User] {
        let fits = 255 - b"overlay.".len();
        let mut name = namespace.prefix().to_vec();
        name.resize(fits, b'n');
        assert_eq!(
            namespace
                .escape(&name, &mut buf)
                .map(|name| name.to_bytes().len()),
            Ok(255)
        );
        name.push(b'n');
        assert_eq!(namespace.escape(&name, &mut buf), Err(NameTooLong));
        assert!(!NameTooLong.reason().is_empty());
    }
    assert_eq!(
        Namespace::Trusted.escape(b"trusted.overlay.opaque", &mut buf),
        Ok(c"trusted.overlay.overlay.opaque")
    );
    assert_eq!(
        Namespace::Trusted.escape(b"user.x", &mut buf),
        Ok(c"user.x")
    );
}

#[test]
fn a_list_loses_what_is_private_and_what_may_not_be_seen() {
    let list =
        b"user.a\0trusted.overlay.opaque\0trusted.b\0trusted.overlay.overlay.c\0user.overlay.d\0";
    assert_eq!(
        filtered(Namespace::Trusted, list, true),
        b"user.a\0trusted.b\0trusted.overlay.c\0user.overlay.d\0"
    );
    assert_eq!(
        filtered(Namespace::Trusted, list, false),
        b"user.a\0user.overlay.d\0"
    );
    assert_eq!(
        filtered(Namespace::User, list, true),
        b"user.a\0trusted.overlay.opaque\0trusted.b\0trusted.overlay.overlay.c\0"
    );
    assert_eq!(filtered(Namespace::User, list, false), b"user.a\0");
    assert_eq!(
        filtered(Namespace::User, b"user.overlay.overlay.e\0", false),
        b"user.overlay.e\0"
    );
}

#[test]
fn a_list_must_end_where_a_name_does() {
    for list in [
        &b"user.a"[..],
        b"user.a\0user.b",
        b"trusted.overlay.opaque",
        b"\0x",
    ] {
        let result = Namespace::Trusted.filter_list(&mut list.to_vec(), true);
        assert_eq!(result, Err(MalformedList));
    }
    assert!(!MalformedList.reason().is_empty());
    assert_eq!(filtered(Namespace::Trusted, b"", true), b"");
    // Names of no characters are odd, but no reason to lose the others.
    assert_eq!(
        filtered(Namespace::Trusted, b"\0\0user.a\0", true),
        b"\0\0user.a\0"
    );
}

#[test]
fn each_mount_of_a_nest_takes_one_escape() {
    let mut stored = b"trusted.overlay.whiteout".to_vec();
    for _ in 0..20 {
        let mut buf = [0; 256];
        stored = Namespace::Trusted
            .escape(&stored, &mut buf)
            .unwrap()
            .to_bytes()
            .to_vec();
    }
    stored.push(0);
    for _ in 0..20 {
        stored = filtered(Namespace::Trusted, &stored, true);
    }
    assert_eq!(stored, b"trusted.overlay.whiteout\0");
    assert_eq!(filtered(Namespace::Trusted, &stored, true), b"");
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn lists_are_filtered_as_the_model_does(list in made_of(PIECES)) {
        xattr_list(&list);
        for choice in 0..4 {
            xattr_list(&[&[choice], list.as_slice(), b"\0"].concat());
        }
    }

    #[test]
    fn names_are_escaped_as_the_model_does(name in made_of(PIECES), choice in 0u8..2) {
        xattr_name(&[&[choice], name.as_slice()].concat());
    }

    #[test]
    fn any_bytes_are_safe(data in bytes()) {
        xattr_list(&data);
        xattr_name(&data);
    }
}
