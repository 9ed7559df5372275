// SPDX-License-Identifier: GPL-2.0-only

//! All places of an object, kept for as long as an operation needs them.
//!
//! What no directory is stays where it is as long as its inode; the places of a directory in lower layers are replaced
//! when layers come or go ([`PinStack`](vfs::object::pin_stack::PinStack)). Who needs their dentries takes them as they
//! are at one moment, and goes on with those.

#![forbid(unsafe_code)]

use super::layer::Layer;
use super::layer::Pin;
use super::object::Now;
use super::object::Object;
use core::ops::Deref;
use kernel::prelude::*;
use vfs::object::inode_cache::InodeKey;
use vfs::object::kept_mount::KeptMount;
use vfs::object::pin_stack::PinStackRef;
use vfs::Held;
use vfs::Path;

/// What an object is, at one moment, and all its places, which stay as long as this: of a directory those in lower
/// layers may change meanwhile. Taken once in an operation, and passed on.
pub(crate) struct Places<'a> {
    dirs: PinStackRef<'a, Layer>,
    now: Now<Held<'a, Object>>,
}

impl<'a> Deref for Places<'a> {
    type Target = Now<Held<'a, Object>>;

    #[inline]
    fn deref(&self) -> &Self::Target {
        &self.now
    }
}

impl<'a> Places<'a> {
    /// Returns what `object` is now.
    #[inline]
    pub(crate) fn of(object: Held<'a, Object>) -> Self {
        // The places come first: before they are replaced, the word takes back what it said of them.
        let dirs = object.map(|object| object.lower_dirs()).hold();
        let now = Now::of(object);
        Self { dirs, now }
    }

    /// Returns whether the places in lower layers are still those that it has now.
    pub(crate) fn is_current(&self) -> bool {
        let now = self.now.object().map(|object| object.lower_dirs()).hold();
        now.is_same(&self.dirs)
    }

    /// Returns what it is, where no dentry is needed.
    #[inline]
    pub(crate) fn now(&self) -> Now<Held<'a, Object>> {
        self.now
    }

    /// Returns a place it is in the lower layers, by number from the top; the data of a metacopy file, once that is
    /// known, is the last.
    #[inline]
    pub(crate) fn lower_place(&self, i: usize) -> Option<Held<'_, Pin>> {
        let dirs = self.dirs.get();
        if !dirs.is_empty() {
            return dirs.and_then(|dirs| dirs.get(i));
        }
        let object = self.now.object();
        // Of a metacopy file in upper, the first may be what it was copied from, or the data.
        let first = object.and_then(|o| o.lower_file());
        match i.checked_sub(usize::from(first.is_some())) {
            None => first,
            Some(0) => object.and_then(|o| o.data_place()),
            Some(_) => None,
        }
    }

    /// Returns every place it is in the lower layers, topmost first, and data that was found lazily last.
    pub(crate) fn lower_places(&self) -> impl Iterator<Item = Held<'_, Pin>> {
        (0..).map_while(|i| self.lower_place(i))
    }

    /// Returns the places of a directory in the lower layers, topmost first.
    #[inline]
    pub(crate) fn lower_dirs(&self) -> Held<'_, [Pin]> {
        self.dirs.get()
    }

    /// Returns the number of lower layers it is in.
    #[inline]
    pub(crate) fn lower_depth(&self) -> usize {
        match self.dirs.get().len() {
            0 => self.now.object().lower_depth(),
            len => len,
        }
    }

    /// Returns whether it is a directory merged of several.
    #[inline]
    pub(crate) fn is_merged(&self) -> bool {
        if self.in_upper() {
            self.now.is_merged()
        } else {
            self.lower_depth() > 1
        }
    }

    /// Returns the number of layers it is in.
    pub(crate) fn depth(&self) -> usize {
        self.lower_depth()
            .saturating_add(usize::from(self.in_upper()))
    }

    /// Returns the first place in the lower layers, which of a file in upper is its origin.
    #[inline]
    pub(crate) fn lower(&self) -> Option<Held<'_, Pin>> {
        match self.dirs.get().and_then(|dirs| dirs.first()) {
            Some(dir) => Some(dir),
            None => self.now.object().and_then(|o| o.lower_file()),
        }
    }

    /// Returns the first place in the lower layers, as a path.
    #[inline]
    pub(crate) fn lower_path(&self) -> Option<Path<'_>> {
        Some(self.lower()?.path())
    }

    /// Returns every place it is in, upper first, and data that was found lazily last.
    pub(crate) fn all(&self) -> impl Iterator<Item = Held<'_, Pin>> {
        Iterator::chain(self.upper().into_iter(), self.lower_places())
    }

    /// Returns where its attributes are.
    ///
    /// # Errors
    ///
    /// `EIO`: it is nowhere, which is not so of an object in use.
    #[inline]
    pub(crate) fn real(&self) -> Result<Held<'_, Pin>> {
        let real = if self.in_upper() {
            self.upper()
        } else {
            self.lower()
        };
        real.ok_or(EIO)
    }

    /// Returns the place of its attributes, as a path.
    ///
    /// # Errors
    ///
    /// `EIO`.
    #[inline]
    pub(crate) fn real_path(&self) -> Result<Path<'_>> {
        Ok(self.real()?.path())
    }
}

/// Returns whether these are the same objects in the same layers. (A layer that comes again after it was taken away is
/// another one, with the same objects in it.)
pub(crate) fn are_same<'a>(
    some: impl Iterator<Item = Held<'a, Pin>>,
    others: impl Iterator<Item = Held<'a, Pin>>,
) -> bool {
    Iterator::eq(some.map(place_of), others.map(place_of))
}

fn place_of(pin: Held<'_, Pin>) -> (InodeKey, *const KeptMount<Layer>) {
    (pin.inode().key(), core::ptr::from_ref(pin.mount()))
}
