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

use super::origin;
use super::origin::OriginBuf;
use crate::marks;
use crate::marks::Marked;
use crate::state::instance::Instance;
use crate::state::object::Now;
use crate::state::places::Places;
use crate::state::stats::Counter;
use crate::state::traits::Trait;
use crate::state::traits::Traits;
use crate::state::Positive;
use core::sync::atomic::Ordering;
use format::finalized::Fingerprint;
use format::finalized::Place;
use format::handle;
use format::opaque::DirMark;
use format::options::Finalize;
use format::xattr::Mark;
use kernel::prelude::*;
use vfs::guard::write::WantWrite;
use vfs::object::file::OwnedFile;
use vfs::sys::errno::EOPNOTSUPP;
use vfs::sys::hash;
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
pub(super) fn fingerprint(
    instance: &Instance,
    object: &Places<'_>,
    above: usize,
) -> Result<Fingerprint> {
    let mut places = 0u32;
    let mut bytes = KVVec::new();
    for place in object.lower_places().skip(above) {
        let mut room: OriginBuf = [0; handle::MAX_LEN];
        let dir = place.dentry();
        let handle = origin::encode_handle(instance, dir, false, &mut room).ok_or(EOPNOTSUPP)?;
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
/// is, as it may hold again when the layers are put together as they were; with `finalize=off` none does.
pub(crate) fn traits(
    instance: &Instance,
    c: &Override<'_>,
    object: &Places<'_>,
    claims: Claims,
) -> Traits {
    let counts = instance.config.features.finalize.counts();
    let holds = |path: Option<Path<'_>>, above: usize| {
        // A mark over nothing says nothing that is not known.
        let Some(path) = path.filter(|_| counts && object.lower_depth() > above) else {
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
    let upper = claims.upper && holds(object.upper_path(), 0);
    let lower = claims.lower && holds(object.lower_path(), 1);
    Traits::default()
        .with(Trait::FINALIZED, upper)
        .with(Trait::LOWER_FINALIZED, lower)
}

/// Returns the fingerprint that a directory will be finalized over, if the listing that is about to be made finds it
/// complete; `None` if nobody wants that, or it can't be done.
pub(super) fn before_listing(instance: &Instance, now: &Places<'_>) -> Option<Fingerprint> {
    let wanted = instance.config.features.finalize == Finalize::Auto
        && now.in_upper()
        && now.is_merged()
        && now.naming() > 1;
    let upper = instance.upper.as_ref().filter(|_| wanted)?;
    if upper.keeps_no_notes() || upper.is_read_only() {
        return None;
    }
    fingerprint(instance, now, 0).ok()
}

/// Finalizes a directory that a listing found to be complete. It is an improvement: a reader neither fails nor waits
/// for it.
pub(crate) fn after_listing(instance: &Instance, dir: &Positive, over: Fingerprint) {
    let now = Now::of(dir.inode().held());
    let Some(path) = now.upper_path().filter(|_| now.naming() > 1) else {
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
    record(instance, dir, true, done);
    if let Err(e) = done {
        vfs::debug!(
            "'{}' is complete, and can't be marked so: {:?}\n",
            &**dir,
            e
        );
    }
}

/// Finalizes a directory whose names are all in upper.
///
/// # Errors
///
/// `EOPNOTSUPP`: upper keeps no marks. `EROFS`, `ENOSPC`, `EIO`, …
pub(super) fn finalize(
    instance: &Instance,
    dir: &Positive,
    path: Path<'_>,
    over: Fingerprint,
) -> Result {
    let done = instance.as_mounter(|c| {
        sync(instance, c, path)?;
        path.mount()
            .write(|writing| mark(instance, c, writing, dir, path, over))
    });
    record(instance, dir, false, done);
    done
}

/// Records that a directory was finalized, if it was.
fn record(instance: &Instance, dir: &Positive, listed: bool, done: Result) {
    if done.is_err() {
        return;
    }
    instance.stats.count(Counter::Finalized);
    if trace::finalize::is_on() {
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
    if instance.layers.changes() != 0 {
        let now = fingerprint(instance, &Places::of(dir.inode().held()), 0);
        if now.ok() != Some(over) {
            // The layers were changed since its names were read: upper may lack some.
            object.forget_conclusions();
        }
    }
    if let Some(listing) = object.listing() {
        // The next one is made of upper alone, in upper's order.
        listing.outdate();
    }
    Ok(())
}
