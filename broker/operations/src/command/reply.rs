//! Outcomes of verbs, and the replies that are made of them.

use lotmq_changes::StoreError;
use serde::Serialize;
use serde_json::{Value, json};

use super::verb::Verb;
use crate::command_queue::blocking_pool::BlockingReadError;
pub(crate) use crate::command_queue::reply::EntityType;
use crate::command_queue::reply::{CommandReply, ReplyData};
use crate::command_text::{ArgumentError, CommandText, MisplacedRequestId};
use crate::components::ComponentUnread;
use crate::limits::VERB_SHOWN_CHARS_MAX;
use lotmq_codes::Code;
use lotmq_core::durable::store_failure::StoreFailure;

/// Text in place of a reason that the caller may not know.
pub(super) const WITHHELD: &str = "its user, and who may configure the system, are told why";

/// Success of a command.
#[derive(Debug, Default)]
pub(crate) struct Done {
    pub(crate) message: String,
    pub(crate) data: ReplyData,
    /// Warnings, of the same shape as errors.
    pub(crate) warnings: Vec<Value>,
    /// Whether there is no reply at all, which only `-updateData` wants.
    pub(crate) is_silent: bool,
}

impl Done {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }

    pub(crate) fn with_data(self, data: impl Serialize) -> Self {
        let data =
            serde_json::to_value(data).expect("data of replies are strings, numbers, lists and records");
        Self { data: data.into(), ..self }
    }

    /// Adds a member to data that are a record.
    pub(crate) fn with_member(mut self, name: &str, value: Value) -> Self {
        self.data.add_member(name, value);
        self
    }

    pub(crate) fn with_warning(mut self, code: Code, message: &str) -> Self {
        self.warnings.push(problem(code, message));
        self
    }
}

/// Refusal of a command. Nothing has changed, unless the message says otherwise.
#[derive(Debug, Default)]
pub struct Refusal {
    pub message: String,
    /// Errors, at least one, each with a message and a code.
    pub(crate) errors: Vec<Value>,
    /// Warnings beside them.
    pub(crate) warnings: Vec<Value>,
    pub(crate) data: ReplyData,
}

impl Refusal {
    /// Refusal with one error of the same message.
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { errors: vec![problem(code, &message)], message, ..Self::default() }
    }

    /// Adds a suggestion, in the field that diagnostics of programs have too.
    pub(crate) fn with_suggestion(mut self, suggestion: String) -> Self {
        if let Some(Value::Object(error)) = self.errors.first_mut() {
            error.insert("suggestions".to_owned(), Value::from(vec![suggestion]));
        }
        self
    }

    /// Code of the first error: one of ours, of the compiler, or of a guest.
    pub(crate) fn code(&self) -> &str {
        self.errors.first().and_then(|error| error["code"].as_str()).unwrap_or_default()
    }

    /// Refusal because a name does not exist, in the wording that clients look for.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(Code::NotFound, message)
    }

    /// Refusal because the store takes nothing at the moment; the second sentence names the
    /// consequence.
    pub(crate) fn not_stored(failure: StoreFailure, consequence: &str) -> Self {
        let message = format!("The change could not be stored: {failure}. {consequence}");
        Self::new(failure.into(), message)
    }

    /// Refusal because the store has failed with this error.
    pub(crate) fn of_store(error: &StoreError, consequence: &str) -> Self {
        Self::new(Code::StoreFailed, format!("The change could not be stored: {error}. {consequence}"))
    }

    pub(crate) fn permission_denied(verb: &str) -> Self {
        let message = format!("Permission denied: You are not allowed to execute -{verb}");
        Self::new(Code::PermissionDenied, message)
    }

    /// As [`Refusal::permission_denied`], to who has not the permission of the verb, with its name.
    pub(crate) fn lacks_permission(verb: &Verb) -> Self {
        let refusal = Self::permission_denied(verb.name);
        match verb.permission.need() {
            Some(need) => refusal.with_suggestion(need),
            None => refusal,
        }
    }
}

impl From<ArgumentError> for Refusal {
    fn from(error: ArgumentError) -> Self {
        match error {
            ArgumentError::QuoteNotClosed => Self::new(Code::ArgumentInvalid, error.to_string()),
            ArgumentError::RequestId(error) => error.into(),
        }
    }
}

impl From<BlockingReadError> for Refusal {
    fn from(error: BlockingReadError) -> Self {
        Self::new(Code::StoreFailed, error.to_string())
    }
}

impl From<ComponentUnread> for Refusal {
    fn from(error: ComponentUnread) -> Self {
        Self::new(Code::StoreFailed, error.to_string())
    }
}

impl From<MisplacedRequestId> for Refusal {
    fn from(error: MisplacedRequestId) -> Self {
        Self::new(Code::RequestIdMisplaced, error.to_string())
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        let in_force =
            "It is in force and is stored as soon as that works again, unless the broker stops before.";
        if matches!(error, StoreError::Hangs { .. }) {
            return Self::of_store(&error, in_force);
        }
        let StoreError::CommitFailed(error) = error else {
            return Self::new(Code::StoreFailed, format!("The change could not be stored: {error}"));
        };
        Self::not_stored(error.kind.into(), in_force)
    }
}

/// Element of `errors` or `warnings` without a place in a text.
pub(crate) fn problem(code: Code, message: &str) -> Value {
    json!({ "message": message, "code": code })
}

/// Heading of a reply: request and verb.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Heading<'a> {
    /// Canonical name of the verb; `None` for an unknown one.
    pub(crate) command: Option<&'a str>,
    pub(crate) request_id: Option<&'a str>,
    pub(crate) entity: Option<(EntityType, &'a str)>,
}

impl Heading<'_> {
    /// Makes the reply to a command with this outcome.
    pub(crate) fn reply(&self, outcome: Result<Done, Refusal>) -> CommandReply {
        let success = outcome.is_ok();
        let (message, data, errors, warnings) = match outcome {
            Ok(Done { message, data, warnings, .. }) => (message, data, Vec::new(), warnings),
            Err(Refusal { message, data, errors, warnings }) => (message, data, errors, warnings),
        };
        CommandReply {
            success,
            command: self.command.map(pascal_case),
            request_id: self.request_id.map(str::to_owned),
            message,
            user: None,
            entity_type: self.entity.map(|(entity_type, _)| entity_type),
            entity_name: self.entity.map(|(_, name)| name.to_owned()),
            data,
            errors,
            warnings,
        }
    }
}

/// Converts `listRoutes` to `ListRoutes`.
fn pascal_case(name: &str) -> String {
    let mut characters = name.chars();
    characters
        .next()
        .map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + characters.as_str())
}

/// Refusal of an unknown verb.
pub(crate) fn unknown_command(text: &CommandText<'_>) -> Refusal {
    let shown: String = text.verb.chars().take(VERB_SHOWN_CHARS_MAX).collect();
    let refusal = Refusal::new(Code::UnknownCommand, format!("Unknown command: {shown}"));
    match super::nearest_verb(text.verb) {
        Some(verb) => refusal.with_suggestion(format!("did you mean -{verb}? -help lists all commands")),
        None => refusal.with_suggestion("-help lists all commands".to_owned()),
    }
}

/// Refusal of a verb that a later version brings.
pub(crate) fn not_available(name: &str) -> Refusal {
    Refusal::new(Code::NotAvailable, format!("Command -{name} is not available yet."))
}

/// Refusal of a command that lacks an argument.
pub(crate) fn missing_argument(verb: &Verb, argument: &str) -> Refusal {
    let usage = verb.full_usage();
    Refusal::new(Code::MissingArgument, format!("Missing argument: {argument}. Usage: {usage}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::REPLY_BYTES_MAX;

    #[test]
    fn envelopes_have_their_keys_in_order() {
        let heading = Heading {
            command: Some("removeModel"),
            request_id: Some("a1"),
            entity: Some((EntityType::Model, "Nope")),
        };
        assert_eq!(
            heading.reply(Err(Refusal::not_found("Model 'Nope' not found."))).json(),
            r#"{"success":false,"command":"RemoveModel","requestId":"a1","message":"Model 'Nope' not found.","#
                .to_owned()
                + r#""entityType":"Model","entityName":"Nope","data":{},"#
                + r#""errors":[{"message":"Model 'Nope' not found.","code":"NOT_FOUND"}]}"#
        );
        let text = CommandText::new("-foo");
        assert_eq!(
            Heading::default().reply(Err(unknown_command(&text))).json(),
            r#"{"success":false,"message":"Unknown command: -foo","data":{},"#.to_owned()
                + r#""errors":[{"message":"Unknown command: -foo","code":"UNKNOWN_COMMAND","suggestions":["-help lists all commands"]}]}"#
        );
        let done = Done::new("2 route(s).").with_data([1, 2]).with_warning(Code::Truncated, "odd");
        assert_eq!(
            Heading { command: Some("listRoutes"), ..Heading::default() }.reply(Ok(done)).json(),
            r#"{"success":true,"command":"ListRoutes","message":"2 route(s).","data":[1,2],"#.to_owned()
                + r#""warnings":[{"message":"odd","code":"TRUNCATED"}]}"#
        );
    }

    #[test]
    fn a_reply_that_no_packet_holds_is_refused_by_size() {
        let done = Done::new("m").with_data("x".repeat(REPLY_BYTES_MAX));
        let reply = Heading::default().reply(Ok(done)).json();
        assert!(reply.starts_with(r#"{"success":false,"message":"The reply has "#), "{reply}");
        assert!(reply.contains("REPLY_TOO_LARGE"));
    }

    #[test]
    fn shortened_reply_names_user_and_command_without_data() {
        let heading = Heading {
            command: Some("listEnv"),
            request_id: Some("a1"),
            entity: Some((EntityType::User, "secret name")),
        };
        let done = Done::new("1 variable: SECRET.").with_data(["value"]).with_warning(Code::Truncated, "odd");
        assert_eq!(
            heading.reply(Ok(done)).shortened(Some("ann")),
            r#"{"success":true,"command":"ListEnv","requestId":"a1","message":"ListEnv by user ann: done.","user":"ann","data":{}}"#
        );
        let refusal = Refusal { data: json!(1).into(), ..Refusal::not_found("User 'bob' not found.") };
        assert_eq!(
            Heading::default().reply(Err(refusal)).shortened(None),
            r#"{"success":false,"message":"A command by an anonymous client: NOT_FOUND.","data":{},"#
                .to_owned()
                + r#""errors":[{"message":"NOT_FOUND","code":"NOT_FOUND"}]}"#
        );
    }
}
