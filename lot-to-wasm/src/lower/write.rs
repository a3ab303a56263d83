//! Writes to topics: the written bytes, and reports of writes that are not possible.

use wasm_encoder::{Instruction, ValType};

use super::code::{Callee, Label, Local};
use super::constants::ANSWER;
use super::entry::Generator;
use super::host::Host;
use super::runtime::Runtime;
use super::topic::Ready;
use crate::check::kind::KindSet;
use crate::check::tree::{Constant, Expression, ExpressionKind, Topic, WhenEmpty};
use crate::diagnostic::codes;
use crate::syntax::Position;

/// Return value of `lot.payload` for a value that must not be written.
const NOTHING: i64 = -1;

/// Bytes to write, ready to be pushed.
pub(crate) enum Content {
    /// A constant text.
    Constant(String),
    /// A parameter with the address; the length follows.
    Parameter(u32),
    /// Address and length in a local.
    Computed(Local),
}

/// Kind of write for a value.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Write {
    /// Publish it with this QoS and RETAIN flag.
    Publish { qos: u8, retain: bool },
    /// Keep it.
    Keep,
}

impl Generator<'_> {
    /// Writes a value to a topic, and reports why it was not written.
    pub(crate) fn write_topic(
        &mut self,
        write: Write,
        topic: &Topic,
        value: &Expression,
        when_empty: WhenEmpty,
        at: Position,
    ) {
        let Some((end, topic)) = self.begin_write(topic, at) else { return };
        if let Some(content) = self.content(value, when_empty, end, at) {
            self.push_topic(&topic);
            self.push_content(&content);
            self.carry_out(write, at);
            self.release_content(content);
        }
        self.code.end();
        self.release_topic(topic);
    }

    /// Opens a block whose end skips the write, and computes the topic. A topic with a wildcard
    /// that the trigger did not match is reported; `None` when it always is.
    pub(crate) fn begin_write(&mut self, topic: &Topic, at: Position) -> Option<(Label, Ready)> {
        const MESSAGE: &str = "the trigger has no wildcard for one in this topic; nothing was written";
        if topic.is_unresolvable() {
            self.error(codes::RUN_NO_CAPTURE, MESSAGE, at);
            return None;
        }
        let end = self.code.block();
        let ready = self.topic(topic);
        self.flush_notes(at);
        if self.push_missing(topic).is_some() {
            self.code.open_if();
            self.error(codes::RUN_NO_CAPTURE, MESSAGE, at);
            self.code.branch(end);
            self.code.end();
        }
        Some((end, ready))
    }

    #[allow(clippy::wildcard_enum_match_arm, reason = "whatever is not named here is computed")]
    /// Computes the bytes to write. For a value that must not be written it branches to `end`;
    /// `None` when it never is.
    pub(crate) fn content(
        &mut self,
        value: &Expression,
        when_empty: WhenEmpty,
        end: Label,
        at: Position,
    ) -> Option<Content> {
        match &value.kind {
            ExpressionKind::Constant(Constant::Text(text)) => return Some(Content::Constant(text.clone())),
            ExpressionKind::Constant(Constant::Empty) => {
                self.report_empty(when_empty, at);
                return None;
            }
            ExpressionKind::Payload => {
                if let Some(payload) = self.certain_payload() {
                    return Some(Content::Parameter(payload));
                }
            }
            ExpressionKind::PayloadBytes => {
                if let Some(payload) = self.certain_payload() {
                    self.code.parameter(payload + 1);
                    self.code.push(Instruction::I32Eqz);
                    self.code.branch_if(end);
                    return Some(Content::Parameter(payload));
                }
            }
            _ => {}
        }
        self.cell(value);
        self.runtime(Runtime::Payload);
        let bytes = self.code.local(ValType::I64);
        self.code.set(bytes);
        self.flush_notes(at);
        if !value.kinds.intersects(KindSet::EMPTY | KindSet::BYTES) {
            return Some(Content::Computed(bytes));
        }
        self.code.get(bytes);
        self.code.i64(NOTHING);
        self.code.push(Instruction::I64Eq);
        self.code.open_if();
        self.report_empty(when_empty, at);
        self.code.branch(end);
        self.code.end();
        Some(Content::Computed(bytes))
    }

    /// The parameter with the payload, when there certainly is one: it is then written without
    /// being looked at.
    fn certain_payload(&self) -> Option<u32> {
        self.message.filter(|message| message.present.is_none()).map(|message| message.payload)
    }

    fn report_empty(&mut self, when_empty: WhenEmpty, at: Position) {
        if when_empty == WhenEmpty::Report {
            self.warn(codes::RUN_EMPTY_VALUE, "the value is Empty; nothing was written", at);
        }
    }

    pub(crate) fn push_content(&mut self, content: &Content) {
        match content {
            Content::Constant(text) => self.push_text(text),
            Content::Parameter(address) => {
                self.code.parameter(*address);
                self.code.parameter(*address + 1);
            }
            Content::Computed(pair) => self.push_pair(*pair),
        }
    }

    pub(crate) fn release_content(&mut self, content: Content) {
        if let Content::Computed(pair) = content {
            self.code.release(pair);
        }
    }

    /// Has the host write, and reports its refusal; topic and content are on the stack.
    fn carry_out(&mut self, write: Write, at: Position) {
        self.write(write);
        self.check_write(at);
    }

    /// Has the host write; topic and content are on the stack.
    pub(crate) fn write(&mut self, write: Write) {
        let function = match write {
            Write::Publish { qos, retain } => {
                self.code.i32(i32::from(qos));
                self.code.i32(i32::from(retain));
                Host::Publish
            }
            Write::Keep => Host::Keep,
        };
        self.push_constant_address(ANSWER);
        self.code.call(Callee::Host(function));
    }
}
