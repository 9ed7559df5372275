// SPDX-License-Identifier: GPL-2.0-only

//! A mounted stack: what is the same for all its objects.

#![forbid(unsafe_code)]

use super::clones::Clones;
use super::config::Config;
use super::layer::Device;
use super::layer::Filesystem;
use super::layer::OtherPart;
use super::layer::Upper;
use super::layers::Layers;
use super::place_index::Indexes;
use super::publication::Publications;
use super::stats::Stats;
use super::Real;
use core::sync::atomic::AtomicBool;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering;
use format::ino;
use format::ino::XinoBits;
use kernel::cred::Credential;
use kernel::fmt;
use kernel::prelude::*;
use kernel::sync::aref::ARef;
use kernel::sync::Arc;
use vfs::call::mapping;
use vfs::call::stat::Part;
use vfs::call::stat::Query;
use vfs::call::stat::StatBuf;
use vfs::cell::locked::Locked;
use vfs::cell::name_map::LONGEST;
use vfs::cell::set_once::LateBox;
use vfs::object::encoding::Encoding;
use vfs::object::inode_cache::InodeKey;
use vfs::object::mount::PrivateMount;
use vfs::sys::anon_dev::AnonDev;
use vfs::sys::anon_dev::Dev;
use vfs::sys::cred::OverrideExt;
use vfs::sys::hash::HashKey;
use vfs::Override;
use vfs::Path;

/// Private data of the super block.
pub(crate) struct Instance {
    pub(crate) config: Config,
    /// What `statfs(2)` gives as type.
    pub(crate) magic: u64,
    /// The layer that is written to.
    pub(crate) upper: Option<Upper>,
    /// The lower layers.
    pub(crate) layers: Layers,
    /// The device numbers of the filesystems that layers are on, and of other parts of them, as their objects are met.
    pub(crate) devices: Locked<(KVec<Device>, KVec<OtherPart>)>,
    /// What tells this stack from all others, where it is kept on upper.
    pub(crate) uuid: Option<[u8; 16]>,
    /// How inode numbers are made.
    pub(crate) xino: XinoBits,
    /// Every object has the number that the inode of it in its layer has, and the device number of the stack: all layers
    /// are on one filesystem, which has no parts. Neither changes while the stack is mounted.
    pub(crate) has_plain_numbers: bool,
    /// How names are compared, if case is ignored in them: in every directory of every layer, or in none.
    pub(crate) encoding: Option<Arc<Encoding>>,
    /// The longest name, in bytes.
    pub(crate) name_max: AtomicU64,
    /// The credentials with which the layers are accessed.
    pub(crate) mounter: ARef<Credential>,
    /// The key of the hashes of names: who can make names can't choose them so that all fall into one place of a hash
    /// table.
    pub(crate) name_key: HashKey,
    /// The names that are getting a copy in upper.
    pub(crate) publications: Publications,
    /// The last inode number that was made up.
    pub(crate) last_made_up: AtomicU64,
    /// What the layers were asked.
    pub(crate) stats: Stats,
    /// The names of merged directories that are kept in memory, once there are some.
    pub(crate) indexes: LateBox<Indexes>,
    /// The clones that are being made.
    pub(crate) clones: Clones,
    /// How files are mapped.
    pub(crate) mapped: mapping::Tables,
    /// How many filesystems are on each other here.
    pub(crate) stack_depth: u32,
    /// It was said that a directory is finalized over other lower directories than it has.
    pub(crate) said_not_finalized: AtomicBool,
}

impl vfs::object::super_block::SuperData for Instance {
    fn private_mounts(&self, each: &mut dyn FnMut(&PrivateMount)) {
        if let Some(upper) = &self.upper {
            each(upper.mount.private());
        }
        self.layers
            .list()
            .iter()
            .for_each(|layer| each(layer.private()));
    }
}

impl Instance {
    /// Does `f` as the mounter.
    #[inline(always)]
    pub(crate) fn as_mounter<R>(&self, f: impl FnOnce(&Override<'_>) -> R) -> R {
        self.mounter.override_current(f)
    }

    /// Returns where the names of merged directories are kept.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn indexes(&self) -> Result<&Indexes> {
        self.indexes.get_or_make(|| Indexes::new(self.stack_depth))
    }

    /// Returns the directories of upper, none if there is no upper.
    pub(crate) fn upper_keys(&self) -> &[InodeKey] {
        self.upper.as_ref().map_or(&[], Upper::keys)
    }

    /// Returns whether case is ignored in names.
    #[inline]
    pub(crate) fn ignores_case(&self) -> bool {
        self.encoding.is_some()
    }

    /// Calls `f` with what a map of names knows a name by: what all spellings of it have in common, where case is
    /// ignored, or the name itself. A map has no more than [`LONGEST`] bytes of it, so that names may be known by one
    /// key: to the map they are in the layers of both.
    #[inline]
    pub(crate) fn with_key_of<R>(&self, name: &[u8], f: impl FnOnce(&[u8]) -> R) -> R {
        match &self.encoding {
            Some(encoding) => {
                encoding.with_folded(name, |key| f(key.get(..LONGEST).unwrap_or(key)))
            }
            None => f(name),
        }
    }

    /// Returns the length of the longest name, in bytes.
    #[inline]
    pub(crate) fn name_max(&self) -> u64 {
        self.name_max.load(Ordering::Relaxed)
    }

    /// Returns the layer that is written to.
    ///
    /// # Errors
    ///
    /// `EROFS`: there is none, or it can't be written to.
    pub(crate) fn upper(&self) -> Result<&Upper> {
        self.upper.as_ref().ok_or(EROFS)
    }

    /// Returns the directory where copies are found by what they were made of, if there is one (`index=on`).
    #[inline]
    pub(crate) fn index_dir(&self) -> Option<&Real> {
        self.upper.as_ref()?.index()
    }

    /// Returns how often something was put into the index.
    #[inline]
    pub(crate) fn indexed(&self) -> u32 {
        self.upper.as_ref().map_or(0, Upper::indexed)
    }

    /// Returns whether every copy is kept in the index, not those of hard links alone: handles of files lead to them.
    #[inline]
    pub(crate) fn indexes_all(&self) -> bool {
        self.config.features.nfs_export && self.index_dir().is_some()
    }

    /// Returns how messages call the layer that a place is in.
    pub(crate) fn layer_name<'a>(&'a self, path: Path<'a>) -> LayerName<'a> {
        LayerName {
            instance: self,
            path,
        }
    }

    /// Returns whether `dir` is the root of a layer: layers contain each other where that is met.
    pub(crate) fn is_layer_root(&self, dir: &Real) -> bool {
        self.layers.is_root(dir.inode().key())
    }

    /// Returns whether nothing is ever synced.
    pub(crate) fn is_volatile(&self) -> bool {
        self.config.features.fsync == format::options::Fsync::Volatile
    }

    /// Returns whether upper could write all that was written to it since a volatile mount was made.
    ///
    /// # Errors
    ///
    /// `EIO`: it could not; what is in upper can't be trusted.
    pub(crate) fn check_errors(&self) -> Result {
        match &self.upper {
            Some(upper) => {
                let sb = upper.mount.super_block();
                sb.check_errors_since(upper.errors).map_err(|_| EIO)
            }
            None => Ok(()),
        }
    }

    /// Returns the device number of objects of a filesystem that are in another part of it than its layers begin in.
    ///
    /// # Errors
    ///
    /// `EMFILE`: there is no device number left. `ENOMEM`; `EINTR`: the task is being killed.
    #[cold]
    pub(crate) fn dev_of_part(&self, fs: &Filesystem, part: Part) -> Result<Dev> {
        let id = fs.id;
        let is_it = |fs: &Filesystem| fs.id == id && fs.part == part;
        if let Some(upper) = self.upper.as_ref().map(|upper| upper.mount.owner()) {
            if is_it(&upper.fs) {
                return Ok(upper.fs.dev);
            }
        }
        if let Some(layer) = self
            .layers
            .list()
            .iter()
            .find(|layer| is_it(&layer.owner().fs))
        {
            return Ok(layer.owner().fs.dev);
        }
        let mut devices = self.devices.lock()?;
        let (_, parts) = &mut *devices;
        if let Some(known) = parts
            .iter()
            .find(|known| known.id == id && known.part == part)
        {
            return Ok(known.dev.dev());
        }
        let dev = AnonDev::new()?;
        let made = dev.dev();
        parts.push(OtherPart { id, part, dev }, GFP_KERNEL_ACCOUNT)?;
        Ok(made)
    }

    /// Returns whether there may be objects on a filesystem that [`Instance::is_numbered_by`] is not true of.
    #[inline]
    pub(crate) fn may_keep_ino(&self, fs: &Filesystem) -> bool {
        // Otherwise an object has its own number anyway.
        matches!(self.xino, XinoBits::High(_)) && fs.has_parts
    }

    /// Returns whether what is at `path`, on filesystem `fs`, is numbered as the rest of that. What is in another
    /// part of it has its own number on a device of that part.
    pub(crate) fn is_numbered_by(&self, c: &Override<'_>, path: Path<'_>, fs: &Filesystem) -> bool {
        if !self.may_keep_ino(fs) {
            return true;
        }
        let stat = StatBuf::new()
            .fill(c, path, Query::IDENTITY)
            .map(|stat| stat.part());
        stat.map_or(true, |part| part == fs.part)
    }

    /// Returns the inode number that stands for number `real` of filesystem `fsid`.
    pub(crate) fn map_ino(&self, real: u64, fsid: u32, is_dir: bool) -> u64 {
        match ino::compose(real, fsid, self.xino) {
            Some(number) => number,
            None if is_dir => self.make_up_ino(),
            None => real,
        }
    }

    fn make_up_ino(&self) -> u64 {
        let n = self.last_made_up.fetch_add(1, Ordering::Relaxed);
        ino::non_persistent(n.wrapping_add(1).max(1), self.xino)
    }

    /// Returns whether lower layers may have been changed while the stack was not mounted: nothing is kept on upper
    /// that would be wrong then.
    pub(crate) fn allows_offline_changes(&self) -> bool {
        let features = &self.config.features;
        !features.index
            && !features.metacopy
            && features.redirect_dir != format::options::RedirectDir::On
            && features.xino != format::options::Xino::On
    }
}

/// The name of the layer that a place is in, as it can be shown in a message.
pub(crate) struct LayerName<'a> {
    instance: &'a Instance,
    path: Path<'a>,
}

impl fmt::Display for LayerName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = self.instance.layers.list();
        let layer = list
            .iter()
            .find(|layer| core::ptr::eq(&***layer, self.path.mount()));
        layer
            .map_or(c"upperdir", |layer| &*layer.owner().name)
            .fmt(f)
    }
}
