//! Complexity of code, as far as it decides what compiling a function costs: bounded before
//! anything is compiled.
//!
//! An optimising compiler keeps, for each block of a function, what each of its locals is there. So
//! its memory grows with locals times blocks, and a function of a megabyte can have it take
//! gigabytes. Its time grows with the square of blocks, and of loops above all: a function of half
//! a megabyte can have it take minutes. Size alone bounds nothing of that.

use wasmparser::{BinaryReaderError, BlockType, FunctionBody, Operator, TypeSectionReader};

use crate::limits::{FUNCTION_BYTES_MAX, FUNCTION_COMPLEXITY_MAX, MODULE_COMPLEXITY_MAX, MODULE_FLOW_MAX};

/// Weight of a loop in the compile cost, in blocks squared. 20,000 loops in one function take 36 s,
/// 50,000 other blocks 4.4 s.
const LOOP_FLOW: u64 = 50;

/// Why code is not compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TooComplex {
    /// A function is too long.
    #[error("Function {number} has {bytes} bytes of code, limit {FUNCTION_BYTES_MAX}.")]
    Long {
        /// Number of the function among those with code, from 1.
        number: u64,
        /// Its size.
        bytes: usize,
    },
    /// A function has too many locals for its blocks.
    #[error(
        "Function {number} has a complexity of {complexity}, limit {FUNCTION_COMPLEXITY_MAX}: locals times blocks."
    )]
    Function {
        /// Its number.
        number: u64,
        /// Locals times blocks.
        complexity: u64,
    },
    /// All functions up to this one have.
    #[error(
        "The module has a complexity of {complexity} up to function {number}, limit {MODULE_COMPLEXITY_MAX}: locals times blocks."
    )]
    Module {
        /// Its number.
        number: u64,
        /// Locals times blocks of each, summed.
        complexity: u64,
    },
    /// All functions up to this one have too many blocks and loops, of which one function has most.
    #[error(
        "The control flow of function {number} takes too long to compile: it has {blocks} blocks, of which {loops} are loops. Divide it into several functions."
    )]
    Flow {
        /// Number of the function with most of it, from 1.
        number: u64,
        /// Its blocks.
        blocks: u64,
        /// How many of them are loops.
        loops: u64,
    },
    /// It is no code, with the text of the reader.
    #[error("{0}")]
    Malformed(String),
}

impl From<BinaryReaderError> for TooComplex {
    fn from(error: BinaryReaderError) -> Self {
        TooComplex::Malformed(error.to_string())
    }
}

/// Sums over the functions of a component that were read so far.
#[derive(Default)]
pub(crate) struct Complexity {
    /// Parameters and results of each type of the core module that is being read.
    arities: Vec<u64>,
    functions: u64,
    total: u64,
    /// Sum over all functions of what their control flow costs.
    flow: u64,
    /// That of the function with most of it, and which it is.
    most_flow: (Flow, u64),
}

/// Control flow of a function.
#[derive(Clone, Copy, Default)]
struct Flow {
    blocks: u64,
    loops: u64,
}

impl Flow {
    /// Returns the cost of compilation, in blocks squared.
    fn cost(self) -> u64 {
        let squared = |count: u64| count.saturating_mul(count);
        squared(self.blocks).saturating_add(squared(self.loops).saturating_mul(LOOP_FLOW))
    }
}

impl Complexity {
    /// A core module begins.
    pub(crate) fn begin_module(&mut self) {
        self.arities.clear();
    }

    /// Notes the types of the core module.
    pub(crate) fn types(&mut self, section: TypeSectionReader<'_>) -> Result<(), BinaryReaderError> {
        for ty in section.into_iter_err_on_gc_types() {
            let ty = ty?;
            self.arities.push((ty.params().len() + ty.results().len()) as u64);
        }
        Ok(())
    }

    /// Adds a function.
    ///
    /// # Errors
    /// When it, or all together, would take too much to compile, or when it is no function body.
    pub(crate) fn add(&mut self, body: &FunctionBody<'_>) -> Result<(), TooComplex> {
        self.functions += 1;
        let number = self.functions;
        let bytes = body.as_bytes().len();
        if bytes > FUNCTION_BYTES_MAX {
            return Err(TooComplex::Long { number, bytes });
        }
        let (complexity, flow) = self.of(body)?;
        self.total = self.total.saturating_add(complexity);
        self.flow = self.flow.saturating_add(flow.cost());
        if flow.cost() > self.most_flow.0.cost() {
            self.most_flow = (flow, number);
        }
        if complexity > FUNCTION_COMPLEXITY_MAX {
            Err(TooComplex::Function { number, complexity })
        } else if self.total > MODULE_COMPLEXITY_MAX {
            Err(TooComplex::Module { number, complexity: self.total })
        } else if self.flow > MODULE_FLOW_MAX {
            let (Flow { blocks, loops }, number) = self.most_flow;
            Err(TooComplex::Flow { number, blocks, loops })
        } else {
            Ok(())
        }
    }

    /// Locals times blocks of a function, and its control flow.
    fn of(&self, body: &FunctionBody<'_>) -> Result<(u64, Flow), BinaryReaderError> {
        // The type of the function is in another section. Assumes the largest arity of all types.
        let mut locals = self.arities.iter().copied().max().unwrap_or(0);
        for declared in body.get_locals_reader()? {
            locals += u64::from(declared?.0);
        }
        let (mut total, mut flow) = (0_u64, Flow::default());
        for operator in body.get_operators_reader()? {
            #[expect(clippy::wildcard_enum_match_arm, reason = "all others begin no block")]
            let (blocks, arity) = match operator? {
                Operator::Block { blockty } | Operator::If { blockty } => (1, self.arity(blockty)),
                Operator::Loop { blockty } => {
                    flow.loops += 1;
                    (1, self.arity(blockty))
                }
                Operator::Else | Operator::BrIf { .. } => (1, 0),
                Operator::BrTable { targets } => (u64::from(targets.len()), 0),
                _ => continue,
            };
            flow.blocks += blocks;
            total = total.saturating_add(blocks * (locals + arity));
        }
        Ok((total, flow))
    }

    fn arity(&self, ty: BlockType) -> u64 {
        match ty {
            BlockType::Empty => 0,
            BlockType::Type(_) => 1,
            BlockType::FuncType(index) => self.arities.get(index as usize).copied().unwrap_or(0),
        }
    }
}
