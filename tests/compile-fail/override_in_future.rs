// SPDX-License-Identifier: GPL-2.0-only

//! A future that is never polled again can't keep an override in force.
// expect: error: lifetime may not live long enough

use kernel::cred::Credential;
use vfs::sys::cred::OverrideExt;
use vfs::Override;

async fn later(_c: &Override<'_>) {}

/// An example.
pub fn example(mounter: &Credential) {
    #[cfg(misuse)]
    let future = mounter.override_current(|c| later(c));
    #[cfg(not(misuse))]
    let future = mounter.override_current(|c| drop(later(c)));
    let _ = future;
}
