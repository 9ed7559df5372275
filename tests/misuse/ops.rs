// SPDX-License-Identifier: GPL-2.0-only

//! What can be done wrongly with objects of one's own: whatever is asked for, there is the root that was kept.

use super::keep;
use super::kept;
use super::Misuse;
use kernel::prelude::*;
use kernel::sync::aref::ARef;
use vfs::call::backing::ReadRequest;
use vfs::call::backing::WriteRequest;
use vfs::call::change::ChangeRequest;
use vfs::call::emitter::Emitter;
use vfs::call::stat::Query;
use vfs::call::stat::Stat;
use vfs::call::stat::StatFs;
use vfs::call::symlink;
use vfs::call::xattr::SetFlags;
use vfs::guard::dir_op::NewObject;
use vfs::guard::dir_op::RenameFlags;
use vfs::guard::lock::VfsLocked;
use vfs::object::file::File;
use vfs::object::file::SyncRange;
use vfs::object::file::Whence;
use vfs::object::idmap::Viewed;
use vfs::object::inode::Access;
use vfs::object::named::Named;
use vfs::object::named::Unhashed;
use vfs::object::named::Vacant;
use vfs::object::walk::Walk;
use vfs::ops::revalidation::RcuRevalidation;
use vfs::ops::revalidation::Revalidation;
use vfs::ops::*;
use vfs::sys::errno::EOPNOTSUPP;
use vfs::sys::seq;
use vfs::Dentry;
use vfs::Foreign;
use vfs::Inode;
use vfs::Positive;
use vfs::RcuInode;
use vfs::SuperBlock;

/// All operations.
pub(crate) struct Ops;

#[vtable]
impl AttrOps<Misuse> for Ops {
    fn permission(inode: Walk<'_, Misuse>, access: Access<'_>) -> Result {
        inode.generic_permission(access)
    }

    fn getattr(
        _dentry: &Positive<Misuse>,
        _viewed: Viewed<'_>,
        _stat: &mut Stat,
        _query: Query,
    ) -> Result {
        Err(EOPNOTSUPP)
    }

    fn setattr(_dentry: VfsLocked<'_, Misuse>, _request: ChangeRequest<'_>) -> Result {
        Err(EOPNOTSUPP)
    }

    fn touch(_inode: &Inode<Misuse>) {}
}

#[vtable]
impl DirOps<Misuse> for Ops {
    type Data = ();

    fn lookup(dentry: Unhashed<'_, Misuse>) -> Result<Option<ARef<Dentry<Misuse>>>> {
        let inode = match dentry.name() {
            b"splice" => Some(kept()?),
            b"forget" => {
                keep(None)?;
                None
            }
            _ => None,
        };
        dentry.splice(inode)
    }

    fn open(_file: &File<Misuse>) -> Result {
        Err(EOPNOTSUPP)
    }

    fn iterate(_file: &File<Misuse>, _data: &(), _emitter: &mut Emitter<'_>) -> Result {
        Err(EOPNOTSUPP)
    }

    fn seek(_file: &File<Misuse>, _data: &(), _offset: i64, _whence: Whence) -> Result<i64> {
        Err(EOPNOTSUPP)
    }

    fn release(_inode: &Inode<Misuse>, _data: ()) {}

    fn fsync(_file: &File<Misuse>, _data: &(), _range: SyncRange) -> Result {
        Err(EOPNOTSUPP)
    }

    fn create(name: Vacant<'_, Misuse>, _viewed: Viewed<'_>, _what: NewObject<'_>) -> Result {
        name.instantiate(kept()?)
    }

    fn link(_old: VfsLocked<'_, Misuse>, name: Vacant<'_, Misuse>) -> Result {
        name.instantiate(kept()?)
    }

    fn remove(_name: Named<'_, Misuse>, _object: VfsLocked<'_, Misuse>, _is_dir: bool) -> Result {
        Err(EOPNOTSUPP)
    }

    fn rename(
        _old: Named<'_, Misuse>,
        _new: Named<'_, Misuse>,
        _replaced: Option<VfsLocked<'_, Misuse>>,
        _flags: RenameFlags,
    ) -> Result {
        Err(EOPNOTSUPP)
    }

    fn create_nameless(request: Nameless<'_, Misuse>) -> Result {
        request.open(kept()?, ())
    }
}

#[vtable]
impl FileOps<Misuse> for Ops {
    type Data = ();

    fn open(_file: &File<Misuse>) -> Result {
        Err(EOPNOTSUPP)
    }

    fn read(_file: &File<Misuse>, _data: &(), _read: ReadRequest<'_>) -> Result<usize> {
        Err(EOPNOTSUPP)
    }

    fn seek(_file: &File<Misuse>, _data: &(), _offset: i64, _whence: Whence) -> Result<i64> {
        Err(EOPNOTSUPP)
    }

    fn write(_file: &File<Misuse>, _data: &(), _write: WriteRequest<'_, Misuse>) -> Result<usize> {
        Err(EOPNOTSUPP)
    }

    fn fsync(_file: &File<Misuse>, _data: &(), _range: SyncRange) -> Result {
        Err(EOPNOTSUPP)
    }
}

#[vtable]
impl SymlinkOps<Misuse> for Ops {
    fn target<'a>(
        _dentry: &'a Positive<Misuse>,
        _done: &mut symlink::Done<'_>,
    ) -> Result<symlink::Target<'a>> {
        Err(EOPNOTSUPP)
    }

    fn read(_dentry: &Positive<Misuse>, _buffer: symlink::UserBuffer<'_>) -> Result<i32> {
        Err(EOPNOTSUPP)
    }
}

#[vtable]
impl XattrOps<Misuse> for Ops {
    fn get(_inode: &Inode<Misuse>, _name: &CStr, _buf: &mut [u8]) -> Result<usize> {
        Err(EOPNOTSUPP)
    }

    fn set(
        _inode: &Inode<Misuse>,
        _dentry: &Positive<Misuse>,
        _name: &CStr,
        _value: Option<&[u8]>,
        _flags: SetFlags,
    ) -> Result {
        Err(EOPNOTSUPP)
    }
}

#[vtable]
impl DentryOps<Misuse> for Ops {
    fn revalidate(_dentry: &Positive<Misuse>, _question: Revalidation<'_>) -> Result<bool> {
        Ok(true)
    }

    fn revalidate_rcu(_inode: &RcuInode<Misuse>, _question: RcuRevalidation<'_>) -> Option<bool> {
        Some(true)
    }

    fn real(_dentry: &Positive<Misuse>, _of: RealType) -> Option<&Positive<Foreign>> {
        None
    }
}

#[vtable]
impl SuperOps<Misuse> for Ops {
    fn statfs(_sb: &SuperBlock<Misuse>, _stat: &mut StatFs) -> Result {
        Err(EOPNOTSUPP)
    }

    fn sync(_sb: &SuperBlock<Misuse>, _wait: bool) -> Result {
        Ok(())
    }

    fn encode_handle(_inode: &Inode<Misuse>, _room: &mut [u8; HANDLE_MAX]) -> Option<usize> {
        None
    }

    const HANDLE_KIND: u8 = 0;

    fn show_options(_sb: &SuperBlock<Misuse>, _options: &seq::Options<'_>) {}
}
