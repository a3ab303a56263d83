//! Records that are published as JSON: the last error and the trace of a run. Commands reference
//! §5.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::limits::{RECORD_MESSAGE_BYTES_MAX, RECORD_PAYLOAD_BYTES_MAX};

/// Error of a run, as the host reports it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RunError<'a> {
    /// `LOTnnn`, or upper-case words.
    pub code: &'a str,
    /// One sentence.
    pub message: &'a str,
    /// Line of the source, from 1; 0 = unknown.
    pub line: u32,
    /// Column, from 1; 0 = unknown.
    pub column: u32,
    /// File of its project that the line is in; empty when it came with a command.
    pub file: &'a str,
    /// Cell of that file, from 1, in a notebook.
    pub cell: Option<u32>,
    /// Topic of the message that started the run; empty when it was no message.
    pub topic: &'a str,
    /// Its payload.
    pub payload: &'a [u8],
    /// Whether the same run has told of an error before, of which this one may come.
    pub is_follow_up: bool,
}

/// Payload of the retained topic `Actions/<N>/Error`; serialises with the keys in the order of the
/// reference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorRecord {
    /// Name of the definition.
    pub action: String,
    /// `LOTnnn`, or upper-case words.
    pub code: String,
    /// One sentence, at most 1 KiB.
    pub message: String,
    /// Line of the source, from 1; 0 = unknown.
    pub line: u32,
    /// Column, from 1; 0 = unknown.
    pub column: u32,
    /// The message that started the run.
    pub trigger: MessageText,
    /// When it happened.
    #[serde(serialize_with = "rfc3339", deserialize_with = "from_rfc3339")]
    pub timestamp: Timestamp,
    /// Errors of this definition since it was deployed.
    pub count: u64,
    /// Errors with this code; from the 17th code on, errors of all later codes together.
    #[serde(default, rename = "codeCount")]
    pub code_count: u64,
    /// File of its project that the line is in; empty when it came with a command.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub file: String,
    /// Cell of that file, from 1, in a notebook.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cell: Option<u32>,
}

impl ErrorRecord {
    pub(crate) fn new(
        action: &str,
        error: &RunError<'_>,
        at: Timestamp,
        (count, code_count): (u64, u64),
    ) -> ErrorRecord {
        ErrorRecord {
            action: action.to_owned(),
            code: error.code.to_owned(),
            message: cut(error.message, RECORD_MESSAGE_BYTES_MAX).to_owned(),
            line: error.line,
            column: error.column,
            trigger: MessageText::new(error.topic, error.payload),
            timestamp: at,
            count,
            code_count,
            file: error.file.to_owned(),
            cell: error.cell,
        }
    }

    /// The JSON that is published.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("strings and numbers always serialise")
    }
}

/// A message as text: bytes that are no UTF-8 become U+FFFD, more than 4 KiB is cut.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageText {
    /// Topic Name.
    pub topic: String,
    /// Payload.
    pub payload: String,
}

impl MessageText {
    /// Copies and cuts.
    pub fn new(topic: &str, payload: &[u8]) -> MessageText {
        let head = payload.get(..RECORD_PAYLOAD_BYTES_MAX).unwrap_or(payload);
        MessageText { topic: topic.to_owned(), payload: String::from_utf8_lossy(head).into_owned() }
    }
}

/// Payload of the topic `Actions/<N>/Trace`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TraceRecord {
    /// Name of the definition.
    pub action: String,
    /// Identifies the run.
    pub trace_id: String,
    /// The message that started it.
    pub trigger: TraceTrigger,
    /// When it ran.
    pub timing: TraceTiming,
    /// Published messages, in order.
    pub published: Vec<MessageText>,
    /// `success` or `error`.
    pub result: &'static str,
    /// The error's text; `null` on success.
    pub error: Option<String>,
}

impl TraceRecord {
    /// The JSON that is published.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("strings and numbers always serialise")
    }
}

/// Trigger of a traced run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TraceTrigger {
    /// Topic Name; empty when it was no message.
    pub topic: String,
    /// Payload as text.
    pub payload: String,
    /// Client Identifier of the publisher; empty when it was no Client.
    pub client_id: String,
}

/// When a traced run started and ended.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TraceTiming {
    /// Start.
    #[serde(serialize_with = "rfc3339")]
    pub start_utc: Timestamp,
    /// End.
    #[serde(serialize_with = "rfc3339")]
    pub end_utc: Timestamp,
    /// Milliseconds from start to end, with fractions.
    pub duration_ms: f64,
}

/// `2026-11-20T09:18:25.120Z`: always milliseconds, always UTC.
pub fn utc_text(at: Timestamp) -> String {
    format!("{at:.3}")
}

fn rfc3339<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&utc_text(*at))
}

fn from_rfc3339<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
}

pub(crate) fn rfc3339_option<S: Serializer>(
    at: &Option<Timestamp>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => rfc3339(at, serializer),
        None => serializer.serialize_none(),
    }
}

/// At most `bytes_max` bytes, cut between two characters.
fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_record_has_the_fields_of_the_reference_in_order() {
        let error = RunError {
            code: "LOT501",
            message: "more than 100000 iterations",
            line: 4,
            column: 5,
            topic: "s/k1/t",
            payload: b"31\xff",
            ..RunError::default()
        };
        let at = Timestamp::from_millisecond(1_795_166_305_120).unwrap();
        assert_eq!(
            ErrorRecord::new("Hot", &error, at, (2, 1)).to_json(),
            r#"{"action":"Hot","code":"LOT501","message":"more than 100000 iterations","line":4,"column":5,"#
                .to_owned()
                + r#""trigger":{"topic":"s/k1/t","payload":"31�"},"timestamp":"2026-11-20T09:18:25.120Z","count":2,"codeCount":1}"#
        );
        let of_project = RunError { file: "main.lotnb", cell: Some(3), ..error };
        for error in [&error, &of_project] {
            let record = ErrorRecord::new("Hot", error, at, (2, 1));
            assert_eq!(serde_json::from_str::<ErrorRecord>(&record.to_json()).unwrap(), record);
        }
        let record = ErrorRecord::new("Hot", &of_project, at, (2, 1)).to_json();
        assert!(record.ends_with(r#""count":2,"codeCount":1,"file":"main.lotnb","cell":3}"#), "{record}");
    }

    #[test]
    fn records_are_cut() {
        let message = "ü".repeat(2000);
        let error = RunError { message: &message, payload: &[b'x'; 10_000], ..RunError::default() };
        let record = ErrorRecord::new("A", &error, Timestamp::UNIX_EPOCH, (1, 1));
        assert_eq!(record.message.len(), RECORD_MESSAGE_BYTES_MAX);
        assert_eq!(record.trigger.payload.len(), RECORD_PAYLOAD_BYTES_MAX);
    }

    #[test]
    fn trace_record_has_the_fields_of_the_reference_in_order() {
        let at = Timestamp::from_second(1).unwrap();
        let trace = TraceRecord {
            action: "Hot".into(),
            trace_id: "t1".into(),
            trigger: TraceTrigger { topic: "a".into(), payload: "1".into(), client_id: "c".into() },
            timing: TraceTiming { start_utc: at, end_utc: at, duration_ms: 0.25 },
            published: vec![MessageText::new("o", b"1")],
            result: "success",
            error: None,
        };
        assert_eq!(
            trace.to_json(),
            r#"{"action":"Hot","traceId":"t1","trigger":{"topic":"a","payload":"1","clientId":"c"},"#
                .to_owned()
                + r#""timing":{"startUtc":"1970-01-01T00:00:01.000Z","endUtc":"1970-01-01T00:00:01.000Z","#
                + r#""durationMs":0.25},"published":[{"topic":"o","payload":"1"}],"result":"success","error":null}"#
        );
    }
}
