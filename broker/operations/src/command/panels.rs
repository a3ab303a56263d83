//! `-addPanel`, `-removePanel`, `-listPanels` and what else there is about panels, under their
//! older names too. Commands reference §3.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lot_facts::ViewState;
use lotmq_auth::Scope;
use lotmq_changes::Batch;
use lotmq_definitions::{Definition, DefinitionKind};
use serde_json::{Value, json};

use super::add_entity::{add, add_text, refused};
use super::argument::{FORCE, file, program, word};
use super::remove_entity::remove;
use super::reply::{Done, EntityType, Refusal};
use super::verb::{Call, Effect, Permission, Verb, Work};
use crate::sys;
use lotmq_codes::Code;
use lotmq_programs::HasPrograms as _;
use lotmq_programs::views;

const PERMISSION: Permission = Permission::Scope(Scope::SystemConfiguration);

pub(super) static ADD: Verb = Verb {
    name: "addPanel",
    arguments: &[program("LoT text")],
    permission: PERMISSION,
    effect: Effect::Stores,
    work: Work::Compiles,
    summary: "Adds a panel, or replaces the one of that name.",
    example: "-addPanel DEFINE PANEL \"Plant\"\n    WITH TITLE \"Plant 1\"",
    execute: |call| add(call, DefinitionKind::Panel),
};

pub(super) static ADD_VISU: Verb = Verb {
    name: "addVisu",
    summary: "As -addPanel.",
    example: "-addVisu DEFINE VISU Plant\n    WITH TITLE \"Plant 1\"",
    ..ADD
};

pub(super) static ADD_FILE: Verb = Verb {
    name: "addVisuFile",
    arguments: &[file("lot64:<base64>").secret().with_form("lot64:<base64 of LoT text>")],
    permission: PERMISSION,
    effect: Effect::Stores,
    work: Work::Compiles,
    summary: "Adds a panel whose text travels as base64.",
    example: "-addVisuFile lot64:REVGSU5FIFZJU1UgUA==",
    execute: add_file,
};

pub(super) static REMOVE: Verb = Verb {
    name: "removePanel",
    arguments: &[word("name"), FORCE],
    permission: PERMISSION,
    effect: Effect::Stores,
    work: Work::Answers,
    summary: "Removes a panel; one of another user with -force only.",
    example: "-removePanel Plant",
    execute: |call| remove(call, DefinitionKind::Panel),
};

pub(super) static REMOVE_VISU: Verb =
    Verb { name: "removeVisu", summary: "As -removePanel.", example: "-removeVisu Plant", ..REMOVE };

pub(super) static LIST: Verb = Verb {
    name: "listPanels",
    arguments: &[],
    permission: PERMISSION,
    effect: Effect::TellsWhatIsStored,
    work: Work::Answers,
    summary: "Lists the panels with title, state and visibility.",
    example: "-listPanels",
    execute: list,
};

pub(super) static CODE: Verb = Verb {
    name: "panelCode",
    arguments: &[word("name")],
    permission: PERMISSION,
    effect: Effect::TellsWhatIsStored,
    work: Work::Answers,
    summary: "Gives the text of a panel.",
    example: "-panelCode Plant",
    execute: code,
};

pub(super) static UPDATE_STATE: Verb = Verb {
    name: "updateVisuState",
    arguments: &[word("name"), word("state").with_form("<DRAFT | PUBLISHED | ARCHIVED>")],
    permission: PERMISSION,
    effect: Effect::Stores,
    work: Work::Answers,
    summary: "Publishes a panel on $SYS/Coreflux/VoT/Panels/<name> and $SYS/Coreflux/Visus/<name>, or takes it back.",
    example: "-updateVisuState Plant ARCHIVED",
    execute: update_state,
};

pub(super) static REFRESH: Verb = Verb {
    name: "refreshVisu",
    arguments: &[],
    permission: PERMISSION,
    effect: Effect::Reads,
    work: Work::Answers,
    summary: "Publishes all panels and themes again, on $SYS/Coreflux/VoT/Panels/<name>, $SYS/Coreflux/Visus/<name> and $SYS/Coreflux/VoT/Themes/<name>.",
    example: "-refreshVisu",
    execute: refresh,
};

fn add_file(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let argument = call.text("lot64:<base64>");
    let invalid = |reason: &str| Refusal::new(Code::Base64Invalid, format!("lot64 argument {reason}."));
    let encoded = argument.strip_prefix("lot64:").ok_or_else(|| invalid("must begin with lot64:"))?;
    let bytes = STANDARD.decode(encoded).map_err(|_| invalid("is not valid base64"))?;
    let text = String::from_utf8(bytes).map_err(|_| invalid("is not UTF-8 text"))?;
    add_text(call, DefinitionKind::Panel, &text)
}

fn list(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let rows: Vec<Value> = all(call, DefinitionKind::Panel).iter().map(|panel| row(panel)).collect();
    let message = match rows.len() {
        0 => "No panels registered.".to_owned(),
        count => format!("{count} panel(s)."),
    };
    Ok(Done::new(message).with_data(rows))
}

fn row(panel: &Definition) -> Value {
    let view = views::view(panel);
    let said = |key: &str| view.map_or(&Value::Null, |view| &view.tree[key]);
    json!({
        "name": &**panel.name(),
        "title": said("title"),
        "state": view.map(|view| view.state.word()),
        "visibility": said("visibility"),
        "components": said("components").as_array().map_or(0, Vec::len),
        "origin": panel.deployed.origin.to_string(),
    })
}

/// All panels or themes by name.
pub(super) fn all(call: &Call<'_>, kind: DefinitionKind) -> Vec<Arc<Definition>> {
    let mut all: Vec<_> = call.tenant.programs().guests.registry.read().list(kind).cloned().collect();
    all.sort_by(|a, b| a.name().cmp(b.name()));
    all
}

fn panel(call: &mut Call<'_>, name: &str) -> Result<Arc<Definition>, Refusal> {
    call.about(EntityType::Panel, name);
    let found = call.tenant.programs().guests.registry.read().get(DefinitionKind::Panel, name).cloned();
    found.ok_or_else(|| Refusal::not_found(format!("Panel '{name}' not found.")))
}

fn code(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let name = call.text("name");
    let panel = panel(call, name)?;
    Ok(Done::new(format!("Panel '{name}'.")).with_data(&*panel.deployed.source))
}

fn update_state(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let (name, word) = (call.text("name"), call.text("state"));
    let state = ViewState::by_word(word).ok_or_else(|| {
        let message = format!("Unknown state '{word}'. Usage: {}", call.verb.full_usage());
        Refusal::new(Code::ArgumentInvalid, message)
    })?;
    let mut batch = Batch::new();
    let _changes = call.commands.changes.lock();
    let panel = panel(call, name)?;
    let installed =
        views::set_state(call.tenant, call.hosting, &panel, state, &mut batch).map_err(refused)?;
    call.changed_topics.extend(sys::installed_topics(&installed));
    call.commit(batch)?;
    Ok(Done::new(format!("State of panel '{name}' set to {} successfully!", state.word())))
}

fn refresh(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let (panels, themes) = (all(call, DefinitionKind::Panel), all(call, DefinitionKind::Theme));
    let message = format!("{} panel(s) and {} theme(s) published.", panels.len(), themes.len());
    for view in panels.iter().chain(&themes) {
        call.changed_topics.extend(sys::retained_topics(view));
    }
    Ok(Done::new(message))
}
