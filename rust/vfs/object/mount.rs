// SPDX-License-Identifier: GPL-2.0-only

//! Mounts of foreign filesystems: borrowed, and private clones that only we see.
//!
//! It is not for mounting something where users see it.
//!
//! C header: [`include/linux/mount.h`](srctree/include/linux/mount.h)
//!
//! # Examples
//!
//! ```ignore
//! let mount = PrivateMount::clone_of(c, path, PrivateUse::ReadOnly)?;
//! let root = mount.get().root();
//! ```

use crate::object::dentry::Positive;
use crate::object::idmap::Idmap;
use crate::object::path::Path;
use crate::object::super_block::SuperBlock;
use crate::object::Foreign;
use crate::sys::bindings;
use crate::sys::cred::Override;
use crate::sys::errno::from_err_ptr;
use core::ptr::NonNull;
use core::sync::atomic::AtomicBool;
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

    /// The root of the mount, as a path.
    #[inline]
    pub fn root_path(&self) -> Path<'_> {
        Path::of_root(self)
    }

    /// Whether reading through it never changes access times (`MNT_NOATIME`).
    #[inline]
    pub fn leaves_access_times(&self) -> bool {
        // SAFETY: A word that may be read at any time.
        let flags = unsafe { (&raw const (*self.as_ptr()).mnt_flags).read_volatile() };
        flags & bindings::mount_flags_MNT_NOATIME as i32 != 0
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
/// A clone that `clone_private_mount()` gave, with a reference that is ours. It is a long-term mount
/// until `is_short_term`, which is set once.
pub struct PrivateMount {
    mnt: NonNull<bindings::vfsmount>,
    is_short_term: AtomicBool,
}

// SAFETY: A mount is not bound to a task.
unsafe impl Send for PrivateMount {}

// SAFETY: Only `&Mount` can be had through a shared reference, and the flag is atomic.
unsafe impl Sync for PrivateMount {}

impl PrivateMount {
    /// Clones the mount at `path` (wraps `clone_private_mount()`). Whether that is allowed is asked of the
    /// caller, whoever's credentials the layers are accessed with.
    ///
    /// # Errors
    ///
    /// `EPERM`: the caller is not the administrator of the name space of the mount. `EINVAL`: the mount can't be cloned: it is unbindable, it belongs to another name space, or it has locked
    /// children that the clone would uncover. `ENOMEM`.
    ///
    /// # Context
    ///
    /// May sleep; takes the namespace lock.
    pub fn clone_of(c: &Override<'_>, path: Path<'_>, usage: PrivateUse) -> Result<Self> {
        // SAFETY: `path` is valid while borrowed.
        let mnt = c.as_caller(|| unsafe { bindings::clone_private_mount(&path.to_raw()) });
        let mnt = from_err_ptr(mnt)?;
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
        // INVARIANT: It is a clone, with a reference for us, and it is a long-term mount.
        Ok(Self {
            mnt: NonNull::new(mnt).ok_or(EIO)?,
            is_short_term: AtomicBool::new(false),
        })
    }

    /// The mount.
    #[inline]
    pub fn get(&self) -> &Mount {
        // SAFETY: By the type invariant a reference is ours as long as `self` exists.
        unsafe { Mount::from_raw(self.mnt.as_ptr()) }
    }

    /// Makes all that `each` shows short-term mounts, and waits for everybody who is in an RCU
    /// read-side section now (wraps `kern_unmount_array()`). They stay mounted until both `self` and
    /// what is returned are dropped.
    ///
    /// # Context
    ///
    /// Sleeps for a grace period, whatever `each` shows.
    pub(crate) fn end_all(each: impl FnOnce(&mut dyn FnMut(&Self))) -> EndedMounts {
        let mut ended = EndedMounts(KVec::new());
        each(&mut |mount| {
            let mnt = mount.mnt.as_ptr();
            // One that finds no room here is unmounted when it is dropped.
            if !mount.is_short_term.load(Ordering::Relaxed) && ended.0.push(mnt, GFP_KERNEL).is_ok()
            {
                // INVARIANT: `kern_unmount_array()` makes it one before anybody else sees this.
                mount.is_short_term.store(true, Ordering::Relaxed);
                // One reference is for `ended`, the other is what `kern_unmount_array()` gives back.
                // SAFETY: It is a mount on which `mount` has a reference.
                unsafe {
                    bindings::mntget(mnt);
                    bindings::mntget(mnt);
                }
            }
        });
        if ended.0.is_empty() {
            // SAFETY: No requirement but that it may sleep.
            unsafe { bindings::synchronize_rcu_expedited() };
        } else {
            // SAFETY: All are long-term mounts, with a reference for this call.
            unsafe { bindings::kern_unmount_array(ended.0.as_mut_ptr(), ended.0.len() as u32) };
        }
        ended
    }
}

/// Mounts that are about to go: each goes when both this and its [`PrivateMount`] are dropped.
///
/// # Invariants
///
/// Each is a short-term mount with a reference that is ours.
#[must_use = "what is held of the layers must be given up before the mounts are"]
pub(crate) struct EndedMounts(KVec<*mut bindings::vfsmount>);

impl Drop for EndedMounts {
    fn drop(&mut self) {
        for &mnt in &self.0 {
            // SAFETY: By the type invariant.
            unsafe { bindings::mntput(mnt) };
        }
    }
}

impl PrivateMount {
    /// Gives the mount up: what [`Drop`] does, where it must be done before the memory goes.
    ///
    /// # Safety
    ///
    /// It is done once, and `self` is not dropped; from then on nobody but readers under RCU, whose read-side section has
    /// begun, uses the mount.
    ///
    /// # Context
    ///
    /// Sleeps for a grace period, unless it is a short-term mount.
    pub(crate) unsafe fn give_up(&self) {
        let mnt = self.mnt.as_ptr();
        // SAFETY: By the type invariant the reference is ours, and by the requirement given back once. One on a long-term
        // mount may be given back by `kern_unmount()` alone. The memory of a mount is freed after a grace period.
        unsafe {
            if self.is_short_term.load(Ordering::Relaxed) {
                bindings::mntput(mnt);
            } else {
                bindings::kern_unmount(mnt);
            }
        }
    }
}

impl Drop for PrivateMount {
    fn drop(&mut self) {
        // SAFETY: It is dropped, so it was not given up, and nobody borrows it.
        unsafe { self.give_up() };
    }
}
