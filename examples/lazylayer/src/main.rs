// SPDX-License-Identifier: GPL-2.0-only

//! An image that is used before it is there. This program shows a tar archive as a filesystem (FUSE), behind a link that is as
//! slow as one wants, while it fills a local directory with the same; both are layers of one layerfs mount, the
//! local one on top. When all is there, it has its own layer taken out of the mount, waits for the last who uses it,
//! unmounts its filesystem and ends. What runs in the mount goes on, on the local directory alone.
//!
//!     lazylayer serve image.tar remote --fill local --stack merged &
//!     mount -t layerfs -o lowerdir=local:$PWD/remote,upperdir=upper,workdir=work none merged
//!
//! `headers` and `index`: what is in the archive. `link` and `archive`: how it comes here. `serve`: the filesystem. `fill`: the local
//! directory. `stack`: what the mount is told. Killed in the middle, it goes on where it was when it is started again.

#![forbid(unsafe_code)]

mod archive;
mod calls;
mod fill;
mod headers;
mod index;
mod link;
mod serve;
mod stack;

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{mpsc, Arc};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use rustix::mount::{unmount, UnmountFlags};

use archive::Archive;
use calls::Calls;
use fill::{Filler, Progress};
use link::Link;
use stack::Stack;

/// An image that is used before it is there.
#[derive(Parser)]
struct Command {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Shows an archive as a filesystem, fills a directory with it meanwhile, and leaves when that is full
    Serve(ServeOptions),
    /// Fills a directory with an archive, and nothing else
    Pull {
        archive: PathBuf,
        directory: PathBuf,
        #[command(flatten)]
        link: LinkOptions,
    },
    /// Says what is in an archive, or what is wrong with it
    Check { archive: PathBuf },
}

#[derive(Args)]
struct LinkOptions {
    /// How long an answer takes, in milliseconds
    #[arg(long, default_value_t = 20)]
    latency: u64,
    /// How much comes in a second, in MiB; 0: as much as there is
    #[arg(long, default_value_t = 0.0)]
    bandwidth: f64,
}

#[derive(Args)]
struct ServeOptions {
    /// A tar archive; it may be a layer of an OCI image
    archive: PathBuf,
    /// Where it is shown
    mountpoint: PathBuf,
    #[command(flatten)]
    link: LinkOptions,
    /// The directory that is filled; without it, the filesystem is there for ever
    #[arg(long, requires = "stack")]
    fill: Option<PathBuf>,
    /// Where files are made before they get their names, on the same filesystem [default: the directory's name and ".staging"]
    #[arg(long)]
    staging: Option<PathBuf>,
    /// Where the layerfs mount is, or will be
    #[arg(long)]
    stack: Option<PathBuf>,
    /// What that calls the layer of this program [default: the mountpoint]
    #[arg(long)]
    layer: Option<OsString>,
    /// How many files get their names together
    #[arg(long, default_value_t = 256)]
    batch: usize,
    /// Filling begins after so many milliseconds
    #[arg(long, default_value_t = 0)]
    wait: u64,
    /// How many requests are answered at the same time
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=64))]
    threads: u16,
    /// A file in which what it was asked for is counted
    #[arg(long)]
    stats: Option<PathBuf>,
    /// The program that makes calls to the layerfs mount [default: "layers", beside this one]
    #[arg(long)]
    tool: Option<PathBuf>,
}

/// To whom it may concern; nobody reading it is no reason to end. It is one write: the end of the process cuts nothing off.
fn say(text: &str) {
    let _ = std::io::stderr().write_all(format!("lazylayer: {text}\n").as_bytes());
}

impl LinkOptions {
    fn link(&self) -> Link {
        Link::new(Duration::from_millis(self.latency), self.bandwidth)
    }
}

fn open(path: &Path, link: Link) -> Result<Archive> {
    let archive = Archive::open(path, link)?;
    if !archive.image.notes.is_empty() {
        say(&format!("left out: {}", archive.image.notes.join(", ")));
    }
    Ok(archive)
}

fn main() -> std::process::ExitCode {
    let result = match Command::parse().what {
        What::Serve(options) => serve(options),
        What::Pull {
            archive,
            directory,
            link,
        } => pull(&archive, &directory, link.link()),
        What::Check { archive } => check(&archive),
    };
    match result {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("{error:#}"));
            std::process::ExitCode::FAILURE
        }
    }
}

fn check(path: &Path) -> Result<()> {
    let archive = open(path, Link::new(Duration::ZERO, 0.0))?;
    let (mut directories, mut files, mut bytes) = (0u64, 0u64, 0u64);
    for node in archive.image.nodes() {
        match node.what {
            index::What::Directory(_) => directories += 1,
            index::What::File { size, .. } => {
                (files, bytes) = (files + 1, bytes.saturating_add(size))
            }
            _ => {}
        }
    }
    let others = archive.image.len() as u64 - directories - files;
    writeln!(
        std::io::stdout(),
        "{directories} directories, {files} files with {bytes} bytes, {others} others"
    )?;
    Ok(())
}

fn pull(path: &Path, directory: &Path, link: Link) -> Result<()> {
    let archive = open(path, link)?;
    let progress = Progress::default();
    Filler::new(
        &archive,
        &progress,
        directory,
        &fill::staging_beside(directory)?,
        None,
    )?
    .fill(&mut || Ok(()))
}

/// A mount whose daemon has died is in the way of the next one. (Attributes may be cached; this is asked each time.)
fn clear(mountpoint: &Path) -> Result<()> {
    use rustix::io::Errno;
    let is_dead = || {
        matches!(
            rustix::fs::statfs(mountpoint),
            Err(Errno::NOTCONN | Errno::CONNABORTED)
        )
    };
    while is_dead() {
        let done = unmount(mountpoint, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW);
        done.with_context(|| format!("{}", mountpoint.display()))?;
    }
    Ok(())
}

fn serve(options: ServeOptions) -> Result<()> {
    let archive = Arc::new(open(&options.archive, options.link.link())?);
    clear(&options.mountpoint)?;
    let context = || format!("{}", options.mountpoint.display());
    // A path that no later change of directory changes.
    let mountpoint = options.mountpoint.canonicalize().with_context(context)?;
    let stack = stack_of(&options, &mountpoint)?;
    let progress = Arc::new(Progress::default());
    let calls = Arc::new(Calls::default());
    let session = mount(&options, &mountpoint, &archive, &calls).with_context(context)?;
    let session = session.spawn()?;
    end_on_signal(mountpoint.clone())?;
    if let Some(stack) = &stack {
        if stack.take_over(mountpoint.as_os_str())? {
            say("the mount's layer is this one now");
        }
    }
    // Not before: a stack that is mounted now has this layer.
    say(&format!("{} is ready", mountpoint.display()));
    let counting = options
        .stats
        .clone()
        .map(|path| Counting::begin(path, &archive, &calls, &progress));
    let filled = match stack {
        None => Ok(()),
        Some(stack) => fill_and_leave(&options, &archive, &progress, &stack, &mountpoint),
    };
    if let Err(error) = &filled {
        // Whoever uses the layer still needs it.
        say(&format!("it goes on without filling: {error:#}"));
    }
    session.join()?;
    if let Some(counting) = counting {
        counting.end()?;
    }
    filled
}

/// What was asked for is told in a file, ten times a second, by a thread of its own.
struct Counting {
    /// Nothing is sent: dropped, it ends the thread.
    on: mpsc::Sender<()>,
    thread: thread::JoinHandle<Result<()>>,
}

impl Counting {
    fn begin(
        path: PathBuf,
        archive: &Arc<Archive>,
        calls: &Arc<Calls>,
        progress: &Arc<Progress>,
    ) -> Self {
        let (archive, calls, progress) = (archive.clone(), calls.clone(), progress.clone());
        let tell = move || {
            let (requests, bytes) = archive.link.used();
            let objects = progress.objects.load(std::sync::atomic::Ordering::Relaxed);
            calls::publish(
                &path,
                &format!(
                    "{}requests {requests}\nbytes {bytes}\nfilled {objects}\n",
                    calls.lines()
                ),
            )
        };
        let (on, off) = mpsc::channel();
        let thread = thread::spawn(move || {
            while off.recv_timeout(Duration::from_millis(100))
                == Err(mpsc::RecvTimeoutError::Timeout)
            {
                if let Err(error) = tell() {
                    say(&format!("{error:#}"));
                    return Ok(());
                }
            }
            // No other thread writes the file, so the last word is the whole of it.
            tell()
        });
        Self { on, thread }
    }

    /// Tells it for the last time.
    fn end(self) -> Result<()> {
        drop(self.on);
        self.thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

fn stack_of(options: &ServeOptions, mountpoint: &Path) -> Result<Option<Stack>> {
    let Some(mount) = &options.stack else {
        return Ok(None);
    };
    let tool = match &options.tool {
        Some(tool) => tool.clone(),
        None => std::env::current_exe()?.with_file_name("layers"),
    };
    Ok(Some(Stack {
        tool,
        mount: std::path::absolute(mount)?,
        layer: options
            .layer
            .clone()
            .unwrap_or_else(|| mountpoint.as_os_str().to_owned()),
    }))
}

fn mount(
    options: &ServeOptions,
    mountpoint: &Path,
    archive: &Arc<Archive>,
    calls: &Arc<Calls>,
) -> Result<fuser::Session<serve::Serve>> {
    use fuser::MountOption;
    let filesystem = serve::Serve {
        archive: archive.clone(),
        calls: calls.clone(),
        has_xattrs: archive.image.nodes().any(|node| !node.xattrs.is_empty()),
    };
    let mut config = fuser::Config::default();
    config.mount_options = vec![
        MountOption::FSName("lazylayer".into()),
        MountOption::RO,
        MountOption::Suid,
        MountOption::Dev,
        MountOption::DefaultPermissions,
    ];
    config.acl = fuser::SessionACL::All;
    config.n_threads = Some(options.threads.into());
    Ok(fuser::Session::new(filesystem, mountpoint, &config)?)
}

/// Who ends this process gets the mountpoint back.
fn end_on_signal(mountpoint: PathBuf) -> Result<()> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])?;
    thread::spawn(move || {
        if signals.forever().next().is_some() {
            let _ = unmount(&mountpoint, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW);
            say("ended by a signal");
            std::process::exit(1);
        }
    });
    Ok(())
}

/// Fills the directory, has the layer taken out of the stack, and ends the filesystem.
fn fill_and_leave(
    options: &ServeOptions,
    archive: &Archive,
    progress: &Progress,
    stack: &Stack,
    mountpoint: &Path,
) -> Result<()> {
    let Some(directory) = &options.fill else {
        return Ok(());
    };
    thread::sleep(Duration::from_millis(options.wait));
    // This thread alone, and the tool that it calls; those that answer programs keep what they have.
    rustix::process::nice(19).context("the filler's priority")?;
    let begin = Instant::now();
    let staging = match &options.staging {
        Some(staging) => staging.clone(),
        None => fill::staging_beside(directory)?,
    };
    let filler = Filler::new(
        archive,
        progress,
        directory,
        &staging,
        Some(options.batch.max(1)),
    )?;
    filler.fill(&mut || stack.filled())?;
    say(&format!(
        "all is there after {:.1} s",
        begin.elapsed().as_secs_f64()
    ));
    stack.shut_down()?;
    unmount(mountpoint, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW)
        .with_context(|| format!("{}", mountpoint.display()))?;
    say("the layer is shut down");
    Ok(())
}
