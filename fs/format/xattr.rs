// SPDX-License-Identifier: GPL-2.0-only

//! The names of the extended attributes that hold the format, and how a stacked mount hides them.
//!
//! Everything recorded on a layer beside ordinary files is an xattr named `trusted.overlay.*`, or
//! `user.overlay.*` when the mount says `userxattr`. A user of the mount must not see those; and so
//! that a stacked filesystem can itself be a layer of another, what the user calls
//! `trusted.overlay.x` is stored as `trusted.overlay.overlay.x`. See "Nesting overlayfs mounts" and
//! "User xattr" in `Documentation/filesystems/overlayfs.rst`.

#![forbid(unsafe_code)]

use crate::bytes::Writer;
use core::cell::Cell;
use core::ffi::CStr;

/// The longest name that the kernel allows for an xattr (`XATTR_NAME_MAX`), without its NUL.
pub const NAME_MAX: usize = 255;

/// The part of an escaped name that the name which the user says does not have.
pub const ESCAPE: &[u8] = b"overlay.";

/// The prefix of the names that only a task with `CAP_SYS_ADMIN` sees.
pub const TRUSTED: &[u8] = b"trusted.";

/// The namespace in which the marks of a mount are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Namespace {
    /// `trusted.overlay.*`: the default; needs `CAP_SYS_ADMIN` in the initial user namespace.
    Trusted,
    /// `user.overlay.*`: mount option `userxattr`, for mounts made in a user namespace.
    User,
}

/// Something recorded on a layer's object in an xattr.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// On a directory: hides (`y`) what is below, or tells more of it; see [`crate::opaque`].
    Opaque,
    /// On a directory or metacopy file: the path its lower object is found at; see [`crate::redirect`].
    Redirect,
    /// On a copied-up object: the file handle of the lower object it came from.
    Origin,
    /// On an upper directory, `y`: some entries have an origin, so inode numbers need a lookup.
    Impure,
    /// On an index entry: the link count of the union; see "index" under "Non-standard behavior".
    Nlink,
    /// On a directory's index entry: the file handle of the upper directory.
    Upper,
    /// On the root of upper: the UUID of the mounted stack; see "UUID and fsid".
    Uuid,
    /// On a regular file: only metadata is here; see [`crate::metacopy`].
    Metacopy,
    /// On an upper inode: append-only and immutable flags that the upper inode itself must not have.
    Protattr,
    /// On a zero-size regular file: this is a whiteout; see [`crate::whiteout`].
    Whiteout,
    /// On a finalized directory: over which lower ones it was finalized; see [`crate::finalized`]. Of layerfs alone.
    Finalized,
}

/// How a name met in a layer relates to the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// A mark of this mount: hidden from its users.
    Private,
    /// A mark of a mount stacked upon this one: users see it without the escape.
    Escaped,
    /// None of the format's business: passed through.
    Foreign,
}

/// Too long to be stored once escaped; the system call answers `EOPNOTSUPP`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameTooLong;

impl NameTooLong {
    /// The text for a log message.
    pub fn reason(self) -> &'static str {
        "xattr name is longer than 255 bytes once escaped for the layer below"
    }
}

/// The list of names that a layer gave doesn't end in NUL; the system call answers `EIO`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedList;

impl MalformedList {
    /// The text for a log message.
    pub fn reason(self) -> &'static str {
        "the layer's filesystem gave a list of xattr names that does not end in a NUL byte"
    }
}

impl Mark {
    /// Every mark of the format.
    pub const ALL: [Mark; 11] = [
        Mark::Opaque,
        Mark::Redirect,
        Mark::Origin,
        Mark::Impure,
        Mark::Nlink,
        Mark::Upper,
        Mark::Uuid,
        Mark::Metacopy,
        Mark::Protattr,
        Mark::Whiteout,
        Mark::Finalized,
    ];
}

impl Namespace {
    /// The full name of a mark, as the layer's filesystem knows it.
    pub const fn name(self, mark: Mark) -> &'static CStr {
        match (self, mark) {
            (Self::Trusted, Mark::Opaque) => c"trusted.overlay.opaque",
            (Self::Trusted, Mark::Redirect) => c"trusted.overlay.redirect",
            (Self::Trusted, Mark::Origin) => c"trusted.overlay.origin",
            (Self::Trusted, Mark::Impure) => c"trusted.overlay.impure",
            (Self::Trusted, Mark::Nlink) => c"trusted.overlay.nlink",
            (Self::Trusted, Mark::Upper) => c"trusted.overlay.upper",
            (Self::Trusted, Mark::Uuid) => c"trusted.overlay.uuid",
            (Self::Trusted, Mark::Metacopy) => c"trusted.overlay.metacopy",
            (Self::Trusted, Mark::Protattr) => c"trusted.overlay.protattr",
            (Self::Trusted, Mark::Whiteout) => c"trusted.overlay.whiteout",
            (Self::Trusted, Mark::Finalized) => c"trusted.overlay.finalized",
            (Self::User, Mark::Opaque) => c"user.overlay.opaque",
            (Self::User, Mark::Redirect) => c"user.overlay.redirect",
            (Self::User, Mark::Origin) => c"user.overlay.origin",
            (Self::User, Mark::Impure) => c"user.overlay.impure",
            (Self::User, Mark::Nlink) => c"user.overlay.nlink",
            (Self::User, Mark::Upper) => c"user.overlay.upper",
            (Self::User, Mark::Uuid) => c"user.overlay.uuid",
            (Self::User, Mark::Metacopy) => c"user.overlay.metacopy",
            (Self::User, Mark::Protattr) => c"user.overlay.protattr",
            (Self::User, Mark::Whiteout) => c"user.overlay.whiteout",
            (Self::User, Mark::Finalized) => c"user.overlay.finalized",
        }
    }

    /// The prefix that every private name of this namespace begins with.
    pub const fn prefix(self) -> &'static [u8] {
        match self {
            Self::Trusted => b"trusted.overlay.",
            Self::User => b"user.overlay.",
        }
    }

    /// Tells what a name stored in a layer is to this mount.
    ///
    /// A name ends at its first NUL byte, if there is one.
    pub fn classify(self, name: &[u8]) -> Class {
        match until_nul(name).strip_prefix(self.prefix()) {
            None => Class::Foreign,
            Some(rest) if rest.starts_with(ESCAPE) => Class::Escaped,
            Some(_) => Class::Private,
        }
    }

    /// From the name that a user of the mount says to the name that the layer stores.
    ///
    /// A name outside the namespace is stored as it is. A name ends at its first NUL byte, if there
    /// is one.
    pub fn escape<'b>(self, name: &[u8], buf: &'b mut [u8; 256]) -> Result<&'b CStr, NameTooLong> {
        let name = until_nul(name);
        let mut out = Writer::new(buf.as_mut_slice());
        let written = match name.strip_prefix(self.prefix()) {
            None => out.push(name),
            Some(rest) => out
                .push(self.prefix())
                .and_then(|()| out.push(ESCAPE))
                .and_then(|()| out.push(rest)),
        };
        written.and_then(|()| out.push(b"\0")).ok_or(NameTooLong)?;
        CStr::from_bytes_with_nul(out.finish()).map_err(|_| NameTooLong)
    }

    /// Turns a layer's list of xattr names into what a user of the mount may see, in place.
    ///
    /// `list` is what `listxattr` gives: names, each followed by a NUL byte. Private names go, other
    /// `trusted.*` names go unless `see_trusted` (the caller has `CAP_SYS_ADMIN` in the initial user
    /// namespace), and escaped names lose their escape. Gives the length of what remains at the
    /// beginning of `list`; what follows it is undefined.
    pub fn filter_list(self, list: &mut [u8], see_trusted: bool) -> Result<usize, MalformedList> {
        // Cells allow reading ahead of where we write in the same buffer.
        let cells = Cell::from_mut(list).as_slice_of_cells();
        let mut kept = 0usize;
        for name in cells.split_inclusive(|byte| byte.get() == 0) {
            if name.last().map(Cell::get) != Some(0) {
                return Err(MalformedList);
            }
            for part in self.seen(name, see_trusted) {
                for (to, from) in cells.get(kept..).unwrap_or_default().iter().zip(part) {
                    to.set(from.get());
                }
                kept = kept.saturating_add(part.len());
            }
        }
        Ok(kept)
    }

    /// The name as a user sees it: two parts to be put together, which are empty where it is hidden.
    fn seen(self, name: &[Cell<u8>], see_trusted: bool) -> [&[Cell<u8>]; 2] {
        const HIDDEN: [&[Cell<u8>]; 2] = [&[], &[]];
        if !see_trusted && strip_prefix(name, TRUSTED).is_some() {
            return HIDDEN;
        }
        match name.split_at_checked(self.prefix().len()) {
            Some((head, rest)) if equal(head, self.prefix()) => match strip_prefix(rest, ESCAPE) {
                Some(rest) => [head, rest],
                None => HIDDEN,
            },
            _ => [name, &[]],
        }
    }
}

/// The part of a name before its NUL byte.
fn until_nul(name: &[u8]) -> &[u8] {
    name.split(|b| *b == 0).next().unwrap_or_default()
}

/// Gives the part of `name` that follows `prefix`, if the name begins with it.
fn strip_prefix<'a>(name: &'a [Cell<u8>], prefix: &[u8]) -> Option<&'a [Cell<u8>]> {
    let (head, rest) = name.split_at_checked(prefix.len())?;
    equal(head, prefix).then_some(rest)
}

/// Whether two strings of the same length are the same.
fn equal(cells: &[Cell<u8>], bytes: &[u8]) -> bool {
    cells.iter().zip(bytes).all(|(a, b)| a.get() == *b)
}

// Indexing is by what was compared with the length, and all of it happens when this is compiled.
#[allow(clippy::indexing_slicing)]
const _: () = {
    /// Whether the name of each mark is the prefix of its namespace and a word, and can be stored.
    const fn begins(namespace: Namespace, mark: Mark) -> bool {
        let (name, prefix) = (namespace.name(mark).to_bytes(), namespace.prefix());
        let mut at = 0;
        while at < prefix.len() {
            if at >= name.len() || name[at] != prefix[at] {
                return false;
            }
            at += 1;
        }
        at < name.len() && name.len() + ESCAPE.len() <= NAME_MAX
    }
    let mut at = 0;
    while at < Mark::ALL.len() {
        assert!(begins(Namespace::Trusted, Mark::ALL[at]));
        assert!(begins(Namespace::User, Mark::ALL[at]));
        at += 1;
    }
    assert!(Mark::ALL.len() == 11);
    assert!(NAME_MAX == 255);
};
