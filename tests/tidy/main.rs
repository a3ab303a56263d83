//! The rules of the house, as tests over the repository: layers, file lengths, module docs,
//! generated text, and what documents say about the code.
//!
//! `UPDATE=1 cargo test -p tidy` writes the generated files anew; without it a stale one fails.
//!
//! Further invariants, with the tests that guard them:
//!
//! - Functions have at most 70 lines, structures 20 fields, types an `impl` in 3 files and a name
//!   of their own. Each rule has a list of exceptions that only shrinks. Tests
//!   `no_function_is_too_long`, `no_structure_has_too_many_fields`,
//!   `no_type_is_spread_over_many_files`, `no_name_is_given_to_two_types`.
//! - Each code that the broker and the tools report is explained. Test `every_code_is_explained`.
//! - Generated reference pages match their source. Tests `configuration_reference_is_fresh`,
//!   `limits_page_is_fresh`, `conformance_page_is_fresh`, `page_of_codes_is_fresh`,
//!   `contract_page_is_fresh`.
//! - Each normative statement of MQTT 5.0 and 3.1.1 for a server has a test that cites it. If a
//!   Client can violate the statement, a second test does so. Test
//!   `every_statement_for_a_server_has_its_tests`.
#![allow(clippy::unwrap_used, reason = "test code: a failure is a panic with its place")]

mod book;
mod circles;
mod clocks;
mod codes;
mod conformance;
mod contract;
mod details;
mod documents;
mod exceptions;
mod files;
mod generated;
mod keys;
mod layers;
mod limits;
mod names;
mod ratchet;
mod reference;
mod scripts;
mod shapes;
mod statements;
mod syntax;
mod transports;
mod verbs;

use std::path::{Path, PathBuf};

/// The folder of the workspace.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

/// Fails with one line for each finding.
fn assert_none(findings: &[String]) {
    assert!(findings.is_empty(), "{} findings:\n{}", findings.len(), findings.join("\n"));
}
