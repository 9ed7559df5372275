// SPDX-License-Identifier: GPL-2.0-only

//! `layerctl watch`: the module's trace points as they come; or the directories in which names are looked for in vain, and
//! finalizing those.

mod event;
mod instance;
mod misses;
mod ring;

use crate::live::{self, Stop};
use crate::mounts::{self, Mount};
use crate::text::shown;
use crate::{progress, Out, Outcome};
use anyhow::{bail, Result};
use event::{Event, Value};
use instance::Instance;
use misses::{device, Misses};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How often it is looked whether something came.
const PAUSE: Duration = Duration::from_millis(100);

/// The event that is counted.
const MISS: &str = "layerfs_lookup_negative";

#[derive(clap::Args)]
pub struct Args {
    /// A path in the mount; without it, all mounts of layerfs are watched
    mount: Option<PathBuf>,
    /// Count names that lower layers were asked for in vain, and print the directories with the most of them at the end
    #[arg(long)]
    misses: bool,
    /// Print so many directories
    #[arg(long, value_name = "N", default_value_t = 20)]
    top: usize,
    /// End after so many seconds; else with Ctrl-C
    #[arg(long, value_name = "S", value_parser = live::seconds)]
    duration: Option<Duration>,
    /// Finalize a directory after so many misses in it
    #[arg(long, value_name = "N", requires = "mount", value_parser = clap::value_parser!(u64).range(1..))]
    finalize: Option<u64>,
    /// Print JSON, an object on each line
    #[arg(long)]
    json: bool,
}

pub fn run(args: Args, out: &mut Out) -> Result<Outcome> {
    let stop = Stop::on_signals()?;
    let mounts = mounts::chosen(&mounts::all()?, args.mount.as_deref())?;
    let counts = args.misses || args.finalize.is_some();
    let mut instance = Instance::begin(|name| !counts || name == MISS, &filter(&args, &mounts))?;
    if counts && !instance.formats.iter().any(|format| format.has("path")) {
        bail!("the module is older than this tool: its events have no paths. Take both of one version");
    }
    let begin = Instant::now();
    let bar = progress(if counts { "misses" } else { "events" });
    let mut misses = Misses::new(mounts.clone(), args.finalize.unwrap_or_default());
    let mut lost = 0u64;
    loop {
        let is_over = stop.is_wanted() || args.duration.is_some_and(|most| begin.elapsed() >= most);
        if is_over {
            instance.end();
        }
        // The formats are needed while the events are read.
        let formats = std::mem::take(&mut instance.formats);
        let result = instance.drain(|time, bytes| {
            let format = formats
                .iter()
                .find(|format| event::id(bytes) == Some(format.id));
            let Some(event) = format.map(|format| format.read(bytes)) else {
                return Ok(());
            };
            bar.inc(1);
            if counts {
                misses.count(time, &event, out, args.json)
            } else {
                tell(out, time, &event, &mounts, args.json)
            }
        });
        instance.formats = formats;
        lost = lost.saturating_add(result?);
        out.flush()?;
        if is_over {
            break;
        }
        std::thread::sleep(PAUSE);
    }
    drop(instance);
    bar.finish_and_clear();
    if args.misses {
        misses.tell(out, args.top, lost, args.json)?;
    }
    if lost > 0 {
        out.flush()?;
        eprintln!("layerctl: events came faster than they were read: {lost} or more were lost");
    }
    Ok(Outcome::Fine)
}

/// Which events the kernel is to let through.
fn filter(args: &Args, mounts: &[Mount]) -> String {
    let mut parts = Vec::new();
    if args.mount.is_some() {
        for device in mounts.iter().map(|mount| mount.device) {
            parts.push(format!("dev == {device}"));
        }
    }
    if args.misses || args.finalize.is_some() {
        parts.push("layers > 0".to_owned());
    }
    parts.join(" && ")
}

/// What a field says, for people.
fn meaning(event: &str, field: &str, value: &Value, mounts: &[Mount]) -> String {
    match (event, field, value) {
        (_, "dev", Value::Number(dev)) => {
            let mount = mounts.iter().find(|mount| mount.device == *dev);
            mount.map_or_else(|| device(*dev), |mount| shown(&mount.point))
        }
        ("copy_up", "kind", Value::Number(0)) => "whole".to_owned(),
        ("copy_up", "kind", Value::Number(1)) => "metadata".to_owned(),
        ("copy_up", "kind", Value::Number(2)) => "data".to_owned(),
        (_, _, Value::Number(number)) => number.to_string(),
        (_, _, Value::Signed(number)) => number.to_string(),
        (_, _, Value::Text(text)) => shown(text),
    }
}

fn tell(out: &mut Out, time: u64, event: &Event<'_>, mounts: &[Mount], json: bool) -> Result<()> {
    let seconds = Duration::from_nanos(time).as_secs_f64();
    let fields = event.fields.iter().map(|(field, value)| {
        let text = meaning(event.name, field, value, mounts);
        (if *field == "dev" { "mount" } else { *field }, text, value)
    });
    if !json {
        write!(out, "{seconds:.6} {}", event.name)?;
        for (field, text, _) in fields {
            write!(out, " {field}={text}")?;
        }
        writeln!(out)?;
        return Ok(());
    }
    let mut object = serde_json::Map::new();
    object.insert("time".into(), seconds.into());
    object.insert("event".into(), event.name.into());
    for (field, text, value) in fields {
        let value = match value {
            Value::Number(number) if field != "mount" && field != "kind" => (*number).into(),
            Value::Signed(number) => (*number).into(),
            _ => text.into(),
        };
        object.insert(field.into(), value);
    }
    serde_json::to_writer(&mut *out, &object)?;
    writeln!(out)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use event::{tests, Format};

    #[test]
    fn events_are_told() {
        let format = Format::parse(tests::FORMAT, "layerfs_test").unwrap();
        let bytes = tests::event(5, -2, b"x\ny");
        let event = format.read(&bytes);
        let texts: Vec<_> = event
            .fields
            .iter()
            .map(|(field, value)| meaning(event.name, field, value, &[]))
            .collect();
        assert_eq!(texts, ["5", "-2", "x\\x0ay"]);
        let mounts = mounts::parse(b"30 22 0:40 / /mnt rw - layerfs none rw\n");
        assert_eq!(
            meaning("copy_up", "dev", &Value::Number(40), &mounts),
            "/mnt"
        );
        assert_eq!(
            meaning("copy_up", "dev", &Value::Number((1 << 20) | 2), &mounts),
            "1:2"
        );
        assert_eq!(
            meaning("copy_up", "kind", &Value::Number(1), &mounts),
            "metadata"
        );
    }
}
