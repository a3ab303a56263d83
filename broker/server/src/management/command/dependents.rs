//! Dependents of a new version of a definition: they are compiled against its inputs, outputs and fields, which may have changed.

use lot_to_wasm::diagnostic::codes;
use lot_to_wasm::diagnostic::json::reply_message;
use lot_to_wasm::{CompileOptions, Diagnostic, Form, Severity};
use lotmq_definitions::Definition;
use serde_json::Value;

use super::reply::problem;
use super::verb::Call;
use crate::guests::HasPrograms as _;
use crate::limits::DEPENDENTS_CHECKED_MAX;

/// Warnings for definitions that use this one and do not fit it any more.
pub(super) fn misfits(call: &Call<'_>, definition: &Definition) -> Vec<Value> {
    let users = call.tenant.programs().guests.registry.read().dependents(definition);
    let options = CompileOptions {
        form: Form::Linked,
        known: &*call.tenant.programs().guests,
        compat: call.broker.compat(),
        ..CompileOptions::default()
    };
    users
        .iter()
        .take(DEPENDENTS_CHECKED_MAX)
        .filter_map(|user| {
            let compilations = lot_to_wasm::check_project(&[&*user.deployed.source], &options);
            let found = compilations.iter().flat_map(|compilation| compilation.all_diagnostics());
            let is_misfit =
                |found: &Diagnostic| found.severity == Severity::Error || found.code == codes::MISSING_INPUT;
            let mut found: Vec<Diagnostic> = found.into_iter().filter(is_misfit).collect();
            found.sort_by_key(|found| found.severity);
            let error = found.into_iter().next()?;
            let (title, name) = (user.kind().title(), user.name());
            let text = format!("{title} '{name}' does not fit this version: {}", reply_message(&error));
            Some(problem("DEPENDENT_MISFIT", &text))
        })
        .collect()
}
