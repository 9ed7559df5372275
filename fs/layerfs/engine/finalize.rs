// SPDX-License-Identifier: GPL-2.0-only

//! Finalized directories: directories in upper of which every name is in upper.
//!
//! Of such a directory the lower layers are not asked which names there are: a name that upper lacks is not there, and
//! its listing is that of upper. The names that are there still stand for what is merged with them further down.
//!
//! That upper has a name which a lower layer has stays so once it is: what removes the name, or renames it, leaves a
//! whiteout. So a directory may be marked at any time after each name of its lower directories was seen in upper or
//! copied there, whatever else happens in it meanwhile. What is not under our control is lower directories that
//! change, or are others at the next mount: a fingerprint of them is kept with the mark, and the mark does not count
//! over others. It is taken before their names are read: what changes later makes it another.

#![forbid(unsafe_code)]

use super::copy_up;
use super::copy_up::Need;
use super::listing;
use super::listing::Names;
use super::origin;
use super::origin::OriginBuf;
use crate::marks;
use crate::marks::Marked;
use crate::state::instance::Instance;
use crate::state::object;
use crate::state::object::Now;
use crate::state::object::Object;
use crate::state::object::Trait;
use crate::state::object::Traits;
use crate::state::LayerFs;
use crate::state::Positive;
use core::sync::atomic::Ordering;
use format::control;
use format::finalized::Fingerprint;
use format::finalized::Place;
use format::handle;
use format::opaque::DirMark;
use format::options::Finalize;
use format::xattr::Mark;
use kernel::prelude::*;
use kernel::sync::aref::ARef;
use kernel::time::Instant;
use kernel::time::Monotonic;
use vfs::guard::write::WantWrite;
use vfs::object::file::OwnedFile;
use vfs::ops::ioctl::Ioctl;
use vfs::sys::errno::ELOOP;
use vfs::sys::errno::EOPNOTSUPP;
use vfs::sys::hash;
use vfs::sys::task;
use vfs::Held;
use vfs::Override;
use vfs::Path;

/// The places of a directory that say they are finalized, as a lookup met them.
#[derive(Clone, Copy, Default)]
pub(crate) struct Claims {
    /// Upper does.
    pub(crate) upper: bool,
    /// The topmost of the lower layers it is in does.
    pub(crate) lower: bool,
}

/// Returns what tells the lower directories of `object` from all others, without the first `above` of them.
///
/// # Errors
///
/// `EOPNOTSUPP`: a layer makes no file handles. `ENOMEM`.
fn fingerprint(instance: &Instance, object: Held<'_, Object>, above: usize) -> Result<Fingerprint> {
    let mut places = 0u32;
    let mut bytes = KVVec::new();
    for place in (above..).map_while(|i| object::lower_place(object, i)) {
        let mut room: OriginBuf = [0; handle::MAX_LEN];
        let dir = place.dentry();
        let Some(handle) = origin::encode_handle(instance, dir, false, &mut room) else {
            vfs::warn_limited!(
                "'{}' can't be finalized: the filesystem of layer '{}' makes no file handles\n",
                &**dir,
                instance.layer_name(object::path(instance, place)?)
            );
            return Err(EOPNOTSUPP);
        };
        let (seconds, nanoseconds) = dir.inode().modified();
        let head = Place {
            seconds,
            nanoseconds,
            handle_len: handle.len() as u32,
        };
        bytes.extend_from_slice(&head.encode(), GFP_KERNEL)?;
        bytes.extend_from_slice(handle, GFP_KERNEL)?;
        places = places.saturating_add(1);
    }
    Ok(Fingerprint {
        places,
        digest: hash::digest(&bytes),
    })
}

/// Returns which of the claims hold for the lower directories that are there now. One that does not is left where it
/// is, as it may hold again when the layers are put together as they were.
pub(super) fn traits(
    instance: &Instance,
    c: &Override<'_>,
    object: Held<'_, Object>,
    claims: Claims,
) -> Traits {
    let holds = |path: Option<Path<'_>>, above: usize| {
        // A mark over nothing says nothing that is not known.
        let Some(path) = path.filter(|_| object.lower_depth() > above) else {
            return false;
        };
        let now = fingerprint(instance, object, above).ok();
        let made_over = marks::fingerprint(&instance.config, c, path);
        let holds = made_over.is_some() && now == made_over;
        if !holds && !instance.said_not_finalized.swap(true, Ordering::Relaxed) {
            vfs::warn_limited!(
                "'{}' was finalized over other lower directories, or they have changed: that is ignored, here and \
                 wherever else it is so; finalize it again\n",
                &**path.dentry()
            );
        }
        holds
    };
    let upper = claims.upper && holds(Now::of(object).upper_path(instance), 0);
    let lower = claims.lower && holds(object::lower_path(instance, object), 1);
    Traits::default()
        .with(Trait::FINALIZED, upper)
        .with(Trait::LOWER_FINALIZED, lower)
}

/// Returns which claims of a directory of the stack's root hold: nobody looks it up.
pub(crate) fn root_traits(
    instance: &Instance,
    c: &Override<'_>,
    object: Held<'_, Object>,
) -> Traits {
    if !instance.config.features.finalize.counts() {
        return Traits::default();
    }
    let claimed = |path: Option<Path<'_>>| {
        path.is_some_and(|path| marks::dir_mark(&instance.config, c, path) == DirMark::Finalized)
    };
    let claims = Claims {
        upper: claimed(Now::of(object).upper_path(instance)),
        lower: claimed(object::lower_path(instance, object)),
    };
    traits(instance, c, object, claims)
}

/// Returns the fingerprint that a directory will be finalized over, if the listing that is about to be made finds it
/// complete; `None` if nobody wants that, or it can't be done.
pub(super) fn before_listing(instance: &Instance, object: Held<'_, Object>) -> Option<Fingerprint> {
    let now = Now::of(object);
    let wanted = instance.config.features.finalize == Finalize::Auto
        && now.in_upper()
        && now.is_merged()
        && now.naming() > 1;
    let upper = instance.upper.as_ref().filter(|_| wanted)?;
    if upper.keeps_no_notes() || upper.is_read_only() {
        return None;
    }
    fingerprint(instance, object, 0).ok()
}

/// Finalizes a directory that a listing found to be complete. It is an improvement: a reader neither fails nor waits
/// for it.
pub(crate) fn after_listing(instance: &Instance, dir: &Positive, over: Fingerprint) {
    let now = Now::of(dir.inode().held());
    let Some(path) = now.upper_path(instance).filter(|_| now.naming() > 1) else {
        return;
    };
    if dir.super_block().is_read_only() {
        return;
    }
    let done = instance.as_mounter(|c| {
        sync(instance, c, path)?;
        // Upper may have become read-only, or is frozen.
        let writing = path.mount().try_write().ok_or(EROFS)?;
        mark(instance, c, &writing, dir, path, over)
    });
    trace(dir, true, done);
    if let Err(e) = done {
        vfs::debug!(
            "'{}' is complete, and can't be marked so: {:?}\n",
            &**dir,
            e
        );
    }
}

/// Records that a directory was finalized, if it was.
fn trace(dir: &Positive, listed: bool, done: Result) {
    if done.is_ok() && trace::finalize::is_on() {
        let dev = dir.super_block().dev().as_raw();
        dir.with_name(|name| trace::finalize::event(dev, dir.inode().ino(), name, listed));
    }
}

/// Has the names of a directory of upper on the disk before it is marked: a crash must not leave the mark without them.
fn sync(instance: &Instance, c: &Override<'_>, dir: Path<'_>) -> Result {
    if instance.is_volatile() {
        return Ok(());
    }
    OwnedFile::open_dir(c, dir)?.sync(c)
}

/// Marks a directory whose names are all in upper.
fn mark(
    instance: &Instance,
    c: &Override<'_>,
    writing: &WantWrite<'_>,
    dir: &Positive,
    path: Path<'_>,
    over: Fingerprint,
) -> Result {
    let marked = Marked {
        instance,
        c,
        writing,
        dentry: path.dentry(),
    };
    // The mark counts with the right fingerprint alone, so that one is there first.
    marked.write(Mark::Finalized, &over.encode(), EOPNOTSUPP)?;
    let value = DirMark::Finalized.encode().unwrap_or_default();
    marked.write(Mark::Opaque, value, EOPNOTSUPP)?;
    let object = dir.inode().data();
    object.set_finalized();
    if let Some(listing) = object.listing() {
        // The next one is made of upper alone, in upper's order.
        listing.outdate();
    }
    Ok(())
}

/// The most directories within each other that are gone through: no path names more.
const MAX_DEPTH: usize = 2048;

/// A directory whose subdirectories are gone through.
struct Level {
    dir: ARef<Positive>,
    names: Names,
    /// The place among the names that is next.
    next: u32,
}

/// A request to finalize directories, while it is carried out.
pub(crate) struct Request<'a> {
    instance: &'a Instance,
    ioctl: &'a Ioctl<'a, LayerFs>,
    begin: Instant<Monotonic>,
    wanted: control::Finalize,
    done: control::Finalized,
    /// A directory was finalized that was not before: the time counts from then on, so that each call gets further.
    has_begun: bool,
}

/// Whether a request was carried out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// All of it.
    Done,
    /// Its time was spent before.
    OutOfTime,
}

impl<'a> Request<'a> {
    pub(crate) fn new(
        instance: &'a Instance,
        ioctl: &'a Ioctl<'a, LayerFs>,
        wanted: control::Finalize,
    ) -> Self {
        Self {
            instance,
            ioctl,
            begin: Instant::now(),
            wanted,
            done: control::Finalized::default(),
            has_begun: false,
        }
    }

    /// Finalizes a directory, and if that is wanted all below.
    ///
    /// # Errors
    ///
    /// `EOPNOTSUPP`: a file's data would have to be copied, or a layer makes no handles; `EINTR`: the task is being
    /// killed; `ELOOP`: directories are too deep in each other. Those of copying up, and of a layer, where it can't
    /// tell.
    pub(crate) fn run(mut self, dir: &Positive) -> Result<Progress> {
        let result = self.go_through(dir);
        if result.is_err() {
            // The task is told the error, and may be told how far that came.
            let _ = self.tell();
        }
        result
    }

    fn go_through(&mut self, dir: &Positive) -> Result<Progress> {
        let mut levels = KVVec::new();
        self.enter(ARef::from(dir), &mut levels)?;
        while let Some(level) = levels.last_mut() {
            if !self.wanted.recursive {
                break;
            }
            let Some((name, next)) = level.names.directory_from(level.next) else {
                levels.pop();
                continue;
            };
            level.next = next;
            let child = self.ioctl.lookup(&level.dir, name)?;
            let Some(child) = child.filter(|child| child.inode().is_dir()) else {
                // It was removed meanwhile, or is no directory.
                continue;
            };
            if self.is_out_of_time() {
                return Ok(Progress::OutOfTime);
            }
            if levels.len() == MAX_DEPTH {
                return Err(ELOOP);
            }
            self.enter(child, &mut levels)?;
        }
        Ok(Progress::Done)
    }

    /// Finalizes a directory, and remembers to go through those in it.
    fn enter(&mut self, dir: ARef<Positive>, levels: &mut KVVec<Level>) -> Result {
        let names = self.one(&dir)?;
        self.done.directories = self.done.directories.saturating_add(1);
        self.tell()?;
        let level = Level {
            dir,
            names,
            next: 0,
        };
        Ok(levels.push(level, GFP_KERNEL_ACCOUNT)?)
    }

    /// Writes to the task's memory how far it is.
    fn tell(&self) -> Result {
        self.ioctl
            .write(control::Finalized::OFFSET, &self.done.encode())
    }

    fn is_out_of_time(&self) -> bool {
        let budget = i64::from(self.wanted.time_budget_ms);
        budget != 0 && self.has_begun && self.begin.elapsed().as_millis() >= budget
    }

    /// Finalizes one directory; returns its names.
    fn one(&mut self, dir: &Positive) -> Result<Names> {
        let instance = self.instance;
        task::check_killed()?;
        let _writing = self.ioctl.want_write()?;
        let object = dir.inode().held();
        if !Now::of(object).in_upper() {
            copy_up::copy_up(instance, dir, Need::Metadata)?;
            self.done.copied = self.done.copied.saturating_add(1);
        }
        // What is in upper alone, or is marked, is read there alone; what it lacks is nothing then.
        let is_marked = Now::of(object).naming() == 1 || !Now::of(object).is_merged();
        let over = fingerprint(instance, object, 0)?;
        let names = instance.as_mounter(|c| listing::names(instance, c, object))?;
        if is_marked {
            return Ok(names);
        }
        self.copy_missing(dir, &names)?;
        let path = Now::of(object).upper_path(instance).ok_or(EIO)?;
        let done = instance.as_mounter(|c| {
            sync(instance, c, path)?;
            path.mount()
                .write(|writing| mark(instance, c, writing, dir, path, over))
        });
        trace(dir, false, done);
        done?;
        self.has_begun = true;
        Ok(names)
    }

    /// Copies to upper what it lacks of a directory: its files without their data.
    fn copy_missing(&mut self, dir: &Positive, names: &Names) -> Result {
        for name in names.missing_in_upper() {
            task::check_killed()?;
            // What is not there any more has left a whiteout, or is gone from the lower layer.
            let Some(child) = self.ioctl.lookup(dir, name)? else {
                continue;
            };
            let inode = child.inode();
            if Now::of(inode.data()).in_upper() {
                continue;
            }
            if inode.is_regular() && !self.instance.config.features.metacopy {
                vfs::warn_limited!(
                    "'{}' can't be finalized: '{}' would be copied with its data; mount with metacopy=on\n",
                    &**dir,
                    &**child
                );
                return Err(EOPNOTSUPP);
            }
            copy_up::copy_up(self.instance, &child, Need::Metadata)?;
            self.done.copied = self.done.copied.saturating_add(1);
        }
        Ok(())
    }
}
