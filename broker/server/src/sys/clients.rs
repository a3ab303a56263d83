//! The connected Clients and the sessions as JSON: `Comms/Clients`, `Comms/Sessions`, `-listClients`.

use std::collections::BTreeMap;
use std::sync::Arc;

use lotmq_codec::ProtocolVersion;
use lotmq_session::SessionExpiry;
use serde_json::{Value, json};

use super::rows::Rows;
use super::time::utc_text;
use crate::client::Client;
use crate::limits::LISTING_ROWS_MAX;
use crate::tenant::Tenant;

/// A page of `-listClients`.
pub(crate) struct Page {
    pub(crate) clients: Vec<Value>,
    /// How many there are with the prefix.
    pub(crate) total: usize,
    /// Cursor of the next page.
    pub(crate) next: Option<String>,
}

/// The connected Clients whose identifier begins with `prefix` and comes behind `cursor`, by identifier and user. Those of one identifier are on one page.
pub(crate) fn page(tenant: &Tenant, prefix: &str, cursor: Option<&str>) -> Page {
    let mut total = 0;
    let mut first = First::default();
    let sessions = tenant.sessions.lock().all();
    for client in &sessions {
        let id = &client.client_id;
        if client.wire_version().is_none() || !id.starts_with(prefix) {
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
    Page { clients: clients.iter().filter_map(|client| client_json(client)).collect(), total, next }
}

/// The first Clients by identifier: at most [`LISTING_ROWS_MAX`], unless those of the very first identifier are more.
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

/// Payload of `Comms/Sessions`: also those whose Client is away.
pub(super) fn sessions(tenant: &Tenant) -> String {
    rows(tenant, |_| true, |client| Some(session_json(client)))
}

/// The sessions' lock is held only to choose; each Client is then looked at by itself.
fn rows(
    tenant: &Tenant,
    counts: impl Fn(&Client) -> bool,
    json: impl Fn(&Client) -> Option<Value>,
) -> String {
    let mut rows = Rows::default();
    let mut chosen = Vec::new();
    for client in tenant.sessions.lock().all().into_iter().filter(|client| counts(client)) {
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
    Some(json!({
        "clientId": &*client.client_id,
        "username": state.identity.user.as_deref(),
        "endpoint": link.connection.peer().to_string(),
        "protocol": protocol(link.version),
        "connectedAt": utc_text(state.connected_at_ms),
        "keepAlive": state.keep_alive_seconds,
        "cleanSession": state.clean_start,
        "subscriptions": state.subscriptions.len(),
    }))
}

fn session_json(client: &Client) -> Value {
    let state = client.state.lock();
    let counts = state.session.counts();
    json!({
        "clientId": &*client.client_id,
        "username": client.user.as_deref(),
        "connected": state.link.is_some(),
        "expirySec": (state.expiry != SessionExpiry::NEVER).then(|| state.expiry.seconds()),
        "queued": counts.queued,
        "inflight": counts.inflight,
    })
}

fn protocol(version: ProtocolVersion) -> &'static str {
    match version {
        ProtocolVersion::V3_1 => "3.1",
        ProtocolVersion::V3_1_1 => "3.1.1",
        ProtocolVersion::V5 => "5.0",
    }
}
