// SPDX-License-Identifier: GPL-2.0-only

//! How names are compared in directories that ignore case: by a version of Unicode.
//!
//! It is not for names that a filesystem compares in a way of its own (vfat, for example): that shows in a super block
//! that has no encoding.
//!
//! C header: [`include/linux/unicode.h`](srctree/include/linux/unicode.h)
//!
//! # Examples
//!
//! ```ignore
//! let encoding = Encoding::of(upper.super_block())?;
//! ```

#[cfg(CONFIG_UNICODE)]
use crate::object::dentry::qstr;
use crate::object::super_block::SuperBlock;
use crate::object::Foreign;
#[cfg(CONFIG_UNICODE)]
use crate::sys::bindings;
#[cfg(CONFIG_UNICODE)]
use crate::sys::errno::from_err_ptr;
#[cfg(CONFIG_UNICODE)]
use core::mem::MaybeUninit;
#[cfg(CONFIG_UNICODE)]
use core::ptr::NonNull;
use kernel::prelude::*;

/// How names are compared where case is ignored: a version of Unicode, and flags.
///
/// It is a copy of our own, so that the filesystem that it was taken from may go before it. On a kernel without Unicode
/// there is none.
///
/// # Invariants
///
/// `map` is what `utf8_load()` gave, which nobody changes, and `utf8_unload()` is left to us.
pub struct Encoding {
    #[cfg(CONFIG_UNICODE)]
    map: NonNull<bindings::unicode_map>,
    #[cfg(CONFIG_UNICODE)]
    flags: u16,
    #[cfg(not(CONFIG_UNICODE))]
    never: core::convert::Infallible,
}

// SAFETY: By the type invariant nobody changes it.
unsafe impl Send for Encoding {}

// SAFETY: As above.
unsafe impl Sync for Encoding {}

#[cfg(CONFIG_UNICODE)]
impl Encoding {
    /// The most bytes that a name can have when it is folded: four times as many as the longest name has. Folding and
    /// decomposing a character takes at most three times as many.
    const ROOM: usize = 1024;

    /// That of a filesystem, if it has one (wraps `utf8_load()`).
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EINVAL`: the kernel has not that version of Unicode any more.
    ///
    /// # Context
    ///
    /// May sleep.
    pub fn of(sb: &SuperBlock<Foreign>) -> Result<Option<Self>> {
        // SAFETY: Both are constant once the filesystem is mounted, and the map lasts as long.
        let (version, flags) = unsafe {
            let sb = sb.as_ptr();
            let Some(theirs) = (*sb).s_encoding.as_ref() else {
                return Ok(None);
            };
            (theirs.version, (*sb).s_encoding_flags)
        };
        // SAFETY: It may be called with any version.
        let map = from_err_ptr(unsafe { bindings::utf8_load(version) })?;
        // INVARIANT: It was just loaded, for us.
        Ok(Some(Self {
            map: NonNull::new(map).ok_or(EINVAL)?,
            flags,
        }))
    }

    /// Whether a filesystem compares names in the same way (does what `sb_same_encoding()` does).
    pub fn is_that_of(&self, sb: &SuperBlock<Foreign>) -> bool {
        // SAFETY: As in `of`; our map is valid by the type invariant.
        unsafe {
            let sb = sb.as_ptr();
            (*sb).s_encoding.as_ref().is_some_and(|theirs| {
                theirs.version == self.map.as_ref().version && (*sb).s_encoding_flags == self.flags
            })
        }
    }

    /// Whether names that are not Unicode are refused (`SB_ENC_STRICT_MODE_FL`).
    pub fn is_strict(&self) -> bool {
        u32::from(self.flags) & bindings::SB_ENC_STRICT_MODE_FL != 0
    }

    /// Calls `f` with the folded form of a name, which all names have that are the same but for case (wraps
    /// `utf8_casefold()`). A name that is not Unicode is the same as no other: its folded form is the name itself.
    ///
    /// # Context
    ///
    /// May be called in any. It takes 1 KiB of the stack.
    pub fn with_folded<R>(&self, name: &[u8], f: impl FnOnce(&[u8]) -> R) -> R {
        let mut room = [MaybeUninit::<u8>::uninit(); Self::ROOM];
        // SAFETY: The map is valid by the type invariant, the name for the call; no more is written than there is room
        // for, and what is returned is how much, or an error.
        unsafe {
            let to = room.as_mut_ptr().cast::<u8>();
            let len = bindings::utf8_casefold(self.map.as_ptr(), &qstr(name), to, Self::ROOM);
            match usize::try_from(len) {
                Ok(len) if len <= Self::ROOM => f(core::slice::from_raw_parts(to, len)),
                _ => f(name),
            }
        }
    }

    /// Whether two names are the same but for case (wraps `utf8_strncasecmp()`).
    #[inline]
    pub fn is_same(&self, a: &[u8], b: &[u8]) -> bool {
        // SAFETY: The map is valid by the type invariant, the names for the call.
        a == b || unsafe { bindings::utf8_strncasecmp(self.map.as_ptr(), &qstr(a), &qstr(b)) == 0 }
    }

    /// Has the names of a super block compared by it.
    ///
    /// # Safety
    ///
    /// Nobody else may see the super block, and this must live until a grace period after its last dentry is gone.
    pub(crate) unsafe fn give_to(&self, sb: *mut bindings::super_block) {
        // SAFETY: By the requirement. What is pointed to is not written.
        unsafe {
            (*sb).s_encoding = self.map.as_ptr();
            (*sb).s_encoding_flags = self.flags;
        }
    }
}

#[cfg(CONFIG_UNICODE)]
impl Drop for Encoding {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::utf8_unload(self.map.as_ptr()) };
    }
}

/// On a kernel without Unicode no filesystem has an encoding.
#[cfg(not(CONFIG_UNICODE))]
#[allow(missing_docs)]
impl Encoding {
    pub fn of(_: &SuperBlock<Foreign>) -> Result<Option<Self>> {
        Ok(None)
    }

    pub fn is_that_of(&self, _: &SuperBlock<Foreign>) -> bool {
        match self.never {}
    }

    pub fn is_strict(&self) -> bool {
        match self.never {}
    }

    pub fn with_folded<R>(&self, _: &[u8], _: impl FnOnce(&[u8]) -> R) -> R {
        match self.never {}
    }

    pub fn is_same(&self, _: &[u8], _: &[u8]) -> bool {
        match self.never {}
    }

    pub(crate) unsafe fn give_to(&self, _: *mut crate::sys::bindings::super_block) {
        match self.never {}
    }
}
