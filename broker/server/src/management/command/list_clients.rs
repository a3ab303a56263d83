//! `-listClients`: the Clients that are connected, page by page. Commands reference §4.

use lotmq_auth::Scope;
use serde_json::json;

use super::redaction::Redaction;
use super::reply::{Done, Refusal};
use super::verb::{Call, Effect, Permission, Verb, Work};
use crate::management::sys;

pub(super) static LIST: Verb = Verb {
    name: "listClients",
    usage: "[prefix] [cursor]",
    shown: Redaction::All,
    permission: Permission::Scope(Scope::SystemConfiguration),
    effect: Effect::Reads,
    work: Work::Answers,
    summary: "Lists connected clients by client id, at most 1,000; the reply's next is the cursor of the next page.",
    example: "-listClients sensor-",
    execute: list,
};

fn list(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let arguments = call.arguments(&[], 2)?;
    let prefix = arguments.first().map_or("", String::as_str);
    let page = sys::clients_page(call.tenant, prefix, arguments.get(1).map(String::as_str));
    let message = match page.total {
        0 => "No active connections found.".to_owned(),
        total => format!("{total} client(s)."),
    };
    let data = json!({ "clients": page.rows, "total": page.total, "next": page.next });
    Ok(Done::new(message).with_data(data))
}
