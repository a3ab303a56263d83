//! Compilation of WebAssembly to native code: in this process, or by a worker process that can be
//! ended.
//!
//! ```text
//! Engine::compile, … ─▶ Compiler ─▶ code cache ─ miss ─▶ CompileElsewhere ─▶ worker process
//!                                                  └───▶ wasmtime in this process
//! ```
//!
//! Invariants: the code cache holds optimised code only; an [`Artifact`] comes from our own worker
//! over our own pipe, or from the compiler in this process. Not here: who may use a worker, and
//! when (`compile_workers` of crate `programs`).

mod charge;
mod frames;
mod parent;
mod worker;

pub use charge::{WorkerCharge, WorkerMemory};
pub use parent::{CompileBudget, WorkerUsage, compile_in_worker};
pub use worker::{WORKER_COMMAND, worker_main};

use super::{Engine, MemoryLayout};
use crate::{ComponentSource, LoadError, cache::native::Artifact};

/// How much the compiler optimises. Code of both tiers runs in the same engine and behaves alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Tier {
    /// No optimisation, and a register allocator with one pass. It compiles in a fraction of the
    /// time, the code is slower. For a start with many guests.
    Baseline,
    /// Fast code. The code cache keeps only this.
    #[default]
    Optimised,
}

/// Form of the binary that is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BinaryKind {
    /// A component.
    Component,
    /// A core module of our own compiler, which a shell imports.
    CoreModule,
}

/// One binary that has to be compiled, because the code cache does not have it.
#[derive(Clone, Copy, Debug)]
pub struct CompileJob<'a> {
    pub(crate) binary: &'a [u8],
    pub(crate) kind: BinaryKind,
    pub(crate) source: ComponentSource,
    pub(crate) tier: Tier,
    pub(crate) layout: MemoryLayout,
}

impl CompileJob<'_> {
    /// Size of the binary in bytes.
    pub fn bytes(&self) -> usize {
        self.binary.len()
    }

    /// Origin of the binary.
    pub fn source(&self) -> ComponentSource {
        self.source
    }
}

/// Compiler in another process.
pub trait CompileElsewhere {
    /// Compiles a binary; `None` when it is to be compiled in this process.
    ///
    /// # Errors
    /// [`LoadError`].
    fn compile(&self, job: &CompileJob<'_>) -> Result<Option<Artifact>, LoadError>;
}

/// An engine, the tier at which it compiles, and the process that does it. `&Engine` converts to
/// one that optimises in this process.
#[derive(Clone, Copy)]
pub struct Compiler<'a> {
    /// The engine that runs the code.
    pub engine: &'a Engine,
    /// How much is optimised when the code cache does not have the code.
    pub tier: Tier,
    /// Compiler that a job is offered to first; `None` compiles all in this process.
    pub elsewhere: Option<&'a dyn CompileElsewhere>,
}

impl<'a> From<&'a Engine> for Compiler<'a> {
    fn from(engine: &'a Engine) -> Self {
        Self { engine, tier: Tier::default(), elsewhere: None }
    }
}

impl std::fmt::Debug for Compiler<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let is_elsewhere = self.elsewhere.is_some();
        f.debug_struct("Compiler").field("tier", &self.tier).field("is_elsewhere", &is_elsewhere).finish()
    }
}
