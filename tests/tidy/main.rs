//! The rules of the house, as tests over the repository: layers, file lengths, module docs,
//! generated text, and what documents say about the code.
//!
//! `UPDATE=1 cargo test -p tidy` writes the generated files anew; without it a stale one fails.
#![allow(clippy::unwrap_used, reason = "test code: a failure is a panic with its place")]

mod book;
mod circles;
mod clocks;
mod codes;
mod conformance;
mod contract;
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
