//! Log lines: the contents of an event, as text, and its category.

use std::fmt::{self, Debug, Write as _};

use serde_json::{Map, Value, json};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Metadata};

use crate::limits::{LOG_FIELD_BYTES_MAX, LOG_FIELDS_MAX};
use lotmq_process::clock::utc_text;

/// Level of a line. `Trace` is for trace logs only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Level {
    Error = 1,
    Warning,
    Info,
    Debug,
    Trace,
}

impl Level {
    pub(crate) const ALL: [Self; 5] = [Self::Error, Self::Warning, Self::Info, Self::Debug, Self::Trace];

    /// Name of the level in topics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Error => "Error",
            Self::Warning => "Warning",
            Self::Info => "Info",
            Self::Debug => "Debug",
            Self::Trace => "Trace",
        }
    }

    /// Number of the level: 1 for errors, more for less important ones.
    pub(super) fn number(self) -> u8 {
        self as u8
    }

    /// Level with this name, in any case.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.name().eq_ignore_ascii_case(name))
    }

    fn of(level: tracing::Level) -> Self {
        match level {
            tracing::Level::ERROR => Self::Error,
            tracing::Level::WARN => Self::Warning,
            tracing::Level::INFO => Self::Info,
            tracing::Level::DEBUG => Self::Debug,
            tracing::Level::TRACE => Self::Trace,
        }
    }
}

/// Filter that lets lines up to a level's number pass.
pub(super) fn level_filter(number: u8) -> LevelFilter {
    match number {
        0 => LevelFilter::OFF,
        1 => LevelFilter::ERROR,
        2 => LevelFilter::WARN,
        3 => LevelFilter::INFO,
        4 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    }
}

/// Category of a line: the last level of the topics of trace logs. Commands reference §11.2;
/// [`Category::Broker`] is our own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Category {
    Mqtt,
    Rules,
    Lot,
    Routes,
    Commands,
    /// Anything else: start and stop, listeners, the store.
    Broker,
}

impl Category {
    pub(super) const COUNT: usize = Self::ALL.len();

    pub(crate) const ALL: [Self; 6] =
        [Self::Mqtt, Self::Rules, Self::Lot, Self::Routes, Self::Commands, Self::Broker];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Mqtt => "mqtt",
            Self::Rules => "rules",
            Self::Lot => "lot",
            Self::Routes => "routes",
            Self::Commands => "commands",
            Self::Broker => "broker",
        }
    }

    /// Category of the events of a target; `None` for those of other people's libraries.
    fn of(target: &str) -> Option<Self> {
        /// Categories by the prefix of the target; the first match decides.
        const TARGETS: [(&str, Category); 23] = [
            ("client", Category::Mqtt),
            ("mqtt", Category::Mqtt),
            ("rules", Category::Rules),
            ("routes", Category::Routes),
            ("lot", Category::Lot),
            ("guest", Category::Lot),
            ("command", Category::Commands),
            ("lotmq_operations::command", Category::Commands),
            ("lotmq_programs::rules", Category::Rules),
            ("lotmq_auth", Category::Rules),
            ("lotmq_programs::routes", Category::Routes),
            ("lotmq_programs::route_drivers", Category::Routes),
            ("lotmq_host::route", Category::Routes),
            ("lotmq_programs", Category::Lot),
            ("lotmq_operations::modules", Category::Lot),
            ("lotmq_operations::projects", Category::Lot),
            ("lotmq_host", Category::Lot),
            ("lotmq_net", Category::Mqtt),
            ("lotmq_core::protocol", Category::Mqtt),
            ("lotmq_core::connection", Category::Mqtt),
            ("lotmq_core::owner", Category::Mqtt),
            ("lotmq_core::limits", Category::Mqtt),
            ("lotmq", Category::Broker),
        ];
        let is_of = |prefix: &str| {
            target.strip_prefix(prefix).is_some_and(|rest| {
                rest.is_empty() || rest.starts_with("::") || (prefix == "lotmq" && rest.starts_with('_'))
            })
        };
        TARGETS.iter().find(|(prefix, _)| is_of(prefix)).map(|(_, category)| *category)
    }
}

/// Level and category of an event; `None` for those of other people's libraries.
pub(super) fn of(metadata: &Metadata<'_>) -> Option<(Level, Category)> {
    Some((Level::of(*metadata.level()), Category::of(metadata.target())?))
}

/// Log line.
#[derive(Debug)]
pub(super) struct Line {
    at_ms: u64,
    pub(super) level: Level,
    pub(super) category: Category,
    target: &'static str,
    message: String,
    fields: Vec<(&'static str, String)>,
}

impl Line {
    pub(super) fn read(event: &Event<'_>, level: Level, category: Category) -> Self {
        let mut line = Self {
            at_ms: lotmq_process::clock::wall_ms(),
            level,
            category,
            target: event.metadata().target(),
            message: String::new(),
            fields: Vec::new(),
        };
        event.record(&mut Reader(&mut line));
        line
    }

    /// Value of a field.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// Whether the line contains a text, in this spelling.
    pub(super) fn contains(&self, text: &str) -> bool {
        self.message.contains(text) || self.fields.iter().any(|(_, value)| value.contains(text))
    }

    pub(super) fn to_json(&self) -> String {
        let mut line = json!({
            "ts": utc_text(self.at_ms),
            "level": self.level.name(),
            "category": self.category.name(),
            "message": self.message,
        });
        if !self.fields.is_empty() {
            let fields: Map<String, Value> =
                self.fields.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
            line["fields"] = Value::Object(fields);
        }
        line.to_string()
    }
}

/// Target and field that are not shown: the output of a module may be anything, so that a line
/// tells of it and does not contain it.
const NOT_SHOWN: (&str, &str) = ("guest", "text");

/// Visitor that writes the fields of an event as texts, each cut to its bound.
struct Reader<'l>(&'l mut Line);

impl Visit for Reader<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, &value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.add(field, &format_args!("{value:?}"));
    }
}

impl Reader<'_> {
    fn add(&mut self, field: &Field, value: &dyn fmt::Display) {
        if (self.0.target, field.name()) == NOT_SHOWN {
            return;
        }
        let mut text = Bounded(String::new());
        // It ends early where the bound is reached.
        let _ = write!(text, "{value}");
        if field.name() == "message" {
            self.0.message = text.0;
        } else if self.0.fields.len() < LOG_FIELDS_MAX {
            self.0.fields.push((field.name(), text.0));
        }
    }
}

/// Text with a bounded length.
struct Bounded(String);

impl fmt::Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = LOG_FIELD_BYTES_MAX - self.0.len();
        self.0.push_str(&text[..text.floor_char_boundary(room)]);
        if text.len() > room { Err(fmt::Error) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_have_their_category() {
        for (target, expected) in [
            ("client", Some(Category::Mqtt)),
            ("clients", None),
            ("command", Some(Category::Commands)),
            ("lotmq_programs::rules", Some(Category::Rules)),
            ("lotmq_programs::route_drivers::driver", Some(Category::Routes)),
            ("lotmq_programs::routes::runner", Some(Category::Routes)),
            ("lotmq_programs::sink", Some(Category::Lot)),
            ("lotmq_host::route::net", Some(Category::Routes)),
            ("lotmq_host::executor", Some(Category::Lot)),
            ("lotmq_net::shard", Some(Category::Mqtt)),
            ("lotmq_core::owner::step", Some(Category::Mqtt)),
            ("lotmq_core::turn::paging", Some(Category::Broker)),
            ("lotmq_server::server", Some(Category::Broker)),
            ("lotmq_store::writer", Some(Category::Broker)),
            ("lotmq", Some(Category::Broker)),
            ("wasmtime", None),
            ("lot_to_wasm", None),
        ] {
            assert_eq!(Category::of(target), expected, "{target}");
        }
    }

    #[test]
    fn texts_end_at_their_bound() {
        let mut text = Bounded(String::new());
        let _ = write!(text, "{}", "ü".repeat(LOG_FIELD_BYTES_MAX));
        assert_eq!(text.0.len(), LOG_FIELD_BYTES_MAX);
        let _ = write!(text, "more");
        assert_eq!(text.0.len(), LOG_FIELD_BYTES_MAX);
    }
}
