//! `-addTheme`, `-removeTheme`, `-removeAllThemes`, `-listThemes`. Commands reference §3.

use lotmq_auth::Scope;
use lotmq_definitions::DefinitionKind;
use serde_json::{Value, json};

use super::add_entity::add;
use super::panels::all;
use super::remove_entity::{remove, remove_all};
use super::reply::{Done, Refusal};
use super::shown::Shown;
use super::verb::{Call, Effect, Permission, Verb};
use crate::guests::views;

const PERMISSION: Permission = Permission::Scope(Scope::SystemConfiguration);

pub(super) static ADD: Verb = Verb {
    name: "addTheme",
    usage: "<LoT text>",
    shown: Shown::Digest,
    permission: PERMISSION,
    effect: Effect::Stores,
    summary: "Adds a theme, or replaces the one of that name.",
    example: "-addTheme DEFINE THEME \"Dark\"\n    SET \"BACKGROUND\" WITH \"#101010\"",
    execute: |call| add(call, DefinitionKind::Theme),
};

pub(super) static REMOVE: Verb = Verb {
    name: "removeTheme",
    usage: "<name>",
    shown: Shown::All,
    permission: PERMISSION,
    effect: Effect::Stores,
    summary: "Removes a theme.",
    example: "-removeTheme Dark",
    execute: |call| remove(call, DefinitionKind::Theme),
};

pub(super) static REMOVE_ALL: Verb = Verb {
    name: "removeAllThemes",
    usage: "",
    shown: Shown::All,
    permission: PERMISSION,
    effect: Effect::Stores,
    summary: "Removes all themes.",
    example: "-removeAllThemes",
    execute: |call| remove_all(call, DefinitionKind::Theme, "themes"),
};

pub(super) static LIST: Verb = Verb {
    name: "listThemes",
    usage: "",
    shown: Shown::All,
    permission: PERMISSION,
    effect: Effect::TellsWhatIsStored,
    summary: "Lists the themes with their settings.",
    example: "-listThemes",
    execute: list,
};

fn list(call: &mut Call<'_>) -> Result<Done, Refusal> {
    call.arguments(&[], 0)?;
    let themes = all(call, DefinitionKind::Theme);
    let row = |theme: &std::sync::Arc<lotmq_definitions::Definition>| {
        let settings = views::view(theme).map(|view| &view.tree["settings"]);
        let origin = theme.deployed.origin.to_string();
        json!({ "name": &**theme.name(), "settings": settings, "origin": origin })
    };
    let rows: Vec<Value> = themes.iter().map(row).collect();
    let message = match rows.len() {
        0 => "No themes registered.".to_owned(),
        count => format!("{count} theme(s)."),
    };
    Ok(Done::new(message).with_data(rows))
}
