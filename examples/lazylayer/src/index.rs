// SPDX-License-Identifier: GPL-2.0-only

//! What is in a tar archive, and where: its directory, from its headers alone.
//!
//! The archive is somebody else's: a name that would lead out of the image, a number that can't be and a part that is
//! missing are errors that say which entry they are in. Nothing of it is believed before it was looked at.

use std::ffi::{OsStr, OsString};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStrExt;

use anyhow::{bail, ensure, Context, Result};

use crate::headers::{Entry, Headers, Kind};

/// Which object: its place in `Image::nodes`.
pub type Ino = usize;

/// The root directory.
pub const ROOT: Ino = 0;

/// The mark of an opaque directory: what other layers have below is not shown.
pub const OPAQUE: &str = "trusted.overlay.opaque";

/// A moment, since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Time {
    pub seconds: i64,
    pub nanoseconds: u32,
}

/// What an object is.
#[derive(Debug, PartialEq, Eq)]
pub enum What {
    /// A directory: its names, in order.
    Directory(Vec<(OsString, Ino)>),
    /// A file: where its data is in the archive, and how much there is, in bytes.
    File {
        offset: u64,
        size: u64,
    },
    Symlink(OsString),
    Character(u32, u32),
    Block(u32, u32),
    Fifo,
    /// The name is not there, whatever the layers below have.
    Whiteout,
}

/// An object of the image.
#[derive(Debug, PartialEq, Eq)]
pub struct Node {
    pub what: What,
    /// The twelve bits of chmod(2).
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub mtime: Time,
    pub xattrs: Vec<(OsString, Vec<u8>)>,
    pub nlink: u32,
}

impl Node {
    /// A directory that no entry describes, or not yet.
    fn directory() -> Node {
        Node {
            what: What::Directory(Vec::new()),
            mode: 0o755,
            uid: 0,
            gid: 0,
            mtime: Time::default(),
            xattrs: Vec::new(),
            nlink: 2,
        }
    }

    fn whiteout() -> Node {
        Node {
            what: What::Whiteout,
            mode: 0,
            nlink: 1,
            ..Node::directory()
        }
    }

    /// What stands for a name that is not there, where something has to.
    pub fn absent() -> Node {
        Node::whiteout()
    }

    pub fn is_directory(&self) -> bool {
        matches!(self.what, What::Directory(_))
    }

    pub fn xattr(&self, name: &OsStr) -> Option<&[u8]> {
        let found = self.xattrs.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.as_slice())
    }

    pub fn is_opaque(&self) -> bool {
        self.xattr(OsStr::new(OPAQUE)).is_some()
    }
}

/// Everything in the archive.
#[derive(Debug)]
pub struct Image {
    nodes: Vec<Node>,
    /// What was left out, in words.
    pub notes: Vec<String>,
}

impl Image {
    /// Reads the directory of an archive.
    pub fn read(archive: &mut (impl Read + Seek)) -> Result<Image> {
        let mut image = Image {
            nodes: vec![Node::directory()],
            notes: Vec::new(),
        };
        let mut acls = 0;
        let length = archive.seek(SeekFrom::End(0))?;
        let mut headers = Headers::new(archive, length);
        while let Some(entry) = headers.next()? {
            acls += usize::from(entry.has_acl);
            let (at, name) = (entry.at, entry.name.clone());
            image.add(entry).with_context(|| {
                let name = String::from_utf8_lossy(&name).into_owned();
                format!("the entry at byte {at}, {name:?}")
            })?;
        }
        if acls > 0 {
            image.notes.push(format!("the ACLs of {acls} entries"));
        }
        image.count_links();
        Ok(image)
    }

    pub fn node(&self, ino: Ino) -> Option<&Node> {
        self.nodes.get(ino)
    }

    /// How many objects there are. Their numbers are those below.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter()
    }

    /// The names in a directory, in order; `None`: there is no such directory.
    pub fn names(&self, directory: Ino) -> Option<&[(OsString, Ino)]> {
        match &self.nodes.get(directory)?.what {
            What::Directory(names) => Some(names),
            _ => None,
        }
    }

    /// What a directory has under that name.
    pub fn child(&self, directory: Ino, name: &OsStr) -> Option<Ino> {
        let names = self.names(directory)?;
        let at = names.binary_search_by(|(n, _)| n.as_os_str().cmp(name));
        Some(names.get(at.ok()?)?.1)
    }

    /// Puts an entry in its place.
    fn add(&mut self, entry: Entry) -> Result<()> {
        let full = entry.name.clone();
        let mut path = components(&full)?;
        let Some(name) = path.pop() else {
            ensure!(
                entry.kind == Kind::Directory,
                "the root of an image is a directory"
            );
            return self.describe(ROOT, entry);
        };
        let mut parent = ROOT;
        for part in path {
            parent = self.enter(parent, part)?;
        }
        if let Some(gone) = name.as_bytes().strip_prefix(b".wh.") {
            return self.add_whiteout(parent, OsStr::from_bytes(gone));
        }
        if entry.kind == Kind::HardLink {
            let target = self.link_target(&entry.link)?;
            if let Some(node) = self.nodes.get_mut(target) {
                node.nlink = node.nlink.saturating_add(1);
            }
            return self.bind(parent, name, target);
        }
        if entry.kind == Kind::Directory {
            let directory = self.enter(parent, name)?;
            return self.describe(directory, entry);
        }
        let node = node_of(entry)?;
        let ino = self.push(node);
        self.bind(parent, name, ino)
    }

    /// A marker of OCI layers: `.wh.NAME`, or `.wh..wh..opq` for the whole directory; others that begin like that are
    /// some filesystem's own.
    fn add_whiteout(&mut self, parent: Ino, name: &OsStr) -> Result<()> {
        match name.as_bytes() {
            b".wh..opq" => self.make_opaque(parent),
            b"" | b"." | b".." => bail!("a whiteout of no name"),
            own if own.starts_with(b".wh.") => {
                self.notes.push(format!("{:?}", OsStr::from_bytes(own)));
                Ok(())
            }
            _ => match self.child(parent, name) {
                // What an image has itself stays; but not what is below it in a directory.
                Some(ino) if self.nodes.get(ino).is_some_and(Node::is_directory) => {
                    self.make_opaque(ino)
                }
                Some(_) => Ok(()),
                None => {
                    let ino = self.push(Node::whiteout());
                    self.bind(parent, name, ino)
                }
            },
        }
    }

    fn make_opaque(&mut self, directory: Ino) -> Result<()> {
        if let Some(node) = self.nodes.get_mut(directory) {
            if !node.is_opaque() {
                node.xattrs.push((OPAQUE.into(), b"y".to_vec()));
            }
        }
        Ok(())
    }

    fn push(&mut self, node: Node) -> Ino {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    /// The directory of that name, which is made if nothing is there.
    fn enter(&mut self, parent: Ino, name: &OsStr) -> Result<Ino> {
        let found = self.child(parent, name);
        match found.and_then(|ino| Some((ino, &self.nodes.get(ino)?.what))) {
            Some((ino, What::Directory(_))) => Ok(ino),
            Some((_, What::Whiteout)) => {
                let ino = self.push(Node::directory());
                self.bind(parent, name, ino)?;
                self.make_opaque(ino)?;
                Ok(ino)
            }
            Some(_) => bail!("{name:?} on the way to it is no directory in this archive"),
            None => {
                let ino = self.push(Node::directory());
                self.bind(parent, name, ino)?;
                Ok(ino)
            }
        }
    }

    /// Gives an object a name; a file that had it is replaced, as tar does.
    fn bind(&mut self, parent: Ino, name: &OsStr, ino: Ino) -> Result<()> {
        if let Some(old) = self.child(parent, name) {
            let old = self
                .nodes
                .get_mut(old)
                .context("an object without a node")?;
            ensure!(
                !old.is_directory(),
                "it would take the place of a directory"
            );
            old.nlink = old.nlink.saturating_sub(1);
        }
        match self.nodes.get_mut(parent).map(|node| &mut node.what) {
            Some(What::Directory(names)) => {
                match names.binary_search_by(|(n, _)| n.as_os_str().cmp(name)) {
                    Ok(at) => {
                        if let Some(place) = names.get_mut(at) {
                            place.1 = ino;
                        }
                    }
                    Err(at) => names.insert(at, (name.to_owned(), ino)),
                }
            }
            _ => bail!("it is in no directory"),
        }
        Ok(())
    }

    /// The attributes of a directory, which may be there already.
    fn describe(&mut self, directory: Ino, entry: Entry) -> Result<()> {
        let node = self.nodes.get_mut(directory).context("no such directory")?;
        let was_opaque = node.is_opaque();
        let described = node_of(entry)?;
        node.mode = described.mode;
        node.uid = described.uid;
        node.gid = described.gid;
        node.mtime = described.mtime;
        node.xattrs = described.xattrs;
        if was_opaque {
            self.make_opaque(directory)?;
        }
        Ok(())
    }

    /// What a hard link is another name of: it is before it in the archive.
    fn link_target(&self, name: &[u8]) -> Result<Ino> {
        let shown = String::from_utf8_lossy(name).into_owned();
        let mut at = ROOT;
        for part in
            components(name).with_context(|| format!("the target of a hard link, {shown:?}"))?
        {
            let found = self.child(at, part);
            at = found.with_context(|| {
                format!("a hard link to {shown:?}, which is not before it in the archive")
            })?;
        }
        let linkable = |node: &Node| !node.is_directory() && node.what != What::Whiteout;
        let node = self.nodes.get(at);
        ensure!(
            node.is_some_and(linkable),
            "a hard link to {shown:?}, which is no file"
        );
        Ok(at)
    }

    /// A directory has two names, and one for each directory in it.
    fn count_links(&mut self) {
        for ino in 0..self.nodes.len() {
            let Some(names) = self.names(ino) else {
                continue;
            };
            let inner = names
                .iter()
                .filter(|(_, child)| self.names(*child).is_some())
                .count();
            let links = u32::try_from(inner).unwrap_or(u32::MAX).saturating_add(2);
            if let Some(node) = self.nodes.get_mut(ino) {
                node.nlink = links;
            }
        }
    }
}

/// The parts of a path within the image.
fn components(path: &[u8]) -> Result<Vec<&OsStr>> {
    ensure!(!path.is_empty(), "it has no name");
    ensure!(path.len() < 4096, "its name has {} bytes", path.len());
    ensure!(!path.contains(&0), "its name has a NUL in it");
    ensure!(
        !path.starts_with(b"/"),
        "its name begins at the root of the machine (tar without -P leaves the / out)"
    );
    let mut parts = Vec::new();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => bail!("its name has a \"..\" in it, and could lead out of the image"),
            part => {
                ensure!(
                    part.len() <= 255,
                    "a part of its name has {} bytes",
                    part.len()
                );
                parts.push(OsStr::from_bytes(part));
            }
        }
    }
    Ok(parts)
}

/// The object that an entry describes.
fn node_of(entry: Entry) -> Result<Node> {
    let is_directory = entry.kind == Kind::Directory;
    for (name, value) in &entry.xattrs {
        let mark = [&b"trusted.overlay."[..], b"user.overlay."]
            .iter()
            .any(|mark| name.as_bytes().starts_with(mark));
        ensure!(
            !mark || (name == OPAQUE && value == b"y" && is_directory),
            "it has the mark {name:?}, which means something of other layers: only whiteouts and opaque directories can be served"
        );
    }
    let what = match entry.kind {
        Kind::Directory => What::Directory(Vec::new()),
        Kind::File => What::File {
            offset: entry.data,
            size: entry.size,
        },
        Kind::Symlink => {
            ensure!(!entry.link.is_empty(), "a symbolic link to nothing");
            ensure!(
                entry.link.len() < 4096 && !entry.link.contains(&0),
                "the target of a symbolic link can't be one"
            );
            What::Symlink(OsStr::from_bytes(&entry.link).to_owned())
        }
        Kind::Character if entry.device == (0, 0) => return Ok(Node::whiteout()),
        Kind::Character => What::Character(entry.device.0, entry.device.1),
        Kind::Block => What::Block(entry.device.0, entry.device.1),
        Kind::Fifo => What::Fifo,
        Kind::HardLink => bail!("a hard link describes nothing"),
    };
    Ok(Node {
        what,
        mode: entry.mode,
        uid: entry.uid,
        gid: entry.gid,
        mtime: entry.mtime,
        xattrs: entry.xattrs,
        nlink: 1,
    })
}

#[cfg(test)]
#[path = "index_tests.rs"]
mod tests;
