// SPDX-License-Identifier: GPL-2.0-only

//! Fuzzes the mount options: strings, lists of layers, escapes, and what they come to.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    checks::properties::monolithic(data);
    checks::properties::lowerdirs(data);
    checks::properties::unescape(data);
    checks::properties::shown_again(data);
    checks::properties::options(data);
});
