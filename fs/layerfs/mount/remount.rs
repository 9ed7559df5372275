// SPDX-License-Identifier: GPL-2.0-only

//! Changing a mounted stack. Nothing but what any filesystem can change (read-only or not) changes; but `mount(8)`
//! repeats the options that `/proc/mounts` and `/etc/fstab` have, so each is compared with what is mounted.

#![forbid(unsafe_code)]

use crate::state::config;
use crate::state::config::Config;
use crate::state::instance::Instance;
use crate::state::layer::Layer;
use format::options;
use format::options::Applied;
use format::options::Features;
use format::options::Key;
use kernel::prelude::*;
use vfs::object::kept_mount::KeptMount;
use vfs::object::path::OwnedPath;
use vfs::ops::fs_context::FsContext;
use vfs::ops::fs_context::Value;

/// Returns whether an option says what is so already.
///
/// # Errors
///
/// `ENOMEM`.
pub(super) fn is_as_mounted(
    fc: &FsContext<'_>,
    instance: &Instance,
    key: Key,
    value: Value<'_>,
) -> Result<bool> {
    let config = &instance.config;
    Ok(match (key, value) {
        (Key::Lowerdir, Value::String(list)) => is_list(fc, instance, list)?,
        (Key::LowerdirAdd | Key::DatadirAdd, Value::String(name)) => {
            any_of_kind(instance, key, |layer| is_layer(fc, layer, name))
        }
        (Key::LowerdirAdd | Key::DatadirAdd, Value::File(path)) => {
            any_of_kind(instance, key, |layer| is_root(layer, &path))
        }
        (Key::Upperdir | Key::Workdir, Value::String(name)) => {
            let given = if key == Key::Upperdir {
                &config.upperdir
            } else {
                &config.workdir
            };
            let mut buf = KVec::from_elem(0u8, name.to_bytes().len() + 1, GFP_KERNEL)?;
            given.as_deref().map(CStr::to_bytes) == Some(name.to_bytes())
                || options::unescape_cstr(name.to_bytes(), &mut buf)
                    .ok()
                    .and_then(|name| fc.resolve(name).ok())
                    .is_some_and(|path| is_upper(instance, key, &path))
        }
        (Key::Upperdir | Key::Workdir, Value::File(path)) => is_upper(instance, key, &path),
        (Key::OverrideCreds, Value::Flag) => config.override_creds,
        (Key::NooverrideCreds, Value::Flag) => !config.override_creds,
        (_, Value::String(word)) => is_set(config, key, Some(word.to_bytes())),
        (_, Value::Flag) => is_set(config, key, None),
        _ => false,
    })
}

/// Returns whether `is_it` is true of one of the layers that such an option gives: those that are merged, or those that
/// only have data.
fn any_of_kind(instance: &Instance, key: Key, is_it: impl Fn(&KeptMount<Layer>) -> bool) -> bool {
    if key == Key::DatadirAdd {
        instance.layers.list().data().any(is_it)
    } else {
        instance.layers.list().merged().any(is_it)
    }
}

fn is_root(layer: &KeptMount<Layer>, path: &OwnedPath) -> bool {
    path.as_path().dentry().inode().key() == layer.root().inode().key()
}

/// Returns whether this name is that of the layer: as it was given, or by another way there.
fn is_layer(fc: &FsContext<'_>, layer: &KeptMount<Layer>, name: &CStr) -> bool {
    layer.owner().name.to_bytes() == name.to_bytes()
        || !name.is_empty() && fc.resolve(name).is_ok_and(|path| is_root(layer, &path))
}

/// Returns whether these are all lower layers, in order.
fn is_list(fc: &FsContext<'_>, instance: &Instance, list: &CStr) -> Result<bool> {
    if let Some(given) = &instance.config.lowerdirs {
        if given.to_bytes() == list.to_bytes() {
            return Ok(true);
        }
    }
    let mut buf = KVec::from_elem(0u8, list.to_bytes().len() + 1, GFP_KERNEL)?;
    let mut count = 0;
    if list.is_empty() {
        return Ok(false);
    }
    let names = list.to_bytes();
    let list = instance.layers.list();
    for item in options::split_lowerdirs(names) {
        let (Ok(item), Some(layer)) = (item, list.get(count)) else {
            return Ok(false);
        };
        let is_it =
            options::unescape_cstr(item.path, &mut buf).is_ok_and(|name| is_layer(fc, layer, name));
        if !is_it || item.data != (count >= list.merged_len()) {
            return Ok(false);
        }
        count = count.saturating_add(1);
    }
    Ok(count == list.len())
}

fn is_upper(instance: &Instance, key: Key, path: &OwnedPath) -> bool {
    let dir = path.as_path();
    let upper = instance.upper.as_ref();
    upper.is_some_and(|upper| upper.is_given_as(key == Key::Workdir, dir.dentry()))
}

/// Returns whether a setting has this value: as it came out, or as it was asked for.
fn is_set(config: &Config, key: Key, word: Option<&[u8]>) -> bool {
    let defaults = config::defaults(config.as_overlay);
    let stays = |before: &Features| {
        let mut after = *before;
        let applied = after.apply(key, word, &defaults);
        after.given = before.given;
        applied == Ok(Applied::Set) && after == *before
    };
    stays(&config.features) || stays(&config.asked)
}
