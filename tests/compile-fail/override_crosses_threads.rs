// SPDX-License-Identifier: GPL-2.0-only

//! Another task can't act with what this one overrides.
// expect: error[E0277]: `*const kernel::bindings::cred` cannot be shared between threads safely
// expect: error[E0277]: `*mut ()` cannot be shared between threads safely

use kernel::cred::Credential;
use vfs::sys::cred::OverrideExt;

fn elsewhere<T: Send>(_what: T) {}

/// An example.
pub fn example(mounter: &Credential) {
    mounter.override_current(|c| {
        #[cfg(misuse)]
        elsewhere(|| drop(c.clone()));
        #[cfg(not(misuse))]
        elsewhere(|| ());
        let _ = c;
    });
}
