//! Publishing with properties of MQTT 5.0.

use wasm_encoder::{Instruction, ValType};

use super::code::{Callee, Label, Local, memory};
use super::constants::ANSWER;
use super::entry::Generator;
use super::host::Host;
use super::runtime::{Runtime, pending};
use super::topic::Ready;
use super::write::Content;
use crate::check::tree::{Expression, MessageProperty};
use crate::diagnostic::codes;
use crate::statement::Property;
use crate::syntax::Position;

/// Case number of `invalid-properties` in the WIT enum `write-error`.
const INVALID_PROPERTIES: i32 = 3;

/// Return value of `lot.payload` for no bytes at all.
const NOTHING: i64 = -1;

/// Offsets in the parameters of `publish-with`, which the canonical ABI takes from memory.
mod record {
    use crate::check::tree::MessageProperty;

    pub(super) const TOPIC: u64 = 0;
    pub(super) const PAYLOAD: u64 = 8;
    pub(super) const QOS: u64 = 16;
    pub(super) const RETAIN: u64 = 17;
    pub(super) const PAYLOAD_FORMAT: u64 = 20;
    pub(super) const USER_PROPERTIES: u64 = 68;
    pub(super) const BYTES: u32 = 76;

    /// Returns the offset of the option of a property; its value follows 4 bytes behind.
    pub(super) fn of(property: MessageProperty) -> u64 {
        match property {
            MessageProperty::MessageExpiry => 24,
            MessageProperty::ContentType => 32,
            MessageProperty::ResponseTopic => 44,
            MessageProperty::CorrelationData => 56,
        }
    }
}

/// Bytes of a User Property: address and length of name and value.
const USER_PROPERTY_BYTES: u32 = 16;

/// Skips an answer that has no topic to go to, or one of the broker's own, which is then reported.
pub(crate) fn refuse_unanswerable(generator: &mut Generator<'_>, topic: &Ready, end: Label, at: Position) {
    let Ready::Computed(pair) = topic else { return };
    generator.code.get(*pair);
    generator.code.i64(32);
    generator.code.push(Instruction::I64ShrU);
    generator.code.push(Instruction::I64Eqz);
    generator.code.open_if();
    let message = "the message has no response topic; nothing was sent";
    generator.error(codes::RUN_NO_RESPONSE_TOPIC, message, at);
    generator.code.branch(end);
    generator.code.end();
    generator.code.get(*pair);
    generator.code.push(Instruction::I32WrapI64);
    generator.code.push(Instruction::I32Load8U(memory(0, 0)));
    generator.code.i32(i32::from(b'$'));
    generator.code.push(Instruction::I32Eq);
    generator.code.open_if();
    generator.error(codes::RUN_NOT_ALLOWED, "the response topic begins with $; nothing was sent", at);
    generator.code.branch(end);
    generator.code.end();
}

/// Parameters of `publish-with` while code is written that fills them in.
pub(crate) struct MessageRecord<'g, 'a> {
    generator: &'g mut Generator<'a>,
    /// Local with their address.
    record: Local,
    /// Label to jump to when nothing is published.
    end: Label,
    /// Place of the statement, for reports.
    at: Position,
}

impl<'g, 'a> MessageRecord<'g, 'a> {
    /// Takes memory for them; there are no properties yet.
    pub(crate) fn new(generator: &'g mut Generator<'a>, end: Label, at: Position) -> Self {
        use MessageProperty::{ContentType, CorrelationData, MessageExpiry, ResponseTopic};
        let record = generator.code.local(ValType::I32);
        generator.code.u32(record::BYTES);
        generator.runtime(Runtime::Allocate);
        generator.code.set(record);
        let options = [MessageExpiry, ContentType, ResponseTopic, CorrelationData].map(record::of);
        let list = [record::PAYLOAD_FORMAT, record::USER_PROPERTIES, record::USER_PROPERTIES + 4];
        for offset in options.into_iter().chain(list) {
            generator.code.get(record);
            generator.code.i32(0);
            generator.code.push(Instruction::I32Store(memory(offset, 2)));
        }
        MessageRecord { generator, record, end, at }
    }

    /// Stores quality of service and RETAIN.
    pub(crate) fn set_flags(&mut self, qos: u8, retain: bool) {
        for (offset, number) in [(record::QOS, i32::from(qos)), (record::RETAIN, i32::from(retain))] {
            self.generator.code.get(self.record);
            self.generator.code.i32(number);
            self.generator.code.push(Instruction::I32Store8(memory(offset, 0)));
        }
    }

    /// Stores the properties.
    pub(crate) fn set_properties(&mut self, properties: &[Property<Expression>]) {
        for property in properties {
            if let Property::Single(property, value) = property {
                self.store_property(*property, value);
            }
        }
        self.store_user_properties(properties);
        self.generator.flush_notes(self.at);
    }

    /// Publishes, and reports why it was refused.
    pub(crate) fn publish(mut self, topic: &Ready, content: &Content) {
        self.generator.push_topic(topic);
        self.store_pair(self.record, record::TOPIC);
        self.generator.push_content(content);
        self.store_pair(self.record, record::PAYLOAD);
        self.generator.code.get(self.record);
        self.generator.push_constant_address(ANSWER);
        self.generator.code.call(Callee::Host(Host::PublishWith));
        self.generator.code.release(self.record);
        self.check_publication();
    }

    /// Stores a property, unless its value is Empty or Null.
    fn store_property(&mut self, property: MessageProperty, value: &Expression) {
        let offset = record::of(property);
        let cell = self.open_if_there(value);
        if property == MessageProperty::MessageExpiry {
            self.store_seconds(offset, cell);
        } else {
            let is_data = property == MessageProperty::CorrelationData;
            let pair = self.generator.code.local(ValType::I64);
            self.generator.code.get(cell);
            self.generator.runtime(if is_data { Runtime::Payload } else { Runtime::Text });
            self.generator.code.set(pair);
            // No bytes are no property.
            self.generator.code.get(pair);
            self.generator.code.i64(NOTHING);
            self.generator.code.push(Instruction::I64Ne);
            self.generator.code.open_if();
            self.generator.push_pair(pair);
            self.store_pair(self.record, offset + 4);
            self.store_present(offset);
            self.generator.code.end();
            self.generator.code.release(pair);
        }
        self.generator.code.end();
        self.generator.code.release(cell);
    }

    fn store_present(&mut self, offset: u64) {
        self.generator.code.get(self.record);
        self.generator.code.i32(1);
        self.generator.code.push(Instruction::I32Store8(memory(offset, 0)));
    }

    /// Stores a number of seconds; one that no packet can hold is reported, and nothing is
    /// published.
    fn store_seconds(&mut self, offset: u64, cell: Local) {
        let seconds = self.generator.code.local(ValType::F64);
        self.generator.code.get(cell);
        self.generator.runtime(Runtime::DoubleOf);
        self.generator.code.set(seconds);
        // A text that is no number gives 0 and a note, and this code reports it instead; NaN is in
        // no range.
        self.generator.code.get(seconds);
        self.generator.code.push(Instruction::F64Const((-1.0).into()));
        self.generator.code.push(Instruction::F64Gt);
        self.generator.code.get(seconds);
        self.generator.code.push(Instruction::F64Const((f64::from(u32::MAX) + 1.0).into()));
        self.generator.code.push(Instruction::F64Lt);
        self.generator.code.push(Instruction::I32And);
        self.generator.code.push(Instruction::I32Eqz);
        self.generator.take_note(pending::CAST_FAILED);
        self.generator.code.push(Instruction::I32Or);
        self.generator.code.open_if();
        let message = "MESSAGE EXPIRY is no number of seconds from 0 to 4294967295; nothing was published";
        self.generator.error(codes::RUN_INVALID_PROPERTY, message, self.at);
        self.generator.code.branch(self.end);
        self.generator.code.end();
        self.generator.code.get(self.record);
        self.generator.code.get(seconds);
        self.generator.code.push(Instruction::I32TruncSatF64U);
        self.generator.code.push(Instruction::I32Store(memory(offset + 4, 2)));
        self.store_present(offset);
        self.generator.code.release(seconds);
    }

    /// Stores the list of User Properties: those of the message, if they are to be passed on, then
    /// the others.
    fn store_user_properties(&mut self, properties: &[Property<Expression>]) {
        let own = properties.iter().filter(|property| matches!(property, Property::User { .. })).count();
        let passes_on = properties.iter().any(|property| matches!(property, Property::AllUser));
        if own == 0 && !passes_on {
            return;
        }
        // Each of them takes many bytes of source, of which there are at most some MiB.
        let own_bytes = u32::try_from(own).unwrap_or(u32::MAX).saturating_mul(USER_PROPERTY_BYTES);
        let (list, next) = (self.generator.code.local(ValType::I32), self.generator.code.local(ValType::I32));
        if passes_on {
            self.copy_user_properties(list, next, own_bytes);
        } else {
            self.generator.code.u32(own_bytes);
            self.generator.runtime(Runtime::Allocate);
            self.generator.code.tee(list);
            self.generator.code.set(next);
        }
        for property in properties {
            if let Property::User { name, value } = property {
                self.store_user_property(next, name, value);
            }
        }
        self.generator.code.get(self.record);
        self.generator.code.get(list);
        self.generator.code.push(Instruction::I32Store(memory(record::USER_PROPERTIES, 2)));
        self.generator.code.get(self.record);
        self.generator.code.get(next);
        self.generator.code.get(list);
        self.generator.code.push(Instruction::I32Sub);
        self.generator.code.u32(USER_PROPERTY_BYTES);
        self.generator.code.push(Instruction::I32DivU);
        self.generator.code.push(Instruction::I32Store(memory(record::USER_PROPERTIES + 4, 2)));
        self.generator.code.release(list);
        self.generator.code.release(next);
    }

    /// Makes a list with the User Properties of the message and room for others; `next` is where
    /// that begins.
    fn copy_user_properties(&mut self, list: Local, next: Local, room: u32) {
        let (from, bytes) =
            (self.generator.code.local(ValType::I32), self.generator.code.local(ValType::I32));
        self.generator.push_constant_address(ANSWER);
        self.generator.code.call(Callee::Host(Host::GetUserProperties));
        self.generator.push_constant_address(ANSWER);
        self.generator.code.push(Instruction::I32Load(memory(0, 2)));
        self.generator.code.set(from);
        self.generator.push_constant_address(ANSWER);
        self.generator.code.push(Instruction::I32Load(memory(4, 2)));
        self.generator.code.u32(USER_PROPERTY_BYTES);
        self.generator.code.push(Instruction::I32Mul);
        self.generator.code.tee(bytes);
        self.generator.code.u32(room);
        self.generator.code.push(Instruction::I32Add);
        self.generator.runtime(Runtime::Allocate);
        self.generator.code.tee(list);
        self.generator.code.get(from);
        self.generator.code.get(bytes);
        self.generator.code.push(Instruction::MemoryCopy { src_mem: 0, dst_mem: 0 });
        self.generator.code.get(list);
        self.generator.code.get(bytes);
        self.generator.code.push(Instruction::I32Add);
        self.generator.code.set(next);
        self.generator.code.release(from);
        self.generator.code.release(bytes);
    }

    /// Stores a User Property at `next`, which then goes on behind it, unless the value is Empty or
    /// Null.
    fn store_user_property(&mut self, next: Local, name: &Expression, value: &Expression) {
        let cell = self.open_if_there(value);
        let name = self.generator.text_of(name);
        self.generator.push_pair(name);
        self.store_pair(next, 0);
        self.generator.code.get(cell);
        self.generator.runtime(Runtime::Text);
        self.generator.code.set(name);
        self.generator.push_pair(name);
        self.store_pair(next, 8);
        self.generator.code.get(next);
        self.generator.code.u32(USER_PROPERTY_BYTES);
        self.generator.code.push(Instruction::I32Add);
        self.generator.code.set(next);
        self.generator.code.end();
        self.generator.code.release(name);
        self.generator.code.release(cell);
    }

    /// Computes a value and opens a block for it that is skipped when it is Empty or Null, the
    /// first two kinds.
    fn open_if_there(&mut self, value: &Expression) -> Local {
        let cell = self.generator.code.local(ValType::I32);
        self.generator.cell(value);
        self.generator.code.set(cell);
        self.generator.flush_notes(self.at);
        self.generator.code.get(cell);
        self.generator.code.push(Instruction::I32Load8U(memory(0, 0)));
        self.generator.code.i32(1);
        self.generator.code.push(Instruction::I32GtU);
        self.generator.code.open_if();
        cell
    }

    /// Stores the address and length on the stack at an offset.
    fn store_pair(&mut self, target: Local, offset: u64) {
        let (address, length) =
            (self.generator.code.local(ValType::I32), self.generator.code.local(ValType::I32));
        self.generator.code.set(length);
        self.generator.code.set(address);
        for (offset, value) in [(offset, address), (offset + 4, length)] {
            self.generator.code.get(target);
            self.generator.code.get(value);
            self.generator.code.push(Instruction::I32Store(memory(offset, 2)));
        }
        self.generator.code.release(address);
        self.generator.code.release(length);
    }

    /// Reports the host's refusal of a message with properties, if it refused.
    fn check_publication(&mut self) {
        self.generator.push_constant_address(ANSWER);
        self.generator.code.push(Instruction::I32Load8U(memory(0, 0)));
        self.generator.push_constant_address(ANSWER);
        self.generator.code.push(Instruction::I32Load8U(memory(1, 0)));
        self.generator.code.i32(INVALID_PROPERTIES);
        self.generator.code.push(Instruction::I32Eq);
        self.generator.code.push(Instruction::I32And);
        self.generator.code.open_if();
        let message = "a property is too long, has a control character in it, or is a response topic that nobody may publish to; nothing was published";
        self.generator.error(codes::RUN_INVALID_PROPERTY, message, self.at);
        self.generator.code.or_else();
        self.generator.check_write(self.at);
        self.generator.code.end();
    }
}
