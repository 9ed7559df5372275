// SPDX-License-Identifier: GPL-2.0-only

//! Regular files: every request goes to the real file that is open behind the user's.

#![forbid(unsafe_code)]

use crate::engine;
use crate::state::File;
use crate::state::Inode;
use crate::state::LayerFs;
use kernel::prelude::*;
use vfs::backing;
use vfs::backing::BackingFile;
use vfs::backing::LockOwner;
use vfs::backing::MapRequest;
use vfs::backing::Read;
use vfs::backing::SpliceRead;
use vfs::fiemap::Extents;
use vfs::ops::FileOps;

/// Operations of regular files.
pub(crate) struct Regular;

#[vtable]
impl FileOps<LayerFs> for Regular {
    type Data = BackingFile;

    fn open(file: &File) -> Result<BackingFile> {
        let inode = file.inode();
        let instance = inode.super_block().data();
        let path = engine::data::path(instance, inode)?;
        let c = instance.as_mounter();
        BackingFile::open(&c, file, path)
    }

    fn read(file: &File, real: &BackingFile, read: Read<'_>) -> Result<usize> {
        if read.is_empty() {
            return Ok(0);
        }
        real.follow_flags(file)?;
        read.forward(real, &file.inode().super_block().data().mounter)
    }

    fn splice_read(file: &File, real: &BackingFile, splice: SpliceRead<'_>) -> Result<usize> {
        real.follow_flags(file)?;
        splice.forward(real, &file.inode().super_block().data().mounter)
    }

    fn mmap(file: &File, real: &BackingFile, map: MapRequest<'_>) -> Result {
        map.forward(real, &file.inode().super_block().data().mounter)
    }

    fn seek(file: &File, real: &BackingFile, offset: i64, whence: i32) -> Result<i64> {
        real.follow_flags(file)?;
        // The user's position is the one that counts; only the real filesystem knows of holes.
        real.take_position_of(file);
        let _c = file.inode().super_block().data().as_mounter();
        real.seek(offset, whence)
    }

    fn advise(file: &File, real: &BackingFile, offset: i64, len: i64, advice: i32) -> Result {
        let c = file.inode().super_block().data().as_mounter();
        backing::advise(&c, real, offset, len, advice)
    }

    fn flush(file: &File, real: &BackingFile, owner: LockOwner) -> Result {
        let c = file.inode().super_block().data().as_mounter();
        backing::flush(&c, real, owner)
    }

    fn fiemap(inode: &Inode, extents: Extents<'_>) -> Result {
        let instance = inode.super_block().data();
        let path = engine::data::path(instance, inode)?;
        let c = instance.as_mounter();
        extents.forward(&c, path.dentry.inode())
    }
}
