// SPDX-License-Identifier: GPL-2.0-only

//! Making a stack of the layers as they were given: each is looked at for itself, and gets a private mount and the
//! number of its filesystem; then they are checked against each other, and the root is made of theirs.

#![forbid(unsafe_code)]

use super::filesystems::check_handles;
use super::filesystems::filesystem_of;
use super::filesystems::find_ambiguous;
use super::overlaps::check_roots;
use super::overlaps::report_in_use;
use super::plan::Given;
use super::plan::Lower;
use super::plan::Plan;
use super::upper;
use crate::engine;
use crate::engine::finalized::Claims;
use crate::engine::inode::Marks;
use crate::marks;
use crate::state::clones::Clones;
use crate::state::config::Config;
use crate::state::instance::Instance;
use crate::state::layer::Device;
use crate::state::layer::Filesystem;
use crate::state::layer::Layer;
use crate::state::layer::Upper;
use crate::state::layers::Layers;
use crate::state::layers::List;
use crate::state::lowers::Lowers;
use crate::state::object::Object;
use crate::state::places::Places;
use crate::state::publication::Publications;
use crate::state::stats::Stats;
use crate::state::traits::Trait;
use crate::state::traits::Traits;
use crate::state::LayerFs;
use crate::state::SuperBlock;
use core::sync::atomic::AtomicBool;
use core::sync::atomic::AtomicU64;
use format::ino::XinoBits;
use format::opaque::DirMark;
use format::options;
use format::options::Features;
use format::options::NameIndex;
use kernel::cred::Credential;
use kernel::prelude::*;
use kernel::str::CString;
use kernel::sync::aref::ARef;
use kernel::sync::Arc;
use vfs::call::mapping;
use vfs::call::stat::StatFs;
use vfs::cell::locked::Locked;
use vfs::cell::set_once::LateBox;
use vfs::object::encoding::Encoding;
use vfs::object::kept_mount::KeptMount;
use vfs::object::mount::PrivateMount;
use vfs::object::mount::PrivateUse;
use vfs::object::super_block::FileHandles;
use vfs::object::super_block::Root;
use vfs::object::super_block::MAX_STACK_DEPTH;
use vfs::ops::fs_context::FsContext;
use vfs::sys::cred;
use vfs::sys::cred::Capability;
use vfs::Held;
use vfs::Override;

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
    /// How names are compared, if case is ignored in them.
    pub(super) encoding: Option<Arc<Encoding>>,
}

/// Checks each layer for itself.
///
/// # Errors
///
/// `EINVAL`, after a message; the errors of `statfs(2)`.
pub(super) fn check(fc: &FsContext<'_>, plan: &Plan) -> Result<Facts> {
    match plan.lowers.len() {
        0 => return Err(fc.invalid(fmt!("missing 'lowerdir'"))),
        1 if plan.upper.is_none() => {
            return Err(fc.invalid(fmt!(
                "at least 2 lowerdir are needed while upperdir nonexistent"
            )))
        }
        _ => {}
    }
    if plan.lowers.iter().all(|lower| lower.data) {
        return Err(fc.invalid(fmt!("at least one non-data lowerdir is required")));
    }
    check_image(fc, plan)?;
    let mut facts = Facts {
        name_max: 0,
        stack_depth: 0,
        only_ino32: true,
        has_handles: true,
        encoding: encoding(fc, plan)?,
    };
    if let Some(upper) = &plan.upper {
        let path = upper.path.as_path();
        let stat = StatFs::of(path).inspect_err(|e| {
            fc.error(fmt!("statfs failed on '{}': {:?}", &*upper.name, e));
        })?;
        facts.name_max = stat.name_max();
        let sb = path.dentry().super_block();
        facts.stack_depth = sb.stack_depth();
        facts.has_handles = sb.file_handles() != FileHandles::None;
    }
    for lower in &plan.lowers {
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

/// Returns how names are compared, if case is ignored in them: in the same way in all layers.
fn encoding(fc: &FsContext<'_>, plan: &Plan) -> Result<Option<Arc<Encoding>>> {
    if plan.ignores_case != Some(true) {
        return Ok(None);
    }
    let upper = plan.upper.iter().map(|upper| (&upper.path, &upper.name));
    let lowers = plan.lowers.iter().map(|lower| (&lower.path, &lower.name));
    let mut all = Iterator::chain(upper, lowers).peekable();
    let (first, _) = all.peek().ok_or(EINVAL)?;
    let encoding = Encoding::of(first.as_path().dentry().super_block())?.ok_or(EINVAL)?;
    for (path, name) in all {
        if let Some(why) = engine::fit::why_not_beside(path.as_path(), &encoding) {
            return Err(fc.invalid(fmt!("'{}' {}", &**name, why)));
        }
    }
    Ok(Some(Arc::new(encoding, GFP_KERNEL)?))
}

/// Checks what `image=on` declares, as far as a look at the layers tells.
fn check_image(fc: &FsContext<'_>, plan: &Plan) -> Result {
    if !plan.features.image {
        return Ok(());
    }
    let merged = plan.lowers.iter().filter(|lower| !lower.data).count();
    if merged != 1 || merged == plan.lowers.len() {
        return Err(fc.invalid(fmt!(
            "image=on wants one lower layer that is the image, and data-only layers below it"
        )));
    }
    let image = plan.lowers.iter().find(|lower| !lower.data);
    if let Some(image) =
        image.filter(|image| !image.path.as_path().dentry().super_block().is_read_only())
    {
        return Err(fc.invalid(fmt!(
            "image=on: '{}' is on a filesystem that can be written to; mount that read-only, or leave the option out",
            &*image.name
        )));
    }
    Ok(())
}

/// Mounts the layers for ourselves.
///
/// # Errors
///
/// `EINVAL`, `ELOOP`, after a message; the errors of mounting.
pub(super) fn build(
    fc: &FsContext<'_>,
    c: &Override<'_>,
    plan: &mut Plan,
    facts: &Facts,
    mounter: ARef<Credential>,
) -> Result<Instance> {
    check_handles(fc, plan);
    let value_of = |given: &mut Option<Given>| given.as_mut().and_then(|given| given.value.take());
    let (upperdir, workdir) = (value_of(&mut plan.upper), value_of(&mut plan.work));
    let mut devices = KVec::with_capacity(2, GFP_KERNEL)?;
    let upper = prepare_upper(fc, c, plan, &mut devices)?;
    let mut filesystems = KVec::with_capacity(2, GFP_KERNEL)?;
    let first = match &upper {
        Some(upper) => upper.mount.owner().fs.clone(),
        None => Arc::new(Filesystem::of_nobody(&mut devices)?, GFP_KERNEL)?,
    };
    filesystems.push(first, GFP_KERNEL)?;
    let merged = plan.lowers.iter().filter(|lower| !lower.data).count();
    let lowers = core::mem::take(&mut plan.lowers);
    let layers = List::new(
        mount_lowers(
            fc,
            c,
            lowers,
            (&mut filesystems, &mut devices),
            &plan.features,
        )?,
        merged,
        upper.as_ref().map_or(&[], Upper::keys),
    )?;
    check_roots(fc, upper.as_ref(), &layers)?;
    if upper.is_some() {
        find_ambiguous(fc, &mut plan.features, &filesystems);
    }
    let uuid = upper
        .as_ref()
        .and_then(|upper| upper::uuid(fc, c, &mut plan.features, upper));
    let xino = choose_xino(fc, plan, facts, upper.as_ref(), &filesystems);
    Ok(Instance {
        magic: if plan.as_overlay {
            OVERLAY_MAGIC
        } else {
            MAGIC
        },
        publications: Publications::new(facts.stack_depth),
        stats: Stats::new(layers.len()),
        indexes: LateBox::default(),
        clones: Clones::new()?,
        mapped: mapping::Tables::default(),
        stack_depth: facts.stack_depth,
        devices: Locked::new_inner((devices, KVec::new()), facts.stack_depth)?,
        has_plain_numbers: xino == XinoBits::SameFs
            && filesystems.iter().all(|fs| fs.is_of_one_part),
        xino,
        encoding: facts.encoding.clone(),
        config: config(plan, upperdir, workdir),
        upper,
        layers: Layers::new(layers, facts.stack_depth)?,
        uuid,
        name_max: AtomicU64::new(facts.name_max),
        mounter,
        name_key: vfs::sys::hash::HashKey::random(),
        last_made_up: AtomicU64::new(0),
        said_not_finalized: AtomicBool::new(false),
    })
}

/// Gets the layer that is written to ready, if there is to be one.
fn prepare_upper(
    fc: &FsContext<'_>,
    c: &Override<'_>,
    plan: &mut Plan,
    devices: &mut KVec<Device>,
) -> Result<Option<Upper>> {
    match (plan.upper.take(), plan.work.take()) {
        (None, _) => Ok(None),
        (Some(_), None) => Err(fc.invalid(fmt!("missing 'workdir'"))),
        (Some(upper), Some(work)) => {
            upper::prepare(fc, c, &mut plan.features, devices, upper, work).map(Some)
        }
    }
}

/// Makes the lower layers, each with a mount of ours and the number of its filesystem.
fn mount_lowers(
    fc: &FsContext<'_>,
    c: &Override<'_>,
    lowers: KVec<Lower>,
    (filesystems, devices): (&mut KVec<Arc<Filesystem>>, &mut KVec<Device>),
    features: &Features,
) -> Result<KVec<ARef<KeptMount<Layer>>>> {
    let mut layers: KVec<ARef<KeptMount<Layer>>> = KVec::with_capacity(lowers.len(), GFP_KERNEL)?;
    for lower in lowers {
        let path = lower.path.as_path();
        if path.dentry().inode().is_in_use_as_upper() {
            // It is in use by another mount, as our own upper layer was just looked at.
            report_in_use(fc, features.index, &lower.name)?;
        }
        // Nothing that can be seen has its number from a data-only layer.
        let fs = match filesystems.first() {
            Some(first) if lower.data => first.clone(),
            _ => filesystem_of(filesystems, devices, c, path)?,
        };
        let mount = PrivateMount::clone_of(c, path, PrivateUse::ReadOnly).inspect_err(|e| {
            fc.error(fmt!(
                "the mount at '{}' can't be cloned: {:?}; it may be unbindable, or of another \
                 mount namespace",
                &*lower.name,
                e
            ));
        })?;
        let keeps_names = match features.nameindex {
            NameIndex::Off => false,
            NameIndex::On => true,
            NameIndex::Auto => mount.get().super_block().is_local(),
        };
        let index = u32::try_from(layers.len()).map_err(|_| EINVAL)?;
        let layer = Layer::new(index, lower.name, fs, keeps_names);
        layers.push(KeptMount::new(mount, layer)?, GFP_KERNEL)?;
    }
    Ok(layers)
}

/// Chooses how inode numbers are made.
fn choose_xino(
    fc: &FsContext<'_>,
    plan: &Plan,
    facts: &Facts,
    upper: Option<&Upper>,
    filesystems: &[Arc<Filesystem>],
) -> XinoBits {
    let wanted = plan.features.xino;
    let only_ino32 = facts.only_ino32
        && upper.is_none_or(|upper| upper.mount.super_block().file_handles() == FileHandles::Ino32);
    // The first is nobody's where there is no upper.
    let count = filesystems
        .len()
        .saturating_sub(usize::from(upper.is_none()));
    let xino = XinoBits::choose(count as u32, upper.is_some(), wanted, only_ino32);
    match xino {
        XinoBits::High(bits) => fc.info(fmt!(
            "\"xino\" feature enabled using {} upper inode bits",
            bits
        )),
        XinoBits::SameFs if wanted == options::Xino::On => fc.info(fmt!(
            "\"xino=on\" is useless with all layers on same fs, ignore"
        )),
        _ => {}
    }
    xino
}

/// Makes the configuration: what is shown of the settings, and asked of them.
fn config(plan: &mut Plan, upperdir: Option<CString>, workdir: Option<CString>) -> Config {
    Config {
        as_overlay: plan.as_overlay,
        features: plan.features,
        asked: plan.asked,
        override_creds: plan.override_creds,
        lowerdirs: plan.list.take(),
        upperdir,
        workdir,
    }
}

/// What the root directory is made of.
pub(super) struct RootParts {
    object: Object,
    marks: Marks,
    /// One of the roots it is merged of wants to be revalidated.
    weak: bool,
}

/// Finds out what the root directory is made of: the roots of all layers.
pub(super) fn root_parts(instance: &Instance, c: &Override<'_>) -> Result<RootParts> {
    let mut xattr_whiteouts = false;
    let list = instance.layers.list();
    let lowermost = list.merged_len().saturating_sub(1);
    let mut lowers = Lowers::default();
    let mut claims = Claims::default();
    let mut weak = false;
    let upper = match &instance.upper {
        Some(upper) => {
            let root = upper.mount.root();
            weak |= root.needs_revalidation();
            let mark = marks::dir_mark(&instance.config, c, upper.mount.root_path());
            claims.upper = mark == DirMark::Finalized;
            Some(upper.mount.pin(ARef::from(root))?)
        }
        None => None,
    };
    for (i, layer) in list.merged().enumerate() {
        let dentry = layer.root();
        weak |= dentry.needs_revalidation();
        // The lowermost is asked when one of its directories is read: few stacks ever care.
        if i < lowermost {
            let mark = marks::dir_mark(&instance.config, c, layer.root_path());
            xattr_whiteouts |= layer
                .owner()
                .expects_xattr_whiteouts(|| mark == DirMark::HasWhiteouts);
            claims.lower |= i == 0 && mark == DirMark::Finalized;
        }
        lowers.push(layer.pin(ARef::from(dentry))?)?;
    }
    let mut object = Object::new(upper, lowers, false)?;
    object.add(Traits::default().with(Trait::XATTR_WHITEOUTS, xattr_whiteouts));
    if claims.upper || claims.lower {
        let finalized = {
            let root = Places::of(Held::unshared(&mut object));
            engine::finalized::traits(instance, c, &root, claims)
        };
        object.add(finalized);
    }
    let marks = engine::inode::read_marks(instance, c, &Places::of(Held::unshared(&mut object)))?;
    Ok(RootParts {
        object,
        marks,
        weak,
    })
}

/// Makes the root directory.
pub(super) fn make_root(sb: &SuperBlock, parts: RootParts) -> Result<Root<LayerFs>> {
    let root = Root::new(engine::inode::root(sb, parts.object, parts.marks)?)?;
    if parts.weak {
        root.set_weakly_revalidated();
    }
    Ok(root)
}
