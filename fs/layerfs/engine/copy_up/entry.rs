// SPDX-License-Identifier: GPL-2.0-only

//! The entry of a directory in the index, which leads to its copy: it is there before the copy has its name, as the entry of
//! anything else is.

#![forbid(unsafe_code)]

use super::CopyUp;
use super::Entry;
use crate::engine::inode_index;
use crate::engine::work;
use crate::engine::work::CleanupRight;
use crate::engine::work::Temp;
use crate::state::Real;
use kernel::prelude::*;
use kernel::sync::aref::ARef;
use vfs::guard::dir_op::Ends;
use vfs::guard::dir_op::NewEntry;
use vfs::guard::dir_op::RenameFlags;
use vfs::guard::dir_op::Renaming;

/// An entry that was made. Dropped, it is removed again, as its copy gets no name: unless it was said to be kept.
pub(super) struct MadeEntry<'a> {
    job: &'a CopyUp<'a>,
    dir: &'a Real,
    made: ARef<Real>,
    is_kept: bool,
}

impl MadeEntry<'_> {
    /// Says that the copy has its name.
    pub(super) fn keep(mut self) {
        self.is_kept = true;
    }
}

impl Drop for MadeEntry<'_> {
    fn drop(&mut self) {
        if !self.is_kept {
            let writing = self.job.access.start();
            work::cleanup(self.job.c, &writing, self.dir, &self.made);
        }
    }
}

impl CopyUp<'_> {
    /// Makes the entry that leads to `copy`.
    pub(super) fn make_entry<'b>(
        &'b self,
        entry: &'b Entry<'_>,
        copy: &Real,
    ) -> Result<MadeEntry<'b>> {
        let writing = CleanupRight::Start(self.access);
        let temp = Temp::create(self.upper, self.c, writing, &NewEntry::directory(0))?;
        let writing = self.access.start();
        inode_index::lead_to(self.marked(&writing, &temp), copy)?;
        let renaming = Renaming::begin(
            self.c,
            &writing,
            self.upper.work()?,
            entry.dir,
            Ends::Object(&temp, entry.name),
            RenameFlags::NONE,
        )?;
        if renaming.new().positive().is_some() {
            return Err(self.refuse_taken());
        }
        renaming.rename(self.c)?;
        Ok(MadeEntry {
            job: self,
            dir: entry.dir,
            made: temp.published(),
            is_kept: false,
        })
    }
}
