//! `lotmq check`: says what is wrong with LoT programs, and where, without a broker.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use lot_facts::RouteFacts;
use lot_to_wasm::Form;
use lotmq_project::{Compiled, Project};
use lotmq_runner::{Embedding, NamedModule, read_component};
use lotmq_server::{module_of_route, runs_route_type};
use lotmq_terminal::{Exit, Paint, output};

use crate::coloured::coloured;
use crate::pasteable::pasteable;

/// Check LoT programs.
///
/// As in: lotmq check overheat.lot, or of the project in a folder: lotmq check plant.
///
/// The programs of a folder, cells of notebooks among them, know each other; several files on the
/// command line do not. A name that none of them defines is a warning, since the broker may have
/// it.
///
/// Exit codes: 0 no errors (warnings may be there), 1 errors found or a file could not be read, 2
/// wrong usage.
#[derive(Args, Debug)]
pub(crate) struct CheckArgs {
    /// LoT files, notebooks (.lotnb) and folders of both; `-` is standard input
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// A component that is the module of routes of type WASM: NAME=FILE.wasm, or
    /// NAME=FILE.wasm:OPTIONS with -config among the options of `lotmq cmd -addModule`; may be
    /// given several times. Settings that its schema refuses are an error, as in a broker that has
    /// it
    #[arg(long = "module", value_name = "NAME=FILE[:OPTIONS]", value_parser = NamedModule::parse)]
    modules: Vec<NamedModule>,
    /// Print JSON: one object for each file or cell, one line each
    #[arg(long)]
    json: bool,
    /// Warn of what only this broker has in the language (LOT240), for programs that are to run
    /// elsewhere too
    #[arg(long)]
    portable: bool,
}

pub(crate) fn check(args: &CheckArgs) -> anyhow::Result<Exit> {
    let mut has_errors = false;
    let modules = ModulesOfRoutes::read(&args.modules)?;
    for path in &args.paths {
        let project = Project::read(path)?.telling_of_extensions(args.portable);
        let mut compiled = project.compile(Form::Linked, runs_route_type)?;
        compiled.warn_of_whole();
        compiled.refuse_routes(|route| modules.refusal(route))?;
        has_errors |= !compiled.succeeded();
        if args.json {
            compiled.to_json().try_for_each(|object| output::tell(&object.to_string()))?;
        } else {
            output::painted_tell(&coloured(&pasteable(&compiled.to_text()), Paint::of_stdout()))?;
            tell_slips(&compiled);
        }
    }
    Ok(if has_errors { Exit::Failure } else { Exit::Success })
}

/// Says once more, behind everything else, which names of variables look like slips: they are no
/// errors, and what runs is nonsense.
pub(crate) fn tell_slips(compiled: &Compiled) {
    for slip in compiled.misspelt_variables() {
        output::note(&pasteable(&format!("warning: {slip}")));
    }
}

/// Components of modules that routes name.
struct ModulesOfRoutes<'a>(Vec<(&'a NamedModule, Vec<u8>)>);

impl<'a> ModulesOfRoutes<'a> {
    fn read(modules: &'a [NamedModule]) -> anyhow::Result<Self> {
        let read = |module: &'a NamedModule| {
            let component =
                read_component(&module.file).with_context(|| format!("module {}", module.name))?;
            Ok((module, component))
        };
        modules.iter().map(read).collect::<anyhow::Result<_>>().map(Self)
    }

    /// Why the module that a route names refuses its settings, where it is one of these.
    fn refusal(&self, route: &RouteFacts) -> anyhow::Result<Option<String>> {
        let named = module_of_route(route);
        let Some((module, component)) = self.0.iter().find(|(module, _)| Some(&*module.name) == named) else {
            return Ok(None);
        };
        let refusal = Embedding::route_refusal(component, route, module.config());
        refusal.with_context(|| format!("module {}", module.name))
    }
}
