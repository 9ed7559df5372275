// SPDX-License-Identifier: GPL-2.0-only

//! Copying data from one file below to another.
//!
//! It is not for `copy_file_range(2)` of a user, where the filesystem below may share or refuse: see
//! [`range::transfer`](crate::call::range::transfer).
//!
//! C headers: [`include/linux/fs.h`](srctree/include/linux/fs.h),
//! [`include/linux/splice.h`](srctree/include/linux/splice.h)
//!
//! # Examples
//!
//! ```ignore
//! let to = OwnedFile::open_data(c, copy, true)?;
//! to.copy_from(c, &from, size)?;
//! ```

use crate::call::fileattr::extents_of;
use crate::object::file::OwnedFile;
use crate::object::file::Whence;
use crate::object::waited_for::about_to_ask;
use crate::sys::bindings;
use crate::sys::clock::microseconds;
use crate::sys::cred::Override;
use crate::sys::errno::from_errno;
use crate::sys::errno::to_result;
use crate::sys::pause;
use kernel::prelude::*;

/// How much is copied between two looks at whether we are to be killed, in bytes.
const CHUNK: i64 = 1 << 20;

/// How much is shared at first, in bytes. Most files are not longer.
const FIRST_PIECE: i64 = 16 << 20;

/// What is in no more extents than these is shared at once, whatever its size: each takes some 40 microseconds, so that is
/// about [`PIECE_US`].
const FEW_EXTENTS: u32 = 128;

/// The least that is shared at once, in bytes: a multiple of every size that blocks have.
const LEAST_PIECE: i64 = 64 << 10;

/// The time that sharing a piece shall take, in microseconds: readers of the file wait for it.
const PIECE_US: u64 = 5000;

/// Part of a file that has data, in bytes.
#[derive(Clone, Copy, Default)]
struct Piece {
    start: i64,
    /// The first byte behind it.
    end: i64,
}

/// How data was copied.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Copied {
    /// The two files share it, by a transaction of the filesystem: it is on disk before whatever is
    /// done to the file then.
    Shared,
    /// It was written, and may be in memory only.
    Written,
}

impl OwnedFile {
    /// The first data within `rest`: up to the next hole, or, without `small_holes`, a chunk, whether
    /// there is a hole in it or not; `None`: a hole is all there is (wraps `vfs_llseek()`). What it gives is not
    /// empty and within `rest`, whatever the filesystem answers.
    ///
    /// # Errors
    ///
    /// `EIO`: the answer can't be. What the filesystem gives.
    fn next_data(&self, rest: Piece, small_holes: bool) -> Result<Option<Piece>> {
        let start = match self.seek(rest.start, Whence::DATA) {
            Ok(start) => start,
            Err(e) if e == ENXIO => return Ok(None),
            Err(e) => return Err(e),
        };
        if !(rest.start..rest.end).contains(&start) {
            return Err(EIO);
        }
        let end = if small_holes {
            self.seek(start, Whence::HOLE)?
        } else {
            start.saturating_add(CHUNK)
        };
        if end <= start {
            return Err(EIO);
        }
        let end = end.min(rest.end);
        Ok(Some(Piece { start, end }))
    }

    /// Finds pieces of data at or behind `at`, before `len`: as many as `pieces` has room for, or all.
    /// Looks for several before one of them is read: what reading ahead brings into the page cache is data to
    /// some filesystems, whether it was ever written or not.
    fn find_data<'a>(&self, mut at: i64, len: i64, pieces: &'a mut [Piece]) -> &'a [Piece] {
        // SAFETY: The file is open; in that place regular files have what they read ahead.
        let reads_ahead = unsafe { (*self.as_ptr()).__bindgen_anon_3.f_ra.ra_pages } > 0;
        // In memory the search for a hole goes through all pages. What takes as much as it has bytes
        // has few; but all of it may be allocated and little written.
        let small_holes = reads_ahead || self.inode().allocated() < len as u64;
        let mut found = 0;
        for piece in pieces.iter_mut() {
            if at >= len {
                break;
            }
            let rest = Piece {
                start: at,
                end: len,
            };
            *piece = match self.next_data(rest, small_holes) {
                Ok(Some(next)) => next,
                Ok(None) => break,
                // Its filesystem does not say, or what can't be.
                Err(_) => rest,
            };
            at = piece.end;
            found += 1;
        }
        pieces.get(..found).unwrap_or(&[])
    }

    /// Copies a piece of `from` to the same place; whether `from` still had all of it (wraps
    /// `do_splice_direct()`).
    fn copy_piece(&self, from: &Self, piece: Piece) -> Result<bool> {
        let mut at = piece.start;
        while at < piece.end {
            pause::at(c"copy_piece");
            crate::sys::task::check_killed()?;
            let mut to = at;
            // SAFETY: Both files are open, the positions are ours.
            let done = unsafe {
                bindings::do_splice_direct(
                    from.as_ptr(),
                    &mut at,
                    self.as_ptr(),
                    &mut to,
                    piece.end.saturating_sub(at).min(CHUNK) as usize,
                    bindings::SPLICE_F_MOVE,
                )
            };
            if done < 0 {
                return Err(from_errno(done as i64));
            }
            if done == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Shares `len` bytes with `from`, in pieces that keep the filesystem's locks on it no longer than [`PIECE_US`] says, as
    /// far as the last one tells; whether it could.
    fn share(&self, from: &Self, len: i64) -> Result<bool> {
        let mut done = 0i64;
        let mut most = FIRST_PIECE;
        if len > most && extents_of(from).is_some_and(|extents| extents <= FEW_EXTENTS) {
            most = len;
        }
        while done < len {
            crate::sys::task::check_killed()?;
            let piece = len.saturating_sub(done).min(most);
            let begin = microseconds();
            // SAFETY: Both files are open.
            let cloned = unsafe {
                let (from, to) = (from.as_ptr(), self.as_ptr());
                bindings::vfs_clone_file_range(from, done, to, done, piece, 0)
            };
            if cloned != piece {
                return Ok(false);
            }
            done = done.saturating_add(piece);
            let took = microseconds().saturating_sub(begin);
            if took > PIECE_US {
                most = (most / 2).max(LEAST_PIECE);
            } else if took < PIECE_US / 16 {
                most = most.saturating_mul(8);
            }
        }
        Ok(true)
    }

    /// Copies `len` bytes of `from`: by sharing them where the filesystem can, else by copying, with
    /// holes left out (wraps `vfs_clone_file_range()` and `do_splice_direct()`).
    ///
    /// # Errors
    ///
    /// `EINTR`: the task is being killed. `ENOSPC`, `EDQUOT`, `EIO`, …
    ///
    /// # Context
    ///
    /// Sleeps; takes as long as it takes. Protection against freezing must not be held: it is taken for each
    /// piece, and taken twice it waits for a freezer that waits for the first (with lockdep that is asserted).
    pub fn copy_from(&self, _c: &Override<'_>, from: &Self, len: u64) -> Result<Copied> {
        let len = i64::try_from(len).map_err(|_| EFBIG)?;
        // SAFETY: The super block of an open file is valid.
        #[cfg(CONFIG_LOCKDEP)]
        unsafe {
            bindings::vfs_helper_lockdep_not_writing(self.inode().super_block().as_ptr())
        };
        // The file that is written to is asked by the calls below, each of which has the right to write while it does.
        about_to_ask(from.inode().super_block());
        if self.share(from, len)? {
            return Ok(Copied::Shared);
        }
        let zero = 0i64;
        // SAFETY: Both files are open.
        unsafe {
            to_result(bindings::vfs_helper_verify_read(
                from.as_ptr(),
                &zero,
                len as usize,
            ))?;
            to_result(bindings::vfs_helper_verify_write(
                self.as_ptr(),
                &zero,
                len as usize,
            ))?;
        }
        let mut room = [Piece::default(); 16];
        let mut at = 0;
        loop {
            let pieces = from.find_data(at, len, &mut room);
            let Some(last) = pieces.last() else {
                return Ok(Copied::Written);
            };
            for piece in pieces {
                if !self.copy_piece(from, *piece)? {
                    return Ok(Copied::Written);
                }
            }
            at = last.end;
        }
    }
}
