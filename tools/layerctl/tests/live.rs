// SPDX-License-Identifier: GPL-2.0-only

//! The commands on mounts, as far as they come without one: what they say of other filesystems, and of arguments that are none.
//! What they do is in the suite's tests 929 and 988.

mod common;
use common::Tree;

#[test]
fn other_filesystems() {
    let t = Tree::new("live-elsewhere");
    t.snapshot(
        "live-elsewhere",
        &[
            &["finalize", "/proc", "none"],
            &["finalize", "--json", "/proc/self/none"],
            &["layers", "/proc"],
            &["layers", "none"],
            &["layers", "shutdown", "/proc", "0"],
            &["layers", "replace", "/proc", "/layer", "/proc"],
            &["layers", "add", "/proc", "/proc/version"],
            &["layers", "add", "/proc", "/proc"],
            &["layers", "filled", "/proc"],
            &["stats", "/proc"],
            &["stats", "none"],
            &["watch", "/proc", "--finalize", "1"],
        ],
    );
}

#[test]
fn wrong_arguments() {
    let t = Tree::new("live-arguments");
    t.file("f", b"f").file("there", b"").dir("d");
    t.snapshot(
        "live-arguments",
        &[
            &["finalize"],
            &["layers", "shutdown", "/proc"],
            &[
                "layers",
                "shutdown",
                "/proc",
                "0",
                "--timeout",
                "1",
                "--wait",
            ],
            &["layers", "shutdown", "/proc", "0", "--timeout", "-1"],
            &["layers", "shutdown", "/proc", "0", "--timeout", "soon"],
            &["layers", "/proc", "filled"],
            &["stats", "--count", "3"],
            &["watch", "--finalize", "3"],
            &["watch", "/proc", "--finalize", "0"],
            &["clone", "f", "there"],
            &["clone", "f", "d"],
            &["clone", "d", "e"],
            &["clone", "none", "e"],
            &["clone", "f", "none/e"],
            &["clone", "f", "/proc/e"],
        ],
    );
    let mut names: Vec<_> = std::fs::read_dir(&t.at)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["d", "f", "there"]);
}
