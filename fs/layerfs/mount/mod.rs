// SPDX-License-Identifier: GPL-2.0-only

//! Making a mounted stack of mount options (`struct fs_context`).
//!
//! Options are taken one by one ([`Setup::parse`](ContextOps::parse)), layers resolved as they come, and make a plan
//! (`plan.rs`). Then the layers are made into a stack (`layers.rs`), upper with what it takes to write (`upper.rs`);
//! the filesystems that they are on are numbered (`filesystems.rs`), and layers within each other refused
//! (`overlaps.rs`), as are those to which others have a way where that matters (`private.rs`). Whatever is wrong is
//! said in the log of the mount itself (`struct fc_log`), with the layer and the remedy; where the type is `overlay`, it
//! is said in the kernel's log, but for options that can't be taken.

#![forbid(unsafe_code)]

mod filesystems;
mod index;
mod layers;
mod overlaps;
mod plan;
mod private;
mod remount;
mod upper;

use self::layers::make_root;
use self::layers::root_parts;
use self::layers::RootParts;
use self::overlaps::check_overlaps;
use self::plan::Given;
use self::plan::Lower;
use self::plan::Plan;
use crate::engine;
use crate::ops;
use crate::state::config;
use crate::state::instance::Instance;
use crate::state::LayerFs;
use crate::state::SuperBlock;
use format::options;
use format::options::Applied;
use format::options::Defaults;
use format::options::Features;
use format::options::Key;
use kernel::cred::Credential;
use kernel::prelude::*;
use kernel::str::CString;
use kernel::sync::aref::ARef;
use vfs::object::fs_type::FsType;
use vfs::object::path::OwnedPath;
use vfs::object::super_block::InWalk;
use vfs::object::super_block::NewSuper;
use vfs::object::super_block::OwnHandles;
use vfs::object::super_block::Properties;
use vfs::object::super_block::Root;
use vfs::object::super_block::SuperParts;
use vfs::ops::fs_context::FsContext;
use vfs::ops::fs_context::Value;
use vfs::ops::registration::Registration;
use vfs::ops::ContextOps;
use vfs::sys::cred;
use vfs::sys::cred::Capability;
use vfs::sys::cred::OverrideExt;
use vfs::FileSystem;
use vfs::Ours;
use vfs::Override;

/// The loaded module: as long as it lives, the type can be mounted.
pub(crate) struct Module {
    _registration: Registration<LayerFs>,
    /// The registration of a filesystem of the tests (`tests/misuse`).
    #[cfg(vfs_pause)]
    _misuse: Registration<crate::misuse::Misuse>,
}

impl kernel::Module for Module {
    fn init(module: &'static ThisModule) -> Result<Self> {
        Ok(Self {
            _registration: Registration::new(module)?,
            #[cfg(vfs_pause)]
            _misuse: crate::misuse::register(module)?,
        })
    }
}

static TYPE: FsType<LayerFs> = FsType::new();

impl Ours for LayerFs {
    type SuperData = Instance;
    type InodeData = crate::state::object::Object;

    fn fs_type() -> &'static FsType<Self> {
        &TYPE
    }
}

impl FileSystem for LayerFs {
    const NAME: &'static CStr = c"layerfs";
    const USERNS_MOUNT: bool = true;

    type Context = Setup;
    type Attr = ops::attr::Attr;
    type Dir = ops::dir::Dir;
    type Regular = ops::file::Regular;
    type Symlink = ops::symlink::Symlink;
    type Xattr = ops::xattr::Xattr;
    type Dentry = ops::dentry::Dentry;
    type Super = ops::super_block::Super;
}

/// The name under which our overlay.ko registers the same filesystem.
const OVERLAY: &CStr = c"overlay";

/// A mount that is being configured.
pub(crate) struct Setup {
    /// The settings for options that are not given.
    defaults: Defaults,
    plan: Plan,
    /// The credentials to use, if not those of whoever makes the super block.
    mounter: Option<ARef<Credential>>,
}

/// A stack that is ready to be mounted: the layers were asked for all that has to be known of them.
pub(crate) struct Stack {
    /// What the root is made of; it comes before `parts`, as it must be dropped before the mounts that its dentries are
    /// of.
    root: RootParts,
    parts: SuperParts<LayerFs>,
}

#[vtable]
impl ContextOps<LayerFs> for Setup {
    type Tree = Stack;

    fn new(fc: &FsContext<'_>) -> Result<Self> {
        let as_overlay = fc.type_name() == OVERLAY;
        let defaults = config::defaults(as_overlay);
        Ok(Self {
            plan: Plan::new(as_overlay, Features::new(&defaults)),
            defaults,
            mounter: None,
        })
    }

    fn option_end(options: &[u8]) -> Option<usize> {
        options::option_end(options)
    }

    fn parse(&mut self, fc: &FsContext<'_>, key: &[u8], value: Value<'_>) -> Result {
        self.choose_log(fc);
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
                let value = CString::try_from(name)?;
                let name = options::unescape_cstr(name.to_bytes(), &mut buf)
                    .map_err(|why| fc.invalid(fmt!("{}: {}", key.name(), why.reason())))?;
                let path = resolve(fc, key.name(), name)?;
                self.set_upper(fc, key, path, CString::try_from(name)?, value)
            }
            (Key::Upperdir | Key::Workdir, Value::File(path)) => {
                let name = path.name()?;
                let value = config::to_value(options::escaped(name.to_bytes()))?;
                self.set_upper(fc, key, path, name, value)
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

    fn repeat(
        &mut self,
        fc: &FsContext<'_>,
        sb: &SuperBlock,
        key: &[u8],
        value: Value<'_>,
    ) -> Result {
        self.choose_log(fc);
        // The old interface (`mount(2)`) takes any, as it always has.
        if fc.is_old_api() {
            return Ok(());
        }
        let key = Key::parse(key).ok_or(ENOPARAM)?;
        if remount::is_as_mounted(fc, sb.data(), key, value)? {
            return Ok(());
        }
        Err(fc.refuse(fmt!("{} can't be changed while it is mounted", key.name())))
    }

    fn prepare(&mut self, fc: &FsContext<'_>) -> Result<Stack> {
        self.choose_log(fc);
        // The descriptor of the context may have been passed to another name space.
        if !fc.in_same_userns() {
            return Err(fc.invalid(fmt!(
                "the mount is made in another user namespace than it was configured in"
            )));
        }
        self.plan.override_creds = self.mounter.is_some();
        let mounter = match self.mounter.take() {
            Some(mounter) => mounter,
            None => mounter_credentials()?,
        };
        mounter.override_current(|c| self.prepare_as_mounter(fc, c, &mounter))
    }

    fn fill_super(stack: Stack, sb: NewSuper<'_, LayerFs>) -> Result<Root<LayerFs>> {
        engine::stale::forget();
        make_root(sb.init(stack.parts), stack.root)
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
                upper.mount.super_block().sync()
            }
            _ => Ok(()),
        }
    }
}

/// Returns the credentials with which layers are accessed: the current task's, but never beyond quotas.
fn mounter_credentials() -> Result<ARef<Credential>> {
    let mut cred = cred::PreparedCred::from_current()?;
    cred.lower(Capability::SysResource);
    Ok(cred.share())
}

/// Resolves the name of a layer.
fn resolve(fc: &FsContext<'_>, key: &str, name: &CStr) -> Result<OwnedPath> {
    if name.is_empty() {
        return Err(fc.invalid(fmt!("{}: an empty path", key)));
    }
    fc.resolve(name).inspect_err(|e| {
        fc.error(fmt!("{} '{}' can't be resolved: {:?}", key, name, e));
    })
}

impl Setup {
    /// Makes the instance, and what the root is made of, from what was configured.
    fn prepare_as_mounter(
        &mut self,
        fc: &FsContext<'_>,
        c: &Override<'_>,
        mounter: &Credential,
    ) -> Result<Stack> {
        self.plan.asked = self.plan.features;
        self.resolve_features(fc)?;
        let facts = layers::check(fc, &self.plan)?;
        private::check(fc, c, &self.plan)?;
        index::check_handles(fc, &mut self.plan);
        let mut instance = layers::build(fc, c, &mut self.plan, &facts, mounter.into())?;
        index::prepare(fc, c, &mut instance)?;
        check_overlaps(fc, &instance)?;
        let upper_sb = instance
            .upper
            .as_ref()
            .map(|upper| upper.mount.super_block());
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
            encoding: facts.encoding,
            handles: match facts.has_handles {
                _ if instance.config.features.nfs_export => OwnHandles::Open,
                true => OwnHandles::Identify,
                false => OwnHandles::None,
            },
            nosec: upper_sb.is_some_and(|sb| sb.is_nosec()),
        };
        let parts = SuperParts::new(
            InWalk::new(mounter.into(), instance.layers.counter()),
            instance,
            properties,
        )?;
        Ok(Stack {
            root: root_parts(parts.data(), c)?,
            parts,
        })
    }

    /// Chooses where messages go. Programs made for overlayfs expect `mount(8)` to print the error number's text alone,
    /// but for an option that can't be taken, and nothing at all on success: what there is to say is in the kernel's
    /// log.
    fn choose_log(&self, fc: &FsContext<'_>) {
        if self.plan.as_overlay {
            fc.use_kernel_log(LayerFs::NAME);
        }
    }

    /// Takes a setting.
    fn set(&mut self, fc: &FsContext<'_>, key: Key, word: Option<&[u8]>) -> Result {
        match self.plan.features.apply(key, word, &self.defaults) {
            Ok(Applied::Set) => Ok(()),
            Ok(Applied::NotASetting) => {
                Err(fc.refuse(fmt!("{}: a value of this kind is not possible", key.name())))
            }
            Err(why) => Err(fc.refuse(fmt!("bad value for '{}': {}", key.name(), why.reason()))),
        }
    }

    /// Takes `lowerdir=`, which replaces all layers that were given before.
    fn set_list(&mut self, fc: &FsContext<'_>, list: &CStr) -> Result {
        self.plan.lowers = KVec::new();
        self.plan.list = None;
        if self.plan.upper.is_none() && self.plan.work.is_none() {
            self.plan.ignores_case = None;
        }
        if list.is_empty() {
            return Ok(());
        }
        self.plan.list = Some(CString::try_from(list)?);
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

    /// Takes `upperdir=` or `workdir=`.
    fn set_upper(
        &mut self,
        fc: &FsContext<'_>,
        key: Key,
        path: OwnedPath,
        name: CString,
        value: CString,
    ) -> Result {
        let dentry = path.as_path().dentry();
        self.check_dir(fc, &path, &name)?;
        if dentry.is_stacked() {
            return Err(fc.refuse(fmt!(
                "filesystem on '{}' not supported as upperdir: it stands on others itself",
                &*name
            )));
        }
        if path.as_path().mount().is_readonly() {
            return Err(fc.refuse(fmt!("filesystem on '{}' is read-only", &*name)));
        }
        let given = Some(Given {
            path,
            name,
            value: Some(value),
        });
        if key == Key::Workdir {
            self.plan.features.given.workdir = true;
            self.plan.work = given;
        } else {
            self.plan.upper = given;
        }
        Ok(())
    }

    /// Takes `lowerdir+=` or `datadir+=`.
    fn add_one(&mut self, fc: &FsContext<'_>, key: Key, path: OwnedPath, name: CString) -> Result {
        if self.plan.list.is_some() {
            return Err(fc.refuse(fmt!(
                "lowerdir+ and datadir+ cannot follow lowerdir: give all layers one way or the other"
            )));
        }
        let data = key == Key::DatadirAdd;
        if !data && self.plan.has_data_layers() {
            return Err(fc.refuse(fmt!("regular lower layers cannot follow data layers")));
        }
        self.add(fc, Lower { path, name, data })
    }

    /// Checks that a layer can stand on a directory.
    fn check_dir(&mut self, fc: &FsContext<'_>, path: &OwnedPath, name: &CStr) -> Result {
        let path = path.as_path();
        if let Some(why) = engine::fit::why_no_layer(path, self.plan.ignores_case) {
            return Err(fc.refuse(fmt!("'{}' {}", name, why)));
        }
        self.plan.ignores_case = Some(path.dentry().inode().is_casefolded());
        Ok(())
    }

    fn add(&mut self, fc: &FsContext<'_>, lower: Lower) -> Result {
        self.check_dir(fc, &lower.path, &lower.name)?;
        if self.plan.lowers.len() == options::MAX_LAYERS {
            return Err(fc.refuse(fmt!(
                "too many lower directories, limit is {}",
                options::MAX_LAYERS
            )));
        }
        self.plan.lowers.push(lower, GFP_KERNEL)?;
        Ok(())
    }

    /// Settles what the settings mean together, and what this version has of them.
    fn resolve_features(&mut self, fc: &FsContext<'_>) -> Result {
        let has_data_layers = self.plan.has_data_layers();
        let may_use_trusted = cred::capable(Capability::SysAdmin);
        let settled = self.plan.features.resolve(
            self.plan.upper.is_some(),
            has_data_layers,
            may_use_trusted,
            &mut |note| fc.info(fmt!("{}", note.text())),
        );
        settled.map_err(|conflict| {
            fc.error(fmt!("{}", conflict.text()));
            vfs::sys::errno::from_errno(-i64::from(conflict.errno()))
        })?;
        Ok(())
    }
}
