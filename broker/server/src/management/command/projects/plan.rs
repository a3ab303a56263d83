//! Plan of loading a project: what would change, told before anything does.

use lotmq_definitions::Origin;
use serde_json::{Value, json};

use super::compiled::{CompiledProject, Present};
use crate::management::command::reply::{Done, Refusal};
use crate::management::command::verb::Call;
use crate::management::projects::Project;

/// Tells what loading a compiled project would change; errors as loading tells them.
///
/// Data: `added`, `changed`, `takesOver` (added by hand), `removed` and `givenBack` list entities, where there are any; `unchanged` is a number.
pub(super) fn told(
    call: &Call<'_>,
    project: &Project,
    compiled: CompiledProject,
    ends: &dyn Fn(&str) -> bool,
    mut data: Value,
) -> Result<Done, Refusal> {
    let (mut added, mut changed, mut takes_over, mut unchanged) =
        (Vec::new(), Vec::new(), Vec::new(), 0_usize);
    for (row, known) in compiled.compared(call.tenant) {
        match known {
            None => added.push(row),
            Some(Present { origin: Origin::AdHoc, .. }) => takes_over.push(row),
            Some(Present { origin: Origin::Project { project: of, .. }, is_same: true })
                if of == project.name =>
            {
                unchanged += 1;
            }
            Some(Present { origin: Origin::Project { .. }, .. }) => changed.push(row),
        }
    }
    let removed = compiled.would_remove(call.tenant, ends);
    let given_back = compiled.would_give_back(call.tenant, ends);
    let lists = [
        ("added", added),
        ("changed", changed),
        ("takesOver", takes_over),
        ("removed", removed),
        ("givenBack", given_back),
    ];
    for (key, rows) in lists {
        if !rows.is_empty() {
            data[key] = rows.into();
        }
    }
    data["unchanged"] = json!(unchanged);
    let problems = compiled.would_fail(call.tenant, project, ends);
    if problems.errors_total > 0 {
        let message = format!(
            "Project '{}' would be loaded with {} error(s). Nothing was changed.",
            project.name, problems.errors_total
        );
        return Err(Refusal { message, errors: problems.errors, data: Some(data) });
    }
    let message = format!("Project '{}' can be loaded. Nothing was changed.", project.name);
    Ok(Done { warnings: problems.warnings, ..Done::new(message).with_data(data) })
}
