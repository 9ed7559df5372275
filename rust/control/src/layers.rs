// SPDX-License-Identifier: GPL-2.0-only

//! `LAYERFS_IOC_LAYER`, and the commands that change layers: `_SHUTDOWN`, `_REPLACE`, `_ADD` and `_FILLED`.

use crate::sys::{self, call, room, text};
use format::control;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::io::Errno;

/// A path has fewer bytes than this.
const PATH_MAX: usize = 4096;

/// More layers than any mount has, those that were taken away and are in use among them.
const MOST_LAYERS: u32 = 1 << 20;

/// A lower layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Which one it is, counted from the top; those that were taken away come last.
    pub place: u32,
    /// It only has data.
    pub is_data: bool,
    /// It was taken away, and is in use.
    pub is_leaving: bool,
    /// The number by which counters and trace points call it.
    pub number: u32,
    /// Its name, as /proc/mounts shows it.
    pub name: Vec<u8>,
    /// How many use it: objects of the mount that stand on it, and open directories; the mount itself too, in a layer that
    /// was not taken away.
    pub users: u64,
}

/// Which layer is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which<'a> {
    /// The one at this place, counted from the top.
    Place(u32),
    /// The one with this name, as [`Layer::name`] has it.
    Name(&'a [u8]),
}

impl Which<'_> {
    /// The place, and the address and length of the name, as arguments have them.
    ///
    /// # Errors
    ///
    /// `EINVAL`: there is no such place. `ENAMETOOLONG`.
    pub(crate) fn fields(&self) -> Result<(i32, u64, u32), Errno> {
        match self {
            Which::Place(place) => {
                let place = i32::try_from(*place).map_err(|_| Errno::INVAL)?;
                Ok((place, 0, 0))
            }
            Which::Name(name) => {
                let (address, len) = text(name)?;
                Ok((sys::PLACE_BY_NAME, address, len))
            }
        }
    }
}

/// What is known of the layer at a place, on any open directory of the mount.
///
/// # Errors
///
/// `ENOENT`: there is none at this place. `EPROTO`: the name is longer than any.
pub fn layer(dir: impl AsFd, place: u32) -> Result<Layer, Errno> {
    let mut name = vec![0; PATH_MAX];
    let (address, len) = room(&mut name);
    let mut argument = sys::Layer {
        place,
        name: address,
        name_len: len,
        ..sys::Layer::default()
    };
    // SAFETY: *Addresses*: `name` is borrowed by nobody else until it is cut below.
    unsafe { call(dir, control::LAYER, &mut argument) }?;
    let len = argument.name_len as usize;
    if len > name.len() {
        return Err(Errno::PROTO);
    }
    name.truncate(len);
    Ok(Layer {
        place,
        is_data: argument.flags & sys::LAYER_DATA != 0,
        is_leaving: argument.flags & sys::LAYER_LEAVING != 0,
        number: argument.number,
        name,
        users: argument.users,
    })
}

/// All layers of a mount, from the top. If they are changed meanwhile, one may be left out or told twice.
pub fn layers(dir: &impl AsFd) -> LayerIter<'_> {
    LayerIter {
        dir: dir.as_fd(),
        next: 0,
    }
}

/// The layers of a mount; ends after an error.
#[derive(Debug)]
pub struct LayerIter<'a> {
    dir: BorrowedFd<'a>,
    next: u32,
}

impl Iterator for LayerIter<'_> {
    type Item = Result<Layer, Errno>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= MOST_LAYERS {
            return None;
        }
        let found = layer(self.dir, self.next);
        self.next = match found {
            Ok(_) => self.next.saturating_add(1),
            Err(_) => MOST_LAYERS,
        };
        match found {
            // After the first place, that is the end.
            Err(Errno::NOENT) => None,
            found => Some(found),
        }
    }
}

/// What is left of a layer that was taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// Somebody uses it still, so that its filesystem can't be unmounted.
    pub is_in_use: bool,
    /// How many.
    pub users: u64,
}

/// Takes a layer away, and waits at most `timeout_ms` milliseconds until nobody uses it. With the name of one that was taken
/// away, only waits.
///
/// # Errors
///
/// `EPERM`: the caller lacks `CAP_SYS_ADMIN` in the user namespace that the mount was made in. `ENOENT`: there is no such
/// layer. `ENOTEMPTY`: it has names, or data, that are nowhere else, and `force` is not given; the kernel's log names one.
/// `EBUSY`: it is the last layer that is merged, or the mount has `image=on`. Those of a layer that is gone through.
pub fn shut_down(
    dir: impl AsFd,
    which: Which<'_>,
    force: bool,
    timeout_ms: u32,
) -> Result<Left, Errno> {
    let (place, name, name_len) = which.fields()?;
    let argument = sys::LayerChange {
        flags: if force { sys::CHANGE_FORCE } else { 0 },
        timeout_ms,
        place,
        name_len,
        name,
        ..sys::LayerChange::default()
    };
    // SAFETY: *Addresses*: the name is borrowed by `which`.
    unsafe { change(dir, control::LAYER_SHUTDOWN, argument) }
}

/// Puts the directory at `path`, a copy of a layer, in its place, and waits for the users of the old one as [`shut_down`] does.
///
/// # Errors
///
/// `EPERM`, `ENOENT`, `EBUSY`: as [`shut_down`]. `ENOENT`, `ENOTDIR`, `EACCES` also: so the path says. `ELOOP`: it is a layer
/// already, or within one, or has one within it. `EXDEV`: it is on another filesystem than all that were there, and numbers of
/// inodes leave no room for one more. `EINVAL`: the directory can't be a layer of this mount; the kernel's log says why.
pub fn replace(
    dir: impl AsFd,
    which: Which<'_>,
    path: &[u8],
    timeout_ms: u32,
) -> Result<Left, Errno> {
    let (place, name, name_len) = which.fields()?;
    let (path, path_len) = text(path)?;
    let argument = sys::LayerChange {
        timeout_ms,
        place,
        name_len,
        name,
        path,
        path_len,
        ..sys::LayerChange::default()
    };
    // SAFETY: *Addresses*: the name is borrowed by `which`, the path by our caller.
    unsafe { change(dir, control::LAYER_REPLACE, argument) }
}

/// Where a layer is added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AddAt {
    /// Beneath the others, and not on top of them.
    pub beneath: bool,
    /// Among those that only have data.
    pub data: bool,
}

/// Adds the directory at `path` to the lower layers.
///
/// # Errors
///
/// As [`replace`]. `EINVAL` also: no layer only has data, and this one is to be among those; or there would be too many.
pub fn add(dir: impl AsFd, path: &[u8], at: AddAt) -> Result<(), Errno> {
    let flag = |is_set, flag| if is_set { flag } else { 0 };
    let (path, path_len) = text(path)?;
    let argument = sys::LayerChange {
        flags: flag(at.beneath, sys::CHANGE_BENEATH) | flag(at.data, sys::CHANGE_DATA),
        path,
        path_len,
        ..sys::LayerChange::default()
    };
    // SAFETY: *Addresses*: the path is borrowed by our caller.
    unsafe { change(dir, control::LAYER_ADD, argument) }.map(|_| ())
}

/// Says that something was added to a layer.
///
/// # Errors
///
/// `EPERM`: as [`shut_down`].
pub fn filled(dir: impl AsFd) -> Result<(), Errno> {
    // SAFETY: *Addresses*: there is none.
    unsafe { change(dir, control::LAYER_FILLED, sys::LayerChange::default()) }.map(|_| ())
}

/// Changes layers.
///
/// # Safety
///
/// *Addresses* holds for the argument.
unsafe fn change(
    dir: impl AsFd,
    command: u32,
    mut argument: sys::LayerChange,
) -> Result<Left, Errno> {
    // SAFETY: *Addresses*: so the caller says.
    let is_in_use = unsafe { call(dir, command, &mut argument) }?;
    Ok(Left {
        is_in_use,
        users: argument.users,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_filesystems() {
        let dir = std::fs::File::open("/proc").unwrap();
        assert_eq!(layer(&dir, 0), Err(Errno::NOTTY));
        assert_eq!(layers(&dir).collect::<Vec<_>>(), [Err(Errno::NOTTY)]);
        assert_eq!(filled(&dir), Err(Errno::NOTTY));
        let name = Which::Name(b"/l");
        assert_eq!(shut_down(&dir, name, false, 0), Err(Errno::NOTTY));
        assert_eq!(
            shut_down(&dir, Which::Place(u32::MAX), false, 0),
            Err(Errno::INVAL)
        );
        assert_eq!(replace(&dir, name, b"/x", 0), Err(Errno::NOTTY));
    }
}
