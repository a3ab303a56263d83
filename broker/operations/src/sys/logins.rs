//! `Comms/Logins`: who came, who went, who was refused. Not retained; made only while somebody is
//! subscribed. Commands reference §5.

use std::fmt::Display;
use std::sync::Arc;

use serde_json::json;

use lotmq_core::connection::Connection;
use lotmq_core::reason::close::CloseReason;
use lotmq_core::tenant::Tenant;
use lotmq_core::tenant::client::Client;
use lotmq_core::turn::Turn;
use lotmq_process::clock::utc_text;

const TOPIC: &str = "$SYS/Coreflux/Comms/Logins";

/// Publishes that a Client was accepted.
pub(crate) fn connected(turn: &mut Turn, client: &Client, connection: &Connection) {
    let user = client.identity().user().cloned();
    event(turn, &client.tenant, Event::new("connect", 0), &client.client_id, user.as_deref(), connection);
}

/// Publishes that a Client's connection has ended. The result is 0 when it sent DISCONNECT, else 1.
pub(crate) fn disconnected(turn: &mut Turn, client: &Client, connection: &Connection, reason: &CloseReason) {
    let user = client.identity().user().cloned();
    let result = u8::from(!reason.discards_will());
    event(
        turn,
        &client.tenant,
        Event::new("disconnect", result),
        &client.client_id,
        user.as_deref(),
        connection,
    );
}

/// Publishes that a CONNECT was refused, with this Reason Code and why.
pub(crate) fn refused(
    turn: &mut Turn,
    tenant: &Arc<Tenant>,
    connection: &Connection,
    (client_id, user): (&str, Option<&str>),
    (code, cause): (u8, &dyn Display),
) {
    let refused = Event { word: "refused", result: code, reason: Some(cause) };
    event(turn, tenant, refused, client_id, user, connection);
}

/// Login event of a Client.
struct Event<'a> {
    word: &'static str,
    result: u8,
    /// Why it was refused, as the log says it.
    reason: Option<&'a dyn Display>,
}

impl Event<'_> {
    fn new(word: &'static str, result: u8) -> Self {
        Self { word, result, reason: None }
    }
}

fn event(
    turn: &mut Turn,
    tenant: &Arc<Tenant>,
    Event { word, result, reason }: Event<'_>,
    client_id: &str,
    user: Option<&str>,
    connection: &Connection,
) {
    if !tenant.has_subscribers(TOPIC) {
        return;
    }
    let mut payload = json!({
        "event": word,
        "clientId": client_id,
        "username": user,
        "endpoint": connection.peer().to_string(),
        "result": result,
        "timestamp": utc_text(turn.wall_ms()),
    });
    if let Some(reason) = reason {
        payload["reason"] = reason.to_string().into();
    }
    super::publish(turn, tenant, TOPIC, payload.to_string().as_bytes(), false);
}
