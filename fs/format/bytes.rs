// SPDX-License-Identifier: GPL-2.0-only

//! Writing bytes into a buffer of fixed size, where too little room is an answer and not a panic.

#![forbid(unsafe_code)]

/// Appends to a borrowed buffer and gives back what was written.
pub(crate) struct Writer<'b> {
    buf: &'b mut [u8],
    len: usize,
}

impl<'b> Writer<'b> {
    pub(crate) fn new(buf: &'b mut [u8]) -> Self {
        Self { buf, len: 0 }
    }

    /// Appends all of `bytes`, or nothing and answers `None` when they don't fit.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.len.checked_add(bytes.len())?;
        let room = self.buf.get_mut(self.len..end)?;
        for (to, from) in room.iter_mut().zip(bytes) {
            *to = *from;
        }
        self.len = end;
        Some(())
    }

    /// Gives what was written; it can be used for as long as the buffer lives.
    pub(crate) fn finish(self) -> &'b [u8] {
        let Self { buf, len } = self;
        buf.get(..len).unwrap_or_default()
    }
}
