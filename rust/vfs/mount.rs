// SPDX-License-Identifier: GPL-2.0-only

//! Mounts of foreign filesystems: borrowed, and private clones that only we see.
//!
//! C header: [`include/linux/mount.h`](srctree/include/linux/mount.h)

use crate::bindings;
use crate::dentry::Positive;
use crate::errno::from_err_ptr;
use crate::idmap::Idmap;
use crate::path::Path;
use crate::super_block::SuperBlock;
use crate::Foreign;
use core::ptr::NonNull;
use core::sync::atomic::AtomicPtr;
use core::sync::atomic::Ordering;
use kernel::prelude::*;
use kernel::types::Opaque;

/// A mount (`struct vfsmount`).
///
/// # Invariants
///
/// A reference to one implies that it stays mounted, or at least allocated, while it is borrowed.
#[repr(transparent)]
pub struct Mount(Opaque<bindings::vfsmount>);

// SAFETY: What is read through a shared reference is constant or read atomically.
unsafe impl Sync for Mount {}

// SAFETY: A mount is not bound to a task.
unsafe impl Send for Mount {}

impl Mount {
    /// Wraps a pointer to a mount.
    ///
    /// # Safety
    ///
    /// `ptr` must be a mount that lives as long as `'a`.
    #[inline]
    pub(crate) unsafe fn from_raw<'a>(ptr: *const bindings::vfsmount) -> &'a Self {
        // SAFETY: By the requirement; the type is transparent over it.
        unsafe { &*ptr.cast() }
    }

    #[inline]
    pub(crate) fn as_ptr(&self) -> *mut bindings::vfsmount {
        self.0.get()
    }

    /// The id mapping of the mount (does what `mnt_idmap()` does).
    #[inline]
    pub fn idmap(&self) -> &Idmap {
        // SAFETY: The field may be set once, while the mount is not visible yet, with release
        // semantics; a mapping lives as long as its mount.
        unsafe {
            let slot = &raw mut (*self.as_ptr()).mnt_idmap;
            Idmap::from_raw(AtomicPtr::from_ptr(slot).load(Ordering::Acquire))
        }
    }

    /// The super block that is mounted.
    #[inline]
    pub fn super_block(&self) -> &SuperBlock<Foreign> {
        // SAFETY: `mnt_sb` is constant, and a mount keeps its super block.
        unsafe { SuperBlock::from_raw((*self.as_ptr()).mnt_sb) }
    }

    /// The root of the mount: a directory, or whatever was mounted.
    #[inline]
    pub fn root(&self) -> &Positive<Foreign> {
        // SAFETY: `mnt_root` is constant, positive, and counted by the mount.
        unsafe { Positive::from_raw((*self.as_ptr()).mnt_root) }
    }

    /// Whether writes are refused by the mount or its super block (wraps `__mnt_is_readonly()`).
    pub fn is_readonly(&self) -> bool {
        // SAFETY: By the type invariant the mount is valid.
        unsafe { bindings::__mnt_is_readonly(self.as_ptr()) }
    }
}

/// How a private mount is used.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum PrivateUse {
    /// Only read: the clone is read-only and leaves access times alone.
    ReadOnly,
    /// Written to: the clone has the default rules for access times.
    Writing,
}

/// A mount of our own over a directory somebody else mounted: unseen by any name space, without the
/// submounts, and unaffected by what is mounted or unmounted there later.
///
/// # Invariants
///
/// A clone that `clone_private_mount()` gave, not yet unmounted; or none, after
/// [`PrivateMount::unmount_all`].
pub struct PrivateMount(Option<NonNull<bindings::vfsmount>>);

// SAFETY: A mount is not bound to a task.
unsafe impl Send for PrivateMount {}

// SAFETY: Only `&Mount` can be had through a shared reference.
unsafe impl Sync for PrivateMount {}

impl PrivateMount {
    /// Clones the mount at `path` (wraps `clone_private_mount()`).
    ///
    /// # Errors
    ///
    /// `EINVAL`: the mount can't be cloned: it is unbindable, it belongs to another name space, or it has locked
    /// children that the clone would uncover. `ENOMEM`.
    ///
    /// # Context
    ///
    /// May sleep; takes the namespace lock.
    pub fn clone_of(path: Path<'_>, usage: PrivateUse) -> Result<Self> {
        // SAFETY: `path` is valid while borrowed.
        let mnt = from_err_ptr(unsafe { bindings::clone_private_mount(&path.to_raw()) })?;
        // SAFETY: Nobody else has seen the clone yet, so its flags may be written.
        let flags = unsafe { &mut (*mnt).mnt_flags };
        match usage {
            PrivateUse::ReadOnly => {
                *flags |=
                    (bindings::mount_flags_MNT_READONLY | bindings::mount_flags_MNT_NOATIME) as i32
            }
            PrivateUse::Writing => {
                *flags &= !((bindings::mount_flags_MNT_NOATIME
                    | bindings::mount_flags_MNT_NODIRATIME
                    | bindings::mount_flags_MNT_RELATIME) as i32)
            }
        }
        // INVARIANT: It is a clone, and mounted.
        Ok(Self(NonNull::new(mnt)))
    }

    /// The mount.
    ///
    /// # Panics
    ///
    /// Never for a mount that is in use: only the end of a super block unmounts them, and then
    /// there is nobody left who could ask.
    #[inline]
    pub fn get(&self) -> &Mount {
        match self.0 {
            // SAFETY: By the type invariant it is mounted while `self` exists.
            Some(mnt) => unsafe { Mount::from_raw(mnt.as_ptr()) },
            None => unmounted(),
        }
    }

    /// Unmounts all that `each` shows, waiting only once for readers under RCU (wraps
    /// `kern_unmount_array()`). Returns whether there were any, and so whether it waited.
    pub(crate) fn unmount_all(each: impl FnOnce(&mut dyn FnMut(&mut Self))) -> bool {
        let mut batch: KVec<*mut bindings::vfsmount> = KVec::new();
        let mut any = false;
        each(&mut |mount| {
            let Some(mnt) = mount.0.take() else { return };
            any = true;
            if batch.push(mnt.as_ptr(), GFP_KERNEL).is_err() {
                // SAFETY: It is a mounted clone, and no longer in `mount`.
                unsafe { bindings::kern_unmount(mnt.as_ptr()) };
            }
        });
        if !batch.is_empty() {
            // SAFETY: All are mounted clones that nobody else owns.
            unsafe { bindings::kern_unmount_array(batch.as_mut_ptr(), batch.len() as u32) };
        }
        any
    }
}

#[cold]
#[inline(never)]
fn unmounted() -> ! {
    panic!("vfs: a private mount is used after the end of its super block")
}

impl Drop for PrivateMount {
    fn drop(&mut self) {
        if let Some(mnt) = self.0.take() {
            // SAFETY: By the type invariant it is a mounted clone, and ours.
            unsafe { bindings::kern_unmount(mnt.as_ptr()) };
        }
    }
}
