//! A guest of any world whose input is a program of host calls: an interpreter in WebAssembly text,
//! made from the world itself.
//!
//! It calls the core functions behind the world's imports with whatever arguments the program says,
//! so that nothing of what bindings keep a guest from is kept from it: pointers anywhere, lengths
//! that do not fit, texts that are no UTF-8, handles that it never got or has dropped, an allocator
//! that lies. A new host function takes part as soon as it is in `wit/guest`.

use std::fmt::Write as _;
use std::path::Path;

use wasmparser::{CompositeInnerType, ExternalKind, FuncType, Parser, Payload, TypeRef, ValType};
use wit_component::{ComponentEncoder, StringEncoding, dummy_module, embed_component_metadata};
use wit_parser::{LiftLowerAbi, ManglingAndAbi, Resolve, SizeAlign, WorldId, WorldItem};

use crate::meanings::{Meaning, meanings};

/// Address of the pairs of pointer and length that lead to [`TEXTS`].
const TEXT_TABLE: u32 = 1024;

/// Address of the first of [`TEXTS`].
const TEXT_BYTES: u32 = 2048;

/// Address of memory for what host functions return: [`RESULT_SLOTS`] of 8 bytes.
const RESULTS: u32 = 4096;

const RESULT_SLOTS: u32 = 256;

/// Address of memory that a program writes to; its pairs of pointers and lengths lead to [`TEXTS`]
/// until then.
const STRUCTURES: u32 = RESULTS + RESULT_SLOTS * 8;

/// Address of what the allocator has.
const HEAP: u32 = STRUCTURES + 2048;

/// Texts that a program can point to: names that are granted, names that are not, and what fits
/// nowhere.
pub(crate) const TEXTS: &[&[u8]] = &[
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"",
    b"open/a",
    b"open/b",
    b"closed/a",
    b"$SYS/Coreflux/Command",
    b"$SYS/x",
    b"/",
    b"#",
    b"nul\0",
    b"GRANTED",
    b"DENIED",
    b"echo",
    b"listen",
    b"127.0.0.1",
    b"localhost",
    b"callee",
    b"M",
    b"serve",
    b"S.f",
    b"{\"table\":\"t\"}",
    b"{}",
    b"(?=a)(a+)+$",
    b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!",
    b"../../etc/passwd",
    b"text/plain",
    b"\xf4\x8f\xbf\xbf",
    b"$LOT/Models/M/1",
    b"folder",
    b"out",
    b"up/secret",
];

/// So many of them at the beginning are no UTF-8.
pub(crate) const NO_TEXTS: usize = 2;

/// Step of a program, as a byte behind the numbers of the functions.
#[derive(Clone, Copy)]
pub(crate) enum Step {
    /// Writes an argument to a place in the structures.
    Poke,
    /// Keeps the last number that a function returned.
    Keep,
    /// Keeps a number that a function has written: a handle, perhaps.
    Load,
    /// Makes the memory larger.
    Grow,
    /// Says how the allocator behaves from now on.
    Allocate,
    /// Says where the answer of this run is.
    Answer,
    /// Gives up.
    Trap,
}

/// How an argument is said.
#[derive(Clone, Copy)]
pub(crate) enum Argument {
    /// The next byte.
    Byte,
    /// The next four bytes.
    Word,
    /// Address of a text.
    Text,
    /// Length of a text.
    Length,
    /// Address of a place for results.
    Result,
    /// The number that a step has kept.
    Kept,
    /// Address of a structure.
    Structure,
    /// So many bytes before the end of the memory.
    End,
}

/// A function of the host as core WebAssembly sees it.
#[derive(Clone, Debug)]
pub(crate) struct HostFunction {
    pub(crate) module: String,
    pub(crate) name: String,
    pub(crate) parameters: Vec<ValType>,
    results: Vec<ValType>,
    /// Meanings of the parameters; an address and its length share one.
    pub(crate) meanings: Vec<Meaning>,
}

/// The guest of a world.
pub(crate) struct Interpreter {
    pub(crate) functions: Vec<HostFunction>,
    pub(crate) component: Vec<u8>,
}

/// Handler of a world that receives the program, and its way to return the number of calls.
struct Entry {
    name: &'static str,
    /// The parameter with the address, before that with the length; `None` where all parameters are
    /// in memory and the program is the last of them.
    parameter: Option<usize>,
    answer: AnswerKind,
}

/// How a handler says the number of calls.
#[derive(Clone, Copy)]
enum AnswerKind {
    /// As the line of an error.
    Line,
    /// As the bytes of a result.
    Bytes,
    /// As the bytes of a challenge.
    Challenge,
}

const ENTRIES: &[Entry] = &[
    Entry { name: "#on-message", parameter: Some(2), answer: AnswerKind::Line },
    Entry { name: "#check", parameter: Some(13), answer: AnswerKind::Line },
    Entry { name: "#request", parameter: Some(2), answer: AnswerKind::Bytes },
    Entry { name: "#step", parameter: None, answer: AnswerKind::Challenge },
];

impl Interpreter {
    pub(crate) fn of(world: &str) -> Self {
        let mut resolve = Resolve { all_features: true, ..Resolve::default() };
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit/guest");
        let (package, _) = resolve.push_dir(&folder).unwrap();
        let id = resolve.select_world(&[package], Some(world)).unwrap();
        let (mut functions, exports) =
            functions(&dummy_module(&resolve, id, ManglingAndAbi::Legacy(LiftLowerAbi::Sync)));
        for (module, name, meanings) in meanings(&resolve, id) {
            let found = functions.iter_mut().find(|it| it.module == module && it.name == name);
            found.expect("every function of the world is imported").meanings = meanings;
        }
        let mut core = wat::parse_str(text(&functions, &exports, last_of_step(&resolve, id))).unwrap();
        embed_component_metadata(&mut core, &resolve, id, StringEncoding::UTF8).unwrap();
        let component = ComponentEncoder::default().module(&core).unwrap().validate(true).encode().unwrap();
        Self { functions, component }
    }

    /// The byte with which a program says a step.
    pub(crate) fn step(&self, step: Step) -> u8 {
        u8::try_from(self.functions.len() + step as usize).expect("a world has fewer than 249 functions")
    }
}

/// Returns the offset of the last parameter of `step`, if the world has this function. It has too
/// many parameters, so they are passed in memory.
fn last_of_step(resolve: &Resolve, world: WorldId) -> Option<usize> {
    let mut sizes = SizeAlign::default();
    sizes.fill(resolve);
    let handlers = resolve.worlds[world].exports.values().filter_map(|item| match item {
        WorldItem::Interface { id, .. } => Some(*id),
        WorldItem::Function(_) | WorldItem::Type { .. } => None,
    });
    let step = handlers.flat_map(|id| &resolve.interfaces[id].functions).find(|(name, _)| *name == "step")?.1;
    let offsets = sizes.field_offsets(step.params.iter().map(|parameter| &parameter.ty));
    offsets.last().map(|(offset, _)| offset.size_wasm32())
}

/// Imports and exports of a core module that has the shape of a world.
fn functions(module: &[u8]) -> (Vec<HostFunction>, Vec<(String, FuncType)>) {
    let (mut types, mut imports, mut of_functions, mut exports) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for payload in Parser::new(0).parse_all(module) {
        match payload.unwrap() {
            Payload::TypeSection(section) => {
                for group in section {
                    types.extend(group.unwrap().into_types().map(|it| match it.composite_type.inner {
                        CompositeInnerType::Func(function) => function,
                        _ => unreachable!("a module of a world has functions only"),
                    }));
                }
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import.unwrap();
                    let TypeRef::Func(index) = import.ty else {
                        unreachable!("all that is imported is functions")
                    };
                    let of: &FuncType = &types[index as usize];
                    of_functions.push(index);
                    imports.push(HostFunction {
                        module: import.module.to_owned(),
                        name: import.name.to_owned(),
                        parameters: of.params().to_vec(),
                        results: of.results().to_vec(),
                        // Of what drops a handle, which is no function of an interface.
                        meanings: vec![Meaning::Handle],
                    });
                }
            }
            Payload::FunctionSection(section) => of_functions.extend(section.into_iter().map(Result::unwrap)),
            Payload::ExportSection(section) => {
                for export in section {
                    let export = export.unwrap();
                    if export.kind == ExternalKind::Func {
                        let index = of_functions[export.index as usize];
                        exports.push((export.name.to_owned(), types[index as usize].clone()));
                    }
                }
            }
            _ => {}
        }
    }
    (imports, exports)
}

/// The interpreter as WebAssembly text.
fn text(functions: &[HostFunction], exports: &[(String, FuncType)], last_in_memory: Option<usize>) -> String {
    let mut out = String::from("(module\n");
    for (number, function) in functions.iter().enumerate() {
        let HostFunction { module, name, parameters, results, .. } = function;
        writeln!(out, "(import {module:?} {name:?} (func $f{number} {}))", signature(parameters, results))
            .unwrap();
    }
    data(&mut out);
    out.push_str(MACHINE);
    out.push_str("(func $step (param $op i32)\n");
    dispatch(&mut out, functions);
    out.push_str(")\n");
    let clock = functions.iter().position(|it| it.name == "now-ms" || it.name == "protocol-version");
    let clock = clock.map_or(String::new(), |number| call(number, &functions[number]));
    writeln!(out, "(func $call_out {clock})").unwrap();
    for (name, of) in exports {
        if matches!(name.as_str(), "cabi_realloc" | "_initialize") {
            continue;
        }
        write!(out, "(func (export {name:?}) {} ", signature(of.params(), of.results())).unwrap();
        let entry =
            ENTRIES.iter().find(|entry| name.ends_with(entry.name) && !name.starts_with("cabi_post_"));
        if let Some(Entry { parameter, answer, .. }) = entry {
            let (program, len) = if let Some(at) = parameter {
                (format!("local.get {at}"), format!("local.get {}", at + 1))
            } else {
                let at = last_in_memory.expect("only parameters of `step` are in memory");
                let load = |at| format!("i32.load offset={at} (local.get 0)");
                (load(at), load(at + 4))
            };
            write!(out, "(call $run ({program}) ({len})) (call $answer (i32.const {}))", *answer as u8)
                .unwrap();
        } else if !of.results().is_empty() {
            out.push_str("(memory.fill (i32.const 16) (i32.const 0) (i32.const 64)) (i32.const 16)");
        }
        out.push_str(")\n");
    }
    out.push(')');
    out
}

fn signature(parameters: &[ValType], results: &[ValType]) -> String {
    let said = |word: &str, types: &[ValType]| {
        types.iter().fold(String::new(), |all, of| format!("{all} ({word} {of})"))
    };
    said("param", parameters) + &said("result", results)
}

/// Texts, what leads to them, and structures that consist of such pairs.
fn data(out: &mut String) {
    let mut at = TEXT_BYTES;
    let mut table = Vec::new();
    for text in TEXTS {
        let bytes: String = text.iter().map(|byte| format!("\\{byte:02x}")).collect();
        writeln!(out, "(data (i32.const {at}) \"{bytes}\")").unwrap();
        table.extend(at.to_le_bytes());
        let len = u32::try_from(text.len()).unwrap();
        table.extend(len.to_le_bytes());
        at += len;
    }
    assert!(at < RESULTS && table.len() <= (TEXT_BYTES - TEXT_TABLE) as usize);
    for (place, times) in [(TEXT_TABLE, 1), (STRUCTURES, 2048 / table.len())] {
        let bytes: String = table.repeat(times).iter().map(|byte| format!("\\{byte:02x}")).collect();
        writeln!(out, "(data (i32.const {place}) \"{bytes}\")").unwrap();
    }
}

/// A call with the arguments that the program says next; what comes back is remembered.
fn call(number: usize, function: &HostFunction) -> String {
    let mut out = String::new();
    for of in &function.parameters {
        out.push_str(match of {
            ValType::I64 => "(i64.extend_i32_s (call $argument)) ",
            ValType::F32 => "(f32.convert_i32_s (call $argument)) ",
            ValType::F64 => "(f64.convert_i32_s (call $argument)) ",
            _ => "(call $argument) ",
        });
    }
    write!(out, "(global.set $calls (i32.add (global.get $calls) (i32.const 1))) call $f{number} ").unwrap();
    for of in &function.results {
        out.push_str(match of {
            ValType::I32 => "global.set $last ",
            ValType::I64 => "i32.wrap_i64 global.set $last ",
            _ => "drop ",
        });
    }
    out
}

fn dispatch(out: &mut String, functions: &[HostFunction]) {
    let mut bodies: Vec<String> = functions.iter().enumerate().map(|(number, it)| call(number, it)).collect();
    bodies.extend(STEPS.iter().map(|step| (*step).to_owned()));
    let count = bodies.len();
    (0..=count).rev().for_each(|number| write!(out, "(block $b{number} ").unwrap());
    out.push_str("(br_table");
    (0..=count).for_each(|number| write!(out, " $b{number}").unwrap());
    out.push_str(" (local.get $op)))\n");
    for body in bodies {
        writeln!(out, "{body} return)").unwrap();
    }
    // No such step: the program is over.
    out.push_str("(global.set $pc (global.get $end))\n");
}

/// Code of each [`Step`], in their order.
const STEPS: [&str; 7] = [
    "(i32.store (i32.add (global.get $structures) (i32.and (call $argument) (i32.const 0x7fc))) (call $argument))",
    "(i32.store (i32.add (i32.const 512) (i32.and (call $byte) (i32.const 0x3c))) (global.get $last))",
    "(i32.store (i32.add (i32.const 512) (i32.and (call $byte) (i32.const 0x3c)))
        (i32.load offset=4 (i32.add (global.get $results) (i32.mul (call $byte) (i32.const 8)))))",
    "(drop (memory.grow (i32.and (call $argument) (i32.const 0xff))))",
    "(global.set $mode (call $byte))",
    "(global.set $answer_at (call $argument))",
    "unreachable",
];

/// Everything that is the same in all worlds.
const MACHINE: &str = r#"
  (memory (export "memory") 1)
  (global $results i32 (i32.const 4096))
  (global $structures i32 (i32.const 6144))
  (global $heap (mut i32) (i32.const 8192))
  (global $pc (mut i32) (i32.const 0))
  (global $end (mut i32) (i32.const 0))
  (global $last (mut i32) (i32.const 0))
  (global $mode (mut i32) (i32.const 0))
  (global $calls (mut i32) (i32.const 0))
  (global $answer_at (mut i32) (i32.const 0))
  (func (export "cabi_realloc") (param $old i32) (param $old_len i32) (param $align i32) (param $len i32) (result i32)
    (local $at i32)
    (if (i32.eq (global.get $mode) (i32.const 1)) (then (return (i32.const 0))))
    (if (i32.eq (global.get $mode) (i32.const 2)) (then (return (i32.const -16))))
    (if (i32.eq (global.get $mode) (i32.const 3)) (then (return (i32.const 8193))))
    (if (i32.eq (global.get $mode) (i32.const 4)) (then (call $call_out)))
    (if (i32.eq (global.get $mode) (i32.const 5)) (then unreachable))
    (if (i32.eq (global.get $mode) (i32.const 6)) (then (return (global.get $pc))))
    (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 7)) (i32.const -8)))
    (global.set $heap (i32.add (local.get $at) (local.get $len)))
    (if (i32.gt_u (global.get $heap) (i32.mul (memory.size) (i32.const 65536)))
      (then (if (i32.eq (memory.grow (i32.add (i32.div_u (local.get $len) (i32.const 65536)) (i32.const 1))) (i32.const -1))
        (then unreachable))))
    (local.get $at))
  (func $byte (result i32)
    (if (i32.ge_u (global.get $pc) (global.get $end)) (then (return (i32.const 0))))
    (i32.load8_u (global.get $pc))
    (global.set $pc (i32.add (global.get $pc) (i32.const 1))))
  (func $argument (result i32)
    (local $kind i32) (local $byte i32)
    (local.set $kind (i32.and (call $byte) (i32.const 7)))
    (local.set $byte (call $byte))
    (if (i32.eq (local.get $kind) (i32.const 0)) (then (return (local.get $byte))))
    (if (i32.eq (local.get $kind) (i32.const 1)) (then
      (return (i32.or (i32.or (local.get $byte) (i32.shl (call $byte) (i32.const 8)))
        (i32.or (i32.shl (call $byte) (i32.const 16)) (i32.shl (call $byte) (i32.const 24)))))))
    (if (i32.eq (local.get $kind) (i32.const 2)) (then
      (return (i32.load offset=1024 (i32.mul (i32.and (local.get $byte) (i32.const 0x1f)) (i32.const 8))))))
    (if (i32.eq (local.get $kind) (i32.const 3)) (then
      (return (i32.load offset=1028 (i32.mul (i32.and (local.get $byte) (i32.const 0x1f)) (i32.const 8))))))
    (if (i32.eq (local.get $kind) (i32.const 4)) (then
      (return (i32.add (global.get $results) (i32.mul (local.get $byte) (i32.const 8))))))
    (if (i32.eq (local.get $kind) (i32.const 5)) (then
      (return (i32.load offset=512 (i32.and (local.get $byte) (i32.const 0x3c))))))
    (if (i32.eq (local.get $kind) (i32.const 6)) (then
      (return (i32.add (global.get $structures) (i32.mul (local.get $byte) (i32.const 8))))))
    (i32.sub (i32.mul (memory.size) (i32.const 65536)) (local.get $byte)))
  (func $run (param $program i32) (param $len i32)
    (global.set $pc (local.get $program))
    (global.set $end (i32.add (local.get $program) (local.get $len)))
    (global.set $calls (i32.const 0))
    (global.set $answer_at (i32.const 0))
    (block $over (loop $next
      (br_if $over (i32.ge_u (global.get $pc) (global.get $end)))
      (call $step (call $byte))
      (br $next))))
  ;; Number of calls as the line of an error, or as four bytes of a result or of a challenge; or whatever the program said.
  (func $answer (param $kind i32) (result i32)
    (global.set $mode (i32.const 0))
    (global.set $heap (i32.const 8192))
    (if (global.get $answer_at) (then (return (global.get $answer_at))))
    (memory.fill (i32.const 16) (i32.const 0) (i32.const 64))
    (i32.store (i32.const 80) (global.get $calls))
    (if (i32.eq (local.get $kind) (i32.const 0)) (then
      (i32.store8 (i32.const 16) (i32.const 1)) (i32.store (i32.const 36) (global.get $calls))))
    (if (i32.eq (local.get $kind) (i32.const 1)) (then
      (i32.store (i32.const 20) (i32.const 80)) (i32.store (i32.const 24) (i32.const 4))))
    (if (i32.eq (local.get $kind) (i32.const 2)) (then
      (i32.store8 (i32.const 16) (i32.const 3)) (i32.store (i32.const 24) (i32.const 80)) (i32.store (i32.const 28) (i32.const 4))))
    (i32.const 16))
"#;

#[test]
fn addresses_are_those_of_the_machine() {
    assert_eq!((RESULTS, STRUCTURES, HEAP), (4096, 6144, 8192));
    assert!(TEXTS.len() <= 32 && RESULT_SLOTS == 256);
}
