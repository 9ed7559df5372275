// SPDX-License-Identifier: GPL-2.0-only

//! Layers for the tests of the command, and what it prints. Marks are in `user.overlay.*`, so that no right is needed.

#![allow(dead_code)]

use rustix::fs::{FileType, Mode, XattrFlags, CWD};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A new directory of a test's own.
pub struct Tree {
    pub at: PathBuf,
}

impl Tree {
    pub fn new(name: &str) -> Tree {
        let at = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = std::fs::remove_dir_all(&at);
        std::fs::create_dir_all(&at).unwrap();
        Tree { at }
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.at.join(path)
    }

    pub fn dir(&self, path: &str) -> &Tree {
        std::fs::create_dir_all(self.path(path)).unwrap();
        self
    }

    pub fn file(&self, path: &str, content: &[u8]) -> &Tree {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
        self
    }

    pub fn xattr(&self, path: &str, name: &str, value: &[u8]) -> &Tree {
        rustix::fs::lsetxattr(self.path(path), name, value, XattrFlags::empty()).unwrap();
        self
    }

    pub fn mark(&self, path: &str, mark: &str, value: &[u8]) -> &Tree {
        self.xattr(path, &format!("user.overlay.{mark}"), value)
    }

    pub fn whiteout(&self, path: &str) -> &Tree {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        rustix::fs::mknodat(CWD, path, FileType::CharacterDevice, Mode::empty(), 0).unwrap();
        self
    }

    /// Runs the command in the directory.
    pub fn run(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_layerctl"))
            .args(args)
            .current_dir(&self.at)
            .output()
            .unwrap()
    }

    /// Runs commands and compares what they print with the snapshot of a name. With UPDATE_SNAPSHOTS=1 it is written.
    pub fn snapshot(&self, name: &str, commands: &[&[&str]]) {
        self.snapshot_with(name, commands, |text| text);
    }

    /// The same, of what is left when something was hidden that differs from run to run.
    pub fn snapshot_with(&self, name: &str, commands: &[&[&str]], hide: impl Fn(String) -> String) {
        let mut text = String::new();
        for args in commands {
            let output = self.run(args);
            text += &format!("$ layerctl {}\n", args.join(" "));
            text += &String::from_utf8(output.stdout).unwrap();
            text += &String::from_utf8(output.stderr).unwrap();
            text += &format!("[{}]\n", output.status.code().expect("no signal"));
        }
        let text = hide(text);
        let file =
            Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/snapshots/{name}.txt"));
        if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
            std::fs::write(file, text).unwrap();
            return;
        }
        let expected = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(
            text == expected,
            "it differs from {}:\n{text}",
            file.display()
        );
    }
}

/// The bytes of hexadecimal digits.
pub fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

/// Everything that a tree shows, but for the numbers of inodes: which names are of one is told by the first of them.
pub fn look(at: &Path) -> BTreeMap<PathBuf, String> {
    fn walk(
        at: &Path,
        path: &Path,
        inodes: &mut BTreeMap<u64, PathBuf>,
        seen: &mut BTreeMap<PathBuf, String>,
    ) {
        let mut names: Vec<_> = fs::read_dir(at.join(path))
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        names.sort();
        for name in names {
            let path = path.join(name);
            let full = at.join(&path);
            let meta = full.symlink_metadata().unwrap();
            let kind = meta.file_type();
            let what = if kind.is_dir() {
                "dir".into()
            } else if kind.is_symlink() {
                format!("link to {}", fs::read_link(&full).unwrap().display())
            } else if kind.is_file() {
                let first = inodes.entry(meta.ino()).or_insert_with(|| path.clone());
                format!("{:?} of {}", fs::read(&full).unwrap(), first.display())
            } else if kind.is_fifo() {
                "fifo".into()
            } else {
                format!("{kind:?} {}", meta.rdev())
            };
            let mut buffer = [0u8; 65536];
            let listed = rustix::fs::llistxattr(&full, &mut buffer[..]).unwrap_or_default();
            let mut xattrs: Vec<_> = buffer[..listed]
                .split(|byte| *byte == 0)
                .filter(|name| name.starts_with(b"user."))
                .collect();
            xattrs.sort();
            let xattrs: Vec<_> = xattrs
                .iter()
                .map(|name| {
                    let mut value = [0u8; 100];
                    let len = rustix::fs::lgetxattr(&full, *name, &mut value[..]).unwrap();
                    (
                        String::from_utf8_lossy(name).into_owned(),
                        value[..len].to_vec(),
                    )
                })
                .collect();
            let time = (meta.mtime(), meta.mtime_nsec());
            // That of a directory is when somebody last changed it, in the model another time than in upper.
            let time = if kind.is_dir() {
                String::new()
            } else {
                format!("{time:?}")
            };
            seen.insert(
                path.clone(),
                format!(
                    "{what} {:o} {}:{} {time} {xattrs:?}",
                    meta.mode(),
                    meta.uid(),
                    meta.gid()
                ),
            );
            if kind.is_dir() {
                walk(at, &path, inodes, seen);
            }
        }
    }
    let mut seen = BTreeMap::new();
    walk(at, Path::new(""), &mut BTreeMap::new(), &mut seen);
    seen
}

pub fn fine(t: &Tree, args: &[&str]) {
    let output = t.run(args);
    assert!(
        output.status.success(),
        "{args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

pub fn copy(t: &Tree, from: &str, to: &str) {
    let status = std::process::Command::new("cp")
        .arg("-a")
        .arg(t.path(from))
        .arg(t.path(to))
        .status()
        .unwrap();
    assert!(status.success());
}
