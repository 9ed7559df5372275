// SPDX-License-Identifier: GPL-2.0-only

//! Showing mount options in `/proc/mounts`.
//!
//! It is not for files of our own in `/proc`.
//!
//! C header: [`include/linux/seq_file.h`](srctree/include/linux/seq_file.h)
//!
//! # Examples
//!
//! ```ignore
//! options.flag(b"userxattr");
//! ```

use crate::sys::bindings;
use core::marker::PhantomData;

/// Where mount options are shown.
///
/// # Invariants
///
/// It is what the VFS passed to `->show_options()`, during that call.
pub struct Options<'a>(*mut bindings::seq_file, PhantomData<&'a ()>);

impl Options<'_> {
    /// # Safety
    ///
    /// See the type invariant.
    pub(crate) unsafe fn from_raw(m: *mut bindings::seq_file) -> Self {
        Self(m, PhantomData)
    }

    fn put(&self, byte: u8) {
        // SAFETY: By the type invariant.
        unsafe { bindings::seq_putc(self.0, byte) };
    }

    /// Bytes that would break the line or the list of options are shown in octal (as
    /// `seq_show_option()` does), which `mount(8)` and friends turn back.
    fn put_escaped(&self, text: impl Iterator<Item = u8>) {
        for b in text {
            if matches!(b, b',' | b'=' | b' ' | b'\t' | b'\n' | b'\\') {
                for shown in [b'\\', b'0' + (b >> 6), b'0' + (b >> 3 & 7), b'0' + (b & 7)] {
                    self.put(shown);
                }
            } else {
                self.put(b);
            }
        }
    }

    /// An option that is just a word.
    pub fn flag(&self, name: &[u8]) {
        self.put(b',');
        self.put_escaped(name.iter().copied());
    }

    /// An option with a value.
    pub fn value(&self, name: &[u8], value: impl Iterator<Item = u8>) {
        self.flag(name);
        self.put(b'=');
        self.put_escaped(value);
    }
}
