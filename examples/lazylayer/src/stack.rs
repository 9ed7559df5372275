// SPDX-License-Identifier: GPL-2.0-only

//! What the daemon tells the stack that its layers are in.
//!
//! Each call is a process of its own (`layers`, of layers.c). A process that serves a filesystem must not wait for that
//! filesystem: killed then, it would not end, as it would wait for an answer of its own. (The ioctl itself would also be
//! unsafe code, of which this program has none.)

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{bail, Context, Result};

pub struct Stack {
    /// The program that makes the calls.
    pub tool: PathBuf,
    /// Where the stack is mounted, or will be.
    pub mount: PathBuf,
    /// The name by which it knows the layer that goes.
    pub layer: OsString,
}

#[derive(PartialEq, Eq)]
enum Answer {
    Done,
    /// The layer was taken away, and somebody uses it still.
    InUse,
    /// No such stack is mounted there, or it has no such layer.
    NotThere,
}

impl Stack {
    fn call(&self, words: &[&OsStr]) -> Result<Answer> {
        let output = Command::new(&self.tool)
            .arg(&self.mount)
            .args(words)
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("{}", self.tool.display()))?;
        match output.status.code() {
            Some(0) => Ok(Answer::Done),
            Some(3) => Ok(Answer::InUse),
            Some(4) => Ok(Answer::NotThere),
            _ => bail!("{}", String::from_utf8_lossy(&output.stderr).trim()),
        }
    }

    /// There is more in the layer that is filled. A stack that is not mounted yet will see it.
    pub fn filled(&self) -> Result<()> {
        self.call(&["filled".as_ref()])?;
        Ok(())
    }

    /// A new mount comes in the place of one whose daemon has died; whether there was one.
    pub fn take_over(&self, mountpoint: &OsStr) -> Result<bool> {
        Ok(self.call(&["replace".as_ref(), &self.layer, mountpoint])? != Answer::NotThere)
    }

    /// Takes the layer out of the stack, and returns when nobody uses it any more. A stack that is not mounted
    /// yet is waited for.
    pub fn shut_down(&self) -> Result<()> {
        loop {
            match self.call(&["shutdown".as_ref(), &self.layer, "10".as_ref()])? {
                Answer::Done => return Ok(()),
                Answer::InUse => {}
                Answer::NotThere => sleep(Duration::from_millis(100)),
            }
        }
    }
}
