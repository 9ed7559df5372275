// SPDX-License-Identifier: GPL-2.0-only

//! `layerctl layers`: the lower layers of mounts as they are now, who uses them, and changing them.

use crate::finalize::count;
use crate::live;
use crate::mounts::{self, bytes};
use crate::text::shown;
use crate::{kind_name, print_json, Out, Outcome};
use anyhow::{anyhow, bail, Context, Result};
use control::{AddAt, Errno, Layer, Left, User, Which};
use rustix::fd::OwnedFd;
use rustix::fs::FileType;
use serde::Serialize;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    /// A path in the mount; without it, all mounts of layerfs are shown
    mount: Option<PathBuf>,
    /// Show who uses each layer
    #[arg(long)]
    users: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    change: Option<Change>,
}

/// How long to wait for those who use a layer that was taken away.
#[derive(clap::Args)]
struct Patience {
    /// Wait so many seconds until nobody uses it any more
    #[arg(long, value_name = "S", value_parser = live::seconds)]
    timeout: Option<Duration>,
    /// Wait until nobody does, however long that takes
    #[arg(long, conflicts_with = "timeout")]
    wait: bool,
}

#[derive(clap::Subcommand)]
enum Change {
    /// Take a layer away; status 1: somebody uses it still
    Shutdown {
        /// A directory in the mount
        mount: PathBuf,
        /// The layer: its number from the top, or its path
        layer: OsString,
        #[command(flatten)]
        patience: Patience,
        /// Also if names or data are in no other layer
        #[arg(long)]
        force: bool,
    },
    /// Put a copy in the place of a layer; status 1: somebody uses the old one still
    Replace {
        /// A directory in the mount
        mount: PathBuf,
        /// The layer: its number from the top, or its path
        layer: OsString,
        /// The copy
        directory: PathBuf,
        #[command(flatten)]
        patience: Patience,
    },
    /// Add a layer on top of the lower ones
    Add {
        /// A directory in the mount
        mount: PathBuf,
        /// The directory that becomes a layer
        directory: PathBuf,
        /// Beneath the others
        #[arg(long)]
        beneath: bool,
        /// Among the layers that only have data
        #[arg(long)]
        data: bool,
    },
    /// Say that something was added to a layer
    Filled {
        /// A directory in the mount
        mount: PathBuf,
    },
}

#[derive(Serialize)]
struct Told {
    mount: String,
    layers: Vec<Lower>,
}

#[derive(Serialize)]
struct Lower {
    place: u32,
    name: String,
    /// By which counters and trace points call it.
    number: u32,
    state: &'static str,
    data_only: bool,
    users: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    used_by: Option<Vec<Object>>,
}

/// An object of the mount that stands on a layer.
#[derive(Serialize)]
struct Object {
    /// None: it has no path, or one that is too long.
    path: Option<String>,
    #[serde(rename = "type")]
    kind: &'static str,
    inode: u64,
    held: u32,
    uses: u32,
    /// It is not found under the path any more.
    unlinked: bool,
}

pub fn run(args: Args, out: &mut Out) -> Result<Outcome> {
    match args.change {
        None => list(&args, out),
        Some(Change::Shutdown {
            mount,
            layer,
            patience,
            force,
        }) => shut_down(out, &mount, &layer, patience.milliseconds(), force),
        Some(Change::Replace {
            mount,
            layer,
            directory,
            patience,
        }) => replace(out, &mount, &layer, &directory, patience.milliseconds()),
        Some(Change::Add {
            mount,
            directory,
            beneath,
            data,
        }) => add(&mount, &directory, AddAt { beneath, data }),
        Some(Change::Filled { mount }) => {
            let dir = live::open(&mount)?;
            control::filled(&dir).map_err(|error| {
                live::failed(&mount, "the layers can't be looked at anew", error, &[])
            })?;
            Ok(Outcome::Fine)
        }
    }
}

impl Patience {
    fn milliseconds(&self) -> u32 {
        let timeout = self.timeout.unwrap_or_default().as_millis();
        if self.wait {
            // 49 days.
            u32::MAX
        } else {
            u32::try_from(timeout).unwrap_or(u32::MAX)
        }
    }
}

fn list(args: &Args, out: &mut Out) -> Result<Outcome> {
    let mut told = Vec::new();
    match &args.mount {
        Some(path) => told.push(look(path, shown(path.as_os_str().as_bytes()), args.users)?),
        None => {
            for mount in mounts::all()?.iter().filter(|mount| mount.is_stack()) {
                let path = Path::new(OsStr::from_bytes(&mount.point));
                match look(path, shown(&mount.point), args.users) {
                    Ok(one) => told.push(one),
                    // It is of the kernel's overlayfs.
                    Err(_) if mount.fstype == "overlay" => {}
                    Err(error) => return Err(error),
                }
            }
            if told.is_empty() && !args.json {
                bail!("no layerfs is mounted here");
            }
        }
    }
    if args.json {
        print_json(out, &told)?;
    } else {
        for one in &told {
            print(out, one)?;
        }
    }
    Ok(Outcome::Fine)
}

fn look(path: &Path, mount: String, with_users: bool) -> Result<Told> {
    // Any object of the mount will do to ask, but calls are on directories.
    let dir = live::open(path)?;
    let mut layers = Vec::new();
    for layer in layers_of(&dir, path)? {
        let mut lower = Lower {
            place: layer.place,
            name: shown(&layer.name),
            number: layer.number,
            state: if layer.is_leaving {
                "taken away"
            } else {
                "there"
            },
            data_only: layer.is_data,
            users: layer.users,
            used_by: None,
        };
        if with_users {
            lower.used_by = Some(users(&dir, path, layer.place)?);
        }
        layers.push(lower);
    }
    Ok(Told { mount, layers })
}

fn layers_of(dir: &OwnedFd, path: &Path) -> Result<Vec<Layer>> {
    control::layers(dir)
        .collect::<Result<_, _>>()
        .map_err(|error| live::failed(path, "its layers can't be seen", error, &[]))
}

/// Who uses a layer: first those that are held the most.
fn users(dir: &OwnedFd, path: &Path, place: u32) -> Result<Vec<Object>> {
    let mut found = Vec::new();
    let asked = control::users(dir, Which::Place(place), |user| found.push(object(user)));
    match asked {
        // It went away since the layers were listed.
        Ok(_) | Err(Errno::NOENT) => {}
        Err(error) => {
            return Err(live::failed(
                path,
                "who uses its layers can't be seen",
                error,
                &[],
            ))
        }
    }
    found.sort_by(|a, b| (b.held, &a.path, a.inode).cmp(&(a.held, &b.path, b.inode)));
    Ok(found)
}

fn object(user: User) -> Object {
    Object {
        path: user.path.as_deref().map(shown),
        kind: kind_name(FileType::from_raw_mode(user.mode)),
        inode: user.ino,
        held: user.held,
        uses: user.uses,
        unlinked: user.is_unlinked,
    }
}

fn print(out: &mut Out, told: &Told) -> Result<()> {
    writeln!(out, "{}:", told.mount)?;
    for lower in &told.layers {
        let data = if lower.data_only { ", data only" } else { "" };
        let users = count(lower.users, "user", "users");
        writeln!(
            out,
            "  {}: {} ({}{data}, {users})",
            lower.place, lower.name, lower.state
        )?;
        for object in lower.used_by.iter().flatten() {
            let held = match object.held {
                0 => "cached".to_owned(),
                held => format!("held {}", count(held.into(), "time", "times")),
            };
            let path = object.path.as_deref().unwrap_or("(no path)");
            let gone = if object.unlinked {
                ", not found there any more"
            } else {
                ""
            };
            writeln!(
                out,
                "    {path}: {}, inode {}, {held}, {}{gone}",
                object.kind,
                object.inode,
                count(object.uses.into(), "use", "uses")
            )?;
        }
    }
    Ok(())
}

/// The layer that is meant by a number or a name, as it is called and as it is now.
fn find(dir: &OwnedFd, mount: &Path, wanted: &OsStr) -> Result<Layer> {
    let layers = layers_of(dir, mount)?;
    let number = wanted.to_str().and_then(|word| word.parse::<u32>().ok());
    let canonical = Path::new(wanted).canonicalize().ok().map(bytes);
    let has_name = |layer: &&Layer, name: &[u8]| layer.name == name;
    // One that was not taken away comes first, of those that were the last.
    let named = |name: &[u8]| {
        let there = layers
            .iter()
            .find(|layer| !layer.is_leaving && has_name(layer, name));
        there.or_else(|| layers.iter().rfind(|layer| has_name(layer, name)))
    };
    let found = match number {
        Some(number) => layers.iter().find(|layer| layer.place == number),
        None => named(wanted.as_bytes()).or_else(|| named(canonical.as_deref()?)),
    };
    found.cloned().with_context(|| {
        format!(
            "{}: has no layer '{}': 'layerctl layers {}' lists them",
            mount.display(),
            shown(wanted.as_bytes()),
            mount.display()
        )
    })
}

/// How the kernel is told which layer is meant.
fn which(layer: &Layer) -> Which<'_> {
    if layer.is_leaving {
        Which::Name(&layer.name)
    } else {
        Which::Place(layer.place)
    }
}

/// What errors of changes mean.
const MEANINGS: &[(Errno, &str)] = &[
    (
        Errno::NOTEMPTY,
        "it has names or data that no other layer has, one of which is in the kernel's log: fill the others first, or lose \
         them with --force",
    ),
    (
        Errno::BUSY,
        "it is the last layer that is merged, or the mount has image=on: then it stays",
    ),
    (Errno::NOENT, "it is not there any more"),
    (
        Errno::LOOP,
        "the directory is a layer already, or is within one, or has one within it: take another",
    ),
    (
        Errno::XDEV,
        "the directory is on another filesystem than the layers were, and inode numbers have no room for that: take one \
         on a filesystem that has a layer, or mount anew",
    ),
    (
        Errno::INVAL,
        "the directory can't be a layer of this mount; the kernel's log says why",
    ),
];

fn shut_down(
    out: &mut Out,
    mount: &Path,
    layer: &OsStr,
    timeout_ms: u32,
    force: bool,
) -> Result<Outcome> {
    let dir = live::open(mount)?;
    let layer = find(&dir, mount, layer)?;
    let what = format!("the layer {} can't be shut down", shown(&layer.name));
    let left = control::shut_down(&dir, which(&layer), force, 0)
        .map_err(|error| live::failed(mount, &what, error, MEANINGS))?;
    drop(dir);
    let left = wait(mount, &layer, left, timeout_ms)?;
    tell_left(out, mount, &layer, left)
}

fn replace(
    out: &mut Out,
    mount: &Path,
    layer: &OsStr,
    new: &Path,
    timeout_ms: u32,
) -> Result<Outcome> {
    let dir = live::open(mount)?;
    let layer = find(&dir, mount, layer)?;
    if layer.is_leaving {
        bail!(
            "{}: the layer {} was taken away: add the directory instead",
            mount.display(),
            shown(&layer.name)
        );
    }
    let new = directory(new)?;
    let what = format!(
        "{} can't come in the place of {}",
        shown(&new),
        shown(&layer.name)
    );
    // While the call waits, what is only cached of the old layer is given up.
    let left = control::replace(&dir, which(&layer), &new, timeout_ms.min(AT_ONCE_MS))
        .map_err(|error| live::failed(mount, &what, error, MEANINGS))?;
    drop(dir);
    let left = wait(mount, &layer, left, timeout_ms)?;
    tell_left(out, mount, &layer, left)
}

/// How long the call that takes a layer away may wait itself, in milliseconds: our own directory may be among the users.
const AT_ONCE_MS: u32 = 1000;

/// How often it is looked whether a layer is gone, where the kernel can't be told to wait for it.
const PAUSE: Duration = Duration::from_millis(100);

/// Waits until nobody uses a layer that was taken away. That is asked on a directory that is opened now: one that was opened
/// before may use the layer itself.
fn wait(mount: &Path, layer: &Layer, left: Left, timeout_ms: u32) -> Result<Left> {
    if !left.is_in_use {
        return Ok(left);
    }
    let begin = Instant::now();
    let dir = live::open(mount)?;
    loop {
        let layers = layers_of(&dir, mount)?;
        let same: Vec<&Layer> = layers
            .iter()
            .filter(|other| other.name == layer.name)
            .collect();
        if same.iter().all(|other| other.is_leaving) {
            let waited = control::shut_down(&dir, Which::Name(&layer.name), false, timeout_ms);
            return match waited {
                Err(Errno::NOENT) => Ok(Left {
                    is_in_use: false,
                    users: 0,
                }),
                waited => waited.map_err(|error| {
                    live::failed(mount, "its layer was taken away, and", error, &[])
                }),
            };
        }
        // Another layer has the name now: to wait by name would take that one away.
        let leaving = same.iter().rfind(|other| other.is_leaving);
        let users = leaving.map_or(0, |other| other.users);
        let is_over = begin.elapsed() >= Duration::from_millis(timeout_ms.into());
        if users == 0 || is_over {
            return Ok(Left {
                is_in_use: users > 0,
                users,
            });
        }
        std::thread::sleep(PAUSE);
    }
}

fn add(mount: &Path, new: &Path, at: AddAt) -> Result<Outcome> {
    let dir = live::open(mount)?;
    let new = directory(new)?;
    let what = format!("{} can't be added", shown(&new));
    control::add(&dir, &new, at).map_err(|error| live::failed(mount, &what, error, MEANINGS))?;
    Ok(Outcome::Fine)
}

/// The path of a directory that is to be a layer. It is absolute, so that the layer is called by what it is.
fn directory(path: &Path) -> Result<Vec<u8>> {
    let full = path
        .canonicalize()
        .with_context(|| format!("{}: no such directory can be found", path.display()))?;
    if !full.is_dir() {
        return Err(anyhow!(
            "{}: is no directory: a layer is one",
            path.display()
        ));
    }
    Ok(bytes(full))
}

fn tell_left(out: &mut Out, mount: &Path, layer: &Layer, left: Left) -> Result<Outcome> {
    let name = shown(&layer.name);
    if left.is_in_use {
        writeln!(
            out,
            "{name}: taken away, and in use: {}; 'layerctl layers --users {}' says who",
            count(left.users, "user", "users"),
            mount.display()
        )?;
        return Ok(Outcome::Findings);
    }
    writeln!(out, "{name}: taken away; nobody uses it")?;
    Ok(Outcome::Fine)
}
