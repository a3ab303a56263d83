//! Lowering: from the [checked tree](crate::check::tree) of an Action to a WebAssembly component of the `action` world.
//!
//! What comes out is a small core module, written by `wasm-encoder`, inside a component. The core module has one function for the
//! run, straight-line code with the structure of the program; whatever depends on the kinds of values at run time is a call into
//! the LoT runtime (`guests/lot-runtime`), whose memory it uses. Where the checker knows the kind, numbers and truth values are
//! machine values in locals and never touch memory.
//!
//! In the [standalone](Form::Standalone) form, the component embeds the runtime. In the [linked](Form::Linked) form there is only the
//! core module with its facts; the broker has runtime and [`shell`] compiled once, and instantiates the shell with it. So a thousand
//! Actions share one set of component types, host functions and their glue, which would be many times their own size.
//!
//! A run looks at no memory of an earlier one: it ends by giving back whatever it took, arguments included.
//!
//! Not here: checking (every [`Action`] that comes here is valid) and what the runtime does.

mod ambient;
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
mod pattern;
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

/// The LoT runtime: the core module that the [`shell`] imports as [`RUNTIME_IMPORT`].
pub const RUNTIME: &[u8] = include_bytes!("../../guests/lot-runtime/prebuilt/lot-runtime.wasm");

/// Name under which the [`shell`] imports the [`RUNTIME`].
pub const RUNTIME_IMPORT: &str = "rt";

/// Name under which the [`shell`] imports the core module of an Action.
pub const MAIN_IMPORT: &str = "main";

/// The component of the world `action` that all [linked](Form::Linked) Actions share. The same bytes at each call.
pub fn shell() -> Vec<u8> {
    component::shell()
}

/// Generates the component (or the core module) of an Action. Equal trees give equal bytes; costs some microseconds per statement.
pub fn action(action: &Action, form: Form) -> Vec<u8> {
    let module = entry::module(action);
    match form {
        Form::Linked => module.with_facts(&component::facts_section(&action.facts)),
        Form::Standalone => component::standalone(&module, &action.facts),
    }
}
