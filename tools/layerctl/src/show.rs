// SPDX-License-Identifier: GPL-2.0-only

//! `layerctl show`: the stack of a mount.

use crate::mounts::{self, Mount};
use crate::text::shown;
use crate::{print_json, Out, Outcome};
use anyhow::{bail, Result};
use serde::Serialize;
use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub struct Args {
    /// A path in the mount; without it, all mounts of layerfs and overlay are shown
    mount: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Told {
    mount: String,
    #[serde(rename = "type")]
    fstype: String,
    source: String,
    mount_options: String,
    layers: Vec<Layer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    workdir: Option<String>,
    /// Those that name no layers.
    options: Vec<String>,
    counters: BTreeMap<String, u64>,
}

#[derive(Serialize)]
struct Layer {
    name: String,
    path: String,
    data_only: bool,
    /// The type of the filesystem that the path is on for whoever asks; nothing if it can't be found.
    #[serde(skip_serializing_if = "Option::is_none")]
    filesystem: Option<String>,
}

pub fn run(args: Args, out: &mut Out) -> Result<Outcome> {
    let all = mounts::all()?;
    let chosen = mounts::chosen(&all, args.mount.as_deref())?;
    if chosen.is_empty() && !args.json {
        bail!("nothing of the types layerfs and overlay is mounted here");
    }
    let stats = std::fs::read("/proc/self/mountstats").unwrap_or_default();
    let told: Result<Vec<Told>> = chosen
        .iter()
        .map(|mount| tell(mount, &all, &stats))
        .collect();
    let told = told?;
    if args.json {
        print_json(out, &told)?;
        return Ok(Outcome::Fine);
    }
    for (at, told) in told.iter().enumerate() {
        if at > 0 {
            writeln!(out)?;
        }
        print(out, told)?;
    }
    Ok(Outcome::Fine)
}

fn tell(mount: &Mount, all: &[Mount], stats: &[u8]) -> Result<Told> {
    let (paths, has_upper) = mount.layers()?;
    let layers = paths
        .into_iter()
        .enumerate()
        .map(|(at, (path, data_only))| Layer {
            name: match (has_upper, at) {
                (true, 0) => "upper".into(),
                (true, at) => format!("lower {}", at.saturating_sub(1)),
                (false, at) => format!("lower {at}"),
            },
            filesystem: filesystem(all, &path),
            path: shown(path.as_os_str().as_bytes()),
            data_only,
        });
    let options = mount
        .shown()
        .into_iter()
        .filter(|option| !mounts::names_layers(&option.key) && option.key != "workdir");
    Ok(Told {
        mount: shown(&mount.point),
        fstype: mount.fstype.clone(),
        source: shown(&mount.source),
        mount_options: mount.mount_options.clone(),
        layers: layers.collect(),
        workdir: mount.workdir().map(|path| shown(&mounts::bytes(path))),
        options: options
            .map(|option| match option.value {
                Some(value) => format!("{}={}", option.key, shown(&value)),
                None => option.key,
            })
            .collect(),
        counters: mounts::counters(stats, &mount.point).into_iter().collect(),
    })
}

/// The type of the filesystem that a path is on.
fn filesystem(all: &[Mount], path: &Path) -> Option<String> {
    let path = if path.is_absolute() {
        path.canonicalize().ok()?
    } else {
        return None;
    };
    let mount = mounts::holding(all, &path)?;
    Some(mount.fstype.clone())
}

fn print(out: &mut Out, told: &Told) -> Result<()> {
    writeln!(
        out,
        "{}: {} ({})",
        told.mount, told.fstype, told.mount_options
    )?;
    for layer in &told.layers {
        let data = if layer.data_only { ", data only" } else { "" };
        let on = layer
            .filesystem
            .as_ref()
            .map_or("not found here".to_owned(), |on| format!("on {on}"));
        writeln!(out, "  {}: {} ({on}{data})", layer.name, layer.path)?;
    }
    if let Some(workdir) = &told.workdir {
        writeln!(out, "  workdir: {workdir}")?;
    }
    writeln!(out, "  options: {}", told.options.join(","))?;
    for (name, number) in told.counters.iter().filter(|(_, number)| **number != 0) {
        writeln!(out, "  {name}: {number}")?;
    }
    Ok(())
}
