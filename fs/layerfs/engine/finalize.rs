// SPDX-License-Identifier: GPL-2.0-only

//! Finalizing directories because that was asked for: what upper lacks is copied there first, files without their data.
//!
//! All of it can be done while the directories are in use. No name is away for an instant: a copy takes the place that
//! its lower object has in the stack. See [`finalized`](super::finalized) for what it is good for, and why no lock is
//! needed.

#![forbid(unsafe_code)]

use super::copy_up;
use super::copy_up::Need;
use super::finalized;
use super::merge;
use super::merge::Names;
use crate::state::instance::Instance;
use crate::state::name;
use crate::state::object::Now;
use crate::state::places::Places;
use crate::state::LayerFs;
use crate::state::Positive;
use format::control::FinalizeProgress;
use format::control::FinalizeRequest;
use kernel::prelude::*;
use kernel::sync::aref::ARef;
use vfs::ops::ioctl::Ioctl;
use vfs::sys::clock;
use vfs::sys::errno::ELOOP;
use vfs::sys::errno::EOPNOTSUPP;
use vfs::sys::task;

/// The most directories within each other that are gone through: no path names more.
pub(super) const MAX_DEPTH: usize = 2048;

/// A directory whose subdirectories are gone through.
struct Level {
    dir: ARef<Positive>,
    names: Names,
    /// The place among the names that is next.
    next: u32,
}

/// A request to finalize directories, while it is carried out.
pub(crate) struct Request<'a> {
    instance: &'a Instance,
    ioctl: &'a Ioctl<'a, LayerFs>,
    /// When it began, in milliseconds.
    begin: u64,
    wanted: FinalizeRequest,
    done: FinalizeProgress,
    /// A directory was finalized that was not before: the time counts from then on, so that each call gets further.
    has_begun: bool,
}

/// Whether a request was carried out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All of it.
    Done,
    /// Its time was spent before.
    OutOfTime,
}

impl<'a> Request<'a> {
    pub(crate) fn new(
        instance: &'a Instance,
        ioctl: &'a Ioctl<'a, LayerFs>,
        wanted: FinalizeRequest,
    ) -> Self {
        Self {
            instance,
            ioctl,
            begin: clock::milliseconds(),
            wanted,
            done: FinalizeProgress::default(),
            has_begun: false,
        }
    }

    /// Finalizes a directory, and if that is wanted all below.
    ///
    /// # Errors
    ///
    /// `EOPNOTSUPP`: a file's data would have to be copied, or a layer makes no handles; `EINTR`: the task is being
    /// killed; `ELOOP`: directories are too deep in each other. Those of copying up, and of a layer, where it can't
    /// tell.
    pub(crate) fn run(mut self, dir: &Positive) -> Result<Outcome> {
        let result = self.go_through(dir);
        if result.is_err() {
            // The task is told the error, and may be told how far that came.
            let _ = self.tell();
        }
        result
    }

    fn go_through(&mut self, dir: &Positive) -> Result<Outcome> {
        let mut levels = KVVec::new();
        self.enter(ARef::from(dir), &mut levels)?;
        while let Some(level) = levels.last_mut() {
            if !self.wanted.recursive {
                break;
            }
            let Some((name, next)) = level.names.directory_from(level.next) else {
                levels.pop();
                continue;
            };
            level.next = next;
            let child = self.ioctl.lookup(&level.dir, name)?;
            let Some(child) = child.filter(|child| child.inode().is_dir()) else {
                // It was removed meanwhile, or is no directory.
                continue;
            };
            if self.is_out_of_time() {
                return Ok(Outcome::OutOfTime);
            }
            if levels.len() == MAX_DEPTH {
                return Err(ELOOP);
            }
            self.enter(child, &mut levels)?;
        }
        Ok(Outcome::Done)
    }

    /// Finalizes a directory, and remembers to go through those in it.
    fn enter(&mut self, dir: ARef<Positive>, levels: &mut KVVec<Level>) -> Result {
        let names = self.one(&dir)?;
        self.done.directories = self.done.directories.saturating_add(1);
        self.tell()?;
        let level = Level {
            dir,
            names,
            next: 0,
        };
        Ok(levels.push(level, GFP_KERNEL_ACCOUNT)?)
    }

    /// Writes to the task's memory how far it is.
    fn tell(&self) -> Result {
        self.ioctl
            .write(FinalizeProgress::OFFSET, &self.done.encode())
    }

    fn is_out_of_time(&self) -> bool {
        let budget = u64::from(self.wanted.time_budget_ms);
        let spent = clock::milliseconds().saturating_sub(self.begin);
        budget != 0 && self.has_begun && spent >= budget
    }

    /// Finalizes one directory; returns its names.
    fn one(&mut self, dir: &Positive) -> Result<Names> {
        let instance = self.instance;
        task::check_killed()?;
        let _writing = self.ioctl.want_write()?;
        let object = dir.inode().held();
        if !Now::of(object).in_upper() {
            copy_up::copy_up(instance, dir, Need::Metadata)?;
            self.done.copied = self.done.copied.saturating_add(1);
        }
        // It is looked at once: if another task finalizes the directory meanwhile, over what the lower directories were
        // before, the names are read from all of them nevertheless.
        let now = Places::of(object);
        let names = || instance.as_mounter(|c| merge::names(instance, c, &now));
        if now.naming() == 1 || !now.is_merged() {
            // Upper lacks nothing.
            return names();
        }
        let over = finalized::fingerprint(instance, &now, 0).inspect_err(|_| {
            vfs::warn_limited!(
                "'{}' can't be finalized: the filesystem of a lower layer makes no file handles\n",
                &**dir
            );
        })?;
        let names = names()?;
        self.copy_missing(dir, &names)?;
        let path = now.upper_path().ok_or(EIO)?;
        finalized::finalize(instance, dir, path, over)?;
        self.has_begun = true;
        Ok(names)
    }

    /// Copies to upper what it lacks of a directory: its files without their data.
    fn copy_missing(&mut self, dir: &Positive, names: &Names) -> Result {
        for missing in names.missing_in_upper() {
            task::check_killed()?;
            // What is not there any more has left a whiteout, or is gone from the lower layer.
            let Some(child) = self.ioctl.lookup(dir, missing)? else {
                continue;
            };
            let inode = child.inode();
            if name::has_upper_name(&child) {
                continue;
            }
            if inode.is_regular() && !self.instance.config.features.metacopy {
                vfs::warn_limited!(
                    "'{}' can't be finalized: '{}' would be copied with its data; mount with metacopy=on\n",
                    &**dir,
                    &**child
                );
                return Err(EOPNOTSUPP);
            }
            copy_up::copy_up(self.instance, &child, Need::Metadata)?;
            self.done.copied = self.done.copied.saturating_add(1);
        }
        Ok(())
    }
}
