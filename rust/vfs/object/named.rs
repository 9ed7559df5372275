// SPDX-License-Identifier: GPL-2.0-only

//! Names of ours that the VFS is inside an operation on: they can't change meanwhile, and what they name is
//! decided by that operation.
//!
//! What else a dentry is, and looking one up below, is in [`dentry`](crate::object::dentry).
//!
//! C header: [`include/linux/dcache.h`](srctree/include/linux/dcache.h)
//!
//! # Examples
//!
//! ```ignore
//! fn create(name: Vacant<'_, MyFs>, viewed: Viewed<'_>, what: NewObject<'_>) -> Result {
//!     let made = make(name.named().name(), what)?;
//!     name.instantiate(made)
//! }
//! ```

use crate::object::dentry::Dentry;
use crate::object::dentry::Positive;
use crate::object::inode::Inode;
use crate::object::Ours;
use crate::object::Owner;
use crate::sys::bindings;
use crate::sys::errno::from_err_ptr;
use core::ops::Deref;
use core::ptr::NonNull;
use kernel::prelude::*;
use kernel::sync::aref::ARef;

/// A dentry whose name can't change for now: the VFS has locked its parent (`i_rwsem`) for an operation, so a rename in
/// another task waits.
///
/// # Invariants
///
/// The VFS is inside an operation on this name, and holds the lock of its parent.
pub struct Named<'a, F: Ours>(&'a Dentry<F>);

impl<F: Ours> Clone for Named<'_, F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<F: Ours> Copy for Named<'_, F> {}

impl<F: Ours> Deref for Named<'_, F> {
    type Target = Dentry<F>;

    fn deref(&self) -> &Dentry<F> {
        self.0
    }
}

impl<'a, F: Ours> Named<'a, F> {
    /// # Safety
    ///
    /// See the type invariant; `ptr` must be valid for `'a`.
    pub(crate) unsafe fn from_raw(ptr: *mut bindings::dentry) -> Self {
        // SAFETY: By the requirement.
        Self(unsafe { Dentry::from_raw(ptr) })
    }

    /// The name.
    pub fn name(self) -> &'a [u8] {
        // SAFETY: By the type invariant.
        unsafe { self.0.stable_name() }
    }

    /// The directory it is in.
    pub fn directory(self) -> &'a Positive<F> {
        // SAFETY: By the type invariant the parent does not change, and the VFS holds it.
        unsafe { Positive::from_raw((*self.0.as_ptr()).d_parent) }
    }

    /// The dentry.
    pub fn dentry(self) -> &'a Dentry<F> {
        self.0
    }
}

/// A name that the VFS wants an object made for: negative until [`Vacant::instantiate`].
///
/// # Invariants
///
/// The same holds as for [`Named`], and the dentry is negative.
pub struct Vacant<'a, F: Ours>(Named<'a, F>);

impl<'a, F: Ours> Vacant<'a, F> {
    /// # Safety
    ///
    /// See the type invariant; `ptr` must be valid for `'a`.
    pub(crate) unsafe fn from_raw(ptr: *mut bindings::dentry) -> Self {
        // SAFETY: By the requirement.
        Self(unsafe { Named::from_raw(ptr) })
    }

    /// The name.
    pub fn named(&self) -> Named<'a, F> {
        self.0
    }

    /// Makes it name `inode` (wraps `d_instantiate()`; `d_add()` where the name was left out of the cache, see
    /// [`Unhashed::splice`]).
    ///
    /// # Errors
    ///
    /// `EIO`: the inode is of another super block.
    pub fn instantiate(self, inode: ARef<Inode<F>>) -> Result {
        self.0.check_owner(&inode)?;
        let (dentry, inode) = (self.0.as_ptr(), ARef::into_raw(inode).as_ptr().cast());
        // SAFETY: By the type invariant it is negative, and both are of one super block; the reference is
        // consumed. While the directory is locked, nobody else can bring the name into the cache.
        unsafe {
            if self.0.is_unhashed() && self.0.directory().inode().is_casefolded() {
                bindings::d_add(dentry, inode);
            } else {
                bindings::d_instantiate(dentry, inode);
            }
        }
        Ok(())
    }
}

/// A dentry the VFS wants looked up: nobody else sees it yet.
///
/// Consumed by [`Unhashed::splice`]: it gets an inode, or is made negative, once.
///
/// # Invariants
///
/// The VFS is inside `->lookup()` for this dentry: it is unhashed, its name and parent can't change.
pub struct Unhashed<'a, F: Owner>(&'a Dentry<F>, u32);

impl<'a, F: Ours> Unhashed<'a, F> {
    /// # Safety
    ///
    /// `ptr` must be what the VFS passed to `->lookup()`, during that call, with these flags.
    pub(crate) unsafe fn from_raw(ptr: *mut bindings::dentry, flags: u32) -> Self {
        // SAFETY: By the requirement.
        Self(unsafe { Dentry::from_raw(ptr) }, flags)
    }

    /// Whether something is to be made under the name, or moved there, if there is nothing (`LOOKUP_CREATE`). It need
    /// not come to that.
    #[inline]
    pub fn is_to_be_created(&self) -> bool {
        self.1 & bindings::LOOKUP_CREATE != 0
    }

    /// The name that is looked for.
    #[inline]
    pub fn name(&self) -> &'a [u8] {
        // SAFETY: By the type invariant the name does not change during the lookup.
        unsafe { self.0.stable_name() }
    }

    /// The directory that is searched.
    #[inline]
    pub fn parent(&self) -> &'a Positive<F> {
        // SAFETY: During a lookup the parent can't change; it is positive and the VFS holds it.
        unsafe { Positive::from_raw((*self.0.as_ptr()).d_parent) }
    }

    /// For messages.
    #[inline]
    pub fn dentry(&self) -> &'a Dentry<F> {
        self.0
    }

    /// Ends the lookup: with an inode the dentry becomes positive, without one negative (wraps
    /// `d_splice_alias()`).
    ///
    /// A directory that has a dentry elsewhere already is moved here; that one is then returned.
    ///
    /// In a directory that ignores case, nothing is remembered of a name that is not there: what is made by another
    /// spelling later would get this one. (The filesystems that have such directories do the same.)
    ///
    /// # Errors
    ///
    /// `ELOOP`: the directory is an ancestor of itself. `ESTALE`. `EIO`: the inode is of another super
    /// block.
    ///
    /// # Context
    ///
    /// May sleep. The parent is locked by the VFS.
    pub fn splice(self, inode: Option<ARef<Inode<F>>>) -> Result<Option<ARef<Dentry<F>>>> {
        match &inode {
            Some(inode) => self.0.check_owner(inode)?,
            None if self.parent().inode().is_casefolded() => return Ok(None),
            None => {}
        }
        let inode = inode.map_or(core::ptr::null_mut(), |i| ARef::into_raw(i).as_ptr().cast());
        // SAFETY: The reference to the inode is consumed; the dentry is unhashed, and both are of one super
        // block.
        let other = from_err_ptr(unsafe { bindings::d_splice_alias(inode, self.0.as_ptr()) })?;
        // SAFETY: If there is one, it comes with a reference for us.
        Ok(NonNull::new(other).map(|d| unsafe { ARef::from_raw(d.cast()) }))
    }
}
