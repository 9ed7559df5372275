// SPDX-License-Identifier: GPL-2.0-only

//! Finding a name in the layers: in upper first, then in the lower ones from the top.
//!
//! What is done in one layer is in [`walk`](super::walk). The rules are in the sections "Directories", "whiteouts and
//! opaque directories", "renaming directories" and "Metadata only copy up" of
//! `Documentation/filesystems/overlayfs.rst`.

#![forbid(unsafe_code)]

use super::finalized;
use super::finalized::Claims;
use super::index;
use super::index::In;
use super::inode_index;
use super::origin;
use super::walk::End;
use super::walk::Escaped;
use super::walk::Met;
use super::walk::Purpose;
use super::walk::Walk;
use super::walk::Within;
use crate::marks;
use crate::state::instance::Instance;
use crate::state::layer::Layer;
use crate::state::layer::LayerIndex;
use crate::state::layer::Pin;
use crate::state::layers::List;
use crate::state::lowers::Lowers;
use crate::state::lowers::Sought;
use crate::state::object::Object;
use crate::state::places::Places;
use crate::state::stats::Counter;
use crate::state::traits::Trait;
use crate::state::traits::Traits;
use crate::state::Real;
use kernel::alloc::flags::GFP_KERNEL_ACCOUNT;
use kernel::prelude::*;
use kernel::sync::aref::ARef;
use kernel::sync::Arc;
use vfs::object::kept_mount::KeptMount;
use vfs::object::path::PATH_MAX;
use vfs::sys::alloc::charged;
use vfs::sys::errno::ECONNABORTED;
use vfs::sys::errno::ENAMETOOLONG;
use vfs::sys::errno::ENOTCONN;
use vfs::Held;
use vfs::Override;
use vfs::Path;

/// What a lookup comes to.
pub(crate) struct Outcome {
    /// What was found, if anything was; it is not in an inode yet.
    pub(crate) found: Option<Object>,
    /// Upper hides what the lower layers have: by a whiteout, or an opaque directory.
    pub(crate) upper_hides: bool,
    /// An index says that no lower layer has the name.
    pub(crate) is_nowhere: bool,
    /// What was found is no directory, and has this name in the lower layers alone.
    pub(crate) not_in_upper: bool,
    /// See [`lookup_above_dead`].
    dead: Option<i64>,
}

/// Looks up `name` in the directory `parent`, or where redirects lead from there, at last from `root`.
///
/// # Errors
///
/// `EPERM`: a redirect or a metacopy file was met that the mount does not follow. `EIO`: a metacopy file without data.
/// `EINVAL`: an invalid redirect. `ELOOP`: a layer within another. `EREMOTE`: something that can't be stood on.
/// `ESTALE`: a directory of a layer ignores case, or the index leads elsewhere. The errors of a layer.
pub(crate) fn lookup(
    instance: &Instance,
    c: &Override<'_>,
    parent: &Places<'_>,
    name: &[u8],
    purpose: Purpose,
) -> Result<Outcome> {
    look_up(instance, c, parent, name, purpose, Passed::None)
}

/// Returns whether an error says that the process that answers for a layer has died.
pub(crate) fn is_of_dead_layer(e: Error) -> bool {
    e == ENOTCONN || e == ECONNABORTED
}

/// Looks up a name as it would be if the layer of this rank were not there.
///
/// # Errors
///
/// Those of [`lookup`].
pub(super) fn lookup_without(
    instance: &Instance,
    c: &Override<'_>,
    parent: &Places<'_>,
    name: &[u8],
    rank: i64,
) -> Result<Option<Object>> {
    let outcome = look_up(instance, c, parent, name, Purpose::Know, Passed::One(rank))?;
    Ok(outcome.found)
}

/// Looks up a name as far as the first lower layer that is dead; returns what was found above that, and its rank if there is
/// such a layer.
///
/// # Errors
///
/// Those of [`lookup`].
pub(super) fn lookup_above_dead(
    instance: &Instance,
    c: &Override<'_>,
    parent: &Places<'_>,
    name: &[u8],
) -> Result<(Option<Object>, Option<i64>)> {
    let outcome = look_up(instance, c, parent, name, Purpose::Know, Passed::FromDead)?;
    Ok((outcome.found, outcome.dead))
}

/// Which layers are not looked in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Passed {
    None,
    /// The one of this rank.
    One(i64),
    /// The first that is dead, and those below.
    FromDead,
}

fn look_up(
    instance: &Instance,
    c: &Override<'_>,
    parent: &Places<'_>,
    name: &[u8],
    purpose: Purpose,
    passed: Passed,
) -> Result<Outcome> {
    let has_data_layers = instance.layers.has_data_layers();
    let mut search = Search {
        instance,
        c,
        parent,
        name,
        follows: instance.config.features.redirect_dir.follows() || has_data_layers,
        has_data_layers,
        walk: Walk::new(instance, c, name, purpose),
        upper: None,
        lowers: Lowers::default(),
        finalized: Claims::default(),
        in_vain: 0,
        passed,
        dead: None,
        is_nowhere: false,
    };
    // Both are read at once, and before upper is looked in: then what another task copies up meanwhile, the directory
    // itself or a name in it, is found in one of the places.
    let naming = parent
        .naming()
        .saturating_sub(usize::from(parent.in_upper()));
    search.look_in_upper()?;
    let upper_hides = search.walk.end == Some(End::Hidden);
    let has_upper_name = search.upper.is_some();
    let upper_is_metacopy = has_upper_name && search.walk.met == Met::Metacopy;
    search.look_in_lowers(purpose, naming)?;
    if search.in_vain > 0 {
        index::asked_in_vain(instance, c, parent, search.in_vain);
    }
    let found = match search.walk.met {
        // Most lookups end so. There is no redirect then either that might not be followed.
        Met::Nothing => None,
        _ => search.finish(upper_is_metacopy)?,
    };
    Ok(Outcome {
        not_in_upper: !has_upper_name && search.walk.met != Met::Directory && found.is_some(),
        found,
        upper_hides,
        is_nowhere: search.is_nowhere,
        dead: search.dead,
    })
}

/// The most directories that are kept to look for the data of a file later: where there are more, it is looked for at
/// once.
const MOST_DIRS: usize = 8;

/// A name that is being looked up, and where it was found so far.
struct Search<'a> {
    instance: &'a Instance,
    c: &'a Override<'a>,
    /// The directory that it is looked up in.
    parent: &'a Places<'a>,
    name: &'a [u8],
    /// Redirects are followed.
    follows: bool,
    has_data_layers: bool,
    walk: Walk<'a>,
    upper: Option<ARef<Real>>,
    lowers: Lowers,
    /// The places of a directory that say they are finalized.
    finalized: Claims,
    /// How many of the directory's places in lower layers were asked and had nothing, which an index would have said.
    in_vain: u32,
    /// Which layers are passed over.
    passed: Passed,
    /// The rank of the layer that was found to be dead, if that does not end the lookup with an error.
    dead: Option<i64>,
    /// An index says that no lower layer has the name.
    is_nowhere: bool,
}

/// A directory that is looked in.
#[derive(Clone, Copy)]
struct Dir<'a> {
    dentry: &'a Real,
    layer: &'a KeptMount<Layer>,
}

impl<'a> Dir<'a> {
    /// Returns the `i`th: of the lower places of a directory, or of the roots of the layers, if those are given.
    fn of(parent: &'a Places<'_>, roots: Option<&'a List>, i: usize) -> Option<Self> {
        if let Some(roots) = roots {
            let layer = roots.get(i).filter(|_| i < roots.merged_len())?;
            let dentry = layer.root();
            return Some(Self { dentry, layer });
        }
        let place = parent.lower_dirs().and_then(|dirs| dirs.get(i))?;
        Some(Self {
            dentry: place.dentry(),
            layer: place.mount(),
        })
    }
}

impl<'a> Search<'a> {
    fn look_in_upper(&mut self) -> Result {
        let Some(dir) = self.parent.upper() else {
            return Ok(());
        };
        let at = Within {
            layer: dir.mount(),
            is_last: !self.follows && self.parent.lower_depth() == 0,
        };
        self.upper = self.walk.search(&at, dir.dentry())?;
        self.finalized.upper = self.walk.is_finalized;
        Ok(())
    }

    /// Returns what a file in upper was copied up from, if that can be found.
    fn find_origin(&self) -> Result<Option<Pin>> {
        match &self.upper {
            Some(upper) if self.walk.met != Met::Directory => {
                let path = Path::new(&self.instance.upper()?.mount, upper)?;
                let found = origin::find(self.instance, self.c, path)?;
                found.map(|found| found.layer.pin(found.dentry)).transpose()
            }
            _ => Ok(None),
        }
    }

    /// Looks in the lower layers. A name that is neither in upper nor in the first `naming` of the directory's places in
    /// them is not there.
    fn look_in_lowers(&mut self, purpose: Purpose, naming: usize) -> Result {
        let instance = self.instance;
        let parent = self.parent;
        let mut roots: Option<Arc<List>> = None;
        // `i` is the number of the directory that is next: a place of the parent, or (with `roots`) a layer; `last` is the
        // rank of the one before.
        let (mut i, mut last) = (0, i64::MIN);
        let mut known = match self.walk.end {
            None => index::places(instance, parent, self.name),
            Some(_) => In::ANY,
        };
        loop {
            if !self.walk.seeks_name() || roots.is_some() {
                if roots.is_none() && self.walk.begins_at_root() {
                    // From here on the path is looked up from the roots of the layers further down.
                    let list = instance.layers.list();
                    i = list.place_from(last.saturating_add(1));
                    roots = Some(list);
                }
                // It is not this name any more that is looked for, or not what a map is about: data.
                known = In::ANY;
            }
            let Some(place) = known.next(i) else {
                if self.walk.met == Met::Nothing && self.walk.end.is_none() {
                    instance.stats.count(Counter::IndexMiss);
                    self.is_nowhere = true;
                }
                return Ok(());
            };
            i = place;
            let roots = roots.as_deref();
            let dir = Dir::of(parent, roots, i).filter(|_| self.walk.end.is_none());
            let Some(dir) = dir else {
                return Ok(());
            };
            if self.walk.met == Met::Nothing && i >= naming {
                self.instance.stats.count(Counter::FinalizedMiss);
                return Ok(());
            }
            self.walk.check_allowed()?;
            if self.leave_data(roots, i, dir.layer.owner().rank)? {
                return Ok(());
            }
            i = i.saturating_add(1);
            let layer = dir.layer.owner();
            last = layer.rank;
            if layer.is_shut() || self.passed == Passed::One(layer.rank) {
                continue;
            }
            let at = Within {
                layer: dir.layer,
                is_last: self.is_last(layer, known, place),
            };
            match self.walk.search(&at, dir.dentry) {
                Ok(Some(found)) => self.keep(found, at.layer, purpose)?,
                Ok(None) if roots.is_some() || self.walk.end.is_some() || known != In::ANY => {}
                Ok(None) => self.in_vain = self.in_vain.saturating_add(1),
                Err(e) if self.passed == Passed::FromDead && is_of_dead_layer(e) => {
                    self.dead = Some(last);
                    return Ok(());
                }
                Err(e) => return Err(e),
            }
        }
    }

    /// Returns whether no layer is looked in after this one, in which the parent has this place, of those that are `known` to
    /// be able to have the name.
    #[inline]
    fn is_last(&self, layer: &Layer, known: In, place: usize) -> bool {
        if !self.follows {
            return place.saturating_add(1) == self.parent.lower_depth() || known.ends_at(place);
        }
        // The data of a metacopy file may be in the data-only layers.
        let may_be_data = self.has_data_layers && self.walk.met != Met::Directory;
        self.instance.layers.is_lowest(layer) && !may_be_data
    }

    /// Leaves the data of a metacopy file that was met to be looked for when somebody needs it: in the places of the
    /// parent from the `i`th on, or of the `roots`, if those are given; an absolute path in the layers from `rank` on.
    /// Returns whether that was done.
    #[inline]
    fn leave_data(&mut self, roots: Option<&List>, i: usize, rank: i64) -> Result<bool> {
        if self.walk.met != Met::Metacopy || !self.instance.config.features.lazydata {
            return Ok(false);
        }
        self.leave_data_of_metacopy(roots, i, rank)
    }

    fn leave_data_of_metacopy(
        &mut self,
        roots: Option<&List>,
        i: usize,
        rank: i64,
    ) -> Result<bool> {
        let path = self.walk.redirect().unwrap_or(self.name);
        if path.len() >= PATH_MAX {
            return Ok(false);
        }
        let mut rest = KVec::new();
        if path.first() != Some(&b'/') {
            let dirs = (i..).map_while(|i| Dir::of(self.parent, roots, i));
            for dir in dirs {
                if rest.len() == MOST_DIRS {
                    return Ok(false);
                }
                let pin = dir.layer.pin(ARef::from(dir.dentry))?;
                rest.push(pin, GFP_KERNEL_ACCOUNT)?;
            }
        }
        let path = match self.walk.take_redirect() {
            Some(path) => path,
            None => {
                let mut path = KVVec::with_capacity(self.name.len().saturating_add(1), charged())?;
                path.extend_from_slice(self.name, charged())?;
                path
            }
        };
        self.lowers.add_lazy_data(path, rank, rest)?;
        Ok(true)
    }

    /// Keeps what was found in a lower layer.
    fn keep(&mut self, found: ARef<Real>, layer: &KeptMount<Layer>, purpose: Purpose) -> Result {
        let is_first = self.lowers.is_empty();
        if is_first {
            self.finalized.lower = self.walk.is_finalized;
        }
        if is_first && purpose != Purpose::Number && self.walk.met == Met::Directory {
            if let (Some(upper), Some(dir)) = (&self.upper, self.parent.upper()) {
                let (instance, c, parent) = (self.instance, self.c, self.parent.object().get());
                origin::add_missing(instance, c, parent, dir.dentry(), upper, &found);
            }
        }
        if is_first && self.walk.met == Met::Directory && self.instance.indexes_all() {
            if let Some(upper) = &self.upper {
                let path = Path::new(&self.instance.upper()?.mount, upper)?;
                if !inode_index::is_copy_of(self.instance, self.c, path, &found) {
                    // The directory in upper was copied up from another.
                    self.walk.end = Some(End::Reached);
                    return Ok(());
                }
            }
        }
        // Of metacopy files only the topmost is kept: what it points to is only a step.
        if is_first || self.walk.met != Met::Metacopy {
            self.lowers.push(layer.pin(found)?)?;
        }
        Ok(())
    }

    /// Makes an object of all that was found.
    fn finish(&mut self, upper_is_metacopy: bool) -> Result<Option<Object>> {
        let is_in_data = self.has_data_layers && self.walk.data_path().is_some();
        let is_in_lowers = !self.lowers.is_empty();
        let is_left = self.lowers.has_lazy_data();
        let path = if is_in_data && is_in_lowers && !is_left {
            self.walk.take_redirect()
        } else {
            None
        };
        let lacks_data = match path {
            _ if is_left => false,
            Some(path) => {
                self.lowers
                    .add_lazy_data(path, Sought::IN_DATA_LAYERS, KVec::new())?;
                false
            }
            None => {
                self.walk.check_allowed()?;
                self.walk.met == Met::Metacopy
            }
        };
        if lacks_data || upper_is_metacopy && !is_in_lowers && !is_left {
            vfs::warn_limited!(
                "'{}': a metacopy file without data in the layers below; is a layer missing?\n",
                Escaped(self.name)
            );
            return Err(EIO);
        }
        let is_dir = self.walk.met == Met::Directory;
        let is_declared = self.walk.met == Met::Declared;
        let is_metacopy = match &self.upper {
            Some(_) => upper_is_metacopy,
            None if is_in_lowers => !is_dir && (self.lowers.has_more() || is_declared),
            None => return Ok(None),
        };
        if !is_in_lowers {
            // A directory or a metacopy file was looked for below by its path. The handle of the origin is decoded for
            // no more than a number, and a server may be asked for that.
            if let Some(origin) = self.find_origin()? {
                self.lowers.push(origin)?;
            }
        }
        let upper = match self.upper.take() {
            Some(upper) => Some(self.instance.upper()?.mount.pin(upper)?),
            None => None,
        };
        let lowers = core::mem::take(&mut self.lowers);
        let mut object = Object::new(upper, lowers, is_metacopy)?;
        let traits = Traits::default()
            .with(Trait::XATTR_WHITEOUTS, self.walk.xattr_whiteouts)
            .with(Trait::DECLARED, is_declared);
        object.add(traits);
        match self.instance.index_dir() {
            Some(_) if !is_dir => inode_index::join(self.instance, self.c, &mut object)?,
            Some(_) if self.instance.indexes_all() => {
                inode_index::join_directory(self.instance, self.c, &mut object)?;
            }
            _ => {}
        }
        if is_dir && (self.finalized.upper || self.finalized.lower) {
            let (instance, c) = (self.instance, self.c);
            let traits = {
                let places = Places::of(Held::unshared(&mut object));
                finalized::traits(instance, c, &places, self.finalized)
            };
            object.add(traits);
        }
        Ok(Some(object))
    }
}

/// Returns whether a lower layer has something under the name of an entry of the directory `parent`.
pub(crate) fn is_in_lower(
    instance: &Instance,
    c: &Override<'_>,
    parent: &Places<'_>,
    name: &[u8],
) -> bool {
    let known = index::places(instance, parent, name);
    let mut i = 0;
    while let Some(place) = known.next(i) {
        let Some(dir) = parent.lower_place(place) else {
            break;
        };
        i = place.saturating_add(1);
        let layer = LayerIndex::of(&dir);
        let dir = dir.path();
        let found = dir.dentry().lookup_killable(c, dir.mount(), name);
        instance
            .stats
            .count_lookup(layer, matches!(found, Ok(Some(_))));
        match found {
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
