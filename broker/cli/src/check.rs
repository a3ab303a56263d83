//! `lotmq check`: says what is wrong with LoT programs, and where, without a broker.

use std::path::PathBuf;

use clap::Args;
use lot_to_wasm::Form;
use lotmq_project::Project;
use lotmq_server::runs_route_type;
use lotmq_terminal::{Exit, Paint, output};

use crate::coloured::coloured;

/// Check LoT programs.
///
/// As in: lotmq check overheat.lot, or of the project in a folder: lotmq check plant.
///
/// The programs of a folder, cells of notebooks among them, know each other; several files on the command line do not. What is named and
/// defined by none of them is a warning, since the broker may have it.
///
/// Exit codes: 0 no errors (warnings may be there), 1 errors found or a file could not be read, 2 wrong usage.
#[derive(Args, Debug)]
pub(crate) struct CheckArgs {
    /// LoT files, notebooks (.lotnb) and folders of both; `-` is standard input
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Print JSON: one object for each file or cell, one line each
    #[arg(long)]
    json: bool,
    /// Warn of what only this broker has in the language (LOT240), for programs that are to run elsewhere too
    #[arg(long)]
    portable: bool,
}

pub(crate) fn check(args: &CheckArgs) -> anyhow::Result<Exit> {
    let mut has_errors = false;
    for path in &args.paths {
        let project = Project::read(path)?.telling_of_extensions(args.portable);
        let mut compiled = project.compile(Form::Linked, runs_route_type)?;
        compiled.warn_of_whole();
        has_errors |= !compiled.succeeded();
        if args.json {
            compiled.to_json().try_for_each(|object| output::line(&object.to_string()))?;
        } else {
            output::line(&coloured(&compiled.to_text(), Paint::of_stdout()))?;
        }
    }
    Ok(if has_errors { Exit::Failure } else { Exit::Success })
}
