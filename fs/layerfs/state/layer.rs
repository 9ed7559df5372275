// SPDX-License-Identifier: GPL-2.0-only

//! Layers and the filesystems they are on.

#![forbid(unsafe_code)]

use super::Real;
use core::sync::atomic::AtomicBool;
use core::sync::atomic::AtomicU32;
use core::sync::atomic::AtomicU8;
use core::sync::atomic::Ordering;
use kernel::prelude::*;
use kernel::str::CString;
use kernel::sync::aref::ARef;
use kernel::sync::Arc;
use vfs::call::stat::Part;
use vfs::cell::locked::Locked;
use vfs::guard::in_use::InUse;
use vfs::object::inode_cache::InodeKey;
use vfs::object::kept_mount::KeptMount;
use vfs::object::mount::PrivateMount;
use vfs::object::super_block::ErrorMark;
use vfs::sys::anon_dev::AnonDev;
use vfs::sys::anon_dev::Dev;

/// What an object keeps of a layer: something in it, and with that the layer.
pub(crate) type Pin = vfs::PinnedDentry<Layer>;

/// The layer that something is in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum LayerIndex {
    Upper,
    /// A lower layer: at first its place from the top. A layer that is added gets a number that no other has.
    Lower(u32),
}

impl LayerIndex {
    /// Returns the layer that a pin is in.
    #[inline]
    pub(crate) fn of(pin: &Pin) -> Self {
        pin.owner().index
    }
}

/// A filesystem that one or more layers are on: where it has several parts that number their objects on their own
/// (subvolumes), the part that the roots of these layers are in.
pub(crate) struct Filesystem {
    /// Its index in inode numbers; 0 is upper's, or nobody's.
    pub(crate) number: u32,
    /// The part.
    pub(crate) part: Part,
    /// Objects within these layers may be in other parts.
    pub(crate) has_parts: bool,
    /// It is known that none is, and that all have the numbers that their inodes have (see
    /// [`is_of_one_part`](vfs::SuperBlock::is_of_one_part)).
    pub(crate) is_of_one_part: bool,
    /// Its UUID, all zeroes if it has none.
    pub(crate) uuid: [u8; 16],
    /// A lower layer is on it.
    pub(crate) is_lower: AtomicBool,
    /// Nothing tells that a file handle is of this filesystem.
    pub(crate) is_ambiguous: AtomicBool,
    /// The super block (see [`vfs::SuperBlock::id`]).
    pub(crate) id: usize,
    /// The device number of its objects where inode numbers of layers may collide. It is kept by the stack
    /// ([`Device`]), as what is known of a layer may last a little longer than that.
    pub(crate) dev: Dev,
}

/// A device number of a filesystem that layers are on.
pub(crate) struct Device {
    /// The number of the filesystem.
    pub(crate) number: u32,
    /// The device number.
    _dev: AnonDev,
}

impl Device {
    /// Takes a device number for the filesystem with this number, and keeps it in `devices`.
    ///
    /// # Errors
    ///
    /// `EMFILE`: there is none left. `ENOMEM`.
    fn take(number: u32, devices: &mut KVec<Self>) -> Result<Dev> {
        devices.reserve(1, GFP_KERNEL)?;
        let dev = AnonDev::new()?;
        let taken = dev.dev();
        devices.push(Self { number, _dev: dev }, GFP_KERNEL)?;
        Ok(taken)
    }
}

impl Filesystem {
    /// Makes a filesystem whose part `part` layers begin in.
    ///
    /// # Errors
    ///
    /// `EMFILE`: there is no device number left. `ENOMEM`.
    pub(crate) fn new(
        number: u32,
        sb: &vfs::SuperBlock<vfs::Foreign>,
        part: Part,
        devices: &mut KVec<Device>,
    ) -> Result<Self> {
        Ok(Self {
            number,
            part,
            has_parts: part != sb.main_part() || sb.has_parts(),
            is_of_one_part: sb.is_of_one_part(),
            uuid: sb.uuid(),
            is_lower: AtomicBool::new(false),
            is_ambiguous: AtomicBool::new(false),
            id: sb.id(),
            dev: Device::take(number, devices)?,
        })
    }

    /// Makes the one with number 0 where there is no upper: nobody's.
    ///
    /// # Errors
    ///
    /// `EMFILE`: there is no device number left. `ENOMEM`.
    pub(crate) fn of_nobody(devices: &mut KVec<Device>) -> Result<Self> {
        Ok(Self {
            number: 0,
            part: Part::NONE,
            has_parts: false,
            is_of_one_part: true,
            id: 0,
            dev: Device::take(0, devices)?,
            uuid: [0; 16],
            is_lower: AtomicBool::new(false),
            is_ambiguous: AtomicBool::new(false),
        })
    }

    /// Returns whether nothing tells that a file handle is of it.
    pub(crate) fn is_ambiguous(&self) -> bool {
        self.is_ambiguous.load(Ordering::Relaxed)
    }
}

/// A part of a filesystem that objects of a layer are in, but not its root.
pub(crate) struct OtherPart {
    /// The filesystem.
    pub(crate) id: usize,
    /// The part of it.
    pub(crate) part: Part,
    /// The device number of its objects.
    pub(crate) dev: AnonDev,
}

/// The layer that is written to.
pub(crate) struct Upper {
    /// The directory given as `workdir`, marked.
    _base: Option<InUse>,
    /// The directory within it where objects are prepared, if there is one: else nothing can be
    /// written.
    work: Option<ARef<Real>>,
    /// The directory given as `upperdir`, marked.
    _root: Option<InUse>,
    /// The directory where copies are found by what they were made of (`index=on`).
    index: Option<ARef<Real>>,
    /// How often something was put there.
    indexed: AtomicU32,
    /// What is not met within a layer: upper, workdir, and the directory in it.
    keys: [InodeKey; 3],
    /// How the mounter calls it.
    pub(crate) name: CString,
    /// Files can be made without a name (`O_TMPFILE`).
    pub(crate) has_nameless: bool,
    /// No extended attributes can be kept, as was found out when it was mounted.
    pub(crate) no_xattrs: bool,
    /// The same was learned after it was mounted: so marks that only improve something are not tried.
    no_notes: AtomicBool,
    /// A whiteout in the work directory that others are made of by link.
    pub(crate) whiteout: Locked<Whiteout>,
    /// The errors of writing (`errseq_t`) that were there before, for a mount that never syncs.
    pub(crate) errors: ErrorMark,
    /// The number of the last temporary name.
    pub(crate) last_temp: AtomicU32,
    /// Our own mount of it: the last field, as it must outlive what is held of the filesystem.
    pub(crate) mount: ARef<KeptMount<Layer>>,
}

/// A whiteout to be shared.
#[derive(Default)]
pub(crate) struct Whiteout {
    /// The one to link to.
    pub(crate) shared: Option<ARef<Real>>,
    /// Sharing was tried and does not work.
    pub(crate) unshared: bool,
}

/// An upper layer as it is found and prepared.
pub(crate) struct UpperParts {
    pub(crate) root: ARef<Real>,
    pub(crate) root_in_use: Option<InUse>,
    pub(crate) base: ARef<Real>,
    pub(crate) base_in_use: Option<InUse>,
    pub(crate) work: Option<ARef<Real>>,
    pub(crate) name: CString,
    pub(crate) work_name: CString,
    pub(crate) has_nameless: bool,
    pub(crate) no_xattrs: bool,
    pub(crate) errors: ErrorMark,
    /// The filesystem that it is on.
    pub(crate) fs: Arc<Filesystem>,
    /// The last field, as it must outlive what is held of the filesystem.
    pub(crate) mount: PrivateMount,
}

impl Upper {
    /// Takes over what was prepared.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(parts: UpperParts) -> Result<Self> {
        let work = parts.work.as_ref().unwrap_or(&parts.base);
        let depth = parts.root.super_block().stack_depth().saturating_add(1);
        Ok(Self {
            keys: [
                parts.root.inode().key(),
                parts.base.inode().key(),
                work.inode().key(),
            ],
            mount: KeptMount::new(parts.mount, Layer::of_upper(parts.fs)?)?,
            _base: parts.base_in_use,
            work: parts.work,
            _root: parts.root_in_use,
            index: None,
            indexed: AtomicU32::new(0),
            name: parts.name,
            has_nameless: parts.has_nameless,
            no_xattrs: parts.no_xattrs,
            no_notes: AtomicBool::new(parts.no_xattrs),
            whiteout: Locked::new(Whiteout::default(), depth)?,
            errors: parts.errors,
            last_temp: AtomicU32::new(0),
        })
    }

    /// Returns whether `dir` is what was given as upperdir, or (`work`) as workdir.
    pub(crate) fn is_given_as(&self, work: bool, dir: &Real) -> bool {
        self.keys.get(usize::from(work)) == Some(&dir.inode().key())
    }

    /// Upper's own directories.
    pub(crate) fn keys(&self) -> &[InodeKey] {
        &self.keys
    }

    /// Returns the directory where objects are prepared.
    ///
    /// # Errors
    ///
    /// `EROFS`: there is none.
    pub(crate) fn work(&self) -> Result<&Real> {
        self.work.as_deref().ok_or(EROFS)
    }

    /// Keeps copies in this directory as well from now on.
    pub(crate) fn set_index(&mut self, dir: ARef<Real>) {
        self.index = Some(dir);
    }

    /// Returns the directory where copies are found by what they were made of, if there is one.
    #[inline]
    pub(crate) fn index(&self) -> Option<&Real> {
        self.index.as_deref()
    }

    /// Returns how often something was put into the index, for [`Upper::count_indexed`].
    #[inline]
    pub(crate) fn indexed(&self) -> u32 {
        self.indexed.load(Ordering::Acquire)
    }

    /// Counts that something was put into the index, before anybody sees by other means that it is in upper.
    pub(crate) fn count_indexed(&self) {
        self.indexed.fetch_add(1, Ordering::AcqRel);
    }

    /// Returns whether marks that only improve something need not be tried.
    pub(crate) fn keeps_no_notes(&self) -> bool {
        self.no_notes.load(Ordering::Relaxed)
    }

    /// Remembers that such marks need not be tried any more; returns whether that is new.
    pub(crate) fn forget_notes(&self) -> bool {
        !self.no_notes.swap(true, Ordering::Relaxed)
    }

    /// Returns whether nothing can be written, for want of a place to prepare it.
    pub(crate) fn is_read_only(&self) -> bool {
        self.work.is_none()
    }
}

/// What is known of a layer, beside our mount of it ([`KeptMount`]), and so of every pin on that.
pub(crate) struct Layer {
    /// Which one it is.
    pub(crate) index: LayerIndex,
    /// Where it is among the layers: those further down have greater ranks. Upper has the least, and no lower layer has
    /// that.
    pub(crate) rank: i64,
    /// It was taken away: nothing is looked up there any more.
    is_shut: AtomicBool,
    /// How the mounter calls it; upper is called by the option.
    pub(crate) name: CString,
    /// The filesystem that it is on. (Of a data-only layer it is the first one: nothing that can be seen is numbered by
    /// it.)
    pub(crate) fs: Arc<Filesystem>,
    /// What is known of whiteouts in the form of extended attributes in it: [`UNASKED`], [`NONE_KNOWN`], [`EXPECTED`].
    xattr_whiteouts: AtomicU8,
    /// Its names may be kept in memory: they don't change.
    pub(crate) keeps_names: bool,
}

/// Nothing is known: the mark of its root was not read.
const UNASKED: u8 = 0;
/// Its root has no mark, and no directory with a mark was met.
const NONE_KNOWN: u8 = 1;
/// Its root, or a directory that was met, says that there are some.
const EXPECTED: u8 = 2;

impl Layer {
    /// Makes a lower layer of whose whiteouts nothing is known yet.
    pub(crate) fn new(index: u32, name: CString, fs: Arc<Filesystem>, keeps_names: bool) -> Self {
        Self {
            index: LayerIndex::Lower(index),
            rank: i64::from(index),
            is_shut: AtomicBool::new(false),
            keeps_names,
            name,
            fs,
            xattr_whiteouts: AtomicU8::new(UNASKED),
        }
    }

    /// Gives it another rank than its number.
    pub(crate) fn ranked(self, rank: i64) -> Self {
        Self { rank, ..self }
    }

    /// Makes what there is to know of upper.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    fn of_upper(fs: Arc<Filesystem>) -> Result<Self> {
        Ok(Self {
            index: LayerIndex::Upper,
            rank: i64::MIN,
            ..Self::new(0, CString::try_from(c"upperdir")?, fs, false)
        })
    }

    /// Returns whether it was taken away.
    #[inline]
    pub(crate) fn is_shut(&self) -> bool {
        self.is_shut.load(Ordering::Relaxed)
    }

    /// Takes it away: nothing is looked up there from now on.
    pub(crate) fn shut(&self) {
        self.is_shut.store(true, Ordering::Relaxed);
    }

    /// Returns whether it is upper.
    #[inline]
    pub(crate) fn is_upper(&self) -> bool {
        self.index == LayerIndex::Upper
    }

    /// Remembers that whiteouts in the form of extended attributes are to be expected.
    pub(crate) fn expect_xattr_whiteouts(&self) {
        self.xattr_whiteouts.store(EXPECTED, Ordering::Relaxed);
    }

    /// Returns whether that was asked, and they are not.
    #[inline]
    pub(crate) fn is_known_without_xattr_whiteouts(&self) -> bool {
        self.xattr_whiteouts.load(Ordering::Relaxed) == NONE_KNOWN
    }

    /// Returns whether whiteouts in the form of extended attributes are to be expected. `root_says`, whether the root
    /// is marked to have some, is asked the first time only, as what a layer says is not changed while it is one.
    pub(crate) fn expects_xattr_whiteouts(&self, root_says: impl FnOnce() -> bool) -> bool {
        match self.xattr_whiteouts.load(Ordering::Relaxed) {
            UNASKED => {
                let known = if root_says() { EXPECTED } else { NONE_KNOWN };
                // A lookup in another task, which no lock keeps out, may have met a directory with a mark meanwhile
                // (`expect_xattr_whiteouts()`). That stays, as the larger value is kept.
                self.xattr_whiteouts
                    .fetch_max(known, Ordering::Relaxed)
                    .max(known)
                    == EXPECTED
            }
            known => known == EXPECTED,
        }
    }
}
