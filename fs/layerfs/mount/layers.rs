// SPDX-License-Identifier: GPL-2.0-only

//! From the layers as they were given to a stack: each is looked at for itself, gets a private mount and
//! the number of its filesystem; then they are checked against each other, and the root is made of theirs.

#![forbid(unsafe_code)]

use super::upper;
use super::Given;
use super::Setup;
use crate::engine;
use crate::engine::inode::Found;
use crate::engine::inode::Marks;
use crate::marks;
use crate::state::config::Config;
use crate::state::config::Lowerdirs;
use crate::state::instance::Instance;
use crate::state::layer::Filesystem;
use crate::state::layer::Layer;
use crate::state::layer::Upper;
use crate::state::publication::Publications;
use crate::state::LayerFs;
use crate::state::SuperBlock;
use core::sync::atomic::AtomicU64;
use format::ino::XinoBits;
use format::options;
use kernel::cred::Credential;
use kernel::prelude::*;
use kernel::str::CString;
use kernel::sync::aref::ARef;
use vfs::call::stat::Part;
use vfs::call::stat::Query;
use vfs::call::stat::StatBuf;
use vfs::call::stat::StatFs;
use vfs::cell::locked::Locked;
use vfs::object::inode_cache::InodeKey;
use vfs::object::mount::PrivateMount;
use vfs::object::mount::PrivateUse;
use vfs::object::super_block::FileHandles;
use vfs::object::super_block::Root;
use vfs::object::super_block::MAX_STACK_DEPTH;
use vfs::ops::fs_context::FsContext;
use vfs::sys::anon_dev::AnonDev;
use vfs::sys::cred;
use vfs::sys::cred::Capability;
use vfs::sys::errno::ELOOP;
use vfs::Override;
use vfs::Path;

/// What `statfs(2)` shows of a mount: "LYRF".
const MAGIC: u64 = 0x4c59_5246;

/// What `statfs(2)` shows of a mount as `overlay`, as of overlayfs's.
const OVERLAY_MAGIC: u64 = 0x794c_7630;

/// What the layers have together.
pub(super) struct Facts {
    /// The longest name that one of them can have, in bytes.
    name_max: u64,
    pub(super) stack_depth: u32,
    /// Every filesystem numbers its inodes with 32 bits.
    only_ino32: bool,
    /// Every filesystem, that of upper too, has file handles.
    pub(super) has_handles: bool,
}

impl Setup {
    /// Checks each layer for itself.
    pub(super) fn check_layers(&self, fc: &FsContext<'_>) -> Result<Facts> {
        match self.lowers.len() {
            0 => return Err(fc.invalid(fmt!("missing 'lowerdir'"))),
            1 if self.upper.is_none() => {
                return Err(fc.invalid(fmt!(
                    "at least 2 lowerdir are needed while upperdir nonexistent"
                )))
            }
            _ => {}
        }
        if self.lowers.iter().all(|lower| lower.data) {
            return Err(fc.invalid(fmt!("at least one non-data lowerdir is required")));
        }
        let mut facts = Facts {
            name_max: 0,
            stack_depth: 0,
            only_ino32: true,
            has_handles: true,
        };
        if let Some(upper) = &self.upper {
            let path = upper.path.as_path();
            let stat = StatFs::of(path).inspect_err(|e| {
                fc.error(fmt!("statfs failed on '{}': {:?}", &*upper.name, e));
            })?;
            facts.name_max = stat.name_max();
            let sb = path.dentry().super_block();
            facts.stack_depth = sb.stack_depth();
            facts.has_handles = sb.file_handles() != FileHandles::None;
        }
        for lower in &self.lowers {
            let path = lower.path.as_path();
            let stat = StatFs::of(path).inspect_err(|e| {
                fc.error(fmt!("statfs failed on '{}': {:?}", &*lower.name, e));
            })?;
            facts.name_max = facts.name_max.max(stat.name_max());
            let sb = path.dentry().super_block();
            facts.stack_depth = facts.stack_depth.max(sb.stack_depth());
            facts.has_handles &= sb.file_handles() != FileHandles::None;
            // Without the right to decode handles nothing is known of the numbers either.
            facts.only_ino32 &=
                sb.file_handles() == FileHandles::Ino32 && cred::capable(Capability::DacReadSearch);
        }
        facts.stack_depth = facts.stack_depth.saturating_add(1);
        if facts.stack_depth > MAX_STACK_DEPTH {
            return Err(fc.invalid(fmt!(
                "maximum fs stacking depth exceeded: at most {} filesystems may stand on each other",
                MAX_STACK_DEPTH
            )));
        }
        Ok(facts)
    }

    /// Mounts the layers for ourselves.
    pub(super) fn build(
        &mut self,
        fc: &FsContext<'_>,
        c: &Override<'_>,
        facts: &Facts,
        mounter: ARef<Credential>,
    ) -> Result<Instance> {
        let mut layers: KVec<Layer> = KVec::with_capacity(self.lowers.len(), GFP_KERNEL)?;
        let mut filesystems: KVec<Filesystem> = KVec::with_capacity(2, GFP_KERNEL)?;
        let value_of =
            |given: &mut Option<Given>| given.as_mut().and_then(|given| given.value.take());
        let (upperdir, workdir) = (value_of(&mut self.upper), value_of(&mut self.work));
        let upper = match (self.upper.take(), self.work.take()) {
            (None, _) => None,
            (Some(_), None) => return Err(fc.invalid(fmt!("missing 'workdir'"))),
            (Some(upper), Some(work)) => {
                Some(upper::prepare(fc, c, &mut self.features, upper, work)?)
            }
        };
        let first = upper.as_ref().map(|upper| upper.mount.get().root_path());
        filesystems.push(first_filesystem(c, first)?, GFP_KERNEL)?;
        let mut names = KVec::new();
        let mut no_idmaps = upper
            .as_ref()
            .is_none_or(|upper| upper.mount.get().idmap().is_identity());
        let mut merged = 0usize;
        for lower in core::mem::take(&mut self.lowers) {
            let path = lower.path.as_path();
            let root = path.dentry().inode().key();
            if path.dentry().inode().is_in_use_as_upper() {
                // By another mount: our own was just looked at.
                warn_in_use(fc, &lower.name);
            }
            // Nothing that can be seen has its number from a data-only layer.
            let fsid = if lower.data {
                0
            } else {
                merged = merged.saturating_add(1);
                fsid_of(&mut filesystems, c, path)?
            };
            let mount = PrivateMount::clone_of(c, path, PrivateUse::ReadOnly).inspect_err(|e| {
                fc.error(fmt!(
                    "the mount at '{}' can't be cloned: {:?}; it may be unbindable, or of another \
                     mount namespace",
                    &*lower.name,
                    e
                ));
            })?;
            no_idmaps &= mount.get().idmap().is_identity();
            if self.list.is_none() {
                names.push(CString::try_from(&*lower.name)?, GFP_KERNEL)?;
            }
            layers.push(Layer::new(mount, root, lower.name, fsid), GFP_KERNEL)?;
        }
        if upper.is_some() {
            self.find_ambiguous(fc, &mut filesystems);
        }
        let only_ino32 = facts.only_ino32
            && upper.as_ref().is_none_or(|upper| {
                upper.mount.get().super_block().file_handles() == FileHandles::Ino32
            });
        let count = filesystems
            .len()
            .saturating_sub(usize::from(upper.is_none()));
        let has_upper = upper.is_some();
        let uuid = upper
            .as_ref()
            .and_then(|upper| upper::uuid(fc, c, &mut self.features, upper));
        let xino = XinoBits::choose(count as u32, has_upper, self.features.xino, only_ino32);
        match xino {
            XinoBits::High(bits) => fc.info(fmt!(
                "\"xino\" feature enabled using {} upper inode bits",
                bits
            )),
            XinoBits::SameFs if self.features.xino == options::Xino::On => fc.info(fmt!(
                "\"xino=on\" is useless with all layers on same fs, ignore"
            )),
            _ => {}
        }
        Ok(Instance {
            config: Config {
                as_overlay: self.as_overlay,
                features: self.features,
                asked: self.asked,
                override_creds: self.override_creds,
                lowerdirs: match self.list.take() {
                    Some(list) => Lowerdirs::List(list),
                    None => Lowerdirs::Each(names),
                },
                upperdir,
                workdir,
            },
            magic: if self.as_overlay {
                OVERLAY_MAGIC
            } else {
                MAGIC
            },
            roots: sorted_roots(fc, upper.as_ref(), &layers)?,
            publications: Publications::new(facts.stack_depth),
            parts: Locked::new_inner(KVec::new(), facts.stack_depth)?,
            upper,
            layers,
            merged,
            filesystems,
            uuid,
            xino,
            name_max: facts.name_max,
            mounter,
            no_idmaps,
            name_key: vfs::sys::hash::HashKey::random(),
            last_made_up: AtomicU64::new(0),
        })
    }
}

/// The roots of the layers in order; an error where two are the same.
fn sorted_roots(
    fc: &FsContext<'_>,
    upper: Option<&Upper>,
    layers: &[Layer],
) -> Result<KVec<InodeKey>> {
    let mut roots: KVec<InodeKey> =
        KVec::with_capacity(layers.len().saturating_add(3), GFP_KERNEL)?;
    // Inserted in order rather than sorted in the end: there are at most some hundreds.
    for key in upper.map_or(&[][..], |upper| upper.keys()) {
        // Without a work directory upper names the one it would be in twice.
        if let Err(place) = roots.binary_search(key) {
            roots
                .insert_within_capacity(place, *key)
                .map_err(|_| ENOMEM)?;
        }
    }
    for layer in layers {
        match roots.binary_search(&layer.root) {
            Err(place) => roots
                .insert_within_capacity(place, layer.root)
                .map_err(|_| ENOMEM)?,
            Ok(_) => {
                fc.error(fmt!("'{}' is a layer twice", &*layer.name));
                return Err(ELOOP);
            }
        }
    }
    Ok(roots)
}

/// The filesystem with number 0: that of upper, whose root is at `path`, or nobody's.
fn first_filesystem(c: &Override<'_>, path: Option<Path<'_>>) -> Result<Filesystem> {
    Ok(match path {
        Some(path) => Filesystem::new(path.dentry().super_block(), part_at(c, path))?,
        None => Filesystem {
            part: Part::NONE,
            has_parts: false,
            id: 0,
            dev: AnonDev::new()?,
            uuid: [0; 16],
            is_lower: false,
            ambiguous: false,
        },
    })
}

/// Which part of its filesystem the root of a layer is in.
pub(super) fn part_at(c: &Override<'_>, path: Path<'_>) -> Part {
    let sb = path.dentry().super_block();
    if sb.is_of_one_part() {
        return sb.main_part();
    }
    let part = StatBuf::new()
        .fill(c, path, Query::IDENTITY)
        .map(|stat| stat.part());
    part.unwrap_or_else(|_| sb.main_part())
}

/// The index in inode numbers of the filesystem, or part of one, that the root of a layer is in; 0 is upper's.
fn fsid_of(filesystems: &mut KVec<Filesystem>, c: &Override<'_>, path: Path<'_>) -> Result<u32> {
    let sb = path.dentry().super_block();
    let (id, part) = (sb.id(), part_at(c, path));
    let index = match filesystems
        .iter()
        .position(|fs| fs.id == id && fs.part == part)
    {
        Some(index) => index,
        None => {
            let index = filesystems.len();
            filesystems.push(Filesystem::new(sb, part)?, GFP_KERNEL)?;
            index
        }
    };
    if let Some(fs) = filesystems.get_mut(index) {
        fs.is_lower = true;
    }
    Ok(index as u32)
}

impl Setup {
    /// Finds the filesystems that an origin can't be told to be on: those with the UUID of another, or
    /// without one where lower layers may have been made anew meanwhile.
    fn find_ambiguous(&mut self, fc: &FsContext<'_>, filesystems: &mut KVec<Filesystem>) {
        let by_uuid = self.features.uuid != options::Uuid::Off;
        let trusts_lowers = self.features.metacopy
            || self.features.redirect_dir == options::RedirectDir::On
            || self.features.xino == options::Xino::On;
        for i in 0..filesystems.len() {
            let Some(this) = filesystems.get(i).filter(|fs| fs.is_lower) else {
                continue;
            };
            let uuid = if by_uuid { this.uuid } else { [0; 16] };
            // Parts of one filesystem need not be told apart: a handle is of all of it.
            let (id, is_upper) = (
                this.id,
                filesystems.first().map(|fs| fs.id) == Some(this.id),
            );
            let twin = filesystems
                .iter()
                .any(|fs| fs.id != id && fs.is_lower && (!by_uuid || fs.uuid == uuid));
            let ambiguous = twin || uuid == [0; 16] && !trusts_lowers;
            // The filesystem of upper is known to be that.
            if let Some(this) = filesystems.get_mut(i) {
                this.ambiguous = ambiguous && !is_upper;
            }
            if ambiguous && !is_upper && self.features.xino == options::Xino::Auto {
                self.features.xino = options::Xino::Off;
                fc.warn(fmt!(
                    "a lower filesystem has no uuid of its own, falling back to xino=off"
                ));
            }
        }
    }
}

/// Says that a layer is also written to by another mount.
pub(super) fn warn_in_use(fc: &FsContext<'_>, name: &CStr) {
    fc.warn(fmt!(
        "'{}' is in use as upperdir or workdir of another mount; what is changed there may or may \
         not be seen here",
        name
    ));
}

/// Refuses layers that contain each other.
pub(super) fn check_overlaps(fc: &FsContext<'_>, instance: &Instance) -> Result {
    let upper = instance
        .upper
        .iter()
        .map(|upper| (upper.mount.get().root(), &*upper.name, false));
    let lowers = instance
        .layers
        .iter()
        .map(|layer| (root_of(layer), &*layer.name, true));
    for (root, name, is_lower) in Iterator::chain(upper, lowers) {
        let mut dir = ARef::from(root);
        while !dir.is_root() {
            dir = dir.parent();
            if is_lower && instance.is_layer_root(&dir) {
                fc.error(fmt!(
                    "'{}' is within another layer; layers must not overlap",
                    name
                ));
                return Err(ELOOP);
            }
            if dir.inode().is_in_use_as_upper() {
                warn_in_use(fc, name);
            }
        }
    }
    Ok(())
}

/// The root of a layer.
fn root_of(layer: &Layer) -> &vfs::Positive<vfs::Foreign> {
    layer.mount.get().root()
}

/// What the root directory is made of.
pub(super) struct RootParts {
    found: Found,
    marks: Marks,
    /// One of the roots it is merged of wants to be revalidated.
    weak: bool,
}

/// Finds out what the root directory is made of: the roots of all layers.
pub(super) fn root_parts(instance: &Instance, c: &Override<'_>) -> Result<RootParts> {
    let mut xattr_whiteouts = false;
    let lowermost = instance.merged.saturating_sub(1);
    let mut below = KVec::with_capacity(lowermost, GFP_KERNEL)?;
    let mut top = None;
    let mut weak = false;
    let upper = instance
        .upper
        .as_ref()
        .map(|upper| ARef::from(upper.mount.get().root()));
    if let Some(upper) = &upper {
        weak |= upper.needs_revalidation();
    }
    for (i, layer) in instance.layers.iter().enumerate().take(instance.merged) {
        let dentry = root_of(layer);
        weak |= dentry.needs_revalidation();
        // The lowermost is asked when one of its directories is read: few stacks ever care.
        if i < lowermost {
            xattr_whiteouts |= marks::expects_xattr_whiteouts(&instance.config, c, layer);
        }
        let place = (ARef::from(dentry), i as u32);
        if top.is_none() {
            top = Some(place);
        } else {
            below.push(place, GFP_KERNEL)?;
        }
    }
    let found = Found {
        upper,
        top,
        below,
        metacopy: false,
        lazy: None,
        xattr_whiteouts,
    };
    let marks = found.read_marks(instance, c)?;
    Ok(RootParts { found, marks, weak })
}

/// Makes the root directory.
pub(super) fn make_root(sb: &SuperBlock, parts: RootParts) -> Result<Root<LayerFs>> {
    let root = Root::new(engine::inode::root(sb, parts.found, parts.marks)?)?;
    if parts.weak {
        root.set_weakly_revalidated();
    }
    Ok(root)
}
