//! `MATCHES` and `FILTER`: patterns that the runtime searches itself, and those that the host has
//! to.

use wasm_encoder::{Instruction, ValType};

use super::code::{Callee, Local};
use super::constants::ANSWER;
use super::entry::Generator;
use super::host::Host;
use super::runtime::Runtime;
use crate::check::tree::{Constant, Expression, RegexId};
use crate::syntax::Position;

impl Generator<'_> {
    pub(super) fn matches(&mut self, value: &Expression, regex: RegexId, at: Position) {
        if let Some(pattern) = self.linear_pattern(regex) {
            self.code.u32(pattern);
            self.cell(value);
            self.runtime(Runtime::Matches);
        } else {
            let text = self.search(value, regex, at);
            self.code.release(text);
            self.push_answer_present();
        }
    }

    pub(super) fn filter(&mut self, value: &Expression, regex: RegexId, at: Position) {
        if let Some(pattern) = self.linear_pattern(regex) {
            self.code.u32(pattern);
            self.cell(value);
            self.runtime(Runtime::Filter);
            return;
        }
        let text = self.search(value, regex, at);
        self.push_answer_present();
        self.code.open_if_value(ValType::I32);
        self.found_part(text);
        self.code.or_else();
        self.push_constant(&Constant::Empty);
        self.code.end();
        self.code.release(text);
    }

    /// Has the host search a text; returns the local with its address and length.
    fn search(&mut self, value: &Expression, regex: RegexId, at: Position) -> Local {
        let text = self.code.local(ValType::I64);
        self.cell(value);
        self.runtime(Runtime::Text);
        self.code.set(text);
        let pattern = self.action.regexes.get(regex.0 as usize).map_or("", |regex| regex.pattern.as_str());
        self.push_text(pattern);
        self.push_pair(text);
        self.push_position(at);
        self.push_constant_address(ANSWER);
        self.code.call(Callee::Host(Host::Find));
        text
    }

    /// Pushes the part of a text that the host found.
    fn found_part(&mut self, text: Local) {
        let (start, end) = (self.code.local(ValType::I32), self.code.local(ValType::I32));
        self.push_answer_pair();
        self.code.set(end);
        self.code.set(start);
        self.code.get(text);
        self.code.push(Instruction::I32WrapI64);
        self.code.get(start);
        self.code.push(Instruction::I32Add);
        self.code.get(end);
        self.code.get(start);
        self.code.push(Instruction::I32Sub);
        self.runtime(Runtime::Data);
        self.code.release(start);
        self.code.release(end);
    }
}
