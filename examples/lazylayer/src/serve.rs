// SPDX-License-Identifier: GPL-2.0-only

//! The image as a filesystem (FUSE). It can't be changed, so the kernel may keep whatever it was told.

use std::ffi::OsStr;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fuser::{
    Errno, FileAttr, FileHandle, FileType, Filesystem, Generation, INodeNo, KernelConfig,
    LockOwner, OpenFlags, ReplyAttr, ReplyData, ReplyDirectory, ReplyEntry, ReplyOpen, ReplyStatfs,
    ReplyXattr, Request,
};
use std::os::unix::ffi::OsStrExt;

use crate::archive::{Archive, Who};
use crate::calls::{count, Calls};
use crate::index::{Ino, Node, Time, What};

/// How long the kernel may keep an answer.
const KEPT: Duration = Duration::from_secs(86400);

pub struct Serve {
    pub archive: Arc<Archive>,
    pub calls: Arc<Calls>,
    /// Something in the image has extended attributes.
    pub has_xattrs: bool,
}

/// FUSE counts from 1, and 0 is nothing.
fn number(ino: Ino) -> INodeNo {
    INodeNo((ino as u64).saturating_add(1))
}

fn time(time: Time) -> SystemTime {
    let whole = Duration::from_secs(time.seconds.unsigned_abs());
    let second = match time.seconds {
        0.. => SystemTime::UNIX_EPOCH.checked_add(whole),
        _ => SystemTime::UNIX_EPOCH.checked_sub(whole),
    };
    let exact =
        second.and_then(|second| second.checked_add(Duration::from_nanos(time.nanoseconds.into())));
    exact.unwrap_or(SystemTime::UNIX_EPOCH)
}

fn kind(what: &What) -> FileType {
    match what {
        What::Directory(_) => FileType::Directory,
        What::File { .. } => FileType::RegularFile,
        What::Symlink(_) => FileType::Symlink,
        What::Character(..) | What::Whiteout => FileType::CharDevice,
        What::Block(..) => FileType::BlockDevice,
        What::Fifo => FileType::NamedPipe,
    }
}

fn attributes(ino: Ino, node: &Node) -> FileAttr {
    let size = match &node.what {
        What::File { size, .. } => *size,
        What::Symlink(target) => target.len() as u64,
        What::Directory(names) => names.len() as u64,
        _ => 0,
    };
    let rdev = match node.what {
        What::Character(major, minor) | What::Block(major, minor) => {
            (minor & 0xff) | (major << 8) | ((minor & !0xff) << 12)
        }
        _ => 0,
    };
    let mtime = time(node.mtime);
    FileAttr {
        ino: number(ino),
        size,
        blocks: size.div_ceil(512),
        atime: mtime,
        mtime,
        ctime: mtime,
        crtime: mtime,
        kind: kind(&node.what),
        perm: node.mode as u16,
        nlink: node.nlink,
        uid: node.uid,
        gid: node.gid,
        rdev,
        blksize: 4096,
        flags: 0,
    }
}

impl Serve {
    fn node(&self, ino: INodeNo) -> Option<(Ino, &Node)> {
        let ino = usize::try_from(ino.0).ok()?.checked_sub(1)?;
        Some((ino, self.archive.image.node(ino)?))
    }
}

/// An answer of a length that the caller may ask for first.
fn reply_xattr(value: &[u8], size: u32, reply: ReplyXattr) {
    match (u32::try_from(value.len()), size) {
        (Ok(length), 0) => reply.size(length),
        (Ok(length), size) if length <= size => reply.data(value),
        _ => reply.error(Errno::ERANGE),
    }
}

impl Filesystem for Serve {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        use fuser::InitFlags;
        // Each is used where the kernel has it.
        for wish in [
            InitFlags::FUSE_PARALLEL_DIROPS,
            InitFlags::FUSE_CACHE_SYMLINKS,
        ] {
            let _ = config.add_capabilities(wish);
        }
        let _ = config.set_max_readahead(1 << 20);
        Ok(())
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        count(&self.calls.lookup);
        self.archive.note_user();
        let Some((directory, _)) = self.node(parent) else {
            return reply.error(Errno::ENOENT);
        };
        self.archive.directory(directory, Who::User);
        let found = self.archive.image.child(directory, name);
        match found.and_then(|ino| Some((ino, self.archive.image.node(ino)?))) {
            Some((ino, node)) => reply.entry(&KEPT, &attributes(ino, node), Generation(0)),
            None => {
                // That a name is not there may be kept as well: the number 0 says so.
                let mut nothing = attributes(0, &Node::absent());
                nothing.ino = INodeNo(0);
                reply.entry(&KEPT, &nothing, Generation(0));
            }
        }
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        count(&self.calls.getattr);
        match self.node(ino) {
            Some((ino, node)) => reply.attr(&KEPT, &attributes(ino, node)),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn readlink(&self, _: &Request, ino: INodeNo, reply: ReplyData) {
        count(&self.calls.readlink);
        match self.node(ino).map(|(_, node)| &node.what) {
            Some(What::Symlink(target)) => reply.data(target.as_bytes()),
            _ => reply.error(Errno::EINVAL),
        }
    }

    // Said once, this holds for all files: the kernel opens them by itself, and keeps the pages that it has.
    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        count(&self.calls.open);
        reply.error(Errno::ENOSYS);
    }

    fn opendir(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        count(&self.calls.open);
        reply.error(Errno::ENOSYS);
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        count(&self.calls.read);
        self.archive.note_user();
        let Some((ino, _)) = self.node(ino) else {
            return reply.error(Errno::ENOENT);
        };
        match self.archive.read(ino, offset, size as usize, Who::User) {
            Ok(bytes) => reply.data(&bytes),
            Err(error) => {
                eprintln!("lazylayer: the archive can't be read: {error}");
                reply.error(Errno::EIO);
            }
        }
    }

    fn readdir(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        count(&self.calls.readdir);
        self.archive.note_user();
        let Some((directory, _)) = self.node(ino) else {
            return reply.error(Errno::ENOENT);
        };
        let Some(names) = self.archive.image.names(directory) else {
            return reply.error(Errno::ENOTDIR);
        };
        self.archive.directory(directory, Who::User);
        // The kernel asks for `.` and `..` too; which number `..` has, nobody looks at.
        let dots = [(OsStr::new("."), directory), (OsStr::new(".."), directory)];
        let names = names.iter().map(|(name, ino)| (name.as_os_str(), *ino));
        for (at, (name, ino)) in (1..)
            .zip(dots.into_iter().chain(names))
            .skip(usize::try_from(offset).unwrap_or(usize::MAX))
        {
            let Some(node) = self.archive.image.node(ino) else {
                continue;
            };
            if reply.add(number(ino), at, kind(&node.what), name) {
                break;
            }
        }
        reply.ok();
    }

    fn getxattr(&self, _: &Request, ino: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        count(&self.calls.getxattr);
        if !self.has_xattrs {
            // The kernel does not ask again.
            return reply.error(Errno::ENOSYS);
        }
        match self.node(ino).and_then(|(_, node)| node.xattr(name)) {
            Some(value) => reply_xattr(value, size, reply),
            None => reply.error(Errno::ENODATA),
        }
    }

    fn listxattr(&self, _: &Request, ino: INodeNo, size: u32, reply: ReplyXattr) {
        count(&self.calls.listxattr);
        if !self.has_xattrs {
            return reply.error(Errno::ENOSYS);
        }
        let Some((_, node)) = self.node(ino) else {
            return reply.error(Errno::ENOENT);
        };
        let mut list = Vec::new();
        for (name, _) in &node.xattrs {
            list.extend_from_slice(name.as_bytes());
            list.push(0);
        }
        reply_xattr(&list, size, reply);
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        count(&self.calls.statfs);
        let files = self.archive.image.len() as u64;
        reply.statfs(0, 0, 0, files, 0, 4096, 255, 4096);
    }
}
