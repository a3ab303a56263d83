//! `DELETE ENV "N"`, `DELETE SECRET "N"`, `DELETE TOPIC "t"` (LoT reference §8.2).
//!
//! ```text
//! delete = "DELETE" ( "ENV" | "SECRET" | "TOPIC" ) string ;
//!
//! DELETE ENV "RUNS"
//! ```

use super::word::Use::{BeginsStatement, WantsMore};
use super::{CheckedKind, Construct, Executable, Form, Part, StatementKind, Word, each_expression};
use crate::check::tree::walk::{self, Need, parts};
use crate::check::tree::{self, SettingStore};
use crate::check::{Checker, TopicUse};
use crate::lower::{ANSWER, Callee, Generator, Host};
use crate::source::Span;
use crate::syntax::parse::{Parsed, Parser};
use crate::syntax::sexpr::{Writer, setting, topic};
use crate::syntax::{Position, Text, TopicOperand};

/// `DELETE target`.
#[derive(Debug, Clone, PartialEq)]
pub struct Delete {
    /// Target to delete.
    pub target: DeleteTarget,
}

/// Target of `DELETE`.
#[derive(Debug, Clone, PartialEq)]
pub enum DeleteTarget {
    /// The kept value of a topic.
    Topic(TopicOperand),
    /// An environment value or a secret.
    Setting(SettingStore, Text),
}

/// How it begins.
pub(super) const FORMS: &[Form] = &[Form::new(&["DELETE"], parse)];

/// Words that only it has.
pub(super) const WORDS: &[Word] = &[Word {
    word: "DELETE",
    is: &[BeginsStatement, WantsMore],
    text: "`DELETE TOPIC \"topic\"` forgets a kept value; `DELETE ENV \"name\"` and `DELETE SECRET \"name\"` a setting.",
}];

/// Reads what follows `DELETE`.
fn parse(parser: &mut Parser<'_, '_>) -> Parsed<StatementKind> {
    let target = match parser.eat_any(&["TOPIC", "ENV", "SECRET"]) {
        Some("TOPIC") => DeleteTarget::Topic(parser.chained_topic("DELETE TOPIC")?),
        Some("ENV") => DeleteTarget::Setting(SettingStore::Environment, parser.expect_text("DELETE ENV")?),
        Some(_) => DeleteTarget::Setting(SettingStore::Secret, parser.expect_text("DELETE SECRET")?),
        None if parser.is_text() => {
            parser.missing_topic_word("DELETE");
            DeleteTarget::Topic(parser.chained_topic("DELETE TOPIC")?)
        }
        None => return parser.missing(&["TOPIC", "ENV", "SECRET"], "DELETE"),
    };
    Ok(StatementKind::Delete(Delete { target }))
}

impl Construct for Delete {
    fn check(&self, checker: &mut Checker<'_, '_, '_>, _span: Span) -> Option<CheckedKind> {
        let checked = match &self.target {
            DeleteTarget::Topic(topic) => Checked::Topic(checker.topic(topic, TopicUse::Keep)),
            DeleteTarget::Setting(store, name) => {
                checker.setting_name(name);
                Checked::Setting { store: *store, name: name.value.clone() }
            }
        };
        Some(checked.into())
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

/// Removes a value that is kept.
#[derive(Debug, Clone)]
pub enum Checked {
    /// Forgets a topic's kept value.
    Topic(tree::Topic),
    /// Removes an environment value or a secret.
    Setting {
        /// Store of the setting.
        store: SettingStore,
        /// Name of the value.
        name: String,
    },
}

impl Executable for Checked {
    parts!(|checked, visit| {
        match checked {
            Checked::Topic(topic) => visit(walk::Part::Topic(topic, TopicUse::Keep)),
            Checked::Setting { store, name } => visit(walk::Part::Need(Need::Setting(*store, name))),
        }
    });

    fn lower(&self, generator: &mut Generator<'_>, at: Position) {
        match self {
            Checked::Topic(topic) => delete_topic(generator, topic, at),
            Checked::Setting { store, name } => delete_setting(generator, (*store, name), at),
        }
    }
}

fn delete_topic(generator: &mut Generator<'_>, topic: &tree::Topic, at: Position) {
    let Some((_, topic)) = generator.begin_write(topic, at) else { return };
    generator.push_topic(&topic);
    generator.push_constant_address(ANSWER);
    generator.code.call(Callee::Host(Host::Forget));
    generator.check_write(at);
    generator.code.end();
    generator.release_topic(topic);
}

fn delete_setting(generator: &mut Generator<'_>, (store, name): (SettingStore, &str), at: Position) {
    let function = match store {
        SettingStore::Environment => Host::RemoveEnvironment,
        SettingStore::Secret => Host::RemoveSecret,
    };
    generator.push_text(name);
    generator.code.call(Callee::Host(function));
    generator.check_granted(name, at);
}
