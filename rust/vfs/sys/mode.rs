// SPDX-License-Identifier: GPL-2.0-only

//! The type and the permission bits of an object (`umode_t`).
//!
//! It says nothing about who may do what: that is asked of an inode ([`Inode::permits`](crate::Inode::permits)).
//!
//! C header: [`include/uapi/linux/stat.h`](srctree/include/uapi/linux/stat.h)
//!
//! # Examples
//!
//! ```ignore
//! if inode.mode().file_type() == FileType::REGULAR && stat.mode().has_any(Mode::SET_IDS) {
//!     stat.set_mode(stat.mode().with_permissions(0o644));
//! }
//! ```

use crate::sys::bindings;

/// The bits that tell the type.
const FORMAT: u16 = bindings::S_IFMT as u16;

/// Type and permission bits.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct Mode(u16);

impl Mode {
    /// The set-user-ID and the set-group-ID bit.
    pub const SET_IDS: Self = Self((bindings::S_ISUID | bindings::S_ISGID) as u16);
    /// The set-group-ID bit.
    pub const SET_GROUP_ID: Self = Self(bindings::S_ISGID as u16);

    /// What the C side calls a mode.
    #[inline]
    pub(crate) const fn from_raw(mode: u16) -> Self {
        Self(mode)
    }

    /// What the C side calls a mode: the number in `st_mode`.
    #[inline]
    pub const fn as_raw(self) -> u16 {
        self.0
    }

    /// The mode as the C side wants to change it.
    #[inline]
    pub(crate) fn as_raw_mut(&mut self) -> &mut u16 {
        &mut self.0
    }

    /// The type.
    #[inline]
    pub const fn file_type(self) -> FileType {
        FileType(self.0 & FORMAT)
    }

    /// The permission bits, with the set-ID bits and the sticky bit.
    #[inline]
    pub const fn permissions(self) -> u16 {
        self.0 & !FORMAT
    }

    /// The same type with other permission bits.
    #[inline]
    pub const fn with_permissions(self, bits: u16) -> Self {
        self.file_type().with_permissions(bits)
    }

    /// It with the bits of `other` as well.
    #[inline]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether it has one of the bits of `other`.
    #[inline]
    pub const fn has_any(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// The type of an object.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct FileType(u16);

impl FileType {
    /// A directory.
    pub const DIRECTORY: Self = Self(bindings::S_IFDIR as u16);
    /// A regular file.
    pub const REGULAR: Self = Self(bindings::S_IFREG as u16);
    /// A symbolic link.
    pub const SYMLINK: Self = Self(bindings::S_IFLNK as u16);
    /// A character device.
    pub const CHAR_DEVICE: Self = Self(bindings::S_IFCHR as u16);
    /// A block device.
    pub const BLOCK_DEVICE: Self = Self(bindings::S_IFBLK as u16);

    /// Whether it is a device, fifo or socket.
    #[inline]
    pub(crate) fn is_special(self) -> bool {
        matches!(
            u32::from(self.0),
            bindings::S_IFCHR | bindings::S_IFBLK | bindings::S_IFIFO | bindings::S_IFSOCK
        )
    }

    /// An object of this type with these permission bits.
    #[inline]
    pub const fn with_permissions(self, bits: u16) -> Mode {
        Mode(self.0 | bits & !FORMAT)
    }
}
