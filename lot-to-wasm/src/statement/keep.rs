//! `KEEP TOPIC t WITH v`, `KEEP ENV "N" WITH v`, `KEEP SECRET "N" WITH v` (LoT reference §6, §8.2).
//!
//! ```text
//! keep = "KEEP" ( "TOPIC" topicExpr | "ENV" string | "SECRET" string ) "WITH" value ;
//!
//! KEEP TOPIC "state/mode" WITH PAYLOAD
//! ```

use super::StatementKind;
use super::publish_topic::when_empty;
use super::publish_topic::with_value;
use super::{Construct, Part, each_expression};
use crate::check::tree;
use crate::check::tree::SettingStore;
use crate::check::{Checker, TopicUse};
use crate::diagnostic::codes;
use crate::source::Span;
use crate::syntax::parse::{Parsed, Parser};
use crate::syntax::sexpr::{Writer, setting, text, topic};
use crate::syntax::{Expression, Text, TopicOperand};

/// `KEEP target WITH value`.
#[derive(Debug, Clone, PartialEq)]
pub struct Keep {
    /// What is set.
    pub target: KeepTarget,
    /// Its new value.
    pub value: Expression,
}

/// What `KEEP` sets.
#[derive(Debug, Clone, PartialEq)]
pub enum KeepTarget {
    /// The last value of a topic.
    Topic(TopicOperand),
    /// An environment value or a secret.
    Setting(SettingStore, Text),
}

/// Reads what follows `KEEP`.
pub(super) fn parse(parser: &mut Parser<'_, '_>) -> Parsed<StatementKind> {
    let target = match parser.eat_any(&["TOPIC", "ENV", "SECRET"]) {
        Some("TOPIC") => KeepTarget::Topic(parser.chained_topic("KEEP TOPIC")?),
        Some("ENV") => KeepTarget::Setting(SettingStore::Environment, parser.expect_text("KEEP ENV")?),
        Some(_) => KeepTarget::Setting(SettingStore::Secret, parser.expect_text("KEEP SECRET")?),
        None => return parser.expected(codes::UNEXPECTED_TOKEN, &["TOPIC", "ENV", "SECRET"], "KEEP"),
    };
    with_value(parser, "what is kept")?;
    let value = parser.value()?;
    Ok(StatementKind::Keep(Keep { target, value }))
}

impl Construct for Keep {
    fn check(&self, checker: &mut Checker<'_, '_, '_>, _span: Span) -> Option<tree::StatementKind> {
        Some(match &self.target {
            KeepTarget::Topic(topic) => {
                let topic = checker.topic(topic, TopicUse::Keep);
                let value = checker.value(&self.value);
                let when_empty = when_empty(&self.value, &value);
                tree::StatementKind::KeepTopic { topic, value, when_empty }
            }
            KeepTarget::Setting(store, name) => {
                checker.setting_name(name);
                let value = checker.operand(&self.value);
                let when_empty = when_empty(&self.value, &value);
                tree::StatementKind::KeepSetting {
                    store: *store,
                    name: name.value.clone(),
                    value,
                    when_empty,
                }
            }
        })
    }

    fn each_part<'a>(&'a self, visit: &mut dyn FnMut(Part<'a>)) {
        if let KeepTarget::Topic(topic) = &self.target {
            each_expression(&topic.parts, visit);
        }
        visit(Part::Expression(&self.value));
    }

    fn write(&self, writer: &mut Writer) {
        let target = match &self.target {
            KeepTarget::Topic(operand) => topic(operand),
            KeepTarget::Setting(store, name) => setting(*store, &name.value),
        };
        writer.push(&format!("(keep {target} {})", text(&self.value)));
    }
}
