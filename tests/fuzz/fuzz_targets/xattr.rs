// SPDX-License-Identifier: GPL-2.0-only

//! Fuzzes the filter of xattr lists and the escaping of names.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    checks::properties::xattr_list(data);
    checks::properties::xattr_name(data);
});
