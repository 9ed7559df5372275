// SPDX-License-Identifier: GPL-2.0-only

//! Events as the kernel records them, read by what it says of their form (`events/SYSTEM/NAME/format`).
//!
//! The text in `trace_pipe` would be simpler, but names may have line breaks in them: who makes such a name could have
//! anything told of a directory.

use anyhow::{Context, Result};

/// What an event consists of.
#[derive(Debug)]
pub struct Format {
    /// The number that each event of this kind begins with.
    pub id: u16,
    /// What it is called, without the name of the module.
    pub name: String,
    fields: Vec<Field>,
}

#[derive(Debug)]
struct Field {
    name: String,
    offset: usize,
    size: usize,
    is_signed: bool,
    /// The field says where a text is, and how long.
    is_text: bool,
}

/// What a field has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Number(u64),
    Signed(i64),
    Text(Vec<u8>),
}

/// An event that was read.
#[derive(Debug)]
pub struct Event<'a> {
    pub name: &'a str,
    /// Its fields, in order, but for those that every event of the kernel has.
    pub fields: Vec<(&'a str, Value)>,
}

impl Event<'_> {
    pub fn number(&self, name: &str) -> Option<u64> {
        match self.field(name)? {
            Value::Number(number) => Some(*number),
            _ => None,
        }
    }

    pub fn text(&self, name: &str) -> Option<&[u8]> {
        match self.field(name)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    fn field(&self, name: &str) -> Option<&Value> {
        let found = self.fields.iter().find(|(other, _)| *other == name);
        found.map(|(_, value)| value)
    }
}

impl Format {
    /// Reads the text of `format`.
    pub fn parse(text: &str, name: &str) -> Result<Format> {
        let id = text.lines().find_map(|line| line.strip_prefix("ID: "));
        let id = id.and_then(|id| id.trim().parse().ok());
        Ok(Format {
            id: id.with_context(|| format!("the format of the event {name} has no number"))?,
            name: name.strip_prefix("layerfs_").unwrap_or(name).to_owned(),
            fields: text.lines().filter_map(Field::parse).collect(),
        })
    }

    pub fn has(&self, field: &str) -> bool {
        self.fields.iter().any(|other| other.name == field)
    }

    /// Reads an event; a field that is not in it is left out.
    pub fn read(&self, bytes: &[u8]) -> Event<'_> {
        let own = self
            .fields
            .iter()
            .filter(|field| !field.name.starts_with("common_"));
        Event {
            name: &self.name,
            fields: own
                .filter_map(|field| Some((field.name.as_str(), field.read(bytes)?)))
                .collect(),
        }
    }
}

impl Field {
    /// Reads a line like `field:u64 dir; offset:8; size:8; signed:0;` (with tabs).
    fn parse(line: &str) -> Option<Field> {
        let mut parts = line.trim().split(';').map(str::trim);
        let declared = parts.next()?.strip_prefix("field:")?;
        let mut number =
            |name: &str| -> Option<usize> { parts.next()?.strip_prefix(name)?.parse().ok() };
        Some(Field {
            name: declared.split_whitespace().next_back()?.to_owned(),
            is_text: declared.starts_with("__data_loc"),
            offset: number("offset:")?,
            size: number("size:")?,
            is_signed: number("signed:")? != 0,
        })
    }

    fn read(&self, bytes: &[u8]) -> Option<Value> {
        let end = self.offset.checked_add(self.size)?;
        let field = bytes.get(self.offset..end)?;
        let number = unsigned(field)?;
        if self.is_text {
            let (at, len) = (number as usize & 0xffff, number as usize >> 16);
            let text = bytes.get(at..at.checked_add(len)?)?;
            let end = text.iter().position(|byte| *byte == 0);
            return Some(Value::Text(text.get(..end.unwrap_or(len))?.to_vec()));
        }
        if !self.is_signed {
            return Some(Value::Number(number));
        }
        // The sign is the topmost bit of as many bytes as there are.
        let shift = 64u32.checked_sub(u32::try_from(self.size).ok()?.checked_mul(8)?)?;
        Some(Value::Signed((number << shift) as i64 >> shift))
    }
}

/// A number of one, two, four or eight bytes.
pub fn unsigned(bytes: &[u8]) -> Option<u64> {
    Some(match *bytes {
        [byte] => byte.into(),
        [a, b] => u16::from_ne_bytes([a, b]).into(),
        [a, b, c, d] => u32::from_ne_bytes([a, b, c, d]).into(),
        _ => u64::from_ne_bytes(bytes.try_into().ok()?),
    })
}

/// Where the number of its kind is in an event: the field that every format begins with.
pub fn id(bytes: &[u8]) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.first_chunk::<2>()?))
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub const FORMAT: &str = "name: layerfs_test\nID: 1234\nformat:\n\
        \tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\
        \tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n\
        \tfield:u64 dir;\toffset:8;\tsize:8;\tsigned:0;\n\
        \tfield:s32 error;\toffset:16;\tsize:4;\tsigned:1;\n\
        \tfield:__data_loc char[] name;\toffset:20;\tsize:4;\tsigned:0;\n\n\
        print fmt: \"dir %llu\", REC->dir\n";

    /// An event of this form.
    pub fn event(dir: u64, error: i32, name: &[u8]) -> Vec<u8> {
        let mut bytes = 1234u16.to_ne_bytes().to_vec();
        bytes.extend([0; 6]);
        bytes.extend(dir.to_ne_bytes());
        bytes.extend(error.to_ne_bytes());
        let place = ((name.len() as u32 + 1) << 16) | 24;
        bytes.extend(place.to_ne_bytes());
        bytes.extend(name);
        bytes.push(0);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    #[test]
    fn fields_are_read() {
        let format = Format::parse(FORMAT, "layerfs_test").unwrap();
        assert!(format.id == 1234 && format.name == "test" && format.has("dir"));
        let bytes = event(7, -2, b"a\nb");
        assert_eq!(id(&bytes), Some(1234));
        let event = format.read(&bytes);
        let expected = [
            ("dir", Value::Number(7)),
            ("error", Value::Signed(-2)),
            ("name", Value::Text(b"a\nb".to_vec())),
        ];
        assert_eq!(event.fields, expected);
        // What is cut off is left out.
        for len in 0..bytes.len() {
            format.read(&bytes[..len]);
        }
        assert_eq!(format.read(&bytes[..20]).fields.len(), 2);
        assert!(Format::parse("", "x").is_err());
    }
}
