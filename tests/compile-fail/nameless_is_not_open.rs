// SPDX-License-Identifier: GPL-2.0-only

//! The file that `->tmpfile()` is to open has neither an inode nor a name yet: it is no `File`.
// expect: error[E0308]: mismatched types

use kernel::prelude::*;
use vfs::call::backing::BackingFile;
use vfs::ops::Nameless;
use vfs::FileSystem;
use vfs::Override;
use vfs::Path;

/// An example.
pub fn example<F: FileSystem>(
    c: &Override<'_>,
    request: &Nameless<'_, F>,
    path: Path<'_>,
) -> Result<BackingFile> {
    #[cfg(misuse)]
    return BackingFile::open::<F>(c, &request.opening(), path);
    #[cfg(not(misuse))]
    return BackingFile::make_nameless(c, &request.opening(), path, request.mode);
}
