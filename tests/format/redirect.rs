// SPDX-License-Identifier: GPL-2.0-only

//! Redirects.

use crate::{bytes, config, made_of};
use checks::properties;
use format::redirect::{BadRedirect, Progress, Redirect, MAX_LEN};
use proptest::prelude::*;

const PIECES: &[&[u8]] = &[
    b"/", b"/", b"a", b"bc", b".", b"..", b"/d", b"/ee", b"\xff", b"..x",
];

#[test]
fn what_is_no_redirect_is_told_by_name() {
    let table: &[(&[u8], BadRedirect)] = &[
        (b"", BadRedirect::Empty),
        (b"a\0", BadRedirect::NulByte),
        (b"\0", BadRedirect::NulByte),
        (b"/a\0/b", BadRedirect::NulByte),
        (b"/", BadRedirect::TrailingSlash),
        (b"//", BadRedirect::TrailingSlash),
        (b"/a/", BadRedirect::TrailingSlash),
        (b"//a", BadRedirect::EmptyComponent),
        (b"/a//b", BadRedirect::EmptyComponent),
        (b"a/b", BadRedirect::RelativePath),
        (b"a/", BadRedirect::RelativePath),
        (b".", BadRedirect::DotComponent),
        (b"..", BadRedirect::DotComponent),
        (b"/..", BadRedirect::DotComponent),
        (b"/a/../b", BadRedirect::DotComponent),
        (b"/a/./b", BadRedirect::DotComponent),
        (b"../../etc/shadow", BadRedirect::RelativePath),
        (b"/../../etc/shadow", BadRedirect::DotComponent),
    ];
    for (value, expected) in table {
        assert_eq!(Redirect::parse(value), Err(*expected), "{value:?}");
        assert!(!expected.reason().is_empty());
    }
}

#[test]
fn a_redirect_may_be_as_long_as_an_xattr() {
    let mut value = vec![b'n'; MAX_LEN];
    assert!(Redirect::parse(&value).is_ok());
    value.push(b'n');
    assert_eq!(Redirect::parse(&value), Err(BadRedirect::TooLong));
}

#[test]
fn names_are_bytes() {
    for value in [
        &b"\xff\xfe"[..],
        b"...",
        b"..a",
        b".a",
        b" ",
        b"\n",
        b"\\",
        b"/\x80/...",
    ] {
        assert!(Redirect::parse(value).is_ok(), "{value:?}");
    }
}

#[test]
fn a_redirect_on_the_way_replaces_what_was_walked() {
    let mut buf = [0; 64];
    let walked = Redirect::parse(b"/a/b/c").unwrap();
    let mut progress = Progress::begin(walked.as_bytes());
    progress.next(walked.as_bytes()).unwrap();
    let step = progress.next(walked.as_bytes()).unwrap();
    assert_eq!(
        (step.prefix, step.name, step.rest),
        (&b"/a/"[..], &b"b"[..], &b"/c"[..])
    );

    let relative = Redirect::parse(b"other").unwrap();
    let joined = relative.join(step.prefix, step.rest, &mut buf).unwrap();
    assert_eq!(joined.as_bytes(), b"/a/other/c");

    let absolute = Redirect::parse(b"/x/y").unwrap();
    let joined = absolute.join(step.prefix, step.rest, &mut buf).unwrap();
    assert_eq!(joined.as_bytes(), b"/x/y/c");

    // What is still to be walked is the same, on the way to it.
    let step = progress.next(joined.as_bytes()).unwrap();
    assert_eq!(
        (step.prefix, step.name, step.rest),
        (&b"/x/y/"[..], &b"c"[..], &b""[..])
    );
    assert!(step.is_last());
    assert_eq!(progress.next(joined.as_bytes()), None);
}

#[test]
fn parts_that_do_not_fit_make_no_redirect() {
    let mut buf = [0; 64];
    let name = Redirect::parse(b"n").unwrap();
    let table: &[(&[u8], &[u8], BadRedirect)] = &[
        (b"", b"/rest", BadRedirect::RelativePath),
        (b"/a//", b"", BadRedirect::EmptyComponent),
        (b"/../", b"", BadRedirect::DotComponent),
        (b"/", b"/..", BadRedirect::DotComponent),
        (b"/", b"/", BadRedirect::TrailingSlash),
        (b"/\0/", b"", BadRedirect::NulByte),
    ];
    for (prefix, rest, expected) in table {
        assert_eq!(name.join(prefix, rest, &mut buf), Err(*expected));
    }
    assert_eq!(
        name.join(b"/", b"", &mut buf[..1]),
        Err(BadRedirect::TooLong)
    );
    // A path that is too short is not the one that was walked.
    let mut progress = Progress::begin(b"/a/b");
    assert_eq!(progress.next(b"a"), None);
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn values_are_read_as_the_model_reads_them(value in made_of(PIECES)) {
        properties::redirect(&value);
    }

    #[test]
    fn walks_go_as_the_model_goes(
        start in "(/[a-c]{1,2}){1,5}|[a-c]",
        met in prop::collection::vec("(/[d-f]{1,2}){1,3}|[d-f]{1,2}|", 0..8),
    ) {
        let mut data = start.into_bytes();
        for met in met {
            data.push(0xff);
            data.extend(met.into_bytes());
        }
        properties::walk(&data);
    }

    #[test]
    fn any_bytes_are_safe(data in bytes(), pieces in made_of(PIECES)) {
        properties::redirect(&data);
        properties::walk(&data);
        properties::walk(&pieces);
    }
}
