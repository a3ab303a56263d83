//! Ownership of what commands remove or switch: what belongs to another user is left alone unless
//! the command says so, as it is replaced only then.

use std::sync::Arc;

use lotmq_changes::Batch;
use lotmq_definitions::{DefinitionKind, Origin, Owner};
use serde_json::{Value, json};

use super::reply::{Refusal, problem};
use super::verb::Call;
use crate::limits::OF_OTHERS_SHOWN_MAX;
use crate::managed::Managing as _;
use lotmq_codes::Code;
use lotmq_programs::HasPrograms as _;
use lotmq_programs::authority;

/// Option of a command that is about what belongs to others, too.
const FORCE: &str = "-force";

/// Command that removes or switches something.
pub(super) struct Removal {
    /// Whether it may belong to others.
    pub(super) is_forced: bool,
}

impl Removal {
    /// Removal that a command asks for.
    pub(super) fn of(call: &Call<'_>) -> Self {
        Self { is_forced: call.values.has(FORCE) }
    }

    /// Checks that nothing of another user is removed or switched without being told so. Called
    /// under the lock of changes.
    ///
    /// # Errors
    /// OF_ANOTHER, with the first of what belongs to others, and a list.
    pub(super) fn check(
        &self,
        call: &Call<'_>,
        title: &str,
        things: impl IntoIterator<Item = (String, Option<Owner>)>,
    ) -> Result<(), Refusal> {
        let own = call.owner();
        let others = things.into_iter().filter_map(|(name, owner)| Some((name, owner?)));
        let others: Vec<_> = others.filter(|(_, owner)| own.as_ref() != Some(owner)).collect();
        let [(name, owner), more @ ..] = &*others else { return Ok(()) };
        if self.is_forced {
            return Ok(());
        }
        let user = &owner.name;
        let message = match more.len() {
            0 => format!("{title} '{name}' belongs to user '{user}'. Use {FORCE} to do it all the same."),
            count => format!(
                "{title} '{name}' belongs to user '{user}', and {count} more to other users. Use {FORCE} to do it all the same."
            ),
        };
        let row = |(name, owner): &(String, Owner)| json!({ "name": name, "owner": &*owner.name });
        let shown: Vec<Value> = others.iter().take(OF_OTHERS_SHOWN_MAX).map(row).collect();
        let data = json!({ "ofOthers": shown, "count": others.len() });
        Err(Refusal { data: data.into(), ..Refusal::new(Code::OfAnother, message) })
    }

    /// The same for definitions of the registry. One that is not there belongs to nobody.
    ///
    /// # Errors
    /// OF_ANOTHER.
    pub(super) fn check_definitions<'a>(
        &self,
        call: &Call<'_>,
        kind: DefinitionKind,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), Refusal> {
        let registry = call.tenant.programs().guests.registry.read();
        let owner = |name: &str| registry.get(kind, name).and_then(|known| known.owner().cloned());
        self.check(call, kind.title(), names.into_iter().map(|name| (name.to_owned(), owner(name))))
    }
}

/// Kind of definitions that projects have, by its title in replies and as the store writes it.
pub(super) type StoredKind = (&'static str, &'static str);

impl Removal {
    /// The same for definitions that projects have displaced. They go with those of their names.
    ///
    /// # Errors
    /// OF_ANOTHER.
    pub(super) fn check_displaced<'a>(
        &self,
        call: &Call<'_>,
        (title, kind): StoredKind,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), Refusal> {
        let (users, displaced) = (&call.tenant.users, &call.tenant.managed().projects.displaced);
        let owner = |name: &str| authority::owner(users, &displaced.owner(kind, name)?);
        self.check(call, title, names.into_iter().map(|name| (name.to_owned(), owner(name))))
    }
}

/// Removes what projects have displaced under names that are removed by hand. Otherwise it would
/// come back when its project is unloaded. Returns the warnings.
pub(super) fn remove_displaced<'a>(
    call: &Call<'_>,
    (title, kind): StoredKind,
    names: impl IntoIterator<Item = &'a str>,
    batch: &mut Batch,
) -> Vec<Value> {
    let displaced = &call.tenant.managed().projects.displaced;
    let removed = names.into_iter().filter(|name| displaced.remove(kind, name, batch));
    let warning = |name: &str| {
        let text = format!(
            "A project had replaced {title} '{name}' that was added by hand. Both are removed: no project gives it back."
        );
        problem(Code::DisplacedRemoved, &text)
    };
    removed.map(warning).collect()
}

/// Change by hand to an entity that belongs to a project.
#[derive(Clone, Copy)]
pub(super) enum ByHand {
    /// Another one takes its place.
    Replaced,
    /// It is removed.
    Removed,
}

/// Project of a definition, where it belongs to one.
pub(super) fn project_of(call: &Call<'_>, kind: DefinitionKind, name: &str) -> Option<Arc<str>> {
    let registry = call.tenant.programs().guests.registry.read();
    of_origin(&registry.get(kind, name)?.deployed.origin)
}

/// Project of a Python script, where it belongs to one.
pub(super) fn project_of_script(call: &Call<'_>, name: &str) -> Option<Arc<str>> {
    of_origin(&call.tenant.programs().scripts.origin(name)?)
}

fn of_origin(origin: &Origin) -> Option<Arc<str>> {
    match origin {
        Origin::Project { project, .. } => Some(Arc::clone(project)),
        Origin::AdHoc => None,
    }
}

/// Warning for who changes by hand what belongs to a project. It is no refusal: clients of Coreflux
/// know no other way.
pub(super) fn warning(done: ByHand, title: &str, name: &str, project: &str) -> Value {
    let next = format!("the next `lotmq deploy` or `lotmq rollback` of {project}");
    let text = match done {
        ByHand::Replaced if title == DefinitionKind::Rule.title() => format!(
            "{title} '{name}' was of project '{project}' and is by hand now: {next} is refused until it is removed (-removeRule {name}) or has the text of the project again"
        ),
        ByHand::Replaced => format!(
            "{title} '{name}' was of project '{project}' and is by hand now: {next} asks, and puts its own in this one's place"
        ),
        ByHand::Removed => {
            format!("{title} '{name}' was of project '{project}': {next} brings it back")
        }
    };
    problem(Code::OfProject, &text)
}
