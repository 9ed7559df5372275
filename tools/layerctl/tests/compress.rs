// SPDX-License-Identifier: GPL-2.0-only

//! Compressed archives: what `layerctl diff` writes as the programs gzip and zstd read it, and what `apply` reads of theirs.

mod common;
use common::{fine, look, Tree};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What a program makes of a file.
fn through(t: &Tree, program: &[&str], file: &str) -> Vec<u8> {
    let output = Command::new(program[0])
        .args(&program[1..])
        .stdin(fs::File::open(t.path(file)).unwrap())
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}: install it", program[0]));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.is_empty(),
        "{program:?}: {said}"
    );
    output.stdout
}

/// What a layer shows. A whiteout has the time at which it was made.
fn seen(t: &Tree, layer: &str) -> BTreeMap<PathBuf, String> {
    let mut seen = look(&t.path(layer));
    assert!(seen.remove(Path::new("gone")).is_some());
    seen
}

fn layers(name: &str) -> Tree {
    let t = Tree::new(name);
    t.dir("l").file("l/gone", b"").whiteout("u/gone");
    for n in 0..200_u32 {
        let data: Vec<u8> = (0..n * 40).map(|at| (at * n / 3) as u8).collect();
        t.file(&format!("u/d{}/f{n}", n % 7), &data);
    }
    t
}

#[test]
fn as_the_programs_have_it() {
    let t = layers("compress-programs");
    let diff = |output: &str, more: &[&str]| {
        let args = ["diff", "u", "--lower", "l", "--userxattr", "-o", output];
        fine(&t, &[&args, more].concat());
        fs::read(t.path(output)).unwrap()
    };
    let plain = diff("a.tar", &[]);
    let cases: [(&str, &[&str], &[&str]); 7] = [
        ("a.tar.gz", &[], &["gzip", "-dc"]),
        ("a.tgz", &[], &["gzip", "-dc"]),
        ("a9", &["--compress", "gzip:9"], &["gzip", "-dc"]),
        ("a.tar.zst", &[], &["zstd", "-dcq"]),
        ("a19", &["--compress", "zstd:19"], &["zstd", "-dcq"]),
        ("odd.gz", &["--compress", "zstd:1"], &["zstd", "-dcq"]),
        ("odd.zst", &["--compress", "none"], &["cat"]),
    ];
    t.dir("plain");
    fine(&t, &["apply", "a.tar", "plain", "--userxattr"]);
    for (output, more, program) in cases {
        let packed = diff(output, more);
        assert!(through(&t, program, output) == plain, "{output}");
        assert!(packed.len() < plain.len() || program == ["cat"], "{output}");
        // The same bytes at another time, and by another name.
        std::thread::sleep(std::time::Duration::from_millis(1100));
        let method = more.last().copied().unwrap_or(if output.ends_with("zst") {
            "zstd"
        } else {
            "gzip"
        });
        assert!(diff("again", &["--compress", method]) == packed, "{output}");
        let dir = format!("{output}-applied");
        t.dir(&dir);
        fine(&t, &["apply", output, &dir, "--userxattr"]);
        assert!(seen(&t, &dir) == seen(&t, "plain"), "{output}");
        fs::remove_dir_all(t.path(&dir)).unwrap();
    }
    // To standard output nothing is compressed unless it is said.
    let output = t.run(&["diff", "u", "--lower", "l", "--userxattr", "-o", "-"]);
    assert!(output.stdout == plain);
}

#[test]
fn what_programs_make_is_applied() {
    let t = layers("compress-read");
    let args = ["diff", "u", "--lower", "l", "--userxattr", "-o", "a.tar"];
    fine(&t, &args);
    t.dir("plain");
    fine(&t, &["apply", "a.tar", "plain", "--userxattr"]);
    let tar = fs::read(t.path("a.tar")).unwrap();
    for program in [
        &["gzip", "-c"][..],
        &["zstd", "-cq"],
        &["zstd", "-cq", "--long=27", "--no-check"],
    ] {
        // In pieces that are compressed one by one, as programs do that compress in parallel.
        let mut packed = Vec::new();
        for piece in tar.chunks(tar.len() / 5 + 1) {
            t.file("piece", piece);
            packed.extend(through(&t, program, "piece"));
        }
        t.file("packed", &packed);
        t.dir("applied");
        fine(&t, &["apply", "packed", "applied", "--userxattr"]);
        assert!(seen(&t, "applied") == seen(&t, "plain"), "{program:?}");
        fs::remove_dir_all(t.path("applied")).unwrap();
        t.dir("applied");
        let status = Command::new(env!("CARGO_BIN_EXE_layerctl"))
            .args(["apply", "-", "applied", "--userxattr"])
            .current_dir(&t.at)
            .stdin(Stdio::from(fs::File::open(t.path("packed")).unwrap()))
            .status();
        assert!(status.unwrap().success(), "{program:?}");
        assert!(seen(&t, "applied") == seen(&t, "plain"), "{program:?}");
        fs::remove_dir_all(t.path("applied")).unwrap();
    }
}

#[test]
fn damaged() {
    let t = Tree::new("compress-damaged");
    t.dir("l").file("u/f", &[7; 3000]).dir("empty");
    for name in ["a.gz", "a.zst"] {
        fine(
            &t,
            &["diff", "u", "--lower", "l", "--userxattr", "-o", name],
        );
        let whole = fs::read(t.path(name)).unwrap();
        let end = whole.len();
        t.file(&format!("start-{name}"), &whole[..20]);
        // Only the checksum is missing, or wrong: the archive itself ends before it.
        t.file(&format!("cut-{name}"), &whole[..end - 3]);
        let mut wrong = whole.clone();
        wrong[end - if name == "a.gz" { 6 } else { 2 }] ^= 1;
        t.file(&format!("sum-{name}"), &wrong);
        t.file(&format!("more-{name}"), &[&whole[..], b"more"].concat());
    }
    t.file("window", &[0x28, 0xb5, 0x2f, 0xfd, 0, 21 << 3, 1, 0, 0]);
    let names = [
        "start-a.gz",
        "cut-a.gz",
        "sum-a.gz",
        "more-a.gz",
        "start-a.zst",
        "cut-a.zst",
        "sum-a.zst",
        "more-a.zst",
        "window",
    ];
    let mut commands: Vec<Vec<String>> = names
        .iter()
        .map(|name| {
            let dir = format!("to-{name}");
            t.dir(&dir);
            vec!["apply".into(), "--userxattr".into(), (*name).into(), dir]
        })
        .collect();
    for method in ["gzip:10", "zstd:0", "xz"] {
        commands.push(
            ["diff", "u", "--lower", "l", "-o", "x", "--compress", method]
                .map(String::from)
                .to_vec(),
        );
    }
    let commands: Vec<Vec<&str>> = commands
        .iter()
        .map(|command| command.iter().map(String::as_str).collect())
        .collect();
    let commands: Vec<&[&str]> = commands.iter().map(Vec::as_slice).collect();
    t.snapshot("compress-damaged", &commands);
    assert!(!t.path("x").exists());
}
