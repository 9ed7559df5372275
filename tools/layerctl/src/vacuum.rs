// SPDX-License-Identifier: GPL-2.0-only

//! `layerctl vacuum`: what is in a layer without an effect on what a stack shows, and removing it.
//!
//! First all is looked at, then all is removed: so the same is said of it whether it is removed or not. Left alone is what
//! somebody may know by more than its name: files with several names, what an index leads to, origins of what was copied up.

mod same;

use crate::check::repair;
use crate::edit::{self, Times};
use crate::layer::{Layer, Object};
use crate::live::Stop;
use crate::marks;
use crate::stack::{Entry, Found, Part, Stack};
use crate::text::join;
use crate::{namespace, print_json, progress, Out, Outcome};
use anyhow::{bail, Context, Result};
use format::handle::OverlayHandle;
use format::opaque::DirMark;
use format::xattr::{Class, Mark, Namespace};
use indicatif::ProgressBar;
use serde::Serialize;
use std::collections::HashSet;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Args {
    /// The layers from the top, as in the option lowerdir: UPPER:LOWER1:LOWER2::DATA; the first one is looked through
    layers: OsString,
    /// Remove it: without this nothing is changed
    #[arg(long)]
    apply: bool,
    /// Files, too, that are byte for byte and in all attributes what is below
    #[arg(long)]
    same: bool,
    /// Look through all layers, each over those below it; the last is taken for the lowest of the stack
    #[arg(long)]
    all: bool,
    /// The first of LAYERS is a lower one too
    #[arg(long)]
    no_upper: bool,
    /// The directory that was given as workdir with UPPER: what its index leads to is left alone
    #[arg(long, value_name = "DIR", conflicts_with = "no_upper")]
    workdir: Option<PathBuf>,
    /// Change layers that something has mounted, too (nothing may read or write there)
    #[arg(long, requires = "apply")]
    force: bool,
    /// Marks are in user.overlay.*
    #[arg(long)]
    userxattr: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Something without an effect.
#[derive(Serialize)]
struct Useless {
    kind: &'static str,
    layer: String,
    path: String,
    why: String,
    /// How much room it takes.
    bytes: u64,
    #[serde(skip)]
    place: Spot,
}

/// Where something is, and what it was when it was looked at.
struct Spot {
    layer: usize,
    at: Vec<u8>,
    inode: (u64, u64),
    /// Whether only the mark is removed that makes it opaque.
    mark_only: bool,
}

#[derive(Serialize)]
struct Answer<'a> {
    applied: bool,
    bytes: u64,
    entries: &'a [Useless],
    /// Directories that an index may lead to, which was not named.
    left_alone: u64,
}

pub fn run(args: Args, out: &mut Out) -> Result<Outcome> {
    let stack = Stack::of_list(
        args.layers.as_bytes(),
        !args.no_upper,
        namespace(args.userxattr),
    )?;
    if args.apply && !args.force {
        edit::refuse_mounted(&stack, args.workdir.as_deref())?;
    }
    let mut plan = plan(&stack, &args)?;
    let stop = Stop::on_signals()?;
    let is_whole = !args.apply || apply(&stack, &mut plan.useless, &stop)?;
    let bytes = plan.useless.iter().map(|useless| useless.bytes).sum();
    let answer = Answer {
        applied: args.apply,
        bytes,
        entries: &plan.useless,
        left_alone: plan.left_alone,
    };
    if args.json {
        print_json(out, &answer)?;
    } else {
        print(out, &answer)?;
    }
    if is_whole {
        return Ok(Outcome::Fine);
    }
    out.flush()?;
    eprintln!("layerctl: it was interrupted: what is told was removed, and the next run goes on");
    Ok(Outcome::Findings)
}

fn print(out: &mut Out, answer: &Answer<'_>) -> Result<()> {
    for useless in answer.entries {
        let (path, kind, why, bytes) = (&useless.path, useless.kind, &useless.why, useless.bytes);
        writeln!(out, "{path}: {kind}: {why}: {bytes} bytes")?;
    }
    if answer.left_alone > 0 {
        writeln!(
            out,
            "{} directories are left alone, as an index may lead to them: name the workdir with --workdir",
            answer.left_alone
        )?;
    }
    let (count, bytes) = (answer.entries.len(), answer.bytes);
    if answer.applied {
        writeln!(out, "{count} removed, {bytes} bytes")?;
    } else {
        writeln!(
            out,
            "{count} without effect, {bytes} bytes: nothing was removed (--apply does it)"
        )?;
    }
    Ok(())
}

/// Removes what was found, directory by directory, and gives these their times back. Whether it was all; what was not
/// removed is taken off the list.
fn apply(stack: &Stack, useless: &mut Vec<Useless>, stop: &Stop) -> Result<bool> {
    let bar = progress("entries removed");
    let mut done = 0_usize;
    let same_directory = |a: &Useless, b: &Useless| {
        let directory = |useless: &Useless| edit::split(&useless.place.at).0.to_vec();
        a.place.layer == b.place.layer && directory(a) == directory(b)
    };
    for group in useless.chunk_by(same_directory) {
        if stop.is_wanted() {
            break;
        }
        let Some(first) = group.first() else { continue };
        let layer = stack.layers.get(first.place.layer);
        let layer = layer.context("there is no such layer")?;
        let times = Times::of(layer, edit::split(&first.place.at).0)?;
        let removed = group
            .iter()
            .try_for_each(|useless| remove(layer, stack.namespace, &useless.place));
        times.restore().and(removed)?;
        done = done.saturating_add(group.len());
        bar.inc(u64::try_from(group.len()).unwrap_or_default());
    }
    bar.finish_and_clear();
    let is_whole = done == useless.len();
    useless.truncate(done);
    Ok(is_whole)
}

fn remove(layer: &Layer, namespace: Namespace, place: &Spot) -> Result<()> {
    let object = layer.find(&place.at)?;
    let object = object.filter(|object| inode(object) == place.inode);
    let Some(object) = object else {
        bail!(
            "{}: was replaced meanwhile: nothing may write to the layers",
            layer.full(&place.at)
        );
    };
    if place.mark_only {
        return edit::remove_mark(&object, namespace, Mark::Opaque);
    }
    edit::remove(layer, &object)
}

fn inode(object: &Object) -> (u64, u64) {
    (object.stat.st_dev, object.stat.st_ino)
}

/// The room that goes when the name of an object goes.
fn bytes(object: &Object) -> u64 {
    let blocks = u64::try_from(object.stat.st_blocks).unwrap_or_default();
    if object.is_dir() || object.stat.st_nlink == 1 {
        blocks.saturating_mul(512)
    } else {
        0
    }
}

/// What was found in all layers that are looked through.
struct Plan {
    useless: Vec<Useless>,
    left_alone: u64,
}

fn plan(stack: &Stack, args: &Args) -> Result<Plan> {
    let workdir = args
        .workdir
        .as_deref()
        .map(|path| Layer::open(path, false))
        .transpose()?;
    let mut plan = Plan {
        useless: Vec::new(),
        left_alone: 0,
    };
    let bar = progress("objects looked at");
    let regular = stack.layers.iter().filter(|layer| !layer.data).count();
    let mut from = stack.clone();
    let mut origins = HashSet::new();
    for layer in 0..if args.all { regular } else { 1 } {
        let below = from.below();
        let is_upper = stack.has_upper && layer == 0;
        let mut walk = Walk {
            layer,
            below: below.clone(),
            same: args.same,
            indexed: match (&workdir, is_upper) {
                (Some(workdir), true) => Some(repair::indexed(stack.namespace, Some(workdir))?),
                (None, true) => None,
                (_, false) => Some(HashSet::new()),
            },
            above: origins.clone(),
            origins: &mut origins,
            plan: &mut plan,
            bar: &bar,
            stack: from,
        };
        let root = walk.stack.root()?;
        walk.directory(&root)?;
        from = below;
    }
    bar.finish_and_clear();
    Ok(plan)
}

/// A walk through one layer.
struct Walk<'a> {
    /// This layer and those below it, and those below it.
    stack: Stack,
    below: Stack,
    layer: usize,
    same: bool,
    /// What the index leads to; nothing is known of it where a workdir is missing.
    indexed: Option<HashSet<u64>>,
    /// The origins of what the layers above have: these are to stay.
    above: HashSet<u64>,
    /// The same, for the layers below.
    origins: &'a mut HashSet<u64>,
    plan: &'a mut Plan,
    bar: &'a ProgressBar,
}

impl Walk<'_> {
    /// Looks through a directory; whether nothing would be left in it.
    fn directory(&mut self, entry: &Entry) -> Result<bool> {
        let Some((top, at)) = entry.top().zip(self.stack.layers.get(self.layer)) else {
            return Ok(false);
        };
        let under = self.under(entry)?;
        let mark = self.mark(&top.object, Mark::Opaque)?;
        let is_finalized = DirMark::decode(mark.as_deref()) == DirMark::Finalized;
        let layers = std::rc::Rc::clone(&self.stack.layers);
        let mut is_empty = true;
        // What goes of this directory comes together, behind what goes of those in it.
        let mut here = Vec::new();
        for name in at.names(&top.object.path)? {
            let layer = layers.get(self.layer).context("there is no such layer")?;
            let Some(object) = layer.find(&join(&top.object.path, &name))? else {
                continue;
            };
            self.bar.inc(1);
            self.note_origin(&object)?;
            let found = self.name(entry, &under, &name, &object, is_finalized)?;
            is_empty &= found.as_ref().is_some_and(|found| !found.place.mark_only);
            here.extend(found);
        }
        self.plan.useless.extend(here);
        Ok(is_empty)
    }

    /// Looks at one name of a directory.
    fn name(
        &mut self,
        entry: &Entry,
        under: &Entry,
        name: &[u8],
        object: &Object,
        is_finalized: bool,
    ) -> Result<Option<Useless>> {
        // What can't be looked up is a fault, and no room to be had: `layerctl check` tells of it.
        let Ok(below) = self.below.lookup(under, name) else {
            return Ok(None);
        };
        if object.is_whiteout(self.stack.namespace)? {
            let hides = matches!(below, Found::Entry(_));
            let why = || "hides nothing".to_owned();
            return Ok((!hides).then(|| self.useless("whiteout", object, why())));
        }
        let Ok(Found::Entry(found)) = self.stack.lookup(entry, name) else {
            return Ok(None);
        };
        let below = match below {
            Found::Entry(below) => Some(below),
            _ => None,
        };
        if found.is_dir() {
            let is_empty = self.directory(&found)?;
            let merged = below.as_ref().filter(|below| below.is_dir());
            return match merged {
                None => self.opaque(object),
                Some(below) if is_empty && !is_finalized => self.empty(&found, below),
                Some(_) => Ok(None),
            };
        }
        match below {
            Some(below) if self.same && !is_finalized => self.file(&found, &below),
            _ => Ok(None),
        }
    }

    /// The same directory without this layer.
    fn under(&self, entry: &Entry) -> Result<Entry> {
        let mut parts = Vec::new();
        for part in entry.parts.iter().skip(1) {
            let layer = self.stack.layers.get(part.layer);
            let object = layer
                .map(|layer| layer.find(&part.object.path))
                .transpose()?;
            let object = object.flatten().with_context(|| {
                format!(
                    "{}: is gone: nothing may write to the layers",
                    part.object.full
                )
            })?;
            parts.push(Part {
                layer: part.layer,
                object,
            });
        }
        Ok(Entry {
            parts,
            missing: None,
        })
    }

    fn mark(&self, object: &Object, mark: Mark) -> Result<Option<Vec<u8>>> {
        object.mark(self.stack.namespace, mark)
    }

    fn note_origin(&mut self, object: &Object) -> Result<()> {
        if let Some(value) = self.mark(object, Mark::Origin)? {
            let handle = OverlayHandle::decode(&value).ok();
            self.origins
                .extend(handle.and_then(|handle| marks::inode(&handle)));
        }
        Ok(())
    }

    fn useless(&self, kind: &'static str, object: &Object, why: String) -> Useless {
        Useless {
            kind,
            layer: self.stack.name(self.layer),
            path: object.full.clone(),
            why,
            bytes: bytes(object),
            place: Spot {
                layer: self.layer,
                at: object.path.clone(),
                inode: inode(object),
                mark_only: false,
            },
        }
    }

    /// A directory without one below it that it could be merged with.
    fn opaque(&self, object: &Object) -> Result<Option<Useless>> {
        let mark = self.mark(object, Mark::Opaque)?;
        let is_opaque = DirMark::decode(mark.as_deref()) == DirMark::Opaque;
        // The redirect would count, if the other mark were gone.
        if !is_opaque || self.mark(object, Mark::Redirect)?.is_some() {
            return Ok(None);
        }
        let mut useless = self.useless("opaque", object, "there is no directory below".into());
        useless.bytes = 0;
        useless.place.mark_only = true;
        Ok(Some(useless))
    }

    /// Whether an object has marks beside some.
    fn has_other_marks(&self, object: &Object, known: &[Mark]) -> Result<bool> {
        let namespace = self.stack.namespace;
        let is_other = |name: &Vec<u8>| {
            namespace.classify(name) == Class::Private
                && !known
                    .iter()
                    .any(|mark| namespace.name(*mark).to_bytes() == name)
        };
        Ok(object.xattr_names()?.iter().any(is_other))
    }

    /// A directory with nothing in it, that is merged with one below.
    fn empty(&mut self, found: &Entry, below: &Entry) -> Result<Option<Useless>> {
        let Some((top, under)) = found.top().zip(below.top()) else {
            return Ok(None);
        };
        let object = &top.object;
        if self.above.contains(&object.stat.st_ino)
            || self.has_other_marks(object, &[Mark::Origin, Mark::Impure])?
            || !same::attributes(self.stack.namespace, object, &under.object)?
            || !self.lists_alone(below)?
        {
            return Ok(None);
        }
        match &self.indexed {
            Some(indexed) if indexed.contains(&object.stat.st_ino) => return Ok(None),
            None if self.mark(object, Mark::Origin)?.is_some() => {
                self.plan.left_alone = self.plan.left_alone.saturating_add(1);
                return Ok(None);
            }
            _ => {}
        }
        let why = format!("empty, and {} is the same", under.object.full);
        Ok(Some(self.useless("directory", object, why)))
    }

    /// Whether a directory of the layers below is listed in the same way without one above it: the whiteouts in a directory
    /// that is not merged would be listed.
    fn lists_alone(&self, below: &Entry) -> Result<bool> {
        let [part] = below.parts.as_slice() else {
            return Ok(true);
        };
        if self.mark(&part.object, Mark::Origin)?.is_some() {
            return Ok(true);
        }
        let layer = self.stack.layers.get(part.layer);
        let layer = layer.context("there is no such layer")?;
        for name in layer.names(&part.object.path)? {
            let object = layer.find(&join(&part.object.path, &name))?;
            if object.is_some_and(|object| object.is_whiteout(self.stack.namespace).unwrap_or(true))
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// A file of which there is one below by the same name.
    fn file(&self, found: &Entry, below: &Entry) -> Result<Option<Useless>> {
        let Some((top, under)) = found.top().zip(below.top()) else {
            return Ok(None);
        };
        let object = &top.object;
        let number = object.stat.st_ino;
        // With names of its own the one below would be another name of these.
        let is_known = object.stat.st_nlink > 1
            || under.object.stat.st_nlink > 1
            || self.above.contains(&number)
            || self
                .indexed
                .as_ref()
                .is_some_and(|indexed| indexed.contains(&number));
        let known = [Mark::Origin, Mark::Metacopy, Mark::Redirect];
        if is_known
            || object.has_verity() == Some(true)
            || self.has_other_marks(object, &known)?
            || !same::attributes(self.stack.namespace, object, &under.object)?
            || !same::content(found, below)?
        {
            return Ok(None);
        }
        let why = format!("{} is the same", under.object.full);
        Ok(Some(self.useless("same", object, why)))
    }
}
