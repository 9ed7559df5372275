// SPDX-License-Identifier: GPL-2.0-only

//! The headers of a tar archive, one after the other, with what extended headers (PAX, GNU) say of each entry.
//!
//! The crate `tar` knows what is in a header. Its iterator over entries is not used, because it takes the records of a PAX
//! header for lines: the value of an extended attribute may have any bytes in it, a newline too.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStringExt;

use anyhow::{bail, ensure, Context, Result};
use tar::{EntryType, Header};

use crate::index::Time;

const BLOCK: u64 = 512;

/// The longest extended header that is read, in bytes.
const EXTENDED: u64 = 4 << 20;

/// How files begin that are no tar archives yet.
const COMPRESSED: [(&[u8], &str); 4] = [
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\xfd7zXZ", "xz"),
    (b"BZh", "bzip2"),
];

/// The kinds of entries that an image is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    File,
    HardLink,
    Symlink,
    Character,
    Block,
    Directory,
    Fifo,
}

/// An entry.
#[derive(Debug)]
pub struct Entry {
    /// Where its header is in the archive, in bytes.
    pub at: u64,
    pub kind: Kind,
    pub name: Vec<u8>,
    pub link: Vec<u8>,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub mtime: Time,
    pub xattrs: Vec<(OsString, Vec<u8>)>,
    pub has_acl: bool,
    /// Major and minor number.
    pub device: (u32, u32),
    /// Where its data begins in the archive, in bytes.
    pub data: u64,
    /// How much data there is, in bytes.
    pub size: u64,
}

/// What extended headers said: by the names that PAX has for it.
type Records = BTreeMap<Vec<u8>, Vec<u8>>;

pub struct Headers<'a, R> {
    archive: &'a mut R,
    length: u64,
    at: u64,
    /// What holds for all entries from here on.
    global: Records,
}

impl<'a, R: Read + Seek> Headers<'a, R> {
    /// `length`: of the archive, in bytes.
    pub fn new(archive: &'a mut R, length: u64) -> Self {
        Headers {
            archive,
            length,
            at: 0,
            global: Records::new(),
        }
    }

    /// The next entry of the image; `None`: the archive's end mark.
    pub fn next(&mut self) -> Result<Option<Entry>> {
        let mut records = self.global.clone();
        loop {
            let at = self.at;
            let Some(header) = self.header()? else {
                return Ok(None);
            };
            let parsed = self.entry(&header, &mut records);
            let name = String::from_utf8_lossy(&header.path_bytes()).into_owned();
            if let Some(entry) =
                parsed.with_context(|| format!("the entry at byte {at}, {name:?}"))?
            {
                return Ok(Some(entry));
            }
        }
    }

    /// The block that is next, as a header.
    fn header(&mut self) -> Result<Option<Header>> {
        let at = self.at;
        let left = self.length.saturating_sub(at);
        ensure!(self.length > 0, "the archive is empty");
        let block = self.bytes(at, left.min(BLOCK))?;
        if at == 0 {
            if let Some((_, by)) = COMPRESSED
                .iter()
                .find(|(magic, _)| block.starts_with(magic))
            {
                bail!("the archive is compressed by {by}: to be read at any place, it must be decompressed first");
            }
        }
        ensure!(
            left >= BLOCK,
            "the archive was cut off: it ends at byte {} without an end mark",
            self.length
        );
        if block.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let mut header = Header::new_old();
        header.as_mut_bytes().copy_from_slice(&block);
        // The checksum counts as spaces.
        let sum = block.iter().enumerate().map(|(i, byte)| {
            if (148..156).contains(&i) {
                32
            } else {
                u32::from(*byte)
            }
        });
        let (sum, stated) = (sum.sum::<u32>(), header.cksum());
        ensure!(
            stated.is_ok_and(|stated| stated == sum),
            "no header of a tar archive at byte {at}: it is damaged, or no tar archive"
        );
        Ok(Some(header))
    }

    fn bytes(&mut self, at: u64, length: u64) -> Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(length)?];
        self.archive.seek(SeekFrom::Start(at))?;
        self.archive.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// What a header says, and goes on behind its data; `None`: it is about the one after it.
    fn entry(&mut self, header: &Header, records: &mut Records) -> Result<Option<Entry>> {
        let kind = header.entry_type();
        let is_extended = kind.is_pax_local_extensions()
            || kind.is_pax_global_extensions()
            || kind.is_gnu_longname()
            || kind.is_gnu_longlink();
        let size = match records.get(&b"size"[..]) {
            Some(size) if !is_extended => number(size)?,
            _ => header.entry_size().context("its size is no number")?,
        };
        let has_data = is_extended || matches!(kind, EntryType::Regular | EntryType::Continuous);
        let size = if has_data { size } else { 0 };
        let (at, data) = (self.at, self.at + BLOCK);
        let end = data.checked_add(size).filter(|end| *end <= self.length);
        let end = end.with_context(|| {
            let there = self.length.saturating_sub(data);
            format!("the archive was cut off: it has {size} bytes, of which {there} are there")
        })?;
        self.at = end.div_ceil(BLOCK).saturating_mul(BLOCK);
        if is_extended {
            ensure!(size <= EXTENDED, "an extended header of {size} bytes");
            let bytes = self.bytes(data, size)?;
            let until_nul = |bytes: &[u8]| {
                bytes
                    .split(|byte| *byte == 0)
                    .next()
                    .unwrap_or_default()
                    .to_vec()
            };
            match kind {
                EntryType::XGlobalHeader => {
                    parse_records(&bytes, &mut self.global)?;
                    *records = self.global.clone();
                }
                EntryType::GNULongName => drop(records.insert(b"path".to_vec(), until_nul(&bytes))),
                EntryType::GNULongLink => {
                    drop(records.insert(b"linkpath".to_vec(), until_nul(&bytes)))
                }
                _ => parse_records(&bytes, records)?,
            }
            return Ok(None);
        }
        entry_of(header, std::mem::take(records), at, data, size).map(Some)
    }
}

/// An entry, of its header and of what was said before it.
fn entry_of(header: &Header, records: Records, at: u64, data: u64, size: u64) -> Result<Entry> {
    let kind = match header.entry_type() {
        EntryType::Regular | EntryType::Continuous => Kind::File,
        EntryType::Link => Kind::HardLink,
        EntryType::Symlink => Kind::Symlink,
        EntryType::Char => Kind::Character,
        EntryType::Block => Kind::Block,
        EntryType::Directory => Kind::Directory,
        EntryType::Fifo => Kind::Fifo,
        EntryType::GNUSparse => bail!("a sparse file (make the archive without --sparse)"),
        other => bail!(
            "an entry of the unknown type {:?}",
            char::from(other.as_byte())
        ),
    };
    ensure!(
        !records.keys().any(|key| key.starts_with(b"GNU.sparse.")),
        "a sparse file (make the archive without --sparse)"
    );
    let text = |key: &str, or: Option<std::borrow::Cow<'_, [u8]>>| match records.get(key.as_bytes())
    {
        Some(value) => value.clone(),
        None => or.map(|value| value.into_owned()).unwrap_or_default(),
    };
    let id = |key: &str, or: std::io::Result<u64>| -> Result<u32> {
        let id = match records.get(key.as_bytes()) {
            Some(value) => number(value)?,
            None => or.with_context(|| format!("its {key} is no number"))?,
        };
        u32::try_from(id).with_context(|| format!("its {key} is {id}"))
    };
    let mtime = match records.get(&b"mtime"[..]) {
        Some(value) => time(value)?,
        None => Time {
            seconds: i64::try_from(header.mtime().context("its time is no number")?)
                .context("its time is too far off")?,
            nanoseconds: 0,
        },
    };
    let device = |number: std::io::Result<Option<u32>>| -> Result<u32> {
        Ok(number.context("its device number is none")?.unwrap_or(0))
    };
    let is_device = matches!(kind, Kind::Character | Kind::Block);
    let device = match is_device {
        true => (
            device(header.device_major())?,
            device(header.device_minor())?,
        ),
        false => (0, 0),
    };
    ensure!(
        device.0 < 1 << 12 && device.1 < 1 << 20,
        "there is no device {}:{}",
        device.0,
        device.1
    );
    Ok(Entry {
        at,
        kind: match kind {
            // Archives of old mark directories by their names alone.
            Kind::File if size == 0 && text("path", Some(header.path_bytes())).ends_with(b"/") => {
                Kind::Directory
            }
            kind => kind,
        },
        name: text("path", Some(header.path_bytes())),
        link: text("linkpath", header.link_name_bytes()),
        mode: header.mode().context("its mode is no number")? & 0o7777,
        uid: id("uid", header.uid())?,
        gid: id("gid", header.gid())?,
        mtime,
        has_acl: records.keys().any(|key| key.starts_with(b"SCHILY.acl.")),
        xattrs: xattrs_of(records)?,
        device,
        data,
        size,
    })
}

fn xattrs_of(records: Records) -> Result<Vec<(OsString, Vec<u8>)>> {
    let mut xattrs = Vec::new();
    for (key, value) in records {
        let Some(name) = key.strip_prefix(b"SCHILY.xattr.") else {
            continue;
        };
        ensure!(
            !name.is_empty() && name.len() <= 255 && !name.contains(&0) && value.len() <= 65536,
            "an extended attribute that can't be one"
        );
        xattrs.push((OsString::from_vec(name.to_vec()), value));
    }
    Ok(xattrs)
}

/// The records of a PAX header: "LENGTH KEY=VALUE\n", where the length is that of all of it. An empty value takes back what
/// was said before.
fn parse_records(mut bytes: &[u8], records: &mut Records) -> Result<()> {
    const DAMAGED: &str = "its extended header is damaged";
    while !bytes.is_empty() {
        let space = bytes
            .iter()
            .position(|byte| *byte == b' ')
            .context(DAMAGED)?;
        let (digits, _) = bytes.split_at(space);
        let length = usize::try_from(number(digits)?)?;
        ensure!(length > space + 1 && length <= bytes.len(), DAMAGED);
        let (record, rest) = bytes.split_at(length);
        let record = record
            .get(space + 1..)
            .and_then(|record| record.strip_suffix(b"\n"))
            .context(DAMAGED)?;
        let equals = record
            .iter()
            .position(|byte| *byte == b'=')
            .context(DAMAGED)?;
        let (key, value) = record.split_at(equals);
        let value = value.get(1..).unwrap_or_default();
        // Only a text can be taken back by an empty one: attributes may be empty.
        if value.is_empty() && !key.starts_with(b"SCHILY.xattr.") {
            records.remove(key);
        } else {
            records.insert(key.to_vec(), value.to_vec());
        }
        bytes = rest;
    }
    Ok(())
}

fn number(digits: &[u8]) -> Result<u64> {
    let text = std::str::from_utf8(digits).ok();
    let number = text
        .filter(|text| !text.starts_with('+'))
        .and_then(|text| text.parse().ok());
    number.with_context(|| format!("{:?} is no number", String::from_utf8_lossy(digits)))
}

/// "SECONDS.FRACTION", which may be negative.
fn time(value: &[u8]) -> Result<Time> {
    let text = std::str::from_utf8(value).unwrap_or("");
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_time = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    ensure!(
        is_time(whole.strip_prefix('-').unwrap_or(whole)) && is_time(fraction),
        "{:?} is no time",
        String::from_utf8_lossy(value)
    );
    let seconds: i64 = whole
        .parse()
        .with_context(|| format!("{text:?} is no time"))?;
    let digits: String = fraction
        .chars()
        .chain("000000000".chars())
        .take(9)
        .collect();
    let nanoseconds: u32 = digits
        .parse()
        .with_context(|| format!("{text:?} is no time"))?;
    Ok(match whole.starts_with('-') && nanoseconds > 0 {
        true => Time {
            seconds: seconds.checked_sub(1).context("its time is too far off")?,
            nanoseconds: 1_000_000_000 - nanoseconds,
        },
        false => Time {
            seconds,
            nanoseconds,
        },
    })
}
