// SPDX-License-Identifier: GPL-2.0-only

//! The type of a filesystem, as the VFS and the inodes know it.
//!
//! Registering it is another matter: see [`registration`](crate::ops::registration).
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h) (`struct file_system_type`)
//!
//! # Examples
//!
//! ```ignore
//! static TYPE: FsType<MyFs> = FsType::new();
//! ```

use crate::object::Ours;
use crate::sys::bindings;
use core::marker::PhantomData;
use core::sync::atomic::AtomicPtr;
use core::sync::atomic::Ordering;
use kernel::types::Opaque;

/// A type of filesystem: a `static` of the filesystem's module (its lock classes are keyed by
/// address, and the VFS links it into a list).
///
/// # Examples
///
/// ```ignore
/// static TYPE: FsType<LayerFs> = FsType::new();
/// let registration = Registration::new(module)?;
/// ```
pub struct FsType<F: Ours> {
    raw: Opaque<bindings::file_system_type>,
    cache: AtomicPtr<bindings::kmem_cache>,
    _owner: PhantomData<F>,
}

// SAFETY: It is written by `Registration` alone, before the VFS sees it and after.
unsafe impl<F: Ours> Sync for FsType<F> {}

impl<F: Ours> FsType<F> {
    /// An unregistered type.
    pub const fn new() -> Self {
        Self {
            raw: Opaque::new(pin_init::zeroed()),
            cache: AtomicPtr::new(core::ptr::null_mut()),
            _owner: PhantomData,
        }
    }

    #[inline]
    pub(crate) fn as_ptr(&self) -> *mut bindings::file_system_type {
        self.raw.get()
    }

    /// The slab cache that its inodes come from; null unless it is registered.
    #[inline]
    pub(crate) fn cache(&self) -> *mut bindings::kmem_cache {
        self.cache.load(Ordering::Relaxed)
    }

    /// Gives it a cache, unless it has one; whether it was given.
    pub(crate) fn set_cache(&self, cache: *mut bindings::kmem_cache) -> bool {
        let none = core::ptr::null_mut();
        let set = self
            .cache
            .compare_exchange(none, cache, Ordering::Release, Ordering::Relaxed);
        set.is_ok()
    }

    /// Takes its cache away.
    pub(crate) fn take_cache(&self) -> *mut bindings::kmem_cache {
        self.cache.swap(core::ptr::null_mut(), Ordering::AcqRel)
    }
}

impl<F: Ours> Default for FsType<F> {
    fn default() -> Self {
        Self::new()
    }
}
