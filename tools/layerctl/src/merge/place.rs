// SPDX-License-Identifier: GPL-2.0-only

//! Where a new layer is built, and how it gets its name: only when it is whole and on disk.

use crate::edit;
use crate::layer::Layer;
use crate::stack::Stack;
use anyhow::{anyhow, bail, Context, Result};
use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What the name of a layer ends with that is not whole.
const UNFINISHED: &str = ".unfinished";

/// Attributes that a directory inherits, and gives to what is made in it.
const INHERITED: [&str; 2] = ["system.posix_acl_default", "system.posix_acl_access"];

pub struct Place {
    output: PathBuf,
    /// The directory that both names are in.
    parent: OwnedFd,
    parent_path: PathBuf,
    name: Vec<u8>,
    unfinished: Vec<u8>,
    /// The path of what is not whole, as messages say it.
    unfinished_path: PathBuf,
    /// Whether an empty directory has the name already.
    is_there: bool,
}

impl Place {
    /// Makes the directory that the layer is built in.
    pub fn new(output: &Path, stack: &Stack) -> Result<Place> {
        let name = output
            .file_name()
            .with_context(|| format!("{}: is no name for a new directory", output.display()))?;
        let parent_path = match output.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let parent_path = parent_path
            .canonicalize()
            .with_context(|| format!("{}: make the directory first", parent_path.display()))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let parent = rustix::fs::open(&parent_path, flags, Mode::empty())
            .with_context(|| format!("{}: can't be opened", parent_path.display()))?;
        let unfinished = [name.as_bytes(), UNFINISHED.as_bytes()].concat();
        let place = Place {
            output: output.to_owned(),
            parent,
            name: name.as_bytes().to_vec(),
            unfinished_path: output.with_file_name(OsStr::from_bytes(&unfinished)),
            unfinished,
            is_there: is_empty(output, &parent_path)?,
            parent_path,
        };
        place.outside(stack)?;
        place.begin()?;
        Ok(place)
    }

    /// Refuses a place within one of the layers: it would be merged itself.
    fn outside(&self, stack: &Stack) -> Result<()> {
        let own = self.parent_path.join(OsStr::from_bytes(&self.name));
        for layer in stack.layers.iter() {
            let path = layer.path.canonicalize().unwrap_or_default();
            if self.parent_path.starts_with(&path) || path.starts_with(&own) {
                bail!(
                    "{}: is in the layer {}, or the other way round: name a directory beside it",
                    self.output.display(),
                    layer.path.display()
                );
            }
        }
        Ok(())
    }

    fn begin(&self) -> Result<()> {
        let path = &self.unfinished_path;
        match rustix::fs::mkdirat(&self.parent, &*self.unfinished, Mode::RWXU) {
            Err(Errno::EXIST) => bail!(
                "{}: is left of a merge that was interrupted, or one is at work there: if none is, remove it",
                path.display()
            ),
            made => made.with_context(|| {
                format!("{}: the directory can't be made", path.display())
            })?,
        }
        for attribute in INHERITED {
            match rustix::fs::lremovexattr(path, attribute) {
                Ok(()) | Err(Errno::NODATA | Errno::OPNOTSUPP) => {}
                Err(error) => {
                    self.forget();
                    return Err(error).with_context(|| format!("{}: {attribute}", path.display()));
                }
            }
        }
        Ok(())
    }

    /// The directory and the name of what is built.
    pub fn unfinished(&self) -> (&OwnedFd, &[u8]) {
        (&self.parent, &self.unfinished)
    }

    /// Opens what is built.
    pub fn open(&self) -> Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(&self.parent, &*self.unfinished, flags, Mode::empty())
            .with_context(|| format!("{}: can't be opened", self.unfinished_path.display()))
    }

    /// Puts all on disk, and gives it its name.
    pub fn publish(&self) -> Result<()> {
        let fail = || format!("{}: the layer can't be put on disk", self.output.display());
        rustix::fs::syncfs(self.open()?).with_context(fail)?;
        let flags = if self.is_there {
            RenameFlags::empty()
        } else {
            RenameFlags::NOREPLACE
        };
        let (from, to) = (&*self.unfinished, &*self.name);
        rustix::fs::renameat_with(&self.parent, from, &self.parent, to, flags).map_err(
            |error| {
                anyhow!(
                "{}: the layer can't get this name ({error}): something was made there meanwhile",
                self.output.display()
            )
            },
        )?;
        rustix::fs::fsync(&self.parent).with_context(fail)
    }

    /// Removes what was built. Paths begin within it, as those in the layers do: so none is longer than these.
    fn remove(&self) -> Result<()> {
        let unfinished = self.parent_path.join(OsStr::from_bytes(&self.unfinished));
        let layer = Layer::open(&unfinished, false)?;
        for name in layer.names(b"")? {
            if let Some(object) = layer.find(&name)? {
                edit::remove_tree(&layer, &object)?;
            }
        }
        rustix::fs::unlinkat(&self.parent, &*self.unfinished, AtFlags::REMOVEDIR)?;
        Ok(())
    }

    /// Removes what was built; if that fails, it is told.
    pub fn forget(&self) {
        let removed = self.remove();
        if let Err(error) = removed {
            let path = self.unfinished_path.display();
            eprintln!(
                "layerctl: {path}: is no layer, and could not be removed ({error:#}): remove it"
            );
        }
    }
}

/// Whether an empty directory is there; something else is refused.
fn is_empty(output: &Path, parent: &Path) -> Result<bool> {
    let Ok(about) = output.symlink_metadata() else {
        return Ok(false);
    };
    let shown = output.display();
    if !about.is_dir() {
        bail!("{shown}: is there, and no directory: name another");
    }
    let fail = || format!("{shown}: can't be read");
    if std::fs::read_dir(output)
        .with_context(fail)?
        .next()
        .is_some()
    {
        bail!("{shown}: is not empty: name an empty directory, or one that is not there");
    }
    let parent = parent.metadata().with_context(fail)?;
    if parent.dev() != about.dev() {
        bail!("{shown}: is a mount point, which can't be replaced: name a directory in it");
    }
    Ok(true)
}
