//! What only Models have: building an instance, assignments, collections, splitting received JSON.

use wasm_encoder::{Instruction, ValType};

use super::code::{Callee, Local, memory};
use super::constants::{ANSWER, RESULT};
use super::entry::{Generator, Message, WHOLE, cast_function};
use super::expression::Representation;
use super::host::Host;
use super::module::Helper;
use super::runtime::Runtime;
use crate::check::tree::{Argument, CastKind, Constant, Expression, Model, Statement, Topic, VariableId};
use crate::diagnostic::codes;
use crate::syntax::Position;

/// Parameters of `on-message`: where the RETAIN flag and the length of the Client Identifier are.
const RETAIN: u32 = 5;
const CLIENT_ID_LENGTH: u32 = 7;

/// Bytes of the address of a cell.
const ADDRESS_BYTES: i32 = 4;

impl Generator<'_> {
    /// The body of the export `build`: parameters 0 and 1 are the assignments, then comes the message.
    pub(super) fn build_instance(&mut self, model: &Model) {
        self.begin(Helper::Build, Some(Message { present: Some(2), topic: 3, payload: 5 }));
        self.refuse_unknown_fields(&model.fields);
        let build = self.action;
        self.block(&build.body);
        self.cell(&model.value);
        self.runtime(Runtime::Payload);
        let bytes = self.code.local(ValType::I64);
        self.code.set(bytes);
        self.flush_notes(WHOLE);
        for (offset, half) in [(4, 0), (8, 32)] {
            self.push_constant_address(RESULT);
            self.code.get(bytes);
            self.code.i64(half);
            self.code.push(Instruction::I64ShrU);
            self.code.push(Instruction::I32WrapI64);
            self.code.push(Instruction::I32Store(memory(offset, 2)));
        }
        for (offset, value) in [(12, i32::from(model.qos)), (13, i32::from(model.retain))] {
            self.push_constant_address(RESULT);
            self.code.i32(value);
            self.code.push(Instruction::I32Store8(memory(offset, 0)));
        }
        self.code.release(bytes);
        self.succeed();
    }

    fn refuse_unknown_fields(&mut self, fields: &[String]) {
        let message = format!("model `{}` has no field ", self.action.name);
        self.refuse_unknown(Runtime::UnknownField, &fields.join("\0"), codes::RUN_UNKNOWN_FIELD, message);
    }

    /// Pushes the address of what is assigned to a field or below it, or 0.
    fn push_assigned(&mut self, name: &str) {
        self.code.parameter(0);
        self.code.parameter(1);
        self.push_text(name);
        self.runtime(Runtime::Assigned);
    }

    /// Pushes the cell of what is assigned to a field.
    pub(super) fn assigned(&mut self, name: &str) {
        let found = self.code.local(ValType::I32);
        self.push_assigned(name);
        self.code.tee(found);
        self.code.open_if_value(ValType::I32);
        self.code.get(found);
        self.runtime(Runtime::Adopt);
        self.code.or_else();
        self.push_constant(&Constant::Empty);
        self.code.end();
        self.code.release(found);
    }

    /// Pushes whether anything is assigned to a field.
    pub(super) fn is_assigned(&mut self, name: &str) {
        self.push_assigned(name);
        self.code.i32(0);
        self.code.push(Instruction::I32Ne);
    }

    /// Pushes whether a value is Empty or Null, the first two kinds.
    pub(super) fn is_absent(&mut self, operand: &Expression) {
        if self.value(operand) == Representation::Cell {
            self.code.push(Instruction::I32Load8U(memory(0, 0)));
            self.code.i32(1);
            self.code.push(Instruction::I32LeU);
        } else {
            self.code.push(Instruction::Drop);
            self.code.i32(0);
        }
    }

    /// Pushes a value cast to the type of its field, unless it is Empty or Null.
    pub(super) fn fit(&mut self, to: CastKind, value: &Expression) {
        let cell = self.code.local(ValType::I32);
        self.cell(value);
        self.code.tee(cell);
        self.code.push(Instruction::I32Load8U(memory(0, 0)));
        self.code.i32(1);
        self.code.push(Instruction::I32LeU);
        self.code.open_if_value(ValType::I32);
        self.code.get(cell);
        self.code.or_else();
        self.code.get(cell);
        self.runtime(cast_function(to));
        self.code.end();
        self.code.release(cell);
    }

    /// An instance for each element of an array, stored where the element's address was.
    pub(super) fn for_each(
        &mut self,
        list: &Expression,
        (element, result): (VariableId, VariableId),
        body: &[Statement],
        item: &Expression,
        at: Position,
    ) {
        self.cell(list);
        self.runtime(Runtime::Elements);
        let (start, end) = self.each(ADDRESS_BYTES, |generator, next| {
            generator.code.get(next);
            generator.code.push(Instruction::I32Load(memory(0, 2)));
            generator.assign(element, Representation::Cell);
            generator.block(body);
            generator.code.get(next);
            generator.cell(item);
            generator.code.push(Instruction::I32Store(memory(0, 2)));
            generator.flush_notes(at);
        });
        self.code.get(start);
        self.code.get(end);
        self.code.get(start);
        self.code.push(Instruction::I32Sub);
        self.code.i32(2);
        self.code.push(Instruction::I32ShrU);
        self.runtime(Runtime::JsonArray);
        self.assign(result, Representation::Cell);
    }

    /// Takes a list of addresses off the stack and does `body` at every `step` bytes of it. The result is where the list starts and where it ends.
    fn each(&mut self, step: i32, body: impl FnOnce(&mut Self, Local)) -> (Local, Local) {
        let (start, next) = (self.code.new_local(ValType::I32), self.code.new_local(ValType::I32));
        let end = self.list_bounds(start, next);
        let (done, again) = (self.code.block(), self.code.open_loop());
        self.code.get(next);
        self.code.get(end);
        self.code.push(Instruction::I32GeU);
        self.code.branch_if(done);
        body(self, next);
        self.code.get(next);
        self.code.i32(step);
        self.code.push(Instruction::I32Add);
        self.code.set(next);
        self.code.branch(again);
        self.code.end();
        self.code.end();
        (start, end)
    }

    /// Takes a list of addresses off the stack: `start` and `next` are at its first one, the result is behind its last.
    fn list_bounds(&mut self, start: Local, next: Local) -> Local {
        let end = self.code.new_local(ValType::I32);
        let pair = self.code.local(ValType::I64);
        self.code.tee(pair);
        self.code.push(Instruction::I32WrapI64);
        self.code.tee(start);
        self.code.tee(next);
        self.code.get(pair);
        self.code.i64(32);
        self.code.push(Instruction::I64ShrU);
        self.code.push(Instruction::I32WrapI64);
        self.code.i32(2);
        self.code.push(Instruction::I32Shl);
        self.code.push(Instruction::I32Add);
        self.code.set(end);
        self.code.release(pair);
        end
    }

    /// Publishes the leaves of the received object and ends the run, unless the topic is that of a trigger.
    pub(super) fn split_message(
        &mut self,
        casts: &[(String, CastKind)],
        unless: &[String],
        qos: u8,
        at: Position,
    ) {
        let Some(message) = self.message else { return };
        let instance = self.code.block();
        if !unless.is_empty() {
            self.push_text(&unless.join("\0"));
            self.code.parameter(message.topic);
            self.code.parameter(message.topic + 1);
            self.runtime(Runtime::FirstMatch);
            self.code.u32(u32::try_from(unless.len()).unwrap_or(u32::MAX));
            self.code.push(Instruction::I32LtU);
            self.code.branch_if(instance);
        }
        let nothing = self.code.block();
        // What guests publish, this one among them, has no Client Identifier and is not split.
        self.code.parameter(CLIENT_ID_LENGTH);
        self.code.push(Instruction::I32Eqz);
        self.code.branch_if(nothing);
        self.publish_leaves(message, casts, qos, at);
        self.code.end();
        self.succeed();
        self.code.push(Instruction::Return);
        self.code.end();
    }

    fn publish_leaves(&mut self, message: Message, casts: &[(String, CastKind)], qos: u8, at: Position) {
        self.code.parameter(message.payload);
        self.code.parameter(message.payload + 1);
        self.runtime(Runtime::Raw);
        self.runtime(Runtime::Leaves);
        let leaves = self.code.local(ValType::I64);
        self.code.tee(leaves);
        self.code.push(Instruction::I64Eqz);
        self.code.open_if();
        let told = "the payload begins as a JSON object, but is none or is nested deeper than 128 levels; \
                       nothing of it was published";
        self.error(codes::RUN_NOT_SPLIT, told, at);
        self.code.end();
        self.code.get(leaves);
        self.code.release(leaves);
        self.each(2 * ADDRESS_BYTES, |generator, next| {
            generator.publish_leaf(message, next, casts, qos, at);
        });
    }

    /// Publishes the leaf whose path and value are at `next`.
    fn publish_leaf(
        &mut self,
        message: Message,
        next: Local,
        casts: &[(String, CastKind)],
        qos: u8,
        at: Position,
    ) {
        let (value, text) = (self.code.new_local(ValType::I32), self.code.new_local(ValType::I64));
        self.code.get(next);
        self.code.push(Instruction::I32Load(memory(4, 2)));
        self.code.set(value);
        for (path, to) in casts {
            self.code.get(next);
            self.code.push(Instruction::I32Load(memory(0, 2)));
            self.push_constant(&Constant::Text(path.clone()));
            self.runtime(Runtime::Equals);
            self.code.open_if();
            self.code.get(value);
            self.runtime(cast_function(*to));
            self.code.set(value);
            self.code.end();
        }
        self.flush_notes(at);
        self.push_leaf_topic(message, next, text);
        self.code.get(value);
        self.runtime(Runtime::Payload);
        self.code.set(text);
        self.push_pair(text);
        self.code.i32(i32::from(qos));
        self.code.parameter(RETAIN);
        self.push_constant_address(ANSWER);
        self.code.call(Callee::Host(Host::Publish));
        self.check_leaf(next, text, at);
    }

    /// Reports the host's refusal to publish the leaf whose path is at `next`, if it refused.
    fn check_leaf(&mut self, next: Local, text: Local, at: Position) {
        self.push_constant_address(ANSWER);
        // Whether it refused, and why: an invalid topic is the first of the reasons.
        self.code.push(Instruction::I32Load16U(memory(0, 0)));
        self.code.i32(1);
        self.code.push(Instruction::I32Eq);
        self.code.open_if();
        let message =
            "the topic of a member has a wildcard or NUL in it, or is too long; it was not published: ";
        self.push_constant(&Constant::Text(message.to_owned()));
        self.code.get(next);
        self.code.push(Instruction::I32Load(memory(0, 2)));
        self.runtime(Runtime::Concat2);
        self.runtime(Runtime::Text);
        self.code.set(text);
        self.push_error(codes::RUN_INVALID_TOPIC);
        self.push_pair(text);
        self.push_position(at);
        self.code.call(Callee::Host(Host::Report));
        self.code.or_else();
        self.check_write(at);
        self.code.end();
    }

    /// Pushes address and length of the topic of the leaf whose path is at `next`.
    fn push_leaf_topic(&mut self, message: Message, next: Local, text: Local) {
        self.code.parameter(message.topic);
        self.code.parameter(message.topic + 1);
        self.runtime(Runtime::Data);
        self.push_constant(&Constant::Text("/".to_owned()));
        self.code.get(next);
        self.code.push(Instruction::I32Load(memory(0, 2)));
        self.runtime(Runtime::Concat3);
        self.runtime(Runtime::Text);
        self.code.set(text);
        self.push_pair(text);
    }

    /// Has the host build an instance and publish it.
    pub(super) fn publish_model(
        &mut self,
        model: &str,
        topic: &Topic,
        assignments: &[Argument],
        at: Position,
    ) {
        let Some((_, topic)) = self.begin_write(topic, at) else { return };
        let list = self.arguments(assignments, at);
        self.push_text(model);
        self.push_topic(&topic);
        self.code.get(list);
        self.code.u32(u32::try_from(assignments.len()).unwrap_or(u32::MAX));
        self.push_constant_address(ANSWER);
        self.code.call(Callee::Host(Host::PublishModel));
        self.code.release(list);
        self.pass_on_error(codes::RUN_MODEL_FAILED, format!("model `{model}` failed: "), at);
        self.code.end();
        self.release_topic(topic);
    }
}
