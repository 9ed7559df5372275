// SPDX-License-Identifier: GPL-2.0-only

//! Showing mount options in `/proc/mounts`, and counters in `/proc/PID/mountstats`.
//!
//! It is not for files of our own in `/proc`.
//!
//! C header: [`include/linux/seq_file.h`](srctree/include/linux/seq_file.h)
//!
//! # Examples
//!
//! ```ignore
//! options.flag(b"userxattr");
//! counters.value(fmt!("lookups"), 12);
//! ```

use crate::sys::bindings;
use core::marker::PhantomData;
use kernel::fmt;
use kernel::fmt::Write;

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
            if matches!(b, b',' | b' ' | b'\t' | b'\n' | b'\\') {
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

/// Where counters of a mount are shown: a line for each.
///
/// # Invariants
///
/// It is what the VFS passed to `->show_stats()`, during that call.
pub struct CounterLines<'a>(*mut bindings::seq_file, PhantomData<&'a ()>);

impl CounterLines<'_> {
    /// # Safety
    ///
    /// See the type invariant.
    pub(crate) unsafe fn from_raw(m: *mut bindings::seq_file) -> Self {
        Self(m, PhantomData)
    }

    /// Shows the version of what follows, which comes first.
    pub fn version(&mut self, version: fmt::Arguments<'_>) {
        self.show(format_args!("statvers={version}"));
    }

    /// Shows a line: a name and a number.
    pub fn value(&mut self, name: fmt::Arguments<'_>, value: u64) {
        self.show(format_args!("\n\t{name}: {value}"));
    }

    fn show(&mut self, text: fmt::Arguments<'_>) {
        // What does not fit is shown when the VFS asks again with more room, which is how these files work.
        let _ = self.write_fmt(text);
    }
}

impl Write for CounterLines<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // SAFETY: By the type invariant; so many bytes may be read there.
        unsafe { bindings::seq_write(self.0, text.as_ptr().cast(), text.len()) };
        Ok(())
    }
}
