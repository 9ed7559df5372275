// SPDX-License-Identifier: GPL-2.0-only

//! What is known of an object of the stack: where it is in the layers.
//!
//! An object is in the upper layer, or in lower ones, or in both. Where it is in the lower ones is
//! found out once; the place in the upper one may be added later, by copy-up, and is there from then
//! on. Most objects are in one layer only, so that is what the data of an inode has room for; what else
//! a merged directory or a metacopy file needs is allocated beside it.

#![forbid(unsafe_code)]

use super::instance::Instance;
use super::listing::SharedListing;
use kernel::prelude::*;
use kernel::str::CString;
use vfs::sync::LateBox;
use vfs::sync::LockWord;
use vfs::sync::SetOnce;
use vfs::sync::WordGuard;
use vfs::Held;
use vfs::Path;
use vfs::PinnedDentry;
use vfs::RcuInode;

/// The layer number that stands for the upper layer. Lower layers are numbered from 0.
pub(crate) const UPPER: u32 = u32::MAX;

/// Which of the mounts that [`InWalk`](vfs::super_block::InWalk) was made with a pin is on: upper's is the
/// first.
#[inline]
pub(crate) fn mount_number(pin: &PinnedDentry) -> usize {
    pin.tag().wrapping_add(1) as usize
}

/// Private data of an inode.
///
/// In every inode that others can see, `upper` or `top` is there.
#[derive(Default)]
pub(crate) struct Object {
    upper: SetOnce<PinnedDentry>,
    /// The first place in the lower layers. Of a file in upper: what it was copied up from.
    top: Option<PinnedDentry>,
    more: LateBox<More>,
    /// Traits, and the lock of copy-up.
    word: LockWord,
}

/// What few objects have.
#[derive(Default)]
struct More {
    /// The lower layers below the top one, in order: those that a directory is merged of, or the one
    /// that has the data of a metacopy file.
    below: Below,
    /// The merged names of a directory, while somebody has it open.
    listing: LateBox<SharedListing>,
    /// The data of a metacopy file that is in the data-only layers.
    lazy: Option<KBox<LazyData>>,
}

/// Places in lower layers, below the top one, in order. Most have but one.
#[derive(Default)]
pub(crate) struct Below {
    first: Option<PinnedDentry>,
    rest: KVec<PinnedDentry>,
}

impl Below {
    /// No places yet, with room for so many.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn with_capacity(len: usize) -> Result<Self> {
        Ok(Self {
            first: None,
            rest: KVec::with_capacity(len.saturating_sub(1), GFP_KERNEL)?,
        })
    }

    /// One more, below the others.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn push(&mut self, place: PinnedDentry) -> Result {
        if self.first.is_none() {
            self.first = Some(place);
        } else {
            self.rest.push(place, GFP_KERNEL)?;
        }
        Ok(())
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    #[inline]
    fn len(&self) -> usize {
        self.rest
            .len()
            .saturating_add(usize::from(self.first.is_some()))
    }

    #[inline]
    fn get(&self, i: usize) -> Option<&PinnedDentry> {
        match i.checked_sub(1) {
            None => self.first.as_ref(),
            Some(i) => self.rest.get(i),
        }
    }

    #[inline]
    fn last(&self) -> Option<&PinnedDentry> {
        self.rest.last().or(self.first.as_ref())
    }

    fn iter(&self) -> impl Iterator<Item = &PinnedDentry> {
        Iterator::chain(self.first.iter(), &self.rest)
    }
}

/// Data that nobody looks for before it is needed.
pub(crate) struct LazyData {
    /// Where to look, in each data-only layer.
    pub(crate) path: CString,
    found: SetOnce<PinnedDentry>,
}

impl LazyData {
    /// Data that was not looked for yet.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(path: CString) -> Result<KBox<Self>> {
        let lazy = Self {
            path,
            found: SetOnce::new(),
        };
        Ok(KBox::new(lazy, GFP_KERNEL)?)
    }
}

/// What is known of an object beside its places: a bit each.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Trait(usize);

impl Trait {
    /// A regular file whose topmost lower layer has only its metadata.
    pub(crate) const LOWER_METACOPY: Self = Self(1);
    /// A regular file in upper whose data is there too.
    pub(crate) const UPPER_DATA: Self = Self(1 << 1);
    /// A directory that may have whiteouts in it: its names can't be passed on as they are.
    pub(crate) const MAY_HAVE_WHITEOUTS: Self = Self(1 << 2);
    /// A directory marked to have whiteouts in the form of extended attributes, in some layer.
    pub(crate) const XATTR_WHITEOUTS: Self = Self(1 << 3);
    /// A directory in upper that may hold objects with an origin: their numbers are others.
    pub(crate) const IMPURE: Self = Self(1 << 4);
    /// The inode number is that of the lower object, also after copy-up.
    pub(crate) const LOWER_NUMBER: Self = Self(1 << 5);
    /// The data was found to have the digest that the metacopy file says.
    pub(crate) const VERIFIED: Self = Self(1 << 6);
}

/// Several of them.
#[derive(Clone, Copy, Default)]
pub(crate) struct Traits(usize);

impl Traits {
    /// With `one` if `wanted`.
    pub(crate) fn with(self, one: Trait, wanted: bool) -> Self {
        Self(if wanted { self.0 | one.0 } else { self.0 })
    }

    /// Whether `one` is among them.
    #[inline]
    pub(crate) fn has(self, one: Trait) -> bool {
        self.0 & one.0 != 0
    }
}

impl vfs::inode_cache::InodeData for Object {
    fn pins(&self, each: &mut dyn FnMut(&PinnedDentry)) {
        if let Some(upper) = self.upper.as_ref() {
            each(upper);
        }
        self.lower_stack().for_each(|pin| each(pin));
        if let Some(data) = self.lazy().and_then(|lazy| lazy.found.as_ref()) {
            each(data);
        }
    }
}

/// Where an object was found, to make its inode of.
#[derive(Default)]
pub(crate) struct Places {
    pub(crate) upper: Option<PinnedDentry>,
    pub(crate) top: Option<PinnedDentry>,
    pub(crate) below: Below,
    pub(crate) lazy: Option<KBox<LazyData>>,
}

impl Object {
    /// An object found somewhere.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EIO`: found nowhere.
    pub(crate) fn new(places: Places, traits: Traits) -> Result<Self> {
        if places.upper.is_none() && places.top.is_none() {
            return Err(EIO);
        }
        let more = if places.below.is_empty() && places.lazy.is_none() {
            LateBox::default()
        } else {
            let more = More {
                below: places.below,
                listing: LateBox::default(),
                lazy: places.lazy,
            };
            LateBox::with(KBox::new(more, GFP_KERNEL)?)
        };
        let object = Self {
            upper: SetOnce::new(),
            top: places.top,
            more,
            word: LockWord::new(traits.0),
        };
        if let Some(upper) = places.upper {
            object.upper.populate(upper);
        }
        Ok(object)
    }

    /// What is known of it.
    #[inline]
    pub(crate) fn traits(&self) -> Traits {
        Traits(self.word.bits())
    }

    /// Whether `one` is known of it.
    #[inline]
    pub(crate) fn has(&self, one: Trait) -> bool {
        self.traits().has(one)
    }

    /// From now on `one` is known of it.
    pub(crate) fn set(&self, one: Trait) {
        self.word.set(one.0);
    }

    /// `one` is no longer true of it.
    pub(crate) fn clear(&self, one: Trait) {
        self.word.clear(one.0);
    }

    /// Keeps others from copying it up, or waits until they have. (`depth`: the stacking depth of its
    /// super block.)
    ///
    /// # Errors
    ///
    /// `EINTR`: the task is being killed.
    pub(crate) fn lock(&self, depth: u32) -> Result<WordGuard<'_>> {
        self.word.lock(depth)
    }

    /// Where it is in the upper layer.
    #[inline]
    pub(crate) fn upper(&self) -> Option<&PinnedDentry> {
        self.upper.as_ref()
    }

    /// From now on it is in the upper layer as well. What is known of it must be said before.
    pub(crate) fn set_upper(&self, upper: PinnedDentry) -> bool {
        self.upper.populate(upper)
    }

    /// Where it is in the lower layers first; of a file in upper: its origin.
    #[inline]
    pub(crate) fn lower(&self) -> Option<&PinnedDentry> {
        self.top.as_ref()
    }

    /// Where its attributes are.
    #[inline]
    pub(crate) fn real(&self) -> Result<&PinnedDentry> {
        self.upper.as_ref().or(self.top.as_ref()).ok_or(EIO)
    }

    /// Where its data is, if that is known.
    #[inline]
    fn data(&self) -> Option<&PinnedDentry> {
        if let Some(upper) = self.upper.as_ref() {
            if self.has(Trait::UPPER_DATA) {
                return Some(upper);
            }
        }
        self.lower_data()
    }

    /// Where its data is in the lower layers, if that is known.
    #[inline]
    fn lower_data(&self) -> Option<&PinnedDentry> {
        match self.more.get() {
            None => self.top.as_ref(),
            Some(more) => match &more.lazy {
                Some(lazy) => lazy.found.as_ref(),
                None => more.below.last().or(self.top.as_ref()),
            },
        }
    }

    /// Whether only its metadata is where its attributes are.
    #[inline]
    pub(crate) fn is_metacopy(&self) -> bool {
        if self.upper.as_ref().is_some() {
            !self.has(Trait::UPPER_DATA)
        } else {
            self.has(Trait::LOWER_METACOPY)
        }
    }

    /// The data in data-only layers.
    pub(crate) fn lazy(&self) -> Option<&LazyData> {
        self.more.get()?.lazy.as_deref()
    }

    /// Says where the data is. Whoever comes second has found the same.
    pub(crate) fn set_lazy_data(&self, found: PinnedDentry) {
        if let Some(lazy) = self.lazy() {
            lazy.found.populate(found);
        }
    }

    /// Every place it is in the lower layers, topmost first, but for lazy data.
    pub(crate) fn lower_stack(&self) -> impl Iterator<Item = &PinnedDentry> {
        let below = self
            .more
            .get()
            .into_iter()
            .flat_map(|more| more.below.iter());
        Iterator::chain(self.top.iter(), below)
    }

    fn lower_place(&self, i: usize) -> Option<&PinnedDentry> {
        match i.checked_sub(1) {
            None => self.top.as_ref(),
            Some(i) => {
                let more = self.more.get()?;
                match &more.lazy {
                    Some(lazy) if i == more.below.len() => lazy.found.as_ref(),
                    _ => more.below.get(i),
                }
            }
        }
    }

    /// The number of lower layers it is in.
    pub(crate) fn lower_depth(&self) -> usize {
        let below = self.more.get().map_or(0, |more| more.below.len());
        below.saturating_add(usize::from(self.top.is_some()))
    }

    /// Whether it is a directory merged of several.
    #[inline]
    pub(crate) fn is_merged(&self) -> bool {
        if self.upper.as_ref().is_some() {
            self.top.is_some()
        } else {
            self.more.get().is_some_and(|more| !more.below.is_empty())
        }
    }

    /// The merged names of a directory, if anybody asked for them yet.
    pub(crate) fn listing(&self) -> Option<&SharedListing> {
        self.more.get()?.listing.get()
    }

    /// The merged names of a directory.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn make_listing(&self, depth: u32) -> Result<&SharedListing> {
        let more = self.more.get_or_make(|| Ok(More::default()))?;
        more.listing.get_or_make(|| SharedListing::new(depth))
    }
}

/// The real inode of an object: also in RCU-walk.
#[inline]
pub(crate) fn real_inode(object: &Object) -> Result<&RcuInode<vfs::Foreign>> {
    Ok(object.real()?.inode())
}

/// The place of its attributes, as a path.
#[inline]
pub(crate) fn real_path<'a>(instance: &'a Instance, object: Held<'a, Object>) -> Result<Path<'a>> {
    let real = object.and_then(|o| o.real().ok()).ok_or(EIO)?;
    path(instance, real)
}

/// The place in the upper layer, as a path.
#[inline]
pub(crate) fn upper_path<'a>(instance: &'a Instance, object: Held<'a, Object>) -> Option<Path<'a>> {
    path(instance, object.and_then(|o| o.upper())?).ok()
}

/// The first place in the lower layers, as a path.
#[inline]
pub(crate) fn lower_path<'a>(instance: &'a Instance, object: Held<'a, Object>) -> Option<Path<'a>> {
    path(instance, object.and_then(|o| o.lower())?).ok()
}

/// The place of its data, as a path; `None` if nobody has looked for it yet.
#[inline]
pub(crate) fn data_path<'a>(instance: &'a Instance, object: Held<'a, Object>) -> Option<Path<'a>> {
    path(instance, object.and_then(|o| o.data())?).ok()
}

/// The place of its data in the lower layers, as a path; `None` if nobody has looked for it yet.
pub(crate) fn lower_data_path<'a>(
    instance: &'a Instance,
    object: Held<'a, Object>,
) -> Option<Path<'a>> {
    path(instance, object.and_then(|o| o.lower_data())?).ok()
}

/// A pin as a path.
#[inline]
pub(crate) fn path<'a>(instance: &'a Instance, pin: Held<'a, PinnedDentry>) -> Result<Path<'a>> {
    Path::new(instance.mount_of(pin.get())?, pin.dentry())
}

/// Every place an object is in the lower layers, topmost first.
pub(crate) fn lower_places<'a>(
    object: Held<'a, Object>,
) -> impl Iterator<Item = Held<'a, PinnedDentry>> {
    (0..).map_while(move |i| lower_place(object, i))
}

/// A place an object is in the lower layers, by number from the top.
#[inline]
pub(crate) fn lower_place<'a>(
    object: Held<'a, Object>,
    i: usize,
) -> Option<Held<'a, PinnedDentry>> {
    object.and_then(|o| o.lower_place(i))
}

/// The place of an object in the upper layer.
#[inline]
pub(crate) fn upper_place<'a>(object: Held<'a, Object>) -> Option<Held<'a, PinnedDentry>> {
    object.and_then(|o| o.upper())
}

/// Every place an object is in, upper first.
pub(crate) fn places<'a>(object: Held<'a, Object>) -> impl Iterator<Item = Held<'a, PinnedDentry>> {
    Iterator::chain(upper_place(object).into_iter(), lower_places(object))
}
