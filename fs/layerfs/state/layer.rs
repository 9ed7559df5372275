// SPDX-License-Identifier: GPL-2.0-only

//! Layers and the filesystems they are on.

#![forbid(unsafe_code)]

use core::sync::atomic::AtomicBool;
use core::sync::atomic::Ordering;
use kernel::str::CString;
use vfs::inode::InodeKey;
use vfs::mount::PrivateMount;
use vfs::sync::AnonDev;

/// A filesystem that one or more layers are on.
pub(crate) struct Filesystem {
    /// Which super block (see [`vfs::SuperBlock::id`]).
    pub(crate) id: usize,
    /// The device number of its objects where inode numbers of layers may collide.
    pub(crate) dev: AnonDev,
}

/// A lower layer.
pub(crate) struct Layer {
    /// Our own mount of it.
    pub(crate) mount: PrivateMount,
    /// Its root, to recognise it where it should not be met.
    pub(crate) root: InodeKey,
    /// How the mounter calls it.
    pub(crate) name: CString,
    /// The index of its filesystem in inode numbers; 0 is kept for an upper layer.
    pub(crate) fsid: u32,
    /// Whether a directory with whiteouts in the form of extended attributes was met in it.
    has_xattr_whiteouts: AtomicBool,
}

impl Layer {
    /// A layer nothing is known of yet.
    pub(crate) fn new(mount: PrivateMount, root: InodeKey, name: CString, fsid: u32) -> Self {
        Self {
            mount,
            root,
            name,
            fsid,
            has_xattr_whiteouts: AtomicBool::new(false),
        }
    }

    /// Remembers that whiteouts in the form of extended attributes are to be expected.
    pub(crate) fn expect_xattr_whiteouts(&self) {
        self.has_xattr_whiteouts.store(true, Ordering::Relaxed);
    }

    /// Whether whiteouts in the form of extended attributes are to be expected.
    pub(crate) fn expects_xattr_whiteouts(&self) -> bool {
        self.has_xattr_whiteouts.load(Ordering::Relaxed)
    }
}
