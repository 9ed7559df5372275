// SPDX-License-Identifier: GPL-2.0-only

//! Names that were looked for in lower layers in vain, counted by the directory; and finalizing a directory that has many.

use super::event::Event;
use crate::mounts::Mount;
use crate::text::shown;
use crate::{finalize, live, Out};
use anyhow::{Context, Result};
use rustix::fs::{openat2, Mode, OFlags, ResolveFlags};
use rustix::time::{clock_gettime, ClockId};
use serde::Serialize;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

/// So many directories are remembered; beyond, those with the fewest misses are forgotten.
const MOST: usize = 100_000;

/// A directory, as events call it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Directory {
    dev: u64,
    ino: u64,
    /// From the root of the filesystem; empty: it is too long to be told.
    path: Vec<u8>,
}

#[derive(Default)]
struct Count {
    name: Vec<u8>,
    misses: u64,
    /// With so many it is finalized; 0: never.
    finalize_at: u64,
    /// When it was, in nanoseconds. What is told later of a time before does not count.
    finalized: u64,
}

pub struct Misses {
    mounts: Vec<Mount>,
    /// A directory is finalized after so many; 0: never.
    after: u64,
    found: HashMap<Directory, Count>,
    pub all: u64,
}

/// A line of the table.
#[derive(Serialize)]
struct Row {
    directory: String,
    inode: u64,
    misses: u64,
}

#[derive(Serialize)]
struct Table {
    misses: u64,
    lost_events: u64,
    directories: Vec<Row>,
}

#[derive(Serialize)]
struct Done {
    finalized: String,
    misses: u64,
    copied: u64,
}

impl Misses {
    pub fn new(mounts: Vec<Mount>, after: u64) -> Misses {
        Misses {
            mounts,
            after,
            found: HashMap::new(),
            all: 0,
        }
    }

    /// Counts an event, and finalizes the directory if it is time.
    pub fn count(&mut self, time: u64, event: &Event<'_>, out: &mut Out, json: bool) -> Result<()> {
        let (Some(dev), Some(ino)) = (event.number("dev"), event.number("dir")) else {
            return Ok(());
        };
        let path = event.text("path").unwrap_or_default().to_vec();
        let directory = Directory { dev, ino, path };
        let count = self.found.entry(directory.clone()).or_default();
        if count.misses == 0 {
            count.name = event.text("dir_name").unwrap_or_default().to_vec();
            count.finalize_at = self.after;
        }
        self.all = self.all.saturating_add(1);
        count.misses = count.misses.saturating_add(1);
        let misses = count.misses;
        if count.finalize_at != 0 && time < count.finalized {
            count.finalize_at = count.finalize_at.saturating_add(1);
        } else if misses == count.finalize_at {
            let done = self.finalize(&directory, misses, out, json);
            // If that comes to nothing, it would the next time as well.
            let next = done?.then(|| misses.saturating_add(self.after));
            if let Some(count) = self.found.get_mut(&directory) {
                count.finalize_at = next.unwrap_or_default();
                count.finalized = now();
            }
        }
        self.forget_some();
        Ok(())
    }

    fn forget_some(&mut self) {
        let mut least = 1;
        while self.found.len() > MOST {
            self.found.retain(|_, count| count.misses > least);
            least = least.saturating_mul(2);
        }
    }

    /// Finalizes a directory; returns whether that succeeded. If not, it is said.
    fn finalize(
        &self,
        directory: &Directory,
        misses: u64,
        out: &mut Out,
        json: bool,
    ) -> Result<bool> {
        let shown = self.name(directory, b"");
        let copied = match self.finalize_one(directory) {
            Ok(copied) => copied,
            Err(error) => {
                eprintln!("layerctl: {shown}: after {misses} misses: {error:#}");
                return Ok(false);
            }
        };
        if json {
            let done = Done {
                finalized: shown,
                misses,
                copied,
            };
            serde_json::to_writer(&mut *out, &done)?;
            writeln!(out)?;
        } else {
            let copied = finalize::count(copied, "object", "objects");
            writeln!(
                out,
                "{shown}: finalized after {misses} misses, {copied} copied to upper"
            )?;
        }
        Ok(true)
    }

    /// Returns how many objects were copied.
    fn finalize_one(&self, directory: &Directory) -> Result<u64> {
        let (mount, inside) = self
            .place(directory)
            .context("it has no path in the mount, and is not finalized")?;
        let point = Path::new(OsStr::from_bytes(&mount.point));
        let root = live::open(point)?;
        let path = match inside.strip_prefix(b"/") {
            Some(path) if !path.is_empty() => path,
            _ => b".",
        };
        // Who has made links or mounts there meanwhile leads us nowhere.
        let dir = openat2(
            &root,
            path,
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
            ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV,
        )
        .context("it can't be opened (was it renamed?), and is not finalized")?;
        let done = control::finalize(&dir, false, 0).map_err(|failed| {
            live::failed(
                point,
                "it can't be finalized",
                failed.error,
                finalize::MEANINGS,
            )
        })?;
        Ok(done.copied)
    }

    /// The mount that a directory is seen in, and its path from where that is mounted.
    fn place<'a>(&self, directory: &'a Directory) -> Option<(&Mount, &'a [u8])> {
        if directory.path.is_empty() {
            return None;
        }
        self.mounts.iter().find_map(|mount| {
            if directory.dev != mount.device {
                return None;
            }
            let root = mount.root.strip_suffix(b"/").unwrap_or(&mount.root);
            let inside = directory.path.strip_prefix(root)?;
            (inside.is_empty() || inside.starts_with(b"/")).then_some((mount, inside))
        })
    }

    /// What a directory is called for people.
    fn name(&self, directory: &Directory, name: &[u8]) -> String {
        if let Some((mount, inside)) = self.place(directory) {
            let point = mount.point.strip_suffix(b"/").unwrap_or(&mount.point);
            let full = [point, inside.strip_suffix(b"/").unwrap_or(inside)].concat();
            return shown(if full.is_empty() { b"/" } else { &full });
        }
        let on = device(directory.dev);
        if directory.path.is_empty() {
            format!("{} (inode {} on {on})", shown(name), directory.ino)
        } else {
            format!("{} (on {on})", shown(&directory.path))
        }
    }

    /// Prints the directories with the most misses.
    pub fn tell(&self, out: &mut Out, top: usize, lost: u64, json: bool) -> Result<()> {
        let mut rows: Vec<Row> = self
            .found
            .iter()
            .map(|(directory, count)| Row {
                directory: self.name(directory, &count.name),
                inode: directory.ino,
                misses: count.misses,
            })
            .collect();
        rows.sort_by(|a, b| (b.misses, &a.directory).cmp(&(a.misses, &b.directory)));
        let left = rows.split_off(top.min(rows.len()));
        if json {
            let table = Table {
                misses: self.all,
                lost_events: lost,
                directories: rows,
            };
            serde_json::to_writer(&mut *out, &table)?;
            writeln!(out)?;
            return Ok(());
        }
        writeln!(out, "{:>10}  directory", "misses")?;
        for row in &rows {
            writeln!(out, "{:>10}  {}", row.misses, row.directory)?;
        }
        if !left.is_empty() {
            let misses: u64 = left.iter().map(|row| row.misses).sum();
            let more = finalize::count(left.len() as u64, "directory", "directories");
            writeln!(out, "{misses:>10}  in {more} more")?;
        }
        Ok(())
    }
}

/// The time by the clock of the events.
fn now() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    Duration::try_from(now)
        .ok()
        .and_then(|now| u64::try_from(now.as_nanos()).ok())
        .unwrap_or_default()
}

/// The numbers of a device, as events have them.
pub fn device(dev: u64) -> String {
    format!("{}:{}", dev >> 20, dev & 0xf_ffff)
}

#[cfg(test)]
mod tests {
    use super::super::event::Value;
    use super::*;
    use crate::mounts;

    fn misses() -> Misses {
        let info =
            b"30 22 0:40 / /mnt rw - layerfs none rw\n31 22 0:41 /sub / rw - layerfs none rw\n";
        Misses::new(mounts::parse(info), 0)
    }

    fn miss(misses: &mut Misses, dev: u64, dir: u64, path: &str) {
        let event = Event {
            name: "lookup_negative",
            fields: vec![
                ("dev", Value::Number(dev)),
                ("dir", Value::Number(dir)),
                ("dir_name", Value::Text(b"n".to_vec())),
                ("path", Value::Text(path.into())),
            ],
        };
        let mut out: Out = Box::new(std::io::sink());
        misses.count(0, &event, &mut out, false).unwrap();
    }

    #[test]
    fn names_of_directories() {
        let mut m = misses();
        for (dev, path, expected) in [
            (40, "/", "/mnt"),
            (40, "/a/b", "/mnt/a/b"),
            (40, "", "n (inode 7 on 0:40)"),
            (41, "/sub", "/"),
            (41, "/sub/x", "/x"),
            (41, "/subway", "/subway (on 0:41)"),
            ((1 << 20) | 3, "/a", "/a (on 1:3)"),
        ] {
            let directory = Directory {
                dev,
                ino: 7,
                path: path.into(),
            };
            assert_eq!(m.name(&directory, b"n"), expected);
            miss(&mut m, dev, 7, path);
        }
        assert!(m.all == 7 && m.found.len() == 7);
    }

    #[test]
    fn memory_is_bounded() {
        let mut m = misses();
        for _ in 0..3 {
            miss(&mut m, 40, 1, "/often");
        }
        for ino in 0..=MOST as u64 {
            miss(&mut m, 40, ino, "/once");
        }
        assert_eq!(m.found.len(), 2);
        assert_eq!(m.all, MOST as u64 + 4);
    }
}
