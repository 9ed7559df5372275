// SPDX-License-Identifier: GPL-2.0-only

//! The inode cache: how inodes of our own come to be, are found again, and go.
//!
//! They are allocated together with their data from one slab cache, and found again in the inode
//! cache by the address of the real inode they stand for. Their life: [`NewInode`] (nobody else sees it),
//! then [`Inode`] (counted) or [`RcuInode`] (in RCU-walk), then evicted: the pins of the data are
//! released, and after a grace period the data is dropped and the memory freed.
//!
//! It is not for inodes of filesystems below, which are had by their names or handles.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)
//!
//! # Examples
//!
//! ```ignore
//! match sb.get_or_new(real.inode().key())? {
//!     Cached::Found(inode) => Ok(inode),
//!     Cached::New(new) => new.init(ino, protection, names, data, |data| data.real()),
//! }
//! ```

use crate::object::dentry::Positive;
use crate::object::idmap::Idmap;
use crate::object::inode::copy_attributes;
use crate::object::inode::Inode;
use crate::object::inode::Protection;
use crate::object::inode::RcuInode;
use crate::object::inode::COPIED_FLAGS;
use crate::object::pinned;
use crate::object::pinned::PinSet;
use crate::object::super_block::SuperBlock;
use crate::object::Foreign;
use crate::object::Ours;
use crate::sys::bindings;
use crate::sys::hash::HashKey;
use crate::sys::mode::FileType;
use core::cell::UnsafeCell;
use core::marker::PhantomData;
use core::mem::offset_of;
use core::ptr::NonNull;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;
use kernel::ffi;
use kernel::prelude::*;
use kernel::sync::aref::ARef;
use kernel::types::Opaque;

/// The key by which an inode of ours is found in the inode cache: the address of a real inode.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct InodeKey(usize);

impl RcuInode<Foreign> {
    /// The key that identifies it while it is cached.
    #[inline]
    pub fn key(&self) -> InodeKey {
        InodeKey(self.as_ptr() as usize)
    }
}

impl<F: Ours> Inode<F> {
    /// A number by which the inodes that are in memory have an order, the same as long as they are there, which tells
    /// who does not have the key nothing of where that is. It is not 0.
    pub fn order_by(&self, key: &HashKey) -> u64 {
        key.hash_number(self.as_ptr() as u64).max(1)
    }

    /// Makes it found by `key` from now on, and no more by another, if there was one (wraps `remove_inode_hash()` and
    /// `__insert_inode_hash()`). A task that looks for the old key meanwhile, under `inode_hash_lock` or without, finds
    /// either this inode or none.
    ///
    /// # Context
    ///
    /// Any; does not sleep. Tasks that call this at the same time take turns by a spin lock of its own.
    pub fn hash_by(&self, key: InodeKey) {
        // SAFETY: The inode is valid and counted, so that nobody else takes it out of the cache. Who looks
        // for an inode without a lock (`find_inode()`) compares the key with either value, and if he is led
        // from one chain into the other and finds nothing, he looks once more, under `inode_hash_lock`,
        // before he makes a new one.
        unsafe {
            bindings::vfs_helper_rehash_inode(self.as_ptr(), key.0 as *mut ffi::c_void);
        }
    }

    /// Gives it another number, for who asks from now on.
    ///
    /// # Context
    ///
    /// Any; does not sleep.
    pub fn set_ino(&self, ino: u64) {
        // SAFETY: The inode is valid. The number is a word that the VFS shows, and finds nothing by: our inodes are
        // found by other keys; who reads it meanwhile reads the one or the other.
        unsafe { AtomicU64::from_ptr(&raw mut (*self.as_ptr()).i_ino).store(ino, Relaxed) };
    }

    /// Makes it found by no key from now on (wraps `remove_inode_hash()`): a task that looks for its object makes a new
    /// inode, and those that have this one keep it.
    ///
    /// # Context
    ///
    /// Any; does not sleep.
    pub fn leave_cache(&self) {
        // SAFETY: The inode is valid, and set up: a new one is no `Inode` before it is. Looking for an inode copes
        // with one that leaves its chain at any time, as evicting one does the same.
        unsafe { bindings::vfs_helper_unhash_inode(self.as_ptr()) };
    }
}

/// Private data of an inode.
///
/// It is dropped in an RCU callback: dropping it must not sleep.
pub trait InodeData: Default + Send + Sync + 'static {
    /// All that it pins.
    type Pins: PinSet;

    /// The pins: a field of the data itself, not in memory of its own. They are given back when the
    /// inode is evicted. (What is shown instead of such a field is left alone, and a pin anywhere else is
    /// lost: it stays for good, and the kernel's log says so.)
    fn pins(&self) -> &Self::Pins;
}

/// An inode of ours in memory.
pub(crate) struct Slot<F: Ours> {
    data: UnsafeCell<F::InodeData>,
    inode: Opaque<bindings::inode>,
}

impl<F: Ours> Slot<F> {
    #[inline]
    fn of(inode: *mut bindings::inode) -> *mut Self {
        inode
            .cast::<u8>()
            .wrapping_sub(offset_of!(Self, inode))
            .cast()
    }

    /// Prepares the part that survives from one use of the memory to the next.
    pub(crate) unsafe extern "C" fn construct(slot: *mut ffi::c_void) {
        // SAFETY: The slab allocator passes memory for a slot.
        unsafe {
            bindings::inode_init_once(Opaque::cast_into(&raw const (*slot.cast::<Self>()).inode))
        };
    }

    /// `->alloc_inode()`.
    pub(crate) unsafe extern "C" fn alloc(sb: *mut bindings::super_block) -> *mut bindings::inode {
        let cache = F::fs_type().cache();
        if cache.is_null() {
            // It is another type now than the one that was registered.
            return core::ptr::null_mut();
        }
        // SAFETY: The VFS passes a super block of ours; the type has its cache while it is registered, of
        // objects of this size.
        unsafe {
            let slot: *mut Self = bindings::kmem_cache_alloc_lru_noprof(
                cache,
                &raw mut (*sb).s_inode_lru,
                bindings::GFP_KERNEL,
            )
            .cast();
            if slot.is_null() {
                return core::ptr::null_mut();
            }
            (&raw mut (*slot).data).write(UnsafeCell::new(F::InodeData::default()));
            Opaque::cast_into(&raw const (*slot).inode)
        }
    }

    /// `->destroy_inode()`: nobody counts on it any more, but RCU-walk may still see it.
    pub(crate) unsafe extern "C" fn destroy(inode: *mut bindings::inode) {
        // SAFETY: The VFS passes an inode of ours, once, when its last reference is gone. What lies within
        // its data belongs to it, so nobody has a `Held` of a pin there any more.
        unsafe {
            let data = &*(*Self::of(inode)).data.get();
            let pins = data.pins();
            let offset = (&raw const *pins)
                .addr()
                .wrapping_sub((&raw const *data).addr());
            if offset < size_of::<F::InodeData>() {
                pinned::release_all(pins);
            }
        }
    }

    /// `->free_inode()`: called after a grace period.
    pub(crate) unsafe extern "C" fn free(inode: *mut bindings::inode) {
        // SAFETY: Nobody can see the inode any more. The cache outlives it: a type waits for RCU
        // callbacks before it destroys its cache.
        unsafe {
            let slot = Self::of(inode);
            (&raw mut (*slot).data).drop_in_place();
            // This finds the cache by the object.
            bindings::kfree(slot.cast());
        }
    }
}

impl<F: Ours> RcuInode<F> {
    /// The private data. What it pins may have been released already: only [`Inode::held`] lets one
    /// use the dentries.
    #[inline]
    pub fn data(&self) -> &F::InodeData {
        // SAFETY: Inodes of `F` are allocated within a `Slot<F>`, whose data is whole from its
        // allocation to the end of the grace period.
        unsafe { &*(*Slot::<F>::of(self.as_ptr())).data.get() }
    }
}

/// An inode of ours that nobody else sees yet.
///
/// Dropped before [`NewInode::init`], it is taken out of the cache, and another task that waits for it (`I_NEW`) in
/// [`SuperBlock::get_or_new`] starts over.
///
/// # Invariants
///
/// We hold the only count; `hashed` tells whether it is in the inode cache, locked as new.
pub struct NewInode<F: Ours> {
    inode: NonNull<bindings::inode>,
    hashed: bool,
    _owner: PhantomData<F>,
}

/// The answer of the inode cache for a key.
pub enum Cached<F: Ours> {
    /// An inode in use.
    Found(ARef<Inode<F>>),
    /// A fresh one for us to set up.
    New(NewInode<F>),
}

impl<F: Ours> SuperBlock<F> {
    /// The inode cached for `key`, or a new one under that key (wraps `iget5_locked()`).
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    ///
    /// # Context
    ///
    /// May sleep: waits for an inode that is being set up or evicted.
    pub fn get_or_new(&self, key: InodeKey) -> Result<Cached<F>> {
        // SAFETY: The callbacks compare and set `i_private` with the key, and nothing else.
        let inode = unsafe {
            bindings::iget5_locked(
                self.as_ptr(),
                key.0 as u64,
                Some(test_key),
                Some(set_key),
                key.0 as *mut ffi::c_void,
            )
        };
        let inode = NonNull::new(inode).ok_or(ENOMEM)?;
        // SAFETY: The inode is counted for us.
        let state = unsafe { (&raw const (*inode.as_ptr()).i_state.__state).read_volatile() };
        if state & bindings::inode_state_flags_enum_I_NEW == 0 {
            // SAFETY: As above; it is of our super block, hence of `F`.
            return Ok(Cached::Found(unsafe { ARef::from_raw(inode.cast()) }));
        }
        // INVARIANT: It is new, hence ours alone.
        Ok(Cached::New(NewInode {
            inode,
            hashed: true,
            _owner: PhantomData,
        }))
    }

    /// The inode cached for `key`, if there is one (wraps `ilookup5()`).
    ///
    /// # Context
    ///
    /// May sleep: waits for an inode that is being set up or evicted.
    pub fn cached(&self, key: InodeKey) -> Option<ARef<Inode<F>>> {
        // SAFETY: The callback compares `i_private` with the key, and nothing else.
        let inode = unsafe {
            bindings::ilookup5(
                self.as_ptr(),
                key.0 as u64,
                Some(test_key),
                key.0 as *mut ffi::c_void,
            )
        };
        // SAFETY: The inode is counted for us, and of our super block, hence of `F`.
        NonNull::new(inode).map(|inode| unsafe { ARef::from_raw(inode.cast()) })
    }

    /// A new inode that can't be found by any key (wraps `new_inode()`).
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn new_inode(&self) -> Result<NewInode<F>> {
        // SAFETY: The super block is valid.
        let inode = unsafe { bindings::new_inode(self.as_ptr()) };
        // INVARIANT: It was just made.
        Ok(NewInode {
            inode: NonNull::new(inode).ok_or(ENOMEM)?,
            hashed: false,
            _owner: PhantomData,
        })
    }
}

/// The inodes of a super block that are in memory, one after the other. Those that come while it goes on, or are not
/// set up yet, may be left out.
pub struct Inodes<'a, F: Ours> {
    sb: &'a SuperBlock<F>,
    last: Option<ARef<Inode<F>>>,
}

impl<F: Ours> SuperBlock<F> {
    /// The inodes that are in memory.
    ///
    /// # Context
    ///
    /// Each step may sleep, as giving back the inode before may evict that.
    pub fn inodes(&self) -> Inodes<'_, F> {
        Inodes {
            sb: self,
            last: None,
        }
    }

    /// A name of an inode, if it has one that is in the name cache (wraps `d_find_alias()`).
    ///
    /// # Context
    ///
    /// Any; does not sleep.
    pub fn name_of(inode: &Inode<F>) -> Option<ARef<Positive<F>>> {
        // SAFETY: The inode is counted; a dentry that comes of it has a reference for us, is positive, and of the
        // inode's filesystem.
        unsafe {
            let found = NonNull::new(bindings::d_find_alias(inode.as_ptr()))?;
            Some(ARef::from_raw(found.cast()))
        }
    }

    /// A name of an inode, if there is one, whether or not it is one by which it is found (wraps `d_find_any_alias()`).
    ///
    /// # Context
    ///
    /// Any; does not sleep.
    pub fn any_name_of(inode: &Inode<F>) -> Option<ARef<Positive<F>>> {
        // SAFETY: As in `name_of`.
        unsafe {
            let found = NonNull::new(bindings::d_find_any_alias(inode.as_ptr()))?;
            Some(ARef::from_raw(found.cast()))
        }
    }

    /// How many hold the names of an inode: open files, mappings, tasks that are in a directory, mounts, look-ups that
    /// go on. Names that are only cached are held by nobody. (That a directory is held by each name in it is not counted.)
    ///
    /// # Context
    ///
    /// Any; does not sleep. Takes `i_lock` of the inode and the lock of each of its dentries, and goes through the names in
    /// a directory that are cached.
    pub fn count_holders(inode: &Inode<F>) -> u32 {
        // SAFETY: The inode is counted.
        unsafe { bindings::vfs_helper_count_holders(inode.as_ptr()) }
    }

    /// Has an inode, and its names, forgotten as soon as nobody uses them (wraps `d_mark_dontcache()`).
    ///
    /// # Context
    ///
    /// Any; does not sleep.
    pub fn forget_when_unused(inode: &Inode<F>) {
        // SAFETY: The inode is counted.
        unsafe { bindings::d_mark_dontcache(inode.as_ptr()) };
    }

    /// Forgets all names that nobody uses (wraps `shrink_dcache_sb()`), and with them the inodes.
    ///
    /// # Context
    ///
    /// May sleep.
    pub fn forget_unused(&self) {
        // SAFETY: The super block is valid, and mounted.
        unsafe { bindings::shrink_dcache_sb(self.as_ptr()) };
    }
}

impl<F: Ours> Iterator for Inodes<'_, F> {
    type Item = ARef<Inode<F>>;

    fn next(&mut self) -> Option<ARef<Inode<F>>> {
        let after = self
            .last
            .as_ref()
            .map_or(core::ptr::null_mut(), |inode| inode.as_ptr());
        // SAFETY: The last one is counted, so it is still in the list.
        let inode = unsafe { bindings::vfs_helper_next_inode(self.sb.as_ptr(), after) };
        // SAFETY: It comes with a count for us, is set up, and of our super block, hence of `F`.
        self.last = NonNull::new(inode).map(|inode| unsafe { ARef::from_raw(inode.cast()) });
        self.last.clone()
    }
}

unsafe extern "C" fn test_key(inode: *mut bindings::inode, key: *mut ffi::c_void) -> i32 {
    // SAFETY: The inode cache passes an inode of the super block in question.
    i32::from(unsafe { (*inode).i_private } == key)
}

unsafe extern "C" fn set_key(inode: *mut bindings::inode, key: *mut ffi::c_void) -> i32 {
    // SAFETY: The inode cache passes a new inode.
    unsafe { (*inode).i_private = key };
    0
}

/// Stands for "ask the filesystem each time" in the ACL fields of an inode.
const ACL_DONT_CACHE: *mut kernel::bindings::posix_acl =
    -3isize as *mut kernel::bindings::posix_acl;

impl<F: Ours> NewInode<F> {
    /// Makes it a copy of what `real` finds in its private `data`, an inode seen through a mapping of ids: type, mode,
    /// owner, times, size, links and flags; with number `ino`, `protection` beside that of the flags, and the number of
    /// `names` if that is not the real one. From here on everybody may see it.
    ///
    /// # Errors
    ///
    /// What `real` fails with: then nobody ever sees it.
    pub fn init(
        self,
        ino: u64,
        protection: Protection,
        names: Option<u32>,
        data: F::InodeData,
        real: impl for<'x> FnOnce(&'x mut F::InodeData) -> Result<(&'x RcuInode<Foreign>, &'x Idmap)>,
    ) -> Result<ARef<Inode<F>>> {
        let ptr = self.inode.as_ptr();
        // SAFETY: By the type invariant nobody else sees the inode, so the data in its slot is ours alone until the inode
        // is unlocked, at the end of this function.
        let data = unsafe {
            let slot = (*Slot::<F>::of(ptr)).data.get();
            *slot = data;
            &mut *slot
        };
        let (real, idmap) = real(data)?;
        let (inode, hashed) = (self.inode, self.hashed);
        core::mem::forget(self);
        // SAFETY: By the type invariant nobody else sees the inode. `real` is an inode, whose
        // attributes may be read at any time.
        unsafe {
            let from = real.as_ptr();
            let mode = real.mode();
            (*ptr).i_ino = ino;
            (*ptr).i_flags |=
                bindings::S_NOCMTIME | ((*from).i_flags & COPIED_FLAGS) | protection.flags();
            if F::HAS_ACL_FOR_CHECK && mode.file_type() != FileType::SYMLINK {
                // In RCU-walk the VFS calls the operation without asking whether it is there.
                (*ptr).i_acl = ACL_DONT_CACHE;
                (*ptr).i_default_acl = ACL_DONT_CACHE;
            }
            (((*ptr).i_uid), ((*ptr).i_gid)) = idmap.owner_of(real);
            (*ptr).i_mode = mode.as_raw();
            copy_attributes(ptr, from);
            #[cfg(CONFIG_LOCKDEP)]
            bindings::vfs_helper_lockdep_inode(ptr);
            let names = if real.is_dir() {
                1
            } else {
                names.unwrap_or(real.nlink())
            };
            bindings::set_nlink(ptr, names);
            Self::set_operations(ptr, real);
            if hashed {
                bindings::unlock_new_inode(ptr);
            }
            // The count that `NewInode` held goes to the caller.
            Ok(ARef::from_raw(inode.cast()))
        }
    }
}

impl<F: Ours> NewInode<F> {
    /// Gives it the operations of its type, which is that of `real`.
    ///
    /// # Safety
    ///
    /// Nobody else may see the inode yet.
    #[inline]
    unsafe fn set_operations(ptr: *mut bindings::inode, real: &RcuInode<Foreign>) {
        let mode = real.mode();
        // SAFETY: By the requirement it is ours to write.
        unsafe {
            match mode.file_type() {
                FileType::DIRECTORY => {
                    // Names in it are compared by the encoding of the super block, so only where there is one.
                    if SuperBlock::<F>::from_raw((*ptr).i_sb).has_encoding() {
                        (*ptr).i_flags |= bindings::S_CASEFOLD;
                    }
                    (*ptr).i_op = F::DIR_INODE;
                    (*ptr).__bindgen_anon_3.i_fop = F::DIR_FILE;
                }
                FileType::REGULAR => {
                    (*ptr).i_op = F::REGULAR_INODE;
                    (*ptr).__bindgen_anon_3.i_fop = F::REGULAR_FILE;
                    (*(*ptr).i_mapping).a_ops = F::ADDRESS_SPACE;
                }
                FileType::SYMLINK if real.is_magic_link() => {
                    (*ptr).i_op = F::MAGIC_LINK_INODE;
                }
                FileType::SYMLINK => (*ptr).i_op = F::SYMLINK_INODE,
                _ => {
                    (*ptr).i_op = F::SPECIAL_INODE;
                    bindings::init_special_inode(ptr, mode.as_raw(), real.rdev().0);
                }
            }
        }
    }
}

impl<F: Ours> Drop for NewInode<F> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the count is ours, and the inode was never set up.
        unsafe {
            if self.hashed {
                bindings::iget_failed(self.inode.as_ptr());
            } else {
                bindings::iput(self.inode.as_ptr());
            }
        }
    }
}
