// SPDX-License-Identifier: GPL-2.0-only

//! Why an operation answers `ESTALE`: each place where the layers are not what they were has a name here, and says
//! so in the kernel's log.
//!
//! Who may still come to another result by looking again passes the reason on, and says it when he gives up.

#![forbid(unsafe_code)]

use crate::state::instance::Instance;
use crate::state::layer::LayerIndex;
use crate::state::Dentry;
use crate::state::Real;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering;
use kernel::prelude::*;
use kernel::sync::aref::ARef;
use vfs::sys::errno::ESTALE;

/// What was found in upper instead of what the stack had put there.
#[derive(Clone, Copy)]
pub(crate) enum Stale {
    /// Something is there under the name of what is being made or copied up.
    NameIsTaken,
    /// Something is in the index under the name of the entry of what is being copied up.
    EntryIsTaken,
    /// A whiteout is gone.
    WhiteoutIsGone,
    /// What was a whiteout is something else.
    WhiteoutIsOther,
    /// What was a directory is something else.
    NoDirectory,
    /// Another object, or none, has the name of what is being removed.
    RemovedIsOther,
    /// Another object, or none, has the name of what is being renamed.
    RenamedIsOther,
    /// Another object has the new name of what is being renamed, or an object where none was.
    TargetIsOther,
    /// Both names of a rename are of one object.
    OneObject,
    /// A directory was removed, and what is in it was not.
    DirectoryWasRemoved,
    /// The name that a new object was to have in the work directory is taken.
    WorkNameIsTaken,
    /// A name was looked up, and copied up meanwhile, too often.
    NoRest,
}

impl Stale {
    fn reason(self) -> &'static str {
        match self {
            Self::NameIsTaken => "upperdir has something under this name",
            Self::EntryIsTaken => "the index in workdir has something else as its entry",
            Self::WhiteoutIsGone => "the whiteout in upperdir is gone",
            Self::WhiteoutIsOther => "upperdir has something in the place of the whiteout",
            Self::NoDirectory => "what was a directory in upperdir is none",
            Self::RemovedIsOther => "upperdir has another object, or none, to remove",
            Self::RenamedIsOther => "upperdir has another object, or none, to rename",
            Self::TargetIsOther => "upperdir has another object under the new name",
            Self::OneObject => "in upperdir both names are of one object",
            Self::DirectoryWasRemoved => "it is in a directory that was removed",
            Self::WorkNameIsTaken => "workdir has something under a name for new objects",
            Self::NoRest => "it is copied up again and again",
        }
    }

    fn remedy(self) -> &'static str {
        match self {
            Self::NoRest => "try again",
            Self::WorkNameIsTaken => "leave workdir to one mount",
            _ => "mount again, and leave upperdir alone while it is mounted",
        }
    }

    /// Says why `name` can't be dealt with, and returns the error for it.
    #[cold]
    pub(crate) fn refuse(self, name: &Dentry) -> Error {
        if is_news(self as u32, name.name_hash()) {
            vfs::warn_limited!("'{}': {}; {}\n", name, self.reason(), self.remedy());
        }
        ESTALE
    }

    /// Does the same where it is not about a name of the stack.
    #[cold]
    pub(crate) fn refuse_in_work(self) -> Error {
        if is_news(self as u32, 0) {
            vfs::warn_limited!("{}; {}\n", self.reason(), self.remedy());
        }
        ESTALE
    }
}

/// An object whose inode is cached, and has other places than a lookup has found: two directories lead to one of
/// a lower layer, or layers were changed.
pub(crate) struct Disagreement {
    /// The dentry by which the inode is found.
    pub(crate) real: ARef<Real>,
    /// The layer of that dentry.
    pub(crate) layer: LayerIndex,
}

impl Disagreement {
    /// Says why `name` can't be had, and returns the error for it.
    #[cold]
    pub(crate) fn refuse(&self, instance: &Instance, name: &Dentry) -> Error {
        if !is_news(u32::MAX, name.name_hash()) {
            return ESTALE;
        }
        let real = &**self.real;
        let list = instance.layers.list();
        let layer = match self.layer {
            LayerIndex::Upper => None,
            LayerIndex::Lower(_) => list.iter().find(|layer| layer.owner().index == self.layer),
        };
        match layer {
            Some(layer) => vfs::warn_limited!(
                "'{}': '{}' in layer '{}' is already in use under another name; remove the redirect of one of both in upperdir, or mount again if layers were changed\n",
                name,
                real,
                &*layer.owner().name
            ),
            None => vfs::warn_limited!(
                "'{}': '{}' in upperdir was another object before; mount again, and leave upperdir alone while it is mounted\n",
                name,
                real
            ),
        }
        ESTALE
    }
}

/// What was said last: the reason, and the hash of the name and its directory.
static LAST: AtomicU64 = AtomicU64::new(0);

/// Returns whether this was not what was said last. The VFS does again what answers `ESTALE`, and so do its users.
fn is_news(reason: u32, name: u32) -> bool {
    let this = (u64::from(reason) + 1) << 32 | u64::from(name);
    LAST.swap(this, Ordering::Relaxed) != this
}

/// Forgets what was said last, for another mount: what is said again of that is news.
pub(crate) fn forget() {
    LAST.store(0, Ordering::Relaxed);
}
