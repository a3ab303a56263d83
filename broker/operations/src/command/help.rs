//! `-help`: the verbs that the one who asks may use. Commands reference §4.

use serde_json::json;

use super::argument::word;
use super::reply::{Done, Refusal, unknown_command};
use super::verb::{Call, Effect, Permission, Verb, Work};
use super::{GROUPS, find};
use crate::command_text::{CommandText, normalized_verb};

pub(super) static HELP: Verb = Verb {
    name: "help",
    arguments: &[word("verb").optional()],
    permission: Permission::CommandCall,
    effect: Effect::Reads,
    work: Work::Answers,
    summary: "Lists the commands that you may use, or explains one.",
    example: "-help -addUser",
    execute: help,
};

fn help(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let Some(wanted) = call.values.get("verb") else {
        let mut rows = Vec::new();
        for (group, verbs) in GROUPS {
            for verb in verbs.iter().filter(|verb| verb.permission.admits(call.tenant, call.identity)) {
                let mut row = row(verb);
                row["group"] = json!(group);
                rows.push(row);
            }
        }
        return Ok(Done::new(format!("{} command(s).", rows.len())).with_data(rows));
    };
    // With or without the dash.
    let name = normalized_verb(wanted).or_else(|| normalized_verb(&format!("-{wanted}")));
    let verb = name.as_deref().and_then(find).ok_or_else(|| unknown_command(&CommandText::new(wanted)))?;
    let mut explained = row(verb);
    explained["example"] = json!(verb.example);
    Ok(Done::new(verb.summary).with_data([explained]))
}

fn row(verb: &Verb) -> serde_json::Value {
    json!({
        "verb": format!("-{}", verb.name), "usage": verb.full_usage(), "permission": verb.permission.name(), "summary": verb.summary,
    })
}
