// SPDX-License-Identifier: GPL-2.0-only

//! A filesystem that is being configured (`fsopen(2)`, `fspick(2)`), and what the kernel says meanwhile.

use super::options::Setting;
use super::{Failed, Teller, FAILED, SYSTEM, USAGE};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags, CWD};
use rustix::io::Errno;
use rustix::mount::{
    fsconfig_create, fsconfig_reconfigure, fsconfig_set_fd, fsconfig_set_flag, fsconfig_set_string,
    fsopen, fspick, FsOpenFlags, FsPickFlags,
};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

pub struct Context<'a> {
    fd: OwnedFd,
    teller: &'a Teller,
    fs_type: &'a str,
    /// Options that nobody knows are passed over.
    sloppy: bool,
}

/// What the kernel has said: errors, and all else.
#[derive(Default)]
struct Said {
    errors: Vec<String>,
    warnings: Vec<String>,
    notes: Vec<String>,
}

impl<'a> Context<'a> {
    fn of(fd: OwnedFd, teller: &'a Teller, fs_type: &'a str, sloppy: bool) -> Self {
        Context {
            fd,
            teller,
            fs_type,
            sloppy,
        }
    }

    /// Begins a new one.
    pub fn open(teller: &'a Teller, fs_type: &'a str, sloppy: bool) -> Result<Self, Failed> {
        let fd = fsopen(fs_type, FsOpenFlags::FSOPEN_CLOEXEC).map_err(|errno| match errno {
            Errno::NODEV => Failed::new(
                FAILED,
                format!("the kernel has no filesystem '{fs_type}': load its module first ('modprobe {fs_type}', or insmod the one that was built for this kernel)"),
            ),
            Errno::PERM => Failed::new(
                USAGE,
                "may not be mounted by this user: be root, or use a user namespace ('unshare -Urm')".to_owned(),
            ),
            Errno::NOSYS => Failed::new(
                FAILED,
                "the kernel is too old: it has no fsopen(2), which Linux has since 5.2".to_owned(),
            ),
            _ => failed("fsopen", errno),
        })?;
        Ok(Self::of(fd, teller, fs_type, sloppy))
    }

    /// Takes the one that is mounted somewhere.
    pub fn pick(
        teller: &'a Teller,
        fs_type: &'a str,
        sloppy: bool,
        dir: &Path,
    ) -> Result<Self, Failed> {
        let flags = FsPickFlags::FSPICK_CLOEXEC | FsPickFlags::FSPICK_NO_AUTOMOUNT;
        let fd = fspick(CWD, dir, flags).map_err(|errno| match errno {
            Errno::INVAL => Failed::new(
                FAILED,
                "nothing is mounted there that could be mounted anew: see 'findmnt'".to_owned(),
            ),
            Errno::PERM => Failed::new(
                USAGE,
                "may not be changed by this user: be who mounted it, or root".to_owned(),
            ),
            _ => failed("fspick", errno),
        })?;
        Ok(Self::of(fd, teller, fs_type, sloppy))
    }

    pub fn set(&self, setting: &Setting) -> Result<(), Failed> {
        let text = setting.told();
        self.teller.step(&setting.step());
        let result = match setting {
            Setting::Flag(key) => fsconfig_set_flag(&self.fd, key.as_slice()),
            Setting::Text(key, value) => {
                fsconfig_set_string(&self.fd, key.as_slice(), value.as_slice())
            }
            Setting::Dir(key, path) => {
                let dir = open_dir(path)
                    .map_err(|errno| failed(&format!("{text} can't be opened"), errno))?;
                fsconfig_set_fd(&self.fd, key.as_slice(), dir)
            }
        };
        let said = self.listen();
        let is_unknown = |text: &String| text.starts_with("Unknown parameter");
        if self.sloppy && result.is_err() && said.errors.iter().any(is_unknown) {
            self.teller
                .step(&format!("{text}: is not known, and passed over"));
            return Ok(());
        }
        self.end(&text, result, said)
    }

    pub fn create(&self) -> Result<(), Failed> {
        let result = fsconfig_create(&self.fd);
        self.end("to set the filesystem up", result, self.listen())
    }

    pub fn reconfigure(&self) -> Result<(), Failed> {
        let result = fsconfig_reconfigure(&self.fd);
        self.end("to change the filesystem", result, self.listen())
    }

    /// Tells what was said, and what a step came to.
    fn end(&self, what: &str, result: Result<(), Errno>, said: Said) -> Result<(), Failed> {
        for warning in &said.warnings {
            self.teller.warn(warning);
        }
        for note in &said.notes {
            self.teller.step(note);
        }
        let Err(errno) = result else {
            // An error that stopped nothing is worth no more.
            for error in &said.errors {
                self.teller.warn(error);
            }
            return Ok(());
        };
        if said.errors.is_empty() {
            let mut failed = failed(what, errno);
            if self.fs_type == "overlay" {
                failed
                    .text
                    .push_str("; the kernel's log may say why ('dmesg')");
            }
            return Err(failed);
        }
        Err(Failed {
            status: status_of(errno),
            text: said.errors.join("; "),
        })
    }

    /// Reads what the kernel has to say. Each read gives one message: a letter for its kind, and the text.
    fn listen(&self) -> Said {
        let mut said = Said::default();
        let mut buffer = [0; 8192];
        while let Ok(length) = rustix::io::read(&self.fd, &mut buffer) {
            let message = buffer.get(..length).unwrap_or_default().trim_ascii_end();
            let Some((kind, text)) = message.split_first() else {
                break;
            };
            let list = match kind {
                b'e' => &mut said.errors,
                b'w' => &mut said.warnings,
                _ => &mut said.notes,
            };
            list.push(printable(text, self.fs_type));
        }
        said
    }
}

impl AsFd for Context<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// A message without the name of the filesystem at its beginning, and as one line of text.
fn printable(text: &[u8], fs_type: &str) -> String {
    let text = String::from_utf8_lossy(text.trim_ascii_start());
    let text = text
        .strip_prefix(fs_type)
        .and_then(|text| text.strip_prefix(": "))
        .unwrap_or(&text);
    text.chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

fn open_dir(path: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(OsStr::from_bytes(path), flags, Mode::empty())
}

/// A step that did not succeed for a reason of which no more than a number is known.
pub fn failed(what: &str, errno: Errno) -> Failed {
    Failed::new(
        status_of(errno),
        format!("{what}: {}", std::io::Error::from(errno)),
    )
}

fn status_of(errno: Errno) -> u8 {
    match errno {
        Errno::NOMEM | Errno::MFILE | Errno::NFILE => SYSTEM,
        _ => FAILED,
    }
}
