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
    check_fresh("docs/configuration.md", &lotmq_server::config::markdown());
}

#[test]
fn limits_page_is_fresh() {
    check_fresh("docs/limits.md", &crate::limits::page());
}

#[test]
fn conformance_page_is_fresh() {
    check_fresh("docs/conformance.md", &crate::conformance::page());
}
