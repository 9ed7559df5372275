// SPDX-License-Identifier: GPL-2.0-only

//! `layerctl vacuum`: what it finds and leaves alone, and that a stack shows the same before and after, whatever it is made of.

mod common;
mod view;
use common::{copy, look, unhex, Tree};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{symlink, MetadataExt, PermissionsExt};
use view::{difference, mark, random_layer, view, Random};

fn number(t: &Tree, path: &str) -> u64 {
    t.path(path).symlink_metadata().unwrap().ino()
}

fn handle(number: u64) -> Vec<u8> {
    let mut value = unhex("00fb210081eca620a7df33491b9b3c7e316aaf09f9");
    value.extend(number.to_ne_bytes());
    value.extend(7u32.to_ne_bytes());
    value
}

/// Rooms differ between filesystems.
fn without_numbers(text: String) -> String {
    let mut words: Vec<String> = Vec::new();
    for line in text.lines() {
        let parts: Vec<&str> = line.split(' ').collect();
        let line = parts.iter().enumerate().map(|(at, word)| {
            let counts = parts
                .get(at + 1)
                .is_some_and(|next| next.starts_with("bytes"));
            let json = at > 0 && parts[at - 1] == "\"bytes\":";
            if counts || json {
                "N"
            } else {
                word
            }
        });
        words.push(line.collect::<Vec<_>>().join(" "));
    }
    words.join("\n") + "\n"
}

/// An upper directory with what is of no effect, beside what is much like it and is not.
fn layers(name: &str) -> Tree {
    let t = Tree::new(name);
    t.file("l/d/f", b"data")
        .file("l/d/g", b"data")
        .dir("l/d/sub")
        .file("l/d/x", b"")
        .dir("l/hidden/deep");
    symlink("target", t.path("l/d/s")).unwrap();
    copy(&t, "l", "u");
    t.whiteout("u/d/none").whiteout("u/none");
    fs::remove_file(t.path("u/d/x")).unwrap();
    t.whiteout("u/d/x");
    // Another time, another attribute, other data, marks.
    t.file("u/d/g", b"DATA")
        .file("l/d/note", b"n")
        .dir("l/attr");
    copy(&t, "l/d/note", "u/d/note");
    copy(&t, "l/attr", "u/attr");
    t.xattr("u/d/note", "user.note", b"")
        .xattr("u/attr", "user.note", b"");
    // Opaque over something, over nothing, over a file, and with a redirect.
    t.dir("u/hidden")
        .mark("u/hidden", "opaque", b"y")
        .whiteout("u/hidden/w")
        .whiteout("u/hidden/deep/w");
    t.dir("u/new")
        .mark("u/new", "opaque", b"y")
        .file("u/new/f", b"");
    t.dir("u/was-file")
        .mark("u/was-file", "opaque", b"y")
        .file("l/was-file", b"");
    t.dir("u/to")
        .mark("u/to", "opaque", b"y")
        .mark("u/to", "redirect", b"/d");
    t
}

#[test]
fn every_kind() {
    let t = layers("vacuum-kinds");
    let before = view(&t, &["u", "l"]);
    let whole = look(&t.at);
    let list = ["vacuum", "u:l", "--userxattr"];
    let same = ["vacuum", "--same", "u:l", "--userxattr"];
    let json = ["vacuum", "--json", "u:l", "--userxattr"];
    let apply = ["vacuum", "--same", "--apply", "u:l", "--userxattr"];
    t.snapshot_with(
        "vacuum-list",
        &[&list, &same, &json, &["vacuum", "u:l", "--force"]],
        without_numbers,
    );
    assert!(look(&t.at) == whole, "nothing is changed without --apply");
    let told = String::from_utf8(t.run(&same).stdout).unwrap();
    let done = String::from_utf8(t.run(&apply).stdout).unwrap();
    let lines = |text: &str| {
        text.lines()
            .filter(|line| line.starts_with("u/"))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(lines(&told), lines(&done));
    assert_eq!(difference(&before, &view(&t, &["u", "l"])), None);
    t.snapshot_with(
        "vacuum-again",
        &[&apply, &["vacuum", "u:l", "--all", "--userxattr"]],
        without_numbers,
    );
    let left: Vec<String> = look(&t.path("u"))
        .into_keys()
        .map(|path| path.display().to_string())
        .collect();
    let expected = [
        "attr",
        "d",
        "d/g",
        "d/note",
        "d/x",
        "hidden",
        "hidden/deep",
        "new",
        "new/f",
        "to",
        "was-file",
    ];
    assert_eq!(left, expected);
    assert_eq!(
        mark(&t.path("u/hidden"), "opaque").as_deref(),
        Some(&b"y"[..])
    );
    assert_eq!(mark(&t.path("u/new"), "opaque"), None);
    assert_eq!(mark(&t.path("u/to"), "opaque").as_deref(), Some(&b"y"[..]));
}

/// What somebody may know by more than its name.
#[test]
fn left_alone() {
    let t = Tree::new("vacuum-left");
    for path in [
        "links/a",
        "nlink",
        "protected",
        "indexed",
        "plain",
        "final/f",
        "later",
        "below",
    ] {
        t.file(&format!("l/{path}"), b"data");
    }
    fs::hard_link(t.path("l/links/a"), t.path("l/links/b")).unwrap();
    t.dir("l/e1").dir("l/e2").dir("l/final/e");
    // The directory below would list its whiteout, if it were alone.
    t.whiteout("l/e3/w");
    copy(&t, "l", "u");
    fs::hard_link(t.path("l/below"), t.path("l/below-too")).unwrap();
    t.mark("u/nlink", "nlink", b"U+1")
        .mark("u/protected", "protattr", b"i")
        .mark("u/later", "new-mark", b"");
    t.mark("u/final", "opaque", b"z").mark(
        "u/final",
        "finalized",
        &unhex("0100000001000000efcdab8967452301"),
    );
    t.mark("u/e1", "origin", &handle(number(&t, "l/e1"))).mark(
        "u/e2",
        "origin",
        &handle(number(&t, "l/e2")),
    );
    // One of both directories is in the index, and a file that had no second name until then.
    t.dir("w/index/e1")
        .mark("w/index/e1", "upper", &handle(number(&t, "u/e1")));
    fs::hard_link(t.path("u/indexed"), t.path("w/index/indexed")).unwrap();
    t.dir("w2/index");
    t.snapshot_with(
        "vacuum-left",
        &[
            &["vacuum", "--same", "u:l", "--userxattr"],
            &["vacuum", "--same", "u:l", "--workdir", "w", "--userxattr"],
            &["vacuum", "--same", "u:l", "--workdir", "w2", "--userxattr"],
        ],
        without_numbers,
    );
    // Of lower layers, what is the origin of something above.
    t.file("l0/o", b"data")
        .file("l0/p", b"data")
        .file("l1/x", b"");
    copy(&t, "l0/o", "l1/o");
    copy(&t, "l0/p", "l1/p");
    t.file("u1/o", b"new")
        .mark("u1/o", "origin", &handle(number(&t, "l0/o")));
    let output = t.run(&["vacuum", "--same", "--all", "u1:l0:l1", "--userxattr"]);
    let told = without_numbers(String::from_utf8(output.stdout).unwrap());
    assert!(
        told.contains("l0/p: same: l1/p is the same: N bytes\n"),
        "{told}"
    );
    assert!(!told.contains("l0/o"), "{told}");
}

#[test]
fn random_layers() {
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for seed in 1..=120 {
        let t = Tree::new(&format!("vacuum-random-{seed}"));
        let mut random = Random(seed);
        for layer in ["top", "u", "l0", "l1"] {
            random_layer(&t, layer, &mut random);
        }
        // Files and directories that are there twice.
        copy(&t, "l0", "u2");
        for path in look(&t.path("u2")).into_keys() {
            if random.below(8) == 0 && !t.path("u2").join(&path).is_symlink() {
                let mode = fs::Permissions::from_mode(0o700);
                let _ = fs::set_permissions(t.path("u2").join(path), mode);
            }
        }
        let names: [&[&str]; 3] = [
            &["u", "l0", "l1"],
            &["top", "u", "l0", "l1"],
            &["u2", "l0", "l1"],
        ];
        let views: Vec<_> = names.iter().map(|names| view(&t, names)).collect();
        let options: [&[&str]; 3] = [&[], &["--same"], &["--same", "--all"]];
        for layers in ["u:l0:l1", "u2:l0:l1"] {
            let base = ["vacuum", layers, "--no-upper", "--userxattr"];
            let args = [&base, options[random.below(3)]].concat();
            let told = t.run(&args);
            let now: Vec<_> = names.iter().map(|names| view(&t, names)).collect();
            assert!(now == views, "seed {seed}: it was only to be told");
            let done = t.run(&[&args[..], &["--apply"]].concat());
            let text = String::from_utf8_lossy(&done.stdout).into_owned();
            assert!(
                done.status.success(),
                "seed {seed}: {}",
                String::from_utf8_lossy(&done.stderr)
            );
            let without_sum = |text: &str| {
                text.lines()
                    .filter(|line| line.contains(": "))
                    .filter(|line| !line.contains("--apply"))
                    .map(str::to_owned)
                    .collect::<Vec<_>>()
            };
            assert_eq!(
                without_sum(&String::from_utf8_lossy(&told.stdout)),
                without_sum(&text),
                "seed {seed}"
            );
            for (names, before) in names.iter().zip(&views) {
                assert_eq!(
                    difference(before, &view(&t, names)),
                    None,
                    "seed {seed} {args:?} {names:?}\n{text}"
                );
            }
            for line in without_sum(&text) {
                *kinds
                    .entry(line.split(": ").nth(1).unwrap().into())
                    .or_default() += 1;
            }
        }
        fs::remove_dir_all(&t.at).unwrap();
    }
    for kind in ["whiteout", "opaque", "same", "directory"] {
        assert!(
            kinds.get(kind).is_some_and(|count| *count > 10),
            "{kinds:?}"
        );
    }
}

/// No path leads out of a layer, and what can't be looked up is left alone.
#[test]
fn hostile() {
    let t = Tree::new("vacuum-hostile");
    t.file("outside/f", b"")
        .dir("l")
        .dir("u/r")
        .mark("u/r", "redirect", b"/a/../..")
        .whiteout("u/r/w");
    symlink("../outside", t.path("u/link")).unwrap();
    symlink("../outside", t.path("l/link")).unwrap();
    t.whiteout("u/w");
    let done = t.run(&["vacuum", "--same", "--apply", "u:l", "--userxattr"]);
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    assert!(t.path("outside/f").exists() && t.path("u/r/w").symlink_metadata().is_ok());
    assert!(t.path("u/w").symlink_metadata().is_err());
}
