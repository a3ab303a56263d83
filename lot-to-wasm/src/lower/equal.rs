//! Equality with a text of the program, which is equality of texts for every kind of the other side
//! (OD-18): compared in place, without a call; and of one value with each of several, as in `IN [a,
//! b]` and `CASE a, b`.

use wasm_encoder::{Instruction, ValType};

use super::code::{Local, memory};
use super::entry::Generator;
use super::runtime::Runtime;
use crate::check::tree::{Candidate, Constant, Expression, ExpressionKind};

/// Longest text that is compared in place; for a longer one the runtime is called.
const IN_PLACE_BYTES_MAX: usize = 32;

/// Location of a text: locals with its address and its length.
#[derive(Clone, Copy)]
pub(crate) struct TextAt {
    address: u32,
    length: u32,
    /// Those that were taken for it.
    taken: Option<[Local; 2]>,
}

/// Value that is compared with several others: as text with texts of the program, as cell with
/// everything else.
#[derive(Clone, Copy)]
pub(crate) struct Subject {
    cell: Option<Local>,
    text: Option<TextAt>,
}

/// The text with which an expression is compared in place.
///
/// Not one with U+FFFD, which replaces invalid UTF-8 when bytes are looked at as text.
pub(super) fn in_place(expression: &Expression) -> Option<&str> {
    let ExpressionKind::Constant(Constant::Text(text)) = &expression.kind else { return None };
    let is_short = text.len() <= IN_PLACE_BYTES_MAX;
    (is_short && !text.contains(char::REPLACEMENT_CHARACTER)).then_some(text)
}

impl Generator<'_> {
    /// Has the text of a value at hand; [`Generator::release_text`] gives the locals back.
    pub(super) fn text_at(&mut self, expression: &Expression) -> TextAt {
        if let Some(payload) = self.payload_text(expression) {
            return payload;
        }
        self.cell(expression);
        self.text_of_cell()
    }

    /// The payload where an expression is that: bytes that equal a text are UTF-8, so it needs no
    /// look at it before.
    pub(crate) fn payload_text(&self, expression: &Expression) -> Option<TextAt> {
        let message = self.message.filter(|message| message.present.is_none())?;
        let is_payload = matches!(expression.kind, ExpressionKind::Payload);
        is_payload.then_some(TextAt { address: message.payload, length: message.payload + 1, taken: None })
    }

    /// The same for the cell on the stack.
    pub(super) fn text_of_cell(&mut self) -> TextAt {
        let pair = self.code.local(ValType::I64);
        let locals = [self.code.local(ValType::I32), self.code.local(ValType::I32)];
        self.runtime(Runtime::Text);
        self.code.tee(pair);
        self.code.push(Instruction::I32WrapI64);
        self.code.set(locals[0]);
        self.code.get(pair);
        self.code.i64(32);
        self.code.push(Instruction::I64ShrU);
        self.code.push(Instruction::I32WrapI64);
        self.code.set(locals[1]);
        self.code.release(pair);
        TextAt { address: locals[0].index, length: locals[1].index, taken: Some(locals) }
    }

    /// Evaluates once the value that is compared with these.
    pub(crate) fn subject<'e>(
        &mut self,
        value: &Expression,
        candidates: impl Iterator<Item = &'e Candidate> + Clone,
    ) -> Subject {
        let mut texts = candidates.map(|candidate| candidate.value().and_then(in_place));
        let count = texts.clone().flatten().count();
        let has_texts = count > 0 && self.spend_in_place(count);
        let has_others = !has_texts || texts.any(|text| text.is_none());
        if has_texts && !has_others {
            return Subject { cell: None, text: Some(self.text_at(value)) };
        }
        let cell = self.code.local(ValType::I32);
        self.cell(value);
        self.code.set(cell);
        let text = has_texts.then(|| {
            self.code.get(cell);
            self.text_of_cell()
        });
        Subject { cell: Some(cell), text }
    }

    /// Whether so many more comparisons are written in place.
    pub(super) fn spend_in_place(&mut self, comparisons: usize) -> bool {
        let left = self.in_place_left.checked_sub(comparisons);
        self.in_place_left = left.unwrap_or(self.in_place_left);
        left.is_some()
    }

    /// Pushes whether it equals one of them.
    pub(crate) fn equals_subject(&mut self, subject: Subject, candidate: &Candidate) {
        if let (Some(at), Some(text)) = (subject.text, candidate.value().and_then(in_place)) {
            return self.is_text(at, text);
        }
        if let Some(cell) = subject.cell {
            self.code.get(cell);
        }
        match candidate {
            Candidate::Empty => self.runtime(Runtime::IsEmpty),
            Candidate::Value(value) => {
                self.cell(value);
                self.runtime(Runtime::Equals);
            }
        }
    }

    pub(crate) fn release_subject(&mut self, subject: Subject) {
        subject.text.into_iter().for_each(|at| self.release_text(at));
        subject.cell.into_iter().for_each(|cell| self.code.release(cell));
    }

    pub(super) fn release_text(&mut self, at: TextAt) {
        at.taken.into_iter().flatten().for_each(|local| self.code.release(local));
    }

    /// Pushes whether it is this text.
    pub(super) fn is_text(&mut self, at: TextAt, text: &str) {
        self.code.parameter(at.length);
        self.code.u32(u32::try_from(text.len()).unwrap_or(u32::MAX));
        self.code.push(Instruction::I32Eq);
        if text.is_empty() {
            return;
        }
        self.code.open_if_value(ValType::I32);
        for (number, (offset, width)) in pieces(text.len()).into_iter().enumerate() {
            self.is_piece(at, offset, &text.as_bytes()[offset..offset + width]);
            if number > 0 {
                self.code.push(Instruction::I32And);
            }
        }
        self.code.or_else();
        self.code.i32(0);
        self.code.end();
    }

    /// Pushes whether a piece of 1, 2, 4 or 8 bytes is there.
    fn is_piece(&mut self, at: TextAt, offset: usize, piece: &[u8]) {
        let mut bytes = [0; 8];
        bytes[..piece.len()].copy_from_slice(piece);
        let number = i64::from_le_bytes(bytes);
        self.code.parameter(at.address);
        // Texts are not aligned.
        let place = memory(offset as u64, 0);
        self.code.push(match piece.len() {
            1 => Instruction::I64Load8U(place),
            2 => Instruction::I64Load16U(place),
            4 => Instruction::I64Load32U(place),
            _ => Instruction::I64Load(place),
        });
        self.code.i64(number);
        self.code.push(Instruction::I64Eq);
    }
}

/// Offsets and widths of loads that cover so many bytes; the last ones may overlap.
fn pieces(length: usize) -> Vec<(usize, usize)> {
    let width = [8, 4, 2, 1].into_iter().find(|width| *width <= length).unwrap_or(1);
    let whole = (0..length / width).map(|number| (number * width, width));
    let rest = (!length.is_multiple_of(width)).then(|| (length - width, width));
    whole.chain(rest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_cover_every_length() {
        for length in 1..=IN_PLACE_BYTES_MAX {
            let mut covered = vec![false; length];
            for (offset, width) in pieces(length) {
                covered[offset..offset + width].fill(true);
            }
            assert!(covered.iter().all(|byte| *byte), "{length}");
            assert!(pieces(length).len() <= 5, "{length}");
        }
    }
}
