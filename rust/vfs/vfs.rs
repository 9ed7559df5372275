// SPDX-License-Identifier: GPL-2.0-only

//! The VFS in safe Rust, for filesystems that stand on other filesystems.
//!
//! This crate owns the `unsafe` of the project (but for one call in `rust/defaults`). A filesystem implements [`FileSystem`] and the
//! traits in [`ops`]; the C tables the VFS wants are made from them at compile time. What belongs
//! to the filesystem itself is typed by it (`Inode<F>`, `Dentry<F>`, `SuperBlock<F>`); what belongs
//! to a layer below is the same type with `F =` [`Foreign`], without private data.
//!
//! It knows nothing of layers, whiteouts or anybody's xattrs.
//!
//! C documents: [`Documentation/filesystems/vfs.rst`](srctree/Documentation/filesystems/vfs.rst),
//! [`Documentation/filesystems/locking.rst`](srctree/Documentation/filesystems/locking.rst).

mod bindings;

pub mod acl;
pub mod alloc;
pub mod backing;
pub mod backing_pair;
pub mod byte_vec;
pub mod change;
pub mod copy;
pub mod cred;
mod delegation;
pub mod dentry;
pub mod dir_iter;
pub mod dir_op;
pub mod errno;
pub mod fiemap;
pub mod file;
pub mod fileattr;
pub mod fs_context;
pub mod handle;
pub mod hash;
pub mod idmap;
pub mod inode;
pub mod inode_cache;
pub mod lock;
pub mod log;
pub mod mount;
pub mod named;
pub mod ops;
pub mod path;
pub mod pause;
pub mod pinned;
pub mod registration;
pub mod seq;
pub mod stat;
pub mod super_block;
pub mod symlink;
pub mod sync;
pub mod task;
pub mod verity;
mod waited_for;
pub mod write;
pub mod xattr;

pub use cred::Override;
pub use dentry::Dentry;
pub use dentry::Positive;
pub use idmap::Idmap;
pub use inode::Inode;
pub use inode::RcuInode;
pub use mount::Mount;
pub use path::Path;
pub use pinned::Held;
pub use pinned::PinnedDentry;
pub use super_block::SuperBlock;

use kernel::prelude::*;

/// Whose an inode, a dentry or a super block is: a [`FileSystem`] of this crate, or [`Foreign`].
pub trait Owner: 'static {}

/// Marks objects of a filesystem below: any filesystem of the kernel, no private data to see.
pub enum Foreign {}

impl Owner for Foreign {}

/// A filesystem: its names, its data and its operations.
///
/// # Examples
///
/// See `fs/layerfs/mount/mod.rs`, where one is.
pub trait FileSystem: Owner + Sized + Send + Sync {
    /// What `mount -t` calls it.
    const NAME: &'static CStr;

    /// Whether a root of a user name space may mount it.
    const USERNS_MOUNT: bool;

    /// The registered type: a `static` of the filesystem.
    fn fs_type() -> &'static registration::FsType<Self>;

    /// Private data of a super block.
    type SuperData: super_block::SuperData;

    /// Private data of an inode, allocated together with it.
    type InodeData: inode_cache::InodeData;

    /// How a mount is configured and made.
    type Context: ops::ContextOps<Self>;

    /// What every inode can be asked.
    type Attr: ops::AttrOps<Self>;

    /// What directories can do.
    type Dir: ops::DirOps<Self>;

    /// What regular files can do.
    type Regular: ops::FileOps<Self>;

    /// What symbolic links can do.
    type Symlink: ops::SymlinkOps<Self>;

    /// Extended attributes by name.
    type Xattr: ops::XattrOps<Self>;

    /// What the dentry cache asks.
    type Dentry: ops::DentryOps<Self>;

    /// What is asked of the whole mounted filesystem.
    type Super: ops::SuperOps<Self>;
}
