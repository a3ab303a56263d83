//! `-lotDiagnostic`, `-getPendingStatus`, `-listEntities`: what is deployed and how it is. Commands
//! reference §4.

use lotmq_auth::Scope;
use lotmq_definitions::{DefinitionKind, EntityRow, Owner, Report, State};
use serde_json::{Value, json};

use super::add_entity::entity_type;
use super::argument::word;
use super::reply::{Done, Refusal};
use super::routes;
use super::verb::{Call, Effect, Permission, Verb, Work};
use lotmq_codes::Code;
use lotmq_programs::seeds::is_seed;
use lotmq_programs::{HasPrograms as _, trigger_lint};

pub(super) static DIAGNOSE: Verb = Verb {
    name: "lotDiagnostic",
    arguments: &[word("kind").optional().with_form("[model | action | route | rule]"), word("name")],
    permission: Permission::CommandCall,
    effect: Effect::Reads,
    work: Work::Answers,
    summary: "Tells state, triggers, dependencies and the last error of a definition.",
    example: "-lotDiagnostic action Echo",
    execute: diagnose,
};

pub(super) static PENDING: Verb = Verb {
    name: "getPendingStatus",
    arguments: &[],
    permission: Permission::CommandCall,
    effect: Effect::Reads,
    work: Work::Answers,
    summary: "Lists definitions that wait for others.",
    example: "-getPendingStatus",
    execute: pending,
};

pub(super) static LIST: Verb = Verb {
    name: "listEntities",
    arguments: &[],
    permission: Permission::CommandCall,
    effect: Effect::TellsWhatIsStored,
    work: Work::Answers,
    summary: "Lists everything that is deployed; whose it is (`owner`) is shown to its owner and to who may configure the system.",
    example: "-listEntities",
    execute: list,
};

fn diagnose(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let name = call.text("name");
    let Some(kind) = call.values.get("kind") else { return diagnose_any(call, name) };
    let Some(kind) = DefinitionKind::by_name(kind) else {
        if kind.eq_ignore_ascii_case("python") {
            let message =
                "A script has no diagnostic of its own: its errors are those of the actions that call it.";
            return Err(Refusal::new(Code::ArgumentInvalid, message));
        }
        let message = format!("Unknown kind '{kind}'. Usage: {}", call.verb.full_usage());
        return Err(Refusal::new(Code::ArgumentInvalid, message));
    };
    call.about(entity_type(kind), name);
    let report = call.tenant.programs().guests.registry.read().diagnose(kind, name);
    let report = report.ok_or_else(|| Refusal::not_found(format!("{} '{name}' not found.", kind.title())))?;
    Ok(Done::new(format!("{} '{name}'.", kind.title())).with_data(visible_part(call, report)))
}

/// Part of a report that the asker may see: contents of messages are only for those who may
/// configure the system, as are the topics where errors and traces are published. That of a route
/// has how it stands, and its dead letters.
fn visible_part(call: &Call<'_>, report: Report) -> Value {
    let is_admitted = Permission::Scope(Scope::SystemConfiguration).admits(call.tenant, call.identity);
    let report = if is_admitted { report } else { report.without_messages() };
    let route = (report.kind == DefinitionKind::Route)
        .then(|| call.tenant.programs().guests.route(&report.name))
        .flatten();
    let definition = {
        let registry = call.tenant.programs().guests.registry.read();
        registry.get(report.kind, &report.name).cloned()
    };
    let unheard = definition.map(|definition| trigger_lint::filters(call.tenant, &definition));
    let mut shown = json!(report);
    if let Some(unheard) = unheard.filter(|unheard| !unheard.is_empty()) {
        shown["unheard"] = json!(unheard);
    }
    if let Some(route) = route {
        let (standing, stands_still) = routes::status_row(call, &route);
        shown["standing"] = standing;
        shown["deadLetters"] = route.dead_letters.figures().to_json(is_admitted);
        if stands_still {
            shown["state"] = json!(State::Error);
        }
    }
    shown
}

/// Diagnoses a name without a kind, as older clients give it. The report itself where there is one,
/// else a list.
fn diagnose_any(call: &mut Call<'_>, name: &str) -> Result<Done, Refusal> {
    let mut reports = call.tenant.programs().guests.registry.read().diagnose_any(name);
    if reports.len() > 1 {
        let reports: Vec<Value> = reports.into_iter().map(|report| visible_part(call, report)).collect();
        return Ok(Done::new(format!("{} definitions are named '{name}'.", reports.len())).with_data(reports));
    }
    let report = reports.pop().ok_or_else(|| Refusal::not_found(format!("'{name}' not found.")))?;
    let kind = report.kind;
    call.about(entity_type(kind), name);
    Ok(Done::new(format!("{} '{name}'.", kind.title())).with_data(visible_part(call, report)))
}

fn pending(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let rows = call.tenant.programs().guests.registry.read().pending_status();
    let message = match rows.len() {
        0 => "No pending models or actions.".to_owned(),
        count => format!("{count} pending."),
    };
    Ok(Done::new(message).with_data(rows))
}

/// A row with whose it is, for who may see that.
fn with_owner(call: &Call<'_>, mut row: Value, owner: Option<&Owner>) -> Value {
    if let Some(owner) = owner.filter(|owner| call.may_see_messages(Some(owner))) {
        row["owner"] = json!(owner.name);
    }
    row
}

fn list(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let mut rows = call.tenant.programs().guests.registry.read().list_entities();
    // Nobody has deployed the rules of a fresh installation; -listRules has them.
    rows.retain(|row| row.kind != DefinitionKind::Rule.title() || !is_seed(&row.name));
    let unheard = trigger_lint::all_filters(call.tenant);
    let shown = |row: EntityRow| {
        let mut shown = json!(row);
        if let Some(filters) = unheard.get(&(row.kind, row.name)) {
            shown["unheard"] = json!(filters);
        }
        with_owner(call, shown, row.owner.as_ref())
    };
    let mut rows: Vec<Value> = rows.into_iter().map(shown).collect();
    let scripts = &call.tenant.programs().scripts;
    rows.extend(scripts.origins().iter().map(|(name, origin)| {
        let shown = json!({ "type": "Python", "name": name, "origin": origin.to_string() });
        with_owner(call, shown, scripts.owner(name).as_ref())
    }));
    let message = match rows.len() {
        0 => "No entities registered.".to_owned(),
        1 => "1 entity.".to_owned(),
        count => format!("{count} entities."),
    };
    Ok(Done::new(message).with_data(json!(rows)))
}
