//! Many messages in one call: the interface `action-batches` of the [shell](super::shell), around a
//! core module that knows nothing of it.
//!
//! A program writes through the gate. During a batch, the gate keeps the writes in the guest's
//! memory; otherwise it passes them to the host. The entrance calls the program for each message of
//! a batch. Both are modules of the shell, so all definitions share their code.

use wasm_encoder::{
    BlockType, CodeSection, EntityType, ExportKind, ExportSection, Function, FunctionSection, ImportSection,
    Instruction, Module, TypeSection, ValType,
};

use super::super::code::memory;
use super::super::host::Host;
use super::super::module::Helper;
use super::super::runtime::Runtime;
use super::super::{MAIN_IMPORT, RUNTIME_IMPORT, World};
use super::MEMORY;

/// Functions of the host whose effects a batch keeps.
pub(super) const GATED: [Host; 4] = [Host::Publish, Host::Keep, Host::Forget, Host::Report];

/// Kinds of effects, as `wit/guest/unstable-batches.wit` lists them. A message's is its quality of
/// service, and 4 with RETAIN.
const RETAIN_BIT: i32 = 2;
const KEEP: i32 = 8;
const FORGET: i32 = 9;
/// And the severity.
const REPORT: i32 = 16;
const RUN_ERROR: i32 = 32;

/// Offsets in a program's result `result<_, run-error>`.
const ERROR_PARTS: [u64; 6] = [4, 8, 12, 16, 20, 24];

/// Name of the export.
pub(super) const ON_MESSAGES: &str = "on-messages";
/// Addresses and lengths of the two lists.
const ON_MESSAGES_PARAMETERS: [ValType; 4] = [ValType::I32; 4];

#[derive(Default)]
struct Writer {
    types: TypeSection,
    imports: ImportSection,
    functions: FunctionSection,
    exports: ExportSection,
    code: CodeSection,
    imported: u32,
}

impl Writer {
    fn ty(&mut self, parameters: &[ValType], results: &[ValType]) -> u32 {
        self.types.ty().function(parameters.iter().copied(), results.iter().copied());
        self.types.len() - 1
    }

    fn import(&mut self, module: &str, name: &str, parameters: &[ValType], results: &[ValType]) -> u32 {
        let ty = self.ty(parameters, results);
        self.imports.import(module, name, EntityType::Function(ty));
        self.imported += 1;
        self.imported - 1
    }

    fn import_runtime(&mut self, function: Runtime) -> u32 {
        self.import(RUNTIME_IMPORT, function.name(), function.parameters(), function.results())
    }

    fn import_memory(&mut self) {
        self.imports.import(RUNTIME_IMPORT, "memory", EntityType::Memory(MEMORY));
    }

    fn define(
        &mut self,
        name: &str,
        (parameters, results): (&[ValType], &[ValType]),
        locals: u32,
        instructions: &[Instruction<'_>],
    ) {
        let ty = self.ty(parameters, results);
        self.functions.function(ty);
        self.exports.export(name, ExportKind::Func, self.imported + self.functions.len() - 1);
        let mut function = Function::new([(locals, ValType::I32)]);
        instructions.iter().for_each(|instruction| {
            function.instruction(instruction);
        });
        function.instruction(&Instruction::End);
        self.code.function(&function);
    }

    fn finish(self) -> Vec<u8> {
        let mut module = Module::new();
        module.section(&self.types).section(&self.imports);
        module.section(&self.functions).section(&self.exports).section(&self.code);
        module.finish()
    }
}

/// A module with the functions [`GATED`]: it imports those of the host, and exports others under
/// the same names.
pub(super) fn gate() -> Vec<u8> {
    let mut writer = Writer::default();
    writer.import_memory();
    let write = writer.import_runtime(Runtime::BatchWrite);
    let hosts = GATED.map(|function| {
        let declaration = function.declaration();
        let (parameters, results) = (declaration.core_parameters, declaration.core_results);
        writer.import("host", &function.import_name(), parameters, results)
    });
    for (function, host) in GATED.into_iter().zip(hosts) {
        let declaration = function.declaration();
        let signature = (declaration.core_parameters, declaration.core_results);
        writer.define(&function.import_name(), signature, 0, &gated(function, host, write));
    }
    writer.finish()
}

/// Keeps an effect, or passes it on.
#[allow(clippy::wildcard_enum_match_arm, reason = "no other function is gated")]
fn gated(function: Host, host: u32, write: u32) -> Vec<Instruction<'static>> {
    use Instruction::{Call, Else, End, I32Add, I32Const, I32Or, I32Shl, I32Store8, If, LocalGet};
    let get = |parameters: &[u32]| parameters.iter().map(|index| LocalGet(*index)).collect::<Vec<_>>();
    let none = [I32Const(0), I32Const(0)];
    // Kind, head, body, place; then the parameter with the address of the answer, if there is one.
    let (effect, answer) = match function {
        Host::Publish => {
            let kind = [LocalGet(4), LocalGet(5), I32Const(RETAIN_BIT), I32Shl, I32Or].to_vec();
            ([kind, get(&[0, 1, 2, 3]), none.to_vec()].concat(), Some(6))
        }
        Host::Keep => ([vec![I32Const(KEEP)], get(&[0, 1, 2, 3]), none.to_vec()].concat(), Some(4)),
        Host::Forget => {
            ([vec![I32Const(FORGET)], get(&[0, 1]), none.to_vec(), none.to_vec()].concat(), Some(2))
        }
        _ => ([vec![LocalGet(0), I32Const(REPORT), I32Add], get(&[1, 2, 3, 4, 5, 6])].concat(), None),
    };
    let mut code = effect;
    code.extend([Call(write), If(BlockType::Empty)]);
    if let Some(answer) = answer {
        code.extend([LocalGet(answer), I32Const(0), I32Store8(memory(0, 0))]);
    }
    code.push(Else);
    code.extend((0..).take(function.declaration().core_parameters.len()).map(LocalGet));
    code.extend([Call(host), End]);
    code
}

/// A module that exports the functions that it imports, those of a module of the world, and for
/// Actions one that calls theirs.
///
/// The [`shell`](super::shell) lifts its exports instead of the Action's own. The module of those
/// is known only when the shell is instantiated, so wasmtime looks each of them up by name and
/// makes a reference to it anew at every call. An import of a module that is compiled with the
/// component needs neither.
pub(super) fn entrance(world: World) -> Vec<u8> {
    let mut writer = Writer::default();
    let mut on_message = None;
    for (name, parameters, results) in Helper::exports(world) {
        let index = writer.import(MAIN_IMPORT, name, parameters, results);
        writer.exports.export(name, ExportKind::Func, index);
        on_message = on_message.or(Some(index));
    }
    if let (World::Action, Some(on_message)) = (world, on_message) {
        writer.import_memory();
        let [begin, next, write, end] =
            [Runtime::BatchBegin, Runtime::BatchNext, Runtime::BatchWrite, Runtime::BatchEnd]
                .map(|function| writer.import_runtime(function));
        let code = on_messages(on_message, [begin, next, write, end]);
        writer.define(ON_MESSAGES, (&ON_MESSAGES_PARAMETERS, &[ValType::I32]), 1, &code);
    }
    writer.finish()
}

fn on_messages(on_message: u32, [begin, next, write, end]: [u32; 4]) -> Vec<Instruction<'static>> {
    use Instruction::{
        Br, BrIf, Call, Drop, End, I32Const, I32Eqz, I32Load, I32Load8U, If, LocalGet, LocalTee, Loop,
    };
    /// Local with the address of a message; then with the result of its run.
    const PLACE: u32 = 4;
    let mut code = vec![LocalGet(0), LocalGet(1), LocalGet(2), LocalGet(3), Call(begin)];
    code.extend([Instruction::Block(BlockType::Empty), Loop(BlockType::Empty)]);
    code.extend([Call(next), LocalTee(PLACE), I32Eqz, BrIf(1)]);
    for offset in [0, 4, 8, 12] {
        code.extend([LocalGet(PLACE), I32Load(memory(offset, 2))]);
    }
    // Quality of service 0, no RETAIN, no Client Identifier: programs see none of these.
    code.extend([I32Const(0), I32Const(0), I32Const(1), I32Const(0), Call(on_message)]);
    code.extend([LocalTee(PLACE), I32Load8U(memory(0, 0)), If(BlockType::Empty), I32Const(RUN_ERROR)]);
    for offset in ERROR_PARTS {
        code.extend([LocalGet(PLACE), I32Load(memory(offset, 2))]);
    }
    code.extend([Call(write), Drop, End, Br(0), End, End, Call(end)]);
    code
}
