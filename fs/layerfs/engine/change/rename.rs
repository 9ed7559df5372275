// SPDX-License-Identifier: GPL-2.0-only

//! Renaming and exchanging: what whiteouts it takes, which directories can be moved, and the
//! redirects that lead from a moved object to its lower part.

#![forbid(unsafe_code)]

use super::changed;
use super::has_origin;
use super::is_in_upper;
use super::is_lower_positive;
use super::is_merged_or_lower;
use super::is_pure_upper;
use super::lost_name;
use super::names;
use super::names::Counted;
use super::says_not_empty;
use super::upper_of;
use super::with_change;
use super::DirChange;
use super::Hidden;
use crate::engine::copy_up;
use crate::engine::copy_up::Need;
use crate::engine::inode;
use crate::engine::stale::Stale;
use crate::marks;
use crate::state::config;
use crate::state::instance::Instance;
use crate::state::layer::Pin;
use crate::state::name;
use crate::state::object::Now;
use crate::state::places::Places;
use crate::state::LayerFs;
use crate::state::Positive;
use crate::state::Real;
use format::options::RedirectDir;
use format::xattr::Mark;
use kernel::prelude::*;
use kernel::sync::aref::ARef;
use vfs::guard::dir_op::Ends;
use vfs::guard::dir_op::RenameFlags;
use vfs::guard::dir_op::Renaming;
use vfs::guard::lock::VfsLocked;
use vfs::object::named::Named;
use vfs::sys::alloc::charged;
use vfs::sys::errno::ENOTEMPTY;
use vfs::Held;
use vfs::Path;

/// Returns whether an object can be renamed: a directory tree is not copied up to be moved.
fn can_move(instance: &Instance, dentry: &Positive) -> bool {
    instance.config.features.redirect_dir == RedirectDir::On
        || !dentry.inode().is_dir()
        || !is_merged_or_lower(dentry.inode())
}

/// Renames an object, or exchanges two (`RENAME_EXCHANGE`).
///
/// # Errors
///
/// `EXDEV`: a directory of the lower layers is moved, and no redirects are made. `EINVAL`: a flag is not known.
/// `ENOTEMPTY`, `EROFS`, `ESTALE`, `ENOSPC`, …
pub(crate) fn rename(
    instance: &Instance,
    old: Named<'_, LayerFs>,
    new: Named<'_, LayerFs>,
    replaced: Option<VfsLocked<'_, LayerFs>>,
    flags: RenameFlags,
) -> Result {
    let known = RenameFlags::EXCHANGE.union(RenameFlags::NOREPLACE);
    if flags.without(known) != RenameFlags::NONE {
        return Err(EINVAL);
    }
    let overwrites = !flags.contains(RenameFlags::EXCHANGE);
    let old_inode = old.dentry().positive().ok_or(ENOENT)?;
    let new_inode = new.dentry().positive();

    if !can_move(instance, old_inode) {
        return Err(EXDEV);
    }
    let mut hidden = Hidden::default();
    if let Some(new_inode) = new_inode {
        if !overwrites && !can_move(instance, new_inode) {
            return Err(EXDEV);
        }
        let inode = new_inode.inode();
        if overwrites && inode.is_dir() && !is_pure_upper(inode) {
            hidden = Hidden::find(instance, inode)?;
        }
    }
    let (flags, clean_whiteout) = if overwrites {
        flags_in_upper(instance, old, new, old_inode)
    } else {
        (flags.without(RenameFlags::NOREPLACE), false)
    };
    copy_up::copy_up(instance, old_inode, Need::Metadata)?;
    copy_up::copy_up(instance, new.directory(), Need::Metadata)?;
    if let (false, Some(new_inode)) = (overwrites, new_inode) {
        copy_up::copy_up(instance, new_inode, Need::Metadata)?;
    }
    // A copy-up in another task takes the lock of the object too: so what is replaced is not copied up meanwhile, and
    // its copy does not get the name.
    let depth = old.super_block().stack_depth();
    if let Some(replaced) = replaced {
        names::copy_up_if_counted(instance, &replaced)?;
    }
    let object = replaced.map(|replaced| replaced.dentry().inode().data());
    let _lock = object.map(|object| object.lock(depth)).transpose()?;
    let counted = replaced.map(|replaced| Counted::of(instance, replaced));
    let what = Rename {
        old,
        new,
        flags,
        overwrites,
        clean_whiteout,
    };
    what.carry_out(instance, hidden, counted.as_ref())?;
    if let (Some(replaced), Some(counted)) = (replaced, counted) {
        lost_name(replaced);
        counted.let_go();
    }
    Ok(())
}

/// Returns with which flags upper is asked to put an object in the place of another, or of nothing, and whether what comes
/// back is a whiteout that nobody needs.
fn flags_in_upper(
    instance: &Instance,
    old: Named<'_, LayerFs>,
    new: Named<'_, LayerFs>,
    old_inode: &Positive,
) -> (RenameFlags, bool) {
    let replaces_whiteout = name::is_whiteout(&new);
    if is_lower_positive(instance, old) {
        // A whiteout has to be left (`RENAME_WHITEOUT`); one that is at the new name can come here.
        let flags = if replaces_whiteout {
            RenameFlags::EXCHANGE
        } else {
            RenameFlags::WHITEOUT
        };
        (flags, false)
    } else if old_inode.inode().is_dir() && replaces_whiteout {
        // A directory can't replace a whiteout otherwise.
        (RenameFlags::EXCHANGE, true)
    } else {
        (RenameFlags::NONE, false)
    }
}

/// What is renamed, and how.
#[derive(Clone, Copy)]
struct Rename<'a> {
    old: Named<'a, LayerFs>,
    new: Named<'a, LayerFs>,
    flags: RenameFlags,
    /// Nothing comes back in exchange.
    overwrites: bool,
    /// What comes back is a whiteout that nobody needs.
    clean_whiteout: bool,
}

impl Rename<'_> {
    /// Renames in upper; `hidden` is what is hidden in a directory that is replaced.
    fn carry_out(
        &self,
        instance: &Instance,
        mut hidden: Hidden,
        counted: Option<&Counted<'_>>,
    ) -> Result {
        let renamed = with_change(instance, |job| {
            counted.map_or(Ok(()), |counted| counted.keep(job))?;
            job.rename(*self, &mut hidden)
        });
        let replaced = self.new.dentry().positive().map(|dentry| dentry.inode());
        match (renamed, replaced) {
            (Err(e), Some(dir))
                if says_not_empty(e) && self.overwrites && dir.is_dir() && is_pure_upper(dir) =>
            {
                // There may be whiteouts over nothing in it.
                hidden = Hidden::find(instance, dir).map_err(|other| {
                    if other == ENOTEMPTY {
                        e
                    } else {
                        other
                    }
                })?;
                with_change(instance, |job| job.rename(*self, &mut hidden))
            }
            (renamed, _) => renamed,
        }
    }
}

impl DirChange<'_> {
    fn rename(&self, what: Rename<'_>, hidden: &mut Hidden) -> Result {
        let (old, new, overwrites) = (what.old, what.new, what.overwrites);
        let (old_dir, new_dir) = (old.directory(), new.directory());
        let old_upper_dir = upper_of(old_dir)?;
        let new_upper_dir = upper_of(new_dir)?;
        let same_dir = core::ptr::eq(old_dir, new_dir);
        let old_inode = old.dentry().positive().ok_or(ENOENT)?.inode();
        let new_inode = new.dentry().positive().map(|d| d.inode());
        let replaced = self.clear_if_needed(new, hidden)?;
        if !same_dir {
            if has_origin(old_inode) {
                self.set_impure(new_dir, new_upper_dir);
            }
            if !overwrites && new_inode.is_some_and(has_origin) {
                self.set_impure(old_dir, old_upper_dir);
            }
        }
        let renaming = Renaming::begin(
            self.c,
            self.writing,
            old_upper_dir,
            new_upper_dir,
            Ends::Names(old.name(), new.name()),
            what.flags,
        )?;
        let whiteout = {
            let real_old = renaming.old().positive();
            let real_new = renaming.new().positive();
            if !self.matches(&old, real_old, None) {
                return Err(Stale::RenamedIsOther.refuse(&old));
            }
            self.check_new_name(new, real_new, replaced, what.flags)?;
            if real_old.map(|d| d.inode().key()) == real_new.map(|d| d.inode().key()) {
                return Err(Stale::OneObject.refuse(&old));
            }
            self.mark_moved(old, real_old, new_dir, same_dir)?;
            if !overwrites {
                self.mark_moved(new, real_new, old_dir, same_dir)?;
            }
            real_new.filter(|_| what.clean_whiteout).map(ARef::from)
        };
        renaming.rename(self.c)?;
        // The VFS gives the dentries each other's names when this returns.
        let changes = self.instance.layers.changes();
        let nothing_below =
            name::leaves_nothing_below(&new, changes) || name::has_nothing_below(&new, changes);
        name::set_nothing_below(&old, overwrites && nothing_below);
        name::set_nothing_below(&new, false);
        if let Some(whiteout) = whiteout {
            self.cleanup(old_upper_dir, &whiteout);
        }
        changed(old_dir);
        changed(new_dir);
        inode::refresh(old_inode);
        if let Some(new_inode) = new_inode.filter(|i| Now::of(i.data()).in_upper()) {
            inode::refresh(new_inode);
        }
        Ok(())
    }

    /// Checks that upper has under the new name what the stack believes.
    fn check_new_name(
        &self,
        new: Named<'_, LayerFs>,
        real: Option<&Real>,
        replaced: Option<&Real>,
        flags: RenameFlags,
    ) -> Result {
        let fits = if is_in_upper(&new) {
            self.matches(&new, real, replaced)
        } else {
            match real {
                Some(real) => {
                    let path = Path::new(self.writing.mount(), real)?;
                    name::hides_lower(&new)
                        && marks::is_whiteout(&self.instance.config, self.c, path)
                }
                None => !flags.contains(RenameFlags::EXCHANGE),
            }
        };
        if fits {
            Ok(())
        } else {
            Err(Stale::TargetIsOther.refuse(&new))
        }
    }

    /// Marks an object that is moved to another directory of the stack: where its lower part is, or
    /// that it has none although there is something under its new name.
    fn mark_moved(
        &self,
        name: Named<'_, LayerFs>,
        real: Option<&Real>,
        to: &Positive,
        same_dir: bool,
    ) -> Result {
        let dentry = name.dentry().positive().ok_or(ENOENT)?;
        let real = real.ok_or_else(|| Stale::RenamedIsOther.refuse(&name))?;
        if is_merged_or_lower(dentry.inode()) {
            return self.set_redirect(dentry, real, same_dir);
        }
        let is_dir = dentry.inode().is_dir();
        if is_dir && !name::hides_lower(&name) && Now::of(to.inode().data()).is_merged() {
            self.mark(real, Mark::Opaque, b"y", EXDEV)?;
            name::set_hides_lower(&name, true);
        }
        Ok(())
    }

    /// Writes where the lower part of an object is: by name, if it stays in its directory, else by the path from the
    /// root.
    pub(super) fn set_redirect(&self, dentry: &Positive, real: &Real, same_dir: bool) -> Result {
        let places = Places::of(dentry.inode().held());
        // Hard links may be in different directories.
        let is_dir = dentry.inode().is_dir();
        let came_apart = |pin: Held<'_, Pin>| !inode::stays_one(is_dir, pin.inode().nlink());
        // What is not known yet may have several names.
        let absolute = !same_dir || places.lower().is_none_or(came_apart);
        let known = self.redirect_of(real)?;
        if known.is_some_and(|path| !absolute || path.first() == Some(&b'/')) {
            return Ok(());
        }
        let (name, path);
        let value: &[u8] = if absolute {
            path = self.path_from_root(dentry)?;
            &path
        } else {
            name = dentry.name_copy()?;
            &name
        };
        self.mark(real, Mark::Redirect, value, EXDEV).map_err(|e| {
            vfs::warn_limited!("'{}': the redirect can't be kept: {:?}\n", &**dentry, e);
            EXDEV
        })
    }

    fn redirect_of(&self, real: &Real) -> Result<Option<KVVec<u8>>> {
        let path = Path::new(self.writing.mount(), real)?;
        marks::redirect(&self.instance.config, self.c, path)
    }

    /// Returns the path of an object in the lower layers, made of names as they are, or as they were where a redirect
    /// says so.
    ///
    /// Another task may rename ancestors meanwhile. It may do so within their directory, as this operation has locked
    /// (`i_rwsem`) no directories but those of the names it changes; and if this operation is a link, or a rename
    /// within a directory, it may move them anywhere, as only moves between directories exclude each other
    /// (`s_vfs_rename_mutex`). The redirect of a directory is written before its name changes for the first time. So
    /// parent and name are taken down first and the redirect is read after that: if there is none even then, they are
    /// those that it always had. An absolute redirect makes them needless, and with a relative one it has never left
    /// its parent.
    fn path_from_root(&self, dentry: &Positive) -> Result<KVVec<u8>> {
        let max = config::redirect_max(self.instance.config.as_overlay);
        // It is made from the end to the beginning, and no longer than a redirect may be, as trees may be deeper.
        let mut path = KVVec::new();
        let mut at = ARef::from(dentry);
        while !at.is_root() {
            let parent = at.parent();
            let name = at.name_copy()?;
            vfs::pause::at(c"path_step");
            let now = Now::of(at.inode().held());
            let redirect = match now.upper_path() {
                Some(upper) if at.inode().is_dir() || now.is_metacopy() => {
                    self.redirect_of(upper.dentry())?
                }
                _ => None,
            };
            let part: &[u8] = match &redirect {
                Some(redirect) => redirect,
                None => &name,
            };
            for byte in part.iter().rev() {
                path.push(*byte, charged())?;
            }
            let ends = part.first() == Some(&b'/');
            if !ends {
                path.push(b'/', charged())?;
            }
            if path.len() > max {
                // Then the user has to copy it.
                return Err(EXDEV);
            }
            if ends {
                break;
            }
            at = parent;
        }
        path.reverse();
        Ok(path)
    }
}
