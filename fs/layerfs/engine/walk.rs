// SPDX-License-Identifier: GPL-2.0-only

//! Looking for an object in one layer after the other.
//!
//! In each layer it is looked for by its name, or by the path of a redirect that was met further up. What is found
//! decides whether the walk goes on: a whiteout, an opaque directory and whatever is not a directory end it (but for a
//! metacopy file, whose data is further down); a directory is merged with those below.

#![forbid(unsafe_code)]

use crate::marks;
use crate::state::instance::Instance;
use crate::state::layer::Layer;
use crate::state::Real;
use format::opaque::DirMark;
use format::redirect::Progress;
use format::redirect::Redirect;
use kernel::fmt;
use kernel::prelude::*;
use kernel::sync::aref::ARef;
use vfs::object::kept_mount::KeptMount;
use vfs::sys::alloc::charged;
use vfs::sys::errno::ELOOP;
use vfs::sys::errno::ENAMETOOLONG;
use vfs::sys::errno::EREMOTE;
use vfs::sys::errno::ESTALE;
use vfs::Override;
use vfs::Path;

/// What a name is looked up for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The caller wants to know what it names.
    Know,
    /// The caller wants the same, and if it names nothing, to make something of that name, which looks it up in upper
    /// again.
    Create,
    /// The caller is a listing that shows the number, and writes nothing.
    Number,
}

/// What was met last, which says what is looked for further down.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Met {
    /// Nothing yet: whatever is found is the object.
    Nothing,
    /// A directory: others are merged with it.
    Directory,
    /// A file that has only its metadata there: its data is what is looked for.
    Metacopy,
    /// A file that is declared to be such, and was not asked.
    Declared,
    /// Anything else, which is whole.
    Whole,
}

/// Why nothing further down is of interest.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// A whiteout or an opaque directory hides it. That counts in upper alone, where a name is looked for and never a
    /// path: so it is of the name itself, not of a directory on the way.
    Hidden,
    /// What was met is whole, or does not go together with what was met further up.
    Reached,
}

/// The layer in which is looked.
pub(super) struct Within<'a> {
    pub(super) layer: &'a KeptMount<Layer>,
    /// There is no layer below this one, so marks that speak of those need not be read.
    pub(super) is_last: bool,
}

impl Within<'_> {
    /// Returns how messages call the layer.
    fn name(&self) -> &CStr {
        &self.layer.owner().name
    }
}

/// A walk through the layers.
pub(super) struct Walk<'a> {
    instance: &'a Instance,
    c: &'a Override<'a>,
    /// The name that was asked for.
    name: &'a [u8],
    purpose: Purpose,
    /// The path to look for instead, once a redirect was met.
    redirect: Option<KVVec<u8>>,
    /// What was met last has an absolute redirect of its own.
    leads_elsewhere: bool,
    pub(super) met: Met,
    pub(super) end: Option<End>,
    /// A directory was met that is marked to have whiteouts in the form of extended attributes.
    pub(super) xattr_whiteouts: bool,
    /// The directory that was met last says that it is finalized.
    pub(super) is_finalized: bool,
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        instance: &'a Instance,
        c: &'a Override<'a>,
        name: &'a [u8],
        purpose: Purpose,
    ) -> Self {
        Self {
            instance,
            c,
            name,
            purpose,
            redirect: None,
            leads_elsewhere: false,
            met: Met::Nothing,
            end: None,
            xattr_whiteouts: false,
            is_finalized: false,
        }
    }

    /// Begins anew in the middle: a metacopy file was met, whose data is at the absolute path `redirect`, or else has the
    /// name `name`.
    pub(super) fn to_data(
        instance: &'a Instance,
        c: &'a Override<'a>,
        name: &'a [u8],
        redirect: Option<KVVec<u8>>,
    ) -> Self {
        Self {
            leads_elsewhere: redirect.is_some(),
            redirect,
            met: Met::Metacopy,
            ..Self::new(instance, c, name, Purpose::Know)
        }
    }

    /// Takes the path or name to look for instead of the one that was asked for, if there is one: the walk is over.
    pub(super) fn take_redirect(&mut self) -> Option<KVVec<u8>> {
        self.redirect.take()
    }

    /// Returns the path or name to look for instead of the one that was asked for.
    pub(super) fn redirect(&self) -> Option<&[u8]> {
        self.redirect.as_deref()
    }

    /// Refuses to follow what the mount does not follow. Following redirects and metacopy files gives access past the
    /// permissions on the way there, so it is done only where the mounter trusts the layers.
    ///
    /// # Errors
    ///
    /// `EPERM`, after a message.
    #[inline]
    pub(super) fn check_allowed(&self) -> Result {
        if self.seeks_name() {
            return Ok(());
        }
        self.check_followed()
    }

    /// Returns whether it is the name that was asked for, and not data or a redirect, that is looked for.
    #[inline]
    pub(super) fn seeks_name(&self) -> bool {
        self.redirect.is_none() && self.met != Met::Metacopy
    }

    fn check_followed(&self) -> Result {
        let features = &self.instance.config.features;
        if self.met == Met::Metacopy && !features.metacopy {
            vfs::warn_limited!(
                "'{}': not following a metacopy file; mount with metacopy=on if you trust the layers\n",
                Escaped(self.name)
            );
            return Err(EPERM);
        }
        if self.redirect.is_some() && !features.redirect_dir.follows() {
            vfs::warn_limited!(
                "'{}': not following a redirect; mount with redirect_dir=follow if you trust the layers\n",
                Escaped(self.name)
            );
            return Err(EPERM);
        }
        Ok(())
    }

    /// Returns whether the path to look for begins at the roots of the layers.
    pub(super) fn begins_at_root(&self) -> bool {
        self.redirect
            .as_ref()
            .is_some_and(|path| path.first() == Some(&b'/'))
    }

    /// Returns the path where a metacopy file that was met last says that its data is, if that is an absolute one: the
    /// data-only layers are followed into by such ones alone.
    pub(super) fn data_path(&self) -> Option<&[u8]> {
        let path = self.redirect.as_ref()?;
        (self.met == Met::Metacopy && self.leads_elsewhere).then_some(path)
    }

    /// Looks in one layer, whose directory for this is `dir`.
    ///
    /// # Errors
    ///
    /// See [`lookup`](super::lookup::lookup).
    pub(super) fn search(&mut self, at: &Within<'_>, dir: &Real) -> Result<Option<ARef<Real>>> {
        let found = self.find(at, dir);
        vfs::debug!(
            "lookup('{}') in '{}': {}{}\n",
            Escaped(self.name),
            at.name(),
            self.verdict(&found),
            Leads(self.redirect.as_deref())
        );
        found
    }

    /// Returns how messages call what was found in a layer, and why the walk ends or goes on.
    #[cold]
    fn verdict(&self, found: &Result<Option<ARef<Real>>>) -> &'static str {
        match (found, self.end, self.met) {
            (Err(_), _, _) => "an error",
            (Ok(None), Some(End::Hidden), _) => "a whiteout",
            (Ok(None), Some(End::Reached), _) => "not what is looked for",
            (Ok(None), None, _) => "nothing",
            (Ok(Some(_)), Some(End::Hidden), _) => "an opaque directory",
            (Ok(Some(_)), _, Met::Directory) => "a directory",
            (Ok(Some(_)), _, Met::Metacopy) => "a metacopy file",
            (Ok(Some(_)), _, Met::Declared) => "a file of an image",
            (Ok(Some(_)), _, _) => "a file",
        }
    }

    #[inline]
    fn find(&mut self, at: &Within<'_>, dir: &Real) -> Result<Option<ARef<Real>>> {
        if self.redirect.is_none() {
            return self.step(at, dir, self.name, None);
        }
        self.find_elsewhere(at, dir)
    }

    fn find_elsewhere(&mut self, at: &Within<'_>, dir: &Real) -> Result<Option<ARef<Real>>> {
        match self.redirect.take() {
            None => self.step(at, dir, self.name, None),
            Some(path) if path.first() == Some(&b'/') => self.descend(at, dir, path),
            Some(name) => {
                let found = self.step(at, dir, &name, None)?;
                // Unless it was replaced by another, the redirect stays in force.
                self.redirect.get_or_insert(name);
                Ok(found)
            }
        }
    }

    /// Looks for an absolute path, name by name, from the root of a layer.
    fn descend(
        &mut self,
        at: &Within<'_>,
        root: &Real,
        mut path: KVVec<u8>,
    ) -> Result<Option<ARef<Real>>> {
        let mut dir = ARef::from(root);
        let mut progress = Progress::begin(&path);
        loop {
            let step = progress.next(&path).ok_or(EIO)?;
            let found = self.step(at, &dir, step.name, Some((step.prefix, step.rest)))?;
            let is_last = step.is_last();
            if let Some(new) = self.redirect.take() {
                path = new;
            }
            match found {
                Some(next) if !is_last && next.is_dir() => dir = next,
                found => {
                    self.redirect = Some(path);
                    return Ok(if is_last { found } else { None });
                }
            }
        }
    }

    /// Looks up one name. `around` has the parts of the path before and after it, where it is one of several names of a
    /// path.
    fn step(
        &mut self,
        at: &Within<'_>,
        dir: &Real,
        name: &[u8],
        around: Option<(&[u8], &[u8])>,
    ) -> Result<Option<ARef<Real>>> {
        let (prefix, rest) = around.unwrap_or((&[], &[]));
        let is_object = rest.is_empty();
        let Some(found) = self.entry(at, dir, name)? else {
            return Ok(None);
        };
        let config = &self.instance.config;
        let path = Path::new(at.layer, &found)?;
        if is_object && self.is_declared(at, &found) {
            self.met = Met::Declared;
            self.end = Some(End::Reached);
            return Ok(Some(found));
        }
        if marks::is_whiteout(config, self.c, path) {
            self.end = Some(End::Hidden);
            return Ok(None);
        }
        let goes_on = if found.is_dir() {
            self.meet_directory(at, path, name, is_object)?
        } else {
            self.meet_file(at, path, is_object)?
        };
        match goes_on {
            Next::Nothing => return Ok(None),
            Next::Object => return Ok(Some(found)),
            Next::Redirect => {}
        }
        self.leads_elsewhere = false;
        if let Some(value) = marks::redirect(config, self.c, path)? {
            self.follow(value, prefix, rest)?;
        }
        Ok(Some(found))
    }

    /// Returns whether something that was found need not be asked what it is, as `image=on` says it. (A file without data
    /// needs none, and an image may have it as it is.)
    #[inline]
    fn is_declared(&self, at: &Within<'_>, found: &Real) -> bool {
        self.instance.config.features.image
            && self.met == Met::Nothing
            && !at.layer.owner().is_upper()
            && found.is_regular()
            && found.inode().size() != 0
    }

    /// Returns the entry of a directory of a layer, if there is one, and it is something that can be stood on (not a
    /// mount point, nor a directory that ignores case where the stack does not).
    fn entry(&self, at: &Within<'_>, dir: &Real, name: &[u8]) -> Result<Option<ARef<Real>>> {
        let ignores_case = self.instance.ignores_case();
        if dir.inode().is_casefolded() != ignores_case {
            let why = if ignores_case {
                "its directory does not ignore case, as the stack does"
            } else {
                "its directory ignores case, and the stack does not"
            };
            return Err(self.unfit(at, name, why, ESTALE));
        }
        let found = if !at.layer.owner().is_upper() {
            dir.lookup_killable(self.c, at.layer, name)
        } else if self.purpose == Purpose::Create {
            // Whoever makes something there finds upper's dentry by its name, and needs no other.
            dir.lookup(self.c, at.layer, name)
        } else {
            // That upper has nothing is kept by our own dentry.
            dir.lookup_once(self.c, at.layer, name)
        };
        let is_there = matches!(found, Ok(Some(_)));
        self.instance
            .stats
            .count_lookup(at.layer.owner().index, is_there);
        let found = match found {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(None),
            Err(e) if e == ENOENT || e == ENAMETOOLONG => return Ok(None),
            Err(e) => return Err(e),
        };
        // What is no directory may have the flag or not.
        if found.is_dir() && found.inode().is_casefolded() != ignores_case {
            let why = if ignores_case {
                "it does not ignore case, as the stack does"
            } else {
                "it ignores case, and the stack does not"
            };
            return Err(self.unfit(at, name, why, EREMOTE));
        }
        match found.unsuitable() {
            Some(why) => Err(self.unfit(at, name, why, EREMOTE)),
            None => Ok(Some(found)),
        }
    }

    /// Takes note of a directory that was met: what was looked for (`is_object`), or one on the way there.
    fn meet_directory(
        &mut self,
        at: &Within<'_>,
        path: Path<'_>,
        name: &[u8],
        is_object: bool,
    ) -> Result<Next> {
        if is_object && self.met == Met::Metacopy {
            // The data of a file can't be in what is none.
            self.end = Some(End::Reached);
            return Ok(Next::Nothing);
        }
        if self.instance.is_layer_root(path.dentry()) {
            return Err(self.unfit(at, name, "it is the root of another layer", ELOOP));
        }
        if is_object {
            self.met = Met::Directory;
        }
        self.is_finalized = false;
        if at.is_last {
            return Ok(Next::Object);
        }
        match marks::dir_mark(&self.instance.config, self.c, path) {
            DirMark::HasWhiteouts if is_object => {
                if !at.layer.owner().is_upper() {
                    self.xattr_whiteouts = true;
                    at.layer.owner().expect_xattr_whiteouts();
                }
            }
            DirMark::Opaque => {
                self.end = Some(End::Hidden);
                return Ok(Next::Object);
            }
            DirMark::Finalized => self.is_finalized = true,
            _ => {}
        }
        Ok(Next::Redirect)
    }

    /// Takes note of something else that was met.
    fn meet_file(&mut self, at: &Within<'_>, path: Path<'_>, is_object: bool) -> Result<Next> {
        let is_data = path.dentry().is_regular();
        if self.met == Met::Directory || !is_object || self.met == Met::Metacopy && !is_data {
            // It is not merged with directories, nothing is in it, and no data of a file.
            self.end = Some(End::Reached);
            return Ok(Next::Nothing);
        }
        if marks::is_metacopy(&self.instance.config, self.c, path)? {
            self.met = Met::Metacopy;
            self.end = None;
            return Ok(if at.is_last {
                Next::Object
            } else {
                Next::Redirect
            });
        }
        self.met = Met::Whole;
        self.end = Some(End::Reached);
        Ok(Next::Object)
    }

    /// Puts a redirect in force: an absolute one in the place of the path so far, a relative one in
    /// the place of the name.
    fn follow(&mut self, value: KVVec<u8>, prefix: &[u8], rest: &[u8]) -> Result {
        // It was found to be valid when it was read.
        let redirect = Redirect::known(&value);
        let is_absolute = redirect.is_absolute();
        self.leads_elsewhere = is_absolute;
        if is_absolute {
            // An opaque directory on the way here does not speak for where this leads.
            self.end = None;
        }
        if rest.is_empty() && (is_absolute || prefix.is_empty()) {
            self.redirect = Some(value);
            return Ok(());
        }
        let room = prefix
            .len()
            .saturating_add(value.len())
            .saturating_add(rest.len());
        let mut path = KVVec::from_elem(0, room, charged())?;
        let len = redirect
            .join(prefix, rest, &mut path)
            .map_err(|_| EINVAL)?
            .as_bytes()
            .len();
        path.truncate(len);
        self.redirect = Some(path);
        Ok(())
    }

    fn unfit(&self, at: &Within<'_>, name: &[u8], why: &str, error: Error) -> Error {
        vfs::warn_limited!(
            "'{}' in layer '{}' can't be used: {}\n",
            Escaped(name),
            at.name(),
            why
        );
        error
    }
}

/// What is done about something that was met.
enum Next {
    /// It is not what is looked for.
    Nothing,
    /// It is what is looked for, and what it says of layers further down is of no interest.
    Object,
    /// It may have a redirect.
    Redirect,
}

/// A name as it can be shown in a message.
pub(super) struct Escaped<'a>(pub(super) &'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        vfs::sys::log::write_escaped(f, self.0)
    }
}

/// Where a redirect leads, as it can be shown in a message.
struct Leads<'a>(Option<&'a [u8]>);

impl fmt::Display for Leads<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(path) = self.0 else {
            return Ok(());
        };
        f.write_str("; further down it is '")?;
        vfs::sys::log::write_escaped(f, path)?;
        f.write_str("'")
    }
}
