//! `REPLY WITH v`: publishes to the response topic of the message that started the run, with its
//! correlation data.
//!
//! ```text
//! reply = "REPLY" "WITH" value { pubOpt } ;
//!
//! REPLY WITH PAYLOAD * 2 WITH CONTENT TYPE "text/plain"
//! ```

use super::publish_option::{self, CheckedMessage, Property, PublishOptions};
use super::value::{when_empty, with_value};
use super::word::Use::{BeginsStatement, EndsWithValue, WantsMore};
use super::{CheckedKind, Construct, Form, Part, StatementKind, Word};
use crate::check::Checker;
use crate::check::tree::{Expression as Checked, ExpressionKind, MessageProperty, Topic, TopicPart};
use crate::diagnostic::{Draft, codes};
use crate::source::Span;
use crate::syntax::Expression;
use crate::syntax::parse::{Parsed, Parser};
use crate::syntax::sexpr::{Writer, text};
use lot_facts::TopicFact;

/// `REPLY WITH value …`.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplyWith {
    /// Payload.
    pub value: Expression,
    /// How.
    pub options: PublishOptions,
}

/// How it begins.
pub(super) const FORMS: &[Form] = &[Form::new(&["REPLY"], parse)];

/// Words that only it has.
pub(super) const WORDS: &[Word] = &[Word {
    word: "REPLY",
    is: &[BeginsStatement, EndsWithValue, WantsMore],
    text: "`REPLY WITH value` publishes to the response topic of the message that started the run, with its correlation data.",
}];

/// Reads what follows `REPLY`.
fn parse(parser: &mut Parser<'_, '_>) -> Parsed<StatementKind> {
    parser.non_portable(parser.previous(), "REPLY");
    with_value(parser, "REPLY")?;
    let value = publish_option::value(parser)?;
    let options = publish_option::options(parser, "REPLY")?;
    Ok(StatementKind::ReplyWith(ReplyWith { value, options }))
}

impl Construct for ReplyWith {
    fn check(&self, checker: &mut Checker<'_, '_, '_>, span: Span) -> Option<CheckedKind> {
        checker.need_message("REPLY", span);
        let of_request = |checker: &Checker<'_, '_, '_>, property| -> Checked {
            checker.computed(span, ExpressionKind::MessageProperty(property))
        };
        let value = checker.value(&self.value);
        let when_empty = when_empty(&self.value, &value);
        for (property, span) in &self.options.properties {
            if matches!(property, Property::Single(MessageProperty::CorrelationData, _)) {
                let message = "CORRELATION DATA of a REPLY is that of the request";
                let draft = Draft::error(codes::MISPLACED_CLAUSE, *span, message);
                checker.error(draft.suggest("leave it out, or write PUBLISH TOPIC RESPONSE TOPIC WITH …"));
            }
        }
        let mut properties = self.options.check(checker);
        let data = of_request(checker, MessageProperty::CorrelationData);
        properties.push(Property::Single(MessageProperty::CorrelationData, data));
        let topic = of_request(checker, MessageProperty::ResponseTopic);
        let topic = Topic { at: topic.at, parts: vec![TopicPart::Value(topic)], fact: TopicFact::Any };
        let PublishOptions { qos, retain, .. } = self.options;
        let is_reply = true;
        Some(CheckedMessage { topic, value, qos, retain, properties, is_reply, when_empty }.into())
    }

    fn each_part<'a>(&'a self, visit: &mut dyn FnMut(Part<'a>)) {
        visit(Part::Expression(&self.value));
        self.options.each_part(visit);
    }

    fn write(&self, writer: &mut Writer) {
        writer.push(&format!("(reply {}{})", text(&self.value), self.options.shown()));
    }
}
