// SPDX-License-Identifier: GPL-2.0-only

//! What a path walk that may sleep asks for is not kept for another, which may not.
// expect: error: lifetime may not live long enough

use vfs::object::inode::Access;

/// An example.
pub fn example<'a>(access: Access<'a>) {
    #[cfg(misuse)]
    let _: Access<'static> = access;
    #[cfg(not(misuse))]
    let _: Access<'a> = access;
}
