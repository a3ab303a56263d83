//! `lotmq compile`: a LoT program to WebAssembly components.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use lot_to_wasm::{Entity, Form};
use lotmq_project::Project;
use lotmq_server::runs_route_type;
use lotmq_terminal::{Exit, output};

/// Compile a LoT program to a WebAssembly component.
///
/// As in: lotmq compile overheat.lot -o overheat.wasm.
///
/// Exit codes: 0 written, 1 the program has errors or a file could not be read or written, 2 wrong
/// usage.
#[derive(Args, Debug)]
pub(crate) struct CompileArgs {
    /// LoT file, notebook (.lotnb) or folder of both; `-` is standard input
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// File to write; for a program with several definitions an existing directory, which gets
    /// NAME.wasm for each
    #[arg(short = 'o', long, value_name = "FILE")]
    output: PathBuf,
    /// Write only the core module, without the LoT runtime and the component around it; for looking
    /// at
    #[arg(long)]
    linked: bool,
}

pub(crate) fn compile(args: &CompileArgs) -> anyhow::Result<Exit> {
    let form = if args.linked { Form::Linked } else { Form::Standalone };
    let compiled = Project::read(&args.path)?.compile(form, runs_route_type)?;
    if compiled.has_diagnostics() {
        output::note(&compiled.to_text());
    }
    if !compiled.succeeded() {
        return Ok(Exit::Failure);
    }
    let (others, entities): (Vec<Entity>, Vec<Entity>) = compiled
        .into_entities()
        .flat_map(|(_, entities)| entities)
        .partition(|entity| entity.output.as_ref().is_some_and(|output| output.component.is_empty()));
    for other in &others {
        let is_route = other.output.as_ref().is_some_and(|output| output.facts.route.is_some());
        let why = if is_route { "a route is run by the guest of its type" } else { "it is not run" };
        output::note(&format!("{}: {why}; nothing was written", other.name));
    }
    if entities.is_empty() && !others.is_empty() {
        return Ok(Exit::Success);
    }
    for (entity, path) in targets(&entities, &args.output)? {
        let component = entity.output.as_ref().map_or(&[][..], |output| &output.component);
        std::fs::write(&path, component).with_context(|| format!("cannot write {}", path.display()))?;
        output::line(&format!("{}: {} ({} bytes)", entity.name, path.display(), component.len()))?;
    }
    Ok(Exit::Success)
}

fn targets<'a>(entities: &'a [Entity], output: &Path) -> anyhow::Result<Vec<(&'a Entity, PathBuf)>> {
    match entities {
        [] => bail!("the program defines nothing"),
        _ if output.is_dir() => {
            Ok(entities.iter().map(|entity| (entity, output.join(format!("{}.wasm", entity.name)))).collect())
        }
        [entity] => Ok(vec![(entity, output.to_owned())]),
        several => bail!(
            "the program has {} definitions, each becomes a component of its own; give an existing directory with -o",
            several.len()
        ),
    }
}
