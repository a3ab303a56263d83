//! Plan of loading a project: what would change, told before anything does.

use lotmq_definitions::Origin;
use serde_json::{Value, json};

use super::compiled::{CompiledProject, Present};
use crate::limits::PLAN_TEXT_BYTES_MAX;
use crate::management::command::reply::{Done, Refusal};
use crate::management::command::verb::Call;
use crate::management::projects::Project;

/// Tells what loading a compiled project would change; errors as loading tells them.
///
/// Data: `added`, `changed`, `takesOver` (added by hand), `removed` and `givenBack` list entities, where there are any; `unchanged` is a number. What changes of the
/// project's own has its texts, `before` and `after`, up to [`PLAN_TEXT_BYTES_MAX`] in all; its files hold them anyway.
pub(super) fn told(
    call: &Call<'_>,
    project: &Project,
    compiled: CompiledProject,
    ends: &dyn Fn(&str) -> bool,
    mut data: Value,
) -> Result<Done, Refusal> {
    let (mut added, mut changed, mut takes_over, mut unchanged) =
        (Vec::new(), Vec::new(), Vec::new(), 0_usize);
    let mut room = PLAN_TEXT_BYTES_MAX;
    for (mut row, after, known) in compiled.compared(call.tenant) {
        // Blank lines behind a definition come and go with what stands behind it.
        let is_same =
            |source: &Option<String>| source.as_deref().map(str::trim_end) == Some(after.trim_end());
        match known {
            None => added.push(row),
            Some(Present { origin: Origin::AdHoc, .. }) => takes_over.push(row),
            Some(Present { origin: Origin::Project { project: of, .. }, source }) if of == project.name => {
                if is_same(&source) {
                    unchanged += 1;
                    continue;
                }
                let before = source.unwrap_or_default();
                if let Some(left) = room.checked_sub(before.len() + after.len()) {
                    room = left;
                    (row["before"], row["after"]) = (json!(before), json!(after));
                }
                changed.push(row);
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
        return Err(Refusal { message, errors: problems.errors, data: Some(data), ..Refusal::default() });
    }
    let message = format!("Project '{}' can be loaded. Nothing was changed.", project.name);
    Ok(Done { warnings: problems.warnings, ..Done::new(message).with_data(data) })
}
