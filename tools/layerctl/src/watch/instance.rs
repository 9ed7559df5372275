// SPDX-License-Identifier: GPL-2.0-only

//! An instance of the kernel's tracing of our own: what others trace is not touched, and not seen.

use super::event::Format;
use super::ring::{Page, Ring};
use anyhow::{bail, Context, Result};
use std::fs;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where tracefs is mounted, the usual place first.
const PLACES: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/// What our instances are called, before the number of the process.
const NAME: &str = "layerctl-";

/// How often it is tried to remove an instance that is in use, and the time between.
const MOST_TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(50);

pub struct Instance {
    at: PathBuf,
    rings: Vec<Ring>,
    pub formats: Vec<Format>,
}

impl Instance {
    /// Begins to trace the events that `wanted` has, as far as the filter lets them through.
    pub fn begin(wanted: impl Fn(&str) -> bool, filter: &str) -> Result<Instance> {
        let tracefs = tracefs()?;
        let instances = tracefs.join("instances");
        remove_stale(&instances);
        let at = instances.join(format!("{NAME}{}", std::process::id()));
        fs::create_dir(&at)
            .with_context(|| format!("{}: no instance can be made: be root", at.display()))?;
        // From here on it is removed when this is dropped.
        let mut instance = Instance {
            at,
            rings: Vec::new(),
            formats: Vec::new(),
        };
        // The clock that programs can ask as well, and that is the same for all processors.
        write(&instance.at.join("trace_clock"), "mono")?;
        let page = Page::parse(&read(&instance.at.join("events/header_page"))?)?;
        for cpu in names(&instance.at.join("per_cpu"))? {
            let path = instance.at.join("per_cpu").join(cpu).join("trace_pipe_raw");
            instance.rings.push(Ring::open(&path, page)?);
        }
        let events = instance.at.join("events/layerfs");
        for name in names(&events)? {
            let event = events.join(&name);
            if !event.is_dir() || !wanted(&name) {
                continue;
            }
            let format = Format::parse(&read(&event.join("format"))?, &name)?;
            if !filter.is_empty() {
                write(&event.join("filter"), filter)?;
            }
            write(&event.join("enable"), "1")?;
            instance.formats.push(format);
        }
        Ok(instance)
    }

    /// No more events, but for those that are there.
    pub fn end(&self) {
        let _ = fs::write(self.at.join("events/enable"), "0");
    }

    /// Tells `each` of the events that came, in order; returns how many were lost.
    pub fn drain(&mut self, mut each: impl FnMut(u64, &[u8]) -> Result<()>) -> Result<u64> {
        let mut lost = 0u64;
        let mut events = Vec::new();
        for ring in &mut self.rings {
            let missed = ring.drain(|time, event| events.push((time, event.to_vec())))?;
            lost = lost.saturating_add(missed);
        }
        events.sort_by_key(|(time, _)| *time);
        for (time, event) in &events {
            each(*time, event)?;
        }
        Ok(lost)
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.end();
        // It can't be removed while something of it is open.
        self.rings.clear();
        let mut removed = fs::remove_dir(&self.at);
        // Nor while somebody else looks into it, which mostly is over soon.
        for _ in 0..MOST_TRIES {
            match &removed {
                Err(error) if error.kind() == ErrorKind::ResourceBusy => {}
                _ => break,
            }
            std::thread::sleep(PAUSE);
            removed = fs::remove_dir(&self.at);
        }
        if let Err(error) = removed {
            eprintln!(
                "layerctl: {}: can't be removed ({error}): the next 'layerctl watch' tries again",
                self.at.display()
            );
        }
    }
}

/// Where tracefs is; it is an error if our events are not there.
fn tracefs() -> Result<PathBuf> {
    for place in PLACES {
        match fs::metadata(Path::new(place).join("instances")) {
            Ok(_) => {
                if Path::new(place).join("events/layerfs").is_dir() {
                    return Ok(place.into());
                }
                bail!(
                    "{place}/events/layerfs: is not there: load layerfs.ko, on a kernel with trace points (CONFIG_TRACEPOINTS)"
                );
            }
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                bail!("{place}: {error}: be root to trace")
            }
            Err(_) => {}
        }
    }
    bail!(
        "/sys/kernel/tracing: no tracefs is mounted: mount -t tracefs tracefs /sys/kernel/tracing"
    )
}

/// Removes what runs left behind that were killed. What somebody uses can't be removed, whatever its process is called here.
fn remove_stale(instances: &Path) {
    for name in names(instances).unwrap_or_default() {
        let pid = name
            .strip_prefix(NAME)
            .and_then(|pid| pid.parse::<u32>().ok());
        if pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            let _ = fs::remove_dir(instances.join(name));
        }
    }
}

/// The names in a directory, in order.
fn names(path: &Path) -> Result<Vec<String>> {
    let entries =
        fs::read_dir(path).with_context(|| format!("{}: can't be read", path.display()))?;
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort();
    Ok(names)
}

/// The text of a file. Some of tracefs give all to the first call or none, so that there has to be room for it.
fn read(path: &Path) -> Result<String> {
    let all = || -> std::io::Result<String> {
        let mut file = fs::File::open(path)?;
        let mut text = String::new();
        let mut room = vec![0; 64 << 10];
        loop {
            let len = file.read(&mut room)?;
            if len == 0 {
                return Ok(text);
            }
            text.push_str(&String::from_utf8_lossy(
                room.get(..len).unwrap_or_default(),
            ));
        }
    };
    all().with_context(|| format!("{}: can't be read", path.display()))
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| {
        format!(
            "{}: '{text}' can't be written: is the module of the same version as this tool?",
            path.display()
        )
    })
}
