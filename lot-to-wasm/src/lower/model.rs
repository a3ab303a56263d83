//! Code for Models only: building an instance, assignments, and loops over lists.

use wasm_encoder::{Instruction, ValType};

use super::code::{Local, memory};
use super::constants::RESULT;
use super::entry::{Generator, Message, WHOLE, cast_function};
use super::expression::Representation;
use super::module::Helper;
use super::runtime::Runtime;
use crate::check::tree::{CastKind, Constant, Expression, Model};
use crate::diagnostic::codes;

/// Bytes of the address of a cell.
pub(crate) const ADDRESS_BYTES: i32 = 4;

impl Generator<'_> {
    /// The body of the export `build`: parameters 0 and 1 are the assignments, then comes the
    /// message.
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

    /// Pushes the address of the value assigned to a field or below it, or 0.
    fn push_assigned(&mut self, name: &str) {
        self.code.parameter(0);
        self.code.parameter(1);
        self.push_text(name);
        self.runtime(Runtime::Assigned);
    }

    /// Pushes the cell of the value assigned to a field.
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

    /// Takes a list of addresses off the stack and does `body` at every `step` bytes of it. The
    /// result is where the list starts and where it ends.
    pub(crate) fn each(&mut self, step: i32, body: impl FnOnce(&mut Self, Local)) -> (Local, Local) {
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

    /// Takes a list of addresses off the stack: `start` and `next` are at its first one, the result
    /// is behind its last.
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
}
