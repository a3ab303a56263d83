//! `lotmq check`: says what is wrong with a LoT program, and where, without a broker.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use lot_to_wasm::diagnostic::{json, render};
use lot_to_wasm::{Compilation, CompileOptions, compile};
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::output;

/// Check LoT programs.
///
/// Exit codes: 0 no errors (warnings may be there), 1 errors found or a file could not be read, 2 wrong usage.
#[derive(Args, Debug)]
pub(crate) struct CheckArgs {
    /// LoT files; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Print JSON: one object for each file, one line each
    #[arg(long)]
    json: bool,
}

pub(crate) fn check(args: &CheckArgs) -> anyhow::Result<Exit> {
    let mut has_errors = false;
    for path in &args.files {
        let source = read_source(path)?;
        let compilation = compile(&source, &CompileOptions::default());
        has_errors |= !compilation.succeeded();
        let text =
            if args.json { as_json(path, &compilation).to_string() } else { as_text(path, &compilation) };
        output::line(&text)?;
    }
    Ok(if has_errors { Exit::Failure } else { Exit::Success })
}

/// Reads a program; `-` is standard input.
pub(crate) fn read_source(path: &Path) -> anyhow::Result<String> {
    let bytes = if path.as_os_str() == "-" {
        let mut bytes = Vec::new();
        std::io::stdin().lock().read_to_end(&mut bytes).context("cannot read standard input")?;
        bytes
    } else {
        std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?
    };
    String::from_utf8(bytes).map_err(|error| {
        let (line, column) = place(error.as_bytes(), error.utf8_error().valid_up_to());
        anyhow::anyhow!("{}:{line}:{column}: not UTF-8 text; save the file as UTF-8", path.display())
    })
}

/// Line and column, from 1 and in characters, of the byte at `offset`; what is before it is UTF-8.
fn place(bytes: &[u8], offset: usize) -> (usize, usize) {
    let before = String::from_utf8_lossy(&bytes[..offset]);
    let last_line = before.rsplit('\n').next().unwrap_or_default();
    (before.matches('\n').count() + 1, last_line.chars().count() + 1)
}

/// The diagnostics, and a line about what the file holds when there is no error.
pub(crate) fn as_text(path: &Path, compilation: &Compilation) -> String {
    let file = path.display().to_string();
    let mut text = render::all_to_text(&file, &compilation.all_diagnostics());
    if compilation.succeeded() {
        let names: Vec<String> =
            compilation.entities.iter().map(|entity| format!("{} {}", kind(entity), entity.name)).collect();
        let found = if names.is_empty() { "nothing is defined".to_owned() } else { names.join(", ") };
        text.push_str(&format!("{file}: ok ({found})"));
    }
    text.trim_end().to_owned()
}

fn kind(entity: &lot_to_wasm::Entity) -> String {
    entity.kind.map_or_else(|| "entity".to_owned(), |kind| format!("{kind:?}").to_lowercase())
}

fn as_json(path: &Path, compilation: &Compilation) -> Value {
    let entities: Vec<Value> = compilation
        .entities
        .iter()
        .map(|entity| json!({"type": kind(entity), "name": entity.name, "success": entity.output.is_some()}))
        .collect();
    let diagnostics: Vec<json::Entry> = compilation.all_diagnostics().iter().map(json::Entry::from).collect();
    json!({
        "file": path.display().to_string(),
        "success": compilation.succeeded(),
        "entities": entities,
        "diagnostics": diagnostics,
    })
}
