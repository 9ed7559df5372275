// SPDX-License-Identifier: GPL-2.0-only

//! `layerctl check --repair`: what is mended and what is left, that a dry run says the same, and that nothing else is changed.

mod common;
mod view;
use common::{look, unhex, Tree};
use std::fs;
use std::os::unix::fs::MetadataExt;
use view::{difference, mark, random_layer, view, Random};

fn handle(number: u64) -> Vec<u8> {
    let mut value = unhex("00fb210081eca620a7df33491b9b3c7e316aaf09f9");
    value.extend(number.to_ne_bytes());
    value.extend(7u32.to_ne_bytes());
    value
}

fn number(t: &Tree, path: &str) -> u64 {
    t.path(path).symlink_metadata().unwrap().ino()
}

fn name(handle: &[u8]) -> String {
    let digits: Vec<String> = handle.iter().map(|byte| format!("{byte:02x}")).collect();
    digits.concat()
}

const NOWHERE: u64 = 999_999_999_999;
const FINALIZED: &str = "0100000001000000efcdab8967452301";

/// Layers with a fault of every kind.
fn faults(t: &Tree) {
    t.dir("l0")
        .dir("l1")
        .dir("u")
        .dir("w/index")
        .dir("w/work/#1/x");
    t.file("w/work/#1/x/y", b"").dir("w/index/#2");
    // Marks that count as none, and those of which nobody knows what they said.
    t.dir("u/bad")
        .file("u/f", b"f")
        .file("u/one", b"1")
        .file("u/meta", b"");
    t.mark("u/bad", "opaque", b"no")
        .mark("u/bad", "impure", b"q")
        .mark("u/bad", "new-mark", b"")
        .mark("u/bad", "finalized", b"short")
        .mark("u/f", "opaque", b"y")
        .mark("u/f", "protattr", b"q")
        .mark("u/one", "nlink", b"x")
        .mark("u/meta", "metacopy", b"\0\x01");
    t.dir("u/r").mark("u/r", "redirect", b"/a/../b");
    // Origins: gone, damaged, in a directory that is not marked impure; and in the index.
    t.dir("u/o")
        .file("u/o/gone", b"")
        .file("u/o/short", b"")
        .file("u/o/later", b"");
    t.mark("u/o/gone", "origin", &handle(NOWHERE))
        .mark("u/o/short", "origin", b"\0\xfb")
        .mark(
            "u/o/later",
            "origin",
            &unhex("01fb210081eca620a7df33491b9b3c7e316aaf09f983000000000000004a2023d9"),
        );
    t.file("u/linked", b"")
        .mark("u/linked", "origin", &handle(NOWHERE - 1))
        .mark("u/linked", "nlink", b"q");
    let entry = format!("w/index/{}", name(&handle(NOWHERE - 1)));
    fs::hard_link(t.path("u/linked"), t.path(&entry)).unwrap();
    t.dir("u/impure")
        .mark("u/impure", "impure", b"y")
        .mark("u", "impure", b"y");
    // A finalized directory that lacks a name, and whiteouts that are listed.
    t.dir("u/final")
        .file("l1/final/a", b"")
        .file("l1/final/f", b"");
    t.mark("u/final", "opaque", b"z")
        .mark("u/final", "finalized", &unhex(FINALIZED));
    t.file("l0/d/w1", b"").mark("l0/d/w1", "whiteout", b"");
    t.file("l0/d/w2", b"").mark("l0/d/w2", "whiteout", b"");
    t.file("l0/y/w", b"")
        .mark("l0/y/w", "whiteout", b"")
        .mark("l0/y", "opaque", b"y");
    t.file("l0/was-upper", b"")
        .mark("l0/was-upper", "origin", &handle(NOWHERE));
    // The index: a directory that leads nowhere, files without another name, a name that is none.
    t.mark("w/index", "upper", &handle(number(t, "u")));
    let dir = format!("w/index/{}", name(&handle(777_777_777_777)));
    t.dir(&dir).mark(&dir, "upper", &handle(666_666_666_666));
    let gone = handle(888_888_888_888);
    for (at, origin) in [(0, &gone), (1, &handle(1))] {
        let path = format!("w/index/{}", name(&handle(888_888_888_888 + at)));
        t.file(&path, b"data").mark(&path, "origin", origin);
    }
    t.file("w/index/zz", b"")
        .dir("w/work/incompat/volatile/dirty");
}

/// Everything below a directory, with all marks and times.
fn all(t: &Tree) -> Vec<(std::path::PathBuf, String, (i64, i64))> {
    let time = |path: &std::path::Path| {
        let about = t.at.join(path).symlink_metadata().unwrap();
        (about.mtime(), about.mtime_nsec())
    };
    look(&t.at)
        .into_iter()
        .map(|(path, what)| (path.clone(), what, time(&path)))
        .collect()
}

const REPAIR: [&str; 6] = [
    "check",
    "--repair",
    "u:l0:l1",
    "--workdir",
    "w",
    "--userxattr",
];

#[test]
fn every_fault() {
    let t = Tree::new("repair-faults");
    faults(&t);
    let before = all(&t);
    let dry: Vec<&str> = REPAIR.into_iter().chain(["--dry-run"]).collect();
    let told = t.run(&dry);
    assert!(all(&t) == before, "a dry run changes nothing");
    let shown = view(&t, &["u", "l0", "l1"]);
    let done = t.run(&REPAIR);
    assert!(
        told.stdout == done.stdout && !done.stdout.is_empty(),
        "a dry run says what is done"
    );
    assert_eq!(told.status.code(), done.status.code());
    assert_eq!(difference(&shown, &view(&t, &["u", "l0", "l1"])), None);

    assert_eq!(mark(&t.path("u/o"), "impure").as_deref(), Some(&b"y"[..]));
    assert_eq!(mark(&t.path("u"), "impure").as_deref(), Some(&b"y"[..]));
    assert_eq!(mark(&t.path("u/impure"), "impure"), None);
    assert_eq!(
        mark(&t.path("u/o/gone"), "origin").as_deref(),
        Some(&b""[..])
    );
    assert_eq!(mark(&t.path("u/o/later"), "origin").unwrap().len(), 33);
    assert_eq!(mark(&t.path("u/linked"), "origin").unwrap().len(), 33);
    assert_eq!(
        mark(&t.path("u/bad"), "opaque").as_deref(),
        Some(&b"no"[..])
    );
    assert_eq!(mark(&t.path("u/final"), "opaque"), None);
    assert_eq!(mark(&t.path("l0/d"), "opaque").as_deref(), Some(&b"x"[..]));
    assert!(!t.path("w/work/#1").exists() && t.path("w/index/zz").exists());
    let found = t.path("w/found").join(name(&handle(888_888_888_888)));
    assert_eq!(fs::read(found).unwrap(), b"data");

    // What is left stays so, and all of it is told again.
    let left = |output: &std::process::Output| {
        let text = String::from_utf8(output.stdout.clone()).unwrap();
        let left = text.lines().filter(|line| line.contains(": left: "));
        left.map(str::to_owned).collect::<Vec<_>>()
    };
    let again = t.run(&REPAIR);
    assert_eq!(left(&again), left(&done));
    assert!(String::from_utf8(again.stdout)
        .unwrap()
        .contains(", 0 mended, "));
}

#[test]
fn what_is_said() {
    let t = Tree::new("repair-said");
    faults(&t);
    let hide = |text: String| text.replace("objects looked at", "objects");
    let dry: Vec<&str> = REPAIR.into_iter().chain(["--dry-run"]).collect();
    let without: Vec<&str> = REPAIR
        .into_iter()
        .filter(|word| !["--workdir", "w"].contains(word))
        .collect();
    let lower = ["check", "--repair", "l1", "--no-upper", "--userxattr"];
    let json = [
        "check",
        "--repair",
        "l0:l1",
        "--no-upper",
        "--userxattr",
        "--json",
    ];
    let alone = ["check", "--dry-run", "u:l1", "--userxattr"];
    let commands: [&[&str]; 7] = [&dry, &REPAIR, &REPAIR, &without, &lower, &json, &alone];
    t.snapshot_with("repair-said", &commands, hide);
}

/// What only a mount can decide is left to it.
#[test]
fn an_orphan() {
    let t = Tree::new("repair-orphan");
    t.dir("u").file("l/single", b"");
    let entry = format!("w/index/{}", name(&handle(number(&t, "l/single"))));
    t.file(&entry, b"data")
        .mark(&entry, "origin", &handle(number(&t, "l/single")))
        .mark(&entry, "nlink", b"U-1");
    let args = ["check", "--repair", "u:l", "--workdir", "w", "--userxattr"];
    let done = t.run(&args);
    let told = String::from_utf8(done.stdout).unwrap();
    assert!(
        told.contains("index-orphan: no layer has a name of it any more: left: only a mount"),
        "{told}"
    );
    assert_eq!(done.status.code(), Some(1));
    assert!(t.path(&entry).exists() && !t.path("w/found").exists());
}

/// The index of another upper directory says nothing of this one: nothing that may be in it is changed.
#[test]
fn another_index() {
    let t = Tree::new("repair-other");
    faults(&t);
    t.mark("w/index", "upper", &handle(NOWHERE));
    let index = look(&t.path("w/index"));
    let done = t.run(&REPAIR);
    assert_eq!(done.status.code(), Some(1));
    let mut now = look(&t.path("w/index"));
    // What was being made is no entry.
    now.insert("#2".into(), index[std::path::Path::new("#2")].clone());
    assert!(now == index && !t.path("w/found").exists());
    assert_eq!(mark(&t.path("u/o/gone"), "origin").unwrap().len(), 33);
}

#[test]
fn nothing_to_mend() {
    let t = Tree::new("repair-fine");
    t.file("u/f", b"").dir("l").dir("w/work");
    let done = t.run(&["check", "--repair", "u:l", "--workdir", "w", "--userxattr"]);
    assert_eq!(
        String::from_utf8_lossy(&done.stdout),
        "3 objects looked at, 0 mended, 0 left\n"
    );
    assert_eq!(done.status.code(), Some(0));
}

/// Whatever the layers are: a stack shows the same before and after, a second run has nothing to mend, and a dry run says
/// what is done.
#[test]
fn random_layers() {
    let marks = [
        "origin",
        "impure",
        "nlink",
        "finalized",
        "opaque",
        "protattr",
        "uuid",
    ];
    let origin = handle(NOWHERE);
    let fingerprint = unhex(FINALIZED);
    let values: [&[u8]; 7] = [b"", b"y", b"z", b"q", b"U-1", &origin, &fingerprint];
    let mut mended = 0;
    for seed in 1..=40 {
        let t = Tree::new(&format!("repair-random-{seed}"));
        let mut random = Random(seed);
        for layer in ["u", "l0", "l1"] {
            random_layer(&t, layer, &mut random);
            let paths: Vec<_> = look(&t.path(layer)).into_keys().collect();
            for _ in 0..paths.len() / 2 {
                let path = t.path(layer).join(&paths[random.below(paths.len())]);
                let (mark, value) = (marks[random.below(7)], values[random.below(7)]);
                // A directory that this would hide is no fault that could be mended, nor is one that it would show.
                if mark != "opaque" || value != b"y" {
                    let _ = rustix::fs::lsetxattr(
                        &path,
                        format!("user.overlay.{mark}"),
                        value,
                        rustix::fs::XattrFlags::empty(),
                    );
                }
            }
        }
        t.dir("w/work/#7").dir("w/index");
        let before = view(&t, &["u", "l0", "l1"]);
        let dry: Vec<&str> = REPAIR.into_iter().chain(["--dry-run"]).collect();
        let whole = all(&t);
        let told = t.run(&dry);
        assert!(all(&t) == whole, "seed {seed}");
        let done = t.run(&REPAIR);
        let error = String::from_utf8_lossy(&done.stderr);
        assert!(
            matches!(done.status.code(), Some(0 | 1)),
            "seed {seed}: {error}"
        );
        assert!(told.stdout == done.stdout, "seed {seed}");
        assert_eq!(
            difference(&before, &view(&t, &["u", "l0", "l1"])),
            None,
            "seed {seed}"
        );
        mended += String::from_utf8_lossy(&done.stdout)
            .matches(": mended: ")
            .count();
        let again = t.run(&REPAIR);
        assert!(
            String::from_utf8_lossy(&again.stdout).contains(", 0 mended, "),
            "seed {seed}"
        );
        fs::remove_dir_all(&t.at).unwrap();
    }
    assert!(mended > 100, "{mended}");
}
