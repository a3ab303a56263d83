//! The instructions of one function while it is written: locals, labels, calls by name.
//!
//! Calls stay symbolic until the module is complete, because the index of a function follows from
//! which imports are used.

use wasm_encoder::{BlockType, Instruction, MemArg, MemArgTarget, ValType};

use super::host::Host;
use super::module::Helper;
use super::runtime::Runtime;

/// Whom to call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Callee {
    Runtime(Runtime),
    Host(Host),
    Helper(Helper),
}

/// An instruction, or a call by name.
#[derive(Debug)]
pub(super) enum Operation {
    Plain(Instruction<'static>),
    Call(Callee),
}

/// A local variable of the function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Local {
    pub(super) index: u32,
    pub(super) ty: ValType,
}

/// A place that can be branched to: the end of a block, or the start of a loop.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Label(u32);

/// One function.
#[derive(Debug)]
pub(crate) struct Code {
    pub(super) operations: Vec<Operation>,
    /// Types of the locals after the parameters.
    pub(super) locals: Vec<ValType>,
    parameters: u32,
    free: Vec<Local>,
    depth: u32,
    /// Blocks and conditional branches so far.
    pub(super) branches: usize,
}

impl Code {
    pub(super) fn new(parameters: usize) -> Self {
        let parameters = u32::try_from(parameters).unwrap_or(u32::MAX);
        Code {
            operations: Vec::new(),
            locals: Vec::new(),
            parameters,
            free: Vec::new(),
            depth: 0,
            branches: 0,
        }
    }

    /// A local for a while; [`Code::release`] gives it back. Its value is undefined.
    pub(crate) fn local(&mut self, ty: ValType) -> Local {
        if let Some(position) = self.free.iter().rposition(|local| local.ty == ty) {
            return self.free.swap_remove(position);
        }
        self.new_local(ty)
    }

    /// A local of its own, zero at first.
    pub(crate) fn new_local(&mut self, ty: ValType) -> Local {
        let index = self.parameters + u32::try_from(self.locals.len()).unwrap_or(u32::MAX);
        self.locals.push(ty);
        Local { index, ty }
    }

    pub(crate) fn release(&mut self, local: Local) {
        self.free.push(local);
    }

    pub(crate) fn push(&mut self, instruction: Instruction<'static>) {
        self.operations.push(Operation::Plain(instruction));
    }

    pub(crate) fn call(&mut self, callee: Callee) {
        self.operations.push(Operation::Call(callee));
    }

    pub(crate) fn get(&mut self, local: Local) {
        self.parameter(local.index);
    }

    /// Pushes a parameter, which is a local with a known index.
    pub(crate) fn parameter(&mut self, index: u32) {
        self.push(Instruction::LocalGet(index));
    }

    pub(crate) fn set(&mut self, local: Local) {
        self.push(Instruction::LocalSet(local.index));
    }

    pub(crate) fn tee(&mut self, local: Local) {
        self.push(Instruction::LocalTee(local.index));
    }

    pub(crate) fn i32(&mut self, number: i32) {
        self.push(Instruction::I32Const(number));
    }

    /// Pushes an unsigned number or address offset.
    pub(crate) fn u32(&mut self, number: u32) {
        self.push(Instruction::I32Const(number.cast_signed()));
    }

    pub(crate) fn i64(&mut self, number: i64) {
        self.push(Instruction::I64Const(number));
    }

    /// Opens a block; the label is its end.
    pub(crate) fn block(&mut self) -> Label {
        self.open(Instruction::Block(BlockType::Empty))
    }

    /// Opens a block that leaves a value; the label is its end.
    pub(super) fn block_value(&mut self, ty: ValType) -> Label {
        self.open(Instruction::Block(BlockType::Result(ty)))
    }

    /// Opens a loop; the label is its start.
    pub(crate) fn open_loop(&mut self) -> Label {
        self.open(Instruction::Loop(BlockType::Empty))
    }

    /// Opens an `if` on the `i32` on the stack; the label is its end.
    pub(crate) fn open_if(&mut self) -> Label {
        self.open(Instruction::If(BlockType::Empty))
    }

    /// Opens an `if` that leaves a value, which takes twice the memory of another.
    pub(crate) fn open_if_value(&mut self, ty: ValType) -> Label {
        self.branches += 1;
        self.open(Instruction::If(BlockType::Result(ty)))
    }

    fn open(&mut self, instruction: Instruction<'static>) -> Label {
        self.push(instruction);
        self.branches += 1;
        self.depth += 1;
        Label(self.depth)
    }

    pub(crate) fn or_else(&mut self) {
        self.push(Instruction::Else);
    }

    pub(crate) fn end(&mut self) {
        self.depth -= 1;
        self.push(Instruction::End);
    }

    pub(crate) fn branch(&mut self, label: Label) {
        self.push(Instruction::Br(self.depth - label.0));
    }

    /// Turns the truth value on the stack round.
    pub(crate) fn not(&mut self) {
        let turned = match self.operations.last() {
            Some(Operation::Plain(Instruction::F64Eq)) => Instruction::F64Ne,
            Some(Operation::Plain(Instruction::F64Ne)) => Instruction::F64Eq,
            Some(Operation::Plain(Instruction::I64Eq)) => Instruction::I64Ne,
            Some(Operation::Plain(Instruction::I64Ne)) => Instruction::I64Eq,
            Some(Operation::Plain(Instruction::I64LtS)) => Instruction::I64GeS,
            Some(Operation::Plain(Instruction::I64LeS)) => Instruction::I64GtS,
            Some(Operation::Plain(Instruction::I64GtS)) => Instruction::I64LeS,
            Some(Operation::Plain(Instruction::I64GeS)) => Instruction::I64LtS,
            _ => return self.push(Instruction::I32Eqz),
        };
        self.operations.pop();
        self.push(turned);
    }

    pub(crate) fn branch_if(&mut self, label: Label) {
        self.branches += 1;
        self.push(Instruction::BrIf(self.depth - label.0));
    }
}

/// The memory operand of an access at `offset` bytes of at most 2^`align` bytes.
pub(crate) fn memory(offset: u64, align: u32) -> MemArg {
    MemArg { offset, align, target: MemArgTarget::Memory(0), ordering: None }
}
