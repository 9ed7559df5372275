// SPDX-License-Identifier: GPL-2.0-only

//! The target of a link lies in its inode: it does not outlive what keeps that.
// expect: error[E0505]: cannot move out of `link` because it is borrowed

use kernel::prelude::*;
use kernel::sync::aref::ARef;
use vfs::call::symlink;
use vfs::Foreign;
use vfs::Override;
use vfs::Positive;

/// An example.
pub fn example(c: &Override<'_>, link: ARef<Positive<Foreign>>, done: &mut symlink::Done<'_>) {
    let target = symlink::target(c, &link, done);
    #[cfg(misuse)]
    drop(link);
    let _ = target.map(|_| ());
}
