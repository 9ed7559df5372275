// SPDX-License-Identifier: GPL-2.0-only

//! What a stack of layers shows, found out as a mount does: see "When marks are read" in `Documentation/on-disk-format.rst`.

use crate::layer::{Layer, Object};
use crate::text::{join, shown};
use anyhow::{bail, Context, Result};
use format::metacopy::Metacopy;
use format::opaque::DirMark;
use format::options::{split_lowerdirs, unescape};
use format::redirect::{Progress, Redirect, Step, MAX_LEN};
use format::xattr::{Mark, Namespace};
use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Layers from the top, and how their marks are named.
#[derive(Clone, Debug)]
pub struct Stack {
    pub layers: Rc<[Layer]>,
    pub namespace: Namespace,
    /// Whether the first layer is an upper one.
    pub has_upper: bool,
    /// How many of the first layers are left out.
    skip: usize,
    /// Whether these are some layers of a stack, with others below that are not known here.
    open: bool,
}

/// What a walk down the layers leaves to those below them.
#[derive(Debug)]
pub struct Rest {
    /// Where they are asked: a name in the same parent, or a path that begins with a slash.
    pub path: Vec<u8>,
    /// Whether they are not asked.
    pub stop: bool,
}

/// An object of a layer that a stack shows something of.
#[derive(Debug)]
pub struct Part {
    /// Which layer, from the top.
    pub layer: usize,
    pub object: Object,
}

/// What a stack shows by a name.
#[derive(Debug)]
pub struct Entry {
    /// The directories that are merged; or a file, and what its data is looked for in. From the top; never empty.
    pub parts: Vec<Part>,
    /// Why the data of a metacopy can't be had.
    pub missing: Option<String>,
}

/// What becomes of a name.
#[derive(Debug)]
pub enum Found {
    /// It is shown.
    Entry(Entry),
    /// It is not there, as this whiteout says so.
    Gone(Part),
    /// No layer has it.
    Nothing,
}

/// A walk down the layers, by one name.
struct Walk {
    /// Where the next layer is asked: a name, or a path that begins with a slash.
    path: Vec<u8>,
    is_dir: bool,
    metacopy: bool,
    stop: bool,
    whiteout: Option<Part>,
}

impl Entry {
    pub fn top(&self) -> Option<&Part> {
        self.parts.first()
    }

    pub fn is_dir(&self) -> bool {
        self.top().is_some_and(|part| part.object.is_dir())
    }

    /// The directory of a layer among those that are merged.
    fn within(&self, layer: usize) -> Option<&Part> {
        self.parts.iter().find(|part| part.layer == layer)
    }

    /// What has the data of a file.
    pub fn data(&self) -> Result<&Object> {
        match (&self.missing, self.parts.last()) {
            (None, Some(part)) => Ok(&part.object),
            (Some(why), _) => bail!("{why}"),
            (None, None) => bail!("there is no such file"),
        }
    }
}

impl Stack {
    /// Opens the layers of a list in the form of the option `lowerdir`, upper first.
    pub fn of_list(list: &[u8], has_upper: bool, namespace: Namespace) -> Result<Stack> {
        let mut paths = Vec::new();
        for item in split_lowerdirs(list) {
            let item = item.map_err(|bad| {
                anyhow::anyhow!(
                    "{}: is no list of layers as the option lowerdir has it: {}",
                    shown(list),
                    bad.reason()
                )
            })?;
            let mut buffer = vec![0; item.path.len()];
            let path = unescape(item.path, &mut buffer)
                .map_err(|bad| anyhow::anyhow!("{}: {}", shown(item.path), bad.reason()))?;
            paths.push((PathBuf::from(std::ffi::OsStr::from_bytes(path)), item.data));
        }
        Self::of_paths(&paths, has_upper, namespace)
    }

    /// Opens layers: a path of each, and whether it gives data only.
    pub fn of_paths(
        paths: &[(PathBuf, bool)],
        has_upper: bool,
        namespace: Namespace,
    ) -> Result<Stack> {
        if paths.first().is_none_or(|(_, data)| *data) {
            bail!("there is no layer: name at least one, as in --layers UPPER:LOWER");
        }
        let layers: Result<Vec<Layer>> = paths
            .iter()
            .map(|(path, data)| Layer::open(path, *data))
            .collect();
        Ok(Stack {
            layers: layers?.into(),
            namespace,
            has_upper,
            skip: 0,
            open: false,
        })
    }

    /// The same stack without its first layer.
    pub fn below(&self) -> Stack {
        Stack {
            skip: self.skip.saturating_add(1),
            ..self.clone()
        }
    }

    /// The same stack, of which more layers are below.
    pub fn with_more_below(self) -> Stack {
        Stack { open: true, ..self }
    }

    /// How a layer is called: `upper`, or `lower` with the number by which counters call it.
    pub fn name(&self, layer: usize) -> String {
        match (self.has_upper, layer) {
            (true, 0) => "upper".into(),
            (true, layer) => format!("lower {}", layer.saturating_sub(1)),
            (false, layer) => format!("lower {layer}"),
        }
    }

    fn regular(&self) -> impl DoubleEndedIterator<Item = (usize, &Layer)> {
        let all = self.layers.iter().enumerate().skip(self.skip);
        all.filter(|(_, layer)| !layer.data)
    }

    fn is_last(&self, layer: usize) -> bool {
        let last = self.regular().next_back();
        !self.open && last.is_none_or(|(last, _)| last == layer)
    }

    /// The merged roots.
    pub fn root(&self) -> Result<Entry> {
        let mut parts = Vec::new();
        for (layer, at) in self.regular() {
            let object = at.find(b"")?.context("the root of a layer is gone")?;
            parts.push(Part { layer, object });
        }
        Ok(Entry {
            parts,
            missing: None,
        })
    }

    /// What is shown at a path: names with slashes between, without `..`.
    pub fn resolve(&self, names: &[&[u8]]) -> Result<Found> {
        let mut entry = self.root()?;
        for name in names {
            if !entry.is_dir() {
                return Ok(Found::Nothing);
            }
            match self.lookup(&entry, name)? {
                Found::Entry(found) => entry = found,
                other => return Ok(other),
            }
        }
        Ok(Found::Entry(entry))
    }

    /// What is shown by a name of a directory.
    pub fn lookup(&self, parent: &Entry, name: &[u8]) -> Result<Found> {
        self.lookup_on(parent, name).map(|(found, _)| found)
    }

    /// The same, and where the layers below would be asked.
    pub fn lookup_on(&self, parent: &Entry, name: &[u8]) -> Result<(Found, Rest)> {
        let mut walk = Walk {
            path: name.to_vec(),
            is_dir: false,
            metacopy: false,
            stop: false,
            whiteout: None,
        };
        let mut parts = Vec::new();
        for (layer, _) in self.regular() {
            if walk.stop {
                break;
            }
            let found = if walk.path.starts_with(b"/") {
                self.walk_path(layer, &mut walk)?
            } else if let Some(base) = parent.within(layer) {
                let step = walk.path.clone();
                let step = Step {
                    prefix: b"",
                    name: &step,
                    rest: b"",
                };
                self.step(layer, &base.object.path, step, &mut walk)?
            } else {
                None
            };
            parts.extend(found.map(|object| Part { layer, object }));
        }
        let mut entry = Entry {
            parts,
            missing: None,
        };
        if walk.metacopy {
            self.find_data(&walk, &mut entry)?;
        }
        let found = match walk.whiteout {
            _ if !entry.parts.is_empty() => Found::Entry(entry),
            Some(whiteout) => Found::Gone(whiteout),
            None => Found::Nothing,
        };
        let rest = Rest {
            path: walk.path,
            stop: walk.stop,
        };
        Ok((found, rest))
    }

    /// Walks a path from the root of a layer, name by name.
    fn walk_path(&self, layer: usize, walk: &mut Walk) -> Result<Option<Object>> {
        let mut progress = Progress::begin(&walk.path);
        let mut base = Vec::new();
        loop {
            // The walk may replace the path meanwhile, whose end stays the same.
            let path = walk.path.clone();
            let Some(step) = progress.next(&path) else {
                return Ok(None);
            };
            match self.step(layer, &base, step, walk)? {
                Some(object) if step.is_last() => return Ok(Some(object)),
                Some(object) => base = object.path,
                None => return Ok(None),
            }
        }
    }

    /// Looks for one name in a directory of a layer, and reads what its marks say of the layers below.
    fn step(
        &self,
        layer: usize,
        base: &[u8],
        step: Step<'_>,
        walk: &mut Walk,
    ) -> Result<Option<Object>> {
        let at = self.layers.get(layer).context("there is no such layer")?;
        let Some(object) = at.find(&join(base, step.name))? else {
            return Ok(None);
        };
        if object.is_whiteout(self.namespace)? {
            walk.stop = true;
            walk.whiteout = Some(Part { layer, object });
            return Ok(None);
        }
        if step.is_last() && walk.metacopy && !object.is_file() {
            walk.stop = true;
            return Ok(None);
        }
        if object.is_dir() {
            walk.is_dir |= step.is_last();
            if self.is_last(layer) {
                return Ok(Some(object));
            }
            let opaque = object.mark(self.namespace, Mark::Opaque)?;
            if DirMark::decode(opaque.as_deref()) == DirMark::Opaque {
                walk.stop = true;
                if step.is_last() {
                    return Ok(Some(object));
                }
            }
        } else {
            if walk.is_dir || !step.is_last() {
                walk.stop = true;
                return Ok(None);
            }
            walk.metacopy = object.is_file() && self.is_metacopy(&object)?;
            walk.stop = !walk.metacopy;
            if !walk.metacopy || self.is_last(layer) {
                return Ok(Some(object));
            }
        }
        self.follow(&object, step, walk)?;
        Ok(Some(object))
    }

    fn is_metacopy(&self, object: &Object) -> Result<bool> {
        let value = object.mark(self.namespace, Mark::Metacopy)?;
        let probed = value.map(|value| Metacopy::probe(value.len()));
        match probed {
            None => Ok(false),
            Some(Ok(_)) => Ok(true),
            Some(Err(bad)) => bail!("{}: {}", object.full, bad.reason()),
        }
    }

    /// Puts the redirect of an object, if it has one, in the place of what was walked.
    fn follow(&self, object: &Object, step: Step<'_>, walk: &mut Walk) -> Result<()> {
        let Some(value) = object.mark(self.namespace, Mark::Redirect)? else {
            return Ok(());
        };
        let mut buffer = vec![0; MAX_LEN];
        let path = Redirect::parse(&value)
            .and_then(|redirect| {
                walk.stop &= !redirect.is_absolute();
                redirect.join(step.prefix, step.rest, &mut buffer)
            })
            .map_err(|bad| {
                anyhow::anyhow!(
                    "{}: {}: remove the attribute {}",
                    object.full,
                    bad.reason(),
                    self.namespace.name(Mark::Redirect).to_string_lossy()
                )
            })?;
        walk.path = path.as_bytes().to_vec();
        Ok(())
    }

    /// Looks for the data of a metacopy in the layers that give data only.
    fn find_data(&self, walk: &Walk, entry: &mut Entry) -> Result<()> {
        let top = entry.top().map(|part| part.object.full.clone());
        let missing = format!(
            "{}: the data of the metacopy is in no layer below",
            top.unwrap_or_default()
        );
        if let Some(path) = walk.path.strip_prefix(b"/") {
            for (layer, at) in self.layers.iter().enumerate().filter(|(_, at)| at.data) {
                let Some(object) = at.find(path)? else {
                    continue;
                };
                if !object.is_file() {
                    break;
                }
                entry.parts.push(Part { layer, object });
                return Ok(());
            }
        }
        entry.missing = Some(missing);
        Ok(())
    }

    /// The names that a directory has in any of its layers, of whiteouts too.
    pub fn names(&self, directory: &Entry) -> Result<BTreeSet<Vec<u8>>> {
        let mut names = BTreeSet::new();
        for part in &directory.parts {
            let at = self
                .layers
                .get(part.layer)
                .context("there is no such layer")?;
            names.extend(at.names(&part.object.path)?);
        }
        Ok(names)
    }

    /// The names of a directory that the stack shows, and what it shows by them.
    pub fn list(&self, directory: &Entry) -> Result<Vec<(Vec<u8>, Entry)>> {
        let mut shown = Vec::new();
        for name in self.names(directory)? {
            if let Found::Entry(entry) = self.lookup(directory, &name)? {
                shown.push((name, entry));
            }
        }
        Ok(shown)
    }
}

/// A list of paths as one in the form of the option `lowerdir`: for a path that the user gave alone.
pub fn one(path: &Path) -> Vec<u8> {
    format::options::escaped(path.as_os_str().as_bytes()).collect()
}
