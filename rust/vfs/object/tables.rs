// SPDX-License-Identifier: GPL-2.0-only

//! The C tables of operations, as objects need them.

use crate::sys::bindings;

/// The C tables of a filesystem.
///
/// They are given once, by `ops/tables`, for whatever is a [`FileSystem`](crate::FileSystem). Nobody outside of this
/// crate can name the trait, so nobody else gives any.
pub trait Tables {
    /// Whether access control lists are asked for by checks, which takes `->get_inode_acl`.
    const HAS_ACL_FOR_CHECK: bool;

    /// Inodes: directories.
    const DIR_INODE: &'static bindings::inode_operations;
    /// Inodes: regular files.
    const REGULAR_INODE: &'static bindings::inode_operations;
    /// Inodes: symbolic links.
    const SYMLINK_INODE: &'static bindings::inode_operations;
    /// Inodes: symbolic links that stand for links without a text.
    const MAGIC_LINK_INODE: &'static bindings::inode_operations;
    /// Inodes: devices, fifos, sockets.
    const SPECIAL_INODE: &'static bindings::inode_operations;

    /// Open files: directories.
    const DIR_FILE: &'static bindings::file_operations;
    /// Open files: regular files.
    const REGULAR_FILE: &'static bindings::file_operations;
    /// The page cache of regular files.
    const ADDRESS_SPACE: &'static bindings::address_space_operations;

    /// Super blocks.
    const SUPER: &'static bindings::super_operations;
    /// Super blocks whose objects have file handles that tell them apart.
    const IDENTIFY: &'static bindings::export_operations;
    /// Super blocks whose objects have file handles that can be opened.
    const EXPORT: &'static bindings::export_operations;
    /// Dentries.
    const DENTRY: &'static bindings::dentry_operations;
    /// Dentries whose names are compared by the encoding of their super block.
    const FOLDING_DENTRY: &'static bindings::dentry_operations;
    /// Extended attributes: a null-terminated list.
    const XATTRS: &'static [*const bindings::xattr_handler; 2];
}
