// SPDX-License-Identifier: GPL-2.0-only

//! A layer as it lies on disk: its objects, their attributes and their names.
//!
//! A layer may come from anywhere. So nothing in it is reached by a path that could lead out of it: names are opened below
//! the layer's root, and no symbolic link is followed (`RESOLVE_BENEATH`, `RESOLVE_NO_SYMLINKS` of openat2(2)).

use crate::text::shown;
use anyhow::{anyhow, bail, Context, Result};
use format::whiteout;
use format::xattr::{Mark, Namespace};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

/// The longest value, and the longest list of names, that the kernel gives of an object, in bytes.
const XATTR_MAX: usize = 65536;

/// The longest path that the kernel takes, in bytes.
const PATH_MAX: usize = 4096;

/// One layer of a stack.
#[derive(Debug)]
pub struct Layer {
    /// Its root, as the user named it.
    pub path: PathBuf,
    /// Whether it gives data only.
    pub data: bool,
    root: OwnedFd,
}

/// An object of a layer.
#[derive(Debug)]
pub struct Object {
    /// Its path from the root of the layer: no slash at either end, and empty for the root.
    pub path: Vec<u8>,
    /// What stat(2) tells.
    pub stat: Stat,
    /// The path that messages say.
    pub full: String,
    fd: OwnedFd,
}

impl Layer {
    /// Opens a layer.
    pub fn open(path: &Path, data: bool) -> Result<Layer> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(path, flags, Mode::empty()).with_context(|| {
            format!(
                "{}: the layer can't be opened: name a directory that is there",
                path.display()
            )
        })?;
        Ok(Layer {
            path: path.to_owned(),
            data,
            root,
        })
    }

    /// The path of something in this layer, as messages say it.
    pub fn full(&self, path: &[u8]) -> String {
        if path.is_empty() {
            self.path.display().to_string()
        } else {
            format!("{}/{}", self.path.display(), shown(path))
        }
    }

    /// The object of a path; `None` if there is none, and if a file or link is on the way.
    pub fn find(&self, path: &[u8]) -> Result<Option<Object>> {
        match self.open_below(path, OFlags::PATH | OFlags::NOFOLLOW) {
            Ok(fd) => Object::of_open(fd, path, self.full(path)).map(Some),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            // A name that no filesystem has; but a long path may be there.
            Err(Errno::NAMETOOLONG) if path.len() < PATH_MAX => Ok(None),
            Err(error) => Err(error).with_context(|| self.full(path)),
        }
    }

    /// The names in a directory, sorted by their bytes.
    pub fn names(&self, path: &[u8]) -> Result<Vec<Vec<u8>>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
        let fail = || format!("{}: the directory can't be read", self.full(path));
        let fd = self.open_below(path, flags).with_context(fail)?;
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::new(fd).with_context(fail)? {
            let entry = entry.with_context(fail)?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(name.to_vec());
            }
        }
        names.sort();
        Ok(names)
    }

    /// Opens what is below its root, following no link.
    pub fn open_below(&self, path: &[u8], flags: OFlags) -> rustix::io::Result<OwnedFd> {
        open_below(self.root.as_fd(), path, flags)
    }
}

/// Opens what is below a directory, following no link.
pub fn open_below(root: impl AsFd, path: &[u8], flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let path: &[u8] = if path.is_empty() { b"." } else { path };
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    loop {
        match rustix::fs::openat2(&root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
            // Somebody renames something meanwhile.
            Err(Errno::AGAIN | Errno::INTR) => {}
            result => return result,
        }
    }
}

/// The path by which calls that take no descriptor reach an object that is open.
pub fn proc_path(fd: impl AsFd) -> String {
    std::format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd())
}

impl Object {
    /// An object that is open.
    pub fn of_open(fd: OwnedFd, path: &[u8], full: String) -> Result<Object> {
        let stat = rustix::fs::fstat(&fd).with_context(|| full.clone())?;
        Ok(Object {
            path: path.to_vec(),
            stat,
            full,
            fd,
        })
    }

    /// The path by which calls that take no descriptor reach this object.
    pub fn proc_path(&self) -> String {
        proc_path(&self.fd)
    }

    pub fn kind(&self) -> FileType {
        FileType::from_raw_mode(self.stat.st_mode)
    }

    /// How many names it has on its layer. (How wide the field is depends on the architecture.)
    #[allow(clippy::useless_conversion)]
    pub fn links(&self) -> u64 {
        u64::from(self.stat.st_nlink)
    }

    pub fn is_dir(&self) -> bool {
        self.kind() == FileType::Directory
    }

    pub fn is_file(&self) -> bool {
        self.kind() == FileType::RegularFile
    }

    /// The size in bytes.
    pub fn size(&self) -> u64 {
        u64::try_from(self.stat.st_size).unwrap_or_default()
    }

    /// Whether fs-verity is on; `None` where the filesystem does not tell.
    pub fn has_verity(&self) -> Option<bool> {
        const VERITY: u64 = 0x0010_0000;
        let mask = rustix::fs::StatxFlags::BASIC_STATS;
        let flags = rustix::fs::AtFlags::EMPTY_PATH;
        let found = rustix::fs::statx(&self.fd, "", flags, mask).ok()?;
        let bits = |flags: rustix::fs::StatxAttributes| flags.bits();
        (bits(found.stx_attributes_mask) & VERITY != 0)
            .then(|| bits(found.stx_attributes) & VERITY != 0)
    }

    /// Opens the data of a regular file.
    pub fn data(&self) -> Result<File> {
        if !self.is_file() {
            bail!("{}: is no regular file", self.full);
        }
        File::open(proc_path(&self.fd))
            .with_context(|| std::format!("{}: the data can't be read", self.full))
    }

    /// Where a symbolic link leads.
    pub fn link(&self) -> Result<Vec<u8>> {
        let target = rustix::fs::readlinkat(&self.fd, "", Vec::new());
        Ok(target.with_context(|| self.full.clone())?.into_bytes())
    }

    /// The value of an extended attribute.
    pub fn xattr(&self, name: &[u8]) -> Result<Option<Vec<u8>>> {
        let mut value = vec![0; XATTR_MAX];
        match rustix::fs::getxattr(proc_path(&self.fd), name, value.as_mut_slice()) {
            Ok(len) => {
                value.truncate(len);
                Ok(Some(value))
            }
            Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(None),
            Err(error) => Err(anyhow!(error)).with_context(|| {
                std::format!("{}: the attribute {} can't be read", self.full, shown(name))
            }),
        }
    }

    /// The names of the extended attributes, sorted.
    pub fn xattr_names(&self) -> Result<Vec<Vec<u8>>> {
        let mut list = vec![0; XATTR_MAX];
        match rustix::fs::listxattr(proc_path(&self.fd), list.as_mut_slice()) {
            Ok(len) => list.truncate(len),
            Err(Errno::OPNOTSUPP) => list.clear(),
            Err(error) => {
                return Err(anyhow!(error))
                    .with_context(|| std::format!("{}: the attributes can't be listed", self.full))
            }
        }
        let mut names: Vec<Vec<u8>> = list
            .split(|byte| *byte == 0)
            .filter(|name| !name.is_empty())
            .map(<[u8]>::to_vec)
            .collect();
        names.sort();
        Ok(names)
    }

    /// The value of a mark.
    pub fn mark(&self, namespace: Namespace, mark: Mark) -> Result<Option<Vec<u8>>> {
        self.xattr(namespace.name(mark).to_bytes())
    }

    /// Whether this says that the name is gone.
    pub fn is_whiteout(&self, namespace: Namespace) -> Result<bool> {
        let object = match self.kind() {
            // The number of a device is that of the kernel; that of 0/0 is 0 in every form.
            FileType::CharacterDevice => {
                whiteout::Object::CharDevice(u32::try_from(self.stat.st_rdev).unwrap_or(u32::MAX))
            }
            FileType::RegularFile => whiteout::Object::Regular(self.size()),
            _ => whiteout::Object::Other,
        };
        Ok(match whiteout::verdict(object) {
            whiteout::Verdict::Yes => true,
            whiteout::Verdict::No => false,
            whiteout::Verdict::IfMarked => self.mark(namespace, Mark::Whiteout)?.is_some(),
        })
    }
}
