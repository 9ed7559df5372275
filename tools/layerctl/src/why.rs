// SPDX-License-Identifier: GPL-2.0-only

//! `layerctl why`: which layer each part of a file comes from.

use crate::marks::{self, Told};
use crate::mounts;
use crate::stack::{Entry, Found, Part, Stack};
use crate::text::shown;
use crate::{kind_name, print_json, Out, Outcome, Which};
use anyhow::Result;
use serde::Serialize;
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Args {
    /// A path in a mount; with --layers, a path from the root of the stack
    path: PathBuf,
    #[command(flatten)]
    which: Which,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A part of what is shown.
#[derive(Serialize)]
struct Piece {
    /// What it gives.
    gives: &'static str,
    layer: String,
    path: String,
    marks: Vec<Told>,
}

#[derive(Serialize)]
struct Answer {
    path: String,
    /// What is there: a type of file, or that there is nothing.
    is: &'static str,
    parts: Vec<Piece>,
    /// Why the data can't be had.
    #[serde(skip_serializing_if = "Option::is_none")]
    missing: Option<String>,
}

pub fn run(args: Args, out: &mut Out) -> Result<Outcome> {
    let (stack, inside) = args.which.stack_and_path(&args.path)?;
    let answer = ask(&stack, &inside)?;
    let there = !answer.parts.is_empty() && answer.is != "not there";
    if args.json {
        print_json(out, &answer)?;
    } else {
        print(out, &answer)?;
    }
    let whole = there && answer.missing.is_none();
    Ok(if whole {
        Outcome::Fine
    } else {
        Outcome::Findings
    })
}

fn ask(stack: &Stack, inside: &[u8]) -> Result<Answer> {
    let way = mounts::way(inside)?;
    let names: Vec<&[u8]> = way.iter().map(Vec::as_slice).collect();
    let mut answer = Answer {
        path: format!("/{}", shown(&names.join(&b'/'))),
        is: "not there",
        parts: Vec::new(),
        missing: None,
    };
    match stack.resolve(&names)? {
        Found::Nothing => {}
        Found::Gone(part) => answer.parts.push(piece(stack, &part, "the whiteout")?),
        Found::Entry(entry) => {
            answer.is = entry
                .top()
                .map_or("not there", |part| kind_name(part.object.kind()));
            for (at, part) in entry.parts.iter().enumerate() {
                answer.parts.push(piece(stack, part, gives(&entry, at))?);
            }
            answer.missing = entry.missing;
        }
    }
    Ok(answer)
}

/// What the part of a number gives.
fn gives(entry: &Entry, at: usize) -> &'static str {
    let last = entry.parts.len().saturating_sub(1);
    match (entry.is_dir(), at) {
        (true, 0) => "metadata and names",
        (true, _) => "names",
        (false, 0) if last == 0 && entry.missing.is_none() => "all",
        (false, 0) => "metadata",
        (false, at) if at == last && entry.missing.is_none() => "data",
        (false, _) => "nothing",
    }
}

fn piece(stack: &Stack, part: &Part, gives: &'static str) -> Result<Piece> {
    Ok(Piece {
        gives,
        layer: stack.name(part.layer),
        path: part.object.full.clone(),
        marks: marks::of(&part.object, stack.namespace)?,
    })
}

fn print(out: &mut Out, answer: &Answer) -> Result<()> {
    writeln!(out, "{}: {}", answer.path, answer.is)?;
    for piece in &answer.parts {
        writeln!(
            out,
            "  {} from {}: {}",
            piece.gives, piece.layer, piece.path
        )?;
        for mark in &piece.marks {
            let text = mark.problem.unwrap_or(&mark.meaning);
            writeln!(out, "    {}: {text}", mark.name)?;
        }
    }
    if let Some(missing) = &answer.missing {
        writeln!(out, "  no data: {missing}")?;
    }
    Ok(())
}
