// SPDX-License-Identifier: GPL-2.0-only

//! The VFS in safe Rust, for filesystems that stand on other filesystems.
//!
//! This crate owns the `unsafe` of the project (but for one call in `rust/defaults`). A filesystem implements [`Ours`], [`FileSystem`] and the
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
pub mod emitter;
pub mod errno;
pub mod fiemap;
pub mod file;
pub mod fileattr;
pub mod fs_context;
pub mod guard;
pub mod handle;
pub mod hash;
pub mod idmap;
pub mod inode;
pub mod inode_cache;
pub mod lock;
pub mod log;
pub mod mount;
pub mod named;
pub mod object;
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
pub use object::Foreign;
pub use object::Ours;
pub use object::Owner;
pub use ops::FileSystem;
pub use path::Path;
pub use pinned::Held;
pub use pinned::PinnedDentry;
pub use super_block::SuperBlock;
