//! `KEEP TOPIC t WITH v`, `KEEP ENV "N" WITH v`, `KEEP SECRET "N" WITH v` (LoT reference §6, §8.2).
//!
//! ```text
//! keep = "KEEP" ( "TOPIC" topicExpr | "ENV" string | "SECRET" string ) "WITH" value ;
//!
//! KEEP TOPIC "state/mode" WITH PAYLOAD
//! ```

use wasm_encoder::{Instruction, ValType};

use super::value::{when_empty, with_value};
use super::word::Use::{BeginsStatement, EndsWithValue, WantsMore};
use super::{CheckedKind, Construct, Executable, Form, Part, StatementKind, Word, each_expression};
use crate::check::kind::KindSet;
use crate::check::tree::walk::{self, Need, parts};
use crate::check::tree::{self, SettingStore, WhenEmpty};
use crate::check::{Checker, TopicUse};
use crate::diagnostic::codes;
use crate::lower::{Callee, Generator, Host, Runtime, Write};
use crate::source::Span;
use crate::syntax::parse::{Parsed, Parser};
use crate::syntax::sexpr::{Writer, setting, text, topic};
use crate::syntax::{Expression, Position, Text, TopicOperand};

/// `KEEP target WITH value`.
#[derive(Debug, Clone, PartialEq)]
pub struct Keep {
    /// Target to set.
    pub target: KeepTarget,
    /// Its new value.
    pub value: Expression,
}

/// Target of `KEEP`.
#[derive(Debug, Clone, PartialEq)]
pub enum KeepTarget {
    /// The last value of a topic.
    Topic(TopicOperand),
    /// An environment value or a secret.
    Setting(SettingStore, Text),
}

/// How it begins.
pub(super) const FORMS: &[Form] = &[Form::new(&["KEEP"], parse)];

/// Words that only it has.
pub(super) const WORDS: &[Word] = &[Word {
    word: "KEEP",
    is: &[BeginsStatement, EndsWithValue, WantsMore],
    text: "`KEEP TOPIC \"topic\" WITH value` stores the last value of a topic without publishing it; `KEEP ENV` and `KEEP SECRET` store settings. In the header of a model it is another word for `RETAIN`.",
}];

/// Reads what follows `KEEP`.
fn parse(parser: &mut Parser<'_, '_>) -> Parsed<StatementKind> {
    let target = match parser.eat_any(&["TOPIC", "ENV", "SECRET"]) {
        Some("TOPIC") => KeepTarget::Topic(parser.chained_topic("KEEP TOPIC")?),
        Some("ENV") => KeepTarget::Setting(SettingStore::Environment, parser.expect_text("KEEP ENV")?),
        Some(_) => KeepTarget::Setting(SettingStore::Secret, parser.expect_text("KEEP SECRET")?),
        None if parser.is_text() => {
            parser.missing_topic_word("KEEP");
            KeepTarget::Topic(parser.chained_topic("KEEP TOPIC")?)
        }
        None => return parser.missing(&["TOPIC", "ENV", "SECRET"], "KEEP"),
    };
    with_value(parser, "what is kept")?;
    let value = parser.value()?;
    Ok(StatementKind::Keep(Keep { target, value }))
}

impl Construct for Keep {
    fn check(&self, checker: &mut Checker<'_, '_, '_>, _span: Span) -> Option<CheckedKind> {
        let checked = match &self.target {
            KeepTarget::Topic(topic) => {
                let topic = checker.topic(topic, TopicUse::Keep);
                let value = checker.value(&self.value);
                let when_empty = when_empty(&self.value, &value);
                Checked::Topic { topic, value, when_empty }
            }
            KeepTarget::Setting(store, name) => {
                checker.setting_name(name);
                let value = checker.operand(&self.value);
                let when_empty = when_empty(&self.value, &value);
                Checked::Setting { store: *store, name: name.value.clone(), value, when_empty }
            }
        };
        Some(checked.into())
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

/// Sets a value that is kept.
#[derive(Debug, Clone)]
pub enum Checked {
    /// Replaces a topic's last value.
    Topic {
        /// Topic whose value is set.
        topic: tree::Topic,
        /// The value.
        value: tree::Expression,
        /// Report for an Empty value.
        when_empty: WhenEmpty,
    },
    /// Sets an environment value or a secret, as text.
    Setting {
        /// Store of the setting.
        store: SettingStore,
        /// Name of the value.
        name: String,
        /// The value.
        value: tree::Expression,
        /// Report for an Empty value.
        when_empty: WhenEmpty,
    },
}

impl Executable for Checked {
    parts!(|checked, visit| {
        match checked {
            Checked::Topic { topic, value, .. } => {
                visit(walk::Part::Topic(topic, TopicUse::Keep));
                visit(walk::Part::Value(value));
            }
            Checked::Setting { store, name, value, .. } => {
                visit(walk::Part::Need(Need::Setting(*store, name)));
                visit(walk::Part::Value(value));
            }
        }
    });

    fn lower(&self, generator: &mut Generator<'_>, at: Position) {
        match self {
            Checked::Topic { topic, value, when_empty } => {
                generator.write_topic(Write::Keep, topic, value, *when_empty, at);
            }
            Checked::Setting { store, name, value, when_empty } => {
                keep_setting(generator, (*store, name), value, *when_empty, at);
            }
        }
    }
}

fn keep_setting(
    generator: &mut Generator<'_>,
    (store, name): (SettingStore, &str),
    value: &tree::Expression,
    when_empty: WhenEmpty,
    at: Position,
) {
    let function = match store {
        SettingStore::Environment => Host::SetEnvironment,
        SettingStore::Secret => Host::SetSecret,
    };
    let end = generator.code.block();
    let cell = generator.code.local(ValType::I32);
    generator.cell(value);
    generator.code.set(cell);
    generator.flush_notes(at);
    if value.kinds.intersects(KindSet::EMPTY | KindSet::BYTES) {
        // Texts only: a payload that is no UTF-8 is replaced, never passed on.
        generator.code.get(cell);
        generator.runtime(Runtime::Payload);
        generator.code.i64(-1);
        generator.code.push(Instruction::I64Eq);
        generator.code.open_if();
        if when_empty == WhenEmpty::Report {
            generator.warn(codes::RUN_EMPTY_VALUE, "the value is Empty; nothing was set", at);
        }
        generator.code.branch(end);
        generator.code.end();
    }
    let text = generator.code.local(ValType::I64);
    generator.code.get(cell);
    generator.runtime(Runtime::Text);
    generator.code.set(text);
    generator.push_text(name);
    generator.push_pair(text);
    generator.code.call(Callee::Host(function));
    generator.check_granted(name, at);
    generator.code.release(cell);
    generator.code.release(text);
    generator.code.end();
}
