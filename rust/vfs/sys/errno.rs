// SPDX-License-Identifier: GPL-2.0-only

//! Error codes that the kernel crate does not name, or not in every version, and errors made of numbers. No other
//! file makes an error of a number.
//!
//! The codes are imported one by one, never by `errno::*`: a name that newer versions of the kernel crate have in
//! their prelude as well would be ambiguous.
//!
//! It is not for errors that the kernel crate's prelude has.
//!
//! C header: [`include/uapi/asm-generic/errno.h`](srctree/include/uapi/asm-generic/errno.h)
//!
//! # Examples
//!
//! ```ignore
//! use vfs::sys::errno::ESTALE;
//!
//! return Err(ESTALE);
//! ```

use crate::sys::bindings;
use core::mem::transmute;
use core::num::NonZeroI32;
use kernel::error::code::EIO;
use kernel::error::code::EPERM;
use kernel::error::Error;

/// The kernel crate has no `const` way to make an error of a number.
const fn code(errno: u32) -> Error {
    assert!(errno > 0 && errno <= bindings::MAX_ERRNO);
    // SAFETY: An `Error` is a `NonZeroI32` in the range that was just checked. That its layout is
    // that of its only field is asserted below.
    match NonZeroI32::new(-(errno as i32)) {
        Some(errno) => unsafe { transmute::<NonZeroI32, Error>(errno) },
        None => unreachable!(),
    }
}

// SAFETY: Both are four bytes without padding or invalid values in this direction.
const _: () = assert!(unsafe { transmute::<Error, i32>(EPERM) } == -(bindings::EPERM as i32));

/// The error with that number, which is negative. What is no error's number, as it came from a layer or
/// a daemon, is `EIO`: the kernel crate would write a line to the log for each.
#[cold]
pub fn from_errno(number: i64) -> Error {
    match i32::try_from(number).map(to_result) {
        Ok(Err(e)) => e,
        _ => EIO,
    }
}

/// A count of bytes, or the error in its place.
///
/// # Errors
///
/// That error.
#[inline]
pub(crate) fn to_length(result: isize) -> Result<usize, Error> {
    usize::try_from(result).map_err(|_| from_errno(result as i64))
}

/// A position, or the error in its place. There are positions below zero: some filesystems number what is in
/// their directories with all of 64 bits.
///
/// # Errors
///
/// That error.
#[inline]
pub(crate) fn to_position(result: i64) -> Result<i64, Error> {
    if (-i64::from(bindings::MAX_ERRNO)..0).contains(&result) {
        return Err(from_errno(result));
    }
    Ok(result)
}

/// As the kernel crate's, but inlined: it is at the end of every hot path.
#[inline(always)]
pub(crate) fn to_result(errno: i32) -> Result<(), Error> {
    match NonZeroI32::new(errno) {
        None => Ok(()),
        Some(n) if errno < 0 && errno >= -(bindings::MAX_ERRNO as i32) => {
            // SAFETY: The number is in the range of errors; for the layout see above.
            Err(unsafe { transmute::<NonZeroI32, Error>(n) })
        }
        // A count, not an error.
        Some(_) => Ok(()),
    }
}

/// The number of an error, negative; inlined.
#[inline(always)]
pub(crate) fn to_errno(error: Error) -> i32 {
    // SAFETY: Four bytes without padding, see above.
    unsafe { transmute::<Error, i32>(error) }
}

/// As the kernel crate's, but inlined.
#[inline(always)]
pub(crate) fn from_err_ptr<T>(ptr: *mut T) -> Result<*mut T, Error> {
    let number = ptr as isize;
    if (-(bindings::MAX_ERRNO as isize)..0).contains(&number) {
        to_result(number as i32)?;
    }
    Ok(ptr)
}

macro_rules! errors {
    ($($name:ident: $doc:literal;)*) => {
        $(
            #[doc = $doc]
            pub const $name: Error = code(bindings::$name);
        )*
    };
}

errors! {
    ECANCELED: "The operation was called off.";
    ECONNABORTED: "The process that answers has ended the connection.";
    EDEADLK: "It would wait for itself.";
    ELOOP: "Too many symbolic links, or layers that contain each other.";
    ENAMETOOLONG: "The name is too long.";
    ENODATA: "There is no such extended attribute.";
    EOPNOTSUPP: "The operation is not supported here.";
    EREMOTE: "The object is of a kind that can't be stood on.";
    ENOTCONN: "The process that answers is gone.";
    ENOTEMPTY: "The directory is not empty.";
    ESTALE: "The object is not what it was.";
}
