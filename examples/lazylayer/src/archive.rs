// SPDX-License-Identifier: GPL-2.0-only

//! The archive at the other end of the link. What came over it once is kept: it costs nothing the second time.
//!
//! Nothing is copied for that: the archive is a file of this machine, and what is kept is that a part of it has come.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::index::{Image, Ino, What};
use crate::link::Link;

/// A request is for so many bytes of a file.
const CHUNK: u64 = 4 << 20;

/// About how many bytes a name takes in the directory of an archive.
const NAME: u64 = 64;

/// Somebody who asked for something so short a time ago will ask for more.
const BUSY: Duration = Duration::from_millis(100);

/// For so long the filler does nothing then, at least.
const PAUSE: Duration = Duration::from_millis(20);

/// So many times as long as the filler worked, it does nothing then.
const REST: u32 = 9;

/// For no longer than this, however large what it made was.
const LONGEST_REST: Duration = Duration::from_secs(1);

/// Who asks for something.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// A program that waits for it.
    User,
    /// The filler, which takes one thing after the other.
    Filler,
}

pub struct Archive {
    file: File,
    pub image: Image,
    pub link: Link,
    /// For each node: whether the directory has come, and where its chunks begin.
    directories: Vec<OnceLock<()>>,
    first_chunks: Vec<usize>,
    chunks: Vec<OnceLock<()>>,
    begin: Instant,
    /// When somebody last asked for something, in milliseconds since `begin`.
    asked: AtomicU64,
}

impl Archive {
    pub fn open(path: &Path, link: Link) -> Result<Archive> {
        let mut file = File::open(path).with_context(|| format!("{}", path.display()))?;
        let image = Image::read(&mut file).with_context(|| format!("{}", path.display()))?;
        let mut first_chunks = Vec::with_capacity(image.len());
        let mut count = 0usize;
        for node in image.nodes() {
            first_chunks.push(count);
            if let What::File { size, .. } = node.what {
                count = count.saturating_add(usize::try_from(size.div_ceil(CHUNK))?);
            }
        }
        Ok(Archive {
            file,
            directories: image.nodes().map(|_| OnceLock::new()).collect(),
            image,
            link,
            first_chunks,
            chunks: (0..count).map(|_| OnceLock::new()).collect(),
            begin: Instant::now(),
            asked: AtomicU64::new(0),
        })
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begin.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Called by the filler between two objects, the last of which took it as long as `worked`: programs that wait for something
    /// have the link and the processor first. It is slowed down, to a tenth of the time, and not stopped, as a program may ask for
    /// ever.
    pub fn give_way(&self, worked: Duration) {
        let rest = worked.saturating_mul(REST).clamp(PAUSE, LONGEST_REST);
        let begin = Instant::now();
        while self.is_asked() && begin.elapsed() < rest {
            sleep(PAUSE);
        }
    }

    /// A program asked for something not long ago.
    fn is_asked(&self) -> bool {
        let asked = self.asked.load(Ordering::Relaxed);
        self.now().saturating_sub(asked) < BUSY.as_millis() as u64
    }

    /// A program asked for something.
    pub fn note_user(&self) {
        self.asked.store(self.now(), Ordering::Relaxed);
    }

    fn come(&self, here: &OnceLock<()>, bytes: u64, who: Who) {
        // Who asks for what is on its way already waits until it has come.
        here.get_or_init(|| match who {
            Who::User => self.link.fetch(bytes),
            Who::Filler => self.link.stream(bytes),
        });
    }

    /// The names of a directory have come when this returns.
    pub fn directory(&self, ino: Ino, who: Who) {
        if let (Some(here), Some(names)) = (self.directories.get(ino), self.image.names(ino)) {
            self.come(here, (names.len() as u64).saturating_mul(NAME), who);
        }
    }

    /// Up to `length` bytes of a file.
    pub fn read(&self, ino: Ino, offset: u64, length: usize, who: Who) -> io::Result<Vec<u8>> {
        let Some(What::File {
            offset: begin,
            size,
        }) = self.image.node(ino).map(|node| &node.what)
        else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let length = size.saturating_sub(offset).min(length as u64);
        if length == 0 {
            return Ok(Vec::new());
        }
        let first = self.first_chunks.get(ino).copied().unwrap_or_default();
        for chunk in offset / CHUNK..=(offset + length - 1) / CHUNK {
            if let Some(here) = self.chunks.get(first + chunk as usize) {
                self.come(here, CHUNK.min(size - chunk * CHUNK), who);
            }
        }
        let mut bytes = vec![0; length as usize];
        self.file.read_exact_at(&mut bytes, begin + offset)?;
        Ok(bytes)
    }
}
