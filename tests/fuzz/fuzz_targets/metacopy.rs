// SPDX-License-Identifier: GPL-2.0-only

//! Fuzzes the codec of metacopy marks.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    checks::properties::metacopy(data);
});
