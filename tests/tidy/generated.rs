//! Generated text is what its generator writes today.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use lot_route_catalogue::RouteType;

use crate::conformance::PAGES;
use crate::details::fold;
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

/// Files of a folder, by name.
fn texts(folder: &str) -> BTreeMap<String, String> {
    let entries = std::fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path());
    let text = |path: PathBuf| {
        (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read_to_string(path).unwrap())
    };
    entries.filter(|path| path.is_file()).map(text).collect()
}

/// The SDK is a package of its own, which has to contain the contract that it implements.
#[test]
fn contract_in_the_sdk_is_that_of_the_broker() {
    let (contract, copy) = ("wit/guest", "sdk/rust/wit");
    let wanted = texts(contract);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::remove_dir_all(root().join(copy)).unwrap();
        wanted.iter().for_each(|(name, text)| write(&root().join(copy).join(name), text));
    }
    assert!(
        texts(copy) == wanted,
        "{copy} is not {contract}; run `UPDATE=1 cargo test -p tidy`, then `cargo xtask guests`"
    );
}

/// The published package of the SDK has all files that its sources name.
#[test]
fn package_of_the_sdk_is_whole() {
    let folder = root().join("sdk/rust");
    let arguments = ["package", "--list", "--offline", "--allow-dirty"];
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(&folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let listed = String::from_utf8(output.stdout).unwrap();
    for part in ["src", "wit"] {
        for name in texts(&format!("sdk/rust/{part}")).into_keys() {
            let path = format!("{part}/{name}");
            assert!(listed.lines().any(|line| line == path), "the package has no {path}");
        }
    }
}

#[test]
fn configuration_reference_is_fresh() {
    check_fresh("docs/configuration.md", &lotmq_config::markdown());
}

/// These files come from the same table as `/metrics`.
#[test]
fn documents_of_metrics_are_fresh() {
    check_fresh("docs/metrics.md", &lotmq_server::metrics_documents::page());
    check_fresh("docs/grafana/broker.json", &lotmq_server::metrics_documents::board());
    check_fresh("docs/prometheus/alerts.yml", &lotmq_server::metrics_documents::alert_rules());
}

#[test]
fn limits_page_is_fresh() {
    check_fresh("docs/limits.md", &crate::limits::page());
}

#[test]
fn reference_of_the_language_is_fresh() {
    check_fresh("docs/lot/reference.md", &crate::reference::page());
    check_fresh("docs/lot/words.md", &crate::reference::words_page());
}

#[test]
fn page_of_codes_is_fresh() {
    check_fresh("docs/codes.md", &fold(&lotmq_codes::markdown(), &[]));
}

#[test]
fn page_of_commands_is_fresh() {
    check_fresh("docs/commands.md", &lotmq_server::commands_markdown());
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

/// Table of the connectors, one row for each page, by the names of the types.
fn connectors() -> String {
    let mut pages: BTreeMap<&str, Vec<&RouteType>> = BTreeMap::new();
    for kind in lot_route_catalogue::all() {
        pages.entry(kind.page.as_deref().unwrap_or_default()).or_default().push(kind);
    }
    pages.remove("");
    let row = |(page, types): (&&str, &Vec<&RouteType>)| {
        let names = |separator: &str, quote: &str| {
            let names: Vec<_> = types.iter().map(|kind| format!("{quote}{}{quote}", kind.name)).collect();
            names.join(separator)
        };
        let title = match *page {
            "../lot/routes.md" => "Routes".to_owned(),
            page if page.starts_with("../sdk/modules.md") => "Modules".to_owned(),
            _ => names(" and ", ""),
        };
        format!("| {} | {} | [{title}]({page}) |\n", names(", ", "`"), types[0].description)
    };
    let mut rows: Vec<String> = pages.iter().map(row).collect();
    rows.sort();
    rows.concat()
}

#[test]
fn table_of_connectors_is_fresh() {
    const PAGE: &str = "docs/routes/README.md";
    const HEAD: &str = "| type | connects with | page |\n|---|---|---|\n";
    let text = std::fs::read_to_string(root().join(PAGE)).unwrap();
    let (before, _) = text.split_once(HEAD).unwrap();
    check_fresh(PAGE, &format!("{before}{HEAD}{}", connectors()));
}

#[test]
fn conformance_page_is_fresh() {
    for page in PAGES {
        check_fresh(page.path, &page.text());
    }
}

#[test]
fn contract_page_is_fresh() {
    check_fresh("docs/sdk/reference.md", &crate::contract::page());
}
