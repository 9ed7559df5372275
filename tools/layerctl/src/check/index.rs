// SPDX-License-Identifier: GPL-2.0-only

//! The index in workdir, and what is left in `work`: see "upper, and the index" in `Documentation/on-disk-format.rst`.

use super::{Findings, Place};
use crate::layer::{Layer, Object};
use crate::marks;
use crate::stack::Stack;
use crate::text::join;
use anyhow::Result;
use format::handle::{parse_index_name, OverlayHandle, MAX_LEN};
use format::nlink::Nlink;
use format::xattr::Mark;
use rustix::fs::FileType;
use std::path::Path;

/// Checks a workdir.
pub fn check(stack: &Stack, workdir: &Path, findings: &mut Findings) -> Result<()> {
    let layer = Layer::open(workdir, false)?;
    let dirty = layer.find(b"work/incompat/volatile/dirty")?;
    if let Some(dirty) = dirty {
        findings.add(
            "volatile",
            Place::Workdir,
            &dirty,
            "a volatile mount was not ended properly".into(),
            "upper may lack data, and a mount is refused (EINVAL)",
        );
    }
    if layer.find(b"work")?.is_some_and(|work| work.is_dir()) {
        for name in layer.names(b"work")? {
            let object = layer
                .find(&join(b"work", &name))?
                .filter(|_| name.starts_with(b"#"));
            // The whiteout that others are links of stays.
            if let Some(object) = object.filter(|object| object.kind() != FileType::CharacterDevice)
            {
                findings.add(
                    "work-leftover",
                    Place::Workdir,
                    &object,
                    "something that was being made".into(),
                    "the next mount removes it",
                );
            }
        }
    }
    let Some(index) = layer.find(b"index")?.filter(Object::is_dir) else {
        return Ok(());
    };
    of_this_upper(stack, &index, findings)?;
    for name in layer.names(b"index")? {
        if let Some(object) = layer.find(&join(b"index", &name))? {
            entry(stack, &name, &object, findings)?;
        }
    }
    Ok(())
}

fn number_in(value: Option<&[u8]>) -> Option<u64> {
    marks::inode(&OverlayHandle::decode(value?).ok()?)
}

/// Checks that an index is of this upper.
fn of_this_upper(stack: &Stack, index: &Object, findings: &mut Findings) -> Result<()> {
    let number = number_in(index.mark(stack.namespace, Mark::Upper)?.as_deref());
    let root = stack.root()?;
    let upper = root.top().map(|part| part.object.stat.st_ino);
    if let Some(number) = number.filter(|number| Some(*number) != upper) {
        let found = format!("it is of an upper directory with inode {number}");
        findings.add(
            "index-other-upper",
            Place::Workdir,
            index,
            found,
            "a mount with index=on is refused (ESTALE)",
        );
    }
    Ok(())
}

fn entry(stack: &Stack, name: &[u8], object: &Object, findings: &mut Findings) -> Result<()> {
    let mut add =
        |kind, found: String, means| findings.add(kind, Place::Workdir, object, found, means);
    // Of a file whose last name is gone; or, with a name of its own, the one that others are links of.
    if object.is_whiteout(stack.namespace)? && (name.starts_with(b"#") || is_handle(name)) {
        return Ok(());
    }
    if name.starts_with(b"#") {
        add(
            "index-leftover",
            "something that was being made".into(),
            "the next mount removes it",
        );
        return Ok(());
    }
    let mut buffer = [0; MAX_LEN];
    let parsed = parse_index_name(name, &mut buffer);
    if let Err(bad) = parsed.and_then(OverlayHandle::decode) {
        let means = "a mount with index=on fails";
        add("index-name", bad.reason().into(), means);
        return Ok(());
    }
    if object.is_dir() {
        let upper = object.mark(stack.namespace, Mark::Upper)?;
        let leads = number_in(upper.as_deref());
        if let Some(number) = leads.filter(|number| !findings.upper.contains_key(number)) {
            findings.add(
                "index-nowhere",
                Place::Workdir,
                object,
                format!("upper has no directory with inode {number}"),
                "the next mount with nfs_export=on removes it",
            );
        }
        return Ok(());
    }
    file(stack, parsed.unwrap_or_default(), object, findings)
}

/// Checks the entry of what is no directory, whose name says this origin.
fn file(stack: &Stack, named: &[u8], object: &Object, findings: &mut Findings) -> Result<()> {
    let origin = object.mark(stack.namespace, Mark::Origin)?;
    let handle = OverlayHandle::decode(named).ok();
    let lower = handle.and_then(|handle| marks::inode(&handle));
    if origin.as_deref() != Some(named) {
        findings.add(
            "index-other-origin",
            Place::Workdir,
            object,
            "it has another origin than its name says".into(),
            "the next mount with index=on removes it",
        );
        return Ok(());
    }
    let below = lower.and_then(|number| findings.lower.get(&number));
    let links = below
        .and_then(|there| there.first())
        .map(|(_, links)| *links);
    if let (Some(number), None) = (lower, links) {
        findings.add(
            "index-nowhere",
            Place::Workdir,
            object,
            format!("no lower layer has its origin, inode {number}"),
            "the next mount with index=on removes it, if upper has no name of it",
        );
        return Ok(());
    }
    let nlink = object.mark(stack.namespace, Mark::Nlink)?;
    let nlink = nlink.as_deref().and_then(|value| Nlink::decode(value).ok());
    let count = |links: u64| u32::try_from(links).unwrap_or(u32::MAX);
    let here = count(object.links());
    // One of its names is that in the index.
    if nlink.is_some_and(|nlink| {
        nlink
            .resolve(here, count(links.unwrap_or_default()))
            .is_err()
    }) {
        findings.add(
            "index-orphan",
            Place::Workdir,
            object,
            "no layer has a name of it any more".into(),
            "the next mount with index=on removes it",
        );
    }
    Ok(())
}

/// Whether an entry has a name that a mount takes.
fn is_handle(name: &[u8]) -> bool {
    let mut buffer = [0; MAX_LEN];
    parse_index_name(name, &mut buffer).is_ok_and(|value| OverlayHandle::decode(value).is_ok())
}
