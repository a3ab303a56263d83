//! Storage of variables: in locals, and for many variables in the memory of the run.
//!
//! The memory for making native code grows with the number of live locals times the branches: 1,000
//! fields of a model took 512 MiB.

use wasm_encoder::{Instruction, ValType};

use super::code::{Local, memory};
use super::entry::Generator;
use super::expression::Representation;
use super::runtime::Runtime;
use crate::check::tree::{Constant, VariableId};
use crate::diagnostic::codes;
use crate::limits::LOOP_PASSES_MAX;
use crate::syntax::Position;

/// Variables of a function that are locals; machine numbers before cells.
const LOCALS_MAX: usize = 64;

/// Bytes of a variable in memory.
const SLOT_BYTES: u32 = 8;

/// Location of a variable.
#[derive(Debug, Clone, Copy)]
pub(super) struct VariableLocation {
    representation: Representation,
    at: At,
}

#[derive(Debug, Clone, Copy)]
enum At {
    Local(Local),
    /// So many bytes behind the address of the frame.
    Memory(u32),
}

/// Location of the counter of loop passes of the run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Passes(At);

impl Generator<'_> {
    /// Makes room for the variables, and makes them Empty.
    pub(super) fn place_variables(&mut self) {
        let of = |kinds| Representation::of_variable(kinds);
        let kept: Vec<Representation> =
            self.action.variables.iter().map(|variable| of(variable.kinds)).collect();
        // No local is seen by all pieces.
        let locals = if self.in_pieces.is_some() { 0 } else { LOCALS_MAX };
        let numbers = kept.iter().filter(|kept| **kept != Representation::Cell).count();
        let (mut numbers_left, mut cells_left) = (locals, locals.saturating_sub(numbers));
        // The first place is that of the number of passes.
        let mut next = SLOT_BYTES;
        if kept.len() > locals || self.in_pieces.is_some() {
            let places = u32::try_from(kept.len().saturating_sub(locals)).unwrap_or(u32::MAX);
            self.take_frame(SLOT_BYTES + places * SLOT_BYTES);
        }
        for representation in kept {
            let is_cell = representation == Representation::Cell;
            let left = if is_cell { &mut cells_left } else { &mut numbers_left };
            let at = if *left == 0 && self.frame.is_some() {
                next += SLOT_BYTES;
                At::Memory(next - SLOT_BYTES)
            } else {
                *left = left.saturating_sub(1);
                At::Local(self.code.new_local(representation.ty()))
            };
            self.variables.push(VariableLocation { representation, at });
            if is_cell {
                self.push_constant(&Constant::Empty);
                self.set(at, representation);
            }
        }
    }

    /// Takes memory for as long as the run lasts.
    fn take_frame(&mut self, bytes: u32) {
        let frame = self.code.new_local(ValType::I32);
        self.code.u32(bytes);
        self.runtime(Runtime::Allocate);
        self.code.set(frame);
        self.frame = Some(frame.index);
        self.code.i32(0);
        self.set(At::Memory(0), Representation::Bool);
    }

    /// Pushes the address of the variables that are in memory; there are some.
    pub(super) fn push_frame(&mut self) {
        match self.frame {
            Some(frame) => self.code.parameter(frame),
            None => self.code.i32(0),
        }
    }

    /// Returns the location of the counter of loop passes, which starts at 0.
    pub(crate) fn passes(&mut self) -> Passes {
        if self.in_pieces.is_some() {
            return Passes(At::Memory(0));
        }
        let local = match self.passes {
            Some(local) => local,
            None => *self.passes.insert(self.code.new_local(ValType::I32)),
        };
        Passes(At::Local(local))
    }

    /// Begins a pass through a loop: ends the run at `place` when it has made too many.
    pub(crate) fn begin_pass(&mut self, passes: Passes, place: Position) {
        self.count_pass(passes);
        self.code.u32(LOOP_PASSES_MAX);
        self.code.push(Instruction::I32GtU);
        self.code.open_if();
        let message = format!("the run exceeded {LOOP_PASSES_MAX} loop passes");
        self.fail(codes::RUN_ITERATIONS, &message, place);
        self.code.end();
    }

    /// Counts a pass and pushes how many there were.
    fn count_pass(&mut self, Passes(at): Passes) {
        self.get(at, Representation::Bool);
        self.code.i32(1);
        self.code.push(Instruction::I32Add);
        self.set(at, Representation::Bool);
        self.get(at, Representation::Bool);
    }

    fn location(&self, variable: VariableId) -> Option<VariableLocation> {
        self.variables.get(variable.0 as usize).copied()
    }

    /// How a variable is held.
    pub(crate) fn representation_of(&self, variable: VariableId) -> Representation {
        self.location(variable).map_or(Representation::Cell, |location| location.representation)
    }

    /// Pushes a variable in its own representation.
    pub(super) fn push_variable(&mut self, variable: VariableId) -> Representation {
        let Some(VariableLocation { representation, at }) = self.location(variable) else {
            self.push_constant(&Constant::Empty);
            return Representation::Cell;
        };
        self.get(at, representation);
        representation
    }

    /// Pushes the cell of a variable.
    pub(super) fn variable_cell(&mut self, variable: VariableId) {
        let representation = self.push_variable(variable);
        self.convert(representation, Representation::Cell);
    }

    /// Assigns the value on the stack to a variable.
    pub(crate) fn assign(&mut self, variable: VariableId, from: Representation) {
        match self.location(variable) {
            Some(VariableLocation { representation, at }) => {
                self.convert(from, representation);
                self.set(at, representation);
            }
            None => self.code.push(Instruction::Drop),
        }
    }

    fn get(&mut self, at: At, representation: Representation) {
        match at {
            At::Local(local) => self.code.get(local),
            At::Memory(offset) => {
                self.push_frame();
                let at = memory(u64::from(offset), 2);
                self.code.push(match representation {
                    Representation::Cell | Representation::Bool => Instruction::I32Load(at),
                    Representation::Int => Instruction::I64Load(at),
                    Representation::Double => Instruction::F64Load(at),
                });
            }
        }
    }

    fn set(&mut self, at: At, representation: Representation) {
        let offset = match at {
            At::Local(local) => return self.code.set(local),
            At::Memory(offset) => offset,
        };
        let value = self.code.local(representation.ty());
        self.code.set(value);
        self.push_frame();
        self.code.get(value);
        self.code.release(value);
        let at = memory(u64::from(offset), 2);
        self.code.push(match representation {
            Representation::Cell | Representation::Bool => Instruction::I32Store(at),
            Representation::Int => Instruction::I64Store(at),
            Representation::Double => Instruction::F64Store(at),
        });
    }
}
