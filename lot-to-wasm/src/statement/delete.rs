//! `DELETE ENV "N"`, `DELETE SECRET "N"`, `DELETE TOPIC "t"` (LoT reference §8.2).
//!
//! ```text
//! delete = "DELETE" ( "ENV" | "SECRET" | "TOPIC" ) string ;
//!
//! DELETE ENV "RUNS"
//! ```

use super::StatementKind;
use super::{Construct, Part, each_expression};
use crate::check::tree;
use crate::check::tree::SettingStore;
use crate::check::{Checker, TopicUse};
use crate::diagnostic::codes;
use crate::source::Span;
use crate::syntax::parse::{Parsed, Parser};
use crate::syntax::sexpr::{Writer, setting, topic};
use crate::syntax::{Text, TopicOperand};

/// `DELETE target`.
#[derive(Debug, Clone, PartialEq)]
pub struct Delete {
    /// What is removed.
    pub target: DeleteTarget,
}

/// What `DELETE` removes.
#[derive(Debug, Clone, PartialEq)]
pub enum DeleteTarget {
    /// The kept value of a topic.
    Topic(TopicOperand),
    /// An environment value or a secret.
    Setting(SettingStore, Text),
}

/// Reads what follows `DELETE`.
pub(super) fn parse(parser: &mut Parser<'_, '_>) -> Parsed<StatementKind> {
    let target = match parser.eat_any(&["TOPIC", "ENV", "SECRET"]) {
        Some("TOPIC") => DeleteTarget::Topic(parser.chained_topic("DELETE TOPIC")?),
        Some("ENV") => DeleteTarget::Setting(SettingStore::Environment, parser.expect_text("DELETE ENV")?),
        Some(_) => DeleteTarget::Setting(SettingStore::Secret, parser.expect_text("DELETE SECRET")?),
        None => return parser.expected(codes::UNEXPECTED_TOKEN, &["TOPIC", "ENV", "SECRET"], "DELETE"),
    };
    Ok(StatementKind::Delete(Delete { target }))
}

impl Construct for Delete {
    fn check(&self, checker: &mut Checker<'_, '_, '_>, _span: Span) -> Option<tree::StatementKind> {
        Some(match &self.target {
            DeleteTarget::Topic(topic) => {
                tree::StatementKind::DeleteTopic { topic: checker.topic(topic, TopicUse::Keep) }
            }
            DeleteTarget::Setting(store, name) => {
                checker.setting_name(name);
                tree::StatementKind::DeleteSetting { store: *store, name: name.value.clone() }
            }
        })
    }

    fn each_part<'a>(&'a self, visit: &mut dyn FnMut(Part<'a>)) {
        if let DeleteTarget::Topic(topic) = &self.target {
            each_expression(&topic.parts, visit);
        }
    }

    fn write(&self, writer: &mut Writer) {
        let target = match &self.target {
            DeleteTarget::Topic(operand) => topic(operand),
            DeleteTarget::Setting(store, name) => setting(*store, &name.value),
        };
        writer.push(&format!("(delete {target})"));
    }
}
