// SPDX-License-Identifier: GPL-2.0-only

//! `layerctl finalize`: directories become finalized, of which the lower layers are not asked for names that upper lacks.

use crate::live::{self, Stop};
use crate::text::shown;
use crate::{print_json, progress, Out, Outcome};
use anyhow::Result;
use control::{Errno, Failed, Finalized};
use indicatif::ProgressBar;
use serde::Serialize;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// How long a call takes, in milliseconds: so often the count moves, and a signal is heard.
const BUDGET_MS: u32 = 200;
/// The longest that one takes. Each call passes by what was finalized before, so that later ones are given more time.
const MOST_MS: u32 = 2000;

/// What errors mean here.
pub const MEANINGS: &[(Errno, &str)] = &[
    (
        Errno::OPNOTSUPP,
        "data of files would have to be copied (mount with metacopy=on), or the mount has finalize=off, or the \
         filesystem of a layer has no file handles; see the kernel's log",
    ),
    (
        Errno::ROFS,
        "the mount is read-only: it takes one with upperdir= and workdir=",
    ),
    (Errno::INTR, "it was interrupted; what was finalized stays so"),
];

#[derive(clap::Args)]
pub struct Args {
    /// Directories in mounts of layerfs
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Also all directories below
    #[arg(short, long)]
    recursive: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Told {
    path: String,
    /// The directories that are finalized now, also those that were before.
    directories: u64,
    /// The objects that were copied to upper.
    copied: u64,
    /// False: a signal came before all was done.
    done: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

pub fn run(args: Args, out: &mut Out) -> Result<Outcome> {
    let stop = Stop::on_signals()?;
    let bar = progress("directories finalized");
    let (mut told, mut last_error) = (Vec::new(), None::<anyhow::Error>);
    for path in &args.paths {
        let mut one = Told {
            path: shown(path.as_os_str().as_bytes()),
            directories: 0,
            copied: 0,
            done: false,
            error: None,
        };
        if let Err(error) = finalize(path, args.recursive, &stop, &bar, &mut one) {
            one.error = Some(format!("{error:#}"));
            if let Some(earlier) = last_error.replace(error) {
                bar.suspend(|| eprintln!("layerctl: {earlier:#}"));
            }
        }
        told.push(one);
        if stop.is_wanted() {
            break;
        }
    }
    bar.finish_and_clear();
    if args.json {
        print_json(out, &told)?;
    } else {
        for one in told.iter().filter(|one| one.error.is_none()) {
            print(out, one)?;
        }
    }
    match last_error {
        Some(error) => {
            out.flush()?;
            Err(error)
        }
        None if told.len() == args.paths.len() && told.iter().all(|one| one.done) => {
            Ok(Outcome::Fine)
        }
        None => Ok(Outcome::Findings),
    }
}

fn print(out: &mut Out, told: &Told) -> Result<()> {
    let rest = if told.done {
        ""
    } else {
        "; it was interrupted, and goes on from there when it is called again"
    };
    writeln!(
        out,
        "{}: {} finalized, {} copied to upper{rest}",
        told.path,
        count(told.directories, "directory is", "directories are"),
        count(told.copied, "object was", "objects were"),
    )?;
    Ok(())
}

/// A number with its word.
pub fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

fn finalize(
    path: &Path,
    recursive: bool,
    stop: &Stop,
    bar: &ProgressBar,
    told: &mut Told,
) -> Result<()> {
    let dir = live::open(path)?;
    let begin = Instant::now();
    loop {
        let spent = u32::try_from(begin.elapsed().as_millis()).unwrap_or(u32::MAX);
        let budget = (spent / 8).clamp(BUDGET_MS, MOST_MS);
        let done = call(&dir, recursive, budget, told)
            .map_err(|error| live::failed(path, "it can't be finalized", error, MEANINGS))?;
        bar.set_position(told.directories);
        told.done = done;
        if done || stop.is_wanted() {
            return Ok(());
        }
    }
}

/// One call; returns whether all is done.
fn call(dir: impl AsFd, recursive: bool, budget: u32, told: &mut Told) -> Result<bool, Errno> {
    let (
        Finalized {
            directories,
            copied,
            is_done,
        },
        error,
    ) = match control::finalize(dir, recursive, budget) {
        Ok(finalized) => (finalized, None),
        Err(Failed { error, so_far }) => (so_far, Some(error)),
    };
    told.directories = told.directories.max(directories);
    told.copied = told.copied.saturating_add(copied);
    error.map_or(Ok(is_done), Err)
}
