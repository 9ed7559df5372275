// SPDX-License-Identifier: GPL-2.0-only

//! A mounted stack: what is the same for all its objects.

#![forbid(unsafe_code)]

use super::config::Config;
use super::layer::Filesystem;
use super::layer::Layer;
use super::Real;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering;
use format::ino;
use format::ino::XinoBits;
use kernel::cred::Credential;
use kernel::prelude::*;
use kernel::sync::aref::ARef;
use vfs::cred::OverrideExt;
use vfs::inode::InodeKey;
use vfs::mount::PrivateMount;
use vfs::Idmap;
use vfs::Mount;
use vfs::Override;
use vfs::PinnedDentry;

/// Private data of the super block.
pub(crate) struct Instance {
    pub(crate) config: Config,
    /// The lower layers, topmost first; those that only have data come last.
    pub(crate) layers: KVec<Layer>,
    /// How many of them are merged, and don't only have data.
    pub(crate) merged: usize,
    /// The filesystems they are on, by `fsid - 1`.
    pub(crate) filesystems: KVec<Filesystem>,
    /// How inode numbers are made.
    pub(crate) xino: XinoBits,
    /// The longest name, in bytes.
    pub(crate) name_max: u64,
    /// With what credentials the layers are accessed.
    pub(crate) mounter: ARef<Credential>,
    /// No layer's mount maps ids.
    pub(crate) no_idmaps: bool,
    /// The last inode number that was made up.
    pub(crate) last_made_up: AtomicU64,
}

impl vfs::super_block::SuperData for Instance {
    fn private_mounts(&mut self, each: &mut dyn FnMut(&mut PrivateMount)) {
        for layer in &mut self.layers {
            each(&mut layer.mount);
        }
    }
}

impl Instance {
    /// Acts as the mounter until the guard is dropped.
    #[inline]
    pub(crate) fn as_mounter(&self) -> Override<'_> {
        self.mounter.override_current()
    }

    /// The layer a pin is in.
    #[inline]
    pub(crate) fn layer_of(&self, pin: &PinnedDentry) -> Result<&Layer> {
        // Tags are made of indices of layers, so there always is one.
        self.layers.get(pin.tag() as usize).ok_or(EIO)
    }

    /// The mount of the layer a pin is in.
    #[inline]
    pub(crate) fn mount_of(&self, pin: &PinnedDentry) -> Result<&Mount> {
        Ok(self.layer_of(pin)?.mount.get())
    }

    /// The id mapping of the layer a pin is in.
    #[inline]
    pub(crate) fn idmap_of(&self, pin: &PinnedDentry) -> Result<&Idmap> {
        if self.no_idmaps {
            Ok(Idmap::identity())
        } else {
            Ok(self.mount_of(pin)?.idmap())
        }
    }

    /// Whether `dir` is the root of a layer: layers contain each other where that is met.
    pub(crate) fn is_layer_root(&self, dir: &Real) -> bool {
        let key = dir.inode().key();
        self.layers.iter().any(|layer| layer.root == key)
    }

    /// Whether a root is among the layers already.
    pub(crate) fn has_root(layers: &[Layer], key: InodeKey) -> bool {
        layers.iter().any(|layer| layer.root == key)
    }

    /// The inode number that stands for number `real` of filesystem `fsid`.
    pub(crate) fn inode_number(&self, real: u64, fsid: u32, is_dir: bool) -> u64 {
        match ino::compose(real, fsid, self.xino) {
            Some(number) => number,
            None if is_dir => self.make_up_number(),
            None => real,
        }
    }

    fn make_up_number(&self) -> u64 {
        let n = self.last_made_up.fetch_add(1, Ordering::Relaxed);
        ino::non_persistent(n.wrapping_add(1).max(1), self.xino)
    }
}
