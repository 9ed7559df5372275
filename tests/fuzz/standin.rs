// SPDX-License-Identifier: GPL-2.0-only

//! Stands in for the crate `libfuzzer_sys` where `tests/fuzz/run` builds the targets: it exports a target
//! to the libFuzzer that comes with clang. The only unsafe code of the tests is here, for C calls us.

#![no_std]

#[doc(hidden)]
pub extern crate std;

/// Defines the target: `fuzz_target!(|data: &[u8]| { … })`, as in the crate this stands in for.
#[macro_export]
macro_rules! fuzz_target {
    (|$data:ident: &[u8]| $body:expr) => {
        /// What libFuzzer calls for each input.
        ///
        /// # Safety
        ///
        /// `data` must be valid for reads of `len` bytes, and may be anything when `len` is 0.
        #[no_mangle]
        pub unsafe extern "C" fn LLVMFuzzerTestOneInput(data: *const u8, len: usize) -> i32 {
            let $data: &[u8] = if len == 0 {
                &[]
            } else {
                // SAFETY: by the contract of libFuzzer, as above.
                unsafe { ::core::slice::from_raw_parts(data, len) }
            };
            $body;
            0
        }
    };
}
