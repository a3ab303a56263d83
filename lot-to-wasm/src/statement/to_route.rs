//! A write to a Route: the checked form of `TRIGGER`, and of `STORE IN` of a Model.

use wasm_encoder::Instruction;

use super::Executable;
use crate::check::TopicUse;
use crate::check::tree::walk::{Need, Part, parts};
use crate::check::tree::{Expression, Topic, WhenEmpty};
use crate::diagnostic::Code;
use crate::lower::{ANSWER, Generator, Write, memory};
use crate::syntax::Position;

/// Case number of `not-allowed` in the WIT enum `write-error`.
const NOT_ALLOWED: i32 = 1;

/// Publishes to a topic that stands for an event or a table of a route; that it does not exist is
/// an error record.
#[derive(Debug, Clone)]
pub struct Checked {
    /// The topic, always resolvable.
    pub topic: Topic,
    /// Payload for the route. An Empty value is not sent, and gives a warning record.
    pub value: Expression,
    /// Error code and message when there is no such route, event or table.
    pub refusal: (Code, String),
}

impl Executable for Checked {
    parts!(|Checked { topic, value, .. }, visit| {
        visit(Part::Need(Need::Route));
        visit(Part::Topic(topic, TopicUse::Publish));
        visit(Part::Value(value));
    });

    /// The host refuses a write to a route, event or table that does not exist as not allowed.
    fn lower(&self, generator: &mut Generator<'_>, at: Position) {
        let Some((end, topic)) = generator.begin_write(&self.topic, at) else { return };
        if let Some(content) = generator.content(&self.value, WhenEmpty::Report, end, at) {
            generator.push_topic(&topic);
            generator.push_content(&content);
            generator.write(Write::Publish { qos: 0, retain: false });
            generator.release_content(content);
            generator.push_constant_address(ANSWER);
            generator.code.push(Instruction::I32Load8U(memory(0, 0)));
            generator.push_constant_address(ANSWER);
            generator.code.push(Instruction::I32Load8U(memory(1, 0)));
            generator.code.i32(NOT_ALLOWED);
            generator.code.push(Instruction::I32Eq);
            generator.code.push(Instruction::I32And);
            generator.code.open_if();
            let (code, message) = &self.refusal;
            generator.error(*code, message, at);
            generator.code.or_else();
            generator.check_write(at);
            generator.code.end();
        }
        generator.code.end();
        generator.release_topic(topic);
    }
}
