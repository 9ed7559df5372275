// SPDX-License-Identifier: GPL-2.0-only

//! Xattr names as a list of words between dots.

use format::xattr::{Class, Namespace};

/// The first word of the names of a namespace.
fn first_word(namespace: Namespace) -> &'static [u8] {
    match namespace {
        Namespace::Trusted => b"trusted",
        Namespace::User => b"user",
    }
}

/// The words of a name: "a.b.c" is a, b and c, where c may have dots in it when `at_most` says so.
fn words(name: &[u8], at_most: usize) -> Vec<Vec<u8>> {
    name.splitn(at_most, |b| *b == b'.')
        .map(<[u8]>::to_vec)
        .collect()
}

/// Tells what a name is: private with two words of ours before the rest, escaped with three.
pub fn classify(namespace: Namespace, name: &[u8]) -> Class {
    let words = words(name, 4);
    let is = |at: usize, word: &[u8]| words.get(at).is_some_and(|w| w == word);
    if words.len() < 3 || !is(0, first_word(namespace)) || !is(1, b"overlay") {
        Class::Foreign
    } else if words.len() == 4 && is(2, b"overlay") {
        Class::Escaped
    } else {
        Class::Private
    }
}

/// The name that a user's name is stored as, however long.
pub fn escape(namespace: Namespace, name: &[u8]) -> Vec<u8> {
    let mut words = words(name, 3);
    if words.len() == 3 && words[0] == first_word(namespace) && words[1] == b"overlay" {
        words.insert(1, b"overlay".to_vec());
    }
    words.join(&b'.')
}

/// The list that a user sees; `None` if the layer's list doesn't end where a name does.
pub fn filter_list(namespace: Namespace, list: &[u8], see_trusted: bool) -> Option<Vec<u8>> {
    let mut names: Vec<&[u8]> = list.split(|b| *b == 0).collect();
    // What follows the last NUL byte must be nothing.
    if names.pop() != Some(b"") {
        return None;
    }
    let mut seen = Vec::new();
    for name in names {
        if name.starts_with(b"trusted.") && !see_trusted {
            continue;
        }
        match classify(namespace, name) {
            Class::Private => continue,
            Class::Foreign => seen.extend_from_slice(name),
            Class::Escaped => {
                let mut words = words(name, 4);
                words.remove(1);
                seen.extend(words.join(&b'.'));
            }
        }
        seen.push(0);
    }
    Some(seen)
}
