// SPDX-License-Identifier: GPL-2.0-only

//! File handles of our own that can be opened again: by `open_by_handle_at(2)`, and by `nfsd`, whose clients know nothing
//! else of a file.
//!
//! It is not for handles of objects below ([`handle`](crate::call::handle)), nor for those that only tell objects apart
//! ([`SuperOps::encode_handle`](crate::ops::SuperOps)).
//!
//! C header: [`include/linux/exportfs.h`](srctree/include/linux/exportfs.h); rules:
//! [`Documentation/filesystems/nfs/exporting.rst`](srctree/Documentation/filesystems/nfs/exporting.rst)
//!
//! # Examples
//!
//! ```ignore
//! fn open_handle(question: Decoding<'_, MyFs>) -> Result<Decoded<MyFs>> {
//!     let key = key_of(question.handle()).ok_or(EINVAL)?;
//!     let inode = question.super_block().cached(key).ok_or(ESTALE)?;
//!     Ok(Decoded::Object(inode))
//! }
//! ```

use crate::object::dentry::Positive;
use crate::object::inode::Inode;
use crate::object::super_block::SuperBlock;
use crate::object::Ours;
use kernel::prelude::*;
use kernel::sync::aref::ARef;
use kernel::types::NotThreadSafe;

/// A handle that is to be opened.
///
/// # Invariants
///
/// The VFS is inside `->fh_to_dentry()` for the super block, called by the current task: it holds no lock of the filesystem.
pub struct Decoding<'a, F: Ours> {
    sb: &'a SuperBlock<F>,
    handle: &'a [u8],
    kind: u8,
    _task: NotThreadSafe,
}

/// What a handle is of.
pub enum Decoded<F: Ours> {
    /// Something that is no directory: any name of it will do, and it needs none.
    Object(ARef<Inode<F>>),
    /// A directory, which has its place in the tree.
    Directory(ARef<Positive<F>>),
}

impl<'a, F: Ours> Decoding<'a, F> {
    /// # Safety
    ///
    /// See the type invariant.
    pub(crate) unsafe fn from_raw(sb: &'a SuperBlock<F>, handle: &'a [u8], kind: u8) -> Self {
        // INVARIANT: By the requirement.
        Self {
            sb,
            handle,
            kind,
            _task: NotThreadSafe,
        }
    }

    /// The super block that it is to be of.
    pub fn super_block(&self) -> &'a SuperBlock<F> {
        self.sb
    }

    /// The bytes of the handle: whatever a user, or a client on the network, says they are.
    pub fn handle(&self) -> &'a [u8] {
        self.handle
    }

    /// What kind of handle it is said to be (`FILEID_*`).
    pub fn kind(&self) -> u8 {
        self.kind
    }

    /// Looks up a name in a directory of the filesystem, as a path walk would, but for permissions, which are not
    /// asked (wraps `lookup_noperm_unlocked()`). A name that is not there is `None`.
    ///
    /// # Errors
    ///
    /// `ENOTDIR`; `ENOENT`: the directory was removed. `EACCES`: no name can be spelled so. Those of `->lookup()`.
    ///
    /// # Context
    ///
    /// May sleep. Takes the lock of `dir` (`i_rwsem`), shared, if the name is not cached: who opens a handle holds no lock of
    /// the VFS.
    pub fn lookup(&self, dir: &Positive<F>, name: &[u8]) -> Result<Option<ARef<Positive<F>>>> {
        dir.child(name)
    }
}
