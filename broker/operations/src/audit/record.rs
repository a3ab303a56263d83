//! Records of the audit: one line of JSON whose keys are always in this order.

use lotmq_auth::Identity;
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::limits::AUDIT_FIELD_BYTES_MAX;
use lotmq_process::clock::utc_text;

/// Event that is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Event {
    /// A command, whatever came of it.
    Command,
    /// A CONNECT that was accepted or refused.
    Login,
    /// A topic that rules denied.
    Denial,
    /// The broker started.
    Start,
    /// The configuration differs from that of the start before.
    Configuration,
    /// Records that could not be kept while the store took nothing.
    Lost,
    /// Records that were there and are gone.
    Missing,
}

/// Record of the audit. Texts are cut to [`AUDIT_FIELD_BYTES_MAX`].
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Record<'a> {
    /// Sort of the event.
    pub event: Event,
    /// Name of the user.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "cut")]
    pub user: Option<&'a str>,
    /// Login module that vouches for the user; nothing for an account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub login_module: Option<&'a str>,
    /// Actor whose share of the sequence it takes, where that is not the user; of nobody where the
    /// user is gone.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "cut")]
    pub counts_for: Option<&'a str>,
    /// Client Identifier.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "cut")]
    pub client_id: Option<&'a str>,
    /// Address of the Client.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "cut")]
    pub endpoint: Option<&'a str>,
    /// Definition in whose name a guest gave the command.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "cut")]
    pub definition: Option<&'a str>,
    /// Verb of the command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verb: Option<&'a str>,
    /// Scope of the denial.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<&'a str>,
    /// Subject of the event, such as the name of a user or a topic.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "cut")]
    pub target: Option<&'a str>,
    /// `success`, or the code of an error, or the reason of a refused login.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "cut")]
    pub result: Option<&'a str>,
    /// Arguments, as far as they may be shown.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "cut")]
    pub arguments: Option<&'a str>,
    /// Further details, of bounded length.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<&'a Value>,
    /// Number of events of this sort without a record of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_out: Option<u64>,
}

impl<'a> Record<'a> {
    /// Returns the record of an event, without a user or an address.
    pub fn new(event: Event) -> Self {
        Self {
            event,
            user: None,
            login_module: None,
            counts_for: None,
            client_id: None,
            endpoint: None,
            definition: None,
            verb: None,
            scope: None,
            target: None,
            result: None,
            arguments: None,
            details: None,
            left_out: None,
        }
    }

    /// Record of an event with its identity.
    pub(crate) fn of(event: Event, identity: &'a Identity) -> Self {
        let login_module = identity.principal.member().map(|member| &**member);
        let (user, client_id) = (identity.user_name(), Some(&*identity.client_id));
        Self { user, login_module, client_id, ..Self::new(event) }
    }

    pub(super) fn to_json(self, now_ms: u64) -> String {
        #[derive(Serialize)]
        struct Timed<'a> {
            time: String,
            #[serde(flatten)]
            record: Record<'a>,
        }
        let timed = Timed { time: utc_text(now_ms), record: self };
        serde_json::to_string(&timed).expect("a record is texts, numbers and JSON values")
    }
}

fn cut<S: Serializer>(text: &Option<&str>, serializer: S) -> Result<S::Ok, S::Error> {
    let text = text.unwrap_or_default();
    serializer.serialize_str(&text[..text.floor_char_boundary(AUDIT_FIELD_BYTES_MAX)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_a_line_of_bounded_length() {
        let long = "ü\n".repeat(100_000);
        let record = Record {
            user: Some(&long),
            client_id: Some(&long),
            endpoint: Some(&long),
            definition: Some(&long),
            verb: Some("addUser"),
            scope: Some("Publish"),
            target: Some(&long),
            result: Some(&long),
            arguments: Some(&long),
            ..Record::new(Event::Command)
        };
        let text = record.to_json(0);
        assert!(text.len() < 4096 && !text.contains('\n'), "{} bytes", text.len());
        let whole = Record { user: Some("a\"b"), left_out: Some(3), ..Record::new(Event::Denial) };
        let expected = r#"{"time":"1970-01-01T00:00:00.001Z","event":"denial","user":"a\"b","leftOut":3}"#;
        assert_eq!(whole.to_json(1), expected);
    }
}
