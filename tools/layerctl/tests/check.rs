// SPDX-License-Identifier: GPL-2.0-only

//! `layerctl check`: every kind of fault, and that layers without one have none.

mod common;
use common::{unhex, Tree};
use rustix::fs::{Mode, OFlags};
use std::os::unix::fs::MetadataExt;

/// A handle as xfs makes it, of the inode that a path has.
fn origin(t: &Tree, path: &str) -> Vec<u8> {
    let number = t.path(path).symlink_metadata().unwrap().ino();
    handle(number)
}

fn handle(number: u64) -> Vec<u8> {
    let mut value = unhex("00fb210081eca620a7df33491b9b3c7e316aaf09f9");
    value.extend(number.to_ne_bytes());
    value.extend(7u32.to_ne_bytes());
    value
}

fn name(handle: &[u8]) -> String {
    let digits: Vec<String> = handle.iter().map(|byte| format!("{byte:02x}")).collect();
    digits.concat()
}

#[test]
fn nothing_wrong() {
    let t = Tree::new("check-fine");
    t.file("l0/d/f", b"f")
        .file("l1/d/g", b"g")
        .dir("u/d")
        .whiteout("u/d/gone")
        .file("data/x/blob", b"hello\n");
    t.mark("u/d", "origin", &origin(&t, "l0/d"))
        .mark("u", "impure", b"y");
    t.dir("u/moved").mark("u/moved", "redirect", b"/d");
    t.file("u/meta", &[0])
        .mark("u/meta", "metacopy", b"")
        .mark("u/meta", "redirect", b"/d/g");
    t.file("l0/blob", &[0; 6])
        .mark("l0/blob", "redirect", b"/x/blob");
    t.mark(
        "l0/blob",
        "metacopy",
        &unhex("002400019c76eecc7b76fcb46199cb27b90cf59a660e10575bb0412128905129d5b1c2aa"),
    );
    t.dir("u/final")
        .dir("l1/final")
        .file("l1/final/a", b"")
        .file("l1/final/b", b"")
        .file("u/final/a", b"");
    t.mark("u/final", "opaque", b"z")
        .mark(
            "u/final",
            "finalized",
            &unhex("0100000001000000efcdab8967452301"),
        )
        .whiteout("u/final/b");
    t.dir("l0/x")
        .mark("l0/x", "opaque", b"x")
        .file("l0/x/w", b"")
        .mark("l0/x/w", "whiteout", b"");
    // The index of a file with two names, of which one was copied.
    t.file("l1/h1", b"h");
    std::fs::hard_link(t.path("l1/h1"), t.path("l1/h2")).unwrap();
    let of = origin(&t, "l1/h1");
    let indexed = format!("w/index/{}", name(&of));
    t.file("u/h1", b"h")
        .mark("u/h1", "origin", &of)
        .mark("u/h1", "nlink", b"U+0")
        .dir("w/index")
        .whiteout("w/work/#3")
        .whiteout("w/index/#4");
    std::fs::hard_link(t.path("u/h1"), t.path(&indexed)).unwrap();
    t.mark("w/index", "upper", &origin(&t, "u"));
    let output = t.run(&[
        "check",
        "u:l0:l1::data",
        "--workdir",
        "w",
        "--userxattr",
        "--no-digests",
    ]);
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "23 objects looked at, 0 findings\n"
    );
    assert_eq!(output.status.code(), Some(0));
    // The data has the right digest, and is found wrong when it has another.
    let output = t.run(&["check", "u:l0:l1::data", "--userxattr"]);
    let output = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!output.contains("digest-wrong"), "{output}");
}

#[test]
fn everything_wrong() {
    let t = Tree::new("check-wrong");
    t.dir("u/r1")
        .mark("u/r1", "redirect", b"/none")
        .dir("u/r2")
        .mark("u/r2", "redirect", b"/a/../b")
        .file("u/r2/in", b"");
    t.dir("l0/r3")
        .mark("l0/r3", "redirect", b"none")
        .dir("l1/r3");
    t.file("u/m1", &[0; 3]).mark("u/m1", "metacopy", b"");
    t.file("u/m2", &[0; 3])
        .mark("u/m2", "metacopy", b"")
        .file("l1/m2", b"four");
    t.file("u/m3", &[0; 6]).file("l1/m3", b"Hello\n");
    t.mark(
        "u/m3",
        "metacopy",
        &unhex("002400019c76eecc7b76fcb46199cb27b90cf59a660e10575bb0412128905129d5b1c2aa"),
    );
    t.file("u/m4", &[0; 6])
        .mark("u/m4", "metacopy", &unhex("00080003aabbccdd"))
        .file("l1/m4", b"Hello\n");
    t.file("u/m5", b"").mark("u/m5", "metacopy", b"\0\x01");
    t.file("u/o1", b"")
        .mark("u/o1", "origin", &handle(999_999_999_999));
    t.dir("u/d")
        .dir("l0/dir")
        .file("u/d/o2", b"")
        .mark("u/d/o2", "origin", &origin(&t, "l0/dir"));
    t.file("l0/d/w", b"").mark("l0/d/w", "whiteout", b"");
    t.dir("u/final").file("l1/final/a", b"");
    t.mark("u/final", "opaque", b"z").mark(
        "u/final",
        "finalized",
        &unhex("0100000001000000efcdab8967452301"),
    );
    t.dir("u/bad")
        .mark("u/bad", "opaque", b"no")
        .mark("u/bad", "nlink", b"x")
        .mark("u/bad", "new-mark", b"");
    t.dir("w/index")
        .dir("w/work/incompat/volatile/dirty")
        .dir("w/work/#1")
        .dir("w/index/#2")
        .file("w/index/zz", b"");
    t.mark("w/index", "upper", &handle(999_999_999_999));
    let gone = handle(888_888_888_888);
    for (number, origin) in [(0, &gone), (1, &handle(1))] {
        let path = format!("w/index/{}", name(&handle(888_888_888_888 + number)));
        t.file(&path, b"").mark(&path, "origin", origin);
    }
    t.file("l1/single", b"");
    let single = origin(&t, "l1/single");
    let path = format!("w/index/{}", name(&single));
    t.file(&path, b"")
        .mark(&path, "origin", &single)
        .mark(&path, "nlink", b"U-1");
    let path = format!("w/index/{}", name(&handle(777_777_777_777)));
    t.dir(&path).mark(&path, "upper", &handle(666_666_666_666));
    let hide = |text: String| {
        let text = text.replace(&name(&single), "SINGLE");
        let number = t.path("l0/dir").metadata().unwrap().ino();
        let text = text.replace(&format!("inode {number}"), "inode DIR");
        // Where that entry comes among the others depends on its number.
        let mut lines: Vec<&str> = text.lines().collect();
        for entries in
            lines.chunk_by_mut(|a, b| [a, b].iter().all(|line| line.starts_with("w/index/")))
        {
            entries.sort_unstable();
        }
        lines.join("\n") + "\n"
    };
    let args: [&[&str]; 4] = [
        &["check", "u:l0:l1", "--workdir", "w", "--userxattr"],
        &["check", "l1", "--no-upper", "--userxattr"],
        &["check", "u:l1", "--userxattr", "--json", "--no-digests"],
        &["check", "u:none", "--userxattr"],
    ];
    t.snapshot_with("check-wrong", &args, hide);
}

/// Layers with random marks of random values: an answer, never a panic.
#[test]
fn random_damage() {
    let marks = [
        "opaque",
        "redirect",
        "origin",
        "impure",
        "nlink",
        "upper",
        "uuid",
        "metacopy",
        "protattr",
        "whiteout",
        "finalized",
    ];
    let values: [&[u8]; 12] = [
        b"",
        b"y",
        b"z",
        b"x",
        b"/",
        b"/a",
        b"b",
        b"/a/b",
        b"\0\xfb\x15\0\x81",
        b"\0\x04\0\x01",
        b"U-1",
        b"\x01\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0",
    ];
    let mut seed = 1u64;
    let mut random = |below: usize| {
        seed = seed
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (seed >> 33) as usize % below
    };
    for round in 0..30 {
        let t = Tree::new(&format!("check-random-{round}"));
        t.dir("w/index").dir("out");
        for layer in ["u", "l0", "l1"] {
            t.dir(layer);
            for path in ["a", "a/b", "b", "b/a", "a/b/c"] {
                let path = format!("{layer}/{path}");
                if t.path(&path).parent().unwrap().is_dir() {
                    match random(4) {
                        0 => drop(t.file(&path, &vec![0; random(3)])),
                        1 => drop(t.whiteout(&path)),
                        _ => drop(t.dir(&path)),
                    }
                    for _ in 0..random(3) {
                        let name = format!("user.overlay.{}", marks[random(marks.len())]);
                        let _ = rustix::fs::lsetxattr(
                            t.path(&path),
                            name,
                            values[random(values.len())],
                            rustix::fs::XattrFlags::empty(),
                        );
                    }
                }
            }
        }
        let commands: [&[&str]; 9] = [
            &["check", "u:l0:l1", "--workdir", "w", "--userxattr"],
            &["vacuum", "u:l0:l1", "--same", "--all", "--userxattr"],
            &["merge", "u:l0", "-o", "merged", "--userxattr"],
            &["merge", "u:l0:l1", "-o", "all", "--bottom", "--userxattr"],
            &[
                "diff",
                "u",
                "--lower",
                "l0:l1",
                "-o",
                "x.tar",
                "--userxattr",
            ],
            &["why", "--layers", "u:l0:l1", "a/b/c", "--userxattr"],
            &["why", "--layers", "u:l0:l1", "b/a", "--userxattr", "--json"],
            &[
                "vacuum",
                "u:l0:l1",
                "--same",
                "--all",
                "--apply",
                "--userxattr",
            ],
            &[
                "check",
                "--repair",
                "u:l0:l1",
                "--workdir",
                "w",
                "--userxattr",
            ],
        ];
        for args in commands {
            let output = t.run(args);
            let error = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(
                matches!(output.status.code(), Some(0..=2)) && !error.contains("panicked"),
                "{round} {args:?}: {error}"
            );
        }
        std::fs::remove_dir_all(&t.at).unwrap();
    }
}

/// Makes directories in each other, more than a path can have.
fn deep(t: &Tree, layer: &str) {
    t.dir(layer);
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut at = rustix::fs::open(t.path(layer), flags, Mode::empty()).unwrap();
    for _ in 0..2500 {
        rustix::fs::mkdirat(&at, "d", Mode::RWXU).unwrap();
        at = rustix::fs::openat(&at, "d", flags, Mode::empty()).unwrap();
    }
}

/// Deeper than any path: an error, and no end of the program for want of stack.
#[test]
fn deep_layers() {
    let t = Tree::new("check-deep");
    deep(&t, "u");
    deep(&t, "l");
    t.dir("w");
    let commands: [&[&str]; 4] = [
        &["check", "--repair", "u:l", "--workdir", "w", "--userxattr"],
        &["vacuum", "u:l", "--userxattr"],
        &["merge", "u:l", "-o", "m", "--userxattr"],
        &["diff", "u", "--lower", "l", "-o", "x.tar", "--userxattr"],
    ];
    for args in commands {
        let output = t.run(args);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        let is_told = error.contains("File name too long") && !error.contains("overflow");
        assert!(
            output.status.code() == Some(2) && is_told,
            "{args:?}: {}",
            output.status
        );
    }
    assert!(!t.path("m").exists() && !t.path("m.unfinished").exists());
    let removed = std::process::Command::new("rm")
        .arg("-rf")
        .arg(&t.at)
        .status();
    assert!(removed.unwrap().success());
}
