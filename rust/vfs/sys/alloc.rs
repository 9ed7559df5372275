// SPDX-License-Identifier: GPL-2.0-only

//! Memory whose size a user, or a layer, chooses.
//!
//! It is not for what has a bound, as a name has, or a path: `GFP_KERNEL` will do there.
//!
//! C header: [`include/linux/gfp_types.h`](srctree/include/linux/gfp_types.h)
//!
//! # Examples
//!
//! ```ignore
//! names.push(name, charged())?;
//! ```

use kernel::alloc::flags::*;
use kernel::alloc::Flags;

/// How to allocate what a user chooses the size of: it is charged to the memory cgroup of the current
/// task, and when there is none, nothing is said in the kernel's log. It may sleep.
///
/// For a `KVVec`, which need not be contiguous: a piece of many pages may not be there, and the allocator
/// warns of one that is larger than any it has.
#[inline]
pub fn charged() -> Flags {
    GFP_KERNEL_ACCOUNT | __GFP_NOWARN
}

/// How to allocate what has a bound of its own for all users together, and can be given back: it is charged to nobody,
/// since whoever needs the memory of a cgroup back would not ask for it, and when there is none, nothing is said in the
/// kernel's log. It may sleep.
#[inline]
pub fn bounded() -> Flags {
    GFP_KERNEL | __GFP_NOWARN
}
