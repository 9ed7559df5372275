// SPDX-License-Identifier: GPL-2.0-only

//! The operations of open regular files, as a trait.
//!
//! It is not for calls downwards: those are in [`backing`](crate::call::backing), [`mapping`](crate::call::mapping) and
//! [`range`](crate::call::range).
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h) (`struct file_operations`)
//!
//! # Examples
//!
//! ```ignore
//! #[vtable]
//! impl FileOps<MyFs> for Regular {
//!     type Data = BackingPair;
//!     fn open(file: &File<MyFs>) -> Result<BackingPair> { /* ... */ }
//! }
//! ```

use crate::call::backing::Advice;
use crate::call::backing::LockOwner;
use crate::call::backing::ReadRequest;
use crate::call::backing::SpliceRead;
use crate::call::backing::SpliceWrite;
use crate::call::backing::WriteRequest;
use crate::call::fiemap::Extents;
use crate::call::mapping::MapRequest;
use crate::call::range::AllocateMode;
use crate::call::range::Transfer;
use crate::call::range::TransferRange;
use crate::object::file::File;
use crate::object::file::SyncRange;
use crate::object::file::Whence;
use crate::object::inode::Inode;
use crate::object::Ours;
use crate::ops::ioctl::Ioctl;
use kernel::error::VTABLE_DEFAULT_ERROR;
use kernel::prelude::*;

/// The operations of regular files.
#[vtable]
pub trait FileOps<F: Ours> {
    /// The data that is kept per open file: it is not larger than a pointer.
    type Data: Send + Sync;

    /// Opens a file.
    ///
    /// # Errors
    ///
    /// The errors are those of what is below.
    fn open(file: &File<F>) -> Result<Self::Data>;

    /// Reads.
    ///
    /// # Errors
    ///
    /// The errors are those of what is below.
    fn read(file: &File<F>, data: &Self::Data, read: ReadRequest<'_>) -> Result<usize>;

    /// Splices into a pipe.
    ///
    /// # Errors
    ///
    /// The errors are those of what is below.
    fn splice_read(_file: &File<F>, _data: &Self::Data, _splice: SpliceRead<'_>) -> Result<usize> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Maps into memory.
    ///
    /// # Errors
    ///
    /// The errors are those of what is below.
    fn mmap(_file: &File<F>, _data: &Self::Data, _map: MapRequest<'_>) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Moves the position; gives the new one.
    ///
    /// # Errors
    ///
    /// `EINVAL`; `ENXIO` for data or holes beyond the end.
    fn seek(file: &File<F>, data: &Self::Data, offset: i64, whence: Whence) -> Result<i64>;

    /// Takes what the user says of his use of the file.
    ///
    /// # Errors
    ///
    /// `EINVAL`.
    fn advise(
        _file: &File<F>,
        _data: &Self::Data,
        _offset: i64,
        _len: i64,
        _advice: Advice,
    ) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// A descriptor of the open file is closed.
    ///
    /// # Errors
    ///
    /// The error says what was not told before.
    fn flush(_file: &File<F>, _data: &Self::Data, _owner: LockOwner) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Tells where the data lies.
    ///
    /// # Errors
    ///
    /// `EOPNOTSUPP`: that can't be told.
    fn fiemap(_inode: &Inode<F>, _extents: Extents<'_>) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Writes.
    ///
    /// # Errors
    ///
    /// The errors are those of what is below.
    fn write(file: &File<F>, data: &Self::Data, write: WriteRequest<'_, F>) -> Result<usize>;

    /// Splices from a pipe.
    ///
    /// # Errors
    ///
    /// The errors are those of what is below.
    fn splice_write(
        _file: &File<F>,
        _data: &Self::Data,
        _splice: SpliceWrite<'_, F>,
    ) -> Result<usize> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Waits until what was written is on disk.
    ///
    /// # Errors
    ///
    /// The error says what could not be written.
    fn fsync(file: &File<F>, data: &Self::Data, range: SyncRange) -> Result;

    /// Allocates, punches, zeroes, … a range of bytes.
    ///
    /// # Errors
    ///
    /// The errors are those of what is below.
    fn allocate(
        _file: &File<F>,
        _data: &Self::Data,
        _mode: AllocateMode,
        _offset: i64,
        _len: i64,
    ) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Does what a command of the filesystem's own says; returns what `ioctl(2)` does. Nothing is locked.
    ///
    /// # Errors
    ///
    /// `ENOTTY`: there is no such command.
    fn ioctl(_file: &File<F>, _data: &Self::Data, _ioctl: Ioctl<'_, F>) -> Result<u32> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Transfers bytes from one file to another; gives how many.
    ///
    /// # Errors
    ///
    /// The errors are those of what is below.
    fn transfer(
        _how: Transfer,
        _from: (&File<F>, &Self::Data),
        _to: (&File<F>, &Self::Data),
        _range: TransferRange,
    ) -> Result<i64> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }
}
