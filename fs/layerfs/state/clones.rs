// SPDX-License-Identifier: GPL-2.0-only

//! The clones that are being made of files of a stack, for those who write to these.
//!
//! A bit in the word of a file says that one is being made ([`Trait::CLONED_FROM`]); without it nobody looks here.

#![forbid(unsafe_code)]

use super::clone_gate::Cloner;
use super::clone_gate::Gate;
use super::clone_gate::Monitor;
use super::clone_gate::Piece;
use super::clone_gate::Progress;
use super::traits::Trait;
use super::traits::Traits;
use core::ops::Range;
use core::sync::atomic::fence;
use core::sync::atomic::Ordering;
use kernel::prelude::*;
use kernel::sync::Arc;
use vfs::cell::lock_word::LockWord;
use vfs::cell::watched::Watched;
use vfs::cell::watched::WatchedGuard;
use vfs::sys::clock;

/// The moment that somebody waits who may not wait long, in milliseconds.
const MOMENT_MS: u32 = 20;

impl<T: Unpin> Monitor<T> for Watched<T> {
    type Guard<'a>
        = WatchedGuard<'a, T>
    where
        T: 'a;

    fn lock(&self) -> WatchedGuard<'_, T> {
        Watched::lock(self)
    }

    fn wait<'a>(&'a self, guard: WatchedGuard<'a, T>) -> Result<WatchedGuard<'a, T>> {
        guard.wait()
    }

    fn wait_a_moment<'a>(&'a self, guard: WatchedGuard<'a, T>) -> WatchedGuard<'a, T> {
        guard.wait_at_most(MOMENT_MS)
    }

    fn wake_all(&self) {
        Watched::wake_all(self);
    }

    fn milliseconds(&self) -> u64 {
        clock::milliseconds().max(1)
    }
}

type InKernel = Watched<Progress>;

/// The word of a file that clones are made of, or may be: with [`Trait::CLONED_FROM`] in it as long as one is being made.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a>(&'a LockWord);

impl<'a> Source<'a> {
    /// Makes it of the word of an object.
    #[inline]
    pub(super) fn new(word: &'a LockWord) -> Self {
        Self(word)
    }

    /// Returns whether a clone of the file is being made.
    #[inline]
    pub(crate) fn is_cloned_from(self) -> bool {
        Traits(self.0.bits()).has(Trait::CLONED_FROM)
    }

    /// Sets whether one is; under the lock of all clones.
    fn set_cloned_from(self, is_cloned_from: bool) {
        if is_cloned_from {
            self.0.set(Trait::CLONED_FROM.0);
        } else {
            self.0.clear(Trait::CLONED_FROM.0);
        }
    }

    /// Returns what tells it from the other files that clones are being made of.
    fn address(self) -> usize {
        core::ptr::from_ref(self.0).addr()
    }
}

/// A clone that is being made.
struct Entry {
    /// The address of the word of the file, which is there as long as this.
    source: usize,
    gate: Arc<Gate<InKernel>>,
}

/// The clones that are being made of files of one stack.
pub(crate) struct Clones(Watched<KVec<Entry>>);

impl Clones {
    /// Makes it, with none.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new() -> Result<Self> {
        let class = kernel::static_lock_class!();
        Ok(Self(Watched::new(KVec::new(), c"layerfs::Clones", class)?))
    }

    /// Closes `source` to writers, for a clone of these bytes of it: who comes from now on, finds the gate. The caller
    /// keeps out those who came before: he has the lock of the inode, and has written back what was stored to already.
    ///
    /// # Errors
    ///
    /// `ENOMEM`. `EINVAL`: there are no bytes.
    pub(crate) fn begin<'a>(
        &'a self,
        source: Source<'a>,
        bytes: Range<u64>,
    ) -> Result<Cloning<'a>> {
        let class = kernel::static_lock_class!();
        let progress = Watched::new(Progress::new(bytes)?, c"layerfs::Progress", class)?;
        let cloner = Cloner::new(progress)?;
        let entry = Entry {
            source: source.address(),
            gate: cloner.gate().clone(),
        };
        let mut all = self.0.lock();
        all.push(entry, GFP_KERNEL)?;
        source.set_cloned_from(true);
        drop(all);
        // Stores through mappings take no lock. Whoever does not see the mark has made his page dirty before it was set,
        // and what is dirty is written back after this.
        fence(Ordering::SeqCst);
        Ok(Cloning {
            all: self,
            source,
            cloner,
        })
    }

    /// Returns a gate of `source` that does not let pass who is to change these bytes, if there is one.
    #[inline]
    pub(crate) fn closed(&self, source: Source<'_>, bytes: &Range<u64>) -> Option<ClosedGate> {
        if !source.is_cloned_from() {
            return None;
        }
        self.find_closed(source.address(), bytes)
    }

    #[cold]
    fn find_closed(&self, source: usize, bytes: &Range<u64>) -> Option<ClosedGate> {
        let all = self.0.lock();
        let mut gates = all.iter().filter(|entry| entry.source == source);
        let closed = gates.find(|entry| !entry.gate.lets_pass(bytes))?;
        Some(ClosedGate(closed.gate.clone()))
    }
}

/// A gate that was closed when it was looked at.
pub(crate) struct ClosedGate(Arc<Gate<InKernel>>);

impl ClosedGate {
    /// Waits until these bytes may be changed, as far as this gate is concerned.
    ///
    /// # Errors
    ///
    /// `EINTR`: the task is being killed.
    pub(crate) fn pass(&self, bytes: &Range<u64>) -> Result {
        self.0.pass(bytes)
    }

    /// Does the same, but waits for a moment at most; returns whether they may.
    pub(crate) fn pass_soon(&self, bytes: &Range<u64>) -> bool {
        self.0.pass_soon(bytes)
    }
}

/// A clone is being made of a file, which is closed to writers until this is dropped.
pub(crate) struct Cloning<'a> {
    all: &'a Clones,
    source: Source<'a>,
    cloner: Cloner<InKernel>,
}

impl Cloning<'_> {
    /// Returns the first piece.
    pub(crate) fn head(&self) -> Piece {
        self.cloner.head()
    }

    /// Returns the last piece: see [`Cloner::tail`].
    pub(crate) fn tail(&self) -> Piece {
        self.cloner.tail()
    }

    /// Returns what is to be cloned next: see [`Cloner::next`].
    ///
    /// # Errors
    ///
    /// `EDEADLK`.
    pub(crate) fn next(&mut self, most: u64) -> Result<Option<Piece>> {
        self.cloner.next(most)
    }

    /// Notes that a piece is cloned.
    pub(crate) fn done(&mut self, piece: &Piece) {
        self.cloner.done(piece);
    }

    /// Returns how many bytes from the beginning on are cloned.
    pub(crate) fn done_in_order(&self) -> u64 {
        self.cloner.done_in_order()
    }
}

impl Drop for Cloning<'_> {
    fn drop(&mut self) {
        let source = self.source.address();
        let mut all = self.all.0.lock();
        all.retain(|entry| !Arc::ptr_eq(&entry.gate, self.cloner.gate()));
        if all.iter().all(|entry| entry.source != source) {
            self.source.set_cloned_from(false);
        }
    }
}
