// SPDX-License-Identifier: GPL-2.0-only

//! Messages for whoever wants to know why something was done, switched on while the module runs.
//!
//! They are the C side's `pr_debug()` with dynamic debug: each call of [`debug!`](crate::debug) is a line of
//! `/sys/kernel/debug/dynamic_debug/control` (or `/proc/dynamic_debug/control`), and a static branch that is patched in
//! the code when it is switched on. They are not for what an administrator has to know without asking, which is
//! [`warn_limited!`](crate::warn_limited): nothing limits their rate. The kernel crate's `pr_debug!` knows nothing of
//! dynamic debug, so the descriptors are made here, as `DEFINE_DYNAMIC_DEBUG_METADATA()` makes them.
//!
//! C header: [`include/linux/dynamic_debug.h`](srctree/include/linux/dynamic_debug.h)
//!
//! # Examples
//!
//! ```ignore
//! vfs::debug!("open('{}'): from '{}'\n", file.dentry(), layer);
//! ```

use core::ffi::CStr;
#[cfg(any(CONFIG_DYNAMIC_DEBUG, CONFIG_JUMP_LABEL))]
use kernel::bindings;
use kernel::ffi;
#[cfg(CONFIG_DYNAMIC_DEBUG)]
use kernel::fmt;
use kernel::types::Opaque;

/// One call of [`debug!`](crate::debug): `struct _ddebug`, whose layout it has (checked below).
///
/// # Invariants
///
/// The pointers are to strings that live as long as the module. The words in [`Opaque`] are the C side's.
#[repr(C, align(8))]
pub struct Site {
    module: *const ffi::c_char,
    function: *const ffi::c_char,
    file: *const ffi::c_char,
    format: *const ffi::c_char,
    /// Line, class and flags.
    bits: Opaque<u32>,
    /// What the static branch depends on.
    #[cfg(CONFIG_JUMP_LABEL)]
    #[doc(hidden)]
    pub key: Opaque<bindings::static_key_false>,
}

#[cfg(CONFIG_DYNAMIC_DEBUG)]
const _: () = {
    assert!(size_of::<Site>() == size_of::<bindings::_ddebug>());
    assert!(align_of::<Site>() == align_of::<bindings::_ddebug>());
    assert!(
        core::mem::offset_of!(Site, format) == core::mem::offset_of!(bindings::_ddebug, format)
    );
    assert!(
        core::mem::offset_of!(Site, bits) == core::mem::offset_of!(bindings::_ddebug, _bitfield_1)
    );
    #[cfg(CONFIG_JUMP_LABEL)]
    assert!(core::mem::offset_of!(Site, key) == core::mem::offset_of!(bindings::_ddebug, key));
};

// SAFETY: By the type invariant what is constant is shared, and what is not is touched by the C side alone.
unsafe impl Sync for Site {}

impl Site {
    /// One at this place in the source, where these strings end with a NUL. It is off.
    pub const fn new(
        module: &'static [u8],
        function: &'static str,
        file: &'static str,
        format: &'static str,
        line: u32,
    ) -> Self {
        // A macro makes them; should one not be a string of C, it is shown as an empty one.
        const fn string(bytes: &'static [u8]) -> *const ffi::c_char {
            match CStr::from_bytes_with_nul(bytes) {
                Ok(string) => string.as_ptr().cast(),
                Err(_) => c"".as_ptr().cast(),
            }
        }

        // That is `_DPRINTK_CLASS_DFLT`: no class.
        const CLASS: u32 = 63;
        let bits = if cfg!(target_endian = "little") {
            line & 0x3_ffff | CLASS << 18
        } else {
            line << 14 | CLASS << 8
        };
        // INVARIANT: The strings are static.
        Self {
            module: string(module),
            function: string(function.as_bytes()),
            file: string(file.as_bytes()),
            format: string(format.as_bytes()),
            bits: Opaque::new(bits),
            #[cfg(CONFIG_JUMP_LABEL)]
            // SAFETY: A key that is off and has no entries yet is all zeroes (`STATIC_KEY_FALSE_INIT`).
            key: Opaque::new(unsafe { core::mem::zeroed() }),
        }
    }

    /// Prints a message (wraps `__dynamic_pr_debug()`, which puts before it what was asked for).
    #[cfg(CONFIG_DYNAMIC_DEBUG)]
    #[cold]
    pub fn print(&'static self, args: fmt::Arguments<'_>) {
        // SAFETY: By the type invariant, and as the layouts are the same; what the format wants is a string and
        // the arguments of a message.
        unsafe {
            bindings::__dynamic_pr_debug(
                core::ptr::from_ref(self).cast_mut().cast(),
                c"%s: %pA".as_ptr().cast(),
                self.module,
                core::ptr::from_ref(&args).cast::<ffi::c_void>(),
            )
        }
    }
}

/// A message that is printed only where it was asked for; see [`sys::debug`](crate::sys::debug). What its arguments
/// need is not computed otherwise.
#[macro_export]
macro_rules! debug {
    ($format:tt $($args:tt)*) => {{
        #[cfg(all(CONFIG_DYNAMIC_DEBUG, CONFIG_JUMP_LABEL))]
        {
            // The section is what the kernel finds the descriptors of a module in.
            #[link_section = "__dyndbg"]
            static SITE: $crate::sys::debug::Site = $crate::sys::debug::Site::new(
                crate::__LOG_PREFIX,
                concat!(module_path!(), "\0"),
                concat!(file!(), "\0"),
                concat!($format, "\0"),
                line!(),
            );
            // SAFETY: The key is static, was initialized as one, and is the C side's to change.
            if unsafe {
                ::kernel::jump_label::arch_static_branch!(
                    SITE,
                    $crate::sys::debug::Site,
                    key,
                    false
                )
            } {
                SITE.print(::kernel::prelude::fmt!($format $($args)*));
            }
        }
        #[cfg(not(all(CONFIG_DYNAMIC_DEBUG, CONFIG_JUMP_LABEL)))]
        if false {
            let _ = ::kernel::prelude::fmt!($format $($args)*);
        }
    }};
}
