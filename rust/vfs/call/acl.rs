// SPDX-License-Identifier: GPL-2.0-only

//! Access control lists.
//!
//! It is not for deciding who may do what: permission is asked of an inode
//! ([`Inode::permits`](crate::Inode::permits)), and the extended attributes that hold a list on disk are never read
//! as bytes here.
//!
//! C header: [`include/linux/posix_acl.h`](srctree/include/linux/posix_acl.h)
//!
//! # Examples
//!
//! ```ignore
//! let list = Acl::get(c, lower, acl::Kind::Access)?;
//! if let Some(list) = list {
//!     list.set_on(c, writing, &copy, acl::Kind::Access)?;
//! }
//! ```

use crate::guard::write::WantWrite;
use crate::object::dentry::Positive;
use crate::object::idmap::Idmap;
use crate::object::inode::Inode;
use crate::object::inode::RcuInode;
use crate::object::path::Path;
use crate::object::waited_for::about_to_ask;
use crate::object::Foreign;
use crate::object::Ours;
use crate::sys::bindings;
use crate::sys::cred::Override;
use crate::sys::errno::from_err_ptr;
use crate::sys::errno::to_result;
use crate::sys::mode::Mode;
use core::ptr::NonNull;
use kernel::prelude::*;

/// Which of the two lists of an inode.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The one that is checked.
    Access,
    /// The one that a directory gives to what is made in it.
    Default,
}

impl Kind {
    pub(crate) fn from_raw(kind: i32) -> Self {
        if kind == bindings::ACL_TYPE_DEFAULT as i32 {
            Self::Default
        } else {
            Self::Access
        }
    }

    fn as_raw(self) -> i32 {
        match self {
            Self::Access => bindings::ACL_TYPE_ACCESS as i32,
            Self::Default => bindings::ACL_TYPE_DEFAULT as i32,
        }
    }

    pub(crate) fn xattr_name(self) -> &'static CStr {
        match self {
            Self::Access => c"system.posix_acl_access",
            Self::Default => c"system.posix_acl_default",
        }
    }
}

/// An access control list.
///
/// # Invariants
///
/// A valid `struct posix_acl` with a count that is ours; it may be shared and must not be changed.
pub struct Acl(NonNull<bindings::posix_acl>);

// SAFETY: A shared list is immutable and counted atomically.
unsafe impl Send for Acl {}

// SAFETY: As above.
unsafe impl Sync for Acl {}

impl Acl {
    fn from_result(acl: *mut bindings::posix_acl) -> Result<Option<Self>> {
        // INVARIANT: What these functions return is counted for us.
        Ok(NonNull::new(from_err_ptr(acl)?).map(Self))
    }

    /// The list of `inode` if it is cached: all that can be had without sleeping (wraps
    /// `get_cached_acl_rcu()`).
    ///
    /// # Errors
    ///
    /// `ECHILD`: it is not cached.
    pub fn cached(inode: &RcuInode<Foreign>, kind: Kind) -> Result<CachedAcl> {
        // SAFETY: The inode is valid. What comes is a list that lives until the grace period ends, null,
        // or a marker.
        let acl = unsafe { bindings::get_cached_acl_rcu(inode.as_ptr(), kind.as_raw()) };
        // Markers are odd: that it is not cached, is never cached, or is being read by some task. Errors of
        // a stack below are never passed on to here.
        if acl.addr() & 1 != 0 {
            return Err(ECHILD);
        }
        Ok(CachedAcl(acl))
    }

    /// The list of the object at `path`, for a permission check (wraps `get_inode_acl()`), its ids
    /// mapped as the mount says.
    ///
    /// # Errors
    ///
    /// `EIO`, `ENOMEM`, … A filesystem without lists has none.
    ///
    /// # Context
    ///
    /// May sleep.
    pub fn for_check(_c: &Override<'_>, path: Path<'_>, kind: Kind) -> Result<Option<Self>> {
        let (inode, idmap) = (path.dentry().inode(), path.mount().idmap());
        about_to_ask(inode.super_block());
        // SAFETY: The inode is valid.
        let acl = unsafe { bindings::get_inode_acl(inode.as_ptr(), kind.as_raw()) };
        Self::mapped(Self::from_result(acl)?, inode, idmap)
    }

    /// The list of the object at `path`, as one reads it (wraps `vfs_get_acl()`), its ids mapped as
    /// the mount says.
    ///
    /// # Errors
    ///
    /// `EOPNOTSUPP`: no lists here. `EACCES` by an LSM. `EIO`, `ENOMEM`, …
    ///
    /// # Context
    ///
    /// May sleep.
    pub fn get(_c: &Override<'_>, path: Path<'_>, kind: Kind) -> Result<Option<Self>> {
        let idmap = path.mount().idmap();
        about_to_ask(path.dentry().super_block());
        // SAFETY: Everything is valid for the call.
        let acl = unsafe {
            bindings::vfs_get_acl(
                idmap.as_ptr(),
                path.dentry().as_ptr(),
                kind.xattr_name().as_char_ptr(),
            )
        };
        Self::mapped(Self::from_result(acl)?, path.dentry().inode(), idmap)
    }

    /// Which list is called `name`, if one is.
    pub fn kind_of(name: &CStr) -> Option<Kind> {
        [Kind::Access, Kind::Default]
            .into_iter()
            .find(|kind| kind.xattr_name() == name)
    }

    /// Whether a list is what is kept under `name` beside the names of [`Kind`]: XFS lists its own names for them as
    /// well, whose values are what is on disk. The ids in them are mapped by nobody, and whoever writes them writes
    /// the list.
    pub fn is_raw(name: &CStr) -> bool {
        name == c"trusted.SGI_ACL_FILE" || name == c"trusted.SGI_ACL_DEFAULT"
    }

    /// The lists that an object made in `dir` inherits, and its mode after them (wraps
    /// `posix_acl_create()`): the default one and the access one.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; those of reading the directory's list.
    pub fn inherited<F: Ours>(
        dir: &Inode<F>,
        mode: &mut Mode,
    ) -> Result<(Option<Self>, Option<Self>)> {
        let (mut default, mut access) = (core::ptr::null_mut(), core::ptr::null_mut());
        // SAFETY: The directory is valid, the rest is ours to fill.
        to_result(unsafe {
            bindings::posix_acl_create(dir.as_ptr(), mode.as_raw_mut(), &mut default, &mut access)
        })?;
        // INVARIANT: What is returned is counted for us.
        Ok((
            NonNull::new(default).map(Self),
            NonNull::new(access).map(Self),
        ))
    }

    /// Gives `dentry` this list (wraps `vfs_set_acl()`, with a copy, which is changed).
    ///
    /// # Errors
    ///
    /// `EOPNOTSUPP`: no lists here. `EACCES`: a default list on what is no directory. `ENOSPC`, `EPERM`, …
    ///
    /// # Context
    ///
    /// May sleep; takes the lock of the inode.
    pub fn set_on(
        &self,
        _c: &Override<'_>,
        writing: &WantWrite<'_>,
        dentry: &Positive<Foreign>,
        kind: Kind,
    ) -> Result {
        writing.assert_covers(dentry);
        // SAFETY: Everything is valid for the calls; the clone is given back after them.
        unsafe {
            let clone = bindings::posix_acl_clone(self.0.as_ptr(), bindings::GFP_KERNEL);
            let clone = Self::from_result(clone)?.ok_or(ENOMEM)?;
            to_result(bindings::vfs_set_acl(
                writing.idmap_ptr(),
                dentry.as_ptr(),
                kind.xattr_name().as_char_ptr(),
                clone.0.as_ptr(),
            ))
        }
    }

    /// Takes a list away from `dentry` (wraps `vfs_remove_acl()`).
    ///
    /// # Errors
    ///
    /// `EOPNOTSUPP`: no lists here. `ENODATA`: it has none. `EPERM`, …
    ///
    /// # Context
    ///
    /// May sleep; takes the lock of the inode.
    pub fn remove_from(
        _c: &Override<'_>,
        writing: &WantWrite<'_>,
        dentry: &Positive<Foreign>,
        kind: Kind,
    ) -> Result {
        writing.assert_covers(dentry);
        // SAFETY: Everything is valid for the call.
        to_result(unsafe {
            bindings::vfs_remove_acl(
                writing.idmap_ptr(),
                dentry.as_ptr(),
                kind.xattr_name().as_char_ptr(),
            )
        })
    }

    /// # Safety
    ///
    /// `acl` must be valid; a count on it is taken for the result.
    pub(crate) unsafe fn borrow_raw(acl: *mut bindings::posix_acl) -> Option<Self> {
        let acl = NonNull::new(acl)?;
        // SAFETY: By the requirement.
        unsafe { bindings::vfs_helper_posix_acl_get(acl.as_ptr()) };
        // INVARIANT: The count was just taken.
        Some(Self(acl))
    }

    /// A filesystem caches its lists as they are on disk: a mount with a mapping needs a copy.
    fn mapped(acl: Option<Self>, inode: &RcuInode<Foreign>, idmap: &Idmap) -> Result<Option<Self>> {
        let Some(acl) = acl else { return Ok(None) };
        if idmap.is_identity() {
            return Ok(Some(acl));
        }
        // SAFETY: The list is valid; the clone is ours alone, so its entries may be written; there
        // are as many as it says. The name space belongs to the inode's super block.
        unsafe {
            let clone = bindings::posix_acl_clone(acl.0.as_ptr(), bindings::GFP_KERNEL);
            let clone = Self::from_result(clone)?.ok_or(ENOMEM)?;
            let ns = (*(*inode.as_ptr()).i_sb).s_user_ns;
            let header = clone
                .0
                .as_ptr()
                .cast::<bindings::posix_acl__bindgen_ty_1_posix_acl_hdr>();
            let count = (*header).a_count as usize;
            let entries: *mut bindings::posix_acl_entry =
                (&raw mut (*clone.0.as_ptr()).a_entries).cast();
            for i in 0..count {
                let entry = &mut *entries.add(i);
                let id = &mut entry.__bindgen_anon_1.bindgen_union_field;
                match u32::from(entry.e_tag as u16) {
                    bindings::ACL_USER => {
                        let kuid = bindings::kuid_t { val: *id };
                        *id = bindings::make_vfsuid(idmap.as_ptr(), ns, kuid).val;
                    }
                    bindings::ACL_GROUP => {
                        let kgid = bindings::kgid_t { val: *id };
                        *id = bindings::make_vfsgid(idmap.as_ptr(), ns, kgid).val;
                    }
                    _ => {}
                }
            }
            Ok(Some(clone))
        }
    }

    pub(crate) fn into_raw(acl: Option<Self>) -> *mut bindings::posix_acl {
        acl.map_or(core::ptr::null_mut(), |acl| {
            let ptr = acl.0.as_ptr();
            core::mem::forget(acl);
            ptr
        })
    }
}

impl Drop for Acl {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the count is ours.
        unsafe { bindings::vfs_helper_posix_acl_release(self.0.as_ptr()) };
    }
}

/// A list seen under RCU: not counted, only good to be handed to the VFS.
pub struct CachedAcl(pub(crate) *mut bindings::posix_acl);

impl CachedAcl {
    /// There is no list.
    pub const NONE: Self = Self(core::ptr::null_mut());
}
