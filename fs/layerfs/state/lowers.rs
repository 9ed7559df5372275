// SPDX-License-Identifier: GPL-2.0-only

//! Where an object is in the lower layers, and where its data is to be looked for when somebody needs it.

#![forbid(unsafe_code)]

use super::layer::Pin;
use kernel::alloc::flags::GFP_KERNEL_ACCOUNT;
use kernel::prelude::*;
use vfs::cell::set_once::SetOnce;
use vfs::object::path::PATH_MAX;
use vfs::object::pinned::Other;
use vfs::sys::alloc::charged;
use vfs::sys::errno::ENAMETOOLONG;

/// Data that nobody looks for before it is needed: what to look for, in which directories, and the place where it was
/// found.
pub(crate) type LazyData = (Other<Sought>, KVec<Pin>, SetOnce<Pin>);

/// Data that is to be looked for.
pub(crate) struct Sought {
    /// An absolute path, to be looked for from the roots of layers, or a name in the directories beside this; and a
    /// NUL.
    path: KVVec<u8>,
    /// The rank of the first of the lower layers where an absolute path is looked for; or [`Sought::IN_DATA_LAYERS`].
    pub(crate) first: i64,
}

impl Sought {
    /// It is looked for in those that only have data.
    pub(crate) const IN_DATA_LAYERS: i64 = i64::MAX;

    pub(super) fn new(mut path: KVVec<u8>, first: i64) -> Result<Self> {
        if path.len() >= PATH_MAX {
            return Err(ENAMETOOLONG);
        }
        path.push(0, charged())?;
        Ok(Self { path, first })
    }

    /// Returns the path or name, if it is one: without a NUL in it.
    pub(crate) fn path(&self) -> Option<&CStr> {
        CStr::from_bytes_with_nul(&self.path).ok()
    }
}

/// Where an object was found in the lower layers, topmost first, while it is being looked for.
#[derive(Default)]
pub(crate) struct Lowers {
    pub(super) top: Option<Pin>,
    /// Those further down, if there are any.
    pub(super) below: Option<KVec<Pin>>,
    pub(super) lazy: Option<KBox<LazyData>>,
}

impl Lowers {
    /// Adds the place in one more layer, below the others.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn push(&mut self, place: Pin) -> Result {
        if self.top.is_none() {
            self.top = Some(place);
        } else {
            let below = self.below.get_or_insert_with(KVec::new);
            below.push(place, GFP_KERNEL_ACCOUNT)?;
        }
        Ok(())
    }

    /// Adds that the data is at `path` in the lower layer with rank `first` or one below that, where nobody has looked
    /// yet; or, if that is a name, in one of these directories.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `ENAMETOOLONG`: no path is that long.
    pub(crate) fn add_lazy_data(&mut self, path: KVVec<u8>, first: i64, dirs: KVec<Pin>) -> Result {
        let data = (Other(Sought::new(path, first)?), dirs, SetOnce::new());
        self.lazy = Some(KBox::new(data, GFP_KERNEL_ACCOUNT)?);
        Ok(())
    }

    /// Returns whether it was found in none.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.top.is_none()
    }

    /// Returns whether it has data that is looked for when somebody needs it.
    pub(crate) fn has_lazy_data(&self) -> bool {
        self.lazy.is_some()
    }

    /// Returns whether it was found in several, or has data that is looked for when somebody needs it.
    #[inline]
    pub(crate) fn has_more(&self) -> bool {
        self.below.is_some() || self.lazy.is_some()
    }

    /// Returns whether it is a directory.
    #[inline]
    pub(super) fn is_dir(&self) -> bool {
        self.top.as_ref().is_some_and(|top| top.inode().is_dir())
    }
}
