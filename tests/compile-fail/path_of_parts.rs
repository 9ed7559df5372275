// SPDX-License-Identifier: GPL-2.0-only

//! A path is not made of a mount and a dentry without comparing them: a file opened by it keeps the mount
//! alone, and another filesystem's dentry would be used after its end.
// expect: error[E0451]: field `mount` of struct `Path` is private
// expect: error[E0451]: field `dentry` of struct `Path` is private

use vfs::Foreign;
use vfs::Mount;
use vfs::Path;
use vfs::Positive;

/// An example.
pub fn example<'a>(mount: &'a Mount, dentry: &'a Positive<Foreign>) -> Option<Path<'a>> {
    #[cfg(misuse)]
    let path = Some(Path { mount, dentry });
    #[cfg(not(misuse))]
    let path = Path::new(mount, dentry).ok();
    path
}
