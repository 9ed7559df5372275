// SPDX-License-Identifier: GPL-2.0-only

//! Redirects: where the lower object of a renamed directory, or of a metacopy file, is found.
//!
//! The value of `overlay.redirect` is either one name, in the same parent (*relative*), or a path from
//! the root of the layers that begins with `/` (*absolute*). See "renaming directories" and "Data-only
//! lower layers" in `Documentation/filesystems/overlayfs.rst`.
//!
//! What is accepted here is what overlayfs accepts (`ovl_get_redirect_xattr`), less what can never be
//! meant well:
//!
//! * a component `.` or `..`: overlayfs lets it through the parser, and its lookup then fails with
//!   `EACCES` (a name is looked up, not a path). We refuse it at once, so that no walk has to
//!   remember that a redirect must not leave its layer;
//! * a NUL byte: overlayfs silently cuts the value there.
//!
//! A component may be longer than a filesystem allows for a name: no such name exists, so the lookup
//! finds nothing, which is what overlayfs makes of it too.

#![forbid(unsafe_code)]

use crate::bytes::{position, Writer};

/// The longest value that can be stored in an xattr at all (`XATTR_SIZE_MAX`).
pub const MAX_LEN: usize = 65536;

/// A well-formed redirect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redirect<'a> {
    path: &'a [u8],
}

/// Why a value is no redirect; the lookup answers `EINVAL`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadRedirect {
    /// Nothing in it.
    Empty,
    /// A NUL byte in it.
    NulByte,
    /// An absolute path with nothing between two slashes.
    EmptyComponent,
    /// A slash at the end, or nothing but a slash.
    TrailingSlash,
    /// A slash in what does not begin with one.
    RelativePath,
    /// `.` or `..`, which could lead out of the layer.
    DotComponent,
    /// Longer than an xattr can be, or than the buffer it was to be written to.
    TooLong,
}

impl BadRedirect {
    /// The text for a log message.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Empty => "the redirect is empty",
            Self::NulByte => "the redirect has a NUL byte in it",
            Self::EmptyComponent => "the redirect has two slashes in a row",
            Self::TrailingSlash => "the redirect ends in a slash",
            Self::RelativePath => "the redirect is a relative path of several names",
            Self::DotComponent => "the redirect has '.' or '..' in it",
            Self::TooLong => "the redirect is too long",
        }
    }
}

/// One step of a walk: the name to look up, and the path around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step<'a> {
    /// All before the name, its slash included: empty for a relative redirect.
    pub prefix: &'a [u8],
    /// The name to look up in the directory that the prefix led to.
    pub name: &'a [u8],
    /// All after the name, beginning with a slash: empty at the last step.
    pub rest: &'a [u8],
}

impl Step<'_> {
    /// Whether the walk ends here.
    pub fn is_last(self) -> bool {
        self.rest.is_empty()
    }
}

/// How far a walk along a path has come. It keeps no path, because a redirect that is met on the way replaces the
/// part that was walked: [`Redirect::join`] makes the path to go on with, whose end is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// How many bytes at the end are still to be walked; `None` when none are.
    left: Option<usize>,
}

impl Progress {
    /// A walk along the path of a redirect, from the top.
    pub fn begin(path: &[u8]) -> Self {
        let slash = usize::from(path.starts_with(b"/"));
        Self {
            left: Some(path.len().saturating_sub(slash)),
        }
    }

    /// The next step on `path`: the one that the walk began with, or what it was replaced by. `None` at the end, and
    /// where the path is too short to be that one.
    pub fn next<'a>(&mut self, path: &'a [u8]) -> Option<Step<'a>> {
        let at = path.len().checked_sub(self.left?)?;
        let (prefix, tail) = path.split_at_checked(at)?;
        let end = position(tail, b'/').unwrap_or(tail.len());
        let (name, rest) = tail.split_at_checked(end)?;
        self.left = rest.len().checked_sub(1);
        Some(Step { prefix, name, rest })
    }
}

impl<'a> Redirect<'a> {
    /// Reads the value of `overlay.redirect`.
    pub fn parse(value: &'a [u8]) -> Result<Redirect<'a>, BadRedirect> {
        if value.is_empty() {
            return Err(BadRedirect::Empty);
        }
        if value.len() > MAX_LEN {
            return Err(BadRedirect::TooLong);
        }
        if position(value, 0).is_some() {
            return Err(BadRedirect::NulByte);
        }
        let names = match value.strip_prefix(b"/") {
            Some(path) if path.is_empty() || path.ends_with(b"/") => {
                return Err(BadRedirect::TrailingSlash);
            }
            Some(path) => path,
            None if position(value, b'/').is_some() => return Err(BadRedirect::RelativePath),
            None => value,
        };
        let mut rest = Some(names);
        while let Some(names) = rest {
            let end = position(names, b'/').unwrap_or(names.len());
            match names.get(..end).unwrap_or_default() {
                b"" => return Err(BadRedirect::EmptyComponent),
                b"." | b".." => return Err(BadRedirect::DotComponent),
                _ => {}
            }
            rest = names.get(end.saturating_add(1)..);
        }
        Ok(Redirect { path: value })
    }

    /// A value that [`Redirect::parse`] has accepted before: it is not looked at again.
    pub const fn known(value: &'a [u8]) -> Redirect<'a> {
        Redirect { path: value }
    }

    /// The value as it is stored.
    pub fn as_bytes(self) -> &'a [u8] {
        self.path
    }

    /// Whether it begins at the root of the layers, and not in the parent of what it is stored on.
    pub fn is_absolute(self) -> bool {
        self.path.starts_with(b"/")
    }

    /// Puts a redirect met while walking a path in the place of the walked part.
    ///
    /// `prefix` and `rest` are those of the [`Step`] whose object has this redirect. An absolute
    /// redirect replaces prefix and name, a relative one only the name; the rest stays.
    pub fn join<'b>(
        self,
        prefix: &[u8],
        rest: &[u8],
        buf: &'b mut [u8],
    ) -> Result<Redirect<'b>, BadRedirect> {
        let mut out = Writer::new(buf);
        if !self.is_absolute() {
            out.push(prefix).ok_or(BadRedirect::TooLong)?;
        }
        out.push(self.path).ok_or(BadRedirect::TooLong)?;
        out.push(rest).ok_or(BadRedirect::TooLong)?;
        Redirect::parse(out.finish())
    }
}

const _: () = {
    // `XATTR_SIZE_MAX` of the kernel: what an extended attribute has room for.
    assert!(MAX_LEN == 65536);
    // On disk there are the bytes of the path and nothing else: no header, no NUL at the end.
    assert!(size_of::<Redirect<'_>>() == size_of::<&[u8]>());
};
