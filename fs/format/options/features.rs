// SPDX-License-Identifier: GPL-2.0-only

//! The settings of a mount, and how they depend on each other.
//!
//! Some settings need others, and some exclude others. What the user said explicitly is an error when it
//! can't be had; what is only a default gives way, with a note where that may surprise. The rules are
//! those of `ovl_fs_params_verify` in `fs/overlayfs/params.c`, and the order in which they are applied
//! is part of them.

#![forbid(unsafe_code)]

use super::value::{
    parse_switch, switch_name, Finalize, Fsync, NameIndex, RedirectDir, Uuid, Verity, Xino,
};
use super::Key;

/// The settings that the module's parameters give to what the user doesn't mention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Defaults {
    /// `redirect_dir`: on rather than off.
    pub redirect_dir: bool,
    /// `redirect_always_follow`: off means `follow` and not `nofollow`.
    pub redirect_always_follow: bool,
    /// `xino_auto`: auto rather than off.
    pub xino_auto: bool,
    /// `index`.
    pub index: bool,
    /// `nfs_export`.
    pub nfs_export: bool,
    /// `metacopy`.
    pub metacopy: bool,
}

impl Defaults {
    /// How Debian builds its kernels.
    pub const DEBIAN: Defaults = Defaults {
        redirect_dir: false,
        redirect_always_follow: true,
        xino_auto: false,
        index: false,
        nfs_export: false,
        metacopy: false,
    };

    /// The `redirect_dir` of a mount that doesn't mention it.
    pub const fn redirect(&self) -> RedirectDir {
        if self.redirect_dir {
            RedirectDir::On
        } else {
            RedirectDir::Off.effective(self.redirect_always_follow)
        }
    }

    /// The `xino` of a mount that doesn't mention it.
    pub const fn xino(&self) -> Xino {
        if self.xino_auto {
            Xino::Auto
        } else {
            Xino::Off
        }
    }
}

impl Default for Defaults {
    fn default() -> Self {
        Self::DEBIAN
    }
}

/// Which settings the user mentioned, where that makes a difference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// `redirect_dir`.
    pub redirect_dir: bool,
    /// `index`.
    pub index: bool,
    /// `nfs_export`.
    pub nfs_export: bool,
    /// `metacopy`.
    pub metacopy: bool,
    /// `workdir`.
    pub workdir: bool,
}

/// All settings of a mount that are not layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Features {
    /// Check permissions with the mode bits alone.
    pub default_permissions: bool,
    /// Never [`RedirectDir::Off`].
    pub redirect_dir: RedirectDir,
    /// Keep hard links together through copy-up.
    pub index: bool,
    /// The identity of the stack, by which it is told from others (`uuid`).
    pub uuid: Uuid,
    /// File handles that survive the cache.
    pub nfs_export: bool,
    /// Marks in `user.overlay.*`.
    pub userxattr: bool,
    /// Inode numbers with the filesystem in their high bits.
    pub xino: Xino,
    /// Copy up metadata without data.
    pub metacopy: bool,
    /// Check digests of data.
    pub verity: Verity,
    /// The moments at which data and metadata are made durable (`fsync`).
    pub fsync: Fsync,
    /// Data of metacopy files is looked for when somebody needs it.
    pub lazydata: bool,
    /// Finalized directories end a lookup (`finalize`).
    pub finalize: Finalize,
    /// The names of merged directories are kept in memory (`nameindex`).
    pub nameindex: NameIndex,
    /// Every regular file of the one lower layer that is not data-only is a metacopy with an absolute redirect.
    pub image: bool,
    /// The settings that the user mentioned.
    pub given: Given,
}

/// The outcome of [`Features::apply`] for an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It is a setting, and set.
    Set,
    /// It is about layers or credentials: the caller's to do.
    NotASetting,
}

/// Why an option can't be taken; it answers `EINVAL`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadOption {
    /// It takes no value and has one.
    UnexpectedValue,
    /// It takes a value and has none.
    MissingValue,
    /// Not a word that it takes.
    UnknownWord,
}

impl BadOption {
    /// The text for a log message.
    pub fn reason(self) -> &'static str {
        match self {
            Self::UnexpectedValue => "the option takes no value",
            Self::MissingValue => "the option needs a value",
            Self::UnknownWord => "the option does not know this value",
        }
    }
}

/// A setting that was changed because it can't be had as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// A workdir without upper: not used.
    WorkdirWithoutUpper,
    /// `index=on` without upper: off.
    IndexWithoutUpper,
    /// `volatile` without upper: off.
    VolatileWithoutUpper,
    /// `uuid=on` without upper: null.
    UuidWithoutUpper,
    /// Metacopy is the default, and the user wants this `redirect_dir`: metacopy off.
    MetacopyOffByRedirect(RedirectDir),
    /// `nfs_export` without upper while redirects are followed: off.
    NfsExportOffByRedirect,
    /// `nfs_export` is the default, and the user wants `index=off`: off.
    NfsExportOffByIndex,
    /// `nfs_export` is the default, and the user wants `metacopy=on`: off.
    NfsExportOffByMetacopy,
    /// `nfs_export` with `verity`: off.
    NfsExportOffByVerity(Verity),
    /// Metacopy is the default, and `nfs_export` is on: metacopy off.
    MetacopyOffByNfsExport,
}

impl Note {
    /// The text for a log message.
    pub fn text(self) -> &'static str {
        match self {
            Self::WorkdirWithoutUpper => "workdir is ignored: there is no upperdir",
            Self::IndexWithoutUpper => "index=on is ignored: there is no upperdir",
            Self::VolatileWithoutUpper => "volatile is ignored: there is no upperdir",
            Self::UuidWithoutUpper => "uuid=on becomes uuid=null: there is no upperdir to keep it",
            Self::MetacopyOffByRedirect(RedirectDir::Follow) => {
                "metacopy is turned off by redirect_dir=follow"
            }
            Self::MetacopyOffByRedirect(_) => "metacopy is turned off by redirect_dir=nofollow",
            Self::NfsExportOffByRedirect => {
                "nfs_export is turned off: without upperdir it needs redirect_dir=nofollow"
            }
            Self::NfsExportOffByIndex => "nfs_export is turned off by index=off",
            Self::NfsExportOffByMetacopy => "nfs_export is turned off by metacopy=on",
            Self::NfsExportOffByVerity(Verity::Require) => {
                "nfs_export is turned off by verity=require"
            }
            Self::NfsExportOffByVerity(_) => "nfs_export is turned off by verity=on",
            Self::MetacopyOffByNfsExport => "metacopy is turned off by nfs_export=on",
        }
    }
}

/// Settings that the user asked for and that can't be had together, or not by this user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// `metacopy=on` with this `redirect_dir`.
    MetacopyRedirect(RedirectDir),
    /// `nfs_export=on` with `index=off`.
    NfsExportIndex,
    /// `nfs_export=on` with `metacopy=on`.
    NfsExportMetacopy,
    /// `userxattr` with this `redirect_dir`.
    UserxattrRedirect(RedirectDir),
    /// `redirect_dir` without access to `trusted.*` xattrs.
    RedirectPermission,
    /// `metacopy=on` likewise.
    MetacopyPermission,
    /// `verity` likewise.
    VerityPermission,
    /// Data-only layers likewise.
    DataLayersPermission,
}

impl Conflict {
    /// The text for a log message.
    pub fn text(self) -> &'static str {
        match self {
            Self::MetacopyRedirect(RedirectDir::Follow) => {
                "metacopy=on needs redirect_dir=on, and not redirect_dir=follow"
            }
            Self::MetacopyRedirect(_) => {
                "metacopy=on needs redirect_dir=on, and not redirect_dir=nofollow"
            }
            Self::NfsExportIndex => "nfs_export=on needs index=on, and not index=off",
            Self::NfsExportMetacopy => "nfs_export=on and metacopy=on exclude each other",
            Self::UserxattrRedirect(RedirectDir::Follow) => {
                "userxattr without metacopy=on needs redirect_dir=nofollow, and not redirect_dir=follow"
            }
            Self::UserxattrRedirect(_) => {
                "userxattr without metacopy=on needs redirect_dir=nofollow, and not redirect_dir=on"
            }
            Self::RedirectPermission => {
                "redirect_dir needs CAP_SYS_ADMIN for trusted xattrs: use redirect_dir=nofollow"
            }
            Self::MetacopyPermission => {
                "metacopy needs CAP_SYS_ADMIN for trusted xattrs: use metacopy=off"
            }
            Self::VerityPermission => {
                "verity needs CAP_SYS_ADMIN for trusted xattrs: use verity=off"
            }
            Self::DataLayersPermission => {
                "data-only layers need CAP_SYS_ADMIN for trusted xattrs: use userxattr"
            }
        }
    }

    /// The same as [`Conflict::text`], as errors of this crate name it.
    pub fn reason(self) -> &'static str {
        self.text()
    }

    /// The error number that the mount answers, positive: `EINVAL` (22) or `EPERM` (1).
    pub const fn errno(self) -> i32 {
        const EPERM: i32 = 1;
        const EINVAL: i32 = 22;
        match self {
            Self::MetacopyRedirect(_)
            | Self::NfsExportIndex
            | Self::NfsExportMetacopy
            | Self::UserxattrRedirect(_) => EINVAL,
            Self::RedirectPermission
            | Self::MetacopyPermission
            | Self::VerityPermission
            | Self::DataLayersPermission => EPERM,
        }
    }
}

impl Features {
    /// The settings of a mount that mentions none.
    pub fn new(defaults: &Defaults) -> Features {
        Features {
            default_permissions: false,
            redirect_dir: defaults.redirect(),
            index: defaults.index,
            uuid: Uuid::Auto,
            nfs_export: defaults.nfs_export,
            userxattr: false,
            xino: defaults.xino(),
            metacopy: defaults.metacopy,
            verity: Verity::Off,
            fsync: Fsync::Auto,
            lazydata: false,
            finalize: Finalize::On,
            nameindex: NameIndex::Auto,
            image: false,
            given: Given::default(),
        }
    }

    /// Takes one option that the user gave.
    pub fn apply(
        &mut self,
        key: Key,
        value: Option<&[u8]>,
        defaults: &Defaults,
    ) -> Result<Applied, BadOption> {
        match key.takes() {
            super::Takes::Nothing if value.is_some() => return Err(BadOption::UnexpectedValue),
            super::Takes::Word if value.is_none() => return Err(BadOption::MissingValue),
            _ => {}
        }
        let word = value.unwrap_or_default();
        let unknown = BadOption::UnknownWord;
        match key {
            Key::DefaultPermissions => self.default_permissions = true,
            Key::RedirectDir => {
                self.redirect_dir = RedirectDir::parse(word)
                    .ok_or(unknown)?
                    .effective(defaults.redirect_always_follow);
                self.given.redirect_dir = true;
            }
            Key::Index => {
                self.index = parse_switch(word).ok_or(unknown)?;
                self.given.index = true;
            }
            Key::Uuid => self.uuid = Uuid::parse(word).ok_or(unknown)?,
            Key::NfsExport => {
                self.nfs_export = parse_switch(word).ok_or(unknown)?;
                self.given.nfs_export = true;
            }
            Key::Userxattr => self.userxattr = true,
            Key::Xino => self.xino = Xino::parse(word).ok_or(unknown)?,
            Key::Metacopy => {
                self.metacopy = parse_switch(word).ok_or(unknown)?;
                self.given.metacopy = true;
            }
            Key::Verity => self.verity = Verity::parse(word).ok_or(unknown)?,
            Key::Fsync => self.fsync = Fsync::parse(word).ok_or(unknown)?,
            Key::Volatile => self.fsync = Fsync::Volatile,
            Key::Lazydata => self.lazydata = parse_switch(word).ok_or(unknown)?,
            Key::Finalize => self.finalize = Finalize::parse(word).ok_or(unknown)?,
            Key::Nameindex => self.nameindex = NameIndex::parse(word).ok_or(unknown)?,
            Key::Image => self.image = parse_switch(word).ok_or(unknown)?,
            Key::Workdir => {
                self.given.workdir = true;
                return Ok(Applied::NotASetting);
            }
            Key::Lowerdir
            | Key::LowerdirAdd
            | Key::DatadirAdd
            | Key::Upperdir
            | Key::OverrideCreds
            | Key::NooverrideCreds => return Ok(Applied::NotASetting),
        }
        Ok(Applied::Set)
    }

    /// Settles how the settings depend on each other and on what is mounted.
    ///
    /// `may_use_trusted`: the mounter has `CAP_SYS_ADMIN` in the initial user namespace. What had to be
    /// changed is told to `note`, in order; after a conflict the settings mean nothing.
    pub fn resolve(
        &mut self,
        has_upper: bool,
        has_data_layers: bool,
        may_use_trusted: bool,
        note: &mut dyn FnMut(Note),
    ) -> Result<(), Conflict> {
        let mut given = self.given;
        if !has_upper {
            self.settle_without_upper(&mut given, note);
        }
        self.settle_metacopy(given, note)?;
        self.settle_nfs_export(has_upper, given, note)?;
        if self.userxattr {
            self.settle_userxattr(given)
        } else if !may_use_trusted {
            self.check_permission(has_data_layers, given)
        } else {
            Ok(())
        }
    }

    /// Whether paths are followed that whoever may write to a file can put into its marks: the mount must see to it
    /// that only the mounter has a way to the layers. (Once it is resolved.)
    pub fn trusts_user_marks(&self) -> bool {
        self.userxattr && self.metacopy
    }

    /// Drops the settings that make no sense in a mount that nobody can write to.
    fn settle_without_upper(&mut self, given: &mut Given, note: &mut dyn FnMut(Note)) {
        if given.workdir {
            note(Note::WorkdirWithoutUpper);
        }
        if self.index && given.index {
            note(Note::IndexWithoutUpper);
            given.index = false;
        }
        self.index = false;
        if self.fsync == Fsync::Volatile {
            note(Note::VolatileWithoutUpper);
            self.fsync = Fsync::Auto;
        }
        if self.uuid == Uuid::On {
            note(Note::UuidWithoutUpper);
            self.uuid = Uuid::Null;
        }
        // There is nothing to make a redirect on, so the two are the same.
        if self.redirect_dir == RedirectDir::Follow {
            self.redirect_dir = RedirectDir::On;
        }
    }

    /// Metacopy needs redirects, for a metacopy file that is renamed.
    fn settle_metacopy(
        &mut self,
        given: Given,
        note: &mut dyn FnMut(Note),
    ) -> Result<(), Conflict> {
        if !self.metacopy || self.redirect_dir == RedirectDir::On {
            return Ok(());
        }
        match (given.metacopy, given.redirect_dir) {
            (true, true) => return Err(Conflict::MetacopyRedirect(self.redirect_dir)),
            (false, true) => {
                note(Note::MetacopyOffByRedirect(self.redirect_dir));
                self.metacopy = false;
            }
            (_, false) => self.redirect_dir = RedirectDir::On,
        }
        Ok(())
    }

    /// NFS export needs the index, or a read-only stack without redirects; and no metacopy.
    fn settle_nfs_export(
        &mut self,
        has_upper: bool,
        given: Given,
        note: &mut dyn FnMut(Note),
    ) -> Result<(), Conflict> {
        if self.nfs_export && !self.index {
            if !has_upper && self.redirect_dir != RedirectDir::Nofollow {
                note(Note::NfsExportOffByRedirect);
                self.nfs_export = false;
            } else {
                match (given.nfs_export, given.index) {
                    (true, true) => return Err(Conflict::NfsExportIndex),
                    (false, true) => {
                        note(Note::NfsExportOffByIndex);
                        self.nfs_export = false;
                    }
                    (_, false) => self.index = true,
                }
            }
        }
        if self.nfs_export && self.metacopy {
            if given.metacopy {
                if given.nfs_export {
                    return Err(Conflict::NfsExportMetacopy);
                }
                note(Note::NfsExportOffByMetacopy);
                self.nfs_export = false;
            } else if self.verity != Verity::Off {
                note(Note::NfsExportOffByVerity(self.verity));
                self.nfs_export = false;
            } else {
                note(Note::MetacopyOffByNfsExport);
                self.metacopy = false;
            }
        }
        Ok(())
    }

    /// Marks that any owner of a file can write are not to be trusted with paths, unless the user says so; then the
    /// layers are looked at ([`Features::trusts_user_marks`]).
    fn settle_userxattr(&mut self, given: Given) -> Result<(), Conflict> {
        if given.metacopy && self.metacopy {
            return Ok(());
        }
        if given.redirect_dir && self.redirect_dir != RedirectDir::Nofollow {
            return Err(Conflict::UserxattrRedirect(self.redirect_dir));
        }
        self.redirect_dir = RedirectDir::Nofollow;
        self.metacopy = false;
        Ok(())
    }

    /// Finds a setting that was asked for and needs marks that this mounter can neither read nor write.
    fn check_permission(&self, has_data_layers: bool, given: Given) -> Result<(), Conflict> {
        if given.redirect_dir && self.redirect_dir != RedirectDir::Nofollow {
            Err(Conflict::RedirectPermission)
        } else if given.metacopy && self.metacopy {
            Err(Conflict::MetacopyPermission)
        } else if self.verity != Verity::Off {
            Err(Conflict::VerityPermission)
        } else if has_data_layers {
            Err(Conflict::DataLayersPermission)
        } else {
            Ok(())
        }
    }

    /// The options that `/proc/mounts` shows: what differs from the defaults, in overlayfs's order.
    ///
    /// `same_fs`: every layer is on one filesystem, so that `xino` makes no difference. Layers are the
    /// caller's to show, before these.
    pub fn shown(
        &self,
        defaults: &Defaults,
        same_fs: bool,
    ) -> impl Iterator<Item = (Key, Option<&'static str>)> {
        let plain = Features::new(defaults);
        let flag = |key, differs: bool| differs.then_some((key, None));
        let word = |key, differs: bool, word| differs.then_some((key, Some(word)));
        [
            flag(Key::DefaultPermissions, self.default_permissions),
            word(
                Key::RedirectDir,
                self.redirect_dir != plain.redirect_dir,
                self.redirect_dir.name(),
            ),
            word(
                Key::Index,
                self.index != plain.index,
                switch_name(self.index),
            ),
            word(Key::Uuid, self.uuid != plain.uuid, self.uuid.name()),
            word(
                Key::NfsExport,
                self.nfs_export != plain.nfs_export,
                switch_name(self.nfs_export),
            ),
            word(
                Key::Xino,
                !same_fs && self.xino != plain.xino,
                self.xino.name(),
            ),
            word(
                Key::Metacopy,
                self.metacopy != plain.metacopy,
                switch_name(self.metacopy),
            ),
            word(Key::Fsync, self.fsync != plain.fsync, self.fsync.name()),
            flag(Key::Userxattr, self.userxattr),
            word(Key::Verity, self.verity != plain.verity, self.verity.name()),
            word(
                Key::Lazydata,
                self.lazydata != plain.lazydata,
                switch_name(self.lazydata),
            ),
            word(
                Key::Finalize,
                self.finalize != plain.finalize,
                self.finalize.name(),
            ),
            word(
                Key::Nameindex,
                self.nameindex != plain.nameindex,
                self.nameindex.name(),
            ),
            word(
                Key::Image,
                self.image != plain.image,
                switch_name(self.image),
            ),
        ]
        .into_iter()
        .flatten()
    }
}
