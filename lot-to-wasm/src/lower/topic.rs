//! Topics of reads and writes.

use wasm_encoder::{Instruction, ValType};

use super::code::{Callee, Local, memory};
use super::constants::ANSWER;
use super::entry::Generator;
use super::host::Host;
use super::runtime::Runtime;
use crate::check::tree::{Constant, Entry, Topic, TopicPart};
use crate::diagnostic::codes;
use crate::syntax::Position;

/// A topic that is ready to be pushed.
#[derive(Debug)]
pub(crate) enum Ready {
    /// A constant text.
    Constant(String),
    /// Address and length in a local.
    Computed(Local),
}

impl Generator<'_> {
    /// Computes a topic. When it can turn out to have a wildcard without a counterpart,
    /// [`Generator::missing`] returns this afterwards.
    pub(super) fn topic(&mut self, topic: &Topic) -> Ready {
        if let Some(text) = topic.constant() {
            return Ready::Constant(text.to_owned());
        }
        if may_miss(topic) {
            let missing = match self.missing {
                Some(local) => local,
                None => *self.missing.insert(self.code.new_local(ValType::I32)),
            };
            self.code.i32(0);
            self.code.set(missing);
        }
        match topic.parts.as_slice() {
            [part] => self.topic_part(part),
            [a, b] => {
                self.topic_part(a);
                self.topic_part(b);
                self.runtime(Runtime::Concat2);
            }
            [a, b, c] => {
                self.topic_part(a);
                self.topic_part(b);
                self.topic_part(c);
                self.runtime(Runtime::Concat3);
            }
            parts => {
                self.list(parts.len(), |generator, index| {
                    if let Some(part) = parts.get(index) {
                        generator.topic_part(part);
                    }
                });
                self.runtime(Runtime::Concat);
            }
        }
        self.runtime(Runtime::Text);
        let text = self.code.local(ValType::I64);
        self.code.set(text);
        Ready::Computed(text)
    }

    /// Pushes address and length of a topic.
    pub(crate) fn push_topic(&mut self, topic: &Ready) {
        match topic {
            Ready::Constant(text) => self.push_text(text),
            Ready::Computed(pair) => self.push_pair(*pair),
        }
    }

    pub(crate) fn release_topic(&mut self, topic: Ready) {
        if let Ready::Computed(pair) = topic {
            self.code.release(pair);
        }
    }

    /// Pushes the cell of a part.
    fn topic_part(&mut self, part: &TopicPart) {
        match part {
            TopicPart::Text(text) => self.push_constant(&Constant::Text(text.clone())),
            TopicPart::Level(level) => self.topic_level(*level),
            TopicPart::Rest { from, slash } => self.of_message(|generator, message| {
                generator.code.parameter(message.topic);
                generator.code.parameter(message.topic + 1);
                generator.code.u32(*from);
                generator.code.i32(i32::from(*slash));
                generator.runtime(Runtime::Rest);
            }),
            TopicPart::ByFilter(parts) => self.part_by_filter(parts),
            TopicPart::Missing => {
                self.code.i32(1);
                self.code.operations.extend(
                    self.missing
                        .map(|local| super::code::Operation::Plain(Instruction::LocalSet(local.index))),
                );
                self.push_constant(&Constant::Empty);
            }
            TopicPart::Value(value) => self.cell(value),
        }
    }

    /// Pushes the part that belongs to the first of the trigger's filters that matches the topic.
    fn part_by_filter(&mut self, parts: &[TopicPart]) {
        let filters = match &self.action.entry {
            Entry::Triggered(trigger) => trigger.filters().join("\0"),
            Entry::Callable { .. } | Entry::Asked => String::new(),
        };
        let (filter, result) = (self.code.local(ValType::I32), self.code.local(ValType::I32));
        self.push_constant(&Constant::Empty);
        self.code.set(result);
        if let Some(message) = self.message {
            self.push_text(&filters);
            self.code.parameter(message.topic);
            self.code.parameter(message.topic + 1);
            self.runtime(Runtime::FirstMatch);
            self.code.set(filter);
            for (index, part) in (0..).zip(parts) {
                self.code.get(filter);
                self.code.i32(index);
                self.code.push(Instruction::I32Eq);
                self.code.open_if();
                self.topic_part(part);
                self.code.set(result);
                self.code.end();
            }
        }
        self.code.get(result);
        self.code.release(filter);
        self.code.release(result);
    }

    /// Pushes whether the topic that was computed last had a wildcard without a counterpart; `None`
    /// when it cannot have one.
    pub(super) fn push_missing(&mut self, topic: &Topic) -> Option<()> {
        let missing = self.missing.filter(|_| may_miss(topic))?;
        self.code.get(missing);
        Some(())
    }

    /// Pushes the last value of a topic, or Empty.
    pub(super) fn get_topic(&mut self, topic: &Topic) {
        if topic.is_unresolvable() {
            return self.push_constant(&Constant::Empty);
        }
        let ready = self.topic(topic);
        // A wildcard without a counterpart leaves a topic that may exist by chance.
        let guarded = self.push_missing(topic).is_some();
        if guarded {
            self.code.open_if_value(ValType::I32);
            self.push_constant(&Constant::Empty);
            self.code.or_else();
        }
        self.push_topic(&ready);
        self.push_constant_address(ANSWER);
        self.code.call(Callee::Host(Host::GetTopic));
        self.push_answer_present();
        self.code.open_if_value(ValType::I32);
        self.push_answer_pair();
        self.runtime(Runtime::Raw);
        self.code.or_else();
        self.push_constant(&Constant::Empty);
        self.code.end();
        if guarded {
            self.code.end();
        }
        self.release_topic(ready);
    }

    /// Pushes the list of the topics that a filter matches: its address, and in the upper half
    /// twice how many they are.
    pub(crate) fn topics(&mut self, filter: &Topic, at: Position) {
        let ready = self.topic(filter);
        self.push_topic(&ready);
        self.release_topic(ready);
        self.push_constant_address(ANSWER);
        self.code.call(Callee::Host(Host::Topics));
        self.push_answer_present();
        self.code.open_if();
        self.push_constant_address(ANSWER);
        self.code.push(Instruction::I32Load8U(memory(4, 0)));
        self.code.open_if();
        let message = "more than 10,000 topics match, or their names have more than 1 MiB";
        self.fail(codes::RUN_ITERATIONS, message, at);
        self.code.end();
        self.error(codes::RUN_INVALID_TOPIC, "this is no topic filter; there is nothing to go through", at);
        self.push_constant_address(ANSWER);
        self.code.i32(0);
        self.code.push(Instruction::I32Store(memory(8, 2)));
        self.code.end();
        for offset in [8, 4] {
            self.push_constant_address(ANSWER);
            self.code.push(Instruction::I64Load32U(memory(offset, 2)));
            if offset == 8 {
                self.code.i64(33);
                self.code.push(Instruction::I64Shl);
            }
        }
        self.code.push(Instruction::I64Or);
    }

    /// Pushes whether a topic has a retained message.
    pub(super) fn topic_exists(&mut self, topic: &Topic) {
        if topic.is_unresolvable() {
            return self.code.i32(0);
        }
        let ready = self.topic(topic);
        self.push_topic(&ready);
        self.code.call(Callee::Host(Host::RetainedExists));
        if self.push_missing(topic).is_some() {
            self.code.push(Instruction::I32Eqz);
            self.code.push(Instruction::I32And);
        }
        self.release_topic(ready);
    }
}

/// Whether it depends on the matching filter if a wildcard has a counterpart.
fn may_miss(topic: &Topic) -> bool {
    topic.parts.iter().any(|part| match part {
        TopicPart::ByFilter(parts) => parts.iter().any(|part| matches!(part, TopicPart::Missing)),
        TopicPart::Missing => true,
        TopicPart::Text(_) | TopicPart::Level(_) | TopicPart::Rest { .. } | TopicPart::Value(_) => false,
    })
}
