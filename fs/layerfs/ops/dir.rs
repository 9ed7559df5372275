// SPDX-License-Identifier: GPL-2.0-only

//! Directories: the operations, and reading them.
//!
//! A directory that is in one layer only, and has no whiteouts, is read through the real one, whose
//! positions its user then sees. Any other is read from a merged listing, whose positions are the
//! numbers of the entries: `.` is 0, `..` is 1.

#![forbid(unsafe_code)]

use super::control;
use super::lookup;
use crate::engine;
use crate::engine::merge::whiteout_type;
use crate::marks;
use crate::ops::file::OpenFile;
use crate::state::instance::Instance;
use crate::state::layer::Layer;
use crate::state::listing::Listing;
use crate::state::listing::SharedListing;
use crate::state::name;
use crate::state::object::Now;
use crate::state::object::Object;
use crate::state::places::Places;
use crate::state::traits::Trait;
use crate::state::File;
use crate::state::Inode;
use crate::state::LayerFs;
use crate::state::Positive;
use core::pin::Pin;
use format::ino;
use format::ino::XinoBits;
use format::opaque::DirMark;
use format::whiteout;
use kernel::prelude::*;
use kernel::sync::aref::ARef;
use kernel::sync::Arc;
use vfs::call::dir_iter::Entry;
use vfs::call::dir_iter::Next;
use vfs::call::dir_iter::Type;
use vfs::call::emitter::Emitter;
use vfs::call::emitter::Passage;
use vfs::call::emitter::Types;
use vfs::cell::locked::WithLock;
use vfs::guard::dir_op::NewObject;
use vfs::guard::dir_op::RenameFlags;
use vfs::guard::lock::VfsLocked;
use vfs::object::file::LateFile;
use vfs::object::file::OwnedFile;
use vfs::object::file::SyncRange;
use vfs::object::file::Whence;
use vfs::object::idmap::Viewed;
use vfs::object::kept_mount::KeptMount;
use vfs::object::named::Named;
use vfs::object::named::Unhashed;
use vfs::object::named::Vacant;
use vfs::ops::ioctl::Ioctl;
use vfs::ops::DirOps;
use vfs::ops::Nameless;
use vfs::sys::errno::ENAMETOOLONG;
use vfs::sys::task;
use vfs::Override;
use vfs::Path;

/// The number of times that a name is looked up because the layers were changed meanwhile.
const MOST_TRIES: u32 = 16;

/// Operations of directories.
pub(crate) struct Dir;

/// An open directory.
pub(crate) struct OpenDir {
    /// The number of the filesystem by which entries of the directory that was opened first are numbered; `None` if
    /// they keep the numbers they have.
    numbers: Option<u32>,
    /// The directory in upper, if it was copied up since.
    upper: LateFile,
}

/// An open directory, and how it is read.
pub(crate) type Open = WithLock<OpenDir, Reading>;

/// How a directory is read. It changes only at the beginning of the directory.
pub(crate) struct Reading {
    /// The directory of the top layer, as it was when this was opened.
    real: OwnedFile,
    /// The layer, which is in use as long as that is open.
    _layer: ARef<KeptMount<Layer>>,
    /// It is read through the real one, although that may end.
    directly: bool,
    /// It was read from its beginning, and no whiteout was met.
    is_clean: bool,
    /// The merged names, from when they were first asked for, and the version they are of.
    listing: Option<(Arc<Listing>, usize)>,
}

#[vtable]
impl DirOps<LayerFs> for Dir {
    type Data = Pin<KBox<Open>>;

    fn lookup(dentry: Unhashed<'_, LayerFs>) -> Result<Option<ARef<vfs::Dentry<LayerFs>>>> {
        let parent = dentry.parent();
        let sb = parent.super_block();
        let instance = sb.data();
        let name = dentry.name();
        if name.len() as u64 > instance.name_max() {
            return Err(ENAMETOOLONG);
        }
        let (mut changes, mut is_known);
        let mut tries = 0;
        let lookup::Answer { inode, is_weak } = loop {
            changes = instance.layers.changes();
            is_known = engine::live::settle_if_alive(instance, parent)?;
            let answer = lookup::find_undisturbed(instance, &dentry)?;
            tries += 1;
            if instance.layers.changes() == changes || tries == MOST_TRIES {
                break answer;
            }
        };
        if inode.is_none() && trace::lookup_negative::is_on() {
            lookup::trace_negative(&dentry);
        }
        if is_weak {
            dentry.dentry().set_needs_revalidation();
        }
        if !is_known {
            // A layer is dead that has a part in the directory, and may have more to say of the name.
            name::unsettle(dentry.dentry());
        }
        let lazy = inode
            .as_ref()
            .filter(|inode| inode.data().lazy().is_some() || inode.data().is_declared())
            .cloned();
        let known_as = dentry.dentry();
        let spliced = dentry.splice(inode);
        if instance.layers.changes() != changes {
            // Whoever changed the layers may not have seen this name.
            match &spliced {
                Ok(Some(other)) => other.set_needs_revalidation(),
                _ => known_as.set_needs_revalidation(),
            }
        }
        if let Some(inode) = lazy {
            // Another task may find the data, under the lock of the object, between the question above and the splice;
            // that task does not see this name yet.
            engine::data::revalidate_names(&inode);
        }
        spliced
    }

    fn open(file: &File) -> Result<Pin<KBox<Open>>> {
        let inode = file.inode();
        let instance = inode.super_block().data();
        engine::live::settle_if_alive(instance, file.dentry())?;
        let now = Places::of(inode.held());
        let path = now.real_path()?;
        let pin = now.real()?;
        let fs = &pin.owner().fs;
        let (real, is_numbered) = instance.as_mounter(|c| {
            let real = OwnedFile::open_dir(c, path)?;
            Ok::<_, Error>((real, instance.is_numbered_by(c, path, fs)))
        })?;
        let open = OpenDir {
            numbers: is_numbered.then_some(fs.number),
            upper: LateFile::default(),
        };
        let reading = Reading {
            real,
            _layer: ARef::from(now.real()?.mount()),
            directly: is_read_directly(now.now().get()),
            is_clean: false,
            listing: None,
        };
        WithLock::new_outer(open, reading, inode.super_block().stack_depth())
    }

    fn iterate(file: &File, dir: &Pin<KBox<Open>>, emitter: &mut Emitter<'_>) -> Result {
        let inode = file.inode();
        let instance = inode.super_block().data();
        let mut guard = dir.lock()?;
        let reading = &mut *guard;
        if emitter.position() == 0 {
            engine::live::settle_if_alive(instance, file.dentry())?;
            let now = Places::of(inode.held());
            reading.is_clean = true;
            if reading.directly && !now.in_upper() && !now.has(Trait::NO_WHITEOUTS) {
                look_for_mark(instance, &now);
            }
            reading.restart(inode);
        }
        if reading.directly {
            return pass_on(instance, file, dir.numbers, reading, emitter);
        }
        let (listing, version) = match &reading.listing {
            Some(joined) => joined.clone(),
            None => {
                let joined = join_listing(instance, file.dentry(), &mut reading.real)?;
                reading.listing.insert(joined).clone()
            }
        };
        if emit_listing(instance, file, &listing, emitter)? == Next::Continue {
            if listing.keeps_inos() {
                make_pure(instance, inode, version);
            }
            if let Some(over) = listing.complete() {
                engine::finalized::after_listing(instance, file.dentry(), over);
            }
        }
        Ok(())
    }

    fn seek(file: &File, dir: &Pin<KBox<Open>>, offset: i64, whence: Whence) -> Result<i64> {
        // The lock of this open directory keeps another task that reads it from seeing the position move; readers of
        // other open directories, and the listing, have nothing to do with it.
        let mut reading = dir.lock()?;
        if file.position() == 0 {
            reading.restart(file.inode());
        }
        if reading.directly {
            reading.is_clean = false;
            return reading.real.seek_dir(offset, whence);
        }
        let position = match whence {
            Whence::SET => Some(offset),
            Whence::CUR => file.position().checked_add(offset),
            _ => None,
        };
        position.filter(|p| *p >= 0).ok_or(EINVAL)
    }

    fn release(inode: &Inode, dir: Pin<KBox<Open>>) {
        // Nobody else has the open directory any more, so nobody holds its lock.
        if let Some(mut reading) = dir.try_lock() {
            reading.leave(inode);
        }
    }

    fn fsync(file: &File, dir: &Pin<KBox<Open>>, range: SyncRange) -> Result {
        let inode = file.inode();
        let instance = inode.super_block().data();
        if instance.is_volatile() {
            return instance.check_errors();
        }
        let Some(path) = Now::of(inode.held()).upper_path() else {
            return Ok(());
        };
        instance.as_mounter(|c| {
            {
                let reading = dir.lock()?;
                if reading.real.inode().key() == path.dentry().inode().key() {
                    return reading.real.sync_range(c, range);
                }
            }
            dir.upper
                .get_or_open(|| OwnedFile::open_dir(c, path))?
                .sync_range(c, range)
        })
    }

    fn ioctl(file: &File, _dir: &Pin<KBox<Open>>, ioctl: Ioctl<'_, LayerFs>) -> Result<u32> {
        control::ioctl(file, &ioctl)
    }

    fn create(name: Vacant<'_, LayerFs>, viewed: Viewed<'_>, what: NewObject<'_>) -> Result {
        let instance = name.named().directory().super_block().data();
        engine::change::create(instance, name, viewed, what)
    }

    fn link(old: VfsLocked<'_, LayerFs>, name: Vacant<'_, LayerFs>) -> Result {
        let instance = old.super_block().data();
        engine::change::link(instance, old, name)
    }

    fn remove(name: Named<'_, LayerFs>, object: VfsLocked<'_, LayerFs>, is_dir: bool) -> Result {
        let instance = name.directory().super_block().data();
        engine::change::remove(instance, name, object, is_dir)
    }

    fn rename(
        old: Named<'_, LayerFs>,
        new: Named<'_, LayerFs>,
        replaced: Option<VfsLocked<'_, LayerFs>>,
        flags: RenameFlags,
    ) -> Result {
        let instance = old.directory().super_block().data();
        engine::change::rename::rename(instance, old, new, replaced, flags)?;
        vfs::pause::at(c"renamed");
        Ok(())
    }

    fn create_nameless(request: Nameless<'_, LayerFs>) -> Result {
        let instance = request.dir().super_block().data();
        let (inode, real) = engine::change::create_nameless(instance, &request)?;
        request.open(inode, OpenFile::new(real))
    }
}

/// Returns whether the names of a directory can be passed on as the real one has them.
fn is_read_directly(now: Now<&Object>) -> bool {
    !now.has(Trait::MAY_HAVE_WHITEOUTS) && !now.has(Trait::IMPURE)
}

impl Reading {
    /// Begins anew, as a directory is read at its beginning as it is now.
    fn restart(&mut self, inode: &Inode) {
        let object = inode.data();
        if !is_read_directly(Now::of(object)) {
            self.directly = false;
        }
        let version = object.listing().map(SharedListing::version);
        if self
            .listing
            .as_ref()
            .is_some_and(|(_, of)| Some(*of) != version)
        {
            self.leave(inode);
        }
    }

    /// Ends taking part in the directory's listing.
    fn leave(&mut self, inode: &Inode) {
        if let (Some(_), Some(shared)) = (self.listing.take(), inode.data().listing()) {
            shared.leave();
        }
    }
}

/// Takes part in the directory's listing.
fn join_listing(
    instance: &Instance,
    dir: &Positive,
    open: &mut OwnedFile,
) -> Result<(Arc<Listing>, usize)> {
    let inode = dir.inode();
    let shared = inode
        .data()
        .make_listing(inode.super_block().stack_depth())?;
    let mut tries = 0;
    loop {
        let changes = instance.layers.changes();
        engine::live::settle_if_alive(instance, dir)?;
        let joined = shared.join(|room| {
            instance.as_mounter(|c| engine::listing::read(instance, c, dir, open, room))
        })?;
        tries += 1;
        if instance.layers.changes() == changes || tries == MOST_TRIES {
            return Ok(joined);
        }
        // It may be of some layers as they were, and of others as they are.
        shared.outdate();
        shared.leave();
    }
}

/// Has the names of a directory passed on as they are again: one of upper alone that is marked to hold objects with an
/// origin, but was found to hold none in the given version.
fn make_pure(instance: &Instance, inode: &Inode, version: usize) {
    let now = Now::of(inode.held());
    if !now.has(Trait::IMPURE) || now.has(Trait::MAY_HAVE_WHITEOUTS) {
        return;
    }
    let object = now.object();
    let Some(upper) = now.upper_path() else {
        return;
    };
    instance.as_mounter(|c| {
        engine::work::clear_impure(instance, c, object.get(), upper, || {
            let listing = object.listing();
            listing.is_some_and(|shared| shared.version() == version)
        })
    });
}

/// Gives the user the entries of a listing from the emitter's position on; returns whether it has room for more.
/// Numbers that have to be asked for are asked for as they are shown.
///
/// # Errors
///
/// `EINTR`: the task is being killed.
fn emit_listing(
    instance: &Instance,
    file: &File,
    listing: &Listing,
    emitter: &mut Emitter<'_>,
) -> Result<Next> {
    while let Some(name) = match emitter.position() {
        0 => Some(&b"."[..]),
        1 => Some(&b".."[..]),
        _ => None,
    } {
        let ino = if name == b"." {
            file.inode().ino()
        } else {
            file.dentry().parent().inode().ino()
        };
        let kind = Type::DIRECTORY;
        if emitter.emit_next(Entry { name, ino, kind }) == Next::Stop {
            return Ok(Next::Stop);
        }
    }
    let Ok(position) = usize::try_from(emitter.position().saturating_sub(2)) else {
        return Ok(Next::Continue);
    };
    for (entry, at) in listing.iter_from(position) {
        let ino = match listing.ino(at, &entry) {
            Some(ino) => ino,
            None => ask_ino(instance, file.dentry(), listing, at, &entry)?,
        };
        if emitter.emit_next(Entry { ino, ..entry }) == Next::Stop {
            return Ok(Next::Stop);
        }
    }
    Ok(Next::Continue)
}

/// Finds anew what is known of an entry from before the last change of the layers: it may have another number now. What
/// can't be found is none that is asked for its number.
fn settle_entry(instance: &Instance, dir: &Positive, name: &[u8]) {
    let known = dir.cached_child(name);
    if let Some(known) = known.as_ref().and_then(|known| known.positive()) {
        let _ = engine::live::settle(instance, known);
    }
}

#[cold]
fn ask_ino(
    instance: &Instance,
    dir: &Positive,
    listing: &Listing,
    at: usize,
    entry: &Entry<'_>,
) -> Result<u64> {
    if instance.layers.changes() > 0 {
        settle_entry(instance, dir, entry.name);
    }
    let number = instance.as_mounter(|c| engine::listing::shown_ino(instance, c, dir, entry.name));
    // If the task is being killed, the entry may be there although it was not found.
    task::check_killed()?;
    listing.set_ino(at, entry, number);
    Ok(number.unwrap_or(entry.ino))
}

/// Reads the mark of a directory of a lower layer that nobody looked at when it was looked up, as no layer below is of
/// interest: in one that has whiteouts in the form of extended attributes they don't show either. A layer that has any
/// is known by its root, or by a directory that was looked at.
fn look_for_mark(instance: &Instance, now: &Places<'_>) {
    let Ok(pin) = now.real() else {
        return;
    };
    let layer = pin.mount();
    if layer.owner().is_upper() || layer.owner().is_known_without_xattr_whiteouts() {
        return;
    }
    let path = pin.path();
    let config = &instance.config;
    let is_marked = instance.as_mounter(|c| {
        marks::expects_xattr_whiteouts(config, c, layer)
            && marks::dir_mark(config, c, path) == DirMark::HasWhiteouts
    });
    if is_marked {
        now.object().get().set_has_whiteouts(true);
    }
}

/// Gives the user the entries of the real directory, with inode numbers as `stat(2)` shows them where
/// that can be done without looking at each.
fn pass_on(
    instance: &Instance,
    file: &File,
    numbers: Option<u32>,
    reading: &mut Reading,
    emitter: &mut Emitter<'_>,
) -> Result {
    let inode = file.inode();
    let now = Now::of(inode.held());
    let keeps_inos = match instance.xino {
        XinoBits::Off => true,
        XinoBits::SameFs => {
            let is_below_merged = file
                .dentry()
                .with_parent_inode(|parent, rcu| Now::of(parent.data()).is_merged_in(rcu));
            is_below_merged == Some(false)
        }
        XinoBits::High(_) => false,
    };
    if keeps_inos && now.has(Trait::NO_WHITEOUTS) {
        return instance.as_mounter(|c| emitter.forward(c, &mut reading.real));
    }
    let (own, parents) = match keeps_inos {
        true => (0, 0),
        false => (inode.ino(), file.dentry().parent().inode().ino()),
    };
    let number = |entry: &Entry<'_>| match entry.name {
        _ if keeps_inos => entry.ino,
        b"." => own,
        b".." => parents,
        _ => numbers
            .and_then(|fsid| ino::compose(entry.ino, fsid, instance.xino))
            .unwrap_or(entry.ino),
    };
    let seen = instance.as_mounter(|c| {
        if !keeps_inos {
            return sift(instance, c, inode, reading, emitter, Types::ALL, &number);
        }
        match pass_on_until_suspect(c, reading, emitter)? {
            (seen, false) => Ok(seen),
            (_, true) => sift(
                instance,
                c,
                inode,
                reading,
                emitter,
                MAY_BE_WHITEOUTS,
                &number,
            ),
        }
    })?;
    if seen == 0 && reading.is_clean && !is_revalidated_dir(inode) {
        now.object().get().set_no_whiteouts();
    }
    Ok(())
}

/// Returns whether a directory may be changed by others than us at any time.
fn is_revalidated_dir(dir: &Inode) -> bool {
    let places = Places::of(dir.held());
    let is_weak = places.all().any(|pin| pin.dentry().needs_revalidation());
    is_weak
}

/// The number of times that another name may be held at one position of a directory.
const MOST_HELD: u32 = 16;

/// The types of entries for which [`whiteout::must_look`] says so where files are no whiteouts.
const MAY_BE_WHITEOUTS: Types = Types::of(&[Type::CHAR_DEVICE, Type::UNKNOWN]);

/// Passes on entries as they are, up to the first that may be a whiteout, which comes first the next time; returns how
/// many there were, and whether one may be. Few directories have such: they alone pay for what [`sift`] keeps in mind.
fn pass_on_until_suspect(
    c: &Override<'_>,
    reading: &mut Reading,
    emitter: &mut Emitter<'_>,
) -> Result<(usize, bool)> {
    let mut is_held = false;
    let seen = emitter.forward_each(c, &mut reading.real, MAY_BE_WHITEOUTS, |_| {
        is_held = true;
        Passage::Hold
    })?;
    Ok((seen, is_held))
}

/// Passes on the entries that are no whiteouts, those of the types `asked` numbered by `number`; returns how many
/// entries there were. One that may be a whiteout is held until it was looked at, which can't be done while the
/// directory is read.
#[inline(never)]
fn sift(
    instance: &Instance,
    c: &Override<'_>,
    inode: &Inode,
    reading: &mut Reading,
    emitter: &mut Emitter<'_>,
    asked: Types,
    number: &dyn Fn(&Entry<'_>) -> u64,
) -> Result<usize> {
    // The name that was looked at last, and whether it is that of a whiteout.
    let mut last: Option<(KVec<u8>, bool)> = None;
    let (mut held_at, mut times) = (-1, 0);
    let mut all = 0usize;
    loop {
        let mut held: Option<Result<KVec<u8>>> = None;
        let seen = emitter.forward_each(c, &mut reading.real, asked, |entry| {
            let kind = whiteout_type(entry.kind);
            if !whiteout::must_look(kind, false) || matches!(entry.name, b"." | b"..") {
                return Passage::Show(number(entry));
            }
            match &last {
                Some((name, hidden)) if name.as_slice() == entry.name => {
                    if *hidden {
                        Passage::Skip
                    } else {
                        Passage::Show(number(entry))
                    }
                }
                // Its filesystem shows another one here each time.
                _ if times == MOST_HELD => Passage::Show(number(entry)),
                _ => {
                    held = Some(copy_of(entry.name));
                    Passage::Hold
                }
            }
        })?;
        all = all.saturating_add(seen);
        let Some(name) = held else { return Ok(all) };
        let name = name?;
        task::check_killed()?;
        times = if held_at == emitter.position() {
            times.saturating_add(1)
        } else {
            0
        };
        held_at = emitter.position();
        let hidden = is_whiteout_in(instance, c, inode, &name)?;
        if hidden {
            reading.is_clean = false;
            inode.data().set_has_whiteouts(false);
        }
        last = Some((name, hidden));
    }
}

fn copy_of(name: &[u8]) -> Result<KVec<u8>> {
    let mut copy = KVec::with_capacity(name.len(), GFP_KERNEL)?;
    copy.extend_from_slice(name, GFP_KERNEL)?;
    Ok(copy)
}

/// Returns whether a name in the real directory is that of a whiteout. A name that can't be looked at is shown, as it
/// is there.
fn is_whiteout_in(instance: &Instance, c: &Override<'_>, dir: &Inode, name: &[u8]) -> Result<bool> {
    let places = Places::of(dir.held());
    let dir = places.real_path()?;
    match dir.dentry().lookup_killable(c, dir.mount(), name) {
        Ok(Some(found)) => {
            let found = Path::new(dir.mount(), &found)?;
            Ok(marks::is_whiteout(&instance.config, c, found))
        }
        Err(e) if e == EINTR => Err(e),
        _ => Ok(false),
    }
}
