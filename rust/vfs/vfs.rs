// SPDX-License-Identifier: GPL-2.0-only

//! The VFS in safe Rust, for filesystems that stand on other filesystems.
//!
//! Its wings, from the highest to the lowest: what is on one names nothing above, and no circle of files is
//! anywhere but in `object` (`tests/arrows` holds that).
//!
//! | module                                | responsible for |
//! | ---                                   | --- |
//! | **[`ops`]**                           | the operations as traits ([`FileSystem`]), called by the C tables |
//! | `context`, `fs_context`               | a mount that is configured; its parameters and messages |
//! | `registration`                        | the type is known to the VFS, and no more |
//! | `ioctl`, `clone_source`, `file`       | commands of a filesystem's own; operations of open files |
//! | `export`                              | opening file handles of a filesystem's own |
//! | `revalidation`                        | whether a cached name is still true |
//! | `tables`                              | the C tables, made from the traits |
//! | **[`call`]**                          | what objects are asked and told |
//! | `stat`, `change`                      | attributes, and setting them |
//! | `acl`, `xattr`, `fileattr`, `verity`  | what else is kept with an object |
//! | `backing`, `backing_pair`             | the real file behind a user's, and I/O passed to it |
//! | `range`                               | allocating and punching; sharing and copying between two real files |
//! | `mapping`                             | mappings into memory, and stores through them |
//! | `copy`, `fiemap`                      | data: copied, and where it lies |
//! | `dir_iter`, `emitter`                 | reading directories below, and giving entries to a user |
//! | `handle`, `symlink`                   | file handles; where links point |
//! | **[`guard`]**                         | what is held for a while |
//! | `borrowed`                            | credentials made for one operation |
//! | `dir_op`                              | a place in a directory below: to create, remove, rename |
//! | `lock`, `in_use`                      | the lock of an inode; the mark that other overlays see |
//! | `write`, `delegation`                 | the right to write to a mount, and who was promised to be asked before |
//! | **[`object`]**                        | the objects of the VFS, [`Ours`] and [`Foreign`] |
//! | `dentry`, `named`                     | names: looked up, and those that an operation is about |
//! | `encoding`                            | how names are compared that ignore case |
//! | `inode`, `inode_cache`                | inodes; how ours come to be, are found, and go |
//! | `pinned`, `pin_stack`, `walk`         | what an inode of ours stands on, also in RCU-walk |
//! | `file`                                | open files |
//! | `mount`, `path`, `idmap`              | mounts, places on them, and how they map ids |
//! | `kept_mount`                          | mounts that last as long as something on them is pinned |
//! | `super_block`, `fs_type`              | mounted filesystems and their type |
//! | `tables`, `waited_for`                | which C tables objects get; a check for lockdep |
//! | **[`cell`]**                          | where something is kept: `locked`, `set_once`, `lock_word`, `byte_vec`, `counters`, `name_map`, `name_map_cell`, `rcu_arc`, `watched` |
//! | **[`sys`]**                           | what needs no object |
//! | `bindings`, `errno`                   | the C side, and its errors |
//! | `cred`, `task`                        | acting as somebody else ([`Override`]); the current task |
//! | `log`, `seq`, `pause`                 | messages, mount options in `/proc`, points at which tests hold a task |
//! | `debug`                               | messages that are switched on while the module runs (dynamic debug) |
//! | `alloc`, `shrinker`, `hash`, `random` | memory, and giving it back; hashes, random numbers |
//! | `mode`, `anon_dev`, `clock`           | types and permission bits; device numbers; the time |
//!
//! This crate owns the `unsafe` of the project (but for one call in `rust/defaults`). A filesystem implements
//! [`Ours`], [`FileSystem`] and the traits in [`ops`]; the C tables the VFS wants are made from them at compile time.
//! What belongs to the filesystem itself is typed by it (`Inode<F>`, `Dentry<F>`, `SuperBlock<F>`); what belongs to a
//! layer below is the same type with `F =` [`Foreign`], without private data. It is not for filesystems on
//! devices, and knows nothing of layers, whiteouts or anybody's xattrs.
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
