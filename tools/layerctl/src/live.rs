// SPDX-License-Identifier: GPL-2.0-only

//! What the commands on mounted stacks have in common: opening a directory of a mount, what errors mean, and signals.

use crate::mounts;
use anyhow::{anyhow, Context, Result};
use control::Errno;
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

/// Opens a directory for calls on it.
pub fn open(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).with_context(|| {
        format!(
            "{}: can't be opened: name a directory in a mount of layerfs",
            path.display()
        )
    })
}

/// The error of a call on a path: what it means to the command (`known`), else to any.
pub fn failed(path: &Path, what: &str, error: Errno, known: &[(Errno, &str)]) -> anyhow::Error {
    let known = known.iter().find(|(number, _)| *number == error);
    let reason = match (known, error) {
        (Some((_, meaning)), _) => (*meaning).to_owned(),
        (_, Errno::NOTTY) => not_layerfs(path),
        (_, Errno::PERM) => {
            "this takes CAP_SYS_ADMIN in the user namespace that the mount was made in: be root there".to_owned()
        }
        (_, Errno::PROTO) => "this kernel module answers what this tool does not know: take both of one version".to_owned(),
        _ => error.to_string(),
    };
    anyhow!("{}: {what}: {reason}", path.display())
}

/// Why a path does not know the calls.
fn not_layerfs(path: &Path) -> String {
    let all = mounts::all().unwrap_or_default();
    let found = path.canonicalize().ok();
    let on = found.and_then(|path| mounts::holding(&all, &path).map(|mount| mount.fstype.clone()));
    let on = match on.as_deref() {
        Some("overlay") => "the kernel's overlayfs".to_owned(),
        Some("layerfs") => return "the module is older than this tool, and has no such call: take both of one version".to_owned(),
        Some(other) => other.to_owned(),
        None => "another filesystem".to_owned(),
    };
    format!("it is on {on}, which has no such call: name a path in a mount of layerfs")
}

/// Whether somebody wants the command to end: with SIGINT, SIGTERM or SIGHUP. The second signal ends it at once.
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    pub fn on_signals() -> Result<Stop> {
        let stop = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            flag::register_conditional_default(signal, Arc::clone(&stop))
                .and_then(|_| flag::register(signal, Arc::clone(&stop)))
                .with_context(|| format!("signal {signal} can't be caught"))?;
        }
        Ok(Stop(stop))
    }

    pub fn is_wanted(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Seconds, with a fraction if need be, as an argument.
pub fn seconds(text: &str) -> Result<std::time::Duration, String> {
    let number: f64 = text.parse().map_err(|_| "it is no number".to_owned())?;
    std::time::Duration::try_from_secs_f64(number)
        .map_err(|_| "it is no number of seconds".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_read() {
        assert_eq!(seconds("1.5").unwrap().as_millis(), 1500);
        for bad in ["", "x", "-1", "nan", "inf", "1e300"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_errors_mean() {
        let path = Path::new("/proc");
        let text =
            |error, known: &[(Errno, &str)]| failed(path, "its layers", error, known).to_string();
        assert_eq!(
            text(Errno::NOTTY, &[]),
            "/proc: its layers: it is on proc, which has no such call: name a path in a mount of layerfs"
        );
        assert_eq!(
            text(Errno::BUSY, &[(Errno::BUSY, "x")]),
            "/proc: its layers: x"
        );
        assert!(text(Errno::PERM, &[]).contains("CAP_SYS_ADMIN"));
    }
}
