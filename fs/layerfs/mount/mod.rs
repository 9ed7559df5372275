// SPDX-License-Identifier: GPL-2.0-only

//! From mount options to a mounted stack.
//!
//! Options are taken one by one ([`Setup::parse`](ContextOps::parse)), layers resolved as they come;
//! then the layers are checked against each other, each gets a private mount, and the root is made.
//! Whatever is wrong is said in the log of the mount itself, with the layer and the remedy; where the
//! type is `overlay`, in the kernel's log, but for options that can't be taken.

#![forbid(unsafe_code)]

mod upper;

use crate::engine;
use crate::engine::inode::Found;
use crate::marks;
use crate::ops;
use crate::state::config;
use crate::state::config::Config;
use crate::state::config::Lowerdirs;
use crate::state::instance::Instance;
use crate::state::layer::Filesystem;
use crate::state::layer::Layer;
use crate::state::layer::Upper;
use crate::state::LayerFs;
use crate::state::SuperBlock;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::AtomicUsize;
use format::ino::XinoBits;
use format::opaque::DirMark;
use format::options;
use format::options::Applied;
use format::options::Defaults;
use format::options::Features;
use format::options::Key;
use kernel::cred::Credential;
use kernel::prelude::*;
use kernel::str::CString;
use kernel::sync::aref::ARef;
use vfs::cred;
use vfs::cred::Capability;
use vfs::cred::OverrideExt;
use vfs::errno::*;
use vfs::fs_context::FsContext;
use vfs::fs_context::Value;
use vfs::inode::InodeKey;
use vfs::mount::PrivateMount;
use vfs::mount::PrivateUse;
use vfs::ops::ContextOps;
use vfs::path::OwnedPath;
use vfs::registration::FsType;
use vfs::stat::StatFs;
use vfs::super_block::FileHandles;
use vfs::super_block::NewSuper;
use vfs::super_block::Properties;
use vfs::super_block::Root;
use vfs::super_block::MAX_STACK_DEPTH;
use vfs::sync::AnonDev;
use vfs::FileSystem;
use vfs::Override;
use vfs::Path;

static TYPE: FsType<LayerFs> = FsType::new();

impl FileSystem for LayerFs {
    const NAME: &'static CStr = c"layerfs";
    const USERNS_MOUNT: bool = true;

    type SuperData = Instance;
    type InodeData = crate::state::object::Object;
    type Context = Setup;
    type Attr = ops::attr::Attr;
    type Dir = ops::dir::Dir;
    type Regular = ops::file::Regular;
    type Symlink = ops::symlink::Symlink;
    type Xattr = ops::xattr::Xattr;
    type Dentry = ops::dentry::Dentry;
    type Super = ops::super_block::Super;

    fn fs_type() -> &'static FsType<Self> {
        &TYPE
    }
}

/// What `statfs(2)` shows of a mount: "LYRF".
const MAGIC: u64 = 0x4c59_5246;

/// The name under which our overlay.ko registers the same filesystem.
const OVERLAY: &CStr = c"overlay";

/// What `statfs(2)` shows of a mount of that name, as of overlayfs's.
const OVERLAY_MAGIC: u64 = 0x794c_7630;

/// `upperdir` or `workdir` as it was given.
struct Given {
    path: OwnedPath,
    name: CString,
}

/// A lower layer as it was given.
struct Lower {
    path: OwnedPath,
    name: CString,
    /// It only has data: it is not merged, but found by the redirects of metacopy files.
    data: bool,
}

/// A mount that is being configured.
pub(crate) struct Setup {
    /// It is mounted as `overlay`.
    as_overlay: bool,
    defaults: Defaults,
    features: Features,
    lowers: KVec<Lower>,
    upper: Option<Given>,
    work: Option<Given>,
    /// The value of `lowerdir=`, if the layers came by it.
    list: Option<CString>,
    /// Whose credentials to use, if not those of whoever makes the super block.
    mounter: Option<ARef<Credential>>,
}

#[vtable]
impl ContextOps<LayerFs> for Setup {
    fn new(fc: &FsContext<'_>) -> Result<Self> {
        let as_overlay = fc.type_name() == OVERLAY;
        let defaults = config::defaults(as_overlay);
        Ok(Self {
            as_overlay,
            features: Features::new(&defaults),
            defaults,
            lowers: KVec::new(),
            upper: None,
            work: None,
            list: None,
            mounter: None,
        })
    }

    fn option_end(options: &[u8]) -> Option<usize> {
        let mut escaped = false;
        options.iter().position(|&byte| {
            let ends = byte == b',' && !escaped;
            escaped = byte == b'\\' && !escaped;
            ends
        })
    }

    fn parse(&mut self, fc: &FsContext<'_>, key: &[u8], value: Value<'_>) -> Result {
        self.choose_log(fc);
        if fc.is_reconfigure() {
            // mount(8) repeats the options of the mount, so mount(2) has to put up with any.
            if fc.is_old_api() {
                return Ok(());
            }
            return Err(fc.refuse(fmt!("No changes allowed in reconfigure")));
        }
        let key = Key::parse(key).ok_or(ENOPARAM)?;
        match (key, value) {
            (Key::Lowerdir, Value::String(list)) => self.set_list(fc, list),
            (Key::LowerdirAdd | Key::DatadirAdd, Value::String(name)) => {
                let path = resolve(fc, key.name(), name)?;
                self.add_one(fc, key, path, CString::try_from(name)?)
            }
            (Key::LowerdirAdd | Key::DatadirAdd, Value::File(path)) => {
                let name = path.name()?;
                self.add_one(fc, key, path, name)
            }
            (Key::Upperdir | Key::Workdir, Value::String(name)) => {
                let mut buf = KVec::from_elem(0u8, name.to_bytes().len() + 1, GFP_KERNEL)?;
                let name = options::unescape_cstr(name.to_bytes(), &mut buf)
                    .map_err(|why| fc.invalid(fmt!("{}: {}", key.name(), why.reason())))?;
                let path = resolve(fc, key.name(), name)?;
                self.set_upper(fc, key, path, CString::try_from(name)?)
            }
            (Key::Upperdir | Key::Workdir, Value::File(path)) => {
                let name = path.name()?;
                self.set_upper(fc, key, path, name)
            }
            (Key::OverrideCreds, Value::Flag) => {
                if !fc.in_userns_below() {
                    return Err(fc.invalid(fmt!(
                        "override_creds: the caller is not in the user namespace of the mount"
                    )));
                }
                self.mounter = Some(mounter_credentials()?);
                Ok(())
            }
            (Key::NooverrideCreds, Value::Flag) => {
                self.mounter = None;
                Ok(())
            }
            (_, Value::String(word)) => self.set(fc, key, Some(word.to_bytes())),
            (_, Value::Flag) => self.set(fc, key, None),
            _ => Err(fc.refuse(fmt!("{}: a value of this kind is not possible", key.name()))),
        }
    }

    fn fill_super(
        &mut self,
        fc: &FsContext<'_>,
        sb: NewSuper<'_, LayerFs>,
    ) -> Result<Root<LayerFs>> {
        self.choose_log(fc);
        // The descriptor of the context may have been passed to another name space.
        if !fc.in_same_userns() {
            return Err(fc.invalid(fmt!(
                "the mount is made in another user namespace than it was configured in"
            )));
        }
        let mounter = match self.mounter.take() {
            Some(mounter) => mounter,
            None => mounter_credentials()?,
        };
        let guard = ARef::clone(&mounter);
        let c = guard.override_current();
        self.resolve_features(fc)?;
        let facts = self.check_layers(fc)?;
        let instance = self.build(fc, &c, &facts, mounter)?;
        check_overlaps(fc, &instance)?;
        let upper_sb = instance
            .upper
            .as_ref()
            .map(|upper| upper.mount.get().super_block());
        let properties = Properties {
            magic: instance.magic,
            read_only: instance
                .upper
                .as_ref()
                .is_none_or(|upper| upper.is_read_only()),
            posix_acl: true,
            stack_depth: facts.stack_depth,
            max_bytes: i64::MAX,
            time_granularity: upper_sb.map_or(1, |sb| sb.time_granularity()),
            uuid: instance.uuid,
            nosec: upper_sb.is_some_and(|sb| sb.is_nosec()),
        };
        let sb = sb.init(instance, &properties)?;
        make_root(sb, &c)
    }

    fn reconfigure(&mut self, fc: &FsContext<'_>, sb: &SuperBlock) -> Result {
        self.choose_log(fc);
        let instance = sb.data();
        let upper = instance
            .upper
            .as_ref()
            .filter(|upper| !upper.is_read_only());
        if !fc.wants_read_only() && upper.is_none() {
            fc.error(fmt!(
                "without an upper layer a mount can't be made writable"
            ));
            return Err(EROFS);
        }
        match upper {
            Some(upper)
                if fc.wants_read_only() && !sb.is_read_only() && !instance.is_volatile() =>
            {
                upper.mount.get().super_block().sync()
            }
            _ => Ok(()),
        }
    }
}

/// The credentials with which layers are accessed: the current task's, but never beyond quotas.
fn mounter_credentials() -> Result<ARef<Credential>> {
    let mut cred = cred::Prepared::from_current()?;
    cred.lower(Capability::SysResource);
    Ok(cred.share())
}

/// Resolves the name of a layer.
fn resolve(fc: &FsContext<'_>, key: &str, name: &CStr) -> Result<OwnedPath> {
    if name.is_empty() {
        return Err(fc.invalid(fmt!("{}: an empty path", key)));
    }
    OwnedPath::resolve(name).inspect_err(|e| {
        fc.error(fmt!("{} '{}' can't be resolved: {:?}", key, name, e));
    })
}

/// Checks that a layer can stand on a directory.
fn check_dir(fc: &FsContext<'_>, path: &OwnedPath, name: &CStr) -> Result {
    let dentry = path.as_path().dentry;
    if !dentry.inode().is_dir() {
        return Err(fc.refuse(fmt!("'{}' is not a directory", name)));
    }
    if dentry.inode().is_casefolded() {
        return Err(fc.refuse(fmt!(
            "'{}' ignores case in names, which is not supported by this version",
            name
        )));
    }
    if let Some(why) = dentry.unsuitable() {
        return Err(fc.refuse(fmt!("'{}' can't be a layer: {}", name, why)));
    }
    Ok(())
}

impl Setup {
    /// Programs made for overlayfs expect `mount(8)` to print the error number's text alone, but for an
    /// option that can't be taken, and nothing at all on success: what there is to say is in the
    /// kernel's log.
    fn choose_log(&self, fc: &FsContext<'_>) {
        if self.as_overlay {
            fc.use_kernel_log();
        }
    }

    /// A setting.
    fn set(&mut self, fc: &FsContext<'_>, key: Key, word: Option<&[u8]>) -> Result {
        match self.features.apply(key, word, &self.defaults) {
            Ok(Applied::Set) => Ok(()),
            Ok(Applied::NotASetting) => {
                Err(fc.refuse(fmt!("{}: a value of this kind is not possible", key.name())))
            }
            Err(why) => Err(fc.refuse(fmt!("bad value for '{}': {}", key.name(), why.reason()))),
        }
    }

    /// `lowerdir=`: replaces all layers that were given before.
    fn set_list(&mut self, fc: &FsContext<'_>, list: &CStr) -> Result {
        self.lowers = KVec::new();
        self.list = None;
        if list.is_empty() {
            return Ok(());
        }
        self.list = Some(CString::try_from(list)?);
        let mut buf = KVec::from_elem(0u8, list.to_bytes().len() + 1, GFP_KERNEL)?;
        for item in options::split_lowerdirs(list.to_bytes()) {
            let item = item.map_err(|why| fc.invalid(fmt!("{}", why.reason())))?;
            let name = options::unescape_cstr(item.path, &mut buf)
                .map_err(|why| fc.invalid(fmt!("{}", why.reason())))?;
            let path = resolve(fc, "lowerdir", name)?;
            let lower = Lower {
                path,
                name: CString::try_from(name)?,
                data: item.data,
            };
            self.add(fc, lower)?;
        }
        Ok(())
    }

    /// `upperdir=` and `workdir=`
    fn set_upper(
        &mut self,
        fc: &FsContext<'_>,
        key: Key,
        path: OwnedPath,
        name: CString,
    ) -> Result {
        let dentry = path.as_path().dentry;
        check_dir(fc, &path, &name)?;
        if dentry.is_stacked() {
            return Err(fc.refuse(fmt!(
                "filesystem on '{}' not supported as upperdir: it stands on others itself",
                &*name
            )));
        }
        if path.as_path().mount.is_readonly() {
            return Err(fc.refuse(fmt!("filesystem on '{}' is read-only", &*name)));
        }
        let given = Some(Given { path, name });
        if key == Key::Workdir {
            self.features.given.workdir = true;
            self.work = given;
        } else {
            self.upper = given;
        }
        Ok(())
    }

    /// `lowerdir+=` and `datadir+=`
    fn add_one(&mut self, fc: &FsContext<'_>, key: Key, path: OwnedPath, name: CString) -> Result {
        if self.list.is_some() {
            return Err(fc.refuse(fmt!(
                "lowerdir+ and datadir+ cannot follow lowerdir: give all layers one way or the other"
            )));
        }
        let data = key == Key::DatadirAdd;
        if !data && self.lowers.last().is_some_and(|lower| lower.data) {
            return Err(fc.refuse(fmt!("regular lower layers cannot follow data layers")));
        }
        self.add(fc, Lower { path, name, data })
    }

    fn add(&mut self, fc: &FsContext<'_>, lower: Lower) -> Result {
        check_dir(fc, &lower.path, &lower.name)?;
        if self.lowers.len() == options::MAX_LAYERS {
            return Err(fc.refuse(fmt!(
                "too many lower directories, limit is {}",
                options::MAX_LAYERS
            )));
        }
        self.lowers.push(lower, GFP_KERNEL)?;
        Ok(())
    }

    /// Settles what the settings mean together, and what this version has of them.
    fn resolve_features(&mut self, fc: &FsContext<'_>) -> Result {
        let has_data_layers = self.lowers.last().is_some_and(|lower| lower.data);
        let may_use_trusted = cred::capable(Capability::SysAdmin);
        let settled = self.features.resolve(
            self.upper.is_some(),
            has_data_layers,
            may_use_trusted,
            &mut |note| fc.info(fmt!("{}", note.text())),
        );
        settled.map_err(|conflict| {
            fc.error(fmt!("{}", conflict.text()));
            Error::from_errno(-conflict.errno())
        })?;
        // Nothing is indexed without an upper layer, and not yet with one.
        if self.features.index && self.features.given.index {
            fc.warn(fmt!(
                "index=on is not supported by this version, falling back to index=off"
            ));
        }
        self.features.index = false;
        if self.features.nfs_export {
            fc.warn(fmt!(
                "nfs_export is not supported by this version, falling back to nfs_export=off"
            ));
            self.features.nfs_export = false;
        }
        Ok(())
    }

    /// Checks each layer for itself.
    fn check_layers(&self, fc: &FsContext<'_>) -> Result<Facts> {
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
        };
        if let Some(upper) = &self.upper {
            let path = upper.path.as_path();
            let stat = StatFs::of(path).inspect_err(|e| {
                fc.error(fmt!("statfs failed on '{}': {:?}", &*upper.name, e));
            })?;
            facts.name_max = stat.name_max();
            facts.stack_depth = path.dentry.super_block().stack_depth();
        }
        for lower in &self.lowers {
            let path = lower.path.as_path();
            let stat = StatFs::of(path).inspect_err(|e| {
                fc.error(fmt!("statfs failed on '{}': {:?}", &*lower.name, e));
            })?;
            facts.name_max = facts.name_max.max(stat.name_max());
            let sb = path.dentry.super_block();
            facts.stack_depth = facts.stack_depth.max(sb.stack_depth());
            // Without the right to decode handles nothing is known of the numbers either.
            facts.only_ino32 &=
                sb.file_handles() == FileHandles::Ino32 && cred::capable(Capability::DacReadSearch);
        }
        facts.stack_depth += 1;
        if facts.stack_depth > MAX_STACK_DEPTH {
            return Err(fc.invalid(fmt!(
                "maximum fs stacking depth exceeded: at most {} filesystems may stand on each other",
                MAX_STACK_DEPTH
            )));
        }
        Ok(facts)
    }

    /// Mounts the layers for ourselves.
    fn build(
        &mut self,
        fc: &FsContext<'_>,
        c: &Override<'_>,
        facts: &Facts,
        mounter: ARef<Credential>,
    ) -> Result<Instance> {
        let mut layers: KVec<Layer> = KVec::with_capacity(self.lowers.len(), GFP_KERNEL)?;
        // The first filesystem is upper's, or nobody's.
        let mut filesystems: KVec<Filesystem> = KVec::new();
        let nobody = Filesystem {
            id: 0,
            dev: AnonDev::new()?,
            uuid: [0; 16],
            is_lower: false,
            ambiguous: false,
        };
        filesystems.push(nobody, GFP_KERNEL)?;
        let upper = match (self.upper.take(), self.work.take()) {
            (None, _) => None,
            (Some(_), None) => return Err(fc.invalid(fmt!("missing 'workdir'"))),
            (Some(upper), Some(work)) => {
                let prepared = upper::prepare(fc, c, &mut self.features, upper, work)?;
                if let Some(fs) = filesystems.first_mut() {
                    let sb = prepared.mount.get().super_block();
                    fs.id = sb.id();
                    fs.uuid = sb.uuid();
                }
                Some(prepared)
            }
        };
        let mut names = KVec::new();
        let mut no_idmaps = upper
            .as_ref()
            .is_none_or(|upper| upper.mount.get().idmap().is_identity());
        let mut merged = 0;
        for lower in core::mem::take(&mut self.lowers) {
            let path = lower.path.as_path();
            let root = path.dentry.inode().key();
            if path.dentry.inode().is_in_use_as_upper() {
                // By another mount: our own was just looked at.
                warn_in_use(fc, &lower.name);
            }
            // Nothing that can be seen has its number from a data-only layer.
            let fsid = if lower.data {
                0
            } else {
                merged += 1;
                fsid_of(&mut filesystems, path.dentry.super_block())?
            };
            let mount = PrivateMount::clone_of(path, PrivateUse::ReadOnly).inspect_err(|e| {
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
        let count = filesystems.len() - usize::from(upper.is_none());
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
                lowerdirs: match self.list.take() {
                    Some(list) => Lowerdirs::List(list),
                    None => Lowerdirs::Each(names),
                },
            },
            magic: if self.as_overlay {
                OVERLAY_MAGIC
            } else {
                MAGIC
            },
            roots: sorted_roots(fc, upper.as_ref(), &layers)?,
            upper,
            layers,
            merged,
            filesystems,
            uuid,
            xino,
            name_max: facts.name_max,
            mounter,
            no_idmaps,
            name_seed: vfs::sync::random(),
            rekeyed: AtomicUsize::new(0),
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
    let mut roots: KVec<InodeKey> = KVec::with_capacity(layers.len() + 3, GFP_KERNEL)?;
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

/// The index of a filesystem in inode numbers; 0 is upper's.
fn fsid_of(filesystems: &mut KVec<Filesystem>, sb: &vfs::SuperBlock<vfs::Foreign>) -> Result<u32> {
    let id = sb.id();
    let index = match filesystems.iter().position(|fs| fs.id == id) {
        Some(index) => index,
        None => {
            let new = Filesystem {
                id,
                dev: AnonDev::new()?,
                uuid: sb.uuid(),
                is_lower: false,
                ambiguous: false,
            };
            filesystems.push(new, GFP_KERNEL)?;
            filesystems.len() - 1
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
            let twin = filesystems
                .iter()
                .enumerate()
                .any(|(j, fs)| j != i && fs.is_lower && (!by_uuid || fs.uuid == uuid));
            let ambiguous = twin || uuid == [0; 16] && !trusts_lowers;
            if let Some(this) = filesystems.get_mut(i) {
                this.ambiguous = ambiguous;
            }
            // The filesystem of upper is known to be that.
            if ambiguous && i > 0 && self.features.xino == options::Xino::Auto {
                self.features.xino = options::Xino::Off;
                fc.warn(fmt!(
                    "a lower filesystem has no uuid of its own, falling back to xino=off"
                ));
            }
        }
    }
}

/// What the layers have together.
struct Facts {
    /// The longest name that one of them can have, in bytes.
    name_max: u64,
    stack_depth: u32,
    /// Every filesystem numbers its inodes with 32 bits.
    only_ino32: bool,
}

fn warn_in_use(fc: &FsContext<'_>, name: &CStr) {
    fc.warn(fmt!(
        "'{}' is in use as upperdir or workdir of another mount; what is changed there may or may \
         not be seen here",
        name
    ));
}

/// Refuses layers that contain each other.
fn check_overlaps(fc: &FsContext<'_>, instance: &Instance) -> Result {
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

/// Makes the root directory: merged of the roots of all layers.
fn make_root(sb: &SuperBlock, c: &Override<'_>) -> Result<Root<LayerFs>> {
    let instance = sb.data();
    let mut xattr_whiteouts = false;
    let mut below = KVec::new();
    let mut top = None;
    let mut weak = false;
    let upper = instance
        .upper
        .as_ref()
        .map(|upper| ARef::from(upper.mount.get().root()));
    if let Some(upper) = &upper {
        weak |= upper.needs_revalidation();
    }
    let lowermost = instance.merged.saturating_sub(1);
    for (i, layer) in instance.layers.iter().enumerate().take(instance.merged) {
        let dentry = root_of(layer);
        weak |= dentry.needs_revalidation();
        let path = Path {
            mount: layer.mount.get(),
            dentry,
        };
        if i < lowermost && marks::dir_mark(&instance.config, c, path) == DirMark::HasWhiteouts {
            layer.expect_xattr_whiteouts();
            xattr_whiteouts = true;
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
    let root = Root::new(engine::inode::root(sb, instance, c, found)?)?;
    if weak {
        root.set_weakly_revalidated();
    }
    Ok(root)
}
