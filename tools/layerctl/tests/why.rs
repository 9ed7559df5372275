// SPDX-License-Identifier: GPL-2.0-only

//! `layerctl why` and `show`: what they print of layers of every kind, the damaged ones too.

mod common;
use common::{unhex, Tree};

const ORIGIN: &str = "00fb210081eca620a7df33491b9b3c7e316aaf09f983000000000000004a2023d9";
const DIGEST: &str = "002400019c76eecc7b76fcb46199cb27b90cf59a660e10575bb0412128905129d5b1c2aa";

fn layers(name: &str) -> Tree {
    let t = Tree::new(name);
    t.dir("u/d")
        .file("l0/d/one", b"1")
        .file("l1/d/two", b"22")
        .file("l1/d/gone", b"");
    t.mark("u/d", "impure", b"y")
        .mark("u/d", "origin", &unhex(ORIGIN));
    t.whiteout("u/d/gone");
    t.file("l0/d/alone", b"")
        .mark("l0/d/alone", "whiteout", b"")
        .file("l1/d/alone", b"x");
    // Moved, opaque, finalized.
    t.dir("u/moved")
        .mark("u/moved", "redirect", b"/old/sub")
        .whiteout("u/old");
    t.file("l0/old/sub/f", b"f").file("l1/other/f2", b"f2");
    t.mark("l0/old/sub", "redirect", b"/other");
    t.dir("u/opaque")
        .mark("u/opaque", "opaque", b"y")
        .file("l0/opaque/hidden", b"");
    t.dir("u/final")
        .mark("u/final", "opaque", b"z")
        .dir("l1/final");
    t.mark(
        "u/final",
        "finalized",
        &unhex("0100000001000000efcdab8967452301"),
    );
    // Metacopies: of metadata alone, moved, of a data-only layer.
    t.file("u/meta", &[0; 4])
        .mark("u/meta", "metacopy", b"")
        .mark("u/meta", "protattr", b"ai");
    t.file("l1/meta", b"data");
    t.file("u/meta2", &[0; 5])
        .mark("u/meta2", "metacopy", b"")
        .mark("u/meta2", "redirect", b"meta1");
    t.file("l0/meta1", &[0; 5])
        .mark("l0/meta1", "metacopy", &unhex(DIGEST))
        .mark("l0/meta1", "redirect", b"/blob");
    t.file("data/blob", b"hello")
        .mark("u/meta2", "nlink", b"L+2")
        .mark("u/meta2", "origin", b"");
    std::os::unix::fs::symlink("meta", t.path("l1/link")).unwrap();
    t
}

#[test]
fn parts() {
    let t = layers("why-parts");
    let why = |path| ["why", "--userxattr", "--layers", "u:l0:l1::data", path];
    let paths = [
        "/",
        "d",
        "/d/one",
        "d/./two",
        "d/gone",
        "d/alone",
        "d/none",
        "d/one/none",
        "moved",
        "moved/f",
        "moved/f2",
        "old",
        "opaque",
        "opaque/hidden",
        "final",
        "meta",
        "meta2",
        "link",
        "link/x",
        "../etc/passwd",
    ];
    let commands: Vec<_> = paths.iter().map(|path| why(path)).collect();
    let commands: Vec<&[&str]> = commands.iter().map(|command| &command[..]).collect();
    t.snapshot("why-parts", &commands);
    t.snapshot(
        "why-json",
        &[
            &[
                "why",
                "--json",
                "--userxattr",
                "--layers",
                "u:l0:l1::data",
                "meta2",
            ],
            &[
                "why",
                "--json",
                "--userxattr",
                "--layers",
                "u:l0:l1::data",
                "d/gone",
            ],
            &[
                "why",
                "--json",
                "--layers",
                "l0:l1",
                "--no-upper",
                "--userxattr",
                "none",
            ],
        ],
    );
}

#[test]
fn damaged() {
    let t = Tree::new("why-damaged");
    t.dir("l/x");
    let redirects: [(&str, &[u8]); 6] = [
        ("a", b""),
        ("b", b"/a//b"),
        ("c", b"/a/../../etc"),
        ("d", b"a/b"),
        ("e", b"x\0y"),
        ("f", b"/none/at/all"),
    ];
    for (name, value) in redirects {
        let path = format!("u/r{name}");
        t.dir(&path).mark(&path, "redirect", value);
    }
    let marks: [(&str, &[u8]); 9] = [
        ("opaque", b"yes"),
        ("impure", b"n"),
        ("origin", b"\x01\x02"),
        ("upper", b"\0\xfb\x20\0\x01"),
        ("nlink", b"X+1"),
        ("protattr", b"q"),
        ("uuid", b"short"),
        ("finalized", b"\x02"),
        ("strange\u{1}", b"\xff"),
    ];
    t.dir("u/marks");
    for (name, value) in marks {
        t.mark("u/marks", name, value);
    }
    t.file("u/short", b"")
        .mark("u/short", "metacopy", b"\0\x01");
    t.file("u/version", b"")
        .mark("u/version", "metacopy", &[9; 70])
        .file("l/version", b"v");
    t.file("u/nodata", b"").mark("u/nodata", "metacopy", b"");
    t.file("u/dirdata", b"")
        .mark("u/dirdata", "metacopy", b"")
        .dir("l/dirdata");
    // What leads out of the layer, and in a circle.
    t.file("secret/f", b"secret");
    std::os::unix::fs::symlink("../secret", t.path("l/out")).unwrap();
    t.dir("u/escape").mark("u/escape", "redirect", b"/out");
    t.dir("u/circle")
        .mark("u/circle", "redirect", b"/circle/circle");
    t.dir("l/circle/circle")
        .mark("l/circle/circle", "redirect", b"/circle");
    let paths = [
        "ra",
        "rb",
        "rc",
        "rd",
        "re",
        "rf",
        "marks",
        "short",
        "version",
        "nodata",
        "dirdata",
        "escape",
        "escape/f",
        "circle",
        "circle/circle/circle",
    ];
    let commands: Vec<_> = paths
        .iter()
        .map(|path| ["why", "--userxattr", "--layers", "u:l", path])
        .collect();
    let commands: Vec<&[&str]> = commands.iter().map(|command| &command[..]).collect();
    t.snapshot("why-damaged", &commands);
}

#[test]
fn wrong_arguments() {
    let t = Tree::new("why-arguments");
    t.dir("l").file("f", b"");
    t.snapshot(
        "why-arguments",
        &[
            &["why", "--layers", "l:none", "x"],
            &["why", "--layers", "f", "x"],
            &["why", "--layers", ":l", "x"],
            &["why", "--layers", "l::l:l", "x"],
            &["why", "--layers", "", "x"],
            &["why", "--layers", "l\\", "x"],
            &["why", "none/x"],
            &["why", "/proc/self"],
            &["show", "/proc"],
            &["show", "none"],
        ],
    );
}
