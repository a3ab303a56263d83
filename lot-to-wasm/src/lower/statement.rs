//! Statements.

use wasm_encoder::Instruction;

use super::entry::Generator;
use super::tight::COPIES;
use super::variable::Passes;
use super::write::Write;
use crate::check::tree::{Branch, Case, Expression, Statement, StatementKind};
use crate::diagnostic::codes;
use crate::limits::LOOP_PASSES_MAX;
use crate::syntax::Position;

impl Generator<'_> {
    /// Writes some statements.
    pub(super) fn block(&mut self, statements: &[Statement]) {
        if !self.pieces_of(statements) {
            statements.iter().for_each(|statement| self.statement(statement));
        }
    }

    pub(super) fn statement(&mut self, statement: &Statement) {
        let at = statement.at;
        match &statement.kind {
            StatementKind::Set { variable, value } => {
                let representation = self.representation_of(*variable);
                self.value_as(value, representation);
                self.assign(*variable, representation);
                self.flush_notes(at);
            }
            StatementKind::PublishTopic { topic, value, qos, retain, when_empty } => {
                let write = Write::Publish { qos: *qos, retain: *retain };
                self.write_topic(write, topic, value, *when_empty, at);
            }
            StatementKind::ToRoute { topic, value, refusal } => self.hand_to_route(topic, value, refusal, at),
            StatementKind::KeepTopic { topic, value, when_empty } => {
                self.write_topic(Write::Keep, topic, value, *when_empty, at);
            }
            StatementKind::DeleteTopic { topic } => self.delete_topic(topic, at),
            StatementKind::KeepSetting { store, name, value, when_empty } => {
                self.keep_setting((*store, name), value, *when_empty, at);
            }
            StatementKind::DeleteSetting { store, name } => self.delete_setting((*store, name), at),
            StatementKind::If { branches, otherwise } => self.if_else(branches, otherwise, at),
            StatementKind::Switch { subject, cases, otherwise } => self.switch(subject, cases, otherwise, at),
            StatementKind::Loop { body, until, until_at } => self.loop_until(body, until, *until_at),
            StatementKind::CallPython { function, arguments, result } => {
                self.call_python(function, arguments, *result, at);
            }
            StatementKind::CallAction { name, arguments, returns, result } => {
                self.call_action(name, arguments, returns, *result, at);
            }
            StatementKind::Verdict(verdict) => self.verdict(Some(*verdict)),
            StatementKind::PublishModel { model, topic, assignments } => {
                self.publish_model(model, topic, assignments, at);
            }
            StatementKind::ForEach { list, element, body, item, result } => {
                self.for_each(list, (*element, *result), body, item, at);
            }
            StatementKind::Split { casts, unless, qos } => self.split_message(casts, unless, *qos, at),
        }
    }

    fn if_else(&mut self, branches: &[Branch], otherwise: &[Statement], at: Position) {
        let end = self.code.block();
        for branch in branches {
            self.truth(&branch.condition);
            self.flush_notes(at);
            self.code.open_if();
            self.block(&branch.body);
            self.code.branch(end);
            self.code.end();
        }
        self.block(otherwise);
        self.code.end();
    }

    fn switch(&mut self, subject: &Expression, cases: &[Case], otherwise: &[Statement], at: Position) {
        let subject = self.subject(subject, cases.iter().flat_map(|case| &case.candidates));
        self.flush_notes(at);
        let end = self.code.block();
        for case in cases {
            let next = self.code.block();
            let equal = self.code.block();
            for candidate in &case.candidates {
                self.equals_subject(subject, candidate);
                self.flush_notes(at);
                self.code.branch_if(equal);
            }
            self.code.branch(next);
            self.code.end();
            self.block(&case.body);
            self.code.branch(end);
            self.code.end();
        }
        self.block(otherwise);
        self.code.end();
        self.release_subject(subject);
    }

    fn loop_until(&mut self, body: &[Statement], until: &Expression, until_at: Position) {
        let passes = self.passes();
        let copies = if self.is_tight(body, until) { COPIES } else { 1 };
        let end = self.code.block();
        let start = self.code.open_loop();
        for _ in 1..copies {
            self.pass(passes, body, until, until_at);
            self.code.branch_if(end);
        }
        self.pass(passes, body, until, until_at);
        self.code.not();
        self.code.branch_if(start);
        self.code.end();
        self.code.end();
    }

    /// One pass of a loop; pushes whether it was the last.
    fn pass(&mut self, passes: Passes, body: &[Statement], until: &Expression, until_at: Position) {
        self.count_pass(passes);
        self.code.u32(LOOP_PASSES_MAX);
        self.code.push(Instruction::I32GtU);
        self.code.open_if();
        let message = format!("the run exceeded {LOOP_PASSES_MAX} loop passes");
        self.fail(codes::RUN_ITERATIONS, &message, until_at);
        self.code.end();
        self.block(body);
        self.truth(until);
        self.flush_notes(until_at);
    }
}
