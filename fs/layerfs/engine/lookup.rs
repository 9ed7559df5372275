// SPDX-License-Identifier: GPL-2.0-only

//! Finding a name in the layers.
//!
//! Each layer in turn is asked for the name, or for the path that a redirect met further up says. What
//! is found decides whether the walk goes on: a whiteout, an opaque directory and whatever is not a
//! directory end it (but for a metacopy file, whose data is further down); a directory is merged with
//! those below. Rules: "Directories", "whiteouts and opaque directories", "renaming directories" and
//! "Metadata only copy up" in `Documentation/filesystems/overlayfs.rst`.

#![forbid(unsafe_code)]

use super::inode::Found;
use super::origin;
use crate::marks;
use crate::state::instance::Instance;
use crate::state::layer::Layer;
use crate::state::object;
use crate::state::object::Now;
use crate::state::object::Object;
use crate::state::Real;
use format::opaque::DirMark;
use format::redirect::Progress;
use format::redirect::Redirect;
use kernel::fmt;
use kernel::prelude::*;
use kernel::str::CString;
use kernel::sync::aref::ARef;
use vfs::sys::alloc::charged;
use vfs::sys::errno::ELOOP;
use vfs::sys::errno::ENAMETOOLONG;
use vfs::sys::errno::EREMOTE;
use vfs::sys::errno::ESTALE;
use vfs::Held;
use vfs::Override;
use vfs::Path;
use vfs::PinnedDentry;

/// What a lookup comes to.
pub(crate) struct Outcome {
    /// Where the object is, if there is one.
    pub(crate) found: Option<Found>,
    /// Upper hides what the lower layers have: by a whiteout, or an opaque directory.
    pub(crate) upper_hides: bool,
}

/// What is done about a merged directory in upper that does not say what it was copied from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum MissingOrigin {
    /// It is written.
    Add,
    /// Nothing: this is not the time to write.
    Leave,
}

/// Looks up `name` in the directory `parent`, or where redirects lead from there, at last from `root`.
///
/// # Errors
///
/// `EPERM`: a redirect or a metacopy file was met that the mount does not follow. `EIO`: a metacopy file
/// without data. `EINVAL`: an invalid redirect. `ELOOP`: a layer within another. `EREMOTE`: something that can't be
/// stood on. `ESTALE`: a directory of a layer ignores case. What a layer gives.
pub(crate) fn lookup(
    instance: &Instance,
    c: &Override<'_>,
    parent: Held<'_, Object>,
    root: Held<'_, Object>,
    name: &[u8],
    missing: MissingOrigin,
) -> Result<Outcome> {
    let mut walk = Walk {
        instance,
        c,
        name,
        redirect: None,
        is_dir: false,
        stop: false,
        hidden: false,
        metacopy: false,
        at_last_layer: false,
        last_was_absolute: false,
        xattr_whiteouts: false,
    };
    let mut stack = Stack::default();
    let lowermost = instance.merged.saturating_sub(1);
    let has_data_layers = instance.merged < instance.layers.len();
    let follows = instance.config.features.redirect_dir.follows() || has_data_layers;
    let mut dirs = parent;
    let mut at_root = false;
    let mut i = 0;
    let mut upper = None;
    let mut origin = None;
    let upper_dir = Now::of(parent).upper();
    if let Some(dir) = upper_dir {
        walk.at_last_layer = !follows && parent.lower_depth() == 0;
        upper = walk.search(None, dir.dentry())?;
        if let Some(found) = &upper {
            if !walk.is_dir {
                let path = Path::new(instance.upper()?.mount.get(), found)?;
                origin = origin::find(instance, c, path)?;
            }
        }
        if walk.redirect_is_absolute() {
            dirs = root;
            at_root = true;
        }
    }
    let upper_hides = walk.hidden;
    let upper_metacopy = upper.is_some() && walk.metacopy;
    while let Some(dir) = object::lower_place(dirs, i).filter(|_| !walk.stop) {
        walk.check_allowed()?;
        let layer = instance.lower_of(dir.get())?;
        let index = dir.get().tag();
        walk.at_last_layer = if !follows {
            i.saturating_add(1) == dirs.lower_depth()
        } else if walk.is_dir || !has_data_layers {
            index as usize == lowermost
        } else {
            // The data of a metacopy file may be in the data-only layers.
            false
        };
        i = i.saturating_add(1);
        if let Some(found) = walk.search(Some(layer), dir.dentry())? {
            // Of metacopy files only the topmost is kept: what it points to is only a step.
            if let (Some(upper), true, None) = (&upper, walk.is_dir, &stack.top) {
                if let Some(upper_dir) = upper_dir.filter(|_| missing == MissingOrigin::Add) {
                    let upper_dir = upper_dir.dentry();
                    origin::add_missing(instance, c, &parent, upper_dir, upper, &found);
                }
            }
            if !(walk.metacopy && stack.top.is_some()) {
                stack.push(found, index)?;
            }
        }
        if !at_root && walk.redirect_is_absolute() {
            // From here on the path is looked up from the roots of the layers further down.
            dirs = root;
            at_root = true;
            i = (index as usize).saturating_add(1);
        }
    }
    // Data-only layers are there to be followed into, by absolute redirects alone.
    let lazy = if walk.metacopy && stack.top.is_some() && has_data_layers && walk.last_was_absolute
    {
        walk.metacopy = false;
        walk.redirect.take().map(to_cstring).transpose()?
    } else {
        walk.check_allowed()?;
        None
    };
    if walk.metacopy || upper_metacopy && stack.top.is_none() {
        vfs::warn_limited!(
            "'{}': a metacopy file without data in the layers below; is a layer missing?\n",
            Escaped(name)
        );
        return Err(EIO);
    }
    if upper.is_none() && stack.top.is_none() {
        return Ok(Outcome {
            found: None,
            upper_hides,
        });
    }
    let metacopy = if upper.is_some() {
        upper_metacopy
    } else {
        !walk.is_dir && (!stack.below.is_empty() || lazy.is_some())
    };
    if upper.is_some() && !walk.is_dir && stack.top.is_none() {
        stack.top = origin;
    }
    let found = Found {
        upper,
        top: stack.top,
        below: stack.below,
        metacopy,
        lazy,
        xattr_whiteouts: walk.xattr_whiteouts,
    };
    Ok(Outcome {
        found: Some(found),
        upper_hides,
    })
}

/// Whether a lower layer has something under the name of an entry of the directory `parent`.
pub(crate) fn is_in_lower(
    instance: &Instance,
    c: &Override<'_>,
    parent: Held<'_, Object>,
    name: &[u8],
) -> bool {
    for dir in object::lower_places(parent) {
        let Ok(dir) = object::path(instance, dir) else {
            return true;
        };
        match dir.dentry().lookup_killable(c, dir.mount(), name) {
            Ok(Some(dentry)) => {
                return !Path::new(dir.mount(), &dentry)
                    .is_ok_and(|path| marks::is_whiteout(&instance.config, c, path));
            }
            Ok(None) => {}
            Err(e) if e == ENAMETOOLONG => {}
            // There may be something that can't be looked at, or that the task does not live to see.
            Err(_) => return true,
        }
    }
    false
}

/// Looks for the data of a metacopy file in the data-only layers, topmost first.
///
/// # Errors
///
/// `ENOENT`: no layer has it. What a layer gives. After a message, in either case.
pub(crate) fn find_lazy_data(instance: &Instance, c: &Override<'_>, object: &Object) -> Result {
    let Some(path) = object.lazy_path() else {
        return Ok(());
    };
    let mut outcome = ENOENT;
    for (index, layer) in instance.layers.iter().enumerate().skip(instance.merged) {
        match vfs::object::path::lookup_inside(c, layer.mount.get(), path) {
            Ok(found) if found.unsuitable().is_some() => outcome = EREMOTE,
            Ok(found) if found.is_regular() => {
                object.set_lazy_data(PinnedDentry::new(found, index as u32));
                return Ok(());
            }
            Ok(_) => outcome = ENOENT,
            Err(e) => outcome = e,
        }
    }
    vfs::warn_limited!(
        "no data-only layer has '{}', the data of a metacopy file: {:?}\n",
        path,
        outcome
    );
    Err(outcome)
}

/// A path to be kept, which is no longer than any that can be looked up.
fn to_cstring(mut path: KVVec<u8>) -> Result<CString> {
    const PATH_MAX: usize = 4096;

    path.push(0, charged())?;
    if path.len() > PATH_MAX {
        return Err(ENAMETOOLONG);
    }
    let path = CStr::from_bytes_with_nul(&path).map_err(|_| EINVAL)?;
    Ok(CString::try_from(path)?)
}

/// Where an object was found so far.
#[derive(Default)]
struct Stack {
    top: Option<(ARef<Real>, u32)>,
    below: KVec<(ARef<Real>, u32)>,
}

impl Stack {
    fn push(&mut self, dentry: ARef<Real>, layer: u32) -> Result {
        if self.top.is_none() {
            self.top = Some((dentry, layer));
        } else {
            self.below.push((dentry, layer), GFP_KERNEL)?;
        }
        Ok(())
    }
}

/// A walk through the layers.
struct Walk<'a> {
    instance: &'a Instance,
    c: &'a Override<'a>,
    /// The name that was asked for.
    name: &'a [u8],
    /// The path to look for instead, once a redirect was met.
    redirect: Option<KVVec<u8>>,
    /// A directory was found: only directories are of interest below.
    is_dir: bool,
    /// Nothing below is of interest.
    stop: bool,
    /// ... because a whiteout or an opaque directory says so. That counts in upper alone, where a name is looked for
    /// and never a path: so it is of the name itself, not of a directory on the way.
    hidden: bool,
    /// What was found last is a metacopy file: its data is of interest.
    metacopy: bool,
    /// There is no layer below this one, so marks that speak of those need not be read.
    at_last_layer: bool,
    /// The redirect that was met last was an absolute one.
    last_was_absolute: bool,
    xattr_whiteouts: bool,
}

impl Walk<'_> {
    /// Following redirects and metacopy files gives access past the permissions on the way there, so
    /// it is done only where the mounter trusts the layers.
    fn check_allowed(&self) -> Result {
        let features = &self.instance.config.features;
        if self.metacopy && !features.metacopy {
            vfs::warn_limited!(
                "'{}': not following a metacopy file; mount with metacopy=on if you trust the layers\n",
                Escaped(self.name)
            );
            return Err(EPERM);
        }
        if self.redirect.is_some() && !features.redirect_dir.follows() {
            vfs::warn_limited!(
                "'{}': not following a redirect; mount with redirect_dir=follow if you trust the layers\n",
                Escaped(self.name)
            );
            return Err(EPERM);
        }
        Ok(())
    }

    fn redirect_is_absolute(&self) -> bool {
        self.redirect
            .as_ref()
            .is_some_and(|path| path.first() == Some(&b'/'))
    }

    /// Looks in one layer (`None`: the upper one), whose directory for this is `dir`.
    fn search(&mut self, layer: Option<&Layer>, dir: &Real) -> Result<Option<ARef<Real>>> {
        match self.redirect.take() {
            None => self.step(layer, dir, self.name, None),
            Some(path) if path.first() == Some(&b'/') => self.descend(layer, dir, path),
            Some(name) => {
                let found = self.step(layer, dir, &name, None)?;
                // Unless it was replaced by another, the redirect stays in force.
                self.redirect.get_or_insert(name);
                Ok(found)
            }
        }
    }

    /// Looks for an absolute path, name by name, from the root of a layer.
    fn descend(
        &mut self,
        layer: Option<&Layer>,
        root: &Real,
        mut path: KVVec<u8>,
    ) -> Result<Option<ARef<Real>>> {
        let mut dir = ARef::from(root);
        let mut progress = Progress::begin(&path);
        loop {
            let step = progress.next(&path).ok_or(EIO)?;
            let found = self.step(layer, &dir, step.name, Some((step.prefix, step.rest)))?;
            let is_last = step.is_last();
            if let Some(new) = self.redirect.take() {
                path = new;
            }
            match found {
                Some(next) if !is_last && next.is_dir() => dir = next,
                found => {
                    self.redirect = Some(path);
                    return Ok(if is_last { found } else { None });
                }
            }
        }
    }

    /// Looks up one name. `around`: the parts of the path before and after it, where it is one of
    /// several names of a path.
    fn step(
        &mut self,
        layer: Option<&Layer>,
        dir: &Real,
        name: &[u8],
        around: Option<(&[u8], &[u8])>,
    ) -> Result<Option<ARef<Real>>> {
        let (prefix, rest) = around.unwrap_or((&[], &[]));
        let is_last = rest.is_empty();
        if dir.inode().is_casefolded() {
            return Err(self.unfit(layer, name, "its directory ignores case", ESTALE));
        }
        let mount = match layer {
            Some(layer) => layer.mount.get(),
            None => self.instance.upper()?.mount.get(),
        };
        let found = match layer {
            Some(_) => dir.lookup_killable(self.c, mount, name),
            // Our own dentry keeps that upper has nothing.
            None => dir.lookup_once(self.c, mount, name),
        };
        let found = match found {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(None),
            Err(e) if e == ENOENT || e == ENAMETOOLONG => return Ok(None),
            Err(e) => return Err(e),
        };
        if found.inode().is_casefolded() {
            return Err(self.unfit(layer, name, "it ignores case", EREMOTE));
        }
        if let Some(why) = found.unsuitable() {
            return Err(self.unfit(layer, name, why, EREMOTE));
        }
        let config = &self.instance.config;
        let path = Path::new(mount, &found)?;
        if marks::is_whiteout(config, self.c, path) {
            self.stop = true;
            self.hidden = true;
            return Ok(None);
        }
        if is_last && self.metacopy && !found.is_regular() {
            // The data of a file can't be in what is none.
            self.stop = true;
            return Ok(None);
        }
        if !found.is_dir() {
            if self.is_dir || !is_last {
                self.stop = true;
                return Ok(None);
            }
            self.metacopy = marks::is_metacopy(config, self.c, path)?;
            self.stop = !self.metacopy;
            if self.stop || self.at_last_layer {
                return Ok(Some(found));
            }
        } else {
            if self.instance.is_layer_root(&found) {
                return Err(self.unfit(layer, name, "it is the root of another layer", ELOOP));
            }
            if is_last {
                self.is_dir = true;
            }
            if self.at_last_layer {
                return Ok(Some(found));
            }
            match marks::dir_mark(config, self.c, path) {
                DirMark::HasWhiteouts if is_last => {
                    if let Some(layer) = layer {
                        self.xattr_whiteouts = true;
                        layer.expect_xattr_whiteouts();
                    }
                }
                DirMark::Opaque => {
                    self.stop = true;
                    self.hidden = true;
                    return Ok(Some(found));
                }
                _ => {}
            }
        }
        self.last_was_absolute = false;
        if let Some(value) = marks::redirect(config, self.c, path)? {
            self.follow(&value, prefix, rest)?;
        }
        Ok(Some(found))
    }

    /// Puts a redirect in force: an absolute one in the place of the path so far, a relative one in
    /// the place of the name.
    fn follow(&mut self, value: &[u8], prefix: &[u8], rest: &[u8]) -> Result {
        let redirect = Redirect::parse(value).map_err(|_| EINVAL)?;
        let room = prefix
            .len()
            .saturating_add(value.len())
            .saturating_add(rest.len());
        let mut path = KVVec::from_elem(0, room, charged())?;
        let len = redirect
            .join(prefix, rest, &mut path)
            .map_err(|_| EINVAL)?
            .as_bytes()
            .len();
        path.truncate(len);
        self.last_was_absolute = redirect.is_absolute();
        if redirect.is_absolute() {
            // An opaque directory on the way here does not speak for where this leads.
            self.stop = false;
        }
        self.redirect = Some(path);
        Ok(())
    }

    fn unfit(&self, layer: Option<&Layer>, name: &[u8], why: &str, error: Error) -> Error {
        vfs::warn_limited!(
            "'{}' in layer '{}' can't be used: {}\n",
            Escaped(name),
            layer.map_or(c"upperdir", |layer| &*layer.name),
            why
        );
        error
    }
}

/// A name as it can be shown in a message.
struct Escaped<'a>(&'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        vfs::sys::log::write_escaped(f, self.0)
    }
}
