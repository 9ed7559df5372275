// SPDX-License-Identifier: GPL-2.0-only

//! Making, linking and removing objects, with the whiteouts and marks that go with it; renaming is in
//! [`rename`].
//!
//! The directories of the stack are locked by the VFS; those of upper are locked here, and what is found in
//! them is compared with what is known: somebody may have changed upper behind our back, and then the
//! answer is `ESTALE`. Whatever replaces something in one step is prepared in the work directory.

#![forbid(unsafe_code)]

mod names;
pub(crate) mod rename;

use self::names::Counted;
use super::attributes;
use super::copy_up;
use super::copy_up::upper_of;
use super::copy_up::Need;
use super::inode;
use super::live;
use super::lookup;
use super::merge;
use super::merge::Whiteouts;
use super::stale::Stale;
use super::work;
use super::work::CleanupRight;
use super::work::Temp;
use crate::marks;
use crate::marks::Marked;
use crate::state::instance::Instance;
use crate::state::layer::Upper;
use crate::state::name;
use crate::state::object::Now;
use crate::state::places::Places;
use crate::state::traits::Trait;
use crate::state::Dentry;
use crate::state::Inode;
use crate::state::LayerFs;
use crate::state::Positive;
use crate::state::Real;
use format::xattr::Mark;
use kernel::prelude::*;
use kernel::sync::aref::ARef;
use vfs::call::acl;
use vfs::call::acl::Acl;
use vfs::call::backing::BackingFile;
use vfs::call::change::Change;
use vfs::call::stat::Query;
use vfs::call::stat::StatBuf;
use vfs::guard::borrowed::NewOwner;
use vfs::guard::dir_op::Creating;
use vfs::guard::dir_op::Ends;
use vfs::guard::dir_op::NewEntry;
use vfs::guard::dir_op::NewObject;
use vfs::guard::dir_op::Removing;
use vfs::guard::dir_op::RenameFlags;
use vfs::guard::dir_op::Renaming;
use vfs::guard::lock::VfsLocked;
use vfs::guard::write::WantWrite;
use vfs::object::idmap::Viewed;
use vfs::object::named::Named;
use vfs::object::named::Vacant;
use vfs::ops::Nameless;
use vfs::sys::anon_dev::Dev;
use vfs::sys::errno::ENOTEMPTY;
use vfs::sys::errno::EOPNOTSUPP;
use vfs::sys::mode::FileType;
use vfs::Override;
use vfs::Path;

/// Notes that what the dentry names was removed, or replaced by a rename.
fn lost_name(object: VfsLocked<'_, LayerFs>) {
    name::set_removed(&object);
    // Directories count one name, whatever is in them.
    object.drop_name();
}

/// Returns whether an object is a directory merged of upper and lower ones, or in lower layers only: a name under which
/// it is looked for in the lower layers belongs to it.
fn is_merged_or_lower(inode: &Inode) -> bool {
    let object = inode.data();
    let now = Now::of(object);
    !now.in_upper() || object.has_lower_part() && (inode.is_dir() || now.is_metacopy())
}

fn is_pure_upper(inode: &Inode) -> bool {
    let object = inode.data();
    !object.has_lower_part() && !Now::of(object).has(Trait::MAY_HAVE_WHITEOUTS)
}

/// Returns whether an error of upper may be because a directory is not empty.
fn says_not_empty(e: Error) -> bool {
    e == ENOTEMPTY || e == EEXIST
}

/// Returns whether an object is in upper, and keeps the number of a lower one.
fn has_origin(inode: &Inode) -> bool {
    Now::of(inode.data()).has_origin()
}

/// Returns whether a name is that of an object in upper, and upper has it.
fn is_in_upper(dentry: &Dentry) -> bool {
    dentry.positive().is_some_and(name::has_upper_name)
}

/// Shows the times of a directory that was changed, and has its listing made anew.
fn changed(dir: &Positive) {
    inode::refresh(dir.inode());
    if let Some(listing) = dir.inode().data().listing() {
        listing.outdate();
    }
}

/// What upper has in a directory in which nothing is shown, and what came of it.
#[derive(Default)]
struct Hidden {
    whiteouts: Whiteouts,
    /// The empty directory that it was replaced by. It is kept when the rest of a change is begun again, as that
    /// part of it was done.
    replaced: Option<ARef<Real>>,
}

impl Hidden {
    /// Checks that nothing is shown in a directory.
    ///
    /// # Errors
    ///
    /// The errors of [`merge::check_empty`].
    fn find(instance: &Instance, inode: &Inode) -> Result<Self> {
        Ok(Self {
            whiteouts: instance
                .as_mounter(|c| merge::check_empty(instance, c, &Places::of(inode.held())))?,
            replaced: None,
        })
    }
}

/// What is needed for a change of a directory.
#[derive(Clone, Copy)]
struct DirChange<'a> {
    instance: &'a Instance,
    upper: &'a Upper,
    c: &'a Override<'a>,
    writing: &'a WantWrite<'a>,
}

/// Does `f` as the mounter, with the right to write; from the beginning, if a delegation kept it from being
/// done.
fn with_change<R>(
    instance: &Instance,
    mut f: impl FnMut(&DirChange<'_>) -> Result<R>,
) -> Result<R> {
    let upper = instance.upper()?;
    upper.work()?;
    upper.mount.write(|writing| {
        instance.as_mounter(|c| {
            f(&DirChange {
                instance,
                upper,
                c,
                writing,
            })
        })
    })
}

impl DirChange<'_> {
    /// Does `f` with the credentials of who makes an object under `name`, to be owned by `owner`.
    fn as_creator<R>(
        &self,
        name: &Named<'_, LayerFs>,
        owner: &NewOwner,
        f: impl FnOnce(&DirChange<'_>) -> Result<R>,
    ) -> Result<R> {
        self.c
            .to_create(name, owner, |c| f(&DirChange { c, ..*self }))
    }

    fn mark(&self, dentry: &Real, mark: Mark, value: &[u8], missing: Error) -> Result {
        self.marked(dentry).write(mark, value, missing)
    }

    fn marked<'b>(&'b self, dentry: &'b Real) -> Marked<'b> {
        Marked {
            instance: self.instance,
            c: self.c,
            writing: self.writing,
            dentry,
        }
    }

    fn set_impure(&self, dir: &Positive, upper: &Real) {
        work::set_impure(self.marked(upper), dir.inode().data());
    }

    fn make_in_work(&self, what: &NewEntry<'_>) -> Result<Temp<'_>> {
        Temp::create(self.upper, self.c, CleanupRight::Held(self.writing), what)
    }

    fn cleanup(&self, dir: &Real, victim: &Real) {
        work::cleanup(self.c, self.writing, dir, victim);
    }

    fn cleanup_in_work(&self, victim: &Real) {
        if let Ok(work) = self.upper.work() {
            self.cleanup(work, victim);
        }
    }

    /// Makes a new object, and returns its inode.
    fn create(&self, name: Named<'_, LayerFs>, what: &NewEntry<'_>) -> Result<ARef<Inode>> {
        let dir = name.directory();
        let upper_dir = upper_of(dir)?;
        let over_whiteout = name::is_whiteout(&name);
        let nothing_below = name::leaves_nothing_below(&name, self.instance.layers.changes());
        let made = if over_whiteout {
            self.create_over_whiteout(name, upper_dir, what)?
        } else {
            self.create_beside(name, upper_dir, what)?
        };
        name::set_nothing_below(&name, nothing_below);
        changed(dir);
        let sb = dir.super_block();
        inode::get_made(sb, self.instance, made.clone(), &name).inspect_err(|_| {
            if over_whiteout {
                // What is in lower must not come back. If this fails too, the new object stays.
                let put = work::put_whiteout(self.upper, self.c, self.writing, upper_dir, &made);
                if let Err(e) = put {
                    vfs::warn_limited!("a whiteout can't be put back at '{}': {:?}\n", &**made, e);
                }
            } else {
                self.cleanup(upper_dir, &made);
            }
            // What was remembered of the name, that it hides lower ones, was said of that object.
            name.forget();
        })
    }

    fn create_beside(
        &self,
        name: Named<'_, LayerFs>,
        upper_dir: &Real,
        what: &NewEntry<'_>,
    ) -> Result<ARef<Real>> {
        let creating = Creating::begin(self.c, self.writing, upper_dir, name.name())?;
        if creating.existing().is_some() {
            return Err(Stale::NameIsTaken.refuse(&name));
        }
        let made = creating.create(self.c, what)?;
        let is_merged = Now::of(name.directory().inode().data()).is_merged();
        if is_merged && made.is_dir() && !self.instance.allows_offline_changes() {
            // There is nothing in the lower layers to be merged with it, with or without the mark, which saves looking
            // there.
            let marked = self.mark(&made, Mark::Opaque, b"y", EIO);
            name::set_hides_lower(&name, marked.is_ok());
        }
        Ok(made)
    }

    /// Makes a new object in the place of a whiteout. A directory must be opaque there, and whatever is new must be
    /// there at once: so it is prepared in the work directory.
    fn create_over_whiteout(
        &self,
        name: Named<'_, LayerFs>,
        upper_dir: &Real,
        what: &NewEntry<'_>,
    ) -> Result<ARef<Real>> {
        let mut what = *what;
        // Where it is prepared nothing is inherited; so what it inherits is added to it.
        let (default_acl, access_acl) = match what.mode_mut() {
            Some(mode) => Acl::inherited(name.directory().inode(), mode)?,
            None => (None, None),
        };
        let whiteout = upper_dir
            .lookup(self.c, self.writing.mount(), name.name())?
            .ok_or_else(|| Stale::WhiteoutIsGone.refuse(&name))?;
        let path = Path::new(self.writing.mount(), &whiteout)?;
        if !marks::is_whiteout(&self.instance.config, self.c, path) {
            return Err(Stale::WhiteoutIsOther.refuse(&name));
        }
        let made = self.make_in_work(&what)?;
        let renaming = Renaming::begin(
            self.c,
            self.writing,
            self.upper.work()?,
            upper_dir,
            Ends::Objects(&made, &whiteout),
            RenameFlags::NONE,
        )?;
        if let Some(&mut mode) = what.mode_mut() {
            // The work directory may have taken bits away.
            if made.inode().mode() != mode {
                Change::mode(mode).apply(self.c, self.writing, &made)?;
            }
        }
        for (acl, kind) in [
            (&access_acl, acl::Kind::Access),
            (&default_acl, acl::Kind::Default),
        ] {
            if let Some(acl) = acl {
                acl.set_on(self.c, self.writing, &made, kind)?;
            }
        }
        if matches!(what, NewEntry::Object(NewObject::Directory(_))) {
            self.mark(&made, Mark::Opaque, b"y", EIO)?;
            name::set_hides_lower(&name, true);
            renaming.exchange(self.c)?;
            self.cleanup_in_work(&whiteout);
        } else {
            renaming.rename(self.c)?;
        }
        Ok(made.published())
    }

    /// Replaces an upper directory that only has whiteouts by an empty opaque one, so that it can be
    /// removed or replaced in one step.
    fn clear(&self, name: Named<'_, LayerFs>, whiteouts: &Whiteouts) -> Result<ARef<Real>> {
        let inode = name.dentry().positive().ok_or(ENOENT)?.inode();
        let old = Now::of(inode.held()).upper_path().ok_or(EIO)?;
        let upper_dir = upper_of(name.directory())?;
        let mut room = StatBuf::new();
        let stat = room.fill(self.c, old, Query::BASIC)?;
        if !old.dentry().is_dir() {
            return Err(Stale::NoDirectory.refuse(&name));
        }
        let what = NewEntry::Object(NewObject::Directory(stat.mode()));
        let empty = self.make_in_work(&what)?;
        let write = CleanupRight::Held(self.writing);
        let rights = attributes::Rights::Copied;
        attributes::copy_xattrs(self.instance, self.c, old, &empty, &write, rights)?;
        self.mark(&empty, Mark::Opaque, b"y", EIO)?;
        attributes::set_attributes(self.c, self.writing, &empty, stat)?;
        let renaming = Renaming::begin(
            self.c,
            self.writing,
            self.upper.work()?,
            upper_dir,
            Ends::Objects(&empty, old.dentry()),
            RenameFlags::EXCHANGE,
        )?;
        renaming.rename(self.c)?;
        let empty = empty.published();
        for whiteout in whiteouts.iter() {
            if let Ok(Some(whiteout)) = old.dentry().lookup(self.c, old.mount(), whiteout) {
                self.cleanup(old.dentry(), &whiteout);
            }
        }
        self.cleanup_in_work(old.dentry());
        // What the dentry stands for is no longer what is there.
        name.forget();
        Ok(empty)
    }

    /// Returns whether `real` is what the stack has in upper under a name, or what it was replaced by.
    fn matches(&self, dentry: &Dentry, real: Option<&Real>, replaced: Option<&Real>) -> bool {
        let Some(real) = real else { return false };
        match replaced {
            Some(replaced) => core::ptr::eq(real, replaced),
            None => dentry
                .positive()
                .and_then(|d| Now::of(d.inode().data()).upper())
                .is_some_and(|pin| pin.inode().key() == real.inode().key()),
        }
    }

    fn remove_from_upper(&self, name: Named<'_, LayerFs>, hidden: &mut Hidden) -> Result {
        let upper_dir = upper_of(name.directory())?;
        let replaced = self.clear_if_needed(name, hidden)?;
        let removing = Removing::begin(self.c, self.writing, upper_dir, name.name())?;
        if !self.matches(&name, Some(removing.child()), replaced) {
            return Err(Stale::RemovedIsOther.refuse(&name));
        }
        let result = removing.remove(self.c);
        changed(name.directory());
        result?;
        name.forget();
        Ok(())
    }

    fn replace_by_whiteout(&self, name: Named<'_, LayerFs>, hidden: &mut Hidden) -> Result {
        let upper_dir = upper_of(name.directory())?;
        let replaced = self.clear_if_needed(name, hidden)?;
        let mount = self.writing.mount();
        let victim = upper_dir.lookup_any(self.c, mount, name.name())?;
        if (replaced.is_some() || is_in_upper(&name))
            && !self.matches(&name, victim.positive(), replaced)
        {
            return Err(Stale::RemovedIsOther.refuse(&name));
        }
        let result = work::put_whiteout(self.upper, self.c, self.writing, upper_dir, &victim);
        if result.is_ok() {
            changed(name.directory());
        }
        name.forget();
        result
    }

    /// Replaces a directory that has whiteouts, unless that was done when this was tried before; returns what it was
    /// replaced by.
    fn clear_if_needed<'h>(
        &self,
        name: Named<'_, LayerFs>,
        hidden: &'h mut Hidden,
    ) -> Result<Option<&'h Real>> {
        if hidden.replaced.is_none() && !hidden.whiteouts.is_empty() {
            hidden.replaced = Some(self.clear(name, &hidden.whiteouts)?);
        }
        Ok(hidden.replaced.as_deref())
    }
}

/// Makes an object under a name at which there is nothing.
///
/// # Errors
///
/// `EROFS`; `EPERM`: a whiteout; `ENOSPC`, `EDQUOT`, …
pub(crate) fn create(
    instance: &Instance,
    name: Vacant<'_, LayerFs>,
    viewed: Viewed<'_>,
    what: NewObject<'_>,
) -> Result {
    let named = name.named();
    let dir = named.directory();
    if let NewObject::Special(mode, Dev::NONE) = what {
        if mode.file_type() == FileType::CHAR_DEVICE {
            // It would be a whiteout.
            return Err(EPERM);
        }
    }
    copy_up::copy_up(instance, dir, Need::Metadata)?;
    let owner = dir.inode().owner_of_new(viewed, what.mode());
    let what = NewEntry::Object(what.with_mode(owner.mode));
    let made = with_change(instance, |job| {
        job.as_creator(&named, &owner, |job| job.create(named, &what))
    })?;
    name.instantiate(made)
}

/// Makes a file without a name (`O_TMPFILE`); returns its inode, and the real file that is open.
///
/// # Errors
///
/// `EOPNOTSUPP`: upper can't. `EROFS`, `ENOSPC`, `EDQUOT`, …
pub(crate) fn create_nameless(
    instance: &Instance,
    request: &Nameless<'_, LayerFs>,
) -> Result<(ARef<Inode>, BackingFile)> {
    if !instance.upper()?.has_nameless {
        return Err(EOPNOTSUPP);
    }
    let named = request.dentry();
    let dir = named.directory();
    copy_up::copy_up(instance, dir, Need::Metadata)?;
    let owner = dir.inode().owner_of_new(request.viewed, request.mode);
    let made = with_change(instance, |job| {
        job.as_creator(&named, &owner, |job| {
            let upper_dir = Path::new(job.writing.mount(), upper_of(dir)?)?;
            let real =
                BackingFile::make_nameless(job.c, &request.opening(), upper_dir, owner.mode)?;
            let made = ARef::from(real.dentry());
            let inode = inode::get_made(dir.super_block(), instance, made, &named)?;
            Ok((inode, real))
        })
    })?;
    vfs::debug!(
        "tmpfile('{}', {:#o}): made in upperdir\n",
        &**dir,
        owner.mode.permissions()
    );
    Ok(made)
}

/// Makes another name of an object.
///
/// # Errors
///
/// `EROFS`; `ENOSPC`, `EMLINK`, …
pub(crate) fn link(
    instance: &Instance,
    old: VfsLocked<'_, LayerFs>,
    name: Vacant<'_, LayerFs>,
) -> Result {
    let named = name.named();
    let dir = named.directory();
    copy_up::copy_up(instance, &old, Need::Metadata)?;
    copy_up::copy_up(instance, dir, Need::Metadata)?;
    let inode = old.inode();
    let counted = Counted::begin(instance, old)?;
    with_change(instance, |job| {
        let now = Now::of(inode.held());
        let real = now.upper_path().ok_or(EIO)?;
        let upper_dir = upper_of(dir)?;
        counted.keep(job)?;
        if now.is_metacopy() {
            // The new name does not say where the data is.
            job.set_redirect(&old, real.dentry(), false)?;
        }
        if now.has_origin() {
            job.set_impure(dir, upper_dir);
        }
        let what = NewEntry::Link(real.dentry());
        if name::is_whiteout(&named) {
            job.create_over_whiteout(named, upper_dir, &what)?;
        } else {
            job.create_beside(named, upper_dir, &what)?;
        }
        changed(dir);
        Ok(())
    })?;
    old.add_name();
    drop(counted);
    inode::refresh(inode);
    name.instantiate(ARef::from(inode))?;
    // The next lookup finds what belongs to the new name.
    named.forget();
    Ok(())
}

/// Removes a name.
///
/// # Errors
///
/// `ENOTEMPTY`; `EROFS`; `ESTALE`: upper was changed behind our back. `ENOSPC`: there is no room for the whiteout. …
pub(crate) fn remove(
    instance: &Instance,
    name: Named<'_, LayerFs>,
    object: VfsLocked<'_, LayerFs>,
    is_dir: bool,
) -> Result {
    let dir = name.directory();
    let inode = object.inode();
    let in_lower = is_lower_positive(instance, name);
    let mut hidden = Hidden::default();
    let mut looked = is_dir && (in_lower || !is_pure_upper(inode));
    if looked {
        hidden = Hidden::find(instance, inode)?;
    }
    copy_up::copy_up(instance, dir, Need::Metadata)?;
    names::copy_up_if_counted(instance, &object)?;
    // A copy-up in another task takes the lock of the object too: so the object is not copied up while it is removed,
    // and later its copy gets no name.
    let _lock = inode.data().lock(dir.super_block().stack_depth())?;
    let counted = Counted::of(instance, object);
    loop {
        let removed = with_change(instance, |job| {
            counted.keep(job)?;
            if in_lower {
                job.replace_by_whiteout(name, &mut hidden)
            } else {
                job.remove_from_upper(name, &mut hidden)
            }
        });
        match removed {
            Err(e) if says_not_empty(e) && is_dir && !looked => {
                // There may be whiteouts over nothing in it.
                looked = true;
                hidden = Hidden::find(instance, inode)?;
            }
            removed => break removed?,
        }
    }
    vfs::pause::at(c"removed");
    lost_name(object);
    counted.let_go();
    if Now::of(inode.data()).in_upper() {
        inode::refresh(inode);
    }
    Ok(())
}

/// Returns whether something would come to light in the lower layers if the name of an object were gone from upper.
fn is_lower_positive(instance: &Instance, name: Named<'_, LayerFs>) -> bool {
    if !is_in_upper(&name) {
        return true;
    }
    let changes = instance.layers.changes();
    if name::has_nothing_below(&name, changes) {
        return false;
    }
    if !matches!(live::settle(instance, name.directory()), Ok(true)) {
        // It can't be told, so that a whiteout makes sure.
        return true;
    }
    let parent = Places::of(name.directory().inode().held());
    let is_there = instance.as_mounter(|c| lookup::is_in_lower(instance, c, &parent, name.name()));
    is_there || instance.layers.changes() != changes
}
