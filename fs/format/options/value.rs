// SPDX-License-Identifier: GPL-2.0-only

//! The words that options take as values.

#![forbid(unsafe_code)]

/// Defines a setting as an enum of the words it may be.
macro_rules! words {
    ($(#[$doc:meta])* $type:ident { $($(#[$word_doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $type {
            $($(#[$word_doc])* $variant,)*
        }

        impl $type {
            /// Every value, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The value of this word.
            pub fn parse(word: &[u8]) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.name().as_bytes() == word)
            }

            /// Its word.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }
        }
    };
}

words! {
    /// `redirect_dir`: whether renamed directories are looked for where they came from.
    ///
    /// See "renaming directories" in `Documentation/filesystems/overlayfs.rst`.
    RedirectDir {
        /// The user may say this; it stands for `follow` or `nofollow`, see [`RedirectDir::effective`].
        Off = "off",
        /// Redirects are followed and not made.
        Follow = "follow",
        /// Redirects are neither followed nor made.
        Nofollow = "nofollow",
        /// Redirects are followed and made.
        On = "on",
    }
}

impl RedirectDir {
    /// Gives the meaning of the word: `off` is one of the two others, by module parameter.
    pub const fn effective(self, always_follow: bool) -> RedirectDir {
        match (self, always_follow) {
            (Self::Off, true) => Self::Follow,
            (Self::Off, false) => Self::Nofollow,
            (other, _) => other,
        }
    }

    /// Whether a redirect found in a layer is followed.
    pub const fn follows(self) -> bool {
        !matches!(self, Self::Nofollow)
    }
}

words! {
    /// `uuid`: what tells stacks, and the filesystems of their layers, apart; see "UUID and fsid".
    Uuid {
        /// The stack has none, and those of layers are ignored.
        Off = "off",
        /// The stack has none.
        Null = "null",
        /// The stack has one if its upper root has one, or is new.
        Auto = "auto",
        /// The stack has one, and it is stored on its upper root.
        On = "on",
    }
}

words! {
    /// `xino`: whether inode numbers are made unique with their high bits; see [`crate::ino`].
    Xino {
        /// They aren't.
        Off = "off",
        /// It is done where it can be done.
        Auto = "auto",
        /// It is done where it can be done, and a warning is given where it can't.
        On = "on",
    }
}

words! {
    /// `verity`: whether data of metacopy files is checked; see "fs-verity support".
    Verity {
        /// Digests are neither checked nor made.
        Off = "off",
        /// A digest is checked where there is one.
        On = "on",
        /// A metacopy file without a digest is an error.
        Require = "require",
    }
}

words! {
    /// `fsync`: what is made durable when; see "Durability and copy up" and "Volatile mount".
    Fsync {
        /// Nothing: after a crash upper is to be thrown away.
        Volatile = "volatile",
        /// Data before it is published by copy-up.
        Auto = "auto",
        /// Metadata too.
        Strict = "strict",
    }
}

words! {
    /// `finalize`: whether directories that are marked as finalized end a lookup; see [`crate::finalized`].
    Finalize {
        /// The marks are ignored, and none are made.
        Off = "off",
        /// The marks count; they are made where that is asked for.
        On = "on",
        /// The marks count, and a directory gets one when it is listed and found to be complete.
        Auto = "auto",
    }
}

impl Finalize {
    /// Whether the marks count.
    pub const fn counts(self) -> bool {
        !matches!(self, Self::Off)
    }
}

words! {
    /// `nameindex`: whether the names of merged directories are kept in memory, so that lower layers need not be asked
    /// which they have.
    NameIndex {
        /// They are not.
        Off = "off",
        /// They are, of all layers: whoever mounts says that no lower layer changes.
        On = "on",
        /// They are of layers on local filesystems.
        Auto = "auto",
    }
}

/// The value of an option that is `on` or `off`.
pub fn parse_switch(word: &[u8]) -> Option<bool> {
    match word {
        b"on" => Some(true),
        b"off" => Some(false),
        _ => None,
    }
}

/// The word for a switch.
pub const fn switch_name(on: bool) -> &'static str {
    if on {
        "on"
    } else {
        "off"
    }
}
