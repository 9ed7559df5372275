// SPDX-License-Identifier: GPL-2.0-only

//! Layers that come while the stack is mounted: each is looked at as when it is mounted, and against those that are
//! there.
//!
//! What was settled for the whole stack when it was mounted stays as it is: how inode numbers are made, and how many
//! filesystems stand on each other. A layer that does not go together with that is refused.

#![forbid(unsafe_code)]

use super::fit;
use super::fit::part_at;
use crate::state::instance::Instance;
use crate::state::layer::Filesystem;
use crate::state::layer::Layer;
use crate::state::layer::LayerIndex;
use crate::state::layers::List;
use core::sync::atomic::Ordering;
use format::ino::XinoBits;
use format::options::NameIndex;
use format::options::RedirectDir;
use format::options::Uuid;
use format::options::Xino;
use kernel::prelude::*;
use kernel::str::CString;
use kernel::sync::aref::ARef;
use kernel::sync::Arc;
use vfs::call::stat::StatFs;
use vfs::object::kept_mount::KeptMount;
use vfs::object::kept_mount::MountWatch;
use vfs::object::mount::PrivateMount;
use vfs::object::mount::PrivateUse;
use vfs::object::path::OwnedPath;
use vfs::sys::errno::ELOOP;
use vfs::Override;
use vfs::Path;

/// A layer that is to come.
pub(super) struct Arrival<'a> {
    pub(super) path: &'a OwnedPath,
    pub(super) name: &'a CStr,
    /// It only has data.
    pub(super) data: bool,
    /// Where it is to be among the lower layers.
    pub(super) rank: i64,
    /// The layers that there are, and those that were taken away and are in use.
    pub(super) list: &'a List,
    pub(super) leaving: &'a [MountWatch<Layer>],
}

impl Arrival<'_> {
    /// Makes the layer, with a mount of our own.
    ///
    /// # Errors
    ///
    /// `EINVAL`: it can't be a layer of this stack. `ELOOP`: it is one, or within one, or one is within it. `EXDEV`: it is
    /// on another filesystem, and the numbers of inodes leave no room for that. `EPERM`, `EINVAL`: its mount can't be
    /// cloned. These come after a message. `EMFILE`, `ENOMEM`.
    pub(super) fn make(&self, instance: &Instance) -> Result<ARef<KeptMount<Layer>>> {
        let path = self.path.as_path();
        let max = StatFs::of(path)
            .inspect_err(|_| self.say("statfs fails there"))?
            .name_max();
        instance.as_mounter(|c| {
            self.check(instance, c, path)?;
            let fs = self.filesystem(instance, c, path)?;
            let mount =
                PrivateMount::clone_of(c, path, PrivateUse::ReadOnly).inspect_err(|_| {
                    self.say(
                        "its mount can't be cloned: it may be unbindable, or of another mount namespace",
                    );
                })?;
            let keeps_names = match instance.config.features.nameindex {
                NameIndex::Off => false,
                NameIndex::On => true,
                NameIndex::Auto => mount.get().super_block().is_local(),
            };
            instance.name_max.fetch_max(max, Ordering::Relaxed);
            let name = CString::try_from(self.name)?;
            let layer = Layer::new(self.free_index(), name, fs, keeps_names).ranked(self.rank);
            KeptMount::new(mount, layer)
        })
    }

    #[cold]
    fn say(&self, why: &str) {
        vfs::warn_limited!(
            "'{}' can't become a layer of this mount: {}\n",
            self.name,
            why
        );
    }

    fn check(&self, instance: &Instance, c: &Override<'_>, path: Path<'_>) -> Result {
        let why_no_layer = fit::why_no_layer(path, Some(instance.ignores_case())).or_else(|| {
            let encoding = instance.encoding.as_ref()?;
            fit::why_not_beside(path, encoding)
        });
        if let Some(why) = why_no_layer {
            vfs::warn_limited!("'{}' {}\n", self.name, why);
            return Err(EINVAL);
        }
        let depth = path.dentry().super_block().stack_depth().saturating_add(1);
        if depth > instance.stack_depth {
            self.say("it stands on more filesystems than those the stack was mounted with");
            return Err(EINVAL);
        }
        if instance.config.features.trusts_user_marks()
            && !self.data
            && !fit::is_private(c, path, true)
        {
            self.say(
                "others may have a way to it, and write marks there that are followed (userxattr, metacopy=on); keep it \
                 in a directory of your own with mode 0700, on the same filesystem",
            );
            return Err(EINVAL);
        }
        self.check_overlaps(instance, path)
    }

    /// Refuses what is a layer, is within one, or has one within it.
    fn check_overlaps(&self, instance: &Instance, path: Path<'_>) -> Result {
        let mut dir = ARef::from(path.dentry());
        loop {
            if instance.is_layer_root(&dir) {
                self.say("it is a layer already, or within one");
                return Err(ELOOP);
            }
            if dir.is_root() {
                break;
            }
            dir = dir.parent();
        }
        let key = path.dentry().inode().key();
        let upper = instance.upper.iter().map(|upper| upper.mount.root());
        let lowers = self.list.iter().map(|layer| layer.root());
        for root in Iterator::chain(upper, lowers) {
            let mut dir = ARef::from(root);
            while !dir.is_root() {
                dir = dir.parent();
                if dir.inode().key() == key {
                    self.say("another layer is within it");
                    return Err(ELOOP);
                }
            }
        }
        Ok(())
    }

    /// Returns the filesystem that it is on, which may be a new one.
    fn filesystem(
        &self,
        instance: &Instance,
        c: &Override<'_>,
        path: Path<'_>,
    ) -> Result<Arc<Filesystem>> {
        let upper = instance.upper.iter().map(|upper| &upper.mount.owner().fs);
        let lowers = self.list.iter().map(|layer| &layer.owner().fs);
        let known = Iterator::chain(upper, lowers);
        if let Some(first) = known.clone().next().filter(|_| self.data) {
            // Nothing that can be seen has its number from it.
            return Ok(first.clone());
        }
        let sb = path.dentry().super_block();
        let (id, part) = (sb.id(), part_at(c, path));
        if let Some(fs) = known.clone().find(|fs| fs.id == id && fs.part == part) {
            fs.is_lower.store(true, Ordering::Relaxed);
            return Ok(fs.clone());
        }
        let number = self.free_number();
        let most = match instance.xino {
            XinoBits::SameFs => 0,
            XinoBits::Off => u32::MAX,
            XinoBits::High(bits) => 1u32.checked_shl(bits).map_or(u32::MAX, |count| count - 1),
        };
        if number > most {
            self.say(
                "it is on another filesystem, and inode numbers are made for those that the stack was mounted with; \
                 mount with xino=off, or with a layer on another filesystem",
            );
            return Err(EXDEV);
        }
        let fs = {
            let mut devices = instance.devices.lock()?;
            let (devices, _) = &mut *devices;
            // Those of filesystems on which no layer is any more are given back.
            devices.retain(|device| device.number == 0 || self.is_taken(device.number));
            Filesystem::new(number, sb, part, devices)?
        };
        fs.is_lower.store(true, Ordering::Relaxed);
        let features = &instance.config.features;
        let by_uuid = features.uuid != Uuid::Off;
        let trusts_lowers = features.metacopy
            || features.redirect_dir == RedirectDir::On
            || features.xino == Xino::On;
        let uuid = if by_uuid { fs.uuid } else { [0; 16] };
        let mut is_ambiguous = uuid == [0; 16] && !trusts_lowers;
        for twin in known.filter(|twin| twin.id != id && (!by_uuid || twin.uuid == uuid)) {
            is_ambiguous = true;
            if twin.number != 0 {
                twin.is_ambiguous.store(true, Ordering::Relaxed);
            }
        }
        fs.is_ambiguous.store(is_ambiguous, Ordering::Relaxed);
        Ok(Arc::new(fs, GFP_KERNEL)?)
    }

    /// Returns whether a lower layer is on the filesystem with this number.
    fn is_taken(&self, number: u32) -> bool {
        let mut there = self.list.iter().map(|layer| &layer.owner().fs);
        let mut leaving = self.leaving.iter().map(|watch| &watch.owner().fs);
        there.any(|fs| fs.number == number) || leaving.any(|fs| fs.number == number)
    }

    /// Returns the least number that no filesystem has; 0 is upper's, or nobody's.
    fn free_number(&self) -> u32 {
        (1..u32::MAX)
            .find(|number| !self.is_taken(*number))
            .unwrap_or(u32::MAX)
    }

    /// Returns the least number that no lower layer has.
    fn free_index(&self) -> u32 {
        let is_taken = |index: u32| {
            let mut there = self.list.iter().map(|layer| layer.owner());
            let mut leaving = self.leaving.iter().map(|watch| watch.owner());
            let has = |layer: &Layer| layer.index == LayerIndex::Lower(index);
            there.any(has) || leaving.any(has)
        };
        (0..u32::MAX)
            .find(|index| !is_taken(*index))
            .unwrap_or(u32::MAX)
    }
}
