// SPDX-License-Identifier: GPL-2.0-only

//! `layerctl apply`: a layer of an OCI image as a layer with marks, or onto a tree.
//!
//! An archive may be made to harm. So nothing is made but below the directory, no link is followed on the way, and nothing
//! that is there is written to: what takes the place of something is made anew. In a layer, attributes named like marks are
//! escaped, so that no archive can say what only a stack may say.

use crate::compress::Decoder;
use crate::diff::{OPAQUE, WHITEOUT, XATTR};
use crate::layer::{open_below, proc_path, Object};
use crate::pax::Records;
use crate::text::{join, names, shown};
use crate::{namespace, progress, Outcome};
use anyhow::{bail, Context, Result};
use format::opaque::DirMark;
use format::xattr::{Mark, Namespace};
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid, XattrFlags,
};
use rustix::io::Errno;
use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use tar::EntryType;

#[derive(clap::Args)]
pub struct Args {
    /// The archive: a tar file, which may be compressed by gzip or zstd; - for standard input
    layer: PathBuf,
    /// The directory: an empty one, which becomes a layer; or with --flat, a tree to be changed
    dir: PathBuf,
    /// Change a tree: remove what a whiteout says is gone, instead of writing marks
    #[arg(long)]
    flat: bool,
    /// Write marks in user.overlay.*
    #[arg(long, conflicts_with = "flat")]
    userxattr: bool,
}

pub fn run(args: Args) -> Result<Outcome> {
    let archive: Box<dyn Read> = if args.layer.as_os_str() == "-" {
        Box::new(std::io::stdin().lock())
    } else {
        let file = File::open(&args.layer)
            .with_context(|| format!("{}: the archive can't be read", args.layer.display()))?;
        Box::new(file)
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(&args.dir, flags, Mode::empty()).with_context(|| {
        format!(
            "{}: can't be opened: make the directory first",
            args.dir.display()
        )
    })?;
    let mut applier = Applier {
        marks: (!args.flat).then_some(namespace(args.userxattr)),
        shown: args.dir.display().to_string(),
        root,
        made: HashSet::new(),
        gone: HashSet::new(),
        times: BTreeMap::new(),
    };
    if applier.marks.is_some() && !applier.list(b"")?.is_empty() {
        bail!(
            "{}: is not empty: give an empty directory, or --flat to change a tree",
            args.dir.display()
        );
    }
    applier
        .archive(archive)
        .with_context(|| format!("{}: was not applied as a whole", args.layer.display()))?;
    Ok(Outcome::Fine)
}

struct Applier {
    /// How marks are named; nothing where a tree is changed.
    marks: Option<Namespace>,
    shown: String,
    root: OwnedFd,
    /// What the archive has made.
    made: HashSet<Vec<u8>>,
    /// What the archive says is gone.
    gone: HashSet<Vec<u8>>,
    /// The times of directories, which are set when all is in them.
    times: BTreeMap<Vec<u8>, Timespec>,
}

/// What an entry says beside its data.
struct Said {
    kind: EntryType,
    mode: Mode,
    owner: (u32, u32),
    device: u64,
    time: Timespec,
    target: Vec<u8>,
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Applier {
    fn archive(&mut self, archive: Box<dyn Read>) -> Result<()> {
        let bar = progress("entries applied");
        let mut archive = tar::Archive::new(Decoder::new(archive)?);
        let mut records = Records::default();
        for entry in archive
            .entries()
            .context("the archive can't be read")?
            .raw(true)
        {
            let mut entry = entry.context("the archive is damaged")?;
            if records.take(&mut entry)? {
                continue;
            }
            let said = std::mem::take(&mut records);
            let path = said
                .get(b"path")
                .map_or_else(|| entry.header().path_bytes().into_owned(), <[u8]>::to_vec);
            self.entry(&path, &said, &mut entry)
                .with_context(|| shown(&path))?;
            bar.inc(1);
        }
        archive.into_inner().finish()?;
        for (path, time) in self.times.iter().rev() {
            let fd = self.open(path, OFlags::RDONLY | OFlags::DIRECTORY)?;
            rustix::fs::futimens(&fd, &times(*time)).with_context(|| self.full(path))?;
        }
        bar.finish_and_clear();
        Ok(())
    }

    fn entry<R: Read>(
        &mut self,
        path: &[u8],
        records: &Records,
        entry: &mut tar::Entry<'_, R>,
    ) -> Result<()> {
        let names = names(path)
            .context("the path leads out of the directory by '..': do not trust the archive")?;
        let Some((name, parents)) = names.split_last() else {
            return self.root_metadata(&said(entry, records)?);
        };
        let parent = parents.join(&b'/');
        if *name == OPAQUE {
            return self.opaque(&parent);
        }
        if let Some(gone) = name.strip_prefix(WHITEOUT) {
            if matches!(gone, b"" | b"." | b"..") || gone.starts_with(WHITEOUT) {
                bail!("is no whiteout that is known");
            }
            return self.whiteout(&parent, gone);
        }
        let said = said(entry, records)?;
        self.make(&parent, name, &said, entry)
    }

    fn full(&self, path: &[u8]) -> String {
        format!("{}/{}", self.shown, shown(path))
    }

    fn open(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd> {
        open_below(&self.root, path, flags | OFlags::NOFOLLOW).with_context(|| self.full(path))
    }

    /// What is at a path; nothing, if it is not there.
    fn stat(&self, path: &[u8]) -> Result<Option<Stat>> {
        match open_below(&self.root, path, OFlags::PATH | OFlags::NOFOLLOW) {
            Ok(fd) => Ok(Some(rustix::fs::fstat(fd)?)),
            Err(Errno::NOENT) => Ok(None),
            Err(Errno::NOTDIR | Errno::LOOP) => bail!(
                "{}: a file or symbolic link is on the way, which is not followed: apply the archive to the tree it was made for",
                self.full(path)
            ),
            Err(error) => Err(error).with_context(|| self.full(path)),
        }
    }

    fn list(&self, path: &[u8]) -> Result<Vec<Vec<u8>>> {
        let fd = self.open(path, OFlags::RDONLY | OFlags::DIRECTORY)?;
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::new(fd)? {
            let entry = entry.with_context(|| self.full(path))?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(name.to_vec());
            }
        }
        Ok(names)
    }

    /// Opens the directory of an entry; what is missing of it is made.
    fn directory(&mut self, path: &[u8]) -> Result<OwnedFd> {
        let mut at = Vec::new();
        for name in path
            .split(|byte| *byte == b'/')
            .filter(|name| !name.is_empty())
        {
            let next = join(&at, name);
            match self.stat(&next)? {
                Some(stat) if is_dir(&stat) => {}
                Some(_) if !self.gone.contains(&next) => bail!(
                    "{}: is no directory, but the archive has something in it",
                    self.full(&next)
                ),
                there => {
                    let parent = self.open(&at, OFlags::PATH | OFlags::DIRECTORY)?;
                    if there.is_some() {
                        rustix::fs::unlinkat(&parent, name, AtFlags::empty())?;
                    }
                    rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o755))
                        .with_context(|| self.full(&next))?;
                    self.made.insert(next.clone());
                    if self.gone.contains(&next) {
                        self.mark_opaque(&next)?;
                    }
                }
            }
            at = next;
        }
        self.open(path, OFlags::PATH | OFlags::DIRECTORY)
    }

    fn opaque(&mut self, path: &[u8]) -> Result<()> {
        self.directory(path)?;
        if self.marks.is_some() {
            return self.mark_opaque(path);
        }
        for name in self.list(path)? {
            self.prune(&join(path, &name))?;
        }
        Ok(())
    }

    fn mark_opaque(&self, path: &[u8]) -> Result<()> {
        if let Some((namespace, value)) = self.marks.zip(DirMark::Opaque.encode()) {
            let fd = self.open(path, OFlags::RDONLY | OFlags::DIRECTORY)?;
            let name = namespace.name(Mark::Opaque);
            rustix::fs::fsetxattr(&fd, name, value, XattrFlags::empty()).with_context(|| {
                format!(
                    "{}: the mark {} can't be set",
                    self.full(path),
                    name.to_string_lossy()
                )
            })?;
        }
        Ok(())
    }

    fn whiteout(&mut self, parent: &[u8], name: &[u8]) -> Result<()> {
        let path = join(parent, name);
        let fd = self.directory(parent)?;
        let there = self.stat(&path)?;
        self.gone.insert(path.clone());
        match (self.marks, there) {
            (None, None) => Ok(()),
            (None, Some(_)) => self.prune(&path),
            (Some(_), Some(stat)) if is_dir(&stat) => self.mark_opaque(&path),
            (Some(_), Some(_)) => Ok(()),
            (Some(_), None) => {
                rustix::fs::mknodat(&fd, name, FileType::CharacterDevice, Mode::empty(), 0)
                    .with_context(|| format!("{}: the whiteout can't be made", self.full(&path)))
            }
        }
    }

    /// Removes what was not made by the archive.
    fn prune(&self, path: &[u8]) -> Result<()> {
        let Some(stat) = self.stat(path)? else {
            return Ok(());
        };
        if is_dir(&stat) {
            for name in self.list(path)? {
                self.prune(&join(path, &name))?;
            }
        }
        if self.made.contains(path) {
            return Ok(());
        }
        let slash = path.iter().rposition(|byte| *byte == b'/');
        let (parent, name) = path
            .split_at_checked(slash.unwrap_or(0))
            .unwrap_or_default();
        let name = name.strip_prefix(b"/").unwrap_or(name);
        let parent = self.open(parent, OFlags::PATH | OFlags::DIRECTORY)?;
        let flags = if is_dir(&stat) {
            AtFlags::REMOVEDIR
        } else {
            AtFlags::empty()
        };
        match rustix::fs::unlinkat(&parent, name, flags) {
            // The archive has made something in it.
            Err(Errno::NOTEMPTY) => Ok(()),
            result => result.with_context(|| format!("{}: can't be removed", self.full(path))),
        }
    }

    /// Makes an object, in the place of what may be there.
    fn make(
        &mut self,
        parent: &[u8],
        name: &[u8],
        said: &Said,
        data: &mut impl Read,
    ) -> Result<()> {
        let path = join(parent, name);
        let fd = self.directory(parent)?;
        let there = self.stat(&path)?;
        let directory = said.kind == EntryType::Directory;
        let stays = directory && there.as_ref().is_some_and(is_dir);
        if there.is_some() && !stays {
            if self.made.contains(&path) {
                let below = join(&path, b"");
                self.made
                    .retain(|made| *made != path && !made.starts_with(&below));
            }
            self.prune(&path)?;
        }
        let fail = || format!("{}: can't be made", self.full(&path));
        let device =
            |kind| rustix::fs::mknodat(&fd, name, kind, Mode::from_raw_mode(0o600), said.device);
        match said.kind {
            EntryType::Directory if stays => self.forget_xattrs(&path)?,
            EntryType::Directory => {
                rustix::fs::mkdirat(&fd, name, Mode::from_raw_mode(0o700)).with_context(fail)?
            }
            EntryType::Symlink => {
                rustix::fs::symlinkat(said.target.as_slice(), &fd, name).with_context(fail)?
            }
            EntryType::Char if said.device == 0 => {
                bail!("is a character device 0/0, which would be a whiteout: do not trust the archive")
            }
            EntryType::Char => device(FileType::CharacterDevice).with_context(fail)?,
            EntryType::Block => device(FileType::BlockDevice).with_context(fail)?,
            EntryType::Fifo => device(FileType::Fifo).with_context(fail)?,
            EntryType::Link => {
                self.link(&said.target, &fd, name)?;
                self.made.insert(path);
                return Ok(());
            }
            EntryType::Regular | EntryType::Continuous => {
                let flags = OFlags::WRONLY
                    | OFlags::CREATE
                    | OFlags::EXCL
                    | OFlags::NOFOLLOW
                    | OFlags::CLOEXEC;
                let file = rustix::fs::openat(&fd, name, flags, Mode::from_raw_mode(0o600));
                let mut file = File::from(file.with_context(fail)?);
                std::io::copy(data, &mut file)
                    .with_context(|| format!("{}: the data can't be written", self.full(&path)))?;
            }
            other => bail!(
                "is of the type {:?}, which no layer has",
                char::from(other.as_byte())
            ),
        }
        if directory && self.gone.contains(&path) {
            self.mark_opaque(&path)?;
        }
        self.metadata(&fd, name, said, &path)?;
        if directory {
            self.times.insert(path.clone(), said.time);
        } else {
            self.times.remove(&path);
        }
        self.made.insert(path);
        Ok(())
    }

    fn link(&self, target: &[u8], fd: &OwnedFd, name: &[u8]) -> Result<()> {
        let names = names(target)
            .context("a hard link leads out of the directory by '..': do not trust the archive")?;
        let (last, parents) = names.split_last().context("a hard link to nothing")?;
        let fail = || {
            format!(
                "{}: can't be linked: the archive must have it too",
                self.full(target)
            )
        };
        let from = open_below(
            &self.root,
            &parents.join(&b'/'),
            OFlags::PATH | OFlags::DIRECTORY,
        )
        .with_context(fail)?;
        rustix::fs::linkat(&from, *last, fd, name, AtFlags::empty()).with_context(fail)
    }

    fn root_metadata(&mut self, said: &Said) -> Result<()> {
        if said.kind != EntryType::Directory {
            bail!("the archive has something else than a directory for its root");
        }
        self.forget_xattrs(b"")?;
        let root = self.open(b"", OFlags::RDONLY | OFlags::DIRECTORY)?;
        self.metadata(&root, b".", said, b"")?;
        self.times.insert(Vec::new(), said.time);
        Ok(())
    }

    /// Removes attributes of a directory that stays, but for marks.
    fn forget_xattrs(&self, path: &[u8]) -> Result<()> {
        let fd = self.open(path, OFlags::RDONLY | OFlags::DIRECTORY)?;
        let object = Object::of_open(fd, path, self.full(path))?;
        for name in object.xattr_names()? {
            let ours = self
                .marks
                .is_some_and(|marks| marks.classify(&name) == format::xattr::Class::Private);
            if !ours && name != b"security.selinux" {
                rustix::fs::removexattr(object.proc_path(), name.as_slice()).with_context(
                    || {
                        format!(
                            "{}: the attribute {} can't be removed",
                            self.full(path),
                            shown(&name)
                        )
                    },
                )?;
            }
        }
        Ok(())
    }

    fn metadata(&self, fd: &OwnedFd, name: &[u8], said: &Said, path: &[u8]) -> Result<()> {
        let at = rustix::fs::statat(fd, name, AtFlags::SYMLINK_NOFOLLOW)?;
        if (at.st_uid, at.st_gid) != said.owner {
            let (uid, gid) = (Uid::from_raw(said.owner.0), Gid::from_raw(said.owner.1));
            rustix::fs::chownat(fd, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
                .with_context(|| {
                    format!(
                        "{}: can't be given to {}:{}: root can",
                        self.full(path),
                        said.owner.0,
                        said.owner.1
                    )
                })?;
        }
        let full = [proc_path(fd).as_bytes(), b"/", name].concat();
        for (name, value) in &said.xattrs {
            let mut buffer = [0; 256];
            let stored = match self.marks {
                Some(namespace) => namespace
                    .escape(name, &mut buffer)
                    .map(std::ffi::CStr::to_bytes),
                None => Ok(name.as_slice()),
            };
            let stored =
                stored.map_err(|bad| anyhow::anyhow!("{}: {}", self.full(path), bad.reason()))?;
            rustix::fs::lsetxattr(full.as_slice(), stored, value, XattrFlags::empty())
                .with_context(|| {
                    format!(
                        "{}: the attribute {} can't be set",
                        self.full(path),
                        shown(stored)
                    )
                })?;
        }
        if said.kind != EntryType::Symlink {
            // No link: it was made here, or is a directory.
            rustix::fs::chmodat(fd, name, said.mode, AtFlags::empty())
                .with_context(|| self.full(path))?;
        }
        rustix::fs::utimensat(fd, name, &times(said.time), AtFlags::SYMLINK_NOFOLLOW)
            .with_context(|| self.full(path))
    }
}

fn is_dir(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

fn times(time: Timespec) -> Timestamps {
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}

/// Reads what an entry says.
fn said<R: Read>(entry: &tar::Entry<'_, R>, records: &Records) -> Result<Said> {
    let damaged = "the archive is damaged: a header can't be read";
    let header = entry.header();
    if records
        .number(b"size")?
        .is_some_and(|size| size != entry.size())
        || records.with_prefix(b"GNU.sparse.").next().is_some()
    {
        bail!("has 8 GiB or holes in a form that is not known here: make the archive with layerctl, or with tar --format=gnu without --sparse");
    }
    let target = match records.get(b"linkpath") {
        Some(target) => target.to_vec(),
        None => header.link_name_bytes().unwrap_or_default().into_owned(),
    };
    let owner = |key: &[u8], number: std::io::Result<u64>| -> Result<u32> {
        let number = match records.number(key)? {
            Some(number) => number,
            None => number.context(damaged)?,
        };
        u32::try_from(number).context("the archive is damaged: an owner is too large")
    };
    let part = |number: std::io::Result<Option<u32>>| {
        number.context(damaged).map(Option::unwrap_or_default)
    };
    let kind = header.entry_type();
    let device = matches!(kind, EntryType::Char | EntryType::Block);
    let time = match records.get(b"mtime") {
        Some(text) => decimal(text).context("the archive is damaged: a time is no number")?,
        None => Timespec {
            tv_sec: i64::try_from(header.mtime().context(damaged)?).context(damaged)?,
            tv_nsec: 0,
        },
    };
    Ok(Said {
        kind,
        mode: Mode::from_raw_mode(header.mode().context(damaged)? & 0o7777),
        owner: (owner(b"uid", header.uid())?, owner(b"gid", header.gid())?),
        device: if device {
            rustix::fs::makedev(part(header.device_major())?, part(header.device_minor())?)
        } else {
            0
        },
        time,
        target,
        xattrs: records
            .with_prefix(XATTR.as_bytes())
            .map(|(name, value)| (name.to_vec(), value.to_vec()))
            .collect(),
    })
}

/// Reads a time in seconds with a decimal fraction.
fn decimal(text: &[u8]) -> Option<Timespec> {
    let text = std::str::from_utf8(text).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole.parse().ok()?;
    if fraction.contains(|c: char| !c.is_ascii_digit()) {
        return None;
    }
    let digits: String = fraction
        .chars()
        .chain(std::iter::repeat('0'))
        .take(9)
        .collect();
    let nanoseconds = i64::from(digits.parse::<u32>().ok()?);
    Some(if whole.starts_with('-') && nanoseconds > 0 {
        Timespec {
            tv_sec: seconds.checked_sub(1)?,
            tv_nsec: 1_000_000_000_i64.saturating_sub(nanoseconds),
        }
    } else {
        Timespec {
            tv_sec: seconds,
            tv_nsec: nanoseconds,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        let read = |text: &[u8]| decimal(text).map(|time| (time.tv_sec, time.tv_nsec));
        assert_eq!(read(b"12"), Some((12, 0)));
        assert_eq!(read(b"12.5"), Some((12, 500_000_000)));
        assert_eq!(read(b"-1.25"), Some((-2, 750_000_000)));
        assert_eq!(read(b"-0.5"), Some((-1, 500_000_000)));
        assert_eq!(read(b"1.0000000019"), Some((1, 1)));
        for wrong in [
            b"".as_slice(),
            b".",
            b"x",
            b"1.x",
            b"1.+5",
            b"99999999999999999999",
        ] {
            assert!(read(wrong).is_none(), "{}", shown(wrong));
        }
    }
}
