// SPDX-License-Identifier: GPL-2.0-only

//! Opening file handles (`nfs_export=on`): from the object of a layer that a handle is of to what it is in the stack now.
//!
//! What is no directory needs no name: its inode is made of the object itself and what the index says of it. A directory has
//! its place in the tree, and is found by walking there from the root: by the names that it and those above it have in upper,
//! which are those of the stack; or by the names that they have in a lower layer, where the index tells which of them was
//! renamed since.

#![forbid(unsafe_code)]

use super::inode;
use super::inode_index;
use super::origin;
use super::origin::Origin;
use crate::marks;
use crate::state::instance::Instance;
use crate::state::layer::Layer;
use crate::state::lowers::Lowers;
use crate::state::object::Object;
use crate::state::places::Places;
use crate::state::Inode;
use crate::state::LayerFs;
use crate::state::Positive;
use crate::state::Real;
use format::handle::OverlayHandle;
use kernel::prelude::*;
use kernel::sync::aref::ARef;
use vfs::object::inode_cache::InodeKey;
use vfs::object::kept_mount::KeptMount;
use vfs::ops::export::Decoded;
use vfs::ops::export::Decoding;
use vfs::sys::errno::ESTALE;
use vfs::sys::task;
use vfs::Override;
use vfs::Path;

/// The kind of a handle that is aligned as in memory (`OVL_FILEID_V1`), with as many bytes before it as that takes.
pub(crate) const ALIGNED: u8 = 0xf8;

/// The kind of a handle that is not (`OVL_FILEID_V0`).
const UNALIGNED: u8 = 0xfb;

/// The number of times that a directory is looked for anew, as another task may move it meanwhile.
const MOST_TRIES: u32 = 8;

/// Finds what a handle is of.
///
/// # Errors
///
/// `EINVAL`: it is no handle of ours. `ESTALE`: it is of nothing any more, or of nothing that the stack shows. `EINTR`,
/// `ENOMEM`; the errors of a layer.
pub(crate) fn open_handle(question: &Decoding<'_, LayerFs>) -> Result<Decoded<LayerFs>> {
    let bytes = match question.kind() {
        ALIGNED => question.handle().get(origin::PADDING..).ok_or(EINVAL)?,
        UNALIGNED => question.handle(),
        _ => return Err(EINVAL),
    };
    let handle = OverlayHandle::decode(bytes).map_err(|_| EINVAL)?;
    let instance = question.super_block().data();
    instance.as_mounter(|c| {
        let opening = Opening {
            question,
            instance,
            c,
        };
        if handle.is_upper {
            opening.in_upper(&handle)
        } else {
            opening.in_lower(&handle)
        }
    })
}

/// A handle is being opened.
struct Opening<'a> {
    question: &'a Decoding<'a, LayerFs>,
    instance: &'a Instance,
    c: &'a Override<'a>,
}

impl Opening<'_> {
    fn in_upper(&self, handle: &OverlayHandle<'_>) -> Result<Decoded<LayerFs>> {
        let upper = self.instance.upper.as_ref().ok_or(ESTALE)?;
        let found = origin::find_in(self.instance, self.c, &upper.mount, handle)?.ok_or(ESTALE)?;
        if found.is_dir() {
            return self.by_upper_names(&found).map(Decoded::Directory);
        }
        let path = Path::new(&upper.mount, &found)?;
        let config = &self.instance.config;
        if marks::is_whiteout(config, self.c, path) || marks::is_metacopy(config, self.c, path)? {
            return Err(ESTALE);
        }
        let copied_from = origin::find(self.instance, self.c, path)?;
        self.object(Some(&found), || copied_from.as_ref())
    }

    fn in_lower(&self, handle: &OverlayHandle<'_>) -> Result<Decoded<LayerFs>> {
        let lower = origin::find_lower(self.instance, self.c, handle)?.ok_or(ESTALE)?;
        if lower.dentry.is_dir() {
            return self.by_lower_names(&lower).map(Decoded::Directory);
        }
        let path = Path::new(&lower.layer, &lower.dentry)?;
        let config = &self.instance.config;
        // The data of a metacopy file is found by its name alone.
        if marks::is_whiteout(config, self.c, path) || marks::is_metacopy(config, self.c, path)? {
            return Err(ESTALE);
        }
        if let Some(inode) = self.in_memory(&lower.dentry) {
            // It may be one that is open while its last name is gone.
            return Ok(Decoded::Object(inode));
        }
        match inode_index::entry(self.instance, self.c, &lower.dentry)? {
            // The last name of it was removed.
            Some(entry) if inode_index::is_whiteout(self.instance, self.c, &entry)? => Err(ESTALE),
            _ => self.object(None, || Some(&lower)),
        }
    }

    /// Returns the inode that stands for a lower object, if it is in memory.
    fn in_memory(&self, lower: &Real) -> Option<ARef<Inode>> {
        let key = lower.inode().key();
        let inode = self.question.super_block().cached(key)?;
        let is_it = {
            let places = Places::of(inode.held());
            !places.is_outdated() && places.lower().map(|pin| pin.inode().key()) == Some(key)
        };
        is_it.then_some(inode)
    }

    /// Returns the inode of what is no directory, made of these places and what the index says.
    fn object<'b>(
        &self,
        upper: Option<&Real>,
        lower: impl Fn() -> Option<&'b Origin>,
    ) -> Result<Decoded<LayerFs>> {
        loop {
            task::check_killed()?;
            let indexed = self.instance.indexed();
            let mut lowers = Lowers::default();
            if let Some(lower) = lower() {
                lowers.push(lower.layer.pin(lower.dentry.clone())?)?;
            }
            let upper = match upper {
                Some(upper) => Some(self.instance.upper()?.mount.pin(ARef::from(upper))?),
                None => None,
            };
            let mut object = Object::new(upper, lowers, false)?;
            if self.instance.index_dir().is_some() {
                inode_index::join(self.instance, self.c, &mut object)?;
            }
            let sb = self.question.super_block();
            match inode::get(sb, self.instance, self.c, object, indexed)? {
                None => continue,
                Some(Ok(inode)) => return Ok(Decoded::Object(inode)),
                Some(Err(_)) => return Err(ESTALE),
            }
        }
    }

    /// Returns the directory of the stack that is `real` in upper.
    fn by_upper_names(&self, real: &Real) -> Result<ARef<Positive>> {
        let root = self.instance.upper()?.mount.root();
        again(|| {
            let mut dir = ARef::from(self.question.super_block().root());
            for below in way(root, real)?.iter().rev() {
                let name = below.name_copy()?;
                dir = self.question.lookup(&dir, &name)?.ok_or(ESTALE)?;
                let places = Places::of(dir.inode().held());
                if places.upper().map(|pin| pin.inode().key()) != Some(below.inode().key()) {
                    return Err(ESTALE);
                }
            }
            Ok(dir)
        })
    }

    /// Returns the directory of the stack that `lower` is merged in.
    fn by_lower_names(&self, lower: &Origin) -> Result<ARef<Positive>> {
        let layer = &*lower.layer;
        again(|| {
            let mut dir = ARef::from(self.question.super_block().root());
            for below in way(layer.root(), &lower.dentry)?.iter().rev() {
                dir = self.below(&dir, layer, below)?;
            }
            Ok(dir)
        })
    }

    /// Returns the directory that `real` of a lower layer is merged in, which is below `dir` in that layer.
    fn below(
        &self,
        dir: &Positive,
        layer: &KeptMount<Layer>,
        real: &Real,
    ) -> Result<ARef<Positive>> {
        if let Some(copy) = self.by_index(real)? {
            return Ok(copy);
        }
        let name = real.name_copy()?;
        if let Some(child) = self.question.lookup(dir, &name)? {
            if is_merged(&child, layer, real.inode().key()) {
                return Ok(child);
            }
        }
        // It has another name in the stack. What the index has is that of the topmost directory that was merged there.
        let places = Places::of(dir.inode().held());
        for place in places.lower_places() {
            let path = place.path();
            let Some(top) = path.dentry().lookup_killable(self.c, path.mount(), &name)? else {
                continue;
            };
            return match self.by_index(&top)? {
                Some(copy) if is_merged(&copy, layer, real.inode().key()) => Ok(copy),
                _ => Err(ESTALE),
            };
        }
        Err(ESTALE)
    }

    /// Returns the directory of the stack that is the copy of a lower one, if the index says that there is a copy.
    fn by_index(&self, lower: &Real) -> Result<Option<ARef<Positive>>> {
        let Some(entry) = inode_index::entry(self.instance, self.c, lower)? else {
            return Ok(None);
        };
        let copy = inode_index::directory_of(self.instance, self.c, &entry)?.ok_or(ESTALE)?;
        self.by_upper_names(&copy).map(Some)
    }
}

/// Returns whether a directory is merged of one with this key in that layer, perhaps among others.
fn is_merged(dir: &Positive, layer: &KeptMount<Layer>, key: InodeKey) -> bool {
    let places = Places::of(dir.inode().held());
    let found = places
        .lower_places()
        .any(|pin| pin.inode().key() == key && core::ptr::eq(pin.mount(), layer));
    found
}

/// Returns a directory of a layer, and those above it up to the root of the layer, which is left out.
///
/// # Errors
///
/// `ESTALE`: it is not below that.
fn way(root: &Real, real: &Real) -> Result<KVVec<ARef<Real>>> {
    let mut way = KVVec::new();
    let mut at = ARef::from(real);
    while at.inode().key() != root.inode().key() {
        if at.is_root() || at.is_unhashed() {
            return Err(ESTALE);
        }
        let above = at.parent();
        way.push(at, GFP_KERNEL)?;
        at = above;
    }
    Ok(way)
}

/// Does `f`, again where another task may have moved something meanwhile.
fn again<R>(mut f: impl FnMut() -> Result<R>) -> Result<R> {
    let mut tries = 1;
    loop {
        task::check_killed()?;
        match f() {
            Err(e) if e == ESTALE && tries < MOST_TRIES => tries += 1,
            result => return result,
        }
    }
}
