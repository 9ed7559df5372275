// SPDX-License-Identifier: GPL-2.0-only

//! Writing bytes into a buffer of fixed size, where too little room is an answer and not a panic.

#![forbid(unsafe_code)]

/// Returns where a byte is first, eight of them being looked at at a time: values of attributes are short, and read often.
pub(crate) fn position(bytes: &[u8], wanted: u8) -> Option<usize> {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;

    let mut at = 0usize;
    let mut rest = bytes;
    while let Some((eight, tail)) = rest.split_first_chunk::<8>() {
        // A byte of this is 0 where the byte is the wanted one, and the first such is what has its highest bit set below.
        let other = u64::from_le_bytes(*eight) ^ LOW.wrapping_mul(u64::from(wanted));
        let found = other.wrapping_sub(LOW) & !other & HIGH;
        if found != 0 {
            return at.checked_add((found.trailing_zeros() / 8) as usize);
        }
        at = at.wrapping_add(8);
        rest = tail;
    }
    let within = rest.iter().position(|byte| *byte == wanted)?;
    at.checked_add(within)
}

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
