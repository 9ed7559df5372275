// SPDX-License-Identifier: GPL-2.0-only

//! The data of a file that was copied up without it.

#![forbid(unsafe_code)]

use super::CopyUp;
use crate::engine::attributes;
use crate::engine::origin;
use crate::state::places::Places;
use crate::state::traits::Trait;
use format::xattr::Mark;
use kernel::prelude::*;
use vfs::call::copy::Copied;
use vfs::call::xattr;
use vfs::call::xattr::SetFlags;
use vfs::object::file::OwnedFile;
use vfs::Path;

impl CopyUp<'_> {
    /// Adds the data to what has only metadata in upper.
    pub(super) fn add_data(&self) -> Result {
        let now = Places::of(self.dentry.inode().held());
        let upper = now.upper_path().ok_or(EIO)?;
        let capability = if self.has_data() {
            // Writing takes capabilities away, which nobody has asked for here.
            let capability = self.capability_of(upper)?;
            let file = OwnedFile::open_data(self.c, upper, true)?;
            if self.copy_data(&file)? == Copied::Written {
                // Here it is the mark that says that the data is there, once it is erased: it may be on disk
                // before data that was not synced, whether or not attributes are synced too.
                self.sync_data(&file)?;
            }
            capability
        } else {
            None
        };
        // A layer is asked for that, which may take long: before upper is held.
        let leads_nowhere = now.has_origin()
            && !now.has(Trait::INDEXED)
            && !origin::leads_to_lower(self.instance, self.c, upper, &now)?;
        let writing = self.access.start();
        if let Some(value) = capability {
            let name = attributes::CAPABILITY;
            xattr::set(
                self.c,
                &writing,
                upper.dentry(),
                name,
                &value,
                SetFlags::ANY,
            )?;
        }
        let inode = self.dentry.inode();
        let marked = self.marked(&writing, upper.dentry());
        if leads_nowhere && !origin::mend(&marked, &now) {
            // As it will be no metacopy file any more, nothing leads from its names to the lower object.
            inode.hash_by(upper.dentry().inode().key());
        }
        marked.erase(Mark::Metacopy)?;
        self.claim.show_data_in_upper();
        Ok(())
    }

    /// Returns the capability of a file in upper, if it has one that grants anything.
    fn capability_of(&self, upper: Path<'_>) -> Result<Option<KVVec<u8>>> {
        match xattr::get_whole(self.c, upper, attributes::CAPABILITY) {
            Err(e) if attributes::is_invalid_capability(e) => {
                attributes::warn_invalid(upper.dentry(), e);
                Ok(None)
            }
            result => result,
        }
    }
}
