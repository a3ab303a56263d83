//! The connected Clients and the sessions as JSON: `Comms/Clients`, `Comms/Sessions`,
//! `-listClients`, `-listSessions`.

use std::collections::BTreeMap;
use std::sync::Arc;

use lotmq_codec::ProtocolVersion;
use lotmq_session::SessionExpiry;
use serde_json::{Value, json};

use super::rows::Rows;
use crate::limits::LISTING_ROWS_MAX;
use lotmq_core::clock::Clock;
use lotmq_core::tenant::Tenant;
use lotmq_core::tenant::client::Client;
use lotmq_process::clock::utc_text;

/// Page of `-listClients` or `-listSessions`.
pub(crate) struct Page {
    pub(crate) rows: Vec<Value>,
    /// Number of all with the prefix.
    pub(crate) total: usize,
    /// Cursor of the next page.
    pub(crate) next: Option<String>,
}

/// Page of the connected Clients whose identifier begins with `prefix` and comes behind `cursor`,
/// by identifier and user. Those of one identifier are on one page.
pub(crate) fn page(tenant: &Tenant, prefix: &str, cursor: Option<&str>) -> Page {
    page_of(tenant, prefix, cursor, |client| client.wire_version().is_some(), counted_client_json)
}

/// Page of the sessions whose identifier begins with `prefix` and comes behind `cursor`.
pub(crate) fn sessions_page(tenant: &Tenant, prefix: &str, cursor: Option<&str>, clock: &dyn Clock) -> Page {
    page_of(tenant, prefix, cursor, |_| true, |client| Some(whole_session_json(client, clock)))
}

fn page_of(
    tenant: &Tenant,
    prefix: &str,
    cursor: Option<&str>,
    counts: impl Fn(&Client) -> bool,
    json: impl Fn(&Client) -> Option<Value>,
) -> Page {
    let mut total = 0;
    let mut first = First::default();
    let sessions = tenant.all_sessions();
    for client in &sessions {
        let id = &client.client_id;
        if !id.starts_with(prefix) || !counts(client) {
            continue;
        }
        total += 1;
        if cursor.is_none_or(|cursor| **id > *cursor) {
            first.add(client);
        }
    }
    let last = first.chosen.last_key_value().map(|(id, _)| id.to_string());
    let next = last.filter(|_| first.has_more);
    let mut clients: Vec<_> = first.chosen.into_values().flatten().collect();
    clients.sort_by(|a, b| a.key().cmp(&b.key()));
    Page { rows: clients.iter().filter_map(|client| json(client)).collect(), total, next }
}

/// First Clients by identifier: at most [`LISTING_ROWS_MAX`], unless those of the very first
/// identifier are more.
#[derive(Default)]
struct First {
    chosen: BTreeMap<Arc<str>, Vec<Arc<Client>>>,
    count: usize,
    has_more: bool,
}

impl First {
    fn add(&mut self, client: &Arc<Client>) {
        self.chosen.entry(Arc::clone(&client.client_id)).or_default().push(Arc::clone(client));
        self.count += 1;
        while self.count > LISTING_ROWS_MAX && self.chosen.len() > 1 {
            let removed = self.chosen.pop_last();
            self.count -= removed.map_or(0, |(_, clients)| clients.len());
            self.has_more = true;
        }
    }
}

/// Payload of `Comms/Clients`.
pub(super) fn connected(tenant: &Tenant) -> String {
    rows(tenant, |client| client.wire_version().is_some(), client_json)
}

/// Payload of `Comms/Sessions`, including sessions whose Client is away.
pub(super) fn sessions(tenant: &Tenant) -> String {
    rows(tenant, |_| true, |client| Some(session_json(client)))
}

/// Rows of a listing: the Clients for which there is room are chosen first; each of these is then
/// looked at by itself.
fn rows(
    tenant: &Tenant,
    counts: impl Fn(&Client) -> bool,
    json: impl Fn(&Client) -> Option<Value>,
) -> String {
    let mut rows = Rows::default();
    let mut chosen = Vec::new();
    for client in tenant.all_sessions().into_iter().filter(|client| counts(client)) {
        if rows.has_room() {
            chosen.push(client);
        }
        rows.count();
    }
    chosen.sort_by(|a, b| a.key().cmp(&b.key()));
    rows.json(chosen.iter().filter_map(|client| json(client)))
}

fn client_json(client: &Client) -> Option<Value> {
    let state = client.state.lock();
    let link = state.link.as_ref()?;
    let row = json!({
        "clientId": &*client.client_id,
        "username": state.identity.user_name(),
        "endpoint": link.connection.peer().to_string(),
        "protocol": protocol(link.version),
        "connectedAt": utc_text(state.connected_at_ms),
        "keepAlive": state.keep_alive_seconds,
        "cleanSession": state.clean_start,
        "subscriptions": state.subscriptions.len(),
    });
    Some(with_login_module(row, client))
}

/// The row with the login module that vouches for the user; as it is for an account.
fn with_login_module(mut row: Value, client: &Client) -> Value {
    if let Some(member) = client.member() {
        row["loginModule"] = (&**member).into();
    }
    row
}

/// Row of a Client with what came of it and went to it on this connection.
fn counted_client_json(client: &Client) -> Option<Value> {
    let mut row = client_json(client)?;
    let state = client.state.lock();
    let link = state.link.as_ref()?;
    let (received, sent) = (link.connection.received.sums(), link.connection.sent.sums());
    row["messagesReceived"] = received.messages.into();
    row["messagesSent"] = sent.messages.into();
    row["bytesReceived"] = received.bytes.into();
    row["bytesSent"] = sent.bytes.into();
    Some(row)
}

fn session_json(client: &Client) -> Value {
    let state = client.state.lock();
    let counts = state.session.counts();
    let row = json!({
        "clientId": &*client.client_id,
        "username": client.user_name(),
        "connected": state.link.is_some(),
        "expirySec": (state.expiry != SessionExpiry::NEVER).then(|| state.expiry.seconds()),
        "queued": counts.queued,
        "inflight": counts.inflight,
    });
    with_login_module(row, client)
}

/// Details of a session for an administrator: its owner, and what it takes.
fn whole_session_json(client: &Client, clock: &dyn Clock) -> Value {
    let state = client.state.lock();
    let counts = state.session.counts();
    let row = json!({
        "clientId": &*client.client_id,
        "username": state.identity.user_name(),
        "connected": state.link.is_some(),
        "disconnectedAt": state.left_at.get().map(|at| utc_text(clock.wall_of(at.as_millis()))),
        "expirySec": (state.expiry != SessionExpiry::NEVER).then(|| state.expiry.seconds()),
        "subscriptions": state.subscriptions.len(),
        "subscriptionBytes": state.subscriptions.bytes(),
        "queued": counts.queued,
        "inflight": counts.inflight,
    });
    with_login_module(row, client)
}

/// Page of `-listConnections`: connections of Clients, by number.
pub(crate) fn connections_page(tenant: &Tenant, cursor: u32) -> Page {
    let all = tenant.all_sessions();
    let connected = all.into_iter().filter(|client| client.wire_version().is_some());
    let mut numbered: Vec<(u32, Arc<Client>)> =
        connected.map(|client| (client.wire().connection, client)).collect();
    let total = numbered.len();
    numbered.retain(|(number, _)| *number > cursor);
    numbered.sort_by_key(|(number, _)| *number);
    let has_more = numbered.len() > LISTING_ROWS_MAX;
    numbered.truncate(LISTING_ROWS_MAX);
    let next = numbered.last().filter(|_| has_more).map(|(number, _)| number.to_string());
    Page { rows: numbered.iter().filter_map(|(_, client)| connection_json(client)).collect(), total, next }
}

fn connection_json(client: &Client) -> Option<Value> {
    let state = client.state.lock();
    let link = state.link.as_ref()?;
    let connection = &link.connection;
    let row = json!({
        "connection": connection.number,
        "listener": connection.listener.name,
        "endpoint": connection.peer().to_string(),
        "clientId": &*client.client_id,
        "username": state.identity.user_name(),
        "connectedAt": utc_text(state.connected_at_ms),
        "waitingBytes": link.waiting_bytes(),
        "partialBytes": connection.transport.held_bytes(),
    });
    Some(with_login_module(row, client))
}

fn protocol(version: ProtocolVersion) -> &'static str {
    match version {
        ProtocolVersion::V3_1 => "3.1",
        ProtocolVersion::V3_1_1 => "3.1.1",
        ProtocolVersion::V5 => "5.0",
    }
}
