// SPDX-License-Identifier: GPL-2.0-only

//! The options that `mount(8)` hands over, and what the kernel is to be told of them.
//!
//! Commas separate options. A backslash takes the meaning from the character after it, and stays in the text; between
//! quotation marks a comma is a character like any other. A value that is in quotation marks as a whole is what is between
//! them. So it is in `mount(8)`.

use super::generic::{self, Effect};
use crate::text::shown;
use anyhow::{bail, Result};
use format::options::{split_lowerdirs, unescape, Key};
use rustix::mount::{MountAttrFlags, MountFlags};

/// The longest string that `fsconfig(2)` takes, without the NUL byte at its end.
pub const LONGEST: usize = 255;

/// An option as it was written, but without quotation marks around the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    pub key: Vec<u8>,
    pub value: Option<Vec<u8>>,
}

/// What the kernel is told by one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting {
    /// A word alone.
    Flag(Vec<u8>),
    Text(Vec<u8>, Vec<u8>),
    /// A directory whose path is too long to be said, so that it has to be opened.
    Dir(Vec<u8>, Vec<u8>),
}

impl Setting {
    /// As it is told to people.
    pub fn told(&self) -> String {
        match self {
            Setting::Flag(key) => shown(key),
            Setting::Text(key, value) | Setting::Dir(key, value) => {
                format!("{}={}", shown(key), shown(value))
            }
        }
    }

    /// What is done with it.
    pub fn step(&self) -> String {
        let opened = match self {
            Setting::Dir(..) => " (opened, as it is long)",
            _ => "",
        };
        self.told() + opened
    }
}

/// The flags of a mount, which are not those of the filesystem that is mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// All but the access times.
    pub flags: MountAttrFlags,
    /// How access times are kept, if it was said.
    pub atime: Option<MountAttrFlags>,
}

/// All that was asked for.
#[derive(Debug, PartialEq, Eq)]
pub struct Request {
    /// A mount is changed, not made.
    pub remount: bool,
    /// Only the flags of the mount are changed.
    pub bind: bool,
    pub attributes: Attributes,
    /// What is said to any filesystem, in order; `ro` and `rw` come once, last.
    pub flags: Vec<&'static str>,
    /// What is said to this one: lower layers come first.
    pub settings: Vec<Setting>,
}

/// Cuts a string into options.
pub fn split(text: &[u8]) -> Result<Vec<Item>> {
    let (mut escaped, mut quoted) = (false, false);
    // A comma ends an option, unless there is a reason why not.
    let options = text.split(|byte| {
        let ends = *byte == b',' && !escaped && !quoted;
        quoted ^= *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        ends
    });
    let items = options
        .filter(|option| !option.is_empty())
        .map(item)
        .collect::<Result<_>>()?;
    if quoted {
        bail!(
            "a quotation mark in the options has no second one: write \\\" if it belongs to a name"
        );
    }
    Ok(items)
}

fn item(option: &[u8]) -> Result<Item> {
    let mut halves = option.splitn(2, |byte| *byte == b'=');
    let key = halves.next().unwrap_or_default();
    if key.is_empty() {
        bail!("{}: an option without a name", shown(option));
    }
    let value = halves.next().map(|value| {
        let inner = value.strip_prefix(b"\"");
        inner
            .and_then(|inner| inner.strip_suffix(b"\""))
            .unwrap_or(value)
    });
    Ok(Item {
        key: key.to_vec(),
        value: value.map(<[u8]>::to_vec),
    })
}

/// What a request is made of while the options are read.
struct Reader {
    request: Request,
    read_only: Option<bool>,
    /// The value of `lowerdir=`, if it has one.
    list: Option<Vec<u8>>,
    /// The layers that were given one by one.
    lowers: Vec<Setting>,
}

/// Finds out what a string of options asks for.
///
/// # Errors
///
/// Whatever can't be told to the kernel, with the remedy. What an option of the filesystem means is the kernel's business.
pub fn read(text: &[u8]) -> Result<Request> {
    let mut reader = Reader {
        request: Request {
            remount: false,
            bind: false,
            attributes: Attributes {
                flags: MountAttrFlags::empty(),
                atime: None,
            },
            flags: Vec::new(),
            settings: Vec::new(),
        },
        read_only: None,
        list: None,
        lowers: Vec::new(),
    };
    for item in split(text)? {
        reader.take(item)?;
    }
    reader.finish()
}

impl Reader {
    fn take(&mut self, item: Item) -> Result<()> {
        let effect = generic::effect(&item.key, item.value.as_deref());
        let attributes = &mut self.request.attributes;
        match effect {
            None => return self.take_own(item),
            Some(Effect::Ignored) => {}
            Some(Effect::Remount) => self.request.remount = true,
            Some(Effect::Bind) => self.request.bind = true,
            Some(Effect::ReadOnly {
                yes,
                mount,
                filesystem,
            }) => {
                if mount {
                    attributes.flags.set(MountAttrFlags::MOUNT_ATTR_RDONLY, yes);
                }
                if filesystem {
                    self.read_only = Some(yes);
                }
            }
            Some(Effect::Mount(flag, yes)) => attributes.flags.set(flag, yes),
            Some(Effect::Atime(flag)) => attributes.atime = flag,
            Some(Effect::Filesystem(word)) => self.request.flags.push(word),
            Some(Effect::NotHere) => bail!(
                "{}: is not done by a filesystem's own program: let mount(8) do it",
                shown(&item.key)
            ),
        }
        Ok(())
    }

    /// Takes an option that is the filesystem's own, as far as is known here.
    fn take_own(&mut self, Item { key, value }: Item) -> Result<()> {
        if key.len() > LONGEST {
            bail!(
                "an option whose name is longer than {LONGEST} bytes: {}",
                shown(&key)
            );
        }
        let Some(value) = value else {
            self.request.settings.push(Setting::Flag(key));
            return Ok(());
        };
        match Key::parse(&key) {
            Some(Key::Lowerdir) => {
                self.lowers.clear();
                self.list = (!value.is_empty()).then_some(value);
            }
            Some(Key::LowerdirAdd | Key::DatadirAdd) => {
                if self.list.is_some() {
                    bail!(
                        "{} can't follow lowerdir: give all layers one way or the other",
                        shown(&key)
                    );
                }
                self.lowers.push(layer(key, value));
            }
            Some(Key::Upperdir | Key::Workdir) if value.len() > LONGEST => {
                let path = plain(&key, &value)?;
                self.request.settings.push(Setting::Dir(key, path));
            }
            _ if value.len() > LONGEST => bail!(
                "{}: the value is longer than {LONGEST} bytes, which the kernel does not take",
                shown(&key)
            ),
            _ => self.request.settings.push(Setting::Text(key, value)),
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Request> {
        if self.request.bind && !self.request.remount {
            bail!("bind: is not done by a filesystem's own program: let mount(8) do it");
        }
        let layers = match self.list {
            Some(list) => listed(list)?,
            None => self.lowers,
        };
        self.request.settings.splice(0..0, layers);
        self.request
            .flags
            .extend(self.read_only.map(|yes| match yes {
                true => "ro",
                false => "rw",
            }));
        Ok(self.request)
    }
}

/// The layers of `lowerdir=`: in one string, if the kernel takes that, else one by one.
fn listed(list: Vec<u8>) -> Result<Vec<Setting>> {
    if list.len() <= LONGEST {
        return Ok(vec![Setting::Text(name(Key::Lowerdir), list)]);
    }
    let mut layers = Vec::new();
    for item in split_lowerdirs(&list) {
        let item = item.map_err(|wrong| anyhow::anyhow!("{}", wrong.reason()))?;
        let key = name(if item.data {
            Key::DatadirAdd
        } else {
            Key::LowerdirAdd
        });
        let path = plain(&key, item.path)?;
        layers.push(layer(key, path));
    }
    Ok(layers)
}

fn name(key: Key) -> Vec<u8> {
    key.name().as_bytes().to_vec()
}

/// A layer that is given by itself; nothing in its path is escaped.
fn layer(key: Vec<u8>, path: Vec<u8>) -> Setting {
    if path.len() <= LONGEST {
        Setting::Text(key, path)
    } else {
        Setting::Dir(key, path)
    }
}

/// The path that a value with escapes stands for.
fn plain(key: &[u8], value: &[u8]) -> Result<Vec<u8>> {
    let mut buffer = vec![0; value.len()];
    match unescape(value, &mut buffer) {
        Ok(path) => Ok(path.to_vec()),
        Err(wrong) => bail!("{}={}: {}", shown(key), shown(value), wrong.reason()),
    }
}

impl Attributes {
    /// As `fsmount(2)` wants them.
    pub fn for_new(self) -> MountAttrFlags {
        self.flags | self.atime.unwrap_or(MountAttrFlags::MOUNT_ATTR_RELATIME)
    }

    /// As `mount(2)` wants them to change a mount, which leaves access times alone if nothing is said of them.
    pub fn for_change(self) -> MountFlags {
        let pairs = [
            (MountAttrFlags::MOUNT_ATTR_RDONLY, MountFlags::RDONLY),
            (MountAttrFlags::MOUNT_ATTR_NOSUID, MountFlags::NOSUID),
            (MountAttrFlags::MOUNT_ATTR_NODEV, MountFlags::NODEV),
            (MountAttrFlags::MOUNT_ATTR_NOEXEC, MountFlags::NOEXEC),
            (
                MountAttrFlags::MOUNT_ATTR_NODIRATIME,
                MountFlags::NODIRATIME,
            ),
            (
                MountAttrFlags::MOUNT_ATTR_NOSYMFOLLOW,
                MountFlags::NOSYMFOLLOW,
            ),
        ];
        let mut flags = MountFlags::empty();
        for (here, there) in pairs {
            flags.set(there, self.flags.contains(here));
        }
        flags |= match self.atime {
            None => MountFlags::empty(),
            Some(MountAttrFlags::MOUNT_ATTR_NOATIME) => MountFlags::NOATIME,
            Some(MountAttrFlags::MOUNT_ATTR_STRICTATIME) => MountFlags::STRICTATIME,
            Some(_) => MountFlags::RELATIME,
        };
        flags
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
