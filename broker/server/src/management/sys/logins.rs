//! `Comms/Logins`: who came, who went, who was refused. Not retained; made only while somebody is subscribed. Commands reference §5.

use std::sync::Arc;

use serde_json::json;

use crate::process::clock::utc_text;
use lotmq_core::connection::Connection;
use lotmq_core::reason::close::CloseReason;
use lotmq_core::tenant::Tenant;
use lotmq_core::tenant::client::Client;
use lotmq_core::turn::Turn;

const TOPIC: &str = "$SYS/Coreflux/Comms/Logins";

/// Publishes that a Client was accepted.
pub(crate) fn connected(turn: &mut Turn, client: &Client, connection: &Connection) {
    let user = client.identity().user.clone();
    event(turn, &client.tenant, ("connect", 0), &client.client_id, user.as_deref(), connection);
}

/// Publishes that a Client's connection has ended. The result is 0 when it sent DISCONNECT, else 1.
pub(crate) fn disconnected(turn: &mut Turn, client: &Client, connection: &Connection, reason: &CloseReason) {
    let user = client.identity().user.clone();
    let result = u8::from(!reason.discards_will());
    event(turn, &client.tenant, ("disconnect", result), &client.client_id, user.as_deref(), connection);
}

/// Publishes that a CONNECT was refused, with this Reason Code.
pub(crate) fn refused(
    turn: &mut Turn,
    tenant: &Arc<Tenant>,
    connection: &Connection,
    (client_id, user): (&str, Option<&str>),
    code: u8,
) {
    event(turn, tenant, ("refused", code), client_id, user, connection);
}

fn event(
    turn: &mut Turn,
    tenant: &Arc<Tenant>,
    (event, result): (&str, u8),
    client_id: &str,
    user: Option<&str>,
    connection: &Connection,
) {
    if !tenant.has_subscribers(TOPIC) {
        return;
    }
    let payload = json!({
        "event": event,
        "clientId": client_id,
        "username": user,
        "endpoint": connection.peer().to_string(),
        "result": result,
        "timestamp": utc_text(turn.wall_ms()),
    });
    super::publish(turn, tenant, TOPIC, payload.to_string().as_bytes(), false);
}
