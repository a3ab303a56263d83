//! Places that have exactly one of something built in: one tenant, one kind of account. Each
//! becomes a port with adaptors, and its count 0.

use lot_route_catalogue::all;

use super::{Counts, add};
use crate::files::{Source, sources};
use crate::syntax::{Look, Walk, crates};

/// Rules: name, folders that it holds for, and the text that breaks it.
const PORTS: [(&str, &[&str], &str); 4] = [
    (
        "default-tenant",
        &["broker/core", "broker/net", "broker/operations", "broker/programs", "broker/server"],
        "default_tenant(",
    ),
    // Limits of something that a tenant has come from the tenant.
    (
        "limits",
        &["broker/core", "broker/net", "broker/operations", "broker/programs", "broker/server"],
        "config.limits",
    ),
    // Principals have other sources than stored accounts.
    (
        "account-number",
        &["broker/core", "broker/net", "broker/operations", "broker/programs", "broker/server"],
        "identity.account",
    ),
    // A verb borrows the parts that it needs.
    ("deref", &["broker/net", "broker/operations", "broker/programs", "broker/server"], "Deref for "),
];

pub(super) fn count(counts: &mut Counts) {
    for source in sources().iter().filter(|source| !source.is_test()) {
        let file = source.path.to_str().unwrap();
        let code = code(source);
        for (rule, folders, text) in PORTS {
            if folders.iter().any(|folder| source.path.starts_with(folder)) {
                add(counts, rule, file, code.matches(text).count());
            }
        }
        if source.path.starts_with("broker") || source.path.starts_with("lot-to-wasm") {
            // A connector describes itself in its own folder.
            let types = all().filter(|kind| kind.guest.is_some());
            let named = types.map(|kind| code.matches(&format!("\"{}\"", kind.name)).count()).sum();
            add(counts, "route-type", file, named);
        }
    }
    for file in crates().into_values().flatten() {
        add(counts, "tuple-parameter", &file.path, Walk::over(&file, Tuples::default()).0);
    }
}

/// Lines of a file that are neither tests nor comments.
fn code(source: &Source) -> String {
    let text = source.text_without_tests();
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.flat_map(|line| [line, "\n"]).collect()
}

/// Parameters that are taken apart where they are declared: a structure with names says more.
#[derive(Default)]
struct Tuples(usize);

impl Look for Tuples {
    fn function(walk: &mut Walk<Self>, signature: &syn::Signature, _: &syn::Block) {
        let is_tuple = |input: &&syn::FnArg| matches!(input, syn::FnArg::Typed(typed) if matches!(*typed.pat, syn::Pat::Tuple(_)));
        walk.found.0 += signature.inputs.iter().filter(is_tuple).count();
    }
}
