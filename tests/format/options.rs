// SPDX-License-Identifier: GPL-2.0-only

//! Mount options: cutting strings and lists, names and words.

use crate::{bytes, config, made_of};
use checks::{model, properties};
use format::options::{
    is_whole, parse_switch, split_lowerdirs, split_monolithic, switch_name, unescape,
    unescape_cstr, BadPath, Fsync, Key, LowerItem, LowerdirError, RawOption, RedirectDir, Takes,
    Uuid, Verity, Xino, MAX_LAYERS,
};
use proptest::prelude::*;

const PIECES: &[&[u8]] = &[
    b",",
    b":",
    b"::",
    b"\\",
    b"\\:",
    b"\\,",
    b"=",
    b"/a",
    b"b",
    b"lowerdir=",
    b"upperdir=/u",
    b"metacopy=on,",
    b"redirect_dir=follow,",
    b"index=off,",
    b"nfs_export=on,",
    b"userxattr,",
    b"verity=on,",
    b"volatile,",
    b"uuid=on,",
];

fn cut(data: &[u8]) -> Vec<RawOption<'_>> {
    split_monolithic(data).collect()
}

fn option<'a>(key: &'a [u8], value: &'a [u8]) -> RawOption<'a> {
    RawOption {
        key,
        value: Some(value),
    }
}

#[test]
fn commas_separate_options_unless_escaped() {
    assert_eq!(
        cut(br"lowerdir=/a\,b:/c,userxattr,upperdir=/u\\,workdir=/w=x"),
        [
            option(b"lowerdir", br"/a\,b:/c"),
            RawOption {
                key: b"userxattr",
                value: None
            },
            option(b"upperdir", br"/u\\"),
            option(b"workdir", b"/w=x"),
        ]
    );
    assert_eq!(cut(b""), []);
    assert_eq!(cut(b",,,"), []);
    assert_eq!(cut(b"=a,=,xino=on,"), [option(b"xino", b"on")]);
    assert_eq!(cut(b"index="), [option(b"index", b"")]);
    assert_eq!(
        cut(br"\"),
        [RawOption {
            key: br"\",
            value: None
        }]
    );
    assert_eq!(cut(br"a\=b"), [option(br"a\", b"b")]);
    assert_eq!(cut(b"xino=on\0,index=on"), [option(b"xino", b"on")]);
}

fn layers(value: &[u8]) -> Result<Vec<(&[u8], bool)>, LowerdirError> {
    split_lowerdirs(value)
        .map(|item| item.map(|item| (item.path, item.data)))
        .collect()
}

#[test]
fn colons_separate_layers_and_two_begin_a_data_only_one() {
    assert_eq!(layers(b""), Ok(vec![]));
    assert_eq!(layers(b"/a"), Ok(vec![(&b"/a"[..], false)]));
    assert_eq!(
        layers(b"/a:b"),
        Ok(vec![(&b"/a"[..], false), (b"b", false)])
    );
    assert_eq!(
        layers(b"/l1:/l2:/l3::/do1::/do2"),
        Ok(vec![
            (&b"/l1"[..], false),
            (b"/l2", false),
            (b"/l3", false),
            (b"/do1", true),
            (b"/do2", true),
        ])
    );
    assert_eq!(
        layers(br"/a\:lower\:\:dir"),
        Ok(vec![(&br"/a\:lower\:\:dir"[..], false)])
    );
    assert_eq!(layers(br"\:a"), Ok(vec![(&br"\:a"[..], false)]));
    assert_eq!(
        layers(br"a\\:b"),
        Ok(vec![(&br"a\\"[..], false), (b"b", false)])
    );
}

#[test]
fn what_is_no_list_of_layers_is_told_by_name() {
    let table: &[(&[u8], LowerdirError)] = &[
        (b":", LowerdirError::LeadingColon),
        (b":a", LowerdirError::LeadingColon),
        (b"::a", LowerdirError::LeadingColon),
        (b"a:", LowerdirError::TrailingColon),
        (b"a::", LowerdirError::TrailingColon),
        (br"a:\", LowerdirError::TrailingBackslash),
        (br"a\", LowerdirError::TrailingBackslash),
        (br"a\\\", LowerdirError::TrailingBackslash),
        (br"a:b\", LowerdirError::TrailingBackslash),
        (br"a::b\", LowerdirError::TrailingBackslash),
        (b"a:::", LowerdirError::ThreeColons),
        (b"a:::b", LowerdirError::ThreeColons),
        (b"a::::b:", LowerdirError::ThreeColons),
        (b"a::b:c", LowerdirError::RegularAfterData),
        (br"\", LowerdirError::TrailingBackslash),
    ];
    for (value, expected) in table {
        assert_eq!(layers(value), Err(*expected), "{value:?}");
        assert!(!expected.reason().is_empty());
    }
}

#[test]
fn an_error_of_shape_comes_before_any_layer_and_one_of_order_in_its_place() {
    let items: Vec<_> = split_lowerdirs(b"a:b:").collect();
    assert_eq!(items, [Err(LowerdirError::TrailingColon)]);
    let items: Vec<_> = split_lowerdirs(b"a::b:c:d").collect();
    let layer = |path, data| Ok(LowerItem { path, data });
    assert_eq!(
        items,
        [
            layer(b"a", false),
            layer(b"b", true),
            Err(LowerdirError::RegularAfterData)
        ]
    );
}

#[test]
fn there_are_five_hundred_layers_at_most() {
    let list = |layers: usize| vec!["/l"; layers].join(":");
    let most = list(MAX_LAYERS);
    assert_eq!(
        split_lowerdirs(most.as_bytes())
            .filter(Result::is_ok)
            .count(),
        500
    );
    assert_eq!(split_lowerdirs(most.as_bytes()).layers(), 500);
    let more = list(MAX_LAYERS + 1);
    assert_eq!(layers(more.as_bytes()), Err(LowerdirError::TooMany));
    // Data-only layers count.
    let data = list(MAX_LAYERS - 1) + "::/d";
    assert!(layers(data.as_bytes()).is_ok());
    let data = list(MAX_LAYERS) + "::/d";
    assert_eq!(layers(data.as_bytes()), Err(LowerdirError::TooMany));
}

#[test]
fn a_value_without_escapes_is_whole_where_no_comma_ends_it() {
    for value in [&b""[..], b"/a", b"/a:b", br"/a\\", br"/a\,b", br"\\\,"] {
        assert!(is_whole(value), "{value:?}");
    }
    for value in [&b","[..], b"/a,b", br"/a\", br"/a\\,b", br"\\\"] {
        assert!(!is_whole(value), "{value:?}");
    }
}

#[test]
fn a_backslash_gives_way_to_what_follows() {
    let mut buf = [0; 8];
    assert_eq!(unescape(br"a\:b\\c\", &mut buf), Ok(&br"a:b\c"[..]));
    assert_eq!(unescape(br"\a\b", &mut buf), Ok(&b"ab"[..]));
    assert_eq!(unescape(b"", &mut buf), Ok(&b""[..]));
    assert_eq!(unescape(b"123456789", &mut buf), Err(BadPath::TooLong));
    assert_eq!(unescape(b"a\0", &mut buf), Err(BadPath::NulByte));
    assert_eq!(unescape_cstr(br"\:1234567", &mut [0; 9]), Ok(c":1234567"));
    assert_eq!(
        unescape_cstr(br"\:1234567", &mut buf),
        Err(BadPath::TooLong)
    );
    assert_eq!(unescape_cstr(b"", &mut []), Err(BadPath::TooLong));
    assert!(!BadPath::TooLong.reason().is_empty() && !BadPath::NulByte.reason().is_empty());
}

#[test]
fn every_option_is_known_by_its_name() {
    let names: Vec<&str> = Key::ALL.iter().map(|key| key.name()).collect();
    let known = [
        "lowerdir",
        "lowerdir+",
        "datadir+",
        "upperdir",
        "workdir",
        "default_permissions",
        "redirect_dir",
        "index",
        "uuid",
        "nfs_export",
        "userxattr",
        "xino",
        "metacopy",
        "verity",
        "fsync",
        "volatile",
        "override_creds",
        "nooverride_creds",
        "lazydata",
        "finalize",
        "nameindex",
        "image",
    ];
    assert_eq!(names, known);
    for key in Key::ALL {
        assert_eq!(Key::parse(key.name().as_bytes()), Some(key));
    }
    for name in [
        &b""[..],
        b"lowerdi",
        b"lowerdir++",
        b"Index",
        b"noindex",
        b"redirect",
        b"ro",
    ] {
        assert_eq!(Key::parse(name), None);
    }
    let flags: Vec<Key> = Key::ALL
        .into_iter()
        .filter(|key| key.takes() == Takes::Nothing)
        .collect();
    assert_eq!(
        flags,
        [
            Key::DefaultPermissions,
            Key::Userxattr,
            Key::Volatile,
            Key::OverrideCreds,
            Key::NooverrideCreds
        ]
    );
    assert_eq!(Key::Lowerdir.takes(), Takes::Paths);
    assert_eq!(Key::LowerdirAdd.takes(), Takes::Path { escaped: false });
    assert_eq!(Key::DatadirAdd.takes(), Takes::Path { escaped: false });
    assert_eq!(Key::Upperdir.takes(), Takes::Path { escaped: true });
    assert_eq!(Key::Workdir.takes(), Takes::Path { escaped: true });
}

/// The words of a setting, and that each is read as what it is the name of.
macro_rules! words {
    ($type:ident, $($word:literal),*) => {{
        let names: Vec<&str> = $type::ALL.iter().map(|value| value.name()).collect();
        assert_eq!(names, [$($word),*]);
        for value in $type::ALL {
            assert_eq!($type::parse(value.name().as_bytes()), Some(*value));
        }
        for word in [&b""[..], b"ON", b"on ", b"yes", b"1"] {
            assert_eq!($type::parse(word), None);
        }
    }};
}

#[test]
fn every_setting_has_its_words() {
    words!(RedirectDir, "off", "follow", "nofollow", "on");
    words!(Uuid, "off", "null", "auto", "on");
    words!(Xino, "off", "auto", "on");
    words!(Verity, "off", "on", "require");
    words!(Fsync, "volatile", "auto", "strict");
    for on in [false, true] {
        assert_eq!(parse_switch(switch_name(on).as_bytes()), Some(on));
    }
    for word in [&b""[..], b"ON", b"true", b"1", b"auto"] {
        assert_eq!(parse_switch(word), None);
    }
}

#[test]
fn redirect_dir_off_is_one_of_two_others() {
    assert_eq!(RedirectDir::Off.effective(true), RedirectDir::Follow);
    assert_eq!(RedirectDir::Off.effective(false), RedirectDir::Nofollow);
    for always_follow in [false, true] {
        for mode in [RedirectDir::Follow, RedirectDir::Nofollow, RedirectDir::On] {
            assert_eq!(mode.effective(always_follow), mode);
            assert_eq!(mode.follows(), mode != RedirectDir::Nofollow);
        }
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn strings_are_cut_as_the_model_cuts_them(data in made_of(PIECES), choice: u8) {
        properties::monolithic(&data);
        properties::lowerdirs(&data);
        properties::unescape(&[&[choice], data.as_slice()].concat());
        properties::options(&[&[choice], data.as_slice()].concat());
        properties::shown_again(&data);
    }

    #[test]
    fn what_is_shown_mounts_again(data in prop::collection::vec(any::<u8>(), 0..40)) {
        properties::shown_again(&data);
    }

    #[test]
    fn any_names_can_be_layers(
        names in prop::collection::vec(prop::collection::vec(1u8.., 1..8), 1..20),
        data_from in 1usize..20,
    ) {
        // A list written with escapes, within a string of options, is read as it was meant.
        let mut list = Vec::new();
        for (at, name) in names.iter().enumerate() {
            list.extend_from_slice(match at {
                0 => b"",
                _ if at >= data_from => b"::",
                _ => b":",
            });
            list.extend(model::options::escape(name));
        }
        let data = [&b"xino=off,lowerdir="[..], &list, b",index=off"].concat();
        let value = split_monolithic(&data)
            .find(|option| Key::parse(option.key) == Some(Key::Lowerdir))
            .and_then(|option| option.value)
            .unwrap();
        let mut read = Vec::new();
        for (at, item) in split_lowerdirs(value).enumerate() {
            let item = item.unwrap();
            prop_assert_eq!(item.data, at > 0 && at >= data_from);
            let mut buf = [0; 16];
            read.push(unescape(item.path, &mut buf).unwrap().to_vec());
        }
        prop_assert_eq!(read, names);
    }

    #[test]
    fn any_bytes_are_safe(data in bytes()) {
        properties::monolithic(&data);
        properties::lowerdirs(&data);
        properties::unescape(&data);
        properties::options(&data);
    }
}
