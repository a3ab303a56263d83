//! Actions of a guest for logins, in the words of a file with cases.

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use lotmq_host::auth::{
    Acceptance, Actions, Answer, Denial, Effect, Grant, Permission, Principal, Qos, Selector, SessionLimits,
    UserProperty,
};
use lotmq_server::LoginDeed;
use toml::{Table, Value};

/// A connection that nothing ends.
pub(super) const NEVER: &str = "never";

/// Answer of a guest, or its action on clients, as the expectation that equals it in every key.
#[derive(Debug)]
pub(crate) struct SeenDeed(pub(super) Table);

impl SeenDeed {
    pub(crate) fn of(deed: LoginDeed) -> Self {
        let mut table = Table::new();
        match deed {
            LoginDeed::Answered { client_id, answer } => {
                answer_in(answer, &mut table);
                table.insert("client_id".to_owned(), client_id.into());
            }
            LoginDeed::Revoked { whom, reason_code, reason } => {
                table.insert("revoke".to_owned(), selector(whom));
                table.insert("reason_code".to_owned(), i64::from(reason_code).into());
                insert_text("reason", reason, &mut table);
            }
            LoginDeed::Updated { whom, principal } => {
                table.insert("update".to_owned(), selector(whom));
                principal_in(principal, &mut table);
            }
        }
        Self(table)
    }
}

fn answer_in(answer: Answer, table: &mut Table) {
    let kind = match answer {
        Answer::Continue => "continue",
        Answer::Allow(Acceptance { principal, reason, user_properties, data }) => {
            principal_in(principal, table);
            insert_text("reason", reason, table);
            table.insert("user".to_owned(), user_pairs(user_properties));
            data.iter().for_each(|data| insert_bytes(data, table));
            "allow"
        }
        Answer::Deny(Denial { reason_code, reason, user_properties, log }) => {
            table.insert("reason_code".to_owned(), i64::from(reason_code).into());
            insert_text("reason", reason, table);
            table.insert("user".to_owned(), user_pairs(user_properties));
            table.insert("log".to_owned(), log.into());
            "deny"
        }
        Answer::Challenge(data) => {
            insert_bytes(&data, table);
            "challenge"
        }
    };
    table.insert("answer".to_owned(), kind.into());
}

fn principal_in(principal: Principal, table: &mut Table) {
    let Principal { user, groups, properties, permission, expires_ms, limits } = principal;
    table.insert("username".to_owned(), user.into());
    table.insert("groups".to_owned(), Value::from(groups));
    let properties = properties.into_iter().map(|property| (property.name, property.value));
    table.insert("properties".to_owned(), pairs(properties));
    table.insert("rules".to_owned(), matches!(permission, Permission::Rules).into());
    if let Permission::Grants(grants) = permission {
        table.insert("grants".to_owned(), grants.into_iter().map(grant).collect::<Vec<_>>().into());
    }
    table.insert("expires".to_owned(), expires_ms.map_or_else(|| NEVER.to_owned(), time).into());
    table.insert("limits".to_owned(), session_limits(limits).into());
}

/// A time of the contract; one that no calendar has as its milliseconds.
fn time(ms: i64) -> String {
    Timestamp::from_millisecond(ms).map_or_else(|_| format!("{ms} ms"), |time| time.to_string())
}

fn grant(Grant { effect, actions, filter, qos_max, retain }: Grant) -> Value {
    let effect = match effect {
        Effect::Allow => "allow",
        Effect::Deny => "deny",
    };
    let names = [(Actions::PUBLISH, "publish"), (Actions::SUBSCRIBE, "subscribe")];
    let named: Vec<Value> = names
        .into_iter()
        .filter(|(action, _)| actions.contains(*action))
        .map(|(_, name)| name.into())
        .collect();
    let qos_max: i64 = match qos_max {
        Qos::AtMostOnce => 0,
        Qos::AtLeastOnce => 1,
        Qos::ExactlyOnce => 2,
    };
    let members = [
        (effect, Value::from(named)),
        ("filter", filter.into()),
        ("qos_max", qos_max.into()),
        ("retain", retain.into()),
    ];
    Value::Table(members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

fn session_limits(limits: SessionLimits) -> Table {
    let number = |limit: Option<u32>| limit.map(i64::from);
    let members = [
        ("session_expiry_seconds", number(limits.session_expiry_seconds)),
        ("packet_bytes", number(limits.packet_bytes)),
        ("queued_messages", number(limits.queued_messages)),
        ("queued_bytes", limits.queued_bytes.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX))),
        ("messages_per_second", number(limits.messages_per_second)),
        ("subscriptions", number(limits.subscriptions)),
        ("connections", number(limits.connections)),
    ];
    members.into_iter().filter_map(|(key, limit)| Some((key.to_owned(), limit?.into()))).collect()
}

fn selector(whom: Selector) -> Value {
    let (key, value) = match whom {
        Selector::Connection(number) => ("connection", i64::try_from(number).unwrap_or(i64::MAX).into()),
        Selector::ClientId(client_id) => ("client_id", client_id.into()),
        Selector::User(user) => ("username", user.into()),
    };
    Value::Table([(key.to_owned(), value)].into_iter().collect())
}

fn user_pairs(properties: Vec<UserProperty>) -> Value {
    pairs(properties.into_iter().map(|property| (property.name, property.value)))
}

/// Pairs in their order, as a list of lists.
pub(super) fn pairs(pairs: impl Iterator<Item = (String, String)>) -> Value {
    pairs.map(|(name, value)| Value::from(vec![name, value])).collect::<Vec<_>>().into()
}

fn insert_text(key: &str, text: Option<String>, table: &mut Table) {
    text.into_iter().for_each(|text| drop(table.insert(key.to_owned(), text.into())));
}

/// Data as text, or in base64 where they are none.
pub(super) fn insert_bytes(data: &[u8], table: &mut Table) {
    let (key, text) = match std::str::from_utf8(data) {
        Ok(text) => ("data", text.to_owned()),
        Err(_) => ("data_base64", BASE64_STANDARD.encode(data)),
    };
    table.insert(key.to_owned(), text.into());
}

/// Formats a table as an expectation: its kind first, and reason codes as MQTT writes them.
pub(super) fn shown(table: &Table) -> String {
    let kinds = super::DEED_KINDS.into_iter().filter_map(|kind| table.get_key_value(kind));
    let others = table.iter().filter(|(key, _)| !super::DEED_KINDS.contains(&key.as_str()));
    let members = kinds.chain(others).map(|(key, value)| match value.as_integer() {
        Some(code) if key == "reason_code" => format!("{key} = 0x{code:02X}"),
        _ => format!("{key} = {value}"),
    });
    format!("{{ {} }}", members.collect::<Vec<_>>().join(", "))
}

impl fmt::Display for SeenDeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(&self.0))
    }
}
