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

pub mod call;
pub mod cell;
pub mod guard;
pub mod object;
pub mod ops;
pub mod sys;

pub use object::dentry::Dentry;
pub use object::dentry::Positive;
pub use object::idmap::Idmap;
pub use object::inode::Inode;
pub use object::inode::RcuInode;
pub use object::mount::Mount;
pub use object::path::Path;
pub use object::pinned::Held;
pub use object::pinned::PinnedDentry;
pub use object::super_block::SuperBlock;
pub use object::Foreign;
pub use object::Ours;
pub use object::Owner;
pub use ops::FileSystem;
pub use sys::cred::Override;
pub use sys::pause;
