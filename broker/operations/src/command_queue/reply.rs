//! Reply to a command as a value, which every front renders.
//!
//! The topics below `$SYS` carry it as one line of JSON with its keys in a fixed order (commands
//! reference §2). A caller in this process gets the value itself.

use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use crate::limits::REPLY_BYTES_MAX;
use lotmq_codes::Code;

/// Type of the entity that a command is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "each variant is the kind of entity that it is named after")]
pub enum EntityType {
    Action,
    Model,
    Route,
    Rule,
    Python,
    Panel,
    Theme,
    Project,
    User,
    Module,
    Asset,
}

/// Data of a reply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ReplyData {
    /// Nothing beside the message; `{}` in JSON.
    #[default]
    Nothing,
    /// Rows of a table.
    Table(Vec<Value>),
    /// Record with named members.
    Document(Map<String, Value>),
    /// Text, or another single value.
    Single(Value),
}

impl ReplyData {
    /// Adds a member to a record. Other data stay as they are.
    pub(crate) fn add_member(&mut self, name: &str, value: Value) {
        if let Self::Document(members) = self {
            members.insert(name.to_owned(), value);
        }
    }
}

impl From<Value> for ReplyData {
    fn from(value: Value) -> Self {
        match value {
            Value::Array(rows) => Self::Table(rows),
            Value::Object(members) => Self::Document(members),
            single @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => {
                Self::Single(single)
            }
        }
    }
}

impl Serialize for ReplyData {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Nothing => Map::new().serialize(serializer),
            Self::Table(rows) => rows.serialize(serializer),
            Self::Document(members) => members.serialize(serializer),
            Self::Single(value) => value.serialize(serializer),
        }
    }
}

/// Reply to a command. The bytes of a download come before it.
///
/// As JSON it has the keys of the commands reference, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CommandReply {
    /// Whether the command was executed.
    pub success: bool,
    /// Name of the verb in Pascal case; `None` for an unknown one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// Identifier that the caller gave the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Result in one sentence or more.
    pub message: String,
    /// User who gave the command, in the shortened reply for others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Type of the entity that the command is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entity_type: Option<EntityType>,
    /// Name of that entity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entity_name: Option<String>,
    /// Data of a success or of a refusal.
    pub data: ReplyData,
    /// Errors of a refusal, each a record with `message` and `code`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Value>,
    /// Warnings, of the same shape as errors.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Value>,
}

impl CommandReply {
    /// Code of a refusal: one of crate `codes`, of the compiler, or of a guest. `None` if the
    /// command was executed.
    pub fn code(&self) -> Option<&str> {
        if self.success {
            return None;
        }
        Some(self.errors.first().and_then(|error| error["code"].as_str()).unwrap_or_default())
    }

    /// Renders the reply as the topic of replies has it. A reply that would be too long for a
    /// packet says so instead.
    pub fn json(&self) -> String {
        let text = self.text();
        if text.len() <= REPLY_BYTES_MAX {
            return text;
        }
        let message = format!("The reply has {} bytes, the limit is {REPLY_BYTES_MAX}.", text.len());
        let too_large = Self {
            success: false,
            command: self.command.clone(),
            request_id: self.request_id.clone(),
            entity_type: self.entity_type,
            entity_name: self.entity_name.clone(),
            errors: vec![json!({ "message": message, "code": Code::ReplyTooLarge })],
            message,
            ..Self::default()
        };
        too_large.text()
    }

    /// Renders the reply for others than the asking user, `None` for an anonymous one: the command,
    /// the user and the result.
    pub(crate) fn shortened(&self, user: Option<&str>) -> String {
        let command = self.command.as_deref().unwrap_or("A command");
        let by = user.map_or_else(|| "an anonymous client".to_owned(), |user| format!("user {user}"));
        let result = self.code().unwrap_or("done");
        let shortened = Self {
            success: self.success,
            command: self.command.clone(),
            request_id: self.request_id.clone(),
            message: format!("{command} by {by}: {result}."),
            user: user.map(str::to_owned),
            errors: self.code().map(|code| json!({ "message": code, "code": code })).into_iter().collect(),
            ..Self::default()
        };
        shortened.text()
    }

    fn text(&self) -> String {
        serde_json::to_string(self).expect("a reply is strings and JSON values")
    }
}
