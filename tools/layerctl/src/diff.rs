// SPDX-License-Identifier: GPL-2.0-only

//! `layerctl diff`: what an upper directory changes, as a layer of an OCI image.
//!
//! Such a layer knows whiteouts and opaque directories, but neither redirects nor metacopies. So a directory that was moved is
//! written with all that it shows, and the data of a metacopy is taken from where it is.

use crate::compress::{Encoder, Method};
use crate::layer::Object;
use crate::stack::{self, Entry, Found, Stack};
use crate::text::{join, shown};
use crate::{namespace, progress, Outcome};
use anyhow::{bail, Context, Result};
use indicatif::ProgressBar;
use rustix::fs::FileType;
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use tar::{EntryType, Header};

/// What the name of a whiteout begins with, and the name that says that a directory hides all below.
pub const WHITEOUT: &[u8] = b".wh.";
pub const OPAQUE: &[u8] = b".wh..wh..opq";
/// What the record of an extended attribute begins with.
pub const XATTR: &str = "SCHILY.xattr.";

#[derive(clap::Args)]
pub struct Args {
    /// The upper directory (not mounted, or nothing writes to it)
    upper: PathBuf,
    /// The layers below it from the top, as in the option lowerdir
    #[arg(long, value_name = "LAYERS")]
    lower: OsString,
    /// The archive to write; - for standard output
    #[arg(short, long)]
    output: PathBuf,
    /// none, gzip[:1-9] or zstd[:1-22]; if it is not said, by the end of OUTPUT's name (.gz, .tgz, .zst, .tzst)
    #[arg(long, value_name = "METHOD")]
    compress: Option<Method>,
    /// Marks are in user.overlay.*
    #[arg(long)]
    userxattr: bool,
}

pub fn run(args: Args) -> Result<Outcome> {
    let mut list = stack::one(&args.upper);
    list.push(b':');
    list.extend_from_slice(args.lower.as_bytes());
    let stack = Stack::of_list(&list, true, namespace(args.userxattr))?;
    let method = args
        .compress
        .unwrap_or_else(|| Method::of_name(&args.output));
    if args.output == Path::new("-") {
        write(&stack, std::io::stdout().lock(), method)?;
        return Ok(Outcome::Fine);
    }
    // What is not whole does not get the name.
    let mut unfinished = args.output.clone().into_os_string();
    unfinished.push(".unfinished");
    let fail = || format!("{}: the archive can't be written", args.output.display());
    let file = File::create(&unfinished).with_context(fail)?;
    let done = write(&stack, file, method)
        .and_then(|()| std::fs::rename(&unfinished, &args.output).with_context(fail));
    if done.is_err() {
        // The error that is told is the first one.
        let _ = std::fs::remove_file(&unfinished);
    }
    done.map(|()| Outcome::Fine)
}

/// Writes the layer of the first layer of a stack.
fn write(stack: &Stack, to: impl Write, method: Method) -> Result<()> {
    let fail = "the end of the archive can't be written";
    let mut writer = Writer {
        lower: stack.below(),
        stack: stack.clone(),
        tar: tar::Builder::new(
            Encoder::new(to, method).context("the archive can't be compressed")?,
        ),
        links: HashMap::new(),
        bar: progress("entries written"),
    };
    let (root, below) = (writer.stack.root()?, writer.lower.root()?);
    writer.directory(b"", &root, Some(&below))?;
    let encoder = writer.tar.into_inner().context(fail)?;
    encoder.finish().context(fail)?;
    writer.bar.finish_and_clear();
    Ok(())
}

struct Writer<W: Write> {
    stack: Stack,
    /// What is below upper.
    lower: Stack,
    tar: tar::Builder<W>,
    /// Under what name an inode with several names was written.
    links: HashMap<(u64, u64), Vec<u8>>,
    bar: ProgressBar,
}

impl<W: Write> Writer<W> {
    /// Writes a directory that upper has, and what it changes of the one that is seen below at the same path.
    fn directory(&mut self, path: &[u8], entry: &Entry, below: Option<&Entry>) -> Result<()> {
        self.entry(path, entry)?;
        match below.filter(|below| below.is_dir()) {
            Some(below) if merges(entry, below) => self.changes(path, entry, below),
            below => {
                if below.is_some() {
                    self.marker(&join(path, OPAQUE))?;
                }
                self.whole(path, entry)
            }
        }
    }

    /// Writes what upper has in a directory: first what is gone, then what is there.
    fn changes(&mut self, path: &[u8], entry: &Entry, below: &Entry) -> Result<()> {
        let Some((top, upper)) = entry.top().zip(self.stack.layers.first()) else {
            return Ok(());
        };
        let mut there = Vec::new();
        for name in upper.names(&top.object.path)? {
            match self.stack.lookup(entry, &name)? {
                Found::Entry(found) => there.push((name, found)),
                Found::Gone(_) | Found::Nothing => {
                    if let Found::Entry(_) = self.lower.lookup(below, &name)? {
                        let mut gone = WHITEOUT.to_vec();
                        gone.extend_from_slice(&name);
                        self.marker(&join(path, &gone))?;
                    }
                }
            }
        }
        for (name, found) in there {
            let path = join(path, &name);
            if found.is_dir() {
                let below = match self.lower.lookup(below, &name)? {
                    Found::Entry(below) => Some(below),
                    _ => None,
                };
                self.directory(&path, &found, below.as_ref())?;
            } else {
                self.entry(&path, &found)?;
            }
        }
        Ok(())
    }

    /// Writes all that a directory shows.
    fn whole(&mut self, path: &[u8], entry: &Entry) -> Result<()> {
        for (name, found) in self.stack.list(entry)? {
            let path = join(path, &name);
            self.entry(&path, &found)?;
            if found.is_dir() {
                self.whole(&path, &found)?;
            }
        }
        Ok(())
    }

    /// Writes the empty file that is a whiteout or makes a directory opaque.
    fn marker(&mut self, path: &[u8]) -> Result<()> {
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o600);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        self.append(header, path, Vec::new(), std::io::empty(), 0)
    }

    /// Writes what an entry is: its metadata, its data, not what is in it.
    fn entry(&mut self, path: &[u8], entry: &Entry) -> Result<()> {
        let Some(top) = entry.top().map(|part| &part.object) else {
            return Ok(());
        };
        if path
            .rsplit(|byte| *byte == b'/')
            .next()
            .is_some_and(|name| name.starts_with(WHITEOUT))
        {
            bail!(
                "{}: a name that begins with .wh. would be a whiteout in the archive: rename it",
                top.full
            );
        }
        if top.kind() == FileType::Socket {
            eprintln!(
                "layerctl: {}: is a socket, which no archive can have: left out",
                top.full
            );
            return Ok(());
        }
        let mut header = metadata(top);
        let mut records = attributes(&self.stack, top)?;
        records.extend(time(top));
        if !top.is_dir() && top.links() > 1 {
            let inode = (top.stat.st_dev, top.stat.st_ino);
            if let Some(first) = self.links.get(&inode) {
                header.set_entry_type(EntryType::Link);
                link_name(&mut header, &first.clone(), &mut records);
                // The attributes are those of the first name.
                records.retain(|(key, _)| key == "linkpath");
                return self.append(header, path, records, std::io::empty(), 0);
            }
            self.links.insert(inode, path.to_vec());
        }
        match top.kind() {
            FileType::RegularFile => {
                let data = entry.data()?;
                if data.size() != top.size() {
                    bail!(
                        "{}: has {} bytes, but its data at {} has {}: see layerctl check",
                        top.full,
                        top.size(),
                        data.full,
                        data.size()
                    );
                }
                self.append(header, path, records, data.data()?, top.size())
            }
            FileType::Symlink => {
                link_name(&mut header, &top.link()?, &mut records);
                self.append(header, path, records, std::io::empty(), 0)
            }
            FileType::Directory => {
                let mut path = if path.is_empty() {
                    b".".to_vec()
                } else {
                    path.to_vec()
                };
                path.push(b'/');
                self.append(header, &path, records, std::io::empty(), 0)
            }
            _ => self.append(header, path, records, std::io::empty(), 0),
        }
    }

    fn append(
        &mut self,
        mut header: Header,
        path: &[u8],
        mut records: Vec<(String, Vec<u8>)>,
        data: impl Read,
        size: u64,
    ) -> Result<()> {
        let fail = || format!("{}: can't be written to the archive", shown(path));
        header.set_size(size);
        if !put(&mut header.as_ustar_mut().with_context(fail)?.name, path) {
            records.push(("path".into(), path.to_vec()));
        }
        header.set_cksum();
        records.sort();
        let pairs = records
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_slice()));
        self.tar.append_pax_extensions(pairs).with_context(fail)?;
        self.tar
            .append(&header, Exactly { data, left: size })
            .with_context(fail)?;
        self.bar.inc(1);
        Ok(())
    }
}

/// Whether a directory of upper shows through it just what is seen below at the same path.
fn merges(entry: &Entry, below: &Entry) -> bool {
    let places = |entry: &Entry, skip| -> Vec<(usize, Vec<u8>)> {
        let parts = entry.parts.iter().skip(skip);
        parts
            .map(|part| (part.layer, part.object.path.clone()))
            .collect()
    };
    places(entry, 1) == places(below, 0)
}

/// Puts a text into a field; whether it fits.
fn put(field: &mut [u8], text: &[u8]) -> bool {
    for (to, from) in field.iter_mut().zip(text) {
        *to = *from;
    }
    text.len() <= field.len()
}

fn link_name(header: &mut Header, target: &[u8], records: &mut Vec<(String, Vec<u8>)>) {
    let fits = header
        .as_ustar_mut()
        .is_some_and(|header| put(&mut header.linkname, target));
    if !fits {
        records.push(("linkpath".into(), target.to_vec()));
    }
}

fn metadata(object: &Object) -> Header {
    let stat = &object.stat;
    let mut header = Header::new_ustar();
    header.set_entry_type(match object.kind() {
        FileType::Directory => EntryType::Directory,
        FileType::Symlink => EntryType::Symlink,
        FileType::CharacterDevice => EntryType::Char,
        FileType::BlockDevice => EntryType::Block,
        FileType::Fifo => EntryType::Fifo,
        _ => EntryType::Regular,
    });
    header.set_mode(stat.st_mode & 0o7777);
    header.set_uid(stat.st_uid.into());
    header.set_gid(stat.st_gid.into());
    header.set_mtime(u64::try_from(stat.st_mtime).unwrap_or_default());
    if matches!(
        object.kind(),
        FileType::CharacterDevice | FileType::BlockDevice
    ) {
        if let Some(header) = header.as_ustar_mut() {
            header.set_device_major(rustix::fs::major(stat.st_rdev));
            header.set_device_minor(rustix::fs::minor(stat.st_rdev));
        }
    }
    header
}

/// The record of a time that the header has no room for.
fn time(object: &Object) -> Option<(String, Vec<u8>)> {
    let (seconds, nanoseconds) = (object.stat.st_mtime, object.stat.st_mtime_nsec);
    if seconds >= 0 && nanoseconds == 0 {
        return None;
    }
    // Counted from the second before, which a decimal fraction of a negative number is not.
    let (sign, seconds, nanoseconds) = if seconds < 0 && nanoseconds > 0 {
        (
            "-",
            seconds.saturating_add(1).unsigned_abs(),
            1_000_000_000_u64.saturating_sub(nanoseconds),
        )
    } else {
        (
            if seconds < 0 { "-" } else { "" },
            seconds.unsigned_abs(),
            nanoseconds,
        )
    };
    let text = format!("{sign}{seconds}.{nanoseconds:09}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    Some(("mtime".into(), text.as_bytes().to_vec()))
}

/// The records of the extended attributes that the stack shows.
fn attributes(stack: &Stack, object: &Object) -> Result<Vec<(String, Vec<u8>)>> {
    let mut records = Vec::new();
    for stored in object.xattr_names()? {
        let mut list = stored.clone();
        list.push(0);
        let len = stack
            .namespace
            .filter_list(&mut list, true)
            .map_err(|bad| anyhow::anyhow!("{}: {}", object.full, bad.reason()))?;
        let name = list.get(..len.saturating_sub(1)).unwrap_or_default();
        // A label belongs to the machine and its policy, not to the image.
        if name.is_empty() || name == b"security.selinux" {
            continue;
        }
        let Some(value) = object.xattr(&stored)? else {
            continue;
        };
        let name = std::str::from_utf8(name)
            .ok()
            .filter(|name| !name.contains('='));
        let name = name.with_context(|| {
            format!(
                "{}: the archive can't have an attribute named {}: remove it",
                object.full,
                shown(&stored)
            )
        })?;
        records.push((format!("{XATTR}{name}"), value));
    }
    Ok(records)
}

/// Data that has the size which the header says, or is an error.
struct Exactly<R> {
    data: R,
    left: u64,
}

impl<R: Read> Read for Exactly<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let most = usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let read = self.data.read(buffer.get_mut(..most).unwrap_or_default())?;
        self.left = self
            .left
            .saturating_sub(u64::try_from(read).unwrap_or(u64::MAX));
        if read == 0 && most > 0 {
            return Err(std::io::Error::other(
                "the data became shorter while it was read: nothing may write to the layers",
            ));
        }
        Ok(read)
    }
}
