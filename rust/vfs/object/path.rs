// SPDX-License-Identifier: GPL-2.0-only

//! Places of objects: a mount and a dentry in it.
//!
//! It is not for resolving what a user typed, but when a mount is configured ([`OwnedPath`]).
//!
//! C headers: [`include/linux/path.h`](srctree/include/linux/path.h),
//! [`include/linux/namei.h`](srctree/include/linux/namei.h)
//!
//! # Examples
//!
//! ```ignore
//! let path = Path::new(mount, &dentry)?;
//! let found = lookup_inside(c, mount, c"a/b")?;
//! ```

use crate::object::dentry::Dentry;
use crate::object::dentry::Positive;
use crate::object::mount::Mount;
use crate::object::waited_for::about_to_ask;
use crate::object::Foreign;
use crate::sys::bindings;
use crate::sys::cred::Override;
use crate::sys::errno::from_err_ptr;
use crate::sys::errno::to_result;
use core::ptr::NonNull;
use kernel::prelude::*;
use kernel::str::CString;
use kernel::sync::aref::ARef;

/// The longest path that can be looked up, in bytes, with the NUL at its end.
pub const PATH_MAX: usize = bindings::PATH_MAX as usize;

/// A foreign object by mount and dentry: two borrows.
///
/// # Invariants
///
/// The dentry is on the super block that is mounted: whoever keeps the mount, as an open file does, keeps what
/// the dentry stands on.
#[derive(Clone, Copy)]
pub struct Path<'a> {
    mount: &'a Mount,
    dentry: &'a Positive<Foreign>,
}

impl<'a> Path<'a> {
    /// The object `dentry`, reached through `mount`.
    ///
    /// # Errors
    ///
    /// `EIO`: it is on another super block. Who keeps layers apart never sees it.
    #[inline]
    pub fn new(mount: &'a Mount, dentry: &'a Positive<Foreign>) -> Result<Self> {
        // SAFETY: Both are valid, and both fields constant.
        if unsafe { (*mount.as_ptr()).mnt_sb != (*dentry.as_ptr()).d_sb } {
            return Err(EIO);
        }
        // INVARIANT: It was just compared.
        Ok(Self { mount, dentry })
    }

    /// As [`Path::new`], where it is known that both belong together.
    ///
    /// # Safety
    ///
    /// See the type invariant.
    #[inline]
    pub(crate) unsafe fn new_unchecked(mount: &'a Mount, dentry: &'a Positive<Foreign>) -> Self {
        // INVARIANT: By the requirement.
        Self { mount, dentry }
    }

    /// The root of `mount`.
    #[inline]
    pub(crate) fn of_root(mount: &'a Mount) -> Self {
        // INVARIANT: The root of a mount is on its super block.
        Self {
            mount,
            dentry: mount.root(),
        }
    }

    /// The mount it is reached through.
    #[inline]
    pub fn mount(self) -> &'a Mount {
        self.mount
    }

    /// The object.
    #[inline]
    pub fn dentry(self) -> &'a Positive<Foreign> {
        self.dentry
    }

    #[inline]
    pub(crate) fn to_raw(self) -> bindings::path {
        bindings::path {
            mnt: self.mount.as_ptr(),
            dentry: self.dentry.as_ptr(),
        }
    }

    /// Keeps it beyond the borrow (does what `path_get()` does).
    pub fn to_owned(self) -> OwnedPath {
        let raw = self.to_raw();
        // SAFETY: Both are valid while borrowed.
        unsafe {
            bindings::path_get(&raw);
        }
        // INVARIANT: Both references were just taken, and the dentry is positive.
        OwnedPath(raw)
    }
}

/// Finds the object that `name` names below the root of `mount`, without ever leaving it: no `..` beyond
/// the root, no symbolic links, no other mounts (wraps `vfs_path_lookup()`).
///
/// # Errors
///
/// `ENOENT`, `ENOTDIR`, `EACCES`; `EXDEV` or `ELOOP`: it would leave.
///
/// # Context
///
/// May sleep.
pub fn lookup_inside(
    _c: &Override<'_>,
    mount: &Mount,
    name: &CStr,
) -> Result<ARef<Positive<Foreign>>> {
    let mut raw = bindings::path {
        mnt: core::ptr::null_mut(),
        dentry: core::ptr::null_mut(),
    };
    about_to_ask(mount.super_block());
    // SAFETY: The mount and its root are valid, `name` is a C string, `raw` is ours to fill.
    to_result(unsafe {
        bindings::vfs_path_lookup(
            mount.root().as_ptr(),
            mount.as_ptr(),
            name.as_char_ptr(),
            bindings::LOOKUP_INSIDE,
            &mut raw,
        )
    })?;
    // INVARIANT: On success both references are ours and the dentry is positive.
    let path = OwnedPath(raw);
    Ok(ARef::from(path.as_path().dentry()))
}

/// A path that holds references on its mount and its dentry.
///
/// # Invariants
///
/// Both pointers are valid, with a reference each that is ours; the dentry is positive (a dentry in use
/// does not become negative), and on the super block of the mount.
pub struct OwnedPath(bindings::path);

// SAFETY: Neither a mount nor a dentry is bound to a task.
unsafe impl Send for OwnedPath {}

// SAFETY: Only shared references to thread-safe objects can be had.
unsafe impl Sync for OwnedPath {}

impl OwnedPath {
    /// Resolves a name as the current task sees it, following symbolic links (wraps
    /// `kern_path()`). A relative name starts at the current directory.
    ///
    /// # Errors
    ///
    /// The errors are those of the walk: `ENOENT`, `ENOTDIR`, `EACCES`, `ELOOP`, `ENAMETOOLONG`, `ESTALE`, …
    ///
    /// # Context
    ///
    /// May sleep.
    pub(crate) fn resolve(name: &CStr) -> Result<Self> {
        let mut raw = bindings::path {
            mnt: core::ptr::null_mut(),
            dentry: core::ptr::null_mut(),
        };
        // SAFETY: `name` is a C string, `raw` is ours to fill.
        to_result(unsafe {
            bindings::kern_path(name.as_char_ptr(), bindings::LOOKUP_FOLLOW, &mut raw)
        })?;
        // INVARIANT: On success both references are ours and the dentry is positive.
        Ok(Self(raw))
    }

    /// The path of an open file.
    ///
    /// # Safety
    ///
    /// `file` must be a valid open file.
    pub(crate) unsafe fn of_file(file: NonNull<bindings::file>) -> Self {
        // SAFETY: By the requirement; `f_path` is constant while a file is open, and what is open
        // is positive.
        unsafe {
            let raw = (*file.as_ptr()).__bindgen_anon_1.f_path;
            bindings::path_get(&raw);
            Self(raw)
        }
    }

    /// Borrows it.
    #[inline]
    pub fn as_path(&self) -> Path<'_> {
        // SAFETY: By the type invariant both live as long as `self`, and the dentry is positive.
        // INVARIANT: The kernel's paths are of one super block.
        unsafe {
            Path {
                mount: Mount::from_raw(self.0.mnt),
                dentry: Positive::from_raw(self.0.dentry),
            }
        }
    }

    /// The name by which the current task would find it (wraps `d_path()`).
    ///
    /// # Errors
    ///
    /// `ENAMETOOLONG`: longer than `PATH_MAX`. `ENOMEM`.
    pub fn name(&self) -> Result<CString> {
        let mut buf = KVec::from_elem(0u8, PATH_MAX, GFP_KERNEL)?;
        // SAFETY: The path is valid and the buffer is as long as said.
        let name = from_err_ptr(unsafe {
            bindings::d_path(&self.0, buf.as_mut_ptr().cast(), bindings::PATH_MAX)
        })?;
        // SAFETY: On success it is a C string within `buf`.
        let name = unsafe { CStr::from_char_ptr(name) };
        Ok(CString::try_from(name)?)
    }
}

impl Drop for OwnedPath {
    fn drop(&mut self) {
        // SAFETY: By the type invariant both references are ours.
        unsafe { bindings::path_put(&self.0) };
    }
}

/// Notes that the object at `path` was read, if its access time is due (wraps `touch_atime()`).
///
/// # Context
///
/// May sleep.
pub fn touch(path: Path<'_>) {
    // SAFETY: The path is valid.
    unsafe { bindings::touch_atime(&path.to_raw()) };
}

/// Whether `dir` is `top` or lies below it (wraps `is_subdir()`).
pub fn is_below(dir: &Dentry<Foreign>, top: &Dentry<Foreign>) -> bool {
    // SAFETY: Both dentries are valid while borrowed.
    unsafe { bindings::is_subdir(dir.as_ptr(), top.as_ptr()) }
}
