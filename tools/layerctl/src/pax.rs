// SPDX-License-Identifier: GPL-2.0-only

//! The records that come before an entry of an archive: of PAX, and GNU tar's long names.
//!
//! The crate `tar` ends a record at its first newline, but a value may have newlines in it: access control lists and
//! capabilities do. So the records are read here, by the length that they say.

use anyhow::{bail, Context, Result};
use std::io::Read;
use tar::EntryType;

/// The most that may come before one entry, in bytes: the attributes of one object are less.
const MAX: u64 = 16 << 20;

/// What was said of the entry that comes next.
#[derive(Debug, Default)]
pub struct Records {
    records: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Records {
    /// Takes an entry that speaks of the next one; whether it is such an entry.
    pub fn take<R: Read>(&mut self, entry: &mut tar::Entry<'_, R>) -> Result<bool> {
        let kind = entry.header().entry_type();
        let key: &[u8] = match kind {
            EntryType::XHeader | EntryType::XGlobalHeader => b"",
            EntryType::GNULongName => b"path",
            EntryType::GNULongLink => b"linkpath",
            _ => return Ok(false),
        };
        if entry.size() > MAX {
            bail!(
                "the archive is damaged: {} bytes are said of one entry",
                entry.size()
            );
        }
        let mut data = Vec::new();
        entry
            .take(MAX)
            .read_to_end(&mut data)
            .context("the archive is damaged")?;
        if kind == EntryType::XHeader {
            self.records.extend(
                parse(&data).context("the archive is damaged: a PAX record can't be read")?,
            );
        } else if !key.is_empty() {
            let text = data.split(|byte| *byte == 0).next().unwrap_or_default();
            self.records.push((key.to_vec(), text.to_vec()));
        }
        Ok(true)
    }

    /// The value of a key; the last one counts.
    pub fn get(&self, key: &[u8]) -> Option<&[u8]> {
        let found = self.records.iter().rev().find(|(name, _)| name == key);
        found.map(|(_, value)| value.as_slice())
    }

    /// The keys with a prefix, without it, and their values.
    pub fn with_prefix<'a>(
        &'a self,
        prefix: &'a [u8],
    ) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let records = self.records.iter();
        records.filter_map(move |(key, value)| Some((key.strip_prefix(prefix)?, value.as_slice())))
    }

    /// A number that takes the place of one in the header.
    pub fn number(&self, key: &[u8]) -> Result<Option<u64>> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        let number = std::str::from_utf8(value)
            .ok()
            .and_then(|text| text.parse().ok());
        number
            .map(Some)
            .context("the archive is damaged: a number can't be read")
    }
}

/// Reads records: each its length in decimal digits, a space, a key, `=`, a value and a newline.
fn parse(mut data: &[u8]) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut records = Vec::new();
    while !data.is_empty() {
        let space = data.iter().position(|byte| *byte == b' ')?;
        let len: usize = std::str::from_utf8(data.get(..space)?).ok()?.parse().ok()?;
        let record = data.get(space.checked_add(1)?..len)?.strip_suffix(b"\n")?;
        let equals = record.iter().position(|byte| *byte == b'=')?;
        let (key, value) = record.split_at_checked(equals)?;
        records.push((key.to_vec(), value.get(1..)?.to_vec()));
        data = data.get(len..)?;
    }
    Some(records)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read() {
        let read = |text: &[u8]| parse(text);
        let pair = |key: &[u8], value: &[u8]| (key.to_vec(), value.to_vec());
        assert_eq!(read(b""), Some(vec![]));
        assert_eq!(
            read(b"9 a=b\nc=\n5 x=\n"),
            Some(vec![pair(b"a", b"b\nc="), pair(b"x", b"")])
        );
        for wrong in [
            b"8 a=b\nc=\n".as_slice(),
            b"x",
            b"5 ab\n",
            b"99 a=b\n",
            b"0 a=b\n",
            b"-1 a=b\n",
            b"1 a=b\n",
            b"18446744073709551615 a=b\n",
            b"6 a=b",
            b" 6 a=b\n",
        ] {
            assert_eq!(read(wrong), None, "{}", crate::text::shown(wrong));
        }
    }
}
