//! The code of blocks of statements. Those of long programs are several functions, each with some
//! statements of a block.
//!
//! The memory and time for the native code of one function grow with the square of its branches: a
//! model with 1,000 fields as one function takes 288 MiB, in pieces 5 MiB. The pieces share the
//! variables, which are in memory then.

use wasm_encoder::{Instruction, ValType};

use super::code::{Callee, Code};
use super::entry::Generator;
use super::module::{Helper, Piece};
use crate::check::tree::Statement;

/// Statements of a piece.
const PIECE_STATEMENTS: usize = 64;

/// Most statements of a program that is one function.
const WHOLE_STATEMENTS_MAX: usize = 2 * PIECE_STATEMENTS;

/// Whether these statements are written in pieces.
pub(super) fn is_long(body: &[Statement]) -> bool {
    let mut left = WHOLE_STATEMENTS_MAX;
    !fits(body, &mut left)
}

/// Takes the number of statements off the remaining number; whether they fit.
fn fits(body: &[Statement], left: &mut usize) -> bool {
    body.iter().all(|statement| {
        let rest = left.checked_sub(1);
        *left = rest.unwrap_or(0);
        let mut all_fit = rest.is_some();
        statement.each_block(&mut |block| all_fit = all_fit && fits(block, left));
        all_fit
    })
}

impl Generator<'_> {
    /// Writes some statements.
    pub(crate) fn block(&mut self, statements: &[Statement]) {
        if !self.pieces_of(statements) {
            statements.iter().for_each(|statement| self.statement(statement));
        }
    }

    fn statement(&mut self, statement: &Statement) {
        statement.kind.executable().lower(self, statement.at);
    }

    /// Writes statements as functions that are called. False when they are few.
    fn pieces_of(&mut self, statements: &[Statement]) -> bool {
        let Some(export) = self.in_pieces.filter(|_| statements.len() > PIECE_STATEMENTS) else {
            return false;
        };
        statements.chunks(PIECE_STATEMENTS).for_each(|piece| self.write_piece(export, piece));
        true
    }

    fn write_piece(&mut self, export: Helper, statements: &[Statement]) {
        let parameters = export.parameters();
        let number = u32::try_from(self.pieces.len()).unwrap_or(u32::MAX);
        let helper = Helper::Piece(Piece { number, parameters: parameters + 1 });
        // Its place among the pieces is taken before those inside it take theirs.
        self.pieces.push((helper, Code::new(0)));
        let frame = u32::try_from(parameters).unwrap_or(u32::MAX);
        let outer = std::mem::replace(&mut self.code, Code::new(parameters + 1));
        let outer_frame = self.frame.replace(frame);
        let (payload_cell, missing) = (self.payload_cell.take(), self.missing.take());
        statements.iter().for_each(|statement| self.statement(statement));
        self.code.i32(0);
        let code = std::mem::replace(&mut self.code, outer);
        (self.frame, self.payload_cell, self.missing) = (outer_frame, payload_cell, missing);
        if let Some((_, place)) = self.pieces.get_mut(number as usize) {
            *place = code;
        }
        (0..frame).for_each(|parameter| self.code.parameter(parameter));
        self.push_frame();
        self.code.call(Callee::Helper(helper));
        let ended = self.code.local(ValType::I32);
        self.code.tee(ended);
        self.code.open_if();
        self.code.get(ended);
        self.code.push(Instruction::Return);
        self.code.end();
        self.code.release(ended);
    }
}
