// SPDX-License-Identifier: GPL-2.0-only

//! Copies of objects of layers: the data by sharing blocks where that can be done, and what else there is to an object.

use crate::edit;
use crate::layer::{proc_path, Object};
use crate::live::Stop;
use crate::text::shown;
use anyhow::{ensure, Context, Result};
use format::xattr::{Class, Mark, Namespace};
use rustix::fs::{AtFlags, FileType, Gid, Mode, SeekFrom, Uid, XattrFlags};
use rustix::io::Errno;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

/// How much is copied by one call, in bytes: between two calls it is asked whether to stop.
const PIECE: u64 = 16 << 20;

const SHORTER: &str = "it became shorter while it was read: nothing may write to the layers";

/// How the data was copied, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    pub shared: u64,
    pub written: u64,
}

/// What ends a copy that somebody does not want any more.
#[derive(Debug)]
pub struct Stopped;

impl std::fmt::Display for Stopped {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.write_str("it was interrupted")
    }
}

impl std::error::Error for Stopped {}

/// Ends what goes on, if somebody wants that.
pub fn go_on(stop: &Stop) -> Result<()> {
    if stop.is_wanted() {
        return Err(Stopped.into());
    }
    Ok(())
}

/// Copies the data of a file into a new one, with its holes.
pub fn data(from: &File, to: &File, size: u64, stop: &Stop) -> Result<Copied> {
    if rustix::fs::ioctl_ficlone(to, from).is_ok() {
        ensure!(to.metadata()?.len() >= size, SHORTER);
        let copied = Copied {
            shared: size,
            written: 0,
        };
        return Ok(copied);
    }
    let mut copied = Copied::default();
    let mut at = 0;
    while at < size {
        let start = match rustix::fs::seek(from, SeekFrom::Data(at)) {
            Ok(start) => start,
            // What is left is a hole.
            Err(Errno::NXIO) => break,
            Err(_) => at,
        };
        let end = rustix::fs::seek(from, SeekFrom::Hole(start)).unwrap_or(size);
        at = end.min(size);
        range(from, to, start, at, stop)?;
        copied.written = copied.written.saturating_add(at.saturating_sub(start));
        ensure!(end > start, SHORTER);
    }
    ensure!(from.metadata()?.len() >= size, SHORTER);
    to.set_len(size)?;
    Ok(copied)
}

/// Copies a range: the kernel does it, if it can.
fn range(from: &File, to: &File, start: u64, end: u64, stop: &Stop) -> Result<()> {
    let (mut read_at, mut write_at) = (start, start);
    let mut buffer = Vec::new();
    while read_at < end {
        go_on(stop)?;
        let most = usize::try_from(end.saturating_sub(read_at).min(PIECE)).unwrap_or(usize::MAX);
        if buffer.is_empty() {
            match rustix::fs::copy_file_range(
                from,
                Some(&mut read_at),
                to,
                Some(&mut write_at),
                most,
            ) {
                Ok(copied) if copied > 0 => continue,
                Err(Errno::INTR) => continue,
                // The call is for some pairs of filesystems only; what is really wrong, reading or writing tells.
                _ => {}
            }
            buffer = vec![0; 1 << 20];
        }
        let most = most.min(buffer.len());
        let piece = buffer.get_mut(..most).unwrap_or_default();
        let read = match from.read_at(piece, read_at) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        ensure!(read > 0, SHORTER);
        to.write_all_at(piece.get(..read).unwrap_or_default(), read_at)?;
        let read = u64::try_from(read).unwrap_or_default();
        read_at = read_at.saturating_add(read);
        write_at = read_at;
    }
    Ok(())
}

/// Gives a new object what another one has: owner, attributes, mode and times, and of its marks only those that are named.
/// Nobody else may be able to change the directory `parent`.
pub fn metadata(
    object: &Object,
    parent: &OwnedFd,
    name: &[u8],
    namespace: Namespace,
    marks: &[(Mark, Vec<u8>)],
) -> Result<()> {
    let stat = &object.stat;
    let fail = || {
        let name = shown(name);
        format!(
            "{}: what it has can't be given to its copy {name}",
            object.full
        )
    };
    let now = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW).with_context(fail)?;
    if (now.st_uid, now.st_gid) != (stat.st_uid, stat.st_gid) {
        let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
        rustix::fs::chownat(
            parent,
            name,
            Some(uid),
            Some(gid),
            AtFlags::SYMLINK_NOFOLLOW,
        )
        .with_context(|| format!("{}: its owner can't be kept: root can", object.full))?;
    }
    let full = [proc_path(parent).as_bytes(), b"/", name].concat();
    let set = |attribute: &[u8], value: &[u8]| {
        rustix::fs::lsetxattr(full.as_slice(), attribute, value, XattrFlags::empty())
            .with_context(|| {
                format!(
                    "{}: the attribute {} can't be kept: make the layer on a filesystem that has such, as root",
                    object.full,
                    shown(attribute)
                )
            })
    };
    for attribute in object.xattr_names()? {
        if namespace.classify(&attribute) != Class::Private {
            if let Some(value) = object.xattr(&attribute)? {
                set(&attribute, &value)?;
            }
        }
    }
    for (mark, value) in marks {
        set(namespace.name(*mark).to_bytes(), value)?;
    }
    if object.kind() != FileType::Symlink {
        // No link: it was made here.
        let mode = Mode::from_raw_mode(stat.st_mode & 0o7777);
        rustix::fs::chmodat(parent, name, mode, AtFlags::empty()).with_context(fail)?;
    }
    let times = edit::times(stat);
    rustix::fs::utimensat(parent, name, &times, AtFlags::SYMLINK_NOFOLLOW).with_context(fail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    /// From memory to a disk no call of the kernel copies, so that it is read and written; and within memory.
    #[test]
    fn data_and_holes_are_copied() {
        let stop = Stop::on_signals().unwrap();
        let memory = |name: &str| {
            let flags = rustix::fs::MemfdFlags::CLOEXEC;
            File::from(rustix::fs::memfd_create(name, flags).unwrap())
        };
        let from = memory("from");
        let text: Vec<u8> = (0..2_500_000_u32).map(|at| (at % 251) as u8).collect();
        from.write_all_at(&text, 10 << 20).unwrap();
        from.write_all_at(b"end", 40 << 20).unwrap();
        let size = 50 << 20;
        from.set_len(size).unwrap();
        let path = std::env::temp_dir().join(format!("layerctl-copy-{}", std::process::id()));
        let on_disk = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .unwrap();
        std::fs::remove_file(path).unwrap();
        for mut to in [on_disk, memory("to")] {
            let copied = data(&from, &to, size, &stop).unwrap();
            assert!(
                copied.written < 4 << 20,
                "holes are not written: {copied:?}"
            );
            let (mut expected, mut found) = (Vec::new(), Vec::new());
            let mut whole = &from;
            std::io::Seek::rewind(&mut whole).unwrap();
            std::io::Seek::rewind(&mut to).unwrap();
            whole.read_to_end(&mut expected).unwrap();
            to.read_to_end(&mut found).unwrap();
            assert!(expected == found && expected.len() as u64 == size);
        }
        // A file that is shorter than it was is an error, and no file of zeros.
        let error = data(&from, &memory("longer"), size + 1, &stop).unwrap_err();
        assert!(error.to_string().contains("shorter"), "{error}");
    }
}
