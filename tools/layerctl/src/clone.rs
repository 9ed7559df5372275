// SPDX-License-Identifier: GPL-2.0-only

//! `layerctl clone`: a copy of a file that shares its blocks, made while the file is in use.
//!
//! The copy has no name until it is whole: whatever ends the command, no part of a copy stays.

use crate::live::{self, Stop};
use crate::text::shown;
use crate::{print_json, Out, Outcome};
use anyhow::{anyhow, bail, Context, Result};
use control::{clone_range, Errno, Range};
use indicatif::{ProgressBar, ProgressStyle};
use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags, CWD};
use serde::Serialize;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

#[derive(clap::Args)]
pub struct Args {
    /// The file to clone
    source: PathBuf,
    /// The name of the copy, on the same filesystem
    dest: PathBuf,
    /// Put the copy in the place of what has the name DEST
    #[arg(long)]
    force: bool,
    /// Clone in calls of so many milliseconds each: then parts of the copy are of several moments, and fit together only if
    /// nobody writes to SOURCE meanwhile
    #[arg(long, value_name = "MS", default_value_t = 0)]
    budget: u64,
    /// Any signal ends it, one that is caught or stops too
    #[arg(long)]
    interruptible: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Told {
    destination: String,
    bytes: u64,
    calls: u64,
    /// Whether all of it is as the source was at one moment.
    one_moment: bool,
    /// Which call made it.
    by: &'static str,
}

/// What errors mean here.
const MEANINGS: &[(Errno, &str)] = &[
    (
        Errno::XDEV,
        "SOURCE and DEST must be in one mount of one filesystem, and their data on one: copy it with cp",
    ),
    (
        Errno::OPNOTSUPP,
        "the filesystem can't share blocks between files: copy it with cp",
    ),
    (
        Errno::NOTTY,
        "the filesystem can't share blocks between files: copy it with cp",
    ),
    (
        Errno::PERM,
        "SOURCE or its layer does not let it be cloned (is it immutable, or append-only?)",
    ),
    (Errno::INTR, "it was interrupted; nothing was made"),
    (
        Errno::DEADLK,
        "somebody who writes to SOURCE waits for himself: end that, and try again",
    ),
];

pub fn run(args: Args, out: &mut Out) -> Result<Outcome> {
    let source = File::open(&args.source)
        .with_context(|| format!("{}: can't be read", args.source.display()))?;
    let about = source.metadata()?;
    if !about.is_file() {
        bail!(
            "{}: only regular files can be cloned",
            args.source.display()
        );
    }
    let stop = args.interruptible.then(Stop::on_signals).transpose()?;
    let mut copy = Copy::new(&args.dest, args.force)?;
    let told = fill(&source, &copy.file, about.len(), &args, stop.as_ref())?;
    copy.publish(&args.dest, about.mode() & 0o777, args.force)?;
    if args.json {
        print_json(out, &told)?;
        return Ok(Outcome::Fine);
    }
    let moments = if told.one_moment {
        "as it was at one moment".to_owned()
    } else {
        format!("of {} moments", told.calls)
    };
    writeln!(out, "{}: {} bytes, {moments}", told.destination, told.bytes)?;
    Ok(Outcome::Fine)
}

/// Clones, and shows meanwhile how far it is.
fn fill(source: &File, copy: &File, size: u64, args: &Args, stop: Option<&Stop>) -> Result<Told> {
    let bar = ProgressBar::new(size);
    let style = ProgressStyle::with_template("{bar:40} {binary_bytes}/{binary_total_bytes} {eta}");
    if let Ok(style) = style {
        bar.set_style(style);
    }
    let (is_over, done) = (AtomicBool::new(false), AtomicU64::new(0));
    // The call is made by the first thread, which gets the signals.
    let told = std::thread::scope(|scope| {
        if !bar.is_hidden() {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    // The size grows while a call goes on.
                    let size = copy.metadata().map_or(0, |about| about.len());
                    bar.set_position(size.max(done.load(Ordering::Relaxed)));
                    std::thread::sleep(Duration::from_millis(100));
                }
            });
        }
        let told = calls(source, copy, args, stop, &done);
        is_over.store(true, Ordering::Relaxed);
        told
    });
    bar.finish_and_clear();
    told
}

fn calls(
    source: &File,
    copy: &File,
    args: &Args,
    stop: Option<&Stop>,
    done: &AtomicU64,
) -> Result<Told> {
    let failed = |error| live::failed(&args.source, "it can't be cloned", error, MEANINGS);
    let mut told = Told {
        destination: shown(args.dest.as_os_str().as_bytes()),
        bytes: 0,
        calls: 0,
        one_moment: true,
        by: "LAYERFS_IOC_CLONE_RANGE2",
    };
    loop {
        let range = Range {
            src_offset: told.bytes,
            dest_offset: told.bytes,
            interruptible: args.interruptible,
            time_budget_ms: args.budget,
            ..Range::default()
        };
        let cloned = match clone_range(copy, source, range) {
            Ok(cloned) => cloned,
            Err(other) if other.error == Errno::NOTTY && told.calls == 0 => {
                rustix::fs::ioctl_ficlone(copy, source).map_err(failed)?;
                told.by = "FICLONE";
                told.bytes = copy.metadata()?.len();
                told.calls = 1;
                return Ok(told);
            }
            Err(other) => return Err(failed(other.error)),
        };
        told.calls = told.calls.saturating_add(1);
        told.bytes = told.bytes.saturating_add(cloned.bytes);
        told.one_moment = told.calls == 1;
        done.store(told.bytes, Ordering::Relaxed);
        if cloned.is_done {
            // Of a source that ends in the middle of a block, the rest of the block may count.
            told.bytes = copy.metadata()?.len();
            return Ok(told);
        }
        let is_stopped = stop.is_some_and(Stop::is_wanted);
        if is_stopped || args.budget == 0 || cloned.bytes == 0 {
            // Another call would be of another moment, which nobody asked for.
            return Err(failed(Errno::INTR));
        }
    }
}

/// A copy that has no name yet, or one of its own.
struct Copy {
    file: File,
    /// A name that is not the last one, while there is one.
    temporary: Option<PathBuf>,
}

impl Copy {
    fn new(dest: &Path, force: bool) -> Result<Copy> {
        match dest.symlink_metadata() {
            Ok(about) if about.is_dir() => bail!(
                "{}: is a directory: say what the copy is to be called in it",
                dest.display()
            ),
            Ok(_) if !force => return Err(exists(dest)),
            _ => {}
        }
        let dir = directory(dest);
        let open = |path: &Path, flags| {
            let flags = OFlags::RDWR | OFlags::CLOEXEC | flags;
            rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)
        };
        let (file, temporary) = match open(dir, OFlags::TMPFILE) {
            Ok(file) => (file, None),
            // The filesystem has no files without a name.
            Err(Errno::OPNOTSUPP | Errno::ISDIR) => {
                let name = temporary_in(dir);
                let file = open(&name, OFlags::CREATE | OFlags::EXCL).with_context(|| {
                    format!(
                        "{}: no file can be made in it; if there is one called .layerctl-*, it is left over",
                        dir.display()
                    )
                })?;
                (file, Some(name))
            }
            Err(error) => {
                return Err(error)
                    .with_context(|| format!("{}: no file can be made in it", dir.display()))
            }
        };
        Ok(Copy {
            file: file.into(),
            temporary,
        })
    }

    /// Gives the copy its name.
    fn publish(&mut self, dest: &Path, mode: u32, force: bool) -> Result<()> {
        let named = |error: Errno| match error {
            Errno::EXIST => exists(dest),
            _ => anyhow!("{}: the copy can't get this name: {error}", dest.display()),
        };
        rustix::fs::fchmod(&self.file, Mode::from_raw_mode(mode)).map_err(named)?;
        let nameless = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        let link = |to: &Path| {
            rustix::fs::linkat(CWD, nameless.as_str(), CWD, to, AtFlags::SYMLINK_FOLLOW)
        };
        if self.temporary.is_none() {
            match link(dest) {
                Err(Errno::EXIST) if force => {
                    let name = temporary_in(directory(dest));
                    link(&name).map_err(named)?;
                    self.temporary = Some(name);
                }
                linked => return linked.map_err(named),
            }
        }
        if let Some(name) = &self.temporary {
            let flags = if force {
                RenameFlags::empty()
            } else {
                RenameFlags::NOREPLACE
            };
            rustix::fs::renameat_with(CWD, name, CWD, dest, flags).map_err(named)?;
            self.temporary = None;
        }
        Ok(())
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        if let Some(name) = &self.temporary {
            let _ = std::fs::remove_file(name);
        }
    }
}

fn exists(dest: &Path) -> anyhow::Error {
    anyhow!(
        "{}: is there already: name another, or replace it with --force",
        dest.display()
    )
}

/// The directory that a name is in.
fn directory(dest: &Path) -> &Path {
    match dest.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn temporary_in(dir: &Path) -> PathBuf {
    dir.join(format!(".layerctl-{}", std::process::id()))
}
