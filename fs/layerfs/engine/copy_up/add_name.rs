// SPDX-License-Identifier: GPL-2.0-only

//! One more name in upper for an object that is there already: by the index alone, or by other names.

#![forbid(unsafe_code)]

use super::CopyUp;
use crate::engine::inode_index;
use crate::engine::stale::Stale;
use crate::state::name;
use crate::state::object::Now;
use format::nlink::Base;
use kernel::prelude::*;
use vfs::guard::dir_op::Creating;
use vfs::guard::dir_op::NewEntry;

impl CopyUp<'_> {
    /// Gives upper the name under which the object is in a lower layer.
    ///
    /// The object has as many names afterwards as before, but one more of them is counted by upper. So what is kept is
    /// relative to the count of the lower object while that happens.
    pub(super) fn add_name(&self) -> Result {
        let Some(place) = &self.place else {
            return Ok(());
        };
        let writing = self.access.start();
        self.set_parent_impure(&writing);
        let copy = Now::of(self.dentry.inode().held())
            .upper_path()
            .ok_or(EIO)?
            .dentry();
        let marked = self.marked(&writing, copy);
        inode_index::keep_names(marked, self.dentry, Base::Lower)?;
        let made = {
            let creating = Creating::begin(self.c, &writing, place.upper_dir, place.name)?;
            if creating.existing().is_some() {
                return Err(Stale::NameIsTaken.refuse(self.dentry));
            }
            let _publication = self.begin_publication()?;
            let made = creating.create_keeping_times(self.c, &NewEntry::Link(copy))?;
            vfs::pause::at(c"copy_up_named");
            name::set_in_upper(self.dentry);
            made
        };
        if made.needs_revalidation() {
            self.dentry.set_needs_revalidation();
        }
        self.outdate_parent();
        self.set_parent_impure(&writing);
        inode_index::keep_names(marked, self.dentry, Base::Upper)
    }
}
