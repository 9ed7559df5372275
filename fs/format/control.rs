// SPDX-License-Identifier: GPL-2.0-only

//! The arguments of layerfs's own `ioctl(2)` commands, as bytes.
//!
//! They are declared for programs in `include/uapi/linux/layerfs.h`. Numbers are in the order of bytes of the machine,
//! as a program of the same machine wrote them.

#![forbid(unsafe_code)]

/// The number of an `_IOWR` command: type `L`, the number `nr`, and the size of its argument in bytes.
const fn read_write(nr: u32, size: usize) -> u32 {
    const READ_WRITE: u32 = 3;
    (READ_WRITE << 30) | ((size as u32) << 16) | ((b'L' as u32) << 8) | nr
}

/// `LAYERFS_IOC_FINALIZE`.
pub const FINALIZE: u32 = read_write(0x40, FinalizeRequest::LEN);

/// What `LAYERFS_IOC_FINALIZE` is asked for (`struct layerfs_finalize`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FinalizeRequest {
    /// Also all directories below (`LAYERFS_FINALIZE_RECURSIVE`).
    pub recursive: bool,
    /// The call ends after so many milliseconds, once it has finalized a directory; 0: when it is done.
    pub time_budget_ms: u32,
}

/// What has been done of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FinalizeProgress {
    /// The directories that are finalized now, also those that were before.
    pub directories: u64,
    /// The objects that were copied to upper.
    pub copied: u64,
}

impl FinalizeRequest {
    /// The length of the argument, in bytes.
    pub const LEN: usize = 32;

    const RECURSIVE: u32 = 1;

    /// Reads the argument; `None`: it has flags or fields that this version does not know.
    pub fn decode(argument: &[u8; Self::LEN]) -> Option<FinalizeRequest> {
        let [f0, f1, f2, f3, t0, t1, t2, t3, rest @ ..] = *argument;
        let [_, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, reserved @ ..] = rest;
        let flags = u32::from_ne_bytes([f0, f1, f2, f3]);
        let known = flags & !Self::RECURSIVE == 0 && reserved == [0; 8];
        known.then_some(FinalizeRequest {
            recursive: flags & Self::RECURSIVE != 0,
            time_budget_ms: u32::from_ne_bytes([t0, t1, t2, t3]),
        })
    }
}

/// `LAYERFS_IOC_CLONE_RANGE2`.
pub const CLONE_RANGE2: u32 = read_write(0x41, CloneRequest::LEN);

/// What `LAYERFS_IOC_CLONE_RANGE2` is asked for (`struct layerfs_clone_range2`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CloneRequest {
    /// The descriptor of the source.
    pub src_fd: i32,
    /// The offset in the source, in bytes.
    pub src_offset: i64,
    /// The number of bytes; 0: to the end of the source.
    pub src_length: i64,
    /// The offset in the destination, in bytes.
    pub dest_offset: i64,
    /// Any signal ends it (`LAYERFS_CLONE_INTERRUPTIBLE`).
    pub interruptible: bool,
    /// It ends after so many milliseconds, once something was done; 0: when it is done.
    pub time_budget_ms: u64,
}

impl CloneRequest {
    /// The length of the argument, in bytes.
    pub const LEN: usize = 64;

    /// The place of the number of bytes that were cloned, in bytes from the beginning of the argument.
    pub const WORK_DONE: usize = 48;

    const INTERRUPTIBLE: u64 = 1;

    /// Reads the argument; `None`: it has flags or fields that this version does not know, or numbers that are no offsets.
    pub fn decode(argument: &[u8; Self::LEN]) -> Option<CloneRequest> {
        let word = |i: usize| {
            let bytes = argument.chunks_exact(8).nth(i)?;
            Some(u64::from_ne_bytes(bytes.try_into().ok()?))
        };
        let offset = |i: usize| i64::try_from(word(i)?).ok();
        let flags = word(4)?;
        if flags & !Self::INTERRUPTIBLE != 0 || word(7)? != 0 {
            return None;
        }
        Some(CloneRequest {
            // The kernel's own FICLONERANGE takes the low half, too.
            src_fd: word(0)? as i32,
            src_offset: offset(1)?,
            src_length: offset(2)?,
            dest_offset: offset(3)?,
            interruptible: flags & Self::INTERRUPTIBLE != 0,
            time_budget_ms: word(5)?,
        })
    }
}

impl FinalizeProgress {
    /// The place of the two numbers in the argument, in bytes from its beginning.
    pub const OFFSET: usize = 8;

    /// The length of both, in bytes.
    pub const LEN: usize = 16;

    /// Both, to be written there.
    pub fn encode(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        let (directories, copied) = bytes.split_at_mut(8);
        directories.copy_from_slice(&self.directories.to_ne_bytes());
        copied.copy_from_slice(&self.copied.to_ne_bytes());
        bytes
    }
}

const _: () = {
    assert!(FinalizeProgress::OFFSET + FinalizeProgress::LEN + 8 == FinalizeRequest::LEN);
    assert!(FinalizeRequest::LEN < 1 << 14);
    assert!(FINALIZE == 0xc020_4c40);
    assert!(CLONE_RANGE2 == 0xc040_4c41);
    assert!(CloneRequest::WORK_DONE == 6 * 8 && CloneRequest::LEN == 8 * 8);
};
