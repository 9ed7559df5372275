// SPDX-License-Identifier: GPL-2.0-only

//! Making a filesystem known to the kernel, and unknown again.
//!
//! It is not for what a mount is made of ([`FileSystem`](crate::FileSystem)).
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)
//!
//! # Examples
//!
//! ```ignore
//! struct Module {
//!     _registration: Registration<MyFs>,
//! }
//! ```

use crate::object::fs_type::FsType;
use crate::object::inode_cache::Slot;
use crate::object::super_block;
use crate::ops::context;
use crate::ops::FileSystem;
use crate::sys::bindings;
use crate::sys::errno::to_result;
use kernel::prelude::*;
use kernel::str::CString;

/// A registered filesystem; dropping it unregisters.
///
/// # Invariants
///
/// The type is registered and has its inode cache. (What `F::fs_type()` says when it is asked again is not
/// relied on.)
pub struct Registration<F: FileSystem>(&'static FsType<F>);

impl<F: FileSystem> Registration<F> {
    /// Makes an inode cache (named after the filesystem, `_inode` appended) and registers the type
    /// (wraps `register_filesystem()`).
    ///
    /// # Errors
    ///
    /// `EBUSY`: the name is taken, or this type is registered already. `ENOMEM`.
    ///
    /// # Context
    ///
    /// May sleep.
    pub fn new(module: &'static ThisModule) -> Result<Self> {
        let fs_type = F::fs_type();
        let name = CString::try_from_fmt(fmt!("{}_inode", F::NAME))?;
        let mut args = bindings::kmem_cache_args {
            align: align_of::<Slot<F>>() as u32,
            ctor: Some(Slot::<F>::construct),
            ..pin_init::zeroed()
        };
        let flags = 1u32 << bindings::_slab_flag_bits__SLAB_RECLAIM_ACCOUNT
            | 1u32 << bindings::_slab_flag_bits__SLAB_ACCOUNT;
        // SAFETY: The name is copied; size and alignment are those of what the constructor expects.
        let cache = unsafe {
            bindings::__kmem_cache_create_args(
                name.as_char_ptr(),
                size_of::<Slot<F>>() as u32,
                &mut args,
                flags,
            )
        };
        if cache.is_null() {
            return Err(ENOMEM);
        }
        if !fs_type.set_cache(cache) {
            // SAFETY: Nobody has seen the cache.
            unsafe { bindings::kmem_cache_destroy(cache) };
            return Err(EBUSY);
        }
        let raw = fs_type.as_ptr();
        // SAFETY: By the exchange above nobody else sets up this type, and the VFS does not see it
        // yet. It is static, so it may be linked into the VFS's list.
        let registered = unsafe {
            (*raw).name = F::NAME.as_char_ptr();
            (*raw).owner = module.as_ptr();
            // Every operation that the user's mount matters to is told how that maps ids.
            (*raw).fs_flags = bindings::FS_ALLOW_IDMAP as i32
                | if F::USERNS_MOUNT {
                    bindings::FS_USERNS_MOUNT as i32
                } else {
                    0
                };
            (*raw).init_fs_context = Some(context::init::<F>);
            (*raw).kill_sb = Some(super_block::kill::<F>);
            to_result(bindings::register_filesystem(raw))
        };
        if let Err(e) = registered {
            // SAFETY: What is not registered was never mounted, so there never was an inode.
            unsafe { Self::destroy_cache(fs_type) };
            return Err(e);
        }
        // INVARIANT: It is registered, and the cache was made.
        Ok(Self(fs_type))
    }

    /// # Safety
    ///
    /// No inode of the type may be left, not even one that waits for its grace period.
    unsafe fn destroy_cache(fs_type: &FsType<F>) {
        let cache = fs_type.take_cache();
        // SAFETY: By the requirement; the cache was taken from its place, so this happens once.
        unsafe { bindings::kmem_cache_destroy(cache) };
    }
}

impl<F: FileSystem> Drop for Registration<F> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant it is registered. The VFS holds our module while a super
        // block exists, so there is none, and all its inodes were evicted. Those that wait for their
        // grace period are freed by callbacks, which run our code and give memory back to the cache: so
        // the barrier comes before the cache, and the module, go.
        unsafe {
            bindings::unregister_filesystem(self.0.as_ptr());
            bindings::rcu_barrier();
            Self::destroy_cache(self.0);
        }
    }
}
