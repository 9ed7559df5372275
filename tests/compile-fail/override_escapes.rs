// SPDX-License-Identifier: GPL-2.0-only

//! An override ends with its closure: there is nothing that could be kept, forgotten, or dropped in the
//! wrong order.
// expect: error[E0521]: borrowed data escapes outside of closure

use kernel::cred::Credential;
use vfs::sys::cred::OverrideExt;

/// An example.
pub fn example(mounter: &Credential) {
    let mut kept = None;
    mounter.override_current(|c| {
        #[cfg(misuse)]
        let _ = kept.insert(c);
        #[cfg(not(misuse))]
        let _ = kept.insert(&());
        let _ = c;
    });
}
