//! The LoT compiler: text in the Language of Things to a WebAssembly component.
//!
//! `text → tokens → syntax tree → checked tree → component`, phase by phase: [`token`], [`syntax`],
//! [`check`], [`lower`]; all report into [`diagnostic`]. The language is that of the LoT reference;
//! `§` in this crate names its sections, OD-n its decisions.
//!
//! Invariants: no input text makes it panic, overflow the stack or run longer than a small multiple
//! of its length; equal texts give equal bytes; no clock, files, threads or random numbers. Not
//! here: the broker, and what runs a component.
//!
//! Further invariants, with the tests that guard them:
//!
//! - No text makes the compiler panic, overflow the stack, or produce both an error and a
//!   component. Tests `any_bytes_compile_or_are_refused`,
//!   `hostile_nesting_is_refused_without_recursion`.
//! - An accepted program compiles to a bounded component, whatever its shape. Test
//!   `accepted_program_compiles_to_a_bounded_component`.
//! - Formatting keeps the tree and all comments of a program. A second formatting changes nothing.
//!   Tests `comments_survive_wherever_they_stand`, `the_corpus_keeps_its_meaning`.
//! - Each diagnostic code has a program that provokes it. Test
//!   `every_code_has_a_fixture_that_provokes_it`.
//! - Each statement is known in its own file only. Nothing under `broker/` uses the tree types of
//!   the compiler, so only its guest decides a rule. Tests
//!   `a_statement_is_known_in_its_file_alone`, `the_broker_knows_no_tree_of_the_compiler`.
//!
//! # Adding a statement
//!
//! 1. Add `statement/<name>.rs`: grammar and example in its module docs, `FORMS` (how it begins),
//!    `WORDS` (its own keywords), the node with its `Construct`, and `Checked` with its
//!    `Executable`. A statement that the checker turns into another one (`TRIGGER` becomes a
//!    publish to a route, `to_route`) has no `Checked`.
//! 2. Add its `mod` and a line of `statements!` to `statement/mod.rs`. Scopes, inference, facts,
//!    bounds and outlines follow from the walkers `each_part`.
//! 3. Add good and bad programs in `tests/corpus/statement/<name>/`, and a section in
//!    `docs/lot/actions.md`. `UPDATE=1 cargo test -p tidy` colours the words.
//! 4. A new error is a row of `diagnostic/codes.rs`.
//! 5. If editors complete names behind its words: `names` in `editor/proposal.rs` and `named` in
//!    `editor/reference.rs`.
//! 6. If it calls what no other statement calls: `lower/host.rs` (as below `wit/guest`) or
//!    `lower/runtime.rs` (as in `lot-runtime`).

pub mod check;
mod compat;
pub mod compile;
mod connection_string;
pub mod diagnostic;
pub mod editor;
mod format;
pub mod function;
mod fuzz;
mod identifier;
mod keyword;
pub mod limits;
pub mod lower;
mod masked_source;
pub mod notebook;
mod passwords;
pub mod project;
mod route;
mod rule_order;
pub mod script;
pub mod source;
mod split;
pub mod statement;
pub mod syntax;
pub(crate) mod token;
mod topic;
pub mod trigger;

pub use check::RULE_SCOPES;
pub use compat::{Compat, ModelOutput};
pub use compile::{
    Compilation, CompileOptions, Entity, Form, Output, ParsedEntity, check_project, compile, compile_project,
    parse,
};
pub use connection_string::{ConnectionStringFlaw, connection_string_flaws};
pub use diagnostic::{Code, Diagnostic, Severity};
pub use format::{FormatError, format};
pub use fuzz::fuzz_compile;
pub use masked_source::{masked_setting, masked_source};
pub use passwords::{masked_passwords, passwords};
pub use route::{SettingPlace, nearest_route_type, route_schema, route_setting, route_template, template_of};
pub use rule_order::RuleOrder;
