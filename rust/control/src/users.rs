// SPDX-License-Identifier: GPL-2.0-only

//! `LAYERFS_IOC_LAYER_USERS`.

use crate::layers::Which;
use crate::sys::{self, call, room};
use format::control::{LayerUser, UsersQuery, LAYER_USERS};
use rustix::fd::AsFd;
use rustix::io::Errno;

/// How many bytes of answers are asked for at a time.
const PAGE: usize = 64 << 10;

const _: () = assert!(PAGE >= UsersQuery::MIN_SIZE as usize);

/// `LAYERFS_USER_UNLINKED`.
const UNLINKED: u32 = 1;
/// `LAYERFS_USER_NAMELESS`.
const NAMELESS: u32 = 1 << 1;

/// An object of a mount that stands on a layer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    /// Its inode number.
    pub ino: u64,
    /// Its type and permissions, as `st_mode` has them.
    pub mode: u32,
    /// It is not found under the path any more.
    pub is_unlinked: bool,
    /// How many of the users of the layer it stands for.
    pub uses: u32,
    /// How many hold it: open files, mappings, programs, tasks that are in it; 0: it is cached, and nobody uses it.
    pub held: u32,
    /// Its path from the root of the mount's filesystem; `None`: it has none, or one that is too long to be told.
    pub path: Option<Vec<u8>>,
}

/// Tells `each` of the objects that stand on a layer; returns how many users the layer has, those that are no objects included
/// (the mount itself, directories that were opened before it was taken away, look-ups that go on).
///
/// # Errors
///
/// `EPERM`: the caller lacks `CAP_SYS_ADMIN` in the user namespace that the mount was made in. `ENOENT`: there is no such
/// layer. `EPROTO`: the answer is not of the form that the header says.
pub fn users(dir: impl AsFd, which: Which<'_>, mut each: impl FnMut(User)) -> Result<u64, Errno> {
    let dir = dir.as_fd();
    let (place, name, name_len) = which.fields()?;
    let mut page = vec![0; PAGE];
    let mut cursor = 0;
    loop {
        let (buffer, size) = room(&mut page);
        let mut argument = sys::LayerUsers {
            place,
            name_len,
            name,
            buffer,
            cursor,
            size,
            ..sys::LayerUsers::default()
        };
        // SAFETY: *Addresses*: the name is borrowed by `which`, and nobody else has `page` until the call has returned.
        let has_more = unsafe { call(dir, LAYER_USERS, &mut argument) }?;
        let written = page.get(..argument.size as usize).ok_or(Errno::PROTO)?;
        records(written, argument.count, &mut each)?;
        if !has_more {
            return Ok(argument.users);
        }
        if argument.count == 0 || argument.cursor == cursor {
            // It would never end.
            return Err(Errno::PROTO);
        }
        cursor = argument.cursor;
    }
}

/// Reads the records of a page.
fn records(page: &[u8], count: u32, each: &mut impl FnMut(User)) -> Result<(), Errno> {
    let mut rest = page;
    for _ in 0..count {
        let (user, len) = record(rest).ok_or(Errno::PROTO)?;
        each(user);
        rest = rest.get(len..).ok_or(Errno::PROTO)?;
    }
    Ok(())
}

/// Reads one record; returns also how long it is. `None`: what it says of its length can't be.
fn record(bytes: &[u8]) -> Option<(User, usize)> {
    let word = |at: usize| -> Option<u32> {
        let field = bytes.get(at..)?.first_chunk::<4>()?;
        Some(u32::from_ne_bytes(*field))
    };
    let ino = u64::from_ne_bytes(*bytes.first_chunk::<8>()?);
    let (len, path_len) = (word(8)? as usize, word(12)? as usize);
    let flags = word(20)?;
    let end = LayerUser::LEN.checked_add(path_len)?;
    if len < end || len > bytes.len() {
        return None;
    }
    let path = bytes.get(LayerUser::LEN..end)?;
    let user = User {
        ino,
        mode: word(16)?,
        is_unlinked: flags & UNLINKED != 0,
        uses: word(24)?,
        held: word(28)?,
        path: (flags & NAMELESS == 0).then(|| path.to_vec()),
    };
    Some((user, len))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the module writes of a user.
    fn written(user: LayerUser, path: &[u8]) -> Vec<u8> {
        let mut bytes = user.encode().to_vec();
        bytes.extend_from_slice(path);
        bytes.resize(user.record_len() as usize, 0);
        bytes
    }

    #[test]
    fn records_of_the_module() {
        let told = LayerUser {
            ino: 77,
            mode: 0o100644,
            unlinked: true,
            nameless: false,
            uses: 2,
            held: 1,
            path_len: 5,
        };
        let nameless = LayerUser {
            nameless: true,
            unlinked: false,
            path_len: 0,
            ..told
        };
        let mut page = written(told, b"/a/bc");
        page.extend(written(nameless, b""));
        let mut found = Vec::new();
        records(&page, 2, &mut |user| found.push(user)).unwrap();
        let first = User {
            ino: 77,
            mode: 0o100644,
            is_unlinked: true,
            uses: 2,
            held: 1,
            path: Some(b"/a/bc".to_vec()),
        };
        let second = User {
            is_unlinked: false,
            path: None,
            ..first.clone()
        };
        assert_eq!(found, [first, second]);
        assert_eq!(records(&page, 3, &mut |_| ()), Err(Errno::PROTO));
    }

    #[test]
    fn lengths_that_lie() {
        let told = LayerUser {
            path_len: 4,
            ..LayerUser::default()
        };
        let page = written(told, b"/abc");
        for (at, value) in [
            (8, 0u32),
            (8, 35),
            (8, u32::MAX),
            (8, 48),
            (12, 9),
            (12, u32::MAX),
        ] {
            let mut bad = page.clone();
            bad[at..at + 4].copy_from_slice(&value.to_ne_bytes());
            assert_eq!(record(&bad), None, "{at} {value}");
        }
        for len in 0..page.len() {
            assert_eq!(record(&page[..len]), None);
        }
        assert!(record(&page).is_some());
    }
}
