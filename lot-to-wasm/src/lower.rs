//! Lowering: from the [checked tree](crate::check::tree) of an Action, Model or Rule to a
//! WebAssembly component of its world.
//!
//! The output is a small core module, written by `wasm-encoder`, inside a component. The core
//! module has one function for the run, several for a long one, straight-line code with the
//! structure of the program; whatever depends on the kinds of values at run time is a call into the
//! LoT runtime (`guests/lot-runtime`), whose memory it uses. If the checker knows the kind, numbers
//! and truth values are machine values in locals and never touch memory.
//!
//! In the [standalone](Form::Standalone) form, the component embeds the runtime. In the
//! [linked](Form::Linked) form there is only the core module with its facts; the broker has runtime
//! and [`shell`] compiled once, and instantiates the shell with it. So a thousand Actions share one
//! set of component types, host functions and their glue, which would be many times their own size.
//!
//! A run looks at no memory of an earlier one: it ends by giving back whatever it took, arguments
//! included.
//!
//! Not here: checking (every [`Action`] that comes here is valid) and what the runtime does.

mod ambient;
mod bound;
mod call;
mod code;
mod component;
mod constants;
mod entry;
mod equal;
mod expression;
mod host;
mod interface;
mod json;
mod model;
mod module;
mod operator;
mod pattern;
mod piece;
mod properties;
mod report;
mod rule;
mod runtime;
#[cfg(test)]
mod tests;
mod topic;
mod unroll;
mod variable;
mod write;

pub use bound::TooLarge;
pub(crate) use code::{Callee, Local, memory};
pub(crate) use constants::{ANSWER, CELL_BYTES};
pub(crate) use entry::{Generator, Message, cast_function};
pub(crate) use expression::Representation;
pub(crate) use host::Host;
use lot_facts::Facts;
pub(crate) use model::ADDRESS_BYTES;
pub(crate) use properties::{MessageRecord, refuse_unanswerable};
pub(crate) use runtime::Runtime;
pub(crate) use unroll::UnrollBudget;
pub(crate) use variable::Passes;
pub(crate) use write::Write;

use crate::check::tree::{Action, Model};
use crate::compile::Form;

/// The LoT runtime: the core module that the [`shell`] imports as [`RUNTIME_IMPORT`].
pub const RUNTIME: &[u8] = include_bytes!("../../guests/lot-runtime/prebuilt/lot-runtime.wasm");

/// Name under which the [`shell`] imports the [`RUNTIME`].
pub const RUNTIME_IMPORT: &str = "rt";

/// Name under which a [`shell`] imports the core module of a definition.
pub const MAIN_IMPORT: &str = "main";

/// Worlds of `wit/guest` whose components are generated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum World {
    /// Actions.
    Action,
    /// Models.
    Model,
    /// Rules.
    Rule,
}

/// The component of a world that all its [linked](Form::Linked) definitions share. The same bytes
/// at each call.
pub fn shell(world: World) -> Vec<u8> {
    component::shell(world)
}

/// Generates the component (or the core module) of an Action. Equal trees give equal bytes; costs
/// some microseconds per statement.
///
/// # Errors
/// [`TooLarge`].
pub fn action(action: &Action, form: Form) -> Result<Vec<u8>, TooLarge> {
    Ok(finish(entry::module(action, World::Action)?, &action.facts, World::Action, form))
}

/// Generates the component (or the core module) of a Rule: an Action that is
/// [asked](crate::check::tree::Entry::Asked).
///
/// # Errors
/// [`TooLarge`].
pub fn rule(rule: &Action, form: Form) -> Result<Vec<u8>, TooLarge> {
    Ok(finish(entry::module(rule, World::Rule)?, &rule.facts, World::Rule, form))
}

/// Generates the component (or the core module) of a Model.
///
/// # Errors
/// [`TooLarge`].
pub fn model(model: &Model, form: Form) -> Result<Vec<u8>, TooLarge> {
    Ok(finish(entry::model_module(model)?, &model.run.facts, World::Model, form))
}

fn finish(module: module::Module, facts: &Facts, world: World, form: Form) -> Vec<u8> {
    match form {
        Form::Linked => module.with_facts(&component::facts_section(facts)),
        Form::Standalone => component::standalone(&module, world, facts),
    }
}
