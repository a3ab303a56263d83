//! `PUBLISH TOPIC t WITH v`: publishes a message (LoT reference §8.2).
//!
//! ```text
//! publish = "PUBLISH" "TOPIC" topicExpr "WITH" value { pubOpt } ;
//! pubOpt  = [ "WITH" | "AND" ] ( "RETAIN" | "QOS" [ "=" ] number | "QOS0" | "QOS1" | "QOS2" ) ;
//!
//! PUBLISH TOPIC "alarm/" + {id} WITH "hot" AND RETAIN
//! ```

use lot_nearest::nearest;

use super::StatementKind;
use super::{Construct, Part, each_expression};
use crate::check::kind::KindSet;
use crate::check::tree;
use crate::check::{Checker, TopicUse};
use crate::diagnostic::{Draft, codes};
use crate::source::Span;
use crate::syntax::parse::is_option;
use crate::syntax::parse::{Parsed, Parser};
use crate::syntax::sexpr::{Writer, text, topic};
use crate::syntax::{Expression, ExpressionKind, TopicOperand, Transform};
use crate::token::{Sign, TokenKind};

/// `PUBLISH TOPIC topic WITH value …`.
#[derive(Debug, Clone, PartialEq)]
pub struct PublishTopic {
    /// Where to.
    pub topic: TopicOperand,
    /// What.
    pub value: Expression,
    /// `QOS n`, default 0.
    pub qos: u8,
    /// `RETAIN`.
    pub retain: bool,
    /// Where the options stand, if there are any: they are not portable (OD-11).
    pub options: Option<Span>,
}

/// Reads what follows `PUBLISH TOPIC`.
pub(super) fn parse(parser: &mut Parser<'_, '_>) -> Parsed<StatementKind> {
    let topic = parser.chained_topic("PUBLISH TOPIC")?;
    with_value(parser, "the topic")?;
    let outer = std::mem::replace(&mut parser.options_follow, true);
    let value = parser.value();
    parser.options_follow = outer;
    let mut publish = PublishTopic { topic, value: value?, qos: 0, retain: false, options: None };
    options(parser, &mut publish)?;
    Ok(StatementKind::PublishTopic(publish))
}

/// `WITH` before a value that must be there.
pub(super) fn with_value(parser: &mut Parser<'_, '_>, after: &str) -> Parsed<()> {
    if parser.is_word("MESSAGE") {
        let draft =
            Draft::error(codes::PUBLISH_MESSAGE, parser.span(), "MESSAGE is not part of the language");
        let draft = draft.suggest("write WITH before the value: PUBLISH TOPIC \"t\" WITH value");
        return parser.fail(draft.fix(parser.span(), "WITH"));
    }
    if !parser.eat_keyword("WITH") {
        let message = format!("expected WITH after {after}, found {}", parser.found());
        let draft = Draft::error(codes::EXPECTED_WITH, parser.here(), message).expected(&["WITH"]);
        return parser.fail(insert_with(parser, draft, "write WITH and the value after it".to_owned()));
    }
    if parser.is_line_end() {
        let draft = Draft::error(codes::EXPECTED_WITH, parser.here(), "WITH without a value");
        return parser.fail(draft.suggest("write the value after WITH, for instance WITH PAYLOAD"));
    }
    Ok(())
}

/// The fix for a missing WITH, and what to do: in place of a word that is nearly one, of the `,`, `:` or `:=` that stands there, or before a value; none before anything else.
#[allow(clippy::wildcard_enum_match_arm, reason = "nothing is known about every other token")]
pub(super) fn insert_with(parser: &Parser<'_, '_>, draft: Draft, hint: String) -> Draft {
    if let Some(near) = nearest(parser.word(), ["WITH"]) {
        return draft.did_you_mean(Some(near));
    }
    let draft = draft.suggest(hint);
    let span = parser.span();
    let before = Span { end: span.start, ..span };
    let gap = Span { start: parser.previous().end, ..span };
    match &parser.peek().kind {
        TokenKind::Sign(Sign::Colon) if parser.peek_at(1).kind == TokenKind::Sign(Sign::Equal) => {
            draft.fix(gap.to(parser.peek_at(1).span), " WITH")
        }
        TokenKind::Sign(Sign::Comma | Sign::Colon | Sign::Equal) => draft.fix(gap, " WITH"),
        TokenKind::Sign(Sign::OpenParen | Sign::OpenBracket | Sign::OpenBrace | Sign::Minus)
        | TokenKind::Word
        | TokenKind::Text(_)
        | TokenKind::Int(_)
        | TokenKind::Double(_) => draft.fix(before, "WITH "),
        _ => draft,
    }
}

fn options(parser: &mut Parser<'_, '_>, publish: &mut PublishTopic) -> Parsed<()> {
    let start = parser.span();
    loop {
        let joined = matches!(parser.word(), "WITH" | "AND") && is_option(parser.word_at(1));
        if joined {
            parser.advance();
        }
        match parser.word() {
            "RETAIN" => {
                parser.advance();
                publish.retain = true;
            }
            word if is_option(word) => publish.qos = parser.qos_option()?,
            _ => break,
        }
        publish.options = Some(parser.span_from(start));
    }
    if let Some(span) = publish.options {
        parser.non_portable(span, "an option of PUBLISH TOPIC");
    }
    Ok(())
}

impl Parser<'_, '_> {
    /// `QOS0`, `QOS 1`, `QOS = 2`, `QOS(1)`.
    #[allow(clippy::wildcard_enum_match_arm, reason = "every other token is the error case")]
    pub(crate) fn qos_option(&mut self) -> Parsed<u8> {
        let start = self.span();
        let word = self.word();
        self.advance();
        let number = match word {
            "QOS0" => 0,
            "QOS1" => 1,
            "QOS2" => 2,
            "QOS" => {
                self.eat_sign(Sign::Equal);
                match self.peek().kind {
                    TokenKind::Int(number) => {
                        self.advance();
                        number
                    }
                    _ => return self.expected(codes::BAD_QOS, &["0", "1", "2"], "QOS"),
                }
            }
            _ => -1,
        };
        match u8::try_from(number) {
            Ok(qos @ 0..=2) => Ok(qos),
            _ => {
                let span = self.span_from(start);
                self.fail(Draft::error(codes::BAD_QOS, span, "QoS is 0, 1 or 2"))
            }
        }
    }
}

impl Construct for PublishTopic {
    fn check(&self, checker: &mut Checker<'_, '_, '_>, _span: Span) -> Option<tree::StatementKind> {
        let topic = checker.topic(&self.topic, TopicUse::Publish);
        let value = checker.value(&self.value);
        let when_empty = when_empty(&self.value, &value);
        Some(tree::StatementKind::PublishTopic {
            topic,
            value,
            qos: self.qos,
            retain: self.retain,
            when_empty,
        })
    }

    fn each_part<'a>(&'a self, visit: &mut dyn FnMut(Part<'a>)) {
        each_expression(self.topic.parts.iter().chain([&self.value]), visit);
    }

    fn write(&self, writer: &mut Writer) {
        let qos = if self.qos > 0 { format!(" qos{}", self.qos) } else { String::new() };
        let retain = if self.retain { " retain" } else { "" };
        writer.push(&format!("(publish {} {}{qos}{retain})", topic(&self.topic), text(&self.value)));
    }
}

/// What a write does with an Empty value: a FILTER without a match (OD-24) and bytes are skipped in silence.
pub(super) fn when_empty(source: &Expression, value: &tree::Expression) -> tree::WhenEmpty {
    if value.kinds.is(KindSet::BYTES) || ends_in_filter(source) {
        return tree::WhenEmpty::Silent;
    }
    tree::WhenEmpty::Report
}

#[allow(clippy::wildcard_enum_match_arm, reason = "nothing else ends in a filter")]
fn ends_in_filter(source: &Expression) -> bool {
    match &source.kind {
        ExpressionKind::Apply { transform, value } => {
            matches!(**transform, Transform::FilterRegex(_) | Transform::FilterCsv(_))
                || ends_in_filter(value)
        }
        ExpressionKind::Cast { value, .. } => ends_in_filter(value),
        _ => false,
    }
}
