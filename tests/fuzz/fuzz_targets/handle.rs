// SPDX-License-Identifier: GPL-2.0-only

//! Fuzzes the codec of file handles and the names of index entries.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    checks::properties::handle(data);
});
