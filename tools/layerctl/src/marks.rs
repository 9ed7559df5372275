// SPDX-License-Identifier: GPL-2.0-only

//! What the marks of an object say, in words.

use crate::layer::Object;
use crate::text::{hex, shown, uuid};
use anyhow::Result;
use format::finalized::Fingerprint;
use format::handle::{BadHandle, OverlayHandle};
use format::metacopy::Metacopy;
use format::nlink::{Base, Nlink};
use format::opaque::DirMark;
use format::protattr::Protattr;
use format::redirect::Redirect;
use format::xattr::{Class, Mark, Namespace};
use serde::Serialize;

/// What is said of a mark that is not known.
pub const UNKNOWN: &str = "not known to layerfs";

/// A mark that an object has.
#[derive(Debug, Serialize)]
pub struct Told {
    /// Its name, without the prefix.
    pub name: String,
    /// What it says.
    pub meaning: String,
    /// The value in hexadecimal digits.
    pub value: String,
    /// Why the value can't be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<&'static str>,
}

/// All marks of an object, those that nobody knows among them.
pub fn of(object: &Object, namespace: Namespace) -> Result<Vec<Told>> {
    let mut told = Vec::new();
    for full in object.xattr_names()? {
        if namespace.classify(&full) != Class::Private {
            continue;
        }
        let Some(value) = object.xattr(&full)? else {
            continue;
        };
        let mark = Mark::ALL
            .into_iter()
            .find(|mark| namespace.name(*mark).to_bytes() == full);
        let (meaning, problem) = match mark.map(|mark| meaning(mark, &value, object.is_dir())) {
            Some(Ok(meaning)) => (meaning, None),
            Some(Err(problem)) => ("can't be read".into(), Some(problem)),
            None => (UNKNOWN.into(), None),
        };
        let name = full.strip_prefix(namespace.prefix()).unwrap_or(&full);
        told.push(Told {
            name: shown(name),
            meaning,
            value: hex(&value),
            problem,
        });
    }
    Ok(told)
}

/// What a value means, or why it means nothing.
pub fn meaning(mark: Mark, value: &[u8], directory: bool) -> Result<String, &'static str> {
    match mark {
        Mark::Opaque => match DirMark::decode(Some(value)) {
            _ if !directory => Err("the opaque xattr means nothing on what is no directory"),
            DirMark::Opaque => Ok("hides what is below".into()),
            DirMark::HasWhiteouts => Ok("its empty files may be whiteouts".into()),
            DirMark::Finalized => {
                Ok("finalized: every name of the directory is in this layer".into())
            }
            DirMark::None => Err("the opaque xattr is none of 'y', 'x' and 'z'"),
        },
        Mark::Redirect => Redirect::parse(value)
            .map(|redirect| {
                let from = if redirect.is_absolute() {
                    "from the roots of the layers"
                } else {
                    "in the same directory"
                };
                format!("what is below is at {}, {from}", shown(value))
            })
            .map_err(|bad| bad.reason()),
        Mark::Metacopy => metacopy(value),
        Mark::Origin => handle(value, "copied up from"),
        Mark::Upper => handle(value, "leads to"),
        Mark::Impure if format::opaque::is_impure(Some(value)) => {
            Ok("some of its entries were copied up".into())
        }
        Mark::Impure => Err("the impure xattr is not 'y'"),
        Mark::Nlink => Nlink::decode(value)
            .map(|nlink| {
                let base = match nlink.base {
                    Base::Upper => "upper",
                    Base::Lower => "lower",
                };
                format!("link count of the {base} file {:+}", nlink.diff)
            })
            .map_err(|bad| bad.reason()),
        Mark::Uuid => format::uuid::decode(value)
            .map(|value| format!("the stack is {}", uuid(&value)))
            .map_err(|bad| bad.reason()),
        Mark::Protattr => Protattr::decode(value)
            .map(|flags| {
                let named = [
                    (flags.append, "append-only"),
                    (flags.immutable, "immutable"),
                ];
                let words: Vec<_> = named
                    .iter()
                    .filter(|(on, _)| *on)
                    .map(|(_, word)| *word)
                    .collect();
                words.join(" and ")
            })
            .map_err(|bad| bad.reason()),
        Mark::Whiteout => Ok("a whiteout, if the file is empty".into()),
        Mark::Finalized => Fingerprint::decode(value)
            .map(|over| {
                format!(
                    "made over {} lower directories, digest {:016x}",
                    over.places, over.digest
                )
            })
            .ok_or("the finalized xattr has another length or version"),
    }
}

fn metacopy(value: &[u8]) -> Result<String, &'static str> {
    let mark = Metacopy::decode(value).map_err(|bad| bad.reason())?;
    Ok(match mark.expected_digest() {
        None => "the data is below".into(),
        Some((algorithm, digest)) => {
            let name = match algorithm {
                1 => "sha256".into(),
                2 => "sha512".into(),
                other => format!("algorithm {other}"),
            };
            format!(
                "the data is below, with the fs-verity digest {name}:{}",
                hex(digest)
            )
        }
    })
}

fn handle(value: &[u8], verb: &str) -> Result<String, &'static str> {
    match OverlayHandle::decode(value) {
        Ok(handle) => {
            let whose = if handle.is_upper {
                "an upper object"
            } else {
                "an object"
            };
            let number = inode(&handle).map_or(String::new(), |ino| format!(", inode {ino}"));
            Ok(format!(
                "{verb} {whose} of the filesystem {}{number} (handle {:#04x}:{})",
                uuid(&handle.uuid),
                handle.fid_type,
                hex(handle.fid)
            ))
        }
        Err(BadHandle::Empty) => Ok("copied up; from what is not known".into()),
        Err(bad) => Err(bad.reason()),
    }
}

/// The inode number in a filesystem's handle, where its form is known.
pub fn inode(handle: &OverlayHandle<'_>) -> Option<u64> {
    // FILEID_* of the kernel: inode number and generation of 32 bits; the 64-bit forms of xfs; those of btrfs.
    match handle.fid_type {
        0x01 | 0x02 => {
            let (number, rest) = handle.fid.split_first_chunk::<4>()?;
            // tmpfs has three words: the generation and a number of 64 bits.
            if handle.fid_type == 1 && rest.len() == 8 {
                let (low, high) = rest.split_first_chunk::<4>()?;
                let high: [u8; 4] = high.try_into().ok()?;
                return Some(
                    u64::from(u32::from_ne_bytes(*low))
                        | (u64::from(u32::from_ne_bytes(high)) << 32),
                );
            }
            Some(u64::from(u32::from_ne_bytes(*number)))
        }
        0x81 | 0x82 | 0x4d | 0x4e | 0x4f => {
            Some(u64::from_ne_bytes(*handle.fid.first_chunk::<8>()?))
        }
        _ => None,
    }
}
