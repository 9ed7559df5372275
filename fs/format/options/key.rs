// SPDX-License-Identifier: GPL-2.0-only

//! The names of the mount options, and what kind of value each takes.
//!
//! The same names as `ovl_parameter_spec` in `fs/overlayfs/params.c`, and behind them layerfs's own.

#![forbid(unsafe_code)]

/// A mount option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// `lowerdir=a:b::c`: all lower layers; takes back those given before.
    Lowerdir,
    /// `lowerdir+=a`: adds one lower layer; the name is taken as it is, without escapes.
    LowerdirAdd,
    /// `datadir+=a`: adds one data-only layer; likewise.
    DatadirAdd,
    /// `upperdir=a`: the layer to write to.
    Upperdir,
    /// `workdir=a`: an empty directory beside it.
    Workdir,
    /// `default_permissions`: check permissions with the mode bits alone.
    DefaultPermissions,
    /// `redirect_dir=on|off|follow|nofollow`; see [`super::RedirectDir`].
    RedirectDir,
    /// `index=on|off`: keep hard links together through copy-up.
    Index,
    /// `uuid=on|off|null|auto`; see [`super::Uuid`].
    Uuid,
    /// `nfs_export=on|off`.
    NfsExport,
    /// `userxattr`: keep marks in `user.overlay.*`.
    Userxattr,
    /// `xino=on|off|auto`; see [`super::Xino`].
    Xino,
    /// `metacopy=on|off`: copy up metadata without data.
    Metacopy,
    /// `verity=on|off|require`; see [`super::Verity`].
    Verity,
    /// `fsync=volatile|auto|strict`; see [`super::Fsync`].
    Fsync,
    /// `volatile`: the same as `fsync=volatile`.
    Volatile,
    /// `override_creds`: access layers as the task that says this.
    OverrideCreds,
    /// `nooverride_creds`: take that back.
    NooverrideCreds,
    /// `lazydata=on|off`: look for the data of a metacopy file when somebody needs it. Not of overlayfs.
    Lazydata,
    /// `finalize=on|off|auto`; see [`super::Finalize`]. Not of overlayfs.
    Finalize,
    /// `nameindex=on|off|auto`; see [`super::NameIndex`]. Not of overlayfs.
    Nameindex,
    /// `image=on|off`: every regular file of the one layer that is not data-only is a metacopy. Not of overlayfs.
    Image,
}

/// The kind of value that an option takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// None: `=` after it is an error.
    Nothing,
    /// A list of paths, escaped; it may be empty.
    Paths,
    /// One path (escaped, if `escaped`), or an open directory.
    Path {
        /// Whether backslashes in it are escapes.
        escaped: bool,
    },
    /// One of a few words.
    Word,
}

impl Key {
    /// Every option.
    pub const ALL: [Key; 22] = [
        Key::Lowerdir,
        Key::LowerdirAdd,
        Key::DatadirAdd,
        Key::Upperdir,
        Key::Workdir,
        Key::DefaultPermissions,
        Key::RedirectDir,
        Key::Index,
        Key::Uuid,
        Key::NfsExport,
        Key::Userxattr,
        Key::Xino,
        Key::Metacopy,
        Key::Verity,
        Key::Fsync,
        Key::Volatile,
        Key::OverrideCreds,
        Key::NooverrideCreds,
        Key::Lazydata,
        Key::Finalize,
        Key::Nameindex,
        Key::Image,
    ];

    /// The option of this name.
    pub fn parse(name: &[u8]) -> Option<Key> {
        Self::ALL
            .into_iter()
            .find(|key| key.name().as_bytes() == name)
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lowerdir => "lowerdir",
            Self::LowerdirAdd => "lowerdir+",
            Self::DatadirAdd => "datadir+",
            Self::Upperdir => "upperdir",
            Self::Workdir => "workdir",
            Self::DefaultPermissions => "default_permissions",
            Self::RedirectDir => "redirect_dir",
            Self::Index => "index",
            Self::Uuid => "uuid",
            Self::NfsExport => "nfs_export",
            Self::Userxattr => "userxattr",
            Self::Xino => "xino",
            Self::Metacopy => "metacopy",
            Self::Verity => "verity",
            Self::Fsync => "fsync",
            Self::Volatile => "volatile",
            Self::OverrideCreds => "override_creds",
            Self::NooverrideCreds => "nooverride_creds",
            Self::Lazydata => "lazydata",
            Self::Finalize => "finalize",
            Self::Nameindex => "nameindex",
            Self::Image => "image",
        }
    }

    /// The kind of value that the option takes.
    pub const fn takes(self) -> Takes {
        match self {
            Self::Lowerdir => Takes::Paths,
            Self::LowerdirAdd | Self::DatadirAdd => Takes::Path { escaped: false },
            Self::Upperdir | Self::Workdir => Takes::Path { escaped: true },
            Self::RedirectDir
            | Self::Index
            | Self::Uuid
            | Self::NfsExport
            | Self::Xino
            | Self::Metacopy
            | Self::Verity
            | Self::Fsync
            | Self::Lazydata
            | Self::Finalize
            | Self::Nameindex
            | Self::Image => Takes::Word,
            Self::DefaultPermissions
            | Self::Userxattr
            | Self::Volatile
            | Self::OverrideCreds
            | Self::NooverrideCreds => Takes::Nothing,
        }
    }
}
