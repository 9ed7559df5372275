// SPDX-License-Identifier: GPL-2.0-only

//! In a path walk under RCU a dentry below is asked through its pin; the dentry itself can't be had.
// expect: error[E0599]: no method named `dentry` found for reference `&PinnedDentry<()>`

use vfs::ops::revalidation::RcuRevalidation;
use vfs::PinnedDentry;

/// An example.
pub fn example(question: RcuRevalidation<'_>, pin: &PinnedDentry<()>) -> Option<bool> {
    #[cfg(misuse)]
    let _ = pin.dentry();
    question.ask(pin)
}
