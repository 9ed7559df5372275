// SPDX-License-Identifier: GPL-2.0-only

//! The mapping of user and group ids of a mount.
//!
//! C header: [`include/linux/mnt_idmapping.h`](srctree/include/linux/mnt_idmapping.h)

use crate::bindings;
use crate::inode::RcuInode;
use crate::Foreign;
use core::ptr::NonNull;
use kernel::sync::aref::AlwaysRefCounted;
use kernel::types::Opaque;

/// The id mapping of a mount.
///
/// # Invariants
///
/// Always a valid `struct mnt_idmap`; one mount keeps the same from when it is attached.
#[repr(transparent)]
pub struct Idmap(Opaque<bindings::mnt_idmap>);

// SAFETY: A mapping is immutable once a mount has it.
unsafe impl Sync for Idmap {}

// SAFETY: A mapping is not bound to a task.
unsafe impl Send for Idmap {}

// SAFETY: `mnt_idmap_get`/`mnt_idmap_put` count the references of a mapping.
unsafe impl AlwaysRefCounted for Idmap {
    fn inc_ref(&self) {
        // SAFETY: The existence of a shared reference means that the count is not zero.
        unsafe { bindings::mnt_idmap_get(self.as_ptr()) };
    }

    unsafe fn dec_ref(obj: NonNull<Self>) {
        // SAFETY: The caller owns the reference that is given back.
        unsafe { bindings::mnt_idmap_put(obj.cast().as_ptr()) };
    }
}

impl Idmap {
    /// Wraps a pointer to a mapping.
    ///
    /// # Safety
    ///
    /// `ptr` must point to a mapping that lives as long as `'a`.
    #[inline]
    pub(crate) unsafe fn from_raw<'a>(ptr: *mut bindings::mnt_idmap) -> &'a Self {
        // SAFETY: By the requirement; the type is transparent over it.
        unsafe { &*ptr.cast() }
    }

    /// The mapping that maps every id to itself.
    #[inline]
    pub fn identity() -> &'static Self {
        // SAFETY: `nop_mnt_idmap` is a static of the kernel.
        unsafe { Self::from_raw(&raw mut bindings::nop_mnt_idmap) }
    }

    /// Whether ids stay as they are.
    #[inline]
    pub fn is_identity(&self) -> bool {
        core::ptr::eq(self, Self::identity())
    }

    #[inline]
    pub(crate) fn as_ptr(&self) -> *mut bindings::mnt_idmap {
        self.0.get()
    }

    /// The owner of `inode` as seen through a mount with this mapping, for an inode of one's own
    /// (does what `i_uid_into_vfsuid()` does, and takes the result as a kernel id).
    #[inline]
    pub(crate) fn owner_of(
        &self,
        inode: &RcuInode<Foreign>,
    ) -> (bindings::kuid_t, bindings::kgid_t) {
        // SAFETY: Owner ids are word-sized fields that may be read at any time.
        let (uid, gid) = unsafe { ((*inode.as_ptr()).i_uid, (*inode.as_ptr()).i_gid) };
        if self.is_identity() {
            return (uid, gid);
        }
        // SAFETY: The mapping is valid by the invariant, and so is the super block of an inode.
        let (u, g) = unsafe {
            let ns = (*(*inode.as_ptr()).i_sb).s_user_ns;
            (
                bindings::make_vfsuid(self.as_ptr(), ns, uid),
                bindings::make_vfsgid(self.as_ptr(), ns, gid),
            )
        };
        (
            bindings::kuid_t { val: u.val },
            bindings::kgid_t { val: g.val },
        )
    }
}
