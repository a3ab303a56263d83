//! `-addProject` and its siblings, and `-loadLicense`, which old clients send. Commands reference §12.2 and §13.

mod compiled;
mod given_back;
mod rights;

use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use lotmq_auth::Scope;
use lotmq_definitions::OnExisting;
use lotmq_store::{Batch, Op, Snapshot, SnapshotError};
use serde_json::{Value, json};

use super::ownership::Removal;
use super::reply::{Done, EntityType, Refusal, missing_argument};
use super::shown::Shown;
use super::verb::{Call, Effect, Permission, Verb};
use crate::limits::{PROJECT_NAME_BYTES_MAX, PROJECTS_BYTES_MAX, PROJECTS_MAX, VERB_SHOWN_CHARS_MAX};
use crate::management::managed::Managing as _;
use crate::management::projects::archive::{self, Contents};
use crate::management::projects::{Active, Project, folder, is_name};
use crate::management::tenant_projects;
use crate::process::clock::utc_text;

const PERMISSION: Permission = Permission::Scope(Scope::SystemConfiguration);

pub(super) static ADD: Verb = Verb {
    name: "addProject",
    usage: "<zip64:base64 | path> [name] [load] [-replace] [-keepLoaded]",
    shown: Shown::All,
    permission: PERMISSION,
    effect: Effect::Stores,
    summary: "Stores a project, and loads it if told so.",
    example: "-addProject plant.zip plant load",
    execute: add,
};

pub(super) static REMOVE: Verb = Verb {
    name: "removeProject",
    usage: "<name> [-force]",
    shown: Shown::All,
    permission: PERMISSION,
    effect: Effect::Stores,
    summary: "Deletes a project that is not loaded; one of another user with -force only.",
    example: "-removeProject plant",
    execute: remove,
};

pub(super) static LOAD: Verb = Verb {
    name: "loadProject",
    usage: "<name> [-replace] [-keepLoaded]",
    shown: Shown::All,
    permission: PERMISSION,
    effect: Effect::Stores,
    summary: "Deploys what a project defines, in the place of the loaded one and on behalf of who stored it.",
    example: "-loadProject plant",
    execute: load,
};

pub(super) static UNLOAD: Verb = Verb {
    name: "unloadProject",
    usage: "[name]",
    shown: Shown::All,
    permission: PERMISSION,
    effect: Effect::Stores,
    summary: "Removes what the loaded project owns.",
    example: "-unloadProject",
    execute: unload,
};

pub(super) static LIST: Verb = Verb {
    name: "listProjects",
    usage: "",
    shown: Shown::All,
    permission: Permission::CommandCall,
    effect: Effect::TellsWhatIsStored,
    summary: "Lists projects.",
    example: "-listProjects",
    execute: list,
};

pub(super) static GET: Verb = Verb {
    name: "getProject",
    usage: "<name>",
    shown: Shown::All,
    permission: PERMISSION,
    effect: Effect::TellsWhatIsStored,
    summary: "Publishes a project's zip as base64 at its topic /download.",
    example: "-getProject plant",
    execute: get,
};

pub(super) static DUPLICATE: Verb = Verb {
    name: "duplicateProject",
    usage: "<name> <new name>",
    shown: Shown::All,
    permission: PERMISSION,
    effect: Effect::Stores,
    summary: "Stores a project once more under another name.",
    example: "-duplicateProject plant plant-2",
    execute: duplicate,
};

pub(super) static STATUS: Verb = Verb {
    name: "projectStatus",
    usage: "<name>",
    shown: Shown::All,
    permission: Permission::CommandCall,
    effect: Effect::TellsWhatIsStored,
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
    usage: "<name>",
    shown: Shown::All,
    permission: Permission::CommandCall,
    effect: Effect::TellsWhatIsStored,
    summary: "Lists the files of a project.",
    example: "-projectManifest plant",
    execute: |call| {
        let project = find(call)?;
        Ok(Done::new(format!("Project '{}'.", project.name)).with_data(project.manifest()))
    },
};

pub(super) static LOAD_LICENSE: Verb = Verb {
    name: "loadLicense",
    usage: "<anything>",
    shown: Shown::First(0),
    permission: Permission::CommandCall,
    effect: Effect::Reads,
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
#[derive(Clone, Copy)]
struct Options {
    /// Policy for definitions and projects of other users.
    existing: OnExisting,
    /// Whether another loaded project is kept.
    keeps_loaded: bool,
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
        changed_at_ms: call.broker.clock.wall_ms(),
    });
    let data = about(&project, &contents);
    let message = format!("Project '{}' added successfully!", project.name);
    let archive = Bytes::from(asked.bytes);
    if !asked.is_to_be_loaded {
        store(call, &project, archive, asked.options.existing)?;
        return Ok(Done::new(message).with_data(data));
    }
    let loaded = deploy(call, (&project, asked.options), &contents, Some(archive), data)?;
    Ok(Done { message, ..loaded })
}

fn read_arguments(call: &Call<'_>) -> Result<Asked, Refusal> {
    let (mut arguments, options) = with_options(call)?;
    if arguments.is_empty() {
        return Err(missing_argument(call.verb, "source"));
    }
    let is_load = |argument: &String| argument.eq_ignore_ascii_case("load");
    let is_to_be_loaded = arguments.len() > 1 && arguments.last().is_some_and(is_load);
    if is_to_be_loaded {
        arguments.pop();
    }
    if arguments.len() > 2 {
        return Err(call.too_many_arguments());
    }
    let name = arguments.get(1).cloned();
    let source = arguments.swap_remove(0);
    let (bytes, default_name, source) = if let Some(encoded) = source.strip_prefix("zip64:") {
        let bytes = STANDARD
            .decode(encoded)
            .map_err(|_| Refusal::new("BASE64_INVALID", "zip64 argument is not valid base64."))?;
        (bytes, None, "upload".to_owned())
    } else if is_repository(&source) {
        let message = "Projects from git are not available yet.";
        let hint = "send its folder as zip64:<base64>, or check it out below the folder 'files' of the data directory";
        return Err(Refusal::new("NOT_AVAILABLE", message).with_suggestion(hint.to_owned()));
    } else {
        let root = call.broker.config.data.path.join("files").join(&*call.tenant.name);
        let shown = format!("files/{}", call.tenant.name);
        let asked = source.clone();
        let read = call.aside(move || folder::read((&root, &shown), &asked))?;
        let (bytes, name) =
            read.map_err(|error| Refusal::new(error.code(), format!("Project was not added: {error}.")))?;
        (bytes, Some(name), source)
    };
    let name = name.or(default_name).ok_or_else(|| missing_argument(call.verb, "name"))?;
    check_name(&name)?;
    Ok(Asked { bytes, name, source, is_to_be_loaded, options })
}

/// Parses the arguments without the options, and the options.
fn with_options(call: &Call<'_>) -> Result<(Vec<String>, Options), Refusal> {
    let mut arguments = call.all_arguments()?;
    let mut take = |option: &str| {
        let count = arguments.len();
        arguments.retain(|argument| !argument.eq_ignore_ascii_case(option));
        arguments.len() < count
    };
    let existing = if take("-replace") { OnExisting::Replace } else { OnExisting::ReplaceOwn };
    let keeps_loaded = take("-keepLoaded");
    Ok((arguments, Options { existing, keeps_loaded }))
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
    let refusal = Refusal::new("PROJECT_NAME_INVALID", format!("Project name '{shown}' is invalid."));
    Err(refusal.with_suggestion(format!(
        "a name has at most {PROJECT_NAME_BYTES_MAX} letters, digits, dots, hyphens, underscores and, quoted, blanks"
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
    archive: Bytes,
    existing: OnExisting,
) -> Result<(), Refusal> {
    let _changes = call.broker.commands.changes.lock();
    call.check_current()?;
    check_owner(call, project, existing)?;
    if call.tenant.managed().projects.is_active(&project.name) {
        return Err(is_loaded(&project.name));
    }
    let mut batch = Batch::new();
    put(call, project, archive, &mut batch)?;
    call.commit(batch)?;
    call.tenant.managed().projects.insert(Arc::clone(project));
    changed(call, &[project]);
    Ok(())
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
            Err(Refusal::new("OF_ANOTHER", message))
        }
    }
}

/// Adds a project to the batch, if there is room for it.
fn put(call: &Call<'_>, project: &Arc<Project>, archive: Bytes, batch: &mut Batch) -> Result<(), Refusal> {
    let projects = &call.tenant.managed().projects;
    let former = projects.get(&project.name).map_or(0, |former| former.manifest.bytes);
    let (count, bytes) = projects.size();
    if former == 0 && count >= PROJECTS_MAX {
        return Err(Refusal::new("QUOTA_EXCEEDED", format!("There are already {PROJECTS_MAX} projects.")));
    }
    if bytes - former + project.manifest.bytes > PROJECTS_BYTES_MAX {
        let message = format!("All projects would take more than {PROJECTS_BYTES_MAX} bytes.");
        return Err(Refusal::new("QUOTA_EXCEEDED", message));
    }
    batch.push(Op::PutProject { row: &project.stored(call.tenant.id), archive });
    Ok(())
}

fn is_loaded(name: &str) -> Refusal {
    Refusal::new("PROJECT_LOADED", format!("Project '{name}' is loaded; unload it first."))
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
    let name = call.argument("name")?;
    named(call, &name)
}

fn named(call: &mut Call<'_>, name: &str) -> Result<Arc<Project>, Refusal> {
    call.about(EntityType::Project, name);
    let found = call.tenant.managed().projects.get(name);
    found.ok_or_else(|| Refusal::not_found(format!("Project '{name}' not found.")))
}

/// Reads the archive of a project from the store.
fn archive_of(call: &Call<'_>, project: &Project) -> Result<Bytes, Refusal> {
    let failed = |error: &dyn std::fmt::Display| {
        Refusal::new(
            "STORE_FAILED",
            format!("The files of project '{}' cannot be read: {error}.", project.name),
        )
    };
    let (broker, tenant, name) = (Arc::clone(call.broker), call.tenant.id, Arc::clone(&project.name));
    let read = move || {
        let archive = |snapshot: Snapshot| snapshot.archive(tenant, &name);
        broker.store.in_snapshot(SnapshotError::is_lost, archive)
    };
    let found = call.aside(read)?;
    let found = found.map_err(|error| failed(&error))?;
    found.map_err(|error| failed(&error))?.ok_or_else(|| failed(&"they are not there"))
}

fn load(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let (arguments, options) = with_options(call)?;
    let [name] = &*arguments else {
        return Err(match arguments.is_empty() {
            true => missing_argument(call.verb, "name"),
            false => call.too_many_arguments(),
        });
    };
    let project = named(call, name)?;
    let contents = contents(&archive_of(call, &project)?)?;
    let data = about(&project, &contents);
    deploy(call, (&project, options), &contents, None, data)
}

/// Makes a project the loaded one, and stores it in the same step if it comes with its archive. Entities that fail are reported; the rest is in force.
fn deploy(
    call: &mut Call<'_>,
    (project, options): (&Arc<Project>, Options),
    contents: &Contents,
    archive: Option<Bytes>,
    mut data: Value,
) -> Result<Done, Refusal> {
    if project.owner.is_none() && call.identity.user.is_some() {
        let message = format!("Project '{}' belongs to nobody: who stored it was removed.", project.name);
        let hint = format!(
            "store it again, or load a copy of your own: -duplicateProject {} <new name>",
            project.name
        );
        return Err(Refusal::new("OWNER_GONE", message).with_suggestion(hint));
    }
    let compiled = compiled::compile(call, (project, options.existing), &contents.parts);
    let _changes = call.broker.commands.changes.lock();
    call.check_current()?;
    check_owner(call, project, options.existing)?;
    let projects = &call.tenant.managed().projects;
    let former = projects.active().and_then(|active| projects.get(&active.name));
    if let Some(other) = former.as_ref().filter(|former| options.keeps_loaded && former.name != project.name)
    {
        return Err(other_loaded(&other.name, &project.name, compiled.would_remove(call.tenant)));
    }
    rights::may_remove_owned(call, &compiled.coming())?;
    let mut batch = Batch::new();
    if let Some(archive) = archive {
        put(call, project, archive, &mut batch)?;
        projects.insert(Arc::clone(project));
    } else if !projects.get(&project.name).is_some_and(|now| Arc::ptr_eq(&now, project)) {
        let message = format!("Project '{}' was changed meanwhile. Try again.", project.name);
        return Err(Refusal::new("CONFLICT", message));
    }
    let report = compiled::install(call, project, compiled, &mut batch);
    let loaded_at = utc_text(call.broker.clock.wall_ms());
    let active = Active { name: Arc::clone(&project.name), loaded_at };
    batch.push(Op::PutSetting(&active.setting(call.tenant.id)));
    call.tenant.managed().projects.set_active(Some(active));
    active_changed(call, former.filter(|former| former.name != project.name).iter().chain([project]));
    call.commit(batch)?;
    data["entities"] = report.entities.into();
    report.gone.tell(&mut data);
    let problems = report.problems;
    if problems.errors_total > 0 {
        let message =
            format!("Project '{}' is loaded, with {} error(s).", project.name, problems.errors_total);
        return Err(Refusal { message, errors: problems.errors, data: Some(data) });
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
    Refusal { data: Some(data), ..Refusal::new("OTHER_LOADED", message) }
}

fn active_changed<'a>(call: &mut Call<'_>, projects: impl Iterator<Item = &'a Arc<Project>>) {
    call.changed("$SYS/Coreflux/Projects/active", call.tenant.managed().projects.active_json());
    changed(call, &projects.collect::<Vec<_>>());
}

fn unload(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let asked = call.arguments(&[], 1)?.pop();
    let _changes = call.broker.commands.changes.lock();
    let active = call.tenant.managed().projects.active();
    let name = match (asked, &active) {
        (Some(name), _) => name,
        (None, Some(active)) => active.name.as_ref().to_owned(),
        (None, None) => return Err(Refusal::new("NOT_LOADED", "No project is loaded.")),
    };
    call.about(EntityType::Project, &name);
    if active.is_none_or(|active| *active.name != *name) {
        named(call, &name)?;
        return Err(Refusal::new("NOT_LOADED", format!("Project '{name}' is not loaded.")));
    }
    rights::may_remove_owned(call, &BTreeSet::new())?;
    let mut batch = Batch::new();
    let gone = compiled::remove_owned(call, &BTreeSet::new(), &mut batch);
    compiled::listings_changed(call);
    batch.push(Active::forget(call.tenant.id));
    call.tenant.managed().projects.set_active(None);
    let project = call.tenant.managed().projects.get(&name);
    active_changed(call, project.iter());
    call.commit(batch)?;
    let mut data = json!({ "name": name });
    gone.tell(&mut data);
    Ok(Done::new(format!("Project '{name}' unloaded successfully!")).with_data(data))
}

fn list(call: &mut Call<'_>) -> Result<Done, Refusal> {
    call.arguments(&[], 0)?;
    let rows = call.tenant.managed().projects.list();
    let message = match rows.as_array().map_or(0, Vec::len) {
        0 => "No projects found.".to_owned(),
        count => format!("{count} project(s)."),
    };
    Ok(Done::new(message).with_data(rows))
}

fn get(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let project = find(call)?;
    let archive = archive_of(call, &project)?;
    let topic = project.topic("download");
    call.told_topics.push((topic.clone(), STANDARD.encode(&archive).into_bytes()));
    let message = format!("Project '{}' with {} bytes was sent to {topic}.", project.name, archive.len());
    let data = json!({ "name": &*project.name, "topic": topic, "bytes": archive.len(), "sha256": project.manifest.sha256 });
    Ok(Done::new(message).with_data(data))
}

fn duplicate(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let arguments = call.arguments(&["name", "new name"], 0)?;
    let project = named(call, &arguments[0])?;
    let name = &arguments[1];
    check_name(name)?;
    if call.tenant.managed().projects.get(name).is_some() {
        return Err(Refusal::new("EXISTS", format!("Project '{name}' already exists.")));
    }
    let archive = archive_of(call, &project)?;
    call.about(EntityType::Project, name);
    let copy = Arc::new(Project {
        name: name.as_str().into(),
        source: project.source.clone(),
        manifest: project.manifest.clone(),
        owner: call.owner(),
        changed_at_ms: call.broker.clock.wall_ms(),
    });
    store(call, &copy, archive, OnExisting::ReplaceOwn)?;
    Ok(Done::new(format!("Project '{name}' added successfully!")).with_data(copy.manifest()))
}

fn remove(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let removal = Removal::read(call, &["name"])?;
    let name = &removal.arguments[0];
    let _changes = call.broker.commands.changes.lock();
    let project = named(call, name)?;
    if call.tenant.managed().projects.is_active(name) {
        return Err(is_loaded(name));
    }
    removal.check(call, "Project", [(name.clone(), project.owner.clone())])?;
    let mut batch = Batch::new();
    batch.push(Op::DeleteProject { tenant: call.tenant.id, name });
    call.commit(batch)?;
    call.tenant.managed().projects.remove(name);
    for leaf in ["status", "manifest"] {
        call.changed(project.topic(leaf), Vec::new());
    }
    changed(call, &[]);
    Ok(Done::new(format!("Project '{name}' removed successfully!")))
}
