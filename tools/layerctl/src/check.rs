// SPDX-License-Identifier: GPL-2.0-only

//! `layerctl check`: what is wrong with layers that nothing has mounted.
//!
//! Each layer is walked with what is below it, from the lowest to the topmost. Nothing is written, but with `--repair`.

mod index;
pub mod repair;

use crate::layer::Object;
use crate::marks;
use crate::mounts;
use crate::stack::{Entry, Found, Part, Stack};
use crate::text::{hex, join, shown};
use crate::{kind_name, namespace, print_json, progress, verity, Out, Outcome};
use anyhow::{bail, Context, Result};
use format::finalized::Fingerprint;
use format::handle::OverlayHandle;
use format::metacopy::Metacopy;
use format::opaque::{is_impure, DirMark};
use format::xattr::{Mark, Namespace};
use indicatif::ProgressBar;
use rustix::fs::FileType;
use serde::Serialize;
use std::collections::{BTreeSet, HashMap};
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Args {
    /// The layers from the top, as in the option lowerdir: UPPER:LOWER1:LOWER2::DATA
    #[arg(required_unless_present = "mount")]
    layers: Option<OsString>,
    /// The first of LAYERS is a lower one too
    #[arg(long, requires = "layers")]
    no_upper: bool,
    /// The directory that was given as workdir with UPPER: its index is checked
    #[arg(long, value_name = "DIR", conflicts_with = "no_upper")]
    workdir: Option<PathBuf>,
    /// Marks are in user.overlay.*
    #[arg(long, requires = "layers")]
    userxattr: bool,
    /// Check the layers of the mount that PATH is in (nothing may write to it meanwhile)
    #[arg(long, value_name = "PATH", conflicts_with = "layers")]
    mount: Option<PathBuf>,
    /// Do not read data to compare it with digests
    #[arg(long)]
    no_digests: bool,
    /// Mend what can be mended without guessing, and say of the rest why it is left
    #[arg(long)]
    repair: bool,
    /// Say what --repair would do, and change nothing
    #[arg(long, requires = "repair")]
    dry_run: bool,
    /// Repair layers that something has mounted, too (nothing may read or write there)
    #[arg(long, requires = "repair")]
    force: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Something that is not as it should be.
#[derive(Debug, Serialize)]
pub struct Finding {
    /// What kind of fault, in a word that does not change.
    pub kind: &'static str,
    pub layer: String,
    pub path: String,
    /// What was found.
    pub found: String,
    /// What it means to whoever mounts this.
    pub means: &'static str,
    /// Where that is.
    #[serde(skip)]
    pub place: Place,
    /// The path from there.
    #[serde(skip)]
    pub at: Vec<u8>,
    /// Of which mark this is said.
    #[serde(skip)]
    pub mark: Option<String>,
}

/// What a path begins at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A layer, from the top.
    Layer(usize),
    Workdir,
}

/// What is known of the inodes of layers: for each number a type and a link count.
pub type Inodes = HashMap<u64, Vec<(FileType, u64)>>;

pub fn run(args: Args, out: &mut Out) -> Result<Outcome> {
    let (stack, workdir) = match (&args.mount, &args.layers) {
        (Some(path), _) => {
            let (mount, _) = mounts::of_path(&mounts::all()?, &mounts::absolute(path)?)?;
            (mount.stack()?, mount.workdir())
        }
        (None, Some(list)) => {
            let stack = Stack::of_list(list.as_bytes(), !args.no_upper, namespace(args.userxattr))?;
            (stack, args.workdir)
        }
        (None, None) => bail!("there are no layers to check: name them"),
    };
    if args.repair {
        repair::may(&stack, workdir.as_deref(), args.force)?;
    }
    let mut findings = check(&stack, !args.no_digests)?;
    if let Some(workdir) = &workdir {
        index::check(&stack, workdir, &mut findings)?;
    }
    if args.repair {
        let how = repair::How {
            dry_run: args.dry_run,
            json: args.json,
        };
        return repair::run(&stack, workdir.as_deref(), findings, how, out);
    }
    if args.json {
        print_json(out, &findings.list)?;
    } else {
        for finding in &findings.list {
            writeln!(
                out,
                "{}: {}: {}: {}",
                finding.path, finding.kind, finding.found, finding.means
            )?;
        }
        writeln!(
            out,
            "{} objects looked at, {} findings",
            findings.objects,
            findings.list.len()
        )?;
    }
    Ok(if findings.list.is_empty() {
        Outcome::Fine
    } else {
        Outcome::Findings
    })
}

/// What a check has found so far.
pub struct Findings {
    pub list: Vec<Finding>,
    /// What the layers are called.
    names: Vec<String>,
    objects: u64,
    /// The inodes of the lower layers, and of upper.
    pub lower: Inodes,
    pub upper: Inodes,
}

impl Findings {
    pub fn add(
        &mut self,
        kind: &'static str,
        place: Place,
        object: &Object,
        found: String,
        means: &'static str,
    ) {
        let layer = match place {
            Place::Layer(layer) => self.names.get(layer).cloned().unwrap_or_default(),
            Place::Workdir => "workdir".into(),
        };
        self.list.push(Finding {
            kind,
            layer,
            path: object.full.clone(),
            found,
            means,
            place,
            at: object.path.clone(),
            mark: None,
        });
    }
}

fn check(stack: &Stack, digests: bool) -> Result<Findings> {
    let mut findings = Findings {
        list: Vec::new(),
        names: (0..stack.layers.len())
            .map(|layer| stack.name(layer))
            .collect(),
        objects: 0,
        lower: HashMap::new(),
        upper: HashMap::new(),
    };
    let mut stacks = vec![stack.clone()];
    let regular = stack.layers.iter().filter(|layer| !layer.data).count();
    while let Some(next) = stacks
        .last()
        .filter(|_| stacks.len() < regular)
        .map(Stack::below)
    {
        stacks.push(next);
    }
    let bar = progress("objects looked at");
    for (layer, stack) in stacks.iter().enumerate().rev() {
        let mut walk = Walk {
            stack,
            layer,
            digests,
            bar: &bar,
            inodes: HashMap::new(),
            findings: &mut findings,
        };
        let root = stack.root()?;
        if let Some(top) = root.top() {
            walk.object(&top.object)?;
        }
        walk.directory(&root)?;
        let inodes = walk.inodes;
        if stack.has_upper && layer == 0 {
            findings.upper = inodes;
        } else {
            for (number, what) in inodes {
                findings.lower.entry(number).or_default().extend(what);
            }
        }
    }
    bar.finish_and_clear();
    Ok(findings)
}

/// A walk through one layer.
struct Walk<'a> {
    /// This layer and those below it.
    stack: &'a Stack,
    layer: usize,
    digests: bool,
    bar: &'a ProgressBar,
    inodes: Inodes,
    findings: &'a mut Findings,
}

impl Walk<'_> {
    fn namespace(&self) -> Namespace {
        self.stack.namespace
    }

    fn is_upper(&self) -> bool {
        self.stack.has_upper && self.layer == 0
    }

    fn add(
        &mut self,
        kind: &'static str,
        object: &Object,
        found: impl Into<String>,
        means: &'static str,
    ) {
        let place = Place::Layer(self.layer);
        self.findings.add(kind, place, object, found.into(), means);
    }

    /// Checks what is in a directory that this layer has, merged with what is below.
    fn directory(&mut self, entry: &Entry) -> Result<()> {
        let Some(top) = entry.top() else {
            return Ok(());
        };
        let at = self
            .stack
            .layers
            .get(self.layer)
            .context("there is no such layer")?;
        let opaque = top.object.mark(self.namespace(), Mark::Opaque)?;
        let mark = DirMark::decode(opaque.as_deref());
        let names = at.names(&top.object.path)?;
        if mark == DirMark::Finalized {
            self.finalized(entry, &top.object, &names)?;
        }
        let mut has_origin = false;
        for name in &names {
            let Some(object) = at.find(&join(&top.object.path, name))? else {
                continue;
            };
            self.object(&object)?;
            has_origin |= object.mark(self.namespace(), Mark::Origin)?.is_some();
            if object.is_whiteout(self.namespace())? {
                if object.is_file() && mark != DirMark::HasWhiteouts && !self.is_upper() {
                    self.add(
                        "whiteout-listed",
                        &object,
                        "the directory has no opaque=x",
                        "the name is listed, but can't be opened",
                    );
                }
                continue;
            }
            match self.stack.lookup(entry, name) {
                Ok(Found::Entry(found)) => self.entry(&found, &object)?,
                Ok(_) => {}
                // The mark that can't be read is told already; what is in the directory is still looked at.
                Err(_) => {
                    let part = Part {
                        layer: self.layer,
                        object,
                    };
                    let alone = Entry {
                        parts: vec![part],
                        missing: None,
                    };
                    if alone.is_dir() {
                        self.directory(&alone)?;
                    }
                }
            }
        }
        let impure = top.object.mark(self.namespace(), Mark::Impure)?;
        if has_origin && self.is_upper() && !is_impure(impure.as_deref()) {
            self.add(
                "impure-missing",
                &top.object,
                "something in it has an origin, but it is not marked impure",
                "listings show other inode numbers than stat",
            );
        }
        Ok(())
    }

    /// Checks what one object says of itself.
    fn object(&mut self, object: &Object) -> Result<()> {
        self.bar.inc(1);
        self.findings.objects = self.findings.objects.saturating_add(1);
        let seen = self.inodes.entry(object.stat.st_ino).or_default();
        seen.push((object.kind(), object.links()));
        for told in marks::of(object, self.namespace())? {
            if let Some(problem) = told.problem {
                self.add(
                    "mark-damaged",
                    object,
                    format!("{}: {problem}", told.name),
                    damage(&told.name),
                );
                if let Some(finding) = self.findings.list.last_mut() {
                    finding.mark = Some(told.name);
                }
            } else if told.meaning == marks::UNKNOWN {
                self.add(
                    "mark-unknown",
                    object,
                    format!("{} is no mark that is known", told.name),
                    "it is passed over, and hidden from users",
                );
            }
        }
        if let Some(value) = object.mark(self.namespace(), Mark::Origin)? {
            self.origin(object, &value);
        }
        Ok(())
    }

    fn origin(&mut self, object: &Object, value: &[u8]) {
        let Some(number) = OverlayHandle::decode(value)
            .ok()
            .and_then(|handle| marks::inode(&handle))
        else {
            return;
        };
        let means = "its inode number changes when the layers are mounted anew";
        match self.findings.lower.get(&number) {
            None => self.add(
                "origin-gone",
                object,
                format!("no lower layer has its origin, inode {number}"),
                means,
            ),
            Some(there) if !there.iter().any(|(kind, _)| *kind == object.kind()) => {
                let kind = there
                    .first()
                    .map_or("nothing", |(kind, _)| kind_name(*kind));
                self.add(
                    "origin-gone",
                    object,
                    format!("its origin, inode {number}, is a {kind} now"),
                    means,
                );
            }
            Some(_) => {}
        }
    }

    /// Checks what an object says of those below it.
    fn entry(&mut self, entry: &Entry, object: &Object) -> Result<()> {
        if object.is_dir() {
            let redirect = object.mark(self.namespace(), Mark::Redirect)?;
            let opaque = object.mark(self.namespace(), Mark::Opaque)?;
            let opaque = DirMark::decode(opaque.as_deref()) == DirMark::Opaque;
            let lowest = self.stack.below().root()?.parts.is_empty();
            if let Some(path) = redirect.filter(|_| entry.parts.len() == 1 && !opaque && !lowest) {
                self.add(
                    "redirect-dangling",
                    object,
                    format!("no layer below has the directory {}", shown(&path)),
                    "what was in it before it was moved is not seen",
                );
            }
            return self.directory(entry);
        }
        let Some(value) = object
            .mark(self.namespace(), Mark::Metacopy)?
            .filter(|_| object.is_file())
        else {
            return Ok(());
        };
        if entry.missing.is_some() {
            self.add(
                "metacopy-no-data",
                object,
                "no layer below has the data",
                "the file can't be opened (EIO)",
            );
            return Ok(());
        }
        let data = entry.data()?;
        if data.size() != object.size() {
            let found = format!(
                "it has {} bytes, and its data at {} has {}",
                object.size(),
                data.full,
                data.size()
            );
            self.add(
                "metacopy-size",
                object,
                found,
                "the layer below was changed; the data is not that of the file",
            );
        }
        let expected = Metacopy::decode(&value)
            .ok()
            .and_then(Metacopy::expected_digest);
        if let Some((algorithm, expected)) = expected.filter(|_| self.digests) {
            self.digest(object, data, algorithm, expected)?;
        }
        Ok(())
    }

    fn digest(
        &mut self,
        object: &Object,
        data: &Object,
        algorithm: u8,
        expected: &[u8],
    ) -> Result<()> {
        let refused = "the file can't be opened with verity=on (EIO)";
        match verity::digest(algorithm, data.data()?) {
            Ok(digest) if digest != expected => {
                let found = format!(
                    "{} has the digest {} (blocks of 4096 bytes, no salt), not {}",
                    data.full,
                    hex(&digest),
                    hex(expected)
                );
                self.add("digest-wrong", object, found, refused);
            }
            Ok(_) if data.has_verity() == Some(false) => {
                self.add(
                    "verity-off",
                    object,
                    format!("the data at {} is right, but has no fs-verity", data.full),
                    refused,
                );
            }
            Ok(_) => {}
            Err(error) => self.add(
                "digest-unknown",
                object,
                format!("{error:#}"),
                "whether the data is right was not checked",
            ),
        }
        Ok(())
    }

    /// Checks that a finalized directory has all the names that are below.
    fn finalized(&mut self, entry: &Entry, object: &Object, names: &[Vec<u8>]) -> Result<()> {
        let value = object.mark(self.namespace(), Mark::Finalized)?;
        let below = entry.parts.get(1..).unwrap_or_default();
        let over = value.as_deref().and_then(Fingerprint::decode);
        if !over.is_some_and(|over| usize::try_from(over.places) == Ok(below.len())) {
            // Made over other lower directories: the mark counts as none.
            return Ok(());
        }
        let here: BTreeSet<&Vec<u8>> = names.iter().collect();
        for part in below {
            let at = self
                .stack
                .layers
                .get(part.layer)
                .context("there is no such layer")?;
            for name in at.names(&part.object.path)? {
                let there = at.find(&join(&part.object.path, &name))?;
                let hidden =
                    there.is_none_or(|there| there.is_whiteout(self.namespace()).unwrap_or(false));
                if !hidden && !here.contains(&name) {
                    let found = format!(
                        "it is marked finalized, but lacks {} of {}",
                        shown(&name),
                        part.object.full
                    );
                    self.add(
                        "finalized-incomplete",
                        object,
                        found,
                        "the name is not seen, unless the lower directory was changed since",
                    );
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

/// What a mark that can't be read means to a mount.
fn damage(mark: &str) -> &'static str {
    match mark {
        "redirect" => {
            "the name can't be looked up (EINVAL): remove the attribute, or write the right path"
        }
        "metacopy" => "the file can't be looked up or opened (EIO): copy the file anew",
        _ => "it counts as no mark",
    }
}
