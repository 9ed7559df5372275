// SPDX-License-Identifier: GPL-2.0-only

//! `layerctl generate`: man pages and completions for shells, of what the command line is. Only in the build that `make man`
//! makes (the feature `generate`).

use crate::Outcome;
use anyhow::{Context, Result};
use clap::{CommandFactory, ValueEnum};
use clap_complete::Shell;
use std::path::{Path, PathBuf};

/// Writes man pages and completions
#[derive(clap::Parser)]
pub struct Args {
    /// The directory for the folders man1 and man8
    #[arg(long, value_name = "DIR")]
    man: Option<PathBuf>,
    /// The directory for completions, in one of its own for each shell
    #[arg(long, value_name = "DIR")]
    completions: Option<PathBuf>,
}

pub fn run(args: Args) -> Result<Outcome> {
    let command = crate::Cli::command();
    if let Some(dir) = args.man {
        let (first, eighth) = (dir.join("man1"), dir.join("man8"));
        made(&first)?;
        clap_mangen::generate_to(command.clone(), &first).with_context(|| failed(&first))?;
        made(&eighth)?;
        let page = clap_mangen::Man::new(crate::mount::command()).section("8");
        page.generate_to(&eighth).with_context(|| failed(&eighth))?;
    }
    if let Some(dir) = args.completions {
        for shell in Shell::value_variants() {
            let dir = dir.join(shell.to_string());
            made(&dir)?;
            clap_complete::generate_to(*shell, &mut command.clone(), "layerctl", &dir)
                .with_context(|| failed(&dir))?;
        }
    }
    Ok(Outcome::Fine)
}

fn made(dir: &Path) -> Result<()> {
    std::fs::create_dir_all(dir).with_context(|| failed(dir))
}

fn failed(dir: &Path) -> String {
    format!(
        "{}: can't be written to: name another directory",
        dir.display()
    )
}
