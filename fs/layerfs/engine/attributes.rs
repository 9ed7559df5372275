// SPDX-License-Identifier: GPL-2.0-only

//! Carrying the attributes of an object over to its copy in upper: extended attributes, access control
//! lists, and what `stat(2)` shows.
//!
//! The layer that is copied from may be a daemon that takes its time to answer, or never does. So the right
//! to write to upper is taken only when its answers are there: while it is held, a filesystem can't be
//! frozen ("Locking order" in `Documentation/internals.rst`).

#![forbid(unsafe_code)]

use super::work::CleanupRight;
use crate::state::instance::Instance;
use crate::state::Real;
use core::ops::Range;
use format::xattr::Class;
use kernel::prelude::*;
use vfs::call::acl;
use vfs::call::acl::Acl;
use vfs::call::change::Change;
use vfs::call::stat::Stat;
use vfs::call::xattr;
use vfs::call::xattr::SetFlags;
use vfs::guard::write::WantWrite;
use vfs::sys::alloc::charged;
use vfs::sys::errno::ENODATA;
use vfs::sys::errno::EOPNOTSUPP;
use vfs::sys::mode::FileType;
use vfs::sys::mode::Mode;
use vfs::Override;
use vfs::Path;

/// The capabilities of a program.
pub(super) const CAPABILITY: &CStr = c"security.capability";

/// How many bytes of values are collected before they are written, if there are as many.
const BATCH: usize = 64 << 10;

/// Room for values to begin with: most objects have few and small ones.
const FIRST_ROOM: usize = 512;

/// Gives an object the mode, owner and times of `stat`.
///
/// # Errors
///
/// `EPERM`, `EOVERFLOW`, …
pub(crate) fn set_attributes(
    c: &Override<'_>,
    writing: &WantWrite<'_>,
    dentry: &Real,
    stat: &Stat,
) -> Result {
    let has_mode = stat.mode().file_type() != FileType::SYMLINK;
    if !stat.mode().has_any(Mode::SET_IDS) {
        // All are set at once, in one transaction of the filesystem instead of three. A set-group-ID bit is not set so:
        // it would be lost if the mounter were not in that group.
        let mut all = Change::owner_of(stat).and_times_of(stat);
        if has_mode {
            all = all.and_mode(stat.mode());
        }
        if all.apply(c, writing, dentry).is_ok() {
            return Ok(());
        }
    }
    if has_mode {
        Change::mode(stat.mode()).apply(c, writing, dentry)?;
    }
    Change::owner_of(stat).apply(c, writing, dentry)?;
    // Times are not worth failing for.
    let _ = Change::times_of(stat).apply(c, writing, dentry);
    Ok(())
}

/// Copies extended attributes and access control lists, but not our own marks.
///
/// What `from` has is asked for without the right to write to upper (`mnt_want_write()`), and then written, some values
/// at a time, so that little memory is taken however many there are.
///
/// # Errors
///
/// `EOPNOTSUPP`: upper can't keep one that matters. `ENOSPC`, `EDQUOT`, …
pub(crate) fn copy_xattrs(
    instance: &Instance,
    c: &Override<'_>,
    from: Path<'_>,
    to: &Real,
    write: &CleanupRight<'_>,
    rights: Rights,
) -> Result {
    let mut room = [0u8; 256];
    let list;
    let names = match xattr::list(c, from, &mut room) {
        Ok(len) => room.get(..len).ok_or(EIO)?,
        Err(e) if e == EOPNOTSUPP => return Ok(()),
        Err(e) if e == ERANGE => {
            list = xattr::list_whole(c, from)?;
            &list
        }
        Err(e) => return Err(e),
    };
    let mut names = names.split_inclusive(|b| *b == 0);
    let mut batch = Batch::of(rights);
    while batch.collect(instance, c, from, &mut names)? {
        write.with(|writing| batch.write(c, writing, to))?;
    }
    Ok(())
}

/// What becomes of capabilities and access control lists.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rights {
    /// They are copied.
    Copied,
    /// The copy has another owner: what was given of the old one's is not the new one's to give. That there are none
    /// was asked before; these were added since.
    LeftBehind,
}

/// Attributes that were read, and are to be written.
struct Batch<'n> {
    rights: Rights,
    /// The values, one behind the other; what is behind `used` is room.
    bytes: KVVec<u8>,
    used: usize,
    attributes: KVVec<(&'n CStr, Value)>,
}

/// An attribute that was read.
enum Value {
    /// Where its value is among the bytes.
    Bytes(Range<usize>),
    Acl(Acl, acl::Kind),
}

impl<'n> Batch<'n> {
    fn of(rights: Rights) -> Self {
        Self {
            rights,
            bytes: KVVec::new(),
            used: 0,
            attributes: KVVec::new(),
        }
    }

    /// Reads the values of the next names, in the place of those before; returns whether there are any. This asks the
    /// layer that `from` is in.
    fn collect(
        &mut self,
        instance: &Instance,
        c: &Override<'_>,
        from: Path<'_>,
        names: &mut impl Iterator<Item = &'n [u8]>,
    ) -> Result<bool> {
        self.used = 0;
        self.attributes.clear();
        while self.used < BATCH {
            let Some(name) = names.next() else { break };
            let name = CStr::from_bytes_with_nul(name).map_err(|_| EIO)?;
            if instance.config.namespace().classify(name.to_bytes()) == Class::Private {
                continue;
            }
            // A list is copied under the name by which the mounts' id mappings count. As its filesystem keeps it, it
            // would name others where these are not the same, and bring an old one back where another filesystem
            // has the value as an attribute like any other.
            if Acl::is_raw(name) {
                continue;
            }
            let gives_rights = name == CAPABILITY || Acl::kind_of(name).is_some();
            if gives_rights && self.rights == Rights::LeftBehind {
                continue;
            }
            if !xattr::is_to_be_copied_up(from.dentry(), name)? {
                continue;
            }
            let value = match Acl::kind_of(name) {
                Some(kind) => match Acl::get(c, from, kind) {
                    Ok(acl) => acl.map(|acl| Value::Acl(acl, kind)),
                    Err(e) if e == ENODATA || e == EOPNOTSUPP => None,
                    Err(e) => return Err(e),
                },
                None => self.read(c, from, name)?.map(Value::Bytes),
            };
            if let Some(value) = value {
                self.attributes.push((name, value), charged())?;
            }
        }
        Ok(!self.attributes.is_empty())
    }

    /// Reads one value; returns `None` if it is gone, or is not one to be copied.
    fn read(
        &mut self,
        c: &Override<'_>,
        from: Path<'_>,
        name: &CStr,
    ) -> Result<Option<Range<usize>>> {
        self.make_room(FIRST_ROOM)?;
        // A value that grows whenever it was asked for its length is no value.
        for _ in 0..8 {
            let room = self.bytes.get_mut(self.used..).unwrap_or_default();
            match xattr::get(c, from, name, room) {
                Ok(len) => {
                    let value = self.used..self.used.saturating_add(len);
                    if value.end > self.bytes.len() {
                        return Err(EIO);
                    }
                    self.used = value.end;
                    return Ok(Some(value));
                }
                Err(e) if e == ERANGE => match xattr::get(c, from, name, &mut []) {
                    Ok(len) => self.make_room(len.min(xattr::VALUE_MAX))?,
                    Err(e) => return unread(from.dentry(), name, e),
                },
                Err(e) => return unread(from.dentry(), name, e),
            }
        }
        Err(ERANGE)
    }

    /// Makes room for a value of `len` bytes behind those that are there.
    fn make_room(&mut self, len: usize) -> Result {
        let missing = (self.used.saturating_add(len)).saturating_sub(self.bytes.len());
        if missing > 0 {
            self.bytes.extend_with(missing, 0, charged())?;
        }
        Ok(())
    }

    /// Writes what was collected. This asks nobody but upper.
    fn write(&self, c: &Override<'_>, writing: &WantWrite<'_>, to: &Real) -> Result {
        for (name, value) in &self.attributes {
            match value {
                Value::Acl(acl, kind) => acl.set_on(c, writing, to, *kind)?,
                Value::Bytes(range) => {
                    let value = self.bytes.get(range.clone()).ok_or(EIO)?;
                    match xattr::set(c, writing, to, name, value, SetFlags::ANY) {
                        Err(e) if e == EINVAL && *name == CAPABILITY => warn_invalid(to, e),
                        Err(e) if e == EOPNOTSUPP => left_behind(to, name)?,
                        result => result?,
                    }
                }
            }
        }
        Ok(())
    }
}

/// Decides what it means that upper does not take an attribute. Who set it may do without; but not without what decides
/// on access, except where upper has no attributes at all: there every object is without, and a program has fewer
/// rights than it had.
fn left_behind(to: &Real, name: &CStr) -> Result {
    if !name.to_bytes().starts_with(b"security.") {
        return Ok(());
    }
    if to.inode().has_xattrs() {
        return Err(EOPNOTSUPP);
    }
    vfs::warn_limited!(
        "'{}': upper's filesystem has no extended attributes, so {} is not copied up: take one that has them for \
         upperdir if it is to be kept\n",
        &**to,
        name
    );
    Ok(())
}

/// Decides what it means that the value of an attribute that was listed can't be read.
fn unread<T>(dentry: &Real, name: &CStr, why: Error) -> Result<Option<T>> {
    if why == ENODATA || why == EOPNOTSUPP {
        return Ok(None);
    }
    if name == CAPABILITY && is_invalid_capability(why) {
        warn_invalid(dentry, why);
        return Ok(None);
    }
    Err(why)
}

/// Returns whether an error of reading a capability says that it is none: it has no form that is known, so any user may
/// have stored it, or it is of another user namespace. Either way it grants nothing here.
pub(super) fn is_invalid_capability(why: Error) -> bool {
    why == EINVAL || why == EOVERFLOW
}

/// Says that a capability is left behind.
pub(super) fn warn_invalid(dentry: &Real, why: Error) {
    vfs::warn_limited!(
        "'{}': {} is not valid here ({:?}) and grants nothing, so it is not copied up\n",
        &**dentry,
        CAPABILITY,
        why
    );
}
