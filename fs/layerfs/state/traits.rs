// SPDX-License-Identifier: GPL-2.0-only

//! What is known of an object beside its places: bits of one word, which is read and changed as a whole.

#![forbid(unsafe_code)]

/// What is known of an object beside its places: a bit each.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Trait(pub(super) usize);

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
    pub(crate) const LOWER_INO: Self = Self(1 << 5);
    /// The data was found to have the digest that the metacopy file says.
    pub(crate) const VERIFIED: Self = Self(1 << 6);
    /// It is in upper: the place there is known.
    pub(super) const IN_UPPER: Self = Self(1 << 7);
    /// A directory in one layer that was read to its end, and has no whiteout in it.
    pub(crate) const NO_WHITEOUTS: Self = Self(1 << 9);
    /// A layer has said that a place of it is not what it was.
    pub(super) const OUTDATED: Self = Self(1 << 8);
    /// A directory in upper that has every name there: the lower layers need not be asked which there are.
    pub(crate) const FINALIZED: Self = Self(1 << 10);
    /// The same of the topmost of the lower layers it is in, and those below that one.
    pub(crate) const LOWER_FINALIZED: Self = Self(1 << 11);
    /// A regular file of an image that is declared to be of metacopies, none of whose marks was read.
    pub(crate) const DECLARED: Self = Self(1 << 12);
    /// A clone is being made of the file: who writes to it passes a gate before.
    pub(super) const CLONED_FROM: Self = Self(1 << 13);
    /// The file was mapped by who can store to it past the gates of clones.
    pub(super) const STORED_TO_UNASKED: Self = Self(1 << 14);
    /// A directory of which no index of the names is made, as long as its places are what they are.
    pub(crate) const NO_INDEX: Self = Self(1 << 15);
    /// The first of the eight bits that are a number: of lower places that were asked in vain.
    pub(super) const COUNT_SHIFT: u32 = 16;
    /// What is in upper has an entry in the index, by which it is found from the lower object. Such an object may be in
    /// upper while some of its names are not.
    pub(crate) const INDEXED: Self = Self(1 << 24);
}

/// A set of traits.
#[derive(Clone, Copy, Default)]
pub(crate) struct Traits(pub(super) usize);

impl Traits {
    /// Adds `one` if `wanted`.
    pub(crate) fn with(self, one: Trait, wanted: bool) -> Self {
        Self(if wanted { self.0 | one.0 } else { self.0 })
    }

    /// Returns whether `one` is among them.
    #[inline]
    pub(crate) fn has(self, one: Trait) -> bool {
        self.0 & one.0 != 0
    }
}
