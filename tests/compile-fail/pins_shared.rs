// SPDX-License-Identifier: GPL-2.0-only

//! Pins that others can reach as well can't be those of an inode: whoever holds one relies on it.
// expect: error[E0277]: the trait bound `Arc<PinnedDentry<()>>: PinSet` is not satisfied

use kernel::sync::Arc;
use vfs::object::pinned::PinSet;
use vfs::PinnedDentry;

fn takes<S: PinSet>(_pins: &S) {}

/// An example.
pub fn example(pins: &Option<PinnedDentry<()>>, shared: &Option<Arc<PinnedDentry<()>>>) {
    #[cfg(misuse)]
    takes(shared);
    #[cfg(not(misuse))]
    let _ = shared;
    takes(pins);
}
