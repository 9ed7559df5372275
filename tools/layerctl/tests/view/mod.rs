// SPDX-License-Identifier: GPL-2.0-only

//! What layers show when they are stacked, read by code of the tests' own, which has nothing of the tool's; and random layers.
//! It follows "When marks are read" in `Documentation/on-disk-format.rst`, and knows marks in `user.overlay.*` only.

#![allow(dead_code)]

use crate::common::Tree;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// What a stack shows by each path: all that stat and the attributes tell, the data, and which names are of one file.
pub type View = BTreeMap<String, String>;

pub fn mark(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut value = [0; 300];
    let name = format!("user.overlay.{name}");
    let len = rustix::fs::lgetxattr(path, name, &mut value[..]).ok()?;
    Some(value[..len].to_vec())
}

fn text(path: &Path, name: &str) -> Option<String> {
    mark(path, name).map(|value| String::from_utf8(value).unwrap())
}

fn is_whiteout(path: &Path) -> bool {
    let about = path.symlink_metadata().unwrap();
    let kind = about.file_type();
    kind.is_char_device() && about.rdev() == 0
        || kind.is_file() && about.len() == 0 && mark(path, "whiteout").is_some()
}

/// The names that are shown of each file that has several.
type Inodes = BTreeMap<(u64, u64), Vec<String>>;

struct Layers(Vec<PathBuf>);

/// A directory or file of the stack: its places from the top, with the layer of each.
type Places = Vec<(usize, PathBuf)>;

/// How a walk goes on below.
struct Way {
    next: String,
    ends: bool,
    seen_dir: bool,
    wants_data: bool,
}

impl Layers {
    /// One step in a layer: what is there, unless it is hidden or cannot be merged.
    fn step(
        &self,
        layer: usize,
        dir: &Path,
        name: &str,
        rest: &str,
        before: &str,
        way: &mut Way,
    ) -> Option<PathBuf> {
        let path = dir.join(name);
        let about = path.symlink_metadata().ok()?;
        let is_last = rest.is_empty();
        if is_whiteout(&path) || is_last && way.wants_data && !about.is_file() {
            way.ends = true;
            return None;
        }
        if !about.is_dir() {
            if way.seen_dir || !is_last {
                way.ends = true;
                return None;
            }
            way.wants_data = about.is_file() && mark(&path, "metacopy").is_some();
            way.ends = !way.wants_data;
        } else if is_last {
            way.seen_dir = true;
        }
        if layer + 1 == self.0.len() || !about.is_dir() && !way.wants_data {
            return Some(path);
        }
        if about.is_dir() && mark(&path, "opaque").as_deref() == Some(b"y") {
            way.ends = true;
            if is_last {
                return Some(path);
            }
        }
        if let Some(redirect) = text(&path, "redirect") {
            if redirect.starts_with('/') {
                way.ends = false;
                way.next = format!("{redirect}{rest}");
            } else {
                way.next = format!("{before}{redirect}{rest}");
            }
        }
        Some(path)
    }

    fn lookup(&self, parent: &Places, name: &str) -> (Places, bool) {
        let mut way = Way {
            next: name.into(),
            ends: false,
            seen_dir: false,
            wants_data: false,
        };
        let mut places = Vec::new();
        for (layer, root) in self.0.iter().enumerate() {
            if way.ends {
                break;
            }
            let found = if way.next.starts_with('/') {
                let path = way.next.clone();
                let mut dir = root.clone();
                let mut found = None;
                let mut end = 0;
                // The names are those that the path had at the start; what follows is read anew, as a redirect changes what is before.
                for part in path.split('/').skip(1) {
                    let before = end;
                    end += 1 + part.len();
                    let rest = &path[end..];
                    let kept = way.next[..way.next.len() - (path.len() - before)].to_owned() + "/";
                    found = self.step(layer, &dir, part, rest, &kept, &mut way);
                    match &found {
                        Some(path) => dir = path.clone(),
                        None => break,
                    }
                }
                found
            } else {
                let here = parent.iter().find(|(at, _)| *at == layer);
                let next = way.next.clone();
                here.and_then(|(_, dir)| self.step(layer, dir, &next, "", "", &mut way))
            };
            places.extend(found.map(|path| (layer, path)));
        }
        (places, way.wants_data)
    }

    fn walk(&self, path: &str, dir: &Places, inodes: &mut Inodes, view: &mut View) {
        let mut names = BTreeSet::new();
        for (_, place) in dir {
            for entry in fs::read_dir(place).unwrap() {
                names.insert(entry.unwrap().file_name().into_string().unwrap());
            }
        }
        for name in names {
            let (places, lacks_data) = self.lookup(dir, &name);
            let Some((_, top)) = places.first() else {
                continue;
            };
            let path = format!("{path}/{name}");
            view.insert(
                path.clone(),
                describe(top, &places, lacks_data, &path, inodes),
            );
            if top.symlink_metadata().unwrap().is_dir() {
                self.walk(&path, &places, inodes, view);
            }
        }
    }
}

fn describe(
    top: &Path,
    places: &Places,
    lacks_data: bool,
    path: &str,
    inodes: &mut Inodes,
) -> String {
    let about = top.symlink_metadata().unwrap();
    let kind = about.file_type();
    let what = if kind.is_symlink() {
        fs::read_link(top).unwrap().display().to_string()
    } else if lacks_data {
        "NO DATA".into()
    } else if kind.is_file() {
        let data = fs::read(&places.last().unwrap().1).unwrap();
        assert_eq!(data.len() as u64, about.len(), "{}", top.display());
        let data = String::from_utf8(data).unwrap();
        // A directory may be shown at two places by redirects: a file in it has one name all the same.
        if about.nlink() > 1 {
            let data = places.last().unwrap().1.metadata().unwrap().ino();
            let names = inodes.entry((about.ino(), data)).or_default();
            names.push(path.into());
        }
        data
    } else {
        format!("{}", about.rdev())
    };
    let mut attributes = String::new();
    for name in ["user.a", "user.b", "user.overlay.overlay.c"] {
        let mut value = [0; 100];
        if let Ok(len) = rustix::fs::lgetxattr(top, name, &mut value[..]) {
            attributes += &format!(" {name}={:?}", &value[..len]);
        }
    }
    let (mode, uid, gid) = (about.mode(), about.uid(), about.gid());
    let (time, part) = (about.mtime(), about.mtime_nsec());
    format!("{what} {mode:o} {uid}:{gid} {time}.{part}{attributes}")
}

/// What layers show, from the top.
pub fn view(t: &Tree, layers: &[&str]) -> View {
    let layers = Layers(layers.iter().map(|layer| t.path(layer)).collect());
    let root: Places = layers.0.iter().cloned().enumerate().collect();
    let mut view = View::new();
    let mut inodes = Inodes::new();
    view.insert(
        String::new(),
        describe(&layers.0[0], &root, false, "", &mut inodes),
    );
    layers.walk("", &root, &mut inodes, &mut view);
    for names in inodes.values().filter(|names| names.len() > 1) {
        for name in names {
            *view.get_mut(name).unwrap() += &format!(", of {}", names[0]);
        }
    }
    view
}

/// The first difference between two views, if there is one.
pub fn difference(one: &View, other: &View) -> Option<String> {
    let paths: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    let differs = paths
        .into_iter()
        .find(|path| one.get(*path) != other.get(*path))?;
    Some(format!(
        "{differs}: {:?}, then {:?}",
        one.get(differs),
        other.get(differs)
    ))
}

/// Numbers that look random, the same ones for the same seed.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % limit
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
}

/// Makes a layer. Every file has four bytes, so that any of them can be the data of any metacopy.
pub fn random_layer(t: &Tree, layer: &str, random: &mut Random) {
    let names = ["a", "b", "c"];
    let mut dirs = vec![layer.to_owned()];
    let mut files: Vec<String> = Vec::new();
    t.dir(layer);
    let mut at = 0;
    while at < dirs.len() {
        let dir = dirs[at].clone();
        at += 1;
        for name in names {
            let path = format!("{dir}/{name}");
            match random.below(20) {
                0..=6 if path.matches('/').count() < 5 => {
                    t.dir(&path);
                    random_directory_marks(t, &path, random);
                    dirs.push(path);
                }
                7..=8 => {
                    t.file(&path, random.pick(&["same", "four", "data"]).as_bytes());
                    files.push(path);
                }
                9 => {
                    t.file(&path, b"meta").mark(&path, "metacopy", b"");
                    if random.below(2) == 0 {
                        let to = random.pick(&["/a", "/b/c", "/c/a", "a", "b"]);
                        t.mark(&path, "redirect", to.as_bytes());
                    }
                    files.push(path);
                }
                10 | 11 => drop(t.whiteout(&path)),
                12 => drop(t.file(&path, b"").mark(&path, "whiteout", b"")),
                13 => {
                    std::os::unix::fs::symlink(random.pick(&["/etc", "a"]), t.path(&path)).unwrap()
                }
                14 if !files.is_empty() => {
                    let first = &files[random.below(files.len())];
                    fs::hard_link(t.path(first), t.path(&path)).unwrap();
                }
                _ => {}
            }
        }
    }
    for path in files.iter().chain(dirs.iter().rev()) {
        random_attributes(t, path, random);
    }
}

fn random_directory_marks(t: &Tree, path: &str, random: &mut Random) {
    match random.below(7) {
        0 => drop(t.mark(path, "opaque", b"y")),
        1 => drop(t.mark(path, "opaque", b"x")),
        2 | 3 => {
            let to = random.pick(&["/a", "/b", "/a/b", "/b/c", "/c/a/b", "a", "b", "c"]);
            t.mark(path, "redirect", to.as_bytes());
        }
        _ => {}
    }
}

fn random_attributes(t: &Tree, path: &str, random: &mut Random) {
    let full = t.path(path);
    let is_dir = full.is_dir();
    let mode =
        [[0o644, 0o604], [0o755, 0o750]][usize::from(is_dir)][usize::from(random.below(4) == 0)];
    if random.below(5) == 0 {
        t.xattr(
            path,
            random.pick(&["user.a", "user.b", "user.overlay.overlay.c"]),
            b"v",
        );
    }
    fs::set_permissions(&full, fs::Permissions::from_mode(mode)).unwrap();
    let seconds = 1_000_000_000 + (random.below(4) / 3) as u64;
    let time = SystemTime::UNIX_EPOCH + Duration::new(seconds, 123_456_789);
    fs::File::open(&full).unwrap().set_modified(time).unwrap();
}
