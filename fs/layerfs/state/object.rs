// SPDX-License-Identifier: GPL-2.0-only

//! What is known of an object of the stack: where it is in the layers.
//!
//! An object is in the upper layer, or in lower ones, or in both. Where it is in the lower ones is
//! found out once; the place in the upper one may be added later, by copy-up, and is there from then
//! on. Most objects are in one layer only, so that is what the data of an inode has room for; what else
//! a merged directory or a metacopy file needs is allocated beside it.
//!
//! What may change while somebody looks (whether it is in upper, whether its data is there, the other traits) is
//! in one word. An operation reads that word once, as a [`Now`], and asks the value whatever it needs: two readings
//! of the word could be of two states. Only who holds the lock of the object, a [`Claim`], changes where it is.

#![forbid(unsafe_code)]

use super::clones::Source;
use super::layer::Layer;
use super::layer::Pin;
use super::listing::SharedListing;
use super::lowers::LazyData;
use super::lowers::Lowers;
use super::lowers::Sought;
use super::place_index::Indexes;
use super::place_index::PlaceIndex;
use super::traits::Trait;
use super::traits::Traits;
use core::ops::Deref;
use kernel::alloc::flags::GFP_KERNEL_ACCOUNT;
use kernel::prelude::*;
use kernel::sync::rcu;
use vfs::cell::lock_word::LockWord;
use vfs::cell::lock_word::WordGuard;
use vfs::cell::set_once::LateBox;
use vfs::cell::set_once::SetOnce;
use vfs::object::pin_stack::PinStack;
use vfs::object::pin_stack::RetiredPins;
use vfs::object::pinned::Other;
use vfs::sys::rcu::InRcu;
use vfs::Held;
use vfs::Path;

/// Private data of an inode.
///
/// In every inode that others can see, `upper` or `top` is there.
#[derive(Default)]
pub(crate) struct Object {
    pins: Pins,
    /// Traits, and the lock of copy-up.
    word: LockWord,
}

/// All dentries that an object keeps, and beside them what is rare: where it is in upper, which is there
/// once the word says [`Trait::IN_UPPER`] (readers go by that); where it is in the lower layers: a directory in any
/// number of them, which may change while it is in use, anything else in one, which of a file in upper is what it was
/// copied up from; the rest.
pub(crate) type Pins = (SetOnce<Pin>, Option<Pin>, PinStack<Layer>, LateBox<More>);

/// What only few objects have, and so is beside them: the place that has the data of a metacopy file; that data, if
/// nobody has looked for it when the file was looked up; what is known of the names of a directory.
pub(crate) type More = (Option<Pin>, LateBox<LazyData>, Other<LateBox<Names>>);

/// What is known of the names of a directory: all of them, merged, while somebody has it open; and what is kept of those
/// of its lower directories.
pub(crate) struct Names {
    listing: SharedListing,
    index: LateBox<PlaceIndex>,
}

impl vfs::object::inode_cache::InodeData for Object {
    type Pins = Pins;

    fn pins(&self) -> &Pins {
        &self.pins
    }
}

impl Object {
    /// Makes an object that was found in these places. `is_metacopy` says that what is topmost is a file with its
    /// metadata alone.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EIO`: it is in none.
    pub(crate) fn new(upper: Option<Pin>, lowers: Lowers, is_metacopy: bool) -> Result<Self> {
        if upper.is_none() && lowers.is_empty() {
            return Err(EIO);
        }
        let has_more = lowers.has_more();
        let is_dir = lowers.is_dir();
        let (lower, dirs, mut data) = if is_dir {
            (None, PinStack::new(lowers.top, lowers.below)?, None)
        } else {
            (lowers.top, PinStack::default(), lowers.below)
        };
        let more = if has_more && !is_dir {
            let lazy = lowers.lazy.map_or_else(LateBox::default, LateBox::with);
            let data = data.as_mut().and_then(|below| below.pop());
            let more = (data, lazy, Other::default());
            LateBox::with(KBox::new(more, GFP_KERNEL_ACCOUNT)?)
        } else {
            LateBox::default()
        };
        let in_upper = upper.is_some();
        let traits = Traits::default()
            .with(Trait::IN_UPPER, in_upper)
            .with(Trait::UPPER_DATA, in_upper && !is_metacopy)
            .with(Trait::LOWER_METACOPY, !in_upper && is_metacopy);
        let object = Self {
            pins: (SetOnce::new(), lower, dirs, more),
            word: LockWord::new(traits.0),
        };
        if let Some(upper) = upper {
            object.pins.0.populate(upper);
        }
        Ok(object)
    }

    /// Keeps what else was found out of an object that is in no inode yet.
    pub(crate) fn add(&mut self, traits: Traits) {
        self.word.set(traits.0);
    }

    /// Adds the place in upper of an object that is in no inode yet, and was found in lower layers alone.
    pub(crate) fn add_upper(&mut self, upper: Pin, is_metacopy: bool) {
        self.pins.0.populate(upper);
        let data = if is_metacopy { 0 } else { Trait::UPPER_DATA.0 };
        self.word
            .change(Trait::IN_UPPER.0 | data, Trait::LOWER_METACOPY.0);
    }

    /// Returns the place in upper, and the topmost in the lower layers, of an object that is in no inode yet.
    #[inline]
    pub(crate) fn tops(&mut self) -> (Option<&Pin>, Option<&Pin>) {
        let (upper, file, dirs, _) = &mut self.pins;
        (upper.as_ref(), dirs.get_mut().first().or(file.as_ref()))
    }

    /// Remembers that it is a directory in upper that may hold objects with an origin, or no longer may.
    pub(crate) fn set_impure(&self, is_impure: bool) {
        if is_impure {
            self.word.set(Trait::IMPURE.0);
        } else {
            self.word.clear(Trait::IMPURE.0);
        }
    }

    /// Remembers that the data that it has as a metacopy file was checked. (If another task has copied its data up
    /// meanwhile, it is a metacopy file no longer, and nobody asks.)
    pub(crate) fn set_verified(&self) {
        self.word.set(Trait::VERIFIED.0);
    }

    /// Remembers that a directory whose names could be passed on as they are was found to have whiteouts in it, or
    /// (`by_xattr`) to be marked to have them in the form of extended attributes: it is read as one that may have them.
    pub(crate) fn set_has_whiteouts(&self, by_xattr: bool) {
        let form = if by_xattr {
            Trait::XATTR_WHITEOUTS.0
        } else {
            0
        };
        self.word.set(Trait::MAY_HAVE_WHITEOUTS.0 | form);
    }

    /// Remembers that upper has every name of the directory. That stays so: whatever takes a name away leaves a whiteout
    /// where a lower layer has the name too.
    pub(crate) fn set_finalized(&self) {
        self.word.set(Trait::FINALIZED.0);
    }

    /// Remembers that it was found to have no whiteouts.
    pub(crate) fn set_no_whiteouts(&self) {
        self.word.set(Trait::NO_WHITEOUTS.0);
    }

    /// Remembers that a layer says of a place of it that it is not what it was: the object is not for those who look it
    /// up anew.
    pub(crate) fn set_outdated(&self) {
        self.word.set(Trait::OUTDATED.0);
    }

    /// Remembers that no index of the names of the directory is made, as one of its places is not fit for that.
    pub(crate) fn set_no_index(&self) {
        self.word.set(Trait::NO_INDEX.0);
    }

    /// Forgets what was concluded from the places of a directory in lower layers, as these are about to be others.
    pub(crate) fn forget_conclusions(&self) {
        let of_names = Trait::FINALIZED.0
            | Trait::LOWER_FINALIZED.0
            | Trait::NO_WHITEOUTS.0
            | Trait::NO_INDEX.0;
        self.word.change(Trait::MAY_HAVE_WHITEOUTS.0, of_names);
        if let Some(listing) = self.listing() {
            listing.outdate();
        }
        if let Some(index) = self.place_index() {
            index.drop_map();
        }
    }

    /// Keeps what the places of a directory say, once they are known to be those of `found`.
    pub(crate) fn conclude_as(&self, found: &Object) {
        let of_names = Trait::FINALIZED.0 | Trait::LOWER_FINALIZED.0 | Trait::XATTR_WHITEOUTS.0;
        self.word.set(found.word.bits() & of_names);
    }

    /// Remembers that it was mapped by who can store to it past the gates of clones.
    pub(crate) fn set_stored_to_unasked(&self) {
        self.word.set(Trait::STORED_TO_UNASKED.0);
    }

    /// Returns whether it was. (As long as it is in memory; a mapping keeps it there.)
    pub(crate) fn is_stored_to_unasked(&self) -> bool {
        Traits(self.word.bits()).has(Trait::STORED_TO_UNASKED)
    }

    /// Returns it as what clones are made of.
    #[inline]
    pub(crate) fn as_source(&self) -> Source<'_> {
        Source::new(&self.word)
    }

    /// Takes the lock of the object, which keeps other tasks from copying it up, adding its data or removing it, or
    /// waits until they have. (`depth` is the stacking depth of its super block.)
    ///
    /// # Errors
    ///
    /// `EINTR`: the task is being killed.
    pub(crate) fn lock(&self, depth: u32) -> Result<Claim<'_>> {
        Ok(Claim {
            object: self,
            _lock: self.word.lock(depth)?,
        })
    }

    /// Returns the first place in the lower layers of what is no directory: of a file in upper that is its origin.
    #[inline]
    pub(crate) fn lower_file(&self) -> Option<&Pin> {
        self.pins.1.as_ref()
    }

    /// Returns the places of a directory in the lower layers.
    #[inline]
    pub(super) fn lower_dirs(&self) -> &PinStack<Layer> {
        &self.pins.2
    }

    /// Returns whether it is in a lower layer, or (a file in upper) was copied up from there.
    #[inline]
    pub(crate) fn has_lower(&self) -> bool {
        self.pins.1.is_some() || !self.pins.2.is_empty()
    }

    /// Returns what only few objects have.
    #[inline]
    fn more(&self) -> Option<&More> {
        self.pins.3.get()
    }

    /// Returns where its data is in the lower layers, if that is known.
    #[inline]
    fn lower_data(&self) -> Option<&Pin> {
        if let Some(lazy) = self.lazy() {
            return lazy.2.as_ref();
        }
        if self.is_declared() {
            // Nobody has asked yet what it says.
            return None;
        }
        match self.more() {
            None => self.lower_file(),
            Some((data, ..)) => data.as_ref().or(self.lower_file()),
        }
    }

    /// Returns the data that nobody looks for before it is needed.
    #[inline]
    pub(crate) fn lazy(&self) -> Option<&LazyData> {
        self.more()?.1.get()
    }

    /// Returns whether it is a file of an image, which was not asked when it was looked up.
    #[inline]
    pub(crate) fn is_declared(&self) -> bool {
        Traits(self.word.bits()).has(Trait::DECLARED)
    }

    /// Keeps what a file of an image says of its data: an absolute path. The caller holds the lock of the object, so that
    /// one task does it.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; those of [`Lowers::add_lazy_data`].
    pub(crate) fn set_sought(&self, path: KVVec<u8>, first: i64) -> Result {
        let more = self.pins.3.get_or_make(|| Ok(More::default()))?;
        more.1.get_or_make(|| {
            Ok((
                Other(Sought::new(path, first)?),
                KVec::new(),
                SetOnce::new(),
            ))
        })?;
        Ok(())
    }

    /// Returns whether a part of it is in the lower layers, as far as is known without looking for data.
    pub(crate) fn has_lower_part(&self) -> bool {
        self.has_lower() || self.lazy().is_some()
    }

    /// Remembers where the data is, unless that is known. The caller holds the lock of the object, so that one task
    /// looks for it.
    pub(crate) fn set_lazy_data(&self, found: Pin) {
        if let Some(lazy) = self.lazy() {
            lazy.2.populate(found);
        }
    }

    /// Returns the data that was not looked for before it was needed, once it was found.
    pub(crate) fn found_lazily(&self) -> Option<&Pin> {
        self.lazy()?.2.as_ref()
    }

    /// Returns the places of what is no directory below the first one: the data of a metacopy file, once it is known.
    #[inline]
    pub(super) fn data_place(&self) -> Option<&Pin> {
        let (data, lazy, _) = self.more()?;
        data.as_ref()
            .or(lazy.get().and_then(|lazy| lazy.2.as_ref()))
    }

    /// Returns the number of lower layers it is in.
    pub(crate) fn lower_depth(&self) -> usize {
        if self.lower_dirs().is_empty() {
            let data = self.more().and_then(|(data, ..)| data.as_ref());
            return [self.lower_file(), data].into_iter().flatten().count();
        }
        self.lower_dirs().peek(&rcu::read_lock()).len()
    }

    /// Returns the merged names of a directory, if anybody asked for them yet.
    pub(crate) fn listing(&self) -> Option<&SharedListing> {
        Some(&self.more()?.2 .0.get()?.listing)
    }

    /// Returns the merged names of a directory, a new listing if there is none. If two tasks make one at the same time,
    /// which no lock keeps them from, one of both is dropped.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn make_listing(&self, depth: u32) -> Result<&SharedListing> {
        Ok(&self.names(depth)?.listing)
    }

    fn names(&self, depth: u32) -> Result<&Names> {
        let more = self.pins.3.get_or_make(|| Ok(More::default()))?;
        more.2 .0.get_or_make(|| {
            Ok(Names {
                listing: SharedListing::new(depth)?,
                index: LateBox::default(),
            })
        })
    }

    /// Returns what is kept of the names of the lower directories, if anything is.
    #[inline]
    pub(crate) fn place_index(&self) -> Option<&PlaceIndex> {
        self.more()?.2 .0.get()?.index.get()
    }

    /// Returns what is kept of the names of the lower directories: without a map, if nothing was (see
    /// [`PlaceIndex::new`]). If two tasks make it
    /// at the same time, which no lock keeps them from, one of both is dropped.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn make_place_index(
        &self,
        all: &Indexes,
        depth: u32,
        enough: u32,
        asked_in_vain: u32,
    ) -> Result<&PlaceIndex> {
        self.names(depth)?
            .index
            .get_or_make(|| PlaceIndex::new(all, enough, asked_in_vain))
    }

    /// The most that [`Object::count_in_vain`] counts to.
    pub(crate) const MOST_IN_VAIN: u32 = u8::MAX as u32;

    /// Counts lower places of the directory that were asked for a name in vain; returns how many were so far.
    #[inline]
    pub(crate) fn count_in_vain(&self, places: u32) -> u32 {
        u32::from(self.word.count(Trait::COUNT_SHIFT, places))
    }
}

/// The lock of an object: while it is held, nobody else copies the object up, adds its data, or removes it.
#[must_use = "the lock is released when this is dropped"]
pub(crate) struct Claim<'a> {
    object: &'a Object,
    _lock: WordGuard<'a>,
}

impl<'a> Claim<'a> {
    /// Returns what the object is; where it is and whether its data is there stays so until this is used to change it.
    pub(crate) fn now(&self) -> Now<&'a Object> {
        Now::of(self.object)
    }

    /// Adds the place in upper. Readers, who take no lock, see place and traits at once: the place is there before the
    /// trait that they go by.
    pub(crate) fn show_in_upper(&self, upper: Pin, shown: Shown, is_indexed: bool) {
        self.object.pins.0.populate(upper);
        let indexed = if is_indexed { Trait::INDEXED.0 } else { 0 };
        let more = match shown {
            // A directory has no data that could be missing.
            Shown::Directory => Trait::MAY_HAVE_WHITEOUTS.0 | Trait::UPPER_DATA.0,
            Shown::Whole => Trait::UPPER_DATA.0,
            // The mark of the copy may say a digest where that of the lower file said none.
            Shown::Metadata => 0,
        };
        self.object
            .word
            .change(Trait::IN_UPPER.0 | indexed | more, Trait::VERIFIED.0);
    }

    /// Puts other places of a directory in lower layers there. Who has taken the old ones goes on with them, and takes
    /// back what he concludes from them if he finds others there afterwards ([`Places::is_current`]).
    ///
    /// [`Places::is_current`]: super::places::Places::is_current
    ///
    /// # Errors
    ///
    /// `ENOMEM`: nothing was changed.
    pub(crate) fn replace_dirs(
        &self,
        object: Held<'_, Object>,
        dirs: KVec<Pin>,
        retired: &mut RetiredPins,
    ) -> Result {
        self.object.forget_conclusions();
        let replaced = object
            .map(|object| object.lower_dirs())
            .replace(dirs, retired);
        self.object.forget_conclusions();
        replaced
    }

    /// Shows that its data is in upper as well.
    pub(crate) fn show_data_in_upper(&self) {
        self.object
            .word
            .change(Trait::UPPER_DATA.0, Trait::VERIFIED.0);
    }
}

/// The part of an object that gets to upper.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    /// A directory, merged with the lower ones, of which there may be whiteouts in it.
    Directory,
    /// A regular file without its data.
    Metadata,
    /// Anything else, all of it.
    Whole,
}

/// What an object is, at one moment: taken once in an operation, and passed on.
///
/// `R` is a borrow of the object: `&Object`, also in RCU-walk, or `Held<Object>`, with which one gets at the dentries.
#[derive(Clone, Copy)]
pub(crate) struct Now<R> {
    object: R,
    word: Traits,
}

impl<R: Deref<Target = Object>> Now<R> {
    /// Returns what `object` is now.
    #[inline]
    pub(crate) fn of(object: R) -> Self {
        let word = Traits(object.word.bits());
        Self { object, word }
    }

    /// Returns whether it is in upper.
    #[inline]
    pub(crate) fn in_upper(&self) -> bool {
        self.has(Trait::IN_UPPER)
    }

    /// Returns whether `one` is known of it.
    #[inline]
    pub(crate) fn has(&self, one: Trait) -> bool {
        self.word.has(one)
    }

    /// Returns whether only its metadata is where its attributes are.
    #[inline]
    pub(crate) fn is_metacopy(&self) -> bool {
        if self.in_upper() {
            !self.has(Trait::UPPER_DATA)
        } else {
            self.has(Trait::LOWER_METACOPY)
        }
    }

    /// Returns whether it is a directory merged of several.
    #[inline]
    pub(crate) fn is_merged(&self) -> bool {
        if self.in_upper() {
            self.object.has_lower()
        } else {
            self.object.lower_depth() > 1
        }
    }

    /// Returns the same, for who has the RCU read lock.
    #[inline]
    pub(crate) fn is_merged_in(&self, rcu: &impl InRcu) -> bool {
        if self.in_upper() {
            self.object.has_lower()
        } else {
            self.object.lower_dirs().peek(rcu).len() > 1
        }
    }

    /// Returns whether it keeps the number that a lower object has.
    #[inline]
    pub(crate) fn has_origin(&self) -> bool {
        self.in_upper() && self.object.has_lower() && self.has(Trait::LOWER_INO)
    }

    /// Returns whether a layer has said that a place of it is not what it was.
    #[inline]
    pub(crate) fn is_outdated(&self) -> bool {
        self.has(Trait::OUTDATED)
    }

    /// Returns how many of its places, from the top, it needs. A file in upper that has its data there does not end
    /// with what it was copied up from. (For `zip()`: `take()` counts down, and the compiler does not see that it stops
    /// at 0.)
    #[inline]
    pub(crate) fn needed(&self) -> usize {
        let upper = self.object.pins.0.as_ref().filter(|_| self.in_upper());
        match upper {
            Some(upper) if !upper.inode().is_dir() && !self.is_metacopy() => 1,
            _ => usize::MAX,
        }
    }

    /// Returns how many of its places, from the top, say which names a directory has; those below show what the names
    /// stand for.
    #[inline]
    pub(crate) fn naming(&self) -> usize {
        if self.in_upper() && self.has(Trait::FINALIZED) {
            1
        } else if self.has(Trait::LOWER_FINALIZED) {
            1 + usize::from(self.in_upper())
        } else {
            usize::MAX
        }
    }

    /// Returns the number of layers it is in.
    pub(crate) fn depth(&self) -> usize {
        let lower = self.object.lower_depth();
        lower.saturating_add(usize::from(self.in_upper()))
    }
}

impl<'a> Now<&'a Object> {
    /// Returns where it is in the upper layer.
    #[inline]
    pub(crate) fn upper(self) -> Option<&'a Pin> {
        if self.in_upper() {
            self.object.pins.0.as_ref()
        } else {
            None
        }
    }

    /// Returns where its attributes are, unless it is a directory that is in lower layers alone: that place may change.
    #[inline]
    pub(crate) fn fixed_real(self) -> Option<&'a Pin> {
        if self.in_upper() {
            self.object.pins.0.as_ref()
        } else {
            self.object.lower_file()
        }
    }

    /// Returns where its attributes are, as a path walk under RCU sees it.
    ///
    /// # Errors
    ///
    /// `EIO`: it is nowhere, which is not so of an object in use.
    #[inline]
    pub(crate) fn real_in<'b>(self, rcu: &'b impl InRcu) -> Result<&'b Pin>
    where
        'a: 'b,
    {
        match self.fixed_real() {
            Some(pin) => Ok(pin),
            None => Ok(self.object.lower_dirs().peek(rcu).first().ok_or(EIO)?),
        }
    }

    /// Returns where its data is, if that is known.
    #[inline]
    fn data(self) -> Option<&'a Pin> {
        if self.in_upper() && self.has(Trait::UPPER_DATA) {
            self.object.pins.0.as_ref()
        } else {
            self.object.lower_data()
        }
    }

    /// Returns every place it is in, upper first, and data that was found lazily last, as a path walk under RCU sees it.
    pub(crate) fn places_in<'b>(self, rcu: &'b impl InRcu) -> impl Iterator<Item = &'b Pin>
    where
        'a: 'b,
    {
        let object = self.object;
        let file = Iterator::chain(object.lower_file().into_iter(), object.data_place());
        let lower = Iterator::chain(object.lower_dirs().peek(rcu).iter(), file);
        Iterator::chain(self.upper().into_iter(), lower)
    }
}

impl<'a> Now<Held<'a, Object>> {
    /// Returns the same value for where no dentry is needed.
    #[inline]
    pub(crate) fn get(self) -> Now<&'a Object> {
        Now {
            object: self.object.get(),
            word: self.word,
        }
    }

    /// Returns the object that it is about.
    #[inline]
    pub(crate) fn object(self) -> Held<'a, Object> {
        self.object
    }

    /// Returns where it is in the upper layer.
    #[inline]
    pub(crate) fn upper(self) -> Option<Held<'a, Pin>> {
        let word = self.word;
        self.object.and_then(|object| Now { object, word }.upper())
    }

    /// Returns where its attributes are, as a path, unless it is a directory that is in lower layers alone: that place
    /// may change.
    #[inline]
    pub(crate) fn fixed_real_path(self) -> Option<Path<'a>> {
        let word = self.word;
        let real = self
            .object
            .and_then(|object| Now { object, word }.fixed_real())?;
        Some(real.path())
    }

    /// Returns the place in the upper layer, as a path.
    #[inline]
    pub(crate) fn upper_path(self) -> Option<Path<'a>> {
        Some(self.upper()?.path())
    }

    /// Returns the place of its data, as a path; `None` if nobody has looked for it yet.
    #[inline]
    pub(crate) fn data_path(self) -> Option<Path<'a>> {
        let word = self.word;
        let data = self.object.and_then(|object| Now { object, word }.data())?;
        Some(data.path())
    }
}

/// Returns the place of its data in the lower layers, as a path; `None` if nobody has looked for it yet.
pub(crate) fn lower_data_path(object: Held<'_, Object>) -> Option<Path<'_>> {
    Some(object.and_then(|o| o.lower_data())?.path())
}
