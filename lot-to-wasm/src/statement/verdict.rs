//! `ALLOW` and `DENY`: the verdict of a Rule (LoT reference §10).
//!
//! They are read and checked with the Rule that they stand in.

use wasm_encoder::Instruction;

use super::Executable;
use crate::check::tree::Verdict;
use crate::check::tree::walk::parts;
use crate::lower::Generator;
use crate::syntax::Position;

/// Ends the run of a Rule.
#[derive(Debug, Clone)]
pub struct Checked(pub Verdict);

impl Executable for Checked {
    parts!(|Checked(_), _visit| {});

    fn lower(&self, generator: &mut Generator<'_>, _at: Position) {
        generator.push_verdict(Some(self.0));
        generator.code.push(Instruction::Return);
    }
}
