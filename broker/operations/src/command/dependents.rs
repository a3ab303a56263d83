//! Dependents of definitions that are replaced or removed: they are compiled against inputs,
//! outputs and fields, which may have changed, or wait for what is gone.

use std::sync::Arc;
use std::time::Instant;

use lot_to_wasm::diagnostic::codes;
use lot_to_wasm::{CompileOptions, Diagnostic, Form, Severity};
use lotmq_definitions::{Definition, Need};
use lotmq_pulse::goes_on;
use serde_json::{Value, json};

use super::reply::problem;
use super::verb::Call;
use crate::limits::{DEPENDENTS_CHECKED_MAX, DEPENDENTS_NAMED_MAX};
use lotmq_codes::Code;
use lotmq_programs::HasPrograms as _;

/// Warnings for definitions that use this one and do not fit it any more.
pub(super) fn misfits(call: &Call<'_>, definition: &Definition) -> Vec<Value> {
    let users = call.tenant.programs().guests.registry.read().dependents(definition);
    let options = CompileOptions {
        form: Form::Linked,
        known: &*call.tenant.programs().guests,
        compat: call.hosting.compat(),
        ..CompileOptions::default()
    };
    users
        .iter()
        .take(DEPENDENTS_CHECKED_MAX)
        .filter_map(|user| {
            goes_on(Instant::now());
            let compilations = lot_to_wasm::check_project(&[&*user.deployed.source], &options);
            let found = compilations.iter().flat_map(|compilation| compilation.all_diagnostics());
            let is_misfit =
                |found: &Diagnostic| found.severity == Severity::Error || found.code == codes::MISSING_INPUT;
            let mut found: Vec<Diagnostic> = found.into_iter().filter(is_misfit).collect();
            found.sort_by_key(|found| found.severity);
            let error = found.into_iter().next()?;
            let (title, name) = (user.kind().title(), user.name());
            let place = error.span.start;
            let hint = error.suggestions.first().map(|hint| format!("; {hint}")).unwrap_or_default();
            let text = format!(
                "{title} '{name}' does not fit this version: {} (line {}, column {}){hint}",
                error.message, place.line, place.column
            );
            Some(problem(Code::DependentMisfit, &text))
        })
        .collect()
}

/// Warning that others need what was removed, which do not run until it is there again; `None`
/// where nobody does.
pub(super) fn left_without(call: &Call<'_>, gone: &Need) -> Option<Value> {
    let registry = call.tenant.programs().guests.registry.read();
    waits(registry.dependents_of(gone), &format!("{} '{}'", gone.title(), gone.name()))
}

/// The same of a module and those that name it.
pub(super) fn left_without_module(call: &Call<'_>, name: &str) -> Option<Value> {
    let users = call.tenant.programs().guests.users_of_module(name);
    waits(users.iter(), &format!("Module '{name}'"))
}

fn waits<'a>(users: impl Iterator<Item = &'a Arc<Definition>>, gone: &str) -> Option<Value> {
    let mut names = users.map(|user| format!("{} '{}'", user.kind().title(), user.name()));
    let mut named: Vec<String> = names.by_ref().take(DEPENDENTS_NAMED_MAX).collect();
    let (last, more) = (named.pop()?, names.count());
    let users = match (named.len(), more) {
        (0, _) => last,
        (_, 0) => format!("{} and {last}", named.join(", ")),
        (_, more) => format!("{}, {last} and {more} more", named.join(", ")),
    };
    let wait = if named.is_empty() { ("needs", "does not run") } else { ("need", "do not run") };
    let text = format!("{users} {} {gone} and {} until it is added again.", wait.0, wait.1);
    let mut warning = problem(Code::DependentWaits, &text);
    warning["suggestions"] = json!(["-getPendingStatus lists what waits for others"]);
    Some(warning)
}
