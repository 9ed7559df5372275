// SPDX-License-Identifier: GPL-2.0-only

//! The work directory: where objects are prepared before they are put in their place by one rename, and
//! where what was replaced ends.

#![forbid(unsafe_code)]

use super::stale::Stale;
use crate::marks::Marked;
use crate::state::instance::Instance;
use crate::state::layer::Upper;
use crate::state::listing::Arena;
use crate::state::listing::Fate;
use crate::state::object::Now;
use crate::state::object::Object;
use crate::state::traits::Trait;
use crate::state::Real;
use core::ops::Deref;
use core::sync::atomic::Ordering;
use format::xattr::Mark;
use kernel::prelude::*;
use kernel::str::BStr;
use kernel::sync::aref::ARef;
use vfs::call::acl;
use vfs::call::acl::Acl;
use vfs::call::change::Change;
use vfs::call::dir_iter;
use vfs::call::dir_iter::Next;
use vfs::guard::dir_op::Creating;
use vfs::guard::dir_op::Ends;
use vfs::guard::dir_op::NewEntry;
use vfs::guard::dir_op::NewObject;
use vfs::guard::dir_op::Removing;
use vfs::guard::dir_op::RenameFlags;
use vfs::guard::dir_op::Renaming;
use vfs::guard::write::WantWrite;
use vfs::guard::write::WriteAccess;
use vfs::object::file::OwnedFile;
use vfs::object::inode::Rights;
use vfs::sys::anon_dev::Dev;
use vfs::sys::errno::ENODATA;
use vfs::sys::errno::ENOTEMPTY;
use vfs::sys::errno::EOPNOTSUPP;
use vfs::sys::mode::FileType;
use vfs::sys::task;
use vfs::Override;
use vfs::Path;

/// A character device 0/0: nothing is in its place.
pub(crate) const WHITEOUT: NewEntry<'static> = NewEntry::Object(NewObject::Special(
    FileType::CHAR_DEVICE.with_permissions(0),
    Dev::NONE,
));

/// A name in the work directory: `#` and a number in hexadecimal.
pub(crate) struct TempName {
    bytes: [u8; 9],
    /// The place in `bytes` where the name begins.
    start: usize,
}

impl TempName {
    /// Makes a name that nothing else in the work directory has.
    pub(crate) fn new(upper: &Upper) -> Self {
        let mut n = upper
            .last_temp
            .fetch_add(1, Ordering::Relaxed)
            .wrapping_add(1);
        let mut name = Self {
            bytes: [b'#'; 9],
            start: 9,
        };
        for place in name.bytes.iter_mut().rev().take(8) {
            let digit = (n & 0xf) as u8;
            *place = if digit < 10 {
                b'0' + digit
            } else {
                b'a' + digit - 10
            };
            name.start -= 1;
            n >>= 4;
            if n == 0 {
                break;
            }
        }
        name.start -= 1;
        name
    }

    /// Returns its bytes.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or(&self.bytes)
    }
}

/// An object in the work directory under a temporary name. Dropped, it is removed again, unless it was
/// said to be [`published`](Temp::published).
pub(crate) struct Temp<'a> {
    upper: &'a Upper,
    c: &'a Override<'a>,
    write: CleanupRight<'a>,
    object: ARef<Real>,
    published: bool,
}

/// The right to write with which a [`Temp`] is removed.
pub(crate) enum CleanupRight<'a> {
    /// It lives no longer than this.
    Held(&'a WantWrite<'a>),
    /// It outlives the right it was made with, so that freezing need not wait for it.
    Start(&'a WriteAccess<'a>),
}

impl CleanupRight<'_> {
    /// Does `f` with the right to write.
    pub(crate) fn with<R>(&self, f: impl FnOnce(&WantWrite<'_>) -> R) -> R {
        match self {
            CleanupRight::Held(writing) => f(writing),
            CleanupRight::Start(access) => f(&access.start()),
        }
    }
}

impl<'a> Temp<'a> {
    /// Makes an object under a temporary name, which is removed when this is dropped.
    ///
    /// # Errors
    ///
    /// `EROFS`; `ENOSPC`, `EDQUOT`, …
    pub(crate) fn create(
        upper: &'a Upper,
        c: &'a Override<'a>,
        write: CleanupRight<'a>,
        what: &NewEntry<'_>,
    ) -> Result<Self> {
        let object = write.with(|writing| create(upper, c, writing, what))?;
        Ok(Self {
            upper,
            c,
            write,
            object,
            published: false,
        })
    }

    /// Returns the object, which is removed all the same when this is dropped.
    pub(crate) fn object(&self) -> ARef<Real> {
        self.object.clone()
    }

    /// Says that it is in its place now, and not in the work directory any more; returns it.
    pub(crate) fn published(mut self) -> ARef<Real> {
        self.published = true;
        self.object.clone()
    }
}

impl Deref for Temp<'_> {
    type Target = Real;

    fn deref(&self) -> &Real {
        &self.object
    }
}

impl Drop for Temp<'_> {
    fn drop(&mut self) {
        let (false, Ok(work)) = (self.published, self.upper.work()) else {
            return;
        };
        self.write
            .with(|writing| cleanup(self.c, writing, work, &self.object));
    }
}

/// Makes an object under a temporary name, which stays there.
///
/// # Errors
///
/// `EROFS`; `ENOSPC`, `EDQUOT`, …
fn create(
    upper: &Upper,
    c: &Override<'_>,
    writing: &WantWrite<'_>,
    what: &NewEntry<'_>,
) -> Result<ARef<Real>> {
    let name = TempName::new(upper);
    let creating = Creating::begin(c, writing, upper.work()?, name.as_bytes())?;
    if creating.existing().is_some() {
        return Err(Stale::WorkNameIsTaken.refuse_in_work());
    }
    creating.create(c, what)
}

/// Removes an object that is not needed any more, and says so if that fails: then a later mount does
/// it.
pub(crate) fn cleanup(c: &Override<'_>, writing: &WantWrite<'_>, dir: &Real, victim: &Real) {
    if let Err(e) = remove(c, writing, dir, victim) {
        vfs::warn_limited!("cleanup of '{}' failed: {:?}\n", &**victim, e);
    }
}

/// Removes an object of a directory of our own.
///
/// # Errors
///
/// `EINVAL`: it is not there any more. `EBUSY`, `EIO`, …
pub(crate) fn remove(
    c: &Override<'_>,
    writing: &WantWrite<'_>,
    dir: &Real,
    victim: &Real,
) -> Result {
    Removing::begin_with(c, writing, dir, victim)?.remove(c)
}

/// Makes a whiteout in the work directory: where it can be, a link to one that is shared by all.
///
/// # Errors
///
/// `EROFS`; `ENOSPC`, `EDQUOT`, …
fn whiteout<'a>(
    upper: &'a Upper,
    c: &'a Override<'a>,
    writing: &'a WantWrite<'a>,
) -> Result<Temp<'a>> {
    let temp = |object| Temp {
        upper,
        c,
        write: CleanupRight::Held(writing),
        object,
        published: false,
    };
    let mut cache = upper.whiteout.lock()?;
    let shared = match cache.shared.take() {
        Some(shared) => shared,
        None => create(upper, c, writing, &WHITEOUT)?,
    };
    if cache.unshared {
        return Ok(temp(shared));
    }
    match create(upper, c, writing, &NewEntry::Link(&shared)) {
        Ok(link) => {
            cache.shared = Some(shared);
            Ok(temp(link))
        }
        // It has as many names as it can have: the next one is shared instead.
        Err(e) if e == EMLINK => Ok(temp(shared)),
        // Somebody (nfsd, a lease) has a delegation of it or of the work directory: this is begun again.
        Err(e) if e == EAGAIN => {
            cache.shared = Some(shared);
            Err(e)
        }
        Err(e) => {
            pr_warn!(
                "whiteouts in '{}' can't be linked, so they are not shared: {:?}\n",
                &*upper.name,
                e
            );
            cache.unshared = true;
            Ok(temp(shared))
        }
    }
}

/// Puts a whiteout in the place of `victim`, which may be nothing, in `dir`.
///
/// # Errors
///
/// `ENOSPC`, `EDQUOT`, …
pub(crate) fn put_whiteout<'a>(
    upper: &'a Upper,
    c: &'a Override<'a>,
    writing: &'a WantWrite<'a>,
    dir: &Real,
    victim: &vfs::Dentry<vfs::Foreign>,
) -> Result {
    let whiteout = whiteout(upper, c, writing)?;
    let victim_dir = victim.positive().filter(|v| v.is_dir());
    let flags = if victim_dir.is_some() {
        RenameFlags::EXCHANGE
    } else {
        RenameFlags::NONE
    };
    let work = upper.work()?;
    Renaming::begin(
        c,
        writing,
        work,
        dir,
        Ends::Objects(&whiteout, victim),
        flags,
    )
    .and_then(|it| it.rename(c))?;
    whiteout.published();
    if let Some(victim) = victim_dir {
        cleanup(c, writing, work, victim);
    }
    Ok(())
}

/// Takes from a directory in workdir what it may have got from that: nobody has a right there, and the mounter needs none if
/// he has the capability to do without.
///
/// # Errors
///
/// Those of upper.
pub(crate) fn without_inherited(c: &Override<'_>, writing: &WantWrite<'_>, dir: &Real) -> Result {
    for kind in [acl::Kind::Default, acl::Kind::Access] {
        match Acl::remove_from(c, writing, dir, kind) {
            Err(e) if e != ENODATA && e != EOPNOTSUPP => return Err(e),
            _ => {}
        }
    }
    Change::mode(FileType::DIRECTORY.with_permissions(0)).apply(c, writing, dir)?;
    open_up(c, writing, dir)
}

/// Gives the owner of a directory all rights to it, if the mounter can't do without.
///
/// # Errors
///
/// `EPERM`: it is not his. The errors of the filesystem.
pub(crate) fn open_up(c: &Override<'_>, writing: &WantWrite<'_>, dir: &Real) -> Result {
    const OWNER: u16 = 0o700;

    let all = Rights::READ.union(Rights::WRITE).union(Rights::SEARCH);
    match dir.inode().permits(c, writing.mount().idmap(), all) {
        Err(e) if e == EACCES => {
            let mode = dir.inode().mode();
            let mode = mode.with_permissions(mode.permissions() | OWNER);
            Change::mode(mode).apply(c, writing, dir)
        }
        _ => Ok(()),
    }
}

/// The depth down to which the work directory is cleaned: what we leave there is not deeper.
const DEPTH: u32 = 2;

/// Removes what an earlier mount left: `victim` in `dir`, and what is in it.
///
/// # Errors
///
/// `EINVAL`: it was left by a feature this version does not know, or by a mount that never synced. `EINTR`: the task is
/// being killed. The errors of the filesystem.
pub(crate) fn cleanup_leftover(
    c: &Override<'_>,
    writing: &WantWrite<'_>,
    dir: &Real,
    victim: &Real,
    level: u32,
) -> Result {
    let removing = Removing::begin_with(c, writing, dir, victim)?;
    match removing.remove(c) {
        Err(e) if victim.is_dir() && level < DEPTH && e == ENOTEMPTY => {}
        result => return result,
    }
    // A name that says "incompat" is a promise that whoever does not know what is in it stops.
    let incompatible = level == 1 && victim.name_copy()?.as_slice() == b"incompat";
    let path = Path::new(writing.mount(), victim)?;
    // It may be a directory that its owner has no right to.
    let _ = open_up(c, writing, victim);
    loop {
        let removed = cleanup_leftovers_in(c, writing, path, level, incompatible)?;
        match Removing::begin_with(c, writing, dir, victim)?.remove(c) {
            // A filesystem may pass over names while others are removed.
            Err(e) if e == ENOTEMPTY && removed => {}
            result => return result,
        }
    }
}

/// The bytes of names that are read before the first of them is looked at: there may be names without number.
const BATCH: u32 = 64 << 10;

/// Calls `f` with each name in a directory but `.` and `..`. It may remove what has the name.
///
/// # Errors
///
/// `EINTR`: the task is being killed. `ENOMEM`. The errors of the filesystem, and of `f`.
pub(crate) fn each_name(
    c: &Override<'_>,
    dir: Path<'_>,
    mut f: impl FnMut(&[u8]) -> Result,
) -> Result {
    let mut open = OwnedFile::open_dir(c, dir)?;
    let mut names = Arena::with_room(BATCH)?;
    loop {
        names.clear();
        let at_end = dir_iter::read_on(c, &mut open, |entry| {
            if names.end() >= BATCH {
                return Ok(Next::Stop);
            }
            if !matches!(entry.name, b"." | b"..") {
                names.push(entry, Fate::Behind)?;
            }
            Ok(Next::Continue)
        })?;
        for (_, entry, _) in names.iter() {
            task::check_killed()?;
            f(entry.name)?;
        }
        if at_end {
            return Ok(());
        }
    }
}

/// Removes what is in a directory that an earlier mount left; returns whether there was anything.
fn cleanup_leftovers_in(
    c: &Override<'_>,
    writing: &WantWrite<'_>,
    dir: Path<'_>,
    level: u32,
    incompatible: bool,
) -> Result<bool> {
    let mut removed = false;
    each_name(c, dir, |name| {
        if incompatible {
            pr_err!(
                "a mount with the feature '{}' left its mark in the work directory\n",
                BStr::from_bytes(name)
            );
            return Err(EINVAL);
        }
        if let Some(child) = dir.dentry().lookup_killable(c, dir.mount(), name)? {
            cleanup_leftover(c, writing, dir.dentry(), &child, level + 1)?;
            removed = true;
        }
        Ok(())
    })?;
    Ok(removed)
}

/// Erases the mark [`Mark::Impure`] of a directory that was found to hold no object with an origin, and holds none
/// still if `is_unchanged` says so after that.
pub(crate) fn clear_impure(
    instance: &Instance,
    c: &Override<'_>,
    object: &Object,
    upper: Path<'_>,
    is_unchanged: impl FnOnce() -> bool,
) {
    // If nothing can be written now, the mark may as well stay.
    let Some(writing) = upper.mount().try_write() else {
        return;
    };
    object.set_impure(false);
    let marked = Marked {
        instance,
        c,
        writing: &writing,
        dentry: upper.dentry(),
    };
    let erased = marked.erase(Mark::Impure);
    if erased.is_err() || Now::of(object).has(Trait::IMPURE) || !is_unchanged() {
        // Another task that copies up something in the directory, or looks it up and adds an origin, calls
        // `set_impure()`. The lock of the directory (`i_rwsem`), which the reader holds shared here, does not keep it
        // out: it may have set the trait meanwhile, and written the mark before it was erased. So the mark is written
        // again.
        object.set_impure(false);
        set_impure(marked, object);
    }
}

/// Marks a directory in upper, `object`, that it may hold objects with an origin. If that can't be written it holds
/// as long as the directory is in memory; after that its listing may show other numbers than `stat(2)`.
pub(crate) fn set_impure(marked: Marked<'_>, object: &Object) {
    if Now::of(object).has(Trait::IMPURE) {
        return;
    }
    // The trait is set before the mark is written: `clear_impure()` in a reader of the directory, which no lock keeps
    // out of a copy-up or a lookup, erases the mark, and looks at the trait after that.
    object.set_impure(true);
    marked.note(Mark::Impure, format::opaque::IMPURE);
    if let Some(listing) = object.listing() {
        // A listing that was made before did not look for numbers of lower objects.
        listing.outdate();
    }
}
