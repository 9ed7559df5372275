// SPDX-License-Identifier: GPL-2.0-only

//! Cells of `rust/vfs` that need no kernel: compiled here as they are, with stand-ins for what they use.

#![forbid(unsafe_code)]

// What the sources know as `kernel::…`.
extern crate self as kernel;

#[path = "../../rust/vfs/cell/name_map.rs"]
mod name_map;

pub mod sys {
    pub mod alloc {
        pub fn bounded() {}
    }
}

pub mod prelude {
    pub const EOVERFLOW: Error = Error("EOVERFLOW");

    pub type Result<T = (), E = Error> = std::result::Result<T, E>;

    #[derive(Debug, PartialEq)]
    pub struct Error(pub &'static str);

    /// A vector that says of each growth how memory is to be had, and has no more room than was asked for.
    pub struct KVVec<T>(Vec<T>, usize);

    impl<T: Clone> KVVec<T> {
        pub fn with_capacity(room: usize, _flags: ()) -> Result<Self> {
            Ok(Self(Vec::new(), room))
        }

        pub fn from_elem(value: T, count: usize, _flags: ()) -> Result<Self> {
            Ok(Self(vec![value; count], count))
        }

        pub fn extend_from_slice(&mut self, more: &[T], _flags: ()) -> Result {
            assert!(
                self.0.len() + more.len() <= self.1,
                "it grows while it must not"
            );
            self.0.extend_from_slice(more);
            Ok(())
        }

        pub fn capacity(&self) -> usize {
            self.1
        }
    }

    impl<T> std::ops::Deref for KVVec<T> {
        type Target = [T];

        fn deref(&self) -> &[T] {
            &self.0
        }
    }

    impl<T> std::ops::DerefMut for KVVec<T> {
        fn deref_mut(&mut self) -> &mut [T] {
            &mut self.0
        }
    }
}

use name_map::{NameMap, LONGEST};
use prelude::{Error, EOVERFLOW};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// A hash, of which there are so few that names have to share one, and whose places are at the end.
fn hash(name: &[u8], kinds: u32) -> u32 {
    let sum = name.iter().fold(7u32, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(u32::from(*byte))
    });
    u32::MAX - sum % kinds
}

fn full(names: &[(Vec<u8>, (u16, u16))], kinds: u32) -> NameMap {
    let mut different: Vec<&[u8]> = names.iter().map(|(name, _)| name.as_slice()).collect();
    different.sort();
    different.dedup();
    let bytes = different.iter().map(|name| name.len()).sum();
    let mut map = NameMap::with_room(different.len(), bytes).expect("room");
    for (name, range) in names {
        map.add(hash(name, kinds), name, *range)
            .expect("room for what was said");
    }
    map
}

proptest! {
    /// It answers as a map of the standard library does, whatever hashes are, and takes no more than it says.
    #[test]
    fn it_is_a_map(
        names in proptest::collection::vec(
            (proptest::collection::vec(any::<u8>(), 0..6), any::<(u16, u16)>()), 0..200),
        kinds in prop_oneof![Just(1u32), 2..50u32, Just(u32::MAX)],
        others in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..6), 0..50),
    ) {
        let map = full(&names, kinds);
        let mut model: BTreeMap<&[u8], (u16, u16)> = BTreeMap::new();
        for (name, (first, last)) in &names {
            let range = model.entry(name).or_insert((*first, *last));
            *range = (range.0.min(*first), range.1.max(*last));
        }
        for (name, range) in &model {
            prop_assert_eq!(map.find(hash(name, kinds), name), Some(*range));
        }
        for name in &others {
            prop_assert_eq!(map.find(hash(name, kinds), name), model.get(name.as_slice()).copied());
        }
        let bytes: usize = model.keys().map(|name| name.len()).sum();
        prop_assert!(map.size() <= bytes + 16 * model.len().max(1));
        prop_assert_eq!(map.size(), NameMap::room_for(model.len(), bytes));
    }

    /// What there is no room for is refused, and changes nothing.
    #[test]
    fn what_is_too_much_is_refused(
        names in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..6), 1..50),
        kinds in prop_oneof![Just(1u32), Just(u32::MAX)],
    ) {
        let all: Vec<_> = names.into_iter().map(|name| (name, (1, 2))).collect();
        let mut map = full(&all, kinds);
        let one_more = b"longer than any";
        prop_assert_eq!(map.add(hash(one_more, kinds), one_more, (0, 0)), Err(EOVERFLOW));
        prop_assert_eq!(map.find(hash(one_more, kinds), one_more), None);
        for (name, range) in &all {
            prop_assert_eq!(map.find(hash(name, kinds), name), Some(*range));
        }
    }
}

#[test]
fn limits() {
    let longest = [b'x'; LONGEST];
    let mut map = NameMap::with_room(2, 2 * LONGEST + 1).expect("room");
    assert_eq!(map.find(0, &longest), None);
    map.add(0, &longest, (0, u16::MAX))
        .expect("the longest name");
    assert_eq!(
        map.add(0, &[b'x'; LONGEST + 1], (0, 0)),
        Err(Error("EOVERFLOW"))
    );
    assert_eq!(map.find(0, &longest), Some((0, u16::MAX)));
    assert_eq!(map.find(0, &[b'x'; LONGEST + 1]), None);
    // Without names there is an answer as well.
    let empty = NameMap::with_room(0, 0).expect("no room");
    assert_eq!(empty.find(u32::MAX, b""), None);
    assert!(NameMap::with_room(1 << 30, 0).is_err());
    assert!(NameMap::with_room(1, usize::MAX).is_err());
}
