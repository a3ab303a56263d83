//! KEEP ENV, KEEP SECRET, DELETE ENV, DELETE SECRET.

use wasm_encoder::{Instruction, ValType};

use super::code::Callee;
use super::entry::Generator;
use super::host::Host;
use super::runtime::Runtime;
use crate::check::kind::KindSet;
use crate::check::tree::{Expression, SettingStore, WhenEmpty};
use crate::diagnostic::codes;
use crate::syntax::Position;

impl Generator<'_> {
    pub(super) fn keep_setting(
        &mut self,
        (store, name): (SettingStore, &str),
        value: &Expression,
        when_empty: WhenEmpty,
        at: Position,
    ) {
        let function = match store {
            SettingStore::Environment => Host::SetEnvironment,
            SettingStore::Secret => Host::SetSecret,
        };
        let end = self.code.block();
        let cell = self.code.local(ValType::I32);
        self.cell(value);
        self.code.set(cell);
        self.flush_notes(at);
        if value.kinds.intersects(KindSet::EMPTY | KindSet::BYTES) {
            // Texts only: a payload that is no UTF-8 is replaced, never passed on.
            self.code.get(cell);
            self.runtime(Runtime::Payload);
            self.code.i64(-1);
            self.code.push(Instruction::I64Eq);
            self.code.open_if();
            if when_empty == WhenEmpty::Report {
                self.warn(codes::RUN_EMPTY_VALUE, "the value is Empty; nothing was set", at);
            }
            self.code.branch(end);
            self.code.end();
        }
        let text = self.code.local(ValType::I64);
        self.code.get(cell);
        self.runtime(Runtime::Text);
        self.code.set(text);
        self.push_text(name);
        self.push_pair(text);
        self.code.call(Callee::Host(function));
        self.check_granted(name, at);
        self.code.release(cell);
        self.code.release(text);
        self.code.end();
    }

    pub(super) fn delete_setting(&mut self, (store, name): (SettingStore, &str), at: Position) {
        let function = match store {
            SettingStore::Environment => Host::RemoveEnvironment,
            SettingStore::Secret => Host::RemoveSecret,
        };
        self.push_text(name);
        self.code.call(Callee::Host(function));
        self.check_granted(name, at);
    }

    /// Reports a refusal: the host's answer is on the stack.
    fn check_granted(&mut self, name: &str, at: Position) {
        self.code.push(Instruction::I32Eqz);
        self.code.open_if();
        let message = format!("the definition was not granted `{name}`; nothing was changed");
        self.error(codes::RUN_NOT_ALLOWED, &message, at);
        self.code.end();
    }
}
