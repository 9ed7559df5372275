// SPDX-License-Identifier: GPL-2.0-only

//! `layerctl check --repair`: mends what a check has found, where it is certain what is right.
//!
//! Certain is what a mount does itself, what changes nothing that a stack shows, and what says less, and nothing false, than what
//! was there. No data is removed: a file of the index that no other name leads to is moved to the directory `found` in
//! workdir. All else is left, with the reason and what a person can do, as only a person knows which of two things is right.

use super::{Finding, Findings, Place};
use crate::edit::{move_into, refuse_mounted, remove, remove_mark, remove_tree, set_mark, split};
use crate::layer::{Layer, Object};
use crate::marks;
use crate::stack::Stack;
use crate::text::join;
use crate::{print_json, progress, Out, Outcome};
use anyhow::{bail, Context, Result};
use format::handle::{BadHandle, OverlayHandle};
use format::opaque::{is_impure, DirMark};
use format::xattr::{Mark, Namespace};
use indicatif::ProgressBar;
use serde::Serialize;
use std::collections::HashSet;
use std::path::Path;

/// Where files of the index go that have no other name.
const FOUND: &str = "found";

/// How it is done and told.
pub struct How {
    pub dry_run: bool,
    pub json: bool,
}

/// What becomes of a finding.
enum Fate {
    Mended(&'static str),
    /// Why it is left, and what a person can do.
    Left(String),
}

#[derive(Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    finding: &'a Finding,
    mended: bool,
    /// What was done, or why it is left.
    note: &'a str,
}

/// Refuses what is not to be repaired.
pub fn may(stack: &Stack, workdir: Option<&Path>, force: bool) -> Result<()> {
    if stack.has_upper && workdir.is_none() {
        bail!("the workdir of an upper directory must be known to repair it, as the index there says what must stay: name it with --workdir (or say --no-upper, if there is no upper directory)");
    }
    if force {
        return Ok(());
    }
    refuse_mounted(stack, workdir)
}

/// Mends what was found, and tells of each.
pub fn run(
    stack: &Stack,
    workdir: Option<&Path>,
    mut findings: Findings,
    how: How,
    out: &mut Out,
) -> Result<Outcome> {
    let workdir = workdir.map(|path| Layer::open(path, false)).transpose()?;
    let foreign = |finding: &Finding| finding.kind == "index-other-upper";
    let repair = Repair {
        stack,
        foreign: findings.list.iter().any(foreign),
        indexed: indexed(stack.namespace, workdir.as_ref())?,
        workdir,
        dry_run: how.dry_run,
        bar: progress("directories looked at"),
    };
    let mut fates = Vec::new();
    for finding in &findings.list {
        fates.push(repair.finding(finding)?);
    }
    let known = findings.list.len();
    repair.needless(&mut findings)?;
    let needless = findings.list.get(known..).unwrap_or_default();
    for finding in needless {
        fates.push(repair.done(finding, |object, namespace| {
            repair.change(|| remove_mark(object, namespace, Mark::Impure))?;
            Ok("the mark was removed")
        })?);
    }
    repair.bar.finish_and_clear();
    tell(&findings, &fates, &how, out)
}

fn tell(findings: &Findings, fates: &[Fate], how: &How, out: &mut Out) -> Result<Outcome> {
    let note = |fate: &Fate| -> (bool, String) {
        match fate {
            Fate::Mended(done) => (true, (*done).to_owned()),
            Fate::Left(why) => (false, why.clone()),
        }
    };
    let notes: Vec<(bool, String)> = fates.iter().map(note).collect();
    let mended = notes.iter().filter(|(mended, _)| *mended).count();
    let left = notes.len().saturating_sub(mended);
    let all = findings.list.iter().zip(&notes);
    if how.json {
        let told: Vec<Told<'_>> = all
            .map(|(finding, (mended, note))| Told {
                finding,
                mended: *mended,
                note,
            })
            .collect();
        print_json(out, &told)?;
    } else {
        for (finding, (mended, note)) in all {
            let fate = if *mended { "mended" } else { "left" };
            let (path, kind, found) = (&finding.path, finding.kind, &finding.found);
            writeln!(out, "{path}: {kind}: {found}: {fate}: {note}")?;
        }
        let objects = findings.objects;
        writeln!(
            out,
            "{objects} objects looked at, {mended} mended, {left} left"
        )?;
    }
    out.flush()?;
    if how.dry_run {
        eprintln!("layerctl: nothing was changed (--dry-run)");
    }
    Ok(if left == 0 {
        Outcome::Fine
    } else {
        Outcome::Findings
    })
}

/// The numbers of what in upper has an entry in the index.
pub fn indexed(namespace: Namespace, workdir: Option<&Layer>) -> Result<HashSet<u64>> {
    let mut numbers = HashSet::new();
    let Some(workdir) = workdir else {
        return Ok(numbers);
    };
    if !workdir.find(b"index")?.is_some_and(|index| index.is_dir()) {
        return Ok(numbers);
    }
    for name in workdir.names(b"index")? {
        let Some(object) = workdir.find(&join(b"index", &name))? else {
            continue;
        };
        if object.is_dir() {
            let upper = object.mark(namespace, Mark::Upper)?.unwrap_or_default();
            let handle = OverlayHandle::decode(&upper).ok();
            numbers.extend(handle.and_then(|handle| marks::inode(&handle)));
        } else {
            numbers.insert(object.stat.st_ino);
        }
    }
    Ok(numbers)
}

struct Repair<'a> {
    stack: &'a Stack,
    workdir: Option<Layer>,
    /// Whether the index belongs to another upper directory, so that it says nothing of this one.
    foreign: bool,
    indexed: HashSet<u64>,
    dry_run: bool,
    bar: ProgressBar,
}

fn left(why: &str) -> Result<Fate> {
    Ok(Fate::Left(why.to_owned()))
}

impl Repair<'_> {
    fn layer(&self, place: Place) -> Result<&Layer> {
        let layer = match place {
            Place::Layer(layer) => self.stack.layers.get(layer),
            Place::Workdir => self.workdir.as_ref(),
        };
        layer.context("there is no such layer")
    }

    fn is_upper(&self, finding: &Finding) -> bool {
        self.stack.has_upper && finding.place == Place::Layer(0)
    }

    /// Does something to the object of a finding, unless nothing is to be changed. What the filesystem refuses is left.
    fn done(
        &self,
        finding: &Finding,
        mend: impl FnOnce(&Object, Namespace) -> Result<&'static str>,
    ) -> Result<Fate> {
        let Some(object) = self.layer(finding.place)?.find(&finding.at)? else {
            return left("it is gone meanwhile: nothing may write to the layers");
        };
        let mended = mend(&object, self.stack.namespace);
        Ok(match mended {
            Ok(done) => Fate::Mended(done),
            Err(error) => Fate::Left(format!("{error:#}")),
        })
    }

    /// Changes something, unless nothing is to be changed.
    fn change(&self, change: impl FnOnce() -> Result<()>) -> Result<()> {
        if self.dry_run {
            return Ok(());
        }
        change()
    }

    fn finding(&self, finding: &Finding) -> Result<Fate> {
        match finding.kind {
            "mark-damaged" => self.damaged(finding),
            "origin-gone" => self.origin(finding),
            "impure-missing" => self.done(finding, |object, namespace| {
                self.change(|| set_mark(object, namespace, Mark::Impure, b"y"))?;
                Ok("it was marked impure")
            }),
            "finalized-incomplete" => self.unfinalize(finding),
            "whiteout-listed" => self.whiteout(finding),
            "work-leftover" | "index-leftover" => {
                let workdir = self.layer(Place::Workdir)?;
                self.done(finding, |object, _| {
                    self.change(|| remove_tree(workdir, object))?;
                    Ok("it was removed, as a mount does")
                })
            }
            "index-nowhere" | "index-other-origin" => self.index_entry(finding),
            other => left(reason(other)),
        }
    }

    fn damaged(&self, finding: &Finding) -> Result<Fate> {
        match finding.mark.as_deref() {
            Some("origin") => self.origin(finding),
            Some("impure") => self.unmark(finding, &[Mark::Impure]),
            Some("finalized") => {
                let value = self.value(finding, Mark::Finalized)?;
                if value.is_some_and(|value| value.len() == 16) {
                    return left("a later version of layerfs may know it, and to this one it counts as no mark: if there is none, remove the attribute");
                }
                self.unfinalize(finding)
            }
            Some("nlink") => {
                let number = self.number(finding)?;
                if self.foreign || number.is_none_or(|number| self.indexed.contains(&number)) {
                    return left("it is in the index, and how many names the stack shows is not known: count them, and write U+N, the number that the file in upper lacks");
                }
                self.unmark(finding, &[Mark::Nlink])
            }
            Some("opaque") if !self.is_dir(finding)? => self.unmark(finding, &[Mark::Opaque]),
            Some("opaque") => left("whether it is to hide what is below is not known, and now it does not: write y to hide it, or remove the attribute"),
            Some("redirect") => left("where the directory or data is cannot be known: write the right path, or remove the attribute if there is nothing below"),
            Some("metacopy") => left("whether the data is here or below is not known: copy the file anew from a backup, or from the layer that has the data"),
            Some("protattr") => left("whether the file was append-only or immutable is not known: remove the attribute, and use chattr through a mount"),
            Some("uuid") => left("handles and caches may know the stack by it: write the 16 bytes if they are known, or remove the attribute"),
            _ => left("what it said is not known, and it counts as no mark: remove the attribute"),
        }
    }

    fn number(&self, finding: &Finding) -> Result<Option<u64>> {
        let object = self.layer(finding.place)?.find(&finding.at)?;
        Ok(object.map(|object| object.stat.st_ino))
    }

    fn is_dir(&self, finding: &Finding) -> Result<bool> {
        let object = self.layer(finding.place)?.find(&finding.at)?;
        Ok(object.is_some_and(|object| object.is_dir()))
    }

    fn value(&self, finding: &Finding, mark: Mark) -> Result<Option<Vec<u8>>> {
        let Some(object) = self.layer(finding.place)?.find(&finding.at)? else {
            return Ok(None);
        };
        object.mark(self.stack.namespace, mark)
    }

    fn unmark(&self, finding: &Finding, marks: &[Mark]) -> Result<Fate> {
        self.done(finding, |object, namespace| {
            for mark in marks {
                self.change(|| remove_mark(object, namespace, *mark))?;
            }
            Ok("the mark was removed, which counted as none")
        })
    }

    /// An origin that leads nowhere: that the object was copied up stays true.
    fn origin(&self, finding: &Finding) -> Result<Fate> {
        let value = self.value(finding, Mark::Origin)?.unwrap_or_default();
        // The empty value is what is written here: another name of the file was mended before.
        let unknown = |bad: BadHandle| bad.is_unknown() && bad != BadHandle::Empty;
        if OverlayHandle::decode(&value).is_err_and(unknown) {
            return left("a later version, or a machine of the other byte order, wrote it: nothing need be done");
        }
        if !self.is_upper(finding) {
            return left("the layer may be the upper one of another stack, to which the origin means something; to this one it means nothing, and nothing need be done");
        }
        if finding.at.is_empty() {
            return left("on the root it says which lower layer belongs to upper: mount it with that one, or remove the attribute to use it with these");
        }
        let number = self.number(finding)?;
        if self.foreign || number.is_none_or(|number| self.indexed.contains(&number)) {
            return left("it is in the index by this origin, which leads to it still: if its number may change, remove its name from the index, then the attribute");
        }
        self.done(finding, |object, namespace| {
            self.change(|| set_mark(object, namespace, Mark::Origin, b""))?;
            Ok("it is marked as copied up, from what is not known")
        })
    }

    fn unfinalize(&self, finding: &Finding) -> Result<Fate> {
        self.done(finding, |object, namespace| {
            // Without its fingerprint the other mark does not count.
            self.change(|| remove_mark(object, namespace, Mark::Finalized))?;
            let opaque = object.mark(namespace, Mark::Opaque)?;
            if DirMark::decode(opaque.as_deref()) == DirMark::Finalized {
                self.change(|| remove_mark(object, namespace, Mark::Opaque))?;
            }
            Ok("it is not marked finalized any more")
        })
    }

    /// A whiteout that a lookup honours, and a listing does not.
    fn whiteout(&self, finding: &Finding) -> Result<Fate> {
        let (directory, _) = split(&finding.at);
        let directory = self.layer(finding.place)?.find(directory)?;
        let Some(directory) = directory.filter(Object::is_dir) else {
            return left("it is gone meanwhile: nothing may write to the layers");
        };
        let opaque = directory.mark(self.stack.namespace, Mark::Opaque)?;
        match (&opaque, DirMark::decode(opaque.as_deref())) {
            (None, _) | (_, DirMark::HasWhiteouts) => self.done(finding, |_, namespace| {
                self.change(|| set_mark(&directory, namespace, Mark::Opaque, b"x"))?;
                Ok("the directory was marked opaque=x")
            }),
            _ => left("the directory has another value of that mark: make a whiteout of a device 0/0 in its place, or remove the file if it hides nothing"),
        }
    }

    fn index_entry(&self, finding: &Finding) -> Result<Fate> {
        if self.foreign {
            return left("the index is of another upper directory, to which the entry may mean something: check that one");
        }
        let workdir = self.layer(Place::Workdir)?;
        let Some(object) = workdir.find(&finding.at)? else {
            return left("it is gone meanwhile: nothing may write to the layers");
        };
        if object.is_dir() {
            if !workdir.names(&object.path)?.is_empty() {
                return left("there is something in it, which no stack puts there: move that away");
            }
            return self.done(finding, |object, _| {
                self.change(|| remove(workdir, object))?;
                Ok("it was removed, as a mount does")
            });
        }
        if object.stat.st_nlink > 1 {
            return left(if finding.kind == "index-nowhere" {
                "there is another name of it, so that a mount keeps it: nothing need be done"
            } else {
                "either may be the wrong one: if the name is right, write its bytes as origin before the next mount; else leave it to that"
            });
        }
        self.done(finding, |object, _| {
            self.change(|| move_into(workdir, object, FOUND.as_bytes()))?;
            Ok("it was moved to the directory found in workdir, as it has no other name")
        })
    }

    /// Adds the directories of upper that are marked impure, and have nothing in them for which they must be.
    fn needless(&self, findings: &mut Findings) -> Result<()> {
        match self.stack.layers.first() {
            Some(upper) if self.stack.has_upper => self.needless_below(upper, b"", findings),
            _ => Ok(()),
        }
    }

    fn needless_below(&self, upper: &Layer, path: &[u8], findings: &mut Findings) -> Result<()> {
        let namespace = self.stack.namespace;
        let mut needed = false;
        for name in upper.names(path)? {
            let Some(object) = upper.find(&join(path, &name))? else {
                continue;
            };
            for mark in [Mark::Origin, Mark::Redirect, Mark::Metacopy] {
                needed |= object.mark(namespace, mark)?.is_some();
            }
            if object.is_dir() {
                self.needless_below(upper, &object.path, findings)?;
            }
        }
        self.bar.inc(1);
        // On the root the mark says, too, that upper is not new.
        let Some(object) = upper.find(path)?.filter(|_| !needed && !path.is_empty()) else {
            return Ok(());
        };
        if is_impure(object.mark(namespace, Mark::Impure)?.as_deref()) {
            findings.add(
                "impure-needless",
                Place::Layer(0),
                &object,
                "nothing in it has an origin, but it is marked impure".into(),
                "listings take longer",
            );
        }
        Ok(())
    }
}

/// Why a kind of fault is left, and what a person can do.
fn reason(kind: &str) -> &'static str {
    match kind {
        "mark-unknown" => "a later version may know it: if nothing does, remove the attribute",
        "redirect-dangling" => "the directory may be in a layer that was not named: name all of them, or remove the attribute if nothing is to be seen there",
        "metacopy-no-data" => "the data may be in a layer that was not named: name all of them, bring the layer back, or remove the file",
        "metacopy-size" => "the layer below was changed: bring the old one back, or copy the file anew",
        "digest-wrong" => "the data is not what it was: bring the old layer back, or copy the file anew",
        "digest-unknown" => "whether the data is right is not known: check it with a tool that knows the digest",
        "verity-off" => "it would make the file in the lower layer immutable: fsverity enable does that",
        "index-other-upper" => "this index or this upper is the wrong one: name those that belong together, or remove the index if upper is a copy",
        "index-name" => "no stack writes such a name: move it out of the index",
        "index-orphan" => "only a mount knows whether handles of it may be about (nfs_export=on), and does what is right: mount the stack once",
        "volatile" => "whether upper lacks data is not known: make it anew, or look through it and remove the directory work/incompat/volatile",
        _ => "there is no rule for it: see what it means",
    }
}
