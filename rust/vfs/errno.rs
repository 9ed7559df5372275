// SPDX-License-Identifier: GPL-2.0-only

//! Error codes that the kernel crate does not name.
//!
//! C header: [`include/uapi/asm-generic/errno.h`](srctree/include/uapi/asm-generic/errno.h)

use crate::bindings;
use core::mem::transmute;
use core::num::NonZeroI32;
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
    ELOOP: "Too many symbolic links, or layers that contain each other.";
    ENAMETOOLONG: "The name is too long.";
    ENODATA: "There is no such extended attribute.";
    EOPNOTSUPP: "The operation is not supported here.";
    EREMOTE: "The object is of a kind that can't be stood on.";
    ENOTEMPTY: "The directory is not empty.";
    ESTALE: "The object is not what it was.";
}
