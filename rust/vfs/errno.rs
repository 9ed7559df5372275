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
