// SPDX-License-Identifier: GPL-2.0-only

//! Tests of `fs/format`: known byte strings, and properties over made-up ones.
//!
//! One module for each module of the crate. What must hold of any bytes is in `checks::properties`, where
//! the fuzz targets find it too; here are inputs that are likely to get far, and what is known by heart.

#![forbid(unsafe_code)]

mod features;
mod handle;
mod ino;
mod metacopy;
mod options;
mod redirect;
mod small;
mod texts;
mod whiteout;
mod xattr;

use proptest::prelude::*;

/// How many inputs each property is tried with, unless `PROPTEST_CASES` says otherwise. Failures are
/// printed with their smallest input, and kept nowhere: nothing is written into the source tree.
fn config() -> ProptestConfig {
    let mut config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = 2000;
    }
    config
}

/// Arbitrary bytes, short ones more often.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..16),
        prop::collection::vec(any::<u8>(), 0..300),
    ]
}

/// Bytes made of pieces that mean something, so that the interesting places are met.
fn made_of(pieces: &'static [&'static [u8]]) -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        8 => prop::sample::select(pieces).prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>(), 1..4),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}
