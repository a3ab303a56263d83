//! `lotmq fmt`: writes LoT programs as everybody writes them.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use lot_to_wasm::diagnostic::render;
use lot_to_wasm::project::{is_notebook, is_script};
use lot_to_wasm::{FormatError, format};
use lotmq_project::{collect, read_source};
use lotmq_terminal::{Exit, Misuse, output};

/// Format LoT programs.
///
/// As in: lotmq fmt overheat.lot, or in a pipeline: lotmq fmt --check plant.
///
/// Indents by 4 spaces, puts one space where there were more and around operators, and leaves
/// comments and line breaks where they are; of several empty lines one stays, and lines end with
/// LF. A file with errors is left alone, and so is one that is formatted already.
///
/// Exit codes: 0 done, 1 a file has errors or could not be read or written, or --check found one
/// that is not formatted, 2 wrong usage.
#[derive(Args, Debug)]
pub(crate) struct FmtArgs {
    /// LoT files, and folders of them, which are written in place; `-` is standard input, which
    /// goes to standard output
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Write nothing, but name the files that are not formatted
    #[arg(long)]
    check: bool,
}

pub(crate) fn fmt(args: &FmtArgs) -> anyhow::Result<Exit> {
    let mut exit = Exit::Success;
    if let Some(other) = args.paths.iter().find(|path| !is_lot(path)) {
        return Err(Misuse(format!("{}: fmt takes .lot files", other.display())).into());
    }
    for path in &files(&args.paths)? {
        let source = read_source(path)?;
        let formatted = match format(&source) {
            Ok(formatted) => formatted,
            Err(FormatError::Invalid(errors)) => {
                output::note(render::all_to_text(&path.display().to_string(), &errors).trim_end());
                exit = Exit::Failure;
                continue;
            }
            Err(error @ FormatError::Unsure) => {
                output::error(&format!("{}: {error}", path.display()));
                exit = Exit::Failure;
                continue;
            }
        };
        if args.check {
            if formatted != source {
                output::tell(&format!("{} is not formatted", path.display()))?;
                exit = Exit::Failure;
            }
        } else if path.as_os_str() == "-" {
            output::bytes(formatted.as_bytes())?;
        } else if formatted != source {
            replace(path, &formatted).with_context(|| format!("cannot write {}", path.display()))?;
            output::tell(&format!("{} is formatted now", path.display()))?;
        }
    }
    Ok(exit)
}

/// The files, and those of the folders.
fn files(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            let mut found = Vec::new();
            collect(path, &mut found)?;
            files.extend(found.into_iter().filter(|path| is_lot(path)));
        } else {
            files.push(path.clone());
        }
    }
    Ok(files)
}

/// Whether a file is read as LoT: neither a notebook nor a Python script.
fn is_lot(path: &Path) -> bool {
    let name = path.to_string_lossy();
    !is_notebook(&name) && !is_script(&name)
}

/// Replaces the content of a file in one step, so that a full disk does not cost the program.
fn replace(path: &Path, content: &str) -> io::Result<()> {
    let path = std::fs::canonicalize(path)?;
    let mut beside = path.clone().into_os_string();
    beside.push(".part");
    let beside = PathBuf::from(beside);
    let mut new = OpenOptions::new().write(true).create_new(true).open(&beside)?;
    let written = new
        .write_all(content.as_bytes())
        .and_then(|()| new.set_permissions(std::fs::metadata(&path)?.permissions()))
        .and_then(|()| new.sync_all())
        .and_then(|()| std::fs::rename(&beside, &path));
    if written.is_err() {
        // A half-written file is useless, and the next run would fail on it.
        let _ = std::fs::remove_file(&beside);
    }
    written
}
