// SPDX-License-Identifier: GPL-2.0-only

//! Fuzzes the small codecs: link counts, file flags, UUIDs, directory marks.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    checks::properties::small(data);
});
