// SPDX-License-Identifier: GPL-2.0-only

//! Digests of files that fs-verity protects.
//!
//! It is not for enabling fs-verity, nor for checking data: the filesystem below does that with each page that is
//! read.
//!
//! C header: [`include/linux/fsverity.h`](srctree/include/linux/fsverity.h)
//!
//! # Examples
//!
//! ```ignore
//! let Some(digest) = verity::digest(c, data)? else {
//!     return Err(EIO);
//! };
//! ```

use crate::object::path::Path;
use crate::sys::bindings;
use crate::sys::cred::Override;
use crate::sys::errno::from_err_ptr;
use core::ptr::NonNull;
use kernel::prelude::*;

/// The longest digest, in bytes.
pub const DIGEST_MAX: usize = bindings::FS_VERITY_MAX_DIGEST_SIZE as usize;

/// The digest of a file.
pub struct Digest {
    bytes: [u8; DIGEST_MAX],
    len: usize,
    /// Which algorithm, as in `FS_VERITY_HASH_ALG_*`.
    pub algorithm: u8,
}

impl Digest {
    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// The digest of the file at `path`, or `None` if it is not protected (wraps `fsverity_get_digest()`).
///
/// # Errors
///
/// `EIO` and the like: what is kept of the protection can't be read.
///
/// # Context
///
/// May sleep; may open the file, so that its filesystem loads what it keeps.
pub fn digest(c: &Override<'_>, path: Path<'_>) -> Result<Option<Digest>> {
    if !path.dentry().is_regular() {
        // Opening a fifo waits, opening a device does something.
        return Ok(None);
    }
    let inode = path.dentry().inode().as_ptr();
    // SAFETY: Everything is valid for the calls; the file that is opened is put away again.
    unsafe {
        if !bindings::vfs_helper_verity_is_loaded(inode) {
            let file = from_err_ptr(bindings::kernel_file_open(
                &path.to_raw(),
                bindings::O_RDONLY as i32,
                c.as_ptr(),
            ))?;
            drop(crate::object::file::OwnedFile::from_raw(
                NonNull::new(file).ok_or(EIO)?,
            ));
        }
        let mut digest = Digest {
            bytes: [0; DIGEST_MAX],
            len: 0,
            algorithm: 0,
        };
        let len = bindings::vfs_helper_verity_digest(
            inode,
            digest.bytes.as_mut_ptr(),
            &mut digest.algorithm,
        );
        digest.len = usize::try_from(len).unwrap_or(0);
        Ok(Some(digest).filter(|digest| digest.len > 0))
    }
}
