//! `-restoreRules`, `-listRules`, and the peculiarities of the other verbs of rules. Commands
//! reference §3, §8.

use std::sync::Arc;

use lotmq_auth::Scope;
use lotmq_auth::built_in::{BUILT_INS, built_in};
use lotmq_changes::Batch;
use lotmq_definitions::{DefinitionKind, OnExisting};
use serde_json::{Value, json};

use super::definition_verbs;
use super::remove_entity::{RemovedEntities, remove, remove_where};
use super::reply::{Done, EntityType, Refusal};
use super::verb::{Call, Effect, Permission, Verb, Work};
use crate::limits::REMOVED_SHOWN_MAX;
use lotmq_codes::Code;
use lotmq_programs::HasPrograms as _;
use lotmq_programs::{rules, seeds};

pub(super) static ADD: Verb = Verb {
    summary: "Adds a rule; a rule of that name stays unless -replace stands before DEFINE.",
    ..definition_verbs::rules::ADD
};

pub(super) static REMOVE: Verb = Verb { execute: remove_one, ..definition_verbs::rules::REMOVE };

pub(super) static REMOVE_ALL: Verb = Verb {
    summary: "Removes all rules but the built-in ones and those of a fresh installation; where some belong to other users, with -force only.",
    execute: remove_all,
    ..definition_verbs::rules::REMOVE_ALL
};

pub(super) static RESTORE: Verb = Verb {
    name: "restoreRules",
    arguments: &[],
    permission: Permission::Scope(Scope::SystemConfiguration),
    effect: Effect::Stores,
    work: Work::Compiles,
    summary: "Puts the rules of a fresh installation back as they were.",
    example: "-restoreRules",
    execute: restore,
};

pub(super) static LIST: Verb = Verb {
    name: "listRules",
    arguments: &[],
    permission: Permission::CommandCall,
    effect: Effect::TellsWhatIsStored,
    work: Work::Answers,
    summary: "Lists the rules with priority, scope, topic and state.",
    example: "-listRules",
    execute: list,
};

/// Publishes the number of rules.
pub(super) fn count_changed(call: &mut Call<'_>) {
    let count = rules::count(call.tenant).to_string();
    call.changed("$SYS/Coreflux/Config/Rules", count);
}

fn remove_one(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let name = call.text("name");
    if built_in(name).is_some() {
        call.about(EntityType::Rule, name);
        let message = format!("Rule '{name}' is a built-in rule and cannot be removed.");
        return Err(Refusal::new(Code::BuiltIn, message));
    }
    let done = remove(call, DefinitionKind::Rule)?;
    count_changed(call);
    Ok(done)
}

fn remove_all(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let RemovedEntities { names, warnings, .. } =
        remove_where(call, DefinitionKind::Rule, |name| !seeds::is_seed(name))?;
    let done = Done { warnings, ..Done::new("Removed all rules successfully") };
    if names.is_empty() {
        return Ok(done);
    }
    let shown: Vec<&str> = names.iter().take(REMOVED_SHOWN_MAX).map(|name| &**name).collect();
    Ok(done.with_data(json!({ "removed": shown, "count": names.len() })))
}

fn restore(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let mut batch = Batch::new();
    let _changes = call.commands.changes.lock();
    for definition in seeds::restore(call.tenant, call.hosting, OnExisting::Replace, &mut batch) {
        call.changed(definition.sys_topic(), definition.deployed.source.as_bytes());
    }
    count_changed(call);
    call.commit(batch)?;
    Ok(Done::new("Default rules restored successfully!"))
}

fn list(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let registry = call.tenant.programs().guests.registry.read();
    let row = |rule: &Arc<lotmq_definitions::Definition>| {
        let facts = rule.facts().rule.as_ref();
        json!({
            "name": &**rule.name(),
            "priority": facts.map(|facts| facts.priority),
            "scope": facts.map(|facts| &facts.scope),
            "topic": facts.and_then(|facts| facts.topic.as_ref()),
            "state": registry.state(rule.id),
            "origin": rule.deployed.origin.to_string(),
        })
    };
    let mut rows: Vec<Value> = registry.list(DefinitionKind::Rule).map(row).collect();
    rows.sort_by_key(|row| row["priority"].as_u64());
    let built_in = BUILT_INS.iter().map(|rule| {
        json!({
            "name": rule.name, "priority": rule.priority, "scope": rule.scope, "topic": rule.topic,
            "state": "running", "origin": "builtin"
        })
    });
    let rows: Vec<Value> = built_in.chain(rows).collect();
    Ok(Done::new(format!("{} rules.", rows.len())).with_data(rows))
}
