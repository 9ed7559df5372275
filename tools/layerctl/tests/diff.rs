// SPDX-License-Identifier: GPL-2.0-only

//! `layerctl diff` and `apply`: every kind of change, and what is refused.

mod common;
use common::{fine, look, Tree};
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{symlink, PermissionsExt};
use std::path::Path;

/// The names of an archive, in its order, and what is told of each: as Python reads it.
fn listed(archive: &Path) -> String {
    let script = r#"
import sys, tarfile
for e in tarfile.open(sys.argv[1], errors="backslashreplace", encoding="utf-8"):
    x = sorted((k, v) for k, v in e.pax_headers.items() if k.startswith("SCHILY"))
    print(e.type.decode(), "%o" % e.mode, e.size, e.name.encode(errors="backslashreplace").decode(), e.linkname, x)
"#;
    let out = std::process::Command::new("python3")
        .args(["-c", script])
        .arg(archive)
        .output()
        .unwrap();
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    String::from_utf8(out.stdout).unwrap()
}

#[test]
fn every_kind() {
    let t = Tree::new("diff-kinds");
    t.file("l/gone", b"1")
        .file("l/dir/one", b"one")
        .file("l/dir/two", b"two")
        .file("l/old/deep/f", b"deep");
    t.file("l/opaque/hidden", b"h")
        .file("l/meta", b"metadata")
        .file("l/swap/x", b"x")
        .file("l/file", b"f");
    t.whiteout("u/gone")
        .whiteout("u/nothing")
        .whiteout("u/dir/one")
        .whiteout("u/old");
    t.file("u/dir/new", b"new")
        .xattr("u/dir/new", "user.note", b"a=b\nc")
        .xattr("u/dir/new", "user.overlay.overlay.z", b"esc");
    t.dir("u/moved")
        .mark("u/moved", "redirect", b"/old")
        .mark("u/moved", "origin", b"");
    t.file("u/moved/added", b"a");
    t.dir("u/opaque")
        .mark("u/opaque", "opaque", b"y")
        .file("u/opaque/seen", b"s");
    t.file("u/meta", &[0; 8]).mark("u/meta", "metacopy", b"");
    t.file("u/meta2", &[0; 4])
        .mark("u/meta2", "metacopy", b"")
        .mark("u/meta2", "redirect", b"/old/deep/f");
    t.file("u/swap", b"now a file").dir("u/file/now-a-dir");
    fs::hard_link(t.path("u/dir/new"), t.path("u/a-link")).unwrap();
    symlink("a".repeat(150), t.path("u/long-link")).unwrap();
    t.file(&format!("u/{}/{}", "d".repeat(90), "f".repeat(90)), b"long");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        t.path("u/fifo"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o644),
        0,
    )
    .unwrap();
    for entry in look(&t.path("u")).keys() {
        if t.path("u").join(entry).is_dir() {
            fs::set_permissions(t.path("u").join(entry), fs::Permissions::from_mode(0o755))
                .unwrap();
        }
    }
    fs::write(
        t.path("u")
            .join(OsString::from_vec(b"not-\xff-utf8".to_vec())),
        b"",
    )
    .unwrap();
    fine(
        &t,
        &["diff", "u", "--lower", "l", "-o", "a.tar", "--userxattr"],
    );
    fine(
        &t,
        &["diff", "u", "--lower", "l", "-o", "b.tar", "--userxattr"],
    );
    assert!(fs::read(t.path("a.tar")).unwrap() == fs::read(t.path("b.tar")).unwrap());
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots/diff-kinds.txt");
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::write(&file, listed(&t.path("a.tar"))).unwrap();
    }
    assert_eq!(
        listed(&t.path("a.tar")),
        fs::read_to_string(file).unwrap_or_default()
    );

    // GNU tar reads it.
    let out = std::process::Command::new("tar")
        .arg("tf")
        .arg(t.path("a.tar"))
        .output()
        .unwrap();
    assert!(
        out.status.success() && out.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    assert_eq!(
        out.stdout.split(|b| *b == b'\n').count() - 1,
        listed(&t.path("a.tar")).lines().count()
    );

    // As a layer it shows the same as upper does, and is the same archive again.
    t.dir("layer");
    fine(&t, &["apply", "a.tar", "layer", "--userxattr"]);
    fine(
        &t,
        &[
            "diff",
            "layer",
            "--lower",
            "l",
            "-o",
            "c.tar",
            "--userxattr",
        ],
    );
    assert_eq!(listed(&t.path("c.tar")), listed(&t.path("a.tar")));
    assert!(fs::read(t.path("c.tar")).unwrap() == fs::read(t.path("a.tar")).unwrap());
}

#[test]
fn refused() {
    let t = Tree::new("diff-refused");
    t.dir("l")
        .file("u/.wh.x", b"")
        .file("u2/m", &[0; 3])
        .mark("u2/m", "metacopy", b"");
    t.file("u3/m", &[0; 3])
        .mark("u3/m", "metacopy", b"")
        .file("l3/m", b"four");
    t.dir("u4/r")
        .mark("u4/r", "redirect", b"..")
        .dir("full/x")
        .dir("empty");
    t.file("plain", b"not an archive")
        .file("gz", b"\x1f\x8b\x08\0\0\0")
        .file("nothing", b"");
    t.snapshot(
        "diff-refused",
        &[
            &["diff", "--userxattr", "u", "--lower", "l", "-o", "x.tar"],
            &["diff", "--userxattr", "u2", "--lower", "l", "-o", "x.tar"],
            &["diff", "--userxattr", "u3", "--lower", "l3", "-o", "x.tar"],
            &["diff", "--userxattr", "u4", "--lower", "l", "-o", "x.tar"],
            &[
                "diff",
                "--userxattr",
                "l",
                "--lower",
                "l",
                "-o",
                "none/x.tar",
            ],
            &["apply", "gz", "empty"],
            &["apply", "plain", "empty"],
            &["apply", "nothing", "full"],
            &["apply", "nothing", "none"],
            &["apply", "none", "empty"],
        ],
    );
    assert!(!t.path("x.tar").exists() && !t.path("x.tar.unfinished").exists());
}

/// What an archive says: a name, a type, a target, a record.
type Said<'a> = (
    &'a str,
    tar::EntryType,
    &'a str,
    Option<(&'a str, &'a [u8])>,
);

/// Writes an archive.
fn archive(t: &Tree, name: &str, entries: &[Said<'_>]) {
    let mut builder = tar::Builder::new(fs::File::create(t.path(name)).unwrap());
    for (path, kind, target, record) in entries {
        builder.append_pax_extensions(*record).unwrap();
        let mut header = tar::Header::new_ustar();
        let raw = header.as_ustar_mut().unwrap();
        raw.name[..path.len()].copy_from_slice(path.as_bytes());
        raw.linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_entry_type(*kind);
        header.set_mode(0o755);
        header.set_uid(rustix::process::getuid().as_raw().into());
        header.set_gid(rustix::process::getgid().as_raw().into());
        header.set_mtime(1);
        header.set_size(0);
        header.set_device_major(0).unwrap();
        header.set_device_minor(0).unwrap();
        header.set_cksum();
        builder.append(&header, std::io::empty()).unwrap();
    }
    builder.finish().unwrap();
}

#[test]
fn hostile_archives() {
    use tar::EntryType::{Char, Directory, Link, Regular, Symlink};
    let t = Tree::new("diff-hostile");
    t.file("secret", b"secret").dir("outside");
    let cases: [(&str, &[Said<'_>]); 9] = [
        ("dotdot", &[("a/../../x", Regular, "", None)]),
        ("absolute", &[("/abs", Regular, "", None)]),
        (
            "through",
            &[
                ("s", Symlink, "../outside", None),
                ("s/x", Regular, "", None),
            ],
        ),
        (
            "through-gone",
            &[
                ("s", Symlink, "../outside", None),
                ("s/.wh.x", Regular, "", None),
            ],
        ),
        ("hard", &[("h", Link, "../secret", None)]),
        (
            "hard-link",
            &[("s", Symlink, "../outside", None), ("h", Link, "s/x", None)],
        ),
        ("device", &[("d", Char, "", None)]),
        ("odd-whiteout", &[(".wh..wh.plnk", Regular, "", None)]),
        (
            "mark",
            &[(
                "d",
                Directory,
                "",
                Some(("SCHILY.xattr.user.overlay.redirect", b"/x")),
            )],
        ),
    ];
    let mut commands = Vec::new();
    for (name, entries) in &cases {
        archive(&t, &format!("{name}.tar"), entries);
        t.dir(name);
        commands.push([
            "apply".to_owned(),
            "--userxattr".into(),
            format!("{name}.tar"),
            (*name).into(),
        ]);
    }
    let commands: Vec<Vec<&str>> = commands
        .iter()
        .map(|c| c.iter().map(String::as_str).collect())
        .collect();
    let commands: Vec<&[&str]> = commands.iter().map(Vec::as_slice).collect();
    t.snapshot("apply-hostile", &commands);
    assert!(
        t.path("absolute/abs").exists()
            && fs::read_dir(t.path("outside")).unwrap().next().is_none()
    );
    let mut value = [0; 10];
    assert!(
        rustix::fs::lgetxattr(t.path("mark/d"), "user.overlay.redirect", &mut value[..]).is_err()
    );
    assert_eq!(
        rustix::fs::lgetxattr(
            t.path("mark/d"),
            "user.overlay.overlay.redirect",
            &mut value[..]
        ),
        Ok(2)
    );

    // Any order of what is gone and what is there.
    for (name, entries) in [
        (
            "before",
            [(".wh.d", Regular, "", None), ("d", Directory, "", None)],
        ),
        (
            "after",
            [("d", Directory, "", None), (".wh.d", Regular, "", None)],
        ),
    ] {
        archive(&t, &format!("{name}.tar"), &entries);
        t.dir(name).file(&format!("{name}-flat/d/old"), b"");
        fine(&t, &["apply", "--userxattr", &format!("{name}.tar"), name]);
        assert_eq!(
            rustix::fs::lgetxattr(
                t.path(&format!("{name}/d")),
                "user.overlay.opaque",
                &mut value[..]
            ),
            Ok(1)
        );
        fine(
            &t,
            &[
                "apply",
                "--flat",
                &format!("{name}.tar"),
                &format!("{name}-flat"),
            ],
        );
        assert_eq!(look(&t.path(&format!("{name}-flat"))).len(), 1);
    }

    // Cut anywhere, and with bytes changed: never more than an error.
    let whole = fs::read(t.path("mark.tar")).unwrap();
    for at in (0..whole.len()).step_by(37) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x55;
        fs::write(
            t.path("bad.tar"),
            if at % 2 == 0 { &bytes } else { &whole[..at] },
        )
        .unwrap();
        let _ = fs::remove_dir_all(t.path("bad"));
        t.dir("bad");
        let status = t.run(&["apply", "--userxattr", "bad.tar", "bad"]).status;
        assert!(matches!(status.code(), Some(0 | 2)), "{at}: {status}");
    }
}
