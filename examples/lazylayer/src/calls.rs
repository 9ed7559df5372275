// SPDX-License-Identifier: GPL-2.0-only

//! What the daemon is asked for, counted; and told in a file while it runs.

use std::fmt::Write;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};

/// How many requests of each kind reached the daemon.
#[derive(Default)]
pub struct Calls {
    pub lookup: AtomicU64,
    pub getattr: AtomicU64,
    pub readlink: AtomicU64,
    pub open: AtomicU64,
    pub read: AtomicU64,
    pub readdir: AtomicU64,
    pub getxattr: AtomicU64,
    pub listxattr: AtomicU64,
    pub statfs: AtomicU64,
}

pub fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Calls {
    /// A line for each kind, and for all together.
    pub fn lines(&self) -> String {
        let kinds = [
            ("lookup", &self.lookup),
            ("getattr", &self.getattr),
            ("readlink", &self.readlink),
            ("open", &self.open),
            ("read", &self.read),
            ("readdir", &self.readdir),
            ("getxattr", &self.getxattr),
            ("listxattr", &self.listxattr),
            ("statfs", &self.statfs),
        ];
        let counts = kinds.map(|(name, counter)| (name, counter.load(Ordering::Relaxed)));
        let mut text = format!("calls {}\n", counts.iter().map(|(_, n)| n).sum::<u64>());
        for (name, n) in counts {
            // To a string, that can't fail.
            let _ = writeln!(text, "{name} {n}");
        }
        text
    }
}

/// Puts a text into a file, all of it at once.
pub fn publish(path: &Path, text: &str) -> Result<()> {
    let new = path.with_extension("new");
    std::fs::write(&new, text).with_context(|| format!("{}", new.display()))?;
    std::fs::rename(&new, path).with_context(|| format!("{}", path.display()))
}
