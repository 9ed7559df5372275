// SPDX-License-Identifier: GPL-2.0-only

//! The mark on directories below that other overlays see, too.
//!
//! It is not a lock: another filesystem may write there all the same.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h) (`I_OVL_INUSE`)
//!
//! # Examples
//!
//! ```ignore
//! let mark = InUse::mark(dir);
//! if mark.is_none() { /* another mount has it */ }
//! ```

use crate::object::dentry::Positive;
use crate::object::Foreign;
use crate::sys::bindings;
use kernel::sync::aref::ARef;

/// A directory that an overlay of some kind writes to; marked so that no other does.
///
/// # Invariants
///
/// The mark on the inode of the dentry is ours.
pub struct InUse(ARef<Positive<Foreign>>);

impl InUse {
    /// Marks a directory (`I_OVL_INUSE`, tested and set under `i_lock`); returns `None` if another mount, of this
    /// filesystem or of overlayfs, has marked it already.
    pub fn mark(dir: &Positive<Foreign>) -> Option<Self> {
        // SAFETY: The inode is valid.
        let marked = unsafe { bindings::vfs_helper_inode_mark_in_use(dir.inode().as_ptr()) };
        // INVARIANT: It was just marked by us.
        marked.then(|| Self(ARef::from(dir)))
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the mark is ours.
        unsafe { bindings::vfs_helper_inode_unmark_in_use(self.0.inode().as_ptr()) };
    }
}
