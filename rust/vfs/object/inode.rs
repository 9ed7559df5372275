// SPDX-License-Identifier: GPL-2.0-only

//! Inodes: foreign ones that are looked at, and our own (made in [`inode_cache`](crate::object::inode_cache)),
//! which show what the real inode they stand for has.
//!
//! It is not for waiting for an inode or making one, which is the cache's, nor for its attributes as `stat(2)` gives
//! them ([`stat`](crate::call::stat)).
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)
//!
//! # Examples
//!
//! ```ignore
//! if inode.is_dir() && inode.permits(c, idmap, Rights::SEARCH).is_ok() { /* ... */ }
//! ```

use crate::object::idmap::Idmap;
use crate::object::idmap::Viewed;
use crate::object::pinned::Held;
use crate::object::super_block::RcuSuperBlock;
use crate::object::super_block::SuperBlock;
use crate::object::waited_for::about_to_ask;
use crate::object::Foreign;
use crate::object::Ours;
use crate::object::Owner;
use crate::sys::anon_dev::Dev;
use crate::sys::bindings;
use crate::sys::cred::current_fs_ids;
use crate::sys::cred::Override;
use crate::sys::errno::to_result;
use crate::sys::mode::FileType;
use crate::sys::mode::Mode;
use crate::sys::pause;
use core::marker::PhantomData;
use core::ops::Deref;
use core::ptr::NonNull;
use kernel::prelude::*;
use kernel::sync::aref::AlwaysRefCounted;
use kernel::types::Opaque;

#[cfg(not(target_pointer_width = "64"))]
compile_error!("the size of a file is read as one word: `i_size_read()` is needed on 32 bits");

/// Reads a field of an inode as a whole, as another task may write it meanwhile: that has `i_rwsem` or `i_lock`, we
/// need not.
macro_rules! get {
    ($inode:ident.$field:ident) => {
        (&raw const (*$inode).$field).read_volatile()
    };
}

/// Sets a field of an inode as a whole, as another task may read it meanwhile without a lock.
macro_rules! set {
    ($inode:ident.$field:ident, $value:expr) => {
        (&raw mut (*$inode).$field).write_volatile($value)
    };
}

/// Rights to the contents of an object: the `MAY_*` bits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Rights(u32);

impl Rights {
    /// Read the contents.
    pub const READ: Self = Self(bindings::MAY_READ);
    /// Open: some filesystems check more then.
    pub const OPEN: Self = Self(bindings::MAY_OPEN);
    /// Write the contents.
    pub const WRITE: Self = Self(bindings::MAY_WRITE);
    /// Look up names in a directory.
    pub const SEARCH: Self = Self(bindings::MAY_EXEC);
    /// Append only.
    pub const APPEND: Self = Self(bindings::MAY_APPEND);

    /// Both.
    #[inline]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The access that a path walk asks for, and whether it is forbidden to sleep, because it is one under RCU.
///
/// Only the VFS makes them, and they last for one question: so a check that is asked within another does
/// not sleep where that must not. They know through which mount the question came.
#[derive(Clone, Copy)]
pub struct Access<'a>(u32, Viewed<'a>);

impl<'a> Access<'a> {
    #[inline]
    pub(crate) fn from_raw(mask: i32, viewed: Viewed<'a>) -> Self {
        Self(mask as u32, viewed)
    }

    #[inline]
    fn as_raw(self) -> i32 {
        self.0 as i32
    }

    /// As [`pause::at`]; but a path walk under RCU, which can't be held, is told to come again with references.
    ///
    /// # Errors
    ///
    /// `ECHILD`: it is forbidden to sleep, and the point is armed.
    ///
    /// # Context
    ///
    /// Sleeps, unless that is forbidden.
    #[inline(always)]
    pub fn pause_at(self, name: &'static CStr) -> Result {
        if self.0 & bindings::MAY_NOT_BLOCK == 0 {
            pause::at(name);
        } else if pause::is_armed(name) {
            return Err(ECHILD);
        }
        Ok(())
    }

    /// Whether all of `rights` are asked for.
    #[inline]
    pub fn contains(self, rights: Rights) -> bool {
        self.0 & rights.0 == rights.0
    }

    /// With `rights` as well.
    #[inline]
    pub fn with(self, rights: Rights) -> Self {
        Self(self.0 | rights.0, self.1)
    }

    /// Without `rights`.
    #[inline]
    pub fn without(self, rights: Rights) -> Self {
        Self(self.0 & !rights.0, self.1)
    }
}

/// The part of an inode that may be used under the RCU read lock alone, as in RCU-walk.
///
/// # Invariants
///
/// A reference to one implies that its memory is that of an inode of `F`, either because a count is
/// held on it or because an RCU grace period is awaited before it is freed.
#[repr(transparent)]
pub struct RcuInode<F: Owner>(Opaque<bindings::inode>, PhantomData<F>);

// SAFETY: Inodes are shared by all tasks. What is read and written here is constant, or a word that is
// accessed as a whole, as others may write it meanwhile.
unsafe impl<F: Owner> Send for RcuInode<F> {}

// SAFETY: As above.
unsafe impl<F: Owner> Sync for RcuInode<F> {}

impl<F: Owner> RcuInode<F> {
    /// # Safety
    ///
    /// See the type invariant.
    #[inline]
    pub(crate) unsafe fn from_raw<'a>(ptr: *const bindings::inode) -> &'a Self {
        // SAFETY: By the requirement; the type is transparent over it.
        unsafe { &*ptr.cast() }
    }

    #[inline]
    pub(crate) fn as_ptr(&self) -> *mut bindings::inode {
        self.0.get()
    }

    /// File type and permission bits.
    #[inline]
    pub fn mode(&self) -> Mode {
        // SAFETY: A word that may be read at any time.
        Mode::from_raw(unsafe { (&raw const (*self.as_ptr()).i_mode).read_volatile() })
    }

    /// Whether it is a directory.
    #[inline]
    pub fn is_dir(&self) -> bool {
        self.mode().file_type() == FileType::DIRECTORY
    }

    /// Whether it is a regular file.
    #[inline]
    pub fn is_regular(&self) -> bool {
        self.mode().file_type() == FileType::REGULAR
    }

    /// Whether it is a device, fifo or socket: something whose contents are not in the filesystem.
    #[inline]
    pub fn is_special(&self) -> bool {
        !matches!(
            self.mode().file_type(),
            FileType::REGULAR | FileType::DIRECTORY | FileType::SYMLINK
        )
    }

    /// The inode number.
    #[inline]
    pub fn ino(&self) -> u64 {
        // SAFETY: A word that may be read at any time. (Of ours it is changed: `Inode::set_ino`.)
        unsafe { (&raw const (*self.as_ptr()).i_ino).read_volatile() }
    }

    /// The device number of a device node; 0 otherwise.
    #[inline]
    pub fn rdev(&self) -> Dev {
        // SAFETY: Constant once the inode is set up.
        Dev(unsafe { (*self.as_ptr()).i_rdev })
    }

    /// The size in bytes.
    #[inline]
    pub fn size(&self) -> i64 {
        // SAFETY: On 64-bit machines the size is a word that may be read at any time.
        unsafe { (&raw const (*self.as_ptr()).i_size).read_volatile() }
    }

    /// Bytes that are allocated for it, where its filesystem keeps that in the inode; else 0 (wraps
    /// `i_blocks`).
    #[inline]
    pub fn allocated(&self) -> u64 {
        const UNIT_BYTES: u64 = 512;

        // SAFETY: A word that may be read at any time.
        unsafe { (&raw const (*self.as_ptr()).i_blocks).read_volatile() }.saturating_mul(UNIT_BYTES)
    }

    /// The size of its blocks, in bytes: a power of two (does what `i_blocksize()` does).
    #[inline]
    pub fn block_size(&self) -> u64 {
        // SAFETY: Constant once the inode is set up, but for what a filesystem changes before it has data.
        1 << (unsafe { (&raw const (*self.as_ptr()).i_blkbits).read_volatile() } & 31)
    }

    /// The number of names.
    #[inline]
    pub fn nlink(&self) -> u32 {
        // SAFETY: A word that may be read at any time.
        unsafe { (&raw const (*self.as_ptr()).__bindgen_anon_1.i_nlink).read_volatile() }
    }

    /// The super block it belongs to, as far as it may be used under RCU.
    #[inline]
    pub fn super_block(&self) -> &RcuSuperBlock<F> {
        // SAFETY: `i_sb` is constant; a super block outlives its inodes' grace periods.
        unsafe { RcuSuperBlock::from_raw((*self.as_ptr()).i_sb) }
    }

    /// Whether its mode gives what `access` asks for to owner, group and others alike. Where it has no access control
    /// list either, [`generic_permission`](Self::generic_permission) grants that to whoever asks.
    #[inline]
    pub fn mode_grants_to_all(&self, access: Access<'_>) -> bool {
        let asked = access.0 & (bindings::MAY_READ | bindings::MAY_WRITE | bindings::MAY_EXEC);
        asked * 0o111 & !u32::from(self.mode().as_raw()) == 0
    }

    /// Checks access by mode bits, ACLs and capabilities of the caller (wraps
    /// `generic_permission()`), who came by the mount that the question came through.
    ///
    /// # Errors
    ///
    /// `EACCES`; `ECHILD` if `access` forbids to sleep and that would be needed.
    #[inline]
    pub fn generic_permission(&self, access: Access<'_>) -> Result {
        // SAFETY: The inode and the mapping are valid; the function honours MAY_NOT_BLOCK.
        to_result(unsafe {
            bindings::generic_permission(access.1.as_ptr(), self.as_ptr(), access.as_raw())
        })
    }

    /// Whether names in it are compared without regard to case (does what `sb_has_encoding()` and
    /// `IS_CASEFOLDED()` do).
    #[inline]
    pub fn is_casefolded(&self) -> bool {
        #[cfg(CONFIG_UNICODE)]
        // SAFETY: A word that may be read at any time; the super block is valid and its encoding
        // constant.
        unsafe {
            (&raw const (*self.as_ptr()).i_flags).read_volatile() & bindings::S_CASEFOLD != 0
                && !(*(*self.as_ptr()).i_sb).s_encoding.is_null()
        }
        #[cfg(not(CONFIG_UNICODE))]
        false
    }
}

impl RcuInode<Foreign> {
    /// Checks access as its own filesystem and the LSMs see it, under the credentials in force
    /// (wraps `inode_permission()`).
    ///
    /// # Errors
    ///
    /// `EACCES`, `EPERM`, `EROFS`; `ECHILD` if `access` forbids to sleep and that would be needed.
    #[inline]
    pub fn permission(&self, _c: &Override<'_>, idmap: &Idmap, access: Access<'_>) -> Result {
        about_to_ask(self.super_block());
        // SAFETY: Both are valid; the function honours MAY_NOT_BLOCK.
        to_result(unsafe {
            bindings::inode_permission(idmap.as_ptr(), self.as_ptr(), access.as_raw())
        })
    }

    /// Whether the credentials in force own it, or have the capability to act as if (wraps
    /// `inode_owner_or_capable()`).
    #[inline]
    pub fn owned(&self, _c: &Override<'_>, idmap: &Idmap) -> bool {
        // SAFETY: Both are valid.
        unsafe { bindings::inode_owner_or_capable(idmap.as_ptr(), self.as_ptr()) }
    }

    /// Whether this is a directory that nobody gets through but whom the credentials in force are of, and root: it belongs
    /// to one of the two, and neither group nor others may search it. (An access control list gives to those whom it
    /// names no more than its mask, which the bits of the group are.)
    ///
    /// It is about where the filesystem itself is mounted, as its modes say; not for what else decides there, as a server
    /// or an LSM.
    pub fn is_private(&self, _c: &Override<'_>) -> bool {
        const ROOT: u32 = 0;
        const SEARCHED_BY_OTHERS: u16 = 0o011;

        // SAFETY: A word that may be read at any time.
        let owner = unsafe { (&raw const (*self.as_ptr()).i_uid).read_volatile() }.val;
        let (user, _) = current_fs_ids();
        self.is_dir()
            && (owner == user.val || owner == ROOT)
            && self.mode().as_raw() & SEARCHED_BY_OTHERS == 0
    }

    /// Returns the time at which its data, or the names in it, last changed, as its filesystem has it in memory (wraps
    /// `inode_get_mtime()`): seconds, and nanoseconds beside them.
    pub fn modified(&self) -> (i64, u32) {
        // SAFETY: Words that may be read at any time. While they are written, one may be older than the other.
        unsafe {
            (
                (&raw const (*self.as_ptr()).i_mtime_sec).read_volatile(),
                (&raw const (*self.as_ptr()).i_mtime_nsec).read_volatile(),
            )
        }
    }

    /// Returns the time at which it last changed, be it its data, the names in it or an attribute, as its filesystem has
    /// it in memory (wraps `inode_get_ctime()`): seconds, and nanoseconds beside them. No caller of system calls can set
    /// it.
    #[inline]
    pub fn changed(&self) -> (i64, u32) {
        // SAFETY: Words that may be read at any time. While they are written, one may be older than the other.
        unsafe {
            let inode = self.as_ptr();
            let nanoseconds = (&raw const (*inode).i_ctime_nsec).read_volatile();
            (
                (&raw const (*inode).i_ctime_sec).read_volatile(),
                nanoseconds & !bindings::I_CTIME_QUERIED,
            )
        }
    }

    /// Whether its filesystem keeps it encrypted (`IS_ENCRYPTED()`).
    pub fn is_encrypted(&self) -> bool {
        // SAFETY: A word that may be read at any time.
        unsafe {
            (&raw const (*self.as_ptr()).i_flags).read_volatile() & bindings::S_ENCRYPTED != 0
        }
    }

    /// Whether an overlay of some kind uses it as its upper or work directory.
    pub fn is_in_use_as_upper(&self) -> bool {
        // SAFETY: The state word may be read at any time.
        unsafe {
            (&raw const (*self.as_ptr()).i_state.__state).read_volatile()
                & bindings::I_OVL_INUSE as u32
                != 0
        }
    }

    /// Whether its filesystem, as it is mounted, may have access control lists to be read
    /// (`IS_POSIXACL()`).
    #[inline]
    pub fn may_have_acls(&self) -> bool {
        // SAFETY: A word that may be read at any time.
        unsafe { (*(*self.as_ptr()).i_sb).s_flags & bindings::SB_POSIXACL != 0 }
    }

    /// Whether it has no access control list, as far as its filesystem knows without being asked: none is cached for
    /// it, or the filesystem, as it is mounted, has none (does what `no_acl_inode()` and `IS_POSIXACL()` do).
    #[inline]
    pub fn is_known_to_have_no_acl(&self) -> bool {
        // SAFETY: A word that may be read at any time; it is compared, and not followed.
        unsafe {
            (&raw const (*self.as_ptr()).i_acl)
                .read_volatile()
                .is_null()
                || !self.may_have_acls()
        }
    }

    /// Whether its filesystem has extended attributes at all.
    pub fn has_xattrs(&self) -> bool {
        // SAFETY: The super block is as valid as the inode; the word is constant once it is mounted.
        unsafe { !(*(*self.as_ptr()).i_sb).s_xattr.is_null() }
    }

    /// Whether its filesystem, as it is mounted, has access control lists that can be set.
    pub fn has_acls(&self) -> bool {
        // SAFETY: Words that may be read at any time; operations are constant.
        unsafe {
            (*(*self.as_ptr()).i_sb).s_flags & bindings::SB_POSIXACL != 0
                && (*(*self.as_ptr()).i_op).set_acl.is_some()
        }
    }
}

/// An inode on which somebody holds a count.
///
/// # Invariants
///
/// The same holds as for [`RcuInode`], and a count is held.
#[repr(transparent)]
pub struct Inode<F: Owner>(RcuInode<F>);

impl<F: Owner> Deref for Inode<F> {
    type Target = RcuInode<F>;

    #[inline]
    fn deref(&self) -> &RcuInode<F> {
        &self.0
    }
}

// SAFETY: `ihold`/`iput` count the references of an inode.
unsafe impl<F: Owner> AlwaysRefCounted for Inode<F> {
    #[inline]
    fn inc_ref(&self) {
        // SAFETY: The existence of a shared reference means that the count is not zero.
        unsafe { bindings::ihold(self.as_ptr()) };
    }

    #[inline]
    unsafe fn dec_ref(obj: NonNull<Self>) {
        // SAFETY: The caller owns the reference that is given back.
        unsafe { bindings::iput(obj.cast().as_ptr()) };
    }
}

impl<F: Owner> Inode<F> {
    /// # Safety
    ///
    /// See the type invariant.
    #[inline]
    pub(crate) unsafe fn from_raw<'a>(ptr: *const bindings::inode) -> &'a Self {
        // SAFETY: By the requirement; the type is transparent over it.
        unsafe { &*ptr.cast() }
    }
}

impl<F: Owner> Inode<F> {
    /// The super block it belongs to.
    #[inline]
    pub fn super_block(&self) -> &SuperBlock<F> {
        // SAFETY: `i_sb` is constant; whoever counts an inode keeps its super block.
        unsafe { SuperBlock::from_raw((*self.as_ptr()).i_sb) }
    }
}

impl RcuInode<Foreign> {
    /// Whether it has a `->readlink` of its own, so that its `->get_link` is not for us.
    pub(crate) fn is_magic_link(&self) -> bool {
        let ptr = self.as_ptr();
        // SAFETY: The inode is valid; its operations and its super block are constant.
        let (readlink, magic) = unsafe { ((*(*ptr).i_op).readlink, (*(*ptr).i_sb).s_magic) };
        // AFS has one for its mount points, which are directories, and gives it to its links as well; those
        // are followed by their text.
        readlink.is_some() && magic != bindings::AFS_FS_MAGIC as _
    }
}

impl Inode<Foreign> {
    /// Checks rights as its own filesystem and the LSMs see them, under the credentials in force (wraps
    /// `inode_permission()`).
    ///
    /// # Errors
    ///
    /// `EACCES`, `EPERM`, `EROFS`; `EIO` and the like.
    ///
    /// # Context
    ///
    /// May sleep.
    #[inline]
    pub fn permits(&self, _c: &Override<'_>, idmap: &Idmap, rights: Rights) -> Result {
        about_to_ask(self.super_block());
        // SAFETY: Both are valid.
        to_result(unsafe {
            bindings::inode_permission(idmap.as_ptr(), self.as_ptr(), rights.0 as i32)
        })
    }
}

impl<F: Ours> Inode<F> {
    /// Shows what the real inode shows now: mode, owner, times and size.
    ///
    /// All of it is read under `i_lock` of our inode: of two tasks that do this at once (a change of the owner under
    /// `i_rwsem`, and the end of an asynchronous write, which does not hold that) the later reads what the earlier has
    /// read, or what came after that.
    pub fn refresh(&self, real: &RcuInode<Foreign>, idmap: &Idmap) {
        let (to, from) = (self.as_ptr(), real.as_ptr());
        pause::at(c"refreshing");
        let _guard = self.spin_lock();
        // SAFETY: Both inodes are valid; ours is changed under its spin lock.
        unsafe {
            ((*to).i_uid, (*to).i_gid) = idmap.owner_of(real);
            copy_attributes(to, from);
        }
    }

    /// Holds `i_lock` until the guard is dropped.
    fn spin_lock(&self) -> SpinGuard<'_, F> {
        // SAFETY: The inode is valid.
        unsafe { bindings::spin_lock(&raw mut (*self.as_ptr()).i_lock) };
        SpinGuard(self)
    }

    /// Whether it shows any of the flags that go along with the object (sync, append-only, …).
    pub fn has_copied_flags(&self) -> bool {
        // SAFETY: A word that may be read at any time.
        unsafe { (&raw const (*self.as_ptr()).i_flags).read_volatile() & COPIED_FLAGS != 0 }
    }

    /// Whether changing its permissions as the current task, which is asked about the group that it sees, takes
    /// the set-group-ID bit away.
    pub fn loses_set_group_id(&self, viewed: Viewed<'_>) -> bool {
        // SAFETY: The inode and the mapping are valid.
        unsafe { bindings::vfs_helper_inode_loses_sgid(viewed.as_ptr(), self.as_ptr()) }
    }

    /// Shows the access time of the real inode.
    pub fn refresh_access_time(&self, real: &RcuInode<Foreign>) {
        let (to, from) = (self.as_ptr(), real.as_ptr());
        // SAFETY: Both inodes are valid. What is compared without the lock decides only whether to look again with
        // it.
        let same = unsafe {
            get!(to.i_atime_sec) == get!(from.i_atime_sec)
                && get!(to.i_atime_nsec) == get!(from.i_atime_nsec)
        };
        if same {
            return;
        }
        let _guard = self.spin_lock();
        // SAFETY: As above; ours is changed under its spin lock.
        unsafe {
            set!(to.i_atime_sec, get!(from.i_atime_sec));
            set!(to.i_atime_nsec, get!(from.i_atime_nsec));
        }
    }

    /// Shows the times of the last changes of the real inode.
    #[inline]
    pub fn refresh_change_times(&self, real: &RcuInode<Foreign>) {
        let (to, from) = (self.as_ptr(), real.as_ptr());
        // SAFETY: Both inodes are valid. What is compared without the lock decides only whether to look again with
        // it.
        let same = unsafe {
            get!(to.i_mtime_sec) == get!(from.i_mtime_sec)
                && get!(to.i_mtime_nsec) == get!(from.i_mtime_nsec)
                && get!(to.i_ctime_sec) == get!(from.i_ctime_sec)
                && get!(to.i_ctime_nsec) == get!(from.i_ctime_nsec) & !bindings::I_CTIME_QUERIED
        };
        if !same {
            self.copy_change_times(real);
        }
    }

    #[cold]
    fn copy_change_times(&self, real: &RcuInode<Foreign>) {
        let (to, from) = (self.as_ptr(), real.as_ptr());
        let _guard = self.spin_lock();
        // SAFETY: Both inodes are valid; ours is changed under its spin lock.
        unsafe {
            set!(to.i_mtime_sec, get!(from.i_mtime_sec));
            set!(to.i_mtime_nsec, get!(from.i_mtime_nsec));
            set!(to.i_ctime_sec, get!(from.i_ctime_sec));
            set!(
                to.i_ctime_nsec,
                get!(from.i_ctime_nsec) & !bindings::I_CTIME_QUERIED
            );
        }
    }

    /// The private data, with the right to use what it pins.
    #[inline]
    pub fn held(&self) -> Held<'_, F::InodeData> {
        // SAFETY: By the type invariant a count is held while `self` is borrowed.
        unsafe { Held::new(self.data()) }
    }
}

/// `i_lock` of an inode is held.
struct SpinGuard<'a, F: Owner>(&'a Inode<F>);

impl<F: Owner> Drop for SpinGuard<'_, F> {
    fn drop(&mut self) {
        // SAFETY: It was taken when the guard was made.
        unsafe { bindings::spin_unlock(&raw mut (*self.0.as_ptr()).i_lock) };
    }
}

/// Flags of a real inode that ours shows as well.
pub(crate) const COPIED_FLAGS: u32 =
    bindings::S_SYNC | bindings::S_NOATIME | bindings::S_APPEND | bindings::S_IMMUTABLE;

/// Protection that is kept beside the flags of the real inode.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Protection {
    /// Only appending is allowed.
    pub append: bool,
    /// Nothing is allowed.
    pub immutable: bool,
}

impl Protection {
    pub(crate) fn flags(self) -> u32 {
        let append = if self.append { bindings::S_APPEND } else { 0 };
        let immutable = if self.immutable {
            bindings::S_IMMUTABLE
        } else {
            0
        };
        append | immutable
    }
}

/// Copies what changes of an inode but its owner. The type does not change: the operations go with it.
///
/// # Safety
///
/// Both must be valid, and nobody else may write to `to`.
pub(crate) unsafe fn copy_attributes(to: *mut bindings::inode, from: *mut bindings::inode) {
    // SAFETY: By the requirement. Attributes are words that may be read at any time, so also those of `to`
    // while they are written.
    unsafe {
        let bits = Mode::from_raw(get!(from.i_mode)).permissions();
        let mode = Mode::from_raw(get!(to.i_mode)).with_permissions(bits);
        set!(to.i_mode, mode.as_raw());
        set!(to.i_atime_sec, get!(from.i_atime_sec));
        set!(to.i_mtime_sec, get!(from.i_mtime_sec));
        set!(to.i_ctime_sec, get!(from.i_ctime_sec));
        set!(to.i_atime_nsec, get!(from.i_atime_nsec));
        set!(to.i_mtime_nsec, get!(from.i_mtime_nsec));
        // The highest bit of the nanoseconds is the real filesystem's own: that they were asked for.
        let ctime_nsec = get!(from.i_ctime_nsec) & !bindings::I_CTIME_QUERIED;
        set!(to.i_ctime_nsec, ctime_nsec);
        set!(to.i_size, get!(from.i_size));
    }
}
