//! `-listSessions`, `-endSession`, `-listConnections`, `-kickClient`, `-endConnection`: what
//! clients have of the broker, and how an administrator takes it from them.
//!
//! All of them work while limits are met and while the disk takes nothing, so that whoever fills
//! the broker can be made to leave.

pub(super) mod bans;
pub(super) mod why;

use std::sync::Arc;

use lotmq_auth::Scope;
use serde_json::json;

use super::argument::{number, word};
use super::reply::{Done, Refusal};
use super::verb::{Call, Effect, Permission, Verb, Work};
use crate::sys;
use lotmq_codes::Code;
use lotmq_core::client::session_end;
use lotmq_core::tenant::client::Client;
use lotmq_process::this_turn;

/// End of the message about a word that is no number of a connection.
const NOT_A_CONNECTION: &str = "is not a number of a connection";

pub(super) static LIST: Verb = Verb {
    name: "listSessions",
    arguments: &[word("prefix").optional(), word("cursor").optional()],
    permission: Permission::Scope(Scope::SystemConfiguration),
    effect: Effect::Reads,
    work: Work::Answers,
    summary: "Lists sessions by client id, those of clients that are away too, at most 1,000; the reply's next is the cursor of the next page.",
    example: "-listSessions sensor-",
    execute: list,
};

pub(super) static END: Verb = Verb {
    name: "endSession",
    arguments: &[word("client id"), word("user").optional()],
    permission: Permission::Scope(Scope::SystemConfiguration),
    effect: Effect::MakesRoom,
    work: Work::Answers,
    summary: "Ends the sessions with a client id, with their subscriptions and all that waits, and closes their connections; those of one user alone where he is named, \"\" for clients without a user.",
    example: "-endSession sensor-7",
    execute: end,
};

pub(super) static KICK: Verb = Verb {
    name: "kickClient",
    arguments: &[word("client id"), word("user").optional()],
    permission: Permission::Scope(Scope::SystemConfiguration),
    effect: Effect::Reads,
    work: Work::Answers,
    summary: "Closes the connections with a client id, and leaves their sessions; those of one user alone where he is named.",
    example: "-kickClient sensor-7",
    execute: kick,
};

pub(super) static LIST_CONNECTIONS: Verb = Verb {
    name: "listConnections",
    arguments: &[number("cursor", NOT_A_CONNECTION).optional()],
    permission: Permission::Scope(Scope::SystemConfiguration),
    effect: Effect::Reads,
    work: Work::Answers,
    summary: "Lists the connections of clients by number, at most 1,000, with what waits for them and what has come in part; the reply's next is the cursor of the next page.",
    example: "-listConnections",
    execute: list_connections,
};

pub(super) static END_CONNECTION: Verb = Verb {
    name: "endConnection",
    arguments: &[number("number", NOT_A_CONNECTION)],
    permission: Permission::Scope(Scope::SystemConfiguration),
    effect: Effect::Reads,
    work: Work::Answers,
    summary: "Closes the connection with a number of -listConnections, and leaves its session.",
    example: "-endConnection 7",
    execute: end_connection,
};

fn list(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let prefix = call.values.get("prefix").unwrap_or_default();
    let page = sys::sessions_page(call.tenant, prefix, call.values.get("cursor"), &*call.core.clock);
    // Behind the page: what is in neither has ended for good.
    let ending = call.tenant.sessions.lock().ending(prefix, &call.core.turns, &*call.core.log);
    let (stored, anonymous) = call.tenant.shares.sessions();
    let data = json!({
        "sessions": page.rows,
        "total": page.total,
        "ending": ending,
        "stored": stored,
        "storedAnonymous": anonymous,
        "bytes": call.tenant.shares.bytes(),
        "next": page.next,
    });
    let done = Done::new(format!("{} session(s).", page.total)).with_data(data);
    if ending == 0 {
        return Ok(done);
    }
    let words =
        "Sessions have ended that are there again after a crash, until that is stored; ending says how many.";
    Ok(done.with_warning(Code::NotStoredYet, words))
}

fn end(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let (client_id, found) = match named(call) {
        Ok(named) => named,
        Err(not_found) => {
            await_ends(call)?;
            return Err(not_found);
        }
    };
    this_turn::with(|turn| {
        turn.tick();
        for client in &found {
            session_end::end_now(client, turn);
        }
        turn.flush();
    });
    let message = format!("{} session(s) of client '{client_id}' ended.", found.len());
    // Nothing else could be done about a disk that a session has filled.
    if call.core.store_failure().is_some() {
        let words = "The store takes nothing at the moment: after a crash before it does, the session is there again.";
        return Ok(Done::new(message).with_warning(Code::StoreFailed, words));
    }
    call.await_stored(call.core.log.last_ticket())?;
    Ok(Done::new(message))
}

/// Blocks until the ends of sessions are on the disk: otherwise a session that is not found now
/// could be there again after a crash.
fn await_ends(call: &Call<'_>) -> Result<(), Refusal> {
    let (turns, log) = (&call.core.turns, &*call.core.log);
    let ends = call.tenant.sessions.lock().all_left_behind(turns, log);
    if ends.is_empty() {
        return Ok(());
    }
    if let Some(failure) = call.core.store_failure() {
        return Err(Refusal::not_stored(failure, "The session has ended; after a crash it is there again."));
    }
    for stamp in ends {
        turns.await_end(stamp, &*call.core.clock);
    }
    call.await_stored(log.last_ticket())
}

fn kick(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let (client_id, found) = named(call)?;
    let closed = found.iter().filter(|client| session_end::disconnect(client)).count();
    if closed == 0 {
        return Err(Refusal::not_found(format!("Client '{client_id}' is not connected.")));
    }
    Ok(Done::new(format!("{closed} connection(s) of client '{client_id}' closed.")))
}

/// Finds the sessions that the arguments name; at least one.
fn named(call: &Call<'_>) -> Result<(String, Vec<Arc<Client>>), Refusal> {
    let (client_id, user) = (call.text("client id").to_owned(), call.values.get("user"));
    let all = call.tenant.all_sessions();
    let with_id = all.into_iter().filter(|client| *client.client_id == *client_id);
    let is_of =
        |client: &Client| user.is_none_or(|user| client.identity().user_name().unwrap_or_default() == user);
    let found: Vec<Arc<Client>> = with_id.filter(|client| is_of(client)).collect();
    if found.is_empty() {
        return Err(Refusal::not_found(format!("Session of client '{client_id}' not found.")));
    }
    Ok((client_id, found))
}

fn list_connections(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let cursor = call.number("cursor")?.unwrap_or_default();
    let page = sys::connections_page(call.tenant, cursor);
    let open = call.net.connection_count();
    let data = json!({ "connections": page.rows, "total": page.total, "open": open, "next": page.next });
    Ok(Done::new(format!("{} connection(s).", page.total)).with_data(data))
}

fn end_connection(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let number: u32 = call.number("number")?.unwrap_or_default();
    let all = call.tenant.all_sessions();
    let client = all.into_iter().find(|client| number > 0 && client.wire().connection == number);
    match client.filter(|client| session_end::disconnect(client)) {
        Some(_) => Ok(Done::new(format!("Connection {number} closed."))),
        None => Err(Refusal::not_found(format!("Connection {number} not found."))),
    }
}
