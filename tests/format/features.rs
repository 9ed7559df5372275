// SPDX-License-Identifier: GPL-2.0-only

//! What the options come to: every combination there is, and the known ones by heart.

use checks::model::features::check;
use format::options::{
    split_monolithic, Applied, BadOption, Conflict, Defaults, Features, Finalize, Fsync, Given,
    Key, NameIndex, Note, RedirectDir, Uuid, Verity, Xino,
};

/// Applies a string of options to Debian's defaults.
fn features(options: &str) -> Features {
    let mut features = Features::new(&Defaults::DEBIAN);
    for option in split_monolithic(options.as_bytes()) {
        let key = Key::parse(option.key).expect("a known option");
        features
            .apply(key, option.value, &Defaults::DEBIAN)
            .expect("a good value");
    }
    features
}

/// Resolves a mount with upper by root, and gives what was noted.
fn resolve(options: &str, has_upper: bool) -> (Result<Features, Conflict>, Vec<Note>) {
    let mut features = features(options);
    let mut notes = Vec::new();
    let outcome = features.resolve(has_upper, false, true, &mut |note| notes.push(note));
    (outcome.map(|()| features), notes)
}

#[test]
fn a_mount_without_options_has_the_defaults() {
    let plain = Features::new(&Defaults::default());
    assert_eq!(
        plain,
        Features {
            default_permissions: false,
            redirect_dir: RedirectDir::Follow,
            index: false,
            uuid: Uuid::Auto,
            nfs_export: false,
            userxattr: false,
            xino: Xino::Off,
            metacopy: false,
            verity: Verity::Off,
            fsync: Fsync::Auto,
            lazydata: false,
            finalize: Finalize::On,
            nameindex: NameIndex::Auto,
            image: false,
            given: Given::default(),
        }
    );
    assert_eq!(resolve("", true), (Ok(plain), vec![]));
    assert_eq!(plain.shown(&Defaults::DEBIAN, false).count(), 0);

    let every = Defaults {
        redirect_dir: true,
        redirect_always_follow: false,
        xino_auto: true,
        index: true,
        nfs_export: true,
        metacopy: true,
    };
    let all = Features::new(&every);
    assert_eq!(all.redirect_dir, RedirectDir::On);
    assert_eq!(all.xino, Xino::Auto);
    assert!(all.index && all.nfs_export && all.metacopy);
    let none = Defaults {
        redirect_dir: false,
        ..every
    };
    assert_eq!(Features::new(&none).redirect_dir, RedirectDir::Nofollow);
}

#[test]
fn options_are_taken_or_refused() {
    let mut features = Features::new(&Defaults::DEBIAN);
    let mut apply = |key, value: Option<&[u8]>| features.apply(key, value, &Defaults::DEBIAN);
    assert_eq!(
        apply(Key::Userxattr, Some(b"")),
        Err(BadOption::UnexpectedValue)
    );
    assert_eq!(
        apply(Key::Volatile, Some(b"on")),
        Err(BadOption::UnexpectedValue)
    );
    assert_eq!(apply(Key::Index, None), Err(BadOption::MissingValue));
    assert_eq!(apply(Key::Index, Some(b"")), Err(BadOption::UnknownWord));
    assert_eq!(
        apply(Key::Index, Some(b"auto")),
        Err(BadOption::UnknownWord)
    );
    assert_eq!(apply(Key::Xino, Some(b"auto")), Ok(Applied::Set));
    for key in [
        Key::Lowerdir,
        Key::LowerdirAdd,
        Key::DatadirAdd,
        Key::Upperdir,
        Key::Workdir,
    ] {
        assert_eq!(apply(key, Some(b"/x")), Ok(Applied::NotASetting));
    }
    for key in [Key::OverrideCreds, Key::NooverrideCreds] {
        assert_eq!(apply(key, None), Ok(Applied::NotASetting));
    }
    assert_eq!(features.xino, Xino::Auto);
    assert!(features.given.workdir);
    for bad in [
        BadOption::UnexpectedValue,
        BadOption::MissingValue,
        BadOption::UnknownWord,
    ] {
        assert!(!bad.reason().is_empty());
    }
}

#[test]
fn the_last_of_two_options_counts() {
    assert_eq!(features("fsync=strict,volatile").fsync, Fsync::Volatile);
    assert_eq!(features("volatile,fsync=strict").fsync, Fsync::Strict);
    assert_eq!(
        features("redirect_dir=on,redirect_dir=off").redirect_dir,
        RedirectDir::Follow
    );
    assert!(!features("index=on,index=off").index);
}

#[test]
fn what_needs_another_option_turns_it_on() {
    let on = |options| resolve(options, true).0.unwrap();
    assert_eq!(on("metacopy=on").redirect_dir, RedirectDir::On);
    assert!(on("nfs_export=on").index);
    assert!(on("metacopy=on,redirect_dir=on").metacopy);
    let user = on("userxattr");
    assert_eq!(user.redirect_dir, RedirectDir::Nofollow);
    assert!(!user.metacopy && !user.trusts_user_marks());
    let user = on("userxattr,metacopy=on");
    assert_eq!(user.redirect_dir, RedirectDir::On);
    assert!(user.metacopy && user.trusts_user_marks());
    assert!(!on("metacopy=on").trusts_user_marks());
}

#[test]
fn conflicts_are_told_by_name() {
    let conflict = |options, has_upper| resolve(options, has_upper).0.unwrap_err();
    let follow = Conflict::MetacopyRedirect(RedirectDir::Follow);
    let nofollow = Conflict::MetacopyRedirect(RedirectDir::Nofollow);
    assert_eq!(conflict("metacopy=on,redirect_dir=follow", true), follow);
    assert_eq!(conflict("metacopy=on,redirect_dir=off", true), follow);
    assert_eq!(
        conflict("metacopy=on,redirect_dir=nofollow", true),
        nofollow
    );
    assert_eq!(
        conflict("metacopy=on,redirect_dir=nofollow", false),
        nofollow
    );
    assert_eq!(
        conflict("nfs_export=on,index=off", true),
        Conflict::NfsExportIndex
    );
    assert_eq!(
        conflict("nfs_export=on,metacopy=on", true),
        Conflict::NfsExportMetacopy
    );
    // index=on is useless without upper, but index=off was asked for.
    let nofollow = "nfs_export=on,redirect_dir=nofollow,index=off";
    assert_eq!(conflict(nofollow, false), Conflict::NfsExportIndex);
    assert!(
        resolve("nfs_export=on,redirect_dir=nofollow,index=on", false)
            .0
            .is_ok()
    );
    let user = Conflict::UserxattrRedirect(RedirectDir::On);
    assert_eq!(conflict("userxattr,redirect_dir=on", true), user);
    // Without upper there is no difference between following redirects and making them.
    assert_eq!(conflict("userxattr,redirect_dir=follow", false), user);
    let user = Conflict::UserxattrRedirect(RedirectDir::Follow);
    assert_eq!(conflict("userxattr,redirect_dir=follow", true), user);
    assert!(resolve("metacopy=on,redirect_dir=follow", false).0.is_ok());
    assert!(
        resolve("userxattr,redirect_dir=nofollow,metacopy=off", true)
            .0
            .is_ok()
    );
}

#[test]
fn what_is_only_a_default_gives_way() {
    let with = |defaults: Defaults, options: &str| {
        let mut features = Features::new(&defaults);
        for option in split_monolithic(options.as_bytes()) {
            let key = Key::parse(option.key).expect("a known option");
            features
                .apply(key, option.value, &defaults)
                .expect("a good value");
        }
        let mut notes = Vec::new();
        let outcome = features.resolve(true, false, true, &mut |note| notes.push(note));
        assert_eq!(outcome, Ok(()), "{options}");
        (
            features.metacopy,
            features.nfs_export,
            features.index,
            notes,
        )
    };
    let none = Defaults::DEBIAN;
    let metacopy = Defaults {
        metacopy: true,
        ..none
    };
    let export = Defaults {
        nfs_export: true,
        ..none
    };
    let both = Defaults {
        metacopy: true,
        nfs_export: true,
        ..none
    };

    let follow = Note::MetacopyOffByRedirect(RedirectDir::Follow);
    let nofollow = Note::MetacopyOffByRedirect(RedirectDir::Nofollow);
    let verity = Note::NfsExportOffByVerity(Verity::On);
    let require = Note::NfsExportOffByVerity(Verity::Require);
    let table = [
        (
            metacopy,
            "redirect_dir=off",
            (false, false, false, vec![follow]),
        ),
        (
            metacopy,
            "redirect_dir=nofollow",
            (false, false, false, vec![nofollow]),
        ),
        (metacopy, "", (true, false, false, vec![])),
        (
            export,
            "index=off",
            (false, false, false, vec![Note::NfsExportOffByIndex]),
        ),
        (export, "", (false, true, true, vec![])),
        (
            export,
            "metacopy=on",
            (true, false, true, vec![Note::NfsExportOffByMetacopy]),
        ),
        (
            metacopy,
            "nfs_export=on",
            (false, true, true, vec![Note::MetacopyOffByNfsExport]),
        ),
        (
            both,
            "",
            (false, true, true, vec![Note::MetacopyOffByNfsExport]),
        ),
        (both, "verity=on", (true, false, true, vec![verity])),
        (both, "verity=require", (true, false, true, vec![require])),
        (both, "metacopy=off", (false, true, true, vec![])),
        (both, "nfs_export=off", (true, false, false, vec![])),
        (
            both,
            "metacopy=on",
            (true, false, true, vec![Note::NfsExportOffByMetacopy]),
        ),
    ];
    for (defaults, options, expected) in table {
        assert_eq!(
            with(defaults, options),
            expected,
            "{options} with {defaults:?}"
        );
    }
}

#[test]
fn without_upper_much_is_useless() {
    let (outcome, notes) = resolve("workdir=/w,index=on,volatile,uuid=on", false);
    let after = outcome.unwrap();
    assert!(!after.index);
    assert_eq!((after.fsync, after.uuid), (Fsync::Auto, Uuid::Null));
    assert_eq!(after.redirect_dir, RedirectDir::On);
    assert_eq!(
        notes,
        [
            Note::WorkdirWithoutUpper,
            Note::IndexWithoutUpper,
            Note::VolatileWithoutUpper,
            Note::UuidWithoutUpper
        ]
    );
    let (outcome, notes) = resolve("nfs_export=on", false);
    assert!(!outcome.unwrap().nfs_export);
    assert_eq!(notes, [Note::NfsExportOffByRedirect]);
    let (outcome, notes) = resolve("nfs_export=on,redirect_dir=nofollow", false);
    assert!(outcome.unwrap().nfs_export && notes.is_empty());
}

#[test]
fn who_may_not_use_trusted_xattrs_can_not_ask_for_what_needs_them() {
    let resolve =
        |options, data_layers| features(options).resolve(true, data_layers, false, &mut |_| ());
    assert_eq!(resolve("", false), Ok(()));
    assert_eq!(resolve("redirect_dir=nofollow,metacopy=off", false), Ok(()));
    assert_eq!(
        resolve("redirect_dir=on", false),
        Err(Conflict::RedirectPermission)
    );
    assert_eq!(
        resolve("redirect_dir=off", false),
        Err(Conflict::RedirectPermission)
    );
    assert_eq!(
        resolve("metacopy=on", false),
        Err(Conflict::MetacopyPermission)
    );
    assert_eq!(resolve("verity=on", false), Err(Conflict::VerityPermission));
    assert_eq!(resolve("", true), Err(Conflict::DataLayersPermission));
    assert_eq!(resolve("userxattr,verity=on", true), Ok(()));
    assert_eq!(Conflict::DataLayersPermission.errno(), 1);
    assert_eq!(Conflict::NfsExportIndex.errno(), 22);
    assert_eq!(
        Conflict::NfsExportIndex.reason(),
        Conflict::NfsExportIndex.text()
    );
}

#[test]
fn what_differs_from_the_defaults_is_shown_in_overlayfs_order() {
    let shown = |options: &str, same_fs| {
        let features = resolve(options, true).0.unwrap();
        let words: Vec<String> = features
            .shown(&Defaults::DEBIAN, same_fs)
            .map(|(key, value)| match value {
                Some(value) => format!("{}={value}", key.name()),
                None => key.name().to_string(),
            })
            .collect();
        words.join(",")
    };
    assert_eq!(shown("metacopy=on", false), "redirect_dir=on,metacopy=on");
    assert_eq!(
        shown("redirect_dir=follow,index=off,xino=off,uuid=auto", false),
        ""
    );
    assert_eq!(shown("xino=on,uuid=null", false), "uuid=null,xino=on");
    assert_eq!(shown("xino=on,uuid=null", true), "uuid=null");
    assert_eq!(
        shown("verity=on,userxattr,volatile,nfs_export=on,default_permissions", false),
        "default_permissions,redirect_dir=nofollow,index=on,nfs_export=on,fsync=volatile,userxattr,verity=on"
    );
}

/// Every combination of what decides, under every combination of defaults: they settle or conflict, and
/// what they settle to holds together. (Values that decide nothing are tried on the way.)
#[test]
fn every_combination_holds_together() {
    let mut combinations = 0u32;
    let mut conflicts = 0u32;
    for choice in 0u32..1 << 5 {
        let bit = |at: u32| choice & (1 << at) != 0;
        let defaults = Defaults {
            redirect_dir: bit(0),
            redirect_always_follow: bit(1),
            xino_auto: choice % 3 == 0,
            index: bit(2),
            nfs_export: bit(3),
            metacopy: bit(4),
        };
        let switch = [None, Some(&b"on"[..]), Some(b"off")];
        let modes = [
            None,
            Some(&b"off"[..]),
            Some(b"follow"),
            Some(b"nofollow"),
            Some(b"on"),
        ];
        for redirect_dir in modes {
            for index in switch {
                for nfs_export in switch {
                    for metacopy in switch {
                        let mut features = Features::new(&defaults);
                        for (key, word) in [
                            (Key::RedirectDir, redirect_dir),
                            (Key::Index, index),
                            (Key::NfsExport, nfs_export),
                            (Key::Metacopy, metacopy),
                        ] {
                            if word.is_some() {
                                features.apply(key, word, &defaults).expect("good words");
                            }
                        }
                        for (at, verity) in Verity::ALL.iter().enumerate() {
                            features.verity = *verity;
                            features.fsync = Fsync::ALL[(at + combinations as usize) % 3];
                            features.uuid = Uuid::ALL[combinations as usize % 4];
                            features.given.workdir = combinations % 2 == 0;
                            for user_upper in 0..16u32 {
                                let bit = |at: u32| user_upper & (1 << at) != 0;
                                features.userxattr = bit(0);
                                let outcome = check(features, bit(1), bit(2), bit(3), &defaults);
                                combinations += 1;
                                conflicts += u32::from(outcome.is_err());
                            }
                        }
                    }
                }
            }
        }
    }
    assert_eq!(combinations, 32 * 5 * 27 * 3 * 16);
    // Neither all nor none of them conflict.
    assert!(
        conflicts > combinations / 20 && conflicts < combinations * 9 / 10,
        "{conflicts}"
    );
}
