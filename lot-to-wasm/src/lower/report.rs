//! Reports of a running program: notes of the runtime, refused writes, and run errors.

use wasm_encoder::{Instruction, ValType};

use super::code::{Callee, memory};
use super::constants::{ANSWER, RESULT};
use super::entry::Generator;
use super::host::Host;
use super::module::{Helper, PENDING};
use super::runtime::{Runtime, pending};
use crate::check::tree::Constant;
use crate::diagnostic::codes::{self, Code};
use crate::limits::{RUN_WRITE_MIB_MAX, RUN_WRITES_MAX};
use crate::syntax::Position;

/// Severities of the WIT enum.
const WARNING: i32 = 0;
const ERROR: i32 = 1;

/// Notes of the runtime: bit, severity, code, message.
const NOTES: [(i32, i32, Code, &str); 4] = [
    (pending::NOT_NUMERIC, WARNING, codes::RUN_NOT_A_NUMBER, "an operand is no number and counted as 0"),
    (pending::DIVISION_BY_ZERO, ERROR, codes::RUN_DIVISION_BY_ZERO, "division by zero; the result is Null"),
    (pending::CAST_FAILED, WARNING, codes::RUN_FAILED_CAST, "a value could not be cast and counted as zero"),
    (
        pending::COMPARED_AS_TEXT,
        WARNING,
        codes::RUN_NOT_A_NUMBER,
        "a number was compared with something else as text",
    ),
];

/// Refusals of a write by the case number of the WIT enum `write-error`.
const REFUSALS: [(Code, &str); 2] = [
    (
        codes::RUN_INVALID_TOPIC,
        "the topic is empty, too long or deep, or has a bad character; nothing was written",
    ),
    (codes::RUN_NOT_ALLOWED, "the definition was not granted this topic; nothing was written"),
];

impl Generator<'_> {
    /// Reports a warning at a place, less and less often.
    pub(crate) fn warn(&mut self, code: Code, message: &str, at: Position) {
        let counter = self.constants.counters(1);
        self.push_text(&code.to_string());
        self.push_text(message);
        self.push_position(at);
        self.push_constant_address(counter);
        self.needs(Helper::Warn);
        self.code.call(Callee::Helper(Helper::Warn));
    }

    /// Reports an error at a place; the run goes on.
    pub(crate) fn error(&mut self, code: Code, message: &str, at: Position) {
        self.push_error(code);
        self.push_text(message);
        self.push_position(at);
        self.code.call(Callee::Host(Host::Report));
    }

    /// Pushes severity and code of an error, for [`Host::Report`].
    pub(crate) fn push_error(&mut self, code: Code) {
        self.code.i32(ERROR);
        self.push_text(&code.to_string());
    }

    /// Reports the notes of the runtime since the last time, if the code since then could cause
    /// any.
    pub(crate) fn flush_notes(&mut self, at: Position) {
        if !std::mem::take(&mut self.raises) {
            return;
        }
        self.needs(Helper::Flush);
        let counters = self.constants.counters(NOTES.len());
        self.code.push(Instruction::GlobalGet(PENDING));
        self.code.push(Instruction::I32Load(memory(0, 2)));
        self.code.open_if();
        self.push_position(at);
        self.push_constant_address(counters);
        self.code.call(Callee::Helper(Helper::Flush));
        self.code.end();
    }

    /// Pushes whether the runtime has just noted this, the only thing that it could note, and
    /// forgets it.
    pub(crate) fn take_note(&mut self, bit: i32) {
        self.raises = false;
        self.code.push(Instruction::GlobalGet(PENDING));
        self.code.push(Instruction::I32Load(memory(0, 2)));
        self.code.i32(bit);
        self.code.push(Instruction::I32And);
        self.code.push(Instruction::GlobalGet(PENDING));
        self.code.i32(0);
        self.code.push(Instruction::I32Store(memory(0, 2)));
    }

    /// Reports the host's refusal of the write whose answer is in its area, if it refused. Too many
    /// writes end the run. One branch for each write, because their number is bounded.
    pub(crate) fn check_write(&mut self, at: Position) {
        self.needs(Helper::CheckWrite);
        self.push_position(at);
        self.code.call(Callee::Helper(Helper::CheckWrite));
        let failure = self.code.local(ValType::I32);
        self.code.tee(failure);
        self.code.open_if();
        self.code.get(failure);
        self.code.push(Instruction::Return);
        self.code.end();
        self.code.release(failure);
    }

    /// Reports that a setting was not granted, if it was not: the host's answer is on the stack.
    pub(crate) fn check_granted(&mut self, name: &str, at: Position) {
        self.code.push(Instruction::I32Eqz);
        self.code.open_if();
        let message = format!("the definition was not granted `{name}`; nothing was changed");
        self.error(codes::RUN_NOT_ALLOWED, &message, at);
        self.code.end();
    }

    /// Ends the run with an error whose message is constant.
    pub(crate) fn fail(&mut self, code: Code, message: &str, at: Position) {
        self.push_text(&code.to_string());
        self.push_text(message);
        self.finish_failing(at);
    }

    /// Ends the run with an error; code and message are on the stack.
    pub(super) fn finish_failing(&mut self, at: Position) {
        self.needs(Helper::Fail);
        self.push_position(at);
        self.code.call(Callee::Helper(Helper::Fail));
        self.code.push(Instruction::Return);
    }

    pub(crate) fn push_position(&mut self, at: Position) {
        self.code.u32(at.line);
        self.code.u32(at.column);
    }

    /// The body of [`Helper::Flush`]: parameters line, column, address of the counters.
    pub(super) fn write_flush(&mut self) {
        let bits = self.code.local(ValType::I32);
        self.code.push(Instruction::GlobalGet(PENDING));
        self.code.push(Instruction::I32Load(memory(0, 2)));
        self.code.set(bits);
        self.code.push(Instruction::GlobalGet(PENDING));
        self.code.i32(0);
        self.code.push(Instruction::I32Store(memory(0, 2)));
        self.needs(Helper::Warn);
        for (index, (bit, severity, code, message)) in (0..).zip(NOTES) {
            self.code.get(bits);
            self.code.i32(bit);
            self.code.push(Instruction::I32And);
            self.code.open_if();
            if severity == WARNING {
                self.push_text(&code.to_string());
                self.push_text(message);
                (0..3).for_each(|parameter| self.code.parameter(parameter));
                self.code.u32(4 * index);
                self.code.push(Instruction::I32Add);
                self.code.call(Callee::Helper(Helper::Warn));
            } else {
                self.report_at_parameters(severity, code, message);
            }
            self.code.end();
        }
    }

    /// The body of [`Helper::Warn`]: parameters code, message (address and length each), line,
    /// column, address of the counter. The same warning may occur in each run. After the first
    /// report, only doubled counts are reported, so that a flood costs a few instructions a run.
    pub(super) fn write_warn(&mut self) {
        const MESSAGE: u32 = 2;
        const COUNTER: u32 = 6;
        let (count, text) = (self.code.local(ValType::I32), self.code.local(ValType::I64));
        self.code.parameter(COUNTER);
        self.code.parameter(COUNTER);
        self.code.push(Instruction::I32Load(memory(0, 2)));
        self.code.i32(1);
        self.code.push(Instruction::I32Add);
        self.code.tee(count);
        self.code.push(Instruction::I32Store(memory(0, 2)));
        self.code.get(count);
        self.code.push(Instruction::I32Popcnt);
        self.code.i32(1);
        self.code.push(Instruction::I32GtU);
        self.code.open_if();
        self.code.push(Instruction::Return);
        self.code.end();
        self.code.get(count);
        self.code.i32(1);
        self.code.push(Instruction::I32GtU);
        self.code.open_if();
        self.code.parameter(MESSAGE);
        self.code.parameter(MESSAGE + 1);
        self.runtime(Runtime::Data);
        self.push_constant(&Constant::Text(" (".to_owned()));
        self.code.get(count);
        self.code.push(Instruction::I64ExtendI32U);
        self.runtime(Runtime::Int);
        self.runtime(Runtime::Concat3);
        self.push_constant(&Constant::Text(" times so far)".to_owned()));
        self.runtime(Runtime::Concat2);
        self.runtime(Runtime::Text);
        self.code.set(text);
        self.push_pair(text);
        self.code.push(Instruction::LocalSet(MESSAGE + 1));
        self.code.push(Instruction::LocalSet(MESSAGE));
        self.code.end();
        self.code.i32(WARNING);
        (0..COUNTER).for_each(|parameter| self.code.parameter(parameter));
        self.code.call(Callee::Host(Host::Report));
    }

    /// The body of [`Helper::CheckWrite`]: parameters line, column.
    pub(super) fn write_check_write(&mut self) {
        self.push_constant_address(ANSWER);
        self.code.push(Instruction::I32Load8U(memory(0, 0)));
        self.code.push(Instruction::I32Eqz);
        self.code.open_if();
        self.code.i32(0);
        self.code.push(Instruction::Return);
        self.code.end();
        for (case, (code, message)) in (0..).zip(REFUSALS) {
            self.push_constant_address(ANSWER);
            self.code.push(Instruction::I32Load8U(memory(1, 0)));
            self.code.i32(case);
            self.code.push(Instruction::I32Eq);
            self.code.open_if();
            self.report_at_parameters(ERROR, code, message);
            self.code.i32(0);
            self.code.push(Instruction::Return);
            self.code.end();
        }
        self.push_text(&codes::RUN_WRITES.to_string());
        self.push_text(&format!(
            "the run has written all that it may: {RUN_WRITES_MAX} messages, or {RUN_WRITE_MIB_MAX} MiB"
        ));
        self.code.parameter(0);
        self.code.parameter(1);
        self.needs(Helper::Fail);
        self.code.call(Callee::Helper(Helper::Fail));
    }

    fn report_at_parameters(&mut self, severity: i32, code: Code, message: &str) {
        self.code.i32(severity);
        self.push_text(&code.to_string());
        self.push_text(message);
        self.code.parameter(0);
        self.code.parameter(1);
        self.code.call(Callee::Host(Host::Report));
    }

    /// The body of [`Helper::Fail`]: parameters code, message (address and length each), line,
    /// column.
    pub(super) fn write_fail(&mut self) {
        self.end_run();
        self.push_constant_address(RESULT);
        self.code.i32(1);
        self.code.push(Instruction::I32Store8(memory(0, 0)));
        for (parameter, offset) in (0..6).zip((4..).step_by(4)) {
            self.push_constant_address(RESULT);
            self.code.parameter(parameter);
            self.code.push(Instruction::I32Store(memory(offset, 2)));
        }
        self.push_constant_address(RESULT);
    }
}
