//! Plan of loading a project: what would change, told before anything does.

use lot_to_wasm::RuleOrder;
use lotmq_core::tenant::Tenant;
use lotmq_definitions::{DefinitionKind, Origin};
use serde_json::{Value, json};

use super::compiled::{CompiledProject, Present};
use crate::guests::HasPrograms as _;
use crate::limits::PLAN_TEXT_BYTES_MAX;
use crate::management::command::reply::{Done, Refusal};
use crate::management::command::verb::Call;
use crate::management::managed::Managing as _;
use crate::management::projects::Project;

/// Tells what loading a compiled project would change; errors as loading tells them.
///
/// Data: `added`, `changed`, `movesHere` (as it is in a project that ends), `takesOver` (added by hand), `removed` and `givenBack` list entities, `unloads` the other projects that
/// end, where there are any; `unchanged` is a number. What changes of the same owner's has its texts, `before` and `after`, up to [`PLAN_TEXT_BYTES_MAX`] in all; his files
/// hold them anyway. A rule that is added names in `opens` those that it is asked before and that deny what it may allow.
pub(super) fn told(
    call: &Call<'_>,
    project: &Project,
    compiled: CompiledProject,
    ends: &dyn Fn(&str) -> bool,
    mut data: Value,
) -> Result<Done, Refusal> {
    let removed = compiled.would_remove(call.tenant, ends);
    let Coming { added, changed, moves_here, takes_over, unchanged } =
        Coming::of(call.tenant, project, &compiled, &removed);
    let given_back = compiled.would_give_back(call.tenant, ends);
    let lists = [
        ("added", added),
        ("changed", changed),
        ("movesHere", moves_here),
        ("takesOver", takes_over),
        ("removed", removed),
        ("givenBack", given_back),
        ("unloads", unloads(call.tenant, project, ends)),
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

/// What comes, by what becomes of what is there.
#[derive(Default)]
struct Coming {
    added: Vec<Value>,
    changed: Vec<Value>,
    moves_here: Vec<Value>,
    takes_over: Vec<Value>,
    unchanged: usize,
}

impl Coming {
    fn of(tenant: &Tenant, project: &Project, compiled: &CompiledProject, removed: &[Value]) -> Self {
        let staying = rules_but(tenant, removed);
        let mut room = PLAN_TEXT_BYTES_MAX;
        let mut coming = Self::default();
        for (mut row, after, known) in compiled.compared(tenant) {
            let Some(Present { origin, source, owner }) = known else {
                if let Some(opened) = opened(&row, after, &staying) {
                    row["opens"] = opened;
                }
                coming.added.push(row);
                continue;
            };
            let Origin::Project { project: of, .. } = origin else {
                coming.takes_over.push(row);
                continue;
            };
            let is_owners = owner.as_deref() == project.owner.as_ref().map(|owner| &*owner.name);
            // Blank lines behind a definition come and go with what stands behind it.
            let is_same = source.as_deref().map(str::trim_end) == Some(after.trim_end());
            let is_own = of == project.name;
            if is_same && is_own {
                coming.unchanged += 1;
                continue;
            }
            if !is_own {
                row["project"] = json!(&*of);
            }
            if !is_own && !is_owners {
                row["owner"] = json!(owner);
            }
            if is_same {
                coming.moves_here.push(row);
                continue;
            }
            let before = source.filter(|_| is_own || is_owners).unwrap_or_default();
            let left = room.checked_sub(before.len() + after.len()).filter(|_| !before.is_empty());
            if let Some(left) = left {
                room = left;
                (row["before"], row["after"]) = (json!(before), json!(after));
            }
            coming.changed.push(row);
        }
        coming
    }
}

/// Names of the other projects that end.
fn unloads(tenant: &Tenant, project: &Project, ends: &dyn Fn(&str) -> bool) -> Vec<Value> {
    let active = tenant.managed().projects.active().into_iter();
    active.filter(|one| one.name != project.name && ends(&one.name)).map(|one| json!(&*one.name)).collect()
}

/// The rules that are there and stay, but the built-in ones.
fn rules_but(tenant: &Tenant, removed: &[Value]) -> Vec<(String, RuleOrder)> {
    let goes = |name: &str| {
        removed.iter().any(|row| row["type"] == DefinitionKind::Rule.title() && row["name"] == name)
    };
    let registry = tenant.programs().guests.registry.read();
    let rules = registry.list(DefinitionKind::Rule);
    rules
        .filter(|rule| !goes(rule.name()))
        .filter_map(|rule| Some((rule.name().as_ref().to_owned(), RuleOrder::of(&rule.deployed.source)?)))
        .collect()
}

/// Names of the rules that deny what a new rule may allow, before which it is asked; `None` where there are none.
fn opened(row: &Value, text: &str, known: &[(String, RuleOrder)]) -> Option<Value> {
    if row["type"] != DefinitionKind::Rule.title() {
        return None;
    }
    let new = RuleOrder::of(text)?;
    let opened: Vec<&str> =
        known.iter().filter(|(_, known)| new.opens(known)).map(|(name, _)| name.as_str()).collect();
    (!opened.is_empty()).then(|| json!(opened))
}
