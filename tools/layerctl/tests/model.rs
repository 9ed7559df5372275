// SPDX-License-Identifier: GPL-2.0-only

//! `layerctl diff` and `apply`, whatever an upper directory has been through: random changes to a stack, and to a model of it.

mod common;
use common::{copy, fine, look, Tree};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// What a stack does to an upper directory, beside what is done to a plain tree: a model of its own, which knows nothing of
/// how the tool reads layers.
struct Model<'a> {
    t: &'a Tree,
    seed: u64,
    /// For each directory that is shown, which one of lower is merged with it.
    below: BTreeMap<PathBuf, Option<PathBuf>>,
}

impl Model<'_> {
    fn random(&mut self, below: usize) -> usize {
        self.seed = self
            .seed
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (self.seed >> 33) as usize % below.max(1)
    }

    fn plain(&self, path: &Path) -> PathBuf {
        self.t.path("model").join(path)
    }

    fn upper(&self, path: &Path) -> PathBuf {
        self.t.path("u").join(path)
    }

    /// Where lower has what would be seen at a path if upper had nothing there.
    fn lower(&self, path: &Path) -> Option<PathBuf> {
        let parent = self.below.get(path.parent()?)?.as_ref()?;
        let lower = parent.join(path.file_name()?);
        self.t
            .path("l")
            .join(&lower)
            .symlink_metadata()
            .ok()
            .map(|_| lower)
    }

    /// Copies the directories up.
    fn copy_up(&self, path: &Path) {
        if path
            .symlink_metadata_in(&self.upper(Path::new("")))
            .is_none()
        {
            self.copy_up(path.parent().unwrap());
            fs::create_dir(self.upper(path)).unwrap();
            let mode = self.plain(path).metadata().unwrap().permissions();
            fs::set_permissions(self.upper(path), mode).unwrap();
        }
    }

    /// Makes way in upper: whether there was a whiteout.
    fn make_way(&self, path: &Path) -> bool {
        self.copy_up(path.parent().unwrap());
        fs::remove_file(self.upper(path)).is_ok()
    }

    fn leave(&self, path: &Path) {
        if self.lower(path).is_some() {
            self.t.whiteout(self.upper(path).to_str().unwrap());
        }
    }

    fn pick(&mut self, directory: bool) -> Option<PathBuf> {
        let all: Vec<PathBuf> = look(&self.t.path("model"))
            .into_keys()
            .filter(|path| self.plain(path).symlink_metadata().unwrap().is_dir() == directory)
            .collect();
        if directory && self.random(5) == 0 || all.is_empty() {
            return directory.then(PathBuf::new);
        }
        let at = self.random(all.len());
        all.into_iter().nth(at)
    }

    fn same_time(&self, path: &Path) {
        let time = self.plain(path).metadata().unwrap().modified().unwrap();
        fs::File::options()
            .write(true)
            .open(self.upper(path))
            .unwrap()
            .set_modified(time)
            .unwrap();
    }

    fn step(&mut self) {
        let names = ["a", "b", "c", "d", "e"];
        let name = names[self.random(names.len())];
        let Some(new) = self.pick(true).map(|parent| parent.join(name)) else {
            return;
        };
        let free = self.plain(&new).symlink_metadata().is_err();
        match self.random(7) {
            0 if free => {
                self.make_way(&new);
                let data = vec![b'x'; self.random(2000)];
                fs::write(self.plain(&new), &data).unwrap();
                fs::write(self.upper(&new), &data).unwrap();
                self.same_time(&new);
            }
            1 if free => {
                let gone = self.make_way(&new);
                fs::create_dir(self.plain(&new)).unwrap();
                fs::create_dir(self.upper(&new)).unwrap();
                if gone {
                    self.t
                        .mark(self.upper(&new).to_str().unwrap(), "opaque", b"y");
                }
                self.below.insert(new, None);
            }
            2 => self.unlink(),
            3 if free => self.rename_dir(&new),
            4 if free => self.rename_file(&new),
            5 => self.chmod(),
            6 if free => self.link(&new),
            _ => {}
        }
    }

    fn unlink(&mut self) {
        let Some(path) = self.pick(false) else { return };
        fs::remove_file(self.plain(&path)).unwrap();
        self.make_way(&path);
        self.leave(&path);
    }

    fn rename_dir(&mut self, new: &Path) {
        let Some(old) = self
            .pick(true)
            .filter(|old| old.file_name().is_some() && !new.starts_with(old))
        else {
            return;
        };
        self.copy_up(&old);
        let gone = self.make_way(new);
        fs::rename(self.plain(&old), self.plain(new)).unwrap();
        fs::rename(self.upper(&old), self.upper(new)).unwrap();
        let upper = self.upper(new);
        let upper = upper.to_str().unwrap();
        match self.below.get(&old).unwrap() {
            Some(lower) => {
                self.t.mark(
                    upper,
                    "redirect",
                    format!("/{}", lower.display()).as_bytes(),
                );
            }
            None if gone || self.lower(new).is_some() => {
                self.t.mark(upper, "opaque", b"y");
            }
            None => {}
        }
        self.leave(&old);
        let moved: Vec<_> = self
            .below
            .keys()
            .filter(|path| path.starts_with(&old))
            .cloned()
            .collect();
        for path in moved {
            let below = self.below.remove(&path).unwrap();
            let rest = path.strip_prefix(&old).unwrap();
            let path = if rest.as_os_str().is_empty() {
                new.to_owned()
            } else {
                new.join(rest)
            };
            self.below.insert(path, below);
        }
    }

    /// Copies a file up: without its data, if it has one name.
    fn copy_file(&self, path: &Path) {
        if self.upper(path).symlink_metadata().is_ok() {
            return;
        }
        self.copy_up(path.parent().unwrap());
        let lower = self.lower(path).unwrap();
        let meta = self.plain(path).metadata().unwrap();
        fs::write(self.upper(path), vec![0; meta.len() as usize]).unwrap();
        let upper = self.upper(path);
        let upper = upper.to_str().unwrap();
        self.t.mark(upper, "metacopy", b"");
        self.t.mark(
            upper,
            "redirect",
            format!("/{}", lower.display()).as_bytes(),
        );
        fs::set_permissions(upper, meta.permissions()).unwrap();
        self.same_time(path);
    }

    fn chmod(&mut self) {
        let Some(path) = self.pick(false) else { return };
        self.copy_file(&path);
        let mode = fs::Permissions::from_mode(0o600 + self.random(64) as u32);
        fs::set_permissions(self.plain(&path), mode.clone()).unwrap();
        fs::set_permissions(self.upper(&path), mode).unwrap();
    }

    fn rename_file(&mut self, new: &Path) {
        let Some(old) = self.pick(false) else { return };
        self.copy_file(&old);
        self.make_way(new);
        fs::rename(self.plain(&old), self.plain(new)).unwrap();
        fs::rename(self.upper(&old), self.upper(new)).unwrap();
        self.leave(&old);
    }

    fn link(&mut self, new: &Path) {
        let Some(old) = self.pick(false) else { return };
        self.copy_file(&old);
        self.make_way(new);
        fs::hard_link(self.plain(&old), self.plain(new)).unwrap();
        fs::hard_link(self.upper(&old), self.upper(new)).unwrap();
    }
}

trait In {
    fn symlink_metadata_in(&self, root: &Path) -> Option<fs::Metadata>;
}
impl In for Path {
    fn symlink_metadata_in(&self, root: &Path) -> Option<fs::Metadata> {
        root.join(self).symlink_metadata().ok()
    }
}

/// Random changes to a stack; the model must be what comes of the archive.
#[test]
fn random_trees() {
    for seed in 1..=25 {
        let t = Tree::new(&format!("diff-random-{seed}"));
        t.dir("u").dir("l");
        let mut below = BTreeMap::from([(PathBuf::new(), Some(PathBuf::new()))]);
        for path in ["a", "a/b", "a/b/c", "b", "c/d", "c"] {
            t.dir(&format!("l/{path}"));
            below.insert(path.into(), Some(path.into()));
        }
        for (at, path) in ["a/d", "a/b/a", "a/b/c/b", "b/a", "b/e", "c/d/e", "d", "e"]
            .iter()
            .enumerate()
        {
            t.file(&format!("l/{path}"), &vec![b'0' + at as u8; at * 100]);
        }
        copy(&t, "l", "model");
        copy(&t, "l", "flat");
        let mut model = Model { t: &t, seed, below };
        for _ in 0..60 {
            model.step();
        }
        fine(
            &t,
            &["diff", "u", "--lower", "l", "-o", "a.tar", "--userxattr"],
        );
        fine(&t, &["apply", "--flat", "a.tar", "flat"]);
        assert_eq!(look(&t.path("flat")), look(&t.path("model")), "seed {seed}");
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
                "b.tar",
                "--userxattr",
            ],
        );
        copy(&t, "l", "flat2");
        fine(&t, &["apply", "--flat", "b.tar", "flat2"]);
        assert_eq!(
            look(&t.path("flat2")),
            look(&t.path("model")),
            "seed {seed}, as a layer"
        );
        fs::remove_dir_all(&t.at).unwrap();
    }
}
