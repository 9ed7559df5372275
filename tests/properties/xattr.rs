// SPDX-License-Identifier: GPL-2.0-only

//! Names of xattrs, and lists of them.

use super::take;
use crate::model;
use format::xattr::{Class, Namespace, NAME_MAX};

fn namespace(choice: u8) -> Namespace {
    if choice & 1 == 0 {
        Namespace::Trusted
    } else {
        Namespace::User
    }
}

/// A list of names is filtered as the model does it, and what remains is a list.
pub fn xattr_list(data: &[u8]) {
    let (choice, list) = take(data);
    let (ns, see_trusted) = (namespace(choice), choice & 2 != 0);

    let mut filtered = list.to_vec();
    let result = ns.filter_list(&mut filtered, see_trusted);
    match model::xattr::filter_list(ns, list, see_trusted) {
        None => assert!(result.is_err(), "a malformed list was accepted: {list:?}"),
        Some(expected) => {
            let len = result.expect("a good list was refused");
            assert_eq!(
                filtered.get(..len),
                Some(expected.as_slice()),
                "from {list:?}"
            );
        }
    }
    // A list of names that are none of ours stays as it is.
    if see_trusted
        && list
            .split(|b| *b == 0)
            .all(|name| ns.classify(name) == Class::Foreign)
    {
        assert!(result.is_err() || filtered == list);
    }
}

/// A name is classified and escaped as the model does it, and an escaped name is shown as it was.
pub fn xattr_name(data: &[u8]) {
    let (choice, name) = take(data);
    let ns = namespace(choice);
    let name = name.split(|b| *b == 0).next().unwrap_or_default();
    let class = ns.classify(name);
    assert_eq!(class, model::xattr::classify(ns, name), "{name:?}");

    let expected = model::xattr::escape(ns, name);
    let mut buf = [0xaa; 256];
    match ns.escape(name, &mut buf) {
        Err(_) => assert!(expected.len() > NAME_MAX, "{name:?} was refused"),
        Ok(stored) => {
            assert!(expected.len() <= NAME_MAX);
            assert_eq!(stored.to_bytes(), expected);
            // What a user stores is never a mark of this mount, and is listed as the user knows it.
            assert_ne!(ns.classify(stored.to_bytes()), Class::Private);
            let mut list = stored.to_bytes_with_nul().to_vec();
            let len = ns.filter_list(&mut list, true).expect("one name is a list");
            assert_eq!(list[..len].strip_suffix(b"\0"), Some(name));
        }
    }
}
