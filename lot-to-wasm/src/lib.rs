//! The LoT compiler: text in the Language of Things to a WebAssembly component.
//!
//! `text → tokens → syntax tree → checked tree → component`, phase by phase: [`token`], [`syntax`],
//! [`check`], [`lower`]; all report into [`diagnostic`]. The language is that of the LoT reference;
//! `§` in this crate names its sections, OD-n its decisions.
//!
//! Invariants: no input text makes it panic, overflow the stack or run longer than a small multiple
//! of its length; equal texts give equal bytes; no clock, files, threads or random numbers. Not
//! here: the broker, and what runs a component.

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
pub use passwords::{masked_passwords, passwords};
pub use route::{SettingPlace, nearest_route_type, route_schema, route_setting, route_template};
pub use rule_order::RuleOrder;
