// SPDX-License-Identifier: GPL-2.0-only

//! Mounts of stacks, as /proc/self/mountinfo and /proc/self/mountstats tell of them.

use crate::stack::Stack;
use crate::text::{names, shown};
use anyhow::{bail, Context, Result};
use format::options::{split_lowerdirs, split_monolithic, unescape, Key, Takes};
use format::xattr::Namespace;
use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// A mount, of whatever type.
#[derive(Clone, Debug)]
pub struct Mount {
    /// The device of the filesystem, as the kernel has it within: the major number, and 20 bits of the minor one.
    pub device: u64,
    /// What of the filesystem is mounted: a path within it.
    pub root: Vec<u8>,
    /// Where it is mounted.
    pub point: Vec<u8>,
    pub fstype: String,
    pub source: Vec<u8>,
    /// The options of the mount, and those of the filesystem as they are written there.
    pub mount_options: String,
    pub options: Vec<u8>,
}

/// An option of a filesystem.
#[derive(Clone, Debug)]
pub struct Shown {
    pub key: String,
    pub value: Option<Vec<u8>>,
}

impl Mount {
    /// Whether it shows layers.
    pub fn is_stack(&self) -> bool {
        self.fstype == "layerfs" || self.fstype == "overlay"
    }

    /// The options of the filesystem, each value as it was given.
    pub fn shown(&self) -> Vec<Shown> {
        split_monolithic(&self.options)
            .map(|option| Shown {
                key: shown(option.key),
                value: option.value.map(unoctal),
            })
            .collect()
    }

    pub fn namespace(&self) -> Namespace {
        if self
            .shown()
            .iter()
            .any(|option| option.key == Key::Userxattr.name())
        {
            Namespace::User
        } else {
            Namespace::Trusted
        }
    }

    /// The paths of the layers, upper first, whether each is data-only, and whether there is an upper one.
    pub fn layers(&self) -> Result<(Vec<(PathBuf, bool)>, bool)> {
        let (mut upper, mut lower) = (None, Vec::new());
        for option in self.shown() {
            let key = Key::parse(option.key.as_bytes());
            let value = option.value.unwrap_or_default();
            match key {
                Some(Key::Upperdir) => upper = Some((plain(&value)?, false)),
                Some(Key::LowerdirAdd) => lower.push((path(&value), false)),
                Some(Key::DatadirAdd) => lower.push((path(&value), true)),
                Some(Key::Lowerdir) => {
                    for item in split_lowerdirs(&value) {
                        let item = item.map_err(|bad| anyhow::anyhow!("{}", bad.reason()))?;
                        lower.push((plain(item.path)?, item.data));
                    }
                }
                _ => {}
            }
        }
        let has_upper = upper.is_some();
        Ok((upper.into_iter().chain(lower).collect(), has_upper))
    }

    /// The path of workdir, if it has one.
    pub fn workdir(&self) -> Option<PathBuf> {
        let shown = self.shown();
        let option = shown
            .iter()
            .find(|option| option.key == Key::Workdir.name())?;
        plain(option.value.as_deref()?).ok()
    }

    /// Opens the layers.
    pub fn stack(&self) -> Result<Stack> {
        let (paths, has_upper) = self.layers()?;
        if let Some((path, _)) = paths.iter().find(|(path, _)| !path.is_absolute()) {
            bail!(
                "{}: the layer {} was mounted by a relative path, and from where is not known: give the layers with --layers",
                shown(&self.point),
                path.display()
            );
        }
        Stack::of_paths(&paths, has_upper, self.namespace()).with_context(|| {
            format!("{}: the layers of the mount; if they are called otherwise here, give them with --layers", shown(&self.point))
        })
    }
}

/// The value of an option that takes escapes, as a path.
fn plain(value: &[u8]) -> Result<PathBuf> {
    let mut buffer = vec![0; value.len()];
    let value = unescape(value, &mut buffer)
        .map_err(|bad| anyhow::anyhow!("{}: {}", shown(value), bad.reason()))?;
    Ok(path(value))
}

fn path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(bytes))
}

/// Takes the form `\NNN` out, in which the kernel shows what would end a field.
pub fn unoctal(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    let mut rest = text;
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        let code = tail.first_chunk::<3>().and_then(|digits| {
            let digits = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(digits, 8).ok()
        });
        match code {
            Some(byte) if *first == b'\\' => {
                plain.push(byte);
                rest = tail.get(3..).unwrap_or_default();
            }
            _ => plain.push(*first),
        }
    }
    plain
}

/// Every mount of a text in the form of /proc/self/mountinfo; lines of another form are passed over.
pub fn parse(text: &[u8]) -> Vec<Mount> {
    text.split(|byte| *byte == b'\n')
        .filter_map(parse_line)
        .collect()
}

fn parse_line(line: &[u8]) -> Option<Mount> {
    let fields: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
    let dash = fields
        .iter()
        .skip(6)
        .position(|field| *field == b"-")?
        .checked_add(6)?;
    let field = |at: usize| fields.get(at).copied();
    let after = |more: usize| field(dash.checked_add(more)?);
    let (major, minor) = std::str::from_utf8(field(2)?).ok()?.split_once(':')?;
    Some(Mount {
        device: major.parse::<u64>().ok()?.checked_shl(20)? | minor.parse::<u64>().ok()?,
        root: unoctal(field(3)?),
        point: unoctal(field(4)?),
        mount_options: shown(field(5)?),
        fstype: shown(after(1)?),
        source: unoctal(after(2)?),
        options: after(3).unwrap_or_default().to_vec(),
    })
}

/// All mounts of this process.
pub fn all() -> Result<Vec<Mount>> {
    let file = "/proc/self/mountinfo";
    let text = std::fs::read(file).with_context(|| format!("{file}: is /proc mounted?"))?;
    Ok(parse(&text))
}

/// The path from where a mount is, if it holds the path.
fn within(mount: &Mount, path: &[u8]) -> Option<Vec<u8>> {
    if mount.point == b"/" {
        return Some(path.to_vec());
    }
    let rest = path.strip_prefix(mount.point.as_slice())?;
    (rest.is_empty() || rest.starts_with(b"/")).then(|| rest.to_vec())
}

/// The mount that a path is in, of whatever type. The path has no links.
pub fn holding<'a>(mounts: &'a [Mount], path: &Path) -> Option<&'a Mount> {
    // Of several on one place the last one is seen.
    mounts
        .iter()
        .filter(|mount| within(mount, path.as_os_str().as_bytes()).is_some())
        .max_by_key(|mount| mount.point.len())
}

/// The mount that a path is in, and the path within its filesystem.
pub fn of_path(mounts: &[Mount], path: &Path) -> Result<(Mount, Vec<u8>)> {
    let mount =
        holding(mounts, path).with_context(|| format!("{}: is in no mount", path.display()))?;
    if !mount.is_stack() {
        bail!(
            "{}: is on {}, mounted on {}, which has no layers: name a path in a mount of layerfs or overlay, or give the layers with --layers",
            path.display(),
            mount.fstype,
            shown(&mount.point)
        );
    }
    let mut inside = mount.root.clone();
    inside.push(b'/');
    inside.extend(within(mount, path.as_os_str().as_bytes()).unwrap_or_default());
    Ok((mount.clone(), inside))
}

/// The stack that a path is in, or all stacks.
pub fn chosen(all: &[Mount], path: Option<&Path>) -> Result<Vec<Mount>> {
    let Some(path) = path else {
        let stacks = all.iter().filter(|mount| mount.is_stack());
        return Ok(stacks.cloned().collect());
    };
    let full = path
        .canonicalize()
        .with_context(|| format!("{}: can't be found: name a path in a mount", path.display()))?;
    Ok(vec![of_path(all, &full)?.0])
}

/// A path without links but perhaps the last name, which need not be there.
pub fn absolute(path: &Path) -> Result<PathBuf> {
    let fail = || format!("{}: the directory it is in can't be found", path.display());
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => {
            let parent = if parent.as_os_str().is_empty() {
                Path::new(".")
            } else {
                parent
            };
            Ok(parent.canonicalize().with_context(fail)?.join(name))
        }
        _ => path.canonicalize().with_context(fail),
    }
}

/// The names on the way to a path within a stack.
pub fn way(path: &[u8]) -> Result<Vec<Vec<u8>>> {
    let names = names(path).with_context(|| {
        format!(
            "{}: '..' can't be followed here: name the path without it",
            shown(path)
        )
    })?;
    Ok(names.into_iter().map(<[u8]>::to_vec).collect())
}

/// The counters of a mount, of a text in the form of /proc/self/mountstats.
pub fn counters(text: &[u8], point: &[u8]) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    let mut here = false;
    for line in text.split(|byte| *byte == b'\n') {
        if line.starts_with(b"device ") || line.starts_with(b"no device ") {
            let fields: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
            let at = fields.iter().position(|field| *field == b"on");
            let place = at.and_then(|at| fields.get(at.checked_add(1)?));
            here = place.is_some_and(|place| unoctal(place) == point);
            if here {
                // A mount on top of another one is the one that is seen.
                found.clear();
            }
        } else if here {
            let line = shown(line.trim_ascii());
            if let Some((name, number)) = line.split_once(": ") {
                found.extend(number.parse().ok().map(|number| (name.to_owned(), number)));
            }
        }
    }
    found
}

/// Whether an option names layers.
pub fn names_layers(key: &str) -> bool {
    Key::parse(key.as_bytes()).is_some_and(|key| {
        key != Key::Workdir && matches!(key.takes(), Takes::Paths | Takes::Path { .. })
    })
}

/// A path as the bytes that it is.
pub fn bytes(path: PathBuf) -> Vec<u8> {
    path.into_os_string().into_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: &[u8] = b"22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/vda rw\n\
        garbage\n\
        30 22 0:40 / /mnt\\040a rw,relatime - layerfs layerfs rw,lowerdir=/l\\134:1:/l2::/d\\054x,upperdir=/up,workdir=/wo,userxattr\n\
        31 22 0:41 /sub /mnt/b rw - overlay overlay rw,lowerdir+=/a:b,datadir+=/c\n";

    #[test]
    fn layers_of_mounts() {
        let mounts = parse(INFO);
        assert_eq!(mounts.len(), 3);
        let (mount, inside) = of_path(&mounts, Path::new("/mnt a/x/y")).unwrap();
        assert_eq!(way(&inside).unwrap(), [b"x", b"y"]);
        assert_eq!(mount.device, 40);
        let (layers, has_upper) = mount.layers().unwrap();
        let layers: Vec<_> = layers
            .iter()
            .map(|(p, d)| (p.to_str().unwrap(), *d))
            .collect();
        assert_eq!(
            layers,
            [
                ("/up", false),
                ("/l:1", false),
                ("/l2", false),
                ("/d,x", true)
            ]
        );
        assert!(has_upper);
        assert_eq!(mount.namespace(), Namespace::User);
        assert_eq!(mount.workdir(), Some("/wo".into()));

        let (mount, inside) = of_path(&mounts, Path::new("/mnt/b")).unwrap();
        assert_eq!(way(&inside).unwrap(), [b"sub"]);
        let (layers, has_upper) = mount.layers().unwrap();
        assert_eq!(layers, [("/a:b".into(), false), ("/c".into(), true)]);
        assert!(!has_upper);
        let error = of_path(&mounts, Path::new("/mnt/bc"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("is on ext4, mounted on /"), "{error}");
    }

    #[test]
    fn counters_of_the_mount_on_top() {
        let text = b"device x mounted on /mnt with fstype layerfs statvers=1.0\n\tlookups_0: 1\n\
            device y mounted on /mnt with fstype layerfs statvers=1.0\n\tlookups_0: 7\n\todd\n\tbad: x\n\
            device z mounted on /other with fstype layerfs statvers=1.0\n\tlookups_0: 9\n";
        assert_eq!(counters(text, b"/mnt"), [("lookups_0".to_owned(), 7)]);
        assert_eq!(counters(text, b"/none"), []);
    }
}
