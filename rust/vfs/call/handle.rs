// SPDX-License-Identifier: GPL-2.0-only

//! File handles of objects below: to find an inode again without its name.
//!
//! It is not for handles that are given to a user, or kept on disk: those say in which filesystem they are, and have
//! a format that this crate knows nothing of.
//!
//! C header: [`include/linux/exportfs.h`](srctree/include/linux/exportfs.h)
//!
//! # Examples
//!
//! ```ignore
//! let mut handle = FileHandle::new();
//! handle.encode(inode)?;
//! let found = handle.find(c, mount)?;
//! ```

use crate::object::dentry::Dentry;
use crate::object::dentry::Positive;
use crate::object::inode::Inode;
use crate::object::mount::Mount;
use crate::object::waited_for::about_to_ask;
use crate::object::Foreign;
use crate::sys::bindings;
use crate::sys::cred::Override;
use crate::sys::errno::from_err_ptr;
use core::mem::MaybeUninit;
use core::ptr::NonNull;
use kernel::ffi;
use kernel::prelude::*;
use kernel::sync::aref::ARef;

/// The longest handle, in bytes.
pub const MAX: usize = bindings::MAX_HANDLE_SZ as usize;

/// A file handle as its filesystem encodes it; at first an empty one. It is filled where it is, as
/// it is too large to be moved about.
///
/// # Invariants
///
/// The first `len` of the words are initialized.
pub struct FileHandle {
    /// The kind of encoding.
    kind: u8,
    len: usize,
    words: [MaybeUninit<u32>; MAX / 4],
}

impl FileHandle {
    /// An empty one.
    #[inline]
    pub const fn new() -> Self {
        // INVARIANT: None of the words counts.
        Self {
            kind: 0,
            len: 0,
            words: [MaybeUninit::uninit(); MAX / 4],
        }
    }

    /// Makes it of its parts; false if they can't be a handle.
    pub fn set(&mut self, kind: u8, bytes: &[u8]) -> bool {
        self.len = 0;
        if bytes.len() > MAX || bytes.len() % 4 != 0 {
            return false;
        }
        for (word, bytes) in self.words.iter_mut().zip(bytes.chunks_exact(4)) {
            let Ok(bytes) = bytes.try_into() else {
                return false;
            };
            word.write(u32::from_ne_bytes(bytes));
        }
        self.kind = kind;
        // INVARIANT: As many were written.
        self.len = bytes.len() / 4;
        true
    }

    /// The kind of encoding, as the filesystem calls it.
    #[inline]
    pub fn kind(&self) -> u8 {
        self.kind
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        let words = self.words.get(..self.len).unwrap_or_default();
        // SAFETY: By the type invariant these are initialized, and any byte of a word may be read as such.
        unsafe { core::slice::from_raw_parts(words.as_ptr().cast(), size_of_val(words)) }
    }

    /// Makes it that of an inode (wraps `exportfs_encode_inode_fh()`). It finds the inode, not
    /// necessarily under a name.
    ///
    /// # Errors
    ///
    /// `EIO`: its filesystem can't.
    ///
    /// # Context
    ///
    /// May sleep.
    pub fn encode(&mut self, inode: &Inode<Foreign>) -> Result {
        self.len = 0;
        // A filesystem may count words that it does not write; they end up on disk.
        self.words = [MaybeUninit::zeroed(); MAX / 4];
        let mut len = (MAX / 4) as i32;
        // SAFETY: The buffer is as long as said, in words; the inode is valid.
        let kind = unsafe {
            bindings::exportfs_encode_inode_fh(
                inode.as_ptr(),
                self.words.as_mut_ptr().cast(),
                &mut len,
                core::ptr::null_mut(),
                0,
            )
        };
        let len = usize::try_from(len).map_err(|_| EIO)?;
        if kind < 0 || kind == bindings::fid_type_FILEID_INVALID as i32 || len > MAX / 4 {
            return Err(EIO);
        }
        self.kind = u8::try_from(kind).map_err(|_| EIO)?;
        // INVARIANT: All words are initialized.
        self.len = len;
        Ok(())
    }

    /// Finds the object again in the filesystem of `mount` (wraps `exportfs_decode_fh()`); a
    /// directory only if it is still below the root of the mount.
    ///
    /// # Errors
    ///
    /// `ESTALE`: it is gone. `EIO`, `ENOMEM`, …
    ///
    /// # Context
    ///
    /// May sleep.
    pub fn find(&mut self, _c: &Override<'_>, mount: &Mount) -> Result<ARef<Positive<Foreign>>> {
        about_to_ask(mount.super_block());
        // SAFETY: The handle is as long as said; the callback gets the mount, which is borrowed.
        let found = from_err_ptr(unsafe {
            bindings::exportfs_decode_fh(
                mount.as_ptr(),
                self.words.as_mut_ptr().cast(),
                self.len as i32,
                i32::from(self.kind),
                Some(acceptable),
                mount.as_ptr().cast(),
            )
        })?;
        // SAFETY: What comes is counted for us.
        let found: ARef<Dentry<Foreign>> =
            unsafe { ARef::from_raw(NonNull::new(found).ok_or(EIO)?.cast()) };
        crate::object::dentry::into_positive(found).ok_or(crate::sys::errno::ESTALE)
    }
}

impl Default for FileHandle {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether a dentry will do: any of a file, for a file is only wanted for its inode.
unsafe extern "C" fn acceptable(mount: *mut ffi::c_void, dentry: *mut bindings::dentry) -> i32 {
    // SAFETY: `exportfs_decode_fh` passes a positive dentry and what `find` gave it.
    let (dentry, mount) = unsafe {
        (
            Positive::<Foreign>::from_raw(dentry),
            Mount::from_raw(mount.cast()),
        )
    };
    let fits = !dentry.is_dir()
        || (!dentry.is_unhashed() && crate::object::path::is_below(dentry, mount.root()));
    i32::from(fits)
}
