// SPDX-License-Identifier: GPL-2.0-only

//! `layerctl stats`: the counters of mounts, and how they change.

use crate::live;
use crate::mounts::{self, Mount};
use crate::text::shown;
use crate::{print_json, Out, Outcome};
use anyhow::{bail, Context, Result};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

#[derive(clap::Args)]
pub struct Args {
    /// A path in the mount; without it, all mounts of layerfs are shown
    mount: Option<PathBuf>,
    /// Go on, and show every S seconds what was counted meanwhile
    #[arg(long, value_name = "S", value_parser = live::seconds)]
    interval: Option<Duration>,
    /// So many times
    #[arg(long, value_name = "N", requires = "interval")]
    count: Option<u64>,
    /// Print JSON; with --interval, an object on each line
    #[arg(long)]
    json: bool,
}

type Counters = BTreeMap<String, u64>;

#[derive(Serialize)]
struct Told {
    mount: String,
    counters: Counters,
}

/// What was counted in an interval.
#[derive(Serialize)]
struct Since {
    mount: String,
    seconds: f64,
    /// Counters that have another value than before, and by how much.
    differences: BTreeMap<String, i64>,
    counters: Counters,
}

pub fn run(args: Args, out: &mut Out) -> Result<Outcome> {
    let mounts = chosen(&args)?;
    let mut before = read(&mounts)?;
    let Some(interval) = args.interval else {
        if args.json {
            print_json(out, &before)?;
        } else {
            for told in &before {
                print(out, told)?;
            }
        }
        return Ok(Outcome::Fine);
    };
    let mut then = Instant::now();
    let mut left = args.count;
    while left != Some(0) {
        left = left.map(|left| left.saturating_sub(1));
        std::thread::sleep(interval.saturating_sub(then.elapsed()));
        let seconds = then.elapsed().as_secs_f64();
        then = Instant::now();
        let now = read(&mounts)?;
        for (old, new) in before.iter().zip(&now) {
            tell(out, &since(old, new, seconds), args.json)?;
        }
        out.flush()?;
        before = now;
    }
    Ok(Outcome::Fine)
}

fn chosen(args: &Args) -> Result<Vec<Mount>> {
    let mounts = mounts::chosen(&mounts::all()?, args.mount.as_deref())?;
    let stats = mountstats()?;
    let (with, without): (Vec<_>, Vec<_>) = mounts
        .into_iter()
        .partition(|mount| !mounts::counters(&stats, &mount.point).is_empty());
    match without.first() {
        Some(mount) if args.mount.is_some() => bail!(
            "{}: is a mount of the kernel's overlayfs, which counts nothing: name a path in a mount of layerfs",
            shown(&mount.point)
        ),
        _ if with.is_empty() => bail!("no layerfs is mounted here"),
        _ => Ok(with),
    }
}

fn mountstats() -> Result<Vec<u8>> {
    let file = "/proc/self/mountstats";
    std::fs::read(file).with_context(|| format!("{file}: is /proc mounted?"))
}

fn read(mounts: &[Mount]) -> Result<Vec<Told>> {
    let stats = mountstats()?;
    let mut told = Vec::new();
    for mount in mounts {
        let counters: Counters = mounts::counters(&stats, &mount.point).into_iter().collect();
        let mount = shown(&mount.point);
        if counters.is_empty() {
            bail!("{mount}: is not mounted any more");
        }
        told.push(Told { mount, counters });
    }
    Ok(told)
}

fn print(out: &mut Out, told: &Told) -> Result<()> {
    writeln!(out, "{}:", told.mount)?;
    for (name, number) in &told.counters {
        writeln!(out, "  {name}: {number}")?;
    }
    Ok(())
}

/// What has changed. Counters wrap around, and some say what is there now: so a difference is below 0, too.
fn since(old: &Told, new: &Told, seconds: f64) -> Since {
    let difference = |name: &str, now: u64| {
        let before = old.counters.get(name).copied().unwrap_or_default();
        now.wrapping_sub(before) as i64
    };
    Since {
        mount: new.mount.clone(),
        seconds,
        differences: new
            .counters
            .iter()
            .map(|(name, now)| (name.clone(), difference(name, *now)))
            .filter(|(_, difference)| *difference != 0)
            .collect(),
        counters: new.counters.clone(),
    }
}

fn tell(out: &mut Out, since: &Since, json: bool) -> Result<()> {
    if json {
        serde_json::to_writer(&mut *out, since)?;
        writeln!(out)?;
        return Ok(());
    }
    writeln!(out, "{}: in {:.1} s", since.mount, since.seconds)?;
    if since.differences.is_empty() {
        writeln!(out, "  nothing")?;
    }
    for (name, difference) in &since.differences {
        let total = since.counters.get(name).copied().unwrap_or_default();
        writeln!(out, "  {name}: {difference:+} ({total})")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences() {
        let told = |numbers: &[(&str, u64)]| Told {
            mount: "/mnt".into(),
            counters: numbers.iter().map(|(n, v)| ((*n).to_owned(), *v)).collect(),
        };
        let old = told(&[("a", 5), ("b", 7), ("c", u64::MAX)]);
        let new = told(&[("a", 5), ("b", 4), ("c", 1), ("d", 2)]);
        let since = since(&old, &new, 1.0);
        let found: Vec<_> = since.differences.into_iter().collect();
        let expected = [("b", -3), ("c", 2), ("d", 2)];
        assert_eq!(found, expected.map(|(n, v)| (n.to_owned(), v)));
    }
}
