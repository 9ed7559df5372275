// SPDX-License-Identifier: GPL-2.0-only

//! An open directory is read and moved by one at a time: filesystems keep state with the position of
//! the open file, and leave it to the VFS to lock it.
// expect: error[E0596]: cannot borrow `*dir` as mutable, as it is behind a `&` reference

use kernel::prelude::*;
use vfs::call::dir_iter;
use vfs::object::file::OwnedFile;
use vfs::Override;

#[cfg(misuse)]
type Dir<'a> = &'a OwnedFile;
#[cfg(not(misuse))]
type Dir<'a> = &'a mut OwnedFile;

/// An example.
pub fn example(c: &Override<'_>, dir: Dir<'_>) -> Result {
    dir_iter::read_all(c, &mut *dir, |_| Ok(()))
}
