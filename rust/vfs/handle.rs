// SPDX-License-Identifier: GPL-2.0-only

//! File handles of objects below: to find an inode again without its name.
//!
//! C header: [`include/linux/exportfs.h`](srctree/include/linux/exportfs.h)

use crate::bindings;
use crate::cred::Override;
use crate::dentry::Dentry;
use crate::dentry::Positive;
use crate::errno::from_err_ptr;
use crate::inode::RcuInode;
use crate::mount::Mount;
use crate::Foreign;
use core::ptr::NonNull;
use kernel::ffi;
use kernel::prelude::*;
use kernel::sync::aref::ARef;

/// The longest handle, in bytes.
pub const MAX: usize = bindings::MAX_HANDLE_SZ as usize;

/// A file handle as its filesystem encodes it.
pub struct Handle {
    /// The kind of encoding.
    pub kind: u8,
    words: [u32; MAX / 4],
    len: usize,
}

impl Handle {
    /// A handle made of its parts; `None` if they can't be one.
    pub fn from_parts(kind: u8, bytes: &[u8]) -> Option<Self> {
        let mut words = [0; MAX / 4];
        if bytes.len() > MAX || bytes.len() % 4 != 0 {
            return None;
        }
        for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(4)) {
            *word = u32::from_ne_bytes(bytes.try_into().ok()?);
        }
        Some(Self {
            kind,
            words,
            len: bytes.len() / 4,
        })
    }

    /// Its bytes, into `buf`; gives how many.
    pub fn bytes(&self, buf: &mut [u8; MAX]) -> usize {
        for (bytes, word) in buf.chunks_exact_mut(4).zip(&self.words) {
            bytes.copy_from_slice(&word.to_ne_bytes());
        }
        self.len * 4
    }

    /// Encodes the handle of an inode (wraps `exportfs_encode_inode_fh()`). It finds the inode, not
    /// necessarily under a name.
    ///
    /// # Errors
    ///
    /// `EIO`: its filesystem can't.
    pub fn of(inode: &RcuInode<Foreign>) -> Result<Self> {
        let mut handle = Self {
            kind: 0,
            words: [0; MAX / 4],
            len: 0,
        };
        let mut len = (MAX / 4) as i32;
        // SAFETY: The buffer is as long as said, in words; the inode is valid.
        let kind = unsafe {
            bindings::exportfs_encode_inode_fh(
                inode.as_ptr(),
                handle.words.as_mut_ptr().cast(),
                &mut len,
                core::ptr::null_mut(),
                0,
            )
        };
        let len = usize::try_from(len).map_err(|_| EIO)?;
        if kind < 0 || kind == bindings::fid_type_FILEID_INVALID as i32 || len > MAX / 4 {
            return Err(EIO);
        }
        handle.kind = u8::try_from(kind).map_err(|_| EIO)?;
        handle.len = len;
        Ok(handle)
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
        crate::dentry::into_positive(found).ok_or(crate::errno::ESTALE)
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
    let fits =
        !dentry.is_dir() || (!dentry.is_unhashed() && crate::path::is_below(dentry, mount.root()));
    i32::from(fits)
}
