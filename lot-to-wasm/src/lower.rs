//! Lowering: from the [checked tree](crate::check::tree) of an Action to a WebAssembly component of the `action` world.
//!
//! What comes out is a small core module, written by `wasm-encoder`, inside a component. The core module has one function for the
//! run, straight-line code with the structure of the program; whatever depends on the kinds of values at run time is a call into
//! the LoT runtime (`guests/lot-runtime`), whose memory it uses. Where the checker knows the kind, numbers and truth values are
//! machine values in locals and never touch memory.
//!
//! In the [linked](Form::Linked) form the runtime is imported as the core module `rt`, which the broker has compiled once; in the
//! [standalone](Form::Standalone) form it is embedded. Everything else is the same.
//!
//! A run looks at no memory of an earlier one: the host's post-return call gives back whatever the run took, arguments included.
//!
//! Not here: checking (every [`Action`] that comes here is valid) and what the runtime does.

mod call;
mod code;
mod component;
mod constants;
mod entry;
mod expression;
mod host;
mod interface;
mod json;
mod module;
mod operator;
mod report;
mod runtime;
mod setting;
mod statement;
#[cfg(test)]
mod tests;
mod topic;
mod write;

use crate::check::tree::Action;
use crate::compile::Form;

/// The LoT runtime: the core module that [linked](Form::Linked) components import as `rt`.
pub const RUNTIME: &[u8] = include_bytes!("../../guests/lot-runtime/prebuilt/lot-runtime.wasm");

/// Name under which linked components import the [`RUNTIME`].
pub const RUNTIME_IMPORT: &str = "rt";

/// Generates the component of an Action. Equal trees give equal bytes; costs some microseconds per statement.
pub fn action(action: &Action, form: Form) -> Vec<u8> {
    let module = entry::module(action);
    component::wrap(&module, &action.facts, form)
}
