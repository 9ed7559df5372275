// SPDX-License-Identifier: GPL-2.0-only

//! The module parameters, read: one call into C, made safe.
//!
//! The parameters are in C (`fs/layerfs/defaults.c`), because those of the kernel crate are integers, and
//! overlayfs's are switches that show `Y` and `N`.

extern "C" {
    fn layerfs_defaults_word(as_overlay: bool) -> u32;
    fn layerfs_nameindex_max() -> u32;
    fn layerfs_clone_piece_ms() -> u32;
}

/// The parameters at this moment.
#[derive(Clone, Copy)]
pub struct Defaults(u32);

impl Defaults {
    /// Those of layerfs.ko, or of our overlay.ko for mounts of its type.
    pub fn now(as_overlay: bool) -> Self {
        // SAFETY: The function has no requirement.
        Self(unsafe { layerfs_defaults_word(as_overlay) })
    }

    fn bit(self, bit: u32) -> bool {
        self.0 >> bit & 1 != 0
    }

    /// Directories of the lower layers can be renamed.
    pub fn redirect_dir(self) -> bool {
        self.bit(0)
    }

    /// Redirects are followed where they are not made.
    pub fn redirect_always_follow(self) -> bool {
        self.bit(1)
    }

    /// Inode numbers are made unique where that can be done.
    pub fn xino_auto(self) -> bool {
        self.bit(2)
    }

    /// Lower inodes are indexed.
    pub fn index(self) -> bool {
        self.bit(3)
    }

    /// The stack can be exported.
    pub fn nfs_export(self) -> bool {
        self.bit(4)
    }

    /// Copy-up of metadata alone.
    pub fn metacopy(self) -> bool {
        self.bit(5)
    }

    /// The longest absolute redirect that is written, in bytes.
    pub fn redirect_max(self) -> usize {
        (self.0 >> 16) as usize
    }
}

/// The most memory that the name indexes of all mounts take at this moment, in bytes.
pub fn nameindex_max() -> usize {
    // SAFETY: The function has no requirement.
    let kibibytes = unsafe { layerfs_nameindex_max() };
    (kibibytes as usize).saturating_mul(1024)
}

/// The time that one piece of a clone shall take, in milliseconds; at least one.
pub fn clone_piece_ms() -> u32 {
    // SAFETY: The function has no requirement.
    unsafe { layerfs_clone_piece_ms() }.max(1)
}
