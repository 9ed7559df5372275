// SPDX-License-Identifier: GPL-2.0-only

//! `layerctl merge`: several layers as one new layer, which in their place gives the same tree.
//!
//! What the layers show together is copied. Where layers may be below, it is also kept what the merged ones say of these:
//! whiteouts, opaque directories, and where a walk would have gone on (a redirect). The layer is built under another name and
//! gets its own when it is whole and on disk.

mod place;

use crate::copy::{self, go_on, Copied, Stopped};
use crate::layer::Object;
use crate::live::Stop;
use crate::stack::{Entry, Found, Rest, Stack};
use crate::text::{join, shown};
use crate::{namespace, print_json, progress, Out, Outcome};
use anyhow::{bail, Context, Result};
use format::opaque::DirMark;
use format::xattr::Mark;
use indicatif::ProgressBar;
use place::Place;
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use serde::Serialize;
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Args {
    /// The layers to merge from the top, as in the option lowerdir: LAYER1:LAYER2
    layers: OsString,
    /// The new layer: a directory that is empty, or not there
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// There is no layer below: whiteouts and marks are not needed. LAYERS may end with data-only ones: LAYER1:LAYER2::DATA
    #[arg(long)]
    bottom: bool,
    /// Marks are in user.overlay.*
    #[arg(long)]
    userxattr: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What was made.
#[derive(Default, Serialize)]
struct Told {
    directory: String,
    objects: u64,
    /// Names that are further names of a file.
    links: u64,
    whiteouts: u64,
    opaque: u64,
    /// Directories and files that still lead to layers below.
    redirects: u64,
    metacopies: u64,
    /// How much data shares blocks with that in the layers, and how much was copied, in bytes.
    shared_bytes: u64,
    copied_bytes: u64,
}

pub fn run(args: Args, out: &mut Out) -> Result<Outcome> {
    // Which of them is an upper one makes no difference.
    let stack = Stack::of_list(args.layers.as_bytes(), false, namespace(args.userxattr))?;
    let data_only = stack.layers.iter().find(|layer| layer.data);
    if let Some(layer) = data_only.filter(|_| !args.bottom) {
        bail!(
            "{}: layers that give data only are below all others: merge them with --bottom, or leave them out",
            layer.path.display()
        );
    }
    let stack = if args.bottom {
        stack
    } else {
        stack.with_more_below()
    };
    let stop = Stop::on_signals()?;
    let place = Place::new(&args.output, &stack)?;
    let mut merger = Merger {
        open: !args.bottom,
        root: place.open().inspect_err(|_| place.forget())?,
        told: Told::default(),
        links: HashMap::new(),
        bar: progress("objects merged"),
        stack,
        stop,
    };
    let merged = merger.all(&place);
    merger.bar.finish_and_clear();
    let merged = merged.and_then(|()| place.publish());
    if let Err(error) = merged {
        place.forget();
        if error.is::<Stopped>() {
            eprintln!("layerctl: {Stopped}: no layer was made");
            return Ok(Outcome::Findings);
        }
        return Err(error);
    }
    merger.told.directory = args.output.display().to_string();
    tell(&merger.told, args.json, out)
}

fn tell(told: &Told, json: bool, out: &mut Out) -> Result<Outcome> {
    if json {
        print_json(out, told)?;
        return Ok(Outcome::Fine);
    }
    writeln!(
        out,
        "{}: {} objects, {} more links to them",
        told.directory, told.objects, told.links
    )?;
    let below = [
        (told.whiteouts, "whiteouts"),
        (told.opaque, "opaque directories"),
        (told.redirects, "redirects"),
        (told.metacopies, "metacopies"),
    ];
    for (count, what) in below.iter().filter(|(count, _)| *count > 0) {
        writeln!(out, "  {count} {what} for the layers below")?;
    }
    Ok(Outcome::Fine)
}

/// What a file is known by that may have several names: its inode, and where its data is.
#[derive(PartialEq, Eq, Hash)]
struct Identity {
    inode: (u64, u64),
    data: Option<(u64, u64)>,
    rest: Option<Vec<u8>>,
}

struct Merger {
    stack: Stack,
    /// Whether there may be layers below.
    open: bool,
    /// The new layer's root.
    root: OwnedFd,
    /// The first path in the new layer of what has several names.
    links: HashMap<Identity, Vec<u8>>,
    told: Told,
    bar: ProgressBar,
    stop: Stop,
}

/// Where something is made.
struct Spot<'a> {
    /// The directory that it is made in.
    to: &'a OwnedFd,
    /// Its path from the root.
    path: &'a [u8],
    name: &'a [u8],
    /// Whether it may be merged with something of a layer below.
    below: bool,
}

impl Merger {
    fn all(&mut self, place: &Place) -> Result<()> {
        let root = self.stack.root()?;
        self.directory(&root, b"", self.open)?;
        let top = root.top().context("there is no layer")?;
        let (parent, name) = place.unfinished();
        let namespace = self.stack.namespace;
        copy::metadata(&top.object, parent, name, namespace, &[])
    }

    fn parent(&self, path: &[u8]) -> Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
        crate::layer::open_below(&self.root, path, flags)
            .with_context(|| format!("{}: the new directory can't be opened", shown(path)))
    }

    /// Makes what is in a directory. `below`: whether it may be merged with one of a layer below. Whether a whiteout is in it.
    fn directory(&mut self, from: &Entry, path: &[u8], below: bool) -> Result<bool> {
        let to = self.parent(path)?;
        let mut has_whiteouts = false;
        for name in self.stack.names(from)? {
            go_on(&self.stop)?;
            let (found, rest) = self.stack.lookup_on(from, &name)?;
            match found {
                Found::Nothing => continue,
                Found::Gone(_) if !below => continue,
                Found::Gone(whiteout) => {
                    self.whiteout(&to, &name, &whiteout.object)?;
                    has_whiteouts = true;
                }
                Found::Entry(entry) => {
                    let spot = Spot {
                        to: &to,
                        path: &join(path, &name),
                        name: &name,
                        below,
                    };
                    if entry.is_dir() {
                        self.merged(&spot, &entry, &rest)?;
                    } else {
                        self.file(&spot, &entry, &rest)?;
                    }
                }
            }
            self.bar.inc(1);
        }
        Ok(has_whiteouts)
    }

    fn whiteout(&mut self, to: &OwnedFd, name: &[u8], whiteout: &Object) -> Result<()> {
        rustix::fs::mknodat(to, name, FileType::CharacterDevice, Mode::empty(), 0)
            .with_context(|| {
                format!("{}: the whiteout can't be made there: name a directory on a filesystem that has devices, and on no stack", whiteout.full)
            })?;
        self.told.whiteouts = self.told.whiteouts.saturating_add(1);
        Ok(())
    }

    /// Makes a directory, with all that is in it.
    fn merged(&mut self, spot: &Spot<'_>, entry: &Entry, rest: &Rest) -> Result<()> {
        let &Spot {
            to,
            path,
            name,
            below,
        } = spot;
        let top = entry.top().context("there is no such directory")?;
        rustix::fs::mkdirat(to, name, Mode::RWXU)
            .with_context(|| format!("{}: its copy can't be made", top.object.full))?;
        let goes_on = self.open && !rest.stop && (below || rest.path.starts_with(b"/"));
        let has_whiteouts = self.directory(entry, path, goes_on)?;
        let mut marks = Vec::new();
        if goes_on && rest.path != name {
            marks.push((Mark::Redirect, rest.path.clone()));
            self.told.redirects = self.told.redirects.saturating_add(1);
        }
        if let Some(value) = DirMark::Opaque.encode().filter(|_| below && !goes_on) {
            marks.push((Mark::Opaque, value.to_vec()));
            self.told.opaque = self.told.opaque.saturating_add(1);
        }
        if has_whiteouts {
            // So that they are not listed where no other layer has the directory.
            marks.push((Mark::Origin, Vec::new()));
        }
        self.told.objects = self.told.objects.saturating_add(1);
        copy::metadata(&top.object, to, name, self.stack.namespace, &marks)
    }

    /// Makes what is no directory.
    fn file(&mut self, spot: &Spot<'_>, entry: &Entry, rest: &Rest) -> Result<()> {
        let &Spot {
            to,
            path,
            name,
            below,
        } = spot;
        let top = &entry.top().context("there is no such file")?.object;
        let is_unresolved = entry.missing.is_some();
        if top.stat.st_nlink > 1 {
            let inode = |object: &Object| (object.stat.st_dev, object.stat.st_ino);
            let identity = Identity {
                inode: inode(top),
                data: entry.parts.last().map(|part| inode(&part.object)),
                rest: is_unresolved.then(|| rest.path.clone()),
            };
            if let Some(first) = self.links.get(&identity) {
                return self.link(&first.clone(), to, name, top);
            }
            self.links.insert(identity, path.to_vec());
        }
        if top.mark(self.stack.namespace, Mark::Nlink)?.is_some() {
            eprintln!(
                "layerctl: {}: was in an index: names that it had in lower layers, which upper lacks, are names of the lower file",
                top.full
            );
        }
        let mut marks = Vec::new();
        if is_unresolved {
            marks = self.unresolved(top, name, entry, rest, below)?;
        }
        self.make(to, name, top, entry)?;
        if let Some(value) = top.mark(self.stack.namespace, Mark::Protattr)? {
            marks.push((Mark::Protattr, value));
        }
        self.told.objects = self.told.objects.saturating_add(1);
        copy::metadata(top, to, name, self.stack.namespace, &marks)
    }

    fn link(&mut self, first: &[u8], to: &OwnedFd, name: &[u8], top: &Object) -> Result<()> {
        let (parent, last) = crate::edit::split(first);
        let parent = self.parent(parent)?;
        rustix::fs::linkat(&parent, last, to, name, AtFlags::empty())
            .with_context(|| format!("{}: can't be linked with {}", top.full, shown(first)))?;
        self.told.links = self.told.links.saturating_add(1);
        Ok(())
    }

    /// The marks of a metacopy whose data is in no layer that is merged: it must be below them.
    fn unresolved(
        &mut self,
        top: &Object,
        name: &[u8],
        entry: &Entry,
        rest: &Rest,
        below: bool,
    ) -> Result<Vec<(Mark, Vec<u8>)>> {
        let is_absolute = rest.path.starts_with(b"/");
        if !self.open || rest.stop || !(below || is_absolute) {
            let why = entry.missing.clone().unwrap_or_default();
            bail!("{why}: name all layers that have data of these, or see layerctl check");
        }
        let namespace = self.stack.namespace;
        let value = top.mark(namespace, Mark::Metacopy)?.unwrap_or_default();
        let mut marks = vec![(Mark::Metacopy, value)];
        self.told.metacopies = self.told.metacopies.saturating_add(1);
        if rest.path != name {
            marks.push((Mark::Redirect, rest.path.clone()));
        }
        Ok(marks)
    }

    /// Makes a new object with the data of another one.
    fn make(&mut self, to: &OwnedFd, name: &[u8], top: &Object, entry: &Entry) -> Result<()> {
        let fail = || format!("{}: its copy can't be made", top.full);
        let mode = Mode::RUSR | Mode::WUSR;
        match top.kind() {
            FileType::RegularFile => {
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
                let copy = rustix::fs::openat(to, name, flags | OFlags::NOFOLLOW, mode);
                let copy = File::from(copy.with_context(fail)?);
                if entry.missing.is_some() {
                    return copy.set_len(top.size()).with_context(fail);
                }
                let from = entry.data()?;
                if from.size() != top.size() {
                    bail!(
                        "{}: has {} bytes, but its data at {} has {}: see layerctl check",
                        top.full,
                        top.size(),
                        from.full,
                        from.size()
                    );
                }
                let copied = copy::data(&from.data()?, &copy, from.size(), &self.stop);
                self.count(copied.with_context(fail)?);
                Ok(())
            }
            FileType::Symlink => {
                let target = top.link()?;
                rustix::fs::symlinkat(target.as_slice(), to, name).with_context(fail)
            }
            kind => rustix::fs::mknodat(to, name, kind, mode, top.stat.st_rdev).with_context(fail),
        }
    }

    fn count(&mut self, copied: Copied) {
        let told = &mut self.told;
        told.shared_bytes = told.shared_bytes.saturating_add(copied.shared);
        told.copied_bytes = told.copied_bytes.saturating_add(copied.written);
    }
}
