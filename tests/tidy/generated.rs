//! Generated text is what its generator writes today.

use std::path::Path;

use crate::root;

/// Compares a generated file with what it should be; writes it when `UPDATE` is set.
fn check_fresh(path: &str, expected: &str) {
    let file = root().join(path);
    if std::env::var_os("UPDATE").is_some() {
        write(&file, expected);
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(found == expected, "{path} is stale; run `UPDATE=1 cargo test -p tidy`");
}

fn write(file: &Path, text: &str) {
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, text).unwrap();
}

#[test]
fn configuration_reference_is_fresh() {
    check_fresh("docs/configuration.md", &lotmq_config::markdown());
}

#[test]
fn limits_page_is_fresh() {
    check_fresh("docs/limits.md", &crate::limits::page());
}

#[test]
fn page_of_codes_is_fresh() {
    check_fresh("docs/codes.md", &lotmq_server::codes::markdown());
}

#[test]
fn grammar_of_editors_is_fresh() {
    check_fresh("editors/vscode/syntaxes/lot.tmLanguage.json", &lot_to_wasm::editor::grammar());
}

/// The files that the extension's manifest names exist, and all of it is JSON.
#[test]
fn extension_for_vs_code_is_whole() {
    let folder = root().join("editors/vscode");
    let json = |name: &str| -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(folder.join(name)).unwrap())
            .unwrap_or_else(|error| panic!("{name}: {error}"))
    };
    let manifest = json("package.json");
    assert!(folder.join(manifest["main"].as_str().unwrap()).is_file());
    json(manifest["contributes"]["languages"][0]["configuration"].as_str().unwrap());
    let grammar = &manifest["contributes"]["grammars"][0];
    assert_eq!(json(grammar["path"].as_str().unwrap())["scopeName"], grammar["scopeName"]);
}

#[test]
fn conformance_page_is_fresh() {
    check_fresh("docs/conformance.md", &crate::conformance::page());
}

#[test]
fn contract_page_is_fresh() {
    check_fresh("docs/sdk/reference.md", &crate::contract::page());
}
