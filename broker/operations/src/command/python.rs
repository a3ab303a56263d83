//! `-addPython`, `-removePython`, `-removeAllPythonScripts`. Commands reference §4.

use lotmq_auth::Scope;
use lotmq_changes::{Batch, Op};
use lotmq_definitions::{Need, OnExisting, Origin};
use lotmq_host::python::PythonError;
use serde_json::{Value, json};

use super::argument::{FORCE, program, switch, word};
use super::dependents::left_without;
use super::ownership::{self, ByHand, Removal};
use super::reply::{Done, EntityType, Refusal};
use super::share::check_share;
use super::verb::{Call, Effect, Permission, Verb, Work};
use crate::command_text::without_line_of_request_id;
use crate::limits::DEPENDENTS_CHECKED_MAX;
use crate::managed::Managing as _;
use lotmq_codes::Code;
use lotmq_programs::HasPrograms as _;
use lotmq_programs::limits::SCRIPTS_MAX;
use lotmq_programs::scripts::{Provenance, ScriptError};
use lotmq_programs::{Guests, install_script, scripts};

/// A script, as messages call it.
const SCRIPT: &str = "Python script";

pub(super) static ADD: Verb = Verb {
    name: "addPython",
    arguments: &[switch("-replace"), program("Python text")],
    permission: Permission::Scope(Scope::ActionManagementCreation),
    effect: Effect::Stores,
    work: Work::Compiles,
    summary: "Adds a Python script, or replaces the one of that name.",
    example: "-addPython # Script Name: Stat\ndef avg(a, b):\n    return (float(a) + float(b)) / 2",
    execute: add,
};

pub(super) static REMOVE: Verb = Verb {
    name: "removePython",
    arguments: &[word("name"), FORCE],
    permission: Permission::Scope(Scope::ActionManagementRemove),
    effect: Effect::Stores,
    work: Work::Answers,
    summary: "Removes a Python script; one of another user with -force only.",
    example: "-removePython Stat",
    execute: remove,
};

pub(super) static REMOVE_ALL: Verb = Verb {
    name: "removeAllPythonScripts",
    arguments: &[FORCE],
    permission: Permission::Scope(Scope::ActionManagementRemove),
    effect: Effect::Stores,
    work: Work::Answers,
    summary: "Removes all Python scripts; where some belong to other users, with -force only.",
    example: "-removeAllPythonScripts",
    execute: remove_all,
};

impl From<ScriptError> for Refusal {
    fn from(error: ScriptError) -> Self {
        let text = error.to_string();
        match error {
            ScriptError::NameMissing(missing) => {
                let refusal = Self::new(Code::ScriptNameMissing, text);
                match missing.suggestion {
                    Some(suggestion) => refusal.with_suggestion(suggestion),
                    None => refusal,
                }
            }
            ScriptError::Python { error, line: shown } => {
                let PythonError::Raised { message, line } = &error else {
                    return Self::new(Code::from(&error), text);
                };
                let shown: Vec<String> = shown.into_iter().collect();
                let found: Value = json!({
                    "severity": "error", "code": error.code(), "message": message, "line": line, "column": 1, "sourceLines": shown,
                });
                let message = format!("Parsing error: {message} ({line},1)");
                Self { message, errors: vec![found], ..Self::default() }
            }
            ScriptError::TooMany => Self::new(Code::QuotaExceeded, text),
            ScriptError::OfAnother { .. } => Self::new(Code::OfAnother, text),
        }
    }
}

fn add(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let source = call.text("Python text");
    let existing = if call.values.has("-replace") { OnExisting::Replace } else { OnExisting::ReplaceOwn };
    without_line_of_request_id(source)?;
    let name = scripts::name(source)?;
    call.about(EntityType::Python, name);
    check_room(call, name)?;
    // Before the lock: it takes as long as the script does.
    let provenance = Provenance { origin: Origin::AdHoc, owner: call.owner(), existing };
    let compiled = scripts::compile(&call.hosting.python, name, source, provenance)?;
    let _changes = call.commands.changes.lock();
    call.check_current()?;
    check_room(call, name)?;
    let project = ownership::project_of_script(call, name);
    let mut batch = Batch::new();
    install_script(call.tenant, call.hosting, compiled, &mut batch)?;
    call.changed(scripts::TOPIC, call.tenant.programs().scripts.to_json());
    call.commit(batch)?;
    let warning = project.map(|of| ownership::warning(ByHand::Replaced, SCRIPT, name, &of));
    let done = Done::new(format!("Python script '{name}' added successfully!"));
    Ok(Done { warnings: warning.into_iter().collect(), ..done })
}

/// Checks that there is room for a script, and in the share of who adds it.
fn check_room(call: &Call<'_>, name: &str) -> Result<(), Refusal> {
    let scripts = &call.tenant.programs().scripts;
    if !scripts.has_room(name) {
        return Err(ScriptError::TooMany.into());
    }
    if scripts.contains(name) && scripts.owner(name) == call.owner() {
        return Ok(());
    }
    let owners = scripts.owners_besides(name).into_iter().map(|owner| (owner, 1));
    check_share(call, ("Python scripts", SCRIPTS_MAX), owners, 1)
}

fn remove(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let (removal, name) = (Removal::of(call), call.text("name"));
    call.about(EntityType::Python, name);
    let _changes = call.commands.changes.lock();
    if !call.tenant.programs().scripts.contains(name) {
        return Err(Refusal::not_found(format!("Python script '{name}' not found.")));
    }
    let names = [name.into()];
    let warnings = remove_these(call, &removal, &names, &names)?;
    Ok(Done { warnings, ..Done::new(format!("Python script '{name}' removed successfully!")) })
}

fn remove_all(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let removal = Removal::of(call);
    let _changes = call.commands.changes.lock();
    let displaced = call.tenant.managed().projects.displaced.of_kind(scripts::KIND);
    let displaced: Vec<Box<str>> = displaced.into_iter().map(Into::into).collect();
    let warnings = remove_these(call, &removal, &call.tenant.programs().scripts.names(), &displaced)?;
    Ok(Done { warnings, ..Done::new("Removed all python scripts successfully") })
}

/// Removes scripts, and those that projects have displaced under these names. Returns warnings of
/// what needs them.
fn remove_these(
    call: &mut Call<'_>,
    removal: &Removal,
    names: &[Box<str>],
    displaced: &[Box<str>],
) -> Result<Vec<Value>, Refusal> {
    let owner = |name: &str| call.tenant.programs().scripts.owner(name);
    removal.check(call, SCRIPT, names.iter().map(|name| (name.to_string(), owner(name))))?;
    let stored_kind = (SCRIPT, scripts::KIND);
    removal.check_displaced(call, stored_kind, displaced.iter().map(|name| &**name))?;
    let of_project = |name: &str| {
        let project = ownership::project_of_script(call, name)?;
        Some(ownership::warning(ByHand::Removed, SCRIPT, name, &project))
    };
    let of_projects: Vec<Value> = names.iter().filter_map(|name| of_project(name)).collect();
    let mut batch = Batch::new();
    for name in names {
        batch.push(Op::DeleteDefinition { tenant: call.tenant.id, kind: scripts::KIND, name });
    }
    let displaced =
        ownership::remove_displaced(call, stored_kind, displaced.iter().map(|name| &**name), &mut batch);
    // In force whatever becomes of it: the store keeps it for when it works again.
    let stored = call.commit(batch);
    for name in names {
        call.tenant.programs().scripts.remove(name);
        Guests::script_is_there(call.tenant, call.hosting, name, false);
    }
    call.changed(scripts::TOPIC, call.tenant.programs().scripts.to_json());
    stored?;
    let needs = names.iter().map(|name| Need::Script((&**name).into()));
    let left_without = needs.filter_map(|need| left_without(call, &need));
    Ok(of_projects.into_iter().chain(displaced).chain(left_without).take(DEPENDENTS_CHECKED_MAX).collect())
}
