// SPDX-License-Identifier: GPL-2.0-only

//! A closure can't return the override it was given.
// expect: error: lifetime may not live long enough

use kernel::cred::Credential;
use vfs::sys::cred::OverrideExt;

/// An example.
pub fn example(mounter: &Credential) {
    #[cfg(misuse)]
    let c = mounter.override_current(|c| c);
    #[cfg(not(misuse))]
    let c = mounter.override_current(|_| ());
    let _ = c;
}
