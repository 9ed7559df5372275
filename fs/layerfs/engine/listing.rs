// SPDX-License-Identifier: GPL-2.0-only

//! The listing of a merged directory: its names as they are shown, and the numbers beside them.
//!
//! How the names are read and put in order is in [`merge`](super::merge). What else is learned with them, which other
//! operations profit from, is noted here: that upper has all of them, and which layer has which.

#![forbid(unsafe_code)]

use super::finalized;
use super::index;
use super::inode;
use super::lookup;
use super::merge::Merge;
use super::walk::Purpose;
use crate::state::instance::Instance;
use crate::state::listing::Ask;
use crate::state::listing::Listing;
use crate::state::listing::SizeHint;
use crate::state::name;
use crate::state::places::Places;
use crate::state::stats::Counter;
use crate::state::traits::Trait;
use crate::state::Positive;
use kernel::prelude::*;
use kernel::sync::Arc;
use vfs::object::file::OwnedFile;
use vfs::Override;

/// Reads a merged directory, which will take about `room`. `open` is the open directory of one layer, at any position,
/// which nobody else reads.
///
/// # Errors
///
/// `EINTR`: the task is being killed. `ENOMEM`; `EOVERFLOW`: there are too many names; the errors of a layer.
pub(crate) fn read(
    instance: &Instance,
    c: &Override<'_>,
    dir: &Positive,
    open: &mut OwnedFile,
    room: SizeHint,
) -> Result<Arc<Listing>> {
    instance.stats.count(Counter::Listing);
    let object = dir.inode().held();
    // It is looked at once, as in `engine/finalize.rs`.
    let now = Places::of(object);
    let over = finalized::before_listing(instance, &now);
    let stamp = index::before_listing(instance, &now);
    let mut merge = Merge::new(instance, room)?;
    merge.counts_ends = stamp.is_some();
    merge.read_all(instance, c, &now, Some(open))?;
    if let Some(stamp) = stamp {
        index::after_listing(instance, &now, stamp, || {
            merge.places(instance, now.in_upper())
        });
    }
    let ask = if !instance.xino.same_dev() {
        Ask::Nothing
    } else if now.has(Trait::IMPURE) || now.naming() == 1 {
        // Which directories of a finalized one the lower layers have too was not seen.
        Ask::Upper(merge.end_of_upper)
    } else {
        Ask::Merged
    };
    let complete = over.filter(|_| merge.missing_in_upper().next().is_none());
    let listing = merge.finish(ask)?.complete_over(complete);
    Ok(Arc::new(listing, GFP_KERNEL_ACCOUNT)?)
}

/// Returns the number that `stat(2)` shows of an entry of `dir`, if it can be looked up. This leaves nothing in the
/// dentry cache.
pub(crate) fn shown_ino(
    instance: &Instance,
    c: &Override<'_>,
    dir: &Positive,
    name: &[u8],
) -> Option<u64> {
    if let Some(child) = dir.cached_child(name) {
        // What is in doubt since the layers changed may have another number now.
        let is_settled = name::is_settled(&child, instance.layers.changes());
        if let Some(child) = child.positive().filter(|_| is_settled) {
            return inode::shown_ino(instance, child.inode());
        }
    }
    let place = Places::of(dir.inode().held());
    let outcome = lookup::lookup(instance, c, &place, name, Purpose::Number).ok()?;
    inode::ino_of_found(dir.super_block(), instance, c, outcome.found?)
}
