// SPDX-License-Identifier: GPL-2.0-only

//! Giving the entries of a directory to the user who reads it: one's own, and those that a directory below has.
//!
//! It is not for reading a directory below for oneself: see [`dir_iter`](crate::call::dir_iter).
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h) (`struct dir_context`)
//!
//! # Examples
//!
//! ```ignore
//! for entry in listing.iter_from(position) {
//!     if emitter.emit_next(entry) == Next::Stop {
//!         break;
//!     }
//! }
//! ```

use crate::call::dir_iter::name_of;
use crate::call::dir_iter::Entry;
use crate::call::dir_iter::Next;
use crate::call::dir_iter::Type;
use crate::object::file::OwnedFile;
use crate::object::waited_for::about_to_ask;
use crate::sys::bindings;
use crate::sys::cred::Override;
use crate::sys::errno::to_result;
use core::mem::offset_of;
use kernel::ffi;
use kernel::prelude::*;

/// Some types of entries.
#[derive(Clone, Copy)]
pub struct Types(u64);

impl Types {
    /// All.
    pub const ALL: Self = Self(u64::MAX);

    /// The set of the types in the list.
    pub const fn of(list: &[Type]) -> Self {
        match list {
            [] => Self(0),
            [first, rest @ ..] => Self(1 << (first.as_byte() & 63) | Self::of(rest).0),
        }
    }

    #[inline]
    fn contains(self, kind: Type) -> bool {
        self.0 >> (kind.as_byte() & 63) & 1 != 0
    }
}

/// The fate of an entry that is passed on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Passage {
    /// The user gets it, with this number.
    Show(u64),
    /// The user does not get it.
    Skip,
    /// It is the first entry the next time.
    Hold,
}

/// The user who reads a directory, as the one who takes its entries.
///
/// # Invariants
///
/// It is what the VFS passed to `->iterate_shared()`, during that call.
pub struct Emitter<'a>(&'a mut bindings::dir_context);

impl Emitter<'_> {
    /// # Safety
    ///
    /// See the type invariant.
    pub(crate) unsafe fn from_raw<'a>(ctx: *mut bindings::dir_context) -> Emitter<'a> {
        // SAFETY: By the requirement nobody else uses it during the call.
        Emitter(unsafe { &mut *ctx })
    }

    /// The position of the next entry.
    #[inline]
    pub fn position(&self) -> i64 {
        self.0.pos
    }

    /// Gives the user an entry at the current position, and goes on to the next one if there was
    /// room for it (does what `dir_emit()` does).
    #[inline]
    pub fn emit_next(&mut self, entry: Entry<'_>) -> Next {
        let position = self.0.pos;
        let next = self.emit_at(entry, position);
        if next == Next::Continue {
            self.0.pos = position.saturating_add(1);
        }
        next
    }

    #[inline]
    fn emit_at(&mut self, entry: Entry<'_>, pos: i64) -> Next {
        let Some(actor) = self.0.actor else {
            return Next::Stop;
        };
        // SAFETY: The actor belongs to this context, the name is valid for the call.
        let more = unsafe {
            actor(
                self.0,
                entry.name.as_ptr().cast(),
                entry.name.len() as i32,
                pos,
                entry.ino,
                u32::from(entry.kind.as_byte()),
            )
        };
        if more {
            Next::Continue
        } else {
            Next::Stop
        }
    }

    /// Gives the user what `dir` has from its position on, positions included.
    ///
    /// # Errors
    ///
    /// The errors are those of the filesystem.
    ///
    /// # Context
    ///
    /// May sleep.
    pub fn forward(&mut self, _c: &Override<'_>, dir: &mut OwnedFile) -> Result {
        about_to_ask(dir.inode().super_block());
        // SAFETY: The file is open and borrowed exclusively, and the context is valid for the call.
        to_result(unsafe { bindings::iterate_dir(dir.as_ptr(), self.0) })
    }

    /// Does the same as [`Emitter::forward`], with what `each` makes of the entries of the types `asked`;
    /// gives how many entries
    /// there were, also those that the user had no room for.
    ///
    /// # Errors
    ///
    /// The errors are those of the filesystem.
    ///
    /// # Context
    ///
    /// May sleep; `each` is called with the directory's lock held, shared.
    pub fn forward_each(
        &mut self,
        _c: &Override<'_>,
        dir: &mut OwnedFile,
        asked: Types,
        mut each: impl FnMut(&Entry<'_>) -> Passage,
    ) -> Result<usize> {
        let pass = self.0.actor.ok_or(EIO)?;
        let mut sieve = Sieve {
            ctx: bindings::dir_context {
                actor: Some(sift),
                count: self.0.count,
                // The user's actor gets the flags that it takes.
                dt_flags_mask: self.0.dt_flags_mask,
                ..pin_init::zeroed()
            },
            seen: 0,
            asked,
            user: self.0,
            pass,
            each: &mut each,
        };
        about_to_ask(dir.inode().super_block());
        // SAFETY: As in `iterate()`: the file is open and borrowed exclusively, the sieve lives for the call, and the
        // pointer is one to all of it.
        let seen = unsafe {
            let sieve = &raw mut sieve;
            to_result(bindings::iterate_dir(dir.as_ptr(), &raw mut (*sieve).ctx))?;
            (*(*sieve).user).pos = (*sieve).ctx.pos;
            (*sieve).seen
        };
        Ok(seen)
    }
}

/// The function that the VFS and filesystems give entries to.
type Actor = unsafe extern "C" fn(
    *mut bindings::dir_context,
    *const ffi::c_char,
    i32,
    i64,
    u64,
    u32,
) -> bool;

/// A `dir_context` that passes entries on to another.
#[repr(C)]
struct Sieve<'a> {
    ctx: bindings::dir_context,
    seen: usize,
    asked: Types,
    user: *mut bindings::dir_context,
    /// The actor of `user`.
    pass: Actor,
    each: &'a mut dyn FnMut(&Entry<'_>) -> Passage,
}

/// Most entries are of types that nobody asks about. They go to the user's actor as they came, by a jump: there is
/// nothing on the stack to come back to. What is asked about is left to [`look`], which needs a stack.
unsafe extern "C" fn sift(
    ctx: *mut bindings::dir_context,
    name: *const ffi::c_char,
    len: i32,
    offset: i64,
    ino: u64,
    kind: u32,
) -> bool {
    // SAFETY: `ctx` is the first field of the `Sieve` that `forward_each` made, and `look` is called with what we were.
    // The actor belongs to the context `user`; the name is the one that was passed to us.
    unsafe {
        let sieve = &mut *ctx
            .wrapping_byte_sub(offset_of!(Sieve<'_>, ctx))
            .cast::<Sieve<'_>>();
        sieve.seen = sieve.seen.wrapping_add(1);
        if sieve.asked.contains(Type::of(kind)) {
            return look(ctx, name, len, offset, ino, kind);
        }
        (sieve.pass)(sieve.user, name, len, offset, ino, kind)
    }
}

/// An entry that is asked about.
///
/// # Safety
///
/// The same holds as for [`sift`].
#[inline(never)]
unsafe extern "C" fn look(
    ctx: *mut bindings::dir_context,
    name: *const ffi::c_char,
    len: i32,
    offset: i64,
    ino: u64,
    kind: u32,
) -> bool {
    // SAFETY: As in `sift`. The name is as long as said for the time of the call.
    let (sieve, bytes) = unsafe {
        (
            &mut *ctx
                .wrapping_byte_sub(offset_of!(Sieve<'_>, ctx))
                .cast::<Sieve<'_>>(),
            name_of(name, len),
        )
    };
    let entry = Entry {
        name: bytes,
        ino,
        kind: Type::of(kind),
    };
    match (sieve.each)(&entry) {
        // SAFETY: The actor belongs to the context `user`; the name is the one that was passed to us.
        Passage::Show(number) => unsafe {
            (sieve.pass)(sieve.user, name, len, offset, number, kind)
        },
        Passage::Skip => true,
        Passage::Hold => false,
    }
}
