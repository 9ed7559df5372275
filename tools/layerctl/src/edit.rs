// SPDX-License-Identifier: GPL-2.0-only

//! Changes of layers that nothing has mounted: names are removed, marks are set and removed.
//!
//! As in `layer`, nothing is reached by a path that could lead out of a layer. What is changed is looked at again right before:
//! if it is not what it was, that is an error.

use crate::layer::{Layer, Object};
use crate::mounts::{self, Mount};
use crate::stack::Stack;
use crate::text::{join, shown};
use anyhow::{bail, Context, Result};
use format::xattr::{Mark, Namespace};
use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags, Stat, Timespec, Timestamps, XattrFlags};
use rustix::io::Errno;
use std::fs::Metadata;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A path as the directory that it is in, and its last name.
pub fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => {
            let (parent, name) = path.split_at(slash);
            (parent, name.strip_prefix(b"/").unwrap_or(name))
        }
        None => (b"", path),
    }
}

/// The times that a directory has, to give them back to it when names were removed.
pub struct Times {
    fd: OwnedFd,
    full: String,
    times: Timestamps,
}

impl Times {
    pub fn of(layer: &Layer, path: &[u8]) -> Result<Times> {
        let full = layer.full(path);
        let fd = layer
            .open_below(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW)
            .with_context(|| full.clone())?;
        let stat = rustix::fs::fstat(&fd).with_context(|| full.clone())?;
        let times = times(&stat);
        Ok(Times { fd, full, times })
    }

    pub fn restore(&self) -> Result<()> {
        rustix::fs::futimens(&self.fd, &self.times)
            .with_context(|| format!("{}: the times can't be set as they were", self.full))
    }
}

/// The times of an object, in the form in which they are set.
pub fn times(stat: &Stat) -> Timestamps {
    let time = |seconds: i64, nanoseconds: u64| Timespec {
        tv_sec: seconds,
        tv_nsec: i64::try_from(nanoseconds).unwrap_or_default(),
    };
    Timestamps {
        last_access: time(stat.st_atime, stat.st_atime_nsec),
        last_modification: time(stat.st_mtime, stat.st_mtime_nsec),
    }
}

fn parent(layer: &Layer, path: &[u8]) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW;
    layer
        .open_below(path, flags)
        .with_context(|| layer.full(path))
}

/// Removes the name of an object; of a directory, if it is empty.
pub fn remove(layer: &Layer, object: &Object) -> Result<()> {
    let (directory, name) = split(&object.path);
    let fd = parent(layer, directory)?;
    let now = rustix::fs::statat(&fd, name, AtFlags::SYMLINK_NOFOLLOW)
        .with_context(|| object.full.clone())?;
    if (now.st_dev, now.st_ino) != (object.stat.st_dev, object.stat.st_ino) {
        bail!(
            "{}: was replaced meanwhile: nothing may write to the layers",
            object.full
        );
    }
    let flags = if object.is_dir() {
        AtFlags::REMOVEDIR
    } else {
        AtFlags::empty()
    };
    rustix::fs::unlinkat(&fd, name, flags)
        .with_context(|| format!("{}: can't be removed", object.full))
}

/// Removes an object and all that is in it.
pub fn remove_tree(layer: &Layer, object: &Object) -> Result<()> {
    if object.is_dir() {
        for name in layer.names(&object.path)? {
            if let Some(inner) = layer.find(&join(&object.path, &name))? {
                remove_tree(layer, &inner)?;
            }
        }
    }
    remove(layer, object)
}

/// Moves an object into a directory of the layer, which is made if it is not there; it keeps its name.
pub fn move_into(layer: &Layer, object: &Object, directory: &[u8]) -> Result<()> {
    let fail = || format!("{}: can't be moved to {}", object.full, shown(directory));
    let (from, name) = split(&object.path);
    let root = parent(layer, b"")?;
    match rustix::fs::mkdirat(&root, directory, Mode::RWXU) {
        Err(Errno::EXIST) => {}
        made => made.with_context(fail)?,
    }
    let (from, to) = (parent(layer, from)?, parent(layer, directory)?);
    rustix::fs::renameat_with(&from, name, &to, name, RenameFlags::NOREPLACE).with_context(fail)
}

/// Sets a mark.
pub fn set_mark(object: &Object, namespace: Namespace, mark: Mark, value: &[u8]) -> Result<()> {
    let name = namespace.name(mark);
    rustix::fs::setxattr(object.proc_path(), name, value, XattrFlags::empty()).with_context(|| {
        format!(
            "{}: the mark {} can't be set",
            object.full,
            name.to_string_lossy()
        )
    })
}

/// Removes a mark, if it is there.
pub fn remove_mark(object: &Object, namespace: Namespace, mark: Mark) -> Result<()> {
    let name = namespace.name(mark);
    match rustix::fs::removexattr(object.proc_path(), name) {
        Err(Errno::NODATA) => Ok(()),
        removed => removed.with_context(|| {
            format!(
                "{}: the mark {} can't be removed",
                object.full,
                name.to_string_lossy()
            )
        }),
    }
}

/// A directory that is to be changed, or one that a mount uses.
struct Place {
    path: PathBuf,
    about: Metadata,
}

impl Place {
    fn of(path: &Path) -> Option<Place> {
        let path = path.canonicalize().ok()?;
        let about = path.metadata().ok()?;
        Some(Place { path, about })
    }

    /// Whether one is the other, or is within it.
    fn meets(&self, other: &Place) -> bool {
        self.about.dev() == other.about.dev()
            && (self.about.ino() == other.about.ino()
                || self.path.starts_with(&other.path)
                || other.path.starts_with(&self.path))
    }
}

/// What a mount is made of, as far as its paths lead anywhere here.
fn places(mount: &Mount) -> Vec<Place> {
    let layers = mount.layers().map(|(layers, _)| layers).unwrap_or_default();
    let paths = layers.into_iter().map(|(path, _)| path);
    paths
        .chain(mount.workdir())
        .filter(|path| path.is_absolute())
        .filter_map(|path| Place::of(&path))
        .collect()
}

/// Refuses layers that are to be changed, if a mount has them.
pub fn refuse_mounted(stack: &Stack, workdir: Option<&Path>) -> Result<()> {
    let layers = stack.layers.iter().map(|layer| layer.path.as_path());
    let ours: Vec<Place> = layers.chain(workdir).filter_map(Place::of).collect();
    for mount in mounts::all()?.iter().filter(|mount| mount.is_stack()) {
        let theirs = places(mount);
        let met = ours
            .iter()
            .find(|place| theirs.iter().any(|other| place.meets(other)));
        if let Some(place) = met {
            bail!(
                "{}: the mount on {} uses it: unmount that first, or give --force if nothing reads or writes there",
                place.path.display(),
                shown(&mount.point)
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_split() {
        assert_eq!(split(b"a/b/c"), (b"a/b".as_slice(), b"c".as_slice()));
        assert_eq!(split(b"a"), (b"".as_slice(), b"a".as_slice()));
        assert_eq!(split(b""), (b"".as_slice(), b"".as_slice()));
    }
}
