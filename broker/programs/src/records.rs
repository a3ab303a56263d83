//! Error and trace records of definitions, and their topics below `$SYS/Coreflux`.

mod log_history;

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use lotmq_definitions::limits::RECORD_PAYLOAD_BYTES_MAX;
use lotmq_definitions::{
    Definition, DefinitionId, DefinitionKind, MessageText, RunError, SuppressedLine, TraceRecord,
    TraceTiming, TraceTrigger,
};
use lotmq_host::{Effect, LogLevel, OwnedMessage};
use parking_lot::Mutex;
use serde_json::json;
use tracing::event;

use self::log_history::LogHistory;
use super::asset_names;
use super::recorder::{Report, RunEvent};
use super::run::Run;
use crate::HasPrograms as _;
use crate::variables::Variables;
use lotmq_core::Core;
use lotmq_core::tenant::Tenant;
use lotmq_core::turn::Turn;
use lotmq_core::turn::internal;
use lotmq_process::clock::{definitions_now, timestamp, utc_text};

/// Definitions whose changed error record waits to be published; more than this are published
/// together by the next sweep of all.
const CHANGED_MAX: usize = 10_000;

/// Code of an event that a definition had no room for: in its mailbox or, of a route, in its
/// outbox.
pub(super) fn full_code(definition: &Definition) -> &'static str {
    if definition.kind() == DefinitionKind::Route { "OUTBOX_FULL" } else { "MAILBOX_FULL" }
}

/// Code of an event for a definition that was stopped.
pub(super) const STOPPED: &str = "STOPPED";

/// Code of a message that is for too much of a route.
pub(super) const TOO_MANY_TAKERS: &str = "ROUTE_TAKERS";

/// Code of an asset that does not run the present version of its module.
const NOT_FOLLOWED: &str = "INSTANCE_NOT_FOLLOWED";

/// Code of an `ON START` that held the listeners for as long as it may.
pub const START_SLOW: &str = "START_SLOW";

/// Notes an error, without the values of secrets. Its topic follows at most five times a second,
/// with what was different since.
pub(super) fn record(
    turn: &mut Turn,
    tenant: &Tenant,
    definition: &Arc<Definition>,
    error: &RunError<'_>,
    hops: u8,
) {
    let now = definitions_now(&*turn.core.clock).wall;
    record_at(&turn.core, tenant, definition, error, (now, hops));
}

/// Notes an error, as [`record`], on a thread without a turn.
pub(super) fn record_at(
    core: &Core,
    tenant: &Tenant,
    definition: &Arc<Definition>,
    error: &RunError<'_>,
    (now, hops): (Timestamp, u8),
) {
    core.counters.guest_errors.add(1);
    record_masked(tenant, definition, error, now);
    let of_code = definition.activity.code_count(error.code);
    if of_code.is_power_of_two() {
        tell_log(tenant, definition, error, of_code);
    }
    let mut changed = tenant.programs().guests.changed_errors.lock();
    if let Some((_, known)) = changed.iter_mut().find(|(known, _)| Arc::ptr_eq(known, definition)) {
        *known = hops.max(*known);
    } else if changed.len() < CHANGED_MAX {
        changed.push((Arc::clone(definition), hops));
    }
}

/// Notes for the owner of an asset that it was stopped, because the module which it runs was
/// replaced by that one's owner.
pub fn note_not_followed(
    core: &Core,
    tenant: &Tenant,
    definition: &Arc<Definition>,
    message: &str,
    now: Timestamp,
) {
    let error = RunError { code: NOT_FOLLOWED, message, ..RunError::default() };
    record_at(core, tenant, definition, &error, (now, 0));
}

/// Characters of an error's text that the log shows.
const LOGGED_CHARS_MAX: usize = 200;

/// Text of an error for the log: its first line without secrets, and without what it quotes of the
/// message that started the run, since no line holds a payload.
pub(super) fn logged_text(variables: &Variables, message: &str, payload: &[u8]) -> String {
    let masked = variables.masked_text(message.lines().next().unwrap_or_default());
    without_payload(&masked, &String::from_utf8_lossy(payload)).chars().take(LOGGED_CHARS_MAX).collect()
}

/// Shortest number, in bytes, that the log leaves out where it stands in the payload and not in
/// quotation marks. Shorter ones are counts, durations, ports and lines as well, and say little of
/// a payload.
const LEFT_OUT_NUMBER_BYTES_MIN: usize = 6;

/// The text without quoted words and long numbers that stand in the payload.
fn without_payload(text: &str, payload: &str) -> String {
    const QUOTES: [char; 3] = ['\'', '"', '`'];
    let part_without = |part: &str| {
        let is_around = |letter: char| QUOTES.contains(&letter) || letter == ' ' || ",;:.()".contains(letter);
        let word = part.trim_matches(is_around);
        let is_long_number =
            word.len() >= LEFT_OUT_NUMBER_BYTES_MIN && word.bytes().any(|byte| byte.is_ascii_digit());
        let is_of_payload = (part.ends_with(QUOTES) || is_long_number) && has_word(payload, word);
        if is_of_payload { part.replacen(word, "…", 1) } else { part.to_owned() }
    };
    text.split_inclusive(|letter| QUOTES.contains(&letter) || letter == ' ').map(part_without).collect()
}

/// Whether a word stands in a text, and not within a longer one.
fn has_word(text: &str, word: &str) -> bool {
    let goes_on = |letter: Option<char>| letter.is_some_and(char::is_alphanumeric);
    !word.is_empty()
        && text.match_indices(word).any(|(at, _)| {
            let (before, behind) = (&text[..at], &text[at + word.len()..]);
            !goes_on(before.chars().next_back()) && !goes_on(behind.chars().next())
        })
}

/// Logs an error and where to read more. The message that started the run is left out, and a place
/// where there is none.
fn tell_log(tenant: &Tenant, definition: &Definition, error: &RunError<'_>, count: u64) {
    let RunError { code, .. } = *error;
    let has_place = error.line > 0;
    let line = has_place.then(|| definition.line_of_file(error.line));
    let column = has_place.then_some(error.column);
    let topic = format!("{}/Error", definition.sys_topic());
    // The message of a line is a constant.
    macro_rules! tell {
        ($message:literal) => {
            tracing::warn!(
                target: "lot",
                tenant = &*tenant.name,
                definition = &**definition.name(),
                kind = definition.kind().title(),
                origin = %definition.deployed.origin,
                code,
                error = logged_text(&tenant.programs().variables, error.message, error.payload),
                line,
                column,
                count,
                topic,
                $message
            )
        };
    }
    match definition.kind() {
        DefinitionKind::Route => tell!("route failed"),
        DefinitionKind::Module => tell!("module failed"),
        DefinitionKind::Action
        | DefinitionKind::Model
        | DefinitionKind::Rule
        | DefinitionKind::Theme
        | DefinitionKind::Panel => tell!("program failed"),
    }
}

/// Writes a line of a definition to the log, without the values of secrets, for a thread whose turn
/// is in use; of a flood only a part. It is published at its topics by the next sweep, where
/// somebody is subscribed to them. True if the sweep has something to do.
pub(super) fn log_line(
    tenant: &Tenant,
    definition: &Definition,
    (level, text): (LogLevel, &str),
    at: Timestamp,
) -> bool {
    record_line(tenant, definition, text);
    let line = written(tenant, definition, (level, text), None, at);
    line.is_some_and(|line| wait_for_sweep(tenant, line))
}

/// Publishes an error of which the log has a line already at the topics of the definition's own
/// lines: the record at its topic is that of its last error, which may be one that follows from
/// this. It is told once, so that it goes out however much the definition itself has to say. True
/// if the sweep has something to do.
pub(super) fn tell_log_topics(
    tenant: &Tenant,
    definition: &Definition,
    (code, message): (&str, &str),
    at: Timestamp,
) -> bool {
    let text = tenant.programs().variables.masked_line(message);
    let text = format!("{text} ({code})");
    let line = heard(tenant, definition, (LogLevel::Error, &text), (Some(code), 0), at);
    line.is_some_and(|line| wait_for_sweep(tenant, line))
}

/// Writes a line as [`log_line`] does, and publishes it at once. It starts nothing.
pub(super) fn tell_line(
    turn: &mut Turn,
    tenant: &Arc<Tenant>,
    definition: &Definition,
    (level, text): (LogLevel, &str),
) {
    record_line(tenant, definition, text);
    if let Some(line) = written(tenant, definition, (level, text), None, timestamp(turn.wall_ms())) {
        publish_line(turn, tenant, &line);
    }
}

/// Shows a line of a definition to the witness of what definitions do, where there is one.
fn record_line(tenant: &Tenant, definition: &Definition, text: &str) {
    if let Some(recorder) = tenant.programs().guests.recorder.get() {
        let text = tenant.programs().variables.masked_text(text);
        recorder.sees(definition.name(), RunEvent::Printed(text.into_owned()));
    }
}

/// Notes a warning, without the values of secrets. Of modules and routes each is a line in the log
/// and at their topics, as far as there are not too many; of LoT programs the first one of a place,
/// and then one whenever their number has doubled, is a line in the log.
pub(super) fn warn(turn: &mut Turn, tenant: &Arc<Tenant>, definition: &Definition, warning: &RunError<'_>) {
    if let Some(line) = warned(tenant, definition, warning, definitions_now(&*turn.core.clock).wall) {
        publish_line(turn, tenant, &line);
    }
}

/// Notes a warning, as [`warn`], for a thread whose turn is in use. True if the sweep has something
/// to do.
pub(super) fn warn_later(
    tenant: &Tenant,
    definition: &Definition,
    warning: &RunError<'_>,
    at: Timestamp,
) -> bool {
    warned(tenant, definition, warning, at).is_some_and(|line| wait_for_sweep(tenant, line))
}

/// Notes a warning and writes it to the log; the line of a module or route for those who are
/// subscribed to it. A program has none: editors of the original take whatever is below its topic
/// for its source.
fn warned(
    tenant: &Tenant,
    definition: &Definition,
    warning: &RunError<'_>,
    at: Timestamp,
) -> Option<HeardLine> {
    let (count, is_told) = note_warning(tenant, definition, warning, at);
    if matches!(definition.kind(), DefinitionKind::Module | DefinitionKind::Route) {
        let text = format!("{} ({})", warning.message, warning.code);
        return written(tenant, definition, (LogLevel::Warn, &text), Some(warning.code), at);
    }
    if is_told {
        let variables = &tenant.programs().variables;
        let RunError { code, column, .. } = *warning;
        let line = definition.line_of_file(warning.line);
        tracing::warn!(
            target: "lot",
            tenant = &*tenant.name,
            definition = &**definition.name(),
            kind = definition.kind().title(),
            origin = %definition.deployed.origin,
            code,
            text = logged_text(variables, warning.message, warning.payload),
            line,
            column,
            count,
            "program warned"
        );
    }
    None
}

/// Keeps a line until the sweep publishes it; false where there is no room.
fn wait_for_sweep(tenant: &Tenant, line: HeardLine) -> bool {
    let mut lines = tenant.programs().guests.lines.heard.lock();
    let has_room = lines.len() < LINES_MAX;
    if has_room {
        lines.push(line);
    }
    has_room
}

/// Log lines of definitions: those that the next sweep publishes, and the last ones of each.
#[derive(Default)]
pub struct DefinitionLines {
    /// Last lines of each definition.
    pub history: LogHistory,
    /// Lines of modules that rules ask.
    pub(super) heard: Mutex<Vec<HeardLine>>,
    /// Definitions with lines that were too many, of which nothing has told yet.
    pub(super) flooded: Mutex<BTreeSet<DefinitionId>>,
}

/// Line of a definition for those who are subscribed to its topics.
pub(super) struct HeardLine {
    topics: Vec<String>,
    payload: String,
}

/// Lines that wait for the sweep; what is more is in the log alone.
const LINES_MAX: usize = 1_000;

/// Publishes a line at the topics `Log` of the definition and its asset.
pub(super) fn publish_line(turn: &mut Turn, tenant: &Arc<Tenant>, line: &HeardLine) {
    for topic in &line.topics {
        internal::publish_after(turn, tenant, topic, line.payload.as_bytes(), false, STARTS_NO_GUEST);
    }
}

/// Writes a line to the log and to the history of its definition, without the values of secrets,
/// unless the rate limit drops it. Returns the line for subscribers, if there are any. Reported
/// lines have a code.
fn written(
    tenant: &Tenant,
    definition: &Definition,
    (level, text): (LogLevel, &str),
    code: Option<&str>,
    at: Timestamp,
) -> Option<HeardLine> {
    let suppressed = admitted(tenant, definition, at)?;
    let text = tenant.programs().variables.masked_line(text);
    write_line(tenant, definition, (level, &text), suppressed);
    heard(tenant, definition, (level, &text), (code, suppressed), at)
}

/// Number of the lines before this one that were too many; `None` where it is one itself.
fn admitted(tenant: &Tenant, definition: &Definition, at: Timestamp) -> Option<u64> {
    let admitted = definition.activity.admit_line(at);
    admitted.map_err(|suppressed| note_flood(tenant, definition, suppressed)).ok()
}

/// Counts lines of a run that were too many.
pub(super) fn suppress_lines(tenant: &Tenant, definition: &Definition, count: u64) {
    if let Some(suppressed) = definition.activity.suppress_lines(count) {
        note_flood(tenant, definition, suppressed);
    }
}

/// Has it told that lines were too many, should no other line do that.
fn note_flood(tenant: &Tenant, definition: &Definition, suppressed: SuppressedLine) {
    if suppressed.is_first {
        tenant.programs().guests.lines.flooded.lock().insert(definition.id);
    }
}

/// Text of a line that tells how many before it were too many, behind which no other one has come.
const TOO_MANY: &str = "too many lines at once";

/// Tells, of each definition with lines that were too many, how many they were, when their second
/// is over and no line has told that.
pub(super) fn tell_suppressed(turn: &mut Turn, tenant: &Arc<Tenant>) {
    let guests = &tenant.programs().guests;
    let flooded = std::mem::take(&mut *guests.lines.flooded.lock());
    let at = timestamp(turn.wall_ms());
    for id in flooded {
        let Some(definition) = guests.registry.read().by_id(id).cloned() else { continue };
        match definition.activity.take_suppressed(at) {
            None => {
                guests.lines.flooded.lock().insert(id);
            }
            Some(0) => {}
            Some(count) => {
                write_line(tenant, &definition, (LogLevel::Warn, TOO_MANY), count);
                let line = heard(tenant, &definition, (LogLevel::Warn, TOO_MANY), (None, count), at);
                if let Some(line) = line {
                    publish_line(turn, tenant, &line);
                }
            }
        }
    }
}

/// Topics of the lines of a definition to which somebody is subscribed.
fn log_topics(tenant: &Tenant, definition: &Definition) -> Vec<String> {
    let own = format!("{}/Log", definition.sys_topic());
    let of_asset = asset_names::topic(&tenant.programs().guests, definition).map(|topic| topic + "/Log");
    let mut topics: Vec<String> = [Some(own), of_asset].into_iter().flatten().collect();
    topics.retain(|topic| tenant.has_subscribers(topic));
    topics
}

/// Keeps a line of a definition for later readers, with the number of those before it that were too
/// many. Returns it for subscribers, if there are any.
fn heard(
    tenant: &Tenant,
    definition: &Definition,
    (level, text): (LogLevel, &str),
    (code, suppressed): (Option<&str>, u64),
    at: Timestamp,
) -> Option<HeardLine> {
    let at_ms = u64::try_from(at.as_millisecond()).unwrap_or_default();
    let mut line = json!({ "ts": utc_text(at_ms), "level": level_name(level), "text": text });
    // A subscriber of a module receives the lines of all routes that run it.
    if definition.kind() == DefinitionKind::Route {
        line["route"] = (&**definition.name()).into();
    }
    if let Some(code) = code {
        line["code"] = code.into();
    }
    if suppressed > 0 {
        line["suppressed"] = suppressed.into();
    }
    let payload = line.to_string();
    tenant.programs().guests.lines.history.keep(definition, &payload);
    let topics = log_topics(tenant, definition);
    (!topics.is_empty()).then_some(HeardLine { topics, payload })
}

/// Hops of a line, so many that it starts no guest: one that answered its own lines would never
/// end.
const STARTS_NO_GUEST: u8 = u8::MAX;

fn level_name(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Trace => "trace",
        LogLevel::Debug => "debug",
        LogLevel::Info => "info",
        LogLevel::Warn => "warn",
        LogLevel::Error => "error",
    }
}

/// Writes a line of which the values of secrets have been masked.
fn write_line(tenant: &Tenant, definition: &Definition, (level, text): (LogLevel, &str), suppressed: u64) {
    // The level is part of the place that a line is written at.
    macro_rules! line {
        ($level:expr) => {
            event!(
                target: "guest",
                $level,
                tenant = &*tenant.name,
                definition = &**definition.name(),
                kind = definition.kind().title(),
                text,
                suppressed,
                "guest line"
            )
        };
    }
    match level {
        LogLevel::Trace => line!(tracing::Level::TRACE),
        LogLevel::Debug => line!(tracing::Level::DEBUG),
        LogLevel::Info => line!(tracing::Level::INFO),
        LogLevel::Warn => line!(tracing::Level::WARN),
        LogLevel::Error => line!(tracing::Level::ERROR),
    }
}

/// Notes an error without the values of secrets; returns the number of errors.
pub(super) fn record_masked(
    tenant: &Tenant,
    definition: &Definition,
    error: &RunError<'_>,
    now: Timestamp,
) -> u64 {
    let variables = &tenant.programs().variables;
    let (message, topic) = (variables.masked_text(error.message), variables.masked_whole_text(error.topic));
    let payload = variables.masked_up_to(error.payload, RECORD_PAYLOAD_BYTES_MAX);
    let (file, cell) = definition.deployed.origin.file();
    let (line, column) = match error.line {
        // Of a route of a project its file is known, and the line of its definition.
        0 if definition.kind() == DefinitionKind::Route && !file.is_empty() => {
            (definition.line_of_file(1), 1)
        }
        line => (definition.line_of_file(line), error.column),
    };
    let error =
        RunError { message: &message, topic: &topic, payload: &payload, line, column, file, cell, ..*error };
    if let Some(recorder) = tenant.programs().guests.recorder.get() {
        recorder.sees(definition.name(), RunEvent::Reported(Report::new(true, &error)));
    }
    definition.activity.record_error(definition.name(), &error, now)
}

/// Notes a warning without the values of secrets; returns how many there were of its place, and
/// whether that has doubled.
fn note_warning(
    tenant: &Tenant,
    definition: &Definition,
    warning: &RunError<'_>,
    at: Timestamp,
) -> (u64, bool) {
    let message = tenant.programs().variables.masked_text(warning.message);
    let line = definition.line_of_file(warning.line);
    let warning = RunError { message: &message, line, ..*warning };
    if let Some(recorder) = tenant.programs().guests.recorder.get() {
        recorder.sees(definition.name(), RunEvent::Reported(Report::new(false, &warning)));
    }
    definition.activity.note_warning(&warning, at)
}

/// Notes, as one record, the events that were not taken since the first of them had a record of its
/// own.
pub(super) fn refused(turn: &Turn, definition: &Definition) {
    let refused = definition.activity.take_refused().saturating_sub(1);
    if refused == 0 {
        return;
    }
    turn.core.counters.guest_errors.add(refused);
    let first = definition.activity.last_error();
    let other = first
        .as_ref()
        .and_then(|first| [STOPPED, TOO_MANY_TAKERS].into_iter().find(|code| *code == first.code));
    let code = other.unwrap_or_else(|| full_code(definition));
    let reason = first.filter(|first| first.code == code).map(|first| format!(": {}", first.message));
    let message = format!("{refused} more events were not taken{}", reason.unwrap_or_default());
    let error = RunError { code, message: &message, ..RunError::default() };
    let now = definitions_now(&*turn.core.clock).wall;
    definition.activity.record_errors(definition.name(), &error, now, refused);
}

/// Trace of a run, without the values of secrets.
pub(super) fn trace<'a>(
    definition: &Definition,
    run: &Run<'_>,
    done: impl Iterator<Item = Effect<'a>>,
    now: Timestamp,
    error: Option<String>,
) -> TraceRecord {
    let took = run.timing.map_or(std::time::Duration::ZERO, |(_, took)| took);
    let started = run.trigger.unwrap_or_default();
    let variables = &run.tenant.programs().variables;
    let trigger = masked_message(variables, started.topic, started.payload);
    TraceRecord {
        action: definition.name().to_string(),
        trace_id: if run.trace_id.is_empty() { trace_id() } else { run.trace_id.to_owned() },
        trigger: TraceTrigger {
            topic: trigger.topic,
            payload: trigger.payload,
            client_id: started.client_id.to_owned(),
        },
        timing: TraceTiming {
            start_utc: now
                .checked_sub(jiff::SignedDuration::try_from(took).unwrap_or_default())
                .unwrap_or(now),
            end_utc: now,
            duration_ms: took.as_secs_f64() * 1000.0,
        },
        published: published(variables, done),
        result: if error.is_some() { "error" } else { "success" },
        error: error.map(|error| variables.masked_text(&error).into_owned()),
    }
}

/// Messages that a run published, for traces and replies, without the values of secrets.
pub(super) fn published<'a>(
    variables: &Variables,
    done: impl Iterator<Item = Effect<'a>>,
) -> Vec<MessageText> {
    done.filter_map(|effect| match effect {
        Effect::Publish { topic, payload, .. } => Some(masked_message(variables, topic, payload)),
        Effect::Keep { .. }
        | Effect::Forget { .. }
        | Effect::Report { .. }
        | Effect::Log { .. }
        | Effect::Metric { .. } => None,
    })
    .collect()
}

/// Message as it is shown to people: without the values of secrets, at most 4 KiB of its payload.
pub(super) fn masked(variables: &Variables, message: &OwnedMessage) -> MessageText {
    masked_message(variables, &message.topic, &message.payload)
}

fn masked_message(variables: &Variables, topic: &str, payload: &[u8]) -> MessageText {
    let payload = variables.masked_up_to(payload, RECORD_PAYLOAD_BYTES_MAX);
    MessageText::new(&variables.masked_whole_text(topic), &payload)
}

/// Makes a name for a run: 16 hexadecimal digits.
pub(super) fn trace_id() -> String {
    let mut random = [0_u8; 8];
    // An identifier for people: without entropy they see zeros.
    let _ = getrandom::fill(&mut random);
    format!("{:016x}", u64::from_be_bytes(random))
}

pub(super) fn publish_trace(
    turn: &mut Turn,
    tenant: &Arc<Tenant>,
    definition: &Definition,
    trace: &TraceRecord,
    hops: u8,
) {
    let topic = format!("{}/Trace", definition.sys_topic());
    internal::publish_after(turn, tenant, &topic, trace.to_json().as_bytes(), false, hops);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_an_error_holds_nothing_of_the_payload() {
        for (text, payload, expected) in [
            ("division by zero; the result is Null", "0", "division by zero; the result is Null"),
            ("'abc' is no number", "abc", "'…' is no number"),
            ("'41' is beyond 40", "{\"a\":41}", "'…' is beyond 40"),
            ("card 4111111111111111 is refused", "4111111111111111", "card … is refused"),
            ("serial 1234567 is unknown", "{\"s\":\"A-1234567\"}", "serial … is unknown"),
            // Text that does not come from the payload stays.
            ("no answer within 5 s from port 5432", "5", "no answer within 5 s from port 5432"),
            (
                "no answer within 5 s from port 5432",
                "{\"t\":5,\"p\":5432}",
                "no answer within 5 s from port 5432",
            ),
            ("error 1020304050 of 'temp'", "91020304050 temperature", "error 1020304050 of 'temp'"),
            ("TypeError: 'NoneType' has no 'x'", "{\"vals\":[3]}", "TypeError: 'NoneType' has no 'x'"),
        ] {
            assert_eq!(without_payload(text, payload), expected);
        }
    }
}
