// SPDX-License-Identifier: GPL-2.0-only

//! Getting the upper layer ready: the directory that is written to, and the work directory beside it.
//!
//! What the filesystem below can't do is found out by trying, and said to the mounter with what it means
//! for the mount.

#![forbid(unsafe_code)]

use super::index::check_export;
use super::overlaps::report_in_use;
use super::plan::Given;
use crate::engine::fit::part_at;
use crate::engine::work;
use crate::state::layer::Device;
use crate::state::layer::Filesystem;
use crate::state::layer::Upper;
use crate::state::layer::UpperParts;
use crate::state::Real;
use format::options::Features;
use format::options::Fsync;
use format::options::RedirectDir;
use format::options::Uuid;
use format::options::Xino;
use format::xattr::Mark;
use format::xattr::Namespace;
use kernel::prelude::*;
use kernel::sync::aref::ARef;
use kernel::sync::Arc;
use vfs::call::dir_iter;
use vfs::call::dir_iter::Next;
use vfs::call::fileattr::Project;
use vfs::call::xattr;
use vfs::call::xattr::SetFlags;
use vfs::guard::dir_op::Creating;
use vfs::guard::dir_op::Ends;
use vfs::guard::dir_op::NewEntry;
use vfs::guard::dir_op::RenameFlags;
use vfs::guard::dir_op::Renaming;
use vfs::guard::in_use::InUse;
use vfs::guard::write::WantWrite;
use vfs::object::file::OwnedFile;
use vfs::object::mount::PrivateMount;
use vfs::object::mount::PrivateUse;
use vfs::object::super_block::ErrorMark;
use vfs::ops::fs_context::FsContext;
use vfs::sys::errno::ENODATA;
use vfs::sys::mode::FileType;
use vfs::Override;
use vfs::Path;

/// Prepares `upperdir` and `workdir`; switches off the features that upper can't have.
///
/// # Errors
///
/// `EINVAL`: they don't fit together, or are not fit. `EIO`: a volatile mount after errors of writing.
/// All after a message.
pub(super) fn prepare(
    fc: &FsContext<'_>,
    c: &Override<'_>,
    features: &mut Features,
    devices: &mut KVec<Device>,
    upper: Given,
    work: Given,
) -> Result<Upper> {
    check_places(fc, &upper, &work)?;
    check_moves(fc, c, &upper, &work)?;
    let (upper_path, work_path) = (upper.path.as_path(), work.path.as_path());
    let mount = PrivateMount::clone_of(c, upper_path, PrivateUse::Writing).inspect_err(|e| {
        fc.error(fmt!(
            "the mount at upperdir '{}' can't be cloned: {:?}",
            &*upper.name,
            e
        ));
    })?;
    let root = ARef::from(upper_path.dentry());
    let root_in_use = mark_in_use(fc, features, &root, &upper.name)?;
    let errors = if features.fsync == Fsync::Volatile {
        mount.get().super_block().error_mark().ok_or_else(|| {
            fc.error(fmt!(
                "cannot mount volatile when upperdir has an unseen error; sync its filesystem to clear it"
            ));
            EIO
        })?
    } else {
        ErrorMark::default()
    };
    let sb = upper_path.dentry().super_block();
    let fs = Filesystem::new(0, sb, part_at(c, upper_path), devices)?;
    let base = ARef::from(work_path.dentry());
    let base_in_use = mark_in_use(fc, features, &base, &work.name)?;
    let mut parts = UpperParts {
        mount,
        root,
        root_in_use,
        base,
        base_in_use,
        work: None,
        name: upper.name,
        work_name: work.name,
        has_nameless: false,
        no_xattrs: false,
        errors,
        fs: Arc::new(fs, GFP_KERNEL)?,
    };
    prepare_work(fc, c, features, &mut parts)?;
    Upper::new(parts)
}

/// Refuses an upper layer that can't be written to, and a workdir that is not beside it.
fn check_places(fc: &FsContext<'_>, upper: &Given, work: &Given) -> Result {
    let (upper_path, work_path) = (upper.path.as_path(), work.path.as_path());
    if upper_path.mount().is_readonly() {
        return Err(fc.invalid(fmt!("upper fs is r/o, try multi-lower layers mount")));
    }
    if !core::ptr::eq(upper_path.mount(), work_path.mount()) {
        return Err(fc.invalid(fmt!(
            "workdir '{}' and upperdir '{}' must reside under the same mount",
            &*work.name,
            &*upper.name
        )));
    }
    if vfs::object::path::is_below(work_path.dentry(), upper_path.dentry())
        || vfs::object::path::is_below(upper_path.dentry(), work_path.dentry())
    {
        return Err(fc.invalid(fmt!(
            "workdir '{}' and upperdir '{}' must be separate subtrees",
            &*work.name,
            &*upper.name
        )));
    }
    Ok(())
}

/// Refuses a workdir from which nothing can be moved to upper although they are on one filesystem: each copy-up would
/// fail.
fn check_moves(fc: &FsContext<'_>, c: &Override<'_>, upper: &Given, work: &Given) -> Result {
    let (to, from) = (upper.path.as_path(), work.path.as_path());
    let why = if part_at(c, to) != part_at(c, from) {
        "they are in different subvolumes"
    } else if to.dentry().inode().is_encrypted() && !from.dentry().inode().is_encrypted() {
        "only upperdir is encrypted"
    } else {
        let needs = Project::of(to).filter(|project| project.is_inherited);
        match (needs, Project::of(from)) {
            (Some(needs), Some(has)) if needs.id != has.id => {
                "they are in different quota projects, and what is in upperdir must be in its own"
            }
            _ => return Ok(()),
        }
    };
    Err(fc.invalid(fmt!(
        "nothing can be moved from workdir '{}' to upperdir '{}': {}; use a workdir beside upperdir",
        &*work.name,
        &*upper.name,
        why
    )))
}

fn mark_in_use(
    fc: &FsContext<'_>,
    features: &Features,
    dir: &Real,
    name: &CStr,
) -> Result<Option<InUse>> {
    let mark = InUse::mark(dir);
    if mark.is_none() {
        report_in_use(fc, features.index, name)?;
    }
    Ok(mark)
}

/// Makes the directory `work` in workdir, empty, and finds out what can be done there.
fn prepare_work(
    fc: &FsContext<'_>,
    c: &Override<'_>,
    features: &mut Features,
    parts: &mut UpperParts,
) -> Result {
    const NAME: &[u8] = b"work";

    let mount = parts.mount.get();
    let writing = mount.want_write().inspect_err(|e| {
        fc.error(fmt!(
            "workdir '{}' can't be written to: {:?}",
            &*parts.work_name,
            e
        ));
    })?;
    let work = match make_work(c, &writing, &parts.base, NAME) {
        Ok(work) => work,
        Err(e) if e == EINVAL => {
            fc.error(fmt!(
                "workdir '{}' was left by an incompatible or volatile mount; if upperdir can be \
                 trusted, remove '{}/work/incompat'",
                &*parts.work_name,
                &*parts.work_name
            ));
            return Err(e);
        }
        Err(e) if e == EINTR => return Err(e),
        Err(e) => {
            fc.warn(fmt!(
                "failed to create directory {}/work ({:?}); mounting read-only",
                &*parts.work_name,
                e
            ));
            return Ok(());
        }
    };
    if work.inode().is_casefolded() != parts.base.inode().is_casefolded() {
        return Err(fc.invalid(fmt!(
            "'{}/work' does not ignore case as workdir does, or ignores it; remove it",
            &*parts.work_name
        )));
    }
    let abilities = find_out(fc, c, features, parts, &writing, &work)?;
    if features.fsync == Fsync::Volatile {
        mark_volatile(c, &writing, &work).inspect_err(|e| {
            fc.error(fmt!("failed to create volatile/dirty file: {:?}", e));
        })?;
    }
    drop(writing);
    parts.has_nameless = abilities.has_nameless;
    parts.no_xattrs = abilities.no_xattrs;
    parts.work = Some(work);
    Ok(())
}

/// The abilities that not every upper has.
struct Abilities {
    has_nameless: bool,
    no_xattrs: bool,
}

/// Finds out by trying what upper can do, in its directory `work`.
fn find_out(
    fc: &FsContext<'_>,
    c: &Override<'_>,
    features: &mut Features,
    parts: &UpperParts,
    writing: &WantWrite<'_>,
    work: &Real,
) -> Result<Abilities> {
    let has_types = has_entry_types(c, Path::new(writing.mount(), &parts.base)?)?;
    if !has_types {
        fc.warn(fmt!("upper fs needs to support d_type"));
    }
    let nameless =
        OwnedFile::make_nameless(c, writing, work, FileType::REGULAR.with_permissions(0));
    let has_nameless = nameless.is_ok();
    if !has_nameless {
        fc.warn(fmt!("upper fs does not support tmpfile"));
    }
    drop(nameless);
    let leaves_whiteouts = can_leave_whiteout(c, writing, work)?;
    if !leaves_whiteouts {
        fc.warn(fmt!("upper fs does not support RENAME_WHITEOUT"));
    }
    let namespace = if features.userxattr {
        Namespace::User
    } else {
        Namespace::Trusted
    };
    let opaque = namespace.name(Mark::Opaque);
    let set = xattr::set(c, writing, work, opaque, b"0", SetFlags::ANY);
    match set {
        Ok(()) => {
            let _ = xattr::remove(c, writing, work, opaque);
        }
        Err(e) => without_xattrs(fc, features, e),
    }
    let no_xattrs = set.is_err();
    if work.needs_revalidation() && !(has_types && leaves_whiteouts && !no_xattrs) {
        return Err(fc.invalid(fmt!(
            "upper fs '{}' is missing required features",
            &*parts.name
        )));
    }
    Ok(Abilities {
        has_nameless,
        no_xattrs,
    })
}

/// Returns the UUID of the stack, which is kept on the root of upper from its first mount on.
pub(super) fn uuid(
    fc: &FsContext<'_>,
    c: &Override<'_>,
    features: &mut Features,
    upper: &Upper,
) -> Option<[u8; 16]> {
    if !matches!(features.uuid, Uuid::Auto | Uuid::On) {
        return None;
    }
    match load_or_make_uuid(c, features, upper) {
        Ok(uuid) => uuid,
        Err(e) => {
            fc.warn(fmt!(
                "the uuid of upperdir '{}' can't be kept ({:?}); falling back to uuid=null",
                &*upper.name,
                e
            ));
            features.uuid = Uuid::Null;
            None
        }
    }
}

fn load_or_make_uuid(
    c: &Override<'_>,
    features: &mut Features,
    upper: &Upper,
) -> Result<Option<[u8; 16]>> {
    let mount = &*upper.mount;
    let path = mount.root_path();
    let namespace = if features.userxattr {
        Namespace::User
    } else {
        Namespace::Trusted
    };
    let name = namespace.name(Mark::Uuid);
    let mut uuid = [0u8; 16];
    match xattr::get(c, path, name, &mut uuid) {
        Ok(len) => {
            let value = uuid.get(..len).unwrap_or(&[]);
            let uuid = format::uuid::decode(value).map_err(|_| EINVAL)?;
            return Ok(Some(uuid));
        }
        Err(e) if e == ENODATA => {}
        Err(e) => return Err(e),
    }
    if features.uuid == Uuid::Auto {
        match xattr::get(c, path, namespace.name(Mark::Impure), &mut []) {
            // It was mounted before, by who did not keep one.
            Ok(_) => {
                features.uuid = Uuid::Null;
                return Ok(None);
            }
            Err(e) if e == ENODATA => features.uuid = Uuid::On,
            Err(e) => return Err(e),
        }
    }
    let uuid = vfs::sys::random::new_uuid();
    let writing = mount.want_write()?;
    xattr::set(c, &writing, path.dentry(), name, &uuid, SetFlags::ANY)?;
    Ok(Some(uuid))
}

/// Switches off what can't be kept without extended attributes.
fn without_xattrs(fc: &FsContext<'_>, features: &mut Features, error: Error) {
    fc.warn(fmt!("failed to set xattr on upper: {:?}", error));
    if features.redirect_dir.follows() {
        features.redirect_dir = RedirectDir::Nofollow;
        fc.warn(fmt!("...falling back to redirect_dir=nofollow"));
    }
    if features.index {
        features.index = false;
        fc.warn(fmt!("...falling back to index=off"));
        check_export(fc, features, true);
    }
    if features.metacopy {
        features.metacopy = false;
        fc.warn(fmt!("...falling back to metacopy=off"));
    }
    if matches!(features.uuid, Uuid::Auto | Uuid::On) {
        features.uuid = Uuid::Null;
        fc.warn(fmt!("...falling back to uuid=null"));
    }
    if features.xino == Xino::Auto {
        features.xino = Xino::Off;
        fc.warn(fmt!("...falling back to xino=off"));
    }
    if error == EPERM && !features.userxattr {
        fc.info(fmt!("try mounting with 'userxattr' option"));
    }
}

/// Makes the directory `name` in `base`, empty and with nothing inherited.
fn make_work(
    c: &Override<'_>,
    writing: &WantWrite<'_>,
    base: &Real,
    name: &[u8],
) -> Result<ARef<Real>> {
    let mut tries = 2;
    let work = loop {
        let creating = Creating::begin(c, writing, base, name)?;
        let Some(old) = creating.existing().map(ARef::from) else {
            break creating.create(c, &NewEntry::directory(0))?;
        };
        drop(creating);
        tries -= 1;
        if tries == 0 {
            return Err(EEXIST);
        }
        work::cleanup_leftover(c, writing, base, &old, 0)?;
    };
    work::without_inherited(c, writing, &work)?;
    Ok(work)
}

/// Returns whether the filesystem tells the types of entries.
fn has_entry_types(c: &Override<'_>, dir: Path<'_>) -> Result<bool> {
    let mut has = false;
    let mut open = OwnedFile::open_dir(c, dir)?;
    dir_iter::read_on(c, &mut open, |entry| {
        let is_dots = matches!(entry.name, b"." | b"..");
        has |= !is_dots && entry.kind != dir_iter::Type::UNKNOWN;
        // One entry is enough to tell.
        Ok(if has { Next::Stop } else { Next::Continue })
    })?;
    Ok(has)
}

/// Returns whether the filesystem can leave a whiteout where something is renamed away (`RENAME_WHITEOUT`).
fn can_leave_whiteout(c: &Override<'_>, writing: &WantWrite<'_>, work: &Real) -> Result<bool> {
    const FROM: &[u8] = b"#whiteout-from";
    const TO: &[u8] = b"#whiteout-to";

    let file = Creating::begin(c, writing, work, FROM)?.create(c, &NewEntry::file(0))?;
    let renamed = Renaming::begin(
        c,
        writing,
        work,
        work,
        Ends::Object(&file, TO),
        RenameFlags::WHITEOUT,
    )
    .and_then(|it| it.rename(c));
    let can = match renamed {
        Ok(()) => {
            let left = work.lookup(c, writing.mount(), FROM)?;
            if let Some(left) = &left {
                work::cleanup(c, writing, work, left);
            }
            left.is_some()
        }
        Err(e) if e == EINVAL => false,
        Err(e) => {
            work::cleanup(c, writing, work, &file);
            return Err(e);
        }
    };
    work::cleanup(c, writing, work, &file);
    Ok(can)
}

/// Leaves a mark that what is in upper was never synced: the next mount refuses it.
fn mark_volatile(c: &Override<'_>, writing: &WantWrite<'_>, work: &Real) -> Result {
    let mut dir = ARef::from(work);
    for name in [b"incompat".as_slice(), b"volatile"] {
        let next = {
            let creating = Creating::begin(c, writing, &dir, name)?;
            match creating.existing().map(ARef::from) {
                Some(next) => next,
                None => creating.create(c, &NewEntry::directory(0))?,
            }
        };
        dir = next;
    }
    let creating = Creating::begin(c, writing, &dir, b"dirty")?;
    if creating.existing().is_none() {
        creating.create(c, &NewEntry::file(0))?;
    }
    Ok(())
}
