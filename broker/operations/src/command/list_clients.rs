//! `-listClients`: the Clients that are connected, page by page. Commands reference §4.

use lotmq_auth::Scope;
use serde_json::json;

use super::argument::word;
use super::reply::{Done, Refusal};
use super::verb::{Call, Effect, Permission, Verb, Work};
use crate::sys;

pub(super) static LIST: Verb = Verb {
    name: "listClients",
    arguments: &[word("prefix").optional(), word("cursor").optional()],
    permission: Permission::Scope(Scope::SystemConfiguration),
    effect: Effect::Reads,
    work: Work::Answers,
    summary: "Lists connected clients by client id, at most 1,000; the reply's next is the cursor of the next page.",
    example: "-listClients sensor-",
    execute: list,
};

fn list(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let prefix = call.values.get("prefix").unwrap_or_default();
    let page = sys::clients_page(call.tenant, prefix, call.values.get("cursor"));
    let message = match page.total {
        0 => "No active connections found.".to_owned(),
        total => format!("{total} client(s)."),
    };
    let data = json!({ "clients": page.rows, "total": page.total, "next": page.next });
    Ok(Done::new(message).with_data(data))
}
