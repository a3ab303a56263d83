//! `-listThemes`. Commands reference §3.

use lotmq_auth::Scope;
use lotmq_definitions::DefinitionKind;
use serde_json::{Value, json};

use super::panels::all;
use super::reply::{Done, Refusal};
use super::verb::{Call, Effect, Permission, Verb, Work};
use lotmq_programs::views;

pub(super) static LIST: Verb = Verb {
    name: "listThemes",
    arguments: &[],
    permission: Permission::Scope(Scope::SystemConfiguration),
    effect: Effect::TellsWhatIsStored,
    work: Work::Answers,
    summary: "Lists the themes with their settings.",
    example: "-listThemes",
    execute: list,
};

fn list(call: &mut Call<'_>) -> Result<Done, Refusal> {
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
