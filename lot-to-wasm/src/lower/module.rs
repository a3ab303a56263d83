//! The core module: which functions it has and imports, and its encoding.

use std::collections::HashMap;

use wasm_encoder::{
    CodeSection, ConstExpr, DataCountSection, DataSection, EntityType, ExportKind, ExportSection, Function,
    FunctionSection, GlobalSection, GlobalType, ImportSection, Instruction, MemoryType, Section,
    StartSection, TypeSection, ValType,
};

use super::World;
use super::code::{Callee, Code, Operation};
use super::constants::Constants;
use super::host::Host;
use super::runtime::Runtime;

/// Global that holds the address of the constants.
pub(super) const CONSTANTS_BASE: u32 = 0;
/// Global that holds the address of the constant cells.
pub(super) const CELLS_BASE: u32 = 1;
/// Global that holds the address of the runtime's pending word.
pub(super) const PENDING: u32 = 2;
const GLOBALS: u32 = 3;

/// The module's own functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Helper {
    /// Copies the constants and sets up the runtime; runs at instantiation.
    Start,
    /// The exports.
    OnMessage,
    OnEvent,
    Call,
    Build,
    Check,
    /// Reports the notes of the runtime: line, column, a counter for each kind of note.
    Flush,
    /// Reports a warning the 1st, 2nd, 4th, 8th, … time: code, message, line, column, counter.
    Warn,
    /// Reports why the host refused a write, if it did: line, column. Returns the address of the
    /// result when that ends the run, else 0.
    CheckWrite,
    /// Fills the result with an error: code, message, line, column; returns its address.
    Fail,
    /// Some statements of an export: the parameters of the export, and the address of the
    /// variables. Returns the address of the result when the run has ended, else 0.
    Piece(Piece),
}

/// Number of a piece, and the parameters of its export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Piece {
    pub(super) number: u32,
    pub(super) parameters: usize,
}

/// As many parameters as any function has.
static PARAMETERS: [ValType; 16] = [ValType::I32; 16];

impl Helper {
    fn signature(self) -> (&'static [ValType], &'static [ValType]) {
        const I: ValType = ValType::I32;
        match self {
            Helper::Start => (&[], &[]),
            Helper::OnMessage => (&[I; 8], &[I]),
            Helper::OnEvent => (&[I; 12], &[I]),
            Helper::Call | Helper::Build => (&[I; 11], &[I]),
            Helper::Check => (&[I; 15], &[I]),
            Helper::Flush => (&[I; 3], &[]),
            Helper::Warn => (&[I; 7], &[]),
            Helper::CheckWrite => (&[I; 2], &[I]),
            Helper::Fail => (&[I; 6], &[I]),
            Helper::Piece(piece) => (PARAMETERS.get(..piece.parameters).unwrap_or(&PARAMETERS), &[I]),
        }
    }

    /// Number of its parameters.
    pub(super) fn parameters(self) -> usize {
        self.signature().0.len()
    }

    /// Those that every definition of a world exports.
    pub(super) fn of_world(world: World) -> &'static [Helper] {
        match world {
            World::Action => &[Helper::OnMessage, Helper::OnEvent, Helper::Call],
            World::Model => &[Helper::OnMessage, Helper::Build],
            World::Rule => &[Helper::Check],
        }
    }

    /// Names, parameters and results of those that every definition of a world exports.
    pub(super) fn exports(
        world: World,
    ) -> impl Iterator<Item = (&'static str, &'static [ValType], &'static [ValType])> {
        Helper::of_world(world).iter().filter_map(|helper| {
            let (parameters, results) = helper.signature();
            Some((helper.export()?, parameters, results))
        })
    }

    fn export(self) -> Option<&'static str> {
        match self {
            Helper::OnMessage => Some("on-message"),
            Helper::OnEvent => Some("on-event"),
            Helper::Call => Some("call"),
            Helper::Build => Some("build"),
            Helper::Check => Some("check"),
            Helper::Start
            | Helper::Flush
            | Helper::Warn
            | Helper::CheckWrite
            | Helper::Fail
            | Helper::Piece(_) => None,
        }
    }
}

impl Host {
    /// Name of the import from `host` in the core module.
    pub(super) fn import_name(self) -> String {
        let declaration = self.declaration();
        format!("{}.{}", declaration.interface, declaration.name)
    }
}

/// A finished core module.
#[derive(Debug)]
pub(super) struct Module {
    bytes: Vec<u8>,
    host: Vec<Host>,
    runtime: Vec<Runtime>,
}

impl Module {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Functions of the host that it imports.
    pub(super) fn host_functions(&self) -> &[Host] {
        &self.host
    }

    /// The module with the facts in a section of its own.
    pub(super) fn with_facts(self, facts: &wasm_encoder::CustomSection<'_>) -> Vec<u8> {
        let mut bytes = self.bytes;
        facts.append_to(&mut bytes);
        bytes
    }

    /// Puts a module together of its functions. Imports are those that the functions call, in the
    /// order of their first call.
    pub(super) fn new(functions: &[(Helper, Code)], constants: &Constants) -> Module {
        let mut module = Module { bytes: Vec::new(), host: Vec::new(), runtime: Vec::new() };
        let calls = functions.iter().flat_map(|(_, code)| &code.operations);
        for operation in calls {
            match operation {
                Operation::Call(Callee::Host(host)) if !module.host.contains(host) => module.host.push(*host),
                Operation::Call(Callee::Runtime(runtime)) if !module.runtime.contains(runtime) => {
                    module.runtime.push(*runtime);
                }
                Operation::Call(_) | Operation::Plain(_) => {}
            }
        }
        let encoder = Encoder { functions, types: Types::default(), indices: module.indices(functions) };
        module.bytes = encoder.encode(&module, constants);
        module
    }

    fn indices(&self, functions: &[(Helper, Code)]) -> HashMap<Callee, u32> {
        let host = self.host.iter().map(|function| Callee::Host(*function));
        let runtime = self.runtime.iter().map(|function| Callee::Runtime(*function));
        let own = functions.iter().map(|(helper, _)| Callee::Helper(*helper));
        host.chain(runtime).chain(own).zip(0..).collect()
    }
}

#[derive(Default)]
struct Types {
    section: TypeSection,
    known: HashMap<(Vec<ValType>, Vec<ValType>), u32>,
}

impl Types {
    fn function(&mut self, parameters: &[ValType], results: &[ValType]) -> u32 {
        let next = self.section.len();
        *self.known.entry((parameters.to_vec(), results.to_vec())).or_insert_with(|| {
            self.section.ty().function(parameters.iter().copied(), results.iter().copied());
            next
        })
    }
}

struct Encoder<'a> {
    functions: &'a [(Helper, Code)],
    types: Types,
    indices: HashMap<Callee, u32>,
}

impl Encoder<'_> {
    fn encode(mut self, module: &Module, constants: &Constants) -> Vec<u8> {
        let imports = self.imports(module);
        let (functions, exports, start) = self.declarations();
        let code = self.code();
        let mut data = DataSection::new();
        data.passive(constants.data());
        let mut wasm = wasm_encoder::Module::new();
        wasm.section(&self.types.section)
            .section(&imports)
            .section(&functions)
            .section(&globals())
            .section(&exports)
            .section(&start)
            .section(&DataCountSection { count: 1 })
            .section(&code)
            .section(&data);
        wasm.finish()
    }

    fn imports(&mut self, module: &Module) -> ImportSection {
        let mut imports = ImportSection::new();
        for function in &module.host {
            let declaration = function.declaration();
            let index = self.types.function(declaration.core_parameters, declaration.core_results);
            imports.import("host", &function.import_name(), EntityType::Function(index));
        }
        for function in &module.runtime {
            let index = self.types.function(function.parameters(), function.results());
            imports.import("rt", function.name(), EntityType::Function(index));
        }
        let memory =
            MemoryType { minimum: 0, maximum: None, memory64: false, shared: false, page_size_log2: None };
        imports.import("rt", "memory", EntityType::Memory(memory));
        imports
    }

    fn declarations(&mut self) -> (FunctionSection, ExportSection, StartSection) {
        let mut functions = FunctionSection::new();
        let mut exports = ExportSection::new();
        let mut start = StartSection { function_index: 0 };
        for (helper, _) in self.functions {
            let (parameters, results) = helper.signature();
            functions.function(self.types.function(parameters, results));
            let index = self.index(Callee::Helper(*helper));
            if let Some(name) = helper.export() {
                exports.export(name, ExportKind::Func, index);
            }
            if *helper == Helper::Start {
                start.function_index = index;
            }
        }
        (functions, exports, start)
    }

    fn code(&self) -> CodeSection {
        let mut section = CodeSection::new();
        for (_, code) in self.functions {
            let mut function = Function::new_with_locals_types(code.locals.iter().copied());
            for operation in &code.operations {
                match operation {
                    Operation::Plain(instruction) => function.instruction(instruction),
                    Operation::Call(callee) => function.instruction(&Instruction::Call(self.index(*callee))),
                };
            }
            function.instruction(&Instruction::End);
            section.function(&function);
        }
        section
    }

    /// The index of a function. Every callee was counted; a helper that is called but missing would
    /// make the module invalid, which each test of generated code would show.
    fn index(&self, callee: Callee) -> u32 {
        self.indices.get(&callee).copied().unwrap_or(u32::MAX)
    }
}

fn globals() -> GlobalSection {
    let mut globals = GlobalSection::new();
    for _ in 0..GLOBALS {
        let ty = GlobalType { val_type: ValType::I32, mutable: true, shared: false };
        globals.global(ty, &ConstExpr::i32_const(0));
    }
    globals
}
