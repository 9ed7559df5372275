// SPDX-License-Identifier: GPL-2.0-only

//! The mapping of user and group ids of a mount.
//!
//! It is not for the user namespace of a task: credentials know that ([`cred`](crate::sys::cred)).
//!
//! C header: [`include/linux/mnt_idmapping.h`](srctree/include/linux/mnt_idmapping.h)
//!
//! # Examples
//!
//! ```ignore
//! let ids = viewed.meant(inode, said);
//! ```

use crate::object::inode::RcuInode;
use crate::object::Foreign;
use crate::object::Ours;
use crate::sys::bindings;
use core::marker::PhantomData;
use core::ptr::NonNull;
use kernel::sync::aref::AlwaysRefCounted;
use kernel::types::Opaque;

/// The owner of an object, user and group, as its inode has them.
pub(crate) type Ids = (bindings::kuid_t, bindings::kgid_t);

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
    pub(crate) fn owner_of(&self, inode: &RcuInode<Foreign>) -> Ids {
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

/// How the mount of ours that a user came by maps ids.
///
/// The VFS passes it to an operation, and there are as many as there are mounts of a super block: nothing that is
/// kept may depend on it. What an inode of ours shows is of no mount: its ids are what those below are, mapped
/// as the layer's mount says. This mapping comes on top, where a user is shown ids, says ids, or is asked
/// whether he is one. It is a type of its own, so that the mapping of a layer's mount can't be taken for it, or
/// the other way round.
///
/// # Invariants
///
/// A valid `struct mnt_idmap` for `'a`, the time of the operation.
#[derive(Clone, Copy)]
pub struct Viewed<'a>(*mut bindings::mnt_idmap, PhantomData<&'a Idmap>);

impl Viewed<'_> {
    /// # Safety
    ///
    /// See the type invariant.
    #[inline]
    pub(crate) unsafe fn from_raw(idmap: *mut bindings::mnt_idmap) -> Self {
        // INVARIANT: By the requirement.
        Self(idmap, PhantomData)
    }

    #[inline]
    pub(crate) fn as_ptr(self) -> *mut bindings::mnt_idmap {
        self.0
    }

    /// Whether ids stay as they are.
    #[inline]
    fn is_identity(self) -> bool {
        core::ptr::eq(self.0, &raw const bindings::nop_mnt_idmap)
    }

    /// The ids that a user sees for those that an inode of ours has (does what `i_uid_into_vfsuid()` and
    /// `vfsuid_into_kuid()` do): invalid ones, for which the overflow ids are shown, where there is no mapping.
    #[inline]
    pub(crate) fn shown<F: Ours>(self, inode: &RcuInode<F>, ids: Ids) -> Ids {
        if self.is_identity() {
            return ids;
        }
        // SAFETY: The mapping is valid by the invariant, and so is the super block of an inode.
        let (uid, gid) = unsafe {
            let ns = (*(*inode.as_ptr()).i_sb).s_user_ns;
            (
                bindings::make_vfsuid(self.0, ns, ids.0),
                bindings::make_vfsgid(self.0, ns, ids.1),
            )
        };
        (
            bindings::kuid_t { val: uid.val },
            bindings::kgid_t { val: gid.val },
        )
    }

    /// The ids that an inode of ours has where a user says these (wraps `from_vfsuid()` and `from_vfsgid()`):
    /// invalid ones, with which the real filesystem makes nothing, where there is no mapping.
    #[inline]
    pub(crate) fn meant<F: Ours>(
        self,
        inode: &RcuInode<F>,
        ids: (bindings::vfsuid_t, bindings::vfsgid_t),
    ) -> Ids {
        if self.is_identity() {
            return (
                bindings::kuid_t { val: ids.0.val },
                bindings::kgid_t { val: ids.1.val },
            );
        }
        // SAFETY: The mapping is valid by the invariant, and so is the super block of an inode.
        unsafe {
            let ns = (*(*inode.as_ptr()).i_sb).s_user_ns;
            (
                bindings::from_vfsuid(self.0, ns, ids.0),
                bindings::from_vfsgid(self.0, ns, ids.1),
            )
        }
    }
}
