// SPDX-License-Identifier: GPL-2.0-only

//! What the mounter said: the settings, and the layers as they were spelled.

#![forbid(unsafe_code)]

use format::options::Features;
use format::xattr::Mark;
use format::xattr::Namespace;
use kernel::prelude::*;
use kernel::str::CString;

/// How the lower layers were given, to be shown in `/proc/mounts` in the same way.
pub(crate) enum Lowerdirs {
    /// All in one option `lowerdir=`.
    List(CString),
    /// One by one as `lowerdir+=` and `datadir+=`; the latter come last.
    Each(KVec<CString>),
}

/// The configuration of a mount.
pub(crate) struct Config {
    /// The settings, their dependencies resolved.
    pub(crate) features: Features,
    /// The lower layers as they were spelled.
    pub(crate) lowerdirs: Lowerdirs,
}

impl Config {
    /// Which extended attributes hold the marks.
    #[inline]
    pub(crate) fn namespace(&self) -> Namespace {
        if self.features.userxattr {
            Namespace::User
        } else {
            Namespace::Trusted
        }
    }

    /// The name of the extended attribute that holds `mark`.
    #[inline]
    pub(crate) fn xattr(&self, mark: Mark) -> &'static CStr {
        self.namespace().name(mark)
    }
}
