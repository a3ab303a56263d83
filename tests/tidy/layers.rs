//! Dependencies point one way, and what is free of I/O stays so.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use crate::files::{Source, sources};
use crate::{assert_none, root};

/// Our crates by layer; one may depend on crates of lower layers only.
const LAYERS: [(&str, u8); 46] = [
    ("lot-facts", 0),
    ("lot-nearest", 0),
    ("lot-patterns", 0),
    ("lot-tags", 0),
    ("lot-route-catalogue", 0),
    ("lotmq-codec", 0),
    ("lotmq-websocket", 0),
    ("lotmq-allocator", 0),
    ("lotmq-pulse", 0),
    ("lotmq-shares", 0),
    ("lotmq-histogram", 0),
    ("lotmq-disk", 0),
    ("lotmq-chain", 0),
    ("lotmq-connection-string", 0),
    ("lotmq-zstd", 0),
    ("lotmq-terminal", 0),
    ("lotmq-toolchain", 0),
    ("lotmq-changes", 1),
    ("lot-to-wasm", 1),
    ("lotmq-session", 1),
    ("lotmq-router", 1),
    ("lotmq-client", 1),
    ("lotmq-connect", 2),
    ("lotmq-config", 2),
    ("lotmq-store", 2),
    ("lotmq-auth", 2),
    ("lotmq-definitions", 2),
    ("lotmq-host", 2),
    ("lotmq-core", 3),
    ("lotmq-import", 3),
    ("lotmq-jwt", 3),
    ("lotmq-project", 3),
    ("lotmq-codes", 4),
    ("lotmq-process", 4),
    ("lotmq-instructions", 4),
    ("lotmq-simulation", 4),
    ("lotmq-net", 5),
    ("lotmq-programs", 5),
    ("lotmq-admin", 6),
    ("lotmq-operations", 6),
    ("lotmq-server", 7),
    ("lotmq-lsp", 8),
    ("lotmq-runner", 8),
    ("lotmq", 9),
    ("lotmq-test-support", 8),
    ("lotmq-bench", 9),
];

/// Feature of wasmtime that stays off: with it each call of a guest goes through a scheduler and
/// takes two to three times as long, and one crate that wants it would switch it on for all.
const SLOW_FEATURE: &str = "component-model-async";

/// Crates that know nothing of the broker: their only dependencies among ours.
const OWN_WORLD: [(&str, &[&str]); 7] = [
    ("lot-facts", &[]),
    ("lot-nearest", &[]),
    ("lot-patterns", &[]),
    ("lot-route-catalogue", &[]),
    ("lot-tags", &[]),
    ("lotmq-connection-string", &[]),
    (
        "lot-to-wasm",
        &[
            "lot-facts",
            "lot-nearest",
            "lot-patterns",
            "lot-route-catalogue",
            "lot-tags",
            "lotmq-connection-string",
        ],
    ),
];

/// Crates without I/O, clock, threads and chance.
const SANS_IO: [&str; 15] = [
    "lotmq-codec",
    "lotmq-changes",
    "lotmq-websocket",
    "lotmq-zstd",
    "lotmq-histogram",
    "lotmq-session",
    "lotmq-router",
    "lotmq-core",
    "lotmq-simulation",
    "lot-to-wasm",
    "lot-facts",
    "lot-nearest",
    "lot-patterns",
    "lot-route-catalogue",
    "lot-tags",
];

/// Crates of ours that such a crate calls although they have I/O, chance or a clock inside.
const CALLED_WITH_IO: [(&str, &[&str]); 2] = [
    ("lotmq-core", &["lotmq-auth", "lotmq-config", "lotmq-definitions"]),
    (
        "lotmq-simulation",
        &["lotmq-core", "lotmq-store", "lotmq-auth", "lotmq-config", "lotmq-definitions", "lotmq-disk"],
    ),
];

/// Files of the broker that name the store, and what for. All other code writes and reads by the
/// traits of a log (`lotmq_changes`), so that another log can take the place of the store.
const NAMES_STORE: [(&str, &str); 11] = [
    ("broker/process/src/disk_room.rs", "free space of the disk"),
    ("broker/programs/src/route_drivers/folders.rs", "size of the disk"),
    ("broker/operations/src/backup/archive.rs", "whether an error says that the disk is full"),
    ("broker/operations/src/backup/spool.rs", "free space of the disk"),
    ("broker/operations/src/command/audit.rs", "whether an error says that the disk is full"),
    ("broker/operations/src/command/backup.rs", "free space of the disk"),
    ("broker/server/src/server.rs", "opens the store of a broker"),
    ("broker/server/src/server/embedded.rs", "opens the store of an embedded broker"),
    ("broker/server/src/server/offline_password.rs", "opens the store of a broker that is stopped"),
    ("broker/server/src/server/snapshot_socket.rs", "exports the store of a broker that is stopped"),
    ("broker/server/src/server/warm.rs", "opens a copy of the store"),
];

/// Crates that would bring these in.
const BRINGS_IO: [&str; 11] = [
    "tokio",
    "mio",
    "socket2",
    "rustix",
    "wasmtime",
    "redb",
    "getrandom",
    "rand",
    "jiff",
    "chrono",
    "tempfile",
];

/// Names of a package's dependencies, without those for tests and builds.
type Dependencies = BTreeMap<String, BTreeSet<String>>;

/// Of this platform only: packages of others were never downloaded.
fn metadata() -> Value {
    let version = Command::new("rustc").arg("-vV").output().unwrap();
    let version = String::from_utf8(version.stdout).unwrap();
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--offline", "--locked", "--filter-platform", host])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The resolved graph by package names. Versions of one package count as one: enough to tell who
/// reaches whom.
fn resolved(metadata: &Value) -> Dependencies {
    let names: BTreeMap<&str, &str> = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| (package["id"].as_str().unwrap(), package["name"].as_str().unwrap()))
        .collect();
    let mut graph = Dependencies::new();
    for node in metadata["resolve"]["nodes"].as_array().unwrap() {
        let name = names[node["id"].as_str().unwrap()];
        let is_normal = |dependency: &&Value| {
            dependency["dep_kinds"].as_array().unwrap().iter().any(|kind| kind["kind"].is_null())
        };
        let used = node["deps"].as_array().unwrap().iter().filter(is_normal);
        let entry = graph.entry(name.to_owned()).or_default();
        entry.extend(used.map(|dependency| names[dependency["pkg"].as_str().unwrap()].to_owned()));
    }
    graph
}

fn layer(name: &str) -> Option<u8> {
    LAYERS.iter().find(|(known, _)| *known == name).map(|(_, layer)| *layer)
}

#[test]
fn dependencies_point_downwards() {
    let graph = resolved(&metadata());
    let mut findings = Vec::new();
    for (name, own_layer) in LAYERS {
        for used in &graph[name] {
            if layer(used).is_some_and(|layer| layer >= own_layer) {
                findings.push(format!("{name} must not depend on {used}"));
            }
        }
    }
    for (name, allowed) in OWN_WORLD {
        let ours = graph[name].iter().filter(|used| layer(used).is_some());
        let foreign = ours.filter(|used| !allowed.contains(&used.as_str()));
        findings.extend(foreign.map(|used| format!("{name} must not know {used}")));
    }
    assert_none(&findings);
}

/// Paths of the compiler that lead to its trees. Only text goes in from the broker, and components,
/// facts and diagnostics come out.
const TREES: [&str; 7] = [
    "lot_to_wasm::syntax",
    "lot_to_wasm::statement",
    "lot_to_wasm::trigger",
    "lot_to_wasm::parse",
    "lot_to_wasm::check::tree",
    "lot_to_wasm::ParsedEntity",
    "lot_to_wasm::*",
];

#[test]
fn the_broker_knows_no_tree_of_the_compiler() {
    let mut findings = Vec::new();
    for source in sources().iter().filter(|source| source.path.starts_with("broker")) {
        let file = source.path.display();
        let text = source.text.replace(char::is_whitespace, "");
        // The names of a grouped `use` stand behind its brace.
        let grouped = text.split("lot_to_wasm::{").skip(1).filter_map(|rest| rest.split_once("};"));
        let words =
            grouped.flat_map(|(names, _)| names.split([',', '{'])).map(|name| format!("lot_to_wasm::{name}"));
        let mut used: Vec<String> = words.collect();
        used.push(text.clone());
        let is_tree = |tree: &&&str| {
            used.iter().any(|text| {
                text.match_indices(**tree).any(|(at, _)| {
                    !text[at + tree.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '_')
                })
            })
        };
        findings.extend(TREES.iter().filter(is_tree).map(|tree| format!("{file} uses {tree}")));
    }
    assert_none(&findings);
}

/// The packages that `name` reaches, itself among them, without those that it calls by their faces.
fn reached<'a>(graph: &'a Dependencies, name: &'a str, called: &[&str]) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut open = vec![name];
    while let Some(next) = open.pop() {
        if reached.insert(next) {
            let used = graph[next].iter().map(String::as_str);
            open.extend(used.filter(|used| !called.contains(used)));
        }
    }
    reached
}

/// The packages that bring I/O among those that `name` reaches, but for what it calls by their
/// faces.
fn reached_io(graph: &Dependencies, name: &str, called: &[&str]) -> Vec<&'static str> {
    let reached = reached(graph, name, called);
    BRINGS_IO.into_iter().filter(|package| reached.contains(package)).collect()
}

#[test]
fn crates_without_io_reach_none() {
    let graph = resolved(&metadata());
    let called: BTreeMap<&str, &[&str]> = CALLED_WITH_IO.into_iter().collect();
    let mut findings = Vec::new();
    for name in SANS_IO {
        let called = called.get(name).copied().unwrap_or_default();
        let io = reached_io(&graph, name, called);
        findings.extend(io.into_iter().map(|package| format!("{name} reaches {package}")));
        let needless = called.iter().filter(|called| reached_io(&graph, called, &[]).is_empty());
        findings
            .extend(needless.map(|called| format!("{called} has no I/O; take it off the list of {name}")));
    }
    assert_none(&findings);
}

#[test]
fn core_reaches_no_database() {
    let graph = resolved(&metadata());
    let reached = reached(&graph, "lotmq-core", &[]);
    assert!(reached.contains("lotmq-changes"), "the core makes batches");
    let databases = ["lotmq-store", "redb"].into_iter().filter(|package| reached.contains(package));
    assert_none(&databases.map(|package| format!("lotmq-core reaches {package}")).collect::<Vec<_>>());
}

#[test]
fn only_the_assembly_of_the_broker_names_the_store() {
    let folders = ["broker/core", "broker/operations", "broker/programs", "broker/server", "broker/process"];
    let is_of_broker =
        |source: &&Source| !source.is_test() && folders.iter().any(|folder| source.path.starts_with(folder));
    let names_store = |source: &Source| {
        let text = source.text_without_tests();
        text.lines().any(|line| !line.trim_start().starts_with("//") && line.contains("lotmq_store::"))
    };
    let sources = sources();
    let found: BTreeSet<&str> = sources
        .iter()
        .filter(is_of_broker)
        .filter(|source| names_store(source))
        .filter_map(|source| source.path.to_str())
        .collect();
    let known: BTreeSet<&str> = NAMES_STORE.iter().map(|(path, _)| *path).collect();
    let unknown = found.difference(&known).map(|path| format!("{path} names the store"));
    let needless = known
        .difference(&found)
        .map(|path| format!("{path} does not name the store; take it out of the list"));
    assert_none(&unknown.chain(needless).collect::<Vec<_>>());
}

#[test]
fn no_feature_makes_calls_of_guests_slow() {
    let metadata = metadata();
    let nodes = metadata["resolve"]["nodes"].as_array().unwrap();
    let is_wasmtime = |node: &&Value| {
        node["id"].as_str().is_some_and(|id| id.contains("#wasmtime@") || id.contains("/wasmtime#"))
    };
    let wasmtime: Vec<&Value> = nodes.iter().filter(is_wasmtime).collect();
    assert_eq!(wasmtime.len(), 1, "one version of the engine");
    let features = wasmtime[0]["features"].as_array().unwrap();
    assert!(
        features.iter().all(|feature| feature != SLOW_FEATURE),
        "{SLOW_FEATURE} is on: cargo tree -e features -i wasmtime"
    );
}

#[test]
fn every_crate_of_ours_has_a_layer() {
    let metadata = metadata();
    let members = metadata["workspace_members"].as_array().unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let ours = packages.iter().filter(|package| members.contains(&package["id"]));
    let names: Vec<&str> = ours.map(|package| package["name"].as_str().unwrap()).collect();
    let unknown = names.iter().filter(|name| layer(name).is_none() && !["tidy", "xtask"].contains(name));
    assert_none(&unknown.map(|name| format!("{name} is in no layer")).collect::<Vec<_>>());
}
