// SPDX-License-Identifier: GPL-2.0-only

//! Option strings, lists of layers, and what the options come to.

use super::take;
use crate::model;
use format::options::{
    escaped, is_whole, shown, split_lowerdirs, split_monolithic, unescape as unescape_into,
    unescape_cstr, Applied, BadPath, Defaults, Features, Key, LowerdirError, MAX_LAYERS,
};

/// A string is cut where the model cuts it.
pub fn monolithic(data: &[u8]) {
    let plain = |text: &[u8]| model::options::unescape(text);
    // A key of one backslash has no characters, so the model can't tell it from none.
    let found: Vec<_> = split_monolithic(data)
        .map(|option| (plain(option.key), option.value.map(plain)))
        .filter(|(key, _)| !key.is_empty())
        .collect();
    let expected: Vec<_> = model::options::split_monolithic(data)
        .into_iter()
        .filter(|(key, _)| !key.is_empty())
        .collect();
    assert_eq!(found, expected, "{data:?}");
    for option in split_monolithic(data) {
        assert!(!option.key.is_empty() && !option.key.contains(&b'='));
    }
}

/// A list of layers is cut where the model cuts it, and what is wrong is found in the same place.
pub fn lowerdirs(value: &[u8]) {
    let list = split_lowerdirs(value);
    let (layers, wrong) = model::options::split_lowerdirs(value);

    let mut found = Vec::new();
    let mut found_wrong = None;
    for item in list {
        assert!(found_wrong.is_none(), "an item after an error");
        match item {
            Ok(item) => found.push((model::options::unescape(item.path), item.data)),
            Err(error) => found_wrong = Some(error),
        }
    }
    assert_eq!(found, layers, "{value:?}");
    assert_eq!(found_wrong, wrong, "{value:?}");
    match wrong {
        None => assert_eq!(list.layers(), layers.len()),
        Some(LowerdirError::RegularAfterData) => assert!(list.layers() > layers.len()),
        Some(_) => assert_eq!(list.layers(), 0),
    }
    assert!(list.layers() <= MAX_LAYERS);
}

/// Escapes go as the model takes them, into a buffer of any size.
pub fn unescape(data: &[u8]) {
    let (room, path) = take(data);
    let mut buf = vec![0xaa; usize::from(room)];
    let mut expected = model::options::unescape(path);
    let has_nul = expected.contains(&0);

    match unescape_into(path, &mut buf) {
        Ok(found) => {
            assert!(!has_nul);
            assert_eq!(found, expected);
        }
        Err(BadPath::TooLong) => assert!(expected.len() > buf.len()),
        Err(BadPath::NulByte) => assert!(has_nul),
    }
    match unescape_cstr(path, &mut buf) {
        Ok(found) => {
            assert!(!has_nul);
            expected.push(0);
            assert_eq!(found.to_bytes_with_nul(), expected);
        }
        Err(BadPath::TooLong) => assert!(expected.len() + 1 > buf.len()),
        Err(BadPath::NulByte) => assert!(has_nul),
    }
    // What is escaped comes back as it was.
    let escaped = model::options::escape(path);
    let mut buf = vec![0; path.len()];
    if !path.contains(&0) {
        assert_eq!(unescape_into(&escaped, &mut buf), Ok(path));
    }
}

/// What is shown of a value parses to what was given: within a string of options, and by itself.
pub fn shown_again(data: &[u8]) {
    let Some(value) = data.split(|b| *b == 0).next().filter(|v| !v.is_empty()) else {
        return;
    };
    let paths = |list: &[u8]| -> Vec<_> {
        split_lowerdirs(list)
            .map(|item| item.map(|item| (model::options::unescape(item.path), item.data)))
            .collect()
    };
    // Options with escapes: of upperdir the whole value is one path, of lowerdir a list.
    let text: Vec<u8> = shown(value).collect();
    assert_eq!(only_option(&text), text, "{value:?}");
    assert_eq!(
        model::options::unescape(&text),
        model::options::unescape(value)
    );
    if paths(value).iter().all(|item| item.is_ok()) {
        assert_eq!(paths(&text), paths(value), "{value:?}");
    }
    // A path that came without an option, and one of a list.
    let text: Vec<u8> = escaped(value).collect();
    assert_eq!(only_option(&text), text);
    assert_eq!(model::options::unescape(&text), value);
    assert_eq!(paths(&text), [Ok((value.to_vec(), false))]);
    assert_eq!(shown(&text).collect::<Vec<_>>(), text);
    // Options without.
    if is_whole(value) {
        assert_eq!(only_option(value), value);
    }
}

/// The value of an option, as it is cut out from among others.
fn only_option(value: &[u8]) -> Vec<u8> {
    let text = [b"a=b,key=", value, b",c=d"].concat();
    let options: Vec<_> = split_monolithic(&text).collect();
    assert_eq!(options.len(), 3, "{value:?}");
    assert_eq!(options[1].key, b"key");
    options[1].value.unwrap_or_default().to_vec()
}

/// A whole string of options: every option is taken or refused, and what they come to holds together.
pub fn options(data: &[u8]) {
    let (choice, data) = take(data);
    let bit = |at: u8| choice & (1 << at) != 0;
    let defaults = Defaults {
        redirect_dir: bit(0),
        redirect_always_follow: bit(1),
        xino_auto: bit(2),
        index: bit(3),
        nfs_export: bit(4),
        metacopy: bit(5),
    };
    let mut features = Features::new(&defaults);
    let mut has_upper = false;
    let mut data_layers = 0;
    for option in split_monolithic(data) {
        let Some(key) = Key::parse(option.key) else {
            continue;
        };
        let before = features;
        match features.apply(key, option.value, &defaults) {
            // What is refused changes nothing.
            Err(_) => assert_eq!(features, before),
            Ok(Applied::Set) => {}
            Ok(Applied::NotASetting) => match key {
                Key::Upperdir => has_upper = true,
                Key::DatadirAdd => data_layers += 1,
                Key::Lowerdir => {
                    lowerdirs(option.value.unwrap_or_default());
                    data_layers = split_lowerdirs(option.value.unwrap_or_default())
                        .filter(|item| item.is_ok_and(|item| item.data))
                        .count();
                }
                _ => {}
            },
        }
    }
    let _settled = model::features::check(features, has_upper, data_layers > 0, bit(6), &defaults);
}
