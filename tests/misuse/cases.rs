// SPDX-License-Identifier: GPL-2.0-only

//! What can be done wrongly with objects below.

use kernel::prelude::*;
use kernel::sync::aref::ARef;
use vfs::guard::dir_op::Creating;
use vfs::guard::dir_op::Ends;
use vfs::guard::dir_op::NewEntry;
use vfs::guard::dir_op::NewObject;
use vfs::guard::dir_op::Removing;
use vfs::guard::dir_op::RenameFlags;
use vfs::guard::dir_op::Renaming;
use vfs::guard::write::WantWrite;
use vfs::sys::anon_dev::Dev;
use vfs::sys::mode::FileType;
use vfs::Foreign;
use vfs::Mount;
use vfs::Override;
use vfs::Path;
use vfs::Positive;

type Real = Positive<Foreign>;

/// What a case has.
pub(crate) struct Given<'a> {
    pub(crate) c: &'a Override<'a>,
    /// Of `dir` and `file`.
    pub(crate) mount: &'a Mount,
    pub(crate) dir: &'a Real,
    /// An executable file, so that it could be searched if it were a directory.
    pub(crate) file: &'a Real,
    /// A directory of another filesystem.
    pub(crate) other: &'a Real,
}

/// A case: it gives the error that what is done wrongly is answered with.
pub(crate) type Case = fn(&Given<'_>) -> Result;

/// The case of that name.
pub(crate) fn find(name: &[u8]) -> Option<Case> {
    const NAME: &[u8] = b"name";

    let case: Case = match name {
        b"lookup" => |g| g.file.lookup(g.c, g.mount, NAME).map(drop),
        b"lookup_any" => |g| g.file.lookup_any(g.c, g.mount, NAME).map(drop),
        b"lookup_once" => |g| g.file.lookup_once(g.c, g.mount, NAME).map(drop),
        b"lookup_killable" => |g| g.file.lookup_killable(g.c, g.mount, NAME).map(drop),
        b"create" => |g| write(g, |w| Creating::begin(g.c, w, g.file, NAME).map(drop)),
        b"remove" => |g| write(g, |w| Removing::begin(g.c, w, g.file, NAME).map(drop)),
        b"remove_object" => |g| {
            write(g, |w| {
                Removing::begin_with(g.c, w, g.file, g.file).map(drop)
            })
        },
        b"rename_from" => |g| rename(g, (g.file, g.dir), Ends::Names(NAME, NAME)),
        b"rename_to" => |g| rename(g, (g.dir, g.file), Ends::Names(NAME, NAME)),
        b"rename_object_to" => |g| rename(g, (g.dir, g.file), Ends::Object(g.file, NAME)),
        b"rename_far" => |g| rename(g, (g.dir, g.other), Ends::Names(NAME, NAME)),
        b"rename_nothing" => |g| rename(g, (g.dir, g.dir), Ends::Names(NAME, b"to")),
        b"exchange_with_nothing" => |g| {
            write(g, |w| {
                let ends = Ends::Object(g.file, NAME);
                Renaming::begin(g.c, w, g.dir, g.dir, ends, RenameFlags::NONE)?.exchange(g.c)
            })
        },
        b"create_special_of_no_type" => |g| {
            create(
                g,
                &NewEntry::Object(NewObject::Special(
                    FileType::REGULAR.with_permissions(0o644),
                    Dev::NONE,
                )),
            )
            .map(drop)
        },
        b"path" => |g| Path::new(g.mount, g.other).map(drop),
        b"path_of_file" => |g| Path::new(g.mount, g.file).map(drop),
        _ => return None,
    };
    Some(case)
}

fn write(given: &Given<'_>, f: impl FnMut(&WantWrite<'_>) -> Result) -> Result {
    given.mount.write(f)
}

fn rename(given: &Given<'_>, (from, to): (&Real, &Real), ends: Ends<'_>) -> Result {
    let mut ends = Some(ends);
    write(given, |w| {
        let ends = ends.take().ok_or(EDOM)?;
        Renaming::begin(given.c, w, from, to, ends, RenameFlags::NONE)?.rename(given.c)
    })
}

fn create(given: &Given<'_>, what: &NewEntry<'_>) -> Result<ARef<Real>> {
    given
        .mount
        .write(|w| Creating::begin(given.c, w, given.dir, b"name")?.create(given.c, what))
}
