//! Triggers: one file per word after `ON`, each with its grammar and the facts it emits (LoT
//! reference §7).
//!
//! This file is the registry: [`TRIGGERS`] lists the words for the parser and for "did you mean".

mod at_time;
mod calendar;
mod change;
mod connect;
mod cron;
mod disconnect;
pub(crate) mod every;
mod silence;
mod start;
mod subscribe;
mod topic;
mod window;

pub(crate) use every::written_out;
use lot_nearest::nearest;

use crate::diagnostic::{Draft, codes};
use crate::source::Span;
use crate::syntax::Text;
use crate::syntax::parse::{Parsed, Parser};
use crate::token::TokenKind;

/// Trigger clause of an Action: `ON …`.
#[derive(Debug, Clone, PartialEq)]
pub struct TriggerClause {
    /// The static record that the broker arms.
    pub fact: lot_facts::Trigger,
    /// From `ON` to the last word before `DO`.
    pub span: Span,
}

impl TriggerClause {
    /// Stands in for a trigger that could not be read, which was reported.
    pub(crate) fn unreadable() -> TriggerClause {
        TriggerClause { fact: lot_facts::Trigger::Start, span: Span::default() }
    }

    /// Whether it only stands in for one.
    pub(crate) fn is_unreadable(&self) -> bool {
        self.span == Span::default()
    }
}

/// A word after `ON`.
pub(crate) struct Row {
    /// The word.
    pub(crate) keyword: &'static str,
    /// Reads what follows the word.
    pub(crate) parse: fn(&mut Parser<'_, '_>) -> Parsed<lot_facts::Trigger>,
}

/// All triggers, one line each.
const TRIGGERS: &[Row] = &[
    topic::ROW,
    change::ROW,
    silence::ROW,
    window::ROW,
    every::ROW,
    at_time::ROW,
    at_time::OLD_ROW,
    start::ROW,
    connect::ROW,
    disconnect::ROW,
    subscribe::ROW,
];

/// The words after `ON`.
pub(crate) fn words() -> impl Iterator<Item = &'static str> {
    TRIGGERS.iter().map(|row| row.keyword)
}

/// Reads `ON …` up to `DO`.
pub(crate) fn parse(parser: &mut Parser<'_, '_>) -> Parsed<TriggerClause> {
    let start = parser.span();
    parser.eat_keyword("ON");
    let word = parser.word();
    let row = TRIGGERS.iter().find(|row| row.keyword.eq_ignore_ascii_case(word));
    let Some(row) = row else { return unknown(parser) };
    parser.eat_keyword(row.keyword);
    if row.keyword == "TIME" {
        let draft = Draft::warning(codes::OLD_SPELLING, parser.previous(), "ON TIME is an old spelling");
        parser.sink.push(draft.suggest("write ON TIMESTAMP").fix(parser.previous(), "TIMESTAMP"));
    }
    let fact = (row.parse)(parser)?;
    Ok(TriggerClause { fact, span: parser.span_from(start) })
}

fn unknown<T>(parser: &mut Parser<'_, '_>) -> Parsed<T> {
    let word = parser.word();
    if word == "VALIDATION_FAILURE" {
        let draft = Draft::error(codes::NOT_LOT, parser.span(), "ON VALIDATION_FAILURE is not LoT");
        return parser.fail(draft.suggest("check the value with IF in the action that receives it"));
    }
    if let Some(draft) = of_cron(parser) {
        return parser.fail(draft);
    }
    let foreign = match word.to_ascii_uppercase().as_str() {
        "CRON" | "SCHEDULE" | "DAILY" | "AT" | "TIMER" | "INTERVAL" | "HOURLY" => Some(
            "write ON EVERY 5 MINUTES, ON EVERY DAY AT \"06:00\", or ON EVERY MONDAY, FRIDAY AT \"06:00\"",
        ),
        "MESSAGE" | "RECEIVE" | "RECEIVED" | "PUBLISH" | "DATA" | "MQTT" | "INPUT" => {
            Some("write ON TOPIC \"filter\" DO")
        }
        "TIMEOUT" | "OFFLINE" | "MISSING" | "NO" => Some("write ON SILENCE OF \"filter\" FOR 30 SECONDS DO"),
        "BOOT" | "STARTUP" | "INIT" | "LOAD" => Some("write ON START DO"),
        "ERROR" | "EXCEPTION" => {
            Some("errors of actions are told at topics below $SYS: lotmq watch shows them")
        }
        _ => None,
    };
    let names: Vec<&str> = words().collect();
    let hint = nearest(word, names.iter().copied());
    let message = format!("expected a trigger after ON, found {}", parser.found());
    let draft = Draft::error(codes::UNKNOWN_TRIGGER, parser.here(), message).expected(&names);
    if parser.is_text() {
        let place = Span { end: parser.span().start, ..parser.span() };
        return parser.fail(draft.suggest("write TOPIC before the filter").fix(place, "TOPIC "));
    }
    if let Some(foreign) = foreign {
        return parser.fail(draft.suggest(foreign));
    }
    let Some(hint) = hint else { return parser.fail(draft) };
    let span = parser.span();
    parser.fail(draft.suggest(format!("did you mean ON {hint}?")).fix(span, hint))
}

/// `ON CRON "0 5 * * *"`, where a trigger of ours means the same.
fn of_cron(parser: &Parser<'_, '_>) -> Option<Draft> {
    let schedule = parser.peek_at(1);
    let TokenKind::Text(text) = &schedule.kind else { return None };
    let ours = match parser.word().to_ascii_uppercase().as_str() {
        "CRON" | "SCHEDULE" | "TIMER" => cron::trigger(text)?,
        _ => return None,
    };
    let message = format!("expected a trigger after ON, found {}", parser.found());
    let draft = Draft::error(codes::UNKNOWN_TRIGGER, parser.span(), message);
    Some(draft.suggest(format!("write ON {ours}")).fix(parser.span().to(schedule.span), ours))
}

/// A Topic Filter in a string, checked.
fn filter(parser: &mut Parser<'_, '_>, after: &str) -> Parsed<String> {
    let text = parser.expect_text(after)?;
    if let Some(problem) = crate::topic::filter_problem(&text.value) {
        let message = format!("invalid topic filter \"{}\": {problem}", text.value.escape_debug());
        let draft = Draft::error(codes::TOPIC_FILTER, text.span, message);
        return parser.fail(draft.suggest_if(crate::topic::filter_help(&text.value)));
    }
    crate::check::warn_of_foreign_wildcard(&text.value, text.span, parser.sink);
    warn_of_names(parser, &text);
    Ok(text.value)
}

/// Names in braces, which other routers of messages take for wildcards that set a variable.
fn warn_of_names(parser: &mut Parser<'_, '_>, filter: &Text) {
    let is_name = |level: &str| level.len() > 2 && level.starts_with('{') && level.ends_with('}');
    let Some((index, level)) = filter.value.split('/').enumerate().find(|(_, level)| is_name(level)) else {
        return;
    };
    let message =
        format!("`{level}` in the filter of a trigger stands for nothing else, it matches only itself");
    let levels = filter.value.split('/').map(|level| if is_name(level) { "+" } else { level });
    let own = format!("\"{}\"", levels.collect::<Vec<_>>().join("/"));
    let hint = format!("write {own} and read the level by TOPIC POSITION {}", index + 1);
    let draft = Draft::warning(codes::TOPIC_PLACEHOLDER, filter.span, message);
    parser.sink.push(draft.suggest(hint).fix(filter.span, own));
}

/// As [`filter`], where messages come from: a subscription that is shared with others is none of a
/// definition.
fn message_filter(parser: &mut Parser<'_, '_>, after: &str) -> Parsed<String> {
    let filter = filter(parser, after)?;
    let Some(shared) = filter.strip_prefix("$share/") else { return Ok(filter) };
    let own = shared.split_once('/').map_or(shared, |(_, own)| own);
    let span = parser.previous();
    let message = "a trigger shares no subscription: every definition runs once for each message";
    let draft = Draft::error(codes::TOPIC_FILTER, span, message);
    let own = format!("\"{own}\"");
    parser.sink.push(draft.suggest(format!("write {own}")).fix(span, own));
    Ok(filter)
}
