//! Places that have exactly one of something built in: one store, one tenant, one kind of account,
//! one way to refuse a command. Each becomes a port with adaptors, and its count 0.

use super::{Counts, add};
use crate::files::{Source, sources};
use crate::syntax::{Look, Walk, crates};

/// A rule: its name, the folders that it holds for, and texts that break it.
struct Port {
    rule: &'static str,
    folders: &'static [&'static str],
    texts: &'static [&'static str],
    /// Files that are the adaptor themselves.
    adaptors: &'static [&'static str],
}

const PORTS: [Port; 6] = [
    // Batches, rows and identifiers belong to a crate without redb.
    Port {
        rule: "store",
        folders: &["broker/core", "broker/server"],
        texts: &["lotmq_store"],
        adaptors: &[],
    },
    Port {
        rule: "default-tenant",
        folders: &["broker/core", "broker/server"],
        texts: &["default_tenant("],
        adaptors: &[],
    },
    // Limits of something that a tenant has come from the tenant.
    Port {
        rule: "limits",
        folders: &["broker/core", "broker/server"],
        texts: &["config.limits"],
        adaptors: &[],
    },
    // Principals have other sources than stored accounts.
    Port {
        rule: "account-number",
        folders: &["broker/core", "broker/server"],
        texts: &["identity.account"],
        adaptors: &[],
    },
    // A refusal has a code of an enumeration.
    Port { rule: "refusal-text", folders: &["broker/server"], texts: &["Refusal::new("], adaptors: &[] },
    // A verb borrows the parts that it needs.
    Port { rule: "deref", folders: &["broker/server"], texts: &["Deref for "], adaptors: &[] },
];

/// Types of routes. A connector describes itself in its own folder.
const ROUTE_TYPES: [&str; 18] = [
    "CRATEDB",
    "EMAIL",
    "FILE_STORAGE",
    "INFLUXDB",
    "KAFKA",
    "MARIADB",
    "MODBUS_SERIAL",
    "MODBUS_TCP",
    "MONGODB",
    "MYSQL",
    "NATS",
    "OPCUA",
    "OPENSEARCH",
    "POSTGRESQL",
    "REDIS",
    "REST_API",
    "SIEMENS_S7",
    "SQLSERVER",
];

pub(super) fn count(counts: &mut Counts) {
    for source in sources().iter().filter(|source| !source.is_test()) {
        let file = source.path.to_str().unwrap();
        let code = code(source);
        for port in &PORTS {
            let holds = port.folders.iter().any(|folder| source.path.starts_with(folder));
            if holds && !port.adaptors.contains(&file) {
                let found = port.texts.iter().map(|text| code.matches(text).count()).sum();
                add(counts, port.rule, file, found);
            }
        }
        if source.path.starts_with("broker") || source.path.starts_with("lot-to-wasm") {
            let named = ROUTE_TYPES.iter().map(|name| code.matches(&format!("\"{name}\"")).count()).sum();
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
