// SPDX-License-Identifier: GPL-2.0-only

//! What is known of an object of the stack: where it is in the layers.
//!
//! Most objects are in one layer only, so that is what the data of an inode has room for; what else a
//! merged directory or a metacopy file needs is allocated beside it.

#![forbid(unsafe_code)]

use super::instance::Instance;
use super::listing::SharedListing;
use core::sync::atomic::AtomicBool;
use core::sync::atomic::Ordering;
use kernel::prelude::*;
use kernel::str::CString;
use kernel::sync::SetOnce;
use vfs::sync::Locked;
use vfs::Held;
use vfs::Path;
use vfs::PinnedDentry;

/// Private data of an inode.
///
/// `top` is there in every inode that others can see.
#[derive(Default)]
pub(crate) struct Object {
    top: Option<PinnedDentry>,
    more: Option<KBox<More>>,
    traits: Traits,
}

/// What few objects have.
struct More {
    /// The layers below the top one, in order: those that a directory is merged of, or the one that
    /// has the data of a metacopy file.
    below: KVec<PinnedDentry>,
    /// The merged names of a directory, while somebody has it open.
    listing: Option<Locked<SharedListing>>,
    /// The data of a metacopy file that is in the data-only layers.
    lazy: Option<LazyData>,
    /// The data was found to have the digest that the metacopy file says.
    verified: AtomicBool,
}

/// Data that nobody looks for before it is needed.
pub(crate) struct LazyData {
    /// Where to look, in each data-only layer.
    pub(crate) path: CString,
    found: SetOnce<PinnedDentry>,
}

impl LazyData {
    /// Data that was not looked for yet.
    pub(crate) fn new(path: CString) -> Self {
        Self {
            path,
            found: SetOnce::new(),
        }
    }
}

/// What a lookup found out about an object.
#[derive(Clone, Copy, Default)]
pub(crate) struct Traits {
    /// A regular file whose top layer has only its metadata.
    pub(crate) metacopy: bool,
    /// A directory that may have whiteouts in it: its names can't be passed on as they are.
    pub(crate) may_have_whiteouts: bool,
    /// A directory marked to have whiteouts in the form of extended attributes, in some layer.
    pub(crate) xattr_whiteouts: bool,
}

impl vfs::inode::InodeData for Object {
    fn pins(&self, each: &mut dyn FnMut(&PinnedDentry)) {
        self.stack().for_each(|pin| each(pin));
        if let Some(data) = self.lazy().and_then(|lazy| lazy.found.as_ref()) {
            each(data);
        }
    }
}

impl Object {
    /// An object found in one layer or more, topmost first.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EIO`: found nowhere.
    pub(crate) fn new(
        top: PinnedDentry,
        below: KVec<PinnedDentry>,
        lazy: Option<LazyData>,
        is_dir: bool,
        traits: Traits,
    ) -> Result<Self> {
        let more = if below.is_empty() && lazy.is_none() && !traits.may_have_whiteouts {
            None
        } else {
            let listing = if is_dir {
                Some(Locked::new(SharedListing::default())?)
            } else {
                None
            };
            let more = More {
                below,
                listing,
                lazy,
                verified: AtomicBool::new(false),
            };
            Some(KBox::new(more, GFP_KERNEL)?)
        };
        Ok(Self {
            top: Some(top),
            more,
            traits,
        })
    }

    /// What is known of it.
    #[inline]
    pub(crate) fn traits(&self) -> Traits {
        self.traits
    }

    /// Where its attributes are.
    #[inline]
    pub(crate) fn top(&self) -> Result<&PinnedDentry> {
        self.top.as_ref().ok_or(EIO)
    }

    /// Where its data is, if that is known.
    #[inline]
    fn data(&self) -> Option<&PinnedDentry> {
        match &self.more {
            None => self.top.as_ref(),
            Some(more) => match &more.lazy {
                Some(lazy) => lazy.found.as_ref(),
                None => more.below.last().or(self.top.as_ref()),
            },
        }
    }

    /// The data in data-only layers.
    pub(crate) fn lazy(&self) -> Option<&LazyData> {
        self.more.as_ref()?.lazy.as_ref()
    }

    /// Says where the data is. Whoever comes second has found the same.
    pub(crate) fn set_lazy_data(&self, found: PinnedDentry) {
        if let Some(lazy) = self.lazy() {
            lazy.found.populate(found);
        }
    }

    /// Whether the data was found to have the digest it must have.
    pub(crate) fn is_verified(&self) -> bool {
        self.more
            .as_ref()
            .is_some_and(|more| more.verified.load(Ordering::Relaxed))
    }

    /// Remembers that the data has the digest it must have.
    pub(crate) fn set_verified(&self) {
        if let Some(more) = &self.more {
            more.verified.store(true, Ordering::Relaxed);
        }
    }

    /// Every place it is in, topmost first.
    pub(crate) fn stack(&self) -> impl Iterator<Item = &PinnedDentry> {
        let below = self.more.as_ref().map_or(&[][..], |more| &more.below);
        Iterator::chain(self.top.iter(), below)
    }

    fn place(&self, i: usize) -> Option<&PinnedDentry> {
        match i.checked_sub(1) {
            None => self.top.as_ref(),
            Some(i) => {
                let more = self.more.as_ref()?;
                match &more.lazy {
                    Some(lazy) if i == more.below.len() => lazy.found.as_ref(),
                    _ => more.below.get(i),
                }
            }
        }
    }

    /// The number of layers it is in.
    pub(crate) fn depth(&self) -> usize {
        1 + self.more.as_ref().map_or(0, |more| more.below.len())
    }

    /// Whether it is a directory merged of several.
    #[inline]
    pub(crate) fn is_merged(&self) -> bool {
        self.more.as_ref().is_some_and(|more| !more.below.is_empty())
    }

    /// The merged names of a directory.
    pub(crate) fn listing(&self) -> Option<&Locked<SharedListing>> {
        self.more.as_ref()?.listing.as_ref()
    }
}

/// The place of its attributes, as a path.
#[inline]
pub(crate) fn top_path<'a>(
    instance: &'a Instance,
    object: Held<'a, Object>,
) -> Result<Path<'a>> {
    let top = object.and_then(|o| o.top.as_ref()).ok_or(EIO)?;
    path(instance, top)
}

/// The place of its data, as a path; `None` if nobody has looked for it yet.
#[inline]
pub(crate) fn data_path<'a>(
    instance: &'a Instance,
    object: Held<'a, Object>,
) -> Option<Path<'a>> {
    path(instance, object.and_then(|o| o.data())?).ok()
}

/// A pin as a path.
#[inline]
pub(crate) fn path<'a>(
    instance: &'a Instance,
    pin: Held<'a, PinnedDentry>,
) -> Result<Path<'a>> {
    Ok(Path {
        mount: instance.mount_of(pin.get())?,
        dentry: pin.dentry(),
    })
}

/// Every place an object is in, topmost first.
pub(crate) fn places<'a>(
    object: Held<'a, Object>,
) -> impl Iterator<Item = Held<'a, PinnedDentry>> {
    (0..).map_while(move |i| place(object, i))
}

/// A place an object is in, by number from the top.
#[inline]
pub(crate) fn place<'a>(object: Held<'a, Object>, i: usize) -> Option<Held<'a, PinnedDentry>> {
    object.and_then(|o| o.place(i))
}

