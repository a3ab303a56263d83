//! `PUBLISH TOPIC t WITH v`: publishes a message (LoT reference §8.2).
//!
//! ```text
//! publish = "PUBLISH" "TOPIC" topicExpr "WITH" value { pubOpt } ;
//!
//! PUBLISH TOPIC "alarm/" + {id} WITH "hot" AND RETAIN
//! ```
//!
//! Its options: [`publish_option`].

use super::publish_option::{self, CheckedMessage, PublishOptions};
use super::value::{when_empty, with_value};
use super::word::Use::{BeginsStatement, EndsWithValue, WantsMore};
use super::{CheckedKind, Construct, Executable, Form, Part, StatementKind, Word, each_expression};
use crate::check::tree::walk::{self, parts};
use crate::check::tree::{self, WhenEmpty};
use crate::check::{Checker, TopicUse};
use crate::diagnostic::{Draft, codes};
use crate::lower::{Generator, Write};
use crate::source::Span;
use crate::syntax::parse::{Parsed, Parser};
use crate::syntax::sexpr::{Writer, text, topic};
use crate::syntax::{Expression, Position, TopicOperand};

/// `PUBLISH TOPIC topic WITH value …`.
#[derive(Debug, Clone, PartialEq)]
pub struct PublishTopic {
    /// Topic to publish to.
    pub topic: TopicOperand,
    /// Payload.
    pub value: Expression,
    /// How.
    pub options: PublishOptions,
}

/// How it begins.
pub(super) const FORMS: &[Form] = &[Form::new(&["PUBLISH", "TOPIC"], parse)];

/// Words of its own, and those that it shares with others of their family.
pub(super) const WORDS: &[Word] = &[Word {
    word: "PUBLISH",
    is: &[BeginsStatement, EndsWithValue, WantsMore],
    text: "`PUBLISH TOPIC \"topic\" WITH value` publishes a message; `PUBLISH MODEL Name TO \"topic\" WITH field = value` an instance of a model.",
}];

/// Reads what follows `PUBLISH TOPIC`.
fn parse(parser: &mut Parser<'_, '_>) -> Parsed<StatementKind> {
    let topic = parser.chained_topic("PUBLISH TOPIC")?;
    with_value(parser, "the topic")?;
    let value = publish_option::value(parser)?;
    let options = publish_option::options(parser, "PUBLISH TOPIC")?;
    Ok(StatementKind::PublishTopic(PublishTopic { topic, value, options }))
}

impl Construct for PublishTopic {
    fn check(&self, checker: &mut Checker<'_, '_, '_>, _span: Span) -> Option<CheckedKind> {
        let topic = checker.topic(&self.topic, TopicUse::Publish);
        let value = checker.value(&self.value);
        if topic.constant() == Some(COMMAND_TOPIC) {
            warn_of_command(checker, &value, self.value.span);
        }
        let when_empty = when_empty(&self.value, &value);
        let properties = self.options.check(checker);
        let PublishOptions { qos, retain, .. } = self.options;
        if properties.is_empty() {
            return Some(Checked { topic, value, qos, retain, when_empty }.into());
        }
        let is_reply = false;
        Some(CheckedMessage { topic, value, qos, retain, properties, is_reply, when_empty }.into())
    }

    fn each_part<'a>(&'a self, visit: &mut dyn FnMut(Part<'a>)) {
        each_expression(self.topic.parts.iter().chain([&self.value]), visit);
        self.options.each_part(visit);
    }

    fn write(&self, writer: &mut Writer) {
        let options = self.options.shown();
        writer.push(&format!("(publish {} {}{options})", topic(&self.topic), text(&self.value)));
    }
}

/// Topic of commands.
const COMMAND_TOPIC: &str = "$SYS/Coreflux/Command";

/// Commands that change permissions, in lower case.
const OF_PROTECTION: [&str; 17] = [
    "addproject",
    "addrule",
    "adduser",
    "addusertogroup",
    "changeuserpassword",
    "changeusersettings",
    "loadproject",
    "removeallrules",
    "removeproject",
    "removerule",
    "removesecret",
    "removeuser",
    "removeuserfromgroup",
    "restorerules",
    "rollbackproject",
    "setsecret",
    "unloadproject",
];

/// Warns of a command that changes permissions. Its verb is that of the text with which the value
/// begins.
fn warn_of_command(checker: &mut Checker<'_, '_, '_>, value: &tree::Expression, span: Span) {
    let first =
        if let tree::ExpressionKind::Concat(parts) = &value.kind { parts.first() } else { Some(value) };
    let Some(tree::ExpressionKind::Constant(tree::Constant::Text(text))) = first.map(|first| &first.kind)
    else {
        return;
    };
    let word = text.split_whitespace().next().unwrap_or_default();
    let verb = word.replace(['-', '_'], "").to_ascii_lowercase();
    if word.starts_with('-') && OF_PROTECTION.contains(&&*verb) {
        let message = format!("{word} changes who may do what, with the rights of who deploys this");
        let draft = Draft::warning(codes::COMMAND_ON_PROTECTION, span, message);
        checker.error(draft.suggest("let a rule say who may publish what starts it"));
    }
}

/// Publishes a message.
#[derive(Debug, Clone)]
pub struct Checked {
    /// Topic to publish to. An [unresolvable](tree::Topic::is_unresolvable) topic drops the message
    /// with an error record.
    pub topic: tree::Topic,
    /// Payload; sent as canonical text, bytes unchanged.
    pub value: tree::Expression,
    /// 0, 1 or 2.
    pub qos: u8,
    /// The RETAIN flag.
    pub retain: bool,
    /// Report for an Empty value.
    pub when_empty: WhenEmpty,
}

impl Executable for Checked {
    parts!(|Checked { topic, value, .. }, visit| {
        visit(walk::Part::Topic(topic, TopicUse::Publish));
        visit(walk::Part::Value(value));
    });

    fn lower(&self, generator: &mut Generator<'_>, at: Position) {
        let write = Write::Publish { qos: self.qos, retain: self.retain };
        generator.write_topic(write, &self.topic, &self.value, self.when_empty, at);
    }
}
