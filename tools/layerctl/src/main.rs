// SPDX-License-Identifier: GPL-2.0-only

//! layerctl: looks into the layers of layerfs and overlayfs. See `Documentation/layerctl.rst`.
//!
//! The on-disk format is read with the crate that the module reads it with (`fs/format`). Layers may be damaged, and may be
//! made to harm: what is found in them is an answer or an error, never a panic.

#![forbid(unsafe_code)]
#![warn(rust_2018_idioms)]
#![cfg_attr(
    not(test),
    deny(
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::todo,
        clippy::unreachable,
        clippy::unwrap_used
    )
)]

mod apply;
mod check;
mod clone;
mod compress;
mod copy;
mod diff;
mod edit;
mod finalize;
#[cfg(feature = "generate")]
mod generate;
mod layer;
mod layers;
mod live;
mod marks;
mod merge;
mod mount;
mod mounts;
mod pax;
mod show;
mod stack;
mod stats;
mod text;
mod vacuum;
mod verity;
mod watch;
mod why;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use format::xattr::Namespace;
use indicatif::{ProgressBar, ProgressStyle};
use rustix::fs::FileType;
use serde::Serialize;
use stack::Stack;
use std::ffi::OsString;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::ExitCode;

/// Where answers go.
pub type Out = Box<dyn Write + Send>;

/// The size of a stack for walks through layers, in bytes. Only what is used of it takes memory.
const DEEP: usize = 512 << 20;

/// How a command ended that did what it was asked to do.
pub enum Outcome {
    Fine,
    /// Something is not there, or not as it should be.
    Findings,
}

/// Looks into the layers of layerfs and overlayfs
#[derive(Parser)]
#[command(
    version,
    after_help = "Exit status: 0 all is well, 1 something was found or is not there, 2 an error."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Which layer each part of a file comes from, and what its marks say
    #[command(
        after_help = "Examples:\n  layerctl why /mnt/etc/passwd\n  layerctl why --layers /upper:/lower2:/lower1 etc/passwd"
    )]
    Why(why::Args),
    /// Write what an upper directory changes as a layer of an OCI image
    #[command(
        after_help = "Examples:\n  layerctl diff /upper --lower /lower2:/lower1 -o layer.tar\n  layerctl diff /upper --lower /lower -o layer.tar.gz\n  layerctl diff /upper --lower /lower -o - --compress zstd:19 >layer"
    )]
    Diff(diff::Args),
    /// Make a layer of a layer of an OCI image, or apply it to a tree
    #[command(
        after_help = "Examples:\n  layerctl apply layer.tar /empty\n  layerctl apply --flat layer.tar.gz /tree\n  xzcat layer.tar.xz | layerctl apply - /empty"
    )]
    Apply(apply::Args),
    /// What is wrong with layers that nothing has mounted; with --repair, mend it
    #[command(
        after_help = "Examples:\n  layerctl check /upper:/lower2:/lower1 --workdir /work\n  layerctl check --no-upper /lower2:/lower1::/data\n  layerctl check --mount /mnt\n  layerctl check --repair --dry-run /upper:/lower --workdir /work\n\nExit status: 0 all is well, or was mended; 1 something was found, or with --repair is left; 2 an error."
    )]
    Check(check::Args),
    /// Make one layer of several, which in their place gives the same tree
    #[command(
        after_help = "Examples:\n  layerctl merge /layer3:/layer2 -o /merged\n  layerctl merge --bottom /layer2:/layer1::/data -o /merged\n\nExit status: 0 done, 1 interrupted, 2 an error."
    )]
    Merge(merge::Args),
    /// What is in a layer without an effect, such as whiteouts that hide nothing; with --apply, remove it
    #[command(
        after_help = "Examples:\n  layerctl vacuum /upper:/lower2:/lower1 --workdir /work\n  layerctl vacuum --same --apply /upper:/lower --workdir /work\n  layerctl vacuum --all --no-upper /lower2:/lower1"
    )]
    Vacuum(vacuum::Args),
    /// The stack of a mount: layers, options in effect, counters
    #[command(after_help = "Examples:\n  layerctl show\n  layerctl show --json /mnt")]
    Show(show::Args),
    /// Have lower layers not asked for names that upper lacks
    #[command(
        after_help = "Needs CAP_SYS_ADMIN. Example:\n  layerctl finalize -r /software\n\nExit status: 0 done, 1 interrupted, 2 an error."
    )]
    Finalize(finalize::Args),
    /// Copy a file by sharing its blocks, as it is at one moment, while it is in use
    #[command(after_help = "Example:\n  layerctl clone /mnt/image /mnt/image.copy")]
    Clone(clone::Args),
    /// The lower layers of a mount and who uses them; taking away, replacing, adding
    #[command(
        after_help = "Examples:\n  layerctl layers --users /mnt\n  layerctl layers shutdown /mnt /remote --wait\n  layerctl layers replace /mnt 0 /copy --timeout 5\n\nExit status: 0 done, 1 a layer that was taken away is in use, 2 an error."
    )]
    Layers(layers::Args),
    /// The counters of a mount, and how they change
    #[command(after_help = "Example:\n  layerctl stats /mnt --interval 1 --count 10")]
    Stats(stats::Args),
    /// What happens in mounts, as it happens; which directories are asked in vain the most
    #[command(
        after_help = "Needs root, and tracefs. Examples:\n  layerctl watch /mnt\n  layerctl watch /mnt --misses --duration 60\n  layerctl watch /mnt --finalize 1000"
    )]
    Watch(watch::Args),
}

/// The layers that a command looks at.
#[derive(clap::Args)]
pub struct Which {
    /// The layers from the top, as in the option lowerdir: UPPER:LOWER1:LOWER2::DATA
    #[arg(long, value_name = "LAYERS")]
    layers: Option<OsString>,
    /// The first of LAYERS is a lower one too
    #[arg(long, requires = "layers")]
    no_upper: bool,
    /// Marks are in user.overlay.* (for a mount, its options say so)
    #[arg(long, requires = "layers")]
    userxattr: bool,
}

/// Where marks are.
pub fn namespace(userxattr: bool) -> Namespace {
    if userxattr {
        Namespace::User
    } else {
        Namespace::Trusted
    }
}

impl Which {
    /// The stack, and the path within it.
    fn stack_and_path(&self, path: &Path) -> Result<(Stack, Vec<u8>)> {
        if let Some(layers) = &self.layers {
            let stack =
                Stack::of_list(layers.as_bytes(), !self.no_upper, namespace(self.userxattr))?;
            return Ok((stack, path.as_os_str().as_bytes().to_vec()));
        }
        let (mount, inside) = mounts::of_path(&mounts::all()?, &mounts::absolute(path)?)?;
        Ok((mount.stack()?, inside))
    }
}

/// The name of a type of file.
pub fn kind_name(kind: FileType) -> &'static str {
    match kind {
        FileType::Directory => "directory",
        FileType::RegularFile => "file",
        FileType::Symlink => "symbolic link",
        FileType::CharacterDevice => "character device",
        FileType::BlockDevice => "block device",
        FileType::Fifo => "fifo",
        FileType::Socket => "socket",
        FileType::Unknown => "something unknown",
    }
}

/// A count on the terminal, if standard error is one.
pub fn progress(what: &'static str) -> ProgressBar {
    let bar = ProgressBar::new_spinner().with_message(what);
    if let Ok(style) = ProgressStyle::with_template("{spinner} {human_pos} {msg}") {
        bar.set_style(style);
    }
    bar
}

pub fn print_json(out: &mut Out, answer: &impl Serialize) -> Result<()> {
    serde_json::to_writer_pretty(&mut *out, answer)?;
    writeln!(out)?;
    Ok(())
}

/// Does something that goes down into layers by calling itself: for as many directories in each other as a path can have.
fn deep(work: impl FnOnce() -> Result<Outcome> + Send) -> Result<Outcome> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(DEEP);
        let thread = thread
            .spawn_scoped(scope, work)
            .context("no thread can be started: is there memory?")?;
        match thread.join() {
            Ok(outcome) => outcome,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

fn run(cli: Cli, out: &mut Out) -> Result<Outcome> {
    let outcome = match cli.command {
        Command::Why(args) => why::run(args, out),
        Command::Diff(args) => deep(|| diff::run(args)),
        Command::Apply(args) => deep(|| apply::run(args)),
        Command::Check(args) => deep(|| check::run(args, out)),
        Command::Merge(args) => deep(|| merge::run(args, out)),
        Command::Vacuum(args) => deep(|| vacuum::run(args, out)),
        Command::Show(args) => show::run(args, out),
        Command::Finalize(args) => finalize::run(args, out),
        Command::Clone(args) => clone::run(args, out),
        Command::Layers(args) => layers::run(args, out),
        Command::Stats(args) => stats::run(args, out),
        Command::Watch(args) => watch::run(args, out),
    }?;
    out.flush()?;
    Ok(outcome)
}

/// Whether an error is that nobody reads the answer to its end, which is the reader's right.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let kind = |cause: &(dyn std::error::Error + 'static)| {
        let io = cause
            .downcast_ref::<std::io::Error>()
            .map(std::io::Error::kind);
        io.or_else(|| {
            cause
                .downcast_ref::<serde_json::Error>()
                .and_then(serde_json::Error::io_error_kind)
        })
    };
    error
        .chain()
        .any(|cause| kind(cause) == Some(std::io::ErrorKind::BrokenPipe))
}

/// What the command line says is done.
fn begin(arguments: Vec<OsString>) -> Result<Outcome> {
    // It is no command among the others: it would be in what it writes.
    #[cfg(feature = "generate")]
    if arguments.get(1).is_some_and(|word| word == "generate") {
        return generate::run(generate::Args::parse_from(arguments.into_iter().skip(1)));
    }
    let mut out: Out = Box::new(std::io::BufWriter::new(std::io::stdout()));
    run(Cli::parse_from(arguments), &mut out)
}

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    if let Some(fs_type) = arguments.first().and_then(|name| mount::called_as(name)) {
        return mount::main(fs_type, arguments);
    }
    match begin(arguments) {
        Ok(Outcome::Fine) => ExitCode::SUCCESS,
        Ok(Outcome::Findings) => ExitCode::from(1),
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("layerctl: {error:#}");
            ExitCode::from(2)
        }
    }
}
