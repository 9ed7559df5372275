// SPDX-License-Identifier: GPL-2.0-only

//! Attributes of objects and of whole filesystems.
//!
//! It is not for a check of permission, nor for what an inode shows in RCU-walk: [`RcuInode`](crate::RcuInode) has
//! its own readers.
//!
//! C headers: [`include/linux/stat.h`](srctree/include/linux/stat.h),
//! [`include/linux/statfs.h`](srctree/include/linux/statfs.h)
//!
//! # Examples
//!
//! ```ignore
//! let mut room = StatBuf::new();
//! let stat = room.fill(c, path, Query::BASIC)?;
//! if stat.nlink() > 1 { /* ... */ }
//! ```

use crate::object::idmap::Ids;
use crate::object::idmap::Viewed;
use crate::object::inode::RcuInode;
use crate::object::path::Path;
use crate::object::super_block::SuperBlock;
use crate::object::waited_for::about_to_ask;
use crate::object::Foreign;
use crate::object::Ours;
use crate::sys::anon_dev::Dev;
use crate::sys::bindings;
use crate::sys::cred::Override;
use crate::sys::errno::to_result;
use crate::sys::mode::FileType;
use crate::sys::mode::Mode;
use core::mem::MaybeUninit;
use kernel::prelude::*;

/// Which attributes are asked for: `STATX_*` bits.
#[derive(Clone, Copy)]
pub struct Query {
    pub(crate) mask: u32,
    pub(crate) flags: u32,
}

impl Query {
    /// Everything that `stat(2)` shows.
    pub const BASIC: Self = Self {
        mask: bindings::STATX_BASIC_STATS,
        flags: bindings::AT_STATX_SYNC_AS_STAT,
    };

    /// Only the times.
    pub const TIMES: Self = Self {
        mask: bindings::STATX_ATIME | bindings::STATX_MTIME,
        flags: bindings::AT_STATX_SYNC_AS_STAT,
    };

    /// Only the inode number.
    pub const INO: Self = Self {
        mask: bindings::STATX_INO,
        flags: bindings::AT_STATX_SYNC_AS_STAT,
    };

    /// The inode number, and which part of its filesystem it is of, as they are known already: nobody is waited for.
    pub const IDENTITY: Self = Self {
        mask: bindings::STATX_INO,
        flags: bindings::AT_STATX_DONT_SYNC,
    };

    /// Only the inode number and the number of names, as up to date as in `like`.
    pub fn ino_and_nlink(like: Self) -> Self {
        Self {
            mask: bindings::STATX_INO | bindings::STATX_NLINK,
            flags: like.flags,
        }
    }

    /// Only the number of blocks, as up to date as in `like`.
    pub fn blocks(like: Self) -> Self {
        Self {
            mask: bindings::STATX_BLOCKS,
            flags: like.flags,
        }
    }
}

/// A part of a filesystem with inode numbers of its own: a subvolume, for example. Two objects of one filesystem may
/// have the same number in different parts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Part {
    dev: Dev,
    subvolume: u64,
}

impl Part {
    /// The part that no object is in.
    pub const NONE: Self = Self {
        dev: Dev::NONE,
        subvolume: 0,
    };
}

impl SuperBlock<Foreign> {
    /// The part in which objects are, where the filesystem has no others.
    pub fn main_part(&self) -> Part {
        Part {
            dev: self.dev(),
            subvolume: 0,
        }
    }

    /// Whether it is known that all objects are in [`main_part`](Self::main_part), with the inode number and the number
    /// of names that their inodes have, so that none need be asked.
    pub fn is_of_one_part(&self) -> bool {
        // The answer of these for any object (`->getattr`) is the device of the super block, and no
        // subvolume. The kernel gives
        // a number to one type of filesystem; that of FUSE is not the daemon's choice.
        // SAFETY: Constant once it is mounted.
        let magic = unsafe { (*self.as_ptr()).s_magic };
        [
            bindings::TMPFS_MAGIC,
            bindings::EXT4_SUPER_MAGIC,
            bindings::XFS_SUPER_MAGIC,
        ]
        .iter()
        .any(|one_part| *one_part as usize == magic as usize)
    }

    /// Whether it is known that objects may be in other parts than the one that its root is in.
    pub fn has_parts(&self) -> bool {
        // A filesystem that stands on others may show a device number for each of them. Snapshots of ceph
        // have their own.
        self.stack_depth() > 0 || self.type_name() == c"ceph"
    }
}

/// Attributes of an object (`struct kstat`).
#[repr(transparent)]
pub struct Stat(pub(crate) bindings::kstat);

impl Stat {
    /// Asks the filesystem of `path` (wraps `vfs_getattr_nosec()`).
    ///
    /// # Errors
    ///
    /// It gives the errors of the filesystem: `EIO`, `ESTALE`, …
    ///
    /// # Context
    ///
    /// May sleep.
    #[inline]
    pub fn fill(&mut self, _c: &Override<'_>, path: Path<'_>, query: Query) -> Result {
        about_to_ask(path.dentry().super_block());
        // SAFETY: The path is valid, the buffer is ours.
        to_result(unsafe {
            bindings::vfs_getattr_nosec(&path.to_raw(), &mut self.0, query.mask, query.flags)
        })
    }

    /// The same for a structure as the VFS has given it to [`getattr`](crate::ops::AttrOps::getattr): empty. What
    /// `vfs_getattr_nosec()` does around the operation of the real inode has been done around ours; what of it depends on
    /// the inode is left to that function, or done here.
    ///
    /// # Errors
    ///
    /// The errors are those of [`Stat::fill`].
    ///
    /// # Context
    ///
    /// May sleep.
    #[inline]
    pub fn fill_fresh(&mut self, c: &Override<'_>, path: Path<'_>, query: Query) -> Result {
        const MORE: u32 = bindings::S_AUTOMOUNT | bindings::S_DAX;

        let inode = path.dentry().inode();
        let ptr = inode.as_ptr();
        // SAFETY: The inode is valid. Its operations and its super block are there, and may be read at any time, as its
        // flags may.
        let (getattr, flags, sb_flags) = unsafe {
            (
                (*(*ptr).i_op).getattr,
                (&raw const (*ptr).i_flags).read_volatile(),
                (*(*ptr).i_sb).s_flags,
            )
        };
        // A block device is asked for more (`bdev_statx()`).
        let is_block = inode.mode().file_type() == FileType::BLOCK_DEVICE;
        let Some(getattr) = getattr.filter(|_| flags & MORE == 0 && !is_block) else {
            return self.fill(c, path, query);
        };
        about_to_ask(path.dentry().super_block());
        if sb_flags & bindings::SB_NOATIME != 0 {
            // Such a filesystem has a time of access to show, but not a true one.
            self.0.result_mask &= !bindings::STATX_ATIME;
        }
        // SAFETY: The path is valid and `getattr` the operation of its inode, which gets the mapping of the path's mount;
        // the buffer is ours.
        to_result(unsafe {
            getattr(
                path.mount().idmap().as_ptr(),
                &path.to_raw(),
                &mut self.0,
                query.mask,
                query.flags,
            )
        })
    }

    /// Shows the owners as a user sees them, for those that `inode` has.
    #[inline]
    pub fn show_owner_to<F: Ours>(&mut self, viewed: Viewed<'_>, inode: &RcuInode<F>) {
        (self.0.uid, self.0.gid) = viewed.shown(inode, (self.0.uid, self.0.gid));
    }

    /// Shows the immutable and append-only flags of `inode` (does what `generic_fill_statx_attr()` does).
    #[inline]
    pub fn show_flags_of<F: Ours>(&mut self, inode: &RcuInode<F>) {
        const IMMUTABLE: u64 = bindings::STATX_ATTR_IMMUTABLE as u64;
        const APPEND: u64 = bindings::STATX_ATTR_APPEND as u64;

        // SAFETY: A word that may be read at any time.
        let flags = unsafe { (&raw const (*inode.as_ptr()).i_flags).read_volatile() };
        if flags & (bindings::S_IMMUTABLE | bindings::S_APPEND) != 0 {
            if flags & bindings::S_IMMUTABLE != 0 {
                self.0.attributes |= IMMUTABLE;
            }
            if flags & bindings::S_APPEND != 0 {
                self.0.attributes |= APPEND;
            }
        }
        self.0.attributes_mask |= IMMUTABLE | APPEND;
    }

    /// The inode number.
    #[inline]
    pub fn ino(&self) -> u64 {
        self.0.ino
    }

    /// Sets the inode number.
    #[inline]
    pub fn set_ino(&mut self, ino: u64) {
        self.0.ino = ino;
    }

    /// Which part of its filesystem the object is in, as long as nobody has set the device number.
    #[inline]
    pub fn part(&self) -> Part {
        // A filesystem that has no subvolumes leaves the 0 there.
        Part {
            dev: Dev(self.0.dev),
            subvolume: self.0.subvol,
        }
    }

    /// Sets the device number.
    #[inline]
    pub fn set_dev(&mut self, dev: Dev) {
        self.0.dev = dev.0;
    }

    /// Sets the number of names.
    #[inline]
    pub fn set_nlink(&mut self, nlink: u32) {
        self.0.nlink = nlink;
    }

    /// Type and permission bits.
    #[inline]
    pub fn mode(&self) -> Mode {
        Mode::from_raw(self.0.mode)
    }

    /// Sets type and permission bits.
    #[inline]
    pub fn set_mode(&mut self, mode: Mode) {
        self.0.mode = mode.as_raw();
    }

    /// Whether it has an owner and a group: an id-mapped mount shows of somebody without a mapping that he is
    /// nobody.
    #[inline]
    pub fn has_owner(&self) -> bool {
        self.0.uid.val != u32::MAX && self.0.gid.val != u32::MAX
    }

    /// The owner.
    #[inline]
    pub fn owner(&self) -> Ids {
        (self.0.uid, self.0.gid)
    }

    /// Sets the owner.
    #[inline]
    pub fn set_owner(&mut self, owner: Ids) {
        (self.0.uid, self.0.gid) = owner;
    }

    /// The device number of a device node.
    #[inline]
    pub fn rdev(&self) -> Dev {
        Dev(self.0.rdev)
    }

    /// The number of names.
    #[inline]
    pub fn nlink(&self) -> u32 {
        self.0.nlink
    }

    /// Sets the size, in bytes.
    #[inline]
    pub fn set_size(&mut self, size: u64) {
        self.0.size = size as i64;
    }

    /// The size, in bytes.
    #[inline]
    pub fn size(&self) -> u64 {
        self.0.size as u64
    }

    /// The number of 512-byte blocks.
    #[inline]
    pub fn blocks(&self) -> u64 {
        self.0.blocks
    }

    /// Sets the number of 512-byte blocks.
    #[inline]
    pub fn set_blocks(&mut self, blocks: u64) {
        self.0.blocks = blocks;
    }
}

/// Room for attributes. They are too large to be moved about: whoever wants some makes room and has
/// it filled.
pub struct StatBuf(MaybeUninit<bindings::kstat>);

impl StatBuf {
    /// Room with nothing in it.
    #[inline]
    pub const fn new() -> Self {
        Self(MaybeUninit::uninit())
    }

    /// The attributes of `path`; see [`Stat::fill`].
    ///
    /// # Errors
    ///
    /// The errors are those of [`Stat::fill`].
    ///
    /// # Context
    ///
    /// May sleep.
    pub fn fill(&mut self, _c: &Override<'_>, path: Path<'_>, query: Query) -> Result<&mut Stat> {
        about_to_ask(path.dentry().super_block());
        // SAFETY: The path is valid, the buffer is ours; it need not be initialized, as the function
        // begins by clearing it.
        to_result(unsafe {
            bindings::vfs_getattr_nosec(
                &path.to_raw(),
                self.0.as_mut_ptr(),
                query.mask,
                query.flags,
            )
        })?;
        // SAFETY: It was cleared and filled; `Stat` is transparent over it.
        Ok(unsafe { &mut *self.0.as_mut_ptr().cast() })
    }

    /// As [`StatBuf::fill`], if the LSMs let the credentials in force ask (wraps `vfs_getattr()`).
    ///
    /// # Errors
    ///
    /// The errors are those of [`Stat::fill`]; `EACCES` by an LSM.
    ///
    /// # Context
    ///
    /// May sleep.
    pub fn fill_checked(
        &mut self,
        _c: &Override<'_>,
        path: Path<'_>,
        query: Query,
    ) -> Result<&mut Stat> {
        about_to_ask(path.dentry().super_block());
        let path = path.to_raw();
        let stat = self.0.as_mut_ptr();
        // SAFETY: The path is valid, the buffer is ours.
        to_result(unsafe { bindings::vfs_getattr(&path, stat, query.mask, query.flags) })?;
        // SAFETY: It was cleared and filled; `Stat` is transparent over it.
        Ok(unsafe { &mut *self.0.as_mut_ptr().cast() })
    }
}

impl Default for StatBuf {
    fn default() -> Self {
        Self::new()
    }
}

/// The figures of a filesystem that `statfs(2)` gives (`struct kstatfs`).
#[repr(transparent)]
pub struct StatFs(pub(crate) bindings::kstatfs);

impl StatFs {
    /// Asks the filesystem at `path` (wraps `vfs_statfs()`).
    ///
    /// # Errors
    ///
    /// It gives the errors of the filesystem: `EIO`, `ENOSYS`, …
    ///
    /// # Context
    ///
    /// May sleep.
    pub fn fill(&mut self, path: Path<'_>) -> Result {
        about_to_ask(path.dentry().super_block());
        // SAFETY: The path is valid, the buffer is ours.
        to_result(unsafe { bindings::vfs_statfs(&path.to_raw(), (&raw mut self.0).cast()) })
    }

    /// The figures of the filesystem at `path`; see [`StatFs::fill`].
    ///
    /// # Errors
    ///
    /// The errors are those of [`StatFs::fill`].
    pub fn of(path: Path<'_>) -> Result<Self> {
        let mut stat = Self(bindings::kstatfs::default());
        stat.fill(path)?;
        Ok(stat)
    }

    /// The longest name, in bytes.
    pub fn name_max(&self) -> u64 {
        self.0.f_namelen as u64
    }

    /// Sets the longest name, in bytes.
    pub fn set_name_max(&mut self, len: u64) {
        self.0.f_namelen = len as _;
    }

    /// Sets the identity, made of a UUID as all filesystems make it.
    pub fn set_identity(&mut self, uuid: [u8; 16]) {
        let (low, high) = uuid.split_at(8);
        let word = |bytes: &[u8]| bytes.iter().rev().fold(0u64, |w, b| w << 8 | u64::from(*b));
        let id = word(low) ^ word(high);
        self.0.f_fsid.val = [id as i32, (id >> 32) as i32];
    }

    /// Sets the type.
    pub fn set_magic(&mut self, magic: u64) {
        self.0.f_type = magic as _;
    }
}
