//! Operators: arithmetic, concatenation, comparison, logic. With operands of known kinds they are
//! machine instructions.

use wasm_encoder::{Instruction, ValType};

use super::entry::Generator;
use super::equal::in_place;
use super::expression::Representation;
use super::runtime::Runtime;
use crate::check::kind::KindSet;
use crate::check::tree::{Arithmetic, Candidate, Comparison, Constant, Expression, ExpressionKind};

/// Fewest operands, but the first, of a chain of AND or OR that is written as one block.
const CHAIN_MIN: usize = 8;

/// Kinds that count as a number when the other operand is a number.
const NUMBER_OR_EMPTY: KindSet = KindSet::NUMBER.with(KindSet::EMPTY);

impl Generator<'_> {
    /// The representation of the result of a calculation that gives these kinds: a machine number
    /// where that is known.
    pub(super) fn calculated(
        &self,
        kinds: KindSet,
        operator: Arithmetic,
        left: &Expression,
        right: &Expression,
    ) -> Representation {
        use Representation::{Cell, Double, Int};
        let (before, after) = (self.representation(left), self.representation(right));
        if kinds.is(KindSet::INT) {
            let is_whole = (before, after) == (Int, Int) && whole_instruction(operator).is_some();
            return if is_whole { Int } else { Cell };
        }
        let is_double = match operator {
            Arithmetic::Add => {
                (before == Double && right.kinds.is(NUMBER_OR_EMPTY))
                    || (after == Double && left.kinds.is(NUMBER_OR_EMPTY))
            }
            Arithmetic::Subtract | Arithmetic::Multiply => before == Double || after == Double,
            // A divisor of zero gives Null.
            Arithmetic::Divide => (before == Double || after == Double) && is_nonzero_constant(right),
            Arithmetic::Remainder => false,
        };
        if is_double { Double } else { Cell }
    }

    pub(super) fn arithmetic(
        &mut self,
        representation: Representation,
        operator: Arithmetic,
        left: &Expression,
        right: &Expression,
    ) {
        if representation == Representation::Double {
            self.double_operand(left);
            self.double_operand(right);
            self.code.push(match operator {
                Arithmetic::Add => Instruction::F64Add,
                Arithmetic::Subtract => Instruction::F64Sub,
                Arithmetic::Multiply => Instruction::F64Mul,
                Arithmetic::Divide | Arithmetic::Remainder => Instruction::F64Div,
            });
            return;
        }
        if let Some(instruction) =
            whole_instruction(operator).filter(|_| representation == Representation::Int)
        {
            self.value_as(left, Representation::Int);
            self.value_as(right, Representation::Int);
            self.code.push(instruction);
            return;
        }
        self.cell(left);
        self.cell(right);
        self.runtime(match operator {
            Arithmetic::Add => Runtime::Add,
            Arithmetic::Subtract => Runtime::Subtract,
            Arithmetic::Multiply => Runtime::Multiply,
            Arithmetic::Divide => Runtime::Divide,
            Arithmetic::Remainder => Runtime::Remainder,
        });
    }

    /// Pushes the number that a value counts as in arithmetic of Doubles.
    fn double_operand(&mut self, expression: &Expression) {
        match self.value(expression) {
            Representation::Double => {}
            Representation::Int => self.code.push(Instruction::F64ConvertI64S),
            Representation::Bool => self.code.push(Instruction::F64ConvertI32U),
            Representation::Cell => self.runtime(Runtime::Operand),
        }
    }

    /// The representation of the negative of a number, which is of these kinds.
    pub(super) fn negated(&self, kinds: KindSet, operand: &Expression) -> Representation {
        match self.representation(operand) {
            Representation::Double => Representation::Double,
            Representation::Int if kinds.is(KindSet::INT) => Representation::Int,
            Representation::Int | Representation::Bool | Representation::Cell => Representation::Cell,
        }
    }

    pub(super) fn negate(&mut self, representation: Representation, operand: &Expression) {
        match representation {
            Representation::Double => {
                self.value(operand);
                self.code.push(Instruction::F64Neg);
            }
            Representation::Int => {
                self.code.i64(0);
                self.value(operand);
                self.code.push(Instruction::I64Sub);
            }
            Representation::Bool | Representation::Cell => {
                self.cell(operand);
                self.runtime(Runtime::Negate);
            }
        }
    }

    /// Pushes the concatenation of the texts of some values.
    pub(super) fn concat(&mut self, parts: &[&Expression]) {
        match parts {
            [a, b] => {
                self.cell(a);
                self.cell(b);
                self.runtime(Runtime::Concat2);
            }
            [a, b, c] => {
                self.cell(a);
                self.cell(b);
                self.cell(c);
                self.runtime(Runtime::Concat3);
            }
            _ => {
                self.list(parts.len(), |generator, index| {
                    if let Some(part) = parts.get(index) {
                        generator.cell(part);
                    }
                });
                self.runtime(Runtime::Concat);
            }
        }
    }

    /// Stores the cells that `push` makes in a row and pushes the address of the row and their
    /// number.
    pub(super) fn list(&mut self, count: usize, mut push: impl FnMut(&mut Self, usize)) {
        let list = self.code.local(ValType::I32);
        let length = u32::try_from(count).unwrap_or(u32::MAX);
        self.code.u32(length * 4);
        self.runtime(Runtime::Allocate);
        self.code.set(list);
        for (index, offset) in (0..count).zip((0..).step_by(4)) {
            self.code.get(list);
            push(self, index);
            self.code.push(Instruction::I32Store(super::code::memory(offset, 2)));
        }
        self.code.get(list);
        self.code.u32(length);
        self.code.release(list);
    }

    /// The machine instruction that compares two values, and in which representation; `None` where
    /// the runtime compares them.
    pub(super) fn comparison(
        &self,
        operator: Comparison,
        left: &Expression,
        right: &Expression,
    ) -> Option<(Representation, Instruction<'static>)> {
        use Representation::{Double, Int};
        let (representation, instruction) = match (self.representation(left), self.representation(right)) {
            (Int, Int) => (Int, int_instruction(operator)),
            (Int | Double, Int | Double) => (Double, double_instruction(operator)),
            _ => return None,
        };
        Some((representation, instruction?))
    }

    pub(super) fn compare(&mut self, operator: Comparison, left: &Expression, right: &Expression) {
        match self.comparison(operator, left, right) {
            Some((representation, instruction)) => {
                self.value_as(left, representation);
                self.value_as(right, representation);
                self.code.push(instruction);
            }
            None => self.compare_cells(operator, left, right),
        }
    }

    /// Equality with a short text of the program. False when it is none of that.
    fn compare_with_text(&mut self, operator: Comparison, left: &Expression, right: &Expression) -> bool {
        if !matches!(operator, Comparison::Equal | Comparison::NotEqual) {
            return false;
        }
        let (value, text) = match (in_place(left), in_place(right)) {
            (_, Some(text)) => (left, text),
            (Some(text), None) => (right, text),
            (None, None) => return false,
        };
        if !self.spend_in_place(1) {
            return false;
        }
        let at = self.text_at(value);
        self.is_text(at, text);
        self.release_text(at);
        if operator == Comparison::NotEqual {
            self.code.push(Instruction::I32Eqz);
        }
        true
    }

    fn compare_cells(&mut self, operator: Comparison, left: &Expression, right: &Expression) {
        if self.compare_with_text(operator, left, right) {
            return;
        }
        self.cell(left);
        self.cell(right);
        let (function, test): (Runtime, &[Instruction<'static>]) = match operator {
            Comparison::Equal => (Runtime::Equals, &[]),
            Comparison::NotEqual => (Runtime::Equals, &[Instruction::I32Eqz]),
            // The order is -1, 0, 1, or 2 for no order.
            Comparison::Less => (Runtime::Order, &[Instruction::I32Const(-1), Instruction::I32Eq]),
            Comparison::LessOrEqual => (Runtime::Order, &[Instruction::I32Const(0), Instruction::I32LeS]),
            Comparison::Greater => (Runtime::Order, &[Instruction::I32Const(1), Instruction::I32Eq]),
            Comparison::GreaterOrEqual => (Runtime::Order, &[Instruction::I32Const(2), Instruction::I32LtU]),
            Comparison::Contains => (Runtime::Contains, &[]),
            Comparison::StartsWith => (Runtime::StartsWith, &[]),
            Comparison::EndsWith => (Runtime::EndsWith, &[]),
            Comparison::In => (Runtime::In, &[]),
        };
        self.runtime(function);
        for instruction in test {
            self.code.push(instruction.clone());
        }
    }

    /// Whether a value equals one of several; compared in order until one is equal.
    pub(super) fn one_of(&mut self, value: &Expression, candidates: &[Candidate]) {
        let subject = self.subject(value, candidates.iter());
        let result = self.code.local(ValType::I32);
        self.code.i32(1);
        self.code.set(result);
        let found = self.code.block();
        for candidate in candidates {
            self.equals_subject(subject, candidate);
            self.code.branch_if(found);
        }
        self.code.i32(0);
        self.code.set(result);
        self.code.end();
        self.code.get(result);
        self.release_subject(subject);
        self.code.release(result);
    }

    pub(super) fn and(&mut self, left: &Expression, right: &Expression) {
        if self.chain(left, right, false) {
            return;
        }
        self.truth(left);
        self.code.open_if_value(ValType::I32);
        self.truth(right);
        self.code.or_else();
        self.code.i32(0);
        self.code.end();
    }

    pub(super) fn or(&mut self, left: &Expression, right: &Expression) {
        if self.chain(left, right, true) {
            return;
        }
        self.truth(left);
        self.code.open_if_value(ValType::I32);
        self.code.i32(1);
        self.code.or_else();
        self.truth(right);
        self.code.end();
    }

    /// A long chain of AND, or of OR where `ends_at` is true: one block that the first operand
    /// leaves which settles it. An `if` inside the condition of the next one, over and over, takes
    /// the engine memory that grows with the square. False for a short one.
    fn chain(&mut self, left: &Expression, right: &Expression, ends_at: bool) -> bool {
        let mut operands = vec![right];
        let mut rest = left;
        while let Some((left, right)) = joined(rest, ends_at) {
            operands.push(right);
            rest = left;
        }
        if operands.len() < CHAIN_MIN {
            return false;
        }
        let end = self.code.block_value(ValType::I32);
        self.code.i32(i32::from(ends_at));
        self.truth(rest);
        for operand in operands.into_iter().rev() {
            if !ends_at {
                self.code.not();
            }
            self.code.branch_if(end);
            self.truth(operand);
        }
        // Below it lies the value of those that have left.
        let last = self.code.local(ValType::I32);
        self.code.set(last);
        self.code.push(Instruction::Drop);
        self.code.get(last);
        self.code.release(last);
        self.code.end();
        true
    }
}

/// The operands of an OR, or of an AND.
#[allow(clippy::wildcard_enum_match_arm, reason = "every other one ends the chain")]
fn joined(expression: &Expression, is_or: bool) -> Option<(&Expression, &Expression)> {
    match &expression.kind {
        ExpressionKind::Or(left, right) if is_or => Some((left, right)),
        ExpressionKind::And(left, right) if !is_or => Some((left, right)),
        _ => None,
    }
}

fn is_nonzero_constant(expression: &Expression) -> bool {
    if let ExpressionKind::Constant(Constant::Int(number)) = expression.kind {
        return number != 0;
    }
    matches!(expression.kind, ExpressionKind::Constant(Constant::Double(number)) if number != 0.0)
}

/// The instruction for whole numbers that cannot overflow; the divisor of a remainder is then a
/// constant other than zero.
fn whole_instruction(operator: Arithmetic) -> Option<Instruction<'static>> {
    match operator {
        Arithmetic::Add => Some(Instruction::I64Add),
        Arithmetic::Subtract => Some(Instruction::I64Sub),
        Arithmetic::Multiply => Some(Instruction::I64Mul),
        Arithmetic::Remainder => Some(Instruction::I64RemS),
        Arithmetic::Divide => None,
    }
}

fn int_instruction(operator: Comparison) -> Option<Instruction<'static>> {
    match operator {
        Comparison::Equal => Some(Instruction::I64Eq),
        Comparison::NotEqual => Some(Instruction::I64Ne),
        Comparison::Less => Some(Instruction::I64LtS),
        Comparison::LessOrEqual => Some(Instruction::I64LeS),
        Comparison::Greater => Some(Instruction::I64GtS),
        Comparison::GreaterOrEqual => Some(Instruction::I64GeS),
        Comparison::Contains | Comparison::StartsWith | Comparison::EndsWith | Comparison::In => None,
    }
}

fn double_instruction(operator: Comparison) -> Option<Instruction<'static>> {
    match operator {
        Comparison::Equal => Some(Instruction::F64Eq),
        Comparison::NotEqual => Some(Instruction::F64Ne),
        Comparison::Less => Some(Instruction::F64Lt),
        Comparison::LessOrEqual => Some(Instruction::F64Le),
        Comparison::Greater => Some(Instruction::F64Gt),
        Comparison::GreaterOrEqual => Some(Instruction::F64Ge),
        Comparison::Contains | Comparison::StartsWith | Comparison::EndsWith | Comparison::In => None,
    }
}
