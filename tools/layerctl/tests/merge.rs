// SPDX-License-Identifier: GPL-2.0-only

//! `layerctl merge`: a stack shows the same with the new layer as with those it was made of, whatever they are.

mod common;
mod view;
use common::{fine, look, Tree};
use rustix::process::{kill_process, Pid, Signal};
use std::fs;
use std::os::unix::fs::{symlink, MetadataExt};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};
use view::{difference, mark, random_layer, view, Random};

fn merge(t: &Tree, layers: &str, output: &str, more: &[&str]) {
    fine(
        t,
        &[&["merge", layers, "-o", output, "--userxattr"], more].concat(),
    );
}

fn layers(name: &str) -> Tree {
    let t = Tree::new(name);
    // Below what is merged.
    t.file("low/d/low", b"low")
        .file("low/d/gone", b"g")
        .file("low/old/low", b"low")
        .file("low/hidden/low", b"");
    t.file("low/opaque/low", b"")
        .file("low/data", b"data")
        .file("low/elsewhere", b"else")
        .file("low/was-file", b"f");
    // The layers.
    t.file("b/d/two", b"two")
        .file("b/d/three", b"333")
        .file("b/old/two", b"two")
        .file("b/meta", b"meta")
        .dir("b/hidden/x");
    t.whiteout("a/d/gone")
        .whiteout("a/d/three")
        .whiteout("a/nothing")
        .file("a/d/one", b"one");
    t.dir("a/new")
        .mark("a/new", "redirect", b"/old")
        .mark("a/new", "origin", b"")
        .whiteout("a/old");
    t.dir("a/opaque")
        .mark("a/opaque", "opaque", b"y")
        .whiteout("a/opaque/w")
        .file("a/opaque/f", b"f");
    t.file("a/meta", b"meta")
        .mark("a/meta", "metacopy", b"")
        .xattr("a/meta", "user.note", b"n");
    t.file("a/data", b"data")
        .mark("a/data", "metacopy", b"")
        .xattr("a/data", "user.note", b"n");
    t.file("a/moved", b"else")
        .mark("a/moved", "metacopy", b"")
        .mark("a/moved", "redirect", b"/elsewhere");
    t.dir("a/was-file")
        .file("a/was-file/f", b"f")
        .whiteout("b/hidden/low");
    t.mark("a", "impure", b"y")
        .mark("a/d", "opaque", b"z")
        .mark("a/d/one", "nlink", b"U+1")
        .mark("a/d/one", "protattr", b"a");
    fs::hard_link(t.path("a/d/one"), t.path("a/one-too")).unwrap();
    fs::hard_link(t.path("a/moved"), t.path("a/moved-too")).unwrap();
    symlink("d/one", t.path("a/link")).unwrap();
    t
}

#[test]
fn every_kind() {
    let t = layers("merge-kinds");
    let json = ["merge", "a:b", "-o", "json", "--userxattr", "--json"];
    let args: [&[&str]; 3] = [
        &["merge", "a:b", "-o", "m", "--userxattr"],
        &["merge", "a:b:low", "-o", "flat", "--bottom", "--userxattr"],
        &json,
    ];
    let hide = |text: String| {
        let line = |line: &str| {
            if line.contains("_bytes\"") {
                String::new()
            } else {
                format!("{line}\n")
            }
        };
        text.lines().map(line).collect()
    };
    t.snapshot_with("merge-kinds", &args, hide);
    let before = view(&t, &["a", "b", "low"]);
    assert_eq!(difference(&before, &view(&t, &["m", "low"])), None);
    assert_eq!(difference(&before, &view(&t, &["flat"])), None);
    // What stands by itself needs no marks, and what is above others has those that are needed.
    for path in look(&t.path("flat")).into_keys() {
        for name in [
            "opaque", "redirect", "metacopy", "origin", "impure", "nlink", "whiteout",
        ] {
            assert_eq!(
                mark(&t.path("flat").join(&path), name),
                None,
                "{}: {name}",
                path.display()
            );
        }
    }
    let at = |path: &str, name: &str| mark(&t.path("m").join(path), name);
    assert_eq!(at("new", "redirect").as_deref(), Some(&b"/old"[..]));
    assert_eq!(at("opaque", "opaque").as_deref(), Some(&b"y"[..]));
    assert_eq!(at("was-file", "opaque").as_deref(), None);
    assert_eq!(at("d", "origin").as_deref(), Some(&b""[..]));
    assert_eq!(at("meta", "metacopy"), None);
    assert_eq!(at("data", "metacopy").as_deref(), Some(&b""[..]));
    assert_eq!(at("moved", "redirect").as_deref(), Some(&b"/elsewhere"[..]));
    assert_eq!(at("d/one", "protattr").as_deref(), Some(&b"a"[..]));
    assert_eq!(at("d/one", "nlink"), None);
    assert!(!t.path("m/opaque/w").exists() && t.path("m/d/three").symlink_metadata().is_ok());
    // An empty directory that is there is replaced.
    t.dir("empty");
    merge(&t, "a:b", "empty", &[]);
    assert_eq!(difference(&before, &view(&t, &["empty", "low"])), None);
    let output = t.run(&["check", "m:low", "--no-upper", "--userxattr"]);
    assert!(String::from_utf8_lossy(&output.stdout).ends_with(", 0 findings\n"));
}

/// Owners, modes, times, attributes and lists of access rights, holes, and every type of object.
#[test]
fn what_objects_have() {
    let t = Tree::new("merge-objects");
    t.dir("b")
        .file("a/d/f", b"f")
        .xattr("a/d/f", "user.note", b"n")
        .dir("a/acl")
        .file("a/acl/f", b"");
    let acl: &[u8] = b"\x02\0\0\0\x01\0\x07\0\xff\xff\xff\xff\x02\0\x04\0\x01\0\0\0\x04\0\x05\0\xff\xff\xff\xff\x10\0\x05\0\xff\xff\xff\xff\x20\0\0\0\xff\xff\xff\xff";
    for name in ["system.posix_acl_access", "system.posix_acl_default"] {
        t.xattr("a/acl", name, acl);
    }
    let kinds = [
        ("a/fifo", rustix::fs::FileType::Fifo),
        ("a/socket", rustix::fs::FileType::Socket),
    ];
    for (path, kind) in kinds {
        let mode = rustix::fs::Mode::from_raw_mode(0o640);
        rustix::fs::mknodat(rustix::fs::CWD, t.path(path), kind, mode, 0).unwrap();
    }
    let sparse = fs::File::create(t.path("a/sparse")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&sparse, b"in the middle", 5 << 20).unwrap();
    sparse.set_len(50 << 20).unwrap();
    t.file(
        "a/large",
        &(0..3_000_000_u32)
            .map(|at| (at / 1000) as u8)
            .collect::<Vec<_>>(),
    );
    symlink("a".repeat(3000), t.path("a/long")).unwrap();
    let time = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 1);
    for path in ["a/d/f", "a/d", "a/fifo", "a"] {
        if path != "a/fifo" {
            fs::File::open(t.path(path))
                .unwrap()
                .set_modified(time)
                .unwrap();
        }
    }
    // What the place of the new layer gives to all that is made in it does not count.
    t.dir("place")
        .xattr("place", "system.posix_acl_default", acl);
    merge(&t, "a:b", "place/m", &[]);
    let seen = |layer: &str| {
        let list = look(&t.path(layer));
        list.into_iter()
            .map(|(path, what)| {
                let about = t.path(layer).join(&path).symlink_metadata().unwrap();
                let mut value = [0; 100];
                let mut acls = Vec::new();
                for name in ["system.posix_acl_access", "system.posix_acl_default"] {
                    let len =
                        rustix::fs::lgetxattr(t.path(layer).join(&path), name, &mut value[..]);
                    acls.push(len.map(|len| value[..len].to_vec()).ok());
                }
                (path, what, about.mtime(), about.mtime_nsec(), acls)
            })
            .collect::<Vec<_>>()
    };
    let (before, after) = (seen("a"), seen("place/m"));
    for (one, other) in before.iter().zip(&after) {
        assert!(one == other, "{}", one.0.display());
    }
    assert_eq!(before.len(), after.len());
    let about = |path: &str| t.path(path).metadata().unwrap();
    assert_eq!(about("a").mtime_nsec(), about("place/m").mtime_nsec());
    assert_eq!(about("a").mode(), about("place/m").mode());
    assert!(
        about("place/m/sparse").blocks() * 512 < 1 << 20,
        "the holes are kept"
    );
}

#[test]
fn refused() {
    let t = Tree::new("merge-refused");
    t.dir("b")
        .dir("a/inner")
        .dir("full/x")
        .dir("left.unfinished")
        .file("plain", b"");
    t.file("meta/m", b"four").mark("meta/m", "metacopy", b"");
    t.file("size/m", b"four")
        .mark("size/m", "metacopy", b"")
        .file("data/m", b"five!");
    t.dir("bad/r").mark("bad/r", "redirect", b"..");
    let merge =
        |layers: &'static str, output: &'static str| ["merge", layers, "-o", output, "--userxattr"];
    let commands = [
        merge("a:b", "full"),
        merge("a:b", "plain"),
        merge("a:b", "left"),
        merge("a:b", "a/inner/m"),
        merge("a/inner:b", "a"),
        merge("a:b", "none/m"),
        merge("a:none", "m"),
        merge("a::b", "m"),
        merge("size:data", "m"),
        merge("bad:b", "m"),
        merge("a:b", ".."),
    ];
    let mut commands: Vec<&[&str]> = commands.iter().map(|command| &command[..]).collect();
    commands.push(&["merge", "meta:b", "-o", "m", "--userxattr", "--bottom"]);
    t.snapshot("merge-refused", &commands);
    assert!(!t.path("m").exists() && !t.path("m.unfinished").exists());
    assert!(t.path("left.unfinished").exists() && t.path("a/inner").exists());
}

/// Lists of layers.
type Stacks<'a> = &'a [&'a [&'a str]];
/// What is merged, with what options, and the stacks before and after.
type Case<'a> = (&'a str, &'a [&'a str], Stacks<'a>, Stacks<'a>);

#[test]
fn random_layers() {
    let (mut merged, mut refused, mut kept) = (0, 0, 0);
    for seed in 1..=150 {
        let t = Tree::new(&format!("merge-random-{seed}"));
        let mut random = Random(seed);
        for layer in ["top", "a", "b", "c", "low"] {
            random_layer(&t, layer, &mut random);
        }
        // In the place of two or three layers, with one above and one below; and of the lowest ones.
        let cases: [Case<'_>; 3] = [
            (
                "a:b",
                &[],
                &[&["a", "b", "low"], &["top", "a", "b", "low"]],
                &[&["m", "low"], &["top", "m", "low"]],
            ),
            (
                "a:b:c",
                &[],
                &[&["a", "b", "c", "low"], &["top", "a", "b", "c", "low"]],
                &[&["m", "low"], &["top", "m", "low"]],
            ),
            (
                "b:c",
                &["--bottom"],
                &[&["b", "c"], &["a", "b", "c"], &["top", "a", "b", "c"]],
                &[&["m"], &["a", "m"], &["top", "a", "m"]],
            ),
        ];
        for (list, more, with, instead) in cases {
            let before: Vec<_> = with.iter().map(|layers| view(&t, layers)).collect();
            let args = [&["merge", list, "-o", "m", "--userxattr"], more].concat();
            let output = t.run(&args);
            let error = String::from_utf8_lossy(&output.stderr).into_owned();
            if !output.status.success() {
                // Nothing but data that is nowhere is refused.
                let lacks = before[0].values().any(|what| what.starts_with("NO DATA"));
                assert!(
                    lacks && error.contains("is in no layer below"),
                    "seed {seed} {list}: {error}"
                );
                assert!(!t.path("m").exists() && !t.path("m.unfinished").exists());
                refused += 1;
                continue;
            }
            for (before, layers) in before.iter().zip(instead) {
                let now = view(&t, layers);
                assert_eq!(
                    difference(before, &now),
                    None,
                    "seed {seed} {list} {layers:?}"
                );
            }
            kept += usize::from(String::from_utf8_lossy(&output.stdout).contains("redirects"));
            merged += 1;
            fs::remove_dir_all(t.path("m")).unwrap();
        }
        fs::remove_dir_all(&t.at).unwrap();
    }
    assert!(
        merged > 100 && refused > 5 && kept > 20,
        "{merged} {refused} {kept}"
    );
}

/// Starts a merge of many files, and waits until it has begun.
fn begun(t: &Tree) -> Child {
    let merge = Command::new(env!("CARGO_BIN_EXE_layerctl"))
        .args(["merge", "a:b", "-o", "m", "--userxattr"])
        .current_dir(&t.at)
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    while !t.path("m.unfinished/d0").exists() {
        std::thread::sleep(Duration::from_millis(1));
        assert!(!t.path("m").exists(), "it was too fast to be interrupted");
    }
    merge
}

#[test]
fn interrupted() {
    let t = Tree::new("merge-interrupted");
    t.dir("b");
    for n in 0..4000 {
        t.file(&format!("a/d{}/f{n}", n % 40), b"data");
    }
    let merge = begun(&t);
    kill_process(Pid::from_child(&merge), Signal::INT).unwrap();
    let output = merge.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "layerctl: it was interrupted: no layer was made\n"
    );
    assert!(!t.path("m").exists() && !t.path("m.unfinished").exists());

    // Killed: what is left has another name, and the next one says so.
    let mut merge = begun(&t);
    kill_process(Pid::from_child(&merge), Signal::KILL).unwrap();
    assert!(!merge.wait().unwrap().success());
    assert!(!t.path("m").exists() && t.path("m.unfinished").exists());
    let output = t.run(&["merge", "a:b", "-o", "m", "--userxattr"]);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        error.contains("m.unfinished: is left of a merge that was interrupted"),
        "{error}"
    );
    fs::remove_dir_all(t.path("m.unfinished")).unwrap();
    fine(&t, &["merge", "a:b", "-o", "m", "--userxattr"]);
    assert_eq!(difference(&view(&t, &["a", "b"]), &view(&t, &["m"])), None);
}
