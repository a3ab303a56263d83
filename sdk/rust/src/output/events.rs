//! Events of the crate `tracing` as lines of the guest's log: the message, then each field as
//! `name=value`. Omits spans.

use std::fmt::{self, Write as _};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use super::LineLevel;

/// Has the events of this guest written; without effect where it has a subscriber of its own.
pub(crate) fn subscribe() {
    let _ = tracing::subscriber::set_global_default(Log);
}

/// Subscriber whose lines are those of the guest.
struct Log;

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        // All spans have the same number, because they are not logged.
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        let Line { message, fields } = line;
        super::line(level(*event.metadata().level()), format_args!("{message}{fields}"));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

fn level(level: tracing::Level) -> LineLevel {
    match level {
        tracing::Level::TRACE => LineLevel::Trace,
        tracing::Level::DEBUG => LineLevel::Debug,
        tracing::Level::INFO => LineLevel::Info,
        tracing::Level::WARN => LineLevel::Warn,
        tracing::Level::ERROR => LineLevel::Error,
    }
}

/// Text of an event.
#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a text does not fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}
