// SPDX-License-Identifier: GPL-2.0-only

//! Whether two objects are the same to whoever sees them through a stack.

use crate::layer::Object;
use crate::stack::Entry;
use anyhow::{Context, Result};
use format::xattr::{Class, Namespace};
use rustix::fs::FileType;
use std::io::{BufReader, Read};

/// How much is compared at once, in bytes.
const PIECE: usize = 128 << 10;

/// Whether two objects have the same type, owner, mode, time and attributes. Of what is no directory, also the size.
pub fn attributes(namespace: Namespace, one: &Object, other: &Object) -> Result<bool> {
    let told = |object: &Object| {
        let stat = &object.stat;
        (
            (stat.st_mode, stat.st_uid, stat.st_gid),
            (stat.st_mtime, stat.st_mtime_nsec),
            (!object.is_dir()).then_some((stat.st_size, stat.st_rdev)),
        )
    };
    Ok(told(one) == told(other) && shown(namespace, one)? == shown(namespace, other)?)
}

/// Names and values of attributes.
type Attributes = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// The attributes that a stack shows of an object.
fn shown(namespace: Namespace, object: &Object) -> Result<Attributes> {
    let mut shown = Vec::new();
    for name in object.xattr_names()? {
        if namespace.classify(&name) != Class::Private {
            let value = object.xattr(&name)?;
            shown.push((name, value));
        }
    }
    Ok(shown)
}

/// Whether two files of one type have the same data, or symbolic links the same target.
pub fn content(one: &Entry, other: &Entry) -> Result<bool> {
    let (Some(top), Some(other_top)) = (one.top(), other.top()) else {
        return Ok(false);
    };
    match top.object.kind() {
        FileType::Symlink => Ok(top.object.link()? == other_top.object.link()?),
        FileType::RegularFile if one.missing.is_none() && other.missing.is_none() => {
            let (one, other) = (one.data()?, other.data()?);
            let inode = |object: &Object| (object.stat.st_dev, object.stat.st_ino);
            if one.size() != top.object.size() || other.size() != other_top.object.size() {
                return Ok(false);
            }
            Ok(inode(one) == inode(other) || data(one, other)?)
        }
        FileType::RegularFile => Ok(false),
        _ => Ok(true),
    }
}

fn data(one: &Object, other: &Object) -> Result<bool> {
    let mut one_data = BufReader::with_capacity(PIECE, one.data()?);
    let mut other_data = BufReader::with_capacity(PIECE, other.data()?);
    let (mut one_piece, mut other_piece) = (vec![0; PIECE], vec![0; PIECE]);
    loop {
        let len = fill(&mut one_data, &mut one_piece).with_context(|| one.full.clone())?;
        let other_len =
            fill(&mut other_data, &mut other_piece).with_context(|| other.full.clone())?;
        if one_piece.get(..len) != other_piece.get(..other_len) {
            return Ok(false);
        }
        if len == 0 {
            return Ok(true);
        }
    }
}

/// Reads as much as there is room for, or until the end.
fn fill(data: &mut impl Read, piece: &mut [u8]) -> std::io::Result<usize> {
    let mut len = 0_usize;
    while let Some(room) = piece.get_mut(len..).filter(|room| !room.is_empty()) {
        match data.read(room) {
            Ok(0) => break,
            Ok(read) => len = len.saturating_add(read),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(len)
}
