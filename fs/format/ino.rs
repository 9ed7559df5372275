// SPDX-License-Identifier: GPL-2.0-only

//! Inode numbers of a stack whose layers are on several filesystems.
//!
//! Two layers may use the same inode number for different objects. When there are bits to spare at the
//! top of the number (option `xino`), the index of the layer's filesystem goes there; the lowest of those
//! bits marks numbers that are made up, for directories whose real number doesn't fit. See "Inode
//! properties" and "xino" in `Documentation/filesystems/overlayfs.rst`
//! (`ovl_get_layers`, `ovl_map_dev_ino`, `ovl_map_ino`).

#![forbid(unsafe_code)]

use crate::options::Xino;

/// How many bits of an inode number are the stack's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XinoBits {
    /// Every layer is on one filesystem: real numbers are unique as they are.
    SameFs,
    /// No bits: numbers of different layers may collide, and are told apart by `st_dev`.
    Off,
    /// This many of the highest bits; 2 to 32 of them.
    High(u32),
}

/// Bits to spare when every filesystem has inode numbers of 32 bits.
pub const BITS_OVER_INO32: u32 = 32;

impl XinoBits {
    /// Chooses for a mount.
    ///
    /// `filesystems` counts the distinct filesystems of upper and of the merged layers (nothing that can
    /// be seen has its number from a data-only one); `only_ino32` says that each of them numbers its
    /// inodes with 32 bits. (Where one has no file handles at all, or no UUID of its own, `xino=auto` was turned
    /// off before this.)
    pub fn choose(filesystems: u32, has_upper: bool, xino: Xino, only_ino32: bool) -> XinoBits {
        if filesystems == 1 {
            return Self::SameFs;
        }
        if xino == Xino::Off {
            return Self::Off;
        }
        if only_ino32 {
            return Self::High(BITS_OVER_INO32);
        }
        // Index 0 is upper's, also where there is none: so this is the highest index in use.
        let highest = filesystems.saturating_sub(u32::from(has_upper));
        match highest.checked_ilog2() {
            // Enough for the index, and one that tells made-up numbers from real ones.
            Some(log) => Self::High(log.saturating_add(2)),
            None => Self::Off,
        }
    }

    /// Whether every inode of the mount reports the `st_dev` of the mount (unless its number overflows).
    pub fn same_dev(self) -> bool {
        self != Self::Off
    }

    /// The number of bits, 0 where there are none.
    pub fn bits(self) -> u32 {
        match self {
            Self::High(bits) => bits,
            Self::SameFs | Self::Off => 0,
        }
    }
}

/// The number that an object has in the mount, made from its real one and the index of its filesystem.
///
/// `None`: there is none that is sure to be unique. Directories then get a number from
/// [`non_persistent`], and other objects their real number with a `st_dev` of their layer's.
pub fn compose(real_ino: u64, fsid: u32, bits: XinoBits) -> Option<u64> {
    let high = match bits {
        XinoBits::SameFs => return Some(real_ino),
        XinoBits::Off => return None,
        XinoBits::High(high) => high,
    };
    // The lowest of our bits stays clear: it is for made-up numbers.
    let index_bits = high.checked_sub(1)?;
    let shift = u64::BITS.checked_sub(high)?;
    let fits = real_ino.checked_shr(shift)? == 0 && u64::from(fsid).checked_shr(index_bits)? == 0;
    let index = if fsid == 0 {
        0
    } else {
        u64::from(fsid).checked_shl(shift.checked_add(1)?)?
    };
    fits.then_some(real_ino | index)
}

/// The number of a directory that can't have a persistent one: `n` is the next of a counter.
pub fn non_persistent(n: u64, bits: XinoBits) -> u64 {
    let XinoBits::High(high) = bits else { return n };
    let shift = u64::BITS.saturating_sub(high);
    match (u64::MAX.checked_shr(high), 1u64.checked_shl(shift)) {
        (Some(mask), Some(mark)) => (n & mask) | mark,
        _ => n,
    }
}
