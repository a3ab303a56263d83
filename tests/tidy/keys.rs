//! Keys of routes: each that the compiler takes is read by the guest of its type or by the broker,
//! or says of itself that nothing is done with it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use lot_route_catalogue::all;
use serde_json::Value as Json;

use crate::{assert_none, root};

/// Files in which the broker reads settings itself.
const HOST: [&str; 4] = [
    "broker/programs/src/route_types.rs",
    "broker/programs/src/route_drivers",
    "broker/programs/src/routes",
    "broker/programs/src/routes.rs",
];

/// Files of the host that name keys without reading them.
const HOST_TESTS: [&str; 1] = ["broker/programs/src/route_drivers/schema.rs"];

/// Section of which the broker warns whatever stands in it but for BROKER.
const OTHER_BROKER: &str = "MQTT_CONFIG";

/// How the description of a key begins that is not read.
const UNREAD: [&str; 3] = [
    "says what the type says, and is only checked",
    "for people, nothing is done with it",
    "nothing reads it: ",
];

/// All Rust code below a folder, or of a file.
fn code(path: &Path) -> String {
    if path.is_file() {
        return fs::read_to_string(path).unwrap();
    }
    let entries = fs::read_dir(path).map(|entries| entries.map(|entry| entry.unwrap().path()).collect());
    let entries: Vec<_> = entries.unwrap_or_default();
    let is_code =
        |path: &&std::path::PathBuf| path.is_dir() || path.extension().is_some_and(|end| end == "rs");
    entries.iter().filter(is_code).map(|path| code(path)).collect()
}

/// Code of a guest and of the libraries of guests that it uses.
fn code_of_guest(guest: &str) -> String {
    let folder = root().join("guests").join(guest);
    let (mut all, mut seen) = (code(&folder.join("src")), BTreeSet::new());
    let mut manifests = vec![folder.join("Cargo.toml")];
    while let Some(manifest) = manifests.pop() {
        let text = fs::read_to_string(&manifest).unwrap();
        let dependencies = text.split("[dependencies]").nth(1).unwrap_or_default().lines();
        for name in dependencies.filter_map(|line| line.strip_suffix(".workspace = true")) {
            let library = root().join("guests/lib").join(name);
            if library.is_dir() && seen.insert(name.to_owned()) {
                all.push_str(&code(&library.join("src")));
                manifests.push(library.join("Cargo.toml"));
            }
        }
    }
    all
}

/// Keys below a schema with their places and descriptions.
fn keys(schema: &Json, path: &str, found: &mut Vec<(String, String, String)>) {
    for (name, key) in schema["properties"].as_object().into_iter().flatten() {
        let below = format!("{path}/{name}");
        let is_key = key["properties"].is_null() && key["additionalProperties"].is_null();
        if is_key && path != format!("/sections/{OTHER_BROKER}") {
            found.push((
                below.clone(),
                name.clone(),
                key["description"].as_str().unwrap_or_default().to_owned(),
            ));
        }
        keys(key, &below, found);
    }
    if schema["additionalProperties"].is_object() {
        keys(&schema["additionalProperties"], &format!("{path}/*"), found);
    }
}

#[test]
fn every_key_of_a_route_is_read_or_says_that_it_is_not() {
    let mut host: String = HOST.iter().map(|path| code(&root().join(path))).collect();
    for path in HOST_TESTS {
        let text = fs::read_to_string(root().join(path)).unwrap();
        let (without, _) = text.split_once("#[cfg(test)]").unwrap();
        host = host.replace(&text, without);
    }
    let mut findings = Vec::new();
    for (kind, guest) in all().filter_map(|kind| Some((kind, kind.guest.as_deref()?))) {
        let (of_guest, kind, places) = (code_of_guest(guest), &*kind.name, format!("{:?}", kind.places));
        let (_, schema) = lot_to_wasm::route_schema(kind).unwrap();
        let mut all = Vec::new();
        keys(&schema, "", &mut all);
        for (path, name, description) in all {
            let literal = format!("\"{name}\"");
            let is_read_by_guest = of_guest.contains(&literal);
            let is_said = UNREAD.iter().any(|words| description.contains(words));
            if !is_said && !is_read_by_guest && !host.contains(&literal) && !places.contains(&literal) {
                findings.push(format!("{kind}{path}: neither {guest} nor the broker reads it"));
            }
            if is_said && is_read_by_guest {
                findings.push(format!("{kind}{path}: {guest} reads it, and it says that nothing does"));
            }
        }
    }
    assert_none(&findings);
}
