// SPDX-License-Identifier: GPL-2.0-only

//! The owners of objects, and what a filesystem of this crate is to its objects.
//!
//! An inode, a dentry or a super block knows a filesystem as [`Ours`]: by the data that it keeps in them, and by
//! the C tables that they get. Which operations are behind those is decided above, where
//! [`FileSystem`](crate::FileSystem) is.

pub mod dentry;
pub mod encoding;
pub mod file;
pub mod fs_type;
pub mod idmap;
pub mod inode;
pub mod inode_cache;
pub mod kept_mount;
pub mod mount;
pub mod named;
pub mod path;
pub mod pin_stack;
pub mod pinned;
pub mod super_block;
mod tables;
pub(crate) mod waited_for;
pub mod walk;

pub(crate) use tables::Tables;

/// The owner of an inode, a dentry or a super block: a filesystem of this crate ([`Ours`]), or [`Foreign`].
pub trait Owner: 'static {}

/// Marks objects of a filesystem below: any filesystem of the kernel, no private data to see.
pub enum Foreign {}

impl Owner for Foreign {}

/// A filesystem, as its objects know it: what it keeps in them.
///
/// Only a type that has operations ([`FileSystem`](crate::FileSystem)) has [`Tables`]: so no object
/// gets tables that are not made for its filesystem.
///
/// # Examples
///
/// See `fs/layerfs/mount/mod.rs`, where one is.
pub trait Ours: Owner + Tables + Sized + Send + Sync {
    /// Private data of a super block.
    type SuperData: crate::object::super_block::SuperData;

    /// Private data of an inode, allocated together with it.
    type InodeData: crate::object::inode_cache::InodeData;

    /// The registered type: a `static` of the filesystem.
    fn fs_type() -> &'static fs_type::FsType<Self>;
}
