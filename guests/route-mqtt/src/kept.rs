//! State that outlives the connections of a route: the name of this bridge, and filters and QoS 2
//! exchanges of each kept session.

use lotmq_guest::route::{ambient, state};
use serde_json::{Value as Json, json};

use crate::link::{Exchanges, SentExchange};

/// Key of the name.
const NAME: &str = "bridge";

/// The name of this bridge among all: random, and kept.
pub(crate) fn name() -> String {
    if let Some(name) = state::get(NAME).and_then(|bytes| String::from_utf8(bytes).ok()) {
        return name;
    }
    let name = format!("{:016x}", ambient::random());
    // If the name cannot be stored, a restart makes a new one, and messages in flight may pass once
    // more.
    let _ = state::set(NAME, name.as_bytes());
    name
}

/// A session at another broker.
#[derive(Debug)]
pub(crate) struct KeptSession {
    key: String,
    saved: Exchanges,
}

impl KeptSession {
    /// That of a side; another client identifier has another session.
    pub(crate) fn of(endpoint: &str, client_id: &str) -> KeptSession {
        let id = crate::message::Passing { topic: client_id.into(), ..Default::default() }.fingerprint(0);
        KeptSession { key: format!("session.{endpoint}.{id:016x}"), saved: Exchanges::default() }
    }

    /// Filters that were subscribed to, and exchanges that were not finished.
    pub(crate) fn load(&mut self) -> (Vec<String>, Exchanges) {
        let saved = state::get(&self.key).and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let (filters, exchanges) = saved.map(|saved: Json| parsed(&saved)).unwrap_or_default();
        self.saved = exchanges.clone();
        (filters, exchanges)
    }

    /// Keeps them, where they have changed.
    pub(crate) fn save(&mut self, filters: &[String], exchanges: Exchanges) {
        if exchanges == self.saved {
            return;
        }
        self.write(filters, &exchanges);
        self.saved = exchanges;
    }

    /// Keeps them in any case.
    pub(crate) fn write(&self, filters: &[String], exchanges: &Exchanges) {
        // State that cannot be stored, or is lost because the broker ends early, costs duplicates
        // of QoS 2, and no message.
        let _ = state::set(&self.key, written(filters, exchanges).to_string().as_bytes());
    }
}

fn written(filters: &[String], exchanges: &Exchanges) -> Json {
    let sent = |it: &SentExchange| json!([it.fingerprint, it.id, u8::from(it.is_released)]);
    let sent: Vec<Json> = exchanges.sent.iter().map(sent).collect();
    let received: Vec<_> = exchanges.received.iter().collect();
    json!({ "filters": filters, "sent": sent, "received": received })
}

fn parsed(saved: &Json) -> (Vec<String>, Exchanges) {
    let list = |member: &str| saved[member].as_array().into_iter().flatten();
    let id = |value: &Json| value.as_u64().and_then(|id| u16::try_from(id).ok());
    let filters = list("filters").filter_map(|filter| Some(filter.as_str()?.to_owned())).collect();
    let sent = |it: &Json| {
        Some(SentExchange {
            fingerprint: it[0].as_u64()?,
            id: id(&it[1])?,
            is_released: it[2].as_u64() == Some(1),
        })
    };
    let received = |it: &Json| Some((id(&it[0])?, u32::try_from(it[1].as_u64()?).ok()?));
    let exchanges = Exchanges {
        sent: list("sent").filter_map(sent).collect(),
        received: list("received").filter_map(received).collect(),
    };
    (filters, exchanges)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_read_as_they_were_written() {
        let sent = |(fingerprint, id, is_released)| SentExchange { fingerprint, id, is_released };
        let exchanges = Exchanges {
            sent: [(u64::MAX, 7, true), (1, 65_535, false)].map(sent).into(),
            received: [(3, 7), (9, u32::MAX)].into(),
        };
        let filters = vec!["a/#".to_owned(), "$share/g/b".to_owned()];
        assert_eq!(parsed(&written(&filters, &exchanges)), (filters, exchanges));
        assert_eq!(parsed(&Json::Null), (Vec::new(), Exchanges::default()));
    }
}
