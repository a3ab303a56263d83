//! How a line looks to machines: one object of JSON, with `time`, `level`, `target`, `message` and
//! `fields`.
//!
//! Numbers and truth values stay what they are; everything else is text, cut as in lines for
//! people.

use std::fmt::{self, Debug, Write as _};

use jiff::Timestamp;
use lotmq_terminal::text::escaped;
use serde_json::{Map, Value, json};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::registry::LookupSpan;

use super::line::bytes_max;

/// See the module's documentation.
pub(super) struct JsonFormat;

impl<S, N> FormatEvent<S, N> for JsonFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut read = ReadFields::default();
        event.record(&mut read);
        let metadata = event.metadata();
        let mut line = json!({
            "time": format!("{:.6}", Timestamp::now()),
            "level": metadata.level().as_str(),
            "target": metadata.target(),
            "message": read.message,
        });
        if !read.fields.is_empty() {
            line["fields"] = Value::Object(read.fields);
        }
        writeln!(writer, "{}", escaped(&line.to_string()))
    }
}

/// Fields of an event as values of JSON.
#[derive(Default)]
struct ReadFields {
    message: String,
    fields: Map<String, Value>,
}

impl ReadFields {
    fn add(&mut self, field: &Field, value: Value) {
        self.fields.insert(field.name().trim_start_matches("r#").to_owned(), value);
    }

    fn add_text(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        let mut text = CutText { text: String::new(), left: bytes_max(field) };
        // It ends early where the bound is reached.
        let _ = text.write_fmt(value);
        if field.name() == "message" {
            self.message = text.text;
        } else {
            self.add(field, text.text.into());
        }
    }
}

impl Visit for ReadFields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, json!(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add_text(field, format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.add_text(field, format_args!("{value:?}"));
    }
}

/// Text of so many bytes at most; one that would be longer ends with `…`.
struct CutText {
    text: String,
    left: usize,
}

impl fmt::Write for CutText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let cut = &text[..text.floor_char_boundary(self.left)];
        self.text.push_str(cut);
        self.left -= cut.len();
        if cut.len() == text.len() {
            return Ok(());
        }
        self.text.push('…');
        self.left = 0;
        Err(fmt::Error)
    }
}

#[cfg(test)]
mod tests {
    use tracing::{debug, info, warn};

    use super::super::collected::Collected;
    use super::*;

    #[test]
    fn each_line_is_an_object_with_fields_of_their_own_kind() {
        let collected = Collected::default();
        let subscriber =
            tracing_subscriber::fmt().event_format(JsonFormat).with_writer(collected.clone()).finish();
        tracing::subscriber::with_default(subscriber, || {
            let peer: std::net::SocketAddr = "127.0.0.1:1883".parse().unwrap();
            info!(target: "client", %peer, client_id = "q\"\\ü\nx", count = 3, is = true, share = 0.5, none = None::<u8>, "client gone");
            warn!(client_id = "é".repeat(30_000), "{}", "m".repeat(60_000));
            info!("nothing more");
            debug!("not wanted");
        });
        let text = collected.text();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 3, "{text}");
        let time = lines[0]["time"].as_str().unwrap();
        assert!(time.len() == 27 && time.parse::<Timestamp>().is_ok(), "{time}");
        let without_time = |line: &Value| {
            let mut line = line.as_object().unwrap().clone();
            line.remove("time");
            Value::Object(line)
        };
        assert_eq!(
            without_time(&lines[0]),
            json!({
                "level": "INFO", "target": "client", "message": "client gone",
                "fields": { "peer": "127.0.0.1:1883", "client_id": "q\"\\ü\nx", "count": 3, "is": true, "share": 0.5 },
            })
        );
        assert_eq!(lines[1]["level"], "WARN");
        assert_eq!(lines[1]["message"], format!("{}…", "m".repeat(4096)));
        assert_eq!(lines[1]["fields"]["client_id"], format!("{}…", "é".repeat(256)));
        assert_eq!(lines[2].get("fields"), None);
    }
}
