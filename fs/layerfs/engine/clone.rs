// SPDX-License-Identifier: GPL-2.0-only

//! Cloning files (`FICLONE`), and who has to wait for it.
//!
//! One call into the real filesystem holds its locks for the whole range, and so keeps readers and writers waiting as long
//! as that takes, which may be minutes. So a range that is large is cloned in pieces, each of which takes about as long as
//! the module parameter `clone_piece_ms` says. What is cloned is the file as it was at one moment: that in which its gate
//! is closed (`state/clone_gate.rs`), under the locks of both inodes. One piece is cloned under these locks as well:
//! whatever speaks against the clone is found by it, before anything was done. It is the last one where the file ends
//! within a block, which an append changes. Then the source is unlocked. Readers have never waited for a lock of ours;
//! writers, and stores through mappings, wait for their piece.

#![forbid(unsafe_code)]

use super::inode;
use crate::state::clone_gate;
use crate::state::clones::Cloning;
use crate::state::instance::Instance;
use crate::state::object::Now;
use crate::state::File;
use crate::state::Inode;
use crate::state::LayerFs;
use core::ops::Range;
use kernel::prelude::*;
use vfs::call::backing;
use vfs::call::backing::Backing;
use vfs::call::change::Change;
use vfs::call::range;
use vfs::call::range::Transfer;
use vfs::call::range::TransferRange;
use vfs::guard::lock::Exclusive;
use vfs::sys::clock;
use vfs::sys::pause;
use vfs::sys::task;
use vfs::Override;

/// The most units in a piece: what is large and not fragmented takes no time.
const MAX_PIECE: u64 = 1 << 16;

/// So many times as long a piece may take while no writer has waited for one: each piece takes time for itself.
const CALM: u64 = 4;

/// For so many pieces after somebody has waited, others are expected to.
const STAYS_BUSY: u32 = 32;

/// Locks a file whose `bytes` are to be changed, with every gate passed that it has.
///
/// # Errors
///
/// `EINTR`: the task is being killed.
#[inline]
pub(crate) fn lock_for_change(
    inode: &Inode,
    bytes: impl Fn() -> Range<u64>,
) -> Result<Exclusive<'_, LayerFs>> {
    let lock = inode.lock_exclusive_killable()?;
    if inode.data().as_source().is_cloned_from() {
        return lock_behind_gates(inode, lock, &bytes);
    }
    Ok(lock)
}

/// Does the same where there are gates. The lock is not held while one is waited for, so that others may pass.
#[cold]
fn lock_behind_gates<'a>(
    inode: &'a Inode,
    mut lock: Exclusive<'a, LayerFs>,
    bytes: &dyn Fn() -> Range<u64>,
) -> Result<Exclusive<'a, LayerFs>> {
    let clones = &inode.super_block().data().clones;
    loop {
        let bytes = bytes();
        let Some(gate) = clones.closed(inode.data().as_source(), &bytes) else {
            return Ok(lock);
        };
        drop(lock);
        gate.pass(&bytes)?;
        lock = inode.lock_exclusive_killable()?;
    }
}

/// Waits until `bytes` of a file may be changed, for who has its lock from the VFS, and so keeps it meanwhile.
///
/// # Errors
///
/// `EINTR`: the task is being killed.
pub(crate) fn pass(inode: &Inode, bytes: &Range<u64>) -> Result {
    let clones = &inode.super_block().data().clones;
    while let Some(gate) = clones.closed(inode.data().as_source(), bytes) {
        gate.pass(bytes)?;
    }
    Ok(())
}

/// Returns whether no gate of a file keeps `bytes` of it from being written to now.
#[inline]
pub(crate) fn may_write(inode: &Inode, bytes: &Range<u64>) -> bool {
    let clones = &inode.super_block().data().clones;
    clones.closed(inode.data().as_source(), bytes).is_none()
}

/// Returns whether `bytes` of a file may be stored to through a mapping; waits for that for a moment, if `may_wait`.
#[inline]
pub(crate) fn may_store(inode: &Inode, bytes: &Range<u64>, may_wait: bool) -> bool {
    let clones = &inode.super_block().data().clones;
    match clones.closed(inode.data().as_source(), bytes) {
        None => true,
        // Another gate may be closed as well: it is asked when the access is tried again.
        Some(gate) => {
            may_wait
                && gate.pass_soon(bytes)
                && clones.closed(inode.data().as_source(), bytes).is_none()
        }
    }
}

/// A clone that was asked for.
pub(crate) struct Request<'a> {
    pub(crate) from: &'a File,
    pub(crate) to: &'a File,
    pub(crate) range: TransferRange,
    /// What ends it before all is done.
    pub(crate) limits: Limits,
    /// Gives the real files of both, as they are now.
    pub(crate) reals: &'a dyn Fn() -> Result<(&'a Backing, &'a Backing)>,
}

/// What ends a clone before all is done.
#[derive(Clone, Copy, Default)]
pub(crate) struct Limits {
    /// Any signal.
    pub(crate) interruptible: bool,
    /// So many milliseconds, if they are not 0.
    pub(crate) time_budget_ms: u64,
}

/// How a clone ended.
pub(crate) struct Ended {
    /// The number of bytes from the beginning of the range on that are cloned.
    pub(crate) done: i64,
    /// Whether that is all.
    pub(crate) result: Result<bool>,
}

impl Ended {
    fn at_once(result: Result<i64>) -> Self {
        Self {
            done: *result.as_ref().unwrap_or(&0),
            result: result.map(|_| true),
        }
    }
}

impl<'a> Request<'a> {
    fn source(&self) -> &'a Inode {
        self.from.inode()
    }

    fn target(&self) -> &'a Inode {
        self.to.inode()
    }

    fn instance(&self) -> &'a Instance {
        self.target().super_block().data()
    }

    /// Clones. The errors are those of the real filesystem; `EINTR`: the task is being killed. What of the destination was
    /// done is cut off then behind the part that was done from its beginning on. `EDEADLK`: it could not be done without
    /// somebody waiting for himself.
    pub(crate) fn run(&self) -> Ended {
        self.lock_and_run()
            .unwrap_or_else(|e| Ended::at_once(Err(e)))
    }

    fn lock_and_run(&self) -> Result<Ended> {
        if self.bytes().is_none() {
            return Ok(Ended::at_once(self.at_once(self.lock_target()?)));
        }
        self.write_back_most()?;
        if core::ptr::eq(self.source(), self.target()) {
            let lock = self.lock_target()?;
            return self.in_pieces(None, lock);
        }
        loop {
            let (source, target) = self.source().lock_both_killable(self.target())?;
            let destination = self.range.destination();
            let clones = &self.instance().clones;
            let Some(gate) = clones.closed(self.target().data().as_source(), &destination) else {
                return self.in_pieces(Some(source), target);
            };
            drop((source, target));
            gate.pass(&destination)?;
        }
    }

    /// Writes back what is dirty of the source while nothing is locked, so that little is left for when it is: until that
    /// takes no longer than a piece, or has been tried a few times.
    fn write_back_most(&self) -> Result {
        const TRIES: u32 = 5;

        let (real_from, _) = (self.reals)()?;
        for _ in 0..TRIES {
            let Some(bytes) = self.bytes() else {
                return Ok(());
            };
            let begin = clock::microseconds();
            self.instance()
                .as_mounter(|c| range::write_back(c, real_from, &bytes))?;
            if clock::microseconds().saturating_sub(begin) <= piece_us() {
                return Ok(());
            }
            task::check_killed()?;
        }
        Ok(())
    }

    fn lock_target(&self) -> Result<Exclusive<'a, LayerFs>> {
        lock_for_change(self.target(), || self.range.destination())
    }

    /// Returns the bytes of the source, if it is worth while to clone them in pieces, and the same as at once.
    fn bytes(&self) -> Option<Range<u64>> {
        let from = u64::try_from(self.range.from).ok()?;
        let to = u64::try_from(self.range.to).ok()?;
        let size = u64::try_from(self.source().size()).ok()?;
        let len = match u64::try_from(self.range.len).ok()? {
            0 => size.checked_sub(from)?,
            len => len,
        };
        let end = from.checked_add(len).filter(|end| *end <= size)?;
        if len <= clone_gate::MIN_UNIT || self.source().data().is_stored_to_unasked() {
            return None;
        }
        let apart = len.checked_add(clone_gate::MIN_UNIT)?;
        if core::ptr::eq(self.source(), self.target()) && from.abs_diff(to) < apart {
            return None;
        }
        to.checked_add(len)
            .filter(|end| i64::try_from(*end).is_ok())?;
        Some(from..end)
    }

    /// Makes the destination ready to be written to.
    fn prepare(&self, target: &Exclusive<'_, LayerFs>) -> Result {
        inode::refresh(self.target());
        backing::remove_privileges(self.to, target)
    }

    /// Has the real filesystem clone all of it.
    fn at_once(&self, target: Exclusive<'_, LayerFs>) -> Result<i64> {
        self.prepare(&target)?;
        let (real_from, real_to) = (self.reals)()?;
        let result = self
            .instance()
            .as_mounter(|c| range::transfer(c, Transfer::Clone, real_from, real_to, self.range));
        inode::refresh(self.target());
        result
    }

    /// Clones in pieces. Of a clone within one file there is one lock, which is kept.
    fn in_pieces(
        &self,
        source: Option<Exclusive<'_, LayerFs>>,
        target: Exclusive<'_, LayerFs>,
    ) -> Result<Ended> {
        // Nobody changes the size any more.
        inode::refresh(self.source());
        let (real_from, real_to) = (self.reals)()?;
        let Some(bytes) = self.bytes().filter(|bytes| {
            let part = self.range.part(bytes);
            let end = part.to.saturating_add(part.len);
            range::may_be_in_pieces(real_from, real_to, end)
        }) else {
            drop(source);
            return Ok(Ended::at_once(self.at_once(target)));
        };
        self.prepare(&target)?;
        let before = self.target().size().max(0) as u64;
        let instance = self.instance();
        let mut cloning = instance
            .clones
            .begin(self.source().data().as_source(), bytes.clone())?;
        // An append changes the block that the file ends in, if it ends within one. Otherwise the order is that of the file.
        let ends_within = bytes.end & real_from.inode().block_size().saturating_sub(1) != 0;
        let first = if ends_within {
            cloning.tail()
        } else {
            cloning.head()
        };
        let transfer = |c: &Override<'_>, bytes: &Range<u64>| {
            let part = self.range.part(bytes);
            range::transfer(c, Transfer::Clone, real_from, real_to, part).map(drop)
        };
        let began = instance.as_mounter(|c| {
            if range::is_mapped_writably(real_from) {
                range::write_back(c, real_from, &bytes)?;
            }
            transfer(c, &first.bytes)
        });
        if began.is_err() {
            // Nothing was done. The real filesystem may want larger units, and else says itself why it can't be.
            drop((cloning, source));
            return Ok(Ended::at_once(self.at_once(target)));
        }
        cloning.done(&first);
        drop(source);
        let result = instance
            .as_mounter(|c| every_piece(&mut cloning, |bytes| transfer(c, bytes), self.limits));
        let done = cloning.done_in_order();
        if !matches!(result, Ok(true)) {
            self.cut(before, (self.range.to as u64).saturating_add(done));
        }
        drop(cloning);
        inode::refresh(self.target());
        Ok(Ended {
            done: done as i64,
            result,
        })
    }

    /// Takes away what of the destination is behind the part that was cloned in order, as a real filesystem leaves it
    /// when it is interrupted: pieces are there that it would not have come to, and nothing in between.
    fn cut(&self, before: u64, end: u64) {
        let instance = self.instance();
        let size = before.max(end);
        let Some(path) = Now::of(self.target().held()).upper_path() else {
            return;
        };
        if (path.dentry().inode().size().max(0) as u64) <= size {
            return;
        }
        let cut = path.mount().write(|writing| {
            instance.as_mounter(|c| Change::size(size).apply(c, writing, path.dentry()))
        });
        if let Err(e) = cut {
            vfs::warn_limited!(
                "'{}': what was cloned of it can't be cut off: {:?}\n",
                &**self.to.dentry(),
                e
            );
        }
    }
}

/// Returns how long a piece shall take, in microseconds.
fn piece_us() -> u64 {
    u64::from(defaults::clone_piece_ms()).saturating_mul(1000)
}

/// Clones every piece that is left, those first that somebody waits for; returns whether that was all.
fn every_piece(
    cloning: &mut Cloning<'_>,
    mut transfer: impl FnMut(&Range<u64>) -> Result,
    limits: Limits,
) -> Result<bool> {
    let start = clock::milliseconds();
    let is_at_end = || {
        limits.interruptible && task::is_interrupted()
            || limits.time_budget_ms != 0
                && clock::milliseconds().saturating_sub(start) >= limits.time_budget_ms
    };
    let mut most = 1u64;
    let mut busy = 0u32;
    while let Some(piece) = cloning.next(most)? {
        task::check_killed()?;
        if cloning.done_in_order() > 0 && is_at_end() {
            return Ok(false);
        }
        pause::at(c"clone_piece");
        let begin = clock::microseconds();
        transfer(&piece.bytes)?;
        cloning.done(&piece);
        let took = clock::microseconds().saturating_sub(begin);
        if piece.is_wished && busy == 0 {
            most = (most / CALM).max(1);
        }
        busy = if piece.is_wished {
            STAYS_BUSY
        } else {
            busy.saturating_sub(1)
        };
        let target_us = match busy {
            0 => piece_us().saturating_mul(CALM),
            _ => piece_us(),
        };
        if took > target_us {
            most = (most / 2).max(1);
        } else if took < target_us / 2 {
            most = most.saturating_mul(2).min(MAX_PIECE);
        }
        task::let_others_run();
    }
    Ok(true)
}

/// Copies bytes from one real file to another as `copy_file_range(2)` does, which need not be of one moment: in pieces,
/// so that nobody waits for all of it where they are shared.
///
/// # Errors
///
/// Those of the real filesystems, where nothing was copied before.
pub(crate) fn copy(
    c: &Override<'_>,
    from: &Backing,
    to: &Backing,
    range: TransferRange,
) -> Result<i64> {
    const PIECE: u64 = 16 << 20;

    let start = range.from.max(0) as u64;
    let end = start.saturating_add(range.len.max(0) as u64);
    let mut done = 0i64;
    while !task::is_being_killed() {
        let at = start.saturating_add(done as u64);
        let part = range.part(&(at..at.saturating_add(PIECE).min(end)));
        match range::transfer(c, Transfer::Copy, from, to, part) {
            Ok(more) => {
                done = done.saturating_add(more);
                // What is less than was asked for is for the caller to see, as it is without pieces.
                if more < part.len || start.saturating_add(done as u64) >= end {
                    break;
                }
            }
            Err(e) if done == 0 => return Err(e),
            Err(_) => break,
        }
    }
    Ok(done)
}
