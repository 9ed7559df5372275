// SPDX-License-Identifier: GPL-2.0-only

//! The operations of a filesystem, as traits.
//!
//! The C tables are made from the implementations (see [`tables`]). An operation that has a default is
//! optional: without an implementation it is a null pointer there, so that the VFS takes its own way.
//!
//! It is not for calls downwards: what a filesystem asks of those below is in [`call`](crate::call).
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h) (`struct inode_operations` and its like); C document:
//! [`Documentation/filesystems/vfs.rst`](srctree/Documentation/filesystems/vfs.rst)
//!
//! # Examples
//!
//! ```ignore
//! #[vtable]
//! impl SymlinkOps<MyFs> for Symlink {
//!     fn target<'a>(dentry: &'a Positive<MyFs>, done: &mut Done<'_>) -> Result<Target<'a>> { /* ... */ }
//! }
//! ```

pub mod clone_source;
pub(crate) mod context;
pub mod export;
mod file;
pub mod fs_context;
pub mod ioctl;
pub mod registration;
pub mod revalidation;
pub(crate) mod tables;

use crate::call::acl;
use crate::call::change::ChangeRequest;
use crate::call::emitter::Emitter;
use crate::call::fileattr::FileAttr;
use crate::call::stat::Query;
use crate::call::stat::Stat;
use crate::call::stat::StatFs;
use crate::call::symlink;
use crate::call::xattr::SetFlags;
use crate::guard::dir_op::NewObject;
use crate::guard::dir_op::RenameFlags;
use crate::guard::lock::VfsLocked;
use crate::object::dentry::Dentry;
use crate::object::dentry::Positive;
use crate::object::file::File;
use crate::object::file::Opening;
use crate::object::file::SyncRange;
use crate::object::file::Whence;
use crate::object::idmap::Viewed;
use crate::object::inode::Access;
use crate::object::inode::Inode;
use crate::object::inode::RcuInode;
use crate::object::named::Named;
use crate::object::named::Unhashed;
use crate::object::named::Vacant;
use crate::object::super_block::NewSuper;
use crate::object::super_block::Root;
use crate::object::super_block::SuperBlock;
use crate::object::walk::Walk;
use crate::object::Foreign;
use crate::object::Ours;
pub use crate::ops::file::FileOps;
use crate::ops::fs_context::FsContext;
use crate::ops::fs_context::Value;
use crate::ops::ioctl::Ioctl;
use crate::ops::revalidation::RcuRevalidation;
use crate::ops::revalidation::Revalidation;
use crate::sys::bindings;
use crate::sys::errno::to_result;
use crate::sys::mode::Mode;
use crate::sys::rcu::InRcuWalk;
use crate::sys::seq;
use kernel::error::VTABLE_DEFAULT_ERROR;
use kernel::prelude::*;
use kernel::sync::aref::ARef;

/// A filesystem: its names and its operations. What its objects keep for it is said in [`Ours`].
///
/// # Examples
///
/// See `fs/layerfs/mount/mod.rs`, where one is.
pub trait FileSystem: Ours {
    /// The name by which `mount -t` calls it.
    const NAME: &'static CStr;

    /// Whether a root of a user name space may mount it.
    const USERNS_MOUNT: bool;

    /// How a mount is configured and made.
    type Context: ContextOps<Self>;

    /// The operations of every inode.
    type Attr: AttrOps<Self>;

    /// The operations of directories.
    type Dir: DirOps<Self>;

    /// The operations of regular files.
    type Regular: FileOps<Self>;

    /// The operations of symbolic links.
    type Symlink: SymlinkOps<Self>;

    /// Extended attributes by name.
    type Xattr: XattrOps<Self>;

    /// The operations of dentries.
    type Dentry: DentryOps<Self>;

    /// The operations of the whole mounted filesystem.
    type Super: SuperOps<Self>;
}

/// How a mount is configured and made. One is made for each `fsopen(2)`, `mount(2)` or remount.
#[vtable]
pub trait ContextOps<F: FileSystem>: Sized + Send {
    /// The parts of which a super block is made.
    type Tree: Send;

    /// A configuration in which nothing was said yet.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    fn new(fc: &FsContext<'_>) -> Result<Self>;

    /// Tells where the first option of `options` ends: the offset of the separator, or `None` if it is
    /// the last.
    fn option_end(options: &[u8]) -> Option<usize>;

    /// Takes a parameter.
    ///
    /// # Errors
    ///
    /// `ENOPARAM`: it is none of ours (the VFS then says so). Anything else after a message.
    fn parse(&mut self, fc: &FsContext<'_>, key: &[u8], value: Value<'_>) -> Result;

    /// Takes a parameter to change a mounted filesystem.
    ///
    /// # Errors
    ///
    /// The errors are those of [`ContextOps::parse`].
    fn repeat(
        &mut self,
        fc: &FsContext<'_>,
        sb: &SuperBlock<F>,
        key: &[u8],
        value: Value<'_>,
    ) -> Result;

    /// Finds out all that has to be known to make a super block. Whatever takes an answer of another
    /// filesystem is done here: the super block is not there yet, so nobody waits for it.
    ///
    /// # Errors
    ///
    /// Any, after a message.
    fn prepare(&mut self, fc: &FsContext<'_>) -> Result<Self::Tree>;

    /// Makes the super block. It is in the kernel's list already, locked, and `sync(2)` waits for it: no other
    /// filesystem may be asked anything.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    fn fill_super(tree: Self::Tree, sb: NewSuper<'_, F>) -> Result<Root<F>>;

    /// Changes a mounted filesystem.
    ///
    /// # Errors
    ///
    /// `EROFS`: it can't be made writable.
    fn reconfigure(&mut self, fc: &FsContext<'_>, sb: &SuperBlock<F>) -> Result;
}

/// The operations of every inode.
#[vtable]
pub trait AttrOps<F: FileSystem> {
    /// Whether the current task may access it. Called in RCU-walk too: then `access` says so to
    /// the checks it is passed to.
    ///
    /// # Errors
    ///
    /// `EACCES`; `ECHILD`: it can't be told without sleeping.
    fn permission(walk: Walk<'_, F>, access: Access<'_>) -> Result;

    /// Fills in its attributes, with the owners that a user sees who came by this mount.
    ///
    /// # Errors
    ///
    /// The errors are those of what is below.
    fn getattr(dentry: &Positive<F>, viewed: Viewed<'_>, stat: &mut Stat, query: Query) -> Result;

    /// Lists the names of its extended attributes into `buf`, or gives the length if that is empty.
    ///
    /// # Errors
    ///
    /// `ERANGE`: `buf` is too small.
    fn list_xattrs(_dentry: &Positive<F>, _buf: &mut [u8]) -> Result<usize> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// An access control list for a check in RCU-walk.
    ///
    /// # Errors
    ///
    /// `ECHILD`: it can't be had without sleeping.
    fn acl_in_rcu_walk(
        _inode: &RcuInode<F>,
        _rcu: InRcuWalk<'_>,
        _kind: acl::Kind,
    ) -> Result<acl::CachedAcl> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// An access control list for a check. The VFS maps its ids as the user's mount says.
    ///
    /// # Errors
    ///
    /// The errors are those of what is below.
    fn acl_for_check(_inode: &Inode<F>, _kind: acl::Kind) -> Result<Option<acl::Acl>> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// An access control list to be read. The VFS maps its ids as the user's mount says.
    ///
    /// # Errors
    ///
    /// The errors are those of what is below.
    fn acl(_dentry: &Positive<F>, _kind: acl::Kind) -> Result<Option<acl::Acl>> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// File attributes.
    ///
    /// # Errors
    ///
    /// `ENOTTY`: there are none.
    fn fileattr(_dentry: &Positive<F>, _attr: &mut FileAttr<'_>) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Sets file attributes. The inode is locked (`i_rwsem`).
    ///
    /// # Errors
    ///
    /// The errors are those of what is below.
    fn set_fileattr(_dentry: VfsLocked<'_, F>, _attr: &mut FileAttr<'_>) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Changes attributes. The inode is locked (`i_rwsem`).
    ///
    /// # Errors
    ///
    /// The errors are those of what is below.
    fn setattr(dentry: VfsLocked<'_, F>, request: ChangeRequest<'_>) -> Result;

    /// Sets an access control list, or removes it. The inode is locked (`i_rwsem`). The ids in the list are those of
    /// the inode already; who asks is still to be asked about what he sees. That he owns the inode, and that a default
    /// list is for a directory, was checked by `set_posix_acl()`, through which all callers come.
    ///
    /// # Errors
    ///
    /// The errors are those of what is below.
    fn set_acl(
        _dentry: VfsLocked<'_, F>,
        _viewed: Viewed<'_>,
        _kind: acl::Kind,
        _acl: Option<&acl::Acl>,
    ) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// The object was read through our mount: its access time may be due.
    fn touch(inode: &Inode<F>);
}

/// The operations of directories.
#[vtable]
pub trait DirOps<F: FileSystem> {
    /// The data that is kept per open directory: it is not larger than a pointer.
    type Data: Send + Sync;

    /// Looks up a name. The directory is locked (`i_rwsem`), at least shared.
    ///
    /// # Errors
    ///
    /// Any but `ENOENT`: that is a negative dentry.
    fn lookup(dentry: Unhashed<'_, F>) -> Result<Option<ARef<Dentry<F>>>>;

    /// Opens a directory.
    ///
    /// # Errors
    ///
    /// The errors are those of what is below.
    fn open(file: &File<F>) -> Result<Self::Data>;

    /// Gives entries from the emitter's position on. The directory is locked (`i_rwsem`), shared.
    ///
    /// # Errors
    ///
    /// The errors are those of what is below.
    fn iterate(file: &File<F>, data: &Self::Data, emitter: &mut Emitter<'_>) -> Result;

    /// Moves the position; gives the new one.
    ///
    /// # Errors
    ///
    /// `EINVAL`.
    fn seek(file: &File<F>, data: &Self::Data, offset: i64, whence: Whence) -> Result<i64>;

    /// The last reference to the open directory is gone.
    fn release(inode: &Inode<F>, data: Self::Data);

    /// Waits until what was done to the directory is on disk.
    ///
    /// # Errors
    ///
    /// The error says what could not be written.
    fn fsync(file: &File<F>, data: &Self::Data, range: SyncRange) -> Result;

    /// Does what a command of the filesystem's own says; returns what `ioctl(2)` does. Nothing is locked.
    ///
    /// # Errors
    ///
    /// `ENOTTY`: there is no such command.
    fn ioctl(_file: &File<F>, _data: &Self::Data, _ioctl: Ioctl<'_, F>) -> Result<u32> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Makes a regular file, directory, device, fifo, socket or symbolic link for a user who came by this
    /// mount. The directory is locked.
    ///
    /// # Errors
    ///
    /// The errors are those of what is below.
    fn create(name: Vacant<'_, F>, viewed: Viewed<'_>, what: NewObject<'_>) -> Result;

    /// Makes another name of an object. The directory and the object are locked.
    ///
    /// # Errors
    ///
    /// The errors are those of what is below.
    fn link(old: VfsLocked<'_, F>, name: Vacant<'_, F>) -> Result;

    /// Removes a name of `object`: of a directory, or of anything else. Directory and object are locked.
    ///
    /// # Errors
    ///
    /// `ENOTEMPTY`. Those of what is below.
    fn remove(name: Named<'_, F>, object: VfsLocked<'_, F>, is_dir: bool) -> Result;

    /// Renames. Both directories are locked (`i_rwsem`), and what is replaced, if anything is.
    ///
    /// # Errors
    ///
    /// `EXDEV`: it has to be copied instead. Those of what is below.
    fn rename(
        old: Named<'_, F>,
        new: Named<'_, F>,
        replaced: Option<VfsLocked<'_, F>>,
        flags: RenameFlags,
    ) -> Result;

    /// Makes a regular file without a name, and opens it (`->tmpfile()`, for `O_TMPFILE`).
    ///
    /// # Errors
    ///
    /// `EOPNOTSUPP`: that can't be done here. Those of what is below.
    fn create_nameless(request: Nameless<'_, F>) -> Result;
}

/// A file without a name that is to be made and opened (`O_TMPFILE`).
///
/// # Invariants
///
/// It is what the VFS passed to `->tmpfile()`, during that call.
pub struct Nameless<'a, F: FileSystem> {
    pub(crate) dir: &'a Inode<F>,
    pub(crate) file: *mut kernel::bindings::file,
    /// How the mount that the user came by maps ids.
    pub viewed: Viewed<'a>,
    /// Type and permission bits.
    pub mode: Mode,
}

impl<'a, F: FileSystem> Nameless<'a, F> {
    /// The directory in whose filesystem it is made.
    pub fn dir(&self) -> &'a Inode<F> {
        self.dir
    }

    /// The file that is to be opened.
    pub fn opening(&self) -> Opening<'_, F> {
        // SAFETY: By the type invariant.
        unsafe { Opening::from_raw(self.file) }
    }

    /// The dentry that stands for it: negative, and in no directory.
    pub fn dentry(&self) -> Named<'a, F> {
        // SAFETY: By the type invariant; a dentry that only we see keeps its name.
        unsafe { Named::from_raw((*self.file).__bindgen_anon_1.f_path.dentry) }
    }

    /// Makes it `inode`, and lets it be open with `data` (wraps `d_mark_tmpfile()`, `d_instantiate()` and
    /// `finish_open()`).
    ///
    /// # Errors
    ///
    /// The errors are those of opening; `EIO`: the inode is of another super block.
    pub fn open(self, inode: ARef<Inode<F>>, data: <F::Regular as FileOps<F>>::Data) -> Result {
        unsafe extern "C" fn opened_already(
            _: *mut bindings::inode,
            _: *mut bindings::file,
        ) -> i32 {
            0
        }

        // SAFETY: By the type invariant the file is being opened, and its dentry is negative. If it is open in the
        // end, `file_release` takes the data; if not, nobody else does.
        unsafe {
            let file = self.file;
            let dentry = (*file).__bindgen_anon_1.f_path.dentry;
            Dentry::<F>::from_raw(dentry).check_owner(&inode)?;
            let slot = File::<F>::data_slot::<<F::Regular as FileOps<F>>::Data>(file);
            let inode = ARef::into_raw(inode).as_ptr().cast();
            bindings::d_mark_tmpfile(file, inode);
            bindings::d_instantiate(dentry, inode);
            slot.write(data);
            let result = bindings::finish_open(file, dentry, Some(opened_already));
            if (*file).f_mode & bindings::FMODE_OPENED == 0 {
                slot.drop_in_place();
            }
            to_result(result)
        }
    }
}

/// The operations of symbolic links.
#[vtable]
pub trait SymlinkOps<F: FileSystem> {
    /// Where it points. (In RCU-walk the VFS is told to come again without.)
    ///
    /// # Errors
    ///
    /// The errors are those of what is below.
    fn target<'a>(
        dentry: &'a Positive<F>,
        done: &mut symlink::Done<'_>,
    ) -> Result<symlink::Target<'a>>;

    /// Writes where it points to the memory of the task that asks. It is only called of what was made of
    /// a magic link (see [`symlink`]).
    ///
    /// # Errors
    ///
    /// The errors are those of what is below.
    fn read(dentry: &Positive<F>, buffer: symlink::UserBuffer<'_>) -> Result<i32>;
}

/// Extended attributes by name.
#[vtable]
pub trait XattrOps<F: FileSystem> {
    /// The value of `name` into `buf`, or its length if that is empty.
    ///
    /// # Errors
    ///
    /// `ENODATA`: there is none. `ERANGE`: `buf` is too small.
    fn get(inode: &Inode<F>, name: &CStr, buf: &mut [u8]) -> Result<usize>;

    /// Sets `name` to `value`, or removes it. The inode is locked (`i_rwsem`).
    ///
    /// # Errors
    ///
    /// The errors are those of what is below.
    fn set(
        inode: &Inode<F>,
        dentry: &Positive<F>,
        name: &CStr,
        value: Option<&[u8]>,
        flags: SetFlags,
    ) -> Result;
}

/// The operations of dentries.
#[vtable]
pub trait DentryOps<F: FileSystem> {
    /// Whether what a dentry stands for is still what it was; asked for dentries that need it. Of one that is not the
    /// name is looked up anew. (A negative dentry that needs it is looked up anew without a question.)
    ///
    /// # Errors
    ///
    /// It can't be told; the name stays cached.
    fn revalidate(dentry: &Positive<F>, question: Revalidation<'_>) -> Result<bool>;

    /// The same question in RCU-walk. `None`: it can't be told without sleeping.
    fn revalidate_rcu(inode: &RcuInode<F>, question: RcuRevalidation<'_>) -> Option<bool>;

    /// The dentry whose contents, or whose attributes, a regular file shows.
    fn real(dentry: &Positive<F>, of: RealType) -> Option<&Positive<Foreign>>;
}

/// Which dentry is asked for (`enum d_real_type`).
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum RealType {
    /// The one with the contents.
    Data,
    /// The one with the attributes.
    Metadata,
}

/// The longest file handle of ours, in bytes: one of a filesystem below, with what tells that from others.
pub const HANDLE_MAX: usize = 156;

/// The operations of the whole mounted filesystem.
#[vtable]
pub trait SuperOps<F: FileSystem> {
    /// Its size and so on.
    ///
    /// # Errors
    ///
    /// The errors are those of what is below.
    fn statfs(sb: &SuperBlock<F>, stat: &mut StatFs) -> Result;

    /// Writes what is dirty. `wait`: and waits for it.
    ///
    /// # Errors
    ///
    /// The error says what could not be written.
    fn sync(sb: &SuperBlock<F>, wait: bool) -> Result;

    /// Tells an object from all others, as long as it exists and over mounts: writes at most [`HANDLE_MAX`] bytes
    /// to `room` and gives how many (a multiple of four). `None`: it can't be told. Asked only of a filesystem that was
    /// made with [`Properties::handles`](crate::object::super_block::Properties).
    ///
    /// # Context
    ///
    /// No filesystem may be waited for.
    fn encode_handle(inode: &Inode<F>, room: &mut [u8; HANDLE_MAX]) -> Option<usize>;

    /// Finds what a handle is of that [`encode_handle`](Self::encode_handle) has given. Asked only of a filesystem that was made
    /// with [`OwnHandles::Open`](crate::object::super_block::OwnHandles).
    ///
    /// # Errors
    ///
    /// `ESTALE`: it is of nothing any more. `EINVAL`: it is no handle of ours. `ENOMEM`, …
    ///
    /// # Context
    ///
    /// May sleep; no lock is held.
    fn open_handle(_question: export::Decoding<'_, F>) -> Result<export::Decoded<F>> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// What kind of handle that is (`FILEID_*`).
    const HANDLE_KIND: u8;

    /// Shows the options it was mounted with.
    fn show_options(sb: &SuperBlock<F>, options: &seq::Options<'_>);

    /// Shows what was counted since it was mounted.
    fn show_counters(_sb: &SuperBlock<F>, _counters: &mut seq::CounterLines<'_>) {
        build_error!(VTABLE_DEFAULT_ERROR)
    }
}
