// SPDX-License-Identifier: GPL-2.0-only

//! Directories: looking up names, and reading them.
//!
//! A directory that is in one layer only, and has no whiteouts, is read through the real one, whose
//! positions its user then sees. Any other is read from a merged listing, whose positions are the
//! numbers of the entries: `.` is 0, `..` is 1.

#![forbid(unsafe_code)]

use crate::engine;
use crate::state::instance::Instance;
use crate::state::listing::Listing;
use crate::state::object;
use crate::state::File;
use crate::state::Inode;
use crate::state::LayerFs;
use format::ino;
use format::ino::XinoBits;
use kernel::prelude::*;
use kernel::sync::aref::ARef;
use kernel::sync::Arc;
use vfs::dentry::Unhashed;
use vfs::dir_iter::Emitter;
use vfs::dir_iter::Entry;
use vfs::dir_iter::Next;
use vfs::dir_iter::Type;
use vfs::errno::*;
use vfs::file::OwnedFile;
use vfs::ops::DirOps;
use vfs::sync::Locked;

/// Operations of directories.
pub(crate) struct Dir;

/// An open directory.
pub(crate) struct OpenDir {
    /// The directory of the top layer.
    real: OwnedFile,
    /// The merged names, from when they were first asked for.
    listing: Option<Locked<Option<Arc<Listing>>>>,
}

#[vtable]
impl DirOps<LayerFs> for Dir {
    type Data = KBox<OpenDir>;

    fn lookup(
        dentry: Unhashed<'_, LayerFs>,
    ) -> Result<Option<ARef<vfs::Dentry<LayerFs>>>> {
        let parent = dentry.parent();
        let sb = parent.super_block();
        let instance = sb.data();
        let name = dentry.name();
        if name.len() as u64 > instance.name_max {
            return Err(ENAMETOOLONG);
        }
        let inode = {
            let c = instance.as_mounter();
            let root = sb.root().inode().held();
            match engine::lookup::lookup(instance, &c, parent.inode().held(), root, name)? {
                Some(found) => Some(engine::inode::get(sb, instance, &c, found)?),
                None => None,
            }
        };
        if let Some(inode) = &inode {
            if object::places(inode.held()).any(|pin| pin.dentry().needs_revalidation()) {
                dentry.set_needs_revalidation();
            }
        }
        dentry.splice(inode)
    }

    fn open(file: &File) -> Result<KBox<OpenDir>> {
        let inode = file.inode();
        let instance = inode.super_block().data();
        let object = inode.held();
        let real = {
            let c = instance.as_mounter();
            OwnedFile::open_dir(&c, object::top_path(instance, object)?)?
        };
        let listing = if object.traits().may_have_whiteouts {
            Some(Locked::new(None)?)
        } else {
            None
        };
        Ok(KBox::new(OpenDir { real, listing }, GFP_KERNEL)?)
    }

    fn iterate(file: &File, dir: &KBox<OpenDir>, emitter: &mut Emitter<'_>) -> Result {
        let inode = file.inode();
        let instance = inode.super_block().data();
        match &dir.listing {
            Some(slot) => {
                let mut slot = slot.lock();
                let listing = match &*slot {
                    Some(listing) => listing.clone(),
                    None => slot.insert(join_listing(instance, inode)?).clone(),
                };
                emit_listing(file, &listing, emitter);
                Ok(())
            }
            None => pass_on(instance, file, &dir.real, emitter),
        }
    }

    fn seek(file: &File, dir: &KBox<OpenDir>, offset: i64, whence: i32) -> Result<i64> {
        const SEEK_SET: i32 = 0;
        const SEEK_CUR: i32 = 1;

        // The lock keeps a reader from seeing the position move.
        let _lock = file.inode().lock_exclusive();
        if dir.listing.is_none() {
            return dir.real.seek(offset, whence);
        }
        let position = match whence {
            SEEK_SET => Some(offset),
            SEEK_CUR => file.position().checked_add(offset),
            _ => None,
        };
        position.filter(|p| *p >= 0).ok_or(EINVAL)
    }

    fn release(inode: &Inode, dir: KBox<OpenDir>) {
        let joined = dir
            .listing
            .as_ref()
            .is_some_and(|slot| slot.lock().is_some());
        if let (true, Some(shared)) = (joined, inode.data().listing()) {
            shared.lock().leave();
        }
    }
}

/// Takes part in the directory's listing.
fn join_listing(instance: &Instance, inode: &Inode) -> Result<Arc<Listing>> {
    let shared = inode.data().listing().ok_or(EIO)?;
    let mut shared = shared.lock();
    shared.join(|| {
        let c = instance.as_mounter();
        engine::listing::read(instance, &c, inode.held())
    })
}

/// Gives the user the entries of a listing from the emitter's position on.
fn emit_listing(file: &File, listing: &Listing, emitter: &mut Emitter<'_>) {
    loop {
        let Ok(position) = usize::try_from(emitter.position()) else {
            return;
        };
        let entry = match position {
            0 => Entry {
                name: b".",
                ino: file.inode().ino(),
                kind: Type::DIRECTORY,
            },
            1 => Entry {
                name: b"..",
                ino: file.dentry().parent().inode().ino(),
                kind: Type::DIRECTORY,
            },
            n => match listing.get(n - 2) {
                Some(entry) => entry,
                None => return,
            },
        };
        if emitter.emit(entry) == Next::Stop {
            return;
        }
        emitter.set_position(emitter.position() + 1);
    }
}

/// Gives the user the entries of the real directory, with inode numbers as `stat(2)` shows them where
/// that can be done without looking at each.
fn pass_on(
    instance: &Instance,
    file: &File,
    real: &OwnedFile,
    emitter: &mut Emitter<'_>,
) -> Result {
    let inode = file.inode();
    let parent = file.dentry().parent();
    let parent_is_merged = parent.inode().data().is_merged();
    let c = instance.as_mounter();
    match instance.xino {
        XinoBits::Off => return emitter.forward(&c, real),
        XinoBits::SameFs if !parent_is_merged => return emitter.forward(&c, real),
        _ => {}
    }
    let fsid = instance.layer_of(inode.data().top()?)?.fsid;
    let (own, parents) = (inode.ino(), parent.inode().ino());
    emitter.forward_renumbered(&c, real, |entry| match entry.name {
        b"." => own,
        b".." => parents,
        _ => ino::compose(entry.ino, fsid, instance.xino).unwrap_or(entry.ino),
    })
}
