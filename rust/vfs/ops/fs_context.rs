// SPDX-License-Identifier: GPL-2.0-only

//! Configuring a mount: parameters in, messages out.
//!
//! It is not for options of a mounted filesystem as `/proc/mounts` shows them ([`seq`](crate::sys::seq)).
//!
//! C header: [`include/linux/fs_context.h`](srctree/include/linux/fs_context.h);
//! C document: [`Documentation/filesystems/mount_api.rst`](srctree/Documentation/filesystems/mount_api.rst)
//!
//! # Examples
//!
//! ```ignore
//! fc.error(fmt!("statfs failed on '{}': {:?}", name, e));
//! ```

use crate::object::path::OwnedPath;
use crate::sys::bindings;
use core::cell::Cell;
use core::marker::PhantomData;
use core::ptr::NonNull;
use kernel::ffi;
use kernel::fmt;
use kernel::prelude::*;
use kernel::str::CString;

/// A filesystem context: a mount that is being configured, or changed.
///
/// # Invariants
///
/// It is what the VFS passed to an operation of the context, during that call.
pub struct FsContext<'a> {
    raw: *mut bindings::fs_context,
    /// With what prefix, if there.
    to_kernel_log: Cell<Option<&'static CStr>>,
    _call: PhantomData<&'a ()>,
}

/// How bad a message is.
#[derive(Clone, Copy)]
enum Level {
    Error = b'e' as isize,
    Warning = b'w' as isize,
    Info = b'i' as isize,
}

impl FsContext<'_> {
    /// # Safety
    ///
    /// See the type invariant.
    pub(crate) unsafe fn from_raw<'a>(fc: *mut bindings::fs_context) -> FsContext<'a> {
        FsContext {
            raw: fc,
            to_kernel_log: Cell::new(None),
            _call: PhantomData,
        }
    }

    /// Resolves a name as who configures the mount sees it, following symbolic links (wraps
    /// `kern_path()`). A relative name starts at the current directory.
    ///
    /// # Errors
    ///
    /// The errors are those of the walk: `ENOENT`, `ENOTDIR`, `EACCES`, `ELOOP`, `ENAMETOOLONG`, `ESTALE`, …
    ///
    /// # Context
    ///
    /// May sleep.
    pub fn resolve(&self, name: &CStr) -> Result<OwnedPath> {
        OwnedPath::resolve(name)
    }

    /// The name of the type it is for: the filesystem's own, or another under which its functions are
    /// registered.
    pub fn type_name(&self) -> &CStr {
        // SAFETY: By the type invariant; a type and its name stay while a context is for it.
        unsafe { CStr::from_char_ptr((*(*self.raw).fs_type).name) }
    }

    /// Whether a mounted filesystem is changed, not a new one made.
    pub fn is_reconfigure(&self) -> bool {
        // SAFETY: By the type invariant.
        unsafe { (*self.raw).purpose() == bindings::fs_context_purpose_FS_CONTEXT_FOR_RECONFIGURE }
    }

    /// Whether it comes from `mount(2)` rather than `fsopen(2)`.
    pub fn is_old_api(&self) -> bool {
        // SAFETY: By the type invariant.
        unsafe { (*self.raw).oldapi() }
    }

    /// Whether a read-only filesystem is asked for.
    pub fn wants_read_only(&self) -> bool {
        // SAFETY: By the type invariant.
        unsafe { (*self.raw).sb_flags as usize & bindings::SB_RDONLY != 0 }
    }

    /// Whether messages that the mounter does not need shall be left out.
    pub fn is_silent(&self) -> bool {
        // SAFETY: By the type invariant.
        unsafe { (*self.raw).sb_flags as usize & bindings::SB_SILENT != 0 }
    }

    /// Whether the current task is in the user name space the mount is made for.
    pub fn in_same_userns(&self) -> bool {
        // SAFETY: By the type invariant; a task's credentials and their name space are valid while
        // it runs.
        unsafe { core::ptr::eq((*self.raw).user_ns, bindings::vfs_helper_current_user_ns()) }
    }

    /// Whether the current task's user name space is the one the mount is made for, or below it
    /// (wraps `current_in_userns()`).
    pub fn in_userns_below(&self) -> bool {
        // SAFETY: By the type invariant.
        unsafe { bindings::current_in_userns((*self.raw).user_ns) }
    }

    /// Has messages of this call go to the kernel's log, all but those of [`FsContext::refuse`]. What goes
    /// there begins with `prefix`, whatever the type is called, as all else that the module says.
    pub fn use_kernel_log(&self, prefix: &'static CStr) {
        self.to_kernel_log.set(Some(prefix));
    }

    fn log(&self, level: Level, args: fmt::Arguments<'_>, to_kernel_log: bool) {
        let Ok(text) = CString::try_from_fmt(args) else {
            return;
        };
        // SAFETY: By the type invariant; without a log it is the kernel's. The format is ours and takes
        // one string.
        unsafe {
            let log = if to_kernel_log {
                core::ptr::null_mut()
            } else {
                (*self.raw).log.log
            };
            let prefix = match self.to_kernel_log.get() {
                Some(prefix) if log.is_null() => prefix.as_char_ptr(),
                _ => (*self.raw).log.prefix,
            };
            bindings::logfc(
                log,
                prefix,
                level as ffi::c_char,
                c"%s".as_char_ptr(),
                text.as_char_ptr(),
            )
        };
    }

    /// Tells the mounter why it does not work (does what `errorfc()` does): in the log of the
    /// `fsopen(2)` descriptor, or the kernel's for `mount(2)` and after [`FsContext::use_kernel_log`].
    pub fn error(&self, args: fmt::Arguments<'_>) {
        self.log(Level::Error, args, self.to_kernel_log.get().is_some());
    }

    /// Tells the mounter what may be trouble; see [`FsContext::error`].
    pub fn warn(&self, args: fmt::Arguments<'_>) {
        self.log(Level::Warning, args, self.to_kernel_log.get().is_some());
    }

    /// Tells the mounter what is good to know; see [`FsContext::error`].
    pub fn info(&self, args: fmt::Arguments<'_>) {
        self.log(Level::Info, args, self.to_kernel_log.get().is_some());
    }

    /// [`FsContext::error`], and the error `EINVAL` to return.
    pub fn invalid(&self, args: fmt::Arguments<'_>) -> Error {
        self.error(args);
        EINVAL
    }

    /// Does the same as [`FsContext::invalid`], but the mounter is told in any case.
    pub fn refuse(&self, args: fmt::Arguments<'_>) -> Error {
        self.log(Level::Error, args, false);
        EINVAL
    }
}

/// The value of a parameter.
pub enum Value<'a> {
    /// None: it is just a word.
    Flag,
    /// A string.
    String(&'a CStr),
    /// An open file: the path of it.
    File(OwnedPath),
    /// A kind of value that no parameter takes.
    Other,
}

impl Value<'_> {
    /// # Safety
    ///
    /// `param` must be what the VFS passed to `->parse_param()`, during that call.
    pub(crate) unsafe fn of<'a>(param: *mut bindings::fs_parameter) -> (&'a [u8], Value<'a>) {
        // SAFETY: By the requirement: the key is a C string, and the type says which member of the
        // union is in use.
        unsafe {
            let key = CStr::from_char_ptr((*param).key).to_bytes();
            let value = match (*param).type_() {
                bindings::fs_value_type_fs_value_is_flag => Value::Flag,
                bindings::fs_value_type_fs_value_is_string => {
                    let string = (*param).__bindgen_anon_1.string;
                    if string.is_null() {
                        Value::Flag
                    } else {
                        Value::String(CStr::from_char_ptr(string))
                    }
                }
                bindings::fs_value_type_fs_value_is_file => {
                    match NonNull::new((*param).__bindgen_anon_1.file) {
                        Some(file) => Value::File(OwnedPath::of_file(file)),
                        None => Value::Other,
                    }
                }
                _ => Value::Other,
            };
            (key, value)
        }
    }
}
