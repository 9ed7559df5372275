// SPDX-License-Identifier: GPL-2.0-only

//! The configuration of a mount, as the mounter said it: the settings, and the layers as they were spelled.

#![forbid(unsafe_code)]

use format::options::Defaults;
use format::options::Features;
use format::xattr::Mark;
use format::xattr::Namespace;
use kernel::prelude::*;
use kernel::str::CString;

/// Makes the value of an option, of bytes other than NUL.
///
/// # Errors
///
/// `ENOMEM`; `EINVAL`: there is a NUL among them.
pub(crate) fn to_value(bytes: impl Iterator<Item = u8>) -> Result<CString> {
    let mut value = KVec::new();
    for byte in bytes.chain([0]) {
        value.push(byte, GFP_KERNEL)?;
    }
    let value = CStr::from_bytes_with_nul(&value).map_err(|_| EINVAL)?;
    Ok(CString::try_from(value)?)
}

/// The configuration of a mount.
pub(crate) struct Config {
    /// It is mounted as `overlay`.
    pub(crate) as_overlay: bool,
    /// The settings, their dependencies resolved.
    pub(crate) features: Features,
    /// The settings as they were asked for.
    pub(crate) asked: Features,
    /// Whether it was said whose credentials are used on the layers.
    pub(crate) override_creds: bool,
    /// The value of `lowerdir=`, if all lower layers were given by that.
    pub(crate) lowerdirs: Option<CString>,
    /// The upperdir as it was spelled; `workdir` likewise.
    pub(crate) upperdir: Option<CString>,
    pub(crate) workdir: Option<CString>,
}

impl Config {
    /// Returns which extended attributes hold the marks.
    #[inline]
    pub(crate) fn namespace(&self) -> Namespace {
        if self.features.userxattr {
            Namespace::User
        } else {
            Namespace::Trusted
        }
    }

    /// Returns the name of the extended attribute that holds `mark`.
    #[inline]
    pub(crate) fn xattr(&self, mark: Mark) -> &'static CStr {
        self.namespace().name(mark)
    }
}

/// Returns the settings for options that are not given.
pub(crate) fn defaults(as_overlay: bool) -> Defaults {
    let now = ::defaults::Defaults::now(as_overlay);
    Defaults {
        redirect_dir: now.redirect_dir(),
        redirect_always_follow: now.redirect_always_follow(),
        xino_auto: now.xino_auto(),
        index: now.index(),
        nfs_export: now.nfs_export(),
        metacopy: now.metacopy(),
    }
}

/// Returns the most memory that the name indexes of all mounts take, in bytes.
pub(crate) fn nameindex_max() -> usize {
    ::defaults::nameindex_max()
}

/// Returns the longest absolute redirect that is written, in bytes.
pub(crate) fn redirect_max(as_overlay: bool) -> usize {
    ::defaults::Defaults::now(as_overlay).redirect_max()
}
