//! Compilation and installation of a project: compiled as a whole, then installed entity by entity
//! in load order.
//!
//! An error in one entity does not keep out the others (commands reference §12.2). Each error is
//! reported with its file, cell and line.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use lot_to_wasm::diagnostic::json::Entry;
use lot_to_wasm::notebook::Language;
use lot_to_wasm::project::{Part, kinds, warn_of_calls};
use lot_to_wasm::{CompileOptions, Diagnostic, Entity, Form, Output, Severity};
use lotmq_changes::{Batch, DefinitionRow, Op};
use lotmq_definitions::{
    Definition, DefinitionKind, InstallError, Installed, NewDefinition, OnExisting, Origin,
};
use lotmq_pulse::goes_on;
use serde_json::{Value, json};

use super::given_back::{self, origin_of};
use super::rights::check_owner;
use crate::command::add_entity::refused;
use crate::command::deploy_warnings::newly_named::NewlyNamed;
use crate::command::deploy_warnings::{Before, Deployed, PROJECT_WARNINGS};
use crate::command::remove_entity::LeftMessages;
use crate::command::reply::{Refusal, problem};
use crate::command::verb::Call;
use crate::limits::PROJECT_PROBLEMS_MAX;
use crate::managed::Managing as _;
use crate::projects::Project;
use crate::sys;
use lotmq_codes::Code;
use lotmq_core::tenant::Tenant;
use lotmq_programs::HasPrograms as _;
use lotmq_programs::routes::replacing;
use lotmq_programs::scripts::{self, Provenance};
use lotmq_programs::{CompiledDefinition, CompiledProgram, Guests, Hosting};

/// Project of compiled programs, ready to be installed.
pub(crate) struct CompiledProject {
    /// Items in load order.
    items: Vec<Item>,
    /// Problems outside of entities, and with notebooks' cells.
    problems: Problems,
    /// Policy for definitions that others have added by hand.
    existing: OnExisting,
}

/// Entity or script of a project.
struct Item {
    title: &'static str,
    name: String,
    place: SourceLocation,
    /// Text, as it is published.
    source: String,
    /// `Err` if it was told what is wrong.
    compiled: Result<CompiledProgram, ()>,
}

/// Returns a note on messages that wait for a replaced route, if users need to know it.
fn replacement_warning(tenant: &Tenant, compiled: &Result<CompiledProgram, ()>) -> Option<String> {
    let Ok(CompiledProgram::Definition(definition)) = compiled else { return None };
    let said = definition.new.facts.route.as_deref()?;
    replacing::warning(&*tenant.programs().guests.route(&definition.new.name)?, said)
}

/// Location of something in the files of a project.
#[derive(Clone)]
struct SourceLocation {
    file: Arc<str>,
    cell: Option<u32>,
}

impl SourceLocation {
    fn of(part: &Part) -> Self {
        Self { file: part.file.as_str().into(), cell: part.cell }
    }

    /// Adds file and cell to an error or a warning.
    fn mark(&self, mut value: Value) -> Value {
        value["file"] = json!(&*self.file);
        if let Some(cell) = self.cell {
            value["cell"] = json!(cell);
        }
        value
    }
}

/// Errors and warnings, each up to a bound.
#[derive(Default)]
pub(crate) struct Problems {
    pub(crate) errors: Vec<Value>,
    pub(crate) warnings: Vec<Value>,
    /// Number of errors, including those beyond the bound.
    pub(crate) errors_total: usize,
    warnings_total: usize,
}

impl Problems {
    fn error(&mut self, place: &SourceLocation, value: Value) {
        add(&mut self.errors, &mut self.errors_total, place.mark(value));
    }

    fn warning(&mut self, place: &SourceLocation, value: Value) {
        add(&mut self.warnings, &mut self.warnings_total, place.mark(value));
    }

    fn refused(&mut self, place: &SourceLocation, refusal: Refusal) {
        refusal.errors.into_iter().for_each(|error| self.error(place, error));
    }

    fn outside_warning(&mut self, value: Value) {
        add(&mut self.warnings, &mut self.warnings_total, value);
    }

    fn diagnostics(&mut self, place: &SourceLocation, found: &[Diagnostic]) {
        for diagnostic in found {
            let entry = serde_json::to_value(Entry::from(diagnostic)).expect("strings and numbers");
            match diagnostic.severity {
                Severity::Error => self.error(place, entry),
                Severity::Warning => self.warning(place, entry),
            }
        }
    }

    /// Adds to both lists how many more there are.
    fn closed(mut self) -> Self {
        for (list, total) in
            [(&mut self.errors, self.errors_total), (&mut self.warnings, self.warnings_total)]
        {
            if total > list.len() {
                list.push(problem(Code::More, &format!("{} more are not shown.", total - list.len())));
            }
        }
        self
    }
}

fn add(list: &mut Vec<Value>, total: &mut usize, value: Value) {
    *total += 1;
    if list.len() < PROJECT_PROBLEMS_MAX {
        list.push(value);
    }
}

/// Kinds as `data.counts` names them, in load order.
const TITLES: [&str; 7] = ["Model", "Action", "Route", "Rule", "Python", "Theme", "Panel"];

fn load_order(title: &str) -> usize {
    TITLES.iter().position(|known| *known == title).unwrap_or(TITLES.len())
}

/// Number of entities of each kind that the programs define, valid or not.
pub(crate) fn counts(parts: &[Part]) -> Value {
    let mut counts = TITLES.map(|_| 0_usize);
    let mut count = |title: &str| {
        if let Some(count) = counts.get_mut(load_order(title)) {
            *count += 1;
        }
    };
    for part in parts {
        match part.language {
            Language::Python => count("Python"),
            Language::Lot => kinds(&part.text).iter().for_each(|kind| count(kind.title())),
        }
    }
    TITLES
        .iter()
        .zip(counts)
        .map(|(title, count)| ((*title).to_owned(), json!(count)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// Compiles the programs of a project, all of which know each other and what the tenant has. Takes
/// as long as its scripts do to run once.
pub(crate) fn compile(
    call: &Call<'_>,
    (project, existing): (&Project, OnExisting),
    parts: &[Part],
) -> CompiledProject {
    let (tenant, hosting) = (call.tenant, call.hosting);
    let programs: Vec<&Part> = parts.iter().filter(|part| part.language == Language::Lot).collect();
    let files: Vec<String> = programs.iter().map(|part| part.place()).collect();
    let options = CompileOptions {
        form: Form::Linked,
        known: &*tenant.programs().guests,
        compat: hosting.compat(),
        files: &files,
        goes_on: &|| goes_on(Instant::now()),
        ..CompileOptions::default()
    };
    let texts: Vec<&str> = programs.iter().map(|part| &*part.text).collect();
    let mut compilations = lot_to_wasm::compile_project(&texts, &options);
    let mut known: Vec<_> = texts.into_iter().zip(&mut compilations).collect();
    warn_of_calls(&mut known);
    let mut compilations = compilations.into_iter();
    let mut compiled = CompiledProject { items: Vec::new(), problems: Problems::default(), existing };
    for part in parts {
        goes_on(Instant::now());
        match part.language {
            Language::Python => compiled.script(hosting, project, part),
            Language::Lot => {
                let Some(compilation) = compilations.next() else { continue };
                compiled.problems.diagnostics(&SourceLocation::of(part), &compilation.diagnostics);
                for entity in compilation.entities {
                    goes_on(Instant::now());
                    compiled.entity(call, project, part, entity);
                }
            }
        }
    }
    compiled.items.sort_by_key(|item| load_order(item.title));
    compiled
}

impl CompiledProject {
    fn script(&mut self, hosting: &Hosting, project: &Project, part: &Part) {
        let place = SourceLocation::of(part);
        let given = part.script_name.as_deref().filter(|name| lot_to_wasm::script::is_name(name));
        let name = given.map_or_else(|| scripts::name(&part.text), Ok);
        let shown = name.as_ref().map_or("", |name| name).to_owned();
        let provenance = provenance(project, &place);
        let compiled = name.and_then(|name| scripts::compile(&hosting.python, name, &part.text, provenance));
        let compiled = compiled.map(|script| CompiledProgram::Script(Box::new(script)));
        let compiled = compiled.map_err(|error| self.problems.refused(&place, error.into()));
        let source = part.text.clone();
        self.items.push(Item { title: "Python", name: shown, place, source, compiled });
    }

    fn entity(&mut self, call: &Call<'_>, project: &Project, part: &Part, entity: Entity) {
        let place = SourceLocation::of(part);
        let found: Vec<Diagnostic> =
            entity.diagnostics.iter().map(|found| found.clone().moved_down(entity.lines_before)).collect();
        self.problems.diagnostics(&place, &found);
        let Some(kind) = entity.kind else { return };
        let source = part.text.get(entity.range.clone()).unwrap_or_default();
        let compiled = match entity.output {
            None => Err(()),
            Some(Output { component, facts }) => {
                let new = NewDefinition {
                    kind: kind.into(),
                    name: facts.name.as_str().into(),
                    source: source.into(),
                    origin: origin(project, &place),
                    lines_before: entity.lines_before,
                    owner: project.owner.clone(),
                    facts: Arc::new(facts),
                    installed_at: call.hosting.definitions_now().wall,
                    order: None,
                };
                let loader = call.loader();
                CompiledDefinition::of_entity(loader, &component, new, OnExisting::Replace)
                    .and_then(|definition| {
                        definition.check_settings(&call.tenant.programs().guests, &call.hosting.config)?;
                        Ok(CompiledProgram::Definition(Box::new(definition)))
                    })
                    .map_err(|error| self.problems.refused(&place, refused(error)))
            }
        };
        let source = source.to_owned();
        self.items.push(Item { title: kind.title(), name: entity.name, place, source, compiled });
    }

    /// Returns the new entities as replies list them, each with its text and the present one of its
    /// name.
    pub(crate) fn compared(&self, tenant: &Tenant) -> Vec<(Value, &str, Option<Present>)> {
        let good = self.items.iter().filter(|item| item.compiled.is_ok());
        good.map(|item| {
            let known = Present::of(tenant, item.title, &item.name);
            let mut row = item.place.mark(json!({ "type": item.title, "name": item.name }));
            if let Some(told) = replacement_warning(tenant, &item.compiled) {
                row["waiting"] = told.into();
            }
            (row, &*item.source, known)
        })
        .collect()
    }

    /// Returns the errors of the programs, and the entities that would be refused.
    pub(crate) fn would_fail(
        self,
        tenant: &Tenant,
        project: &Project,
        ends: &dyn Fn(&str) -> bool,
    ) -> Problems {
        let Self { items, mut problems, existing } = self;
        let mut told = NewlyNamed::default();
        for item in &items {
            let Ok(compiled) = &item.compiled else { continue };
            let entity = (item.title, item.name.as_str(), item.source.as_str());
            if let Err(refusal) = may_come(tenant, project, entity, existing, ends) {
                problems.refused(&item.place, refusal);
            }
            let named = newly_named(tenant, compiled).map(|named| named.but(&mut told));
            let held = named.iter().flat_map(|named| named.warnings(tenant, &item.name));
            held.for_each(|warning| problems.warning(&item.place, warning));
        }
        problems.closed()
    }

    /// Names of what comes, with their kind as the store writes it.
    pub(crate) fn coming(&self) -> BTreeSet<(&'static str, &str)> {
        let good = self.items.iter().filter_map(|item| Some((item, item.compiled.as_ref().ok()?)));
        good.map(|(item, compiled)| (compiled.kind_key(), item.name.as_str())).collect()
    }
}

/// Entities of the loaded projects that it `ends` that would be removed, as replies list them: what
/// does not come again.
pub(super) fn would_remove(
    tenant: &Tenant,
    ends: &dyn Fn(&str) -> bool,
    coming: &BTreeSet<(&'static str, &str)>,
) -> Vec<Value> {
    let gone = owned(tenant, ends).into_iter().filter(|(kind, name)| !coming.contains(&(*kind, &**name)));
    gone.map(|(kind, name)| gone_row(tenant, kind, &name)).collect()
}

/// Displaced definitions that would be given back, as replies list them.
pub(super) fn would_give_back(
    tenant: &Tenant,
    ends: &dyn Fn(&str) -> bool,
    coming: &BTreeSet<(&'static str, &str)>,
) -> Vec<Value> {
    let is_free = |kind: &str, name: &str| match origin_of(tenant, kind, name) {
        None => true,
        Some(Origin::Project { project, .. }) => ends(&project),
        Some(Origin::AdHoc) => false,
    };
    let names = tenant.managed().projects.displaced.names().into_iter();
    names
        .filter(|(kind, name)| {
            !coming.iter().any(|(other, same)| other == kind && same == name) && is_free(kind, name)
        })
        .map(|(kind, name)| entity_row(&kind, &name))
        .collect()
}

fn origin(project: &Project, place: &SourceLocation) -> Origin {
    let (project, file) = (Arc::clone(&project.name), Arc::clone(&place.file));
    Origin::Project { project, file, cell: place.cell }
}

/// Definition or script that is there.
pub(crate) struct Present {
    pub(crate) origin: Origin,
    /// Its text, where it is stored.
    pub(crate) source: Option<String>,
    /// Name of its owner; `None` where it is nobody's.
    pub(crate) owner: Option<String>,
}

impl Present {
    pub(crate) fn of(tenant: &Tenant, title: &str, name: &str) -> Option<Self> {
        let origin = origin_of(tenant, key_of(title), name)?;
        let (source, owner) = stored(tenant, title, name).map(|row| (row.source, row.owner)).unzip();
        Some(Self { origin, source, owner: owner.filter(|owner| !owner.is_empty()) })
    }

    /// Whether it has this text. Blank lines around a definition come and go with what stands
    /// beside it.
    pub(crate) fn has(&self, text: &str) -> bool {
        self.source.as_deref().map(str::trim) == Some(text.trim())
    }
}

/// Report of loading.
pub(crate) struct Report {
    pub(crate) problems: Problems,
    /// `data.entities` of the reply.
    pub(crate) entities: Vec<Value>,
    pub(crate) gone: Gone,
}

/// Changes by the end of a project, as replies list them.
#[derive(Default)]
pub(crate) struct Gone {
    /// Definitions of the project that were removed.
    pub(crate) removed: Vec<Value>,
    /// Definitions that it had displaced and that were given back.
    pub(crate) given_back: Vec<Value>,
}

impl Gone {
    /// Warnings of rules that are gone, and of what is in force again. Rules, which matter most,
    /// come first.
    pub(crate) fn warnings(&mut self) -> Vec<Value> {
        let is_other = |row: &Value| row["type"] != "Rule";
        self.removed.sort_by_key(is_other);
        self.given_back.sort_by_key(is_other);
        let name = |row: &Value| row["name"].as_str().unwrap_or_default().to_owned();
        let is_given_back = |row: &Value| self.given_back.contains(row);
        let gone = self.removed.iter().filter(|row| !is_other(row) && !is_given_back(row)).map(|row| {
            let text = format!("Rule '{}' is gone: what it denied may be allowed now.", name(row));
            problem(Code::RuleRemoved, &text)
        });
        let back = self.given_back.iter().map(|row| {
            let title = row["type"].as_str().unwrap_or_default();
            let more = if is_other(row) { "" } else { ": what it allows and denies holds again" };
            let text = format!("{title} '{}', which was added by hand, is in force again{more}.", name(row));
            problem(Code::GivenBack, &text)
        });
        gone.chain(back).collect()
    }

    /// Adds these changes to the data of a reply.
    pub(crate) fn tell(self, data: &mut Value) {
        for (key, rows) in [("removed", self.removed), ("givenBack", self.given_back)] {
            if !rows.is_empty() {
                data[key] = rows.into();
            }
        }
    }
}

fn entity_row(kind: &str, name: &str) -> Value {
    let title = TITLES.iter().find(|title| title.eq_ignore_ascii_case(kind));
    json!({ "type": title.copied().unwrap_or(kind), "name": name })
}

/// Row of what goes, with the messages that go with a route.
fn gone_row(tenant: &Tenant, kind: &str, name: &str) -> Value {
    let row = entity_row(kind, name);
    match DefinitionKind::ALL.into_iter().find(|known| known.key() == kind) {
        Some(kind) => LeftMessages::of(tenant, kind, name).marked(row),
        None => row,
    }
}

/// Installs a project in the place of those that it `ends`, its own version before among them. It
/// replaces entities that come again in one step and removes the others. Rules go last, so that at
/// no moment less is denied than before or afterwards. If a text of the project has errors, nothing
/// is removed, because the text may define it. The caller holds the lock of changes.
pub(crate) fn install(
    call: &mut Call<'_>,
    project: &Project,
    compiled: CompiledProject,
    ends: &dyn Fn(&str) -> bool,
    batch: &mut Batch,
) -> Report {
    let coming: BTreeSet<(&'static str, String)> =
        compiled.coming().into_iter().map(|(kind, name)| (kind, name.to_owned())).collect();
    let coming: BTreeSet<(&'static str, &str)> =
        coming.iter().map(|(kind, name)| (*kind, name.as_str())).collect();
    let has_errors = compiled.problems.errors_total > 0;
    let leaves = |name: &str| ends(name) && !(has_errors && *name == *project.name);
    let mut gone = Gone::default();
    let (rules, others) = owned(call.tenant, &leaves).into_iter().partition(|(kind, _)| is_rule(kind));
    remove_some(call, others, &coming, batch, &mut gone);
    // No rule is among these: the project's own ones are still there.
    give_back(call, &coming, batch, &mut gone);
    let CompiledProject { items, mut problems, existing } = compiled;
    let mut entities = Vec::with_capacity(items.len());
    let mut installed = Vec::new();
    for Item { title, name, place, source, compiled } in items {
        let was_ad_hoc = is_ad_hoc(call.tenant, title, &name);
        let displaced = was_ad_hoc.then(|| stored(call.tenant, title, &name)).flatten();
        let newly_named = compiled.as_ref().ok().and_then(|compiled| newly_named(call.tenant, compiled));
        let before = Before { newly_named, ..Before::default() };
        let outcome = compiled.map(|compiled| {
            may_come(call.tenant, project, (title, &name, &source), existing, ends)?;
            install_one(call, compiled, batch)
        });
        let is_there = matches!(outcome, Ok(Ok(_)));
        match outcome {
            Ok(Ok(Some(new))) => {
                let deployed = Deployed { call, installed: &new, before: &before, place: None };
                let warnings = deployed.warnings(PROJECT_WARNINGS);
                warnings.into_iter().for_each(|warning| problems.warning(&place, warning));
                installed.push((new.definition, place.clone()));
            }
            Ok(Err(refusal)) => problems.refused(&place, refusal),
            Ok(Ok(None)) | Err(()) => {}
        }
        if is_there && was_ad_hoc {
            let text = format!(
                "{title} '{name}' was added by hand; project '{}' has replaced it and gives it back when it is unloaded.",
                project.name
            );
            problems.warning(&place, problem(Code::Replaced, &text));
            if let Some(row) = displaced {
                call.tenant.managed().projects.displaced.keep(row, batch);
            }
        }
        entities.push(place.mark(json!({ "type": title, "name": name, "success": is_there })));
    }
    remove_some(call, rules, &coming, batch, &mut gone);
    give_back(call, &coming, batch, &mut gone);
    gone.warnings().into_iter().for_each(|warning| problems.outside_warning(warning));
    warn_of_pending(call.tenant, &installed, &mut problems);
    warn_of_denied_triggers(call.tenant, &installed, &mut problems);
    listings_changed(call);
    Report { problems: problems.closed(), entities, gone }
}

/// Groups and properties that what comes is the first to name; `None` of what is no rule.
fn newly_named(tenant: &Tenant, compiled: &CompiledProgram) -> Option<NewlyNamed> {
    let CompiledProgram::Definition(definition) = compiled else { return None };
    Some(NewlyNamed::of(tenant, definition.new.facts.rule.as_ref()?))
}

/// Refuses what may not come: what another project has that stays loaded, what its owner may not
/// deploy, what belongs to others, and rules that were added by hand with another text.
fn may_come(
    tenant: &Tenant,
    project: &Project,
    (title, name, source): (&str, &str, &str),
    existing: OnExisting,
    ends: &dyn Fn(&str) -> bool,
) -> Result<(), Refusal> {
    check_free(tenant, (title, name), &project.name, ends)?;
    let was_ad_hoc = is_ad_hoc(tenant, title, name);
    let spares_others = was_ad_hoc && existing == OnExisting::ReplaceOwn;
    check_owner(tenant, project, (title, name), spares_others)?;
    let kind = DefinitionKind::Rule;
    // With another text, what it denies would be allowed at once.
    if was_ad_hoc
        && title == kind.title()
        && !Present::of(tenant, title, name).is_some_and(|it| it.has(source))
    {
        let exists = InstallError::Exists { kind, name: name.into() };
        let text = format!(
            "{exists}, added by hand with another text. A project does not replace a rule that was added by hand."
        );
        let hint = format!(
            "to have the topics protected all the time, give the rule of the project another name, deploy it, and remove '{name}' then (-removeRule {name}); removed before, nothing protects them until the project is loaded"
        );
        return Err(Refusal::new(Code::Exists, text).with_suggestion(hint));
    }
    Ok(())
}

/// Installs one program of a project; `None` for a script.
fn install_one(
    call: &mut Call<'_>,
    compiled: CompiledProgram,
    batch: &mut Batch,
) -> Result<Option<Installed>, Refusal> {
    let installed = compiled.install(call.tenant, call.hosting, batch).map_err(refused)?;
    if let Some(new) = &installed {
        call.changed_topics.extend(sys::installed_topics(new));
    }
    Ok(installed)
}

/// Provenance of a script of the project. That it may replace another one was decided before.
fn provenance(project: &Project, place: &SourceLocation) -> Provenance {
    let (origin, owner) = (origin(project, place), project.owner.clone());
    Provenance { origin, owner, existing: OnExisting::Replace }
}

/// Warns of entities that wait for missing ones. Only now are they known: what was missing at first
/// may have come later.
fn warn_of_pending(
    tenant: &Tenant,
    installed: &[(Arc<Definition>, SourceLocation)],
    problems: &mut Problems,
) {
    let registry = tenant.programs().guests.registry.read();
    let pending = registry.pending_status();
    for (definition, place) in installed {
        let (kind, name) = (definition.kind(), definition.name());
        let waits = pending.iter().find(|row| row.kind == kind && row.name == *name);
        if let Some(row) = waits {
            let text = format!(
                "{} '{name}' is pending until these are added: {}",
                kind.title(),
                row.missing.join(", ")
            );
            problems.warning(place, problem(Code::Pending, &text));
        }
    }
}

/// Warns of entities that hear nothing: rules of the project are in force by now, and those that it
/// had no longer are.
fn warn_of_denied_triggers(
    tenant: &Tenant,
    installed: &[(Arc<Definition>, SourceLocation)],
    problems: &mut Problems,
) {
    for (definition, place) in installed {
        let unheard = lotmq_programs::trigger_lint::warnings(tenant, definition);
        unheard.into_iter().for_each(|warning| problems.warning(place, warning));
    }
}

/// Stored form of a definition or script.
fn stored(tenant: &Tenant, title: &str, name: &str) -> Option<DefinitionRow> {
    let Some(kind) = DefinitionKind::by_name(title) else {
        return tenant.programs().scripts.stored(tenant, name);
    };
    let registry = tenant.programs().guests.registry.read();
    lotmq_programs::row(tenant, registry.get(kind, name)?)
}

fn is_ad_hoc(tenant: &Tenant, title: &str, name: &str) -> bool {
    origin_of(tenant, key_of(title), name) == Some(Origin::AdHoc)
}

/// Kind as the store writes it.
fn key_of(title: &str) -> &'static str {
    DefinitionKind::by_name(title).map_or(scripts::KIND, DefinitionKind::key)
}

/// Refuses what another project defines that stays loaded.
fn check_free(
    tenant: &Tenant,
    (title, name): (&str, &str),
    project: &str,
    ends: &dyn Fn(&str) -> bool,
) -> Result<(), Refusal> {
    match origin_of(tenant, key_of(title), name) {
        Some(Origin::Project { project: other, .. }) if *other != *project && !ends(&other) => {
            let message = format!("{title} '{name}' belongs to project '{other}', which stays loaded.");
            let hint = if title == DefinitionKind::Rule.title() {
                format!(
                    "to have the topics protected all the time, give the rule of '{project}' another name, deploy it beside '{other}', and unload '{other}' then (-unloadProject {other}); unloaded before, nothing protects them until '{project}' is loaded"
                )
            } else {
                format!("unload it first (-unloadProject {other}), or give one of them another name")
            };
            Err(Refusal::new(Code::Exists, message).with_suggestion(hint))
        }
        Some(_) | None => Ok(()),
    }
}

/// Kind, as the store writes it, and name of everything that the loaded projects own that something
/// `ends`; Rules come first, since what they protect is at stake.
pub(super) fn owned(tenant: &Tenant, ends: &dyn Fn(&str) -> bool) -> Vec<(&'static str, Arc<str>)> {
    let is_owned = |origin: &Origin| match origin {
        Origin::Project { project, .. } => ends(project),
        Origin::AdHoc => false,
    };
    let registry = tenant.programs().guests.registry.read();
    let definitions = DefinitionKind::ALL.into_iter().flat_map(|kind| {
        let of_kind = registry.list(kind).filter(|definition| is_owned(&definition.deployed.origin));
        of_kind.map(move |definition| (kind.key(), Arc::clone(definition.name())))
    });
    let scripts = tenant.programs().scripts.origins().into_iter().filter(|(_, origin)| is_owned(origin));
    let scripts = scripts.map(|(name, _)| (scripts::KIND, Arc::from(name)));
    let mut owned: Vec<(&'static str, Arc<str>)> = definitions.chain(scripts).collect();
    owned.sort_by_key(|(kind, _)| !is_rule(kind));
    owned
}

fn is_rule(kind: &str) -> bool {
    kind == DefinitionKind::Rule.key()
}

/// Removes of what projects own what does not come again.
fn remove_some(
    call: &mut Call<'_>,
    mut owned: Vec<(&'static str, Arc<str>)>,
    coming: &BTreeSet<(&'static str, &str)>,
    batch: &mut Batch,
    gone: &mut Gone,
) {
    owned.retain(|(kind, name)| !coming.contains(&(*kind, &**name)));
    for (kind, name) in owned {
        gone.removed.push(gone_row(call.tenant, kind, &name));
        remove_one(call, kind, &name, batch);
    }
}

/// Gives back what projects had displaced and define no more.
fn give_back(
    call: &mut Call<'_>,
    coming: &BTreeSet<(&'static str, &str)>,
    batch: &mut Batch,
    gone: &mut Gone,
) {
    let is_coming =
        |kind: &str, name: &str| coming.iter().any(|(other, same)| *other == kind && *same == name);
    let given = given_back::give_back(call, is_coming, batch);
    gone.given_back.extend(given.iter().map(|(kind, name)| entity_row(kind, name)));
}

/// Removes what the projects that it `ends` own and what does not come again, and gives back what
/// they had displaced. The caller holds the lock of changes.
pub(crate) fn remove_owned(
    call: &mut Call<'_>,
    ends: &dyn Fn(&str) -> bool,
    coming: &BTreeSet<(&'static str, &str)>,
    batch: &mut Batch,
) -> Gone {
    let mut gone = Gone::default();
    let owned = owned(call.tenant, ends);
    remove_some(call, owned, coming, batch, &mut gone);
    give_back(call, coming, batch, &mut gone);
    gone
}

fn remove_one(call: &mut Call<'_>, kind: &'static str, name: &str, batch: &mut Batch) {
    let Some(definition) = DefinitionKind::ALL.into_iter().find(|known| known.key() == kind) else {
        batch.push(Op::DeleteDefinition { tenant: call.tenant.id, kind, name });
        call.tenant.programs().scripts.remove(name);
        Guests::script_is_there(call.tenant, call.hosting, name, false);
        return;
    };
    if let Ok(removed) = Guests::remove(call.tenant, call.hosting, definition, name, batch) {
        call.changed_topics.extend(sys::removed_topics(&removed.definition));
    }
}

/// Publishes the list of scripts and the number of rules.
pub(crate) fn listings_changed(call: &mut Call<'_>) {
    let rules = lotmq_programs::rules::count(call.tenant).to_string();
    call.changed("$SYS/Coreflux/Config/Rules", rules);
    call.changed(scripts::TOPIC, call.tenant.programs().scripts.to_json());
}
