// SPDX-License-Identifier: GPL-2.0-only

//! What a copy gets beside its data: attributes, and the marks that say what it was made of.

#![forbid(unsafe_code)]

use super::CopyUp;
use crate::engine::attributes;
use crate::engine::attributes::Rights;
use crate::engine::inode_index;
use crate::engine::origin;
use crate::engine::work::CleanupRight;
use crate::state::places::Places;
use crate::state::Real;
use format::nlink::Base;
use format::xattr::Mark;
use kernel::prelude::*;
use vfs::call::change::Change;
use vfs::call::fileattr::FileAttr;
use vfs::guard::write::WantWrite;
use vfs::object::file::OwnedFile;
use vfs::object::inode::Protection;
use vfs::sys::errno::EOPNOTSUPP;
use vfs::Path;

impl CopyUp<'_> {
    /// Gives the copy all that the lower object has beside its data. While the lower object is asked,
    /// nothing of upper is held, neither a lock nor the right to write.
    pub(super) fn copy_metadata(&self, temp: &Real, origin: Option<&[u8]>) -> Result {
        let c = self.c;
        let to = self.in_upper(temp)?;
        let write = CleanupRight::Start(&self.access);
        let rights = if self.is_adopted {
            Rights::LeftBehind
        } else {
            Rights::Copied
        };
        attributes::copy_xattrs(self.instance, c, self.lower, temp, &write, rights)?;
        if self.dentry.inode().is_regular() || self.dentry.inode().is_dir() {
            self.copy_fileattr(to)?;
        }
        write.with(|writing| {
            if let Some(origin) = origin {
                let kept = self.write_origin(writing, temp, origin)?;
                let places = Places::of(self.dentry.inode().held());
                let lower = places.lower();
                let found =
                    lower.is_some_and(|lower| origin::is_found(self.instance, lower, origin));
                // A metacopy file leads there by its name, if one looks there.
                let looks = !self.instance.config.features.lazydata;
                let by_name = self.metacopy.is_some() && looks;
                self.leads_to_lower.set(kept && found || by_name);
            }
            if self.index.is_some() && !temp.is_dir() {
                let marked = self.marked(writing, temp);
                inode_index::keep_names(marked, self.dentry, Base::Lower)?;
            }
            if let Some(mark) = self.metacopy {
                let marked = self.marked(writing, temp);
                marked.write(Mark::Metacopy, mark, EOPNOTSUPP)?;
            }
            // A hole at the end was not written, nor is the data that stays below.
            if temp.is_regular() && temp.inode().size() as u64 != self.stat.size() {
                Change::size(self.stat.size()).apply(c, writing, temp)?;
            }
            attributes::set_attributes(c, writing, temp, self.stat)
        })?;
        if self.syncs_metadata() {
            if temp.is_dir() {
                OwnedFile::open_dir(c, to)?.sync(c)?;
            } else {
                OwnedFile::open_data(c, to, false)?.sync(c)?;
            }
        }
        Ok(())
    }

    /// Writes what the copy was made from; returns whether it is there. It keeps the inode number. On a directory it
    /// says as well that whiteouts may be in it, which must not be forgotten.
    fn write_origin(&self, writing: &WantWrite<'_>, temp: &Real, origin: &[u8]) -> Result<bool> {
        let marked = self.marked(writing, temp);
        if !temp.is_dir() {
            return Ok(marked.note(Mark::Origin, origin));
        }
        match marked.write(Mark::Origin, origin, EOPNOTSUPP) {
            Ok(()) => Ok(true),
            // Upper can't keep an origin on any object.
            Err(e) if e == EPERM || e == EOPNOTSUPP => Ok(false),
            Err(e) => Err(e),
        }
    }

    fn copy_fileattr(&self, to: Path<'_>) -> Result {
        if !self.dentry.inode().has_copied_flags() {
            return Ok(());
        }
        FileAttr::with_flags(|old| {
            match old.fill(self.c, self.lower) {
                Err(e) if e == ENOTTY || e == EINVAL => return Ok(()),
                result => result?,
            }
            let writing = self.access.start();
            let protection = old.protection();
            if protection != Protection::default() {
                // On the real object it would keep us from linking and marking it.
                let marked = self.marked(&writing, to.dentry());
                match marked.write_protection(protection) {
                    Err(e) if e == EPERM => {}
                    result => result?,
                }
            }
            FileAttr::with_flags(|new| {
                match new.fill(self.c, to) {
                    Err(e) if e == ENOTTY || e == EINVAL => return Ok(()),
                    result => result?,
                }
                if new.take_flags_of(old) {
                    new.set_on(self.c, &writing, to)?;
                }
                Ok(())
            })
        })
    }
}
