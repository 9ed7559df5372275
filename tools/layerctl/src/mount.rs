// SPDX-License-Identifier: GPL-2.0-only

//! mount.layerfs: the program that `mount(8)` leaves a filesystem of this type to, if it is at `/sbin/mount.layerfs`.
//!
//! `fsconfig(2)` takes strings of up to 255 bytes, and `mount(8)` gives it `lowerdir=` as one. This gives a long list
//! layer by layer (`options.rs`), opens what is longer by itself, and tells what the kernel says (`context.rs`).

mod context;
mod generic;
mod options;

use anyhow::{Context as _, Result};
use clap::Parser;
use context::{failed, Context};
use options::{Request, Setting, LONGEST};
use rustix::fd::AsFd;
use rustix::fs::CWD;
use rustix::io::Errno;
use rustix::mount::{fsmount, mount_remount, move_mount, FsMountFlags, MountFlags, MoveMountFlags};
use rustix::thread::{move_into_link_name_space, LinkNameSpaceType};
use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What `mount(8)` says that its own exit status means, and that of such a program.
const USAGE: u8 = 1;
const SYSTEM: u8 = 2;
const FAILED: u8 = 32;

/// The filesystems that are made of layers, whose options are known here.
const TYPES: [&str; 2] = ["layerfs", "overlay"];

/// Mounts layers; mount(8) calls this
#[derive(Parser)]
#[command(
    name = "mount.layerfs",
    version,
    override_usage = "mount.layerfs SPEC DIR [-sfnv] [-N NAMESPACE] [-o OPTIONS] [-t TYPE]",
    after_help = "Exit status, as of mount(8): 0 mounted, 1 usage or permissions, 2 a system error, 32 not mounted."
)]
struct Cli {
    /// What is shown as the device; it means nothing
    #[arg(value_name = "SPEC")]
    source: OsString,
    /// Where to mount
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Pass over options that the kernel does not know
    #[arg(short)]
    sloppy: bool,
    /// Read the options, and mount nothing
    #[arg(short)]
    fake: bool,
    /// Without a meaning: there is no mtab to write
    #[arg(short)]
    no_mtab: bool,
    /// Tell what is done
    #[arg(short)]
    verbose: bool,
    /// Mount in this mount namespace: a process id, or a file as /proc/PID/ns/mnt
    #[arg(short = 'N', value_name = "NAMESPACE")]
    namespace: Option<OsString>,
    /// Options, with commas between
    #[arg(short, value_name = "OPTIONS")]
    options: Vec<OsString>,
    /// The type of the filesystem; what follows a dot is ignored
    #[arg(short = 't', value_name = "TYPE")]
    fs_type: Option<String>,
}

/// Why it was not mounted.
pub struct Failed {
    status: u8,
    text: String,
}

impl Failed {
    fn new(status: u8, text: String) -> Self {
        Failed { status, text }
    }
}

/// Whoever calls it with wrong words.
impl From<anyhow::Error> for Failed {
    fn from(error: anyhow::Error) -> Self {
        Failed::new(USAGE, format!("{error:#}"))
    }
}

/// Says things in the name of the program.
struct Teller {
    /// The program, and where it mounts.
    name: String,
    verbose: bool,
}

impl Teller {
    /// What is done, if somebody wants to know.
    fn step(&self, text: &str) {
        if self.verbose {
            // Nothing is less done because nobody reads it.
            let _ = writeln!(std::io::stdout(), "{}: {text}", self.name);
        }
    }

    fn warn(&self, text: &str) {
        self.error(&format!("warning: {text}"));
    }

    fn error(&self, text: &str) {
        let _ = writeln!(std::io::stderr(), "{}: {text}", self.name);
    }
}

/// The type of filesystem that a program of this name mounts, if it does.
pub fn called_as(program: &OsStr) -> Option<&'static str> {
    let name = Path::new(program).file_name()?.to_str()?;
    let fs_type = name.strip_prefix("mount.")?;
    TYPES.into_iter().find(|known| *known == fs_type)
}

/// Returns the command line, for its man page.
#[cfg(feature = "generate")]
pub fn command() -> clap::Command {
    <Cli as clap::CommandFactory>::command()
}

/// Does what the arguments say, the first of which is the program's name.
pub fn main(fs_type: &'static str, arguments: Vec<OsString>) -> ExitCode {
    let program = format!("mount.{fs_type}");
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { USAGE } else { 0 });
        }
    };
    let teller = Teller {
        name: format!("{program}: {}", cli.dir.display()),
        verbose: cli.verbose,
    };
    match run(&cli, &teller, fs_type) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            teller.error(&failed.text);
            ExitCode::from(failed.status)
        }
    }
}

fn run(cli: &Cli, teller: &Teller, fs_type: &'static str) -> Result<(), Failed> {
    let fs_type = match &cli.fs_type {
        Some(wanted) => known_type(wanted)?,
        None => fs_type,
    };
    let request = options::read(&cli.options.join(OsStr::new(",")).into_encoded_bytes())?;
    if cli.source.len() > LONGEST {
        let text =
            format!("SPEC is longer than {LONGEST} bytes; it means nothing, so take a short one");
        return Err(Failed::new(USAGE, text));
    }
    if let Some(namespace) = &cli.namespace {
        enter(namespace)?;
    }
    if cli.fake {
        fake(teller, &request);
        return Ok(());
    }
    check_dir(&cli.dir)?;
    if request.remount {
        change(cli, teller, fs_type, &request)
    } else {
        mount(cli, teller, fs_type, &request)
    }
}

/// The type that `-t` asks for.
fn known_type(wanted: &str) -> Result<&'static str> {
    let main = wanted.split('.').next().unwrap_or_default();
    let found = TYPES.into_iter().find(|known| *known == main);
    found.with_context(|| {
        format!(
            "-t {wanted}: this program mounts {}, and nothing else",
            TYPES.join(" and ")
        )
    })
}

/// Goes to another mount namespace, and there to the same directory, if it has that.
fn enter(namespace: &OsStr) -> Result<(), Failed> {
    let is_number = namespace.as_bytes().iter().all(u8::is_ascii_digit);
    let file = if is_number {
        Path::new("/proc").join(namespace).join("ns/mnt")
    } else {
        PathBuf::from(namespace)
    };
    let here = std::env::current_dir();
    let refused = |error: std::io::Error| {
        let text = format!(
            "-N {}: the mount namespace can't be entered: {error}",
            file.display()
        );
        Failed::new(USAGE, text)
    };
    let opened = std::fs::File::open(&file).map_err(refused)?;
    move_into_link_name_space(opened.as_fd(), Some(LinkNameSpaceType::Mount))
        .map_err(|errno| refused(errno.into()))?;
    if let Ok(here) = here {
        // If there is no such directory there, relative paths begin at the root.
        let _ = std::env::set_current_dir(here);
    }
    Ok(())
}

fn check_dir(dir: &Path) -> Result<(), Failed> {
    let why = match dir.metadata() {
        Ok(found) if found.is_dir() => return Ok(()),
        Ok(_) => "is no directory: layers are mounted on one".to_owned(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            "there is no such directory to mount on: make it ('mkdir')".to_owned()
        }
        Err(error) => format!("can't be mounted on: {error}"),
    };
    Err(Failed::new(FAILED, why))
}

/// Says what would be done.
fn fake(teller: &Teller, request: &Request) {
    for setting in &request.settings {
        teller.step(&setting.step());
    }
    for flag in &request.flags {
        teller.step(flag);
    }
    teller.step("nothing was mounted, as -f says");
}

fn configure(context: &Context<'_>, flags: &[&str], settings: &[Setting]) -> Result<(), Failed> {
    for setting in settings {
        context.set(setting)?;
    }
    for flag in flags {
        context.set(&Setting::Flag(flag.as_bytes().to_vec()))?;
    }
    Ok(())
}

fn mount(cli: &Cli, teller: &Teller, fs_type: &str, request: &Request) -> Result<(), Failed> {
    let context = Context::open(teller, fs_type, cli.sloppy)?;
    if !cli.source.is_empty() {
        let source = cli.source.as_bytes().to_vec();
        context.set(&Setting::Text(b"source".to_vec(), source))?;
    }
    configure(&context, &request.flags, &request.settings)?;
    context.create()?;
    let attributes = request.attributes.for_new();
    let mount = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
        .map_err(|errno| failed("fsmount", errno))?;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH
        | MoveMountFlags::MOVE_MOUNT_T_SYMLINKS
        | MoveMountFlags::MOVE_MOUNT_T_AUTOMOUNTS;
    move_mount(&mount, c"", CWD, &cli.dir, flags)
        .map_err(|errno| failed("can't be mounted on", errno))?;
    teller.step(&format!("{fs_type} is mounted"));
    Ok(())
}

/// Changes a mount, and the filesystem that it is of.
fn change(cli: &Cli, teller: &Teller, fs_type: &str, request: &Request) -> Result<(), Failed> {
    if !request.bind {
        let context = Context::pick(teller, fs_type, cli.sloppy, &cli.dir)?;
        // Overlayfs refuses all options here, also those that change nothing.
        let settings = match fs_type {
            "overlay" => &[],
            _ => request.settings.as_slice(),
        };
        configure(&context, &request.flags, settings)?;
        context.reconfigure()?;
    }
    let flags = MountFlags::BIND | request.attributes.for_change();
    mount_remount(&cli.dir, flags, c"").map_err(|errno| match errno {
        Errno::INVAL => Failed::new(FAILED, "nothing is mounted there: see 'findmnt'".to_owned()),
        _ => failed("the flags of the mount can't be changed", errno),
    })?;
    teller.step("the flags of the mount are changed");
    Ok(())
}
