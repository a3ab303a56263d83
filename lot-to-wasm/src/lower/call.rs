//! Calls of the host that take lists of values and answer with a list or an error; questions to
//! routes that store.

use wasm_encoder::{Instruction, ValType};

use super::code::{Callee, Local, memory};
use super::constants::{ANSWER, CELL_BYTES};
use super::entry::Generator;
use super::host::Host;
use super::runtime::Runtime;
use crate::check::tree::{Argument, Constant, Expression, Select};
use crate::diagnostic::codes;
use crate::syntax::Position;

/// Bytes of the WIT record `argument`: name, then value.
const ARGUMENT_BYTES: u32 = 24;

impl Generator<'_> {
    /// Pushes the cell with the answer of a route.
    pub(super) fn select(&mut self, select: &Select, at: Position) {
        let Select { route, query, parameters } = select;
        let list = self.values(parameters, at);
        self.push_text(route);
        self.push_text(query);
        self.ask(Host::Select, (list, parameters.len()), at);
        self.pass_on_error(codes::RUN_CALL_FAILED, format!("asking route `{route}` failed: "), at);
        self.push_output(0);
    }

    /// Calls a function of the host that takes a list of values and its place in the source last,
    /// and answers with a list or an error.
    pub(crate) fn ask(&mut self, function: Host, (list, count): (Local, usize), at: Position) {
        self.code.get(list);
        self.code.u32(u32::try_from(count).unwrap_or(u32::MAX));
        self.code.u32(at.line);
        self.code.u32(at.column);
        self.push_constant_address(ANSWER);
        self.code.call(Callee::Host(function));
        self.code.release(list);
    }

    /// Computes a list of values; a local with its address.
    pub(crate) fn values(&mut self, values: &[Expression], at: Position) -> Local {
        let list = self.code.local(ValType::I32);
        self.code.u32(u32::try_from(values.len()).unwrap_or(u32::MAX) * CELL_BYTES);
        self.runtime(Runtime::Allocate);
        self.code.set(list);
        for (value, offset) in values.iter().zip((0..).step_by(CELL_BYTES as usize)) {
            self.argument_cell(value);
            self.copy_cell(list, offset);
        }
        self.flush_notes(at);
        list
    }

    /// Computes a list of arguments; a local with its address.
    pub(crate) fn arguments(&mut self, arguments: &[Argument], at: Position) -> Local {
        let count = u32::try_from(arguments.len()).unwrap_or(u32::MAX);
        let list = self.code.local(ValType::I32);
        self.code.u32(count * ARGUMENT_BYTES);
        self.runtime(Runtime::Allocate);
        self.code.set(list);
        for (argument, offset) in arguments.iter().zip((0..).step_by(ARGUMENT_BYTES as usize)) {
            let place = self.constants.text(&argument.name);
            self.code.get(list);
            self.push_constant_address(place.offset);
            self.code.push(Instruction::I32Store(memory(offset, 2)));
            self.code.get(list);
            self.code.u32(place.length);
            self.code.push(Instruction::I32Store(memory(offset + 4, 2)));
            self.argument_cell(&argument.value);
            self.copy_cell(list, offset + 8);
        }
        self.flush_notes(at);
        list
    }

    /// Pushes the cell of an argument, as it may cross to the callee.
    fn argument_cell(&mut self, argument: &Expression) {
        self.cell(argument);
        self.runtime(Runtime::Crossing);
    }

    /// Ends the run when the host's answer is an error; the error's text goes behind `text`.
    pub(crate) fn pass_on_error(&mut self, code: codes::Code, text: String, at: Position) {
        self.push_answer_present();
        self.code.open_if();
        let message = self.code.local(ValType::I64);
        self.push_text(&code.to_string());
        self.push_constant(&Constant::Text(text));
        for offset in [12, 16] {
            self.push_constant_address(ANSWER);
            self.code.push(Instruction::I32Load(memory(offset, 2)));
        }
        self.runtime(Runtime::Data);
        self.runtime(Runtime::Concat2);
        self.runtime(Runtime::Text);
        self.code.set(message);
        self.push_pair(message);
        self.finish_failing(at);
        self.code.release(message);
        self.code.end();
    }

    /// Pushes how many outputs there are.
    pub(crate) fn push_output_count(&mut self) {
        self.push_constant_address(ANSWER);
        self.code.push(Instruction::I32Load(memory(8, 2)));
    }

    /// Pushes a copy of an output; the list ends with the next call.
    pub(crate) fn push_output(&mut self, offset: u32) {
        self.push_constant_address(ANSWER);
        self.code.push(Instruction::I32Load(memory(4, 2)));
        if offset > 0 {
            self.code.u32(offset);
            self.code.push(Instruction::I32Add);
        }
        self.runtime(Runtime::Adopt);
    }
}
