//! Code for a `COLLECTION` of a Model: an instance for each element of a JSON array (LoT reference
//! §9).

use wasm_encoder::Instruction;

use super::Executable;
use crate::check::kind::KindSet;
use crate::check::tree::walk::{Part, Times, parts};
use crate::check::tree::{Expression, Statement, VariableId};
use crate::lower::{ADDRESS_BYTES, Generator, Representation, Runtime, memory};
use crate::syntax::Position;

/// Computes an instance for each element.
#[derive(Debug, Clone)]
pub struct Checked {
    /// The array; anything else has no elements.
    pub list: Expression,
    /// Holds the element while the body runs.
    pub element: VariableId,
    /// Computes the fields.
    pub body: Vec<Statement>,
    /// Instance that replaces the element.
    pub item: Expression,
    /// Receives the array of all items.
    pub result: VariableId,
}

impl Executable for Checked {
    // As many passes as the list has elements, which the data bound, as they do GET JSON.
    parts!(|Checked { list, element, body, item, result }, visit| {
        visit(Part::Value(list));
        visit(Part::Received(*element, KindSet::FROM_JSON));
        visit(Part::Block(body, Times::Unknown));
        visit(Part::Value(item));
        visit(Part::Received(*result, KindSet::JSON));
    });

    /// An item is stored where the element's address was.
    fn lower(&self, generator: &mut Generator<'_>, at: Position) {
        generator.cell(&self.list);
        generator.runtime(Runtime::Elements);
        let (start, end) = generator.each(ADDRESS_BYTES, |generator, next| {
            generator.code.get(next);
            generator.code.push(Instruction::I32Load(memory(0, 2)));
            generator.assign(self.element, Representation::Cell);
            generator.block(&self.body);
            generator.code.get(next);
            generator.cell(&self.item);
            generator.code.push(Instruction::I32Store(memory(0, 2)));
            generator.flush_notes(at);
        });
        generator.code.get(start);
        generator.code.get(end);
        generator.code.get(start);
        generator.code.push(Instruction::I32Sub);
        generator.code.i32(2);
        generator.code.push(Instruction::I32ShrU);
        generator.runtime(Runtime::JsonArray);
        generator.assign(self.result, Representation::Cell);
    }
}
