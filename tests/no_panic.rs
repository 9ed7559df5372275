// SPDX-License-Identifier: GPL-2.0-only

//! Uses what `fs/format` leaves to its callers to compile: iterators made of closures, and functions small
//! enough to be inlined. `tests/no-panic` looks at the object made of this, and nothing runs it.

#![no_std]
#![forbid(unsafe_code)]

use core::hint::black_box;
use format::options::{split_lowerdirs, split_monolithic, Defaults, Features};
use format::redirect::Progress;

/// Walks every iterator of the crate.
#[inline(never)]
pub fn iterators(data: &[u8], features: &Features, defaults: &Defaults) {
    let mut progress = Progress::begin(data);
    while let Some(step) = progress.next(data) {
        black_box(step);
    }
    for option in split_monolithic(data) {
        black_box(option);
    }
    for item in split_lowerdirs(data) {
        black_box(item.is_ok());
    }
    for (key, value) in features.shown(defaults, false) {
        black_box((key.name(), value));
    }
}
