// SPDX-License-Identifier: GPL-2.0-only

//! What the mounter asked for, before anything is done about it.

#![forbid(unsafe_code)]

use format::options::Features;
use kernel::prelude::*;
use kernel::str::CString;
use vfs::object::path::OwnedPath;

/// `upperdir` or `workdir` as it was given.
pub(super) struct Given {
    pub(super) path: OwnedPath,
    pub(super) name: CString,
    /// The value that stands for it, as long as nobody has taken it.
    pub(super) value: Option<CString>,
}

/// A lower layer as it was given.
pub(super) struct Lower {
    pub(super) path: OwnedPath,
    pub(super) name: CString,
    /// It only has data: it is not merged, but found by the redirects of metacopy files.
    pub(super) data: bool,
}

/// The stack that is to be made.
pub(super) struct Plan {
    /// It is mounted as `overlay`.
    pub(super) as_overlay: bool,
    /// The settings.
    pub(super) features: Features,
    /// The settings before it was settled what they mean together.
    pub(super) asked: Features,
    /// Whether it was said whose credentials are used on the layers.
    pub(super) override_creds: bool,
    /// The lower layers, topmost first; those that only have data come last.
    pub(super) lowers: KVec<Lower>,
    pub(super) upper: Option<Given>,
    pub(super) work: Option<Given>,
    /// Whether case is ignored in the names of the layers, once one was given.
    pub(super) ignores_case: Option<bool>,
    /// The value of `lowerdir=`, if the layers came by it.
    pub(super) list: Option<CString>,
}

impl Plan {
    /// Makes a plan without a layer.
    pub(super) fn new(as_overlay: bool, features: Features) -> Self {
        Self {
            as_overlay,
            features,
            asked: features,
            override_creds: false,
            lowers: KVec::new(),
            upper: None,
            work: None,
            ignores_case: None,
            list: None,
        }
    }

    /// Returns whether the last of the layers only have data.
    pub(super) fn has_data_layers(&self) -> bool {
        self.lowers.last().is_some_and(|lower| lower.data)
    }
}
