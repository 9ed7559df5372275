// SPDX-License-Identifier: GPL-2.0-only

//! Counting the names of an object of which there is a copy in the index, while one is made or removed.

#![forbid(unsafe_code)]

use super::DirChange;
use crate::engine::copy_up;
use crate::engine::copy_up::Need;
use crate::engine::inode_index;
use crate::state::instance::Instance;
use crate::state::object::Claim;
use crate::state::object::Now;
use crate::state::traits::Trait;
use crate::state::LayerFs;
use crate::state::Positive;
use format::nlink::Base;
use kernel::prelude::*;
use vfs::guard::lock::VfsLocked;

/// Copies an object up, before a name of it is removed or replaced, if its names are counted beside its copy.
///
/// # Errors
///
/// Those of [`copy_up::copy_up`].
pub(super) fn copy_up_if_counted(instance: &Instance, object: &Positive) -> Result {
    if inode_index::is_counted_beside_copy(instance, object) {
        copy_up::copy_up(instance, object, Need::Metadata)?;
    }
    Ok(())
}

/// An object that gets one more name, or loses one. The lock of the object is held meanwhile, as a copy-up in another task
/// keeps the count too.
pub(super) struct Counted<'a> {
    instance: &'a Instance,
    object: VfsLocked<'a, LayerFs>,
    /// Its names are counted beside its copy.
    is_indexed: bool,
    _lock: Option<Claim<'a>>,
}

impl<'a> Counted<'a> {
    /// Begins to count the names of an object whose lock the caller holds.
    pub(super) fn of(instance: &'a Instance, object: VfsLocked<'a, LayerFs>) -> Self {
        Self {
            instance,
            object,
            is_indexed: Now::of(object.inode().data()).has(Trait::INDEXED),
            _lock: None,
        }
    }

    /// Takes the lock of an object, if its names have to be counted.
    ///
    /// # Errors
    ///
    /// `EINTR`: the task is being killed.
    pub(super) fn begin(instance: &'a Instance, object: VfsLocked<'a, LayerFs>) -> Result<Self> {
        let dentry = object.dentry();
        let mut counted = Self::of(instance, object);
        if counted.is_indexed {
            let depth = dentry.inode().super_block().stack_depth();
            counted._lock = Some(dentry.inode().data().lock(depth)?);
        }
        Ok(counted)
    }

    /// Keeps how many names there are relative to the count of the copy, which the operation changes as it changes the
    /// names: it is right before it and after it.
    ///
    /// # Errors
    ///
    /// `ENOSPC`, `EDQUOT`, …
    pub(super) fn keep(&self, job: &DirChange<'_>) -> Result {
        if !self.is_indexed || self.object.inode().is_dir() {
            return Ok(());
        }
        let copy = Now::of(self.object.inode().held())
            .upper_path()
            .ok_or(EIO)?;
        inode_index::keep_names(job.marked(copy.dentry()), &self.object, Base::Upper)
    }

    /// Takes the entry out of the index, if the last name is gone.
    pub(super) fn let_go(&self) {
        if !self.is_indexed || self.object.inode().nlink() > 0 {
            return;
        }
        let Ok(upper) = self.instance.upper() else {
            return;
        };
        let gone = upper.mount.write(|writing| {
            self.instance
                .as_mounter(|c| inode_index::let_go(self.instance, c, writing, self.object))
        });
        if let Err(e) = gone {
            vfs::warn_limited!(
                "'{}': its entry in the index of workdir can't be removed ({:?}); the next mount does it\n",
                &**self.object.dentry(),
                e
            );
        }
    }
}
