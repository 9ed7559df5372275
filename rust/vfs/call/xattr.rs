// SPDX-License-Identifier: GPL-2.0-only

//! Extended attributes of objects below.
//!
//! It is not for access control lists, whose ids depend on the mount: an attribute that holds one is refused, see
//! [`acl`](crate::call::acl).
//!
//! C header: [`include/linux/xattr.h`](srctree/include/linux/xattr.h)
//!
//! # Examples
//!
//! ```ignore
//! let len = xattr::get(c, path, name, &mut value)?;
//! xattr::set(c, writing, dentry, name, value, SetFlags::ANY)?;
//! ```

use crate::guard::write::WantWrite;
use crate::object::dentry::Positive;
use crate::object::path::Path;
use crate::object::waited_for::about_to_ask;
use crate::object::Foreign;
use crate::sys::alloc::charged;
use crate::sys::bindings;
use crate::sys::cred::Override;
use crate::sys::errno::to_length;
use crate::sys::errno::to_result;
use crate::sys::errno::ECANCELED;
use crate::sys::errno::ENODATA;
use crate::sys::errno::EOPNOTSUPP;
use kernel::prelude::*;

/// The longest name, without its NUL, in bytes.
pub const NAME_MAX: usize = bindings::XATTR_NAME_MAX as usize;

/// The longest value, in bytes.
pub const VALUE_MAX: usize = bindings::XATTR_SIZE_MAX as usize;

/// The longest list of names, in bytes.
pub const LIST_MAX: usize = bindings::XATTR_LIST_MAX as usize;

/// The length of what was written to a buffer that has room for so many bytes, or would be if it has none: whoever
/// takes that part of it then finds it there.
fn length(result: isize, room: usize) -> Result<usize> {
    let len = to_length(result)?;
    if room != 0 && len > room {
        return Err(EIO);
    }
    Ok(len)
}

/// Filesystems take for granted what the system calls check: that a name is neither empty nor longer than
/// [`NAME_MAX`].
#[inline]
fn check_name(name: &CStr) -> Result {
    match name.to_bytes().len() {
        1..=NAME_MAX => Ok(()),
        _ => Err(ERANGE),
    }
}

/// Reads the value of `name` into `buf` and gives its length (wraps `vfs_getxattr()`); with an empty
/// `buf` only the length is told.
///
/// # Errors
///
/// `ENODATA`: there is none. `EOPNOTSUPP`: the filesystem or the inode has none of this kind. `ERANGE`: `buf`
/// is too small; `name` is empty or too long. `EACCES`, `EPERM`, `EIO`, …
///
/// # Context
///
/// May sleep.
pub fn get(_c: &Override<'_>, path: Path<'_>, name: &CStr, buf: &mut [u8]) -> Result<usize> {
    let value = if buf.is_empty() {
        core::ptr::null_mut()
    } else {
        buf.as_mut_ptr()
    };
    check_name(name)?;
    about_to_ask(path.dentry().super_block());
    // SAFETY: Everything is valid for the call; a null value asks for the length alone.
    let len = unsafe {
        bindings::vfs_getxattr(
            path.mount().idmap().as_ptr(),
            path.dentry().as_ptr(),
            name.as_char_ptr(),
            value.cast(),
            buf.len(),
        )
    };
    length(len, buf.len())
}

/// The length up to which a value is read without being asked for its length, in bytes: that of a path of 64 digits and
/// some names, or of a file handle.
const SHORT: usize = 128;

/// The whole value of `name`, or `None` if there is none or the filesystem has no such attributes.
/// There is room for one byte more in it, if it is short.
///
/// # Errors
///
/// The errors are those of [`get`], without `ENODATA` and `EOPNOTSUPP`; `ERANGE`: the filesystem says so whatever
/// the room;
/// `ENOMEM`.
///
/// # Context
///
/// May sleep.
pub fn get_whole(c: &Override<'_>, path: Path<'_>, name: &CStr) -> Result<Option<KVVec<u8>>> {
    let none_is_fine = |result: Result<usize>| match result {
        Ok(len) => Ok(Some(len)),
        Err(e) if e == ENODATA || e == EOPNOTSUPP => Ok(None),
        Err(e) => Err(e),
    };
    // Most values are short: they are read at once, and not asked for their length before.
    let mut short = [0u8; SHORT];
    match get(c, path, name, &mut short) {
        Err(e) if e == ERANGE => {}
        result => {
            let Some(len) = none_is_fine(result)? else {
                return Ok(None);
            };
            let mut value = KVVec::with_capacity(len.saturating_add(1), charged())?;
            value.extend_from_slice(short.get(..len).unwrap_or_default(), charged())?;
            return Ok(Some(value));
        }
    }
    let Some(mut room) = none_is_fine(get(c, path, name, &mut []))? else {
        return Ok(None);
    };
    loop {
        let mut value = KVVec::from_elem(0u8, room.clamp(1, VALUE_MAX), charged())?;
        match get(c, path, name, &mut value) {
            // Another task has set a longer one in between, as no lock is held: it is read once more, with room for any
            // value.
            Err(e) if e == ERANGE && room < VALUE_MAX => room = VALUE_MAX,
            result => {
                return Ok(none_is_fine(result)?.map(|len| {
                    value.truncate(len);
                    value
                }));
            }
        }
    }
}

/// Lists the names, each with its NUL, into `buf` (wraps `vfs_listxattr()`); with an empty `buf` only
/// the length is told.
///
/// # Errors
///
/// `ERANGE`: `buf` is too small. `EIO`, …
///
/// # Context
///
/// May sleep.
pub fn list(_c: &Override<'_>, path: Path<'_>, buf: &mut [u8]) -> Result<usize> {
    let value = if buf.is_empty() {
        core::ptr::null_mut()
    } else {
        buf.as_mut_ptr()
    };
    about_to_ask(path.dentry().super_block());
    // SAFETY: Everything is valid for the call; a null buffer asks for the length alone.
    let len = unsafe { bindings::vfs_listxattr(path.dentry().as_ptr(), value.cast(), buf.len()) };
    length(len, buf.len())
}

/// Every name, each with its NUL; of a filesystem without extended attributes none.
///
/// # Errors
///
/// `ERANGE`: the filesystem says so whatever the room; `ENOMEM`. `EIO`, …
///
/// # Context
///
/// May sleep.
pub fn list_whole(c: &Override<'_>, path: Path<'_>) -> Result<KVVec<u8>> {
    let mut room = match list(c, path, &mut []) {
        Ok(0) => return Ok(KVVec::new()),
        Ok(len) => len.min(LIST_MAX),
        Err(e) if e == EOPNOTSUPP => return Ok(KVVec::new()),
        Err(e) => return Err(e),
    };
    loop {
        let mut names = KVVec::from_elem(0u8, room, charged())?;
        match list(c, path, &mut names) {
            // There are more now: once more, with room for any list.
            Err(e) if e == ERANGE && room < LIST_MAX => room = LIST_MAX,
            result => {
                names.truncate(result?);
                return Ok(names);
            }
        }
    }
}

/// Whether the object at `path` may have extended attributes at all.
pub fn supported(path: Path<'_>) -> bool {
    // SAFETY: The inode is valid while its dentry is borrowed.
    unsafe {
        let inode = path.dentry().inode().as_ptr();
        (*inode).i_opflags & bindings::IOP_XATTR as u16 != 0
    }
}

/// Whether an attribute that is set must be there already, or must not: `XATTR_REPLACE`, `XATTR_CREATE`.
#[derive(Clone, Copy)]
pub struct SetFlags(pub(crate) i32);

impl SetFlags {
    /// It may be there or not.
    pub const ANY: Self = Self(0);
}

/// Sets `name` to `value` (wraps `vfs_setxattr()`).
///
/// # Errors
///
/// `ERANGE`: `name` is empty or too long. `E2BIG`: `value` is. `EINVAL`: other flags. `EOPNOTSUPP`: no such attributes
/// here. `ENOSPC`, `EDQUOT`, `EPERM`, `EEXIST`, `ENODATA`, …
///
/// # Context
///
/// May sleep; takes the lock of the inode.
pub fn set(
    _c: &Override<'_>,
    writing: &WantWrite<'_>,
    dentry: &Positive<Foreign>,
    name: &CStr,
    value: &[u8],
    flags: SetFlags,
) -> Result {
    const FLAGS: i32 = (bindings::XATTR_CREATE | bindings::XATTR_REPLACE) as i32;
    writing.assert_covers(dentry);
    check_name(name)?;
    if value.len() > VALUE_MAX {
        return Err(E2BIG);
    }
    if flags.0 & !FLAGS != 0 {
        return Err(EINVAL);
    }
    // SAFETY: Everything is valid for the call.
    to_result(unsafe {
        bindings::vfs_setxattr(
            writing.idmap_ptr(),
            dentry.as_ptr(),
            name.as_char_ptr(),
            value.as_ptr().cast(),
            value.len(),
            flags.0,
        )
    })
}

/// Removes `name` (wraps `vfs_removexattr()`).
///
/// # Errors
///
/// `ENODATA`: there is none. `ERANGE`: `name` is empty or too long. `EOPNOTSUPP`, `EPERM`, …
///
/// # Context
///
/// May sleep; takes the lock of the inode.
pub fn remove(
    _c: &Override<'_>,
    writing: &WantWrite<'_>,
    dentry: &Positive<Foreign>,
    name: &CStr,
) -> Result {
    writing.assert_covers(dentry);
    check_name(name)?;
    // SAFETY: Everything is valid for the call.
    to_result(unsafe {
        bindings::vfs_removexattr(writing.idmap_ptr(), dentry.as_ptr(), name.as_char_ptr())
    })
}

/// Whether the LSMs want `name` copied when `dentry` is copied up (wraps
/// `security_inode_copy_up_xattr()`).
///
/// # Errors
///
/// The errors are those of the LSMs.
pub fn is_to_be_copied_up(dentry: &Positive<Foreign>, name: &CStr) -> Result<bool> {
    // Some read attributes to decide.
    about_to_ask(dentry.super_block());
    // SAFETY: Both are valid for the call.
    let verdict =
        unsafe { bindings::security_inode_copy_up_xattr(dentry.as_ptr(), name.as_char_ptr()) };
    match to_result(verdict) {
        Ok(()) => Ok(true),
        Err(e) if e == EOPNOTSUPP => Ok(true),
        Err(e) if e == ECANCELED => Ok(false),
        Err(e) => Err(e),
    }
}
