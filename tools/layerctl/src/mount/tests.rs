// SPDX-License-Identifier: GPL-2.0-only

//! Options read, of every kind, and at random.

use super::*;
use proptest::prelude::*;

fn text(key: &str, value: &str) -> Setting {
    Setting::Text(key.into(), value.into())
}

fn settings(options: &str) -> Vec<Setting> {
    read(options.as_bytes()).unwrap().settings
}

fn refused(options: &str) -> String {
    format!("{:#}", read(options.as_bytes()).unwrap_err())
}

/// A path of this length.
fn long(first: &str, length: usize) -> String {
    format!("{first}{}", "x".repeat(length - first.len()))
}

#[test]
fn options_are_cut_at_commas() {
    let items = split(br#"rw,,a=b=c,d="1,2",e=x\,y,f=z\\,g="q",h=a"b,c"d"#).unwrap();
    let told: Vec<_> = items
        .iter()
        .map(|item| {
            let value = item.value.as_ref();
            (
                shown(&item.key),
                value.map(|value| String::from_utf8(value.clone()).unwrap()),
            )
        })
        .collect();
    let expected = [
        ("rw", None),
        ("a", Some("b=c")),
        ("d", Some("1,2")),
        ("e", Some("x\\,y")),
        ("f", Some("z\\\\")),
        ("g", Some("q")),
        ("h", Some("a\"b,c\"d")),
    ];
    let expected: Vec<_> = expected
        .iter()
        .map(|(key, value)| (key.to_string(), value.map(str::to_owned)))
        .collect();
    assert_eq!(told, expected);
    assert!(split(b"").unwrap().is_empty());
    assert!(refused("a=\"b,c").contains("no second one"));
    assert!(refused("rw,=b").contains("without a name"));
    // One that belongs to a name.
    assert_eq!(
        settings(r#"upperdir=/a\"b,volatile"#),
        [
            text("upperdir", "/a\\\"b"),
            Setting::Flag(b"volatile".to_vec())
        ]
    );
}

#[test]
fn a_short_list_stays_as_it_is() {
    assert_eq!(
        settings(r"upperdir=/u,lowerdir=/a\:b:/c::/d,workdir=/w"),
        [
            text("lowerdir", r"/a\:b:/c::/d"),
            text("upperdir", "/u"),
            text("workdir", "/w")
        ]
    );
    // What is wrong with it the kernel says.
    assert_eq!(settings("lowerdir=:a"), [text("lowerdir", ":a")]);
    assert_eq!(
        settings(r#"lowerdir="/a,b:/c""#),
        [text("lowerdir", "/a,b:/c")]
    );
    let exactly = long("/", LONGEST);
    assert_eq!(
        settings(&format!("lowerdir={exactly}")),
        [text("lowerdir", &exactly)]
    );
}

#[test]
fn a_long_list_is_given_one_by_one() {
    let (first, second, longer) = (long("/1", 120), long("/2", 255), long("/3", 256));
    let options =
        format!(r"lowerdir={first}\:\,\\:{second}:{longer}::/data:,ro").replace(":,", ",");
    assert_eq!(
        settings(&options),
        [
            text("lowerdir+", &format!("{first}:,\\")),
            text("lowerdir+", &second),
            Setting::Dir(b"lowerdir+".to_vec(), longer.clone().into()),
            text("datadir+", "/data"),
        ]
    );
    assert!(refused(&format!("lowerdir={longer}:")).contains("ends in a colon"));
    assert!(refused(&format!("lowerdir={longer}::/d:/e")).contains("after a data-only one"));
    assert_eq!(
        settings(&format!("upperdir={longer}\\:,workdir=/w")),
        [
            Setting::Dir(b"upperdir".to_vec(), format!("{longer}:").into()),
            text("workdir", "/w")
        ]
    );
}

#[test]
fn the_last_list_counts() {
    assert_eq!(
        settings("lowerdir+=/a,lowerdir=/b:/c"),
        [text("lowerdir", "/b:/c")]
    );
    assert_eq!(
        settings("lowerdir=/a,lowerdir=,lowerdir+=/b\\,c,datadir+=/d"),
        [text("lowerdir+", "/b\\,c"), text("datadir+", "/d")]
    );
    let longer = long("/", 256);
    assert!(refused(&format!("lowerdir={longer},lowerdir+=/b")).contains("can't follow lowerdir"));
    assert_eq!(
        settings(&format!("lowerdir+={longer}")),
        [Setting::Dir(b"lowerdir+".to_vec(), longer.into())]
    );
}

#[test]
fn what_is_too_long_is_refused() {
    assert!(refused(&long("context=", 300)).contains("context: the value is longer"));
    assert!(refused(&long("context", 300)).contains("name is longer"));
    assert_eq!(
        settings(r#"context="u:r:t:s0:c1,c2",metacopy=on"#),
        [text("context", "u:r:t:s0:c1,c2"), text("metacopy", "on")]
    );
}

#[test]
fn generic_options() {
    let request = read(
        b"ro,nosuid,dev,nodev,noexec,exec,noatime,nodiratime,nosymfollow,sync,lazytime,defaults,_netdev,nofail,user=me,\
          x-systemd.automount,X-a=b,comment=c,shared,index=off",
    )
    .unwrap();
    assert_eq!(request.flags, ["sync", "lazytime", "ro"]);
    assert_eq!(request.settings, [text("index", "off")]);
    assert!(!request.remount && !request.bind);
    let flags = MountAttrFlags::MOUNT_ATTR_RDONLY
        | MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NODIRATIME
        | MountAttrFlags::MOUNT_ATTR_NOSYMFOLLOW;
    assert_eq!(
        request.attributes.for_new(),
        flags | MountAttrFlags::MOUNT_ATTR_NOATIME
    );
    assert_eq!(
        request.attributes.for_change(),
        MountFlags::RDONLY
            | MountFlags::NOSUID
            | MountFlags::NODEV
            | MountFlags::NODIRATIME
            | MountFlags::NOSYMFOLLOW
            | MountFlags::NOATIME
    );

    let request = read(b"ro,remount,rw,bind,strictatime").unwrap();
    assert!(request.remount && request.bind);
    assert_eq!(request.flags, ["rw"]);
    assert_eq!(request.attributes.for_change(), MountFlags::STRICTATIME);
    let nothing = read(b"").unwrap();
    assert_eq!(nothing.attributes.for_change(), MountFlags::empty());
    assert!(nothing.flags.is_empty() && nothing.settings.is_empty());
    let request = read(b"ro=vfs").unwrap();
    assert!(request.flags.is_empty());
    assert_eq!(request.attributes.for_change(), MountFlags::RDONLY);

    for options in ["bind", "remount,rbind", "move"] {
        assert!(refused(options).contains("let mount(8) do it"), "{options}");
    }
    // A value where none belongs is the kernel's to refuse.
    assert_eq!(settings("nosuid=1"), [text("nosuid", "1")]);
}

/// A path as `lowerdir=` wants it.
fn escape(path: &[u8]) -> Vec<u8> {
    let special = |byte: u8| matches!(byte, b'\\' | b',' | b':' | b'"');
    let mut text = Vec::new();
    for byte in path {
        text.extend(special(*byte).then_some(b'\\'));
        text.push(*byte);
    }
    text
}

fn some_path() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        3 => prop::sample::select(b"\\,:\"= ".to_vec()),
        3 => 1u8..=255,
    ];
    prop::collection::vec(byte, 1..300)
}

proptest! {
    /// Layers of any names, written as a list, are those layers again.
    #[test]
    fn lists_are_taken_apart_as_they_were_made(
        paths in prop::collection::vec(some_path(), 2..20),
        data in 0usize..3,
        upper in some_path(),
    ) {
        let merged = paths.len().saturating_sub(data).max(1);
        let mut options = b"rw,lowerdir=".to_vec();
        for (i, path) in paths.iter().enumerate() {
            options.extend_from_slice(match i {
                0 => b"",
                _ if i < merged => b":",
                _ => b"::",
            });
            options.extend(escape(path));
        }
        options.extend_from_slice(b",upperdir=");
        options.extend(escape(&upper));
        let request = read(&options).unwrap();
        let mut found = Vec::new();
        for setting in &request.settings {
            match setting {
                Setting::Text(key, list) if key == b"lowerdir" => {
                    for item in split_lowerdirs(list) {
                        let item = item.unwrap();
                        found.push((item.data, plain(b"", item.path).unwrap()));
                    }
                }
                Setting::Text(key, path) if key == b"upperdir" => {
                    prop_assert!(path.len() <= LONGEST);
                    prop_assert_eq!(&plain(b"", path).unwrap(), &upper);
                }
                Setting::Dir(key, path) if key == b"upperdir" => prop_assert_eq!(path, &upper),
                Setting::Text(key, path) => {
                    prop_assert!(path.len() <= LONGEST);
                    found.push((key == b"datadir+", path.clone()));
                }
                Setting::Dir(key, path) => {
                    prop_assert!(path.len() > LONGEST);
                    found.push((key == b"datadir+", path.clone()));
                }
                Setting::Flag(_) => prop_assert!(false, "a flag of nobody's"),
            }
        }
        let expected: Vec<_> = paths
            .into_iter()
            .enumerate()
            .map(|(i, path)| (i >= merged, path))
            .collect();
        prop_assert_eq!(found, expected);
    }

    /// Options of any kind, written with quotation marks, are those options again.
    #[test]
    fn options_are_split_as_they_were_joined(
        items in prop::collection::vec(("[a-z_+]{1,9}", prop::option::of("[a-z,:=/ ]{0,20}")), 0..9),
    ) {
        let joined: Vec<String> = items
            .iter()
            .map(|(key, value)| match value {
                None => key.clone(),
                Some(value) if value.contains(',') => format!("{key}=\"{value}\""),
                Some(value) => format!("{key}={value}"),
            })
            .collect();
        let found = split(joined.join(",").as_bytes()).unwrap();
        let expected: Vec<_> = items
            .into_iter()
            .map(|(key, value)| Item { key: key.into(), value: value.map(String::into_bytes) })
            .collect();
        prop_assert_eq!(found, expected);
    }

    /// Whatever the options are, they are read or refused.
    #[test]
    fn any_options_are_read_or_refused(
        options in prop::collection::vec(
            prop_oneof![
                Just(b"lowerdir=".to_vec()), Just(b"lowerdir+=".to_vec()), Just(b"upperdir=".to_vec()),
                Just(b"ro".to_vec()), Just(b"remount".to_vec()), Just(b"x-".to_vec()),
                Just(vec![b'a'; 300]),
                prop::sample::select(b"\\,:\"=".to_vec()).prop_map(|byte| vec![byte]),
                prop::collection::vec(any::<u8>(), 0..5),
            ],
            0..40,
        ),
    ) {
        if let Ok(request) = read(&options.concat()) {
            for setting in &request.settings {
                if let Setting::Text(key, value) = setting {
                    prop_assert!(key.len() <= LONGEST && value.len() <= LONGEST);
                }
                let _ = setting.step();
            }
        }
    }
}
