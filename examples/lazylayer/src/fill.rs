// SPDX-License-Identifier: GPL-2.0-only

//! Fills a directory with what is in the image, so that it can be a layer meanwhile.
//!
//! An object is made in a directory beside it (`staging`), gets all its attributes and its data there, and then its name,
//! by a rename that replaces nothing. Files are on the disk before they get their names: after a crash, what has a
//! name is whole. So a filler that was killed goes on where it was: what is there already is not made again.
//!
//! A directory appears empty. As long as names are missing in it, they must be found in the layer beneath, so an opaque one
//! is marked only when all is there. Each name that comes changes the time of its directory, which is set right
//! at once.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{bail, ensure, Context, Result};
use rustix::fs as sys;
use rustix::fs::{
    AtFlags, FileType, FlockOperation, Gid, Mode, OFlags, RenameFlags, Timestamps, Uid, XattrFlags,
    CWD,
};
use rustix::io::Errno;

use crate::archive::{Archive, Who};
use crate::index::{Ino, Node, Time, What, OPAQUE, ROOT};

/// So much of a file is read and written at once, in bytes.
const PART: usize = 1 << 20;

/// What was done, for whoever looks on.
#[derive(Default)]
pub struct Progress {
    pub objects: AtomicU64,
    pub bytes: AtomicU64,
}

/// A directory that is filled.
struct Place {
    fd: OwnedFd,
    ino: Ino,
    path: PathBuf,
}

/// What is made and has no name yet.
struct Staged {
    place: Rc<Place>,
    name: OsString,
    staged: PathBuf,
}

pub struct Filler<'a> {
    archive: &'a Archive,
    progress: &'a Progress,
    root: Rc<Place>,
    staging: PathBuf,
    /// So many objects get their names together.
    batch: usize,
    /// They are on the disk by then.
    durable: bool,
    made: u64,
    waiting: Vec<Staged>,
    /// Files with several names: one in `staging` that the others are made of.
    linked: HashSet<Ino>,
    opaque: Vec<(Rc<Place>, Option<OsString>)>,
}

fn times(time: Time) -> Timestamps {
    let moment = sys::Timespec {
        tv_sec: time.seconds,
        tv_nsec: time.nanoseconds.into(),
    };
    Timestamps {
        last_access: moment,
        last_modification: moment,
    }
}

fn open_directory(at: &OwnedFd, name: &std::ffi::OsStr) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    sys::openat(at, name, flags, Mode::empty())
}

/// Where objects are made: on the same filesystem, and in no layer.
pub fn staging_beside(directory: &Path) -> Result<PathBuf> {
    let full = directory
        .canonicalize()
        .with_context(|| format!("{}", directory.display()))?;
    let mut name = full
        .file_name()
        .context("a filesystem's root can't be filled: give --staging")?
        .to_owned();
    name.push(".staging");
    Ok(full.with_file_name(name))
}

impl<'a> Filler<'a> {
    /// Gets ready to fill `directory`; the attributes of its root are right then.
    pub fn new(
        archive: &'a Archive,
        progress: &'a Progress,
        directory: &Path,
        staging: &Path,
        batch: Option<usize>,
    ) -> Result<Self> {
        let context = || format!("{}", directory.display());
        let fd = sys::open(
            directory,
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .with_context(context)?;
        match sys::flock(&fd, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => bail!("{}: somebody else fills it", directory.display()),
            result => result.with_context(context)?,
        }
        let staging = staging.to_owned();
        match fs::remove_dir_all(&staging) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("{}", staging.display()))
            }
            _ => fs::DirBuilder::new()
                .mode(0o700)
                .create(&staging)
                .with_context(|| format!("{}", staging.display()))?,
        }
        ensure!(
            fs::metadata(&staging)?.dev() == fs::metadata(directory).with_context(context)?.dev(),
            "{}: it must be on the filesystem of {} (--staging)",
            staging.display(),
            directory.display()
        );
        let place = Place {
            fd,
            ino: ROOT,
            path: PathBuf::new(),
        };
        let filler = Filler {
            archive,
            progress,
            root: Rc::new(place),
            staging,
            batch: batch.unwrap_or(256),
            durable: batch.is_some(),
            made: 0,
            waiting: Vec::new(),
            linked: HashSet::new(),
            opaque: Vec::new(),
        };
        if let Some(root) = archive.image.node(ROOT) {
            filler
                .set_attributes(directory, root)
                .with_context(context)?;
        }
        Ok(filler)
    }

    /// Fills it to the end. `announce` is called each time that there is more than before.
    pub fn fill(mut self, announce: &mut dyn FnMut() -> Result<()>) -> Result<()> {
        self.archive.link.request();
        // Those that are still to be gone through: each a name in a directory that is there.
        let mut todo = vec![(self.root.clone(), None::<OsString>, ROOT)];
        let mut since = Instant::now();
        while let Some((parent, name, ino)) = todo.pop() {
            let place = match &name {
                None => parent.clone(),
                Some(name) => {
                    let path = parent.path.join(name);
                    let fd = open_directory(&parent.fd, name)
                        .with_context(|| format!("{}", path.display()))?;
                    Rc::new(Place { fd, ino, path })
                }
            };
            self.archive.directory(ino, Who::Filler);
            let Some(node) = self.archive.image.node(ino) else {
                continue;
            };
            if node.is_opaque() {
                self.opaque.push((parent.clone(), name.clone()));
            }
            let names = self.archive.image.names(ino).unwrap_or_default();
            for (name, child) in names {
                let Some(node) = self.archive.image.node(*child) else {
                    continue;
                };
                self.archive.give_way(since.elapsed());
                since = Instant::now();
                self.make(&place, name, *child, node)
                    .with_context(|| format!("{}", place.path.join(name).display()))?;
                if self.waiting.len() >= self.batch {
                    self.publish()?;
                    announce()?;
                }
            }
            // What was put there last is taken first.
            let inner = names
                .iter()
                .rev()
                .filter(|(_, child)| self.archive.image.names(*child).is_some());
            todo.extend(inner.map(|(name, child)| (place.clone(), Some(name.clone()), *child)));
        }
        self.publish()?;
        for (parent, name) in std::mem::take(&mut self.opaque) {
            let context = || {
                format!(
                    "{}",
                    parent
                        .path
                        .join(name.as_deref().unwrap_or_default())
                        .display()
                )
            };
            let mark = |fd: &OwnedFd| sys::fsetxattr(fd, OPAQUE, b"y", XattrFlags::empty());
            match &name {
                None => mark(&parent.fd),
                Some(name) => open_directory(&parent.fd, name).and_then(|fd| mark(&fd)),
            }
            .with_context(context)?;
        }
        sys::syncfs(&self.root.fd).context("syncfs")?;
        announce()?;
        fs::remove_dir_all(&self.staging).with_context(|| format!("{}", self.staging.display()))
    }

    /// Gives what waits for it its name.
    fn publish(&mut self) -> Result<()> {
        if self.durable {
            sys::syncfs(&self.root.fd).context("syncfs")?;
        }
        for one in std::mem::take(&mut self.waiting) {
            self.name(&one.place, &one.name, &one.staged)
                .with_context(|| format!("{}", one.place.path.join(&one.name).display()))?;
        }
        Ok(())
    }

    fn name(&self, place: &Place, name: &OsString, staged: &Path) -> Result<()> {
        sys::renameat_with(CWD, staged, &place.fd, name, RenameFlags::NOREPLACE)?;
        if let Some(directory) = self.archive.image.node(place.ino) {
            sys::futimens(&place.fd, &times(directory.mtime))?;
        }
        self.progress.objects.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Makes an object, if it is not there: a directory at once, anything else to get its name with others.
    fn make(&mut self, place: &Rc<Place>, name: &OsString, ino: Ino, node: &Node) -> Result<()> {
        match sys::statat(&place.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
            Ok(stat) => {
                let size_is_right = match node.what {
                    What::File { size, .. } => u64::try_from(stat.st_size) == Ok(size),
                    _ => true,
                };
                ensure!(
                    FileType::from_raw_mode(stat.st_mode) == file_type(&node.what) && size_is_right,
                    "what is there is not of this archive: begin with an empty directory"
                );
                if node.nlink > 1 && !node.is_directory() && self.linked.insert(ino) {
                    sys::linkat(&place.fd, name, CWD, self.link_name(ino), AtFlags::empty())?;
                }
                return Ok(());
            }
        }
        self.made += 1;
        let staged = self.staging.join(self.made.to_string());
        if self.linked.contains(&ino) {
            sys::linkat(CWD, self.link_name(ino), CWD, &staged, AtFlags::empty())?;
        } else {
            self.create(&staged, ino, node)?;
            self.set_attributes(&staged, node)?;
            if node.nlink > 1 && !node.is_directory() {
                sys::linkat(CWD, &staged, CWD, self.link_name(ino), AtFlags::empty())?;
                self.linked.insert(ino);
            }
        }
        if node.is_directory() {
            return self.name(place, name, &staged);
        }
        self.waiting.push(Staged {
            place: place.clone(),
            name: name.clone(),
            staged,
        });
        Ok(())
    }

    fn link_name(&self, ino: Ino) -> PathBuf {
        self.staging.join(format!("link-{ino}"))
    }

    fn create(&self, path: &Path, ino: Ino, node: &Node) -> Result<()> {
        let device = |kind, major, minor| {
            sys::mknodat(CWD, path, kind, Mode::empty(), sys::makedev(major, minor))
        };
        match &node.what {
            What::Directory(_) => sys::mkdirat(CWD, path, Mode::RWXU)?,
            What::File { size, .. } => self.copy(path, ino, *size)?,
            What::Symlink(target) => sys::symlinkat(target, CWD, path)?,
            What::Character(major, minor) => device(FileType::CharacterDevice, *major, *minor)?,
            What::Block(major, minor) => device(FileType::BlockDevice, *major, *minor)?,
            What::Whiteout => device(FileType::CharacterDevice, 0, 0)?,
            What::Fifo => device(FileType::Fifo, 0, 0)?,
        }
        Ok(())
    }

    fn copy(&self, path: &Path, ino: Ino, size: u64) -> Result<()> {
        let mut to = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        let mut at = 0;
        while at < size {
            let part = self
                .archive
                .read(ino, at, PART, Who::Filler)
                .context("the archive can't be read")?;
            ensure!(!part.is_empty(), "the archive ends before the file does");
            to.write_all(&part)?;
            at += part.len() as u64;
            self.progress
                .bytes
                .fetch_add(part.len() as u64, Ordering::Relaxed);
        }
        Ok(())
    }

    /// All but the mark of an opaque directory.
    fn set_attributes(&self, path: &Path, node: &Node) -> Result<()> {
        let (owner, group) = (
            Uid::from_raw_unchecked(node.uid),
            Gid::from_raw_unchecked(node.gid),
        );
        sys::chownat(
            CWD,
            path,
            Some(owner),
            Some(group),
            AtFlags::SYMLINK_NOFOLLOW,
        )
        .context("its owner can't be set")?;
        if !matches!(node.what, What::Symlink(_)) {
            sys::chmodat(CWD, path, Mode::from_raw_mode(node.mode), AtFlags::empty())
                .context("its mode can't be set")?;
        }
        for (name, value) in node.xattrs.iter().filter(|(name, _)| name != OPAQUE) {
            let set = sys::lsetxattr(path, name, value, XattrFlags::empty());
            set.with_context(|| format!("its attribute {name:?} can't be set"))?;
        }
        sys::utimensat(CWD, path, &times(node.mtime), AtFlags::SYMLINK_NOFOLLOW)
            .context("its time can't be set")
    }
}

fn file_type(what: &What) -> FileType {
    match what {
        What::Directory(_) => FileType::Directory,
        What::File { .. } => FileType::RegularFile,
        What::Symlink(_) => FileType::Symlink,
        What::Character(..) | What::Whiteout => FileType::CharacterDevice,
        What::Block(..) => FileType::BlockDevice,
        What::Fifo => FileType::Fifo,
    }
}
