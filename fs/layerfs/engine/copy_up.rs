// SPDX-License-Identifier: GPL-2.0-only

//! Copying objects from the lower layers to the upper one, before they are changed.
//!
//! An object is prepared where nobody sees it (without a name, or in the work directory), with its data first and all
//! of its attributes then, and gets its name by one link or rename. One task does that for an object; others, who want
//! to copy it up too or to remove it, wait for the lock of the object ([`Claim`]). Parents come before children. A
//! crash leaves either nothing in upper or the whole object, and leftovers in the work directory that the next mount
//! removes. What was removed while somebody has it open gets no name again: its copy is removed too, and lives as long
//! as it does.

#![forbid(unsafe_code)]

mod add_data;
mod add_name;
mod entry;
mod metadata;

use super::adopt;
use super::data;
use super::inode;
use super::inode_index;
use super::inode_index::EntryName;
use super::origin;
use super::stale::Stale;
use super::work;
use super::work::CleanupRight;
use super::work::Temp;
use crate::marks::Marked;
use crate::state::instance::Instance;
use crate::state::layer::LayerIndex;
use crate::state::layer::Upper;
use crate::state::name;
use crate::state::object;
use crate::state::object::Claim;
use crate::state::object::Now;
use crate::state::object::Object;
use crate::state::object::Shown;
use crate::state::places::Places;
use crate::state::publication::Publication;
use crate::state::stats::Counter;
use crate::state::traits::Trait;
use crate::state::Positive;
use crate::state::Real;
use core::cell::Cell;
use format::handle::NAME_MAX;
use format::metacopy::MAX_LEN;
use format::options::Fsync;
use kernel::prelude::*;
use kernel::str::CString;
use kernel::sync::aref::ARef;
use trace::Kind;
use vfs::call::copy::Copied;
use vfs::call::stat::Query;
use vfs::call::stat::Stat;
use vfs::call::stat::StatBuf;
use vfs::call::symlink;
use vfs::guard::dir_op::Creating;
use vfs::guard::dir_op::Ends;
use vfs::guard::dir_op::NewEntry;
use vfs::guard::dir_op::NewObject;
use vfs::guard::dir_op::RenameFlags;
use vfs::guard::dir_op::Renaming;
use vfs::guard::write::WantWrite;
use vfs::guard::write::WriteAccess;
use vfs::object::file::OwnedFile;
use vfs::sys::mode::FileType;
use vfs::Override;
use vfs::Path;

/// What has to be in upper afterwards.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// The object with its attributes.
    Metadata,
    /// Its data too.
    Data,
    /// An empty file: its data is about to be thrown away.
    Empty,
}

impl Need {
    /// Returns how messages call it.
    fn name(self) -> &'static str {
        match self {
            Self::Metadata => "the object with its attributes",
            Self::Data => "its data",
            Self::Empty => "a file that is about to be emptied",
        }
    }
}

/// Returns whether upper has already what is needed.
fn is_done(dentry: &Positive, need: Need) -> bool {
    let now = Now::of(dentry.inode().data());
    let has_what = need == Need::Metadata || !dentry.inode().is_regular() || !now.is_metacopy();
    now.in_upper() && has_what && !lacks_name(dentry, now)
}

/// Returns whether upper has to get the name of an object that is there by the index alone, or by other names.
fn lacks_name(dentry: &Positive, now: Now<&Object>) -> bool {
    now.has(Trait::INDEXED) && name::is_not_in_upper(dentry) && !name::was_removed(dentry)
}

/// Copies an object up, with the directories it is in.
///
/// # Errors
///
/// `EROFS`: there is nothing to copy to. `EOVERFLOW`: its owner means nothing to the mounter, who can't have a copy of
/// his own. `EINTR`: the task is being killed. `ENOSPC`, `EDQUOT`, `EIO`, …
#[inline]
pub(crate) fn copy_up(instance: &Instance, dentry: &Positive, need: Need) -> Result {
    if is_done(dentry, need) {
        return Ok(());
    }
    copy_up_path(instance, dentry, need)
}

#[cold]
fn copy_up_path(instance: &Instance, dentry: &Positive, need: Need) -> Result {
    if dentry.inode().is_regular() && need != Need::Empty {
        // Where the data is must be known before anything is locked.
        data::path(instance, dentry.inode())?;
    }
    while !is_done(dentry, need) {
        if name::was_removed(dentry) || dentry.is_disconnected() {
            instance.as_mounter(|c| copy_up_one(instance, c, None, dentry, need))?;
            continue;
        }
        // This becomes the topmost directory that is not in upper yet.
        let mut next = ARef::from(dentry);
        let mut parent = next.parent();
        while !Now::of(parent.inode().data()).in_upper() {
            if parent.is_root() {
                return Err(EROFS);
            }
            next = parent;
            parent = next.parent();
        }
        if name::was_removed(&next) && !name::was_removed(dentry) {
            // What is in a removed directory was removed before, if not behind our back.
            return Err(Stale::DirectoryWasRemoved.refuse(dentry));
        }
        instance.as_mounter(|c| copy_up_one(instance, c, Some(&parent), &next, need))?;
    }
    Ok(())
}

/// What is being copied.
struct CopyUp<'a> {
    instance: &'a Instance,
    c: &'a Override<'a>,
    upper: &'a Upper,
    access: &'a WriteAccess<'a>,
    dentry: &'a Positive,
    /// The lock of the object, which keeps everybody else from changing it.
    claim: &'a Claim<'a>,
    /// Where it is copied from.
    lower: Path<'a>,
    /// Where it gets its name; `None` if it was removed, and has none.
    place: Option<Place<'a>>,
    /// Its entry in the index, if it gets one: what is no directory gets the name after that.
    index: Option<Entry<'a>>,
    stat: &'a Stat,
    /// It belongs to the mounter from now on, as its owner means nothing to him.
    is_adopted: bool,
    /// The mark of a file that gets its metadata alone; its data stays where it is.
    metacopy: Option<&'a [u8]>,
    /// Whether the lower object is found by the origin that was written on the copy.
    leads_to_lower: Cell<bool>,
}

/// An entry in the index.
struct Entry<'a> {
    dir: &'a Real,
    name: &'a [u8],
}

/// A name in upper.
struct Place<'a> {
    parent: &'a Positive,
    upper_dir: &'a Real,
    name: &'a [u8],
}

/// Copies up one object, whose directory is in upper, unless another task has copied it up or removed it before this
/// one has its lock.
fn copy_up_one(
    instance: &Instance,
    c: &Override<'_>,
    parent: Option<&Positive>,
    dentry: &Positive,
    need: Need,
) -> Result {
    let upper = instance.upper()?;
    upper.work()?;
    // What a delegation kept from being done is done from the beginning, without a lock held between.
    upper
        .mount
        .write_parts(|access| copy_up_by(instance, c, access, parent, dentry, need))
}

/// Returns the directory of upper that stands for `dir`, a directory of the stack.
pub(super) fn upper_of(dir: &Positive) -> Result<&Real> {
    Ok(Now::of(dir.inode().held())
        .upper_path()
        .ok_or(EIO)?
        .dentry())
}

fn copy_up_by(
    instance: &Instance,
    c: &Override<'_>,
    access: &WriteAccess<'_>,
    parent: Option<&Positive>,
    dentry: &Positive,
    need: Need,
) -> Result {
    let upper = instance.upper()?;
    let object = dentry.inode().held();
    // Of a metacopy file in upper only the data may be known.
    let places = Places::of(object);
    let lower = places
        .lower_path()
        .or_else(|| object::lower_data_path(object))
        .ok_or(EIO)?;
    let mut stat = StatBuf::new();
    let stat = stat.fill_checked(c, lower, Query::BASIC)?;
    let is_adopted = adopt::adopt(c, dentry, lower, stat)?;
    let mut mark = [0; MAX_LEN];
    let metacopy = if need == Need::Metadata && !is_adopted {
        data::metacopy_mark(instance, c, dentry.inode(), &mut mark)?
    } else {
        None
    };
    let upper_dir = parent.map(|dir| upper_of(dir)).transpose()?;
    if need == Need::Empty && dentry.inode().is_regular() {
        stat.set_size(0);
    }
    let mut entry_name = [0; NAME_MAX];
    let index = index_entry(instance, dentry, lower, &mut entry_name)?;
    let depth = dentry.inode().super_block().stack_depth();
    vfs::pause::at(c"copy_up_waits");
    let claim = object.get().lock(depth)?;
    if is_done(dentry, need) || parent.is_some() && name::was_removed(dentry) {
        // Another task has copied it up while this one waited for the lock of the object; or has removed it, so that its
        // copy gets no name.
        return Ok(());
    }
    vfs::debug!(
        "copy up('{}') from '{}': upperdir has to have {}\n",
        &**dentry,
        instance.layer_name(lower),
        need.name()
    );
    // A rename in another task copies an object up first that is not in upper, and waits for its lock, which is held
    // here: so the name that the copy gets does not change meanwhile.
    dentry.with_name(|name| {
        let place = parent.zip(upper_dir).map(|(parent, upper_dir)| Place {
            parent,
            upper_dir,
            name,
        });
        let job = CopyUp {
            instance,
            c,
            upper,
            access,
            dentry,
            claim: &claim,
            lower,
            place,
            index,
            stat,
            is_adopted,
            metacopy,
            leads_to_lower: Cell::new(false),
        };
        job.run()
    })
}

/// Returns the entry that the copy of an object gets in the index, if it gets one.
fn index_entry<'a>(
    instance: &'a Instance,
    dentry: &Positive,
    lower: Path<'_>,
    room: &'a mut EntryName,
) -> Result<Option<Entry<'a>>> {
    let Some(dir) = instance.index_dir() else {
        return Ok(None);
    };
    let no_name_left =
        name::was_removed(dentry) && (dentry.inode().nlink() == 0 || dentry.inode().is_dir());
    if no_name_left || !inode_index::keeps(instance, lower.dentry().inode()) {
        return Ok(None);
    }
    let name = inode_index::entry_name(instance, lower.dentry(), room)?;
    Ok(Some(Entry { dir, name }))
}

impl<'a> CopyUp<'a> {
    /// Returns where the copy is put when it is whole: into the index, or to its name.
    fn destination(&self) -> Option<(&'a Real, &'a [u8])> {
        match (&self.index, &self.place) {
            (Some(entry), _) if !self.dentry.is_dir() => Some((entry.dir, entry.name)),
            (_, Some(place)) => Some((place.upper_dir, place.name)),
            (_, None) => None,
        }
    }
}

impl CopyUp<'_> {
    /// Copies what is not in upper yet.
    fn run(&self) -> Result {
        let now = self.claim.now();
        let kind = if !now.in_upper() {
            self.whole()?;
            match self.metacopy {
                Some(_) => Kind::Metadata,
                None => Kind::Whole,
            }
        } else if lacks_name(self.dentry, now) {
            // If its data is needed too, that comes next.
            return self.add_name();
        } else {
            self.add_data()?;
            Kind::Data
        };
        self.record(kind);
        Ok(())
    }

    fn whole(&self) -> Result {
        let mut room = [0; format::handle::MAX_LEN];
        let is_dir = self.dentry.inode().is_dir();
        let is_single = inode::stays_one(is_dir, self.stat.nlink());
        let origin = if self.index.is_some() || is_single && self.place.is_some() {
            // Hard links are broken by copy-up where there is no index: then nothing ties it to the lower object.
            Some(origin::encode(
                self.instance,
                self.lower.dentry(),
                &mut room,
            ))
        } else {
            None
        };
        let goes_by_index = self.index.is_some() && !is_dir;
        if !goes_by_index {
            self.set_parent_impure(&self.access.start());
        }
        if self.dentry.inode().is_regular() && self.upper.has_nameless {
            self.without_name(origin)?;
        } else {
            self.in_work(origin)?;
        }
        if goes_by_index {
            return self.add_name();
        }
        // A reader of the directory whose listing was made before the copy got its name may have erased the mark
        // meanwhile (`clear_impure()`), as no lock of a copy-up keeps it out.
        self.set_parent_impure(&self.access.start());
        Ok(())
    }

    fn set_parent_impure(&self, writing: &WantWrite<'_>) {
        if let Some(place) = &self.place {
            let marked = self.marked(writing, place.upper_dir);
            work::set_impure(marked, place.parent.inode().data());
        }
    }

    /// Says that the copy is about to get its name in upper, whose directory is locked. Until the publication ends,
    /// other tasks that look up the name wait for it, or start over.
    fn begin_publication(&self) -> Result<Publication<'_>> {
        self.instance.publications.begin(self.dentry)
    }

    /// Shows the copy in upper: from now on everybody finds it there.
    ///
    /// # Errors
    ///
    /// `EIO`: it is on another filesystem than upper, where nobody makes it.
    fn publish(&self, made: ARef<Real>) -> Result {
        vfs::pause::at(c"copy_up_linked");
        let needs_revalidation = made.needs_revalidation();
        let made = self.upper.mount.pin(made)?;
        let inode = self.dentry.inode();
        let object = inode.data();
        let shown = match self.metacopy {
            _ if inode.is_dir() => Shown::Directory,
            Some(_) => Shown::Metadata,
            None => Shown::Whole,
        };
        if needs_revalidation {
            self.dentry.set_needs_revalidation();
        }
        let is_indexed = self.index.is_some();
        if is_indexed {
            // Whoever finds the object in the index knows that it is in upper.
            self.upper.count_indexed();
        } else if !inode.is_dir() && !self.leads_to_lower.get() {
            // Another name of the copy would not lead to the lower object, and so not to this inode. The inode is
            // hashed by the copy before that is shown, as `link(2)` in another task may make such a name from then on,
            // and takes no lock of this object.
            inode.hash_by(made.inode().key());
        }
        vfs::pause::at(c"copy_up_hashed");
        self.claim.show_in_upper(made, shown, is_indexed);
        vfs::pause::at(c"copy_up_shown");
        if self.is_adopted {
            inode::refresh(inode);
        }
        if let Some(listing) = object.listing() {
            listing.outdate();
        }
        if !is_indexed || inode.is_dir() {
            self.outdate_parent();
        }
        Ok(())
    }

    /// Has the names of the directory read anew.
    fn outdate_parent(&self) {
        let parent = self.place.as_ref().map(|place| place.parent.inode());
        if let Some(listing) = parent.and_then(|dir| dir.data().listing()) {
            listing.outdate();
        }
    }

    /// Says that something else is where the copy was to be put, and returns the error for it.
    fn refuse_taken(&self) -> Error {
        let why = match &self.index {
            Some(_) => Stale::EntryIsTaken,
            None => Stale::NameIsTaken,
        };
        why.refuse(self.dentry)
    }

    /// Records that it was copied.
    fn record(&self, kind: Kind) {
        let inode = self.dentry.inode();
        let bytes = if inode.is_regular() && kind != Kind::Metadata {
            self.stat.size()
        } else {
            0
        };
        let counter = match kind {
            Kind::Metadata => Counter::CopiedMetadata,
            Kind::Data => Counter::CopiedData,
            Kind::Whole if inode.is_dir() => Counter::CopiedDirectory,
            Kind::Whole => Counter::CopiedWhole,
        };
        let stats = &self.instance.stats;
        stats.count(counter);
        stats.add(Counter::CopiedBytes, bytes);
        if !trace::copy_up::is_on() {
            return;
        }
        let dev = inode.super_block().dev().as_raw();
        let places = Places::of(inode.held());
        let lower = places.lower_place(0).map(|pin| LayerIndex::of(&pin));
        let Some(LayerIndex::Lower(layer)) = lower else {
            return;
        };
        self.dentry.with_name(|name| {
            trace::copy_up::event(dev, inode.ino(), name, layer, kind, bytes);
        });
    }

    fn should_sync(&self) -> bool {
        self.instance.config.features.fsync != Fsync::Volatile
    }

    fn syncs_metadata(&self) -> bool {
        self.instance.config.features.fsync == Fsync::Strict
            && (self.dentry.inode().is_regular() || self.dentry.inode().is_dir())
    }

    /// Copies a regular file up: it is made without a name (`O_TMPFILE`), and linked when it is whole.
    fn without_name(&self, origin: Option<&[u8]>) -> Result {
        let work = self.upper.work()?;
        let file = self.c.to_copy_up(self.dentry, |c| {
            let writing = self.access.start();
            OwnedFile::make_nameless(c, &writing, work, self.stat.mode())
        })?;
        if self.copy_data(&file)? == Copied::Written && !self.syncs_metadata() {
            self.sync_data(&file)?;
        }
        let temp = file.dentry();
        self.copy_metadata(temp, origin)?;
        let Some((dir, name)) = self.destination() else {
            return self.publish(ARef::from(temp));
        };
        let writing = self.access.start();
        let creating = Creating::begin(self.c, &writing, dir, name)?;
        if creating.existing().is_some() {
            return Err(self.refuse_taken());
        }
        let _publication = self.begin_publication()?;
        self.publish(creating.create_keeping_times(self.c, &NewEntry::Link(temp))?)
    }

    /// Copies up an object of any type: it is made in the work directory, and renamed when it is whole.
    fn in_work(&self, origin: Option<&[u8]>) -> Result {
        let format = self.stat.mode().file_type();
        let target;
        // The permission bits come with the other attributes, when everything else is there.
        let mode = format.with_permissions(0);
        let what = NewEntry::Object(match format {
            FileType::REGULAR => NewObject::File(mode),
            FileType::DIRECTORY => NewObject::Directory(mode),
            FileType::SYMLINK => {
                target = self.link_target()?;
                NewObject::Symlink(&target)
            }
            _ => NewObject::Special(mode, self.stat.rdev()),
        });
        let temp = self.c.to_copy_up(self.dentry, |_| {
            Temp::create(self.upper, self.c, CleanupRight::Start(self.access), &what)
        })?;
        let _publication = self.finish_in_work(&temp, origin)?;
        if self.destination().is_none() {
            // The copy is removed as the object was.
            self.publish(temp.object())
        } else {
            self.publish(temp.published())
        }
    }

    /// Returns where a symbolic link points. Some filesystems can't keep one that points to nothing.
    fn link_target(&self) -> Result<CString> {
        let target = symlink::target_copy(self.c, self.lower.dentry())?;
        if target.is_empty() {
            vfs::warn_limited!(
                "'{}': its layer says that this symbolic link points to nothing, so it can't be copied up: mend \
                 it there, or remove it\n",
                &**self.dentry
            );
            return Err(EIO);
        }
        Ok(target)
    }

    fn finish_in_work(
        &self,
        temp: &Real,
        origin: Option<&[u8]>,
    ) -> Result<Option<Publication<'_>>> {
        let path = self.in_upper(temp)?;
        if temp.is_regular() && self.has_data() {
            // Data is copied before attributes, as writing would take capabilities away.
            let file = OwnedFile::open_data(self.c, path, true)?;
            if self.copy_data(&file)? == Copied::Written && !self.syncs_metadata() {
                self.sync_data(&file)?;
            }
        }
        self.copy_metadata(temp, origin)?;
        let Some((dir, name)) = self.destination() else {
            return Ok(None);
        };
        let entry = match &self.index {
            Some(entry) if temp.is_dir() => Some(self.make_entry(entry, temp)?),
            _ => None,
        };
        let writing = self.access.start();
        let renaming = Renaming::begin(
            self.c,
            &writing,
            self.upper.work()?,
            dir,
            Ends::Object(temp, name),
            RenameFlags::NONE,
        )
        // Somebody else has changed something in the work directory.
        .map_err(|_| EIO)?;
        if renaming.new().positive().is_some() {
            // Somebody has put something there behind our back: this would replace it.
            return Err(self.refuse_taken());
        }
        let publication = self.begin_publication()?;
        renaming.rename_keeping_times(self.c)?;
        if let Some(entry) = entry {
            entry.keep();
        }
        Ok(Some(publication))
    }

    /// Returns the path of an object in upper.
    fn in_upper<'a>(&'a self, dentry: &'a Real) -> Result<Path<'a>> {
        Path::new(&self.upper.mount, dentry)
    }

    /// Returns whether there is data to be copied.
    fn has_data(&self) -> bool {
        self.stat.size() > 0 && self.metacopy.is_none()
    }

    /// Copies the data. It is read, and waited for, without the right to write to upper, which is taken
    /// anew for each piece that is written.
    fn copy_data(&self, to: &OwnedFile) -> Result<Copied> {
        if !self.has_data() {
            return Ok(Copied::Shared);
        }
        let object = self.dentry.inode().held();
        let from = object::lower_data_path(object).ok_or(EIO)?;
        let from = OwnedFile::open_data(self.c, from, false)?;
        to.copy_from(self.c, &from, self.stat.size())
    }

    /// Waits until data that was written is on disk, before anything says that it is there.
    fn sync_data(&self, file: &OwnedFile) -> Result {
        if self.should_sync() {
            file.sync(self.c)?;
        }
        Ok(())
    }

    fn marked<'b>(&'b self, writing: &'b WantWrite<'b>, dentry: &'b Real) -> Marked<'b> {
        Marked {
            instance: self.instance,
            c: self.c,
            writing,
            dentry,
        }
    }
}
