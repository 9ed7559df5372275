// SPDX-License-Identifier: GPL-2.0-only

//! The link count of a union, as the difference to the count of one of its real inodes.
//!
//! With `index=on` a hard-linked file that was copied up has links in upper and links in lower that are
//! still uncovered. `overlay.nlink` on its index entry keeps the sum, relative to the inode whose count
//! will not change under it: `U+1` is one more than upper's, `L-3` three less than lower's.
//! (`ovl_set_nlink_common`, `ovl_get_nlink` in `fs/overlayfs/inode.c`.)

#![forbid(unsafe_code)]

use crate::bytes::Writer;

/// The longest value (`U-2147483648`).
pub const MAX_LEN: usize = 12;

/// The real inode whose link count is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// That in upper.
    Upper,
    /// That in the layer the file was copied up from.
    Lower,
}

/// A link count relative to that of a real inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nlink {
    /// The inode that the count is relative to.
    pub base: Base,
    /// The difference that is added to its count.
    pub diff: i32,
}

/// Why a value is no link count; the count of the real inode is then used, with a warning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadNlink {
    /// Longer than any.
    TooLong,
    /// It doesn't begin with `U` or `L`.
    Base,
    /// No sign follows.
    Sign,
    /// No number follows.
    Number,
    /// The sum is no link count.
    Sum,
}

impl BadNlink {
    /// The text for a log message.
    pub fn reason(self) -> &'static str {
        match self {
            Self::TooLong => "the nlink xattr is too long",
            Self::Base => "the nlink xattr does not begin with 'U' or 'L'",
            Self::Sign => "the nlink xattr has no sign",
            Self::Number => "the nlink xattr has no number that is a link count",
            Self::Sum => "the nlink xattr gives a link count below one or too large",
        }
    }
}

impl Nlink {
    /// Reads the value of `overlay.nlink`; one newline at its end is allowed, as for all numbers that
    /// the kernel reads.
    pub fn decode(value: &[u8]) -> Result<Nlink, BadNlink> {
        if value.len() > MAX_LEN {
            return Err(BadNlink::TooLong);
        }
        let (base, value) = match value {
            [b'U', rest @ ..] => (Base::Upper, rest),
            [b'L', rest @ ..] => (Base::Lower, rest),
            _ => return Err(BadNlink::Base),
        };
        let (negative, digits) = match value {
            [b'+', rest @ ..] => (false, rest),
            [b'-', rest @ ..] => (true, rest),
            _ => return Err(BadNlink::Sign),
        };
        let digits = digits.strip_suffix(b"\n").unwrap_or(digits);
        if digits.is_empty() {
            return Err(BadNlink::Number);
        }
        let mut number = 0i32;
        for byte in digits {
            let digit = byte
                .checked_sub(b'0')
                .filter(|d| *d <= 9)
                .ok_or(BadNlink::Number)?;
            let digit = i32::from(digit);
            // Built with its sign, because the smallest number has no positive counterpart.
            number = number
                .checked_mul(10)
                .and_then(|n| {
                    if negative {
                        n.checked_sub(digit)
                    } else {
                        n.checked_add(digit)
                    }
                })
                .ok_or(BadNlink::Number)?;
        }
        Ok(Nlink { base, diff: number })
    }

    /// The link count, from those of the real inodes.
    pub fn resolve(self, upper: u32, lower: u32) -> Result<u32, BadNlink> {
        let real = match self.base {
            Base::Upper => upper,
            Base::Lower => lower,
        };
        real.checked_add_signed(self.diff)
            .filter(|sum| *sum > 0 && i32::try_from(*sum).is_ok())
            .ok_or(BadNlink::Sum)
    }

    /// Writes the value to store.
    pub fn encode(self, buf: &mut [u8; MAX_LEN]) -> &[u8] {
        let base = match self.base {
            Base::Upper => b'U',
            Base::Lower => b'L',
        };
        let sign = if self.diff < 0 { b'-' } else { b'+' };

        let mut digits = [0u8; 10];
        let mut number = self.diff.unsigned_abs();
        let mut used = 0usize;
        for digit in digits.iter_mut().rev() {
            *digit = b'0' | u8::try_from(number % 10).unwrap_or_default();
            number /= 10;
            used = used.saturating_add(1);
            if number == 0 {
                break;
            }
        }
        let digits = digits
            .get(digits.len().saturating_sub(used)..)
            .unwrap_or_default();

        let mut out = Writer::new(buf.as_mut_slice());
        // It can't be full: a letter, a sign and ten digits are its length.
        let _fits = out.push(&[base, sign]).and_then(|()| out.push(digits));
        out.finish()
    }
}

const _: () = {
    // `U` or `L`, a sign, ten digits.
    assert!(MAX_LEN == 2 + 10);
    assert!(i32::MIN.unsigned_abs().ilog10() + 1 == 10);
};
