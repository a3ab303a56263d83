//! Handling of a message on the base topic of a Model: each leaf of its JSON object is published
//! below the topic (LoT reference §9.5).

use wasm_encoder::{Instruction, ValType};

use super::Executable;
use crate::check::tree::walk::{Need, Part, parts};
use crate::check::tree::{CastKind, Constant};
use crate::diagnostic::codes;
use crate::lower::{
    ADDRESS_BYTES, ANSWER, Callee, Generator, Host, Local, Message, Runtime, cast_function, memory,
};
use crate::syntax::Position;

/// Parameters of `on-message`: where the RETAIN flag and the length of the Client Identifier are.
const RETAIN: u32 = 5;
const CLIENT_ID_LENGTH: u32 = 7;

/// Publishes each leaf of the received JSON object below the received topic, with its RETAIN flag,
/// and ends the run. Nothing for messages that no client sent.
#[derive(Debug, Clone)]
pub struct Checked {
    /// Declared types by path (`a/b`).
    pub casts: Vec<(String, CastKind)>,
    /// Topics that start an instance instead.
    pub unless: Vec<String>,
    /// QoS of the messages.
    pub qos: u8,
}

impl Executable for Checked {
    parts!(|Checked { .. }, visit| {
        visit(Part::Need(Need::Payload));
    });

    fn lower(&self, generator: &mut Generator<'_>, at: Position) {
        let Some(message) = generator.message else { return };
        let instance = generator.code.block();
        if !self.unless.is_empty() {
            generator.push_text(&self.unless.join("\0"));
            generator.code.parameter(message.topic);
            generator.code.parameter(message.topic + 1);
            generator.runtime(Runtime::FirstMatch);
            generator.code.u32(u32::try_from(self.unless.len()).unwrap_or(u32::MAX));
            generator.code.push(Instruction::I32LtU);
            generator.code.branch_if(instance);
        }
        let nothing = generator.code.block();
        // Messages of guests, including this one, have no Client Identifier and are not split.
        generator.code.parameter(CLIENT_ID_LENGTH);
        generator.code.push(Instruction::I32Eqz);
        generator.code.branch_if(nothing);
        self.publish_leaves(generator, message, at);
        generator.code.end();
        generator.succeed();
        generator.code.push(Instruction::Return);
        generator.code.end();
    }
}

impl Checked {
    fn publish_leaves(&self, generator: &mut Generator<'_>, message: Message, at: Position) {
        generator.code.parameter(message.payload);
        generator.code.parameter(message.payload + 1);
        generator.runtime(Runtime::Raw);
        generator.runtime(Runtime::Leaves);
        let leaves = generator.code.local(ValType::I64);
        generator.code.tee(leaves);
        generator.code.push(Instruction::I64Eqz);
        generator.code.open_if();
        let told = "the payload begins as a JSON object, but is none or is nested deeper than 128 levels; \
                       nothing of it was published";
        generator.error(codes::RUN_NOT_SPLIT, told, at);
        generator.code.end();
        generator.code.get(leaves);
        generator.code.release(leaves);
        generator.each(2 * ADDRESS_BYTES, |generator, next| self.publish_leaf(generator, message, next, at));
    }

    /// Publishes the leaf whose path and value are at `next`.
    fn publish_leaf(&self, generator: &mut Generator<'_>, message: Message, next: Local, at: Position) {
        let value = generator.code.new_local(ValType::I32);
        let text = generator.code.new_local(ValType::I64);
        generator.code.get(next);
        generator.code.push(Instruction::I32Load(memory(4, 2)));
        generator.code.set(value);
        for (path, to) in &self.casts {
            generator.code.get(next);
            generator.code.push(Instruction::I32Load(memory(0, 2)));
            generator.push_constant(&Constant::Text(path.clone()));
            generator.runtime(Runtime::Equals);
            generator.code.open_if();
            generator.code.get(value);
            generator.runtime(cast_function(*to));
            generator.code.set(value);
            generator.code.end();
        }
        generator.flush_notes(at);
        push_leaf_topic(generator, message, next, text);
        generator.code.get(value);
        generator.runtime(Runtime::Payload);
        generator.code.set(text);
        generator.push_pair(text);
        generator.code.i32(i32::from(self.qos));
        generator.code.parameter(RETAIN);
        generator.push_constant_address(ANSWER);
        generator.code.call(Callee::Host(Host::Publish));
        check_leaf(generator, next, text, at);
    }
}

/// Pushes address and length of the topic of the leaf whose path is at `next`.
fn push_leaf_topic(generator: &mut Generator<'_>, message: Message, next: Local, text: Local) {
    generator.code.parameter(message.topic);
    generator.code.parameter(message.topic + 1);
    generator.runtime(Runtime::Data);
    generator.push_constant(&Constant::Text("/".to_owned()));
    generator.code.get(next);
    generator.code.push(Instruction::I32Load(memory(0, 2)));
    generator.runtime(Runtime::Concat3);
    generator.runtime(Runtime::Text);
    generator.code.set(text);
    generator.push_pair(text);
}

/// Reports the host's refusal to publish the leaf whose path is at `next`, if it refused.
fn check_leaf(generator: &mut Generator<'_>, next: Local, text: Local, at: Position) {
    generator.push_constant_address(ANSWER);
    // Whether it refused, and why: an invalid topic is the first of the reasons.
    generator.code.push(Instruction::I32Load16U(memory(0, 0)));
    generator.code.i32(1);
    generator.code.push(Instruction::I32Eq);
    generator.code.open_if();
    let message = "the topic of a member has a wildcard or NUL in it, or is too long; it was not published: ";
    generator.push_constant(&Constant::Text(message.to_owned()));
    generator.code.get(next);
    generator.code.push(Instruction::I32Load(memory(0, 2)));
    generator.runtime(Runtime::Concat2);
    generator.runtime(Runtime::Text);
    generator.code.set(text);
    generator.push_error(codes::RUN_INVALID_TOPIC);
    generator.push_pair(text);
    generator.push_position(at);
    generator.code.call(Callee::Host(Host::Report));
    generator.code.or_else();
    generator.check_write(at);
    generator.code.end();
}
