//! The scripts that CI runs: they look at every lock file, and what is missing makes them fail
//! instead of being skipped.
//!
//! They run with a `cargo` and a `rustup` of the test's own, which write down what they are asked.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Output};

use crate::root;

/// A folder with programs that only write down how they are called, and fail where the test says
/// so.
struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    /// `fails` are the beginnings of the calls that fail, as `cargo deny --version`.
    fn new(fails: &[&str]) -> Bench {
        let bench = Bench { folder: tempfile::tempdir().unwrap() };
        let cases: String = fails.iter().map(|call| format!("'{call}'*) exit 1 ;;\n")).collect();
        for name in ["cargo", "rustup", "rustc"] {
            let log = bench.path("log").display().to_string();
            let text =
                format!("#!/bin/sh\necho \"{name} $*\" >>'{log}'\ncase \"{name} $*\" in\n{cases}esac\n");
            let program = bench.path(name);
            std::fs::write(&program, text).unwrap();
            std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A database of known vulnerabilities, as cargo-deny keeps it.
    fn with_database(self) -> Bench {
        std::fs::create_dir_all(self.path("home/advisory-dbs/db/crates")).unwrap();
        self
    }

    fn run(&self, script: &str, environment: &[(&str, &str)]) -> Output {
        self.run_with(script, &[], environment)
    }

    fn run_with(&self, script: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
        let path = format!("{}:{}", self.folder.path().display(), std::env::var("PATH").unwrap());
        Command::new(root().join(script))
            .args(arguments)
            .env("PATH", path)
            .env("CARGO_HOME", self.path("home"))
            .env("LOTMQ_DEPENDENCIES_RECORD", self.path("record"))
            .env_remove("LOTMQ_ADVISORIES")
            .envs(environment.iter().copied())
            .output()
            .unwrap()
    }

    fn calls(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }
}

/// Returns the files in git whose path ends so.
fn tracked(ending: &str) -> BTreeSet<String> {
    let output =
        Command::new("git").args(["ls-files", &format!("*{ending}")]).current_dir(root()).output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// The manifests with a lock file of their own.
fn locked() -> BTreeSet<String> {
    let mut manifests: BTreeSet<String> =
        tracked("Cargo.lock").iter().map(|lock| lock.replace("Cargo.lock", "Cargo.toml")).collect();
    // It is made of the workspace's, see scripts/require.
    manifests.insert("tests/fuzz/Cargo.toml".to_owned());
    manifests
}

#[test]
fn every_crate_outside_of_the_workspace_is_locked() {
    let locked = locked();
    assert!(
        locked.len() >= 6,
        "guests, the SDK and its examples, the fuzz targets and the workspace: {locked:?}"
    );
    for manifest in tracked("Cargo.toml") {
        let text = std::fs::read_to_string(root().join(&manifest)).unwrap();
        let is_root = text.lines().any(|line| line.trim() == "[workspace]");
        assert!(!is_root || locked.contains(&manifest), "{manifest} has no lock file");
    }
}

#[test]
fn dependencies_of_every_lock_file_are_checked_with_advisories() {
    let bench = Bench::new(&[]).with_database();
    assert!(bench.run("scripts/dependencies", &[]).status.success());
    let calls = bench.calls();
    for manifest in locked() {
        for check in ["licenses bans sources", "advisories"] {
            let call = format!("--manifest-path {manifest} check {check}");
            assert!(calls.contains(&call), "`{call}` is not among\n{calls}");
        }
    }
}

#[test]
fn unchanged_dependencies_are_checked_once() {
    let bench = Bench::new(&[]).with_database();
    assert!(bench.run_with("scripts/dependencies", &["--changed"], &[]).status.success());
    let first = bench.calls();
    assert!(first.contains("check licenses bans sources"), "{first}");
    assert!(bench.run_with("scripts/dependencies", &["--changed"], &[]).status.success());
    assert_eq!(bench.calls(), first, "the record answers");
    assert!(bench.run("scripts/dependencies", &[]).status.success());
    assert_ne!(bench.calls(), first, "without --changed all is checked");
    // A failure leaves no record.
    let bench = Bench::new(&["cargo deny --log-level error"]);
    assert!(!bench.run_with("scripts/dependencies", &["--changed"], &[]).status.success());
    assert!(!bench.path("record").exists());
}

#[test]
fn a_finding_about_dependencies_fails() {
    for (what, call) in [
        ("licences", "cargo deny --log-level error --all-features --manifest-path guests/Cargo.toml"),
        ("advisories", "cargo deny --offline --log-level error --all-features --manifest-path sdk/examples"),
    ] {
        let bench = Bench::new(&[call]).with_database();
        assert!(!bench.run("scripts/dependencies", &[]).status.success(), "{what}");
    }
}

#[test]
fn without_the_database_of_vulnerabilities_a_release_fails_and_ci_says_so() {
    let bench = Bench::new(&["cargo deny --log-level off fetch db"]);
    assert!(!bench.run("scripts/dependencies", &[("LOTMQ_ADVISORIES", "require")]).status.success());
    let output = bench.run("scripts/dependencies", &[]);
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("KNOWN VULNERABILITIES WERE NOT CHECKED"));
}

#[test]
fn tools_that_are_missing_and_cannot_be_installed_fail() {
    for (script, missing) in [
        ("scripts/dependencies", ["cargo deny --version", "cargo install"]),
        ("scripts/memory", ["cargo +nightly miri --version", "rustup component add"]),
    ] {
        let bench = Bench::new(&missing);
        let output = bench.run(script, &[("LOTMQ_NIGHTLY", "nightly")]);
        assert!(!output.status.success(), "{script}: {}", bench.calls());
    }
}

#[test]
fn ci_says_so_where_there_is_no_miri() {
    let bench = Bench::new(&["cargo +nightly miri --version", "rustup component add"]);
    let output = bench.run("scripts/memory", &[("LOTMQ_NIGHTLY", "nightly"), ("LOTMQ_MIRI", "where-it-is")]);
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("was NOT checked"));
    // An error that Miri finds fails, wherever Miri is.
    let bench = Bench::new(&["cargo +nightly miri test"]);
    let output = bench.run("scripts/memory", &[("LOTMQ_NIGHTLY", "nightly"), ("LOTMQ_MIRI", "where-it-is")]);
    assert!(!output.status.success());
}

#[test]
fn a_target_that_does_not_build_fails_the_fuzzing() {
    let bench = Bench::new(&["cargo build"]);
    let output = bench.run("scripts/fuzz", &[]);
    assert!(!output.status.success(), "{}", bench.calls());
    let calls = bench.calls();
    for target in ["packet", "session", "value", "config"] {
        assert!(calls.contains(&format!("--bin {target}")), "{target} is not among\n{calls}");
    }
    assert!(!calls.contains("--bin command"), "heavy ones only when they are asked for\n{calls}");
}

/// CI builds no target of the fuzzer. Each is one line that calls a function of its crate. A test
/// of the crate calls it as well, with the corpus.
#[test]
fn fuzz_targets_call_functions_whose_corpus_is_replayed() {
    for (name, call, replay) in [
        ("command", "lotmq_operations::fuzz_command", "broker/operations/src/command/fuzz.rs"),
        ("compile", "lot_to_wasm::fuzz_compile", "lot-to-wasm/tests/compiler/robustness.rs"),
        ("component", "lotmq_host::fuzz_component", "broker/host/src/fuzz.rs"),
        ("config", "lotmq_config::fuzz_config", "broker/config/src/fuzz.rs"),
        ("hostile", "lotmq_simulation::fuzz_hostile_clients", "tests/simulation/tests/simulation.rs"),
        ("log", "lotmq_store::fuzz_log", "broker/store/src/fuzz.rs"),
        ("packet", "lotmq_codec::fuzz_packet", "broker/codec/tests/codec/corpus.rs"),
        ("proxy", "lotmq_net::fuzz_proxy", "broker/net/src/proxy.rs"),
        ("row", "lotmq_store::fuzz_row", "broker/store/src/fuzz.rs"),
        ("scram", "lotmq_auth::fuzz_scram", "broker/auth/src/scram.rs"),
        ("session", "lotmq_simulation::fuzz_two_clients", "tests/simulation/tests/simulation.rs"),
        ("token", "lotmq_jwt::fuzz_token", "broker/jwt/src/fuzz.rs"),
        ("topic", "lotmq_router::fuzz_topic", "broker/router/src/fuzz.rs"),
        ("websocket", "lotmq_websocket::fuzz_websocket", "broker/websocket/src/fuzz.rs"),
        ("zstd", "lotmq_zstd::fuzz_zstd", "broker/zstd/src/fuzz.rs"),
    ] {
        let read = |path: &str| std::fs::read_to_string(root().join(path)).unwrap();
        let target = read(&format!("tests/fuzz/fuzz_targets/{name}.rs"));
        let line = format!("libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {call}(bytes));");
        assert_eq!(target.lines().last(), Some(&*line));
        let function = call.split("::").last().unwrap();
        let replay = read(replay);
        assert!(replay.contains("fuzz/corpus") && replay.contains(function), "{name}");
    }
    let heavy = std::fs::read_to_string(root().join("scripts/fuzz")).unwrap();
    assert!(heavy.contains("heavy=\"command component proxy\"\n"), "they bring wasmtime");
}

#[test]
fn ci_runs_every_guard() {
    let text = std::fs::read_to_string(root().join(".ci/run")).unwrap();
    assert!(text.contains("set -eu"));
    for guard in [
        "scripts/dependencies",
        "scripts/memory",
        "exec scripts/test",
        "scripts/instructions check",
        "cargo fmt --all --check",
        "LOTMQ_LINTS=deny",
    ] {
        let line =
            text.lines().find(|line| line.contains(guard)).unwrap_or_else(|| panic!("{guard} is not run"));
        assert!(!line.contains("||"), "{line}");
    }
}
