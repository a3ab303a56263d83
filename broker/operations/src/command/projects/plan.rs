//! Plan of loading a project: what would change, told before anything does.

use std::collections::BTreeSet;
use std::sync::Arc;

use lot_to_wasm::RuleOrder;
use lotmq_core::tenant::Tenant;
use lotmq_definitions::{DefinitionKind, Origin, Owner};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::compiled::{CompiledProject, Present, would_give_back, would_remove};
use super::rights;
use crate::command::reply::{Done, Refusal};
use crate::command::verb::Call;
use crate::limits::PLAN_TEXT_BYTES_MAX;
use crate::managed::Managing as _;
use crate::projects::{Project, fingerprint, opened_administration};
use lotmq_codes::Code;
use lotmq_programs::HasPrograms as _;

/// Tells what loading a compiled project would change, as [`ProjectPlan::tell`] does; errors as
/// loading tells them.
pub(super) fn report(
    call: &Call<'_>,
    project: &Project,
    compiled: CompiledProject,
    ends: &dyn Fn(&str) -> bool,
    mut data: Value,
) -> Result<Done, Refusal> {
    ProjectPlan::of(call, project, &compiled, ends).tell(&mut data);
    let problems = compiled.would_fail(call.tenant, project, ends);
    if problems.errors_total > 0 {
        let message = format!(
            "Project '{}' would be loaded with {} error(s). Nothing was changed.",
            project.name, problems.errors_total
        );
        return Err(Refusal { message, errors: problems.errors, data: data.into(), ..Refusal::default() });
    }
    let message = format!("Project '{}' can be loaded. Nothing was changed.", project.name);
    Ok(Done { warnings: problems.warnings, ..Done::new(message).with_data(data) })
}

/// Plan of changes to the existing entities, with a fingerprint of the changes and of the
/// definitions that they affect.
///
/// The fingerprint changes as soon as the same command would do something else, or do it to other
/// texts. Waiting messages do not count. The caller holds the lock of changes if the plan is to
/// hold for the next step.
pub(super) struct ProjectPlan {
    lists: Vec<(&'static str, Vec<Value>)>,
    /// Number of definitions that stay as they are; `None` where nothing comes.
    unchanged: Option<usize>,
    seen: Sha256,
}

impl ProjectPlan {
    /// That of loading a compiled project.
    pub(super) fn of(
        call: &Call<'_>,
        project: &Project,
        compiled: &CompiledProject,
        ends: &dyn Fn(&str) -> bool,
    ) -> Self {
        let tenant = call.tenant;
        let mut seen = Sha256::new();
        for part in ["load", &*project.name, &*project.manifest.sha256] {
            see(&mut seen, Some(part));
        }
        let names = compiled.coming();
        let removed = removed(tenant, &project.name, ends, &names, &mut seen);
        let Coming { added, changed, moves_here, takes_over, unchanged } =
            Coming::of((tenant, project, compiled), ends, &removed, &mut seen);
        let lists = vec![
            ("added", added),
            ("changed", changed),
            ("movesHere", moves_here),
            ("takesOver", takes_over),
            ("removed", removed),
            ("givenBack", would_give_back(tenant, ends, &names)),
            ("unloads", unloads(tenant, project, ends)),
            ("ofOthers", of_others(call, &|name| ends(name) && *name != *project.name)),
        ];
        Self { lists, unchanged: Some(unchanged), seen }
    }

    /// That of unloading a project.
    pub(super) fn of_end(call: &Call<'_>, project: &str, ends: &dyn Fn(&str) -> bool) -> Self {
        let tenant = call.tenant;
        let mut seen = Sha256::new();
        for part in ["unload", project] {
            see(&mut seen, Some(part));
        }
        let nothing = BTreeSet::new();
        let removed = removed(tenant, project, ends, &nothing, &mut seen);
        let given_back = would_give_back(tenant, ends, &nothing);
        let of_others = of_others(call, ends);
        let lists = vec![("removed", removed), ("givenBack", given_back), ("ofOthers", of_others)];
        Self { lists, unchanged: None, seen }
    }

    /// That of storing a version of a project that is not loaded: nothing that runs changes.
    pub(super) fn of_stored(project: &Project) -> Self {
        let mut seen = Sha256::new();
        for part in ["store", &*project.name, &*project.manifest.sha256] {
            see(&mut seen, Some(part));
        }
        Self { lists: Vec::new(), unchanged: None, seen }
    }

    /// Adds it to the data of a reply.
    ///
    /// `added`, `changed`, `movesHere` (as it is in a project that ends), `takesOver` (added by
    /// hand), `removed` and `givenBack` list entities. `unloads` lists the other projects that end,
    /// and `ofOthers` those that belong to other users, with their owners. `unchanged` is a number.
    /// Changes of the same owner have their texts, `before` and `after`, up to
    /// [`PLAN_TEXT_BYTES_MAX`] in all; the owner's files hold them anyway. An added rule names in
    /// `opens` the rules behind it that deny what it may allow. An added or changed rule has its
    /// scope in `administration`, if it may allow rights that built-in rules keep to
    /// administrators. `plan` is the fingerprint.
    pub(super) fn tell(self, data: &mut Value) {
        data["plan"] = self.fingerprint().into();
        for (key, rows) in self.lists {
            if !rows.is_empty() {
                data[key] = rows.into();
            }
        }
        if let Some(unchanged) = self.unchanged {
            data["unchanged"] = json!(unchanged);
        }
    }

    /// Checks that it is the one that somebody has agreed to, if anybody was asked.
    ///
    /// # Errors
    /// CONFLICT.
    pub(super) fn check(&self, agreed: Option<&str>) -> Result<(), Refusal> {
        if agreed.is_none_or(|agreed| agreed.eq_ignore_ascii_case(&self.fingerprint())) {
            return Ok(());
        }
        let message = "Something was changed meanwhile: what would be done now is not what was agreed to. Nothing was changed.";
        let hint = "look at it again: -dryRun tells what would change now".to_owned();
        Err(Refusal::new(Code::Conflict, message).with_suggestion(hint))
    }

    fn fingerprint(&self) -> String {
        let mut seen = self.seen.clone();
        for (key, rows) in &self.lists {
            see(&mut seen, Some(key));
            for row in rows {
                let mut row = row.clone();
                if let Some(row) = row.as_object_mut() {
                    row.retain(|key, _| !OF_MESSAGES.contains(&key.as_str()));
                }
                see(&mut seen, Some(&row.to_string()));
            }
        }
        fingerprint(&seen.finalize())
    }
}

/// Members of rows about messages that wait, which come and go all the time.
const OF_MESSAGES: [&str; 3] = ["waiting", "waitingBytes", "deadLetters"];

/// Adds a text to a fingerprint, told apart from what stands before and behind it, and from none.
fn see(seen: &mut Sha256, text: Option<&str>) {
    let bytes = text.unwrap_or_default().as_bytes();
    seen.update([u8::from(text.is_some())]);
    seen.update((bytes.len() as u64).to_be_bytes());
    seen.update(bytes);
}

/// Adds what is there to a fingerprint.
fn see_present(seen: &mut Sha256, present: &Present) {
    see(seen, present.source.as_deref());
    see(seen, present.owner.as_deref());
}

/// Returns the entities that would be removed with the loaded projects that it `ends`. An entity of
/// another project comes with the name of that project.
fn removed(
    tenant: &Tenant,
    project: &str,
    ends: &dyn Fn(&str) -> bool,
    coming: &BTreeSet<(&'static str, &str)>,
    seen: &mut Sha256,
) -> Vec<Value> {
    let mut rows = would_remove(tenant, ends, coming);
    for row in &mut rows {
        let text = |key: &str| row[key].as_str().unwrap_or_default();
        let Some(present) = Present::of(tenant, text("type"), text("name")) else { continue };
        see_present(seen, &present);
        match present.origin {
            Origin::Project { project: of, .. } if *of != *project => row["project"] = json!(&*of),
            Origin::Project { .. } | Origin::AdHoc => {}
        }
    }
    rows
}

/// Coming entities, by their effect on the existing ones.
#[derive(Default)]
struct Coming {
    added: Vec<Value>,
    changed: Vec<Value>,
    moves_here: Vec<Value>,
    takes_over: Vec<Value>,
    unchanged: usize,
}

impl Coming {
    fn of(
        (tenant, project, compiled): (&Tenant, &Project, &CompiledProject),
        ends: &dyn Fn(&str) -> bool,
        removed: &[Value],
        seen: &mut Sha256,
    ) -> Self {
        let staying = rules_but(tenant, removed);
        let mut room = PLAN_TEXT_BYTES_MAX;
        let mut coming = Self::default();
        for (mut row, after, known) in compiled.compared(tenant) {
            known.iter().for_each(|known| see_present(seen, known));
            let has_this_text = known.as_ref().is_some_and(|known| known.has(after));
            let Some(Present { origin, source, owner }) = known else {
                if let Some(opened) = opened(&row, after, &staying) {
                    row["opens"] = opened;
                }
                mark_administration(&mut row, after);
                coming.added.push(row);
                continue;
            };
            let Origin::Project { project: of, .. } = origin else {
                // A rule with another text is an error.
                if row["type"] != DefinitionKind::Rule.title() || has_this_text {
                    coming.takes_over.push(row);
                }
                continue;
            };
            let is_owners = owner.as_deref() == project.owner.as_ref().map(|owner| &*owner.name);
            let is_same = has_this_text;
            let is_own = of == project.name;
            // An entity that stays in another project is reported as an error.
            if !is_own && !ends(&of) {
                continue;
            }
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
            mark_administration(&mut row, after);
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

/// The projects that end and belong to other users.
fn of_others(call: &Call<'_>, ends: &dyn Fn(&str) -> bool) -> Vec<Value> {
    let row = |(name, owner): (Arc<str>, Owner)| json!({ "name": &*name, "owner": &*owner.name });
    rights::of_others(call, ends).into_iter().map(row).collect()
}

/// Adds its scope to the row of a rule that may allow what built-in rules keep to administrators.
fn mark_administration(row: &mut Value, text: &str) {
    let is_rule = row["type"] == DefinitionKind::Rule.title();
    if let Some(scope) = is_rule.then(|| opened_administration(text)).flatten() {
        row["administration"] = json!(scope);
    }
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

/// Names of the rules that deny what a new rule may allow, before which it is asked; `None` where
/// there are none.
fn opened(row: &Value, text: &str, known: &[(String, RuleOrder)]) -> Option<Value> {
    if row["type"] != DefinitionKind::Rule.title() {
        return None;
    }
    let new = RuleOrder::of(text)?;
    let opened: Vec<&str> =
        known.iter().filter(|(_, known)| new.opens(known)).map(|(name, _)| name.as_str()).collect();
    (!opened.is_empty()).then(|| json!(opened))
}
