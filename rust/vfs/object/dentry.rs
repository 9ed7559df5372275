// SPDX-License-Identifier: GPL-2.0-only

//! Names in directories: dentries, and looking one up below.
//!
//! It is not for names that an operation is about ([`named`](crate::object::named)), nor for changing a directory
//! ([`dir_op`](crate::guard::dir_op)).
//!
//! C header: [`include/linux/dcache.h`](srctree/include/linux/dcache.h)
//!
//! # Examples
//!
//! ```ignore
//! if let Some(child) = dir.lookup(c, mount, name)? {
//!     // `child` is positive, and stays so as long as it is counted.
//! }
//! ```

use crate::object::inode::Inode;
use crate::object::mount::Mount;
use crate::object::super_block::SuperBlock;
use crate::object::waited_for::about_to_ask;
use crate::object::Foreign;
use crate::object::Ours;
use crate::object::Owner;
use crate::sys::bindings;
use crate::sys::cred::Override;
use crate::sys::errno::from_err_ptr;
use crate::sys::errno::ENAMETOOLONG;
use crate::sys::log::write_escaped;
use core::marker::PhantomData;
use core::ops::Deref;
use core::ptr::NonNull;
use core::sync::atomic::AtomicPtr;
use core::sync::atomic::AtomicU32;
use core::sync::atomic::AtomicUsize;
use core::sync::atomic::Ordering;
use kernel::fmt;
use kernel::prelude::*;
use kernel::sync::aref::ARef;
use kernel::sync::aref::AlwaysRefCounted;
use kernel::types::Opaque;

/// A dentry: positive (there is an inode) or negative (it is known that there is none).
///
/// # Invariants
///
/// A reference to one implies that somebody holds a count on it, and that its super block is active. (In
/// RCU-walk this crate hands out no dentries, only inodes: [`RcuInode`](crate::RcuInode).)
///
/// A count does not keep the super block: what does is a mount. Who has a dentry of ours is inside an
/// operation of the VFS, which holds one. A dentry of a layer comes from a mount, and goes before it: what
/// a super block of ours keeps (its data, the pins of its inodes, open files) is given back before its
/// private mounts are (see [`SuperData`](crate::object::super_block::SuperData)), and a
/// [`Path`](crate::Path) holds both. A counted reference must not be put where it outlives all of these,
/// in a `static` or a work item: the types don't rule that out, the VFS reports it ("Dentry still in use")
/// when the layer is unmounted.
#[repr(transparent)]
pub struct Dentry<F: Owner>(Opaque<bindings::dentry>, PhantomData<F>);

// SAFETY: The dentry cache does its own locking; what is read here is constant or read atomically.
unsafe impl<F: Owner> Send for Dentry<F> {}

// SAFETY: As above.
unsafe impl<F: Owner> Sync for Dentry<F> {}

// SAFETY: `dget`/`dput` count the references of a dentry.
unsafe impl<F: Owner> AlwaysRefCounted for Dentry<F> {
    #[inline]
    fn inc_ref(&self) {
        // SAFETY: The existence of a shared reference means that the count is not zero.
        unsafe { bindings::lockref_get(&raw mut (*self.as_ptr()).d_lockref) };
    }

    #[inline]
    unsafe fn dec_ref(obj: NonNull<Self>) {
        // SAFETY: The caller owns the reference that is given back.
        unsafe { bindings::dput(obj.cast().as_ptr()) };
    }
}

/// The kind of object that a positive dentry names, from the bits that the dentry cache keeps of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A directory in which names can be looked up.
    Directory,
    /// A regular file.
    Regular,
    /// A symbolic link.
    Symlink,
    /// A device, fifo or socket.
    Special,
    /// Anything a stack can't stand on: an autofs point, a directory without lookup.
    Other,
}

impl<F: Owner> Dentry<F> {
    /// Wraps a pointer to a dentry.
    ///
    /// # Safety
    ///
    /// `ptr` must be a dentry of `F` on which a count is held for as long as `'a`.
    #[inline]
    pub(crate) unsafe fn from_raw<'a>(ptr: *const bindings::dentry) -> &'a Self {
        // SAFETY: By the requirement; the type is transparent over it.
        unsafe { &*ptr.cast() }
    }

    #[inline]
    pub(crate) fn as_ptr(&self) -> *mut bindings::dentry {
        self.0.get()
    }

    #[inline]
    pub(crate) fn flags(&self) -> u32 {
        // SAFETY: The flags word may be read at any time; other tasks change it under `d_lock`.
        unsafe { AtomicU32::from_ptr(&raw mut (*self.as_ptr()).d_flags).load(Ordering::Acquire) }
    }

    #[inline]
    fn inode_ptr(&self) -> *mut bindings::inode {
        // SAFETY: The pointer may be read at any time.
        unsafe { AtomicPtr::from_ptr(&raw mut (*self.as_ptr()).d_inode).load(Ordering::Acquire) }
    }

    /// The same dentry, if it is positive now.
    ///
    /// A dentry somebody holds a count on does not become negative, so it stays positive as long as
    /// it is borrowed.
    #[inline]
    pub fn positive(&self) -> Option<&Positive<F>> {
        if self.inode_ptr().is_null() {
            None
        } else {
            // SAFETY: By the type invariant it is counted, and it has an inode.
            Some(unsafe { Positive::from_raw(self.as_ptr()) })
        }
    }

    /// The super block it belongs to.
    #[inline]
    pub fn super_block(&self) -> &SuperBlock<F> {
        // SAFETY: `d_sb` is constant, and by the type invariant the super block is active.
        unsafe { SuperBlock::from_raw((*self.as_ptr()).d_sb) }
    }

    /// The parent, held (wraps `dget_parent()`). A root is its own parent.
    ///
    /// # Context
    ///
    /// May not sleep, but takes and gives back references.
    pub fn parent(&self) -> ARef<Positive<F>> {
        // SAFETY: The dentry is valid; a parent is positive and comes with a reference for us.
        unsafe {
            ARef::from_raw(NonNull::new_unchecked(bindings::dget_parent(self.as_ptr())).cast())
        }
    }

    /// Whether this is the root of its super block or not connected to it.
    pub fn is_root(&self) -> bool {
        // SAFETY: Reading one pointer of a valid dentry.
        unsafe { core::ptr::eq((*self.as_ptr()).d_parent, self.as_ptr()) }
    }

    /// The length of the name in bytes. Names change by rename only.
    #[inline]
    pub(crate) fn name_len(&self) -> usize {
        // SAFETY: The length may be read at any time.
        unsafe {
            (*self.as_ptr())
                .__bindgen_anon_1
                .d_name
                .__bindgen_anon_1
                .__bindgen_anon_1
                .len as usize
        }
    }

    /// Whether lookups through it must ask its filesystem if it is still true.
    #[inline]
    pub fn needs_revalidation(&self) -> bool {
        let flags = self.flags();
        flags & REVALIDATION != 0 && !self.is_asked_for_a_key_alone(flags)
    }

    /// Whether it would only be asked if the key to an encrypted name came meanwhile (`fscrypt_d_revalidate()`), and was not
    /// looked up without a key. That is so of the root of each filesystem that can encrypt (ext4, f2fs): of other dentries
    /// a lookup takes the flag away.
    #[cold]
    fn is_asked_for_a_key_alone(&self, flags: u32) -> bool {
        const LOOKUP: u32 = bindings::dentry_flags_DCACHE_OP_REVALIDATE;
        const FLAGS: u32 = REVALIDATION | bindings::dentry_flags_DCACHE_NOKEY_NAME;

        #[cfg(CONFIG_FS_ENCRYPTION)]
        if flags & FLAGS == LOOKUP {
            // SAFETY: Where there is a flag for an operation, there are operations, which are constant.
            let question = unsafe { (*(*self.as_ptr()).d_op).d_revalidate };
            return question
                .is_some_and(|ask| ask as usize == bindings::fscrypt_d_revalidate as usize);
        }
        false
    }

    /// Whether it stands on a real dentry of another filesystem, as ours do.
    #[inline]
    pub fn is_stacked(&self) -> bool {
        self.flags() & bindings::dentry_flags_DCACHE_OP_REAL != 0
    }

    /// Whether it is without a name in its parent: removed, or never in.
    #[inline]
    pub fn is_unhashed(&self) -> bool {
        // SAFETY: Reading one pointer of a valid dentry.
        unsafe { (*self.as_ptr()).d_hash.pprev.is_null() }
    }
}

/// The two flags with which a dentry asks to be revalidated.
pub(crate) const REVALIDATION: u32 =
    bindings::dentry_flags_DCACHE_OP_REVALIDATE | bindings::dentry_flags_DCACHE_OP_WEAK_REVALIDATE;

/// Names are shown for messages only: the last component, escaped.
impl<F: Owner> fmt::Display for Dentry<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with_name(|name| write_escaped(f, name))
    }
}

/// A dentry that has an inode.
///
/// # Invariants
///
/// Somebody holds a count on it, and it is positive. (So it remains: only a dentry that nobody
/// holds is turned negative.)
#[repr(transparent)]
pub struct Positive<F: Owner>(Dentry<F>);

impl<F: Owner> Deref for Positive<F> {
    type Target = Dentry<F>;

    #[inline]
    fn deref(&self) -> &Dentry<F> {
        &self.0
    }
}

// SAFETY: It is a dentry, see there.
unsafe impl<F: Owner> AlwaysRefCounted for Positive<F> {
    #[inline]
    fn inc_ref(&self) {
        self.0.inc_ref();
    }

    #[inline]
    unsafe fn dec_ref(obj: NonNull<Self>) {
        // SAFETY: The caller owns the reference; the types have one layout.
        unsafe { Dentry::<F>::dec_ref(obj.cast()) };
    }
}

impl<F: Owner> Positive<F> {
    /// Wraps a pointer to a positive dentry.
    ///
    /// # Safety
    ///
    /// The same holds as for [`Dentry::from_raw`], and it must be positive and counted as long as `'a`.
    #[inline]
    pub(crate) unsafe fn from_raw<'a>(ptr: *const bindings::dentry) -> &'a Self {
        // SAFETY: By the requirement; the type is transparent over it.
        unsafe { &*ptr.cast() }
    }

    /// Its inode.
    #[inline]
    pub fn inode(&self) -> &Inode<F> {
        // SAFETY: By the type invariant there is one, and a positive dentry keeps it.
        unsafe { Inode::from_raw((*self.as_ptr()).d_inode) }
    }

    /// The kind of object that it names.
    #[inline]
    pub fn kind(&self) -> Kind {
        match self.flags() & bindings::dentry_flags_DCACHE_ENTRY_TYPE {
            bindings::dentry_flags_DCACHE_DIRECTORY_TYPE => Kind::Directory,
            bindings::dentry_flags_DCACHE_REGULAR_TYPE => Kind::Regular,
            bindings::dentry_flags_DCACHE_SYMLINK_TYPE => Kind::Symlink,
            bindings::dentry_flags_DCACHE_SPECIAL_TYPE => Kind::Special,
            _ => Kind::Other,
        }
    }

    /// Whether names can be looked up in it.
    #[inline]
    pub fn is_dir(&self) -> bool {
        self.kind() == Kind::Directory
    }

    /// Checks that names can be looked up in it: that `->lookup()` is there, which the functions of the
    /// VFS that look up one name call without asking.
    ///
    /// # Errors
    ///
    /// `ENOTDIR`: they can't.
    #[inline]
    pub(crate) fn check_is_dir(&self) -> Result {
        if self.is_dir() {
            Ok(())
        } else {
            Err(ENOTDIR)
        }
    }

    /// Whether it is a regular file.
    #[inline]
    pub fn is_regular(&self) -> bool {
        self.kind() == Kind::Regular
    }
}

impl Positive<Foreign> {
    /// Why a stack can't stand on this object, if it can't.
    pub fn unsuitable(&self) -> Option<&'static str> {
        const MOVING: u32 = bindings::dentry_flags_DCACHE_NEED_AUTOMOUNT
            | bindings::dentry_flags_DCACHE_MANAGE_TRANSIT;
        const OWN_NAMES: u32 =
            bindings::dentry_flags_DCACHE_OP_HASH | bindings::dentry_flags_DCACHE_OP_COMPARE;

        if self.kind() == Kind::Other {
            return Some("it is an automount point or not a complete directory");
        }
        let flags = self.flags();
        if flags & MOVING != 0 {
            return Some("something is mounted on it by demand");
        }
        if flags & OWN_NAMES != 0 && !self.super_block().has_encoding() {
            return Some("its filesystem compares names in a way of its own");
        }
        None
    }

    /// Looks up `name` in this directory (wraps `lookup_one_unlocked()`); a name that is not there
    /// is `None`, not an error.
    ///
    /// # Errors
    ///
    /// `EACCES`: the credentials in force may not search the directory. `ENOTDIR`: it is none. `ENAMETOOLONG`.
    /// `EIO` and whatever else the filesystem gives.
    ///
    /// # Context
    ///
    /// May sleep; takes this directory's lock, shared, when the name is not cached.
    #[inline]
    pub fn lookup(
        &self,
        c: &Override<'_>,
        mount: &Mount,
        name: &[u8],
    ) -> Result<Option<ARef<Positive<Foreign>>>> {
        Ok(into_positive(self.lookup_any(c, mount, name)?))
    }

    /// As [`Positive::lookup`] (wraps `lookup_one_positive_killable()`), for what can be given up.
    ///
    /// # Errors
    ///
    /// The errors are those of [`Positive::lookup`]; `EINTR`: the task is being killed. A directory that was
    /// removed has no
    /// names.
    ///
    /// # Context
    ///
    /// The context is that of [`Positive::lookup`].
    #[inline]
    pub fn lookup_killable(
        &self,
        _c: &Override<'_>,
        mount: &Mount,
        name: &[u8],
    ) -> Result<Option<ARef<Positive<Foreign>>>> {
        self.check_is_dir()?;
        about_to_ask(self.super_block());
        let mut qstr = qstr(name);
        // SAFETY: As in `lookup_any`.
        let found = from_err_ptr(unsafe {
            bindings::lookup_one_positive_killable(mount.idmap().as_ptr(), &mut qstr, self.as_ptr())
        });
        match found {
            // SAFETY: On success it is a positive dentry with a reference for us.
            Ok(found) => Ok(Some(unsafe {
                ARef::from_raw(NonNull::new_unchecked(found).cast())
            })),
            Err(e) if e == ENOENT => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// As [`Positive::lookup`]; but that the name is not there is not cached below, if nobody else uses it
    /// there: whoever asks caches the answer.
    ///
    /// # Errors
    ///
    /// The errors are those of [`Positive::lookup`].
    ///
    /// # Context
    ///
    /// The context is that of [`Positive::lookup`].
    #[inline]
    pub fn lookup_once(
        &self,
        c: &Override<'_>,
        mount: &Mount,
        name: &[u8],
    ) -> Result<Option<ARef<Positive<Foreign>>>> {
        let found = self.lookup_any(c, mount, name)?;
        if found.positive().is_none() {
            // SAFETY: The dentry is counted.
            unsafe { bindings::vfs_helper_drop_unused_negative(found.as_ptr()) };
        }
        Ok(into_positive(found))
    }

    /// As [`Positive::lookup`]; a name that is not there is a negative dentry.
    ///
    /// # Errors
    ///
    /// The errors are those of [`Positive::lookup`].
    ///
    /// # Context
    ///
    /// The context is that of [`Positive::lookup`].
    #[inline]
    pub fn lookup_any(
        &self,
        _c: &Override<'_>,
        mount: &Mount,
        name: &[u8],
    ) -> Result<ARef<Dentry<Foreign>>> {
        self.check_is_dir()?;
        let mut qstr = qstr(name);
        about_to_ask(self.super_block());
        // SAFETY: `qstr` points to `name` for the time of the call, the directory is valid and has a
        // lookup operation, and the mapping belongs to a mount that is borrowed.
        let found = from_err_ptr(unsafe {
            bindings::lookup_one_unlocked(mount.idmap().as_ptr(), &mut qstr, self.as_ptr())
        })?;
        // SAFETY: On success it is a dentry with a reference for us.
        Ok(unsafe { ARef::from_raw(NonNull::new_unchecked(found).cast()) })
    }
}

impl<F: Ours> Positive<F> {
    /// The child of that name, which is looked up if it is not cached (wraps `lookup_noperm_unlocked()`): for who holds no
    /// lock of the filesystem, as a type must show.
    pub(crate) fn child(&self, name: &[u8]) -> Result<Option<ARef<Self>>> {
        self.check_is_dir()?;
        let mut qstr = qstr(name);
        // SAFETY: `qstr` points to `name` for the time of the call; the directory is counted, and has `->lookup()`.
        let found = unsafe { bindings::lookup_noperm_unlocked(&mut qstr, self.as_ptr()) };
        let found = NonNull::new(from_err_ptr(found)?).ok_or(ENOENT)?;
        // SAFETY: It comes with a reference for us, and is a dentry of the directory's filesystem.
        Ok(into_positive(unsafe { ARef::from_raw(found.cast()) }))
    }

    /// Any name of an inode, made if it has none: not of a directory, whose place in the tree this would not find (wraps
    /// `d_obtain_alias()`).
    ///
    /// # Errors
    ///
    /// `EISDIR`; `ENOMEM`.
    pub(crate) fn alias_of(inode: ARef<Inode<F>>) -> Result<ARef<Dentry<F>>> {
        if inode.is_dir() {
            return Err(EISDIR);
        }
        // SAFETY: The reference is given away, also if this fails; what comes is a dentry of the inode's filesystem with a
        // reference for us.
        unsafe {
            let found = bindings::d_obtain_alias(ARef::into_raw(inode).cast().as_ptr());
            let found = NonNull::new(from_err_ptr(found)?).ok_or(ENOMEM)?;
            Ok(ARef::from_raw(found.cast()))
        }
    }
}

/// Turns a counted dentry into a counted positive one, or drops it.
#[inline]
pub(crate) fn into_positive<F: Owner>(dentry: ARef<Dentry<F>>) -> Option<ARef<Positive<F>>> {
    if dentry.positive().is_some() {
        // SAFETY: It is positive and counted; the types have one layout.
        Some(unsafe { ARef::from_raw(ARef::into_raw(dentry).cast()) })
    } else {
        None
    }
}

/// A name for a lookup; its hash is computed by the callee.
#[inline]
pub(crate) fn qstr(name: &[u8]) -> bindings::qstr {
    let mut q = bindings::qstr::default();
    q.name = name.as_ptr();
    q.__bindgen_anon_1.__bindgen_anon_1.len = name.len() as u32;
    q
}

/// The word of a dentry ([`Dentry::word`]).
///
/// # Safety
///
/// The dentry is of a filesystem of ours, and its memory stays for `'a`.
#[inline]
pub(crate) unsafe fn word_of<'a>(dentry: *mut bindings::dentry) -> &'a AtomicUsize {
    // SAFETY: The field is ours as long as the dentry is; it is used in no other way.
    unsafe { AtomicUsize::from_ptr((&raw mut (*dentry).d_fsdata).cast()) }
}

impl<F: Ours> Dentry<F> {
    /// A word of the filesystem's own that a dentry of it carries, 0 in a new one (`d_fsdata`).
    #[inline]
    pub fn word(&self) -> &AtomicUsize {
        // SAFETY: The dentry is of our filesystem, and there as long as the reference.
        unsafe { word_of(self.as_ptr()) }
    }

    /// The hash of the name, and of the directory it is in (`d_name.hash`): the same for all dentries of one name.
    #[inline]
    pub fn name_hash(&self) -> u32 {
        // SAFETY: A word that may be read at any time.
        unsafe {
            (&raw const (*self.as_ptr())
                .__bindgen_anon_1
                .d_name
                .__bindgen_anon_1
                .__bindgen_anon_1
                .hash)
                .read_volatile()
        }
    }

    /// Checks that it can name `inode`: that both are of one super block.
    #[inline]
    pub(crate) fn check_owner(&self, inode: &Inode<F>) -> Result {
        // SAFETY: Both are valid, and both fields constant.
        if unsafe { (*self.as_ptr()).d_sb != (*inode.as_ptr()).i_sb } {
            return Err(EIO);
        }
        Ok(())
    }

    /// Takes the dentry out of the cache of names: the next lookup asks the filesystem (wraps
    /// `d_drop()`).
    pub fn forget(&self) {
        // SAFETY: The dentry is valid.
        unsafe { bindings::d_drop(self.as_ptr()) };
    }

    /// The name. It changes by rename only, which takes the lock of the parent.
    ///
    /// # Safety
    ///
    /// The lock of the parent must be held, or the name be kept from changing otherwise, for `'a`.
    #[inline]
    pub(crate) unsafe fn stable_name<'a>(&self) -> &'a [u8] {
        // SAFETY: By the requirement.
        unsafe {
            let name = (*self.as_ptr()).__bindgen_anon_1.d_name.name;
            core::slice::from_raw_parts(name, self.name_len())
        }
    }

    /// The dentry of a name in this directory, if there is one in the cache; nobody is asked whether it
    /// is still true (wraps `try_lookup_noperm()`).
    ///
    /// # Context
    ///
    /// Does not sleep.
    pub fn cached_child(&self, name: &[u8]) -> Option<ARef<Dentry<F>>> {
        let mut qstr = qstr(name);
        // SAFETY: `qstr` points to `name` for the time of the call, and this dentry is counted.
        let found = unsafe { bindings::try_lookup_noperm(&mut qstr, self.as_ptr()) };
        let found = NonNull::new(from_err_ptr(found).ok()?)?;
        // SAFETY: It comes with a reference for us.
        Some(unsafe { ARef::from_raw(found.cast()) })
    }

    /// Whether nothing ties it to the root: it was made for an object that was found without its name
    /// (`DCACHE_DISCONNECTED`).
    #[inline]
    pub fn is_disconnected(&self) -> bool {
        self.flags() & bindings::dentry_flags_DCACHE_DISCONNECTED != 0 && self.is_root()
    }

    /// Asks the VFS to revalidate lookups through any name that `inode` has now.
    pub fn set_names_need_revalidation(inode: &Inode<F>) {
        // SAFETY: The inode is valid; the flags are changed under the lock of each dentry.
        unsafe { bindings::vfs_helper_set_flags_of_names(inode.as_ptr(), REVALIDATION) };
    }

    /// Has lookups through the names of an inode revalidated; in a directory the names that are not there are looked up
    /// anew, too.
    ///
    /// # Context
    ///
    /// Any; does not sleep. Takes `i_lock` of the inode and the lock of each dentry.
    pub fn doubt_names(inode: &Inode<F>) {
        // SAFETY: The inode is valid; the flags are changed under the lock of each dentry.
        unsafe { bindings::vfs_helper_doubt_names(inode.as_ptr(), REVALIDATION) };
    }

    /// Returns whether it is the root of its super block.
    pub fn is_root_of_super_block(&self) -> bool {
        core::ptr::eq(self.as_ptr(), self.super_block().root().as_ptr())
    }

    /// Asks the VFS to revalidate lookups through this dentry.
    pub fn set_needs_revalidation(&self) {
        self.change_flags(|flags| flags | REVALIDATION);
    }

    /// Asks the VFS not to revalidate lookups through this dentry any more. (Who wants that again meanwhile asks for it
    /// after this.)
    pub fn clear_needs_revalidation(&self) {
        self.change_flags(|flags| flags & !REVALIDATION);
    }

    fn change_flags(&self, change: impl FnOnce(u32) -> u32) {
        // SAFETY: The dentry is valid; its flags are changed under its lock.
        unsafe {
            let lockref = &raw mut (*self.as_ptr()).d_lockref.__bindgen_anon_1;
            let lock = &raw mut (*lockref).__bindgen_anon_1.lock;
            bindings::spin_lock(lock);
            (*self.as_ptr()).d_flags = change((*self.as_ptr()).d_flags);
            bindings::spin_unlock(lock);
        }
    }
}

impl<F: Owner> Dentry<F> {
    /// Shows `f` the name as it is now (wraps `take_dentry_name_snapshot()`); a rename in another task may change it
    /// meanwhile, as no lock is held while `f` runs.
    pub fn with_name<R>(&self, f: impl FnOnce(&[u8]) -> R) -> R {
        let mut snapshot = core::mem::MaybeUninit::<bindings::name_snapshot>::uninit();
        // SAFETY: The dentry is valid. The snapshot stays where it is and keeps the name until it
        // is released; a panic in `f` does not come back here.
        unsafe {
            bindings::take_dentry_name_snapshot(snapshot.as_mut_ptr(), self.as_ptr());
            let name = &(*snapshot.as_ptr()).name;
            let len = name.__bindgen_anon_1.__bindgen_anon_1.len as usize;
            let result = f(core::slice::from_raw_parts(name.name, len));
            bindings::release_dentry_name_snapshot(snapshot.as_mut_ptr());
            result
        }
    }

    /// A copy of the name, as it is now.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn name_copy(&self) -> Result<KVec<u8>> {
        self.with_name(|name| {
            let mut copy = KVec::new();
            copy.extend_from_slice(name, GFP_KERNEL)?;
            Ok(copy)
        })
    }

    /// Writes the path to it from the root of its super block, as its names are now, to the end of `buf`, and returns that
    /// (wraps `dentry_path_raw()`). Of what was removed it is where it was.
    ///
    /// # Errors
    ///
    /// `ENAMETOOLONG`: there is no room for it.
    ///
    /// # Context
    ///
    /// Does not sleep.
    pub fn path_in<'a>(&self, buf: &'a mut [u8]) -> Result<&'a [u8]> {
        let len = i32::try_from(buf.len()).map_err(|_| EINVAL)?;
        // SAFETY: The dentry is valid and the buffer is as long as said.
        let path = from_err_ptr(unsafe {
            bindings::dentry_path_raw(self.as_ptr(), buf.as_mut_ptr().cast(), len)
        })?;
        // It ends with a NUL, the last byte of the buffer.
        let at = (path as usize).saturating_sub(buf.as_ptr() as usize);
        buf.get(at..buf.len().saturating_sub(1)).ok_or(ENAMETOOLONG)
    }
}
