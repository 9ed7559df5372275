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
        let offset = |i: usize| i64::try_from(whole(argument, i)?).ok();
        let flags = whole(argument, 4)?;
        if flags & !Self::INTERRUPTIBLE != 0 || whole(argument, 7)? != 0 {
            return None;
        }
        Some(CloneRequest {
            // The kernel's own FICLONERANGE takes the low half, too.
            src_fd: whole(argument, 0)? as i32,
            src_offset: offset(1)?,
            src_length: offset(2)?,
            dest_offset: offset(3)?,
            interruptible: flags & Self::INTERRUPTIBLE != 0,
            time_budget_ms: whole(argument, 5)?,
        })
    }
}

/// `LAYERFS_IOC_LAYER`.
pub const LAYER: u32 = read_write(0x42, LayerQuery::LEN);

/// What `LAYERFS_IOC_LAYER` is asked for, the part of `struct layerfs_layer` that a caller fills in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LayerQuery {
    /// The place of the layer, from the top; those that were taken away and are in use come last.
    pub place: u32,
    /// The bytes that there is room for at `name`.
    pub name_len: u32,
    /// An address of the caller; 0: none.
    pub name: u64,
}

/// What it answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LayerInfo {
    /// It only has data (`LAYERFS_LAYER_DATA`).
    pub data: bool,
    /// It was taken away, and is in use (`LAYERFS_LAYER_LEAVING`).
    pub leaving: bool,
    /// Its number, which counters are called by.
    pub number: u32,
    /// The length of its name, in bytes.
    pub name_len: u32,
    /// How many use it.
    pub users: u64,
}

/// The 32-bit number at word `i` of an argument.
fn half(argument: &[u8], i: usize) -> Option<u32> {
    let bytes = argument.chunks_exact(4).nth(i)?;
    Some(u32::from_ne_bytes(bytes.try_into().ok()?))
}

/// The 64-bit number at word `i` of an argument.
fn whole(argument: &[u8], i: usize) -> Option<u64> {
    let bytes = argument.chunks_exact(8).nth(i)?;
    Some(u64::from_ne_bytes(bytes.try_into().ok()?))
}

impl LayerQuery {
    /// The length of the argument, in bytes.
    pub const LEN: usize = 48;

    /// Reads the argument; `None`: it has fields that this version does not know.
    pub fn decode(argument: &[u8; Self::LEN]) -> Option<LayerQuery> {
        if whole(argument, 4)? != 0 || whole(argument, 5)? != 0 {
            return None;
        }
        Some(LayerQuery {
            place: half(argument, 0)?,
            name_len: half(argument, 3)?,
            name: whole(argument, 2)?,
        })
    }
}

impl LayerInfo {
    const DATA: u32 = 1;
    const LEAVING: u32 = 1 << 1;

    /// The place of what is answered in the argument, in bytes from its beginning.
    pub const OFFSET: usize = 4;

    /// What is written there, for `query`.
    pub fn encode(self, query: LayerQuery) -> [u8; 28] {
        let flag = |is_set, flag| if is_set { flag } else { 0 };
        let flags = flag(self.data, Self::DATA) | flag(self.leaving, Self::LEAVING);
        let words = [flags, self.number, self.name_len];
        let numbers = [query.name, self.users];
        let words = words.into_iter().flat_map(u32::to_ne_bytes);
        let numbers = numbers.into_iter().flat_map(u64::to_ne_bytes);
        let mut bytes = [0; 28];
        for (to, from) in bytes.iter_mut().zip(words.chain(numbers)) {
            *to = from;
        }
        bytes
    }
}

/// `LAYERFS_IOC_LAYER_SHUTDOWN`.
pub const LAYER_SHUTDOWN: u32 = read_write(0x43, LayerChange::LEN);

/// `LAYERFS_IOC_LAYER_REPLACE`.
pub const LAYER_REPLACE: u32 = read_write(0x44, LayerChange::LEN);

/// `LAYERFS_IOC_LAYER_ADD`.
pub const LAYER_ADD: u32 = read_write(0x45, LayerChange::LEN);

/// `LAYERFS_IOC_LAYER_FILLED`.
pub const LAYER_FILLED: u32 = read_write(0x46, LayerChange::LEN);

/// Bytes at an address of the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text {
    /// The address.
    pub address: u64,
    /// How many bytes.
    pub len: u32,
}

/// Which layer is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhichLayer {
    /// The one at this place, from the top.
    Place(u32),
    /// The one with this name.
    Name(Text),
}

impl WhichLayer {
    /// The layer at a place, or with a name if the place says so (`LAYERFS_PLACE_BY_NAME`); `None`: it is no place.
    fn decode(place: u32, name: Text) -> Option<Self> {
        match place as i32 {
            -1 => Some(Self::Name(name)),
            _ => Some(Self::Place(u32::try_from(place as i32).ok()?)),
        }
    }
}

/// A change of the layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// One is taken away.
    Shutdown(WhichLayer),
    /// The directory with this path comes in the place of one.
    Replace(WhichLayer, Text),
    /// The directory with this path is added.
    Add(Text),
    /// What is in one was added to.
    Filled,
}

/// What the commands that change layers are asked for (`struct layerfs_layer_change`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerChange {
    /// Also if names are nowhere else (`LAYERFS_CHANGE_FORCE`).
    pub force: bool,
    /// Beneath the others (`LAYERFS_CHANGE_BENEATH`).
    pub beneath: bool,
    /// Among those that only have data (`LAYERFS_CHANGE_DATA`).
    pub data: bool,
    /// How long to wait until nobody uses a layer that goes any more, in milliseconds.
    pub timeout_ms: u32,
    /// The change.
    pub what: Change,
}

impl LayerChange {
    /// The length of the argument, in bytes.
    pub const LEN: usize = 48;

    /// The place of the number of users, in bytes from the beginning of the argument.
    pub const USERS: usize = 24;

    const FORCE: u32 = 1;
    const BENEATH: u32 = 1 << 1;
    const DATA: u32 = 1 << 2;

    /// Reads the argument of a command; `None`: it has flags or fields that the command does not have in this version, or
    /// no place.
    pub fn decode(command: u32, argument: &[u8; Self::LEN]) -> Option<LayerChange> {
        let flags = half(argument, 0)?;
        let path = Text {
            address: whole(argument, 4)?,
            len: half(argument, 10)?,
        };
        let has_path = path.address != 0 || path.len != 0;
        let which = || {
            let name = Text {
                address: whole(argument, 2)?,
                len: half(argument, 3)?,
            };
            WhichLayer::decode(half(argument, 2)?, name)
        };
        let (known, what) = match command {
            LAYER_SHUTDOWN if !has_path => (Self::FORCE, Change::Shutdown(which()?)),
            LAYER_REPLACE => (0, Change::Replace(which()?, path)),
            LAYER_ADD => (Self::BENEATH | Self::DATA, Change::Add(path)),
            LAYER_FILLED if !has_path => (0, Change::Filled),
            _ => return None,
        };
        if flags & !known != 0 || half(argument, 11)? != 0 {
            return None;
        }
        Some(LayerChange {
            force: flags & Self::FORCE != 0,
            beneath: flags & Self::BENEATH != 0,
            data: flags & Self::DATA != 0,
            timeout_ms: half(argument, 1)?,
            what,
        })
    }
}

/// `LAYERFS_IOC_LAYER_USERS`.
pub const LAYER_USERS: u32 = read_write(0x47, UsersQuery::LEN);

/// What `LAYERFS_IOC_LAYER_USERS` is asked for, the part of `struct layerfs_layer_users` that a caller fills in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsersQuery {
    /// The layer.
    pub which: WhichLayer,
    /// An address of the caller, where users are written.
    pub buffer: u64,
    /// How far an earlier call has got; 0: nowhere.
    pub cursor: u64,
    /// How many bytes there is room for.
    pub size: u32,
}

/// What it answers, beside those.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UsersAnswer {
    /// How far it has got.
    pub cursor: u64,
    /// How many bytes were written.
    pub size: u32,
    /// How many users were written.
    pub count: u32,
    /// How many there are, those that can't be told of included.
    pub users: u64,
}

impl UsersQuery {
    /// The length of the argument, in bytes.
    pub const LEN: usize = 64;

    /// The least room that may be given, in bytes: one user with the longest path.
    pub const MIN_SIZE: u32 = 32 + 4096;

    /// Reads the argument; `None`: it has fields that this version does not know, no place, or not enough room.
    pub fn decode(argument: &[u8; Self::LEN]) -> Option<UsersQuery> {
        if whole(argument, 6)? != 0 || whole(argument, 7)? != 0 {
            return None;
        }
        let which = WhichLayer::decode(
            half(argument, 0)?,
            Text {
                address: whole(argument, 1)?,
                len: half(argument, 1)?,
            },
        )?;
        let size = half(argument, 8)?;
        (size >= Self::MIN_SIZE).then_some(UsersQuery {
            which,
            buffer: whole(argument, 2)?,
            cursor: whole(argument, 3)?,
            size,
        })
    }
}

impl UsersAnswer {
    /// The place of what is answered in the argument, in bytes from its beginning.
    pub const OFFSET: usize = 24;

    /// What is written there.
    pub fn encode(self) -> [u8; 24] {
        let mut bytes = [0; 24];
        let fields = self.cursor.to_ne_bytes().into_iter();
        let fields = fields.chain(self.size.to_ne_bytes());
        let fields = fields.chain(self.count.to_ne_bytes());
        let fields = fields.chain(self.users.to_ne_bytes());
        bytes
            .iter_mut()
            .zip(fields)
            .for_each(|(to, from)| *to = from);
        bytes
    }
}

/// A user of a layer: an object of the stack (`struct layerfs_layer_user`, which the path follows).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LayerUser {
    /// The inode number.
    pub ino: u64,
    /// Type and permissions, as `st_mode` has them.
    pub mode: u32,
    /// It has no name by which it is found any more (`LAYERFS_USER_UNLINKED`).
    pub unlinked: bool,
    /// It has no path that could be told (`LAYERFS_USER_NAMELESS`).
    pub nameless: bool,
    /// How many of the users of the layer it stands for.
    pub uses: u32,
    /// How many hold it.
    pub held: u32,
    /// The length of its path, in bytes.
    pub path_len: u32,
}

impl LayerUser {
    /// The length of what is before the path, in bytes.
    pub const LEN: usize = 32;

    const UNLINKED: u32 = 1;
    const NAMELESS: u32 = 1 << 1;

    /// How many bytes it takes, with its path: a multiple of 8.
    pub fn record_len(self) -> u32 {
        let len = (Self::LEN as u32).saturating_add(self.path_len);
        len.checked_next_multiple_of(8).unwrap_or(u32::MAX)
    }

    /// What is written before the path.
    pub fn encode(self) -> [u8; Self::LEN] {
        let flag = |is_set, flag| if is_set { flag } else { 0 };
        let flags = flag(self.unlinked, Self::UNLINKED) | flag(self.nameless, Self::NAMELESS);
        let words = [
            self.record_len(),
            self.path_len,
            self.mode,
            flags,
            self.uses,
            self.held,
        ];
        let words = words.into_iter().flat_map(u32::to_ne_bytes);
        let mut bytes = [0; Self::LEN];
        let fields = self.ino.to_ne_bytes().into_iter().chain(words);
        bytes
            .iter_mut()
            .zip(fields)
            .for_each(|(to, from)| *to = from);
        bytes
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
    assert!(LAYER == 0xc030_4c42);
    assert!(LAYER_SHUTDOWN == 0xc030_4c43);
    assert!(LAYER_FILLED == 0xc030_4c46);
    assert!(LayerInfo::OFFSET + 28 + 16 == LayerQuery::LEN);
    assert!(LayerChange::USERS + 8 + 16 == LayerChange::LEN);
    assert!(LAYER_USERS == 0xc040_4c47);
    assert!(UsersAnswer::OFFSET + 24 + 16 == UsersQuery::LEN);
    assert!(UsersQuery::MIN_SIZE as usize >= LayerUser::LEN + 4096);
    assert!(CloneRequest::WORK_DONE == 6 * 8 && CloneRequest::LEN == 8 * 8);
};
