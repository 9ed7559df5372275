// SPDX-License-Identifier: GPL-2.0-only

//! A filesystem that uses `vfs` wrongly, where the types let it: for tests 795 and 796. It is in the module with
//! pause points alone (`scripts/module --race`).
//!
//! `mount -t misuse -o dir=D,file=F,other=O,case=CASE none MOUNTPOINT` does what `CASE` says, with a directory, an
//! executable file in it, and a directory of another filesystem, and fails with the error that comes of that: `EDOM`
//! if there is none. `case=keep` is mounted, shows `D`, and keeps its root for others, which are given an object that
//! is not of their super block; it forgets it when a name `forget` is looked up.

#![forbid(unsafe_code)]

mod cases;
mod ops;

use core::mem::take;
use kernel::prelude::*;
use kernel::str::CString;
use kernel::sync::aref::ARef;
use vfs::cell::locked::Locked;
use vfs::cell::set_once::SetOnce;
use vfs::object::fs_type::FsType;
use vfs::object::idmap::Idmap;
use vfs::object::inode::Protection;
use vfs::object::inode_cache::Cached;
use vfs::object::inode_cache::InodeData;
use vfs::object::kept_mount::KeptMount;
use vfs::object::mount::PrivateMount;
use vfs::object::mount::PrivateUse;
use vfs::object::super_block::Changes;
use vfs::object::super_block::InWalk;
use vfs::object::super_block::NewSuper;
use vfs::object::super_block::OwnHandles;
use vfs::object::super_block::Properties;
use vfs::object::super_block::Root;
use vfs::object::super_block::SuperData;
use vfs::object::super_block::SuperParts;
use vfs::ops::fs_context::FsContext;
use vfs::ops::fs_context::Value;
use vfs::ops::registration::Registration;
use vfs::ops::ContextOps;
use vfs::sys::cred::OverrideExt;
use vfs::sys::cred::PreparedCred;
use vfs::FileSystem;
use vfs::Inode;
use vfs::Ours;
use vfs::Owner;
use vfs::PinnedDentry;
use vfs::SuperBlock;

/// The filesystem.
pub(crate) struct Misuse;

/// The root of a super block that was mounted with `case=keep`.
static KEPT: SetOnce<Locked<Option<ARef<Inode<Misuse>>>>> = SetOnce::new();

static TYPE: FsType<Misuse> = FsType::new();

impl Owner for Misuse {}

impl Ours for Misuse {
    type SuperData = Data;
    type InodeData = Object;

    fn fs_type() -> &'static FsType<Self> {
        &TYPE
    }
}

impl FileSystem for Misuse {
    const NAME: &'static CStr = c"misuse";
    const USERNS_MOUNT: bool = false;

    type Context = Setup;
    type Attr = ops::Ops;
    type Dir = ops::Ops;
    type Regular = ops::Ops;
    type Symlink = ops::Ops;
    type Xattr = ops::Ops;
    type Dentry = ops::Ops;
    type Super = ops::Ops;
}

/// Registers it, as long as what is returned is kept.
///
/// # Errors
///
/// `ENOMEM`; `EBUSY`: the name is taken.
pub(crate) fn register(module: &'static ThisModule) -> Result<Registration<Misuse>> {
    KEPT.populate(Locked::new(None, 1)?);
    Registration::new(module)
}

/// What `case=keep` keeps.
fn kept() -> Result<ARef<Inode<Misuse>>> {
    let kept = KEPT.as_ref().ok_or(ENXIO)?.lock()?;
    Ok(kept.clone().ok_or(ENXIO)?)
}

fn keep(inode: Option<ARef<Inode<Misuse>>>) -> Result {
    let mut kept = KEPT.as_ref().ok_or(ENXIO)?.lock()?;
    let old = core::mem::replace(&mut *kept, inode);
    drop(kept);
    drop(old);
    Ok(())
}

/// Private data of a super block.
pub(crate) struct Data {
    mount: ARef<KeptMount<()>>,
}

impl SuperData for Data {
    fn private_mounts(&self, each: &mut dyn FnMut(&PrivateMount)) {
        each(self.mount.private());
    }
}

/// Private data of an inode.
#[derive(Default)]
pub(crate) struct Object {
    pins: Option<PinnedDentry<()>>,
}

impl InodeData for Object {
    type Pins = Option<PinnedDentry<()>>;

    fn pins(&self) -> &Self::Pins {
        &self.pins
    }
}

/// A mount that is being configured.
#[derive(Default)]
pub(crate) struct Setup {
    dir: Option<CString>,
    file: Option<CString>,
    other: Option<CString>,
    case: Option<CString>,
}

/// What is to be mounted.
pub(crate) struct Tree {
    case: CString,
    parts: SuperParts<Misuse>,
}

fn given(name: &Option<CString>) -> Result<&CStr> {
    Ok(name.as_ref().ok_or(EINVAL)?)
}

#[vtable]
impl ContextOps<Misuse> for Setup {
    type Tree = Tree;

    fn new(_fc: &FsContext<'_>) -> Result<Self> {
        Ok(Self::default())
    }

    fn option_end(options: &[u8]) -> Option<usize> {
        options.iter().position(|byte| *byte == b',')
    }

    fn parse(&mut self, _fc: &FsContext<'_>, key: &[u8], value: Value<'_>) -> Result {
        let place = match key {
            b"dir" => &mut self.dir,
            b"file" => &mut self.file,
            b"other" => &mut self.other,
            b"case" => &mut self.case,
            _ => return Err(ENOPARAM),
        };
        let Value::String(value) = value else {
            return Err(EINVAL);
        };
        *place = Some(CString::try_from(value)?);
        Ok(())
    }

    fn repeat(
        &mut self,
        _fc: &FsContext<'_>,
        _sb: &SuperBlock<Misuse>,
        _key: &[u8],
        _value: Value<'_>,
    ) -> Result {
        Err(EINVAL)
    }

    fn prepare(&mut self, fc: &FsContext<'_>) -> Result<Tree> {
        let dir = fc.resolve(given(&self.dir)?)?;
        let mounter = PreparedCred::from_current()?.share();
        let mount = mounter
            .override_current(|c| PrivateMount::clone_of(c, dir.as_path(), PrivateUse::Writing))?;
        let case = take(&mut self.case).ok_or(EINVAL)?;
        if let Some(wrong) = cases::find(case.to_bytes()) {
            let file = fc.resolve(given(&self.file)?)?;
            let other = fc.resolve(given(&self.other)?)?;
            mounter.override_current(|c| {
                wrong(&cases::Given {
                    c,
                    mount: mount.get(),
                    dir: dir.as_path().dentry(),
                    file: file.as_path().dentry(),
                    other: other.as_path().dentry(),
                })
            })?;
            return Err(EDOM);
        }
        let in_walk = InWalk::new(mounter, Changes::new()?);
        let properties = Properties {
            encoding: None,
            magic: 0x4d69_7375,
            read_only: false,
            posix_acl: false,
            stack_depth: mount.get().super_block().stack_depth() + 1,
            max_bytes: i64::MAX,
            time_granularity: 1,
            uuid: None,
            handles: OwnHandles::None,
            nosec: false,
        };
        let parts = {
            let mount = KeptMount::new(mount, ())?;
            SuperParts::new(in_walk, Data { mount }, properties)?
        };
        Ok(Tree { case, parts })
    }

    fn fill_super(tree: Tree, sb: NewSuper<'_, Misuse>) -> Result<Root<Misuse>> {
        match tree.case.to_bytes() {
            b"no_data" => return Root::new(kept()?),
            b"root_of_other" => {
                sb.init(tree.parts);
                return Root::new(kept()?);
            }
            _ => {}
        }
        let sb = sb.init(tree.parts);
        let inode = root_inode(sb)?;
        if tree.case.to_bytes() == b"keep" {
            keep(Some(inode.clone()))?;
        }
        Root::new(inode)
    }

    fn reconfigure(&mut self, _fc: &FsContext<'_>, _sb: &SuperBlock<Misuse>) -> Result {
        Err(EINVAL)
    }
}

/// An inode that stands for the root of what is mounted below.
fn root_inode(sb: &SuperBlock<Misuse>) -> Result<ARef<Inode<Misuse>>> {
    let real = sb.data().mount.root();
    match sb.get_or_new(real.inode().key())? {
        Cached::Found(inode) => Ok(inode),
        Cached::New(new) => {
            let pins = Some(sb.data().mount.pin(ARef::from(real))?);
            let object = Object { pins };
            new.init(1, Protection::default(), None, object, |object| {
                let pin = object.pins.as_ref().ok_or(EIO)?;
                Ok((pin.inode(), Idmap::identity()))
            })
        }
    }
}
