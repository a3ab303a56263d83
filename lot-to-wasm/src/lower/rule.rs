//! The exported function of a Rule: a question in, a verdict out.

use wasm_encoder::Instruction;

use super::code::{Callee, memory};
use super::constants::{ANSWER, RESULT};
use super::entry::{Generator, Message};
use super::host::Host;
use super::module::Helper;
use crate::check::tree::Verdict;
use crate::diagnostic::codes;
use crate::syntax::Position;

/// Parameters of `check`, the flattened record `request`: each text has two, each option one more
/// in front.
pub(super) mod question {
    /// After the scope.
    pub(crate) const CLIENT_ID: u32 = 2;
    /// Whether there is a user; then the name.
    pub(crate) const USER: u32 = 4;
    pub(crate) const ENDPOINT: u32 = 7;
    /// Whether there is a topic; then the topic.
    pub(crate) const TOPIC: u32 = 9;
    /// Whether there is a payload; then the payload, which is empty where there is none.
    pub(crate) const PAYLOAD: u32 = 12;
}

/// Offset of the verdict in the result.
const VERDICT: u64 = 4;

impl Generator<'_> {
    /// The body of the export `check`.
    pub(super) fn check_question(&mut self) {
        let message = Message {
            present: Some(question::TOPIC),
            topic: question::TOPIC + 1,
            payload: question::PAYLOAD + 1,
        };
        self.begin(Helper::Check, Some(message));
        let action = self.action;
        self.block(&action.body);
        self.push_verdict(None);
    }

    /// Pushes whether a module allows the request that the Rule is asked about. If the module
    /// denies it, or has no answer, the Rule ends.
    pub(super) fn module_allows(&mut self, name: &str, at: Position) {
        self.push_text(name);
        self.push_constant_address(ANSWER);
        self.code.call(Callee::Host(Host::AskModule));
        self.pass_on_error(codes::RUN_MODULE_CALL_FAILED, format!("module `{name}`: "), at);
        self.push_said();
        self.code.i32(case(Some(Verdict::Deny)));
        self.code.push(Instruction::I32Eq);
        self.code.open_if();
        self.push_verdict(Some(Verdict::Deny));
        self.code.push(Instruction::Return);
        self.code.end();
        self.push_said();
        self.code.push(Instruction::I32Eqz);
    }

    /// Pushes the verdict of the module.
    fn push_said(&mut self) {
        self.push_constant_address(ANSWER);
        self.code.push(Instruction::I32Load8U(memory(VERDICT, 0)));
    }

    /// Pushes the address of the result `ok(verdict)`.
    pub(crate) fn push_verdict(&mut self, verdict: Option<Verdict>) {
        self.end_run();
        for (offset, value) in [(0, 0), (VERDICT, case(verdict))] {
            self.push_constant_address(RESULT);
            self.code.i32(value);
            self.code.push(Instruction::I32Store8(memory(offset, 0)));
        }
        self.push_constant_address(RESULT);
    }
}

/// Case numbers of the WIT enums `verdict` and `opinion`.
fn case(verdict: Option<Verdict>) -> i32 {
    match verdict {
        Some(Verdict::Allow) => 0,
        Some(Verdict::Deny) => 1,
        None => 2,
    }
}
