//! `-addProject` and its siblings, and `-loadLicense`, which old clients send. Commands reference
//! §12.2 and §13.

mod compiled;
mod given_back;
mod plan;
mod rights;

use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use lotmq_auth::Scope;
use lotmq_changes::{Batch, Op, SnapshotError};
use lotmq_core::limits::Limit;
use lotmq_definitions::OnExisting;
use serde_json::{Value, json};

use super::argument::{FORCE, VerbArgument, file, option, switch, text, word};
use super::environment::limit_reached;
use super::ownership::Removal;
use super::reply::{Done, EntityType, Refusal, missing_argument};
use super::verb::{Call, CallerFile, Effect, Permission, Verb, Work};
use crate::limits::{PROJECT_NAME_BYTES_MAX, PROJECT_PROBLEMS_MAX, VERB_SHOWN_CHARS_MAX};
use crate::managed::Managing as _;
use crate::projects::archive::{self, Contents};
use crate::projects::{Active, Project, folder, former_name, is_name, store_active};
use crate::tenant_projects;
use lotmq_codes::Code;
use lotmq_process::clock::utc_text;
use plan::ProjectPlan;

const PERMISSION: Permission = Permission::Scope(Scope::SystemConfiguration);

const BESIDE: VerbArgument = switch("-beside");
const DRY_RUN: VerbArgument = switch("-dryRun");
const AGREED: VerbArgument = option("-agreed", "<plan>").value_named("plan");
const REPLACE: VerbArgument = switch("-replace");
const KEEP_LOADED: VerbArgument = switch("-keepLoaded");

pub(super) static ADD: Verb = Verb {
    name: "addProject",
    arguments: &[
        file("source").with_form("<zip64:base64 | path>"),
        word("name").optional(),
        word("load").optional(),
        BESIDE,
        DRY_RUN,
        AGREED,
        REPLACE,
        KEEP_LOADED,
    ],
    permission: PERMISSION,
    effect: Effect::Stores,
    work: Work::Compiles,
    summary: "Stores a project, and loads it if told so.",
    example: "-addProject plant.zip plant load",
    execute: add,
};

pub(super) static REMOVE: Verb = Verb {
    name: "removeProject",
    arguments: &[word("name"), FORCE],
    permission: PERMISSION,
    effect: Effect::Stores,
    work: Work::Answers,
    summary: "Deletes a project that is not loaded; one of another user with -force only.",
    example: "-removeProject plant",
    execute: remove,
};

pub(super) static LOAD: Verb = Verb {
    name: "loadProject",
    arguments: &[word("name"), BESIDE, DRY_RUN, AGREED, REPLACE, KEEP_LOADED],
    permission: PERMISSION,
    effect: Effect::Stores,
    work: Work::Compiles,
    summary: "Deploys what a project defines, on behalf of who stored it: in the place of those loaded, or beside them.",
    example: "-loadProject plant",
    execute: load,
};

pub(super) static UNLOAD: Verb = Verb {
    name: "unloadProject",
    arguments: &[
        word("name").optional(),
        DRY_RUN,
        AGREED,
        FORCE,
        // Options of loading, to refuse them.
        BESIDE.with_form(""),
        REPLACE.with_form(""),
        KEEP_LOADED.with_form(""),
    ],
    permission: PERMISSION,
    effect: Effect::Stores,
    work: Work::Answers,
    summary: "Removes what a loaded project owns; one of another user with -force only.",
    example: "-unloadProject",
    execute: unload,
};

pub(super) static ROLLBACK: Verb = Verb {
    name: "rollbackProject",
    arguments: &[word("name"), DRY_RUN, AGREED, REPLACE, BESIDE.with_form(""), KEEP_LOADED.with_form("")],
    permission: PERMISSION,
    effect: Effect::Stores,
    work: Work::Compiles,
    summary: "Goes back to the version of a project that was stored before, and deploys it if the project is loaded.",
    example: "-rollbackProject plant",
    execute: roll_back,
};

pub(super) static LIST: Verb = Verb {
    name: "listProjects",
    arguments: &[],
    permission: Permission::CommandCall,
    effect: Effect::TellsWhatIsStored,
    work: Work::Answers,
    summary: "Lists projects.",
    example: "-listProjects",
    execute: list,
};

pub(super) static GET: Verb = Verb {
    name: "getProject",
    arguments: &[word("name")],
    permission: PERMISSION,
    effect: Effect::TellsWhatIsStored,
    work: Work::Waits,
    summary: "Sends a project's zip as base64 to $SYS/Coreflux/Projects/<name>/download, to the sessions of the user who asks that are subscribed to it, and then replies.",
    example: "-getProject plant",
    execute: get,
};

pub(super) static DUPLICATE: Verb = Verb {
    name: "duplicateProject",
    arguments: &[word("name"), word("new name")],
    permission: PERMISSION,
    effect: Effect::Stores,
    work: Work::Answers,
    summary: "Stores a project once more under another name.",
    example: "-duplicateProject plant plant-2",
    execute: duplicate,
};

pub(super) static STATUS: Verb = Verb {
    name: "projectStatus",
    arguments: &[word("name")],
    permission: Permission::CommandCall,
    effect: Effect::TellsWhatIsStored,
    work: Work::Answers,
    summary: "Tells whether a project is loaded, and what it owns.",
    example: "-projectStatus plant",
    execute: |call| {
        let project = find(call)?;
        Ok(Done::new(format!("Project '{}'.", project.name))
            .with_data(tenant_projects::status(call.tenant, &project)))
    },
};

pub(super) static MANIFEST: Verb = Verb {
    name: "projectManifest",
    arguments: &[word("name")],
    permission: Permission::CommandCall,
    effect: Effect::TellsWhatIsStored,
    work: Work::Answers,
    summary: "Lists the files of a project.",
    example: "-projectManifest plant",
    execute: |call| {
        let project = find(call)?;
        Ok(Done::new(format!("Project '{}'.", project.name)).with_data(project.manifest()))
    },
};

pub(super) static LOAD_LICENSE: Verb = Verb {
    name: "loadLicense",
    arguments: &[text("anything").optional().secret().with_form("<anything>")],
    permission: Permission::CommandCall,
    effect: Effect::Reads,
    work: Work::Answers,
    summary: "Does nothing: no license is required.",
    example: "-loadLicense license.lic",
    execute: |_| Ok(Done::new("No license is required. The command was ignored.")),
};

/// Arguments of `-addProject`.
struct Asked {
    bytes: Vec<u8>,
    name: String,
    /// Source of the project, as it is told.
    source: String,
    is_to_be_loaded: bool,
    options: Options,
}

/// Options about what may be replaced.
#[derive(Clone)]
struct Options {
    /// Policy for definitions and projects of other users.
    existing: OnExisting,
    /// Whether it is refused while another project is loaded.
    keeps_loaded: bool,
    /// Whether other loaded projects stay so.
    is_beside: bool,
    /// Whether it is only told what would change.
    is_dry_run: bool,
    /// Fingerprint of the plan that somebody has agreed to; nothing else is done then.
    agreed: Option<String>,
}

impl Options {
    /// Whether loading the project `wanted` ends another one.
    fn ends(&self, loaded: &str, wanted: &str) -> bool {
        loaded == wanted || !self.is_beside
    }
}

/// Archive that comes with a command, and that of the version in whose place it comes.
struct Archive {
    bytes: Bytes,
    /// The version before, where another one is stored.
    former: Option<(Arc<Project>, Bytes)>,
}

fn add(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let asked = read_arguments(call)?;
    call.about(EntityType::Project, &asked.name);
    let contents = contents(&asked.bytes)?;
    let project = Arc::new(Project {
        name: asked.name.as_str().into(),
        source: asked.source,
        manifest: contents.manifest.clone(),
        owner: call.owner(),
        changed_at_ms: call.core.clock.wall_ms(),
    });
    let data = about(&project, &contents);
    let message = format!("Project '{}' added successfully!", project.name);
    let archive = Bytes::from(asked.bytes);
    let archive = with_former(call, &project, archive)?;
    if !asked.is_to_be_loaded {
        if asked.options.is_dry_run || asked.options.agreed.is_some() {
            let message = "-dryRun and -agreed are about what loading changes: add load.";
            return Err(Refusal::new(Code::ArgumentInvalid, message));
        }
        store(call, &project, archive, asked.options.existing)?;
        return Ok(Done::new(message).with_data(data));
    }
    let loaded = deploy(call, (&project, &asked.options), &contents, Some(archive), data)?;
    Ok(if asked.options.is_dry_run { loaded } else { Done { message, ..loaded } })
}

/// Adds the archive of the version that is stored now, to be kept as the version before.
fn with_former(call: &mut Call<'_>, project: &Project, bytes: Bytes) -> Result<Archive, Refusal> {
    let stored = call.tenant.managed().projects.get(&project.name);
    let former = match stored.filter(|stored| stored.manifest.sha256 != project.manifest.sha256) {
        None => None,
        Some(former) => {
            let archive = archive_of(call, &former.name, &former.name)?;
            Some((former, archive))
        }
    };
    Ok(Archive { bytes, former })
}

fn read_arguments(call: &Call<'_>) -> Result<Asked, Refusal> {
    let options = Options::of(call);
    let (source, words) = (call.text("source").to_owned(), ["name", "load"]);
    let words = words.into_iter().filter_map(|name| call.values.get(name)).collect::<Vec<_>>();
    let is_load = |word: &&str| word.eq_ignore_ascii_case("load");
    let (is_to_be_loaded, name) = match &*words {
        [only] => (is_load(only), Some(*only).filter(|word| !is_load(word))),
        [name, last] if is_load(last) => (true, Some(*name)),
        [_, _, ..] => return Err(call.too_many_arguments()),
        [] => (false, None),
    };
    let name = name.map(str::to_owned);
    let (bytes, default_name, source) = if let Some(encoded) = source.strip_prefix("zip64:") {
        let bytes = STANDARD
            .decode(encoded)
            .map_err(|_| Refusal::new(Code::Base64Invalid, "zip64 argument is not valid base64."))?;
        (bytes, None, "upload".to_owned())
    } else if is_repository(&source) {
        let message = "Projects from git are not available yet.";
        let hint = "send its folder as zip64:<base64>, or check it out below the folder 'files' of the data directory";
        return Err(Refusal::new(Code::NotAvailable, message).with_suggestion(hint.to_owned()));
    } else {
        let root = call.hosting.config.data.path.join("files").join(&*call.tenant.name);
        let shown = format!("files/{}", call.tenant.name);
        let asked = source.clone();
        let read = call.run_blocking(move || folder::read((&root, &shown), &asked))?;
        let (bytes, name) =
            read.map_err(|error| Refusal::new(error.code(), format!("Project was not added: {error}.")))?;
        (bytes, Some(name), source)
    };
    let name = name.or(default_name).ok_or_else(|| missing_argument(call.verb, "name"))?;
    check_name(&name)?;
    Ok(Asked { bytes, name, source, is_to_be_loaded, options })
}

impl Options {
    fn of(call: &Call<'_>) -> Self {
        let values = call.values;
        Self {
            existing: if values.has("-replace") { OnExisting::Replace } else { OnExisting::ReplaceOwn },
            keeps_loaded: values.has("-keepLoaded"),
            is_beside: values.has("-beside"),
            is_dry_run: values.has("-dryRun"),
            agreed: values.get("-agreed").map(str::to_owned),
        }
    }
}

/// Data of a reply about a project that is stored or loaded.
fn about(project: &Project, contents: &Contents) -> Value {
    json!({
        "name": &*project.name,
        "files": project.manifest.files.len(),
        "sha256": project.manifest.sha256,
        "owner": project.owner.as_ref().map(|owner| &*owner.name),
        "counts": compiled::counts(&contents.parts),
    })
}

fn is_repository(source: &str) -> bool {
    ["http://", "https://", "ssh://", "git://", "git@"].iter().any(|start| source.starts_with(start))
        || source.ends_with(".git")
}

fn check_name(name: &str) -> Result<(), Refusal> {
    if is_name(name) {
        return Ok(());
    }
    let shown: String = name.chars().take(VERB_SHOWN_CHARS_MAX).collect();
    let refusal = Refusal::new(Code::ProjectNameInvalid, format!("Project name '{shown}' is invalid."));
    Err(refusal.with_suggestion(format!(
        "a name has at most {PROJECT_NAME_BYTES_MAX} letters from a to z, digits, dots, hyphens, underscores and, quoted, blanks, and begins with no hyphen; --name of `lotmq deploy` gives another than the folder's"
    )))
}

fn contents(bytes: &[u8]) -> Result<Contents, Refusal> {
    archive::read(bytes)
        .map_err(|error| Refusal::new(error.code(), format!("Project was not added: {error}.")))
}

/// Stores a project, in the place of one that is not loaded.
fn store(
    call: &mut Call<'_>,
    project: &Arc<Project>,
    archive: Archive,
    existing: OnExisting,
) -> Result<(), Refusal> {
    let _changes = call.commands.changes.lock();
    call.check_current()?;
    check_owner(call, project, existing)?;
    if call.tenant.managed().projects.is_active(&project.name) {
        return Err(is_loaded(&project.name));
    }
    let mut batch = Batch::new();
    let former = put(call, project, archive, &mut batch)?;
    // In force whatever becomes of it: the store keeps it for when it works again.
    let stored = call.commit(batch);
    insert(call, project, former);
    changed(call, &[project]);
    stored
}

/// Takes in a project that is stored, with what becomes of the version before.
fn insert(call: &Call<'_>, project: &Arc<Project>, former: FormerVersion) {
    let projects = &call.tenant.managed().projects;
    match former {
        FormerVersion::Stays => {}
        FormerVersion::Is(former) => projects.keep_former(&project.name, Some(former)),
        FormerVersion::IsGone => projects.keep_former(&project.name, None),
    }
    projects.insert(Arc::clone(project));
}

/// Former version of a project after the project is stored.
enum FormerVersion {
    /// The same files were stored again.
    Stays,
    Is(Arc<Project>),
    /// There is none, or no room for it.
    IsGone,
}

/// Refuses to replace a project that somebody else has stored, unless told so.
fn check_owner(call: &Call<'_>, project: &Project, existing: OnExisting) -> Result<(), Refusal> {
    let known = call.tenant.managed().projects.get(&project.name).and_then(|known| known.owner.clone());
    match known.filter(|known| existing != OnExisting::Replace && project.owner.as_ref() != Some(known)) {
        None => Ok(()),
        Some(other) => {
            let (name, other) = (&project.name, other.name);
            let message =
                format!("Project '{name}' belongs to user '{other}'. Use -replace to take it over.");
            Err(Refusal::new(Code::OfAnother, message))
        }
    }
}

/// Adds a project to the batch, if there is room for it, and the version before, if there is room
/// for that too. The caller holds the lock of changes.
fn put(
    call: &Call<'_>,
    project: &Arc<Project>,
    archive: Archive,
    batch: &mut Batch,
) -> Result<FormerVersion, Refusal> {
    let (tenant, projects) = (call.tenant.id, &call.tenant.managed().projects);
    let stored = projects.get(&project.name);
    let is_meant = |former: &Arc<Project>| stored.as_ref().is_some_and(|stored| Arc::ptr_eq(stored, former));
    if archive.former.as_ref().is_some_and(|(former, _)| !is_meant(former)) {
        return Err(changed_meanwhile(&project.name));
    }
    let bytes_of = |project: &Option<Arc<Project>>| project.as_ref().map_or(0, |it| it.manifest.bytes);
    let before = projects.former(&project.name);
    let (count, bytes) = projects.size();
    let limits = &call.hosting.config.limits;
    let bytes_max = usize::try_from(limits.project_bytes).unwrap_or(usize::MAX);
    if stored.is_none() && count >= limits.projects as usize {
        limit_reached(call, Limit::Projects);
        return Err(Refusal::new(Code::QuotaExceeded, format!("There are already {count} projects.")));
    }
    let others = bytes - bytes_of(&stored) - bytes_of(&before) + project.manifest.bytes;
    if others > bytes_max {
        limit_reached(call, Limit::ProjectBytes);
        let message = format!("All projects would take more than {bytes_max} bytes.");
        return Err(Refusal::new(Code::QuotaExceeded, message));
    }
    batch.push(Op::PutProject { row: &project.stored(tenant), archive: archive.bytes });
    let is_same = stored.as_ref().is_some_and(|it| it.manifest.sha256 == project.manifest.sha256);
    if is_same && others + bytes_of(&before) <= bytes_max {
        return Ok(FormerVersion::Stays);
    }
    match archive.former.filter(|(former, _)| others + former.manifest.bytes <= bytes_max) {
        Some((former, archive)) => {
            batch.push(Op::PutProject { row: &former.stored_as_former(tenant), archive });
            Ok(FormerVersion::Is(former))
        }
        None => {
            batch.push(Op::DeleteProject { tenant, name: &former_name(&project.name) });
            Ok(FormerVersion::IsGone)
        }
    }
}

fn changed_meanwhile(name: &str) -> Refusal {
    Refusal::new(Code::Conflict, format!("Project '{name}' was changed meanwhile. Try again."))
}

fn is_loaded(name: &str) -> Refusal {
    Refusal::new(Code::ProjectLoaded, format!("Project '{name}' is loaded; unload it first."))
        .with_suggestion(format!("-unloadProject {name}"))
}

/// Publishes the topics of projects, and which is loaded.
fn changed(call: &mut Call<'_>, projects: &[&Arc<Project>]) {
    call.changed("$SYS/Coreflux/Projects/list", call.tenant.managed().projects.list().to_string());
    for project in projects {
        for (topic, payload) in tenant_projects::topics(call.tenant, project) {
            call.changed(topic, payload);
        }
    }
}

/// Finds the project that the one argument names.
fn find(call: &mut Call<'_>) -> Result<Arc<Project>, Refusal> {
    let name = call.text("name");
    named(call, name)
}

fn named(call: &mut Call<'_>, name: &str) -> Result<Arc<Project>, Refusal> {
    call.about(EntityType::Project, name);
    let found = call.tenant.managed().projects.get(name);
    found.ok_or_else(|| Refusal::not_found(format!("Project '{name}' not found.")))
}

/// Reads the archive of a project from the store, by the name under which it is stored.
fn archive_of(call: &Call<'_>, project: &str, stored: &str) -> Result<Bytes, Refusal> {
    let failed = |error: &dyn std::fmt::Display| {
        Refusal::new(Code::StoreFailed, format!("The files of project '{project}' cannot be read: {error}."))
    };
    let (archive, tenant, name) = (Arc::clone(&call.hosting.archive), call.tenant.id, stored.to_owned());
    let read =
        move || archive.in_snapshot(SnapshotError::is_lost, |snapshot| snapshot.archive(tenant, &name));
    let found = call.run_blocking(read)?;
    let found = found.map_err(|error| failed(&error))?;
    found.map_err(|error| failed(&error))?.ok_or_else(|| failed(&"they are not there"))
}

fn load(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let (name, options) = (call.text("name"), Options::of(call));
    let project = named(call, name)?;
    let contents = contents(&archive_of(call, &project.name, &project.name)?)?;
    let data = about(&project, &contents);
    deploy(call, (&project, &options), &contents, None, data)
}

/// Stores the version before of a project again, in its place: the two change places.
fn roll_back(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let (name, options) = (call.text("name"), Options::of(call));
    named(call, name)?;
    let projects = &call.tenant.managed().projects;
    let former = projects.former(name).ok_or_else(|| {
        Refusal::not_found(format!("Project '{name}' has no version before the one that is stored."))
    })?;
    let bytes = archive_of(call, name, &former_name(name))?;
    let contents = contents(&bytes)?;
    let project = Arc::new(Project {
        name: Arc::clone(&former.name),
        source: former.source.clone(),
        manifest: contents.manifest.clone(),
        owner: call.owner(),
        changed_at_ms: call.core.clock.wall_ms(),
    });
    let mut data = about(&project, &contents);
    let archive = with_former(call, &project, bytes)?;
    let message = format!("Project '{name}' is what it was before.");
    if !call.tenant.managed().projects.is_active(name) {
        let plan = ProjectPlan::of_stored(&project);
        if options.is_dry_run {
            plan.tell(&mut data);
        } else {
            plan.check(options.agreed.as_deref())?;
            store(call, &project, archive, options.existing)?;
        }
        return Ok(Done::new(message).with_data(data));
    }
    let options = Options { is_beside: true, ..options };
    let loaded = deploy(call, (&project, &options), &contents, Some(archive), data)?;
    Ok(if options.is_dry_run { loaded } else { Done { message, ..loaded } })
}

/// Makes a project a loaded one, and stores it in the same step if it comes with its archive.
/// Entities that fail are reported; the rest is in force.
fn deploy(
    call: &mut Call<'_>,
    (project, options): (&Arc<Project>, &Options),
    contents: &Contents,
    archive: Option<Archive>,
    mut data: Value,
) -> Result<Done, Refusal> {
    if project.owner.is_none() && call.identity.user().is_some() {
        let message = format!("Project '{}' belongs to nobody: who stored it was removed.", project.name);
        let hint = format!(
            "store it again, or load a copy of your own: -duplicateProject {} <new name>",
            project.name
        );
        return Err(Refusal::new(Code::OwnerGone, message).with_suggestion(hint));
    }
    let compiled = compiled::compile(call, (project, options.existing), &contents.parts);
    let _changes = call.commands.changes.lock();
    call.check_current()?;
    check_owner(call, project, options.existing)?;
    let projects = &call.tenant.managed().projects;
    let active = projects.active();
    let other = active.iter().find(|active| active.name != project.name);
    if let Some(other) = other.filter(|_| options.keeps_loaded && !options.is_beside) {
        let removes = compiled::would_remove(call.tenant, &|_| true, &compiled.coming());
        return Err(other_loaded(&other.name, &project.name, removes));
    }
    let ends = |loaded: &str| options.ends(loaded, &project.name);
    rights::may_remove_owned(call, &ends, &compiled.coming())?;
    if options.existing != OnExisting::Replace {
        rights::check_ended(call, &project.name, &ends)?;
    }
    if archive.is_none() && !projects.get(&project.name).is_some_and(|now| Arc::ptr_eq(&now, project)) {
        return Err(changed_meanwhile(&project.name));
    }
    let mut batch = Batch::new();
    let stored = archive.map(|archive| put(call, project, archive, &mut batch)).transpose()?;
    if options.is_dry_run {
        return plan::report(call, project, compiled, &ends, data);
    }
    if let Some(agreed) = &options.agreed {
        ProjectPlan::of(call, project, &compiled, &ends).check(Some(agreed))?;
    }
    if let Some(former) = stored {
        insert(call, project, former);
    }
    let report = compiled::install(call, project, compiled, &ends, &mut batch);
    let loaded_at = utc_text(call.core.clock.wall_ms());
    let (ended, mut loaded): (Vec<Active>, Vec<Active>) =
        active.into_iter().partition(|active| ends(&active.name));
    loaded.push(Active { name: Arc::clone(&project.name), loaded_at });
    store_active(call.tenant.id, &loaded, &mut batch);
    let projects = &call.tenant.managed().projects;
    projects.set_active(loaded);
    let ended = ended.iter().filter(|ended| ended.name != project.name);
    let ended: Vec<Arc<Project>> = ended.filter_map(|ended| projects.get(&ended.name)).collect();
    active_changed(call, ended.iter().chain([project]));
    call.commit(batch)?;
    data["entities"] = report.entities.into();
    report.gone.tell(&mut data);
    let problems = report.problems;
    if problems.errors_total > 0 {
        let message =
            format!("Project '{}' is loaded, with {} error(s).", project.name, problems.errors_total);
        return Err(Refusal { message, errors: problems.errors, data: data.into(), ..Refusal::default() });
    }
    let message = format!("Project '{}' loaded successfully!", project.name);
    Ok(Done { warnings: problems.warnings, ..Done::new(message).with_data(data) })
}

/// Refusal to replace the loaded project, with the list of what would be removed.
fn other_loaded(loaded: &str, wanted: &str, removes: Vec<Value>) -> Refusal {
    let rules = removes.iter().filter(|row| row["type"] == "Rule").count();
    let warning = if rules > 0 { format!(", {rules} rule(s) among them") } else { String::new() };
    let message = format!(
        "Project '{loaded}' is loaded. Loading '{wanted}' takes its place and removes {} definition(s){warning}.",
        removes.len()
    );
    let data = json!({ "loaded": loaded, "removes": removes });
    Refusal { data: data.into(), ..Refusal::new(Code::OtherLoaded, message) }
}

fn active_changed<'a>(call: &mut Call<'_>, projects: impl Iterator<Item = &'a Arc<Project>>) {
    call.changed("$SYS/Coreflux/Projects/active", call.tenant.managed().projects.active_json());
    changed(call, &projects.collect::<Vec<_>>());
}

fn unload(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let (asked, options, removal) = (call.values.get("name"), Options::of(call), Removal::of(call));
    let is_of_loading =
        options.is_beside || options.keeps_loaded || options.existing != OnExisting::ReplaceOwn;
    if is_of_loading {
        return Err(call.too_many_arguments());
    }
    let _changes = call.commands.changes.lock();
    let mut active = call.tenant.managed().projects.active();
    let name = match (asked, &*active) {
        (Some(name), _) => name.to_owned(),
        (None, [one]) => one.name.as_ref().to_owned(),
        (None, []) => return Err(Refusal::new(Code::NotLoaded, "No project is loaded.")),
        (None, several) => {
            let names: Vec<&str> = several.iter().map(|active| &*active.name).collect();
            let message = format!("Several projects are loaded: {}. Name one.", names.join(", "));
            return Err(Refusal::new(Code::MissingArgument, message));
        }
    };
    call.about(EntityType::Project, &name);
    let count = active.len();
    active.retain(|active| *active.name != *name);
    if active.len() == count {
        named(call, &name)?;
        return Err(Refusal::new(Code::NotLoaded, format!("Project '{name}' is not loaded.")));
    }
    let ends = |loaded: &str| loaded == name;
    rights::may_remove_owned(call, &ends, &BTreeSet::new())?;
    let mut data = json!({ "name": name });
    if options.is_dry_run {
        ProjectPlan::of_end(call, &name, &ends).tell(&mut data);
        let message = format!("Project '{name}' can be unloaded. Nothing was changed.");
        return Ok(Done::new(message).with_data(data));
    }
    let of_others = rights::of_others(call, &ends).into_iter();
    removal.check(call, "Project", of_others.map(|(name, owner)| (name.as_ref().to_owned(), Some(owner))))?;
    if let Some(agreed) = &options.agreed {
        ProjectPlan::of_end(call, &name, &ends).check(Some(agreed))?;
    }
    let mut batch = Batch::new();
    let mut gone = compiled::remove_owned(call, &ends, &BTreeSet::new(), &mut batch);
    compiled::listings_changed(call);
    store_active(call.tenant.id, &active, &mut batch);
    call.tenant.managed().projects.set_active(active);
    let project = call.tenant.managed().projects.get(&name);
    active_changed(call, project.iter());
    call.commit(batch)?;
    let mut warnings = gone.warnings();
    warnings.truncate(PROJECT_PROBLEMS_MAX);
    gone.tell(&mut data);
    let done = Done::new(format!("Project '{name}' unloaded successfully!"));
    Ok(Done { warnings, ..done.with_data(data) })
}

fn list(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let rows = call.tenant.managed().projects.list();
    let message = match rows.as_array().map_or(0, Vec::len) {
        0 => "No projects found.".to_owned(),
        count => format!("{count} project(s)."),
    };
    Ok(Done::new(message).with_data(rows))
}

fn get(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let project = find(call)?;
    let archive = archive_of(call, &project.name, &project.name)?;
    let topic = project.topic("download");
    let message = format!("Project '{}' with {} bytes was sent to {topic}.", project.name, archive.len());
    let data = json!({ "name": &*project.name, "topic": topic, "bytes": archive.len(), "sha256": project.manifest.sha256 });
    call.file = Some(CallerFile { topic, bytes: archive });
    Ok(Done::new(message).with_data(data))
}

fn duplicate(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let project = named(call, call.text("name"))?;
    let name = call.text("new name");
    check_name(name)?;
    if call.tenant.managed().projects.get(name).is_some() {
        return Err(Refusal::new(Code::Exists, format!("Project '{name}' already exists.")));
    }
    let archive = archive_of(call, &project.name, &project.name)?;
    call.about(EntityType::Project, name);
    let copy = Arc::new(Project {
        name: name.into(),
        source: project.source.clone(),
        manifest: project.manifest.clone(),
        owner: call.owner(),
        changed_at_ms: call.core.clock.wall_ms(),
    });
    store(call, &copy, Archive { bytes: archive, former: None }, OnExisting::ReplaceOwn)?;
    Ok(Done::new(format!("Project '{name}' added successfully!")).with_data(copy.manifest()))
}

fn remove(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let (removal, name) = (Removal::of(call), call.text("name"));
    let _changes = call.commands.changes.lock();
    let project = named(call, name)?;
    if call.tenant.managed().projects.is_active(name) {
        return Err(is_loaded(name));
    }
    removal.check(call, "Project", [(name.to_owned(), project.owner.clone())])?;
    let mut batch = Batch::new();
    for name in [name, &former_name(name)] {
        batch.push(Op::DeleteProject { tenant: call.tenant.id, name });
    }
    // In force whatever becomes of it: the store keeps it for when it works again.
    let stored = call.commit(batch);
    call.tenant.managed().projects.remove(name);
    for leaf in ["status", "manifest"] {
        call.changed(project.topic(leaf), Vec::new());
    }
    changed(call, &[]);
    stored?;
    Ok(Done::new(format!("Project '{name}' removed successfully!")))
}
