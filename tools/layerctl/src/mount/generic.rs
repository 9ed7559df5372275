// SPDX-License-Identifier: GPL-2.0-only

//! The options that every filesystem has, or that are not for filesystems at all: see "FILESYSTEM-INDEPENDENT MOUNT OPTIONS"
//! in `mount(8)`.

use rustix::mount::MountAttrFlags;

/// What an option does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// A flag of the mount is set or taken away.
    Mount(MountAttrFlags, bool),
    /// How the mount keeps access times; `None`: as it is usual, or as it was.
    Atime(Option<MountAttrFlags>),
    /// Every filesystem is told this word.
    Filesystem(&'static str),
    ReadOnly {
        yes: bool,
        mount: bool,
        filesystem: bool,
    },
    Remount,
    Bind,
    /// It is for `mount(8)`, for what reads fstab, or for nobody any more.
    Ignored,
    /// `mount(8)` does that itself.
    NotHere,
}

use Effect::{Atime, Bind, Filesystem, Ignored, Mount, NotHere, ReadOnly, Remount};

const NOSUID: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOSUID;
const NODEV: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NODEV;
const NOEXEC: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOEXEC;
const NODIRATIME: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NODIRATIME;
const NOSYMFOLLOW: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOSYMFOLLOW;

/// Words that take no value.
const WORDS: &[(&str, Effect)] = &[
    ("ro", read_only(true, true, true)),
    ("rw", read_only(false, true, true)),
    ("nosuid", Mount(NOSUID, true)),
    ("suid", Mount(NOSUID, false)),
    ("nodev", Mount(NODEV, true)),
    ("dev", Mount(NODEV, false)),
    ("noexec", Mount(NOEXEC, true)),
    ("exec", Mount(NOEXEC, false)),
    ("nodiratime", Mount(NODIRATIME, true)),
    ("diratime", Mount(NODIRATIME, false)),
    ("nosymfollow", Mount(NOSYMFOLLOW, true)),
    ("symfollow", Mount(NOSYMFOLLOW, false)),
    ("noatime", Atime(Some(MountAttrFlags::MOUNT_ATTR_NOATIME))),
    ("relatime", Atime(Some(MountAttrFlags::MOUNT_ATTR_RELATIME))),
    ("atime", Atime(Some(MountAttrFlags::MOUNT_ATTR_RELATIME))),
    (
        "strictatime",
        Atime(Some(MountAttrFlags::MOUNT_ATTR_STRICTATIME)),
    ),
    ("norelatime", Atime(None)),
    ("nostrictatime", Atime(None)),
    ("sync", Filesystem("sync")),
    ("async", Filesystem("async")),
    ("dirsync", Filesystem("dirsync")),
    ("lazytime", Filesystem("lazytime")),
    ("nolazytime", Filesystem("nolazytime")),
    ("mand", Filesystem("mand")),
    ("nomand", Filesystem("nomand")),
    ("remount", Remount),
    ("bind", Bind),
    ("rbind", NotHere),
    ("move", NotHere),
    ("defaults", Ignored),
    ("auto", Ignored),
    ("noauto", Ignored),
    ("user", Ignored),
    ("nouser", Ignored),
    ("users", Ignored),
    ("nousers", Ignored),
    ("owner", Ignored),
    ("noowner", Ignored),
    ("group", Ignored),
    ("nogroup", Ignored),
    ("_netdev", Ignored),
    ("nofail", Ignored),
    ("comment", Ignored),
    ("silent", Ignored),
    ("loud", Ignored),
    ("noiversion", Ignored),
    // mount(8) keeps these to itself, and changes how the mount is shared when it is there.
    ("shared", Ignored),
    ("rshared", Ignored),
    ("private", Ignored),
    ("rprivate", Ignored),
    ("slave", Ignored),
    ("rslave", Ignored),
    ("unbindable", Ignored),
    ("runbindable", Ignored),
];

/// What takes a value; nothing stands for any.
const WITH_VALUE: &[(&str, &str, Effect)] = &[
    ("comment", "", Ignored),
    ("user", "", Ignored),
    ("uhelper", "", Ignored),
    ("helper", "", Ignored),
    ("ro", "vfs", read_only(true, true, false)),
    ("ro", "fs", read_only(true, false, true)),
    ("ro", "recursive", read_only(true, true, true)),
    ("rw", "vfs", read_only(false, true, false)),
    ("rw", "fs", read_only(false, false, true)),
    ("rw", "recursive", read_only(false, true, true)),
];

const fn read_only(yes: bool, mount: bool, filesystem: bool) -> Effect {
    ReadOnly {
        yes,
        mount,
        filesystem,
    }
}

/// What an option does; `None`: it is for the filesystem to say.
pub fn effect(key: &[u8], value: Option<&[u8]>) -> Option<Effect> {
    if key.starts_with(b"x-") || key.starts_with(b"X-") {
        return Some(Ignored);
    }
    match value {
        None => {
            let mut words = WORDS.iter();
            words.find_map(|(word, effect)| (word.as_bytes() == key).then_some(*effect))
        }
        Some(value) => WITH_VALUE.iter().find_map(|(word, wanted, effect)| {
            let is_it = word.as_bytes() == key && (wanted.is_empty() || wanted.as_bytes() == value);
            is_it.then_some(*effect)
        }),
    }
}
