// SPDX-License-Identifier: GPL-2.0-only

//! Super blocks: foreign ones that are stood on, and our own with their private data.
//!
//! It is not for configuring a mount ([`fs_context`](crate::ops::fs_context)), nor for filesystems on devices.
//!
//! C header: [`include/linux/fs/super_types.h`](srctree/include/linux/fs/super_types.h)
//!
//! # Examples
//!
//! ```ignore
//! fn fill_super(tree: Tree, sb: NewSuper<'_, MyFs>) -> Result<Root<MyFs>> {
//!     make_root(sb.init(tree.parts), tree.root)
//! }
//! ```

use crate::object::dentry::Positive;
use crate::object::dentry::REVALIDATION;
use crate::object::encoding::Encoding;
use crate::object::inode::Inode;
use crate::object::mount::PrivateMount;
use crate::object::Foreign;
use crate::object::Ours;
use crate::object::Owner;
use crate::sys::anon_dev::Dev;
use crate::sys::bindings;
use crate::sys::cred::Override;
use crate::sys::cred::OverrideExt;
use crate::sys::errno::to_result;
use core::marker::PhantomData;
use core::ops::Deref;
use core::ptr::NonNull;
use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering;
use kernel::cred::Credential;
use kernel::prelude::*;
use kernel::sync::aref::ARef;
use kernel::sync::Arc;
use kernel::types::Opaque;

/// The part of a super block that may be used under the RCU read lock alone, as in RCU-walk.
///
/// # Invariants
///
/// A reference to one implies that it is active, or that an RCU grace period is awaited before it
/// is freed. For `F: Ours`, `s_fs_info` is a `Slot<F>` from before the first inode can
/// be seen by others, until after a grace period after the last one.
#[repr(transparent)]
pub struct RcuSuperBlock<F: Owner>(Opaque<bindings::super_block>, PhantomData<F>);

/// A super block.
///
/// # Invariants
///
/// The same holds as for [`RcuSuperBlock`], and we are not in RCU-walk: somebody keeps it active.
#[repr(transparent)]
pub struct SuperBlock<F: Owner>(RcuSuperBlock<F>);

impl<F: Owner> Deref for SuperBlock<F> {
    type Target = RcuSuperBlock<F>;

    #[inline]
    fn deref(&self) -> &RcuSuperBlock<F> {
        &self.0
    }
}

impl<F: Owner> SuperBlock<F> {
    /// # Safety
    ///
    /// See the type invariant.
    #[inline]
    pub(crate) unsafe fn from_raw<'a>(ptr: *const bindings::super_block) -> &'a Self {
        // SAFETY: By the requirement; the type is transparent over it.
        unsafe { &*ptr.cast() }
    }
}

// SAFETY: What is read through a shared reference is constant or read atomically.
unsafe impl<F: Owner> Send for RcuSuperBlock<F> {}

// SAFETY: As above.
unsafe impl<F: Owner> Sync for RcuSuperBlock<F> {}

/// How many filesystems may stand on each other.
pub const MAX_STACK_DEPTH: u32 = bindings::FILESYSTEM_MAX_STACK_DEPTH;

/// Whether file handles of a filesystem can be decoded, and what is known of its inode numbers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum FileHandles {
    /// They can't be decoded, or not by us.
    None,
    /// They can, and they show that inode numbers have 32 bits.
    Ino32,
    /// They can; inode numbers may have up to 64 bits.
    Other,
}

impl<F: Owner> RcuSuperBlock<F> {
    /// # Safety
    ///
    /// See the type invariant.
    #[inline]
    pub(crate) unsafe fn from_raw<'a>(ptr: *const bindings::super_block) -> &'a Self {
        // SAFETY: By the requirement; the type is transparent over it.
        unsafe { &*ptr.cast() }
    }

    #[inline]
    pub(crate) fn as_ptr(&self) -> *mut bindings::super_block {
        self.0.get()
    }

    /// The device number that `stat(2)` shows.
    #[inline]
    pub fn dev(&self) -> Dev {
        // SAFETY: Constant while the super block is active.
        Dev(unsafe { (*self.as_ptr()).s_dev })
    }

    /// Whether it is mounted read-only.
    pub fn is_read_only(&self) -> bool {
        // SAFETY: A word that may be read at any time.
        unsafe { (*self.as_ptr()).s_flags & bindings::SB_RDONLY != 0 }
    }

    /// How many filesystems this one stands on.
    pub fn stack_depth(&self) -> u32 {
        // SAFETY: Constant once it is mounted.
        unsafe { (*self.as_ptr()).s_stack_depth as u32 }
    }

    /// The UUID, all zeroes if it has none.
    pub fn uuid(&self) -> [u8; 16] {
        // SAFETY: Constant while it is mounted (for the filesystems that have one).
        unsafe { (*self.as_ptr()).s_uuid.b }
    }

    /// Whether names may be compared by an encoding (Unicode, regardless of case).
    pub fn has_encoding(&self) -> bool {
        #[cfg(CONFIG_UNICODE)]
        // SAFETY: Constant once it is mounted.
        unsafe {
            !(*self.as_ptr()).s_encoding.is_null()
        }
        #[cfg(not(CONFIG_UNICODE))]
        false
    }

    /// Whether it is the same super block as `other`.
    #[inline]
    pub fn is(&self, other: &Self) -> bool {
        core::ptr::eq(self, other)
    }

    /// The key that identifies it while it is mounted.
    #[inline]
    pub fn id(&self) -> usize {
        self.as_ptr() as usize
    }
}

impl SuperBlock<Foreign> {
    /// The name of its type.
    pub fn type_name(&self) -> &CStr {
        // SAFETY: A super block keeps its type, whose name is constant.
        unsafe { CStr::from_char_ptr((*(*self.as_ptr()).s_type).name) }
    }

    /// Whether its names are on this machine alone: on a block device or in memory (`FS_REQUIRES_DEV`, `tmpfs`, `ramfs`),
    /// and its dentries need not be asked again. Others may change behind whoever uses them through this kernel.
    pub fn is_local(&self) -> bool {
        // SAFETY: Type and magic number are constant once it is mounted; its root stays while it is borrowed.
        unsafe {
            let sb = self.as_ptr();
            let on_device = (*(*sb).s_type).fs_flags & bindings::FS_REQUIRES_DEV as i32 != 0;
            let in_memory = [bindings::TMPFS_MAGIC, bindings::RAMFS_MAGIC]
                .iter()
                .any(|magic| (*sb).s_magic == *magic as usize);
            let root = (*sb).s_root;
            let asks = !root.is_null() && Positive::<Foreign>::from_raw(root).needs_revalidation();
            (on_device || in_memory) && !asks
        }
    }

    /// Whether file handles of it can be decoded (does what overlay filesystems do: looks at the
    /// export operations).
    pub fn file_handles(&self) -> FileHandles {
        // SAFETY: Export operations are constant once it is mounted.
        unsafe {
            let ops = (*self.as_ptr())
                .s_export_op
                .cast::<bindings::export_operations>();
            if ops.is_null() || (*ops).fh_to_dentry.is_none() {
                return FileHandles::None;
            }
            match (*ops).encode_fh {
                Some(encode) if encode as usize == bindings::generic_encode_ino32_fh as usize => {
                    FileHandles::Ino32
                }
                _ => FileHandles::Other,
            }
        }
    }
}

/// Remembers which errors of writing to a filesystem there were, to tell new ones.
#[derive(Clone, Copy, Default)]
pub struct ErrorMark(u32);

impl SuperBlock<Foreign> {
    /// The errors so far; `None` if one of them was not told to anybody yet (wraps
    /// `errseq_sample()`).
    pub fn error_mark(&self) -> Option<ErrorMark> {
        // SAFETY: The counter of a valid super block.
        unsafe {
            let counter = &raw mut (*self.as_ptr()).s_wb_err;
            let mark = bindings::errseq_sample(counter);
            (bindings::errseq_check(counter, mark) == 0).then_some(ErrorMark(mark))
        }
    }

    /// Whether there was an error since (wraps `errseq_check()`).
    ///
    /// # Errors
    ///
    /// The error.
    pub fn check_errors_since(&self, mark: ErrorMark) -> Result {
        // SAFETY: The counter of a valid super block.
        to_result(unsafe { bindings::errseq_check(&raw mut (*self.as_ptr()).s_wb_err, mark.0) })
    }

    /// Writes all that is dirty (wraps `sync_filesystem()`).
    ///
    /// # Errors
    ///
    /// `EIO`, `ENOSPC`, …
    ///
    /// # Context
    ///
    /// Sleeps; takes `s_umount`, shared.
    pub fn sync(&self) -> Result {
        // SAFETY: The super block is active while it is borrowed.
        unsafe {
            let lock = &raw mut (*self.as_ptr()).s_umount;
            bindings::down_read(lock);
            let result = bindings::sync_filesystem(self.as_ptr());
            bindings::up_read(lock);
            to_result(result)
        }
    }

    /// The finest step of its times, in nanoseconds.
    pub fn time_granularity(&self) -> u32 {
        // SAFETY: Constant once it is mounted.
        unsafe { (*self.as_ptr()).s_time_gran }
    }

    /// Whether none of its files has anything that writing takes away (set-user-ID and the like), as
    /// far as is remembered.
    pub fn is_nosec(&self) -> bool {
        // SAFETY: A word that may be read at any time.
        unsafe { (*self.as_ptr()).s_flags & bindings::SB_NOSEC != 0 }
    }
}

/// Private data of a super block.
///
/// It is dropped as a whole at the end of the super block, a grace period after the last inode was
/// evicted: until then a path walk under RCU may look at it. The mounts that
/// [`SuperData::private_mounts`] shows outlive it, so that what else it has of the filesystems they
/// are mounts of (dentries, marks of use) may be dropped in any order.
pub trait SuperData: Send + Sync {
    /// Shows every [`PrivateMount`] within, so that the end of the super block unmounts them all at
    /// once and waits for RCU readers only once. One that is left out waits for itself when it is
    /// dropped, and must be dropped after what is held of its filesystem.
    fn private_mounts(&self, each: &mut dyn FnMut(&PrivateMount));
}

/// What a path walk under RCU may use of a stack: whose credentials the layers are accessed with.
///
/// It is kept beside the private data, of which such a walk sees nothing: neither mounts nor dentries, and so
/// nothing that sleeps.
pub struct InWalk {
    mounter: ARef<Credential>,
    changes: Arc<Changes>,
}

/// How often what is below was changed.
pub struct Changes(AtomicU32);

impl Changes {
    /// Not at all.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn new() -> Result<Arc<Self>> {
        Ok(Arc::new(Self(AtomicU32::new(0)), GFP_KERNEL)?)
    }

    /// How often. Who sees a number sees all that was done before it was counted.
    #[inline]
    pub fn count(&self) -> u32 {
        self.0.load(Ordering::Acquire)
    }

    /// Once more.
    pub fn add(&self) {
        self.0.fetch_add(1, Ordering::Release);
    }
}

impl InWalk {
    /// With the credentials of the mounter, and the number of changes of what is below.
    pub fn new(mounter: ARef<Credential>, changes: Arc<Changes>) -> Self {
        Self { mounter, changes }
    }

    /// How often what is below was changed.
    #[inline]
    pub fn changes(&self) -> u32 {
        self.changes.count()
    }

    /// Does `f` as the mounter. What sleeps takes more than an override, and that can't be had in RCU-walk.
    #[inline(always)]
    pub fn as_mounter<R>(&self, f: impl FnOnce(&Override<'_>) -> R) -> R {
        self.mounter.override_current(f)
    }
}

/// The allocation that `s_fs_info` of a super block of `F` points to.
struct Slot<F: Ours> {
    in_walk: InWalk,
    data: F::SuperData,
    /// What the super block points to, as path walks under RCU compare names by it.
    encoding: Option<Arc<Encoding>>,
}

/// The parts of which a super block is made, before it is there.
///
/// # Invariants
///
/// It stands on no more than [`MAX_STACK_DEPTH`] filesystems, itself counted.
pub struct SuperParts<F: Ours> {
    slot: KBox<Slot<F>>,
    properties: Properties,
}

impl<F: Ours> SuperParts<F> {
    /// `in_walk`: what of the data may be used in RCU-walk.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EINVAL`: it would stand on too many filesystems.
    pub fn new(in_walk: InWalk, data: F::SuperData, mut properties: Properties) -> Result<Self> {
        if properties.stack_depth > MAX_STACK_DEPTH {
            return Err(EINVAL);
        }
        let slot = Slot {
            in_walk,
            data,
            encoding: properties.encoding.take(),
        };
        // INVARIANT: It was just checked.
        Ok(Self {
            slot: KBox::new(slot, GFP_KERNEL)?,
            properties,
        })
    }

    /// The private data.
    pub fn data(&self) -> &F::SuperData {
        &self.slot.data
    }
}

impl<F: Ours> RcuSuperBlock<F> {
    #[inline]
    fn slot(&self) -> &Slot<F> {
        // SAFETY: By the type invariant.
        unsafe { &*(*self.as_ptr()).s_fs_info.cast() }
    }

    /// The part that may be used in RCU-walk.
    #[inline]
    pub fn in_walk(&self) -> &InWalk {
        &self.slot().in_walk
    }
}

impl<F: Ours> SuperBlock<F> {
    /// The private data.
    #[inline]
    pub fn data(&self) -> &F::SuperData {
        &self.slot().data
    }

    /// The root directory.
    pub fn root(&self) -> &Positive<F> {
        // SAFETY: A super block that others can see has a root, positive and counted until its end.
        unsafe { Positive::from_raw((*self.as_ptr()).s_root) }
    }
}

/// The properties of a new super block.
pub struct Properties {
    /// The number that `statfs(2)` gives as `f_type`.
    pub magic: u64,
    /// Nothing can be changed.
    pub read_only: bool,
    /// Access control lists are checked.
    pub posix_acl: bool,
    /// How many filesystems it stands on, counting those below the ones below.
    pub stack_depth: u32,
    /// The longest file, in bytes.
    pub max_bytes: i64,
    /// The finest step of times, in nanoseconds.
    pub time_granularity: u32,
    /// The identity by which it is told from all others.
    pub uuid: Option<[u8; 16]>,
    /// Whether files can be remembered to have nothing that writing takes away.
    pub nosec: bool,
    /// What file handles of its objects are for.
    pub handles: OwnHandles,
    /// How names are compared without regard to case, in every directory; `None`: case matters.
    pub encoding: Option<Arc<Encoding>>,
}

/// What file handles of our objects are for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum OwnHandles {
    /// There are none.
    None,
    /// They tell objects apart.
    Identify,
    /// They can be opened again, too.
    Open,
}

/// A super block that is being set up.
///
/// # Invariants
///
/// We are inside the callback that fills it; nobody else sees it; `s_fs_info` is null.
pub struct NewSuper<'a, F: Ours>(&'a SuperBlock<F>);

impl<'a, F: Ours> NewSuper<'a, F> {
    /// # Safety
    ///
    /// See the type invariant.
    pub(crate) unsafe fn from_raw(sb: *mut bindings::super_block) -> Self {
        // SAFETY: By the requirement.
        Self(unsafe { SuperBlock::from_raw(sb) })
    }

    /// Whether the mounter asked for silence.
    pub fn is_silent(&self) -> bool {
        // SAFETY: The flags are ours while the super block is new.
        unsafe { (*self.0.as_ptr()).s_flags & bindings::SB_SILENT != 0 }
    }

    /// Gives it its data and properties; inodes can be made from here on.
    pub fn init(self, parts: SuperParts<F>) -> &'a SuperBlock<F> {
        let SuperParts { slot, properties } = parts;
        let sb = self.0.as_ptr();
        // SAFETY: By the type invariant the super block is ours alone.
        unsafe {
            // It lives in the slot, which is dropped a grace period after the last dentry is gone.
            let operations = match &slot.encoding {
                Some(encoding) => {
                    encoding.give_to(sb);
                    F::FOLDING_DENTRY
                }
                None => F::DENTRY,
            };
            // Whoever kills the super block drops it, see `kill`.
            (*sb).s_fs_info = KBox::into_raw(slot).cast();
            (*sb).s_magic = properties.magic as usize;
            (*sb).s_op = F::SUPER;
            (*sb).s_xattr = F::XATTRS.as_ptr();
            match properties.handles {
                OwnHandles::None => {}
                OwnHandles::Identify => (*sb).s_export_op = (&raw const *F::IDENTIFY).cast(),
                OwnHandles::Open => (*sb).s_export_op = (&raw const *F::EXPORT).cast(),
            }
            (*sb).s_maxbytes = properties.max_bytes.max(0);
            (*sb).s_stack_depth = properties.stack_depth as i32;
            if properties.read_only {
                (*sb).s_flags |= bindings::SB_RDONLY;
            }
            // A step that is none makes the VFS warn at every time that is set.
            (*sb).s_time_gran = properties.time_granularity.clamp(1, bindings::NSEC_PER_SEC);
            if let Some(uuid) = properties.uuid {
                (*sb).s_uuid.b = uuid;
                (*sb).s_uuid_len = uuid.len() as u8;
            }
            if properties.nosec {
                (*sb).s_flags |= bindings::SB_NOSEC;
            }
            if properties.posix_acl {
                (*sb).s_flags |= bindings::SB_POSIXACL;
            }
            (*sb).s_iflags |= (bindings::SB_I_SKIP_SYNC
                | bindings::SB_I_NOUMASK
                | bindings::SB_I_EVM_HMAC_UNSUPPORTED) as usize;
            bindings::set_default_d_op(sb, operations);
            // Dentries ask to be revalidated one by one, where what is below needs it.
            (*sb).s_d_flags &= !REVALIDATION;
        }
        self.0
    }
}

/// The root of a new super block.
///
/// # Invariants
///
/// A positive dentry made by `d_make_root()`, with a reference that is ours.
pub struct Root<F: Ours>(ARef<Positive<F>>);

impl<F: Ours> Root<F> {
    /// Makes `inode` the root directory (wraps `d_make_root()`).
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn new(inode: ARef<Inode<F>>) -> Result<Self> {
        // SAFETY: The reference to the inode is consumed, also on failure. (Of which super block it is, is
        // checked when that gets it.)
        let root = unsafe { bindings::d_make_root(ARef::into_raw(inode).as_ptr().cast()) };
        let root = NonNull::new(root).ok_or(ENOMEM)?;
        // INVARIANT: It was just made, and is positive.
        // SAFETY: As above.
        Ok(Self(unsafe { ARef::from_raw(root.cast()) }))
    }

    /// Has the root revalidated where a path walk ends on it, as what it stands on wants to be.
    pub fn set_weakly_revalidated(&self) {
        // SAFETY: The root is valid, and nobody else sees it yet.
        unsafe { (*self.0.as_ptr()).d_flags |= bindings::dentry_flags_DCACHE_OP_WEAK_REVALIDATE };
    }

    pub(crate) fn super_block(&self) -> &SuperBlock<F> {
        self.0.super_block()
    }

    pub(crate) fn into_raw(self) -> *mut bindings::dentry {
        ARef::into_raw(self.0).as_ptr().cast()
    }
}

/// `->kill_sb()`: the end of a super block, whether or not it ever got a root.
///
/// # Safety
///
/// Called by the VFS for a super block of `F`.
pub(crate) unsafe extern "C" fn kill<F: Ours>(sb: *mut bindings::super_block) {
    // SAFETY: By the requirement. `kill_anon_super` evicts all inodes and dentries; the super block
    // itself is freed by our caller, later. `s_fs_info` is null or the box that `NewSuper::init` put
    // there. RCU-walk may still look at inodes that were evicted, and through them at the data; so it
    // is only borrowed before the grace period that `end_all` waits for, and ours alone after it.
    unsafe {
        let slot = (*sb).s_fs_info.cast::<Slot<F>>();
        bindings::kill_anon_super(sb);
        if slot.is_null() {
            return;
        }
        let mounts = PrivateMount::end_all(|each| (*slot).data.private_mounts(each));
        (*sb).s_fs_info = core::ptr::null_mut();
        drop(KBox::from_raw(slot));
        // Dentries of the layers were given back with the data; now their super blocks may end.
        drop(mounts);
    }
}
