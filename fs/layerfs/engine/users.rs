// SPDX-License-Identifier: GPL-2.0-only

//! Who uses a layer: the objects of the stack that stand on it.
//!
//! They are told a page at a time, in an order that is a secret hash of where each is in memory: so none is moved by
//! others that come and go meanwhile, and one that is there all the time is told once. Each page is found by going
//! through all inodes in memory, one after the other, with no lock held; what is kept meanwhile is as much as there is
//! room for in the answer, and at most [`MOST`] inodes.

#![forbid(unsafe_code)]

use super::inode;
use super::live::Which;
use crate::state::layer::Layer;
use crate::state::places::Places;
use crate::state::Inode;
use crate::state::Positive;
use crate::state::SuperBlock;
use format::control::LayerUser;
use kernel::prelude::*;
use kernel::sync::aref::ARef;
use vfs::object::path::PATH_MAX;
use vfs::sys::task;

/// The most objects that are told at a time.
const MOST: usize = 4096;

/// How much is told of the users of a layer.
pub(crate) struct Told {
    /// How far it has got.
    pub(crate) cursor: u64,
    /// There may be more.
    pub(crate) more: bool,
    /// How many users the layer has.
    pub(crate) users: usize,
}

/// The objects that come next, in order, and where each is in that.
struct Page {
    found: KVVec<(u64, ARef<Inode>)>,
    /// More are left out.
    more: bool,
}

/// Tells `each` of the objects that stand on a layer, with their paths, those after `cursor` (0: all), until it says that
/// there is no room for one.
///
/// # Errors
///
/// `ENOENT`: there is no such layer. `EINTR`: the task is being killed. `ENOMEM`; those of `each`.
pub(crate) fn tell(
    sb: &SuperBlock,
    which: &Which,
    cursor: u64,
    room: usize,
    mut each: impl FnMut(LayerUser, &[u8]) -> Result<bool>,
) -> Result<Told> {
    let watch = which.find(sb.data())?;
    let room = (room / LayerUser::LEN).clamp(1, MOST);
    let page = Page::find(sb, watch.owner(), cursor, room)?;
    let mut told = Told {
        cursor,
        more: page.more,
        users: watch.users(),
    };
    let mut buf = KVec::from_elem(0u8, PATH_MAX, GFP_KERNEL)?;
    for (place, inode) in &page.found {
        task::check_killed()?;
        let (user, path) = describe(inode, watch.owner(), &mut buf);
        if !each(user, path)? {
            told.more = true;
            break;
        }
        told.cursor = *place;
    }
    Ok(told)
}

impl Page {
    /// Finds the first objects after `cursor` that stand on a layer, at most `room`.
    fn find(sb: &SuperBlock, layer: &Layer, cursor: u64, room: usize) -> Result<Self> {
        let key = &sb.data().name_key;
        let mut page = Self {
            found: KVVec::new(),
            more: false,
        };
        for inode in sb.inodes() {
            task::let_others_run();
            task::check_killed()?;
            let place = inode.order_by(key);
            if place <= cursor || uses(&inode, layer) == 0 {
                continue;
            }
            if page.found.len() == room {
                page.more = true;
                if page.found.last().is_some_and(|(last, _)| *last < place) {
                    continue;
                }
                page.found.pop();
            }
            page.found.reserve(1, GFP_KERNEL)?;
            let at = page.found.partition_point(|(other, _)| *other < place);
            page.found
                .insert_within_capacity(at, (place, inode))
                .map_err(|_| ENOMEM)?;
        }
        Ok(page)
    }
}

/// Returns how many places of an object are in a layer.
fn uses(inode: &Inode, layer: &Layer) -> usize {
    let places = Places::of(inode.held());
    let uses = places
        .all()
        .filter(|pin| core::ptr::eq(pin.owner(), layer))
        .count();
    uses
}

/// Returns whether an object would not be what it is without a layer.
fn needs(inode: &Inode, layer: &Layer) -> bool {
    let places = Places::of(inode.held());
    let mut needed = places.all().zip(0..places.needed());
    let needs = needed.any(|(pin, _)| core::ptr::eq(pin.owner(), layer));
    needs
}

/// Returns what there is to know of an object that stands on a layer, and its path, which is in `buf`.
fn describe<'a>(inode: &Inode, layer: &Layer, buf: &'a mut [u8]) -> (LayerUser, &'a [u8]) {
    let instance = inode.super_block().data();
    // Before there is a reference of our own.
    let held = SuperBlock::count_holders(inode);
    let dentry = SuperBlock::any_name_of(inode);
    let path = dentry.as_ref().map(|dentry| dentry.path_in(buf));
    let path = match path {
        Some(Ok(path)) => path,
        _ => &[],
    };
    // Names of what was in a layer that was taken away are dropped when somebody comes by.
    let is_gone = layer.is_shut() && needs(inode, layer);
    let is_unlinked =
        |name: ARef<Positive>| is_gone || name.is_unhashed() && !name.is_root_of_super_block();
    let user = LayerUser {
        ino: inode::shown_ino(instance, inode).unwrap_or(inode.ino()),
        mode: inode.mode().as_raw().into(),
        unlinked: dentry.is_some_and(is_unlinked),
        nameless: path.is_empty(),
        uses: uses(inode, layer) as u32,
        held,
        path_len: path.len() as u32,
    };
    (user, path)
}
