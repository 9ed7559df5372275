// SPDX-License-Identifier: GPL-2.0-only

//! The trace points of `fs/layerfs/trace.h`, as safe functions: for each, whether it is on, and the event.
//!
//! They are not for messages, which are for people who read a log: an event is for programs that count. To ask whether a
//! point is on is a static branch; what an event needs is made when it is.
//!
//! C header: [`include/linux/tracepoint.h`](srctree/include/linux/tracepoint.h)
//!
//! # Examples
//!
//! ```ignore
//! if copy_up::is_on() {
//!     dentry.with_name(|name| copy_up::event(dev, ino, name, layer, Kind::Metadata, 0));
//! }
//! ```

use kernel::bindings::tracepoint;
use kernel::ffi;

/// Strings are cut after so many bytes: an event that does not fit in a page is not recorded at all.
pub const STRING_MAX: usize = 1024;

/// The first of a string, as C wants it: where it begins, and its length.
fn cut(string: &[u8]) -> (*const ffi::c_char, u32) {
    let string = string.get(..STRING_MAX).unwrap_or(string);
    (string.as_ptr().cast(), string.len() as u32)
}

/// What of an object got to upper.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Kind {
    /// The object as it is.
    Whole = 0,
    /// The metadata of a file alone.
    Metadata = 1,
    /// The data of a file whose metadata was there.
    Data = 2,
}

/// Whether a trace point is on.
macro_rules! is_on {
    ($point:ident) => {
        /// Whether somebody wants these events.
        ///
        /// # Context
        ///
        /// Any.
        #[inline(always)]
        pub fn is_on() -> bool {
            #[cfg(CONFIG_TRACEPOINTS)]
            {
                // The structure is the kernel crate's own rendering of C's; only its key is asked.
                #[allow(improper_ctypes)]
                extern "C" {
                    static $point: tracepoint;
                }
                // SAFETY: The key of a trace point may be asked at any time; this one is of this module.
                unsafe { kernel::jump_label::static_branch_unlikely!($point, tracepoint, key) }
            }
            #[cfg(not(CONFIG_TRACEPOINTS))]
            false
        }
    };
}

/// A name was looked up, and is in no layer.
pub mod lookup_negative {
    use super::*;

    is_on!(__tracepoint_layerfs_lookup_negative);

    /// The event: `name` is not in the directory `dir_name`, which has inode number `dir` on device `dev`, and is at
    /// `path`; `layers` lower layers were asked.
    ///
    /// # Context
    ///
    /// Any.
    #[cold]
    pub fn event(dev: u32, dir: u64, dir_name: &[u8], path: &[u8], name: &[u8], layers: u32) {
        #[cfg(CONFIG_TRACEPOINTS)]
        {
            extern "C" {
                fn rust_do_trace_layerfs_lookup_negative(
                    dev: u32,
                    dir: u64,
                    dir_name: *const ffi::c_char,
                    dir_len: u32,
                    path: *const ffi::c_char,
                    path_len: u32,
                    name: *const ffi::c_char,
                    len: u32,
                    layers: u32,
                );
            }
            let ((dir_name, dir_len), (name, len)) = (cut(dir_name), cut(name));
            let (path, path_len) = cut(path);
            // SAFETY: So many bytes may be read there; nothing is kept of them.
            unsafe {
                rust_do_trace_layerfs_lookup_negative(
                    dev, dir, dir_name, dir_len, path, path_len, name, len, layers,
                )
            };
        }
        #[cfg(not(CONFIG_TRACEPOINTS))]
        let _ = (dev, dir, dir_name, path, name, layers);
    }
}

/// An object got to upper, or its data did.
pub mod copy_up {
    use super::*;

    is_on!(__tracepoint_layerfs_copy_up);

    /// The event: what was copied is called `name`, with inode number `ino` on device `dev`, and was in lower layer
    /// `layer`, counted from the top; `bytes` of data came with it.
    ///
    /// # Context
    ///
    /// Any.
    #[cold]
    pub fn event(dev: u32, ino: u64, name: &[u8], layer: u32, kind: Kind, bytes: u64) {
        #[cfg(CONFIG_TRACEPOINTS)]
        {
            extern "C" {
                fn rust_do_trace_layerfs_copy_up(
                    dev: u32,
                    ino: u64,
                    name: *const ffi::c_char,
                    len: u32,
                    layer: u32,
                    kind: u32,
                    bytes: u64,
                );
            }
            let (name, len) = cut(name);
            // SAFETY: So many bytes may be read there; nothing is kept of them.
            unsafe {
                rust_do_trace_layerfs_copy_up(dev, ino, name, len, layer, kind as u32, bytes)
            };
        }
        #[cfg(not(CONFIG_TRACEPOINTS))]
        let _ = (dev, ino, name, layer, kind, bytes);
    }
}

/// The data of a metacopy was looked for when somebody needed it.
pub mod data_lookup {
    use super::*;

    is_on!(__tracepoint_layerfs_data_lookup);

    /// The event: `path` was found in lower layer `layer`, counted from the top, on behalf of a stack with device `dev`;
    /// or not (-1), because of `error`, a negative error number.
    ///
    /// # Context
    ///
    /// Any.
    #[cold]
    pub fn event(dev: u32, path: &[u8], layer: i32, error: i32) {
        #[cfg(CONFIG_TRACEPOINTS)]
        {
            extern "C" {
                fn rust_do_trace_layerfs_data_lookup(
                    dev: u32,
                    path: *const ffi::c_char,
                    len: u32,
                    layer: i32,
                    error: i32,
                );
            }
            let (path, len) = cut(path);
            // SAFETY: So many bytes may be read there; nothing is kept of them.
            unsafe { rust_do_trace_layerfs_data_lookup(dev, path, len, layer, error) };
        }
        #[cfg(not(CONFIG_TRACEPOINTS))]
        let _ = (dev, path, layer, error);
    }
}

/// A directory was finalized.
pub mod finalize {
    use super::*;

    is_on!(__tracepoint_layerfs_finalize);

    /// The event: the directory is called `name`, with inode number `ino` on device `dev`; a listing found it complete
    /// (`listed`), or it was asked for.
    ///
    /// # Context
    ///
    /// Any.
    #[cold]
    pub fn event(dev: u32, ino: u64, name: &[u8], listed: bool) {
        #[cfg(CONFIG_TRACEPOINTS)]
        {
            extern "C" {
                fn rust_do_trace_layerfs_finalize(
                    dev: u32,
                    ino: u64,
                    name: *const ffi::c_char,
                    len: u32,
                    listed: bool,
                );
            }
            let (name, len) = cut(name);
            // SAFETY: So many bytes may be read there; nothing is kept of them.
            unsafe { rust_do_trace_layerfs_finalize(dev, ino, name, len, listed) };
        }
        #[cfg(not(CONFIG_TRACEPOINTS))]
        let _ = (dev, ino, name, listed);
    }
}
