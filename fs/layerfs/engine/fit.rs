// SPDX-License-Identifier: GPL-2.0-only

//! What a directory has to be to be a layer, whether the stack is being mounted or is.

#![forbid(unsafe_code)]

use kernel::fmt;
use kernel::sync::aref::ARef;
use vfs::call::stat::Part;
use vfs::call::stat::Query;
use vfs::call::stat::StatBuf;
use vfs::object::encoding::Encoding;
use vfs::Override;
use vfs::Path;

/// Why something can't be a layer: how a message goes on after its name.
pub(crate) enum NoLayer {
    NoDirectory,
    IgnoresCase,
    MindsCase,
    StrictEncoding,
    OtherEncoding,
    Unsuitable(&'static str),
}

impl fmt::Display for NoLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDirectory => f.write_str("is not a directory"),
            Self::IgnoresCase => {
                f.write_str("ignores case in names, and another layer does not: all of them must, or none")
            }
            Self::MindsCase => {
                f.write_str("does not ignore case in names, and another layer does: all of them must, or none")
            }
            Self::StrictEncoding => {
                f.write_str("ignores case and refuses names that are not Unicode (strict encoding), which is not supported")
            }
            Self::OtherEncoding => {
                f.write_str("ignores case by another encoding than the other layers: all must have the same")
            }
            Self::Unsuitable(why) => {
                f.write_str("can't be a layer: ")?;
                f.write_str(why)
            }
        }
    }
}

/// Returns why a layer can't stand on what is at `path`, if it can't. `ignores_case`: whether the other layers do, if there
/// are any.
pub(crate) fn why_no_layer(path: Path<'_>, ignores_case: Option<bool>) -> Option<NoLayer> {
    let dentry = path.dentry();
    if !dentry.inode().is_dir() {
        return Some(NoLayer::NoDirectory);
    }
    match (dentry.inode().is_casefolded(), ignores_case) {
        (true, Some(false)) => Some(NoLayer::IgnoresCase),
        (false, Some(true)) => Some(NoLayer::MindsCase),
        _ => dentry.unsuitable().map(NoLayer::Unsuitable),
    }
}

/// Returns why the layer at `path` can't be among others that ignore case by `encoding`, if it can't.
pub(crate) fn why_not_beside(path: Path<'_>, encoding: &Encoding) -> Option<NoLayer> {
    if encoding.is_strict() {
        return Some(NoLayer::StrictEncoding);
    }
    (!encoding.is_that_of(path.dentry().super_block())).then_some(NoLayer::OtherEncoding)
}

/// Returns which part of its filesystem the root of a layer is in.
pub(crate) fn part_at(c: &Override<'_>, path: Path<'_>) -> Part {
    let sb = path.dentry().super_block();
    if sb.is_of_one_part() {
        return sb.main_part();
    }
    let part = StatBuf::new()
        .fill(c, path, Query::IDENTITY)
        .map(|stat| stat.part());
    part.unwrap_or_else(|_| sb.main_part())
}

/// Returns whether one of the directories on the way to a layer, on its filesystem, lets nobody but the mounter through.
pub(crate) fn is_private(c: &Override<'_>, path: Path<'_>, root_counts: bool) -> bool {
    let mut dir = ARef::from(path.dentry());
    if root_counts && dir.inode().is_private(c) {
        return true;
    }
    while !dir.is_root() {
        dir = dir.parent();
        if dir.inode().is_private(c) {
            return true;
        }
    }
    false
}
