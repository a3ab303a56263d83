//! `TRIGGER "Event" TO Route WITH v`: fires an event of a route (LoT reference §8.8).
//!
//! ```text
//! triggerEvt = "TRIGGER" ( string | ident ) "TO" ( ident | string ) [ "WITH" value ]
//!            | "TRIGGER" string "TO" value "FOR" ( ident | string ) ;
//!                                                  -- v1: the first string names the route
//!
//! TRIGGER "Save" TO PlantDb WITH PAYLOAD
//! ```

use lot_nearest::nearest;

use super::word::Use::{BeginsLine, EndsWithValue};
use super::{CheckedKind, Construct, Form, Part, StatementKind, Word, each_expression, to_route};
use crate::check::Checker;
use crate::check::tree;
use crate::diagnostic::{Draft, codes};
use crate::source::Span;
use crate::syntax::parse::{Parsed, Parser};
use crate::syntax::sexpr::{Writer, text};
use crate::syntax::{Expression, Name};
use crate::token::TokenKind;

/// `TRIGGER event TO route WITH value`.
#[derive(Debug, Clone, PartialEq)]
pub struct TriggerEvent {
    /// The event.
    pub event: Name,
    /// The route.
    pub route: Name,
    /// Payload of the event.
    pub value: Option<Expression>,
}

/// How it begins.
pub(super) const FORMS: &[Form] = &[Form::new(&["TRIGGER"], parse)];

/// Words that only it has.
pub(super) const WORDS: &[Word] = &[Word {
    word: "TRIGGER",
    is: &[BeginsLine, EndsWithValue],
    text: "`TRIGGER \"Event\" TO \"Route\" WITH value`: lets an event of a route happen. On a field: `AS TRIGGER`, its messages start the model.",
}];

/// Reads what follows `TRIGGER`.
fn parse(parser: &mut Parser<'_, '_>) -> Parsed<StatementKind> {
    let first = parser.expect_name("TRIGGER")?;
    parser.expect_word("TO", "the event")?;
    let names_route = matches!(parser.peek().kind, TokenKind::Word | TokenKind::Text(_))
        && (parser.word_at(1) == "WITH" || parser.ends_after_next());
    if names_route {
        let route = parser.expect_name("TO")?;
        let value = if parser.eat_word("WITH") { Some(parser.value()?) } else { None };
        return Ok(StatementKind::TriggerEvent(TriggerEvent { event: first, route, value }));
    }
    let value = parser.value()?;
    parser.expect_word("FOR", "the value")?;
    let draft = Draft::warning(codes::OLD_SPELLING, parser.previous(), "TRIGGER … FOR is an old spelling");
    let event = parser.expect_name("FOR")?;
    parser.sink.push(draft.suggest(format!("write TRIGGER \"{}\" TO {} WITH value", event.text, first.text)));
    Ok(StatementKind::TriggerEvent(TriggerEvent { event, route: first, value: Some(value) }))
}

impl TriggerEvent {
    /// Warns of an event that a known route does not have, or that needs a value which a trigger by
    /// name cannot fill; a route that comes later may have it.
    fn check_event(&self, checker: &mut Checker<'_, '_, '_>) {
        let Some(events) = checker.known.route_events(&self.route.text) else { return };
        if let Some(event) = events.iter().find(|event| event.name == self.event.text) {
            if let Some(placeholder) = &event.filled_by_wildcard {
                self.warn_of_wildcard(placeholder, checker);
            }
            return;
        }
        let message =
            format!("route `{}` has no event `{}`", self.route.text, self.event.text.escape_debug());
        let near = nearest(&self.event.text, events.iter().map(|event| event.name.as_str()));
        let draft = Draft::warning(codes::UNKNOWN_EVENT, self.event.span, message);
        checker.error(draft.did_you_mean_name(&self.event, near));
    }

    /// Warns of an event that takes a level of its topic where its `SOURCE_TOPIC` has a wildcard,
    /// which nothing has matched.
    fn warn_of_wildcard(&self, placeholder: &str, checker: &mut Checker<'_, '_, '_>) {
        let message = format!(
            "event `{}` fills {{{placeholder}}} with what a wildcard of its SOURCE_TOPIC matches, and TRIGGER has no topic",
            self.event.text
        );
        let draft = Draft::warning(codes::TRIGGERED_WILDCARDS, self.event.span, message);
        checker.error(draft.suggest("PUBLISH to a topic that SOURCE_TOPIC matches, or hand it over in the value, as {payload.json.name}"));
    }
}

impl Construct for TriggerEvent {
    /// A publish to the topic by which permitted clients trigger events (routes reference §3.1).
    /// Without WITH the payload is empty.
    fn check(&self, checker: &mut Checker<'_, '_, '_>, span: Span) -> Option<CheckedKind> {
        for (what, name) in [("event", &self.event), ("route", &self.route)] {
            if name.text.is_empty() || name.text.contains(['/', '+', '#', '\0']) {
                let message = format!("no {what} is called `{}`", name.text.escape_debug());
                let draft = Draft::error(codes::TOPIC_NAME, name.span, message);
                checker.error(draft.suggest("names have no / + # in them"));
            }
        }
        self.check_event(checker);
        let value = match &self.value {
            Some(value) => checker.value(value),
            None => checker.constant(span, tree::Constant::Text(String::new())),
        };
        let (route, event) = (self.route.text.clone(), self.event.text.clone());
        let text = format!("$SYS/Coreflux/Routes/{route}/Events/{event}");
        let topic = tree::Topic::fixed(text, checker.at(span));
        let message = format!("route `{route}` has no event `{event}`; nothing was triggered");
        Some(to_route::Checked { topic, value, refusal: (codes::RUN_UNKNOWN_EVENT, message) }.into())
    }

    fn each_part<'a>(&'a self, visit: &mut dyn FnMut(Part<'a>)) {
        each_expression(&self.value, visit);
    }

    fn write(&self, writer: &mut Writer) {
        let value = self.value.as_ref().map_or(String::new(), |value| format!(" {}", text(value)));
        writer.push(&format!("(trigger {} {}{value})", self.event.text, self.route.text));
    }
}
