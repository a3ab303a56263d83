//! Warnings about a definition that a command has deployed: one function for each cause.
//!
//! A new cause is a function and a line in [`WARNINGS`].

pub(super) mod newly_named;

use std::sync::Arc;

use lot_nearest::nearest;
use lot_to_wasm::Output;
use lotmq_definitions::{DefinitionKind, Installed, Need, Warning};
use serde_json::{Value, json};

use self::newly_named::NewlyNamed;
use super::ownership::{self, ByHand};
use super::reply::problem;
use super::verb::Call;
use super::{dependents, modules};
use lotmq_codes::Code;
use lotmq_programs::HasPrograms as _;
use lotmq_programs::routes::replacing;

/// Most missing definitions for which similar names are looked for.
const SIMILAR_MAX: usize = 3;

/// Definition that a command has deployed.
pub(super) struct Deployed<'a> {
    pub(super) call: &'a Call<'a>,
    pub(super) installed: &'a Installed,
    pub(super) before: &'a Before,
    /// Line and column of its name; `None` in a project.
    pub(super) place: Option<(u32, u32)>,
}

/// State before a definition is deployed, as far as warnings need it.
#[derive(Default)]
pub(super) struct Before {
    /// Project of the definition that is replaced.
    pub(super) project: Option<Arc<str>>,
    /// Names that a rule is the first to have.
    pub(super) newly_named: Option<NewlyNamed>,
    /// Warning about messages that wait for a route.
    pub(super) waiting: Option<String>,
}

impl Before {
    /// State before the output of the compiler replaces the definition of this name.
    pub(super) fn of(call: &Call<'_>, output: &Output, kind: DefinitionKind, name: &str) -> Self {
        let route = output.facts.route.as_deref();
        let replaced = |said| replacing::warning(&*call.tenant.programs().guests.route(name)?, said);
        Self {
            project: ownership::project_of(call, kind, name),
            newly_named: output.facts.rule.as_ref().map(|rule| NewlyNamed::of(call.tenant, rule)),
            waiting: route.and_then(replaced),
        }
    }
}

/// Warnings of one cause.
type Cause = fn(&Deployed<'_>) -> Vec<Value>;

/// Causes of warnings about a definition that was added alone, in the order of the reply.
pub(super) const WARNINGS: &[Cause] = &[
    project_warnings,
    name_warnings,
    waiting_warnings,
    registry_warnings,
    module_warnings,
    route_warnings,
    place_warnings,
    trigger_warnings,
    dependent_warnings,
    grant_warnings,
];

/// Causes of warnings about a definition of a project, which reports on all its definitions itself.
pub(super) const PROJECT_WARNINGS: &[Cause] =
    &[settled_warnings, name_warnings, module_warnings, route_warnings, place_warnings];

impl Deployed<'_> {
    /// Warnings of these causes.
    pub(super) fn warnings(&self, causes: &[Cause]) -> Vec<Value> {
        causes.iter().flat_map(|cause| cause(self)).collect()
    }
}

fn project_warnings(deployed: &Deployed<'_>) -> Vec<Value> {
    let definition = &deployed.installed.definition;
    let title = definition.kind().title();
    let project = deployed.before.project.iter();
    project.map(|of| ownership::warning(ByHand::Replaced, title, definition.name(), of)).collect()
}

fn name_warnings(deployed: &Deployed<'_>) -> Vec<Value> {
    let (tenant, name) = (deployed.call.tenant, deployed.installed.definition.name());
    deployed.before.newly_named.iter().flat_map(|named| named.warnings(tenant, name)).collect()
}

fn waiting_warnings(deployed: &Deployed<'_>) -> Vec<Value> {
    deployed.before.waiting.iter().map(|text| problem(Code::WaitingForGone, text)).collect()
}

fn registry_warnings(deployed: &Deployed<'_>) -> Vec<Value> {
    deployed.installed.warnings.iter().map(|warning| render_warning(deployed, warning)).collect()
}

/// Warnings of the registry, without those about missing definitions, which may still come.
fn settled_warnings(deployed: &Deployed<'_>) -> Vec<Value> {
    let warnings = deployed.installed.warnings.iter();
    let settled = warnings.filter(|warning| !matches!(warning, Warning::Pending { .. }));
    settled.map(|warning| render_warning(deployed, warning)).collect()
}

fn module_warnings(deployed: &Deployed<'_>) -> Vec<Value> {
    let definition = &deployed.installed.definition;
    problems(lotmq_programs::named_modules::warnings(deployed.call.tenant, definition))
}

fn route_warnings(deployed: &Deployed<'_>) -> Vec<Value> {
    problems(lotmq_programs::routes::warnings(deployed.call.tenant, &deployed.installed.definition))
}

fn place_warnings(deployed: &Deployed<'_>) -> Vec<Value> {
    let place = (deployed.call.tenant, deployed.call.hosting);
    problems(lotmq_programs::route_drivers::place_warnings(place, &deployed.installed.definition))
}

fn trigger_warnings(deployed: &Deployed<'_>) -> Vec<Value> {
    lotmq_programs::trigger_lint::warnings(deployed.call.tenant, &deployed.installed.definition)
}

fn dependent_warnings(deployed: &Deployed<'_>) -> Vec<Value> {
    dependents::misfits(deployed.call, &deployed.installed.definition)
}

fn grant_warnings(deployed: &Deployed<'_>) -> Vec<Value> {
    let call = deployed.call;
    modules::granting::missing(call.tenant, call, &deployed.installed.definition)
}

fn problems(warnings: Vec<(Code, String)>) -> Vec<Value> {
    warnings.into_iter().map(|(code, text)| problem(code, &text)).collect()
}

/// Warning, with the names that were probably meant by missing ones, and a cycle at the name of the
/// definition.
fn render_warning(deployed: &Deployed<'_>, warning: &Warning) -> Value {
    let mut entry = problem(Code::from(warning), &warning.to_string());
    if let (Warning::Cycle(_), Some((line, column))) = (warning, deployed.place) {
        entry["line"] = line.into();
        entry["column"] = column.into();
    }
    if let Warning::Pending { missing } = warning {
        let similar = missing.iter().take(SIMILAR_MAX).filter_map(|need| similar(deployed.call, need));
        let hints: Vec<String> = similar.map(|name| format!("did you mean {name}?")).collect();
        if !hints.is_empty() {
            entry["suggestions"] = json!(hints);
        }
    }
    entry
}

/// Definition with almost the name of a missing one.
fn similar(call: &Call<'_>, need: &Need) -> Option<String> {
    match need {
        Need::Definition(kind, name) => {
            let registry = call.tenant.programs().guests.registry.read();
            let known = registry.list(*kind).map(|definition| &**definition.name());
            nearest(name, known).map(str::to_owned)
        }
        Need::Script(name) => {
            let known = call.tenant.programs().scripts.names();
            nearest(name, known.iter().map(|name| &**name)).map(str::to_owned)
        }
    }
}
