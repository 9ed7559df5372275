// SPDX-License-Identifier: GPL-2.0-only

//! The ring buffer of one processor (`trace_pipe_raw`), whose form is in the kernel's `Documentation/trace/ring-buffer-map.rst`
//! and `events/header_page`, `events/header_event`.

use super::event::unsigned;
use anyhow::{Context, Result};
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

/// The most pages that are read at a time, so that signals are heard, and others come to their turn.
const MOST_PAGES: usize = 256;
/// What of the length of a page is its length, and what is said else there.
const LENGTH: u64 = (1 << 20) - 1;
const MISSED: u64 = 1 << 31;
const MISSED_STORED: u64 = 1 << 30;

/// Where things are in a page.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// Where its length is, and how many bytes that takes.
    commit: (usize, usize),
    /// Where events begin, and how much room they have.
    data: (usize, usize),
}

impl Page {
    /// Reads the text of `header_page`.
    pub fn parse(text: &str) -> Result<Page> {
        let field = |name: &str| -> Option<(usize, usize)> {
            let line = text
                .lines()
                .find(|line| line.contains(&format!(" {name};")))?;
            let number = |name: &str| -> Option<usize> {
                let (_, rest) = line.split_once(name)?;
                rest.split(';').next()?.trim().parse().ok()
            };
            Some((number("offset:")?, number("size:")?))
        };
        let what = || "the kernel's event pages have a form that is not known here";
        Ok(Page {
            commit: field("commit").with_context(what)?,
            data: field("data").with_context(what)?,
        })
    }

    /// Tells `each` of the events of a page, with their times in nanoseconds; returns how many were lost before it.
    fn events(&self, bytes: &[u8], each: &mut impl FnMut(u64, &[u8])) -> Option<u64> {
        let (at, size) = self.commit;
        let commit = unsigned(bytes.get(at..at.checked_add(size)?)?)?;
        let mut time = unsigned(bytes.get(..8)?)?;
        let data = bytes.get(self.data.0..)?;
        let len = (commit & LENGTH) as usize;
        let lost = match (commit & MISSED != 0, commit & MISSED_STORED != 0) {
            (false, _) => 0,
            (true, false) => 1,
            (true, true) => unsigned(data.get(len..)?.get(..8)?)?,
        };
        let mut rest = data.get(..len)?;
        while let Some(entry) = next(rest) {
            match entry.delta {
                Delta::Plus(delta) => time = time.wrapping_add(delta),
                // The topmost bits are those of the time before.
                Delta::Absolute(now) => time = now | (time & !((1 << 59) - 1)),
            }
            if let Some(event) = entry.event {
                each(time, event);
            }
            rest = entry.rest;
        }
        Some(lost)
    }
}

enum Delta {
    Plus(u64),
    Absolute(u64),
}

/// What is in a page: an event, or something about the time or the page.
struct Entry<'a> {
    delta: Delta,
    event: Option<&'a [u8]>,
    /// What comes after it.
    rest: &'a [u8],
}

/// The first entry of what there is. `None`: there is none, or it is longer than can be.
fn next(bytes: &[u8]) -> Option<Entry<'_>> {
    let word = |at: usize| Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk::<4>()?));
    let head = word(0)?;
    // Bit fields are in the order of bytes of the machine.
    let (kind, delta) = if cfg!(target_endian = "little") {
        (head & 31, head >> 5)
    } else {
        (head >> 27, head & ((1 << 27) - 1))
    };
    let plus = Delta::Plus(delta.into());
    let long = |upper: u32| (u64::from(upper) << 27) | u64::from(delta);
    let entry = |delta, event, end: usize| {
        let rest = bytes.get(end..)?;
        Some(Entry { delta, event, rest })
    };
    match kind {
        // The length is a word of its own, which counts itself.
        0 => {
            let end = (word(4)? as usize).checked_add(4)?;
            entry(plus, Some(bytes.get(8..end)?), end.next_multiple_of(4))
        }
        1..=28 => {
            let end = 4 + 4 * kind as usize;
            entry(plus, Some(bytes.get(4..end)?), end)
        }
        // The rest of the page, or an event that was taken back.
        29 if delta == 0 => None,
        29 => entry(plus, None, (word(4)? as usize).checked_add(4)?),
        30 => entry(Delta::Plus(long(word(4)?)), None, 8),
        _ => entry(Delta::Absolute(long(word(4)?)), None, 8),
    }
}

/// The events of one processor.
pub struct Ring {
    file: File,
    page: Page,
    buffer: Vec<u8>,
}

impl Ring {
    /// Opens `trace_pipe_raw`.
    pub fn open(path: &Path, page: Page) -> Result<Ring> {
        let flags =
            rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::CLOEXEC;
        let file = rustix::fs::open(path, flags, rustix::fs::Mode::empty())
            .with_context(|| format!("{}: can't be read", path.display()))?;
        Ok(Ring {
            file: file.into(),
            page,
            buffer: vec![0; page.data.0.saturating_add(page.data.1)],
        })
    }

    /// Tells `each` of the events that are there; returns how many were lost.
    pub fn drain(&mut self, mut each: impl FnMut(u64, &[u8])) -> Result<u64> {
        let mut lost = 0u64;
        for _ in 0..MOST_PAGES {
            let len = match self.file.read(&mut self.buffer) {
                Ok(0) => break,
                Ok(len) => len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => break,
                Err(error) => return Err(error).context("events can't be read"),
            };
            let page = self.buffer.get(..len).unwrap_or_default();
            let missed = self
                .page
                .events(page, &mut each)
                .context("the kernel's event pages have a form that is not known here")?;
            lost = lost.saturating_add(missed);
        }
        Ok(lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::event::tests::event;

    const HEADER: &str = "\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;\n\
        \tfield: local_t commit;\toffset:8;\tsize:8;\tsigned:1;\n\
        \tfield: int overwrite;\toffset:8;\tsize:1;\tsigned:1;\n\
        \tfield: char data;\toffset:16;\tsize:4080;\tsigned:0;\n";

    fn head(kind: u32, delta: u32) -> [u8; 4] {
        (kind | (delta << 5)).to_ne_bytes()
    }

    /// A page with entries of every kind.
    fn page(flags: u64) -> Vec<u8> {
        let (one, two) = (event(1, 0, b"one"), event(2, 0, &[b'x'; 200]));
        let mut data = Vec::new();
        data.extend(head(one.len() as u32 / 4, 5));
        data.extend(&one);
        data.extend(head(30, 1));
        data.extend(2u32.to_ne_bytes());
        data.extend(head(29, 7));
        data.extend(8u32.to_ne_bytes());
        data.extend([0xff; 4]);
        data.extend(head(0, 3));
        data.extend((two.len() as u32 + 4).to_ne_bytes());
        data.extend(&two);
        data.extend(head(31, 9));
        data.extend(100u32.to_ne_bytes());
        data.extend(head(one.len() as u32 / 4, 1));
        data.extend(&one);
        let mut page = 1000u64.to_ne_bytes().to_vec();
        page.extend((data.len() as u64 | flags).to_ne_bytes());
        page.extend(&data);
        page.extend(17u64.to_ne_bytes());
        page
    }

    fn read(bytes: &[u8]) -> (Option<u64>, Vec<(u64, usize)>) {
        let mut found = Vec::new();
        let form = Page::parse(HEADER).unwrap();
        let lost = form.events(bytes, &mut |time, event| found.push((time, event.len())));
        (lost, found)
    }

    #[test]
    fn pages() {
        let two = event(2, 0, &[b'x'; 200]).len();
        let one = event(1, 0, b"one").len();
        let after = 1005 + ((2 << 27) | 1) + 7 + 3;
        let events = vec![(1005, one), (after, two), (((100 << 27) | 9) + 1, one)];
        assert_eq!(read(&page(0)), (Some(0), events.clone()));
        assert_eq!(read(&page(MISSED)), (Some(1), events.clone()));
        assert_eq!(read(&page(MISSED | MISSED_STORED)), (Some(17), events));
        assert!(Page::parse("").is_err());
    }

    #[test]
    fn damaged_pages() {
        let whole = page(0);
        for len in 0..whole.len() {
            read(&whole[..len]);
        }
        for at in 8..whole.len() {
            let mut bad = whole.clone();
            for value in [0, 0xff, 29, 30, 31, 0x80] {
                bad[at] = value;
                read(&bad);
            }
        }
    }
}
