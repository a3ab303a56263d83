//! The functions around the statements: the exports, their parameters, and the start function.

use std::collections::BTreeSet;

use lot_facts::{InputKind, Trigger};
use wasm_encoder::{Instruction, ValType};

use super::World;
use super::bound::{IN_PLACE_MAX, TooLarge};
use super::code::{Callee, Code, Local, memory};
use super::constants::{CELL_BYTES, Constants, RESULT};
use super::expression::Representation;
use super::module::{CELLS_BASE, CONSTANTS_BASE, Helper, Module, PENDING};
use super::piece;
use super::runtime::Runtime;
use super::variable::VariableLocation;
use crate::check::tree::{
    Action, CastKind, Constant, Entry, Input, JsonShape, Model, Output, RegexEngine, RegexId,
};
use crate::diagnostic::codes;
use crate::syntax::Position;

/// A run-time error that belongs to the whole Action.
pub(super) const WHOLE: Position = Position { line: 1, column: 1 };

/// Generates the core module of a definition.
pub(super) fn module(action: &Action, world: World) -> Result<Module, TooLarge> {
    let mut generator = Generator::new(action);
    let mut functions = Vec::new();
    for export in Helper::of_world(world) {
        functions.push((*export, generator.export(*export)));
    }
    generator.module(functions)
}

/// Generates the core module of a Model.
pub(super) fn model_module(model: &Model) -> Result<Module, TooLarge> {
    let mut generator = Generator::new(&model.run);
    let run = generator.export(Helper::OnMessage);
    generator.begin_function(&model.build, Helper::Build);
    generator.build_instance(model);
    let build = std::mem::replace(&mut generator.code, Code::new(0));
    generator.module(vec![(Helper::OnMessage, run), (Helper::Build, build)])
}

/// Position of the triggering message among the parameters of the export.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Message {
    /// Parameter with the flag whether there is one; `None` when there always is.
    pub(crate) present: Option<u32>,
    /// Address of the topic; its length follows.
    pub(crate) topic: u32,
    /// Address of the payload; its length follows.
    pub(crate) payload: u32,
}

/// State of the generation of one Action.
pub(crate) struct Generator<'a> {
    pub(super) action: &'a Action,
    /// The function that is being written.
    pub(crate) code: Code,
    pub(super) constants: Constants,
    /// The Action's variables by [`VariableId`].
    pub(super) variables: Vec<VariableLocation>,
    /// Local with the address of those that are in memory.
    pub(super) frame: Option<u32>,
    /// The export that is being written, where it is written in pieces.
    pub(super) in_pieces: Option<Helper>,
    /// Those of all exports so far.
    pub(super) pieces: Vec<(Helper, Code)>,
    /// The triggering message, where the export has one.
    pub(crate) message: Option<Message>,
    /// Local with the cell of the payload; 0 until it is made.
    pub(super) payload_cell: Option<Local>,
    /// Local with the number of loop passes of the run.
    pub(super) passes: Option<Local>,
    /// Local that becomes 1 when a topic has a wildcard that the trigger did not match.
    pub(super) missing: Option<Local>,
    /// Whether the code since the last look may have made the runtime note something.
    pub(super) raises: bool,
    /// Patterns of functions that are written already.
    patterns_of_others: Vec<String>,
    needed: BTreeSet<Helper>,
    /// Comparisons with texts that may still be written in place.
    pub(super) in_place_left: usize,
}

impl<'a> Generator<'a> {
    fn new(action: &'a Action) -> Self {
        Generator {
            action,
            code: Code::new(0),
            constants: Constants::new(),
            variables: Vec::new(),
            frame: None,
            in_pieces: None,
            pieces: Vec::new(),
            message: None,
            payload_cell: None,
            passes: None,
            missing: None,
            raises: false,
            patterns_of_others: Vec::new(),
            needed: BTreeSet::new(),
            in_place_left: IN_PLACE_MAX,
        }
    }

    /// The module with these exports, and their helper functions.
    fn module(mut self, mut functions: Vec<(Helper, Code)>) -> Result<Module, TooLarge> {
        functions.append(&mut self.pieces);
        TooLarge::check(functions.iter().map(|(_, code)| code))?;
        // A helper stands in front of those that it needs.
        for helper in [Helper::Flush, Helper::Warn, Helper::CheckWrite, Helper::Fail] {
            if self.needed.contains(&helper) {
                functions.push((helper, self.helper(helper)));
            }
        }
        // Last, because it copies the constants of all others.
        self.write_start();
        functions.push((Helper::Start, self.code));
        Ok(Module::new(&functions, &self.constants))
    }

    /// Begins another function with statements of its own. Patterns go on being counted where those
    /// before them ended.
    fn begin_function(&mut self, action: &'a Action, export: Helper) {
        let patterns = self.linear_patterns();
        self.patterns_of_others.extend(patterns);
        self.action = action;
        self.code = Code::new(export.parameters());
        self.variables.clear();
        (self.frame, self.in_pieces) = (None, None);
        (self.message, self.payload_cell, self.passes, self.missing) = (None, None, None, None);
        self.raises = false;
    }

    /// The patterns of the current statements that the runtime searches itself.
    fn linear_patterns(&self) -> Vec<String> {
        let linear = self.action.regexes.iter().filter(|regex| regex.engine == RegexEngine::Linear);
        linear.map(|regex| regex.pattern.clone()).collect()
    }

    /// Says that a helper is called.
    pub(super) fn needs(&mut self, helper: Helper) {
        self.needed.insert(helper);
    }

    /// Calls the runtime.
    pub(crate) fn runtime(&mut self, function: Runtime) {
        self.raises |= function.raises();
        self.code.call(Callee::Runtime(function));
    }

    /// Pushes the address of something among the constants.
    pub(crate) fn push_constant_address(&mut self, offset: u32) {
        self.code.push(Instruction::GlobalGet(CONSTANTS_BASE));
        if offset > 0 {
            self.code.u32(offset);
            self.code.push(Instruction::I32Add);
        }
    }

    /// Pushes address and length of a constant text.
    pub(crate) fn push_text(&mut self, text: &str) {
        let place = self.constants.text(text);
        self.push_constant_address(place.offset);
        self.code.u32(place.length);
    }

    /// Pushes the address of a constant's cell.
    pub(crate) fn push_constant(&mut self, constant: &Constant) {
        let offset = self.constants.cell(constant);
        self.code.push(Instruction::GlobalGet(CELLS_BASE));
        if offset > 0 {
            self.code.u32(offset);
            self.code.push(Instruction::I32Add);
        }
    }

    /// The position of a pattern among those that the runtime has; `None` when the host has to
    /// search.
    pub(super) fn linear_pattern(&self, regex: RegexId) -> Option<u32> {
        let index = regex.0 as usize;
        let is_linear = |regex: &&crate::check::tree::Regex| regex.engine == RegexEngine::Linear;
        self.action.regexes.get(index).filter(is_linear)?;
        let before = self.action.regexes.iter().take(index).filter(is_linear).count();
        u32::try_from(self.patterns_of_others.len() + before).ok()
    }

    /// Writes one of the three exports: the run in the one that belongs to the Action's trigger, a
    /// refusal in the others.
    fn export(&mut self, export: Helper) -> Code {
        self.code = Code::new(export.parameters());
        let action = self.action;
        match (export, &action.entry) {
            (Helper::OnMessage, Entry::Triggered(trigger)) if trigger.has_message() => {
                self.begin(export, Some(Message { present: None, topic: 0, payload: 2 }));
                self.block(&action.body);
                self.succeed();
            }
            (Helper::OnEvent, Entry::Triggered(trigger)) if !trigger.has_message() => {
                self.refuse_other_events(trigger);
                self.begin(export, None);
                self.block(&action.body);
                self.succeed();
            }
            (Helper::Call, Entry::Callable { inputs, outputs }) => {
                self.begin(export, Some(Message { present: Some(2), topic: 3, payload: 5 }));
                self.read_inputs(inputs);
                self.block(&action.body);
                self.return_outputs(outputs);
            }
            (Helper::Check, Entry::Asked) => self.check_question(),
            _ => self.fail(codes::RUN_CALL_FAILED, refusal(&action.entry), WHOLE),
        }
        std::mem::replace(&mut self.code, Code::new(0))
    }

    /// Writes a function that the exports call.
    fn helper(&mut self, helper: Helper) -> Code {
        self.code = Code::new(helper.parameters());
        match helper {
            Helper::Flush => self.write_flush(),
            Helper::Warn => self.write_warn(),
            Helper::CheckWrite => self.write_check_write(),
            Helper::Fail => self.write_fail(),
            Helper::Start
            | Helper::OnMessage
            | Helper::OnEvent
            | Helper::Call
            | Helper::Build
            | Helper::Check
            | Helper::Piece(_) => {}
        }
        std::mem::replace(&mut self.code, Code::new(0))
    }

    /// Makes room for the variables of a run, which start Empty.
    pub(super) fn begin(&mut self, export: Helper, message: Option<Message>) {
        self.message = message;
        self.in_pieces = (export != Helper::Check && piece::is_long(&self.action.body)).then_some(export);
        self.place_variables();
    }

    /// Ends the run without an error. Its memory is given back, and stays readable for the host
    /// until the next allocation.
    pub(crate) fn succeed(&mut self) {
        self.end_run();
        self.push_constant_address(RESULT);
        self.code.i32(0);
        self.code.push(Instruction::I32Store8(memory(0, 0)));
        self.push_constant_address(RESULT);
    }

    /// Gives back the memory of the run.
    pub(super) fn end_run(&mut self) {
        self.runtime(Runtime::Reset);
    }

    fn refuse_other_events(&mut self, trigger: &Trigger) {
        self.code.parameter(0);
        self.code.i32(event_case(trigger));
        self.code.push(Instruction::I32Ne);
        self.code.open_if();
        self.fail(codes::RUN_CALL_FAILED, refusal(&self.action.entry), WHOLE);
        self.code.end();
    }

    /// Parameters 0 and 1 of `call` are the list of arguments.
    fn read_inputs(&mut self, inputs: &[Input]) {
        self.refuse_unknown_inputs(inputs);
        let found = self.code.local(ValType::I32);
        for input in inputs {
            self.code.parameter(0);
            self.code.parameter(1);
            self.push_text(&input.name);
            self.runtime(Runtime::Input);
            self.code.tee(found);
            self.code.open_if();
            self.code.get(found);
            self.runtime(Runtime::Adopt);
            if let Some(kind) = input.kind {
                self.runtime(cast_function(input_cast(kind)));
            }
            self.assign(input.variable, Representation::Cell);
            self.code.end();
            self.flush_notes(input.at);
        }
        self.code.release(found);
    }

    fn refuse_unknown_inputs(&mut self, inputs: &[Input]) {
        let names: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
        let message = format!("action `{}` has no input ", self.action.name);
        self.refuse_unknown(Runtime::UnknownInput, &names.join("\0"), codes::RUN_UNKNOWN_INPUT, message);
    }

    /// Ends the run when an argument (parameters 0 and 1) is none of the names.
    pub(super) fn refuse_unknown(&mut self, find: Runtime, names: &str, code: codes::Code, message: String) {
        let name = self.code.local(ValType::I64);
        self.code.parameter(0);
        self.code.parameter(1);
        // No name is empty, so that with no names every argument is unknown.
        self.push_text(names);
        self.runtime(find);
        self.code.tee(name);
        self.code.push(Instruction::I64Eqz);
        self.code.push(Instruction::I32Eqz);
        self.code.open_if();
        self.push_text(&code.to_string());
        self.push_constant(&Constant::Text(message));
        self.push_pair(name);
        self.runtime(Runtime::Data);
        self.runtime(Runtime::Concat2);
        self.runtime(Runtime::Text);
        self.code.set(name);
        self.push_pair(name);
        self.finish_failing(WHOLE);
        self.code.end();
        self.code.release(name);
    }

    /// Pushes address and length of bytes that the runtime returned as one number.
    pub(crate) fn push_pair(&mut self, pair: Local) {
        self.code.get(pair);
        self.code.push(Instruction::I32WrapI64);
        self.code.get(pair);
        self.code.i64(32);
        self.code.push(Instruction::I64ShrU);
        self.code.push(Instruction::I32WrapI64);
    }

    /// Stores the result `ok(list<value>)`.
    fn return_outputs(&mut self, outputs: &[Output]) {
        let list = self.code.local(ValType::I32);
        let count = u32::try_from(outputs.len()).unwrap_or(u32::MAX);
        self.code.u32(count * CELL_BYTES);
        self.runtime(Runtime::Allocate);
        self.code.set(list);
        for (output, offset) in outputs.iter().zip((0..).step_by(CELL_BYTES as usize)) {
            self.variable_cell(output.variable);
            self.runtime(Runtime::Crossing);
            self.copy_cell(list, offset);
        }
        for (offset, value) in [(4, None), (8, Some(count))] {
            self.push_constant_address(RESULT);
            match value {
                Some(number) => self.code.u32(number),
                None => self.code.get(list),
            }
            self.code.push(Instruction::I32Store(memory(offset, 2)));
        }
        self.code.release(list);
        self.succeed();
    }

    /// Copies the cell on the stack to an offset from an address.
    pub(super) fn copy_cell(&mut self, target: Local, offset: u64) {
        let source = self.code.local(ValType::I32);
        self.code.set(source);
        for half in [0, 8] {
            self.code.get(target);
            self.code.get(source);
            self.code.push(Instruction::I64Load(memory(half, 3)));
            self.code.push(Instruction::I64Store(memory(offset + half, 3)));
        }
        self.code.release(source);
    }

    /// The body of [`Helper::Start`].
    fn write_start(&mut self) {
        self.code = Code::new(0);
        let mut patterns = std::mem::take(&mut self.patterns_of_others);
        patterns.extend(self.linear_patterns());
        for pattern in &patterns {
            self.constants.text(pattern);
        }
        let size = u32::try_from(self.constants.data().len()).unwrap_or(u32::MAX);
        self.code.u32(size);
        self.runtime(Runtime::Reserve);
        self.code.push(Instruction::GlobalSet(CONSTANTS_BASE));
        self.push_constant_address(self.constants.cells_offset());
        self.code.push(Instruction::GlobalSet(CELLS_BASE));
        self.push_constant_address(0);
        self.code.i32(0);
        self.code.u32(size);
        self.code.push(Instruction::MemoryInit { mem: 0, data_index: 0 });
        if self.constants.cell_count() > 0 {
            self.code.push(Instruction::GlobalGet(CELLS_BASE));
            self.code.u32(self.constants.cell_count());
            self.push_constant_address(0);
            self.runtime(Runtime::Relocate);
        }
        for pattern in &patterns {
            self.push_text(pattern);
            self.runtime(Runtime::Regex);
        }
        self.runtime(Runtime::Seal);
        self.code.push(Instruction::GlobalSet(PENDING));
    }
}

/// Error message of an export that does not belong to the Action's trigger.
fn refusal(entry: &Entry) -> &'static str {
    match entry {
        Entry::Callable { .. } => "the action is called by name, nothing triggers it",
        Entry::Asked => "a rule is asked, nothing triggers it",
        Entry::Triggered(trigger) if trigger.has_message() => "the action is triggered by messages only",
        Entry::Triggered(_) => "the action is triggered by another event",
    }
}

/// Case numbers of the WIT variant `event`.
fn event_case(trigger: &Trigger) -> i32 {
    match trigger {
        Trigger::Start => 0,
        Trigger::Connect => 2,
        Trigger::Disconnect => 3,
        Trigger::Subscribe { .. } => 4,
        Trigger::Every { .. }
        | Trigger::Calendar { .. }
        | Trigger::Once(_)
        | Trigger::Topic { .. }
        | Trigger::Change { .. }
        | Trigger::Silence { .. }
        | Trigger::Window { .. } => 1,
    }
}

fn input_cast(kind: InputKind) -> CastKind {
    match kind {
        InputKind::String => CastKind::String,
        InputKind::Int => CastKind::Int,
        InputKind::Double => CastKind::Double,
        InputKind::Bool => CastKind::Bool,
        InputKind::Json => CastKind::Json(JsonShape::Any),
    }
}

/// The function of the runtime that casts a cell.
pub(crate) fn cast_function(to: CastKind) -> Runtime {
    match to {
        CastKind::Int => Runtime::ToInt,
        CastKind::Double => Runtime::ToDouble,
        CastKind::Bool => Runtime::ToBool,
        CastKind::String => Runtime::ToString,
        CastKind::Timestamp => Runtime::ToTimestamp,
        CastKind::Bytes => Runtime::ToBytes,
        CastKind::Json(JsonShape::Any) => Runtime::ToJson,
        CastKind::Json(JsonShape::Array) => Runtime::ToArray,
        CastKind::Json(JsonShape::Object) => Runtime::ToObject,
    }
}
