// SPDX-License-Identifier: GPL-2.0-only

//! Regular files: every request goes to the real file that is open behind the user's.
//!
//! That is the file it was when the user opened it, until it was copied up: from then on it is the one in
//! upper, which is opened when it is first needed.

#![forbid(unsafe_code)]

use crate::engine;
use crate::engine::clone;
use crate::engine::clone::lock_for_change;
use crate::engine::copy_up::copy_up;
use crate::engine::copy_up::Need;
use crate::state::instance::Instance;
use crate::state::object::Now;
use crate::state::traits::Trait;
use crate::state::File;
use crate::state::Inode;
use crate::state::LayerFs;
use core::ops::Range;
use format::control;
use format::control::CloneRequest;
use kernel::prelude::*;
use vfs::call::backing;
use vfs::call::backing::Advice;
use vfs::call::backing::Backing;
use vfs::call::backing::BackingFile;
use vfs::call::backing::LockOwner;
use vfs::call::backing::ReadRequest;
use vfs::call::backing::SpliceRead;
use vfs::call::backing::SpliceWrite;
use vfs::call::backing::WriteEnd;
use vfs::call::backing::WriteRequest;
use vfs::call::backing_pair::BackingPair;
use vfs::call::fiemap::Extents;
use vfs::call::mapping;
use vfs::call::mapping::MapRequest;
use vfs::call::mapping::Step;
use vfs::call::mapping::WriteFaults;
use vfs::call::range;
use vfs::call::range::AllocateMode;
use vfs::call::range::Transfer;
use vfs::call::range::TransferRange;
use vfs::object::file::SyncRange;
use vfs::object::file::Whence;
use vfs::ops::ioctl::Ioctl;
use vfs::ops::FileOps;
use vfs::sys::pause;
use vfs::Path;

/// Operations of regular files.
pub(crate) struct Regular;

/// An open file: the real file as it was when the user opened his, and the one in upper, if it was copied up
/// since.
pub(crate) struct OpenFile(BackingPair);

impl OpenFile {
    /// Makes an open file whose real one is `first`.
    pub(crate) fn new(first: BackingFile) -> Self {
        Self(BackingPair::new(first))
    }

    /// Opens the real file for what is at `path`, with the flags that the user's has now.
    #[inline]
    fn at(&self, instance: &Instance, file: &File, path: Path<'_>) -> Result<&Backing> {
        let mut real = self.0.first();
        if real.inode().key() != path.dentry().inode().key() {
            real = self.second(instance, file, path)?;
        }
        backing::follow_flags(real, file)?;
        Ok(real)
    }

    /// Does the same for what was copied up since the file was opened.
    #[cold]
    fn second(&self, instance: &Instance, file: &File, path: Path<'_>) -> Result<&Backing> {
        let real = self
            .0
            .second_or_open(|| instance.as_mounter(|c| BackingFile::open(c, file, path)))?;
        if real.inode().key() != path.dentry().inode().key() {
            return Err(EIO);
        }
        Ok(real)
    }

    /// Returns the real file that has the data now.
    #[inline]
    fn data(&self, instance: &Instance, file: &File) -> Result<&Backing> {
        let path = engine::data::path(instance, file.inode())?;
        self.at(instance, file, path)
    }
}

/// The end of a write: our inode shows the size and the times that it left behind.
struct Written;

impl WriteEnd<LayerFs> for Written {
    fn written(file: &File) {
        let inode = file.inode();
        engine::inode::refresh(inode);
    }
}

/// Stores through mappings: who is about to make a page of a file writable passes the gates of clones that are being made
/// of it.
struct Stores;

impl WriteFaults<LayerFs> for Stores {
    fn tables(data: &Instance) -> &mapping::Tables {
        &data.mapped
    }

    fn may_store(inode: &Inode, bytes: Range<u64>, step: Step) -> bool {
        clone::may_store(inode, &bytes, step == Step::Before)
    }

    fn not_asked(inode: &Inode) {
        inode.data().set_stored_to_unasked();
    }
}

fn instance_of(file: &File) -> &Instance {
    file.inode().super_block().data()
}

/// Notes the access time of what is in upper; what is in lower layers is left alone.
fn after_read(file: &File) {
    let inode = file.inode();
    if let Some(upper) = Now::of(inode.data()).upper() {
        // Whether it is due depends on when the file was changed, which may have been through a mapping.
        inode.refresh_change_times(upper.inode());
        backing::note_access(file);
    }
}

#[vtable]
impl FileOps<LayerFs> for Regular {
    type Data = OpenFile;

    fn open(file: &File) -> Result<OpenFile> {
        let inode = file.inode();
        let instance = inode.super_block().data();
        if file.opens_for_writing() {
            let need = if file.truncates() {
                Need::Empty
            } else {
                Need::Data
            };
            copy_up(instance, file.dentry(), need)?;
        }
        let path = engine::data::path(instance, inode)?;
        vfs::debug!(
            "open('{}', {:#o}): data in '{}'\n",
            &**file.dentry(),
            file.flags(),
            instance.layer_name(path)
        );
        let real = instance.as_mounter(|c| BackingFile::open(c, file, path))?;
        Ok(OpenFile::new(real))
    }

    fn read(file: &File, open: &OpenFile, read: ReadRequest<'_>) -> Result<usize> {
        if read.is_empty() {
            return Ok(0);
        }
        let instance = instance_of(file);
        let real = open.data(instance, file)?;
        let result = read.forward(real, &instance.mounter);
        after_read(file);
        result
    }

    fn splice_read(file: &File, open: &OpenFile, splice: SpliceRead<'_>) -> Result<usize> {
        let instance = instance_of(file);
        let real = open.data(instance, file)?;
        let result = splice.forward(real, &instance.mounter);
        after_read(file);
        result
    }

    fn mmap(file: &File, open: &OpenFile, map: MapRequest<'_>) -> Result {
        // What the file is now is mapped; what was mapped before does not change when it is copied up. The lock of the
        // address space (`mmap_lock`) is held: a task that holds a lock which is taken here must not wait for that one.
        // Nothing has to be found or checked any more that takes the lock of the object, as the file is open.
        let instance = instance_of(file);
        let real = open.data(instance, file)?;
        let result = map.forward::<LayerFs, Stores>(file, real, &instance.mounter);
        after_read(file);
        result
    }

    fn seek(file: &File, open: &OpenFile, offset: i64, whence: Whence) -> Result<i64> {
        if offset == 0 && whence == Whence::CUR {
            return Ok(file.position());
        }
        if offset == 0 && whence == Whence::SET {
            return Ok(0);
        }
        let instance = instance_of(file);
        let real = open.data(instance, file)?;
        // The user's position is the one that counts; only the real filesystem knows of holes. The real file is of this
        // open file alone, whose position lock (`f_pos_lock`) the VFS holds; a copy-up has files of its own.
        real.take_position_of(file);
        instance.as_mounter(|_| real.seek(offset, whence))
    }

    fn advise(file: &File, open: &OpenFile, offset: i64, len: i64, advice: Advice) -> Result {
        let instance = instance_of(file);
        let real = open.data(instance, file)?;
        instance.as_mounter(|c| backing::advise(c, real, offset, len, advice))
    }

    fn flush(file: &File, open: &OpenFile, owner: LockOwner) -> Result {
        let instance = instance_of(file);
        let real = open.data(instance, file)?;
        if !backing::has_flush(real) {
            return Ok(());
        }
        instance.as_mounter(|c| backing::flush(c, real, owner))
    }

    fn fiemap(inode: &Inode, extents: Extents<'_>) -> Result {
        let instance = inode.super_block().data();
        let path = engine::data::path(instance, inode)?;
        instance.as_mounter(|c| extents.forward(c, path.dentry().inode()))
    }

    fn write(file: &File, open: &OpenFile, mut write: WriteRequest<'_, LayerFs>) -> Result<usize> {
        if write.is_empty() {
            return Ok(0);
        }
        let inode = file.inode();
        let instance = instance_of(file);
        if write.is_direct() {
            // Several go on at a time, where the real filesystem lets them.
            let lock = inode.lock_shared_killable()?;
            if clone::may_write(inode, &write.bytes(inode.size())) {
                match write.in_parallel(&lock) {
                    Ok(write) => {
                        pause::at(c"parallel_write");
                        let real = open.data(instance, file)?;
                        return write.forward::<Written>(
                            real,
                            &instance.mounter,
                            !instance.is_volatile(),
                        );
                    }
                    Err(other) => write = other,
                }
            }
        }
        let lock = lock_for_change(inode, || write.bytes(inode.size()))?;
        engine::inode::refresh(inode);
        let real = open.data(instance, file)?;
        write.forward::<Written>(real, &instance.mounter, &lock, !instance.is_volatile())
    }

    fn splice_write(
        file: &File,
        open: &OpenFile,
        splice: SpliceWrite<'_, LayerFs>,
    ) -> Result<usize> {
        let inode = file.inode();
        let instance = instance_of(file);
        let lock = lock_for_change(inode, || splice.bytes())?;
        engine::inode::refresh(inode);
        let real = open.data(instance, file)?;
        splice.forward::<Written>(real, &instance.mounter, &lock)
    }

    fn fsync(file: &File, open: &OpenFile, range: SyncRange) -> Result {
        let inode = file.inode();
        let instance = instance_of(file);
        if instance.is_volatile() {
            return instance.check_errors();
        }
        let now = Now::of(inode.held());
        // A file in a lower layer was never written by us.
        let Some(path) = now.upper_path() else {
            return Ok(());
        };
        if range.data_only && !now.has(Trait::UPPER_DATA) {
            return Ok(());
        }
        let real = open.at(instance, file, path)?;
        instance.as_mounter(|c| real.sync_range(c, range))
    }

    fn allocate(file: &File, open: &OpenFile, mode: AllocateMode, offset: i64, len: i64) -> Result {
        let inode = file.inode();
        let instance = instance_of(file);
        let lock = lock_for_change(inode, || mode.changes(offset, len))?;
        engine::inode::refresh(inode);
        backing::remove_privileges(file, &lock)?;
        let real = open.data(instance, file)?;
        let result = instance.as_mounter(|c| range::allocate(c, real, mode, offset, len));
        engine::inode::refresh(inode);
        result
    }

    fn ioctl(file: &File, open: &OpenFile, ioctl: Ioctl<'_, LayerFs>) -> Result<u32> {
        match ioctl.command() {
            control::CLONE_RANGE2 => clone_range(file, open, &ioctl),
            _ => Err(ENOTTY),
        }
    }

    fn transfer(
        how: Transfer,
        from: (&File, &OpenFile),
        to: (&File, &OpenFile),
        range: TransferRange,
    ) -> Result<i64> {
        let (inode, instance) = (to.0.inode(), instance_of(to.0));
        let in_upper = |file: &File| Now::of(file.inode().data()).has(Trait::UPPER_DATA);
        // Copying data up to deduplicate it would make one more copy.
        if how == Transfer::Deduplicate && !(in_upper(from.0) && in_upper(to.0)) {
            return Err(EPERM);
        }
        if how == Transfer::Clone {
            let request = clone::Request {
                from: from.0,
                to: to.0,
                range,
                limits: clone::Limits::default(),
                // The two are of one super block, as the VFS has compared.
                reals: &|| Ok((from.1.data(instance, from.0)?, to.1.data(instance, to.0)?)),
            };
            let ended = request.run();
            return ended.result.map(|_| ended.done);
        }
        let lock = lock_for_change(inode, || range.destination())?;
        if how != Transfer::Deduplicate {
            engine::inode::refresh(inode);
            backing::remove_privileges(to.0, &lock)?;
        }
        let real_to = to.1.data(instance, to.0)?;
        let from_instance = instance_of(from.0);
        let real_from = from.1.data(from_instance, from.0)?;
        if !core::ptr::eq(instance, from_instance) {
            // Below, only the mounter of the destination is asked.
            from_instance.as_mounter(|c| range::verify_read(c, real_from, range))?;
        }
        let result = instance.as_mounter(|c| match how {
            Transfer::Copy => clone::copy(c, real_from, real_to, range),
            _ => range::transfer(c, how, real_from, real_to, range),
        });
        engine::inode::refresh(inode);
        result
    }
}

/// Does what `LAYERFS_IOC_CLONE_RANGE2` asks for.
///
/// # Errors
///
/// `EINVAL`: the argument says something that is not known here. `EFAULT`. Those of cloning.
fn clone_range(file: &File, open: &OpenFile, ioctl: &Ioctl<'_, LayerFs>) -> Result<u32> {
    let wanted = CloneRequest::decode(&ioctl.read()?).ok_or(EINVAL)?;
    let range = TransferRange::new(wanted.src_offset, wanted.dest_offset, wanted.src_length);
    let source = ioctl.clone_source(wanted.src_fd, range)?;
    let instance = file.inode().super_block().data();
    let ended = clone::Request {
        from: source.file(),
        to: file,
        range,
        limits: clone::Limits {
            interruptible: wanted.interruptible,
            time_budget_ms: wanted.time_budget_ms,
        },
        reals: &|| {
            let from = source.data().data(instance, source.file())?;
            Ok((from, open.data(instance, file)?))
        },
    }
    .run();
    if ended.done > 0 {
        source.notify();
    }
    ioctl.write(CloneRequest::WORK_DONE, &(ended.done as u64).to_ne_bytes())?;
    ended.result.map(|is_all| u32::from(!is_all))
}
