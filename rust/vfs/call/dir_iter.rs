// SPDX-License-Identifier: GPL-2.0-only

//! Reading directories below with a closure.
//!
//! How a user gets the entries of ours is in [`emitter`](crate::call::emitter).
//!
//! It is not for the one name that somebody knows: that is looked up ([`Positive::lookup`](crate::Positive::lookup)).
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)
//!
//! # Examples
//!
//! ```ignore
//! dir_iter::read_all(c, &mut dir, |entry| names.push(entry.name, charged()))?;
//! ```

use crate::object::file::OwnedFile;
use crate::object::waited_for::about_to_ask;
use crate::sys::bindings;
use crate::sys::cred::Override;
use crate::sys::errno::to_result;
use crate::sys::errno::ELOOP;
use crate::sys::task;
use core::mem::offset_of;
use kernel::ffi;
use kernel::prelude::*;

/// The `d_type` of an entry.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Type(u8);

impl Type {
    /// A directory.
    pub const DIRECTORY: Self = Self(bindings::DT_DIR as u8);
    /// A character device.
    pub const CHAR_DEVICE: Self = Self(bindings::DT_CHR as u8);
    /// A regular file.
    pub const REGULAR: Self = Self(bindings::DT_REG as u8);
    /// The filesystem does not say.
    pub const UNKNOWN: Self = Self(bindings::DT_UNKNOWN as u8);

    /// The type of an entry as an actor gets it, where flags may be beside the type.
    #[inline]
    pub(crate) const fn of(kind: u32) -> Self {
        Self((kind & bindings::S_DT_MASK) as u8)
    }

    /// From one byte as [`Type::as_byte`] gives it.
    #[inline]
    pub const fn from_byte(byte: u8) -> Self {
        Self(byte)
    }

    /// The type as one byte.
    #[inline]
    pub const fn as_byte(self) -> u8 {
        self.0
    }
}

/// An entry of a directory below.
#[derive(Clone, Copy)]
pub struct Entry<'a> {
    /// The name: any bytes but NUL and `/`.
    pub name: &'a [u8],
    /// The inode number.
    pub ino: u64,
    /// The type.
    pub kind: Type,
}

/// Whether a directory shall go on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The next entry, please.
    Continue,
    /// No more now; this entry was not taken.
    Stop,
}

/// A `dir_context` with a closure behind it.
#[repr(C)]
struct Closure<'a> {
    ctx: bindings::dir_context,
    seen: usize,
    each: &'a mut dyn FnMut(Entry<'_>, i64) -> Next,
}

/// The name of an entry as its filesystem passes it to an actor.
///
/// # Safety
///
/// It is as long as said, for as long as it is used.
#[inline]
pub(super) unsafe fn name_of<'a>(name: *const ffi::c_char, len: i32) -> &'a [u8] {
    // SAFETY: By the requirement.
    unsafe { core::slice::from_raw_parts(name.cast::<u8>(), usize::try_from(len).unwrap_or(0)) }
}

unsafe extern "C" fn actor(
    ctx: *mut bindings::dir_context,
    name: *const ffi::c_char,
    len: i32,
    offset: i64,
    ino: u64,
    kind: u32,
) -> bool {
    // SAFETY: `ctx` is the first field of the `Closure` that `iterate` made; the name is as long as
    // said for the time of the call.
    let (closure, name) = unsafe {
        (
            &mut *ctx
                .wrapping_byte_sub(offset_of!(Closure<'_>, ctx))
                .cast::<Closure<'_>>(),
            name_of(name, len),
        )
    };
    closure.seen = closure.seen.saturating_add(1);
    let kind = Type::of(kind);
    (closure.each)(Entry { name, ino, kind }, offset) == Next::Continue
}

/// One round of `iterate_dir()` from the file's position; gives how many entries it showed and the
/// new position. It wants the position, and what a filesystem keeps with it, to itself, as the VFS
/// has by `f_pos_lock`: hence `&mut`, here and in all that reads a directory.
fn iterate(
    dir: &mut OwnedFile,
    count: i32,
    each: &mut dyn FnMut(Entry<'_>, i64) -> Next,
) -> Result<(usize, i64)> {
    let mut closure = Closure {
        ctx: bindings::dir_context {
            actor: Some(actor),
            count,
            ..pin_init::zeroed()
        },
        seen: 0,
        each,
    };
    about_to_ask(dir.inode().super_block());
    // SAFETY: The file is open, and nobody else reads or moves it, as it is borrowed exclusively. (What
    // is no directory is refused.) The closure lives for the call; the pointer is one to all of it, as
    // `actor` goes from the context to what is around it.
    unsafe {
        let closure = &raw mut closure;
        to_result(bindings::iterate_dir(dir.as_ptr(), &raw mut (*closure).ctx))?;
        Ok(((*closure).seen, (*closure).ctx.pos))
    }
}

/// How many entries are shown between two looks whether the task is being killed: a power of two.
const PATIENCE: usize = 64;

/// Shows the entries of a directory from the position of the file on (wraps `iterate_dir()`, as often as it
/// takes), until `each` wants no more; whether the end was reached. What was not taken comes first the next
/// time.
///
/// # Errors
///
/// What `each` gives. `EINTR`: the task is being killed. `ELOOP`: the filesystem shows entries without ever
/// getting on. What the filesystem gives: `ENOENT` for a directory that was removed, …
///
/// # Context
///
/// May sleep; takes the directory's lock, shared, in which `each` is called.
pub fn read_on(
    _c: &Override<'_>,
    dir: &mut OwnedFile,
    mut each: impl FnMut(Entry<'_>) -> Result<Next>,
) -> Result<bool> {
    let mut outcome = Ok(Next::Continue);
    let mut shown = 0usize;
    let mut position = dir.position();
    loop {
        let (seen, now) = iterate(dir, i32::MAX, &mut |entry, _| {
            shown = shown.wrapping_add(1);
            // Some filesystems show all they have in one call, and don't look for signals.
            if shown % PATIENCE == 0 {
                if let Err(e) = task::check_killed() {
                    outcome = Err(e);
                    return Next::Stop;
                }
            }
            outcome = each(entry);
            match outcome {
                Ok(next) => next,
                Err(_) => Next::Stop,
            }
        })?;
        if outcome? == Next::Stop {
            return Ok(false);
        }
        if seen == 0 {
            return Ok(true);
        }
        task::check_killed()?;
        if now == position {
            return Err(ELOOP);
        }
        position = now;
    }
}

/// Shows every entry of a directory that is at its beginning.
///
/// # Errors
///
/// The errors are those of [`read_on`].
///
/// # Context
///
/// The context is that of [`read_on`].
pub fn read_all(
    c: &Override<'_>,
    dir: &mut OwnedFile,
    mut each: impl FnMut(Entry<'_>) -> Result,
) -> Result {
    read_on(c, dir, |entry| each(entry).map(|()| Next::Continue)).map(|_| ())
}
