// SPDX-License-Identifier: GPL-2.0-only

//! Fuzzes redirects, and walks that meet others.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    checks::properties::redirect(data);
    checks::properties::walk(data);
});
